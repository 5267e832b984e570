"""A study over its points: rows as tasks on an executor, and jit compared with eager."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import replace
from typing import Any

import jax
import numpy as np

from stability import truth as truths
from stability.formats import FORMATS, to_ordinal
from stability.measure.regions import Region
from stability.study import Source, Study, study_of_source
from stability.sweep.outcome import Disagreement, Outcome, Row
from stability.sweep.points import floats_of, holds_floats
from stability.sweep.rows import MODES, Measured, Settings, Task, chunks, kept_of, measure_rows, truth_of
from stability.sweep.singles import Known, TrueValues
from stability.truth import Truth

SILENT = frozenset({"vanished", "flushed", "wrong_sign", "inaccurate"})


class Here(Executor):
    """Runs what is submitted at once, in this thread."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future:
        done: Future = Future()
        done.set_result(fn(*args, **kwargs))
        return done


def _overlaps(jit: tuple[Region, ...], eager: tuple[Region, ...]) -> Iterator[tuple[int, int, str, str]]:
    edges = sorted({r.start for r in jit + eager} | {r.stop + 1 for r in jit + eager})

    def kinds(regions: tuple[Region, ...]) -> list[str]:
        found, i = [], 0
        for edge in edges:
            while i < len(regions) and regions[i].stop < edge:
                i += 1
            inside = i < len(regions) and regions[i].start <= edge
            found.append(regions[i].kind if inside else "ok")
        return found

    for a, b, j, e in zip(edges, edges[1:], kinds(jit), kinds(eager), strict=False):
        if j != e:
            yield a, b - 1, j, e


def _disagreement(jit: Measured, eager: Measured) -> Disagreement | None:
    row, fmt = jit.row, FORMATS[jit.row.dtype]
    if row.error or eager.row.error:
        return None
    both_nan = np.isnan(jit.bits.view(fmt.dtype)) & np.isnan(eager.bits.view(fmt.dtype))
    differ = (jit.bits != eager.bits) & ~both_nan
    regions = tuple(_overlaps(row.regions, eager.row.regions))
    if not (differ.any() or regions):
        return None
    silent = jit.silent | eager.silent
    silently = bool(np.any(differ & silent)) or any(j in SILENT or e in SILENT for *_, j, e in regions)
    return Disagreement(row.form, row.dtype, row.label, int(differ.sum()), silently, regions)


def _known(what: str, names: Iterable[str], allowed: Iterable[str]) -> None:
    for name in names:
        if name not in allowed:
            raise ValueError(f"{what} {name!r}: allowed are {', '.join(allowed)}")


def _true_values(
    source: Source,
    dtypes: Sequence[str],
    labels: Sequence[float | None],
    settings: Settings,
    pool: Executor,
    seconds: dict[str, float],
) -> dict[tuple[str, float | None], Truth]:
    """The true values by format and label, at the floats that a sweep starts from."""
    study = study_of_source(source)
    waiting = {
        (dtype, label): [
            pool.submit(truth_of, source, dtype, label, settings, k) for k in range(chunks(study, dtype, settings))
        ]
        for dtype in dtypes
        for label in labels
    }
    found = {}
    for place, futures in waiting.items():
        parts = [future.result() for future in futures]
        seconds["reference"] = seconds.get("reference", 0.0) + sum(s for _, s in parts)
        found[place] = truths.concatenated([part for part, _ in parts])
    return found


def _known_values(
    study: Study, dtype: str, truth: Truth, settings: Settings, at_ends: Sequence[TrueValues]
) -> TrueValues:
    fmt = FORMATS[dtype]
    at = kept_of(study, fmt, settings)
    z = floats_of(fmt, study.domain, settings.points, settings.seed)
    return TrueValues.joined([TrueValues.of(to_ordinal(z[at]), truth.at(at)), *at_ends])


def sweep(
    source: Source,
    *,
    forms: Sequence[str] | None = None,
    dtypes: Sequence[str] | None = None,
    labels: Sequence[float | None] | None = None,
    modes: Sequence[str] = ("eager", "jit"),
    points: int = 32768,
    tolerance: float = 16.0,
    seed: int = 0,
    search: bool = False,
    screened: bool = False,
    besides: Sequence[float] = (),
    progress: Callable[[str], None] = lambda row: None,
    executor: Executor | None = None,
    at_once: int | None = None,
) -> Outcome:
    """Measures forms in formats, at labels, in modes, and compares jit with eager where both are asked for.

    **Arguments:** `source` a `Study`, or what is pickled in its place (`stability.study.Source`); the others are the
    options of `Study.sweep`, which tells what they mean. The `executor` is given `at_once` groups of rows, each of a
    form and a format, and another when one is done: who is done with a format goes on with it, and so little is
    compiled twice. By default it is given all of them.

    **Returns:** an `Outcome`. **Raises:** `ValueError`.
    """
    study = study_of_source(source)
    chosen = list(study.forms if forms is None else forms)
    held = [name for name, fmt in FORMATS.items() if holds_floats(study.domain, fmt)]
    dtypes = list((held or FORMATS) if dtypes is None else dtypes)
    labels = list(study.labels if labels is None else labels)
    _known("form", chosen, study.forms)
    _known("dtype", dtypes, FORMATS)
    _known("mode", modes, MODES)
    for missing in [name for name in dtypes if name not in held]:
        raise ValueError(f"domain {study.domain} holds no {missing}")
    settings = Settings(
        points, tolerance, seed, search, screened, tuple(besides), bool(jax.config.read("jax_enable_x64"))
    )
    pool, seconds = executor or Here(), dict[str, float]()
    truth = _true_values(source, dtypes, labels, settings, pool, seconds)
    by_width = sorted(dtypes, key=lambda dtype: -FORMATS[dtype].bits)
    left = {
        dtype: [
            tuple(Task(source, form, dtype, label, mode, settings) for label in labels for mode in modes)
            for form in chosen
        ]
        for dtype in by_width
    }
    running: dict[Future, tuple[Task, ...]] = {}
    found: dict[Task, Measured] = {}

    def begin(before: str | None = None) -> None:
        """Submits the rows of a form: in the format that was measured `before`, whose operations are compiled where
        that was, else in the one that the fewest are being measured in."""
        busy = Counter(tasks[0].dtype for tasks in running.values())
        if places := [dtype for dtype in by_width if left[dtype]]:
            dtype = min(places, key=lambda dtype: (dtype != before, busy[dtype]))
            tasks = left[dtype].pop(0)
            known = {label: truth[dtype, label] for label in labels}
            running[pool.submit(measure_rows, tasks, known)] = tasks

    for _ in range(1 if executor is None else at_once or len(dtypes) * len(chosen)):
        begin()
    while running:
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            tasks = running.pop(future)
            for task, measured in zip(tasks, future.result(), strict=True):
                found[task] = measured
                progress(task.name)
            begin(tasks[0].dtype)
    rows: list[Row] = []
    known_values: list[Known] = []
    disagreements: list[Disagreement] = []
    for dtype in dtypes:
        for label in labels:
            at_ends = [m.at_ends for t, m in found.items() if (t.dtype, t.label) == (dtype, label) and m.at_ends]
            values = _known_values(study, dtype, truth[dtype, label], settings, at_ends)
            known_values.append(Known(study.name, dtype, label, values))
            for form in chosen:
                here = {mode: found[Task(source, form, dtype, label, mode, settings)] for mode in modes}
                rows += [
                    replace(m.row, results=None if m.row.error else values.results(*m.singles)) for m in here.values()
                ]
                if {"jit", "eager"} <= here.keys() and (d := _disagreement(here["jit"], here["eager"])):
                    disagreements.append(d)
    for measured in found.values():
        for phase, s in measured.seconds.items():
            seconds[phase] = seconds.get(phase, 0.0) + s
    by_balls = sum(t.by_balls for t in truth.values()) + sum(m.by_balls for m in found.values())
    return Outcome(tuple(rows), tuple(disagreements), seconds, by_balls, tuple(known_values))
