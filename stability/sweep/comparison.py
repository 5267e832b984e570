"""Two outcomes of the same studies side by side: what moved from the one to the other, and whether it got worse.

A row is judged by the floats that **both** sweeps looked at, whose kinds both know. Of two rows that looked at every
float these are all. A sampled row looked at its grid, at the ends of its regions and the floats next to them; where
both bisected the same gap of the same grid, they looked at the same middles until the kinds differed. So two samples of
one function are never told apart, whatever their seeds and sizes.

A row is **worse** where, over these floats,

- more are of a failing kind, whatever kind they were of before; but of `inaccurate` ones only those count that did not
  fail before, because any other failure is worse than a few wrong digits;
- the first NaN, or the first 0 in place of a normal number, is nearer to zero;
- its largest error is larger: that of a sample is a lower bound, and an error that is larger than a bound, but at a
  float that the other did not look at, shows nothing;
- it could be measured before, and no longer can; or it is missing among rows of its form, format, label and mode.

**Better** is the opposite. What moved in any other way is told, and not judged.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from stability.formats import FORMATS, FloatFormat, to_ordinal, widen
from stability.measure import FAILURE_KINDS, FAILURES, INACCURATE, KINDS
from stability.measure.regions import nearest
from stability.sweep.outcome import Outcome, Row
from stability.sweep.points import floats_of

VERDICTS = WORSE, BETTER, OPEN = "worse", "better", "not judged"
APART = ("outside", "undecided")
"""Kinds that are no failures, and whose numbers are told."""
FIRST = ("nan", "vanished")
"""Kinds whose first float is judged."""
SAME_ERROR = 2.0**-20
"""Relative difference of two largest errors up to which they are the same: the device finds them to `2**-22`."""

Key = tuple[str, str, str, float | None, str]
"""Of a row: study, form, format, label, mode."""


@dataclass(frozen=True)
class Sampling:
    """Which floats of a wide format a sweep started from, and the tolerance of its kinds."""

    points: int
    seed: int
    domain: tuple[float, float]
    tolerance: float

    @classmethod
    def of(cls, manifest: dict) -> Sampling | None:
        """That of a manifest, or `None` where it does not say."""
        if not {"points", "seed", "domain", "tolerance"} <= manifest.keys():
            return None
        low, high = map(float.fromhex, manifest["domain"])
        return cls(manifest["points"], manifest["seed"], (low, high), manifest["tolerance"])


class Change(NamedTuple):
    """One thing that is not as it was: `what` of "floats" (of a kind), "first" (float of a kind on a side of zero, an
    ordinal), "worst" (error in ulps), "error" (why the row was not measured), "regions" and "errors" (of how many bins
    of the profile); before and after, `None` where there is none."""

    what: str
    before: float | str | None
    after: float | str | None
    verdict: str
    kind: str = ""
    positive: bool = True

    @property
    def numbers(self) -> tuple[float, float]:
        """Before and after where they are numbers, 0 for none."""
        was, now = (n if isinstance(n, int | float) else 0 for n in (self.before, self.after))
        return was, now


@dataclass(frozen=True)
class Moved:
    """A row that is not as it was. `floats` of those looked at by both, which are `every` float or not."""

    before: Row
    after: Row
    floats: int
    every: bool
    changes: tuple[Change, ...]

    @property
    def verdict(self) -> str:
        found = {change.verdict for change in self.changes}
        return next(verdict for verdict in VERDICTS if verdict in found)

    @property
    def severity(self) -> tuple[bool, float, float]:
        """How much worse it got, to sort by: no longer measured, floats that fail more, the factor of the error."""
        judged = [change for change in self.changes if change.verdict == self.verdict]
        more = sum(abs(change.numbers[1] - change.numbers[0]) for change in judged if change.what == "floats")
        errors = [change.numbers for change in judged if change.what == "worst"]
        ratio = max((after / max(before, 2.0**-30) for before, after in errors), default=0.0)
        return any(change.what == "error" for change in judged), more, ratio


@dataclass(frozen=True)
class Comparison:
    """What moved, the worst first; the rows that are missing among rows of their kind, which is worse; those of which
    one outcome has no such form, format, label or mode at all, which is not judged; and how many rows both have."""

    moved: tuple[Moved, ...]
    missing: tuple[Key, ...]
    only_before: tuple[Key, ...]
    only_after: tuple[Key, ...]
    shared: int

    @property
    def worse(self) -> bool:
        return bool(self.missing) or any(row.verdict == WORSE for row in self.moved)


def key_of(row: Row) -> Key:
    return row.study, row.form, row.dtype, row.label, row.mode


def compared(
    before: Outcome, after: Outcome, sampled: tuple[Sampling | None, Sampling | None] = (None, None)
) -> Comparison:
    """What moved from an outcome to another.

    **Arguments:** `sampled` of the one and the other: where it is not known, rows that did not look at every float have
    in common only the ends of their regions.
    """
    old, new = ({key_of(row): row for row in outcome.rows} for outcome in (before, after))
    shared = [key for key in old if key in new]
    moved = [found for key in shared if (found := _moved(old[key], new[key], sampled))]
    moved.sort(key=lambda row: (VERDICTS.index(row.verdict), *(-part for part in row.severity)))
    forms, settings = {key[:2] for key in new}, {(key[0], *key[2:]) for key in new}
    gone = [key for key in old if key not in new]
    missing = [key for key in gone if key[:2] in forms and (key[0], *key[2:]) in settings]
    return Comparison(
        tuple(moved),
        tuple(missing),
        tuple(key for key in gone if key not in missing),
        tuple(key for key in new if key not in old),
        len(shared),
    )


def _moved(a: Row, b: Row, sampled: tuple[Sampling | None, Sampling | None]) -> Moved | None:
    if a.error or b.error:
        if a.error == b.error:
            return None
        verdict = OPEN if a.error and b.error else WORSE if b.error else BETTER
        return Moved(a, b, 0, False, (Change("error", a.error, b.error, verdict),))
    one_domain = len({s.domain for s in sampled if s}) < 2
    every = a.exhaustive and b.exhaustive and a.points == b.points and one_domain
    same = np.zeros(0, np.int64) if every else _looked_at_by_both(a, b, sampled)
    kinds = [_kinds_at(row, same) for row in (a, b)]
    known = (kinds[0] >= 0) & (kinds[1] >= 0)
    same, kinds = same[known], [k[known] for k in kinds]
    if every:
        counts = [[row.counts.get(kind, 0) for kind in KINDS] for row in (a, b)]
    else:
        counts = [np.bincount(k, minlength=len(KINDS)).tolist() for k in kinds]
    one_tolerance = len({s.tolerance for s in sampled if s}) < 2
    alike = every or _same_floats(a, b, sampled)
    changes = [
        *_counted(counts[0], counts[1], one_tolerance),
        *(c for kind in FAILURE_KINDS for side in (False, True) for c in _first(a, b, kind, side, every, same, kinds)),
        *_worst(a, b, alike, one_domain),
    ]
    if not changes and a.regions != b.regions:
        changes.append(Change("regions", len(a.regions), len(b.regions), OPEN))
    if not changes and alike and a.profile != b.profile:
        differ = ~((a.profile.ulps == b.profile.ulps) | (np.isnan(a.profile.ulps) & np.isnan(b.profile.ulps)))
        changes.append(Change("errors", 0, int(differ.sum()), OPEN))
    return Moved(a, b, a.points if every else len(same), every, tuple(changes)) if changes else None


def _counted(a: list[int], b: list[int], one_tolerance: bool) -> list[Change]:
    """The kinds that have more floats or fewer. `inaccurate` ones that failed in another way before are no worse."""
    failing = [sum(counts[code] for code in FAILURES) for counts in (a, b)]
    found = []
    for kind in (*FAILURE_KINDS, *APART):
        before, after = (counts[KINDS.index(kind)] for counts in (a, b))
        verdict = WORSE if after > before else BETTER
        if kind == KINDS[INACCURATE] and (not one_tolerance or (after > before) != (failing[1] > failing[0])):
            verdict = OPEN
        if before != after:
            found.append(Change("floats", before, after, OPEN if kind in APART else verdict, kind))
    return found


def _nearer(a: int | None, b: int | None) -> str:
    """`WORSE` where the second of two ordinals on one side of zero is nearer to it, or the only one."""
    if a == b:
        return OPEN
    return WORSE if a is None or (b is not None and abs(b + 0.5) < abs(a + 0.5)) else BETTER


def _first(
    a: Row, b: Row, kind: str, positive: bool, every: bool, same: np.ndarray, kinds: list[np.ndarray]
) -> list[Change]:
    ends = [found[0] if (found := nearest(row.regions, positive, kind)) else None for row in (a, b)]
    if ends[0] == ends[1]:
        return []
    proven = ends
    if not every:
        side = same >= 0 if positive else same < 0
        chosen = [same[side & (k == KINDS.index(kind))] for k in kinds]
        proven = [(int(c.min()) if positive else int(c.max())) if len(c) else None for c in chosen]
    verdict = _nearer(*proven) if kind in FIRST else OPEN
    return [Change("first", ends[0], ends[1], verdict, kind, positive)]


def _worst(a: Row, b: Row, alike: bool, one_domain: bool) -> list[Change]:
    """The largest errors of the domain as intervals: of a sample only the lower end is known."""
    lows = [-1.0 if row.max_ulp is None else row.max_ulp for row in (a, b)]
    if abs(lows[1] - lows[0]) <= SAME_ERROR * max(lows):
        return []
    highs = [low if alike or (one_domain and row.exhaustive) else np.inf for low, row in zip(lows, (a, b), strict=True)]
    verdict = WORSE if lows[1] > highs[0] else BETTER if highs[1] < lows[0] else OPEN
    return [Change("worst", a.max_ulp, b.max_ulp, verdict)]


def _same_floats(a: Row, b: Row, sampled: tuple[Sampling | None, Sampling | None]) -> bool:
    """Whether two samples looked at the same floats: what they start from decides it, and where kinds change."""
    one_grid = sampled[0] is not None and sampled[0] == sampled[1]
    unhunted = a.searched is None and b.searched is None
    return one_grid and unhunted and a.regions == b.regions and a.points == b.points


def _ordinals(fmt: FloatFormat, sampling: Sampling) -> np.ndarray:
    z = floats_of(fmt, sampling.domain, sampling.points, sampling.seed)
    return to_ordinal(z[~np.isnan(widen(z))])


def _looked_at(row: Row, sampling: Sampling | None) -> np.ndarray:
    """Floats that a sampled row looked at for sure: the ends of its regions, and where its start is known, that and the
    floats next to the ends."""
    ends = np.array([(r.start, r.stop) for r in row.regions], np.int64).reshape(-1, 2)
    if sampling is None:
        return np.unique(ends)
    grid = _ordinals(FORMATS[row.dtype], sampling)
    beside = (ends + np.array([-1, 1])).ravel()
    beside = beside[(beside >= grid.min()) & (beside <= grid.max())]
    return np.unique(np.concatenate([grid, ends.ravel(), beside]))


def _looked_at_by_both(a: Row, b: Row, sampled: tuple[Sampling | None, Sampling | None]) -> np.ndarray:
    wide = FORMATS[a.dtype].bits != 16
    if a.exhaustive and wide:
        return _looked_at(b, sampled[1])
    if b.exhaustive and wide:
        return _looked_at(a, sampled[0])
    start, other = sampled
    same = np.intersect1d(_looked_at(a, start), _looked_at(b, other))
    if start is None or start != other or a.screening or b.screening:
        return same
    return np.union1d(same, _middles(a, b, _ordinals(FORMATS[a.dtype], start)))


def _middles(a: Row, b: Row, grid: np.ndarray) -> np.ndarray:
    """The floats that bisection came to in both rows, in the gaps of their grid in which each has one end."""

    def ends(row: Row) -> dict[int, list[int]]:
        firsts = sorted({n for r in row.regions for n in (r.start, r.stop + 1)})
        gaps: dict[int, list[int]] = {}
        for gap, end in zip(np.searchsorted(grid, firsts).tolist(), firsts, strict=True):
            gaps.setdefault(gap, []).append(end)
        return gaps

    one, other = ends(a), ends(b)
    found = []
    for gap in one.keys() & other.keys():
        if 0 < gap < len(grid) and len(one[gap]) == len(other[gap]) == 1:
            low, high = int(grid[gap - 1]), int(grid[gap])
            (p,), (q,) = one[gap], other[gap]
            while high - low > 1:
                middle = low + (high - low) // 2
                found.append(middle)
                if (middle < p) != (middle < q):
                    break
                low, high = (middle, high) if middle < p else (low, middle)
    return np.array(found, np.int64)


def _kinds_at(row: Row, ordinals: np.ndarray) -> np.ndarray:
    """The kind of a row at floats that it looked at, as a code, 0 where it is none of a region's; -1 where it is not
    known, because the row gives floats of alternating kinds as one region."""
    codes = np.zeros(len(ordinals), np.int64)
    for region in sorted(row.regions, key=lambda r: r.alternates):
        first, last = np.searchsorted(ordinals, [region.start, region.stop + 1])
        codes[first:last] = -1 if row.exhaustive and region.alternates else KINDS.index(region.kind)
    return codes
