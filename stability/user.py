"""The sweep of a user's function: `python -m stability.sweep --function module:function`."""

from __future__ import annotations

import argparse
import math
import os
import time
from pathlib import Path

import jax
import numpy as np
from jax import Array
from rich.console import Console

from stability import engine, report, screen
from stability.arguments import Parser, whole_number
from stability.diagnose import diagnose, load
from stability.environment import environment
from stability.floats import FORMATS, FloatFormat, from_ordinal
from stability.forms import Form
from stability.functions import BadFunction, Derivative, Scalar, check_scalar, hold, parse_held, study_of
from stability.measure import FAILURE_KINDS
from stability.outcome import Outcome, Region, Row, joined
from stability.report.tables import both, short_hex, value

BLAMED = 2
"""Regions of a kind on each side of zero, in a row, whose first float is diagnosed."""


def add_arguments(p: argparse.ArgumentParser) -> None:
    """Adds the options of a user's function to the parser of the sweep."""
    group = p.add_argument_group("a function of your own")
    group.add_argument("--function", metavar="MODULE:FUNCTION", help="sweep this function instead of the study")
    group.add_argument("--arg", type=whole_number(0), default=0, metavar="N", help="the swept argument (default 0)")
    group.add_argument(
        "--grad", type=whole_number(0), metavar="N", help="sweep the gradient by argument N, as jax.grad's argnums"
    )
    group.add_argument(
        "--order", type=whole_number(1), default=1, metavar="N", help="of the derivative, with --grad (default 1)"
    )
    group.add_argument(
        "--fix", action="append", default=[], metavar="NAME=VALUE", help="hold another argument (repeatable)"
    )
    group.add_argument("--range", nargs=2, metavar=("A", "B"), help="sweep from A to B only (decimal or hex floats)")


def _number(text: str) -> float:
    try:
        return float.fromhex(text) if "0x" in text.lower() else float(text)
    except (ValueError, OverflowError):
        raise BadFunction(f"--range {text}: not a decimal or hex float") from None


def _domain(texts: list[str] | None) -> tuple[float, float]:
    low, high = (_number(t) for t in texts) if texts else (-math.inf, math.inf)
    if not low <= high:
        raise BadFunction(f"--range {low:g} {high:g}: give two numbers, the lower one first")
    return low, high


def _ask_floats(domain: tuple[float, float], fmt: FloatFormat) -> None:
    first, last = engine.ordinals_within(domain, fmt)
    if first > last:
        raise BadFunction(f"--range {domain[0]:g} {domain[1]:g}: holds no {fmt.name}")


def nearest_to_zero(region: Region) -> int:
    return min(max(0, region.start), region.stop) if region.stop >= 0 else region.stop


def _to_blame(row: Row) -> list[Region]:
    chosen: list[Region] = []
    for kind in dict.fromkeys(r.kind for r in row.regions if r.kind in FAILURE_KINDS):
        regions = [r for r in row.regions if r.kind == kind]
        chosen += [r for r in regions if r.stop >= 0][:BLAMED] + [r for r in regions if r.stop < 0][::-1][:BLAMED]
    return sorted(chosen, key=lambda r: r.start)


def blame(outcome: Outcome, scalars: dict[str, Scalar], tolerance: float) -> list[dict]:
    """The diagnosis at the float nearest to zero of the failing regions of each row, as JSON values.

    Of each kind, the two regions nearest to zero on each side of it. `primitive`, `cause` and `source` are of the
    first culprit; where the function run op by op has none (a row of jit can fail alone), `cause` says so, and where a
    derivative rule differs from the derivative by more than `tolerance` ulps, that.
    """
    where: dict[tuple[str, str, str, int], list[str]] = {}
    for row in outcome.rows:
        for region in _to_blame(row):
            where.setdefault((row.dtype, row.form, region.kind, nearest_to_zero(region)), []).append(row.mode)
    table = []
    for (dtype, form, kind, at), modes in where.items():
        fmt = FORMATS[dtype]
        line = {"form": form, "dtype": dtype, "mode": ", ".join(modes), "kind": kind, "at": both(value(at, fmt), fmt)}
        table.append(line | {"at_hex": short_hex(value(at, fmt))} | _culprit(scalars[form], at, fmt, tolerance))
    return table


def _culprit(scalar: Scalar, ordinal: int, fmt: FloatFormat, tolerance: float) -> dict:
    x = from_ordinal(np.array(ordinal), fmt)
    if isinstance(scalar, Derivative) and (rule := scalar.told_of_rules(x, fmt, tolerance)):
        return {"primitive": "–", "cause": rule, "source": "–"}
    found = diagnose(scalar, x).culprit
    if found is None:
        return {"primitive": "–", "cause": "op by op, no equation spoils it", "source": "–"}
    return {
        "primitive": found.primitive,
        "cause": found.kind.replace("_", " "),
        "source": _nearby(found.source) or "–",
    }


def _nearby(source: str) -> str:
    """A source line with its path from the working directory where the file is below it."""
    path, colon, rest = source.partition(":")
    return (os.path.relpath(path) if Path(path).is_relative_to(Path.cwd()) else path) + colon + rest if path else ""


def main(p: Parser, args: argparse.Namespace, argv: list[str], begun: float) -> tuple[Outcome, Console]:
    """Sweeps what the arguments name and writes its report.

    A user's mistake ends in `p.error`, before anything is written.
    """
    for option in ("form", "label", "search", "resume", "coordinator"):
        if getattr(args, option):
            p.error(f"--{option} belongs to the built-in studies, not to --function")
    dtypes = list(dict.fromkeys(args.dtype or FORMATS))
    modes = list(dict.fromkeys(args.mode or ["eager", "jit"]))
    if args.exhaustive and "float32" not in dtypes:
        p.error("--exhaustive screens float32; add --dtype float32")
    try:
        fn = load(args.function)
    except ValueError as error:
        p.error(str(error).splitlines()[0])
    x64 = bool(jax.config.read("jax_enable_x64"))

    def as_the_user_runs_it(dtype: str):
        return jax.enable_x64(x64 or dtype == "float64")

    try:
        scalar = hold(fn, arg=args.arg, held=parse_held(args.fix), grad=args.grad, order=args.order)
        domain = _domain(args.range)
        for dtype in dtypes:
            with as_the_user_runs_it(dtype):
                check_scalar(scalar, FORMATS[dtype])
            _ask_floats(domain, FORMATS[dtype])
        study = study_of({scalar.__name__: scalar}, name=args.function, domain=domain)
        console = Console()
        found = screen.Screening()

        def also(name: str, run: Form, fmt: FloatFormat) -> np.ndarray:
            if not (args.exhaustive and fmt.name == "float32"):
                return np.array([], np.int64)
            begun = time.perf_counter()
            span = engine.ordinals_within(domain, fmt)

            def narrow(z: Array, label: Array) -> Array:
                with as_the_user_runs_it(fmt.name):
                    return run(z, label)

            with jax.enable_x64(True):
                ends = screen.screen(study.forms[name], narrow, span, args.tolerance, found, lambda n: None)
            console.print(f"{span[1] - span[0] + 1:,} float32 screened in {time.perf_counter() - begun:.1f} s")
            return ends

        def swept(dtype: str) -> Outcome:
            with as_the_user_runs_it(dtype):
                return engine.sweep(
                    study,
                    forms=list(study.forms),
                    dtypes=[dtype],
                    labels=[None],
                    modes=modes,
                    points=args.points,
                    tolerance=args.tolerance,
                    seed=args.seed,
                    progress=lambda row: console.print(row, soft_wrap=True),
                    also=also,
                )

        outcome = joined([swept(dtype) for dtype in dtypes])
        table = blame(outcome, {scalar.__name__: scalar}, args.tolerance)
    except BadFunction as error:
        p.error(str(error).splitlines()[0])
    notes = [_screened(found)] if args.exhaustive else []
    out: Path = args.out
    command = " ".join(["python -m stability.sweep", *argv])
    manifest = {"command": command, "seed": args.seed, **environment()}
    report.write(
        outcome, study, manifest, out, args.plots, tolerance=args.tolerance, begun=begun, blame=table, notes=notes
    )
    for line in table:
        console.print(
            f"{line['form']} {line['dtype']} {line['mode']}: {line['kind']} from {line['at']}: {line['primitive']}, "
            f"{line['cause']}, {line['source']}",
            soft_wrap=True,
            highlight=False,
        )
    return outcome, console


def _screened(found: screen.Screening) -> str:
    return (
        f"float32: {found.floats:,} evaluations screened against float64, {found.flagged:,} of them not `ok` by that "
        f"estimate; the {found.certified:,} floats where the estimate changed kind were measured against balls and the "
        "region ends bisected between them. A region is missed only where it is narrower than the grid and float64 "
        "errs as float32 does."
    )
