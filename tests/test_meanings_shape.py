"""The incomplete gamma function by its first argument, against its confluent series in mpmath."""

import math

import flint
import jax
import mpmath
import numpy as np
import pytest
from flint import arb, arb_series
from jax.scipy import stats
from mpmath import mpf

from stability.formats import FORMATS
from stability.real import Order, truth
from stability.real.function import terms
from stability.real.meanings._gamma_shape import density_in_shape, in_shape, total_along

F64 = FORMATS["float64"]
PLACES = [(2.5, 1.5), (0.3, 4.0), (1e-3, 0.25), (0.5, 60.0), (7.0, 3.0), (300.0, 0.25)]
DEAR = [(70.0, 100.0), (90.0, 80.0), (200.0, 150.0), (3.5, 400.0), (700.0, 900.0)]
"""Where it takes many terms, and many bits."""


def derivatives(fn, a, order):
    """From the 0th up to an order."""
    with mpmath.workdps(260):
        size = fn(mpf(a))
        return [
            size * mpmath.factorial(k) * c for k, c in enumerate(mpmath.taylor(lambda v: fn(v) / size, mpf(a), order))
        ]


def lower(a, x):
    return mpf(x) ** a * mpmath.exp(-mpf(x)) / mpmath.gamma(a + 1) * mpmath.hyp1f1(1, a + 1, mpf(x))


def of_place(a, x):
    return mpf(x) ** (a - 1) * mpmath.exp(-mpf(x)) / mpmath.gamma(a)


def is_held(ball, wanted):
    """Whether a number is a ball to 40 digits."""
    with mpmath.workdps(80):
        return (
            abs(mpf(ball.mid().str(70, radius=False)) - wanted) < abs(wanted) * mpf(10) ** -40
            and ball.rel_accuracy_bits() > 130
        )


@pytest.mark.parametrize("negligible", [0.5, 1e-3, 1e-9])
@pytest.mark.parametrize("a, x", [(2.5, 1.5), (0.3, 4.0), (1e-3, 0.25), (7.0, 3.0), (0.5, 60.0)])
def test_the_bound_of_what_is_left_out_holds_and_is_no_wider_than_it_has_to_be(a, x, negligible):
    wanted = derivatives(lambda v: mpmath.hyp1f1(1, v + 1, mpf(x)), a, 4)
    with flint.ctx.workprec(200), terms(5):
        total = total_along(arb_series([arb(a), 1], prec=5), arb(x), arb(negligible))
        for k in range(5):
            off = abs(total[k].mid() - arb(mpmath.nstr(wanted[k], 55)) / math.factorial(k))
            assert off < total[k].rad() < 10 * off


@pytest.mark.parametrize("a, x", PLACES + DEAR)
def test_derivatives_of_every_order(a, x):
    wanted = derivatives(lambda v: lower(v, x), a, 4)
    beside = derivatives(lambda v: of_place(v, x), a, 2)
    with flint.ctx.workprec(256):
        for k in (1, 2, 3):
            assert is_held(in_shape(k)(arb(a), arb(x)), wanted[k]), k
            assert is_held(in_shape(k).slopes[0](arb(a), arb(x)), wanted[k + 1]), k
        for k in (0, 1, 2):
            assert is_held(density_in_shape(k)(arb(a), arb(x)), beside[k]), k


@pytest.mark.parametrize("a, x", PLACES)
def test_power_series_of_as_many_terms_as_blocks_take(a, x):
    wanted = derivatives(lambda v: lower(v, x), a, 12)
    with flint.ctx.workprec(256), terms(12):
        found = in_shape(1)(arb_series([arb(a), 1], prec=12), arb(x))
        for k in range(12):
            assert is_held(found[k] * math.factorial(k), wanted[k + 1]), k


@pytest.mark.parametrize("x", [3.0, 1e5, 1e20, 1e300])
def test_the_logarithm_of_what_is_smaller_than_any_double(x):
    """`log P(a, 1/4)` has the derivative `log(1/4) - ψ(a + 1) + S'/S`, of which the last is below 1/a."""
    with jax.enable_x64(True):
        found = truth(lambda a: stats.gamma.logcdf(0.25, a), np.array([x]), fmt=F64, derivative=Order(0, 1))
    with mpmath.workdps(400):
        s = mpmath.taylor(lambda v: mpmath.hyp1f1(1, v + 1, mpf(1) / 4), mpf(x), 1)
        wanted = mpmath.log(mpf(1) / 4) - mpmath.digamma(mpf(x) + 1) + s[1] / s[0]
    assert found.rounded[0] == float(wanted)


@pytest.mark.parametrize("order", [1, 2])
def test_left_of_0_there_is_no_derivative(order):
    with jax.enable_x64(True):
        found = truth(lambda a: jax.lax.igamma(a, 0.25), np.array([-0.5, -2.0]), fmt=F64, derivative=Order(0, order))
    assert [found.told(i) for i in range(2)] == ["undefined (domain)"] * 2
