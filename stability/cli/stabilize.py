"""`stability stabilize`: a function that loses its digits, rewritten as one that keeps them.

`stability stabilize module:function --range x=0,100`, or `stability.stabilize(fn)` in Python; or
`stability stabilize --fpcore FILE --name NAME`.
"""

from __future__ import annotations

import argparse
import contextlib
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax

from stability.cli import fpcore
from stability.cli.arguments import Parser, command, numbers, whole_number
from stability.environment import environment, tell_untested
from stability.formats import FORMATS
from stability.report import rewriting
from stability.rewriting import Missing, Stabilized, stabilize
from stability.study.functions import parse_fixed
from stability.study.loading import BadFunction, Reference, first_line, load, meant


def values(text: str) -> tuple[str, list[float]]:
    """`name=1,2` as a name and numbers."""
    name, equals, told = text.partition("=")
    if not (equals and name.strip()):
        raise argparse.ArgumentTypeError(f"{text!r} is not name=number,number")
    return name.strip(), numbers(told)


def ends(text: str) -> tuple[str, tuple[float, float]]:
    """`name=low,high` as a name and a range."""
    name, found = values(text)
    if len(found) != 2 or not found[0] <= found[1]:
        raise argparse.ArgumentTypeError(f"{text!r} is not name=low,high")
    return name, (found[0], found[1])


def parser() -> Parser:
    p = Parser(
        prog="stability stabilize", description="Rewrites a JAX function of scalars so that it keeps its digits."
    )
    p.add_argument("function", metavar="module:function", nargs="?", help="a function of scalars, to one float")
    fpcore.add_arguments(p)
    p.add_argument(
        "--range", action="append", type=ends, default=[], metavar="NAME=LOW,HIGH", help="where an argument is wanted"
    )
    p.add_argument(
        "--values", action="append", type=values, default=[], metavar="NAME=X,Y,...", help="all that an argument takes"
    )
    p.add_argument(
        "--row",
        action="append",
        default=[],
        metavar="NAME",
        help="an argument that is a row, as of logits (repeatable)",
    )
    p.add_argument(
        "--fix", action="append", default=[], metavar="NAME=VALUE", help="hold another argument (repeatable)"
    )
    p.add_argument(
        "--grad", metavar="N", type=whole_number(0), help="rewrite its gradient in the N-th argument, from 0"
    )
    p.add_argument("--dtype", choices=list(FORMATS), default="float32", help="the format (default %(default)s)")
    p.add_argument("--points", type=whole_number(1), default=128, help="points of the search (default %(default)s)")
    p.add_argument("--seed", type=whole_number(0), default=0, help="of the points (default %(default)s)")
    p.add_argument(
        "--exhaustive", action="store_true", help="measure both at every float32 (one argument, or one and --values)"
    )
    p.add_argument("--out", type=Path, metavar="DIR", help="write a report with pictures here")
    return p


def held(fn: Callable, reference: str, fixed: dict[str, Any]) -> tuple[Callable, list[str]]:
    """A function of its arguments without those that are fixed, and their names. **Raises:** `BadFunction`."""
    try:
        parameters = list(inspect.signature(fn).parameters.values())
    except (TypeError, ValueError):
        raise BadFunction(f"{reference}: its signature does not tell its arguments") from None
    names = [p.name for p in parameters]
    for name in fixed:
        if name not in names:
            raise BadFunction(f"--fix {name}: {reference} has no such argument{meant(name, names)}")
    empty = inspect.Parameter.empty
    free = [p.name for p in parameters if p.name not in fixed and p.default is empty and p.kind != p.VAR_KEYWORD]
    if not free:
        raise BadFunction(f"{reference} has no argument that is free")

    def of_free(*args: Any) -> Any:
        given = dict(zip(free, args, strict=True)) | fixed
        positional = [given.pop(p.name) for p in parameters if p.kind == p.POSITIONAL_ONLY and p.name in given]
        try:
            return fn(*positional, **given)
        except (Exception, SystemExit) as error:
            raise BadFunction(f"{reference}: {first_line(error)}") from error

    of_free.__name__ = getattr(fn, "__name__", "stable")
    return of_free, free


def found_by(options: argparse.Namespace, reference: Reference) -> Stabilized:
    """**Raises:** `BadFunction` and what `stabilize` does."""
    fn, names = held(load(reference), str(reference), parse_fixed(options.fix))
    domain = dict([*options.range, *options.values])
    for name in domain:
        if name not in names:
            raise BadFunction(f"{name}: {reference} has no such argument{meant(name, names)}")
    for name in options.row:
        if name not in names:
            raise BadFunction(f"--row {name}: {reference} has no such argument{meant(name, names)}")
    if options.grad is not None and options.grad >= len(names):
        raise BadFunction(f"--grad {options.grad}: {reference} has {len(names)} arguments")
    return stabilize(
        fn if options.grad is None else jax.grad(fn, argnums=options.grad),
        dtype=options.dtype,
        domain=domain,
        names=names,
        rows=options.row,
        points=options.points,
        seed=options.seed,
        exhaustive=options.exhaustive,
    )


def main(argv: list[str]) -> int:
    p = parser()
    options = p.parse_args(argv)
    with p.writing(options.out, rewriting.foreign) if options.out else contextlib.nullcontext():
        try:
            reference = fpcore.chosen(options)
            found = found_by(options, reference)
        except (Missing, ValueError, TypeError) as error:
            p.error(str(error).splitlines()[0])
        print(found)
        if options.out:
            manifest = {"command": command("stability stabilize", argv), **environment()}
            files = rewriting.write(found, str(reference), options.out, manifest)
            print(f"\nreport in {options.out}: {', '.join(sorted(files))}")
    tell_untested()
    return 0
