"""`stabilize` on published problems: the mean error of each before and after, in bits, and the time it takes.

A file of problems is JSON, as of Herbie's published runs (`problems`, each with `name`, `expression` and, if known,
`start` and `end`), or FPCore. Each problem is searched at `--points` points, uniform over the floats of each argument,
where the precondition holds and the true value is a number that the format holds; cores as `stabilize` does it, with
points added where it is bad; and judged at `--others` points more, under jit. The error is `log2(1 + n)`, where `n`
is the number of floats between a result and the true value. Derivatives are those that `jax.grad` makes of the function
and of the outcome, which has rules of its own for them where those pay.
"""

from __future__ import annotations

import argparse
import json
import re
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from stability.bench import Refused, figures
from stability.cli.arguments import Parser, whole_number
from stability.formats import FORMATS, FloatFormat
from stability.rewriting.comparison import worse_around, worse_at
from stability.rewriting.derivatives import with_slopes
from stability.rewriting.finding import focused, searched, written
from stability.rewriting.measuring import error_of
from stability.rewriting.problems import Problem
from stability.rewriting.programs import Unsupported, term_of
from stability.rewriting.sample import Sample, judged
from stability.rewriting.settling import settled
from stability.rewriting.slopes import NoSlope, derivative
from stability.rewriting.terms import Term, number, operation, variable, variables
from stability.study.fpcore import Core, domain, points, read

_NAMES = {"+": "add", "-": "sub", "*": "mul", "/": "div"}


class Task(NamedTuple):
    """A problem: its name, its term, and what is published of it; the core that it is of, if of one."""

    name: str
    term: Term
    published: tuple[float, float] | None = None
    core: Core | None = None


class Row(NamedTuple):
    """What came of a problem: mean bits before and after, of the function and of its first derivatives; at how many of
    the points judged it is worse, by how much at most, and at how many of these it is so around them too, as
    `worse_around` has them; branches, and seconds of the search, and of that for the rules of its derivatives."""

    name: str
    before: float
    after: float
    published: tuple[float, float] | None
    slope_before: float
    slope_after: float
    worse: int
    most_worse: float
    worse_around: int
    judged: int
    branches: int
    seconds: float
    seconds_of_rules: float
    source: str


def parsed(text: str) -> Term:
    """A term from an S-expression, with `sqr` for squares."""
    tokens = iter(re.findall(r"[()]|[^\s()]+", text))

    def one(token: str) -> Term:
        if token != "(":
            return number(int(token)) if re.fullmatch(r"-?\d+", token) else variable(token)
        op, args = next(tokens), []
        while (token := next(tokens)) != ")":
            args.append(one(token))
        if op == "sqr":
            return operation("mul", args[0], args[0])
        if op == "-" and len(args) == 1:
            return operation("neg", args[0])
        if op == "/" and all(a.op == "num" for a in args):
            return number(args[0].leaf / args[1].leaf)  # type: ignore[operator]
        return operation(_NAMES.get(op, op), *args)

    return one(next(tokens))


def tasks_of(path: Path, fmt: FloatFormat, most_inputs: int) -> Iterator[Task]:
    """The problems of a file; cores that are no terms are left out, each with a line that says why."""
    if path.suffix == ".json":
        for p in json.loads(path.read_text("utf-8"))["problems"]:
            yield Task(p["name"], parsed(p["expression"]), (p["start"], p["end"]))
        return
    for core in read(path):
        if len(core.arguments) > most_inputs:
            continue
        try:
            if core.refusal:
                raise Unsupported(core.refusal)
            yield Task(core.name, term_of(core, core.arguments, fmt), core=core)
        except (Unsupported, ValueError) as problem:
            print(f"{core.name[:40]:40} left out: {problem}", flush=True)


def points_of(task: Task, problem: Problem, n: int, seed: int) -> Sample:
    if task.core is None:
        return problem.sample(n, seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        columns = points(task.core, n, problem.fmt, seed)
    drawn = (dict(zip(problem.names, point, strict=True)) for point in columns.T)
    return judged(problem.term, problem.names, n, problem.fmt, drawn)


def slopes(fn: Any, problem: Problem, where: Sample) -> float:
    """The mean bits of error of `jax.grad` in each argument, at the points of a sample where it has a value."""
    found = []
    for i, name in enumerate(problem.names):
        try:
            slope = derivative(problem.term, name)
        except NoSlope:
            continue
        rows = (dict(zip(problem.names, point, strict=True)) for point in zip(*where.columns.values(), strict=True))
        own = judged(slope, problem.names, len(where), problem.fmt, rows)
        if len(own):
            found.append(error_of(jax.grad(fn, argnums=i), own, problem.names, problem.fmt))
    return float(np.concatenate(found).mean()) if found else float("nan")


def measured(task: Task, fmt: FloatFormat, search: int, others: int, seed: int) -> Row | None:
    """`None` for a problem without points."""
    names = task.core.arguments if task.core else tuple(variables(task.term))
    ranges = {n: domain(task.core, n) for n in names} if task.core else {}
    problem = Problem(task.term, names, fmt, ranges, seed)
    if task.core:
        problem = problem._replace(allowed=task.core.meets)
    where = points_of(task, problem, search, seed)
    if not len(where):
        return None
    begun = time.perf_counter()
    found = focused(problem, search // 2) if task.core else searched(problem, where)
    _, fn = written(lambda: None, found.alone(task.term), names)
    text, stable = written(lambda: None, found, names)
    if task.core:
        found, text, stable, *_ = settled(problem, fn, found, problem.mixed(32 * search, salt=1).joined(found.points))
    seconds = time.perf_counter() - begun
    if (ruled := with_slopes(problem, fn, stable, text, found)) is not None:
        text, stable = ruled.source, ruled.function
    of_rules = time.perf_counter() - begun - seconds
    rest = points_of(task, problem, others, seed + 1)
    before, after = (error_of(f, rest, names, fmt) for f in (fn, stable))
    worse, few = worse_at(before, after), rest.at(slice(0, 512))
    slope_before, slope_after = (slopes(f, problem, few) for f in (fn, stable))
    return Row(
        task.name,
        float(before.mean()),
        float(after.mean()),
        task.published,
        slope_before,
        slope_after,
        len(worse),
        float((after - before).max()),
        len(worse_around(problem, fn, stable, rest, before, after)),
        len(rest),
        len(found.regimes.terms),
        round(seconds, 2),
        round(of_rules, 2),
        text,
    )


def parser() -> Parser:
    p = figures.parser("stabilize", __doc__)
    p.add_argument("files", nargs="+", type=Path, metavar="FILE", help="problems: JSON, or FPCore as of fpbench.org")
    p.add_argument("--dtype", choices=list(FORMATS), default="float64", help="the format (default %(default)s)")
    p.add_argument("--points", type=whole_number(1), default=256, help="points of a search (default %(default)s)")
    p.add_argument("--others", type=whole_number(1), default=8000, help="points to judge at (default %(default)s)")
    p.add_argument(
        "--inputs", type=whole_number(1), default=3, help="arguments at most, of cores (default %(default)s)"
    )
    p.add_argument("--only", help="problems whose name has this in it")
    p.add_argument("--seed", type=whole_number(0), default=0, help="of the points (default %(default)s)")
    return p


def told(row: Row) -> str:
    there = f"{row.published[0]:7.2f}{row.published[1]:7.2f}" if row.published else " " * 14
    ours = f"{row.before:7.2f}{row.after:7.2f}{row.slope_before:8.2f}{row.slope_after:7.2f}"
    worse = f"{row.worse:7}{row.worse_around:7}{row.most_worse:7.1f}"
    return f"{row.name[:34]:34}{there}{ours}{worse}{row.branches:4}{row.seconds:7.1f} s{row.seconds_of_rules:+7.1f} s"


def run(args: argparse.Namespace) -> int:
    fmt, rows = FORMATS[args.dtype], []
    print(f"{'bits of error':34}{'published':>14}{'value':>14}{'derivative':>15}{'worse':>7}{'around':>7}{'by':>7}")
    for path in args.files:
        try:
            tasks = list(tasks_of(path, fmt, args.inputs))
        except (OSError, ValueError, KeyError) as problem:
            raise Refused(f"{path}: {str(problem).splitlines()[0]}") from None
        for task in tasks:
            if args.only and args.only not in task.name:
                continue
            row = measured(task, fmt, args.points, args.others, args.seed)
            if row is not None:
                rows.append(row)
                print(told(row), flush=True)
    if not rows:
        raise Refused("there is no problem to measure")
    summary = summed(rows)
    print(f"{len(rows)} problems: {summary['before']:.2f} bits before, {summary['after']:.2f} after", end="")
    print(f"; derivatives {summary['slope_before']:.2f} and {summary['slope_after']:.2f}", end="")
    print(f"; {summary['seconds']:.1f} s each, {summary['most_seconds']:.1f} s at most; rules", end="")
    print(f" {summary['seconds_of_rules']:.1f} s each")
    data = {"dtype": args.dtype, "summary": summary, "problems": [r._asdict() for r in rows]}
    figures.write(args.out, "stabilize", args.command, data)
    return 0 if all(r.after <= r.before for r in rows) else 1


def summed(rows: Sequence[Row]) -> dict[str, float]:
    names = ("before", "after", "slope_before", "slope_after")
    means = {name: float(np.nanmean([getattr(r, name) for r in rows])) for name in names}
    seconds = [r.seconds for r in rows]
    bad = [r for r in rows if r.before > 4]
    left = sum(r.after for r in bad) / max(sum(r.before for r in bad), 1e-9)
    times = {"seconds": float(np.mean(seconds)), "most_seconds": max(seconds)}
    times["seconds_of_rules"] = float(np.mean([r.seconds_of_rules for r in rows]))
    return {**means, **times, "over_4_bits_left": left}
