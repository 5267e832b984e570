"""The options of the commands that take a core of an FPCore file in place of a function."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from stability.study.loading import BadFunction

if TYPE_CHECKING:
    from stability.study.fpcore import CoreOf


def add_arguments(p: argparse.ArgumentParser) -> None:
    """Adds them to a parser."""
    p.add_argument("--fpcore", metavar="FILE", help="a file of FPCore in place of a function")
    p.add_argument("--name", metavar="NAME", help="which core of it, where it has several")


def chosen(args: argparse.Namespace) -> CoreOf | str:
    """What the arguments name: a core of a file, or a function. **Raises:** `BadFunction`."""
    if args.fpcore is None and args.function is None:
        raise BadFunction("give module:function, or --fpcore FILE")
    if args.fpcore is None:
        if args.name is not None:
            raise BadFunction("--name: only with --fpcore")
        return args.function
    if args.function is not None:
        raise BadFunction(f"--fpcore {args.fpcore} and {args.function}: give one of them")
    try:
        from stability.study.fpcore import core_of
    except ImportError:
        raise BadFunction("--fpcore: titanfp is not installed; the extra `fpcore` brings it") from None
    return core_of(args.fpcore, args.name)
