"""An example examined: both steps diagnosed, op by op and under jit, with the seconds that it took."""

from __future__ import annotations

import linecache
import time
from dataclasses import dataclass
from pathlib import Path

from stability.diagnosis import Diagnosis, diagnose
from stability.examples._example import Call, Example, load

ROOT = Path(__file__).parent.parent.parent


@dataclass(frozen=True)
class Timed:
    """A diagnosis of a step, and the seconds that the first call took and one more."""

    diagnosis: Diagnosis
    first: float
    second: float


@dataclass(frozen=True)
class Finding:
    """What was found in an example: `eager` and `jit`, the diagnoses by step (`healthy`, `planted`)."""

    name: str
    example: Example
    eager: dict[str, Timed]
    jit: dict[str, Timed]

    @property
    def clean(self) -> bool:
        """Whether nothing is found in the healthy step."""
        return not any(by["healthy"].diagnosis.findings for by in (self.eager, self.jit))

    @property
    def right(self) -> bool:
        """Whether what is planted is found, in both modes."""
        return all(as_planted(self.example, by["planted"].diagnosis) for by in (self.eager, self.jit))

    def as_json(self) -> dict:
        e = self.example
        return {
            "name": self.name,
            "url": e.url,
            "clean": self.clean,
            "right": self.right,
            "modes": {
                mode: {
                    step: {
                        "seconds": [t.first, t.second],
                        "verdict": t.diagnosis.verdict,
                        "findings": [_brief(f.as_json()) for f in t.diagnosis.findings],
                    }
                    for step, t in by.items()
                }
                for mode, by in (("eager", self.eager), ("jit", self.jit))
            },
        }


def _brief(found: dict) -> dict:
    """A finding of a diagnosis as JSON has it, without the way from the culprit; places as `short` tells them."""
    kept = {key: found[key] for key in ("leaf", "element", "count", "kind", "result", "true", "also")}
    culprit = found["culprit"] or {"primitive": None, "kind": None, "source": "", "caller": ""}
    told = {"primitive": culprit["primitive"], "cause": culprit["kind"]}
    return kept | told | {key: short(culprit[key]) for key in ("source", "caller")}


def short(text: str) -> str:
    """A text with the places of files as they stand in the project, or in an installed library."""
    words = text.replace(f"{ROOT}/", "").split(" ")
    return " ".join(w.rpartition("site-packages/")[2] if "site-packages/" in w else w for w in words)


def as_planted(example: Example, found: Diagnosis) -> bool:
    """Whether the first finding has the cause, the line and the leaf that were planted."""
    if not found.findings or found.culprit is None:
        return False
    first = found.findings[0]
    near = example.line in text_of(found.culprit.caller or found.culprit.source)
    return near and found.culprit.kind == example.cause and example.leaf in (first.leaf, *first.also)


def text_of(source: str) -> str:
    """The line of code of a `file:line:column (function)`."""
    path, line, *_ = source.split(":")
    return linecache.getline(path, int(line))


def timed(call: Call, mode: str) -> Timed:
    step, args = call
    seconds = []
    for _ in range(2):
        begun = time.perf_counter()
        found = diagnose(step, *args, mode=mode)
        seconds.append(round(time.perf_counter() - begun, 1))
    return Timed(found, *seconds)


def examine(name: str) -> Finding:
    """Diagnoses both steps of an example, each twice in each mode."""
    example = load(name)
    calls = {"healthy": example.healthy(), "planted": example.planted()}
    eager, jit = ({step: timed(call, mode) for step, call in calls.items()} for mode in ("eager", "jit"))
    return Finding(name, example, eager, jit)
