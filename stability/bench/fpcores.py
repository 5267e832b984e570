"""The screen by wider floats against proven truths, on FPCore files: how many bad results it finds, and how many of
those that it calls bad are.

Every core is run in float32 under jit at points that meet its precondition, uniform over the floats. A result is bad
where it is over 16 ulps off, or NaN where the truth is a number. The screen runs the same equations on pairs of float64
(`stability.real.twofold`); what these say that they have lost is decided by balls. Told beside it: the pairs without
that, a lost result taken for bad, and a float64 evaluation alone, as in other tools. The truth is that of balls; points
where it is undecided are left out.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from stability import truth
from stability.bench import Refused, figures
from stability.cli.arguments import Parser, whole_number
from stability.cli.executors import add_arguments, executor
from stability.formats import FORMATS
from stability.measure import error_in_ulps
from stability.real import evaluate
from stability.real.reals import UnsupportedPrimitive
from stability.real.twofold import run_twofold
from stability.real.wider import run_in_wider
from stability.study.fpcore import Core, points, read
from stability.truth import State, Truth

F32 = FORMATS["float32"]
TOLERANCE = 16.0
ROUNDS = 8
"""How many rounds a loop may go on for, beyond which a result has no value: each costs the truth milliseconds."""

RECALL, PRECISION = 0.98, 0.97


class Task(NamedTuple):
    """A core by its file and its place there, and the points to draw."""

    path: str
    place: int
    points: int
    seed: int


class Counted(NamedTuple):
    """Points of a core by what a screen says: bad and found, bad and missed, called bad and right. That of the pairs
    and balls, of the pairs without balls, and of float64 alone; how many are lost to the pairs, undecided, and all."""

    name: str
    screen: tuple[int, int, int]
    pairs: tuple[int, int, int]
    alone: tuple[int, int, int]
    lost: int
    undecided: int
    points: int
    seconds: float


def is_bad(results: np.ndarray, known: Truth) -> np.ndarray:
    """Over 16 ulps off, or NaN, where the truth is a number, infinite ones that it overflows to included."""
    with np.errstate(invalid="ignore"):
        return (known.state == State.NUMBER) & ~(error_in_ulps(results, known) <= TOLERANCE)


class Screened(NamedTuple):
    """The results of a core under jit; which of them the pairs call bad, which are lost to them, and which float64
    alone calls bad."""

    results: np.ndarray
    called: np.ndarray
    lost: np.ndarray
    alone: np.ndarray


def screened(core: Core, columns: Sequence[np.ndarray]) -> Screened:
    batch = jax.vmap(core)
    results = np.asarray(jax.jit(batch)(*columns))
    jaxpr = jax.make_jaxpr(batch)(*columns)
    (twofold,), (wide,) = run_twofold(jaxpr, columns), run_in_wider(jaxpr, columns)
    called = is_bad(results, truth.of_floats(np.asarray(twofold.h), F32))
    lost = np.broadcast_to(np.asarray(twofold.lost), called.shape)
    open_ = lost & ((np.isnan(twofold.h) & ~np.isfinite(results)) | ((twofold.h == 0) & (results == 0)))
    return Screened(results, called & ~open_, open_, is_bad(results, truth.of_floats(np.asarray(wide), F32)))


def truths(core: Core, columns: Sequence[np.ndarray]) -> Truth:
    """By balls. A loop that goes on for longer than `ROUNDS` over the reals is not decided."""
    jaxpr = jax.make_jaxpr(core)(*(c[0] for c in columns))
    loops, known = "while[" in str(jaxpr), []
    for leaves in zip(*columns, strict=True):
        (out,) = evaluate.reals(jaxpr, leaves, [F32])
        point = evaluate.point_of(out, F32)
        known.append(truth.undecided(F32) if loops and point.state == State.UNDEFINED else point)
    return truth.of_points(known, F32)


def counted(task: Task) -> Counted | None:
    """What the screen finds of a core; `None` of one that can't be called or has no points."""
    begun = time.perf_counter()
    core = dataclasses.replace(read(task.path)[task.place], rounds=ROUNDS)
    if core.refusal:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        columns = list(points(core, task.points, F32, task.seed))
    if not columns or not columns[0].size:
        return None
    found = screened(core, columns)
    try:
        known = truths(core, columns)
    except UnsupportedPrimitive:
        return None
    open_ = known.state == State.UNDECIDED
    bad = is_bad(found.results, known)

    def against(calls: np.ndarray) -> tuple[int, int, int]:
        found, missed, false = (int((p & ~open_).sum()) for p in (calls & bad, ~calls & bad, calls & ~bad))
        return found, missed, false

    return Counted(
        core.name,
        against(found.called | (found.lost & bad)),
        against(found.called | found.lost),
        against(found.alone),
        int(found.lost.sum()),
        int(open_.sum()),
        len(bad),
        round(time.perf_counter() - begun, 2),
    )


def rates(rows: Sequence[Counted], which: str) -> dict[str, float]:
    """Recall and precision over all points."""
    found, missed, false = (sum(getattr(r, which)[i] for r in rows) for i in range(3))
    return {"recall": found / max(found + missed, 1), "precision": found / max(found + false, 1)}


def parser() -> Parser:
    p = figures.parser("fpcores", __doc__)
    p.add_argument("files", nargs="+", type=Path, metavar="FILE", help="FPCore files, as of fpbench.org")
    p.add_argument("--points", type=whole_number(1), default=256, help="points a core (default %(default)s)")
    p.add_argument("--seed", type=whole_number(0), default=0, help="of the points (default %(default)s)")
    add_arguments(p)
    return p


def run(args: argparse.Namespace) -> int:
    tasks = []
    for path in args.files:
        try:
            tasks += [Task(str(path), i, args.points, args.seed) for i in range(len(read(path)))]
        except (OSError, ValueError) as error:
            raise Refused(str(error).splitlines()[0]) from None
    rows = []
    with executor(args.jobs, args.scheduler, few=False) as pool:
        for row in map(counted, tasks) if pool is None else pool.map(counted, tasks):
            if row is not None:
                rows.append(row)
                counts = "".join(f"{n:6}" for n in (*row.screen, row.lost, row.points))
                print(f"{row.name[:40]:40}{counts} {row.seconds:7.1f} s", flush=True)
    told = {name: rates(rows, name) for name in ("screen", "pairs", "alone")}
    print(f"{len(rows)} cores of {len(tasks)}, {sum(r.points for r in rows)} points, ", end="")
    print(f"{sum(sum(r.screen[:2]) for r in rows)} bad results, {sum(r.lost for r in rows)} lost to the pairs")
    for name, rate in told.items():
        print(f"{name:8} recall {100 * rate['recall']:6.2f} %, precision {100 * rate['precision']:6.2f} %")
    data = {"rates": told, "cores": [r._asdict() for r in rows]}
    figures.write(args.out, "fpcores", args.command, data)
    return 0 if told["screen"]["recall"] >= RECALL and told["screen"]["precision"] >= PRECISION else 1
