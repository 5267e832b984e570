"""What the atlas holds: its tasks, and its rows."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import MISSING, asdict, dataclass, fields
from typing import NamedTuple

from stability.atlas.culprits import Culprit


class Task(NamedTuple):
    """A function in a format, by each of its rules."""

    function: str
    dtype: str


class Place(NamedTuple):
    """What a row is of, as in `Row`."""

    function: str
    rule: str
    order: int
    dtype: str
    ways: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Settings:
    """**Attributes:** `points` the size of the grid of a wide format; `tolerance` in ulps of the true value, beyond
    which a result is inaccurate; `seconds` that the true values of an order may take, before fewer are looked at;
    `every_float32` whether every float32 is looked at under `jit`, where Taylor models give the true values."""

    points: int = 4096
    tolerance: float = 16.0
    seconds: float = 60.0
    every_float32: bool = False


class Example(NamedTuple):
    """A float at which a row fails: `x` and `result` in hexadecimal, the true value in words, and the kind."""

    x: str
    result: str
    true: str
    kind: str


@dataclass(frozen=True)
class Row:
    """What is known of a derivative of a function.

    **Attributes:** `ways` pairs of a way and a mode, whose results are alike in all that is told here; `points` looked
    at, `exhaustive` where that is every float; `counts` of them by kind; `failing` the share of all floats that fail,
    and `flushed` those that are 0 for a true value that is subnormal, which is XLA's policy and no failure of a rule;
    `max_ulp` the worst error of what is finite at a normal true value, at the float `at`, a lower bound unless
    `exhaustive`; `regions` of failing floats, `[kind, first, last, count]`; `profile` the worst error by `BINS` equal
    parts of their axis (`profile.position`), as characters (`profile_text`); `example` one of the failing floats;
    `culprit` the equation to blame there, told of the row of its derivative and rule that fails at most floats;
    `reported` those inputs of public threads, of this format, at which it fails; `error` why there is no result.
    """

    function: str
    rule: str
    order: int
    dtype: str
    ways: tuple[tuple[str, str], ...]
    points: int = 0
    exhaustive: bool = False
    counts: dict[str, int] | None = None
    failing: float = 0.0
    flushed: float = 0.0
    max_ulp: float | None = None
    at: str | None = None
    regions: tuple[tuple[str, str, str, int], ...] = ()
    profile: str = ""
    example: Example | None = None
    culprit: Culprit | None = None
    reported: tuple[str, ...] = ()
    error: str | None = None

    def to_json(self) -> dict:
        """Without what is empty."""
        told = asdict(self)
        return {f.name: told[f.name] for f in fields(self) if f.default is MISSING or told[f.name] != f.default}

    @classmethod
    def from_json(cls, data: dict) -> Row:
        told = dict(data)
        told["ways"] = tuple((way, mode) for way, mode in data["ways"])
        told["regions"] = tuple(tuple(r) for r in data.get("regions", ()))
        told["example"] = Example(*data["example"]) if data.get("example") else None
        told["culprit"] = Culprit(*data["culprit"]) if data.get("culprit") else None
        told["reported"] = tuple(data.get("reported", ()))
        for name in ("failing", "flushed", "max_ulp"):
            if not isinstance(told.get(name, 0.0), int | float | None):
                raise TypeError(name)
        return cls(**told)

    @property
    def measured(self) -> str:
        """All that is told but for which function, and by which way: as text, to be compared."""
        told = self.to_json()
        return json.dumps([told.get(k) for k in ("counts", "failing", "max_ulp", "regions", "error")])


def joined(rows: Iterable[Row]) -> Iterator[Row]:
    """One row for all of a rule that are alike."""
    alike: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        alike.setdefault((row.rule, row.measured), []).append(row)
    for same in alike.values():
        first = same[0]
        yield Row(**{**vars(first), "ways": tuple(way for row in same for way in row.ways)})
