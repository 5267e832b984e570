"""True values against the floats of a format: a state a point, made here from whatever the value is known by.

A value is known by a ball around it (`enclosed`), as a limit (`infinite`), by the name of what is wrong with it
(`pole`, `undefined`), or not well enough (`undecided`); many at once by doubles with a proven bound (`quantize`), or as
floats that are taken as they are (`of_floats`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np
from flint import arb

from stability.double_word import two_sum
from stability.formats import FloatFormat, hex_of, ulp_exponent, widen
from stability.truth.balls import FRACTION, HUGE, decide_quanta, quanta_of, round_ball


class State(IntEnum):
    """What a true value is.

    `number`: its correctly rounded value is proven, ±inf included, where it overflows or is a limit that is infinite.
    `pole`: no finite value, every one-sided limit infinite. `undefined`: outside the domain, or of a NaN. `undecided`:
    the highest precision leaves it open what it rounds to.
    """

    NUMBER = 0
    POLE = 1
    UNDEFINED = 2
    UNDECIDED = 3


class Point(NamedTuple):
    """One true value; fields as of `Truth`."""

    quanta: float
    fraction: float
    exponent: int
    state: State = State.NUMBER
    why: str | None = None


@dataclass(frozen=True)
class Truth:
    """True values against the floats of a format, as arrays of one shape.

    A number is `(quanta + fraction) * 2**exponent`, where `2**exponent` is its ulp in the format, the spacing of its
    binade or of the subnormals, as if there were no greatest exponent. `quanta` is a whole number in float64, infinite
    for a limit that is, and from `2**(emax + HUGE)` up; `fraction` lies in [-1/2, 1/2].

    **Attributes:** `fmt` the format; `state` of `State`, int8; `quanta` at a pole the infinity of the common sign of
    the limits, NaN where the signs differ; NaN where the value is undefined, and where it is undecided, except 0 where
    all that it can be rounds to 0; `why` text, `None` where
    the value is a number, else the kind of `stability.real.Undefined`, and of an undecided value what is known;
    `other` the other ends of the intervals of right values, NaN quanta where one value alone is right; `by_balls`
    counts the points that a bound could not decide. On a device the arrays are JAX's and `why` is `None`.
    """

    quanta: Any
    fraction: Any
    exponent: Any
    fmt: FloatFormat
    state: Any
    why: Any = None
    other: Truth | None = None
    by_balls: int = field(default=0, compare=False)

    @property
    def overflows(self) -> Any:
        """Where the number rounds to an infinity."""
        top = self.fmt.emax - self.fmt.precision + 1
        size = abs(self.quanta)
        return (
            (size == np.inf)
            | ((size > 0) & (self.exponent > top))
            | ((self.exponent == top) & (size >= 2.0**self.fmt.precision))
        )

    @property
    def rounded(self) -> np.ndarray:
        """The correctly rounded values, in float64, which holds every format exactly; NaN where there is none."""
        with np.errstate(over="ignore"):
            return np.where(self.overflows, np.copysign(np.inf, self.quanta), np.ldexp(self.quanta, self.exponent))

    def told(self, i: int) -> str:
        """The true value at a position in words: a number in decimals and in hex, or what it is instead."""
        if self.state[i] == State.UNDECIDED:
            return self.why[i]
        if np.isnan(self.quanta[i]):
            return "an infinity of either sign (pole)" if self.state[i] == State.POLE else f"undefined ({self.why[i]})"
        x = float(self.rounded[i])
        end = None if self.other is None or np.isnan(self.other.quanta[i]) else self.other.told(i)
        return f"{x!r} = {hex_of(x)}" + (f", or up to {end}" if end else "")

    def at(self, index) -> Truth:
        """The true values at an index of the arrays."""
        arrays = {name: getattr(self, name)[index] for name in ("quanta", "fraction", "exponent", "state")}
        why = None if self.why is None else self.why[index]
        return replace(self, **arrays, why=why, other=None if self.other is None else self.other.at(index))

    def put(self, index: np.ndarray, given: Truth) -> Truth:
        """With other values at some positions."""
        arrays = {}
        for name in ("quanta", "fraction", "exponent", "state", "why"):
            arrays[name] = getattr(self, name).copy()
            arrays[name][index] = getattr(given, name)
        return replace(self, **arrays)


def of_quanta(quanta, fraction, exponent, fmt: FloatFormat, by_balls: int = 0) -> Truth:
    """Numbers; where `quanta` is NaN, the value of a NaN."""
    quanta = np.asarray(quanta, np.float64)
    huge = np.asarray(exponent) > fmt.emax + HUGE - fmt.precision
    quanta, fraction = np.where(huge, np.copysign(np.inf, quanta), quanta), np.where(huge, 0.0, fraction)
    exponent = np.where(huge, fmt.emax, exponent).astype(np.int64)
    state = np.where(np.isnan(quanta), State.UNDEFINED, State.NUMBER).astype(np.int8)
    why = np.full(quanta.shape, None, object)
    why[state != State.NUMBER] = "nan"
    return Truth(quanta, fraction, exponent, fmt, state, why, by_balls=by_balls)


def of_points(points: Iterable[Point], fmt: FloatFormat, by_balls: int = 0) -> Truth:
    """Points one by one as arrays of shape `(n,)`."""
    columns = list(zip(*points, strict=True)) or [()] * 5
    quanta, fraction = (np.array(c, np.float64) for c in columns[:2])
    why = np.empty(len(quanta), object)
    why[:] = columns[4]
    exponent, state = np.array(columns[2], np.int64), np.array(columns[3], np.int8)
    return Truth(quanta, fraction, exponent, fmt, state, why, by_balls=by_balls)


def of_floats(values: np.ndarray, fmt: FloatFormat) -> Truth:
    """Floats of any format that are true as they are, as arrays of shape `(n,)`."""
    y = widen(values).ravel()
    finite = np.where(np.isfinite(y), y, 0.0)
    exponent = ulp_exponent(finite, fmt)
    scaled = np.ldexp(finite, -exponent)
    quanta = np.rint(scaled)
    return of_quanta(np.where(np.isfinite(y), quanta, y), scaled - quanta, exponent, fmt)


def concatenated(parts: Sequence[Truth]) -> Truth:
    """Arrays of true values against one format, one after the other."""
    names = ("quanta", "fraction", "exponent", "state", "why")
    arrays: dict[str, Any] = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    other = None
    if any(part.other is not None for part in parts):
        other = concatenated([_no_numbers(part) if part.other is None else part.other for part in parts])
    return replace(parts[0], **arrays, other=other, by_balls=sum(part.by_balls for part in parts))


def _no_numbers(like: Truth) -> Truth:
    return of_quanta(np.full_like(like.quanta, np.nan), like.fraction, like.exponent, like.fmt)


def within(first: Truth, second: Truth) -> Truth:
    """Both ends of intervals of right values, where both are numbers; elsewhere the first alone."""
    both = (first.state == State.NUMBER) & (second.state == State.NUMBER)
    return replace(first, other=replace(second, quanta=np.where(both, second.quanta, np.nan)))


def infinite(sign: int, fmt: FloatFormat) -> Point:
    """A limit that is infinite."""
    return Point(math.copysign(math.inf, sign), 0.0, fmt.emax)


def pole(fmt: FloatFormat, sign: int = 0) -> Point:
    """No finite value and infinite limits, of one sign, or where it is 0 of both."""
    return Point(math.copysign(math.inf, sign) if sign else math.nan, 0.0, fmt.emax, State.POLE, "pole")


def undefined(why: str, fmt: FloatFormat) -> Point:
    return Point(math.nan, 0.0, fmt.least_exponent, State.UNDEFINED, why)


def undecided(fmt: FloatFormat, known: str = "", rounded: float = math.nan) -> Point:
    """What precision leaves open, what is known of it in words, and 0 where all that it can be rounds to 0."""
    why = f"undecided: {known}" if known else "undecided"
    return Point(rounded, 0.0, fmt.least_exponent, State.UNDECIDED, why)


def enclosed(x: arb, fmt: FloatFormat) -> Point:
    """A number from a ball around it; undecided where the ball is too wide.

    A number that is a power of two as far as the ball can tell has the ulp of that power, though it may be just below.
    """
    found = quanta_of(x, fmt)
    if found is not None and (math.isinf(found[0]) or x.rad() * arb(2) ** -found[2] <= FRACTION):
        return Point(*found)
    if not x.is_finite():
        return undecided(fmt)
    mantissa, exponent = (int(v) for v in abs(x).upper().man_exp())
    bound = exponent + mantissa.bit_length()
    e = max(bound - fmt.precision, fmt.least_exponent)
    sign = -1 if x < 0 else 1
    if bound > fmt.least_exponent and abs(x - sign * arb(2) ** (bound - 1)) * arb(2) ** -e <= FRACTION:
        return Point(sign * math.ldexp(1.0, bound - 1 - e), 0.0, e)
    if x.contains(0):
        return undecided(fmt, f"0, or smaller than 2^{bound}", 0.0 if bound < fmt.least_exponent else math.nan)
    low, high = (round_ball(end, fmt) for end in (x.lower(), x.upper()))
    return undecided(fmt, f"from {hex_of(low)} to {hex_of(high)}")


def nearest_quanta(
    value: tuple[Any, Any], scale: np.ndarray | int, bound: np.ndarray, fmt: FloatFormat, lean: np.ndarray | int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """`quantize` without balls: `quanta`, `fraction`, `exponent`, and where `bound` leaves the rounding undecided.

    How far `value` is from a tie, `margin`, is known to a rounding of itself: `x - n` is exact, TwoSum adds `rest` to
    it exactly, 1/2 less a number from 1/4 to 1 is exact, and the last difference is rounded once, so that it is 0 for a
    tie and for nothing else. `rest` itself is exact unless the scaling brought it below the normal floats.
    """
    h, l = value
    mantissa, exponent = np.frexp(h)
    below = (np.abs(mantissa) == 0.5) & (np.sign(np.where(l == 0, lean, l)) == -np.sign(h))
    e = np.maximum(exponent - below + scale - fmt.precision, fmt.least_exponent).astype(np.int64)
    e = np.where(h == 0, fmt.least_exponent, e)
    shift = (scale - e).astype(np.int64)
    x, rest = np.ldexp(h, shift), np.ldexp(l, shift)
    n = np.rint(x)
    f, g = two_sum(x - n, rest)
    side = np.sign(f)
    margin = (0.5 - np.abs(f)) - side * g
    leaning = (margin == 0) & (lean != 0) & (np.ldexp(rest, -shift) == l)
    step = np.where((margin < 0) | (leaning & (side == lean)), side, 0.0)
    unclear = np.abs(margin) <= np.ldexp(bound, shift) * (1 + 2.0**-50) + 2.0**-1073
    return n + step, f - step, e, unclear & ~leaning


def quantize(
    value: tuple[Any, Any],
    scale: np.ndarray,
    bound: np.ndarray,
    fmt: FloatFormat,
    enclose: Callable[[int], Callable[[], arb]],
    lean: np.ndarray | int = 0,
) -> Truth:
    """Double-doubles times `2**scale` against the floats of `fmt`.

    **Arguments:** `value` double-doubles and `bound` their absolute errors, both before the scaling;
    `enclose(i)` gives a function that encloses the i-th value in a ball, for the points that the
    bound leaves undecided; `lean` is -1 or 1 where the true value is known to be less or greater than the
    double-double, by at most `bound`: on that side of a tie it is then proven to lie. All arrays have shape `(n,)`.

    **Returns:** a `Truth`. Its rounding is proven at every point.
    """
    n, f, e, open_ = nearest_quanta(value, scale, bound, fmt, lean)
    left = np.flatnonzero(open_)
    for i in left:
        n[i], f[i], e[i] = decide_quanta(enclose(int(i)), fmt)
    return of_quanta(n, f, e, fmt, len(left))
