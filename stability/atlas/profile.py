"""The worst errors of a row along its floats, as text."""

from __future__ import annotations

import numpy as np

from stability.formats import FloatFormat, from_ordinal, to_ordinal, widen

BINS = 120
DENSE = ((-8.0, 0.2), (10.0, 0.85))
"""Exponents between which most functions change, and where they lie on the axis of a profile."""


def position(ordinals: np.ndarray, fmt: FloatFormat) -> np.ndarray:
    """Floats on the axis of a profile, in [-1, 1]: by the logarithm of their size, in three parts (`DENSE`)."""
    x = widen(from_ordinal(ordinals, fmt))
    with np.errstate(divide="ignore"):
        logs = np.log2(np.abs(x))
    size = np.interp(logs, *_knots(fmt))
    return np.where(ordinals < 0, -size, size)


def at_positions(positions: np.ndarray, fmt: FloatFormat) -> np.ndarray:
    """The ordinals of the finite floats nearest to positions on the axis of a profile."""
    exponents, places = _knots(fmt)
    size = np.exp2(np.minimum(np.interp(np.abs(positions), places, exponents), np.log2(fmt.max)))
    return to_ordinal(np.copysign(np.minimum(size, fmt.max), positions).astype(fmt.dtype))


def _knots(fmt: FloatFormat) -> tuple[list[float], list[float]]:
    """The exponents at which the axis changes its scale, and their places on it."""
    (low, at_low), (high, at_high) = DENSE
    return [fmt.least_exponent, low, high, fmt.emax + 1.0], [0.0, at_low, at_high, 1.0]


def bins(ordinals: np.ndarray, fmt: FloatFormat) -> np.ndarray:
    """Which of the `BINS` parts of the axis floats lie in."""
    return np.clip(((position(ordinals, fmt) + 1) * (BINS / 2)).astype(int), 0, BINS - 1)


def profile_text(ordinals: np.ndarray, ulps: np.ndarray, fmt: FloatFormat) -> str:
    """The worst of errors at floats, -1 where none counts, a character a bin: `~` where nothing counts, else from `!`
    for up to 1/8 ulp on, one more a doubling."""
    worst = np.full(BINS, -1.0)
    np.maximum.at(worst, bins(ordinals, fmt), ulps)
    levels = np.clip(np.ceil(np.log2(np.maximum(worst, 0.125))) + 3, 0, 80).astype(int)
    return "".join("~" if w < 0 else chr(33 + level) for w, level in zip(worst, levels, strict=True))
