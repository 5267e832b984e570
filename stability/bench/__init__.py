"""`stability bench NAME`: measures one part of the project and writes `reports/bench-NAME.json`.

Speed, asserted: what each part costs beside its alternatives, as ratios within one run.
"""

from __future__ import annotations

import importlib

from stability.cli.arguments import Parser, command
from stability.cli.executors import NoExecutor

COMMANDS = {
    "diagnose": ("stability.bench.diagnose", "one call of `diagnose` on sums and networks of many sizes"),
    "fpcores": ("stability.bench.fpcores", "the screen by wider floats, beside proven truths, on FPCore files"),
    "further": ("stability.bench.further", "`stabilize` on further functions of one number, before and after"),
    "losses": ("stability.bench.losses", "the losses of logits, beside optax and a copy of the array"),
    "nn": ("stability.bench.nn", "the functions of `stability.nn`, beside their namesakes of JAX"),
    "note": ("stability.bench.note", "`stabilize` on the lines of the course note, at every float32"),
    "page": ("stability.bench.page", "the page of a report in a browser"),
    "points": ("stability.bench.points", "true values, and sweeps of functions that are measured in balls"),
    "softmax": ("stability.bench.softmax", "the losses of several classes, beside optax"),
    "stabilize": ("stability.bench.stabilize", "`stabilize` on published problems, before and after"),
    "sweep": ("stability.bench.sweep", "every float32, beside merely evaluating it"),
    "watch": ("stability.bench.watch", "a training step that is watched, beside the step by itself"),
}


class Refused(ValueError):
    """Why a benchmark can't be run, in one line."""


def main(argv: list[str]) -> int:
    """Runs a benchmark: its module has `parser() -> Parser`, and `run`, from what was parsed to the exit status."""
    p = Parser(prog="stability bench", description=__doc__)
    p.add_argument("name", choices=list(COMMANDS), help="what to measure; its own options follow, `--help` lists them")
    name = p.parse_args(argv[:1]).name
    benchmark = importlib.import_module(COMMANDS[name][0])
    own: Parser = benchmark.parser()
    args = own.parse_args(argv[1:])
    args.command = command(f"stability bench {name}", argv[1:])
    with own.writing(args.out):
        try:
            return benchmark.run(args)
        except (NoExecutor, Refused) as problem:
            own.error(str(problem))
