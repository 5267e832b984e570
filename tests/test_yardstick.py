"""What an element of an array is measured by: the terms of the sum that it comes from, against sums written out."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stability.real import evaluate as _evaluate
from stability.real.terms import sizes_of_terms
from stability.testing import assert_max_ulp


def sizes(fn, *args):
    jaxpr, _, leaves, _ = _evaluate.prepared(fn, args, None)
    return sizes_of_terms(jaxpr, leaves)[0]


RNG = np.random.default_rng(0)
X = RNG.normal(size=12).astype(np.float32)
A = RNG.normal(size=(3, 12)).astype(np.float32)
WIDE_X, WIDE_A = np.abs(X.astype(np.float64)), np.abs(A.astype(np.float64))

SUMS = {
    "matmul": (jnp.matmul, (A, X), WIDE_A @ WIDE_X),
    "sum over an axis": (lambda a: jnp.sum(a, 1), (A,), WIDE_A.sum(1)),
    "cumsum": (jnp.cumsum, (X,), np.cumsum(WIDE_X)),
    "a sum of sums": (lambda a: jnp.cumsum(jnp.sum(a, 1)), (A,), None),
    "scatter-add": (
        lambda x: jnp.zeros(2, jnp.float32).at[jnp.arange(12) % 2].add(x),
        (X,),
        WIDE_X.reshape(6, 2).sum(0),
    ),
    "centred": (lambda x: x - jnp.mean(x), (X,), np.full(12, WIDE_X.mean())),
    "scaled": (lambda a: 3 * jnp.sum(a, 1)[::-1], (A,), 3 * WIDE_A.sum(1)[::-1]),
    "exp of sums": (lambda a: jnp.exp(jnp.sum(a, 1)), (A,), np.exp(A.astype(np.float64).sum(1)) * WIDE_A.sum(1)),
    "in jit": (jax.jit(lambda a: -jnp.sum(a, 1)), (A,), WIDE_A.sum(1)),
    "sums of two": (lambda x: jnp.exp(x) - 1 + x * x, (X,), np.zeros(12)),
    "a spectrum": (lambda x: jnp.abs(jnp.fft.fft(x)), (X,), np.full(12, WIDE_X.sum())),
    "complex rows": (lambda a: jnp.sum(jnp.exp(1j * a), 1), (A,), np.full(3, 12.0)),
    "softmax": (jax.nn.softmax, (X,), np.exp(X.astype(np.float64)) / np.exp(X.astype(np.float64)).sum()),
}


SQUARE = A[:, :3]
LOOPS = {
    "scan": lambda a, x: jax.lax.scan(lambda c, _: (a @ c, None), x, None, length=3)[0],
    "fori_loop": lambda a, x: jax.lax.fori_loop(0, 3, lambda i, c: a @ c, x),
    "while_loop": lambda a, x: jax.lax.while_loop(lambda c: c[0] < 3, lambda c: (c[0] + 1, a @ c[1]), (0, x))[1],
    "cond": lambda a, x: jax.lax.cond(a[0, 0] < 9, lambda c: a @ (a @ (a @ c)), lambda c: c, x),
    "switch": lambda a, x: jax.lax.switch(1, [lambda c: c, lambda c: a @ (a @ (a @ c))], x),
    "checkpoint": lambda a, x: jax.checkpoint(lambda c: a @ (a @ (a @ c)))(x),
}


@pytest.mark.parametrize("name", LOOPS)
def test_the_terms_of_sums_inside_loops_and_branches_count(name):
    a, x = SQUARE.astype(np.float64), X[:3].astype(np.float64)
    terms, value = np.zeros(3), x
    for _ in range(3):
        likely = np.sqrt(a**2 @ terms**2) + np.abs(a @ terms)
        terms, value = np.abs(a) @ np.abs(value) + np.minimum(likely, np.abs(a) @ terms), a @ value
    np.testing.assert_allclose(sizes(LOOPS[name], SQUARE, X[:3]), terms, rtol=1e-9)


@pytest.mark.parametrize("name", SUMS)
def test_the_terms_are_those_of_the_sum(name):
    fn, args, expected = SUMS[name]
    if expected is None:
        inner = A.astype(np.float64).sum(1)
        expected = np.cumsum(np.abs(inner) + WIDE_A.sum(1))
    np.testing.assert_allclose(sizes(fn, *args), expected, rtol=1e-9)


def cancelling():
    """Rows whose product with `X` nearly vanishes."""
    a = A.copy()
    a[:, -1] = -(a[:, :-1] @ X[:-1]) / X[-1]
    return jnp.asarray(a), jnp.asarray(X)


def test_a_product_that_cancels_is_right_unless_asked_for_elementwise():
    a, x = cancelling()
    assert_max_ulp(jnp.matmul, a, x, max_ulp=4)
    with pytest.raises(AssertionError, match=r"inaccurate|wrong_sign|vanished"):
        assert_max_ulp(jnp.matmul, a, x, max_ulp=4, elementwise=True)


def test_a_number_alone_is_measured_by_itself():
    a, x = cancelling()
    with pytest.raises(AssertionError, match="is not within 4 ulps"):
        assert_max_ulp(jnp.dot, a[0], x, max_ulp=4)


PLANTED = {
    "32 ulps of the terms": lambda y: y + jnp.float32(32 * 2.0**-23 * 8),
    "nan": lambda y: y.at[1].set(jnp.nan),
    "inf": lambda y: y.at[1].set(-jnp.inf),
    "vanished": jnp.zeros_like,
    "sign": jnp.negative,
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_defect_in_an_array_of_sums_is_found(name):
    with pytest.raises(AssertionError, match="is not within 4 ulps"):
        assert_max_ulp(
            lambda a, x: PLANTED[name](a @ x), jnp.asarray(A), jnp.asarray(X), max_ulp=4, reference=jnp.matmul
        )


def test_cancellation_in_each_element_is_no_sum_over_the_array():
    x = jnp.float32([1e-4, 1.0])
    with pytest.raises(AssertionError, match="is not within 4 ulps"):
        assert_max_ulp(lambda x: jnp.exp(x) - 1, x, max_ulp=4)
    assert_max_ulp(jnp.expm1, x, max_ulp=4, elementwise=True)


def test_a_sum_that_is_0_in_truth_is_measured_by_its_terms():
    assert_max_ulp(lambda x: x - jnp.mean(x), jnp.full(3, 0.1, jnp.float32), max_ulp=2)
    assert_max_ulp(lambda x: jnp.stack([jnp.sum(x), 1 - jnp.sum(x)]), jnp.full(10, 0.1, jnp.float32), max_ulp=4)
