"""`stability compare A B`: two `summary.json` of sweeps side by side, and what moved from the one to the other.

Two releases of JAX, two machines, before and after a change. Exit status 1 if something got worse, 0 if nothing did.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from stability.cli.arguments import Parser
from stability.files import unwritable
from stability.report import comparison
from stability.report.tables import LABEL, label_text
from stability.sweep.comparison import OPEN, Comparison, Sampling, compared
from stability.sweep.outcome import SCHEMA, Outcome

WIDTH = 80


def _read(path: Path) -> tuple[comparison.Side, Outcome, Sampling | None]:
    """What a file is and its outcome. **Raises:** `ValueError`, one line that says what is wrong with it."""
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
        schema = summary["schema"]
        if schema == SCHEMA:
            manifest = dict(summary["manifest"])
            side = comparison.Side(str(path), manifest, str(summary.get("study", {}).get("label", LABEL)))
            return side, Outcome.from_json(summary), Sampling.of(manifest)
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror or error}") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ValueError(f"{path}: is not the summary.json of a sweep") from None
    raise ValueError(f"{path}: is of schema {schema!r:.20}; schema {SCHEMA} is read: sweep it again")


def _table(found: Comparison, label_name: str) -> Table:
    """A line a row that moved and is judged."""
    table = Table(box=None, pad_edge=False, collapse_padding=True, title="what moved, the worst first", width=WIDTH)
    for name in ("", "form", "dtype", label_name, "mode"):
        table.add_column(escape(name), no_wrap=True, max_width=18)
    table.add_column("what", no_wrap=True, overflow="ellipsis", ratio=1)
    for _, form, dtype, label, mode in found.missing:
        table.add_row("worse", escape(form), dtype, label_text(label), mode, "the row is missing")
    for moved in found.moved:
        if moved.verdict != OPEN:
            row = moved.before
            names = escape(row.form), row.dtype, label_text(row.label), row.mode
            table.add_row(moved.verdict, *names, escape(comparison.short(moved)))
    return table


def _tell(found: Comparison, sides: tuple[comparison.Side, comparison.Side]) -> None:
    console = Console(width=WIDTH, highlight=False)

    def line(text: str) -> None:
        console.print(text, soft_wrap=True, markup=False)

    before, _ = sides
    for title, side in zip(("before", "after"), sides, strict=True):
        told = ", ".join(f"{name} {side.manifest.get(name, '?')}" for name in ("jax", "jaxlib", "backend"))
        line(f"{title:<6} {side.name}: {told}")
    if found.missing or any(row.verdict != OPEN for row in found.moved):
        console.print(_table(found, before.label_name))
        for worst in found.moved[:1]:
            row = worst.before
            names = row.form, row.dtype, comparison.at(row.label, before), row.mode
            line(f"of the first, {' '.join(filter(None, names))}:")
            for fact in comparison.facts(worst):
                line(f"  {fact['verdict']}: {fact['what']}: {fact['was']} → {fact['now']}")
    line(comparison.sentence(found))
    for text in comparison.alone(found, sides):
        line(text)


def parser() -> Parser:
    p = Parser(prog="stability compare", description=__doc__)
    p.add_argument("before", type=Path, metavar="FILE", help="the summary.json of a sweep")
    p.add_argument("after", type=Path, metavar="FILE", help="that of the same sweep elsewhere, or later")
    p.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="write README.md, compare.json and index.html there: a new or empty directory, or one with a comparison, "
        "which is replaced",
    )
    return p


def main(argv: list[str]) -> int:
    p = parser()
    args = p.parse_args(argv)
    try:
        if args.out and (problem := unwritable(args.out) or comparison.foreign(args.out)):
            raise ValueError(f"--out {problem}")
        (one, before, start), (other, after, start_after) = _read(args.before), _read(args.after)
        sides = one, other
        found = compared(before, after, (start, start_after))
        if not found.shared:
            raise ValueError(f"{args.before} and {args.after} have no row in common")
        if args.out:
            comparison.write(found, sides, args.out)
    except ValueError as problem:
        p.error(str(problem))
    except OSError as problem:
        p.error(f"--out {args.out}: {problem.strerror or problem}")
    _tell(found, sides)
    if args.out:
        print(f"page in {args.out}: README.md, compare.json, index.html", file=sys.stdout)
    return int(found.worse)
