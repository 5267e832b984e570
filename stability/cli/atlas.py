"""`stability atlas`: how accurate every derivative that JAX ships is, as `reports/atlas/`."""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Iterator
from concurrent.futures import Executor, as_completed
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from stability.atlas import endless, maps, page
from stability.atlas.aliases import same_programs, under_name
from stability.atlas.functions import LEFT_OUT, public_functions, stem
from stability.atlas.records import Row, Settings, Task
from stability.atlas.rows import measure_in_turn
from stability.atlas.store import ATLAS, Atlas, Change, Progress, Refused, changes, identity, packed, read
from stability.atlas.timing import seconds_by_rule
from stability.cli import executors
from stability.cli.arguments import Parser, command, number_in, whole_number
from stability.cli.executors import NoExecutor
from stability.environment import environment, tell_untested
from stability.files import write_together
from stability.formats import FORMATS

FILES = (ATLAS, "README.md", "index.html")
PROGRESS, CHANGES = "progress.jsonl", "changes.md"


def parser() -> Parser:
    p = Parser(prog="stability atlas", description=__doc__)
    p.add_argument(
        "--function",
        action="append",
        metavar="NAME",
        help="module, module.name or whole name of a function, as nn, nn.silu or 'special.beta(x, 2.5)' (repeatable; "
        "default all)",
    )
    p.add_argument("--dtype", action="append", choices=FORMATS, help="a format (repeatable; default all)")
    p.add_argument("--points", type=whole_number(64), default=4096, help="grid of float32 and float64 (%(default)s)")
    p.add_argument(
        "--tolerance",
        type=number_in(0.5, 2.0**53, "a number of ulps from 0.5 to 2**53"),
        default=16.0,
        metavar="ULPS",
        help="default %(default)s",
    )
    p.add_argument(
        "--seconds",
        type=number_in(0.1, 1e6, "seconds"),
        default=60.0,
        help="what the true values of an order may take before fewer floats are looked at (%(default)s)",
    )
    p.add_argument(
        "--exhaustive",
        action="store_true",
        help="look at every float32 under jit, of functions whose true values have Taylor models everywhere",
    )
    p.add_argument("--against", type=Path, metavar="FILE", help=f"an earlier {ATLAS}: tells what changed")
    p.add_argument("--out", type=Path, default=Path("reports/atlas"), metavar="DIR", help="default %(default)s")
    p.add_argument("--resume", action="store_true", help="go on from where an interrupted run of the same was")
    p.add_argument("--list", action="store_true", help="the functions, and what is left out")
    executors.add_arguments(p)
    return p


def chosen(p: Parser, wanted: list[str] | None) -> list[str]:
    """The names of the functions that are asked for."""

    def is_wanted(name: str) -> bool:
        return not wanted or any(stem(w) == name or name.startswith(w + ".") for w in wanted)

    found = list(public_functions(is_wanted))
    whole = [w for w in wanted or () if "(" in w]
    if whole:
        found = [f for f in found if f in whole or any(stem(f) == w or f.startswith(w + ".") for w in wanted or ())]
    for w in wanted or ():
        if not any(f == w or stem(f) == w or f.startswith(w + ".") for f in found):
            why = LEFT_OUT.get(w)
            p.error(f"--function {w}: {why or 'there is no such function'}; --list tells all")
    return found


def main(argv: list[str]) -> int:
    p = parser()
    args = p.parse_args(argv)
    before = None
    try:
        before = read(args.against) if args.against else None
    except Refused as refusal:
        p.error(f"--against {refusal}")
    names = chosen(p, args.function)
    if args.list:
        print("\n".join([*names, *(f"left out: {name}, {why}" for name, why in sorted(LEFT_OUT.items()))]))
        return 0
    settings = Settings(args.points, args.tolerance, args.seconds, args.exhaustive)
    tasks = [Task(name, dtype) for name in names for dtype in args.dtype or FORMATS]
    measured_as = same_programs(tasks)
    with p.writing(args.out, _foreign):
        try:
            progress = Progress(args.out / PROGRESS, identity(settings), args.resume)
            _measured(sorted(set(measured_as.values()), key=_in_turn), settings, args, progress)
            found_maps = _maps(names, args)
        except (Refused, NoExecutor) as refusal:
            p.error(str(refusal))
        earlier = _reports(args.out / ATLAS)
        rows = [under_name(row, task.function) for task in tasks for row in progress.done[measured_as[task]]]
        manifest = {"command": command("stability atlas", argv), **environment(), "settings": asdict(settings)}
        atlas = Atlas(manifest, tuple(rows), seconds_by_rule(names), found_maps)
        found = list(changes(before, atlas)) if before else []
        texts: dict[str, str | bytes] = {ATLAS: packed(atlas)}
        texts |= {"index.html": page.html(atlas), "README.md": page.readme(atlas)}
        if before:
            texts[CHANGES] = page.changed(before, atlas, found)
        write_together(args.out, texts)
        if not before:
            (args.out / CHANGES).unlink(missing_ok=True)
        reports = page.upstream(atlas)
        for name in earlier - reports.keys():
            (args.out / "upstream" / name).unlink(missing_ok=True)
        if reports:
            write_together(args.out / "upstream", reports)
        progress.path.unlink(missing_ok=True)
    _tell(atlas, found, args.out)
    tell_untested()
    status = 1 if any(c.verdict == "worse" for c in found) else 0
    endless.leave(status)
    return status


def _foreign(out: Path) -> str | None:
    """Why an atlas may not be written into a directory, in one line: something there has a name of its files."""
    there = [name for name in (*FILES, CHANGES, "upstream") if (out / name).exists()]
    try:
        if there:
            read(out / ATLAS)
    except Refused:
        return f"{out}: holds {there[0]}, but no {ATLAS} of an earlier run; give another directory"
    return None


def _reports(path: Path) -> set[str]:
    """The names of the reports that an earlier atlas of the same folder wrote."""
    try:
        return set(page.upstream(read(path)))
    except Refused:
        return set()


def _in_turn(task: Task) -> tuple[str, str]:
    """Formats one after the other: what is compiled eagerly is of use to all functions of a format."""
    return task.dtype, task.function


def _measured(tasks: list[Task], settings: Settings, args: argparse.Namespace, progress: Progress) -> None:
    """Measures what is not done yet, many tasks apart from this process, since a program that does not end can only be
    left with the process it is in. Where a process ended, others go on, if anything was done since."""
    done = len(progress.done)
    while left := [task for task in tasks if task not in progress.done]:
        try:
            with executors.executor(args.jobs, args.scheduler, len(tasks) < 3, apart=True) as pool:
                for task, rows in _results(left, settings, pool):
                    progress.add(task, rows)
                    if sys.stderr.isatty():
                        told = f"{len(progress.done)} of {len(tasks)}: {task.function} {task.dtype}"
                        print(f"\r{told}\033[K", end="", file=sys.stderr)
        except NoExecutor:
            if len(progress.done) == done:
                raise
            done = len(progress.done)
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr)


def _results(tasks: list[Task], settings: Settings, pool: Executor | None) -> Iterator[tuple[Task, list[Row]]]:
    if pool is None:
        yield from ((task, measure_in_turn(task, settings)) for task in tasks)
        return
    waiting = {pool.submit(measure_in_turn, task, settings): task for task in tasks}
    yield from ((waiting[done], done.result()) for done in as_completed(waiting))


def _maps(names: list[str], args: argparse.Namespace) -> tuple[maps.LossMap, ...]:
    """Of the losses among some functions, over logit and label."""
    tasks = [(loss, dtype, args.tolerance) for loss in maps.of_functions(names) for dtype in args.dtype or FORMATS]
    if not tasks:
        return ()
    with executors.executor(args.jobs, args.scheduler, len(tasks) < 3) as pool:
        columns = zip(*tasks, strict=True)
        found = map(maps.measure, *columns) if pool is None else pool.map(maps.measure, *columns)
        return tuple(itertools.chain.from_iterable(found))


def _tell(atlas: Atlas, found: list[Change], out: Path) -> None:
    console = Console(highlight=False, soft_wrap=True)
    table = Table("order", "rows", "fail", "JAX has none", "no true values", box=None, pad_edge=False)
    for total in page.totals(atlas):
        table.add_row(*map(str, total))
    console.print(table)
    for change in found[:20]:
        place = f"{change.function} by {change.rule}, order {change.order}, {change.dtype}, {change.way}, {change.mode}"
        console.print(f"{change.verdict}: {place}: {change.before} → {change.after}", markup=False)
    if len(found) > 20:
        console.print(f"and {len(found) - 20} more changes: {out / 'changes.md'}", markup=False)
    console.print(f"atlas in {out}: {', '.join(FILES)}", markup=False)
