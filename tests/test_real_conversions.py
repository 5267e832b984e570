"""Conversions among integers, truth values and floats; empty arrays; ties."""

from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from stability.formats import FORMATS
from stability.real import true_derivative, true_value, truth, why_undefined

F32 = FORMATS["float32"]
INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
NUMBERS = np.float32([0.0, -0.0, 0.9, -0.9, 2.5, -7.5, 127.5, 128.0, -129.0, 256.0, 3e4, 4e9, -4e9, 1e19, -1e30, 1e-45])


def nearest(x: float, dtype: str) -> int:
    """Towards 0, and where the dtype ends the nearest that it has."""
    info = np.iinfo(dtype)
    whole = int(Fraction(x)) if np.isfinite(x) else info.max if x > 0 else info.min
    return min(max(whole, info.min), info.max)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_a_float_becomes_the_nearest_integer_towards_0(dtype):
    points = np.append(NUMBERS, np.float32([np.inf, -np.inf]))
    expected = [nearest(float(x), dtype) for x in points]

    def cast(x):
        return x.astype(dtype)

    assert [int(true_value(cast, x)) for x in points] == expected
    assert true_value(jax.vmap(cast), points).tolist() == expected
    assert true_value(cast, points[:, None]).ravel().tolist() == expected
    back = np.array(expected, np.float64)
    exact = np.abs(back) < 2.0**53
    for found in (true_value(lambda x: cast(x).astype(jnp.float64), points), widest(cast, points)):
        np.testing.assert_array_equal(found[exact], back[exact])
    assert why_undefined(lambda x: cast(x).astype(x.dtype), np.float32(np.nan)) == "nan"


def widest(cast, points):
    return truth(lambda x: cast(x).astype(jnp.float64), points, fmt=FORMATS["float64"]).rounded


@pytest.mark.parametrize("dtype", INTEGERS)
def test_an_integer_is_itself_and_rounds_once(dtype):
    info = np.iinfo(dtype)
    values = [n for n in (0, 1, 100, 2**24 + 1, 2**31 - 1, 2**53 + 1, info.max, info.min) if info.min <= n <= info.max]
    n = np.array(values, dtype)
    for kind in (np.float32, np.float64):
        found = true_value(lambda n, kind=kind: n.astype(kind) + kind(0), n)
        np.testing.assert_array_equal(found, [np.float64(kind(Fraction(v).numerator)) for v in values])
    assert true_value(lambda n, x: n.astype(bool) + x, n, np.float32(0)).tolist() == [float(v != 0) for v in values]


def test_truth_values_count_and_numbers_are_true_unless_0():
    x = np.float32([0.0, -0.0, 1e-45, -3.0, np.inf])
    true = [0.0, 0.0, 1.0, 1.0, 1.0]
    for f in (lambda x: x.astype(bool), lambda x: x.astype(bool).astype(jnp.int8), lambda x: x != 0):
        assert true_value(lambda x, f=f: f(x).astype(x.dtype), x).tolist() == true
        assert truth(lambda x, f=f: f(x).astype(x.dtype), x, fmt=F32).rounded.tolist() == true
        assert true_value(lambda x, f=f: f(x).sum() * jnp.float32(1), x) == 3


NARROW = {
    "int8 of int32": (lambda n: (n * 100).astype(jnp.int8), [-12, 68, 44]),
    "products wrap": (lambda n: n * 400_000_000 * 5, [1410065408, -1115098112, 1705032704]),
    "unsigned": (lambda n: n.astype(jnp.uint32).astype(jnp.float32), [5.0, 4294967296.0, 3.0]),
    "masks": (lambda n: (n & 6) | 8, [12, 8, 10]),
    "not": (lambda n: ~n, [-6, 6, -4]),
    "remainders": (lambda n: lax.rem(n, jnp.int32(3)), [2, -1, 0]),
    "modulo": (lambda n: n % 3, [2, 2, 0]),
    "floor division": (lambda n: n // 2, [2, -4, 1]),
    "by 0": (lambda n: lax.div(n, n * 0), [-1, -1, -1]),
    "a sum that wraps": (
        lambda n: (n[None] * jnp.ones((3,), jnp.int32) * 2**30).sum(dtype=jnp.int32),
        [-1073741824, -1073741824, 1073741824],
    ),
    "an index": (lambda n: jnp.array([5.0, 7.0, 9.0], jnp.float32)[n % 3], [9.0, 9.0, 5.0]),
}


@pytest.mark.parametrize("name", NARROW)
def test_integers_that_hang_on_the_point_are_machine_integers(name):
    """Interpreted and compiled: 5, -7 and 3 from floats."""
    f, expected = NARROW[name]
    x = np.float32([5.5, -7.3, 3.0])

    def fn(x):
        return f(x.astype(jnp.int32)).astype(jnp.float32)

    expected = [float(np.float32(v)) for v in expected]
    assert [float(true_value(fn, v)) for v in x] == expected
    assert truth(fn, x, fmt=F32).rounded.tolist() == expected
    assert true_value(jax.vmap(fn), x).tolist() == expected


def test_empty_arrays():
    none = np.zeros((0,), np.float32)
    for f in (
        jnp.sin,
        lambda x: x * 2 + jnp.log(x),
        jax.vmap(lambda x: lax.cond(x > 0, jnp.sin, jnp.cos, x)),
        jnp.sort,
    ):
        assert true_value(f, none).shape == (0,) and true_derivative(f, none).shape == (0, 0)
    assert true_value(lambda x: lax.scan(lambda c, v: (c + v, c * v), jnp.float32(3), x), none)[0] == 3
    assert true_value(jnp.sum, none) == 0 and true_value(jnp.prod, none) == 1
    assert true_value(lambda x: jnp.max(x, initial=-np.inf), none) == -np.inf
    assert true_value(lambda x: jnp.stack([x, x]).sum(axis=1), none).tolist() == [0, 0]
    assert true_value(lambda x: jnp.sum(x > 0) / jnp.float32(2), none) == 0
    assert true_value(lambda x: jnp.cumsum(x), none).shape == (0,)
    assert true_value(lambda x: x[:0].reshape(0, 4) @ jnp.ones((4, 2), x.dtype), np.ones(3, np.float32)).shape == (0, 2)


TIES = {
    "argmax": (jnp.argmax, 1),
    "argmin": (jnp.argmin, 0),
    "argsort": (jnp.argsort, [0, 3, 1, 2]),
    "top_k": (lambda x: lax.top_k(x, 2)[1], [1, 2]),
    "max": (jnp.max, 2.0),
    "median": (jnp.median, 1.5),
    "equal": (lambda x: x[1] == x[2], True),
    "less": (lambda x: x[1] < x[2], False),
    "rank": (lambda x: jnp.sum(x < x[1]), 2),
}


@pytest.mark.parametrize("name", TIES)
def test_ties_of_exact_numbers_are_ties_and_the_first_is_taken(name):
    f, expected = TIES[name]
    x = np.float32([1.0, 2.0, 2.0, 1.0])
    assert true_value(f, x).tolist() == expected
    assert true_value(lambda x: f(jnp.abs(-x)), x).tolist() == expected
    assert true_value(jax.vmap(f), x[None])[0].tolist() == expected


def test_a_tie_of_computed_numbers_takes_no_side():
    def f(x):
        a, b = jnp.exp(jnp.log(x)), x
        return jnp.where(a > b, 1.0, jnp.where(a < b, 2.0, 3.0)) + 0 * x

    assert why_undefined(f, np.float32(0.7)).startswith("undecided")
    assert true_value(lambda x: jnp.maximum(jnp.exp(jnp.log(x)), x), np.float32(0.7)) == np.float32(0.7)


def test_halves_round_as_they_say():
    x = np.float32([0.5, 1.5, 2.5, -0.5, -1.5])
    assert true_value(jnp.round, x).tolist() == [0, 2, 2, 0, -2]
    away = true_value(lambda x: lax.round(x, lax.RoundingMethod.AWAY_FROM_ZERO), x)
    assert away.tolist() == [1, 2, 3, -1, -2]


def test_a_pole_that_something_hangs_on_is_no_pole():
    for f in (lambda x: jnp.where(1 / x > 0, 1.0, 2.0), lambda x: jnp.sign(1 / x), lambda x: jnp.maximum(1 / x, 0.0)):
        assert why_undefined(f, np.float32(0)) == "unsigned_infinity"
    assert true_value(lambda x: jnp.where(1 / x > 0, 5.0, 5.0) + 0 * x, np.float32(0)) == 5
    nan = np.float32(np.nan)
    holds = [bool(true_value(lambda x, c=c: c(x, x), nan)) for c in (lax.lt, lax.le, lax.gt, lax.ge, lax.eq, lax.ne)]
    assert holds == [False, False, False, False, False, True]
