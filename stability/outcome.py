"""What a sweep finds, as data: rows, regions, disagreements, and their form in `summary.json`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stability.floats import FORMATS, FloatFormat, from_ordinal, hex_of, widen


@dataclass(frozen=True)
class Region:
    """A maximal run of floats of one kind, by the ordinals of both ends.

    `points` where fewer than all floats between them are of that kind: an exhaustive sweep of a wide format joins what
    alternates with `ok` from float to float.
    """

    kind: str
    start: int
    stop: int
    points: int | None = None

    @property
    def count(self) -> int:
        return self.stop - self.start + 1 if self.points is None else self.points


@dataclass(frozen=True)
class Profile:
    """What plots show of a row: the worst error in each of the bins of equal width in `arcsinh(2 z)`, or, where the row
    has no label, in the ordinal of z.

    **Attributes:** `z` the input of the worst error of each bin (float64), `ulps` that error, NaN where the bin
    has no `ok` or `inaccurate` point with a normal true value.
    """

    z: np.ndarray
    ulps: np.ndarray


PROFILE_BINS = 240


def profile_position(z: np.ndarray, fmt: FloatFormat) -> np.ndarray:
    """Floats on the axis of a profile: `arcsinh(2 z)` scaled to [-1, 1], clipped where every gradient has vanished."""
    reach = -1.2 * fmt.least_exponent * np.log(2)
    return np.arcsinh(2 * np.clip(widen(z), -reach, reach)) / np.arcsinh(2 * reach)


@dataclass(frozen=True)
class Row:
    """One form, format, label and mode, measured. Fields as in `summary.json`, with regions by ordinal.

    Where `exhaustive`, `max_ulp` is the largest error; else a lower bound of it, raised by a hunt that looked at
    `searched` floats besides the `points` where that is a number. Only the exhaustive sweep of float32
    gives a `histogram` (points with an error below 1/2 ulp, below 1, below 2, ..., from 2**22 up) and `undecided`, the
    points that the bound of its reference left to the proven one. `label` is `None` where the form has none.
    """

    study: str
    form: str
    dtype: str
    label: float | None
    mode: str
    points: int
    exhaustive: bool
    max_ulp: float | None
    max_ulp_at: float | None
    worst_ok: float | None
    regions: tuple[Region, ...]
    counts: dict[str, int]
    profile: Profile
    histogram: tuple[int, ...] | None = None
    undecided: int | None = None
    searched: int | None = None

    def as_json(self) -> dict:
        fmt = FORMATS[self.dtype]
        return {
            "study": self.study,
            "form": self.form,
            "dtype": self.dtype,
            "label": self.label,
            "mode": self.mode,
            "points": self.points,
            "exhaustive": self.exhaustive,
            "max_ulp": self.max_ulp,
            "max_ulp_at": None if self.max_ulp_at is None else hex_of(self.max_ulp_at),
            "regions": [
                {"kind": r.kind, "from": _hex(r.start, fmt), "to": _hex(r.stop, fmt), "count": r.count}
                for r in self.regions
            ],
            "counts": self.counts,
            **({} if self.searched is None else {"searched": self.searched}),
            **({} if self.histogram is None else {"histogram": self.histogram, "undecided": self.undecided}),
        }


@dataclass(frozen=True)
class Disagreement:
    """Where jit and eager return different bits for one form, format and label.

    `count` is over the points evaluated in both modes (all floats of a 16-bit format, the grid of a wider one).
    `silently_wrong`: at one of them, or in one of the regions, a mode is finite and not `ok`. `regions` are the
    `(start, stop, kind under jit, kind eager)` where the kinds differ, by ordinal.
    """

    form: str
    dtype: str
    label: float | None
    count: int
    silently_wrong: bool
    regions: tuple[tuple[int, int, str, str], ...]

    def as_json(self) -> dict:
        fmt = FORMATS[self.dtype]
        return {
            "form": self.form,
            "dtype": self.dtype,
            "label": self.label,
            "count": self.count,
            "silently_wrong": self.silently_wrong,
            "regions": [
                {"from": _hex(a, fmt), "to": _hex(b, fmt), "count": b - a + 1, "jit": jit, "eager": eager_kind}
                for a, b, jit, eager_kind in self.regions
            ],
        }


def _hex(ordinal: int, fmt: FloatFormat) -> str:
    return hex_of(from_ordinal(np.array([ordinal]), fmt)[0])


@dataclass(frozen=True)
class Outcome:
    """What a sweep found."""

    rows: tuple[Row, ...]
    disagreements: tuple[Disagreement, ...]
    seconds: dict[str, float]
    by_balls: int


def joined(parts: list[Outcome]) -> Outcome:
    """Outcomes as one, in order; the seconds of equal phases add up."""
    seconds: dict[str, float] = {}
    for part in parts:
        for phase, s in part.seconds.items():
            seconds[phase] = seconds.get(phase, 0.0) + s
    return Outcome(
        tuple(row for part in parts for row in part.rows),
        tuple(d for part in parts for d in part.disagreements),
        seconds,
        sum(part.by_balls for part in parts),
    )
