"""`stability sweep`: a study swept, measured against the truth, and written as a report.

`--exhaustive` takes every float of float16, bfloat16 and float32, on all devices, and on all hosts where it is started
with `--coordinator` on each; `--search` hunts the worst errors of the formats that are sampled. `--function` sweeps a
function of your own, `--fpcore` one of an FPCore file.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import time
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from pathlib import Path

import jax
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from stability import report
from stability.cli import hosts, options, terminal
from stability.cli.arguments import Parser, number_in, whole_number
from stability.cli.executors import executor, processes
from stability.environment import tell_untested
from stability.formats import FORMATS
from stability.study import DEFAULT, Declared, Study, declared
from stability.sweep import engine, exhaustive, maps
from stability.sweep.derivation import steps
from stability.sweep.lookup import with_results
from stability.sweep.maps import MAPPED
from stability.sweep.outcome import Outcome, joined
from stability.sweep.rows import MODES, Settings

HARD_LABELS = [0.0, 1.0]
PROGRESS_SECONDS = 5.0
CHECKPOINT = "checkpoint.json"
FEW = 16
"""Rows up to which this process measures them alone."""


def _add_study(p: argparse.ArgumentParser) -> None:
    studies = list(declared())
    p.add_argument("--study", choices=studies, default=DEFAULT, help="what to sweep (default %(default)s)")


def _chosen_study(argv: list[str]) -> Study:
    """The study, which decides what the other arguments may be."""
    p = Parser(prog="stability sweep", add_help=False)
    _add_study(p)
    return declared()[p.parse_known_args(argv)[0].study]


def parser(study: Study) -> Parser:
    low, high = study.label_range
    own = dict.fromkeys(("--arg", "--grad", "--order", "--fix", "--range"), "a sweep of --function module:function")
    own["--name"] = "a sweep of --fpcore FILE"
    p = Parser(prog="stability sweep", description=__doc__, elsewhere=own)
    _add_study(p)
    p.add_argument(
        "--form", action="append", choices=list(study.forms), help="a form to sweep (repeatable; default all)"
    )
    p.add_argument(
        "--label",
        action="append",
        type=number_in(low, high, f"a label in [{low:g}, {high:g}]"),
        help=f"a label (repeatable; default {', '.join(f'{y:g}' for y in study.labels)})",
    )
    options.add_arguments(p)
    p.add_argument(
        "--exhaustive",
        action="store_true",
        help="every float: float32 (the default) under jit at labels 0 and 1, and 16-bit formats where asked for",
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
        type=hosts.address,
        metavar="HOST:PORT",
        help="of an exhaustive sweep over several processes; `auto` asks the cluster",
    )
    p.add_argument("--num-processes", type=whole_number(1), help="how many processes there are")
    p.add_argument("--process-id", type=whole_number(0), help="which of them this is; the first, 0, writes the report")
    p.add_argument("--list", action="store_true", help="list studies, forms, dtypes, labels and modes, and stop")
    p.add_argument("--function", metavar="MODULE:FUNCTION", help="sweep this function; --function f --help tells more")
    p.add_argument("--fpcore", metavar="FILE", help="sweep a core of this file, as a function; --name NAME says which")
    return p


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

    @property
    def few(self) -> bool:
        return len(self.forms) * len(self.dtypes) * len(self.labels) * len(self.modes) <= FEW


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
        modes=list(dict.fromkeys(args.mode or options.DEFAULT_MODES)),
    )


def _sampled(
    chosen: Plan, dtypes: list[str], args: argparse.Namespace, console: Console, pool: Executor | None
) -> Outcome:
    total = len(chosen.forms) * len(dtypes) * len(chosen.labels) * len(chosen.modes)
    with terminal.counting(console, total) as progress:
        return engine.sweep(
            Declared(chosen.study.name),
            forms=chosen.forms,
            dtypes=dtypes,
            labels=chosen.labels,
            modes=chosen.modes,
            points=args.points,
            tolerance=args.tolerance,
            seed=args.seed,
            search=args.search,
            progress=progress,
            executor=pool,
            at_once=None if args.scheduler else processes(args.jobs, chosen.few),
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


def _sweep(chosen: Plan, args: argparse.Namespace, console: Console, pool: Executor | None) -> Outcome:
    found = []
    if chosen.every_float32:
        found.append(_every_float32(chosen, args, console))
    rest = [d for d in chosen.dtypes if not (chosen.every_float32 and d == "float32")]
    if rest and jax.process_index() == 0:
        found.append(_sampled(chosen, rest, args, console, pool))
    return joined(found)


def _looked_into(outcome: Outcome, chosen: Plan, args: argparse.Namespace, pool: Executor | None) -> Outcome:
    """With what the page of a report shows besides: single floats in every row, the steps of the derivation, and maps
    where labels are soft."""
    source, here = Declared(chosen.study.name), pool or engine.Here()
    settings = Settings(args.points, args.tolerance, args.seed, x64=bool(jax.config.read("jax_enable_x64")))
    mapped = [d for d in MAPPED if d in chosen.dtypes] if args.plots and "jit" in chosen.modes else []
    waiting = maps.begun(source, forms=chosen.forms, dtypes=mapped, tolerance=args.tolerance, executor=here)
    found = with_results(chosen.study, outcome, settings)
    return replace(found, steps=steps(source, found, here), maps=maps.done(waiting))


def _list(study: Study) -> None:
    print("studies: " + " ".join(declared()) + f" ({study.name} listed)")
    print("forms: " + " ".join(study.forms))
    print("dtypes: " + " ".join(FORMATS))
    print("labels: " + " ".join(f"{y:g}" for y in study.labels) + " by default, any in [0, 1]")
    print("modes: " + " ".join(MODES) + f" ({' '.join(options.DEFAULT_MODES)} by default)")


def _start(args: argparse.Namespace) -> None:
    """Readies JAX for every float32: a device a core, float64, and the other processes where there are any."""
    if not args.exhaustive:
        return
    if "host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
        with contextlib.suppress(RuntimeError):  # JAX runs already, with the devices that it has.
            jax.config.update("jax_num_cpu_devices", os.cpu_count() or 1)
    jax.config.update("jax_enable_x64", True)
    if args.coordinator:
        hosts.join(args.coordinator, args.num_processes, args.process_id)


def _default_out(args: argparse.Namespace) -> Path:
    directory = Path("reports", "exhaustive" if args.exhaustive else "search" if args.search else "")
    return directory / ("" if args.study == DEFAULT else args.study)


def main(argv: list[str]) -> int:
    if any(a.partition("=")[0] in ("--function", "--fpcore") for a in argv):
        from stability.cli import function

        return function.main(argv)
    begun = time.perf_counter()
    study = _chosen_study(argv)
    p = parser(study)
    if "optax" in argv and "optax" not in study.forms:
        p.error("--form optax: optax is not installed; the extra `optax` brings it")
    args = p.parse_args(argv)
    if args.list:
        _list(study)
        return 0
    args.out = args.out or _default_out(args)
    console = Console()
    with p.writing(args.out, lambda out: report.foreign(out, CHECKPOINT)):
        try:
            chosen = plan(args, study)
            _start(args)
            if "optax" not in study.forms:
                print("the form optax is left out: optax is not installed")
            with executor(args.jobs, args.scheduler, chosen.few) as pool:
                report.load_meanwhile(args.plots)
                outcome = _sweep(chosen, args, console, pool)
                if jax.process_index():
                    return 0
                outcome = _looked_into(outcome, chosen, args, pool)
                manifest = options.manifest(argv, args, study.domain)
                told = {"tolerance": args.tolerance, "begun": begun, "svg": args.svg, "executor": pool}
                report.write(outcome, study, manifest, args.out, args.plots, **told)
        except exhaustive.Refused as refusal:
            p.error(f"--resume: {refusal}")
        except ValueError as problem:
            p.error(str(problem))
    (args.out / CHECKPOINT).unlink(missing_ok=True)
    terminal.tell(outcome, console, args.out, args.verbose)
    tell_untested()
    return 0
