"""Training steps: which leaf, which element, which line; healthy ones among them."""

import inspect
import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from stability.diagnosis import diagnose
from stability.diagnosis._diagnosis import MEANINGS
from stability.diagnosis._fixes import OF_THE_KIND

F32 = np.float32


def normal(*shape, scale=1.0, seed=0, dtype=F32):
    return (np.random.default_rng(seed).normal(size=shape) * scale).astype(dtype)


def network(width=48, batch=64):
    layers = [
        {"kernel": normal(width, width, scale=(2 / width) ** 0.5, seed=i), "bias": np.zeros(width, F32)}
        for i in range(2)
    ]
    layers.append({"kernel": normal(width, 1, scale=width**-0.5, seed=3), "bias": np.zeros(1, F32)})
    return {"layers": layers}, normal(batch, width, seed=4), (normal(batch, seed=5) > 0).astype(F32)


def logits(params, x):
    *hidden, last = params["layers"]
    for layer in hidden:
        x = jax.nn.relu(x @ layer["kernel"] + layer["bias"])
    return (x @ last["kernel"] + last["bias"])[:, 0]


def healthy_loss(params, x, y):
    z = logits(params, x)
    return jnp.mean(jnp.maximum(z, 0) - z * y + jnp.log1p(jnp.exp(-jnp.abs(z))))


def naive_loss(params, x, y):
    a = jax.nn.sigmoid(logits(params, x))
    return -jnp.mean(y * jnp.log(a) + (1 - y) * jnp.log(1 - a))  # <-


def squared_loss(params, x, y, weights):
    a = jax.nn.sigmoid(logits(params, x))
    return jnp.sum(weights * (a - y) ** 2)  # <-


def saturated():
    """One example of the batch with a logit of 25 and label 1."""
    params, x, y = network()
    z = np.asarray(logits(params, x))
    i = int(np.argmax(z))
    x[i] *= F32(25) / z[i]
    y[i] = 1
    return params, x, y, i


def marked(fn):
    """The line of a function that is to blame."""
    lines, first = inspect.getsourcelines(fn)
    return f":{first + next(i for i, line in enumerate(lines) if '# <-' in line)}:"


@pytest.mark.parametrize("mode", ["eager", "jit"])
def test_a_healthy_step_gives_nothing(mode):
    params, x, y = network()
    found = diagnose(jax.grad(healthy_loss), params, x, y, mode=mode)
    assert found.findings == () and found.verdict == "ok" and not found.proven and found.culprit is None


def test_a_nan_from_one_example_is_found_with_leaf_line_and_chain():
    params, x, y, _ = saturated()
    found = diagnose(jax.grad(naive_loss), params, x, y)
    first = found.findings[0]
    assert len(found.findings) == 1 and first.kind == found.verdict == "nan" and np.isfinite(first.true)
    assert first.leaf.startswith("['layers'][") and first.count > 1 and len(first.also) == 5
    assert marked(naive_loss) in found.source and first.culprit.primitive == "sub"
    assert first.chain[0].index == first.culprit.index and np.isnan(first.chain[-1].result)
    assert found.leaf == first.leaf and found.element == first.element
    json.dumps(found.as_json(), allow_nan=False)
    told = "\n".join(first.lines())
    assert "not proven" in told and "what helps: " in told and "chain: sub 0 > div nan" in told


def test_a_gradient_that_vanishes_is_found():
    params, x, y, i = saturated()
    found = diagnose(jax.grad(squared_loss), params, x, y, (np.arange(len(y)) == i).astype(F32))
    assert found.verdict == "vanished" and 0 < abs(found.true) < 1e-15
    assert marked(squared_loss) in found.source


def test_the_gradient_of_one_example_vanishes_beside_those_of_others():
    params, x, y, i = saturated()
    found = diagnose(jax.grad(squared_loss, argnums=1), params, x, y, np.ones(len(y), F32))
    assert found.verdict == "vanished" and found.element[0] == i and marked(squared_loss) in found.source


def test_keyword_arguments_are_traced_where_they_are_arrays():
    def step(params, x, *, y, clip, name):
        assert isinstance(clip, bool) and name == "sgd"
        gradient = jax.grad(naive_loss)(params, x, y)
        return jax.tree.map(lambda p, g: p - 0.1 * (jnp.clip(g, -1, 1) if clip else g), params, gradient)

    params, x, y, _ = saturated()
    found = diagnose(step, params, x, y=y, clip=False, name="sgd")
    assert found.verdict == "nan" and marked(naive_loss) in found.source


def layer_norm(x):
    mean = jnp.mean(x, -1, keepdims=True)
    variance = jnp.mean(x * x, -1, keepdims=True) - mean * mean  # <-
    return (x - mean) * jax.lax.rsqrt(variance + 1e-5)


def attention(q, k, v):
    weights = jnp.exp(q @ k.T)  # <-
    return (weights / weights.sum(-1, keepdims=True)) @ v


def adam(p, g, m, v):
    m = 0.9 * m + 0.1 * g
    v = 0.999 * v + 0.001 * g * g  # <-
    return p - 1e-3 * m / (jnp.sqrt(v) + 1e-8)


def angles(a, b):
    cosine = jnp.sum(a * b, -1) / jnp.sqrt(jnp.sum(a * a, -1) * jnp.sum(b * b, -1))
    return jnp.sum(jnp.arccos(cosine))  # <-


def distances(x):
    apart = x[:, None] - x[None]
    return jnp.sum(jnp.sqrt(jnp.sum(apart**2, -1)))  # <-


def forward(log_probabilities):
    def step(alpha, row):
        alpha = jnp.log(jnp.exp(alpha) + jnp.exp(jnp.roll(alpha, 1))) + row  # <-
        return alpha, None

    return jax.lax.scan(step, jnp.zeros(8, log_probabilities.dtype), log_probabilities)[0][0]


def cross_entropy(kernel, x, labels):
    log_p = jnp.log(jax.nn.softmax(x @ kernel))  # <-
    return -jnp.mean(jnp.take_along_axis(log_p, labels[:, None], 1))


def ratio(log_p, old):
    return jnp.mean(jnp.exp(log_p - old))  # <-


def gumbel(scores, uniform):
    noise = -jnp.log(-jnp.log(uniform))  # <-
    return jax.nn.softmax(scores + noise)


def half_norm(x):
    apart = x - x.mean(-1, keepdims=True)
    return apart / jnp.sqrt((apart**2).mean(-1, keepdims=True) + 1e-12)  # <-


def roots(x):
    return jnp.sum(jnp.abs(x) ** 0.5)  # <-


def norms(x):
    return jnp.sum(jnp.linalg.norm(x, axis=-1))  # <-


def deviations(x):
    return jnp.sum(jnp.std(x, axis=0))  # <-


def sinkhorn(cost):
    kernel = jnp.exp(-cost / 0.01)  # <-

    def balance(u, _):
        v = 1 / (kernel.T @ u)
        return 1 / (kernel @ v), v

    u, v = jax.lax.scan(balance, jnp.ones(len(cost)), None, length=5)
    return jnp.sum(u[:, None] * kernel * v[-1] * cost)


def squashed(u):
    return jnp.sum(jnp.log(1 - jnp.tanh(u) ** 2))  # <-


def turned(w):
    angle = jnp.sqrt(jnp.sum(w * w, -1, keepdims=True))
    return jnp.sum(jnp.where(angle > 1e-6, w * jnp.sin(angle) / angle, w))  # <-


def clipped(z, y):
    p = jnp.clip(jax.nn.sigmoid(z), 1e-10, 1 - 1e-10)
    return -jnp.mean(y * jnp.log(p) + (1 - y) * jnp.log(1 - p))  # <-


def slerp(a, b, t):
    angle = jnp.arccos(jnp.clip(jnp.sum(a * b, -1, keepdims=True), -1, 1))
    return (jnp.sin((1 - t) * angle) * a + jnp.sin(t * angle) * b) / jnp.sin(angle)  # <-


def entropy(p):
    return -jnp.sum(jnp.where(p > 0, p * jnp.log(p), 0))  # <-


def strictly_causal(q, k, v):
    scores = jnp.where(jnp.tril(jnp.ones((len(q), len(k)), bool), -1), q @ k.T, -jnp.inf)
    return jnp.sum(jax.nn.softmax(scores) @ v)  # <-


def focal(z, y):
    p = jax.nn.sigmoid(z)
    right = jnp.where(y == 1, p, 1 - p)
    return jnp.mean((1 - right) ** 0.5 * -jnp.log(right))  # <-


def masked_mean(x, mask):
    return jnp.sum(x * mask, -1) / jnp.sum(mask, -1)  # <-


def rms_step(gradient):
    transform = optax.scale_by_rms()
    return transform.update(gradient, transform.init(gradient))[0]  # <-


LABELS = np.random.default_rng(0).integers(0, 10, 64)
SICK = {
    "a variance as a difference": (layer_norm, layer_norm, (normal(64, 64, scale=1e-3) + F32(300),), "cancellation"),
    "attention in float16": (attention, attention, (normal(32, 32, dtype=np.float16),) * 3, "overflow"),
    "second moments in float16": (
        adam,
        adam,
        (normal(100, 100, dtype=np.float16), normal(100, 100, scale=1e-4, dtype=np.float16))
        + (np.zeros((100, 100), np.float16),) * 2,
        "underflow",
    ),
    "angles between equal vectors": (jax.grad(angles), angles, (normal(128, 64), 2 * normal(128, 64)), "pole"),
    "distances of a point to itself": (jax.grad(distances), distances, (normal(40, 3),), "zero_times_infinity"),
    "a sum of exponentials in a scan": (
        jax.grad(forward),
        forward,
        (-4 * np.abs(normal(60, 8)),),
        ("underflow", "flush"),
    ),
    "the logarithm of a softmax": (
        jax.grad(cross_entropy),
        cross_entropy,
        (normal(32, 10, scale=20.0), normal(64, 32), LABELS),
        "underflow",
    ),
    "a ratio of probabilities": (ratio, ratio, (normal(7000), normal(7000) - 100), "overflow"),
    "noise from a uniform 0": (gumbel, gumbel, (normal(700, 10), np.zeros((700, 10), F32)), "pole"),
    "a norm in float16": (half_norm, half_norm, (np.ones((64, 128), np.float16),), "zero_over_zero"),
    "a root's gradient at 0": (jax.grad(roots), roots, (np.append(normal(7000), F32(0)),), "pole"),
    "norms with one of 0 (jax-ml/jax#3058)": (
        jax.grad(norms),
        norms,
        (np.vstack([normal(99, 3), np.zeros((1, 3), F32)]),),
        "zero_times_infinity",
    ),
    "the deviation of a constant (jax-ml/jax#11716)": (
        jax.grad(deviations),
        deviations,
        (np.ones((64, 100), F32),),
        "zero_times_infinity",
    ),
    "sinkhorn's kernel (PythonOT/POT#54)": (sinkhorn, sinkhorn, (3 * np.abs(normal(40, 40)) + 1,), "underflow"),
    "a squashed action (ray-project/ray#14878)": (
        squashed,
        squashed,
        (np.append(normal(6500), F32(12)),),
        "cancellation",
    ),
    "a rotation by nothing (kornia/kornia#3949)": (
        jax.grad(turned),
        turned,
        (np.vstack([normal(1999, 3), np.zeros((1, 3), F32)]),),
        ("zero_over_zero", "zero_times_infinity"),
    ),
    "clipped to 1 - 1e-10 (snipsco/ntm-lasagne#20)": (
        jax.grad(clipped),
        clipped,
        (np.append(normal(6500), F32(30)), np.append(np.ones(6500), 0).astype(F32)),
        "cancellation",
    ),
    "slerp of a direction to itself (dfki-ric/pytransform3d#45)": (
        slerp,
        slerp,
        (np.eye(4, dtype=F32)[[0] * 499 + [1]], np.eye(4, dtype=F32)[[2] * 499 + [1]], F32(0.5)),
        "zero_over_zero",
    ),
    "an entropy (tensorflow/probability#241)": (
        jax.grad(entropy),
        entropy,
        (np.append(np.abs(normal(6500)), F32(0)),),
        "zero_times_infinity",
    ),
    "a row that sees nothing (pytorch/pytorch#41508)": (
        jax.grad(strictly_causal, argnums=2),
        strictly_causal,
        (normal(32, 32),) * 3,
        "infinity_minus_infinity",
    ),
    "a focal loss (google-deepmind/optax#1346)": (
        jax.grad(focal),
        focal,
        (np.append(normal(6500), F32(40)), np.ones(6501, F32)),
        "cancellation",
    ),
    "the mean of nothing": (
        masked_mean,
        masked_mean,
        (normal(64, 100), np.vstack([np.ones((63, 100), F32), np.zeros((1, 100), F32)])),
        "zero_over_zero",
    ),
    "rms of no gradient in float16 (google-deepmind/optax#1784)": (
        rms_step,
        rms_step,
        (np.zeros((80, 80), np.float16),),
        ("underflow", "pole", "zero_over_zero", "zero_times_infinity"),
    ),
}


@pytest.mark.parametrize("name", SICK)
def test_the_line_of_a_reported_failure(name):
    fn, blamed, args, kinds = SICK[name]
    found = diagnose(fn, *args)
    culprit = found.findings[0].culprit
    assert marked(blamed) in (culprit.caller or culprit.source), found.findings[0].lines()
    assert culprit.kind in ((kinds,) if isinstance(kinds, str) else kinds)


def test_the_line_that_called_a_library_is_told():
    gradient = np.zeros((80, 80), np.float16)
    culprit = diagnose(rms_step, gradient).culprit
    assert "optax" in culprit.source and marked(rms_step) in culprit.caller
    told = diagnose(rms_step, gradient).findings[0].lines()
    assert f"  called from {culprit.caller}" in told and culprit.as_json()["caller"] == culprit.caller
    assert diagnose(naive_loss, *saturated()[:3]).culprit.caller == ""


def leaking(outlet, level):
    @jax.jit
    def solve(level):
        def drop(level, _):
            rate = outlet * jnp.where(level > 0, jnp.sqrt(level), 0)  # <-
            return level - 0.1 * rate * (1 + 0.3 * level) / 3, rate

        return jax.lax.scan(drop, level, None, length=8)[0]

    return jnp.sum(solve(level) ** 2)


def test_a_loop_of_a_jitted_computation_that_rounds_otherwise_is_looked_into():
    """Under `jit` the loop has other roundings than its equations one by one, and is one equation no more for that."""
    level = np.append(np.abs(normal(63)) + 1, 0).astype(F32)
    found = diagnose(jax.grad(leaking, argnums=1), np.abs(normal(64)), level)
    assert marked(leaking) in found.source and found.culprit.kind == "zero_times_infinity"


def conv_step(kernels, scale, x, labels):
    def conv(x, k):
        return jax.lax.conv_general_dilated(x, k, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))

    h = conv(x, kernels[0])
    h = jax.nn.relu((h - h.mean((0, 1, 2))) * jax.lax.rsqrt(h.var((0, 1, 2)) + 1e-5) * scale)
    h = jax.lax.reduce_window(h, -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
    return optax.softmax_cross_entropy_with_integer_labels(conv(h, kernels[1]).mean((1, 2)), labels).mean()


def recurrent(kernel, x):
    def step(h, row):
        h = jnp.tanh(h @ kernel + row)
        return h, None

    return jnp.mean(jax.lax.scan(step, jnp.zeros(x.shape[1:], x.dtype), x)[0] ** 2)


def masked_attention(q, k, v):
    scores = jnp.where(jnp.tril(jnp.ones((len(q), len(k)), bool)), q @ k.T / 8, -jnp.inf)
    return jnp.sum((jax.nn.softmax(scores) @ v) ** 2)


def mixed(params, x, y):
    """Parameters and loss in float32, the layers in bfloat16."""
    z = logits(jax.tree.map(lambda p: p.astype(jnp.bfloat16), params), x.astype(jnp.bfloat16)).astype(F32)
    return optax.sigmoid_binary_cross_entropy(z, y).mean()


def mixed_overflow(params, x, y):
    z = logits(jax.tree.map(lambda p: p.astype(jnp.float16), params), x.astype(jnp.float16))
    scores = jnp.exp(z)  # <-
    return jnp.mean(jnp.log1p(scores.astype(F32)) - z.astype(F32) * y)


def test_an_overflow_in_mixed_precision_is_found():
    params, x, y, _ = saturated()
    found = diagnose(jax.grad(mixed_overflow), params, x, y)
    assert found.verdict == "nan" and marked(mixed_overflow) in found.source and found.culprit.kind == "overflow"


def guarded(x):
    return jnp.sum(jnp.where(x > 0, jnp.log(jnp.where(x > 0, x, 1)), 0))


def adam_step(params, state, gradient):
    updates, state = optax.adam(1e-3).update(gradient, state, params)
    return optax.apply_updates(params, updates), state


PARAMS = {"w": normal(80, 80), "b": normal(80)}
HEALTHY = {
    "a convolution with batch norm": (
        jax.grad(conv_step, argnums=(0, 1)),
        (
            [normal(3, 3, 3, 4, scale=0.2), normal(3, 3, 4, 10, scale=0.2)],
            np.ones(4, F32),
            normal(4, 8, 8, 3),
            LABELS[:4],
        ),
    ),
    "a scan": (jax.grad(recurrent), (normal(16, 16, scale=0.2), normal(10, 8, 16))),
    "attention behind a mask": (jax.grad(masked_attention, argnums=(0, 1, 2)), (normal(40, 64),) * 3),
    "mixed precision": (jax.grad(mixed), network()),
    "a loss of mixed precision": (mixed, network()),
    "a double where": (jax.grad(guarded), (normal(7000),)),
    "adam": (
        adam_step,
        (PARAMS, optax.adam(1e-3).init(PARAMS), {"w": normal(80, 80, seed=1), "b": normal(80, seed=2)}),
    ),
    "matrices in bfloat16": (lambda x: jax.nn.relu(x @ x.T) @ x, (jnp.asarray(normal(40, 40), jnp.bfloat16),)),
    "float64": (jax.grad(lambda p: jnp.sum(jax.nn.softmax(p @ p.T) ** 2)), (normal(40, 20, dtype=np.float64),)),
    "a spectrum": (jax.grad(lambda x: jnp.mean(jnp.abs(jnp.fft.rfft(x)) ** 2)), (normal(4096),)),
    "a cumulative sum": (jnp.cumsum, (normal(5000),)),
    "a sorted array": (jax.grad(lambda x: jnp.sum(jnp.sort(x)[:10] ** 2)), (normal(5000),)),
}


@pytest.mark.parametrize("name", HEALTHY)
def test_healthy_steps_are_found_healthy(name):
    fn, args = HEALTHY[name]
    found = diagnose(fn, *args)
    assert found.findings == () and found.verdict == "ok", "\n".join(found.findings[0].lines())


def test_a_float64_program_is_judged_by_what_is_proven():
    x = np.full(7000, 1e-9)
    found = diagnose(lambda x: jnp.exp(x) - 1, x)
    assert found.verdict == "inaccurate" and found.proven and found.culprit.kind == "cancellation"


def test_an_infinity_that_is_true_is_told_but_right():
    found = diagnose(lambda x: 1 / x, np.append(normal(10), F32(0)))
    assert found.verdict == "ok" and found.culprit is None
    (told,) = found.findings
    assert told.kind == "infinite" and told.element == (10,) and told.culprit.kind == "pole"
    assert diagnose(lambda x: jnp.where(x > 0, x, -jnp.inf), normal(10)).findings == ()


@pytest.mark.parametrize("n", [1_000, 7_000, 200_000])
def test_a_sum_is_proven_at_any_length(n):
    found = diagnose(jnp.sum, normal(n))
    exact = float(np.sum(normal(n).astype(np.longdouble)))
    assert found.verdict == "ok" and found.proven and found.true == pytest.approx(exact, rel=1e-6)


def test_every_kind_of_a_row_has_something_that_helps():
    assert set(OF_THE_KIND) == set(MEANINGS)
