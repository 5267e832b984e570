"""Writes a report whole or not at all."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import replace
from pathlib import Path

import jinja2

from stability.files import uninterrupted
from stability.report import plots, tables, unlabelled
from stability.study import Study
from stability.sweep.outcome import Outcome

_TEMPLATES = jinja2.Environment(
    loader=jinja2.PackageLoader("stability.report"),
    autoescape=jinja2.select_autoescape(["html.j2"]),
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)

_TEMPLATES.filters["cell"] = tables.cell
_TEMPLATES.filters["code"] = tables.code


def foreign(directory: Path, *ours: str) -> str | None:
    """Why a report may not be written into a directory that exists, in one line, or `None`.

    It may be empty, hold nothing but the files `ours`, or an earlier report, which alone is replaced.
    """
    if not directory.is_dir() or all(path.name in ours for path in directory.iterdir()) or _files(directory):
        return None
    return f"{directory}: holds files, but no report; give a new directory, an empty one, or one with a report"


def _files(directory: Path) -> list[str]:
    """The files of the report in a directory, by whose table it is known; none where there is no report."""
    try:
        with (directory / "summary.csv").open(encoding="utf-8") as table:
            if not table.readline().startswith("study,form,dtype,label,mode,"):
                return []
    except (OSError, ValueError):
        return []
    drawn = (str(path.relative_to(directory)) for path in (directory / "plots").glob("*"))
    return [*PAGES, *(name for name in drawn if _PICTURE.fullmatch(name))]


PAGES = ("README.md", "index.html", "summary.csv", "summary.json")
_PICTURE = re.compile(r"plots/(ladder|jit_against_eager|(errors|regions|condition|histogram)_\w+)\.(png|svg)")


def write(
    outcome: Outcome,
    study: Study,
    manifest: dict,
    directory: Path,
    pictures: bool,
    *,
    tolerance: float,
    begun: float,
    svg: bool = False,
    executor: Executor | None = None,
    blame: list[dict] | None = None,
    notes: Sequence[str] = (),
) -> None:
    """Writes `summary.json`, `summary.csv`, `README.md`, `index.html` and `plots/` into `directory`.

    **Arguments:**

    - `manifest` as in `summary.json`, to which the `seconds` of drawing, `plots`, and in all since `begun` (of
      `time.perf_counter`), `total`, are added; `tolerance` in ulps of the true value;
    - `pictures` whether to draw, `svg` whether as SVG too, on the `executor`;
    - `blame` the equation where each failing region begins, a dictionary of JSON values a region; `notes` further
      findings.

    Everything is written to a temporary directory first, inside `directory` where it exists, and moved when it is
    complete: an interrupt or an error before that leaves the previous report as it was. Other files stay.
    """
    directory.parent.mkdir(parents=True, exist_ok=True)
    beside = directory if directory.is_dir() else directory.parent
    staging = Path(tempfile.mkdtemp(prefix=".report-", dir=beside))
    try:
        start = time.perf_counter()
        (staging / "plots").mkdir()
        names = _draw(outcome, study, tolerance, svg, executor, staging / "plots") if pictures else []
        now = time.perf_counter()
        manifest = manifest | {"seconds": {"plots": round(now - start, 3), "total": round(now - begun, 3)}}
        context = tables.context(outcome, manifest, tolerance) | {"pictures": names, "blame": blame or []}
        context["title"] = study.title
        if not context["label"]:
            context["findings"] = unlabelled.findings(outcome, study.swept)
        context["findings"] = [*context["findings"], *notes]
        for name in ("README.md", "index.html"):
            _text(staging / name, _TEMPLATES.get_template(f"{name}.j2").render(context))
        _text(staging / "summary.csv", _csv(outcome))
        _text(staging / "summary.json", _summary(outcome, manifest, blame))
        with uninterrupted():
            _move(staging, directory)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")


def _draw(
    outcome: Outcome, study: Study, tolerance: float, svg: bool, executor: Executor | None, directory: Path
) -> list[str]:
    """Draws the pictures, each a task, and returns their names in the order in which they are shown."""
    measured = replace(outcome, rows=tuple(row for row in outcome.rows if not row.error))
    if not measured.rows:
        return []
    tasks = plots.pictures(measured, study, tolerance)
    if executor is None:
        drawn = [plots.drawn(*task, svg) for task in tasks.values()]
    else:
        drawn = [f.result() for f in [executor.submit(plots.drawn, *task, svg) for task in tasks.values()]]
    for name, files in zip(tasks, drawn, strict=True):
        for ending, data in files.items():
            (directory / f"{name}.{ending}").write_bytes(data)
    return [name for name, files in zip(tasks, drawn, strict=True) if files]


def _summary(outcome: Outcome, manifest: dict, blame: list[dict] | None) -> str:
    def text(item) -> str:
        return json.dumps(item, allow_nan=False)

    def lines(items: list) -> str:
        return "[\n" + ",\n".join(map(text, items)) + "\n]"

    listed = {"schema": 2, "manifest": manifest}
    parts = {**listed, **outcome.to_json(), **({} if blame is None else {"blame": blame})}
    written = (f"{text(name)}: {lines(v) if isinstance(v, list) else text(v)}" for name, v in parts.items())
    return "{" + ",\n".join(written) + "}\n"


def _csv(outcome: Outcome) -> str:
    rows = [tables.csv_row(row) for row in outcome.rows]
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _move(staging: Path, directory: Path) -> None:
    stale = _files(directory)
    directory.mkdir(exist_ok=True)
    new = [path.relative_to(staging) for path in staging.rglob("*") if path.is_file()]
    for path in new:
        (directory / path).parent.mkdir(exist_ok=True)
        os.replace(staging / path, directory / path)
    for name in stale:
        if Path(name) not in new:
            (directory / name).unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        (directory / "plots").rmdir()
