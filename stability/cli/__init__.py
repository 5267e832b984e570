"""One command: `stability`, or `python -m stability`, with a subcommand for each job."""

from __future__ import annotations

import gc
import importlib
import io
import os
import signal
import sys
from typing import NoReturn

COMMANDS = {
    "sweep": ("stability.cli.sweep", "where the forms of a study, or of a function of yours, fail: a report"),
    "compare": ("stability.cli.compare", "two reports side by side: what moved, and whether something got worse"),
    "diagnose": ("stability.cli.diagnose", "which equation of a function lost the digits at one point"),
    "stabilize": ("stability.cli.stabilize", "a function rewritten so that it keeps its digits"),
    "cases": ("stability.cli.cases", "failures reported in public trackers, reproduced and diagnosed"),
    "examples": ("stability.cli.examples", "training steps of real libraries, healthy and failing, diagnosed"),
    "atlas": ("stability.cli.atlas", "how accurate every derivative that JAX ships is: a page, and data"),
    "experiment": ("stability.experiment.training", "one logistic regression, trained by each gradient"),
    "bench": ("stability.bench", "the speed of the losses and of the sweep"),
    "completion": ("stability.cli.completion", "a script that lets a shell complete this command"),
}


def usage() -> str:
    """How the command is called, as text."""
    lines = [f"  {name:<12}{told}" for name, (_, told) in COMMANDS.items()]
    first = "usage: stability COMMAND [options], or stability --version"
    return "\n".join([first, "", *lines, "", "stability COMMAND --help tells the options of each."])


def main(argv: list[str]) -> int:
    """Runs a subcommand. **Returns:** the exit status."""
    if argv[:1] == ["--version"]:
        from importlib.metadata import version

        print(f"stability {version('stability')}")
        return 0
    if not argv or argv[0] in ("-h", "--help"):
        print(usage())
        return 0
    if argv[0] not in COMMANDS:
        from difflib import get_close_matches

        near = get_close_matches(argv[0], COMMANDS, 1)
        told = f"; did you mean {near[0]}?" if near else ""
        print(f"stability: there is no {argv[0]!r}{told} (choose from {', '.join(COMMANDS)})", file=sys.stderr)
        return 2
    return importlib.import_module(COMMANDS[argv[0]][0]).main(argv[1:])


class Terminated(KeyboardInterrupt):
    """SIGTERM, which ends the command as SIGINT does: by an exception, so that what was begun is cleaned up."""


def _terminate(number: int, frame: object) -> NoReturn:
    raise Terminated


def run() -> NoReturn:
    """The console script."""
    from stability.cli.output import lasting

    signal.signal(signal.SIGTERM, _terminate)
    if isinstance(sys.stderr, io.TextIOWrapper):
        sys.stderr.reconfigure(errors="replace")
    output, interrupted = lasting(), 0
    try:
        status = main(sys.argv[1:])
    except KeyboardInterrupt as stop:
        told = "interrupted: what was there before is as it was; --resume continues an atlas or an exhaustive sweep"
        print(told, file=sys.stderr, flush=True)
        interrupted = 128 + (signal.SIGTERM if isinstance(stop, Terminated) else signal.SIGINT)
    finally:
        if output:
            output.flush()
    if interrupted:
        # Semaphores that other processes shared are told of if they are left.
        gc.collect()
        # An interpreter that ends while a device computes may crash.
        os._exit(interrupted)
    if output and output.problem and not isinstance(output.problem, BrokenPipeError):
        print(f"stability: the output: {output.problem.strerror}", file=sys.stderr)
        status = 2
    raise SystemExit(status)
