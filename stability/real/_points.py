"""The true values of a scalar function over many points: compiled once, interpreted where that does not do."""

from __future__ import annotations

import contextlib
import functools
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import flint
import jax
import numpy as np
from flint import arb

from stability import truth as truths
from stability.formats import FloatFormat, widen
from stability.real._along import Along, Given, along_series, of_one_float, zero_of
from stability.real._blocks import HUGE, TINY, by_blocks
from stability.real._compiled import Name, Open, compiled
from stability.real._derivative import HOLES, Sides, derivatives, limits
from stability.real._limits import one_limit
from stability.real._near import flat
from stability.real.evaluate import point_of
from stability.real.function import Estimate, is_unproven
from stability.real.reals import lift, run
from stability.real.values import Undefined, infinite, real
from stability.truth import FRACTION, Point, State, Truth, nearest_quanta

PRECISIONS = (128, 512, 2048, 4096)


class Order(NamedTuple):
    """Which derivative: of which `order`, by the argument number `by`."""

    by: int
    order: int


@functools.lru_cache(maxsize=32)
def kept(fn: Callable, full: tuple[Given, ...], argnum: int, derivative: Order | None, x64: bool):
    """`evaluators`, which a search for the ends of a region asks for again and again."""
    own = derivative is None or derivative.by == argnum
    along = along_series(fn, full, argnum, x64) if own else None
    return evaluators(fn, [g.array() for g in full], argnum, derivative, along)


def evaluators(fn: Callable, full: Sequence[Any], argnum: int, derivative: Order | None, along: Along | None):
    """Three ways to the real value, or the derivative, of a scalar function at a number in place of an argument: two of
    balls that may raise `Open` or `ZeroDivisionError`, or `None`: one for a first try, and one for higher precisions;
    and one that always gives something."""
    jaxpr = of_one_float(fn, full)
    held = [lift(x, a.dtype) for x, a in zip(full, jaxpr.in_avals, strict=True)]

    def at(**values: Any) -> list:
        return [values.get(f"x{i}", x) for i, x in enumerate(held)]

    swept = f"x{argnum}"
    names = (swept,) if derivative is None or derivative.by == argnum else (swept, f"x{derivative.by}")
    named = at(**{name: Name(name) for name in names})
    line = along.line if along is not None else compiled(jaxpr, named, names, over_balls=False)

    def value(*values: Any):
        if line is not None:
            return line(*values)
        with jax.enable_x64(True):
            return run(jaxpr, at(**dict(zip(names, values, strict=True))))[0]

    def with_limits(x):
        v = value(x)
        if not isinstance(v, Undefined) or v.kind not in HOLES or isinstance(x, Undefined) or infinite(x):
            return v
        (sides,) = limits(lambda s: [value(s)], x)
        found = one_limit(sides)
        return v if isinstance(found, Undefined) else found

    if derivative is None:
        of_balls = compiled(jaxpr, named, names, over_balls=True)
        if of_balls is None or along is None or not along.at_points:
            return of_balls, of_balls, with_limits
        return _told_from_zero((along.about(0), of_balls), lambda x: _number(value(x))), of_balls, with_limits

    def slope(x) -> Sides:
        if len(names) == 1:
            return derivatives(lambda s: [value(s)], x, derivative.order)[0]
        return derivatives(lambda s: [value(x, s)], held[derivative.by], derivative.order)[0]

    end, factor = derivative.order + 1, math.factorial(derivative.order)

    def by_series(x: arb) -> arb:
        found = along(x, end) if along is not None else None
        if found is None:
            raise Open
        return arb(0) if isinstance(found, arb) else found[derivative.order] * factor

    def by_sides(x: arb) -> arb:
        left, right = slope(x)
        if left is not right or isinstance(left, Undefined) or infinite(left):
            raise Open(Sides(left, right))
        return _number(left)

    def smooth(x: arb) -> arb:
        for prec in (flint.ctx.prec, 4 * flint.ctx.prec):
            with flint.ctx.workprec(prec), contextlib.suppress(Open):
                return by_series(x)
        return by_sides(x)

    if along is not None and along.at_points:
        return _told_from_zero((along.about(derivative.order), by_series), by_sides), by_series, slope
    return smooth, by_series, slope


def _number(v: Any) -> arb:
    """What a real number encloses. **Raises:** `Open` where it is none."""
    ball = flat(v)
    if not isinstance(ball, arb) or not ball.is_finite():
        raise Open
    return ball


def _told_from_zero(ways: Sequence[Callable[[arb], arb]], slow: Callable[[arb], arb]) -> Callable[[arb], arb]:
    """The first number among some ways to it, at the precision in force or four times it, that is told from 0; else by
    a slow one that may know more of numbers next to 0, else the narrowest. **Raises:** what the slow one raises where
    none knows anything."""

    def is_told(v: arb) -> bool:
        return v.is_exact() or bool(v != 0)

    def number(x: arb) -> arb:
        found = []
        for prec, way in itertools.product((flint.ctx.prec, 4 * flint.ctx.prec), ways):
            with flint.ctx.workprec(prec), contextlib.suppress(Open, ZeroDivisionError):
                found.append(_number(way(x)))
                if is_told(found[-1]):
                    return found[-1]
        try:
            last = slow(x)
            if is_told(last):
                return last
            found.append(last)
        except Open:
            if not found:
                raise
        return min(found, key=lambda v: v.rad())

    return number


def everywhere(
    fn: Callable, low: float, high: float, *, fmt: FloatFormat, derivative: Order | None = None
) -> Point | None:
    """The true value that a function of one number, or its derivative, has at every number of an interval, to within
    `FRACTION` ulps, or `None` where it has several, or that is not known."""
    zero = zero_of(jax.ShapeDtypeStruct((), fmt.dtype))
    quick, _, _ = kept(fn, (zero,), 0, derivative, bool(jax.config.read("jax_enable_x64")))
    return None if quick is None else _whole(quick, arb(low).union(arb(high)), fmt)


def truth(
    fn: Callable,
    z: np.ndarray,
    *,
    argnum: int = 0,
    args: Sequence[Any] = (),
    fmt: FloatFormat,
    derivative: Order | None = None,
) -> Truth:
    """The true values of a scalar function over the floats `z`, its other arguments fixed.

    **Arguments:** `fn` a function of scalars that returns one float of shape (); `z` of shape `(n,)`, in any format,
    infinities and NaN included, taken at face value as argument number `argnum`; `args` the other arguments in order
    (a Python float in the dtype of `z`); `fmt` the format to round to; `derivative` which derivative is meant instead
    of the value: that of the real function, from the program of its value.

    **Returns:** a `stability.truth.Truth`. Its numbers have a proven rounding, and their `fraction` is within 2**-24. A
    value that is a power of two as far as 128 bits can tell has the ulp of that power, though it may be just below. At
    a kink, `other` has the derivative from the right.

    **Raises:** `ValueError` where `fn` returns anything but one float of shape ().
    """
    z = np.asarray(z)
    others = [np.asarray(a, z.dtype) if isinstance(a, float) else np.asarray(a) for a in args]
    full = [*others[:argnum], np.zeros((), z.dtype), *others[argnum:]]
    given = tuple(Given(x.dtype.name, x.shape, x.tobytes()) for x in full)
    x64 = bool(jax.config.read("jax_enable_x64"))
    quick, fast, slow = kept(fn, given, argnum, derivative, x64)
    wide = widen(z)
    n = len(wide)
    shared = list(_shared(quick, wide, fmt))
    together = np.concatenate([at for at, _ in shared]) if shared else np.zeros(0, np.int64)
    alone = np.ones(n, bool)
    alone[together] = False
    h, l, bound = np.zeros(n), np.zeros(n), np.full(n, np.inf)
    own = derivative is None or derivative.by == argnum
    along = along_series(fn, given, argnum, x64) if own and z.dtype.itemsize == 2 else None
    if along is not None:
        order = 0 if derivative is None else derivative.order
        with flint.ctx.workprec(PRECISIONS[0]):
            h, bound = by_blocks(along.of_function, np.where(alone, wide, np.nan), order, fmt)
            if along.at_points:
                open_ = np.where(alone & np.isinf(bound), wide, np.nan)
                again, off = by_blocks(along.of_derivative(order), open_, 0, fmt)
                h, bound = np.where(np.isfinite(off), again, h), np.minimum(off, bound)
        bound[nearest_quanta((h, l), 0, bound, fmt)[3]] = np.inf
    by_line = np.flatnonzero(alone & np.isinf(bound))
    h[by_line], l[by_line], bound[by_line], sides = _by_line(quick, wide[by_line], fmt)
    sides = {by_line[i]: v for i, v in sides.items()}
    power = (np.abs(np.frexp(h)[0]) == 0.5) & (np.abs(l) <= bound) & (bound > 0)
    quanta, fraction, exponent, undecided = nearest_quanta((h, l), 0, np.where(power, np.inf, bound), fmt)
    with np.errstate(over="ignore"):
        undecided |= ~(np.ldexp(bound, -exponent) <= FRACTION)
    left = np.flatnonzero(undecided & alone)
    with np.errstate(over="ignore"):
        wide_ball = np.isfinite(bound) & (np.ldexp(bound, -exponent) > FRACTION)
    of_nan = functools.cache(lambda: _decided(real(math.nan), fast, slow, fmt))
    ends = [
        of_nan()
        if math.isnan(x)
        else _decided(real(x), fast, slow, fmt, sides.get(i), PRECISIONS[1:] if wide_ball[i] else PRECISIONS)
        for i, x in zip(left.tolist(), wide[left].tolist(), strict=True)
    ]
    known = truths.of_quanta(quanta, fraction, exponent, fmt, n)
    known = known.put(left, truths.of_points([first for first, _ in ends], fmt))
    groups = np.repeat(np.arange(len(shared)), np.array([len(at) for at, _ in shared], int))
    known = known.put(together, truths.of_points([point for _, point in shared], fmt).at(groups))
    kinks = {i: second for i, (_, second) in enumerate(ends) if second is not None}
    if not kinks:
        return known
    second = truths.of_quanta(np.full(n, np.nan), np.zeros(n), np.full(n, fmt.least_exponent), fmt)
    return truths.within(known, second.put(left[list(kinks)], truths.of_points(kinks.values(), fmt)))


MANY = 16
"""Floats of a binade from which on it is looked at whether they share their true value."""


def _shared(fast: Callable | None, wide: np.ndarray, fmt: FloatFormat) -> Iterator[tuple[np.ndarray, Point]]:
    """Positions of all floats of a binade, and the true value that they share to within `FRACTION` ulps, where a
    function saturates, vanishes, overflows or has no domain: what it is of a ball around all of them, and so of each.

    The least and the greatest have to agree, and are evaluated first: a ball around a binade can take a second.
    """
    numbers = np.flatnonzero(np.isfinite(wide) & (wide != 0))
    if fast is None or len(numbers) < MANY:
        return
    key = np.frexp(wide[numbers])[1] * 2 + (wide[numbers] < 0)
    order = np.argsort(key, kind="stable")
    for at in np.split(numbers[order], np.flatnonzero(np.diff(key[order])) + 1):
        if len(at) < MANY:
            continue
        low, high = arb(wide[at].min()), arb(wide[at].max())
        first = _whole(fast, low, fmt)
        if first is None or not _agree(first, _whole(fast, high, fmt)):
            continue
        point = _whole(fast, low.union(high), fmt, vanishing=first.quanta == 0 and abs(first.fraction) <= FRACTION)
        if point is not None and _agree(point, first):
            yield at, point


def _whole(fast: Any, x: arb, fmt: FloatFormat, vanishing: bool = False) -> Point | None:
    """The true value that a function has everywhere in a ball, or none; with `vanishing` also where all that is known
    is that it is next to nothing."""
    with flint.ctx.workprec(PRECISIONS[0]):
        try:
            v = fast(x)
        except (Open, ZeroDivisionError) as e:
            left, right = e.args[0] if e.args and isinstance(e.args[0], Sides) else (None, None)
            if left is not right or not isinstance(left, Undefined) or not left.certain or left.kind == "pole":
                return None
            v = left
        if vanishing and isinstance(v, arb) and abs(v) < arb(2) ** fmt.least_exponent * FRACTION:
            return Point(0.0, 0.0, fmt.least_exponent)
        if isinstance(v, arb) and infinite(v):
            return truths.pole(fmt, 1 if v > 0 else -1)
        point = point_of(v, fmt)
    return None if point.state in (State.POLE, State.UNDECIDED) else point


def _agree(one: Point, other: Point | None) -> bool:
    if other is None or (one.exponent, one.state, one.why) != (other.exponent, other.state, other.why):
        return False
    same = one.quanta == other.quanta or one.state == State.UNDEFINED
    return same and abs(one.fraction - other.fraction) <= 4 * FRACTION


def _by_line(
    fast: Callable | None, wide: np.ndarray, fmt: FloatFormat
) -> tuple[np.ndarray, np.ndarray, np.ndarray, dict[int, Sides]]:
    """Values by the straight-line function, at one precision: double-doubles `h + l` and how far off they are at most,
    infinite where it gives none; and by position what it knows of derivatives that are no numbers."""
    sides = {}
    n = len(wide)
    highs, lows, radii = [0.0] * n, [0.0] * n, [math.inf] * n
    underflows = fmt.least_exponent > -900
    if fast is not None:
        with flint.ctx.workprec(PRECISIONS[0]):
            for i, x in enumerate(wide.tolist()):
                if x - x != 0:
                    continue
                try:
                    v = flat(fast(arb(x)))
                except (Open, ZeroDivisionError) as e:
                    if e.args and isinstance(e.args[0], Sides):
                        sides[i] = e.args[0]
                    continue
                if not v.is_finite():
                    continue
                high = float(v)
                if TINY < abs(high) < HUGE:
                    rest = v - high
                    highs[i], lows[i], radii[i] = high, float(rest), float(rest.rad())
                elif v == 0:
                    radii[i] = 0.0
                elif underflows and abs(v) < TINY and v != 0:
                    radii[i] = TINY
    low = np.array(lows)
    return np.array(highs), low, np.array(radii) * (1 + 2.0**-40) + np.abs(low) * 2.0**-52, sides


def _decided(
    x,
    fast: Callable | None,
    slow: Callable,
    fmt: FloatFormat,
    sides: Sides | None = None,
    precisions: Sequence[int] = PRECISIONS,
) -> tuple[Point, Point | None]:
    """The true value at one point, at rising precision, and its other end where it is an interval; `sides` of a
    derivative at the first precision, where they are known."""
    at_number = not (isinstance(x, Undefined) or infinite(x))
    ends: tuple[Point, Point | None] = truths.undecided(fmt), None
    for prec in precisions:
        with flint.ctx.workprec(prec):
            if sides is None and fast is not None and at_number:
                try:
                    v = fast(x)
                except (Open, ZeroDivisionError):
                    pass
                else:
                    found = point_of(v, fmt)
                    if found.state == State.NUMBER and not infinite(v):
                        return found, None
                    if _is_ball(v) and prec != precisions[-1]:
                        continue
            v, sides = slow(x) if sides is None else sides, None
            ends = _ends(v, fmt, at_number)
            if is_unproven(v) or not any(end is not None and end.state == State.UNDECIDED for end in ends):
                break
    return ends


def _is_ball(v: Any) -> bool:
    """Whether a number is known by a finite ball, which a higher precision narrows."""
    return isinstance(v, arb) and v.is_finite()


def _ends(v: Any, fmt: FloatFormat, at_number: bool) -> tuple[Point, Point | None]:
    """A real number, or the limits of a derivative from both sides, as a true value or the two ends of an interval."""
    left, right = v if isinstance(v, Sides) else (v, v)
    first, second = point_of(left, fmt), point_of(right, fmt)
    signs = {math.copysign(1, p.quanta) for p in (first, second) if p.state == State.NUMBER and math.isinf(p.quanta)}
    poles = all(not isinstance(s, Undefined | Estimate) and infinite(s) for s in (left, right))
    if poles and at_number:
        return truths.pole(fmt, int(signs.pop()) if len(signs) == 1 else 0), None
    if State.UNDECIDED in (first.state, second.state):
        return first if left is right else truths.undecided(fmt), None
    return first, None if left is right or first == second else second
