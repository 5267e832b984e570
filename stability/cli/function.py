"""`stability sweep --function module:function`, or `--fpcore FILE --name NAME`: a user's function swept against its
true values. A core of an FPCore file is swept where the constants of its precondition let it, or in `--range`."""

from __future__ import annotations

import argparse
import math
import os
import re
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
from rich.console import Console

from stability import report
from stability.cli import fpcore, options, terminal
from stability.cli.arguments import Parser, number, whole_number
from stability.cli.executors import executor
from stability.diagnosis import diagnose
from stability.environment import tell_untested
from stability.formats import FORMATS, FloatFormat, from_ordinal, short_hex
from stability.measure import FAILURE_KINDS
from stability.measure.regions import Region
from stability.report.tables import both, value
from stability.study.functions import Derivative, Named, Scalar, check_scalar
from stability.study.loading import BadFunction, NotFixed, Reference
from stability.study.pairs import Pair
from stability.sweep import engine, maps
from stability.sweep.maps import MAPPED
from stability.sweep.outcome import Outcome, Row, Screening
from stability.sweep.points import ordinals_within

BLAMED = 2
"""Regions of a kind on each side of zero, in a row, whose first float is diagnosed."""


def parser() -> Parser:
    studies = ("--study", "--form", "--label", "--search", "--resume", "--coordinator", "--list")
    own = dict.fromkeys(studies, "the declared studies, not to --function")
    p = Parser(prog="stability sweep", description=__doc__, elsewhere=own)
    p.add_argument("--function", metavar="MODULE:FUNCTION", help="the function to sweep")
    fpcore.add_arguments(p)
    p.add_argument(
        "--arg",
        action="append",
        type=whole_number(0),
        metavar="N",
        help="the swept argument (default 0); given twice, both are swept at once, with a --range for each",
    )
    p.add_argument(
        "--grad", type=whole_number(0), metavar="N", help="sweep the gradient by argument N, as jax.grad's argnums"
    )
    p.add_argument(
        "--order", type=whole_number(1, 16), default=1, metavar="N", help="of the derivative, with --grad (default 1)"
    )
    p.add_argument(
        "--fix", action="append", default=[], metavar="NAME=VALUE", help="hold another argument (repeatable)"
    )
    p.add_argument(
        "--range",
        action="append",
        nargs=2,
        type=number,
        metavar=("A", "B"),
        help="sweep from A to B only (decimal or hex floats)",
    )
    options.add_arguments(p)
    p.add_argument(
        "--exhaustive", action="store_true", help="screen every float32 by float64 for the ends of failing regions"
    )
    return p


def _domain(ends: list[float]) -> tuple[float, float]:
    low, high = ends
    if not low <= high:
        raise BadFunction(f"--range {low:g} {high:g}: give the lower one first, and no NaN")
    return low, high


def _whole_domain(reference: Reference, argnum: int) -> tuple[float, float]:
    """The range to sweep where none is given: of a core, what its precondition says of the argument."""
    if not isinstance(reference, str):
        from stability.study.fpcore import Core, domain

        core = reference()
        if isinstance(core, Core) and argnum < len(core.arguments):
            return domain(core, core.arguments[argnum])
    return -math.inf, math.inf


def _source(args: argparse.Namespace, reference: Reference) -> Named | Pair:
    swept, ranges = args.arg or [0], args.range or []
    if len(swept) > 2:
        raise BadFunction("--arg: one argument is swept, or two")
    if len(ranges) > len(swept):
        raise BadFunction("--range: one for each --arg")
    if len(swept) == 1:
        domain = _domain(ranges[0]) if ranges else _whole_domain(reference, swept[0])
        return Named(reference, swept[0], tuple(args.fix), args.grad, args.order, domain)
    if len(ranges) < 2:
        raise BadFunction("two swept arguments need a --range each, in their order")
    domain, (low, high) = _domain(ranges[0]), _domain(ranges[1])
    if not low < high:
        raise BadFunction(f"--range {low:g} {high:g}: the second argument needs two different ends")
    if not (math.isfinite(low) and math.isfinite(high)):
        raise BadFunction(f"--range {low:g} {high:g}: the second argument needs finite ends")
    labels = low, (low + high) / 2, high
    return Pair(reference, (swept[0], swept[1]), labels, (low, high), tuple(args.fix), args.grad, args.order, domain)


def _check(source: Named | Pair, dtypes: Sequence[str]) -> None:
    for dtype in dtypes:
        with jax.enable_x64(dtype == "float64" or bool(jax.config.read("jax_enable_x64"))):
            if isinstance(source, Pair):
                source.check(FORMATS[dtype])
            else:
                check_scalar(source.scalar(), FORMATS[dtype])
        _ask_floats(source.domain, FORMATS[dtype])


def _formats(args: argparse.Namespace) -> list[str]:
    return list(dict.fromkeys(args.dtype or FORMATS))


def _ask_floats(domain: tuple[float, float], fmt: FloatFormat) -> None:
    first, last = ordinals_within(domain, fmt)
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
    path, colon, rest = ("", "", "") if source.startswith("<") else source.partition(":")
    return (os.path.relpath(path) if Path(path).is_relative_to(Path.cwd()) else path) + colon + rest if path else ""


def _blamed(source: Named | Pair, outcome: Outcome, tolerance: float) -> list[dict]:
    """The diagnoses of a function of one swept argument; a map of two is read by its labels."""
    if isinstance(source, Pair):
        return []
    scalar = source.scalar()
    return blame(outcome, {scalar.__name__: scalar}, tolerance)


def _swept(
    args: argparse.Namespace, reference: Reference, argv: list[str], out: Path, begun: float
) -> tuple[Outcome, list[dict]]:
    """Sweeps what the arguments name and writes its report; a mistake of the user's ends before anything is written."""
    source, dtypes = _source(args, reference), _formats(args)
    _check(source, dtypes)
    modes = list(dict.fromkeys(args.mode or options.DEFAULT_MODES))
    rows = len(dtypes) * len(modes) * len(source().labels)
    with executor(args.jobs, args.scheduler, few=False) as pool:
        report.load_meanwhile(args.plots)
        with terminal.counting(Console(), rows) as progress:
            outcome = engine.sweep(
                source,
                dtypes=dtypes,
                modes=modes,
                points=args.points,
                tolerance=args.tolerance,
                seed=args.seed,
                screened=args.exhaustive,
                progress=progress,
                executor=pool,
            )
        if isinstance(source, Pair) and "jit" in modes:
            mapped, here = [d for d in MAPPED if d in dtypes], pool or engine.Here()
            forms = list(source().forms)
            found = maps.begun(source, forms=forms, dtypes=mapped, tolerance=args.tolerance, executor=here)
            outcome = replace(outcome, maps=maps.done(found))
        table = _blamed(source, outcome, args.tolerance)
        notes = [_screened(row.screening) for row in outcome.rows if row.screening][:1]
        manifest = options.manifest(argv, args, source.domain)
        told = {"tolerance": args.tolerance, "begun": begun, "svg": args.svg, "executor": pool}
        report.write(outcome, source(), manifest, out, args.plots, **told, blame=table, notes=notes)
    return outcome, table


def main(argv: list[str]) -> int:
    begun = time.perf_counter()
    p = parser()
    args = p.parse_args(argv)
    if args.exhaustive and "float32" not in _formats(args):
        p.error("--exhaustive screens float32; add --dtype float32")
    try:
        reference = fpcore.chosen(args)
    except BadFunction as error:
        p.error(str(error))
    out = args.out or Path("reports", re.sub(r"[:/]", ".", str(reference)))
    with p.writing(out, report.foreign):
        try:
            outcome, table = _swept(args, reference, argv, out, begun)
        except NotFixed as missing:
            p.error(f"{missing}; give --fix name=value for each")
        except ValueError as error:
            p.error(str(error).splitlines()[0])
    console = Console()
    terminal.tell(outcome, console, out, args.verbose, _source(args, reference)().label_name)
    for line in table:
        where = f"{line['form']} {line['dtype']} {line['mode']}: {line['kind']} from {line['at']}"
        cause = f"{line['primitive']}, {line['cause']}, {line['source']}"
        console.print(f"{where}: {cause}", soft_wrap=True, highlight=False, markup=False)
    tell_untested()
    return 0


def _screened(found: Screening) -> str:
    return (
        f"float32: {found.floats:,} floats screened against float64 in each mode, {found.flagged:,} of them not `ok` "
        f"by that estimate; the {found.certified:,} floats where it changed kind were measured against balls, and the "
        "region ends bisected between them. A region is missed only where it is narrower than the grid and float64 "
        "errs as float32 does."
    )
