"""What a sweep tells in the terminal: how far it is, and what matters of what it found."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from stability.formats import FORMATS
from stability.measure.regions import nearest
from stability.report.tables import LABEL, label_text, value
from stability.sweep.outcome import HEADINGS, Outcome, Row

WIDTH = 80


@contextmanager
def counting(console: Console, total: int) -> Iterator[Callable[[str], None]]:
    """A bar that is told each row that is done; off a terminal, a line for every 40."""
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task("sweep", total=total)
        done = 0

        def progress(row: str) -> None:
            nonlocal done
            done += 1
            bar.update(task, advance=1, description=row)
            if not console.is_terminal and total > 1 and (done % 40 == 0 or done == total):
                console.print(f"{done} of {total} rows", soft_wrap=True, highlight=False)

        yield progress


def summary(outcome: Outcome, label_name: str) -> Table:
    """A line a form and format: where it is first NaN and first vanished, and its worst error."""
    table = Table(title=f"nearest to zero, over every {escape(label_name)} and mode", box=None, pad_edge=False)
    for k, heading in enumerate(HEADINGS):
        table.add_column(escape(heading), no_wrap=True, justify="left" if k < 2 else "right")
    for line in outcome.lines():
        table.add_row(*line.cells())
    return table


def _first_failure(row: Row, positive: bool) -> str:
    found = nearest(row.regions, positive)
    return f"{value(found[0], FORMATS[row.dtype]):.6g} {found[1]}" if found else "–"


def every_row(outcome: Outcome, label_name: str) -> Table:
    """A line a row."""
    table = Table(title="first failing float on each side of zero, and the worst error where the result is ok")
    for name in ("form", "dtype", label_name, "mode", "below 0", "from 0 up"):
        table.add_column(escape(name), no_wrap=True)
    table.add_column("worst ok \\[ulps]", justify="right")
    for row in outcome.rows:
        worst = "–" if row.worst_ok is None else f"{row.worst_ok:.2f}"
        sides = [_first_failure(row, side) for side in (False, True)]
        table.add_row(row.form, row.dtype, label_text(row.label), row.mode, *sides, worst)
    return table


def tell(outcome: Outcome, console: Console, out: Path, verbose: bool, label_name: str = LABEL) -> None:
    """Prints the summary, or every row, the rows that could not be measured, and where the report is."""
    wide = console if console.is_terminal else Console(width=120 if verbose else WIDTH)
    wide.print(every_row(outcome, label_name) if verbose else summary(outcome, label_name))
    for row in outcome.rows:
        if row.error:
            place = f"{row.form} {row.dtype} {row.mode}"
            console.print(f"{place} was not measured: {row.error}", soft_wrap=True, highlight=False, markup=False)
    print(f"report in {out}: README.md, index.html, summary.json, summary.csv")
