"""Writes a report whole or not at all."""

from __future__ import annotations

import base64
import contextlib
import csv
import importlib
import io
import json
import os
import re
import shutil
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Executor, Future
from dataclasses import replace
from pathlib import Path

import jinja2

from stability.files import uninterrupted, unwritable
from stability.report import findings, page, tables, unlabelled
from stability.study import Study
from stability.sweep.engine import Here
from stability.sweep.outcome import SCHEMA, Outcome

_TEMPLATES = jinja2.Environment(
    loader=jinja2.PackageLoader("stability.report"),
    autoescape=jinja2.select_autoescape(["html.j2"]),
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)

_TEMPLATES.filters["cell"] = tables.cell
_TEMPLATES.filters["code"] = tables.code
_TEMPLATES.filters["codes"] = page.codes
_TEMPLATES.filters["labelled"] = tables.labelled


def load_meanwhile(pictures: bool) -> None:
    """Loads the libraries of the page, and of `pictures`, in a thread: it takes a second, in which others can work."""
    modules = ["bokeh.embed", "bokeh.plotting"] + ["stability.report.plots"] * pictures
    threading.Thread(target=lambda: [importlib.import_module(name) for name in modules], daemon=True).start()


def foreign(directory: Path, *ours: str) -> str | None:
    """Why a report may not be written into a directory that exists, in one line, or `None`.

    It may be empty, hold nothing but the files `ours`, or an earlier report, which alone is replaced, and whole: each
    of its names can be written.
    """
    if not directory.is_dir():
        return None
    if not (all(path.name in ours for path in directory.iterdir()) or _files(directory)):
        return f"{directory}: holds files, but no report; give a new directory, an empty one, or one with a report"
    if taken := next((directory / name for name in PAGES if (directory / name).is_dir()), None):
        return f"{taken}: is a directory, where a report has a file"
    return unwritable(directory / "plots")


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

    - `manifest` as in `summary.json`, to which the `seconds` of the report, `plots`, and in all since `begun` (of
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
        waiting = _drawing(outcome, study, tolerance, svg, executor or Here()) if pictures else {}
        about = page.about(study)
        shown = tables.context(outcome, manifest, tolerance) | {
            "blame": blame or [],
            "title": study.title,
            "study": about,
        }
        names = study.swept, study.label_name
        told = findings.findings(outcome, *names) if shown["label"] else unlabelled.findings(outcome, study.swept)
        shown["findings"] = [*told, *map(findings.Finding, notes)]
        explored = page.context(outcome, about, blame or [], tolerance)
        _text(staging / "summary.csv", _csv(outcome))
        found = _json_lines({"study": about, **outcome.to_json(), **({} if blame is None else {"blame": blame})})
        drawn = {name: files for name, future in waiting.items() if (files := future.result())}
        for name, files in drawn.items():
            for ending, data in files.items():
                (staging / "plots" / f"{name}.{ending}").write_bytes(data)
        explored["still"] = base64.b64encode(_still(drawn)).decode()
        now = time.perf_counter()
        manifest = manifest | {"seconds": {"plots": round(now - start, 3), "total": round(now - begun, 3)}}
        shown |= {"manifest": manifest, "pictures": list(drawn)}
        _text(staging / "README.md", _TEMPLATES.get_template("README.md.j2").render(shown))
        _text(staging / "index.html", _TEMPLATES.get_template("index.html.j2").render(shown | explored))
        _text(staging / "summary.json", f"{{{_json_lines({'schema': SCHEMA, 'manifest': manifest})},\n{found}}}\n")
        with uninterrupted():
            _move(staging, directory)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")


def _drawing(
    outcome: Outcome, study: Study, tolerance: float, svg: bool, executor: Executor
) -> dict[str, Future[dict[str, bytes]]]:
    """The pictures by name, each a task, in the order in which they are shown."""
    measured = replace(outcome, rows=tuple(row for row in outcome.rows if not row.error))
    if not measured.rows:
        return {}
    from stability.report import plots

    tasks = plots.pictures(measured, study, tolerance)
    return {name: executor.submit(plots.drawn, *task, svg) for name, task in tasks.items()}


def _still(drawn: dict[str, dict[str, bytes]]) -> bytes:
    """The picture of a page that is read without scripts."""
    return next((files["png"] for name, files in drawn.items() if name.startswith("errors_")), b"")


def _json_lines(parts: dict) -> str:
    """The items of a JSON object without its braces, an item and an element of a list a line."""

    def text(item) -> str:
        return json.dumps(item, allow_nan=False)

    def lines(items: list) -> str:
        return "[\n" + ",\n".join(map(text, items)) + "\n]"

    return ",\n".join(f"{text(name)}: {lines(v) if isinstance(v, list) else text(v)}" for name, v in parts.items())


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
