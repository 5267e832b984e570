"""Rows of the atlas: a function by one rule in one format, each derivative by each way and mode.

The true values of an order are computed once and shared by its rows. Every float of a 16-bit format is looked at;
of a wide one, and where true values take longer than a task may, a grid, and what bisection finds between its points.
"""

from __future__ import annotations

import itertools
import math
import multiprocessing
from collections.abc import Callable, Sequence

import jax
import numpy as np

from stability.atlas import endless, refusals
from stability.atlas.asked import SEED, Asked, Known, ask
from stability.atlas.culprits import Culprit, culprit_of
from stability.atlas.figures import condensed, rounded_down
from stability.atlas.functions import public_function
from stability.atlas.profile import profile_text
from stability.atlas.records import Example, Place, Row, Settings, Task, joined
from stability.atlas.rules import DEFAULT
from stability.atlas.threads import threads_of
from stability.atlas.ways import MODES, WAYS, is_in_an_array, results
from stability.formats import FORMATS, FloatFormat, from_ordinal, short_hex, to_ordinal, widen
from stability.measure import FAILURE_KINDS, FLUSHED, KINDS, LOST, LOST_KINDS, classify, true_is_normal
from stability.measure.bisection import SPARING, Sample, refine
from stability.measure.regions import Region, hex_at, looked_inside, number_of, regions_of
from stability.study.loading import first_line
from stability.sweep import every as every_float32
from stability.sweep import outcome as sweep
from stability.sweep.models import Table, table_of


def measure(task: Task, settings: Settings) -> list[Row]:
    """The rows of a task. What can't be measured is a row that says why.

    Results in an array that can depend on one another come last: what does not end among them is in the way of all
    that follows in this process.
    """
    table = None
    if settings.every_float32 and task.dtype == "float32":
        table = table_of(public_function(task.function).fn)
    with jax.enable_x64(task.dtype == "float64"):
        orders = [ask(task, order, settings) for order in WAYS]
        found = [asked if isinstance(asked, list) else [] for asked in orders]
        for in_an_array in (False, True):
            for rows, asked in zip(found, orders, strict=True):
                if isinstance(asked, Asked):
                    rows += _rows(asked, in_an_array, settings, table)
    return [row for rows in found for row in joined(rows)]


TURNS = 32
"""Tasks after which a process forgets what it compiled."""
_measured_here = 0


def measure_in_turn(task: Task, settings: Settings) -> list[Row]:
    """As `measure`, one after the other in a process, whose memory does not grow with them. One in which a program
    goes on without end ends itself at the next task."""
    global _measured_here
    if multiprocessing.parent_process() is not None:
        endless.leave(1)
    _measured_here += 1
    if _measured_here % TURNS == 0:
        jax.clear_caches()
    try:
        return measure(task, settings)
    except Exception as error:
        told = refusals.HERE + first_line(error)
        return [
            Row(task.function, DEFAULT, order, task.dtype, tuple(itertools.product(ways, MODES)), error=told)
            for order, ways in WAYS.items()
        ]


def _rows(asked: Asked, in_an_array: bool, settings: Settings, table: Table | None) -> list[Row]:
    """Those of an order whose results in an array can depend on one another, or the others."""
    fmt, found = FORMATS[asked.task.dtype], []
    measured: dict[tuple[tuple[str, str], str], Row] = {}
    swept = {} if in_an_array else _swept(asked, table, settings)
    for place in asked.places():
        ((way, mode),) = place.ways
        if is_in_an_array(mode) != in_an_array:
            continue
        same = asked.first[place.rule, way]
        if (row := measured.get((same, mode))) is not None:
            found.append(Row(**{**vars(row), **place._asdict()}))
            continue
        if endless.goes_on(asked.task):
            found.append(Row(**place._asdict(), error="not tried: another program of it does not end"))
            continue
        program = asked.programs[same]
        try:
            run = results(asked.modes(same)[mode](program), fmt, mode)
            over_all = swept.get(same) if mode == "jit" else None
            if over_all is None:
                row = _row(place, run, asked, settings)
            else:
                row = _row_of_all(place, run, over_all, asked, settings.tolerance)
            found.append(measured.setdefault((same, mode), row))
        except Exception as error:
            endless.note(asked.task, error)
            found.append(Row(**place._asdict(), error=refusals.told(error, program, fmt)))
    alike = list(joined(found))
    if in_an_array:
        return alike
    gravest = {
        rule: max((r for r in alike if r.rule == rule), key=lambda r: r.failing) for rule in {r.rule for r in alike}
    }
    return [_with_culprit(row, asked, settings) if row is gravest[row.rule] else row for row in alike]


def _swept(asked: Asked, table: Table | None, settings: Settings) -> dict[tuple[str, str], sweep.Row]:
    """Rows over every float32 by rule and way, where the models of an order cover them."""
    if table is None or table.open(asked.order) > every_float32.MOST_OPEN:
        return {}
    fmt = FORMATS["float32"]
    with jax.enable_x64(True):
        fn = public_function(asked.task.function).fn
        first = {p: run for p, run in asked.programs.items() if asked.first[p] == p and p not in asked.looping}
        named = {", ".join(p): run for p, run in first.items() if refusals.why_not(run, fmt) is None}
        found = every_float32.rows(fn, named, asked.order, table, settings.tolerance) if named else {}
    return {place: found[", ".join(place)] for place in first if ", ".join(place) in found}


def _row_of_all(place: Place, run: Callable, row: sweep.Row, asked: Asked, tolerance: float) -> Row:
    """A row of the exhaustive sweep as one of the atlas."""
    fmt = FORMATS[place.dtype]
    shown = profile_text(*every_float32.profile_of(row), fmt)
    worst = None if row.max_ulp is None or row.max_ulp_at is None else (row.max_ulp, short_hex(row.max_ulp_at))
    failing = sum(row.counts.get(kind, 0) for kind in LOST_KINDS), row.counts.get(KINDS[FLUSHED], 0)
    return _told(
        place, row.points, True, row.counts, failing, row.regions, worst, shown, run, asked.truth_at, tolerance
    )


def _row(place: Place, run: Callable[[np.ndarray], np.ndarray], asked: Asked, settings: Settings) -> Row:
    def at(some: np.ndarray) -> Sample:
        truth = asked.truth_at(some)
        kinds, ulps = classify(run(some), truth, settings.tolerance)
        return Sample(some, kinds, ulps, true_is_normal(truth), truth.state)

    fmt = FORMATS[place.dtype]
    inside = sample = at(asked.ordinals)
    if not asked.every:
        sample, inside = looked_inside(refine(sample, at, SPARING), at, SEED, SPARING)
    regions = regions_of(sample, inside)
    ulps, counts = sample.counted(), np.bincount(sample.kinds)
    at_worst = int(np.argmax(ulps))
    worst = (float(ulps[at_worst]), hex_at(int(sample.ordinals[at_worst]), fmt)) if ulps[at_worst] >= 0 else None
    return _told(
        place,
        len(sample.ordinals),
        asked.every,
        {KINDS[k]: int(n) for k, n in enumerate(counts) if n},
        (number_of(LOST, regions, inside), number_of([FLUSHED], regions, inside)),
        regions,
        worst,
        profile_text(sample.ordinals, ulps, fmt),
        run,
        asked.truth_at,
        settings.tolerance,
    )


def _told(
    place: Place,
    points: int,
    every: bool,
    counts: dict[str, int],
    failing_and_flushed: tuple[int, int],
    regions: Sequence[Region],
    worst: tuple[float, str] | None,
    profile: str,
    run: Callable[[np.ndarray], np.ndarray],
    truth_at: Known,
    tolerance: float,
) -> Row:
    fmt = FORMATS[place.dtype]
    total = 2 * (fmt.infinity + 1)
    failing = [r for r in regions if r.kind in FAILURE_KINDS]
    return Row(
        **place._asdict(),
        points=points,
        exhaustive=every,
        counts=counts,
        failing=failing_and_flushed[0] / total,
        flushed=failing_and_flushed[1] / total,
        max_ulp=rounded_down(worst[0]) if worst else None,
        at=worst[1] if worst else None,
        regions=tuple(
            (r.kind, hex_at(r.start, fmt), hex_at(r.stop, fmt), r.count)
            for kind in FAILURE_KINDS
            for r in condensed([f for f in failing if f.kind == kind])
        ),
        profile=profile if failing or (worst and worst[0] > 1) else "",
        reported=_reported(place, run, truth_at, tolerance),
        example=_example([r for r in failing if r.kind in LOST_KINDS] or failing, run, truth_at, fmt),
    )


def _reported(
    place: Place, run: Callable[[np.ndarray], np.ndarray], truth_at: Known, tolerance: float
) -> tuple[str, ...]:
    """The inputs of threads about a row at which it fails, in hexadecimal."""
    fmt = FORMATS[place.dtype]
    about = [t for t in threads_of(place.function) if (t.order, t.dtype) == (place.order, place.dtype)]
    points = sorted({p for t in about for p in t.points})
    if not points:
        return ()
    ordinals = to_ordinal(np.array(points).astype(fmt.dtype))
    kinds, _ = classify(run(ordinals), truth_at(ordinals), tolerance)
    return tuple(short_hex(p) for p, lost in zip(points, np.isin(kinds, LOST), strict=True) if lost)


def _example(failing: list[Region], run: Callable, truth_at: Known, fmt: FloatFormat) -> Example | None:
    """The end of a failing region that is nearest to 1 in size; where it is not merely inaccurate, if there is one."""
    if not failing:
        return None

    def rank(found: tuple[int, str]) -> tuple[bool, float]:
        size = abs(float(widen(from_ordinal(np.array([found[0]]), fmt))[0]))
        return found[1] == "inaccurate", abs(math.log2(size)) if 0 < size < math.inf else math.inf

    end, kind = min(((end, r.kind) for r in failing for end in (r.start, r.stop)), key=rank)
    ordinals = np.array([end], np.int64)
    result = float(widen(run(ordinals))[0])
    return Example(hex_at(end, fmt), short_hex(result), truth_at(ordinals).told(0), kind)


def _with_culprit(row: Row, asked: Asked, settings: Settings) -> Row:
    """With the equation to blame, in formats that the diagnosis is quick in."""
    if row.example is None or row.example.kind not in LOST_KINDS or row.dtype not in ("float32", "float64"):
        return row
    way, mode = row.ways[0]
    x = FORMATS[row.dtype].dtype.type(float.fromhex(row.example.x))

    def found() -> Culprit | None:
        with jax.enable_x64(row.dtype == "float64"):
            return culprit_of(asked.programs[row.rule, way], x, mode, settings.tolerance)

    try:
        culprit = endless.finished(found, endless.PATIENCE_WITH_MANY)
    except endless.Endless as error:
        endless.note(asked.task, error)
        culprit = Culprit("", f"not diagnosed: {error}", "")
    return Row(**{**vars(row), "culprit": culprit})
