"""The hunt for the worst error of a form in a format too wide to be exhausted.

It starts from random floats of every binade, from the floats around every region's end and from the worst of a sample,
and climbs: each round measures, around the floats with the largest errors so far,

- neighbours at every distance up to `NEAR` ordinals, and at random distances spread evenly in their logarithm;
- midpoints of pairs of them;
- floats at which the true value is next to the middle of two floats, where rounding alone costs 1/2 ulp: near an
  ordinal `n` the true value in ulps is `T(n) + slope * d` to far better than an ulp, so the `d` are computed;
- and fresh random floats: of every binade, and more of the binades of `2**-4 <= |z| < 2**11`, where the functions
  change.

What it finds is a lower bound of the largest error.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from stability.formats import FloatFormat
from stability.measure import INACCURATE, OK
from stability.measure.bisection import Sample, refine
from stability.sweep.points import binade_starts, dense_binades
from stability.truth import Truth

ROUNDS = 24
ELITE = 48
NEAR = 4
JUMPS = 16
RESTARTS = 1
DENSE_RESTARTS = 64
MIDPOINTS = 8
_REACH = 2048
_BASE = 64

Measured = Callable[[np.ndarray], np.ndarray]
"""From sorted ordinals of shape `(n,)` to their errors in ulps of the true value, -1 where none counts."""


def _at_random(
    fmt: FloatFormat, binades: slice, each: int, span: tuple[int, int], rng: np.random.Generator
) -> np.ndarray:
    """Ordinals of `span`: `each` of every chosen binade of both signs, or of the part of it that is inside."""
    edges = binade_starts(fmt)
    starts, stops = edges[:-1][binades], edges[1:][binades]
    starts, stops = np.concatenate([starts, -stops]), np.concatenate([stops, -starts])
    starts, stops = np.maximum(starts, span[0]), np.minimum(stops, span[1] + 1)
    inside = starts < stops
    widths = (stops - starts)[inside]
    return (starts[inside] + (rng.random((each, len(widths))) * widths).astype(np.int64)).ravel()


def _neighbours(best: np.ndarray, fmt: FloatFormat, rng: np.random.Generator) -> np.ndarray:
    near = np.arange(-NEAR, NEAR + 1)
    far = np.exp2(rng.random((len(best), JUMPS)) * (fmt.precision - 1)).astype(np.int64)
    far *= rng.choice([-1, 1], far.shape)
    pairs = rng.integers(0, len(best), (2, 2 * ELITE))
    middle = best[pairs[0]] // 2 + best[pairs[1]] // 2
    return np.concatenate([(best[:, None] + near).ravel(), (best[:, None] + far).ravel(), middle])


def _at_midpoints(best: np.ndarray, truth_at: Callable[[np.ndarray], Truth]) -> np.ndarray:
    if not len(best):
        return best
    here, ahead = truth_at(best), truth_at(best + _BASE)
    slope = ((ahead.quanta - here.quanta) + (ahead.fraction - here.fraction)) / _BASE
    steps = np.concatenate([np.arange(-_REACH, 0), np.arange(1, _REACH + 1)])
    with np.errstate(invalid="ignore"):
        predicted = here.fraction[:, None] + slope[:, None] * steps
        off = np.abs(predicted - np.floor(predicted) - 0.5)
    usable = (here.exponent == ahead.exponent) & (slope != 0) & np.isfinite(slope)
    chosen = np.argsort(np.where(usable[:, None], off, np.inf), axis=1, kind="stable")[:, :MIDPOINTS]
    return (best[:, None] + steps[chosen])[usable].ravel()


def _elite(ordinals: np.ndarray, ulps: np.ndarray, fmt: FloatFormat) -> np.ndarray:
    """The worst `ELITE` ordinals, and the worst of each of the `ELITE` worst binades."""
    order = np.argsort(-ulps, kind="stable")
    order = order[ulps[order] >= 0]
    magnitude = np.where(ordinals < 0, -ordinals - 1, ordinals)
    binade = np.sign(ordinals + 0.5) * (np.searchsorted(binade_starts(fmt), magnitude, "right") + 1)
    _, first = np.unique(binade[order], return_index=True)
    return np.union1d(ordinals[order[:ELITE]], ordinals[order[np.sort(first)[:ELITE]]])


def hunt(
    starts: np.ndarray,
    measured: Measured,
    truth_at: Callable[[np.ndarray], Truth],
    fmt: FloatFormat,
    span: tuple[int, int],
    seed: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Climbs from `starts` to larger errors.

    **Arguments:** `starts` ordinals of shape `(n,)`; `measured` and `truth_at` from sorted ordinals to errors and to
    true values; `span` the least and the greatest ordinal to look at; the same `seed` gives the same hunt.

    **Returns:** the ordinals looked at, sorted, each once, and their errors.
    """
    rng = np.random.default_rng(seed)
    seen, ulps = np.zeros(0, np.int64), np.zeros(0)
    wanted = np.concatenate([starts, _at_random(fmt, slice(None), 4, span, rng)])
    for _ in range(ROUNDS):
        fresh = np.setdiff1d(wanted[(wanted >= span[0]) & (wanted <= span[1])], seen)
        if not len(fresh):
            break
        merged = np.concatenate([seen, fresh])
        order = np.argsort(merged, kind="stable")
        seen, ulps = merged[order], np.concatenate([ulps, measured(fresh)])[order]
        best = _elite(seen, ulps, fmt)
        if not len(best):
            break
        wanted = np.concatenate(
            [
                _neighbours(best, fmt, rng),
                _at_midpoints(best[best <= span[1] - _BASE], truth_at),
                _at_random(fmt, slice(None), RESTARTS, span, rng),
                _at_random(fmt, dense_binades(fmt), DENSE_RESTARTS, span, rng),
            ]
        )
    return seen, ulps


def hunted(
    sample: Sample,
    measured: Callable[[np.ndarray], Sample],
    truth_at: Callable[[np.ndarray], Truth],
    fmt: FloatFormat,
    span: tuple[int, int],
    seed: int,
) -> tuple[Sample, int]:
    """The sample with the worst that a hunt in `span` finds and every failure that it meets, ends exact; and how many
    points it looked at."""
    met: list[Sample] = []

    def errors(ordinals: np.ndarray) -> np.ndarray:
        found = measured(ordinals)
        met.append(found)
        return found.counted()

    changes = np.flatnonzero(np.diff(sample.kinds))
    worst = sample.ordinals[np.argsort(-sample.counted(), kind="stable")[:1024]]
    starts = np.concatenate([sample.ordinals[changes], sample.ordinals[changes + 1], worst])
    ordinals, ulps = hunt(starts, errors, truth_at, fmt, span, seed)
    best = ordinals[np.argmax(ulps)]
    for found in met:
        keep = ~np.isin(found.kinds, (OK, INACCURATE)) | (found.ordinals == best)
        sample = sample.merged(found.only(keep))
    return refine(sample, measured), len(ordinals)
