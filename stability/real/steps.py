"""The elementwise rules that jump: rounding to whole numbers, signs, extremes, comparisons."""

from __future__ import annotations

import operator
from collections.abc import Callable
from operator import methodcaller
from typing import Any

import flint
from flint import arb

from stability.real import _arithmetic as plain
from stability.real import _series as series
from stability.real._arithmetic import first_undefined
from stability.real._near import flat
from stability.real._series import Series
from stability.real.function import Function, Open, Rule, constant_of, sub, zero
from stability.real.values import ONE, UNDECIDED, Scalar, Undefined, infinite


def _exactly(compute: Callable[[], arb]) -> arb:
    with flint.ctx.workprec(4096):
        return compute()


def step(compute: Callable[[arb], arb]) -> Function:
    """A function that is constant between integers or halves, and jumps there."""

    def rule(x: Scalar) -> Scalar:
        if isinstance(x, Undefined) or infinite(x):
            return x
        y = _exactly(lambda: compute(x))
        return y if y.is_finite() and y.is_exact() else UNDECIDED

    def jumps(x: arb) -> bool:
        if not (x.is_exact() and (2 * x).is_integer()):
            return False
        before, after = _exactly(lambda: compute(x - 0.25)), _exactly(lambda: compute(x + 0.25))
        return bool(before != after)

    def of_series(x: Series):
        at = x.limit()
        if isinstance(at, Undefined) or infinite(at) or len(x.c) < 2:
            return rule(at)
        if not jumps(at):
            return rule(at)
        series.seen.singular += 1
        direction = x.direction_from_limit()
        return rule(at + arb(direction) / 4) if direction else UNDECIDED

    def of_native(x):
        at = constant_of(x)
        if jumps(at):
            raise Open
        return constant_of(rule(at))

    return Function(rule, zero, series=of_series, native=of_native)


def _nearest_away(x: arb) -> arb:
    return (x + 0.5).floor() if x >= 0 else (x - 0.5).ceil()


def _nearest_even(x: arb) -> arb:
    up = (x + 0.5).floor()
    return up - 1 if x + 0.5 == up and not (up / 2).is_integer() else up


floor, ceil = step(methodcaller("floor")), step(methodcaller("ceil"))
nearest_away, nearest_even = step(_nearest_away), step(_nearest_even)


def _truncate(x: Scalar) -> Scalar:
    return x if isinstance(x, Undefined) else floor.rule(x) if x >= 0 else ceil.rule(x) if x <= 0 else UNDECIDED


def signless(x: Undefined) -> Undefined:
    """What hangs on an infinity of no sign, and is none itself."""
    return Undefined("unsigned_infinity") if plain.is_pole(x) else x


def _sign(x: Scalar) -> Scalar:
    if isinstance(x, Undefined):
        return signless(x)
    return ONE if x > 0 else -ONE if x < 0 else arb(0) if x == 0 else UNDECIDED


def _sign_series(x: Series) -> Scalar:
    if x.special:
        return _sign(x.limit())
    series.seen.singular += series.is_zero(x.limit())
    return x.direction(ONE, -ONE, UNDECIDED)


def sign_native(x) -> arb:
    """The sign of a power series of Arb's own at its point. **Raises:** `Open` at 0."""
    at = constant_of(x)
    if not at != 0:
        raise Open
    return ONE if at > 0 else -ONE


sign: Function = Function(_sign, zero, series=_sign_series, native=sign_native)


def _maximum(x: Scalar, y: Scalar) -> Scalar:
    if x is y:
        return x
    if isinstance(x, Undefined) or isinstance(y, Undefined):
        return signless(first_undefined(x, y))
    if x >= y:
        return x
    return y if y >= x else arb.max(flat(x), flat(y))


def _minimum(x: Scalar, y: Scalar) -> Scalar:
    if x is y:
        return x
    if isinstance(x, Undefined) or isinstance(y, Undefined):
        return signless(first_undefined(x, y))
    if x <= y:
        return x
    return y if y <= x else arb.min(flat(x), flat(y))


def _greater(x, y):
    """The greater of two numbers one of which at least is a series; either where they are one and the same."""
    if x is y:
        return x
    above = COMPARISONS["ge"](x, y)
    return Series([above]) if isinstance(above, Undefined) else x if above else y


def _smaller(x, y):
    greater = _greater(x, y)
    return y if greater is x else x if greater is y else greater


def _where(order: str) -> Rule:
    """The slope of what is picked where a comparison holds."""

    def slope(x, y):
        holds = COMPARISONS[order](x, y)
        return holds if isinstance(holds, Undefined) else arb(int(holds))

    return slope


def _truncate_native(x):
    return (floor if sign_native(x) > 0 else ceil)(x)


truncate: Function = Function(
    _truncate,
    zero,
    series=lambda x: x.direction(floor, ceil, lambda x: _truncate(x.limit()))(x),
    native=_truncate_native,
)


def _different(x, y) -> tuple[arb, arb]:
    """The values of two power series of Arb's own, or infinities, where they differ. **Raises:** `Open`."""
    a, b = (v if isinstance(v, arb) and infinite(v) else constant_of(v) for v in (x, y))
    if not a != b:
        raise Open
    return a, b


def _is_above(x, y) -> bool:
    """Whether a power series of Arb's own is above another at its point, or below. **Raises:** `Open`."""
    a, b = _different(x, y)
    return bool(a > b)


maximum: Function = Function(
    _maximum, _where("ge"), _where("lt"), series=_greater, native=lambda x, y: x if x is y or _is_above(x, y) else y
)
minimum: Function = Function(
    _minimum, _where("le"), _where("gt"), series=_smaller, native=lambda x, y: y if x is y or _is_above(x, y) else x
)


def clamp(low, x, high):
    return minimum(maximum(x, low), high)


def _comparison(yes: Callable[[Any, Any], bool], no: Callable[[Any, Any], bool], same: bool) -> Function:
    """A comparison of reals. One and the same number (`x is y`) equals itself, however wide its ball.

    Compared with itself, what is not a number differs, as NaN does: that is how programs ask for one (`x != x`).
    Series are compared for small ε, by the sign of their difference.
    """

    differs = yes is operator.ne

    def rule(x, y) -> bool | Undefined:
        if isinstance(x, Undefined) or isinstance(y, Undefined):
            undefined = first_undefined(x, y)
            return differs if x is y and undefined.kind not in ("undecided", "pole") else signless(undefined)
        if x is y or yes(x, y):
            return same if x is y else True
        return False if no(x, y) else UNDECIDED

    def of_series(x, y) -> bool | Undefined:
        if x is y:
            return rule(x.limit(), x.limit()) if x.special else same
        a, b = series.limit(x), series.limit(y)
        if isinstance(a, Undefined) or isinstance(b, Undefined) or infinite(a) or infinite(b):
            return rule(a, b)
        difference = sub(x, y)
        if not isinstance(difference, Series):
            return rule(difference, arb(0))
        series.seen.singular += series.is_zero(difference.limit())
        if not difference.c:
            return UNDECIDED
        return rule(difference.c[0], arb(0))

    def of_native(x, y) -> bool:
        if x is y:
            constant_of(x)
            return same
        return bool(yes(*_different(x, y)))

    return Function(rule, series=of_series, native=of_native)


ORDERS = {
    "lt": (operator.lt, operator.ge, False),
    "le": (operator.le, operator.gt, True),
    "gt": (operator.gt, operator.le, False),
    "ge": (operator.ge, operator.lt, True),
    "eq": (operator.eq, operator.ne, True),
    "ne": (operator.ne, operator.eq, False),
}
"""By primitive: what holds of balls where it is true, and where it is false, and what it is of a number and itself."""

COMPARISONS = {name: _comparison(*order) for name, order in ORDERS.items()}


def _is_finite(x: Scalar) -> bool | Undefined:
    if isinstance(x, Undefined):
        return False if x.certain else x
    return not infinite(x)


is_finite: Function = Function(
    _is_finite, series=lambda x: _is_finite(x.limit()), native=lambda x: bool(constant_of(x).is_finite())
)
