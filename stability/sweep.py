"""`python -m stability.sweep`: the study swept, measured against the truth, and written as a report."""

from __future__ import annotations

import argparse
import math
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

import jax
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from stability import engine, report, user
from stability.arguments import Parser, number_in, unwritable, whole_number
from stability.engine import MODES
from stability.environment import environment
from stability.floats import FORMATS, from_ordinal
from stability.outcome import Outcome, Row
from stability.report.tables import label_text
from stability.studies.sigmoid_bce import STUDY
from stability.study import Study

DEFAULT_MODES = ["eager", "jit"]


def parser(study: Study) -> Parser:
    low, high = study.label_range
    p = Parser(prog="python -m stability.sweep", description=__doc__, allow_abbrev=False)
    p.add_argument(
        "--form", action="append", choices=list(study.forms), help="a form to sweep (repeatable; default all)"
    )
    p.add_argument("--dtype", action="append", choices=list(FORMATS), help="a format (repeatable; default all)")
    p.add_argument(
        "--label",
        action="append",
        type=number_in(low, high, f"a label in [{low:g}, {high:g}]"),
        help=f"a label (repeatable; default {', '.join(f'{y:g}' for y in study.labels)})",
    )
    p.add_argument("--mode", action="append", choices=list(MODES), help="a way to run (repeatable; default eager, jit)")
    p.add_argument(
        "--points",
        type=whole_number(1),
        default=32768,
        help="size of the grid of float32 and float64, before region ends are refined (default %(default)s)",
    )
    p.add_argument(
        "--tolerance",
        type=number_in(0.5, 2.0**53, "a number of ulps from 0.5 to 2**53"),
        default=16.0,
        help="error over which a result is `inaccurate`, in ulps of the true value (default %(default)g)",
    )
    p.add_argument(
        "--out", type=Path, default=Path("reports"), metavar="DIR", help="where the report goes (default reports)"
    )
    p.add_argument("--seed", type=whole_number(0), default=0, help="seed of the grid's offsets (default 0)")
    p.add_argument("--no-plots", dest="plots", action="store_false", help="leave the pictures out")
    p.add_argument("--list", action="store_true", help="list forms, dtypes, labels and modes, and stop")
    user.add_arguments(p)
    return p


def _manifest(argv: list[str], seed: int) -> dict:
    return {"command": " ".join(["python -m stability.sweep", *argv]), "seed": seed, **environment()}


def _first_failures(row: Row) -> tuple[str, str]:
    """The failing float nearest to zero on each side, with its kind, as text."""
    fmt = FORMATS[row.dtype]
    below = max((r for r in row.regions if r.start < 0), key=lambda r: r.stop, default=None)
    above = min((r for r in row.regions if r.stop >= 0), key=lambda r: r.start, default=None)

    def text(ordinal: int, kind: str) -> str:
        return f"{float(from_ordinal(np.array([ordinal]), fmt)[0]):.6g} {kind}"

    return (
        text(min(below.stop, -1), below.kind) if below else "-",
        text(max(above.start, 0), above.kind) if above else "-",
    )


def _table(outcome: Outcome) -> Table:
    table = Table(title="first failing z on each side of zero, and the worst error where the result is ok")
    for name in ("form", "dtype", "label", "mode", "z < 0", "z >= 0"):
        table.add_column(name, no_wrap=True)
    table.add_column("worst ok [ulps]", justify="right")
    for row in outcome.rows:
        worst = "-" if row.worst_ok is None else f"{row.worst_ok:.2f}"
        table.add_row(row.form, row.dtype, label_text(row.label), row.mode, *_first_failures(row), worst)
    return table


def _sweep(args: argparse.Namespace, console: Console) -> Outcome:
    forms = args.form or list(STUDY.forms)
    dtypes = args.dtype or list(FORMATS)
    labels = args.label or list(STUDY.labels)
    modes = args.mode or DEFAULT_MODES
    chosen: dict[str, Any] = {
        "forms": list(dict.fromkeys(forms)),
        "dtypes": list(dict.fromkeys(dtypes)),
        "labels": list(dict.fromkeys(labels)),
        "modes": list(dict.fromkeys(modes)),
    }
    total = math.prod(len(names) for names in chosen.values())
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task("sweep", total=total)
        done = 0

        def progress(row: str) -> None:
            nonlocal done
            done += 1
            bar.update(task, advance=1, description=row)
            if not console.is_terminal and (done % 40 == 0 or done == total):
                console.print(f"{done} of {total} rows, last {row}", soft_wrap=True)

        return engine.sweep(
            STUDY, **chosen, points=args.points, tolerance=args.tolerance, seed=args.seed, progress=progress
        )


def _list() -> None:
    print("forms: " + " ".join(STUDY.forms))
    print("dtypes: " + " ".join(FORMATS))
    print("labels: " + " ".join(f"{y:g}" for y in STUDY.labels) + " by default, any in [0, 1]")
    print("modes: " + " ".join(MODES) + f" ({' '.join(DEFAULT_MODES)} by default)")


def main(argv: list[str]) -> int:
    begun = time.perf_counter()
    p = parser(STUDY)
    args = p.parse_args(argv)
    if args.list:
        _list()
        return 0
    if problem := unwritable(args.out):
        p.error(problem)
    if args.function:
        outcome, console = user.main(p, args, argv, begun)
        return _told(outcome, console, args.out)
    if args.arg or args.grad is not None or args.fix or args.range or args.exhaustive:
        p.error("--arg, --grad, --fix, --range and --exhaustive need --function module:function")
    jax.config.update("jax_enable_x64", True)
    console = Console()
    if "optax" not in STUDY.forms:
        print("the form optax is left out: optax is not installed")
    outcome = _sweep(args, console)
    manifest = _manifest(argv, args.seed) | {"seconds": outcome.seconds}
    report.write(outcome, STUDY, manifest, args.out, args.plots, tolerance=args.tolerance, begun=begun)
    return _told(outcome, console, args.out)


def _told(outcome: Outcome, console: Console, out: Path) -> int:
    wide = console if console.is_terminal else Console(width=120)
    wide.print(_table(outcome))
    print(f"report in {out}: README.md, index.html, summary.json, summary.csv")
    return 0


def run() -> NoReturn:
    try:
        raise SystemExit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        print("interrupted: the report in place is as it was", file=sys.stderr)
        raise SystemExit(130) from None


if __name__ == "__main__":
    run()
