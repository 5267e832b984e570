"""The options that a sweep of a study and a sweep of a function share."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from stability.cli import executors
from stability.cli.arguments import command, number_in, whole_number
from stability.environment import environment
from stability.formats import FORMATS, short_hex
from stability.sweep.rows import MODES

DEFAULT_MODES = ["eager", "jit"]


def add_arguments(p: argparse.ArgumentParser) -> None:
    """Adds them to a parser."""
    p.add_argument("--dtype", action="append", choices=list(FORMATS), help="a format (repeatable; default all)")
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
    p.add_argument("--seed", type=whole_number(0), default=0, help="seed of the grid's offsets (default 0)")
    p.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="where the report goes: a new or empty directory, or one with a report, which is replaced (default "
        "reports, or a directory in it for any other sweep than the plain one)",
    )
    p.add_argument("--no-plots", dest="plots", action="store_false", help="leave the pictures out")
    p.add_argument("--svg", action="store_true", help="draw the pictures as SVG too")
    p.add_argument("--verbose", action="store_true", help="print every row")
    executors.add_arguments(p)


def manifest(argv: Sequence[str], args: argparse.Namespace, domain: tuple[float, float]) -> dict:
    """What a report says of the sweep that it is of: the command, what decides which floats are looked at, versions."""
    return {
        "command": command("python -m stability.sweep", argv),
        "seed": args.seed,
        "points": args.points,
        "domain": [short_hex(end) for end in domain],
        "tolerance": args.tolerance,
        **environment(),
    }
