"""What a sweep finds, as data: rows, regions, disagreements, and their form in `summary.json`."""

from __future__ import annotations

import html
from dataclasses import asdict, dataclass, field
from typing import NamedTuple

import numpy as np

from stability.formats import FORMATS, FloatFormat, from_ordinal, short_hex, widen
from stability.measure.regions import Region, hex_at, nearest, ordinal_from, regions_to_json
from stability.sweep.map import Map
from stability.sweep.singles import Known, Results, Steps

SCHEMA = 3
"""Of `summary.json`: raised where what is written can't be read as before."""


@dataclass(frozen=True, eq=False)
class Profile:
    """What plots show of a row: the worst error in each of the bins of equal width in `arcsinh(2 z)`, or, where the row
    has no label, in the ordinal of z.

    **Attributes:** `z` the input of the worst error of each bin (float64), `ulps` that error, NaN where the bin
    has no `ok` or `inaccurate` point with a normal true value.
    """

    z: np.ndarray
    ulps: np.ndarray

    @classmethod
    def of(cls, z: np.ndarray, ulps: np.ndarray) -> Profile:
        """A profile of errors to five digits, which is more than a picture shows."""
        return cls(z.astype(np.float64), np.array([float(f"{u:.5g}") for u in ulps]))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Profile) and all(
            np.array_equal(mine, theirs, equal_nan=True)
            for mine, theirs in ((self.z, other.z), (self.ulps, other.ulps))
        )

    def to_json(self) -> dict:
        return {
            "z": [short_hex(float(v)) for v in self.z],
            "ulps": [None if np.isnan(u) else float(u) for u in self.ulps],
        }

    @classmethod
    def from_json(cls, data: dict) -> Profile:
        return cls(
            np.array([float.fromhex(v) for v in data["z"]]),
            np.array([np.nan if u is None else u for u in data["ulps"]], np.float64),
        )


class Landmark(NamedTuple):
    """A float that a study shows by itself, the kind of the result there, and its error in ulps where it has one."""

    z: float
    kind: str
    ulps: float | None


@dataclass
class Screening:
    """What a screening found so far: floats looked at, floats that failed by it, floats handed on to the balls."""

    floats: int = 0
    flagged: int = 0
    certified: int = 0


PROFILE_BINS = 240


def furthest(fmt: FloatFormat) -> float:
    """The |z| past which every gradient of the declared studies has vanished in the format, with a margin."""
    return -1.2 * fmt.least_exponent * float(np.log(2))


def profile_position(z: np.ndarray, fmt: FloatFormat) -> np.ndarray:
    """Floats on the axis of a profile: `arcsinh(2 z)` scaled to [-1, 1], clipped where every gradient has vanished."""
    reach = furthest(fmt)
    return np.arcsinh(2 * np.clip(widen(z), -reach, reach)) / np.arcsinh(2 * reach)


@dataclass(frozen=True)
class Row:
    """One form, format, label and mode, measured. Fields as in `summary.json`, with regions by ordinal.

    Where `exhaustive`, `max_ulp` is the largest error; else a lower bound of it, raised by a hunt that looked at
    `searched` floats besides the `points` where that is a number. Only the exhaustive sweep of float32
    gives a `histogram` (points with an error below 1/2 ulp, below 1, below 2, ..., from 2**21 up) and `undecided`, the
    points that the bound of its reference left to the proven one. `label` is `None` where the form has none. `counts`
    are of the points by kind, `states` by the state of their true values (`stability.truth.State`). `screening` counts
    the floats that float64 screened; `landmarks` are the study's; `results` those at single floats: every one of a
    16-bit format, else those that all rows of the format keep and the ends of the regions; `error` says why a row could
    not be measured, in one line.
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
    states: dict[str, int]
    profile: Profile
    histogram: tuple[int, ...] | None = None
    undecided: int | None = None
    searched: int | None = None
    screening: Screening | None = None
    landmarks: tuple[Landmark, ...] = ()
    results: Results | None = None
    error: str | None = None

    def to_json(self) -> dict:
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
            "max_ulp_at": None if self.max_ulp_at is None else short_hex(self.max_ulp_at),
            "worst_ok": self.worst_ok,
            "regions": regions_to_json(self.regions, fmt),
            "counts": self.counts,
            "states": self.states,
            "profile": self.profile.to_json(),
            **({} if self.searched is None else {"searched": self.searched}),
            "landmarks": [[short_hex(mark.z), mark.kind, mark.ulps] for mark in self.landmarks],
            **({} if self.screening is None else {"screening": asdict(self.screening)}),
            **({} if self.results is None else {"results": self.results.to_json()}),
            **({} if self.error is None else {"error": self.error}),
            **({} if self.histogram is None else {"histogram": list(self.histogram), "undecided": self.undecided}),
        }

    @classmethod
    def from_json(cls, data: dict) -> Row:
        fmt = FORMATS[data["dtype"]]
        read = {
            "max_ulp_at": None if data["max_ulp_at"] is None else float.fromhex(data["max_ulp_at"]),
            "regions": tuple(Region.from_json(r, fmt) for r in data["regions"]),
            "profile": Profile.from_json(data["profile"]),
            "landmarks": tuple(Landmark(float.fromhex(z), kind, u) for z, kind, u in data["landmarks"]),
            **({"histogram": tuple(data["histogram"])} if "histogram" in data else {}),
            **({"screening": Screening(**data["screening"])} if "screening" in data else {}),
            **({"results": Results.from_json(data["results"])} if "results" in data else {}),
        }
        return cls(**(data | read))


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

    def to_json(self) -> dict:
        fmt = FORMATS[self.dtype]
        return {
            "form": self.form,
            "dtype": self.dtype,
            "label": self.label,
            "count": self.count,
            "silently_wrong": self.silently_wrong,
            "regions": [
                {"from": hex_at(a, fmt), "to": hex_at(b, fmt), "count": b - a + 1, "jit": jit, "eager": eager_kind}
                for a, b, jit, eager_kind in self.regions
            ],
        }

    @classmethod
    def from_json(cls, data: dict) -> Disagreement:
        fmt = FORMATS[data["dtype"]]
        regions = tuple(
            (ordinal_from(r["from"], fmt), ordinal_from(r["to"], fmt), r["jit"], r["eager"]) for r in data["regions"]
        )
        return cls(**(data | {"regions": regions}))


class Line(NamedTuple):
    """A form in a format, over its labels and modes: the float nearest to zero where it is NaN, that where it has
    vanished, and its worst error in ulps, `exact` where no float was left out. `None` where there is none."""

    form: str
    dtype: str
    nan: float | None
    vanished: float | None
    worst: float | None
    exact: bool

    def cells(self) -> tuple[str, ...]:
        """The line as text."""
        ends = ("–" if z is None else f"{z:.6g}" for z in (self.nan, self.vanished))
        worst = "–" if self.worst is None else f"{'' if self.exact else '≥ '}{self.worst:.4g}"
        return self.form, self.dtype, *ends, worst


HEADINGS = ("form", "dtype", "first NaN", "first vanished", "worst [ulps]")
"""Of the cells of lines."""


def _nearest_to_zero(rows: list[Row], kind: str) -> float | None:
    fmt = FORMATS[rows[0].dtype]
    ends = [nearest(row.regions, positive, kind) for row in rows for positive in (False, True)]
    return min((float(from_ordinal(np.array([end[0]]), fmt)[0]) for end in ends if end), key=abs, default=None)


def _line(form: str, dtype: str, rows: list[Row]) -> Line:
    worst = max((row.max_ulp for row in rows if row.max_ulp is not None), default=None)
    ends = _nearest_to_zero(rows, "nan"), _nearest_to_zero(rows, "vanished")
    return Line(form, dtype, *ends, worst, all(row.exhaustive for row in rows))


@dataclass(frozen=True)
class Outcome:
    """What a sweep found.

    **Attributes:**

    - `rows` one a form, format, label and mode, each with its counts by kind and its failing regions, ends exact.
    - `disagreements` where jit and eager return different bits.
    - `seconds` by phase.
    - `by_balls` how many points interval arithmetic decided.
    - `known` the true values at the floats at which rows keep their results, and `steps` what forms compute on their
      way there.
    - `maps` of forms over the swept float and the label at once.

    ```python
    import json
    import jax.numpy as jnp
    from stability import Outcome, study_of

    outcome = study_of({"log1p": lambda x: jnp.log(1 + x)}).sweep(dtypes=["bfloat16"], modes=["jit"])
    assert outcome.rows[0].counts["vanished"] > 0
    assert Outcome.from_json(json.loads(json.dumps(outcome.to_json()))) == outcome
    ```
    """

    rows: tuple[Row, ...]
    disagreements: tuple[Disagreement, ...]
    seconds: dict[str, float]
    by_balls: int
    known: tuple[Known, ...] = ()
    steps: Steps = field(default_factory=Steps)
    maps: tuple[Map, ...] = ()

    def lines(self) -> list[Line]:
        """What matters of the rows that could be measured. **Returns:** a line a form and format."""
        rows: dict[tuple[str, str], list[Row]] = {}
        for row in self.rows:
            if not row.error:
                rows.setdefault((row.form, row.dtype), []).append(row)
        return [_line(*names, found) for names, found in rows.items()]

    def _repr_html_(self) -> str:
        cells = [f"<th>{h}</th>" for h in HEADINGS]
        body = ["".join(f"<td>{html.escape(cell)}</td>" for cell in line.cells()) for line in self.lines()]
        return f"<table>{''.join(f'<tr>{row}</tr>' for row in (''.join(cells), *body))}</table>"

    def to_json(self) -> dict:
        """All of it. **Returns:** a dictionary that `json` writes, and that `from_json` reads back whole."""
        return {
            "results": [row.to_json() for row in self.rows],
            "disagreements": [d.to_json() for d in self.disagreements],
            "seconds": self.seconds,
            "by_balls": self.by_balls,
            "known": [known.to_json() for known in self.known],
            "steps": self.steps.to_json(),
            "maps": [found.to_json() for found in self.maps],
        }

    @classmethod
    def from_json(cls, data: dict) -> Outcome:
        """What `to_json` wrote.

        **Arguments:**

        - `data` of `to_json`; it may hold more, as the `summary.json` of a report does.

        **Returns:** an outcome equal to the one that was written.
        """
        return cls(
            tuple(Row.from_json(row) for row in data["results"]),
            tuple(Disagreement.from_json(d) for d in data["disagreements"]),
            data["seconds"],
            data["by_balls"],
            tuple(Known.from_json(known) for known in data["known"]),
            Steps.from_json(data["steps"]),
            tuple(Map.from_json(found) for found in data["maps"]),
        )


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
        tuple(known for part in parts for known in part.known),
        Steps(
            {dtype: floats for part in parts for dtype, floats in part.steps.floats.items()},
            tuple(step for part in parts for step in part.steps.steps),
        ),
        tuple(found for part in parts for found in part.maps),
    )
