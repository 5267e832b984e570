"""The evaluated points of a row, and the regions of one kind among them with exact ends.

Random floats inside the regions that bisection found tell whether kinds alternate there. Runs of a kind between which
it did not follow the ends are told as one region.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from stability.formats import FloatFormat, from_ordinal, short_hex, to_ordinal, widen
from stability.measure import FAILURE_KINDS, KINDS, NAN_INPUT, OK, Run, runs
from stability.measure.bisection import THOROUGH, Effort, Sample, at_equal_distances, blurred, refine

LEAST_INSIDE, MOST_INSIDE, MOST_AMONG = 8, 64, 512
"""Random floats looked at inside a region of a row of a wide format, at least, in one of which every point so far is
of its kind at most, and in another one at most."""
BETWEEN, SHARE = 32, 1 / 16
"""Random floats looked at between two of those, and the share of them that makes the two one."""


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


def _runs(sample: Sample) -> list[Run]:
    return [run for run in runs(sample.kinds) if run.code not in (OK, NAN_INPUT)]


def looked_inside(
    sample: Sample, measured: Callable[[np.ndarray], Sample], seed: int, effort: Effort = THOROUGH
) -> tuple[Sample, Sample]:
    """The sample, and the points at random floats inside those of its regions that have floats it did not look at.

    What they show of a kind that has no region there is added to the sample, except where it is the tolerance that
    tells it apart: of more than `effort.around` such, which is kinds alternating, as many at equal distances in their
    order.
    """
    random = np.random.default_rng(seed)
    inside = _points_inside(sample, measured, random, effort)
    told = _told_as_one(sample, inside)
    of_run = sample.kinds[np.searchsorted(sample.ordinals, inside.ordinals, "right") - 1]
    new = (inside.kinds != of_run) & ~blurred(inside.kinds, of_run) & _is_apart(inside, told)
    clear = at_equal_distances(np.flatnonzero(new), effort.around)
    if len(clear):
        sample = refine(sample.merged(inside.only(clear)), measured, effort)
        if any(len(group.runs) > 1 for group in told):
            inside = _points_inside(sample, measured, random, effort)
    return sample, inside


def _points_inside(
    sample: Sample, measured: Callable[[np.ndarray], Sample], random: np.random.Generator, effort: Effort
) -> Sample:
    """Random floats inside regions, of those that a sample has only some of, and between those of several runs."""
    told = _by_exact_ends(sample)
    partly = [group for group in told if not group.is_whole(sample)]
    partly = [partly[i] for i in at_equal_distances(np.arange(len(partly)), effort.inside // LEAST_INSIDE)]
    if not partly:
        return sample.only(np.zeros(len(sample.kinds), bool))
    mixed = sum(group.width for group in partly if len(group.runs) > 1)
    numbers = [effort.inside // len(partly) if len(g.runs) == 1 else effort.inside * g.width // mixed for g in partly]
    positions = [group.positions(number, random) for group, number in zip(partly, numbers, strict=True)]
    positions += [a.space_before(b).positions(BETWEEN, random) for a, b in _pairs(told)]
    return measured(np.unique(np.concatenate(positions)))


def _is_apart(found: Sample, told: list[Together]) -> np.ndarray:
    """Which points are in no region of their kind."""
    apart = np.ones(len(found.kinds), bool)
    for group in told:
        apart &= (found.kinds != group.code) | (found.ordinals < group.start) | (found.ordinals > group.stop)
    return apart


class Together(NamedTuple):
    """Runs of a kind that are told as one region. **Attributes:** its ordinals at both ends, and the runs."""

    code: int
    start: int
    stop: int
    runs: list[Run]

    @property
    def width(self) -> int:
        return self.stop - self.start + 1

    @property
    def seen(self) -> int:
        """The points of a sample in it that are of its kind."""
        return sum(run.stop - run.start + 1 for run in self.runs)

    def space_before(self, other: Together) -> Together:
        """What is between this and another, with no runs."""
        return Together(OK, self.stop + 1, other.start - 1, [])

    def is_whole(self, sample: Sample) -> bool:
        """Whether a sample has every float in it."""
        return self.runs[-1].stop - self.runs[0].start + 1 == self.width

    def positions(self, about: int, random: np.random.Generator) -> np.ndarray:
        """Random ordinals in it, one in each of as many equal parts."""
        each = int(np.clip(about, LEAST_INSIDE, MOST_INSIDE if len(self.runs) == 1 else MOST_AMONG))
        position = (np.arange(each) + random.random(each)) / each
        return np.array([self.start + int(at * self.width) for at in position.tolist()], np.int64)


def _ends(sample: Sample, run: Run) -> tuple[int, int]:
    """The first and the last ordinal of a run; where bisection did not come to an end (`Effort`), in the middle
    between floats of different kinds."""

    def last(i: int) -> int:
        low, high = int(sample.ordinals[i]), int(sample.ordinals[min(i + 1, len(sample.ordinals) - 1)])
        return low + (high - low) // 2

    return last(run.start - 1) + 1 if run.start else int(sample.ordinals[0]), last(run.stop)


def _pairs(told: list[Together]) -> list[tuple[Together, Together]]:
    """Regions of a kind that are of several runs, and the next such."""
    mixed = sorted((group for group in told if len(group.runs) > 1), key=lambda group: (group.code, group.start))
    return [(a, b) for a, b in itertools.pairwise(mixed) if a.code == b.code]


def _told_as_one(sample: Sample, inside: Sample) -> list[Together]:
    """The runs of a sample by the regions that they are told as: those by exact ends, of which two of several runs are
    one if what is between them is of their kind too, by the points `inside`."""
    filled = []
    for a, b in _pairs(_by_exact_ends(sample)):
        first, last = np.searchsorted(inside.ordinals, [a.stop + 1, b.start])
        same = inside.kinds[first:last] == a.code
        if same.sum() > 1 and same.mean() >= SHARE:
            filled.append((a, b))
    return _by_exact_ends(sample, filled)


def _by_exact_ends(sample: Sample, filled: Sequence[tuple[Together, Together]] = ()) -> list[Together]:
    """The runs of a sample, as one those of a kind between which an end is not exact, or in a space that is filled."""

    def is_apart(before: Together, run: Run, start: int) -> bool:
        if any(a.code == run.code and a.stop <= before.stop and start <= b.start for a, b in filled):
            return False
        return _is_exact(sample, before.runs[-1].stop) and _is_exact(sample, run.start - 1)

    found: list[Together] = []
    latest: dict[int, int] = {}
    for run in _runs(sample):
        start, stop = _ends(sample, run)
        at = latest.get(run.code)
        if at is None or is_apart(found[at], run, start):
            latest[run.code] = len(found)
            found.append(Together(run.code, start, stop, [run]))
        else:
            found[at] = found[at]._replace(stop=stop, runs=[*found[at].runs, run])
    return found


def _is_exact(sample: Sample, before: int) -> bool:
    """Whether an end after a point of a sample is between neighbours among floats, or of all."""
    if not 0 <= before < len(sample.ordinals) - 1:
        return True
    return int(sample.ordinals[before + 1]) == int(sample.ordinals[before]) + 1


def _estimated(kinds: Sequence[int], start: int, stop: int, among: Sample) -> int:
    """How many floats from one ordinal to another are nearest to a point that is of some kinds."""
    first, last = np.searchsorted(among.ordinals, [start, stop + 1])
    near = slice(max(first - 1, 0), last + 1)
    middles = [(a + b) // 2 + 1 for a, b in itertools.pairwise(among.ordinals[near].tolist())]
    edges = [start, *(min(max(middle, start), stop + 1) for middle in middles), stop + 1]
    cells = zip(among.kinds[near].tolist(), itertools.pairwise(edges), strict=False)
    return sum(high - low for kind, (low, high) in cells if kind in kinds)


def number_of(kinds: Sequence[int], regions: Sequence[Region], inside: Sample) -> int:
    """How many floats are of some kinds of failing, by the regions of a sample in order; where kinds alternate, by
    those `inside`."""
    chosen = [r for r in regions if KINDS.index(r.kind) in kinds]
    whole, mixed = ([r for r in chosen if r.alternates == there] for there in (False, True))
    total = sum(r.width for r in whole)
    after = mixed[0].start if mixed else 0
    for r in mixed:
        begin = max(r.start, after)
        cuts = [w for w in whole if w.stop >= begin and w.start <= r.stop]
        starts, stops = [begin, *(w.stop + 1 for w in cuts)], [*(w.start - 1 for w in cuts), r.stop]
        parts = zip(starts, stops, strict=True)
        total += sum(_estimated(kinds, *part, inside) for part in parts if part[0] <= part[1])
        after = max(after, r.stop + 1)
    return total


def regions_of(sample: Sample, inside: Sample) -> tuple[Region, ...]:
    """The regions of a sample, whose ends are exact; where some floats were not looked at, the count is estimated from
    those `inside`.

    Runs of a kind between which an end is not exact (`Effort`), or much is of the kind too, are one region, in which
    kinds alternate.
    """
    found = []
    for group in _told_as_one(sample, inside):
        whole, width = group.is_whole(sample), group.width
        if len(group.runs) == 1:
            first, last = np.searchsorted(inside.ordinals, [group.start, group.stop + 1])
            same = inside.kinds[first:last] == group.code
            about = width if whole or same.all() else min(round(width * same.mean()), width - 1)
        else:
            about = min(_estimated([group.code], group.start, group.stop, inside), width - 1)
        count = max(about, group.seen)
        found.append(Region(KINDS[group.code], group.start, group.stop, count, counted=whole))
    return tuple(found)
