"""Real arithmetic with rigorous error bounds (Arb, through python-flint).

A ball is an interval that provably contains the real number meant. A float becomes a ball
without error; a ball becomes a float only when every point of it rounds to the same float.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeVar

import flint
from flint import arb

from stability.formats import FloatFormat

MAX_PRECISION = 1 << 15
VANISHED = 1 << 14
"""Below `2**-VANISHED` no number is what a cancellation at 4096 bits left of numbers that a float could hold, nor of
their products; it is an underflow, and rounds to 0."""

HUGE = 128
"""From `2**(emax + HUGE)` up, the digits of a number that overflows no longer matter."""

T = TypeVar("T")


class Undecided(ArithmeticError):
    """The ball still straddles a rounding boundary at `MAX_PRECISION` bits."""


def ball(x: float) -> arb:
    """The ball of radius 0 around a finite float (float64 holds every format exactly)."""
    return arb(float(x))


def _round_dyadic(mantissa: int, exponent: int, fmt: FloatFormat) -> tuple[int, int]:
    """`mantissa * 2**exponent` rounded to nearest even, as `(n, e)`: the float is `n * 2**e`."""
    top = abs(mantissa).bit_length() + exponent
    e = max(top - fmt.precision, fmt.least_exponent) if mantissa else fmt.least_exponent
    shift = e - exponent
    if shift <= 0:
        return mantissa << -shift, e
    if shift > abs(mantissa).bit_length() + 1:
        return 0, e
    n, rest = divmod(mantissa, 1 << shift)
    half = 1 << (shift - 1)
    return n + (rest > half or (rest == half and n & 1 == 1)), e


def _to_float(n: int, e: int, fmt: FloatFormat) -> float:
    if abs(n) >= 1 << fmt.precision:
        n, e = n // 2, e + 1
    if abs(n).bit_length() + e > fmt.emax + 1:
        return math.copysign(math.inf, n)
    return math.ldexp(float(n), e)


_GUARD = 64
FRACTION = 2.0**-24
"""How far off a `fraction` may be, in ulps."""


def _endpoints(x: arb) -> tuple[tuple[int, int], tuple[int, int]]:
    """Both ends of a ball as `(mantissa, exponent)`.

    Where midpoint and radius are of sizes far apart, the ends are taken `2**-64` of the last bit of the one, or of the
    first bit of the other, further out, so that no integer is longer than the midpoint's mantissa and that.
    """
    mid_m, mid_e = (int(v) for v in x.mid().man_exp())
    rad_m, rad_e = (int(v) for v in x.rad().man_exp())
    if rad_m == 0:
        return (mid_m, mid_e), (mid_m, mid_e)
    if mid_m == 0 or mid_e + abs(mid_m).bit_length() < rad_e - _GUARD:
        rad_m = (rad_m << _GUARD) + (mid_m != 0)
        return (-rad_m, rad_e - _GUARD), (rad_m, rad_e - _GUARD)
    if rad_e + rad_m.bit_length() < mid_e - _GUARD:
        rad_m, rad_e = 1, mid_e - _GUARD
    e = min(mid_e, rad_e)
    mid, rad = mid_m << (mid_e - e), rad_m << (rad_e - e)
    return (mid - rad, e), (mid + rad, e)


def _is_tiny(x: arb, fmt: FloatFormat) -> bool:
    """Whether every point is so far below the least subnormal that its digits no longer matter."""
    return bool(abs(x) < arb(2) ** (fmt.least_exponent - 128))


def _is_huge(x: arb, fmt: FloatFormat) -> bool:
    """Whether every point is so far above the greatest float that its digits no longer matter."""
    return bool(abs(x) >= arb(2) ** (fmt.emax + HUGE))


def round_ball(x: arb, fmt: FloatFormat) -> float | None:
    """The float of `fmt` nearest to every point of the ball (ties to even), or `None`.

    A ball over 0 that is wider than a point does not round, since whether the number is 0 is what is not known; but
    below `2**-VANISHED` it does.
    """
    if not x.is_finite() or not (x.is_exact() or x != 0 or abs(x) < arb(2) ** -VANISHED):
        return None
    if _is_tiny(x, fmt):
        return -0.0 if x < 0 else 0.0
    if _is_huge(x, fmt):
        return math.inf if x > 0 else -math.inf
    lower, upper = (_to_float(*_round_dyadic(*end, fmt), fmt) for end in _endpoints(x))
    if lower != upper:
        return None
    return -0.0 if lower == 0 and _endpoints(x)[0][0] < 0 else lower


def _raise_precision(enclose: Callable[[], arb], fmt: FloatFormat, decided: Callable[[arb], T | None]) -> T:
    saved = flint.ctx.prec
    try:
        prec = 128
        while prec <= MAX_PRECISION:
            flint.ctx.prec = prec
            result = decided(enclose())
            if result is not None:
                return result
            prec *= 2
    finally:
        flint.ctx.prec = saved
    raise Undecided(f"no rounding to {fmt.name} decided at {MAX_PRECISION} bits")


def decide(enclose: Callable[[], arb], fmt: FloatFormat) -> float:
    """The correctly rounded value of a real number.

    **Arguments:** `enclose` computes a ball around the number at the precision in force
    (`flint.ctx.prec`); `fmt` is the format to round to.

    **Returns:** the nearest float (ties to even). The precision starts at 128 bits and doubles
    until every point of the ball rounds to it.

    **Raises:** `Undecided` past `MAX_PRECISION` bits.
    """
    return _raise_precision(enclose, fmt, lambda x: round_ball(x, fmt))


def _whole_and_rest(x: arb, exponent: int) -> tuple[float, float]:
    mantissa, e = (int(v) for v in x.mid().man_exp())
    shift = exponent - e
    if shift <= 0:
        return math.ldexp(float(mantissa), -shift), 0.0
    if shift > abs(mantissa).bit_length() + 1100:
        return 0.0, math.copysign(0.0, mantissa)
    n, rest = divmod(mantissa, 1 << shift)
    half = 1 << (shift - 1)
    if rest > half or (rest == half and n & 1):
        n, rest = n + 1, rest - (1 << shift)
    return float(n), rest / (1 << shift)


def _exponent(end: tuple[int, int], fmt: FloatFormat) -> int:
    mantissa, e = end
    return max(abs(mantissa).bit_length() + e - fmt.precision, fmt.least_exponent) if mantissa else fmt.least_exponent


def quanta_of(x: arb, fmt: FloatFormat) -> tuple[float, float, int] | None:
    """A ball as `(n + f) * 2**e`, as for `decide_quanta`, or `None` where its points differ in `n` or `e`.

    Of a number that overflows, `n` and `e` are as if the format had no greatest exponent; where its digits no longer
    matter, from `2**(emax + HUGE)` up, `n` is infinite.
    """
    value = round_ball(x, fmt)
    if value is None:
        return None
    if _is_tiny(x, fmt):
        return value, 0.0, fmt.least_exponent
    if _is_huge(x, fmt):
        return value, 0.0, fmt.emax
    ends = _endpoints(x)
    if _exponent(ends[0], fmt) != _exponent(ends[1], fmt):
        return None
    e = _exponent(ends[0], fmt)
    return *_whole_and_rest(x, e), e


def decide_quanta(enclose: Callable[[], arb], fmt: FloatFormat) -> tuple[float, float, int]:
    """A real number as `(n + f) * 2**e` with `2**e` its ulp in `fmt`, `n` whole and `|f| <= 1/2`.

    Arguments and errors as for `decide`; the binade is decided as well as the rounding, so a number
    just below a power of two has the ulp of the binade below. `f` is off by at most `FRACTION`.
    """

    def decided(x: arb) -> tuple[float, float, int] | None:
        found = quanta_of(x, fmt)
        fine = found is None or math.isinf(found[0]) or x.rad() * arb(2) ** -found[2] <= FRACTION
        return found if fine else None

    return _raise_precision(enclose, fmt, decided)
