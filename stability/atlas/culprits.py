"""The equation to blame for a row of the atlas, in a line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from stability.diagnosis import diagnose
from stability.study.loading import first_line


class Culprit(NamedTuple):
    """An equation of a derivative: its primitive, what it did, and of what it made what, in floats and in reals."""

    primitive: str
    did: str
    made: str


def culprit_of(fn: Callable, x: Any, mode: str, tolerance: float) -> Culprit | None:
    """Which equation lost the digits of a function at a float, or `None` where that is not found."""
    try:
        found = diagnose(fn, x, mode=mode, tolerance=tolerance).culprit
    except Exception as error:
        return Culprit("", f"not diagnosed: {first_line(error)}", "")
    if found is None:
        return None
    given = ", ".join(_told(i.result) for i in found.inputs)
    return Culprit(found.primitive, found.kind, f"{given} → {_told(found.result)}, true {_told(found.true)}")


def _told(x: Any) -> str:
    return f"{x:.6g}" if isinstance(x, float) else "none" if x is None else str(x)
