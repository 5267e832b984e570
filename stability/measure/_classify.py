"""Results against the truth: errors in ulps, one kind a point, regions of one kind.

**The ulp** is Goldberg's: the spacing of the binade that holds the *true* value, and the spacing of the
subnormals below the least normal (and for a true value of 0). The error is the fraction
`|result - true| / ulp`, so a correctly rounded result is within 0.5. At a power of two this differs from the
Kahan-Harrison ulp, the distance between the two floats that straddle the value, by at most a factor of two.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from stability.formats import FloatFormat, widen
from stability.truth import State, Truth
from stability.truth.device import power_of_two

KINDS = (
    *("ok", "nan", "inf", "vanished", "flushed", "wrong_sign", "inaccurate", "nan_input"),
    *("undecided", "pole", "outside"),
)
"""What a point can be, in the order of the codes that `classify` returns.

`nan`: NaN where the truth is a number. `inf`: infinite where it is finite. `vanished`: 0 where the truth rounds to
a normal float. `flushed`: 0 where it rounds to a subnormal. `wrong_sign`: neither is 0 and the signs differ.
`inaccurate`: none of these, and the error is over the tolerance. `pole`: at a pole, anything but the infinity of its
sign; where it has two signs, anything but an infinity or NaN. These are failures.

`nan_input`: the truth is undefined (the input is NaN, say) and the result is NaN, which is right. `outside`: it is
undefined and the result is a number. `undecided`: the truth is. An infinity where the truth rounds to it, and whatever
lies between two right values, is `ok`.
"""

OK, NAN, INF, VANISHED, FLUSHED, WRONG_SIGN, INACCURATE, NAN_INPUT, UNDECIDED, POLE, OUTSIDE = range(len(KINDS))

FAILURES = (NAN, INF, VANISHED, FLUSHED, WRONG_SIGN, INACCURATE, POLE)
FAILURE_KINDS = tuple(KINDS[code] for code in FAILURES)

LOST = tuple(code for code in FAILURES if code != FLUSHED)
LOST_KINDS = tuple(KINDS[code] for code in LOST)
"""The failures but for zeros in place of subnormal numbers, which is XLA's policy on a CPU."""


class Run(NamedTuple):
    """Consecutive positions `start` to `stop` (both inclusive) of one code."""

    start: int
    stop: int
    code: int


def _off(x, truth: Truth, xp: Any):
    """`(result - true) / ulp`, infinite where one of the two is, 0 where both are the same infinity."""
    scaled = np.ldexp(x, -truth.exponent) if xp is np else x * power_of_two(-truth.exponent)
    off = (scaled - truth.quanta) - truth.fraction
    greatest = xp.copysign(np.finfo(np.float64).max, off)
    off = xp.where(xp.isinf(off) & xp.isfinite(x) & xp.isfinite(truth.quanta), greatest, off)
    return xp.where(xp.isinf(x) & truth.overflows & (xp.sign(x) == xp.sign(truth.quanta)), 0.0, off)


def _kinds(x, off, truth: Truth, tolerance: float, xp: Any):
    state, sign = truth.state, xp.sign(truth.quanta)
    nan, infinite, zero = xp.isnan(x), xp.isinf(x), x == 0
    subnormal = xp.abs(truth.quanta) < 2.0 ** (truth.fmt.precision - 1)
    at_pole = xp.where(xp.isnan(sign), nan | infinite, infinite & (xp.sign(x) == sign))
    cases = [
        (state == State.UNDECIDED, UNDECIDED),
        ((state == State.POLE) & at_pole, OK),
        (state == State.POLE, POLE),
        ((state == State.UNDEFINED) & nan, NAN_INPUT),
        (state == State.UNDEFINED, OUTSIDE),
        (nan, NAN),
        (infinite & (off == 0), OK),
        (infinite, INF),
        (zero & (sign != 0) & subnormal, FLUSHED),
        (zero & (sign != 0), VANISHED),
        ((sign != 0) & (xp.sign(x) != sign), WRONG_SIGN),
        (xp.abs(off) > tolerance, INACCURATE),
    ]
    return xp.select([c for c, _ in cases], [xp.int8(code) for _, code in cases], xp.int8(OK))


def _judged(x, truth: Truth, tolerance: float, xp: Any) -> tuple[Any, Any]:
    off = _off(x, truth, xp)
    kinds = _kinds(x, off, truth, tolerance, xp)
    ulps = xp.where(truth.state == State.POLE, xp.where(kinds == OK, 0.0, np.inf), xp.abs(off))
    ulps = xp.where(truth.state == State.UNDECIDED, np.nan, ulps)
    if truth.other is not None:
        further = _off(x, truth.other, xp)
        between = xp.sign(off) * xp.sign(further) <= 0
        nearer = xp.abs(further) < ulps
        kinds = xp.where(nearer, _kinds(x, further, truth.other, tolerance, xp), kinds)
        kinds, ulps = xp.where(between, xp.int8(OK), kinds), xp.where(nearer, xp.abs(further), ulps)
        ulps = xp.where(between, 0.0, ulps)
    return kinds, ulps


def classify(result: np.ndarray, truth: Truth, tolerance: float) -> tuple[np.ndarray, np.ndarray]:
    """The kind of each result, as an index into `KINDS` (int8), and its error in ulps (float64).

    **Arguments:** `result` of shape `(n,)` in the format of `truth`; `tolerance` in ulps of the true value.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        return _judged(widen(result), truth, tolerance, np)


def classify_on_device(result: Array, truth: Truth, tolerance: float) -> tuple[Array, Array]:
    """As `classify`, of and to arrays of a device, in any format but float64; needs `jax_enable_x64`.

    The ulp of each true value must be within the range of the normal float64.
    """
    return _judged(exactly(result, truth.fmt), truth, tolerance, jnp)


def exactly(x: Array, fmt: FloatFormat) -> Array:
    """Floats of a format of at most 32 bits in float64, subnormals by their bits, which XLA takes for 0 otherwise."""
    bits = lax.bitcast_convert_type(x, fmt.unsigned)
    size = (bits & fmt.unsigned.type(2 ** (fmt.bits - 1) - 1)).astype(jnp.int64)
    small = jnp.where(bits >> (fmt.bits - 1) == 1, -1.0, 1.0) * (size.astype(jnp.float64) * 2.0**fmt.least_exponent)
    return jnp.where(size < 1 << (fmt.precision - 1), small, x.astype(jnp.float64))


def error_in_ulps(result: np.ndarray, truth: Truth) -> np.ndarray:
    """`|result - true|` in ulps of the true value: float64, NaN where either is NaN.

    **Arguments:** `result` of shape `(n,)` in the format of `truth`. An error too large for float64 is
    given as the greatest float64; that of an infinity is infinite, unless the truth rounds to it.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        return np.abs(_off(widen(result), truth, np))


def true_is_normal(truth: Truth) -> np.ndarray:
    """Where the correctly rounded true value is a normal float of the format."""
    return (np.abs(truth.quanta) >= 2.0 ** (truth.fmt.precision - 1)) & ~truth.overflows & (truth.state == State.NUMBER)


def runs(codes: np.ndarray) -> list[Run]:
    """The maximal runs of equal codes of a sequence of shape `(n,)`, in order."""
    if len(codes) == 0:
        return []
    starts = np.concatenate([[0], np.flatnonzero(np.diff(codes)) + 1])
    stops = np.concatenate([starts[1:] - 1, [len(codes) - 1]])
    return [Run(int(a), int(b), int(codes[a])) for a, b in zip(starts, stops, strict=True)]
