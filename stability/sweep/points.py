"""The floats that a sweep starts from."""

from __future__ import annotations

import functools

import numpy as np

from stability.formats import FloatFormat, every_float, from_ordinal, to_ordinal, widen

DENSE_BINADES = (-4, 11)
"""The exponents of the binades where the functions change."""


def binade_starts(fmt: FloatFormat) -> np.ndarray:
    """The ordinals at which the binades from zero up begin, the subnormal ones included, and that of infinity."""
    subnormal = np.left_shift(np.int64(1), np.arange(fmt.precision - 1))
    normal = np.arange(1, fmt.emax - fmt.emin + 3, dtype=np.int64) << (fmt.precision - 1)
    return np.concatenate([subnormal, normal])


def dense_binades(fmt: FloatFormat) -> slice:
    """Those of `binade_starts` at which the binades of `DENSE_BINADES` begin."""
    first = fmt.precision - 1 + DENSE_BINADES[0] - fmt.emin
    return slice(first, first + DENSE_BINADES[1] - DENSE_BINADES[0])


def grid(fmt: FloatFormat, points: int, seed: int) -> np.ndarray:
    """About `points` ordinals of a wide format, sorted, the same for the same seed.

    Half are spread over every binade of both signs, every subnormal binade included, each stratified
    with a random offset; half over the binades of `2**-4 <= |z| < 2**11`, where the functions change.
    Every power of two and both its neighbours, both zeros, both infinities and the greatest floats are in.
    """
    rng = np.random.default_rng(seed)
    edges = binade_starts(fmt)
    widths = np.diff(edges)
    dense = np.arange(len(widths))[dense_binades(fmt)]

    def stratified(binades: np.ndarray, total: int) -> np.ndarray:
        each = max(total // (2 * len(binades)), 1)
        position = (np.arange(each) + rng.random((len(binades), each))) / each
        return (edges[binades][:, None] + np.floor(position * widths[binades][:, None]).astype(np.int64)).ravel()

    magnitudes = np.concatenate(
        [
            [0, fmt.infinity],
            *(np.clip(edges + d, 0, fmt.infinity) for d in (-1, 0, 1)),
            stratified(np.arange(len(widths)), points // 2),
            stratified(dense, points // 2),
        ]
    ).astype(np.int64)
    return np.unique(np.concatenate([magnitudes, -magnitudes - 1]))


@functools.lru_cache(maxsize=16)
def floats_of(fmt: FloatFormat, domain: tuple[float, float], points: int, seed: int) -> np.ndarray:
    """The floats of `domain` that a sweep starts from: all of a 16-bit format, a grid of a wider one, NaN after them.

    A part of the line has its ends, the points that `grid` has there, and half as many as `points` at equal distances
    in ordinals with random offsets; no NaN, which lies in no range. The array can't be written to.
    """
    z = _floats_of(fmt, domain, points, seed)
    z.flags.writeable = False
    return z


def _floats_of(fmt: FloatFormat, domain: tuple[float, float], points: int, seed: int) -> np.ndarray:
    whole = domain == (-np.inf, np.inf)
    if fmt.bits == 16:
        z = every_float(fmt)
        return z if whole else z[(widen(z) >= domain[0]) & (widen(z) <= domain[1])]
    ordinals = grid(fmt, points, seed)
    if whole:
        return np.concatenate([from_ordinal(ordinals, fmt), np.array([np.nan], fmt.dtype)])
    first, last = ordinals_within(domain, fmt)
    inside = ordinals[(ordinals >= first) & (ordinals <= last)]
    strata = max(points // 2, 1)
    position = (np.arange(strata) + np.random.default_rng(seed).random(strata)) / strata
    offset = np.floor(position * float(last - first)).astype(np.uint64)
    spread = (np.array([first]).astype(np.uint64) + offset).astype(np.int64)
    return from_ordinal(np.unique(np.concatenate([inside, spread, [first, last]])), fmt)


def holds_floats(domain: tuple[float, float], fmt: FloatFormat) -> bool:
    """Whether any float lies in a closed range."""
    first, last = ordinals_within(domain, fmt)
    return domain[0] <= domain[1] and first <= last


def ordinals_within(domain: tuple[float, float], fmt: FloatFormat) -> tuple[int, int]:
    """The ordinals of the least and the greatest float of `fmt` in a closed range; the first is greater if none is."""
    with np.errstate(over="ignore"):
        low, high = (int(to_ordinal(np.array([v]).astype(fmt.dtype))[0]) for v in domain)
    low += float(widen(from_ordinal(np.array([low]), fmt))[0]) < domain[0]
    high -= float(widen(from_ordinal(np.array([high]), fmt))[0]) > domain[1]
    return min(low, -1) if domain[0] == 0 else low, max(high, 0) if domain[1] == 0 else high
