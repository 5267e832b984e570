"""`stability cases`: reported failures reproduced, measured and diagnosed, as `reports/cases/`."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from rich.console import Console

from stability.cases import CASES, Finding, examine, page
from stability.cases.page import as_expected
from stability.cli import executors
from stability.cli.arguments import Parser, command
from stability.environment import environment, tell_untested
from stability.files import foreign, write_atomically, write_json

NAMES = [case.name for case in CASES]


def parser() -> Parser:
    p = Parser(prog="stability cases", description=__doc__)
    p.add_argument("--case", action="append", choices=NAMES, help="a case (repeatable; default all)")
    p.add_argument(
        "--stabilize", action="store_true", help="rewrite each by `stabilize` too, which takes up to a minute a case"
    )
    p.add_argument("--out", type=Path, default=Path("reports/cases"), metavar="DIR", help="default %(default)s")
    executors.add_arguments(p)
    return p


def main(argv: list[str]) -> int:
    p = parser()
    args = p.parse_args(argv)
    with p.writing(args.out, partial(foreign, page="README.md", data="cases.json")):
        try:
            findings = _examined([name for name in NAMES if name in (args.case or NAMES)], args)
        except executors.NoExecutor as problem:
            p.error(str(problem))
        manifest = {"command": command("stability cases", argv), **environment()}
        data = {"schema": 1, "manifest": manifest, "cases": [f.as_json() for f in findings]}
        write_json(args.out / "cases.json", data)
        write_atomically(args.out / "README.md", page(findings, manifest))
    print(f"page in {args.out}: README.md, cases.json")
    tell_untested()
    return 0


def _examined(chosen: list[str], args: argparse.Namespace) -> list[Finding]:
    """Examines cases, and tells each in a line when it is done."""
    console, findings, look = Console(), [], partial(examine, rewrite=args.stabilize)
    with executors.executor(args.jobs, args.scheduler, few=len(chosen) <= 4) as pool:
        for finding in pool.map(look, chosen) if pool else map(look, chosen):
            findings.append(finding)
            verdict = "as expected" if as_expected(finding) else "NOT the expected one"
            culprit = finding.diagnosis.culprit
            told = f"{culprit.primitive}, {culprit.kind}" if culprit else "none"
            console.print(f"{finding.case.name}: culprit {told}, {verdict}", soft_wrap=True, highlight=False)
            if made := finding.rewritten:
                told = f"fix {made.fixed}; rewritten {made.refused or made.stable}"
                console.print(f"  reported {made.naive}; {told}", soft_wrap=True, highlight=False)
    return findings
