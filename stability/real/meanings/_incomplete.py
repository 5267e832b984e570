"""The incomplete gamma and beta functions: what they are over the reals, and their slopes."""

from __future__ import annotations

from flint import arb, arb_series

from stability.real._near import flat, near
from stability.real.function import Function
from stability.real.meanings._analytic import partial
from stability.real.meanings._gamma import betaln
from stability.real.meanings._gamma_shape import density, in_shape, lower_along, outside
from stability.real.meanings._text import (
    DOMAIN,
    checked,
    exp,
    finite,
    neg,
    power,
    product,
    sub,
)
from stability.real.values import ONE, UNDECIDED, Scalar, Undefined, infinite


def _lower(a: arb, x: arb) -> Scalar:
    if a == 0:
        return ONE
    if x == 0:
        return arb(0)
    if x > a:
        return near(ONE, -x.gamma_upper(a, regularized=1))
    return _lower_of_small(a, x)


def _lower_of_small(a: arb, x: arb) -> arb:
    return lower_along(arb_series([a], prec=1), x)[0] if 2 * x <= a else x.gamma_lower(a, regularized=1)


def _upper(a: arb, x: arb) -> Scalar:
    if a == 0:
        return arb(0)
    if x == 0:
        return ONE
    if x < a:
        return near(ONE, -_lower_of_small(a, x))
    return x.gamma_upper(a, regularized=1)


def _ends(at_zero: arb, at_infinity: arb):
    def limit(a: Scalar, x: Scalar) -> Scalar:
        if (infinite(a) and infinite(x)) or a < 0 or x < 0:
            return DOMAIN
        return at_zero if infinite(a) else at_infinity

    return limit


gammainc_in_a = in_shape(1)

gammainc: Function = Function(finite(_lower, outside, _ends(arb(0), ONE)), gammainc_in_a, density)
"""The regularized lower incomplete gamma function `P(a, x)`."""

gammaincc: Function = Function(
    finite(_upper, outside, _ends(ONE, arb(0))),
    lambda a, x: neg(gammainc_in_a(a, x)),
    lambda a, x: neg(density(a, x)),
)
"""The regularized upper incomplete gamma function `Q(a, x)`."""


def _betainc_outside(a, b, x) -> Undefined | None:
    """Undecided of balls that are in part outside."""
    if a <= 0 or b <= 0 or x < 0 or x > 1:
        return DOMAIN
    return None if a > 0 and b > 0 and x >= 0 and x <= 1 else UNDECIDED


def _betainc(a: Scalar, b: Scalar, x: Scalar) -> Scalar:
    for v in (a, b, x):
        if isinstance(v, Undefined):
            return v
    if any(infinite(v) for v in (a, b, x)):
        return DOMAIN
    why = _betainc_outside(a, b, x)
    if why:
        return why
    if x == 0 or x == 1:
        return arb(0) if x == 0 else ONE
    a, b, rest, x = flat(a), flat(b), flat(1 - x), flat(x)
    if x > a / (a + b):
        return checked(near(ONE, -rest.beta_lower(b, a, regularized=True)))
    return checked(x.beta_lower(a, b, regularized=True))


def _to_ends(a: arb, b: arb, x: arb) -> list[arb]:
    return [v if 0 < v < 1 else arb(1) for v in (a, b, arb.min(x, 1 - x))]


def _betainc_partial(*orders: int) -> Function:
    return partial(lambda a, b, x: x.beta_lower(a, b, regularized=True), orders, _betainc_outside, _to_ends)


betainc: Function = Function(
    _betainc,
    _betainc_partial(1, 0, 0),
    _betainc_partial(0, 1, 0),
    lambda a, b, x: product(power(x, sub(a, ONE)), power(sub(ONE, x), sub(b, ONE)), exp(neg(betaln(a, b)))),
)
"""The regularized incomplete beta function `I_x(a, b)`."""
