"""The evaluated points of a row, and the regions of one kind among them with exact ends.

Bisection between neighbouring points of different kinds goes on until every region ends at an exact float; random ones
inside the regions tell whether kinds alternate there. Where more than two do, there can be as many ends as floats: how
many are followed is a matter of `Effort`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from stability.formats import FloatFormat, from_ordinal, short_hex, to_ordinal, widen
from stability.measure import FAILURE_KINDS, INACCURATE, KINDS, NAN_INPUT, OK, Run, runs

LOOKED_AROUND = 256
INSIDE = 4096
LEAST_INSIDE = 8
"""Random floats looked at inside the regions of a row of a wide format, and in one of them, at least."""


@dataclass(frozen=True)
class Region:
    """A run of floats of one kind, by the ordinals of both ends.

    `count` of the floats between the ends are of that kind: fewer than all where kinds alternate from float to float,
    and the ends are then the first and the last of the kind. It is `counted` where every float was looked at, else
    estimated from those that were; the ends are exact either way.
    """

    kind: str
    start: int
    stop: int
    count: int
    counted: bool = True

    @property
    def width(self) -> int:
        return self.stop - self.start + 1

    @property
    def alternates(self) -> bool:
        return self.count < self.width

    @classmethod
    def from_json(cls, data: dict, fmt: FloatFormat) -> Region:
        return cls(
            data["kind"], ordinal_from(data["from"], fmt), ordinal_from(data["to"], fmt), data["count"], data["counted"]
        )


def regions_to_json(regions: Sequence[Region], fmt: FloatFormat) -> list[dict]:
    """Regions as JSON values."""
    ends = widen(from_ordinal(np.array([(r.start, r.stop) for r in regions], np.int64).reshape(-1, 2), fmt)).tolist()
    return [
        {"kind": r.kind, "from": short_hex(start), "to": short_hex(stop), "count": r.count, "counted": r.counted}
        for r, (start, stop) in zip(regions, ends, strict=True)
    ]


def nearest(regions: tuple[Region, ...], positive: bool, kind: str | None = None) -> tuple[int, str] | None:
    """The failing ordinal nearest to zero on one side, and its kind."""
    chosen = [r for r in regions if (r.kind in FAILURE_KINDS if kind is None else r.kind == kind)]
    if positive:
        return min(((max(r.start, 0), r.kind) for r in chosen if r.stop >= 0), default=None)
    return max(((min(r.stop, -1), r.kind) for r in chosen if r.start < 0), default=None)


def hex_at(ordinal: int, fmt: FloatFormat) -> str:
    return short_hex(float(from_ordinal(np.array([ordinal]), fmt)[0]))


def ordinal_from(text: str, fmt: FloatFormat) -> int:
    return int(to_ordinal(np.array(float.fromhex(text)).astype(fmt.dtype)))


@dataclass
class Sample:
    """The evaluated points of one row: ordinals, sorted, with kind, error, and state and normality of the truth."""

    ordinals: np.ndarray
    kinds: np.ndarray
    ulps: np.ndarray
    normal: np.ndarray
    states: np.ndarray

    def merged(self, other: Sample) -> Sample:
        ordinals, index = np.unique(np.concatenate([self.ordinals, other.ordinals]), return_index=True)
        joined = (np.concatenate(pair)[index] for pair in zip(self.columns(), other.columns(), strict=True))
        return Sample(ordinals, *joined)

    def only(self, where: np.ndarray) -> Sample:
        return Sample(self.ordinals[where], *(column[where] for column in self.columns()))

    def columns(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        return self.kinds, self.ulps, self.normal, self.states

    def counted(self) -> np.ndarray:
        """The errors that count towards the largest, -1 elsewhere: of finite results at a normal truth."""
        return np.where(self.normal & np.isin(self.kinds, (OK, INACCURATE)), self.ulps, -1.0)


class Effort(NamedTuple):
    """**Attributes:** `ahead` points up to which bisection measures more than one round at once; `gaps` ends between
    kinds of failing up to which it follows all, beyond which one in the place of two."""

    ahead: int
    gaps: int


THOROUGH, SPARING = Effort(4096, 1 << 62), Effort(64, 128)
"""For measurements that cost little together, and for those that cost each."""


class Gaps(NamedTuple):
    """Neighbouring points of different kinds that have floats between them: ordinals and kinds of both."""

    low: np.ndarray
    high: np.ndarray
    below: np.ndarray
    above: np.ndarray

    @classmethod
    def of(cls, low: np.ndarray, high: np.ndarray, below: np.ndarray, above: np.ndarray) -> Gaps:
        """The gaps among pairs of points."""
        open_ = (below != above) & (high - low > 1)
        return cls(low[open_], high[open_], below[open_], above[open_])

    def some(self, most: int) -> Gaps:
        """Those next to what is right, and at most so many of the others."""
        right = (self.below == OK) | (self.above == OK)
        chosen = np.union1d(np.flatnonzero(right), _some(np.flatnonzero(~right), most))
        return Gaps(*(column[chosen] for column in self))

    def split(self, kinds: np.ndarray, most: int) -> Gaps:
        """The gaps that are left when the kinds in the middles are known; of more than `most`, one in the place of
        each, that next to what is right if there is such."""
        middle, pair = _middles(self.low, self.high), np.concatenate
        if len(middle) > most:
            left = (self.below != kinds) & ((self.above == kinds) | (self.above != OK))
            halves = (middle, self.low), (self.high, middle), (kinds, self.below), (self.above, kinds)
            return Gaps.of(*(np.where(left, first, second) for second, first in halves))
        return Gaps.of(
            pair([self.low, middle]), pair([middle, self.high]), pair([self.below, kinds]), pair([kinds, self.above])
        )


def _middles(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    return low + (high - low) // 2


def _ahead(low: np.ndarray, high: np.ndarray, most: int) -> tuple[np.ndarray, int]:
    """The points that bisection can come to in its next rounds, about `most`, sorted, and in how many."""
    depth = max(int(np.log2(most / len(low) + 1)), 1)
    found = []
    for _ in range(depth):
        middle = _middles(low, high)
        found.append(middle)
        low, high = np.concatenate([low, middle]), np.concatenate([middle, high])
        apart = high - low > 1
        low, high = low[apart], high[apart]
    return np.unique(np.concatenate(found)), depth


def absent(ordinals: np.ndarray, among: np.ndarray) -> np.ndarray:
    """Those that are not `among` others, which ascend: sorted, each once."""
    found = np.unique(ordinals)
    at = np.searchsorted(among, found)
    return found[np.append(among, found[-1:] + 1)[at] != found]


def _blurred(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Where it is a tolerance that tells two kinds apart."""
    return np.isin(first, (OK, INACCURATE)) & np.isin(second, (OK, INACCURATE))


def _some(found: np.ndarray, most: int = LOOKED_AROUND) -> np.ndarray:
    """At most so many, at equal distances, the first and the last among them."""
    return found[np.unique(np.linspace(0, len(found) - 1, min(len(found), most)).astype(int))]


def _around_ends(sample: Sample) -> np.ndarray:
    """Ordinals at every power-of-two distance up to 4096 from the ends that no tolerance blurs.

    Of more than `LOOKED_AROUND` such ends, which is two kinds alternating, as many at equal distances in their order.
    """
    before, after = sample.kinds[:-1], sample.kinds[1:]
    ends = sample.ordinals[:-1][(before != after) & ~_blurred(before, after)]
    ends = _some(ends)
    steps = np.left_shift(np.int64(1), np.arange(13))
    near = (ends[:, None] + np.concatenate([-steps, 1 + steps])).ravel()
    return absent(near[(near >= sample.ordinals[0]) & (near <= sample.ordinals[-1])], sample.ordinals)


def refine(sample: Sample, measured: Callable[[np.ndarray], Sample], effort: Effort = THOROUGH) -> Sample:
    """Adds points until the ends of all runs of one kind are neighbouring floats.

    Plain bisection adds one point a gap and a round, so that a zone where two kinds alternate does not make
    ever more gaps. All points that the next rounds can need are measured at once, and the others
    dropped. Then the floats around each exact end are looked at, and what they open is bisected.
    """

    def bisect(s: Sample) -> Sample:
        gaps = Gaps.of(s.ordinals[:-1], s.ordinals[1:], s.kinds[:-1], s.kinds[1:]).some(effort.gaps)
        while len(gaps.low):
            points, depth = _ahead(gaps.low, gaps.high, effort.ahead)
            looked_at, needed = measured(points), np.zeros(len(points), bool)
            for _ in range(depth):
                middles = np.searchsorted(points, _middles(gaps.low, gaps.high))
                needed[middles] = True
                gaps = gaps.split(looked_at.kinds[middles], effort.gaps)
            s = s.merged(looked_at.only(needed))
        return s

    sample = bisect(sample)
    near = _around_ends(sample)
    return bisect(sample.merged(measured(near))) if len(near) else sample


def _runs(sample: Sample) -> list[Run]:
    return [run for run in runs(sample.kinds) if run.code not in (OK, NAN_INPUT)]


def looked_inside(
    sample: Sample, measured: Callable[[np.ndarray], Sample], seed: int, effort: Effort = THOROUGH
) -> tuple[Sample, Sample]:
    """The sample, and the points at random floats inside those of its runs that have floats it did not look at.

    What they show of another kind is added to the sample, except where it is the tolerance that tells it apart: of more
    than `LOOKED_AROUND` such, which is kinds alternating, as many at equal distances in their order.
    """
    first, last = np.array([(r.start, r.stop) for r in _runs(sample)], np.int64).reshape(-1, 2).T
    starts, width = sample.ordinals[first], sample.ordinals[last] - sample.ordinals[first] + 1
    partly = width > last - first + 1
    starts, width = (_some(v[partly], INSIDE // LEAST_INSIDE) for v in (starts, width))
    if not len(starts):
        return sample, sample.only(np.zeros(len(sample.kinds), bool))
    each = int(np.clip(INSIDE // len(starts), LEAST_INSIDE, 64))
    position = (np.arange(each) + np.random.default_rng(seed).random((len(starts), each))) / each
    inside = measured(np.unique(starts[:, None] + (position * width[:, None]).astype(np.int64)))
    of_run = sample.kinds[np.searchsorted(sample.ordinals, inside.ordinals, "right") - 1]
    clear = _some(np.flatnonzero((inside.kinds != of_run) & ~_blurred(inside.kinds, of_run)))
    return (refine(sample.merged(inside.only(clear)), measured, effort) if len(clear) else sample), inside


def _ends(sample: Sample, run: Run) -> tuple[int, int]:
    """The first and the last ordinal of a run; where bisection did not come to an end (`Effort`), in the middle
    between floats of different kinds."""

    def last(i: int) -> int:
        low, high = int(sample.ordinals[i]), int(sample.ordinals[min(i + 1, len(sample.ordinals) - 1)])
        return low + (high - low) // 2

    return last(run.start - 1) + 1 if run.start else int(sample.ordinals[0]), last(run.stop)


def number_of(kinds: Sequence[int], sample: Sample, inside: Sample) -> int:
    """How many floats are of some kinds of failing: of a run with some that were not looked at, by those `inside`."""
    total = 0
    for run in _runs(sample):
        start, stop = _ends(sample, run)
        first, last = np.searchsorted(inside.ordinals, [start, stop + 1])
        whole = stop - start == run.stop - run.start or first == last
        share = float(run.code in kinds) if whole else float(np.isin(inside.kinds[first:last], kinds).mean())
        total += round((stop - start + 1) * share)
    return total


def regions_of(sample: Sample, inside: Sample) -> tuple[Region, ...]:
    """The runs of a sample; where some floats were not looked at, the count is estimated from those `inside`."""
    found = []
    for run in _runs(sample):
        start, stop = _ends(sample, run)
        width, seen = stop - start + 1, run.stop - run.start + 1
        first, last = np.searchsorted(inside.ordinals, [start, stop + 1])
        same = inside.kinds[first:last] == run.code
        alternating = width > seen and not same.all()
        count = int(np.clip(round(width * same.mean()), seen, width - 1)) if alternating else width
        found.append(Region(KINDS[run.code], start, stop, count, counted=width == seen))
    return tuple(found)
