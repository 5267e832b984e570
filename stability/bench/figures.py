"""What the benchmarks share: where their figures go."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stability.cli.arguments import Parser
from stability.environment import environment
from stability.files import write_json


def parser(name: str, told: str | None) -> Parser:
    """The options of `stability bench NAME` that all have: `--out`."""
    p = Parser(prog=f"stability bench {name}", description=told)
    p.add_argument("--out", type=Path, default=Path("reports"), metavar="DIR", help="default %(default)s")
    return p


def write(directory: Path, name: str, command: str, figures: Mapping[str, Any]) -> None:
    """Writes `bench-NAME.json`: the figures, the command, and what they were measured on."""
    manifest = {"command": command, **environment()}
    write_json(directory / f"bench-{name}.json", {"schema": 1, "manifest": manifest, **figures})
