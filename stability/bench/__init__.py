"""`stability bench NAME`: measures one part of the project and writes `reports/bench-NAME.json`.

Speed, asserted: what each part costs beside its alternatives, as ratios within one run.
"""

from __future__ import annotations

import importlib

from stability.cli.arguments import Parser

NAMES = ("losses", "page", "points", "softmax", "sweep")


def main(argv: list[str]) -> int:
    p = Parser(prog="stability bench", description=__doc__)
    p.add_argument("name", choices=NAMES, help="what to measure; its own options follow, `--help` lists them")
    args = p.parse_args(argv[:1])
    return importlib.import_module(f"stability.bench.{args.name}").main(argv[1:])
