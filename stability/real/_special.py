"""Special functions: the rules and slopes of the primitives that JAX has for them."""

from __future__ import annotations

import math
from collections.abc import Callable
from operator import methodcaller

from flint import arb

from stability.real import _series as series
from stability.real._arithmetic import DOMAIN, POLE
from stability.real._arithmetic import checked as _checked
from stability.real._arithmetic import first_undefined as _first_undefined
from stability.real._function import Function, Rule
from stability.real._near import flat, near
from stability.real._scalars import (
    FAR,
    absolute,
    add,
    beyond_one,
    exp,
    log,
    log1p,
    mul,
    neg,
    of_one,
    sign,
    square,
    sub,
    times,
)
from stability.real._series import Series
from stability.real._values import INFINITY, MINUS_INFINITY, ONE, Scalar, Undefined, infinite


def _erf(x):
    return near(ONE, -x.erfc()) if x > FAR else near(-ONE, (-x).erfc()) if x < -FAR else x.erf()


def _erfc(x):
    return near(arb(2), -(-x).erfc()) if x < -FAR else x.erfc()


def _gaussian(x):
    """`2/√π e^(-x²)`."""
    return mul(2 / arb.pi().sqrt(), exp(neg(square(x))))


erf = Function(of_one(_erf, ONE, -ONE), _gaussian)
erfc = Function(of_one(_erfc, arb(0), arb(2)), lambda x: neg(_gaussian(x)))
erf_inv = Function(
    of_one(methodcaller("erfinv"), None, None, beyond_one(True)),
    lambda x: mul(arb.pi().sqrt() / 2, exp(square(erf_inv(x)))),
)


def _nonpositive_integer(at: Scalar) -> Callable[[arb], Scalar | None]:
    return lambda x: at if x <= 0 and x.is_exact() and x.is_integer() else None


def _lgamma(x: arb) -> arb:
    return x.lgamma() if x > 0 else abs(x.gamma()).log()


lgamma = Function(of_one(_lgamma, INFINITY, INFINITY, _nonpositive_integer(INFINITY)), lambda x: digamma(x))
digamma = Function(
    of_one(methodcaller("digamma"), INFINITY, None, _nonpositive_integer(POLE)), lambda x: polygamma(ONE, x)
)


def _cotangent_derivative(order: int, x: arb) -> arb:
    """The derivative of `cot(π x)` by `x`: `π**order` times a polynomial in the cotangent, as `cot' = -(1 + cot²)`."""
    p = [0, 1]
    for _ in range(order):
        slope = [k * c for k, c in enumerate(p)][1:]
        p = [-(a + b) for a, b in zip([*slope, 0, 0], [0, 0, *slope], strict=True)]
    c = x.cot_pi()
    total = arb(0)
    for coefficient in reversed(p):
        total = total * c + coefficient
    return arb.pi() ** order * total


def _polygamma(m: Scalar, x: Scalar) -> Scalar:
    """`ψ^(m)(x) = (-1)^(m+1) m! ζ(m+1, x)` for whole `m >= 1`, by reflection left of 0; digamma for `m = 0`."""
    if isinstance(m, Undefined) or isinstance(x, Undefined):
        return _first_undefined(m, x)
    if infinite(m) or not (m.is_exact() and m.is_integer() and m >= 0):
        return DOMAIN
    order = int(m.unique_fmpz())
    if order == 0:
        return digamma.rule(x)
    if infinite(x):
        return arb(0) if x > 0 else DOMAIN
    if x <= 0:
        instead = _nonpositive_integer(INFINITY if order % 2 else POLE)(x)
        if instead is not None:
            return instead
        reflected = _positive_polygamma(order, 1 - flat(x))
        rest = arb.pi() * _cotangent_derivative(order, flat(x))
        return _checked((-reflected if order % 2 else reflected) - rest)
    return _checked(_positive_polygamma(order, flat(x)))


def _positive_polygamma(order: int, x: arb) -> arb:
    y = arb(order).fac() * arb(order + 1).zeta(x)
    return y if order % 2 else -y


polygamma = Function(_polygamma, None, lambda m, x: polygamma(add(m, ONE), x))


def _zeta(s: Scalar, q: Scalar) -> Scalar:
    if isinstance(s, Undefined) or isinstance(q, Undefined):
        return _first_undefined(s, q)
    if infinite(s) or s <= 1:
        return DOMAIN
    if infinite(q):
        return arb(0) if q > 0 else DOMAIN
    if q <= 0:
        if not (s.is_exact() and s.is_integer()):
            return INFINITY if q.is_exact() and q.is_integer() else DOMAIN
        order = int(s.unique_fmpz()) - 1
        value = _polygamma(arb(order), q)
        if isinstance(value, Undefined) or infinite(value):
            return value
        return (value if order % 2 else -value) / arb(order).fac()
    return _checked(flat(s).zeta(flat(q)))


zeta = Function(_zeta, None, lambda s, q: neg(mul(s, zeta(add(s, ONE), q))))


def _incomplete_gamma(compute: Callable[[arb, arb], arb], at_zero: int, at_infinity: int) -> Rule:
    def rule(a: Scalar, x: Scalar) -> Scalar:
        if isinstance(a, Undefined) or isinstance(x, Undefined):
            return _first_undefined(a, x)
        if infinite(a) or a <= 0 or x < 0:
            return DOMAIN
        if infinite(x):
            return arb(at_infinity)
        return arb(at_zero) if x == 0 else _checked(compute(flat(a), flat(x)))

    return rule


def _gamma_density(a, x):
    return exp(sub(mul(sub(a, ONE), log(x)), add(x, lgamma(a))))


igamma = Function(_incomplete_gamma(lambda a, x: x.gamma_lower(a, regularized=1), 0, 1), None, _gamma_density)
igammac = Function(
    _incomplete_gamma(lambda a, x: x.gamma_upper(a, regularized=1), 1, 0), None, lambda a, x: neg(_gamma_density(a, x))
)


def _incomplete_beta(a: Scalar, b: Scalar, x: Scalar) -> Scalar:
    if any(isinstance(v, Undefined) for v in (a, b, x)):
        return _first_undefined(a, b, x)
    if any(infinite(v) for v in (a, b, x)) or a <= 0 or b <= 0 or x < 0 or x > 1:
        return DOMAIN
    return _checked(flat(x).beta_lower(flat(a), flat(b), regularized=True))


def _beta_density(a, b, x):
    scale = sub(add(lgamma(a), lgamma(b)), lgamma(add(a, b)))
    return exp(sub(add(mul(sub(a, ONE), log(x)), mul(sub(b, ONE), log1p(neg(x)))), scale))


incomplete_beta = Function(_incomplete_beta, None, None, _beta_density)


def _bessel(order: int) -> Function:
    """`I_n`, of which `I_n' = (I_(n-1) + I_(n+1)) / 2`."""

    def at(n: int, x: arb) -> arb:
        return flat(x).bessel_i(arb(abs(n)))

    def slope(x):
        return times(0.5, add(_bessel(abs(order - 1))(x), _bessel(order + 1)(x)))

    def of_series(x: Series):
        if x.special or x.start < 0:
            return Series([function.rule(x.limit())])

        def taylor(k: int) -> arb:
            terms = [math.comb(k, j) * at(order - k + 2 * j, x.limit()) for j in range(k + 1)]
            return sum(terms, arb(0)) / 2**k / math.factorial(k)

        return series.expanded(taylor, x)

    above = INFINITY if order % 2 == 0 else MINUS_INFINITY
    function = Function(of_one(lambda x: at(order, x), INFINITY, above), slope, series=of_series)
    return function


def _bessel_scaled(order: int) -> Function:
    """`e^-|x| I_n(x)`."""

    def at(x: arb) -> arb:
        if x >= 0:
            return flat(x).bessel_i(arb(order), scaled=True)
        y = flat(-x).bessel_i(arb(order), scaled=True)
        return y if order % 2 == 0 else -y

    def slope(x):
        neighbours = times(0.5, add(_bessel_scaled(abs(order - 1))(x), _bessel_scaled(order + 1)(x)))
        return sub(neighbours, mul(sign(x), _bessel_scaled(order)(x)))

    return Function(
        of_one(at, arb(0), arb(0)),
        slope,
        series=lambda x: mul(exp(neg(absolute(x))), _bessel(order)(x)),
    )


bessel_i0e, bessel_i1e = _bessel_scaled(0), _bessel_scaled(1)


def log_add_exp(x, y):
    return log(add(exp(x), exp(y)))
