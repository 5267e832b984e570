"""Failures of training steps as they were reported: the line that is named is the one to blame."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from networks import F32, LABELS, marked, naive_loss, normal, saturated

from stability.diagnosis import diagnose


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
