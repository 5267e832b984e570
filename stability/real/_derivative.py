"""True derivatives: the value program on a power series about the point.

The derivative is that of the real function, from the program of its *value*; no derivative rule is read. Where no
comparison on the way is of equal numbers, the series `x + ε` gives it. Elsewhere the limits of the derivative from both
sides do, from series in δ at `x ± δ`, or where that does not do at `x ± δ²` (so that square roots have series too; `δ⁶`
for cube roots, where that does not do), or, where the value has none, from dual numbers of such: one number, two at a
kink, an infinity at a pole.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import flint
from flint import arb

from stability.real import _arithmetic as plain
from stability.real._near import flat
from stability.real._series import Logarithm, Series, is_number, limit, seen
from stability.real.function import Dual, Estimate, dual
from stability.real.values import ONE, UNDECIDED, Scalar, Undefined, infinite
from stability.real.values import is_number as is_known

EXTRA = 3
"""How many more powers of `± δ**n` a one-sided series begins with: what divisions by zeros on the way may cost."""

HOLES = (
    *("zero_over_zero", "zero_times_infinity", "infinity_minus_infinity", "infinity_over_infinity"),
    *("unsigned_infinity", "pole"),
)
"""Kinds of `Undefined` where there may be a limit."""

STEPS = (1, 2, 6)
"""The powers of δ by which one-sided series move from the point, the next where one leaves something undecided."""


class Sides(NamedTuple):
    """The limits of a derivative from the left and from the right; one and the same but for kinks. Where the function
    is on one side only, that side's."""

    left: Scalar
    right: Scalar


def derivatives(evaluate: Callable[[Any], Sequence[Any]], x: Scalar, order: int) -> list[Sides]:
    """The derivatives of several functions of one number.

    **Arguments:** `evaluate` takes a `Series` in place of the number and gives the functions' values, series where they
    depend on it; `x` the number; `order` 1 or more.
    """
    if isinstance(x, Undefined):
        return [Sides(x, x) for _ in evaluate(x)]
    if infinite(x):
        return [Sides(v, v) for v in (_limit(v, order) for v in evaluate(dual(x, ONE, order)))]
    before = seen.singular
    smooth = [_coefficient(v, order) for v in evaluate(Series([x, ONE, *[arb(0)] * (order - 1)]))]
    if seen.singular == before and not any(isinstance(v, Undefined) and v.certain for v in smooth):
        return [Sides(v, v) for v in smooth]

    around = list(evaluate(_around(x)))
    if all(_is_nowhere(v) or _is_constant(v) for v in around):
        return [Sides(v, v) for v in map(_of_constant, around)]
    here = list(evaluate(x))
    holes = {k for k, v in enumerate(here) if isinstance(v, Undefined) and v.kind in HOLES}

    @functools.cache
    def beside(sign: int, n: int) -> list[Any]:
        return list(evaluate(_near(x, sign, n, order)))

    for k, sides in enumerate(_from_both_sides(lambda sign, n: _limits(beside(sign, n), n)) if holes else ()):
        if k in holes:
            here[k] = plain.DOMAIN if jumps(*sides) else UNDECIDED

    def side(sign: int, n: int) -> list[Scalar]:
        found = [_divided(v, order, sign, n) for v in beside(sign, n)]
        if n == STEPS[0]:
            found = [UNDECIDED if _is_open(v) else v for v in found]
        elif any(isinstance(v, Undefined) for v in found):
            duals = [_limit(v, order) for v in evaluate(dual(_near(x, sign, n, order), ONE, order))]
            found = [d if _is_open(v) else v for v, d in zip(found, duals, strict=True)]
        return [found_here(at, limit(v), d) for at, v, d in zip(here, beside(sign, n), found, strict=True)]

    return _from_both_sides(side)


def _around(x: arb) -> arb:
    """A small ball with a number inside it."""
    away = min(abs(x), ONE, key=float) * arb(2) ** -(flint.ctx.prec // 2) if x != 0 else arb(2) ** -1200
    return (x - away).union(x + away)


def _is_nowhere(v: Any) -> bool:
    """Whether a function of a ball has no value anywhere in it."""
    return isinstance(v, Undefined) and v.kind in ("domain", "nan")


def _is_constant(v: Any) -> bool:
    """Whether a function of a ball is one number, or one infinity, everywhere in it: what encloses it is no wider."""
    return type(v) is arb and (infinite(v) or (v.is_finite() and v.is_exact()))


def found_here(at: Any, beside: Any, slope: Scalar) -> Scalar:
    """The limit of a derivative from a side, none where the value at the point is another than its limit from there."""
    if isinstance(at, Undefined):
        return at if at.certain else slope
    return plain.DOMAIN if jumps(at, beside) else slope


def jumps(x: Any, y: Any) -> bool:
    """Whether two limits of a value, or one and the value, are not one number."""
    both_infinite = is_known(x) and is_known(y) and infinite(x) and infinite(y)
    return is_known(x) and is_known(y) and not both_infinite and bool(x > y or x < y)


def limits(evaluate: Callable[[Any], Sequence[Any]], x: Scalar) -> list[Sides]:
    """The limits of several functions of one number from both sides; arguments as of `derivatives`."""
    return _from_both_sides(lambda sign, n: _limits(evaluate(_near(x, sign, n, 0)), n))


def _limits(values: Sequence[Any], n: int) -> list[Scalar]:
    """The limits of series; of the first step only those that are known, as roots have no power series there."""
    found = [UNDECIDED if isinstance(v, Estimate) else limit(v) for v in values]
    return [UNDECIDED if n == STEPS[0] and _is_open(v) else v for v in found]


def _near(x: Scalar, sign: int, n: int, order: int) -> Series:
    """`x ± δ**n`, with as many powers as a derivative may need."""
    return Series([x, *[arb(0)] * (n - 1), arb(sign), *[arb(0)] * (n * (max(order, 1) + EXTRA - 1))])


def _from_both_sides(side: Callable[[int, int], list[Scalar]]) -> list[Sides]:
    """What `side` finds, by the sign and the power of δ by which its series move from the point."""
    found: list[Sides] = []
    for n in STEPS:
        again = [_together(left, right) for left, right in zip(side(-1, n), side(1, n), strict=True)]
        found = [b if _undecided(a) else a for a, b in zip(found, again, strict=True)] if found else again
        if not any(map(_undecided, found)):
            break
    return found


def _undecided(sides: Sides) -> bool:
    """Whether a limit from a side is undecided."""
    return any(isinstance(v, Undefined) and v == UNDECIDED for v in sides)


def _is_open(v: Scalar) -> bool:
    """Whether dual numbers, or series in other powers, may know more of a limit than a series."""
    return isinstance(v, Undefined) and v.kind not in ("domain", "nan")


def _of_constant(v: Any) -> Scalar:
    """The derivative of what does not depend on the number: 0, and none where it is an infinity."""
    if isinstance(v, Estimate | Undefined):
        return UNDECIDED if isinstance(v, Estimate) else v
    return plain.DOMAIN if infinite(v) else arb(0)


def _coefficient(v: Any, order: int) -> Scalar:
    if not isinstance(v, Series):
        return _of_constant(v)
    if v.special and isinstance(v.c[0], Undefined):
        return v.c[0]
    return UNDECIDED if v.start < 0 else plain.mul(v.at(order), arb(math.factorial(order)))


def _divided(v: Any, order: int, sign: int, n: int) -> Scalar:
    """The limit of the derivative by `x` of a series in δ, `x` being `± δ**n` from its point:
    `d/dx = ± d/dδ / (n δ**(n - 1))`."""
    if not isinstance(v, Series):
        return _of_constant(v)
    if v.special and not isinstance(v, Logarithm):
        return v.c[0] if isinstance(v.c[0], Undefined) else UNDECIDED
    for _ in range(order):
        slope = v.derivative()
        v = Series([plain.div(c, arb(n * sign)) for c in slope.c], slope.start - (n - 1))
    return v.limit()


def _limit(v: Any, order: int) -> Scalar:
    """The limit of the derivative of a dual number of series."""
    for _ in range(order):
        if not isinstance(v, Dual):
            return _of_constant(v)
        v = v.slope
    if isinstance(v, Dual):
        v = v.value
    return v.limit() if isinstance(v, Series) else v


def _together(left: Scalar, right: Scalar) -> Sides:
    def outside(v: Scalar) -> bool:
        return isinstance(v, Undefined) and v.certain

    if outside(left) or outside(right):
        there = right if outside(left) else left
        return Sides(there, there)
    if is_number(left) and is_number(right) and not (left > right or left < right):
        both = left if left == right else flat(left).union(flat(right))
        return Sides(both, both)
    return Sides(left, right)
