"""What was seen of each output leaf, step by step."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Series:
    """What was seen of one output leaf, an entry a watched step.

    **Attributes:**

    - `step` the number of the call, counted from 0.
    - `error` the worst of the elements that are finite, in ulps of the largest element (of the coarsest format that the
      step computes in); NaN where nothing wider stands beside.
    - `vanished` the share of elements that are 0 where wider floats have a normal number of the format.
    - `not_finite` how many elements are NaN or infinite.
    """

    step: list[int] = field(default_factory=list)
    error: list[float] = field(default_factory=list)
    vanished: list[float] = field(default_factory=list)
    not_finite: list[int] = field(default_factory=list)

    def add(self, step: int, error: float, vanished: float, not_finite: int) -> None:
        """Adds what was seen at a step."""
        self.step.append(step)
        self.error.append(error)
        self.vanished.append(vanished)
        self.not_finite.append(not_finite)


@dataclass
class History:
    """What was seen of a step at each call that was watched.

    **Attributes:** `leaves` by the path of an output leaf, its `Series`; `tolerance` in ulps.
    """

    tolerance: float
    leaves: dict[str, Series] = field(default_factory=dict)

    def of(self, leaf: str) -> Series:
        """The series of a leaf, empty where nothing was seen of it."""
        return self.leaves.setdefault(leaf, Series())

    def as_json(self) -> dict:
        """The attributes as JSON has them; errors that are no numbers, as `None`."""
        return {
            "schema": 1,
            "tolerance": self.tolerance,
            "leaves": {
                leaf: {
                    "step": list(s.step),
                    "error": [None if math.isnan(e) else e for e in s.error],
                    "vanished": list(s.vanished),
                    "not_finite": list(s.not_finite),
                }
                for leaf, s in self.leaves.items()
            },
        }

    @classmethod
    def from_json(cls, data: dict) -> History:
        """The inverse of `as_json`."""
        leaves = {
            leaf: Series(s["step"], [math.nan if e is None else e for e in s["error"]], s["vanished"], s["not_finite"])
            for leaf, s in data["leaves"].items()
        }
        return cls(data["tolerance"], leaves)

    def plot(self, path: str | Path) -> None:
        """Draws error and vanished share against the step.

        **Arguments:**

        - `path` ending in `.png` or `.svg`.

        **Raises:** `ValueError` for another ending.
        """
        from stability.report.pictures import history
        from stability.report.plots import drawn

        path = Path(path)
        if path.suffix not in (".png", ".svg"):
            raise ValueError(f"{path.name!r} ends neither in .png nor in .svg")
        made = drawn(history.draw, (self.leaves, self.tolerance), svg=path.suffix == ".svg")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(made[path.suffix[1:]])
