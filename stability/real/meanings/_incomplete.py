"""The incomplete gamma and beta functions: what they are over the reals, and their slopes."""

from __future__ import annotations

from flint import acb, arb

from stability.real._near import flat, near
from stability.real.function import Function
from stability.real.meanings._analytic import partial
from stability.real.meanings._gamma import betaln, lgamma
from stability.real.meanings._text import (
    DOMAIN,
    add,
    checked,
    exp,
    finite,
    first_undefined,
    mul,
    neg,
    power,
    product,
    sub,
)
from stability.real.values import ONE, UNDECIDED, Scalar, Undefined, infinite


def _shape_and_place(a, x) -> Undefined | None:
    """Undecided of balls that are in part outside, where Arb goes on with a polynomial."""
    if a < 0 or x < 0 or (a == 0 and x == 0):
        return DOMAIN
    return None if a >= 0 and x >= 0 else UNDECIDED


def _lower(a: arb, x: arb) -> Scalar:
    if a == 0:
        return ONE
    if x == 0:
        return arb(0)
    if x > a:
        return near(ONE, -x.gamma_upper(a, regularized=1))
    return x.gamma_lower(a, regularized=1)


def _upper(a: arb, x: arb) -> Scalar:
    if a == 0:
        return arb(0)
    if x == 0:
        return ONE
    if x < a:
        return near(ONE, -x.gamma_lower(a, regularized=1))
    return x.gamma_upper(a, regularized=1)


def _ends(at_zero: arb, at_infinity: arb):
    def limit(a: Scalar, x: Scalar) -> Scalar:
        if (infinite(a) and infinite(x)) or a < 0 or x < 0:
            return DOMAIN
        return at_zero if infinite(a) else at_infinity

    return limit


def _density(a, x):
    """`x^(a-1) e^-x/Γ(a)`."""
    return mul(power(x, sub(a, ONE)), exp(neg(add(x, lgamma(a)))))


def _complex_lower(a: acb, x: acb) -> acb:
    return x.gamma_lower(a, regularized=1)


def _complex_upper(a: acb, x: acb) -> acb:
    return -x.gamma_upper(a, regularized=1)


def _outside_open(a, x) -> Undefined | None:
    return _shape_and_place(a, x) or (DOMAIN if a == 0 or x == 0 else None)


_OF_LOWER = partial(_complex_lower, (1, 0), _outside_open)
_OF_UPPER = partial(_complex_upper, (1, 0), _outside_open)


def _lower_in_a(a: Scalar, x: Scalar) -> Scalar:
    """The derivative in `a`, from that of the two functions which is the smaller."""
    if isinstance(a, Undefined) or isinstance(x, Undefined):
        return first_undefined(a, x)
    if x == 0 and a > 0:
        return arb(0)
    return (_OF_UPPER if x > a else _OF_LOWER)(a, x)


gammainc_in_a: Function = Function(_lower_in_a, *_OF_LOWER.slopes)

gammainc: Function = Function(finite(_lower, _shape_and_place, _ends(arb(0), ONE)), gammainc_in_a, _density)
"""The regularized lower incomplete gamma function `P(a, x)`."""

gammaincc: Function = Function(
    finite(_upper, _shape_and_place, _ends(ONE, arb(0))),
    lambda a, x: neg(gammainc_in_a(a, x)),
    lambda a, x: neg(_density(a, x)),
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
