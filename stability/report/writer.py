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

from stability.outcome import Outcome
from stability.report import plots as pictures
from stability.report import tables, unlabelled
from stability.study import Study

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

    **Arguments:** `manifest` as in `summary.json`, its `seconds` by phase, to which `plots` and `total` (since
    `begun`, of `time.perf_counter`) are added; `tolerance` in ulps of the true value; `plots` whether to draw; `blame`
    the equation where each failing region begins, a dictionary of JSON values a region; `notes` further findings.

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
        seconds = manifest["seconds"] | {"plots": now - start, "total": now - begun}
        manifest = manifest | {"seconds": {phase: round(s, 3) for phase, s in seconds.items()}}
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
    def lines(items) -> str:
        return ",\n".join(json.dumps(item, allow_nan=False) for item in items)

    blamed = "" if blame is None else f',\n"blame": [\n{lines(blame)}\n]'
    return (
        f'{{"schema": 1,\n"manifest": {json.dumps(manifest, allow_nan=False)},\n'
        f'"results": [\n{lines(row.as_json() for row in outcome.rows)}\n],\n'
        f'"disagreements": [\n{lines(d.as_json() for d in outcome.disagreements)}\n]{blamed}}}\n'
    )


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
