"""The polynomials of the kernels against rational bounds, and the logarithm before it is rounded against balls."""

import math
from fractions import Fraction

import jax
import numpy as np
import pytest
from flint import arb, ctx, fmpq, fmpq_poly

from stability.losses import _logistic as logistic

DEGREE = 40


def rational(x):
    x = Fraction(x)
    return fmpq(x.numerator, x.denominator)


def greatest(polynomial, low, high, pieces=64):
    """A bound of `|polynomial|` between two rationals: in each piece, the sum of its coefficients about the middle."""
    half = (high - low) / (2 * pieces)
    shifted = (polynomial(fmpq_poly([low + (2 * i + 1) * half, half])) for i in range(pieces))
    return max(float(sum(abs(c) for c in piece.coeffs())) for piece in shifted)


@pytest.mark.parametrize(
    ("coefficients", "series", "low", "high", "bound"),
    [
        (logistic._EXP_SINGLE, lambda n: Fraction(1, math.factorial(n + 2)), -0.34657360, 0.34657360, 2.0**-52),
        (logistic._ATANH_SINGLE, lambda n: Fraction(1, 2 * n + 3), 0.0, 0.0683, 2.0**-49),
    ],
)
def test_the_polynomials_are_as_close_as_they_say(coefficients, series, low, high, bound):
    """The rest of the series beyond `DEGREE` is below twice its first term."""
    exact = fmpq_poly([rational(series(n)) for n in range(DEGREE)])
    difference = exact - fmpq_poly([rational(c) for c in coefficients])
    rest = 2 * float(series(DEGREE)) * max(abs(low), high) ** DEGREE
    found = greatest(difference, rational(low), rational(high))
    assert found + rest < bound
    assert found > bound / 4


def near(x, words):
    """How far two float64 words are from the ball `x`, in `2**-53` of it."""
    return float(abs((arb(float(words[0])) + arb(float(words[1])) - x) / x).upper()) * 2.0**53


def test_the_logarithm_before_it_is_rounded():
    rng = np.random.default_rng(0)
    a = np.concatenate([rng.uniform(0, 1.5, 4000), rng.uniform(0, 200, 1000), np.ldexp(1.0, -np.arange(1, 60))])
    a = a.astype(np.float32).astype(np.float64)
    with jax.enable_x64(True):
        k, q, e = logistic._exponential(a)
        high, low = logistic._logarithm(logistic._Exponential(k, q, e))
    with ctx.workprec(200):
        exact = [(-arb(x)).exp() for x in a]
        worst_e = max(near(x, (found, 0.0)) for x, found in zip(exact, np.asarray(e), strict=True))
        worst_log = max(
            near(x.log1p(), words)
            for x, words in zip(exact, zip(np.asarray(high), np.asarray(low), strict=True), strict=True)
        )
    assert worst_e < 1.5
    assert worst_log < 2
