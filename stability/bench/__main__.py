"""`python -m stability.bench NAME`: measures one part of the project and writes `reports/bench-NAME.json`."""

from __future__ import annotations

import importlib
import sys

from stability.cli.arguments import Parser

NAMES = ("losses", "softmax", "sweep")


def main(argv: list[str]) -> int:
    p = Parser(prog="python -m stability.bench", description=__doc__, allow_abbrev=False)
    p.add_argument("name", choices=NAMES, help="what to measure; its own options follow, `--help` lists them")
    args = p.parse_args(argv[:1])
    return importlib.import_module(f"stability.bench.{args.name}").main(argv[1:])


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
