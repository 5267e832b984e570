"""Sums, products and quotients of real numbers: balls, numbers near an exact one, infinities as limits, `Undefined`."""

from __future__ import annotations

from typing import Any

from flint import arb

from stability.real._near import plus
from stability.real.values import (
    INFINITY,
    MINUS_INFINITY,
    NEGATIVE_ZERO,
    POSITIVE_ZERO,
    UNDECIDED,
    ZERO,
    Scalar,
    Undefined,
    infinite,
)

DOMAIN, POLE = Undefined("domain"), Undefined("pole")


def checked(y: arb) -> Scalar:
    """A ball, or `UNDECIDED` where it is unbounded."""
    return y if y.is_finite() or infinite(y) else UNDECIDED


def first_undefined(*values) -> Undefined:
    """Of values some of which are undefined, one that certainly is, else one that may be."""
    undefined = [v for v in values if isinstance(v, Undefined)]
    return next((v for v in undefined if v.certain), undefined[0])


def is_pole(x: Scalar) -> bool:
    """Whether `x` is 1/0: infinite, of no sign."""
    return isinstance(x, Undefined) and x.kind == "pole"


def at_pole(above: Any, below: Any, outside: Any) -> Scalar:
    """A function at 1/0, from its limits at the infinities: a pole where it is defined at one, or at both, and infinite
    there."""
    if above is None or below is None:
        one_sided = below is None and outside is not None
        return POLE if above is not None and one_sided and infinite(above) else DOMAIN
    if above == below:
        return above
    return POLE if infinite(above) and infinite(below) else Undefined("unsigned_infinity")


def add(x: Scalar, y: Scalar) -> Scalar:
    if x is ZERO:
        return y
    if y is ZERO:
        return x
    if is_pole(x) or is_pole(y):
        other = y if is_pole(x) else x
        unknown = is_pole(other) or (not isinstance(other, Undefined) and infinite(other))
        return Undefined("infinity_minus_infinity") if unknown else first_undefined(x, y)
    if isinstance(x, Undefined) or isinstance(y, Undefined):
        return first_undefined(x, y)
    if infinite(x) and infinite(y) and (x > 0) != (y > 0):
        return Undefined("infinity_minus_infinity")
    return x if infinite(x) else y if infinite(y) else checked(plus(x, y))


def neg(x: Scalar) -> Scalar:
    if x is POSITIVE_ZERO or x is NEGATIVE_ZERO:
        return NEGATIVE_ZERO if x is POSITIVE_ZERO else POSITIVE_ZERO
    return x if x is ZERO or isinstance(x, Undefined) else -x


def mul(x: Scalar, y: Scalar) -> Scalar:
    if x is ZERO or y is ZERO:
        return ZERO
    if is_pole(x) or is_pole(y):
        other = y if is_pole(x) else x
        if isinstance(other, Undefined):
            return other
        return Undefined("zero_times_infinity") if other == 0 else POLE if other != 0 else UNDECIDED
    if isinstance(x, Undefined) or isinstance(y, Undefined):
        return first_undefined(x, y)
    if infinite(x) or infinite(y):
        if x == 0 or y == 0:
            return Undefined("zero_times_infinity")
        if not (x != 0 and y != 0):
            return UNDECIDED
        return INFINITY if (x > 0) == (y > 0) else MINUS_INFINITY
    return checked(x * y)


def div(x: Scalar, y: Scalar) -> Scalar:
    if x is ZERO:
        return ZERO
    if is_pole(y) and not isinstance(x, Undefined):
        return Undefined("infinity_over_infinity") if infinite(x) else arb(0)
    if isinstance(x, Undefined) or isinstance(y, Undefined):
        return first_undefined(x, y)
    if infinite(y):
        return Undefined("infinity_over_infinity") if infinite(x) else arb(0)
    if y == 0:
        return Undefined("zero_over_zero") if x == 0 else POLE if x != 0 else UNDECIDED
    if infinite(x):
        return UNDECIDED if not (y > 0 or y < 0) else INFINITY if (x > 0) == (y > 0) else MINUS_INFINITY
    return checked(x / y)
