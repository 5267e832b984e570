"""The true values of a scalar function over many points: compiled once, interpreted where that does not do."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import flint
import jax
import numpy as np
from flint import arb

from stability.balls import quanta_of, round_ball
from stability.floats import FloatFormat, ulp_exponent, widen
from stability.real._compiled import Name, Open, compiled
from stability.real._derivative import Sides, derivatives
from stability.real._function import Estimate
from stability.real._near import flat, resolved
from stability.real._reals import lift, run
from stability.real._values import Undecided, Undefined, infinite, real
from stability.real._walk import is_float, trace
from stability.reference import Truth, nearest_quanta

PRECISIONS = (128, 512, 2048, 4096)
FRACTION = 2.0**-24
"""How far off a `fraction` may be, in ulps."""


class Truths(NamedTuple):
    """**Attributes:** `truth`; `why` of shape `(n,)`, `None` where the true value is known, else the kind of
    `Undefined` (`nan` for a NaN input, `undecided` where the highest precision does not decide)."""

    truth: Truth
    why: np.ndarray


class Order(NamedTuple):
    """Which derivative: of which `order`, by the argument number `by`."""

    by: int
    order: int


def evaluators(fn: Callable, full: Sequence[Any], argnum: int, derivative: Order | None):
    """Two ways to the real value, or the derivative, of a scalar function at a number in place of an argument: one of
    balls that may raise `Open` or `ZeroDivisionError`, or `None`; and one that always gives something."""
    jaxpr, _ = trace(fn, *full)
    outs: list[Any] = list(jaxpr.out_avals)
    if len(outs) != 1 or outs[0].shape or not is_float(outs[0]):
        raise ValueError(f"the function returns {', '.join(map(str, outs))}; one float of shape () is needed")
    held = [lift(x, a.dtype) for x, a in zip(full, jaxpr.in_avals, strict=True)]

    def at(**values: Any) -> list:
        return [values.get(f"x{i}", x) for i, x in enumerate(held)]

    swept = f"x{argnum}"
    names = (swept,) if derivative is None or derivative.by == argnum else (swept, f"x{derivative.by}")
    named = at(**{name: Name(name) for name in names})
    line = compiled(jaxpr, named, names, over_balls=False)

    def value(*values: Any):
        if line is not None:
            return line(*values)
        try:
            with jax.enable_x64(True):
                return run(jaxpr, at(**dict(zip(names, values, strict=True))))[0]
        except Undecided:
            return Undefined("undecided")

    if derivative is None:
        return compiled(jaxpr, named, names, over_balls=True), value

    def slope(x) -> Sides:
        if len(names) == 1:
            return derivatives(lambda s: [value(s)], x, derivative.order)[0]
        return derivatives(lambda s: [value(x, s)], held[derivative.by], derivative.order)[0]

    def smooth(x: arb) -> arb:
        left, right = slope(x)
        if left is not right or isinstance(left, Undefined):
            raise Open
        return left

    return smooth, slope


def points(
    fn: Callable,
    z: np.ndarray,
    *,
    argnum: int = 0,
    args: Sequence[Any] = (),
    fmt: FloatFormat,
    derivative: Order | None = None,
) -> Truths:
    """As `truth`, with the reasons of what has no value."""
    z = np.asarray(z)
    others = [np.asarray(a, z.dtype) if isinstance(a, float) else np.asarray(a) for a in args]
    full = [*others[:argnum], np.zeros((), z.dtype), *others[argnum:]]
    fast, slow = evaluators(fn, full, argnum, derivative)
    wide = widen(z)
    n = len(wide)
    h, l, bound = np.zeros(n), np.zeros(n), np.full(n, np.inf)
    tiny, huge = (1e-280, 1e280)
    with flint.ctx.workprec(PRECISIONS[0]):
        for i, x in enumerate(wide.tolist()):
            if fast is None or x - x != 0:
                continue
            try:
                v = flat(fast(arb(x)))
            except (Open, ZeroDivisionError):
                continue
            if not v.is_finite():
                continue
            high = float(v)
            if tiny < abs(high) < huge:
                rest = v - high
                low = float(rest)
                h[i], l[i] = high, low
                bound[i] = float(rest.rad()) * (1 + 2.0**-40) + abs(low) * 2.0**-52
            elif v == 0:
                bound[i] = 0.0
            elif fmt.least_exponent > -900 and abs(v) < tiny:
                bound[i] = tiny
    power = (np.abs(np.frexp(h)[0]) == 0.5) & (np.abs(l) <= bound) & (bound > 0)
    quanta, fraction, exponent, undecided = nearest_quanta((h, l), 0, np.where(power, np.inf, bound), fmt)
    with np.errstate(over="ignore"):
        undecided |= ~(np.ldexp(bound, -exponent) <= FRACTION)
    why = np.full(n, None, object)
    for i in np.flatnonzero(undecided).tolist():
        quanta[i], fraction[i], exponent[i], why[i] = _decided(real(wide[i]), fast, slow, fmt)
    with np.errstate(over="ignore"):
        overflow = np.abs(np.ldexp(quanta, exponent)) > fmt.max
    quanta = np.where(overflow, np.copysign(np.inf, quanta), quanta)
    fraction = np.where(np.isfinite(quanta), fraction, 0.0)
    return Truths(Truth(quanta, fraction, exponent, n), why)


def _narrow(x, fmt: FloatFormat) -> tuple[float, float, int] | None:
    """`quanta_of`, where the fraction is known well enough."""
    v = resolved(x)
    found = quanta_of(v, fmt)
    if found is not None and found[2] > fmt.emax:
        return math.copysign(math.inf, found[0]), 0.0, fmt.least_exponent
    return found if found is not None and v.rad() * arb(2) ** -found[2] <= FRACTION else None


def _power_of_two(x, fmt: FloatFormat) -> tuple[float, float, int] | None:
    """A number that is a power of two as far as its ball can tell, with the ulp of that power."""
    v = resolved(x)
    value = round_ball(v, fmt)
    if not value or math.isinf(value) or abs(math.frexp(value)[0]) != 0.5:
        return None
    e = int(ulp_exponent(np.asarray(value), fmt))
    return (math.ldexp(value, -e), 0.0, e) if abs(v - value) * arb(2) ** -e <= FRACTION else None


def _decided(x, fast: Callable | None, slow: Callable, fmt: FloatFormat):
    """`quanta`, `fraction`, `exponent` and the reason of one point, at rising precision."""
    if isinstance(x, Undefined):
        return np.nan, 0.0, fmt.least_exponent, "nan"
    for prec in PRECISIONS:
        with flint.ctx.workprec(prec):
            if fast is not None and not infinite(x):
                try:
                    found = _narrow(fast(x), fmt)
                except (Open, ZeroDivisionError):
                    found = None
                if found is not None:
                    return *found, None
            v = slow(x)
            if isinstance(v, Sides):
                v = v.left if v.left is v.right else Undefined("kink")
            if isinstance(v, Estimate):
                return np.nan, 0.0, fmt.least_exponent, "unproven"
            if isinstance(v, Undefined):
                if v.certain:
                    return np.nan, 0.0, fmt.least_exponent, v.kind
                continue
            if infinite(v):
                return float("inf") if v > 0 else float("-inf"), 0.0, fmt.least_exponent, None
            found = _narrow(v, fmt) or _power_of_two(v, fmt)
            if found is not None:
                return *found, None
    return np.nan, 0.0, fmt.least_exponent, "undecided"


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
    of the value.

    **Returns:** a `stability.reference.Truth`. `quanta` is NaN where the input is NaN or the true value is undefined or
    stays undecided (`points` tells why), and infinite where the correctly rounded value is. The rounding is proven at
    every other point, and `fraction` is within 2**-24. A value that is a power of two as far as 128 bits can tell has
    the ulp of that power, though it may be just below.

    **Raises:** `UnsupportedPrimitive`; `ValueError` where `fn` returns anything but one float of shape ().
    """
    return points(fn, z, argnum=argnum, args=args, fmt=fmt, derivative=derivative).truth
