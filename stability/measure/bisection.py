"""Bisection between points of different kinds, until the ends of all runs of one kind are neighbouring floats.

Where kinds alternate, there can be as many ends as floats: which are followed is a matter of `Effort`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from stability.measure import INACCURATE, OK


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
    """**Attributes:** `ahead` points up to which bisection measures more than one round at once; `spaces` between runs
    of a kind whose ends it follows, the widest, beside the first and the last end of the kind; `around` exact ends at
    most are looked around; `inside` random floats are looked at inside all regions together, about."""

    ahead: int
    spaces: int
    around: int
    inside: int


THOROUGH, SPARING = Effort(4096, 1 << 60, 256, 4096), Effort(16, 8, 32, 1024)
"""For measurements that cost little together, and for those that cost each."""


FAR = 16
"""Times as wide a space must be to be followed instead of another."""


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


def _followed(sample: Sample, effort: Effort) -> Gaps:
    """The gaps of a sample at the ends of its kinds that an effort follows.

    A space between two runs of a kind is as wide as the points in it that were looked at are apart. One whose ends are
    exact gives way to none that is not far wider: where kinds alternate, there would be no end to following others.
    """
    kinds, ordinals = sample.kinds, sample.ordinals
    exact = np.diff(ordinals) == 1
    chosen = [np.zeros(0, int)]
    for kind in np.unique(kinds[kinds != OK]):
        padded = np.concatenate([[False], kinds == kind, [False]])
        first, last = np.flatnonzero(padded[1:] & ~padded[:-1]), np.flatnonzero(padded[:-1] & ~padded[1:]) - 1
        before, after = last[:-1], first[1:] - 1
        width = ordinals[after].astype(np.float64) - ordinals[before + 1]
        widest = np.argsort(-width * np.where(exact[before] & exact[after], FAR, 1), kind="stable")[: effort.spaces]
        chosen += [before[widest], after[widest], first[:1] - 1, last[-1:]]
    at = np.unique(np.concatenate(chosen))
    at = at[(at >= 0) & (at < len(kinds) - 1)]
    return Gaps.of(ordinals[at], ordinals[at + 1], kinds[at], kinds[at + 1])


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


def blurred(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Where it is a tolerance that tells two kinds apart."""
    return np.isin(first, (OK, INACCURATE)) & np.isin(second, (OK, INACCURATE))


def at_equal_distances(found: np.ndarray, most: int) -> np.ndarray:
    """At most so many, at equal distances, the first and the last among them."""
    return found[np.unique(np.linspace(0, len(found) - 1, min(len(found), most)).astype(int))]


def _around_ends(sample: Sample, most: int) -> np.ndarray:
    """Ordinals at every power-of-two distance up to 4096 from the exact ends that no tolerance blurs.

    Of more than `most` such ends, which is kinds alternating, as many at equal distances in their order.
    """
    before, after = sample.kinds[:-1], sample.kinds[1:]
    exact = np.diff(sample.ordinals) == 1
    ends = sample.ordinals[:-1][exact & (before != after) & ~blurred(before, after)]
    ends = at_equal_distances(ends, most)
    steps = np.left_shift(np.int64(1), np.arange(13))
    near = (ends[:, None] + np.concatenate([-steps, 1 + steps])).ravel()
    return absent(near[(near >= sample.ordinals[0]) & (near <= sample.ordinals[-1])], sample.ordinals)


def refine(sample: Sample, measured: Callable[[np.ndarray], Sample], effort: Effort = THOROUGH) -> Sample:
    """Adds points until the ends of all runs of one kind, or those that an effort follows, are neighbouring floats.

    Plain bisection adds one point a gap and a round, so that a zone where two kinds alternate does not make
    ever more gaps. All points that the next rounds can need are measured at once, and the others
    dropped. Then the floats around each exact end are looked at, and what they open is bisected.
    """

    def bisect(s: Sample) -> Sample:
        while len((gaps := _followed(s, effort)).low):
            most = max(len(gaps.low), effort.spaces)
            while len(gaps.low):
                points, depth = _ahead(gaps.low, gaps.high, effort.ahead)
                looked_at, needed = measured(points), np.zeros(len(points), bool)
                for _ in range(depth):
                    middles = np.searchsorted(points, _middles(gaps.low, gaps.high))
                    needed[middles] = True
                    gaps = gaps.split(looked_at.kinds[middles], most)
                s = s.merged(looked_at.only(needed))
        return s

    sample = bisect(sample)
    near = _around_ends(sample, effort.around)
    return bisect(sample.merged(measured(near))) if len(near) else sample
