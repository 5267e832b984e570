"""What the exhaustive sweep knows of one form, label and sign, grown block by block."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field

import numpy as np

from stability.formats import FORMATS
from stability.measure import INACCURATE, KINDS, NAN_INPUT, OK, runs
from stability.sweep.blocks import BINS, BLOCK
from stability.sweep.outcome import PROFILE_BINS, profile_position

MAX_RUNS = 64
"""More runs than this in a block, all of `ok` and `inaccurate`, are kept as one region."""


def inputs(first: int, negative: bool) -> np.ndarray:
    """The floats of a block: float32 of shape `(BLOCK,)` from the magnitude `first` away from zero."""
    magnitude = np.arange(first, first + BLOCK, dtype=np.uint32)
    return (magnitude | np.uint32(negative << 31)).view(np.float32)


def _half_profile() -> list[list[int]]:
    return [[-1, 0] for _ in range(PROFILE_BINS // 2)]


@functools.lru_cache(maxsize=64)
def _bin(magnitude: int) -> int:
    """The bin of the profile of a float."""
    position = float(profile_position(np.array([magnitude], np.int32).view(np.float32), FORMATS["float32"])[0])
    return min(int(position * PROFILE_BINS / 2), PROFILE_BINS // 2 - 1)


@dataclass
class Stream:
    """One form, label and sign so far.

    `error` and `ok_error` are the largest of all and of the `ok` ones, as float32 bits, `at` and `ok_at` the first
    magnitudes of the first blocks that have them; `profile` such pairs by bin of `|z|`; `zones` the failures in order,
    as `[kind, first magnitude, last, points]`; `undecided` the points left to the proven reference, `by_balls` those
    of them that it left to balls.
    """

    form: str
    label: float
    negative: bool
    counts: list[int] = field(default_factory=lambda: [0] * len(KINDS))
    histogram: list[int] = field(default_factory=lambda: [0] * BINS)
    error: int = -1
    at: int = -1
    ok_error: int = -1
    ok_at: int = -1
    profile: list[list[int]] = field(default_factory=_half_profile)
    zones: list[list[int]] = field(default_factory=list)
    undecided: int = 0
    by_balls: int = 0

    @classmethod
    def from_json(cls, data: dict) -> Stream:
        """The stream that `asdict` made a dictionary of.

        **Raises:** `TypeError` or `ValueError` where it is none.
        """
        stream = cls(**data)
        lists = {"counts": len(KINDS), "histogram": BINS, "profile": PROFILE_BINS // 2, "zones": len(stream.zones)}
        flat = [stream.error, stream.at, stream.ok_error, stream.ok_at, stream.undecided, stream.by_balls]
        for name, length in lists.items():
            values = getattr(stream, name)
            if not isinstance(values, list) or len(values) != length:
                raise ValueError(name)
            flat += [n for v in values for n in (v if name in ("profile", "zones") else [v])]
        if any(len(zone) != 4 or zone[0] not in range(len(KINDS)) for zone in stream.zones):
            raise ValueError("zones")
        if not all(type(n) is int and -1 <= n <= 1 << 32 for n in flat) or any(len(p) != 2 for p in stream.profile):
            raise ValueError("numbers")
        return stream

    def add(self, counts: list[int], histogram: list[int], error: int, ok_error: int, first: int) -> None:
        """Adds the counts and the largest errors of the block at `first`."""
        self.counts = [a + b for a, b in zip(self.counts, counts, strict=True)]
        self.histogram = [a + b for a, b in zip(self.histogram, histogram, strict=True)]
        if error > self.error:
            self.error, self.at = error, first
        if ok_error > self.ok_error:
            self.ok_error, self.ok_at = ok_error, first
        if error >= 0:
            bin = self.profile[_bin(first)]
            if error > bin[0]:
                bin[:] = error, first

    def extend(self, kind: int, first: int, last: int, points: int) -> None:
        """Adds a zone, joined to the last of its kind where they touch, or where both are of alternating kinds."""
        if kind in (OK, NAN_INPUT):
            return
        for zone in reversed(self.zones[-2:]):
            alternating = points < last - first + 1 and zone[3] < zone[2] - zone[1] + 1
            if zone[0] == kind and (first == zone[2] + 1 or (alternating and first - zone[2] <= BLOCK)):
                zone[2], zone[3] = last, zone[3] + points
                return
        self.zones.append([kind, first, last, points])

    def extend_by_kinds(self, kinds: np.ndarray, first: int) -> None:
        """Adds the zones of a block from the kind of each of its points."""
        found = runs(kinds)
        if len(found) > MAX_RUNS:
            where = np.flatnonzero(kinds == INACCURATE)
            found = runs(np.where(kinds == INACCURATE, OK, kinds))
            if len(where):
                self.extend(INACCURATE, first + int(where[0]), first + int(where[-1]), len(where))
        for run in found:
            self.extend(run.code, first + run.start, first + run.stop, run.stop - run.start + 1)
