"""Pairs of float64 against mpmath: what is far below is kept, and what is lost is said to be."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

from stability.real.twofold import Pair, run_twofold

X = np.array([1e-30, 3e-20, 7e-12, 1e-5, 0.01, 0.3, 0.9, 3.0, 20.0], np.float32)

HALF_PI = np.float32(np.pi / 2)

CASES = {
    "log(1 + x)": (lambda x: jnp.log(1 + x), lambda x: mpmath.log(1 + x)),
    "1 - cos x": (lambda x: 1 - jnp.cos(x), lambda x: 1 - mpmath.cos(x)),
    "exp x - 1": (lambda x: jnp.exp(x) - 1, mpmath.expm1),
    "x - sin x": (lambda x: x - jnp.sin(x), lambda x: x - mpmath.sin(x)),
    "tan x - x": (lambda x: jnp.tan(x) - x, lambda x: mpmath.tan(x) - x),
    "1 - tanh x": (lambda x: 1 - jnp.tanh(x), lambda x: 2 / (1 + mpmath.exp(2 * x))),
    "1 - σ(x)": (lambda x: 1 - jax.nn.sigmoid(x), lambda x: 1 / (1 + mpmath.exp(x))),
    "1 - erf x": (lambda x: 1 - jax.lax.erf(x), mpmath.erfc),
    "1 - sqrt(1 - x²)": (lambda x: 1 - jnp.sqrt(1 - (x / 32) ** 2), lambda x: 1 - mpmath.sqrt(1 - (x / 32) ** 2)),
    "(1 + x)³ - 1": (lambda x: (1 + x) ** 3 - 1, lambda x: (1 + x) ** 3 - 1),
    "a quotient": (lambda x: 1 / (1 + x) - 1, lambda x: 1 / (1 + x) - 1),
    "a chosen case": (lambda x: jnp.where(x > 1, x, 1 + x) - 1, lambda x: x - 1 if x > 1 else x),
    "moved and stacked": (lambda x: jnp.stack([1 + x, x])[0][::-1][::-1] - 1, lambda x: x),
    "a loop": (lambda x: jax.lax.fori_loop(0, 3, lambda i, v: v + x, 1.0 + 0 * x) - 1, lambda x: 3 * x),
    "acos": (lambda x: jnp.arccos(x / 32) - HALF_PI, lambda x: mpmath.acos(x / 32) - float(HALF_PI)),
}


@pytest.mark.parametrize("name", CASES)
def test_what_float64_would_lose_is_kept(name):
    fn, exact = CASES[name]
    (found,) = run_twofold(jax.make_jaxpr(fn)(X), [X])
    with mpmath.workdps(120):
        wanted = [float(exact(mpmath.mpf(float(x)))) for x in X]
    assert isinstance(found, Pair) and not np.any(found.lost)
    np.testing.assert_allclose(found.h, wanted, rtol=1e-11)


@pytest.mark.parametrize(
    ("fn", "x", "lost"),
    [
        (lambda x: jnp.sqrt(x + 1) - jnp.sqrt(x), 1e38, True),
        (lambda x: jnp.exp(x) / (jnp.exp(x) - 1), 1e30, True),
        (lambda x: jnp.log(jnp.exp(-x)), 1e30, True),
        (lambda x: x - x, 3.0, False),
        (lambda x: 1 / x, 0.0, False),
        (lambda x: 0 * x, 3.0, False),
    ],
)
def test_what_is_lost_is_said_to_be(fn, x, lost):
    x = np.array([x], np.float32)
    (found,) = run_twofold(jax.make_jaxpr(fn)(x), [x])
    assert bool(np.any(found.lost)) is lost


def test_integers_and_truth_values_pass():
    def fn(x):
        n = jnp.sum(x > 1)
        return jax.lax.cond(n > 2, lambda v: v / n, lambda v: v, x), n

    found, count = run_twofold(jax.make_jaxpr(fn)(X), [X])
    assert int(count) == 2
    np.testing.assert_allclose(found.h, X.astype(np.float64))
