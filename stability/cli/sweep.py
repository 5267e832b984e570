"""`python -m stability.sweep`: the study swept, measured against the truth, and written as a report.

`--exhaustive` takes every float of float16, bfloat16 and float32, on all devices, and on all hosts where it is started
with `--coordinator` on each; `--search` hunts the worst errors of the formats that are sampled.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import jax
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from stability import report
from stability.cli import function as user
from stability.cli.arguments import Parser, number_in, whole_number
from stability.environment import environment, tell_untested
from stability.files import unwritable
from stability.formats import FORMATS
from stability.report.tables import label_text, nearest, value
from stability.study import DEFAULT, Study, declared
from stability.sweep import engine, exhaustive
from stability.sweep.engine import MODES
from stability.sweep.outcome import Outcome, Row, joined

DEFAULT_MODES = ["eager", "jit"]
HARD_LABELS = [0.0, 1.0]
PROGRESS_SECONDS = 5.0
CHECKPOINT = "checkpoint.json"


STUDIES = declared()


def _add_study(p: argparse.ArgumentParser) -> None:
    p.add_argument("--study", choices=list(STUDIES), default=DEFAULT, help="what to sweep (default %(default)s)")


def _chosen_study(argv: list[str]) -> Study:
    """The study, which decides what the other arguments may be."""
    p = Parser(prog="python -m stability.sweep", add_help=False, allow_abbrev=False)
    _add_study(p)
    return STUDIES[p.parse_known_args(argv)[0].study]


def parser(study: Study) -> Parser:
    low, high = study.label_range
    p = Parser(prog="python -m stability.sweep", description=__doc__, allow_abbrev=False)
    _add_study(p)
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
        "--exhaustive",
        action="store_true",
        help="every float: float32 (the default) under jit at labels 0 and 1, and 16-bit formats where asked for; "
        "with --function, float32 is screened by float64",
    )
    p.add_argument(
        "--search", action="store_true", help="hunt the worst errors of float64 (the default) and sampled float32"
    )
    p.add_argument(
        "--resume",
        action="store_true",
        help="continue an exhaustive sweep from the checkpoint in --out, if there is one",
    )
    p.add_argument(
        "--coordinator",
        metavar="HOST:PORT",
        help="of an exhaustive sweep over several processes; `auto` asks the cluster",
    )
    p.add_argument("--num-processes", type=whole_number(1), help="how many processes there are")
    p.add_argument("--process-id", type=whole_number(0), help="which of them this is; the first, 0, writes the report")
    p.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="where the report goes (default reports, or a directory in it for any other sweep than the plain one)",
    )
    p.add_argument("--seed", type=whole_number(0), default=0, help="seed of the grid's offsets (default 0)")
    p.add_argument("--no-plots", dest="plots", action="store_false", help="leave the pictures out")
    p.add_argument("--list", action="store_true", help="list forms, dtypes, labels and modes, and stop")
    user.add_arguments(p)
    return p


def _manifest(argv: list[str], seed: int) -> dict:
    return {"command": " ".join(["python -m stability.sweep", *argv]), "seed": seed, **environment()}


def _first_failure(row: Row, positive: bool) -> str:
    """The failing float nearest to zero on one side, with its kind, as text."""
    found = nearest(row.regions, positive)
    return f"{value(found[0], FORMATS[row.dtype]):.6g} {found[1]}" if found else "-"


def _table(outcome: Outcome) -> Table:
    table = Table(title="first failing z on each side of zero, and the worst error where the result is ok")
    for name in ("form", "dtype", "label", "mode", "z < 0", "z >= 0"):
        table.add_column(name, no_wrap=True)
    table.add_column("worst ok [ulps]", justify="right")
    for row in outcome.rows:
        worst = "-" if row.worst_ok is None else f"{row.worst_ok:.2f}"
        table.add_row(
            row.form,
            row.dtype,
            label_text(row.label),
            row.mode,
            *(_first_failure(row, side) for side in (False, True)),
            worst,
        )
    return table


@dataclass(frozen=True)
class Plan:
    """What is to be swept how: names and labels, each once."""

    study: Study
    forms: list[str]
    dtypes: list[str]
    every_float32: bool
    float32_labels: list[float]
    labels: list[float | None]
    modes: list[str]


def plan(args: argparse.Namespace, study: Study) -> Plan:
    """The plan that the arguments ask for. **Raises:** `ValueError` where they contradict each other."""
    default = ["float32"] * args.exhaustive + ["float64"] * args.search or list(FORMATS)
    dtypes = list(dict.fromkeys(args.dtype or default))
    every_float32 = args.exhaustive and "float32" in dtypes
    if every_float32 and study.device_truth is None:
        raise ValueError(f"--exhaustive: {study.name} has no truth on the device; sweep it without, or {DEFAULT}")
    if args.exhaustive and "float64" in dtypes and not args.search:
        raise ValueError("--exhaustive: float64 has 2**64 floats; leave it out, or hunt its worst errors with --search")
    if args.search and not {"float32", "float64"} & set(dtypes):
        raise ValueError("--search: every float16 and bfloat16 is looked at anyway; allowed with float32, float64")
    if every_float32 and set(args.mode or ["jit"]) != {"jit"}:
        raise ValueError(f"--mode {args.mode[0]}: every float32 is swept under jit only")
    if not every_float32 and (args.resume or args.coordinator):
        option = "--resume" if args.resume else "--coordinator"
        raise ValueError(f"{option}: only with --exhaustive and float32")
    given = [args.coordinator not in (None, "auto"), args.num_processes is not None, args.process_id is not None]
    if any(given) and not all(given):
        raise ValueError("--coordinator HOST:PORT, --num-processes and --process-id: give all three, or none")
    if all(given) and args.process_id >= args.num_processes:
        raise ValueError(f"--process-id {args.process_id}: allowed is 0 to {args.num_processes - 1}")
    return Plan(
        study=study,
        forms=list(dict.fromkeys(args.form or study.forms)),
        dtypes=dtypes,
        every_float32=every_float32,
        labels=list(dict.fromkeys(args.label or study.labels)),
        float32_labels=list(dict.fromkeys(args.label or HARD_LABELS)),
        modes=list(dict.fromkeys(args.mode or DEFAULT_MODES)),
    )


def _sampled(chosen: Plan, dtypes: list[str], args: argparse.Namespace, console: Console) -> Outcome:
    total = len(chosen.forms) * len(dtypes) * len(chosen.labels) * len(chosen.modes)
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
            chosen.study,
            forms=chosen.forms,
            dtypes=dtypes,
            labels=chosen.labels,
            modes=chosen.modes,
            points=args.points,
            tolerance=args.tolerance,
            seed=args.seed,
            search=args.search,
            progress=progress,
        )


def _every_float32(chosen: Plan, args: argparse.Namespace, console: Console) -> Outcome:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:.1f} %"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task("compiling", total=None)
        told = time.monotonic()

        def progress(p: exhaustive.Progress) -> None:
            nonlocal told
            text = f"{p.rate / 1e6:,.1f} million floats/s, worst so far {p.worst:.6g} ulps"
            bar.update(task, total=p.total, completed=p.done, description=text)
            if not console.is_terminal and (time.monotonic() - told > PROGRESS_SECONDS or p.done == p.total):
                told = time.monotonic()
                console.print(f"{p.done / p.total:.1%}, {text}, {p.seconds_left:.0f} s left", soft_wrap=True)

        return exhaustive.outcome(
            chosen.study,
            forms=chosen.forms,
            labels=chosen.float32_labels,
            tolerance=args.tolerance,
            checkpoint=args.out / CHECKPOINT,
            resume=args.resume,
            progress=progress,
        )


def _sweep(chosen: Plan, args: argparse.Namespace, console: Console) -> Outcome:
    found = []
    if chosen.every_float32:
        found.append(_every_float32(chosen, args, console))
    rest = [d for d in chosen.dtypes if not (chosen.every_float32 and d == "float32")]
    if rest and jax.process_index() == 0:
        found.append(_sampled(chosen, rest, args, console))
    return joined(found)


def _list(study: Study) -> None:
    print("studies: " + " ".join(STUDIES) + f" ({study.name} listed)")
    print("forms: " + " ".join(study.forms))
    print("dtypes: " + " ".join(FORMATS))
    print("labels: " + " ".join(f"{y:g}" for y in study.labels) + " by default, any in [0, 1]")
    print("modes: " + " ".join(MODES) + f" ({' '.join(DEFAULT_MODES)} by default)")


def _start(args: argparse.Namespace) -> None:
    """Readies JAX: float64, and the other processes where there are any."""
    jax.config.update("jax_enable_x64", True)
    if args.coordinator == "auto":
        jax.distributed.initialize()
    elif args.coordinator:
        jax.distributed.initialize(args.coordinator, args.num_processes, args.process_id)


def _default_out(args: argparse.Namespace) -> Path:
    if args.function:
        return Path("reports", args.function.replace(":", "."))
    directory = Path("reports", "exhaustive" if args.exhaustive else "search" if args.search else "")
    return directory / ("" if args.study == DEFAULT else args.study)


def main(argv: list[str]) -> int:
    begun = time.perf_counter()
    study = _chosen_study(argv)
    p = parser(study)
    args = p.parse_args(argv)
    if args.list:
        _list(study)
        return 0
    args.out = args.out or _default_out(args)
    if problem := unwritable(args.out):
        p.error(problem)
    if args.function:
        outcome, console = user.main(p, args, argv, begun)
        return _told(outcome, console, args.out)
    if args.arg or args.grad is not None or args.fix or args.range:
        p.error("--arg, --grad, --fix and --range need --function module:function")
    try:
        chosen = plan(args, study)
    except ValueError as contradiction:
        p.error(str(contradiction))
    _start(args)
    console = Console()
    if "optax" not in study.forms:
        print("the form optax is left out: optax is not installed")
    try:
        outcome = _sweep(chosen, args, console)
    except exhaustive.Refused as refusal:
        p.error(f"--resume: {refusal}")
    if jax.process_index():
        return 0
    manifest = _manifest(argv, args.seed)
    report.write(outcome, study, manifest, args.out, args.plots, tolerance=args.tolerance, begun=begun)
    (args.out / CHECKPOINT).unlink(missing_ok=True)
    return _told(outcome, console, args.out)


def _told(outcome: Outcome, console: Console, out: Path) -> int:
    wide = console if console.is_terminal else Console(width=120)
    wide.print(_table(outcome))
    print(f"report in {out}: README.md, index.html, summary.json, summary.csv")
    tell_untested()
    return 0


def _a_device_a_core() -> None:
    """Lets JAX take each core for a device of its own on CPU; only before its first use."""
    if "host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
        jax.config.update("jax_num_cpu_devices", os.cpu_count() or 1)


def run() -> NoReturn:
    if "--exhaustive" in sys.argv:
        _a_device_a_core()
    try:
        raise SystemExit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        print("interrupted: the report in place is as it was; --resume continues an exhaustive sweep", file=sys.stderr)
        raise SystemExit(130) from None
