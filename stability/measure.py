"""Results against the truth: errors in ulps, one kind of failure a point, regions of one kind.

**The ulp** is Goldberg's: the spacing of the binade that holds the *true* value, and the spacing of the
subnormals below the least normal (and for a true value of 0). The error is the fraction
`|result - true| / ulp`, so a correctly rounded result is within 0.5. At a power of two this differs from the
Kahan-Harrison ulp, the distance between the two floats that straddle the value, by at most a factor of two.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from stability.floats import FloatFormat, widen
from stability.reference import Truth

KINDS = ("ok", "nan", "inf", "vanished", "flushed", "wrong_sign", "inaccurate", "nan_input")
"""What a point can be, in the order of the codes that `classify` returns.

`nan`: NaN where the truth is a number. `inf`: infinite where it is finite. `vanished`: 0 where the truth rounds to
a normal float. `flushed`: 0 where it rounds to a subnormal. `wrong_sign`: neither is 0 and the signs differ.
`inaccurate`: none of these, and the error is over the tolerance. `nan_input`: the input is NaN (or the truth is not
defined there) and so is the result, which is right; a number there is `inaccurate`. An infinity where the truth
rounds to it is `ok`.
"""

OK, NAN, INF, VANISHED, FLUSHED, WRONG_SIGN, INACCURATE, NAN_INPUT = range(len(KINDS))


class Run(NamedTuple):
    """Consecutive positions `start` to `stop` (both inclusive) of one code."""

    start: int
    stop: int
    code: int


def error_in_ulps(result: np.ndarray, truth: Truth) -> np.ndarray:
    """`|result - true|` in ulps of the true value: float64, NaN where either is NaN.

    **Arguments:** `result` of shape `(n,)` in the format of `truth`. An error too large for float64 is
    given as the greatest float64; that of an infinite result is infinite.
    """
    x = widen(result)
    with np.errstate(over="ignore", invalid="ignore"):
        ulps = np.abs((np.ldexp(x, -truth.exponent) - truth.quanta) - truth.fraction)
    return np.where(np.isinf(ulps) & np.isfinite(x), np.finfo(np.float64).max, ulps)


def true_is_normal(truth: Truth, fmt: FloatFormat) -> np.ndarray:
    """Where the correctly rounded true value is a normal float of `fmt`."""
    size = np.abs(truth.rounded)
    return (size >= fmt.smallest_normal) & (size <= fmt.max)


def classify(result: np.ndarray, truth: Truth, fmt: FloatFormat, tolerance: float) -> tuple[np.ndarray, np.ndarray]:
    """The kind of each result, as an index into `KINDS` (int8), and its error in ulps (float64).

    **Arguments:** `result` of shape `(n,)`; `tolerance` in ulps of the true value.
    """
    x = widen(result)
    rounded = truth.rounded
    overflowed = np.isinf(x) & (np.abs(rounded) > fmt.max) & (np.sign(x) == np.sign(rounded))
    ulps = np.where(overflowed, 0.0, error_in_ulps(result, truth))
    nan_input = np.isnan(truth.quanta)
    zero = x == 0
    subnormal = (np.abs(rounded) < fmt.smallest_normal) & (rounded != 0)
    kind = np.select(
        [
            nan_input & np.isnan(x),
            nan_input,
            np.isnan(x),
            overflowed,
            np.isinf(x),
            zero & subnormal,
            zero & (rounded != 0),
            (rounded != 0) & (np.sign(x) != np.sign(rounded)),
            ulps > tolerance,
        ],
        [NAN_INPUT, INACCURATE, NAN, OK, INF, FLUSHED, VANISHED, WRONG_SIGN, INACCURATE],
        default=OK,
    )
    return kind.astype(np.int8), ulps


def runs(codes: np.ndarray) -> list[Run]:
    """The maximal runs of equal codes of a sequence of shape `(n,)`, in order."""
    if len(codes) == 0:
        return []
    starts = np.concatenate([[0], np.flatnonzero(np.diff(codes)) + 1])
    stops = np.concatenate([starts[1:] - 1, [len(codes) - 1]])
    return [Run(int(a), int(b), int(codes[a])) for a, b in zip(starts, stops, strict=True)]
