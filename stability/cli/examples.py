"""`stability examples`: training steps on real libraries, healthy and with planted failures, as `reports/training/`."""

from __future__ import annotations

import importlib
from functools import partial
from pathlib import Path

from rich.console import Console

from stability.cli.arguments import Parser, command
from stability.environment import environment, tell_untested
from stability.examples import NAMES, Finding, examine, load, page
from stability.files import foreign, write_atomically, write_json

LIBRARIES = ("diffrax", "equinox", "flax", "optax")


def parser() -> Parser:
    p = Parser(prog="stability examples", description=__doc__)
    p.add_argument("--example", action="append", choices=NAMES, help="an example (repeatable; default all)")
    p.add_argument("--out", type=Path, default=Path("reports/training"), metavar="DIR", help="default %(default)s")
    return p


def main(argv: list[str]) -> int:
    p = parser()
    args = p.parse_args(argv)
    chosen = [name for name in NAMES if name in (args.example or NAMES)]
    with p.writing(args.out, partial(foreign, page="README.md", data="training.json")):
        try:
            for name in chosen:
                load(name)
        except ImportError as missing:
            p.error(f"{missing.name} is not installed; the extra `examples` brings it")
        findings = [_examined(name) for name in chosen]
        versions = {name: importlib.import_module(name).__version__ for name in LIBRARIES}
        manifest = {"command": command("stability examples", argv), "libraries": versions, **environment()}
        data = {"schema": 1, "manifest": manifest, "examples": [f.as_json() for f in findings]}
        write_json(args.out / "training.json", data)
        write_atomically(args.out / "README.md", page(findings, manifest))
    print(f"page in {args.out}: README.md, training.json")
    tell_untested()
    return 0


def _examined(name: str) -> Finding:
    """Examines an example, and tells it in a line when it is done."""
    found = examine(name)
    healthy = "healthy step clean" if found.clean else "FALSE ALARM in the healthy step"
    planted = "planted failure found" if found.right else "planted failure NOT found as planted"
    Console().print(f"{name}: {healthy}, {planted}", soft_wrap=True, highlight=False)
    return found
