"""Training steps: which leaf, which element, which line; healthy ones among them."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from networks import F32, LABELS, logits, marked, naive_loss, network, normal, saturated

from stability.diagnosis import diagnose
from stability.diagnosis._diagnosis import MEANINGS
from stability.diagnosis._fixes import OF_THE_KIND


def healthy_loss(params, x, y):
    z = logits(params, x)
    return jnp.mean(jnp.maximum(z, 0) - z * y + jnp.log1p(jnp.exp(-jnp.abs(z))))


def squared_loss(params, x, y, weights):
    a = jax.nn.sigmoid(logits(params, x))
    return jnp.sum(weights * (a - y) ** 2)  # <-


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
