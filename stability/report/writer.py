"""Writes a report whole or not at all."""

from __future__ import annotations

import base64
import csv
import json
import os
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path

import jinja2

from stability.report import plots as pictures
from stability.report import tables, unlabelled
from stability.study import Study
from stability.sweep.outcome import Outcome

_TEMPLATES = jinja2.Environment(
    loader=jinja2.PackageLoader("stability.report"),
    autoescape=jinja2.select_autoescape(["html.j2"]),
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)


def write(
    outcome: Outcome,
    study: Study,
    manifest: dict,
    directory: Path,
    plots: bool,
    *,
    tolerance: float,
    begun: float,
    blame: list[dict] | None = None,
    notes: Sequence[str] = (),
) -> None:
    """Writes `summary.json`, `summary.csv`, `README.md`, `index.html` and `plots/` into `directory`.

    **Arguments:** `manifest` as in `summary.json`, to which the `seconds` of drawing, `plots`, and in all since `begun`
    (of `time.perf_counter`), `total`, are added; `tolerance` in ulps of the true value; `plots` whether to draw;
    `blame` the equation where each failing region begins, a dictionary of JSON values a region; `notes` further
    findings.

    Everything is written to a temporary directory first, inside `directory` where it exists, and moved when it is
    complete: an interrupt or an error before that leaves the previous report as it was. Other files stay.
    """
    directory.parent.mkdir(parents=True, exist_ok=True)
    beside = directory if directory.is_dir() else directory.parent
    staging = Path(tempfile.mkdtemp(prefix=".report-", dir=beside))
    try:
        start = time.perf_counter()
        names = _draw(outcome, study, tolerance, staging / "plots") if plots else []
        now = time.perf_counter()
        manifest = manifest | {"seconds": {"plots": round(now - start, 3), "total": round(now - begun, 3)}}
        images = {n: base64.b64encode((staging / "plots" / f"{n}.png").read_bytes()).decode() for n in names}
        context = tables.context(outcome, manifest, tolerance) | {"pictures": images, "blame": blame or []}
        context["title"] = study.title
        if not context["label"]:
            context["findings"] = unlabelled.findings(outcome, study.swept)
        context["findings"] = [*context["findings"], *notes]
        for name in ("README.md", "index.html"):
            (staging / name).write_text(_TEMPLATES.get_template(f"{name}.j2").render(context))
        _write_csv(staging / "summary.csv", outcome)
        (staging / "summary.json").write_text(_summary(outcome, manifest, blame))
        with _uninterrupted():
            _move(staging, directory, replace_plots=plots)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _draw(outcome: Outcome, study: Study, tolerance: float, directory: Path) -> list[str]:
    if all(row.label is None for row in outcome.rows):
        return unlabelled.draw(outcome, tolerance, study.swept, directory)
    return pictures.draw(outcome, study, tolerance, directory)


def _summary(outcome: Outcome, manifest: dict, blame: list[dict] | None) -> str:
    def text(item) -> str:
        return json.dumps(item, allow_nan=False)

    def lines(items: list) -> str:
        return "[\n" + ",\n".join(map(text, items)) + "\n]"

    parts = {"schema": 2, "manifest": manifest, **outcome.to_json(), **({} if blame is None else {"blame": blame})}
    written = (f"{text(name)}: {lines(v) if isinstance(v, list) else text(v)}" for name, v in parts.items())
    return "{" + ",\n".join(written) + "}\n"


def _write_csv(path: Path, outcome: Outcome) -> None:
    rows = [tables.csv_row(row) for row in outcome.rows]
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


@contextmanager
def _uninterrupted():
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)


def _move(staging: Path, directory: Path, replace_plots: bool) -> None:
    directory.mkdir(exist_ok=True)
    (directory / "plots").mkdir(exist_ok=True)
    new = [path.relative_to(staging) for path in staging.rglob("*") if path.is_file()]
    for path in new:
        os.replace(staging / path, directory / path)
    for stale in (directory / "plots").iterdir():
        if stale.relative_to(directory) not in new:
            stale.unlink()
    if not replace_plots:
        (directory / "plots").rmdir()
