"""One command: `stability`, or `python -m stability`, with a subcommand for each job."""

from __future__ import annotations

import importlib
import io
import signal
import sys
from typing import NoReturn

COMMANDS = {
    "sweep": ("stability.cli.sweep", "where the forms of a study, or of a function of yours, fail: a report"),
    "compare": ("stability.cli.compare", "two reports side by side: what moved, and whether something got worse"),
    "diagnose": ("stability.cli.diagnose", "which equation of a function lost the digits at one point"),
    "cases": ("stability.cli.cases", "failures reported in public trackers, reproduced and diagnosed"),
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


def run() -> NoReturn:
    """The console script."""
    signal.signal(signal.SIGTERM, _stop)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        raise SystemExit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        told = "interrupted: what was there before is as it was; --resume continues an exhaustive sweep"
        print(told, file=sys.stderr)
        raise SystemExit(130) from None


def _stop(number: int, frame: object) -> NoReturn:
    """Ends as an exception does, so that what was begun is cleaned up."""
    raise SystemExit(128 + number)
