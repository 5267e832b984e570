"""The mathematical functions that names of JAX mean, and their slopes, against mpmath's own."""

import flint
import mpmath
import pytest
from flint import arb
from mpmath import mp, mpf

from stability.real._near import flat
from stability.real.meanings import _bessel as bessel
from stability.real.meanings import _elementary as elementary
from stability.real.meanings import _error as error
from stability.real.meanings import _gamma as gamma
from stability.real.meanings import _hypergeometric as hypergeometric
from stability.real.meanings import _incomplete as incomplete
from stability.real.meanings import _integrals as integrals
from stability.real.values import Undefined, infinite

mp.dps = 60


def decided(f, *args: float):
    """What `f` is at these floats: a number as mpmath's, an infinity, or why there is none."""
    for prec in (128, 512, 2048, 4096):
        with flint.ctx.workprec(prec):
            y = f(*map(arb, args))
            if isinstance(y, Undefined):
                if y.certain:
                    return y.kind
                continue
            if infinite(y):
                return mpf("inf") if y > 0 else mpf("-inf")
            y = flat(y)
            if y == 0 or y.rel_accuracy_bits() > 100:
                mantissa, exponent = y.mid().man_exp()
                return mpmath.ldexp(mpf(int(mantissa)), int(exponent))
    return "undecided"


def agrees(found, wanted, bits: int = 90) -> bool:
    return not isinstance(found, str) and abs(found - wanted) <= abs(wanted) * mpf(2) ** -bits


POSITIVE = [
    *(2.0**k for k in (-1074, -1022, -500, -149, -126, -60, -30, -20, -11, -5)),
    *(0.1, 0.25, 0.3, 0.5, 0.7, 0.9, 0.999, 1.0, 1.001, 1.25, 1.5, 1.9999, 2.0, 2.5, 3.0, 3.7, 4.0, 5.5, 7.0, 8.0),
    *(10.0, 12.3, 16.5, 20.0, 31.7, 50.0, 64.0, 88.7, 100.0, 128.5, 200.0, 345.6, 700.0, 1e3, 1234.5, 5e3),
    *(1e4, 65504.0, 1e5, 1e6),
]
REALS = [*POSITIVE, *(-x for x in POSITIVE)]
NOT_WHOLE = [*POSITIVE, *(-x for x in POSITIVE if x != int(x))]
UNIT = [*(2.0**-k for k in range(1, 60, 3)), *(1 - 2.0**-k for k in range(2, 53, 3)), 0.1, 0.3, 0.4, 0.6, 0.7, 0.9]
OPEN = [*UNIT, *(-x for x in UNIT)]
HUGE = [1e8, 1e15, 1e30, 1.5e38]


def scaled_erfc(n: int):
    """`e^(x²) iⁿerfc(x)`, by its integral representation `2/(√π n!) ∫ tⁿ e^(-t² - 2xt) dt`."""

    def at(x):
        if n == 0:
            return mpmath.exp(x * x) * mpmath.erfc(x)
        a = mpf(n + 1) / 2
        even = mpmath.hyp1f1(a, mpf(1) / 2, x * x) / mpmath.gamma(mpf(n) / 2 + 1)
        odd = 2 * x * mpmath.hyp1f1(mpf(n) / 2 + 1, mpf(3) / 2, x * x) / mpmath.gamma(a)
        return (even - odd) / mpf(2) ** n

    return at


def log_ndtr(x):
    return mpmath.log1p(-mpmath.erfc(x / mpmath.sqrt(2)) / 2) if x > 0 else mpmath.log(normal(x))


def normal(x):
    return mpmath.erfc(-x / mpmath.sqrt(2)) / 2


def erfcinv(p):
    """For tiny `p` by Newton's iteration in `log erfc`, which is concave."""
    if p > 0.06:
        return mpmath.erfinv(1 - p)
    x = mpmath.sqrt(max(-mpmath.log(p), mpf("0.1")))
    for _ in range(300):
        y = mpmath.erfc(x)
        step = (mpmath.log(y) - mpmath.log(p)) * y / (-2 / mpmath.sqrt(mp.pi) * mpmath.exp(-x * x))
        x -= step
        if abs(step) <= mpf(10) ** -50:
            break
    return x


def dilogarithm(x):
    return mpmath.polylog(2, 1 - x).real


def hurwitz(s, q):
    """For `q > 0` mpmath's; else shifted there."""
    shift = max(0, int(mpmath.ceil(1 - q)))
    with mpmath.workdps(120):
        return mpmath.zeta(s, q + shift) + sum((q + k) ** -s for k in range(shift))


def tanh_softplus(x):
    return x * mpmath.tanh(mpmath.log1p(mpmath.exp(x)))


UNARY = {
    "gamma": (gamma.gamma, mpmath.gamma, [x for x in NOT_WHOLE if abs(x) < 300]),
    "lgamma": (gamma.lgamma, lambda x: mpmath.loggamma(x).real, [x for x in NOT_WHOLE if x not in (1, 2)] + HUGE),
    "digamma": (gamma.digamma, mpmath.digamma, NOT_WHOLE + HUGE),
    "erf": (error.erf, mpmath.erf, [x for x in REALS if abs(x) < 6]),
    "erfc": (error.erfc, mpmath.erfc, [x for x in REALS if abs(x) < 1e4]),
    "erfcx": (error.erfcx, scaled_erfc(0), [x for x in REALS if abs(x) <= 1e4]),
    "the first scaled integral": (error.scaled_integral(1), scaled_erfc(1), [x for x in REALS if -100 < x < 4]),
    "erfinv": (error.erfinv, lambda x: erfcinv(1 - x), OPEN),
    "erfcinv": (error.erfcinv, erfcinv, [*UNIT, *(1 + x for x in UNIT[:17]), 1e-300, 1e-30, 1e-45]),
    "ndtr": (error.ndtr, normal, [x for x in REALS if abs(x) < 1e4]),
    "log_ndtr": (error.log_ndtr, log_ndtr, [x for x in REALS if abs(x) < 1e3]),
    "ndtri": (error.ndtri, lambda p: -mpmath.sqrt(2) * erfcinv(2 * p), [*UNIT, 1e-300, 1e-30, 1e-45]),
    "gelu": (error.gelu, lambda x: x * normal(x), [x for x in REALS if abs(x) < 1e4]),
    "dawsn": (
        error.dawsn,
        lambda x: mpmath.sqrt(mp.pi) / 2 * mpmath.exp(-x * x) * mpmath.erfi(x),
        [x for x in REALS if abs(x) < 1e3],
    ),
    "exp1": (integrals.exp1, mpmath.e1, POSITIVE[:-4]),
    "expi": (integrals.expi, mpmath.ei, [x for x in REALS if abs(x) <= 1e3]),
    "si": (integrals.si, mpmath.si, REALS),
    "ci": (integrals.ci, lambda x: mpmath.ci(abs(x)), REALS),
    "fresnel_s": (integrals.fresnel_s, mpmath.fresnels, [x for x in REALS if 1e-100 < abs(x) < 1e3]),
    "fresnel_c": (integrals.fresnel_c, mpmath.fresnelc, [x for x in REALS if abs(x) < 1e3]),
    "spence": (integrals.spence, dilogarithm, [x for x in POSITIVE if x != 1]),
    "log_ratio": (integrals.log_ratio(0), lambda x: mpmath.log(x) / (x - 1), [x for x in POSITIVE if x != 1] + HUGE),
    "sinc": (integrals.sinc, mpmath.sinc, REALS + HUGE),
    "sinc_pi": (integrals.sinc_pi, mpmath.sincpi, NOT_WHOLE),
    "i0": (bessel.i0, lambda x: mpmath.besseli(0, x), REALS),
    "i1": (bessel.i1, lambda x: mpmath.besseli(1, x), REALS),
    "i0e": (bessel.i0e, lambda x: mpmath.exp(-abs(x)) * mpmath.besseli(0, x), REALS),
    "i1e": (bessel.i1e, lambda x: mpmath.exp(-abs(x)) * mpmath.besseli(1, x), REALS),
    "log10": (elementary.log10, mpmath.log10, [x for x in POSITIVE if x != 1] + HUGE),
    "silu": (elementary.silu, lambda x: x / (1 + mpmath.exp(-x)), REALS),
    "mish": (elementary.mish, tanh_softplus, REALS),
    "soft_sign": (elementary.soft_sign, lambda x: x / (1 + abs(x)), REALS + HUGE),
}

SHAPES = [0.25, 0.5, 1.0, 1.5, 2.5, 7.0, 30.5]
PLACES = [2.0**-149, 1e-20, 1e-3, 0.3, 1.0, 1.5, 4.0, 10.25, 60.0]
PAIRS = [(a, x) for a in SHAPES for x in PLACES]
SIGNED = [-20.5, -7.25, -1.5, -0.3, -1e-8, 0.0, 1e-30, 0.4, 1.0, 3.5, 11.0]

BINARY = {
    "zeta": (gamma.zeta, hurwitz, [(s, q) for s in (1.001, 1.5, 2.0, 3.0, 10.0, 25.5) for q in PLACES[2:]]),
    "zeta left of 0": (
        gamma.zeta,
        hurwitz,
        [
            (s, q)
            for s in (2.0, 3.0, 4.0, 7.0)
            for q in (-0.3, -1.5, -2.25, -3.4, -3.001, -16.5, -16.25, -100.75, -1e-6)
        ],
    ),
    "polygamma": (
        gamma.polygamma,
        lambda m, x: mpmath.polygamma(int(m), x),
        [(m, x) for m in (0.0, 1.0, 2.0, 5.0) for x in (*PLACES[2:], -0.3, -16.5, -3.25, -100.75)],
    ),
    "beta": (gamma.beta, mpmath.beta, [(a, b) for a in SHAPES for b in (*PLACES, -0.3, -2.7)]),
    "betaln": (
        gamma.betaln,
        lambda a, b: mpmath.log(abs(mpmath.beta(a, b))),
        [(a, b) for a in SHAPES for b in (*PLACES[1:], -0.3, -2.7) if (a, b) != (1, 1)],
    ),
    "poch": (gamma.poch, mpmath.rf, [(a, b) for a in SHAPES for b in (*PLACES, -0.3, -2.7)]),
    "gammainc": (incomplete.gammainc, lambda a, x: mpmath.gammainc(a, 0, x, regularized=True), PAIRS),
    "gammaincc": (incomplete.gammaincc, lambda a, x: mpmath.gammainc(a, x, regularized=True), PAIRS),
    "expn": (integrals.expn, mpmath.expint, [(n, x) for n in (0.0, 1.0, 2.0, 3.0, 20.0) for x in PLACES]),
    "expint": (integrals.expint, mpmath.expint, [(n, x) for n in (-3.5, -1.0, 0.25, 2.5) for x in PLACES]),
    "owens_t": (
        error.owens_t,
        lambda h, a: mpmath.quad(
            lambda t: mpmath.exp(-h * h * (1 + t * t) / 2) / (1 + t * t) / (2 * mp.pi), mpmath.linspace(0, a, 9)
        ),
        [(h, a) for h in (-2.5, 0.0, 0.3, 1.0, 4.5, 9.0) for a in (-3.0, -0.5, 1e-8, 0.25, 0.5, 1.0, 2.0, 3.5, 5.0)],
    ),
    "logaddexp": (
        elementary.logaddexp,
        lambda x, y: mpmath.log(mpmath.exp(x) + mpmath.exp(y)),
        [(x, y) for x in SIGNED for y in SIGNED[::2]],
    ),
    "logaddexp2": (
        elementary.logaddexp2,
        lambda x, y: mpmath.log(mpf(2) ** x + mpf(2) ** y, 2),
        [(x, y) for x in SIGNED for y in SIGNED[::2]],
    ),
}

TRIPLES = [(a, b, x) for a in (0.3, 1.0, 2.5, 8.0) for b in (0.4, 1.0, 3.25) for x in (1e-9, 0.1, 0.5, 0.75, 0.999)]

TERNARY = {
    "betainc": (incomplete.betainc, lambda a, b, x: mpmath.betainc(a, b, 0, x, regularized=True), TRIPLES),
    "hyp1f1": (
        hypergeometric.hyp1f1,
        mpmath.hyp1f1,
        [
            (a, b, x)
            for a in (-2.0, -0.5, 0.3, 1.0, 4.5)
            for b in (0.5, 2.0, 7.25)
            for x in (-50.0, -1.5, 1e-9, 2.5, 40.0)
        ],
    ),
    "hyp2f1": (
        hypergeometric.hyp2f1,
        mpmath.hyp2f1,
        [
            (a, b, c, x)
            for a in (-2.0, -0.5, 0.3, 4.5)
            for b in (0.5, 2.0)
            for c in (1.5, 7.25)
            for x in (-50.0, -1.5, 1e-9, 0.4, 0.99)
        ],
    ),
}


@pytest.mark.parametrize("name", UNARY)
def test_a_function_of_one_number_is_mpmaths(name):
    function, oracle, points = UNARY[name]
    assert len(points) >= 40
    wrong = [x for x in points if not agrees(decided(function, x), oracle(mpf(x)))]
    assert wrong == []


@pytest.mark.parametrize("name", [*BINARY, *TERNARY])
def test_a_function_of_several_numbers_is_mpmaths(name):
    function, oracle, points = {**BINARY, **TERNARY}[name]
    wrong = [p for p in points if not agrees(decided(function, *p), oracle(*map(mpf, p)))]
    assert wrong == []


@pytest.mark.parametrize("name", UNARY)
def test_the_slope_of_a_function_of_one_number_is_its_derivative(name):
    function, oracle, points = UNARY[name]
    if function.series is not None:
        pytest.skip("not smooth")
    chosen = [x for x in points if 1e-3 <= abs(x) <= 15][::2]
    with mpmath.workdps(200):
        wanted = [mpmath.diff(oracle, mpf(x)) for x in chosen]
    wrong = [
        (x, d, w) for x, w in zip(chosen, wanted, strict=True) if not agrees(d := decided(function.slopes[0], x), w, 50)
    ]
    assert len(chosen) >= 5 and wrong == []


@pytest.mark.parametrize("n", [2.0**21, 1e9, 1e30])
@pytest.mark.parametrize("x", [1e-30, 0.25, 5.0, 1e5])
def test_an_exponential_integral_of_large_order_is_within_its_ball(n, x):
    def integrand(t):
        return mpmath.exp(-x * t / n - n * mpmath.log1p(t / n)) / n

    with flint.ctx.workprec(256), mpmath.workprec(256):
        found = integrals.expn(arb(n), arb(x))
        scale = 1 / (1 + mpf(x) / n)
        wanted = mpmath.exp(-mpf(x)) * mpmath.quad(integrand, [0, scale, 4 * scale, 20 * scale, 200 * scale])
        assert found.overlaps(arb(str(wanted)) * arb(1, 1e-40))
        assert found.rel_accuracy_bits() > 75


SLOPES = {
    "zeta": [(2.5, 1.5), (3.0, 0.25), (1.5, 30.0)],
    "polygamma": [(1.0, 2.5), (0.0, -0.3), (1.0, -16.5), (3.0, 0.75)],
    "beta": [(2.5, 0.75), (0.3, 4.0), (7.0, 7.0)],
    "betaln": [(2.5, 0.75), (0.3, 4.0), (7.0, 7.0)],
    "poch": [(2.5, 0.75), (0.3, 4.0), (7.0, 7.0)],
    "gammainc": [(2.5, 1.5), (0.3, 4.0), (7.0, 3.25), (30.5, 60.0), (0.5, 1e-3)],
    "gammaincc": [(2.5, 1.5), (0.3, 4.0), (7.0, 3.25), (30.5, 60.0), (0.5, 1e-3)],
    "owens_t": [(0.3, 0.5), (-1.5, 2.0), (3.0, 0.25)],
    "expint": [(2.5, 1.5), (-0.3, 4.0)],
    "logaddexp": [(0.3, 0.5), (-20.5, 3.0), (11.0, 0.25)],
    "logaddexp2": [(0.3, 0.5), (-20.5, 3.0), (11.0, 0.25)],
    "betainc": [(2.5, 0.75, 0.9), (0.3, 4.0, 0.1), (7.0, 7.0, 0.5)],
    "hyp1f1": [(0.3, 1.5, 2.5), (1.25, 0.5, -3.0)],
    "hyp2f1": [(0.3, 1.5, 2.25, 0.4), (1.25, 0.5, 3.5, -3.0)],
}


@pytest.mark.parametrize("name", SLOPES)
def test_the_slopes_of_a_function_of_several_numbers_are_its_derivatives(name):
    function, oracle, _ = {**BINARY, **TERNARY}[name]
    for point in SLOPES[name]:
        for i, slope in enumerate(function.slopes):
            if slope is None or (name == "polygamma" and i == 0):
                continue

            def along(t, point=point, i=i):
                return oracle(*(t if j == i else mpf(v) for j, v in enumerate(point)))

            with mpmath.workdps(80):
                wanted = mpmath.diff(along, mpf(point[i]))
            assert agrees(decided(slope, *point), wanted, 50), (point, i)


def test_a_derivative_by_a_parameter_has_slopes_of_its_own():
    by_a = incomplete.gammainc_in_a
    with mpmath.workdps(60):
        twice = mpmath.diff(lambda a: mpmath.gammainc(a, 0, mpf(1.5), regularized=True), mpf(2.5), 2)
        mixed = mpmath.diff(lambda a: mpmath.exp((a - 1) * mpmath.log(mpf(1.5)) - mpf(1.5)) / mpmath.gamma(a), mpf(2.5))
    assert agrees(decided(by_a.slopes[0], 2.5, 1.5), twice, 40)
    assert agrees(decided(by_a.slopes[1], 2.5, 1.5), mixed, 40)


@pytest.mark.parametrize("function", [bessel.i0, bessel.i1, bessel.i0e, bessel.i1e], ids=["i0", "i1", "i0e", "i1e"])
def test_bessel_functions_of_a_ball_hold_what_they_are_in_it(function):
    """Of narrow and wide ones, around 0 and far from it, at their ends and inside."""
    balls = [arb(m, r * abs(m)) for m in (-3e4, -700.0, -2.1, -1.5, -1e-3, 1e-9, 0.4, 1.6, 3.0, 90.0) for r in WIDTHS]
    for ball in [*balls, arb(0.1, 0.3), arb(-0.1, 0.3), arb(-0.6, 2.5), arb(3, 5)]:
        here = flat(function(ball))
        assert here.is_finite()
        for part in (-0.99, -0.2, 0.0, 0.5, 0.99):
            x = (ball.mid() + ball.rad() * part).mid()
            assert here.overlaps(flat(function(x))), (ball, x)


WIDTHS = (1e-12, 1e-5, 0.1, 0.5, 1.5)
