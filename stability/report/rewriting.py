"""The report on a function that was rewritten: README.md with pictures, and stabilize.json."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from stability.environment import untested
from stability.files import holds_others, write_together
from stability.formats import short_hex
from stability.report.pictures import rewritten
from stability.report.plots import drawn
from stability.rewriting import Errors, Stabilized

DATA = "stabilize.json"
_BEGINNING = '{"stabilize": 1,'

foreign = partial(holds_others, data=DATA, beginning=_BEGINNING, what=DATA)
"""Why a report may not be written into a directory that exists, in one line, or `None`."""


def write(found: Stabilized, name: str, out: Path, manifest: dict) -> list[str]:
    """Writes the report on a function of a name. **Returns:** the names of the files."""
    bounds = {b.name: [other.low for other in found.branches[1:]] for b in found.branches if b.name}
    pictures: dict[str, str] = {}
    files: dict[str, str | bytes] = {}
    for argument, x in found.judged.columns.items():
        if x.ndim == 1:
            given = argument, x, found.judged.before, found.judged.after, bounds.get(argument, [])
            pictures[argument] = f"errors-{len(pictures) + 1}.png"
            files[pictures[argument]] = drawn(rewritten.draw, given, svg=False)["png"]
    files["README.md"] = page(found, name, pictures, manifest)
    files[DATA] = (
        _BEGINNING + json.dumps({"manifest": manifest, "function": name} | as_json(found), indent=1)[1:] + "\n"
    )
    write_together(out, files)
    return list(files)


def page(found: Stabilized, name: str, pictures: dict[str, str], manifest: dict) -> str:
    """The page as Markdown; `pictures` by the name of an argument."""
    written = (
        f"Written by `{manifest['command']}` with jax {manifest['jax']}, jaxlib {manifest['jaxlib']}, python-flint "
        f"{manifest['python-flint']}, on {manifest['backend']} ({manifest['cpu']})."
    )
    if warning := untested(manifest["jax"]):
        written += f"\n\n**{warning}**"
    parts = [f"# {name}, rewritten" if found.improved else f"# {name}", written]
    if not found.improved:
        parts.append("Nothing better was found than the function as it was given.")
    parts.append(_errors(found))
    parts += [f"![The error along {argument}, before and after]({file})" for argument, file in pictures.items()]
    if found.improved:
        parts += [f"```python\n{found.source.rstrip()}\n```", "## Steps", _table(("term", "by"), _steps(found))]
    if len(found.branches) > 1:
        rows = [(f"`{b.where}`", f"`{b.term}`") for b in found.branches]
        parts += ["## Branches", _table(("where", "term"), rows)]
    parts += ["## What was checked", "\n".join(f"- **{what}**: {told}" for what, told in found.proof.items())]
    return "\n\n".join(parts) + "\n"


def _errors(found: Stabilized) -> str:
    def row(what: str, errors: Errors, cost: int) -> tuple[str, ...]:
        slope = "–" if math.isnan(errors.slope) else f"{errors.slope:.2f}"
        return what, f"{errors.mean:.2f}", f"{errors.worst:.1f}", slope, str(cost)

    rows = [row("before", found.before, found.cost[0]), row("after", found.after, found.cost[1])]
    told = (
        f"Bits of error at {found.after.points:,} points, under jit: `log2(1 + n)`, where `n` is how many floats a "
        "result is from the true one. A cost is in additions."
    )
    heads = ("", "mean bits", "worst bits", "of the first derivatives, mean bits", "cost")
    return f"{told}\n\n{_table(heads, rows)}"


def _steps(found: Stabilized) -> list[tuple[str, str]]:
    return [(f"`{step.term}`", step.why if step.why == "given" else f"`{step.why}`") for step in found.steps]


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '∣') for cell in line)} |" for line in lines)


def as_json(found: Stabilized) -> dict[str, Any]:
    """What is told of an outcome; floats at which branches meet in hexadecimal."""

    def errors(e: Errors) -> dict[str, Any]:
        return e._asdict() | {"slope": None if math.isnan(e.slope) else e.slope}

    return {
        "improved": found.improved,
        "source": found.source,
        "before": errors(found.before),
        "after": errors(found.after),
        "cost": list(found.cost),
        "steps": [[str(step.term), step.why] for step in found.steps],
        "branches": [[b.name, short_hex(b.low), short_hex(b.high), str(b.term)] for b in found.branches],
        "proof": dict(found.proof),
    }
