"""Rows as tasks: one form in one format, at one label, in one mode, measured from data that can be pickled.

Data flows one way: points, results of a form in a mode, kinds and errors against the truth, then bisection between
neighbouring points of different kinds until every region ends at an exact float.
"""

from __future__ import annotations

import functools
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from stability import measure
from stability.formats import FORMATS, FloatFormat, bits_of, from_ordinal, to_ordinal, widen
from stability.measure import FAILURES, KINDS, OK
from stability.measure.bisection import Sample, absent, refine
from stability.measure.regions import Region, looked_inside, regions_of
from stability.study import Form, Source, Study, study_of_source
from stability.sweep.outcome import PROFILE_BINS, Landmark, Profile, Row, Screening, profile_position
from stability.sweep.points import floats_of, ordinals_within
from stability.sweep.screen import screen
from stability.sweep.search import hunted
from stability.sweep.singles import TrueValues, kept, narrow, ordinals_of
from stability.truth import State, Truth

BATCH = 8192
ROUND = np.arange(-128, 128.5, 0.5)
"""Numbers that people ask for."""
CHUNK = 4096
"""Floats whose true values are one task."""


def eager(form: Form) -> Form:
    """The form as it is, so that each of its operations is an XLA computation of its own."""
    return form


def train_step(form: Form) -> Form:
    """The form as the backward rule of a loss, inside a jitted training step of a linear model.

    The logits are `x · w` with weight 1 and the step descends by the mean gradient; what is returned is
    the gradient of each example, as the step saw it.
    """

    @jax.custom_vjp
    def loss(z: Array, y: Array) -> Array:
        return jnp.zeros_like(z)

    loss.defvjp(lambda z, y: (loss(z, y), (z, y)), lambda saved, g: (g * form(*saved), jnp.zeros_like(saved[1])))

    @jax.jit
    def step(x: Array, y: Array) -> tuple[Array, Array]:
        weight = jnp.ones((), x.dtype)
        per_example = jax.vmap(jax.grad(lambda z, label: loss(z, label)), (0, None))(x * weight, y)
        gradient = jnp.mean(per_example)
        return weight - gradient, per_example

    return lambda x, y: step(x, y)[1]


MODES: dict[str, Callable[[Form], Form]] = {"eager": eager, "jit": jax.jit, "step": train_step}


@dataclass(frozen=True)
class Settings:
    """How rows are measured.

    **Attributes:** `points` the size of the grid of float32 and float64; `tolerance` in ulps of the true value; `seed`
    of the grid; `search` whether to hunt the worst error of float32 and float64; `screened` whether every float32 is
    screened against float64 for the ends of regions; `besides` floats to look at in a row of a wide format;
    `x64` whether float64 is on in every row, as in the session that asks (in float64 rows it is anyway).
    """

    points: int
    tolerance: float
    seed: int
    search: bool = False
    screened: bool = False
    besides: tuple[float, ...] = ()
    x64: bool = False

    def running(self, fmt: FloatFormat) -> AbstractContextManager:
        """As who asks runs a form of this format: with float64 in it, or where all is."""
        return jax.enable_x64(self.x64 or fmt.name == "float64")


@dataclass(frozen=True)
class Task:
    """A row to measure: of which study, form, format, label and mode, and how."""

    source: Source
    form: str
    dtype: str
    label: float | None
    mode: str
    settings: Settings

    @property
    def name(self) -> str:
        label = "" if self.label is None else f"label {self.label:g} "
        return f"{self.form} {self.dtype} {label}{self.mode}"


class Measured(NamedTuple):
    """A row, and what it takes to compare it with that of another mode: the bits of its results at the floats that a
    sweep starts from, and where they are finite failures; floats by ordinal with their results and kinds, which are
    kept; the true values at those of them that are kept apart; the points that balls decided, and seconds
    by phase."""

    row: Row
    bits: np.ndarray
    silent: np.ndarray
    singles: tuple[np.ndarray, np.ndarray, np.ndarray]
    at_ends: TrueValues | None
    by_balls: int
    seconds: dict[str, float]


@dataclass
class _Timing:
    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    def run(self, phase: str, function: Callable, *args: Any) -> Any:
        start = time.perf_counter()
        result = function(*args)
        self.seconds[phase] += time.perf_counter() - start
        return result


def evaluate(run: Form, z: np.ndarray, label: np.ndarray) -> np.ndarray:
    """`run` over points of shape `(n,)` in batches of one shape, so that it is compiled once."""
    padded = np.concatenate([z, np.zeros(-len(z) % BATCH, z.dtype)])
    batches = [np.asarray(run(jnp.asarray(b), jnp.asarray(label))) for b in padded.reshape(-1, BATCH)]
    return np.concatenate(batches)[: len(z)]


@functools.lru_cache(maxsize=32)
def in_mode(form: Form, mode: str) -> Form:
    return MODES[mode](form)


def exact_label(label: float | None, fmt: FloatFormat) -> np.ndarray:
    """The label rounded to a format, which is what a form is given; 0 where there is none."""
    return np.asarray(0.0 if label is None else label).astype(fmt.dtype)


def truth_of(source: Source, dtype: str, label: float | None, settings: Settings, chunk: int) -> tuple[Truth, float]:
    """The true values at one chunk of the floats that a sweep starts from, and the seconds that it took."""
    begun = time.perf_counter()
    fmt, study = FORMATS[dtype], study_of_source(source)
    z = floats_of(fmt, study.domain, settings.points, settings.seed)[chunk * CHUNK : (chunk + 1) * CHUNK]
    with settings.running(fmt):
        found = study.truth(z, float(exact_label(label, fmt)), fmt)
    return found, time.perf_counter() - begun


@functools.lru_cache(maxsize=64)
def _truth_at(source: Source, dtype: str, label: float, x64: bool, ordinals: bytes) -> Truth:
    """The true values at int64 ordinals, kept, since the modes of a form mostly ask for the same ones."""
    fmt = FORMATS[dtype]
    return study_of_source(source).truth(from_ordinal(np.frombuffer(ordinals, np.int64), fmt), label, fmt)


def measure_rows(tasks: Sequence[Task], known: dict[float | None, Truth]) -> list[Measured]:
    """Rows that share a form and a format, so that each mode is compiled once; `known` the true values by label."""
    return [measure_row(task, known[task.label]) for task in tasks]


def measure_row(task: Task, known: Truth) -> Measured:
    """A row measured against the true values at the floats that a sweep starts from; one that fails says so."""
    try:
        with task.settings.running(FORMATS[task.dtype]):
            return _measured(task, known)
    except (Exception, SystemExit) as error:
        fmt = FORMATS[task.dtype]
        lines = str(error).strip().splitlines() or [""]
        message = f"{type(error).__name__}: {lines[0]}"
        row = failed(study_of_source(task.source).name, task, message)
        nothing = np.zeros(0, np.int64)
        return Measured(row, np.zeros(0, fmt.unsigned), np.zeros(0, bool), (nothing,) * 3, None, 0, {})


def failed(study: str, task: Task, error: str) -> Row:
    """The row of a task that came to nothing."""
    nothing = Profile(np.zeros(0), np.zeros(0))
    return Row(
        study=study,
        form=task.form,
        dtype=task.dtype,
        label=task.label,
        mode=task.mode,
        points=0,
        exhaustive=False,
        max_ulp=None,
        max_ulp_at=None,
        worst_ok=None,
        regions=(),
        counts={},
        states={},
        profile=nothing,
        error=error,
    )


def _measured(task: Task, known: Truth) -> Measured:
    settings, fmt, study = task.settings, FORMATS[task.dtype], study_of_source(task.source)
    timing, label, by_balls = _Timing(), exact_label(task.label, fmt), 0
    z = floats_of(fmt, study.domain, settings.points, settings.seed)
    numbers = int(np.sum(~np.isnan(widen(z))))
    run = in_mode(study.forms[task.form], task.mode)
    timing.run("compile", evaluate, run, z[:1], label)

    def judged(x: np.ndarray, truth: Truth) -> tuple[np.ndarray, ...]:
        result = timing.run("run", evaluate, run, x, label)
        kinds, ulps = timing.run("measure", measure.classify, result, truth, settings.tolerance)
        return result, kinds, ulps, measure.true_is_normal(truth), truth.state

    def true_at(ordinals: np.ndarray) -> Truth:
        nonlocal by_balls
        place = task.source, task.dtype, float(label), settings.x64
        truth = timing.run("reference", _truth_at, *place, ordinals.tobytes())
        by_balls += truth.by_balls
        return truth

    def at(ordinals: np.ndarray) -> Sample:
        return Sample(ordinals, *judged(from_ordinal(ordinals, fmt), true_at(ordinals))[1:])

    result, kinds, *others = judged(z, known)
    n = slice(numbers)
    inside = sample = Sample(to_ordinal(z[n]), kinds[n], *(column[n] for column in others))
    looked_at, screening = None, None
    if fmt.bits != 16:
        span = ordinals_within(study.domain, fmt)
        more = to_ordinal(np.array(settings.besides).astype(fmt.dtype))
        if settings.screened and fmt.name == "float32":
            screening = Screening()
            ends = screen(study.forms[task.form], run, span, settings.tolerance, screening)
            more = np.concatenate([more, ends])
        more = absent(more, sample.ordinals)
        sample = sample.merged(at(more)) if len(more) else sample
        sample = refine(sample, at)
        if settings.search:
            sample, looked_at = hunted(sample, at, true_at, fmt, span, settings.seed)
        sample, inside = looked_inside(sample, at, settings.seed)
    regions, nans = regions_of(sample, inside), (kinds[numbers:], known.state[numbers:])
    row = _summarise(study.name, task, fmt, sample, regions, nans, looked_at)
    shown = kept_of(study, fmt, settings)
    singles, at_ends = [_single(z[shown], result[shown], kinds[shown], fmt)], None
    if len(others_kept := absent(kept_apart(study, fmt, settings, regions), to_ordinal(z[shown]))):
        truth = true_at(others_kept)
        at_ends = TrueValues.of(others_kept, truth)
        there = from_ordinal(others_kept, fmt)
        found = judged(there, truth)
        singles.append(_single(there, found[0], found[1], fmt))
    together = _together(singles)
    row = replace(row, screening=screening, landmarks=_landmarks(study, together, label, fmt, settings.tolerance))
    silent = np.isfinite(widen(result)) & np.isin(kinds, FAILURES)
    return Measured(row, bits_of(result), silent, together, at_ends, by_balls, dict(timing.seconds))


def kept_apart(study: Study, fmt: FloatFormat, settings: Settings, regions: Iterable[Region]) -> np.ndarray:
    """Floats that are kept wherever a sweep starts from, by ordinal: the ends of regions, and of a wide format numbers
    that people ask for."""
    ends = [end for r in regions for end in (r.start, r.stop)]
    asked = np.concatenate([ROUND, study.landmarks, settings.besides]) if fmt.bits != 16 else np.zeros(0)
    first, last = ordinals_within(study.domain, fmt)
    found = np.concatenate([np.array(ends, np.int64), to_ordinal(asked.astype(fmt.dtype))])
    return found[(found >= first) & (found <= last)]


@functools.lru_cache(maxsize=16)
def kept_of(study: Study, fmt: FloatFormat, settings: Settings) -> np.ndarray:
    """Which of the floats that a sweep starts from are kept one by one, as indices that can't be written to."""
    z = floats_of(fmt, study.domain, settings.points, settings.seed)
    z = z[~np.isnan(widen(z))]
    ordinals = to_ordinal(z)
    at = kept(ordinals, ordinals if study.labels == (None,) else profile_position(z, fmt), fmt)
    at.flags.writeable = False
    return at


Singles = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Floats and results by ordinal, and kinds."""


def _single(z: np.ndarray, result: np.ndarray, kinds: np.ndarray, fmt: FloatFormat) -> Singles:
    return narrow(to_ordinal(z)), narrow(ordinals_of(result, fmt)), narrow(kinds)


def _together(parts: Sequence[Singles]) -> Singles:
    floats, results, kinds = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    return floats, results, kinds


def landmark_floats(study: Study, fmt: FloatFormat) -> np.ndarray:
    """The study's landmarks that have a gradient in the format."""
    return np.array([v for v in study.landmarks if abs(v) < -1.15 * fmt.least_exponent * np.log(2)]).astype(fmt.dtype)


def _landmarks(
    study: Study, singles: Singles, label: np.ndarray, fmt: FloatFormat, tolerance: float
) -> tuple[Landmark, ...]:
    """The landmarks among single floats."""
    floats, results, _ = singles
    there = floats == to_ordinal(landmark_floats(study, fmt))[:, None]
    at = there.argmax(1)[there.any(1)]
    return landmarks(study, from_ordinal(floats[at], fmt), from_ordinal(results[at], fmt), label, fmt, tolerance)


def landmarks(
    study: Study, z: np.ndarray, results: np.ndarray, label: np.ndarray, fmt: FloatFormat, tolerance: float
) -> tuple[Landmark, ...]:
    """What the results at floats are."""
    if not len(z):
        return ()
    kinds, ulps = measure.classify(results, study.truth(z, float(label), fmt), tolerance)
    found = zip(widen(z).tolist(), kinds.tolist(), ulps.tolist(), strict=True)
    return tuple(Landmark(v, KINDS[kind], ulp if np.isfinite(ulp) else None) for v, kind, ulp in found)


def _profile(z: np.ndarray, sample: Sample, fmt: FloatFormat, labelled: bool) -> Profile:
    ulps = sample.counted()
    first, last = (float(n) for n in sample.ordinals[[0, -1]])
    position = profile_position(z, fmt) if labelled else 2 * (sample.ordinals - first) / max(last - first, 1.0) - 1
    bins = np.split(np.arange(len(z)), np.flatnonzero(np.diff(np.floor(position * PROFILE_BINS / 2))) + 1)
    worst = np.array([b[np.argmax(ulps[b])] for b in bins])
    return Profile.of(z[worst], np.where(ulps[worst] < 0, np.nan, ulps[worst]))


def _summarise(
    study: str,
    task: Task,
    fmt: FloatFormat,
    sample: Sample,
    regions: tuple[Region, ...],
    nans: tuple[np.ndarray, np.ndarray],
    searched: int | None,
) -> Row:
    z, ulps = from_ordinal(sample.ordinals, fmt), sample.counted()
    worst = int(np.argmax(ulps))
    ok = ulps[sample.kinds == OK]
    counts = _counts(np.concatenate([sample.kinds, nans[0]]), KINDS)
    return Row(
        study=study,
        form=task.form,
        dtype=fmt.name,
        label=task.label,
        mode=task.mode,
        points=sum(counts.values()),
        exhaustive=fmt.bits == 16,
        max_ulp=float(ulps[worst]) if ulps[worst] >= 0 else None,
        max_ulp_at=float(z[worst]) if ulps[worst] >= 0 else None,
        worst_ok=float(ok.max()) if ok.size and ok.max() >= 0 else None,
        regions=regions,
        counts=counts,
        states=_counts(np.concatenate([sample.states, nans[1]]), [state.name.lower() for state in State]),
        profile=_profile(z, sample, fmt, task.label is not None),
        searched=searched,
    )


def _counts(codes: np.ndarray, names: Sequence[str]) -> dict[str, int]:
    return {names[code]: n for code, n in enumerate(np.bincount(codes).tolist()) if n}


def chunks(study: Study, dtype: str, settings: Settings) -> int:
    """How many chunks the floats that a sweep starts from are."""
    return -(-len(floats_of(FORMATS[dtype], study.domain, settings.points, settings.seed)) // CHUNK)
