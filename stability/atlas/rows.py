"""Rows of the atlas: a function by one rule in one format, each derivative by each way and mode.

The true values of an order are computed once and shared by its rows. Every float of a 16-bit format is looked at;
of a wide one, and where true values take longer than a task may, a grid, and what bisection finds between its points.
"""

from __future__ import annotations

import functools
import itertools
import math
import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence

import jax
import numpy as np

from stability import real
from stability.atlas import endless, refusals
from stability.atlas.culprits import Culprit, culprit_of
from stability.atlas.figures import condensed, rounded_down
from stability.atlas.functions import public_function
from stability.atlas.profile import profile_text
from stability.atlas.records import Example, Place, Row, Settings, Task
from stability.atlas.rules import DEFAULT, HIGHEST_NAME, OURS, rules_of
from stability.atlas.threads import threads_of
from stability.atlas.ways import MODES, WAYS, Scalar, evaluated, same_as
from stability.formats import FORMATS, FloatFormat, from_ordinal, short_hex, to_ordinal, widen
from stability.measure import FAILURE_KINDS, FLUSHED, KINDS, LOST, LOST_KINDS, classify, true_is_normal
from stability.measure.regions import SPARING, Region, Sample, hex_at, looked_inside, number_of, refine, regions_of
from stability.study.loading import first_line
from stability.sweep import every as every_float32
from stability.sweep import outcome as sweep
from stability.sweep.models import Table, table_of
from stability.sweep.points import grid
from stability.truth import Truth, concatenated

SEED = 0


class Known:
    """True values at ordinals, each of them asked for once."""

    def __init__(self, ask: Callable[[np.ndarray], Truth]):
        self.ask = ask
        self.ordinals: np.ndarray = np.zeros(0, np.int64)
        self.truth: Truth | None = None

    def __call__(self, ordinals: np.ndarray) -> Truth:
        new = np.setdiff1d(ordinals, self.ordinals)
        if len(new) or self.truth is None:
            found = self.ask(new)
            both = np.concatenate([self.ordinals, new])
            order = np.argsort(both)
            self.truth = (found if self.truth is None else concatenated([self.truth, found])).at(order)
            self.ordinals = both[order]
        return self.truth.at(np.searchsorted(self.ordinals, ordinals))


TRIED, RUNS = 256, 16
"""True values by which it is told how long all take, of a 16-bit format runs of neighbours."""


def measure(task: Task, settings: Settings) -> list[Row]:
    """The rows of a task. What can't be measured is a row that says why."""
    table = None
    if settings.every_float32 and task.dtype == "float32":
        table = table_of(public_function(task.function).fn)
    with jax.enable_x64(task.dtype == "float64"):
        return [row for order in WAYS for row in _rows(task, order, settings, table)]


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


def orders_of(rule: str) -> tuple[int, ...]:
    """Which derivatives a rule makes; one that only replaces the derivative has the library's value."""
    return (0, 1, 2) if rule in (DEFAULT, HIGHEST_NAME, OURS) else (1, 2)


def _rows(task: Task, order: int, settings: Settings, table: Table | None) -> list[Row]:
    fmt, rules = FORMATS[task.dtype], rules_of(task.function)
    chosen = {rule: fn for rule, fn in rules.items() if order in orders_of(rule)}
    programs = {(rule, way): make(fn) for rule, fn in chosen.items() for way, make in WAYS[order].items()}
    if refused := _refused(task, order, programs):
        return refused

    derivative = real.Order(0, order) if order else None
    truth_at = Known(
        lambda some: real.truth(
            public_function(task.function).fn, from_ordinal(some, fmt), fmt=fmt, derivative=derivative
        )
    )
    try:
        ordinals, every = starting(task, order, settings, truth_at)
        truth_at(ordinals)
    except Exception as error:
        told = refusals.why_not(public_function(task.function).fn, fmt) or refusals.HERE + first_line(error)
        ways = tuple((way, mode) for way in WAYS[order] for mode in MODES)
        return [Row(task.function, DEFAULT, order, task.dtype, ways, error=told)]
    rows = []
    first = same_as(programs, fmt)
    measured: dict[tuple[tuple[str, str], str], Row] = {}
    swept = _swept(task, programs, order, table, settings)
    for rule, fn in chosen.items():
        found = []
        for way, (mode, wrap) in itertools.product(WAYS[order], MODES.items()):
            place = Place(task.function, rule, order, task.dtype, ((way, mode),))
            if (same := measured.get((first[rule, way], mode))) is not None:
                found.append(Row(**{**vars(same), **place._asdict()}))
                continue
            if endless.goes_on(task):
                found.append(Row(**place._asdict(), error="not tried: another program of it does not end"))
                continue
            program = programs[rule, way]
            try:
                run = _results(wrap(jax.vmap(program)), fmt)
                over_all = swept.get((rule, way)) if mode == "jit" else None
                if over_all is None:
                    row = _row(place, run, ordinals, every, truth_at, settings)
                else:
                    row = _row_of_all(place, run, over_all, truth_at)
                found.append(measured.setdefault(((rule, way), mode), row))
            except Exception as error:
                endless.note(task, error)
                found.append(Row(**place._asdict(), error=refusals.told(error, program, fmt)))
        alike = list(_joined(found))
        gravest = max(alike, key=lambda row: row.failing)
        rows += [_with_culprit(row, fn, settings) if row is gravest else row for row in alike]
    return rows


def _results(program: Scalar, fmt: FloatFormat) -> Callable[[np.ndarray], np.ndarray]:
    """What a program of an array gives at ordinals; of a 16-bit format it is run once, at every float."""
    run = functools.partial(evaluated, program, fmt)
    if fmt.bits > 16:
        return run
    least = -fmt.infinity - 1
    found = run(np.arange(least, fmt.infinity + 1))
    return lambda ordinals: found[ordinals - least]


def _refused(task: Task, order: int, programs: dict[tuple[str, str], Scalar]) -> list[Row]:
    """Rows of a derivative that the library has by no rule and no way, for which no true value is asked; empty where
    it has it."""
    found = []
    for (rule, way), program in programs.items():
        why = refusals.why_not(program, FORMATS[task.dtype])
        if why is None:
            return []
        found += [Row(task.function, rule, order, task.dtype, ((way, mode),), error=why) for mode in MODES]
    each = [[row for row in found if row.rule == rule] for rule in dict.fromkeys(rule for rule, _ in programs)]
    return [row for rows in each for row in _joined(rows)]


def _swept(
    task: Task, programs: dict[tuple[str, str], Scalar], order: int, table: Table | None, settings: Settings
) -> dict[tuple[str, str], sweep.Row]:
    """Rows over every float32 by rule and way, where the models of an order cover them."""
    if table is None or table.open(order) > every_float32.MOST_OPEN:
        return {}
    fmt = FORMATS["float32"]
    with jax.enable_x64(True):
        fn = public_function(task.function).fn
        first = same_as({place: run for place, run in programs.items() if refusals.why_not(run, fmt) is None}, fmt)
        if not first:
            return {}
        named = {", ".join(place): programs[place] for place in dict.fromkeys(first.values())}
        found = every_float32.rows(fn, named, order, table, settings.tolerance)
    return {place: found[", ".join(same)] for place, same in first.items()}


def _row_of_all(place: Place, run: Callable, row: sweep.Row, truth_at: Known) -> Row:
    """A row of the exhaustive sweep as one of the atlas."""
    fmt = FORMATS[place.dtype]
    shown = profile_text(*every_float32.profile_of(row), fmt)
    worst = None if row.max_ulp is None or row.max_ulp_at is None else (row.max_ulp, short_hex(row.max_ulp_at))
    failing = sum(row.counts.get(kind, 0) for kind in LOST_KINDS), row.counts.get(KINDS[FLUSHED], 0)
    return _told(place, row.points, True, row.counts, failing, row.regions, worst, shown, run, truth_at)


def _joined(rows: list[Row]) -> Iterator[Row]:
    """One row for all that are alike."""
    alike: dict[str, list[Row]] = {}
    for row in rows:
        alike.setdefault(row.measured, []).append(row)
    for same in alike.values():
        first = same[0]
        yield Row(**{**vars(first), "ways": tuple(way for row in same for way in row.ways)})


def starting(task: Task, order: int, settings: Settings, truth_at: Known) -> tuple[np.ndarray, bool]:
    """The ordinals that a task begins with, sorted, and whether they are all there are."""
    fmt = FORMATS[task.dtype]
    every = fmt.bits == 16
    points = [p for t in threads_of(task.function) if t.order == order for p in t.points]
    with np.errstate(over="ignore"):
        reported = to_ordinal(np.array(points, np.float64).astype(fmt.dtype))
    if every:
        ordinals = np.arange(-fmt.infinity - 1, fmt.infinity + 1)
    else:
        ordinals = np.union1d(grid(fmt, settings.points, SEED), reported)
    tried = _runs(ordinals, 2 ** (fmt.precision - 3)) if every else ordinals[:: max(len(ordinals) // TRIED, 1)]
    truth_at(tried[:2])
    apart = seconds = 0.0
    for some in (tried[:: len(tried) // 16], tried):
        begun = time.process_time()
        truth_at(some)
        seconds = (time.process_time() - begun) * len(ordinals) / len(some)
        apart = max(apart, seconds)
        if seconds * len(tried) > settings.seconds * len(ordinals):
            break
    if seconds <= settings.seconds:
        return ordinals, every
    fewer = ordinals[:: int(np.ceil(apart / settings.seconds))]
    return np.union1d(np.union1d(fewer, reported), [-fmt.infinity - 1, -1, 0, fmt.infinity]), False


def _runs(ordinals: np.ndarray, length: int) -> np.ndarray:
    """Some of all ordinals, in runs, as the true values of neighbours cost less than those of as many others."""
    begins = np.arange(0, len(ordinals) - length, (len(ordinals) - length) // RUNS) // length * length
    return ordinals[(begins[:, None] + np.arange(length)).ravel()]


def _row(
    place: Place,
    run: Callable[[np.ndarray], np.ndarray],
    ordinals: np.ndarray,
    every: bool,
    truth_at: Known,
    settings: Settings,
) -> Row:
    def at(some: np.ndarray) -> Sample:
        truth = truth_at(some)
        kinds, ulps = classify(run(some), truth, settings.tolerance)
        return Sample(some, kinds, ulps, true_is_normal(truth), truth.state)

    fmt = FORMATS[place.dtype]
    inside = sample = at(ordinals)
    if not every:
        sample, inside = looked_inside(refine(sample, at, SPARING), at, SEED, SPARING)
    ulps, counts = sample.counted(), np.bincount(sample.kinds)
    at_worst = int(np.argmax(ulps))
    worst = (float(ulps[at_worst]), hex_at(int(sample.ordinals[at_worst]), fmt)) if ulps[at_worst] >= 0 else None
    return _told(
        place,
        len(sample.ordinals),
        every,
        {KINDS[k]: int(n) for k, n in enumerate(counts) if n},
        (
            number_of(LOST, sample, inside),
            number_of([FLUSHED], sample, inside),
        ),
        regions_of(sample, inside),
        worst,
        profile_text(sample.ordinals, ulps, fmt),
        run,
        truth_at,
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
        reported=_reported(place, [r for r in failing if r.kind in LOST_KINDS]),
        example=_example([r for r in failing if r.kind in LOST_KINDS] or failing, run, truth_at, fmt),
    )


def _reported(place: Place, failing: Sequence[Region]) -> tuple[str, ...]:
    """The inputs of threads about a row at which it fails, in hexadecimal."""
    fmt = FORMATS[place.dtype]
    about = [t for t in threads_of(place.function) if (t.order, t.dtype) == (place.order, place.dtype)]
    points = {p for t in about for p in t.points}
    at = {p: int(to_ordinal(np.array([p]).astype(fmt.dtype))[0]) for p in points}
    return tuple(short_hex(p) for p in sorted(points) if any(r.start <= at[p] <= r.stop for r in failing))


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


def _with_culprit(row: Row, fn: Scalar, settings: Settings) -> Row:
    """With the equation to blame, in formats that the diagnosis is quick in."""
    if row.example is None or row.example.kind not in LOST_KINDS or row.dtype not in ("float32", "float64"):
        return row
    way, mode = row.ways[0]
    x = FORMATS[row.dtype].dtype.type(float.fromhex(row.example.x))

    def found() -> Culprit | None:
        with jax.enable_x64(row.dtype == "float64"):
            return culprit_of(WAYS[row.order][way](fn), x, mode, settings.tolerance)

    try:
        culprit = endless.finished(found)
    except endless.Endless as error:
        endless.note(Task(row.function, row.dtype), error)
        culprit = Culprit("", f"not diagnosed: {error}", "")
    return Row(**{**vars(row), "culprit": culprit})
