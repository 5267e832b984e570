"""`stability diagnose`: which equation of a JAX function lost the digits at one point.

`stability diagnose module:function --at 88.0,1.0 --grad 0`, or `stability.diagnose(fn, *args)` in Python; or
`stability diagnose --fpcore FILE --name NAME --at x=1,y=2`.
"""

from __future__ import annotations

import argparse
import functools
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.extend import source_info_util
from rich.console import Console

from stability.cli import fpcore, rewritten
from stability.cli.arguments import Parser, number, number_in, whole_number
from stability.diagnosis import diagnose
from stability.environment import tell_untested
from stability.files import write_json
from stability.formats import FORMATS
from stability.measure import FAILURE_KINDS
from stability.rewriting import Missing
from stability.study.functions import parse_fixed
from stability.study.loading import BadFunction, Reference, first_line, load, meant, value_of

source_info_util.register_exclusion(__file__)


def point(text: str) -> list[tuple[str | None, float]]:
    """Arguments between commas, each a number or `name=number`."""
    found: list[tuple[str | None, float]] = []
    for part in text.split(","):
        name, equals, value = part.rpartition("=")
        if equals and not name.strip():
            raise argparse.ArgumentTypeError(f"{part!r} is not a number or name=number")
        found.append((name.strip() if equals else None, number(value)))
    return found


def bound(
    fn: Callable, reference: str, at: list[tuple[str | None, float]], held: Mapping[str, Any]
) -> tuple[Callable, dict[str, float]]:
    """`fn` as a function of the arguments at a point, the others held, and those arguments by name, in its order.

    **Raises:** `BadFunction`, in one line.
    """
    try:
        parameters = inspect.signature(fn).parameters
    except (TypeError, ValueError):
        return fn, {f"argument {i}": value for i, (_, value) in enumerate(at)}
    named = {name: value for name, value in at if name is not None}
    for name in [*named, *held]:
        if name not in parameters:
            raise BadFunction(f"{reference} has no argument {name}{meant(name, list(parameters))}")
    free = [name for name in parameters if name not in named and name not in held]
    given = [value for name, value in at if name is None]
    if len(given) > len(free):
        raise BadFunction(f"--at: {len(given)} numbers for the arguments {', '.join(free) or '(none)'} of {reference}")
    values = named | dict(zip(free, given, strict=False))
    values = {name: values[name] for name in parameters if name in values}
    missing = [n for n, p in parameters.items() if p.default is p.empty and n not in values and n not in held]
    if missing := [n for n in missing if parameters[n].kind not in (_VARIADIC, _KEYWORDS)]:
        raise BadFunction(
            f"{reference} needs a value for {', '.join(missing)}; give it in --at, or by --fix name=value"
        )

    @functools.wraps(fn)
    def of_numbers(*xs):
        arrays = {n: np.asarray(v, xs[0].dtype) if isinstance(v, float | list) else v for n, v in held.items()}
        return fn(**dict(zip(values, xs, strict=True)), **arrays)

    return (of_numbers if held or list(values) != list(parameters) else fn), values


_VARIADIC, _KEYWORDS = inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD


def scalar_function(fn: Callable, reference: str, arguments: list[np.ndarray], grad: int | None) -> Callable:
    """`fn`, or its gradient in argument number `grad`, known to take these arguments and return one float.

    **Raises:** `BadFunction`, in one line.
    """
    if grad is not None and grad >= len(arguments):
        raise BadFunction(f"--grad {grad}: there are {len(arguments)} arguments; choose 0 to {len(arguments) - 1}")
    chosen = fn if grad is None else jax.grad(fn, argnums=grad)
    try:
        with jax.enable_x64(arguments[0].dtype == np.float64):
            leaves = jax.tree.leaves(jax.eval_shape(fn, *arguments))
            if grad is not None and len(leaves) == 1 and leaves[0].shape == ():
                jax.eval_shape(chosen, *arguments)
    except (Exception, SystemExit) as error:
        raise BadFunction(f"{reference} with {len(arguments)} arguments: {first_line(error)}") from error
    if len(leaves) != 1 or leaves[0].shape != ():
        shapes = ", ".join(f"{v.dtype}{list(v.shape)}" for v in leaves) or "nothing"
        raise BadFunction(f"{reference} returns {shapes}; one float of shape () is needed")
    if not jax.numpy.issubdtype(leaves[0].dtype, np.floating):
        raise BadFunction(f"{reference} returns {leaves[0].dtype}; a float is needed")
    return chosen


def parser() -> Parser:
    p = Parser(
        prog="stability diagnose",
        description="Says which equation of a JAX function lost the digits at one point.",
    )
    p.add_argument(
        "function",
        metavar="module:function",
        nargs="?",
        help="a function, with --at of scalars and to one float",
    )
    fpcore.add_arguments(p)
    where = p.add_mutually_exclusive_group(required=True)
    where.add_argument("--at", metavar="X,Y,...", type=point, help="the arguments, as 20,1 or z=20,y=1")
    where.add_argument(
        "--args",
        metavar="module:arguments",
        help="arguments of any shape: a tuple, a dictionary by name, or a function that returns either",
    )
    p.add_argument(
        "--fix", action="append", default=[], metavar="NAME=VALUE", help="hold another argument (repeatable)"
    )
    p.add_argument(
        "--grad", metavar="N", type=whole_number(0), help="diagnose its gradient in the N-th of the arguments, from 0"
    )
    p.add_argument("--dtype", choices=list(FORMATS), help="format of the arguments of --at (float32)")
    p.add_argument("--mode", choices=["eager", "jit"], default="eager", help="which floats to look at (eager)")
    p.add_argument(
        "--tolerance",
        type=number_in(0.5, 2.0**53, "a number of ulps from 0.5 to 2**53"),
        default=16.0,
        help="error over which a value is inaccurate, in ulps of the true value (default %(default)g)",
    )
    p.add_argument(
        "--rewrite",
        action="store_true",
        help="end with the function near the point of --at, rewritten so that it keeps its digits (takes seconds)",
    )
    p.add_argument("--json", metavar="FILE", type=Path, help="write the diagnosis here as well")
    return p


Called = tuple[Callable, Sequence[Any], Mapping[str, Any]]
"""A function, and its positional and keyword arguments."""


def at_numbers(options: argparse.Namespace, reference: Reference) -> tuple[Called, dict[str, np.ndarray]]:
    """A function of scalars at the numbers of `--at`, and those by the names of its arguments.

    **Raises:** `BadFunction`.
    """
    dtype = FORMATS[options.dtype or "float32"].dtype
    fn, values = bound(load(reference), str(reference), options.at, parse_fixed(options.fix))
    with np.errstate(over="ignore"):
        arguments = [np.asarray(x).astype(dtype) for x in values.values()]
    chosen = scalar_function(fn, str(reference), arguments, options.grad)
    return (chosen, arguments, {}), dict(zip(values, arguments, strict=True))


def at_arrays(options: argparse.Namespace, reference: Reference) -> Called:
    """A function at the arguments of `--args`, or its gradient there.

    **Raises:** `BadFunction`.
    """
    fn, given = load(reference), value_of(options.args)
    args, kwargs = ((), given) if isinstance(given, dict) else (given, {})
    if not isinstance(args, tuple | list):
        raise BadFunction(f"{options.args} gives a {type(given).__name__}; a tuple or a dictionary is needed")
    if options.grad is not None and options.grad >= len(args):
        raise BadFunction(f"--grad {options.grad}: {options.args} gives {len(args)} positional arguments")
    chosen = fn if options.grad is None else jax.grad(fn, argnums=options.grad)
    try:
        jax.eval_shape(functools.partial(chosen, **kwargs), *args)
    except (Exception, SystemExit) as error:
        raise BadFunction(f"{reference} at {options.args}: {first_line(error)}") from error
    return chosen, args, kwargs


def main(argv: list[str]) -> int:
    p = parser()
    options = p.parse_args(argv)
    for option, value in (("--dtype", options.dtype), ("--fix", options.fix), ("--rewrite", options.rewrite)):
        if options.args is not None and value:
            p.error(f"{option} goes with --at; --args gives arguments as they are")
    try:
        reference = fpcore.chosen(options)
        numbers: dict[str, np.ndarray] = {}
        if options.args is None:
            (fn, args, kwargs), numbers = at_numbers(options, reference)
        else:
            fn, args, kwargs = at_arrays(options, reference)
        found = diagnose(fn, *args, mode=options.mode, tolerance=options.tolerance, **kwargs)
        line = rewritten.told(fn, numbers) if options.rewrite and found.verdict in FAILURE_KINDS else None
    except (Missing, ValueError, TypeError) as error:
        p.error(str(error).splitlines()[0])
    found.print(Console(width=None if sys.stdout.isatty() else 160))
    if line:
        print(line)
    tell_untested()
    if options.json is not None:
        try:
            write_json(options.json, found.as_json())
        except (OSError, ValueError) as error:
            p.error(f"--json {options.json}: {getattr(error, 'strerror', None) or error}")
    return 0
