"""Poles, domains and limits of the functions that names of JAX mean, and what tends to a constant."""

import math

import flint
import pytest
from flint import arb
from mpmath import mp, mpf
from test_meanings import BINARY, TERNARY, UNARY, agrees, decided

from stability.real import scalars
from stability.real._near import Near, flat
from stability.real.meanings import _bessel as bessel
from stability.real.meanings import _elementary as elementary
from stability.real.meanings import _error as error
from stability.real.meanings import _gamma as gamma
from stability.real.meanings import _hypergeometric as hypergeometric
from stability.real.meanings import _incomplete as incomplete
from stability.real.meanings import _integrals as integrals
from stability.real.values import Undefined

INF = float("inf")

ENDS = [
    (gamma.gamma, (INF,), INF),
    (gamma.gamma, (-3.0,), "pole"),
    (gamma.lgamma, (-2.0,), math.inf),
    (gamma.digamma, (0.0,), "pole"),
    (gamma.digamma, (-INF,), "domain"),
    (gamma.zeta, (1.0, 2.0), "pole"),
    (gamma.zeta, (0.5, 2.0), "domain"),
    (gamma.zeta, (2.0, -3.0), "pole"),
    (gamma.zeta, (2.5, -3.5), "domain"),
    (gamma.zeta, (2.0, INF), 0),
    (gamma.polygamma, (1.0, -2.0), math.inf),
    (gamma.polygamma, (1.5, 2.0), "domain"),
    (gamma.beta, (-3.0, 2.0), mpf(1) / 6),
    (gamma.beta, (-3.0, 4.0), "pole"),
    (gamma.beta, (-0.5, -0.5), 0),
    (gamma.beta, (INF, 2.0), 0),
    (gamma.betaln, (INF, 2.0), -INF),
    (gamma.betaln, (0.0, 2.0), "pole"),
    (gamma.betaln, (-0.5, -0.5), "pole"),
    (gamma.poch, (-3.0, 2.0), 6),
    (gamma.poch, (-3.0, 4.0), 0),
    (gamma.poch, (0.0, 0.0), 1),
    (gamma.poch, (0.5, -2.5), "pole"),
    (incomplete.gammainc, (2.0, 0.0), 0),
    (incomplete.gammainc, (2.0, INF), 1),
    (incomplete.gammaincc, (2.0, INF), 0),
    (incomplete.gammaincc, (2.0, -1.0), "domain"),
    (incomplete.betainc, (2.0, 3.0, 1.0), 1),
    (incomplete.betainc, (2.0, 3.0, 1.5), "domain"),
    (error.erf, (INF,), 1),
    (error.erfc, (-INF,), 2),
    (error.erfcx, (INF,), 0),
    (error.erfcx, (-INF,), INF),
    (error.erfinv, (1.0,), math.inf),
    (error.erfinv, (1.5,), "domain"),
    (error.ndtri, (0.0,), -math.inf),
    (error.ndtri, (2.0,), "domain"),
    (error.log_ndtr, (-INF,), -INF),
    (error.log_ndtr, (INF,), 0),
    (error.gelu, (-INF,), 0),
    (error.gelu, (INF,), INF),
    (error.dawsn, (INF,), 0),
    (error.owens_t, (INF, 1.0), 0),
    (error.owens_t, (0.0, INF), mpf(1) / 4),
    (integrals.exp1, (INF,), 0),
    (integrals.exp1, (0.0,), INF),
    (integrals.exp1, (-1.0,), "domain"),
    (integrals.expn, (2.0, INF), 0),
    (integrals.expn, (2.0, 0.0), 1),
    (integrals.expn, (-1.0, 1.0), "domain"),
    (integrals.expn, (1.5, 1.0), "domain"),
    (integrals.expi, (-INF,), 0),
    (integrals.expi, (0.0,), -math.inf),
    (integrals.si, (-INF,), -mp.pi / 2),
    (integrals.ci, (0.0,), -math.inf),
    (integrals.fresnel_s, (INF,), mpf(1) / 2),
    (integrals.spence, (0.0,), mp.pi**2 / 6),
    (integrals.spence, (1.0,), 0),
    (integrals.spence, (INF,), -INF),
    (integrals.spence, (-1.0,), "domain"),
    (integrals.spence.slopes[0], (1.0,), -1),
    (integrals.sinc_pi, (0.0,), 1),
    (integrals.sinc_pi, (3.0,), 0),
    (integrals.sinc_pi, (INF,), 0),
    (integrals.sinc_pi.slopes[0], (0.0,), 0),
    (bessel.i0.slopes[0], (0.0,), 0),
    (bessel.i1, (-INF,), -INF),
    (bessel.i0e, (INF,), 0),
    (hypergeometric.hyp1f1, (1.0, -2.0, 1.0), "pole"),
    (hypergeometric.hyp1f1, (-1.0, -2.0, 1.0), mpf(3) / 2),
    (hypergeometric.hyp2f1, (1.0, 1.0, 3.0, 1.0), 2),
    (hypergeometric.hyp2f1, (1.0, 1.0, 2.0, 1.0), "pole"),
    (hypergeometric.hyp2f1, (1.0, 1.0, 2.0, 1.5), "domain"),
    (hypergeometric.hyp2f1, (-1.0, 1.0, 2.0, 1.5), mpf(1) / 4),
    (elementary.log10, (1000.0,), 3),
    (elementary.log10, (0.0,), -math.inf),
    (elementary.logaddexp, (-INF, -INF), -INF),
    (elementary.logaddexp, (INF, -INF), INF),
    (elementary.logaddexp2, (3.0, 3.0), 4),
    (elementary.logaddexp2, (2.0**24, 2.0**24), 2.0**24 + 1),
    (elementary.silu, (-INF,), 0),
    (elementary.mish, (-INF,), 0),
    (elementary.soft_sign, (-INF,), -1),
]


@pytest.mark.parametrize("i", range(len(ENDS)))
def test_poles_domains_and_limits(i):
    function, args, wanted = ENDS[i]
    found = decided(function, *args)
    assert found == wanted if isinstance(wanted, str | float | int) else agrees(found, wanted)


def test_infinities_and_poles_spread_as_undefined_does():
    for function, _, _ in [*UNARY.values()]:
        assert function(Undefined("nan")) == Undefined("nan")
    for function, _, points in [*BINARY.values(), *TERNARY.values()]:
        args = [*map(arb, points[0])]
        for i in range(len(args)):
            assert function(*args[:i], Undefined("nan"), *args[i + 1 :]) == Undefined("nan")


@pytest.mark.parametrize(
    ("function", "rest", "points"),
    [
        (error.ndtr, lambda x: error.ndtr(-x), [6.0, 30.0, 200.0, 1e5]),
        (error.erf, error.erfc, [5.0, 30.0, 200.0, 1e5]),
        (lambda x: incomplete.gammainc(arb(2.5), x), lambda x: incomplete.gammaincc(arb(2.5), x), [20.0, 300.0, 1e5]),
        (
            lambda x: incomplete.gammaincc(arb(300.5), x),
            lambda x: incomplete.gammainc(arb(300.5), x),
            [1e-3, 1.0, 30.0],
        ),
        (
            lambda x: incomplete.betainc(arb(3.5), arb(40.25), 1 - x),
            lambda x: incomplete.betainc(arb(40.25), arb(3.5), x),
            [2.0**-40, 2.0**-20, 2.0**-10],
        ),
        (integrals.sinc, lambda x: scalars.mul(x, x) / 6, [2.0**-149, 1e-30, 1e-300]),
    ],
)
def test_what_tends_to_one_keeps_its_distance_from_it(function, rest, points):
    for x in points:
        with flint.ctx.workprec(128):
            distance, wanted = scalars.sub(arb(1), function(arb(x))), flat(rest(arb(x)))
            assert isinstance(function(arb(x)), Near)
            assert flat(distance).rel_accuracy_bits() > 40
            assert abs(flat(distance) / wanted - 1) < 1e-12
