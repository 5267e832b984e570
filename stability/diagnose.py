"""Command line and function: which equation of a JAX function lost the digits at one point.

`python -m stability.diagnose module:function --at 88.0,1.0 --grad 0`, or `stability.diagnose(fn, *args)` in Python.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import types
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
from rich.console import Console

from stability.arguments import Parser, whole_number, write_json
from stability.blame import Diagnosis, Row, diagnose
from stability.environment import tell_untested
from stability.floats import FORMATS

__all__ = ["Diagnosis", "Row", "diagnose", "load", "main"]


class _Callable(types.ModuleType):
    """The module itself can be called, so that `stability.diagnose(fn, *args)` is the function."""

    def __call__(self, fn: Callable, *args, **options) -> Diagnosis:
        return diagnose(fn, *args, **options)


sys.modules[__name__].__class__ = _Callable


def load(reference: str) -> Callable:
    """The function that `module:function` names; modules of the working directory are found first.

    **Raises:** `ValueError`, one line that says what is wrong.
    """
    module_name, colon, name = reference.partition(":")
    if not colon or not module_name or not name:
        raise ValueError(f"{reference!r} is not module:function")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found = importlib.import_module(module_name)
    except Exception as error:
        raise ValueError(f"{module_name} does not import: {type(error).__name__}: {_line(error)}") from error
    for part in name.split("."):
        if not hasattr(found, part):
            raise ValueError(f"{module_name} has no {name}")
        found = getattr(found, part)
    if not callable(found):
        raise ValueError(f"{reference} is not a function")
    return found


def _line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), "")


def number(text: str) -> float:
    """A float from decimal or hex."""
    try:
        return float(text)
    except ValueError:
        pass
    try:
        return float.fromhex(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a float; give decimals, hex floats, inf or nan") from None


def numbers(text: str) -> list[float]:
    return [number(part) for part in text.split(",")]


def scalar_function(fn: Callable, reference: str, arguments: list[np.ndarray], grad: int | None) -> Callable:
    """`fn`, or its gradient in argument number `grad`, known to take these arguments and return one float.

    **Raises:** `ValueError`, one line that says what is wrong.
    """
    if grad is not None and grad >= len(arguments):
        raise ValueError(f"--grad {grad}: there are {len(arguments)} arguments; choose 0 to {len(arguments) - 1}")
    chosen = fn if grad is None else jax.grad(fn, argnums=grad)
    try:
        with jax.enable_x64(arguments[0].dtype == np.float64):
            out = jax.eval_shape(fn, *arguments)
            leaves = jax.tree.leaves(out)
            if len(leaves) == 1 and leaves[0].shape == () and not jax.numpy.issubdtype(leaves[0].dtype, np.floating):
                raise ValueError(f"{reference} returns {leaves[0].dtype}; a float is needed")
            if len(leaves) != 1 or leaves[0].shape != ():
                shapes = ", ".join(f"{v.dtype}{list(v.shape)}" for v in leaves) or "nothing"
                raise ValueError(f"{reference} returns {shapes}; one float of shape () is needed")
            if grad is not None:
                jax.eval_shape(chosen, *arguments)
    except ValueError:
        raise
    except Exception as error:
        raise ValueError(
            f"{reference} with {len(arguments)} arguments: {type(error).__name__}: {_line(error)}"
        ) from error
    return chosen


def parser() -> Parser:
    p = Parser(
        prog="python -m stability.diagnose",
        description="Says which equation of a JAX function lost the digits at one point.",
    )
    p.add_argument("function", metavar="module:function", help="a function of scalars that returns one float")
    p.add_argument(
        "--at", metavar="X,Y,...", type=numbers, required=True, help="the arguments; --at=-1 for a negative first"
    )
    p.add_argument(
        "--grad", metavar="N", type=whole_number(0), help="diagnose its gradient in argument number N, from 0"
    )
    p.add_argument("--dtype", choices=list(FORMATS), default="float32", help="format of the arguments (float32)")
    p.add_argument("--mode", choices=["eager", "jit"], default="eager", help="which floats to look at (eager)")
    p.add_argument("--json", metavar="FILE", type=Path, help="write the diagnosis here as well")
    return p


def main(argv: list[str] | None = None) -> int:
    p = parser()
    options = p.parse_args(argv)
    dtype = FORMATS[options.dtype].dtype
    with np.errstate(over="ignore"):
        arguments = [np.asarray(x).astype(dtype) for x in options.at]
    try:
        fn = scalar_function(load(options.function), options.function, arguments, options.grad)
        found = diagnose(fn, *arguments, mode=options.mode)
    except ValueError as error:
        p.error(_line(error))
    found.print(Console(width=None if sys.stdout.isatty() else 160))
    tell_untested()
    if options.json is not None:
        try:
            write_json(options.json, found.as_json())
        except OSError as error:
            p.error(f"--json {options.json}: {error.strerror}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
