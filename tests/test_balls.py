"""Rounding of balls, against rounding written over again in exact fractions."""

import math
from fractions import Fraction

import flint
import numpy as np
import pytest
from flint import arb
from hypothesis import given
from hypothesis import strategies as st

from stability.formats import FORMATS
from stability.truth.balls import Undecided, ball, decide, decide_quanta, round_ball

formats = pytest.mark.parametrize("fmt", FORMATS.values(), ids=FORMATS)


def dyadic(mantissa, exponent):
    """A ball of radius 0 around `mantissa * 2**exponent`, whatever the precision in force."""
    return arb((mantissa, exponent))


def nearest_even(x, fmt):
    """`x`, a Fraction, rounded by the definition: between the floats on both sides, the even one at a tie."""
    size = abs(x)
    e = size.numerator.bit_length() - size.denominator.bit_length()
    e = max(e if Fraction(2) ** e <= size else e - 1, fmt.emin)
    quantum = Fraction(2) ** (e - fmt.precision + 1)
    below = size // quantum
    rest = size / quantum - below
    n = below + (rest > Fraction(1, 2) or (rest == Fraction(1, 2) and below % 2 == 1))
    value = n * quantum
    if value >= Fraction(2) ** (fmt.emax + 1):
        value = math.inf
    return float(value) if x > 0 else -float(value)


def same(a, b):
    return a == b and math.copysign(1, a) == math.copysign(1, b)


def dyadics(fmt):
    """Numbers with a few bits more than the format has, so that ties are common, from underflow to overflow."""
    mantissas = st.integers(-(1 << (fmt.precision + 3)), 1 << (fmt.precision + 3)).filter(bool)
    near_subnormal = st.integers(fmt.least_exponent - fmt.precision - 6, fmt.emin - fmt.precision + 2)
    near_one = st.integers(-fmt.precision - 4, 2)
    near_max = st.integers(fmt.emax - fmt.precision - 5, fmt.emax)
    return st.tuples(mantissas, near_subnormal | near_one | near_max)


@formats
@given(data=st.data())
def test_dyadic_numbers_round_as_in_exact_arithmetic(fmt, data):
    mantissa, exponent = data.draw(dyadics(fmt))
    x = Fraction(mantissa) * Fraction(2) ** exponent
    assert same(round_ball(dyadic(mantissa, exponent), fmt), nearest_even(x, fmt))


@formats
@given(data=st.data())
def test_ties_round_to_even(fmt, data):
    sign = data.draw(st.sampled_from([-1, 1]))
    e = data.draw(st.sampled_from([fmt.least_exponent, -fmt.precision + 1, fmt.emax - fmt.precision]))
    least = 0 if e == fmt.least_exponent else 1 << (fmt.precision - 1)
    n = data.draw(st.integers(least, (1 << fmt.precision) - 1))
    expected = nearest_even(sign * Fraction(2 * n + 1, 2) * Fraction(2) ** e, fmt)
    assert round_ball(dyadic(sign * (2 * n + 1), e - 1), fmt) == expected
    units = Fraction(expected) / Fraction(2) ** e
    assert units % 2 == 0


@formats
def test_overflow_begins_half_an_ulp_above_the_greatest_float(fmt):
    half_ulp = fmt.emax - fmt.precision
    edge = (1 << (fmt.precision + 1)) - 1
    assert round_ball(dyadic(edge, half_ulp), fmt) == math.inf
    assert round_ball(dyadic(-edge, half_ulp), fmt) == -math.inf
    assert round_ball(dyadic((edge << 10) - 1, half_ulp - 10), fmt) == fmt.max


@formats
@pytest.mark.parametrize("sign", [-1, 1])
def test_underflow_keeps_the_sign_and_ties_at_half_the_least_float(fmt, sign):
    least = math.ldexp(1.0, fmt.least_exponent)
    zero = math.copysign(0.0, sign)
    assert same(round_ball(dyadic(sign, fmt.least_exponent - 1), fmt), zero)
    assert same(round_ball(dyadic(sign, fmt.least_exponent - 5000), fmt), zero)
    assert same(round_ball(dyadic(sign * 1025, fmt.least_exponent - 11), fmt), sign * least)


@formats
def test_exact_zero_is_positive(fmt):
    assert same(round_ball(arb(0), fmt), 0.0)


@formats
def test_a_ball_over_a_midpoint_does_not_round(fmt):
    midpoint = dyadic((1 << fmt.precision) + 1, -fmt.precision)
    assert round_ball(arb(midpoint, 2.0**-80), fmt) is None
    assert round_ball(arb(1, 2.0**-80), fmt) == 1.0


@formats
def test_what_is_not_finite_does_not_round(fmt):
    assert round_ball(arb("nan"), fmt) is None
    assert round_ball(arb("inf"), fmt) is None


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_ball_around_a_float_is_exact(x):
    mantissa, exponent = ball(x).man_exp()
    assert Fraction(int(mantissa)) * Fraction(2) ** int(exponent) == Fraction(x)
    assert ball(x).rad() == 0


@pytest.mark.parametrize(("midpoint", "side"), [(1 + 2.0**-11, 1), (1 + 3 * 2.0**-11, -1)])
def test_decide_raises_the_precision_beside_a_midpoint(midpoint, side):
    precisions = []

    def enclose():
        precisions.append(flint.ctx.prec)
        return arb(midpoint) + side * arb(2) ** -3000

    saved = flint.ctx.prec
    assert decide(enclose, FORMATS["float16"]) == 1 + 2.0**-10
    assert precisions == [128, 256, 512, 1024, 2048, 4096]
    assert flint.ctx.prec == saved


@pytest.mark.parametrize("decision", [decide, decide_quanta])
def test_a_ball_that_never_shrinks_off_a_midpoint_is_undecided(decision):
    saved = flint.ctx.prec
    with pytest.raises(Undecided, match="float16"):
        decision(lambda: arb(1 + 2.0**-11, 2.0**-500), FORMATS["float16"])
    assert flint.ctx.prec == saved


@formats
def test_just_below_a_power_of_two_has_the_ulp_of_the_binade_below(fmt):
    n, f, e = decide_quanta(lambda: arb(1) - arb(2) ** -200, fmt)
    assert (n, e) == (2.0**fmt.precision, -fmt.precision)
    assert f == -(2.0 ** (fmt.precision - 200))
    n, f, e = decide_quanta(lambda: arb(1) + arb(2) ** -200, fmt)
    assert (n, e) == (2.0 ** (fmt.precision - 1), 1 - fmt.precision)
    assert f == 2.0 ** (fmt.precision - 201)


@formats
@given(data=st.data())
def test_quanta_and_fraction_are_the_number(fmt, data):
    mantissa, exponent = data.draw(dyadics(fmt))
    n, f, e = decide_quanta(lambda: dyadic(mantissa, exponent), fmt)
    x = Fraction(mantissa) * Fraction(2) ** exponent
    assert abs(f) <= 0.5 and n == np.rint(n)
    if exponent >= fmt.least_exponent - 40:
        assert (Fraction(n) + Fraction(f)) * Fraction(2) ** e == x
    assert e == max(abs(mantissa).bit_length() + exponent - fmt.precision, fmt.least_exponent)
    rounded = nearest_even(x, fmt)
    if math.isfinite(rounded):
        assert Fraction(n) * Fraction(2) ** e == Fraction(rounded)
