"""A study over its points: every float of a 16-bit format, a grid with exact region ends of a wider one.

Data flows one way: points, results of a form in a mode, kinds and errors against the truth, then bisection
between neighbouring points of different kinds until every region ends at an exact float.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
import numpy as np

from stability import measure
from stability.formats import FORMATS, FloatFormat, bits_of, from_ordinal, to_ordinal, widen
from stability.measure import FAILURES, KINDS, OK
from stability.measure.regions import Region, Sample, looked_inside, refine, regions_of
from stability.study import Form, Study
from stability.sweep.outcome import PROFILE_BINS, Disagreement, Outcome, Profile, Row, profile_position
from stability.sweep.points import floats_of, ordinals_within
from stability.sweep.search import hunted
from stability.truth import State, Truth

BATCH = 8192


def eager(form: Form) -> Form:
    """The form as it is, so that each of its operations is an XLA computation of its own."""
    return form


def train_step(form: Form) -> Form:
    """The form as the backward rule of a loss, inside a jitted training step of a linear model.

    The logits are `x · w` with weight 1 and the step descends by the mean gradient; what is returned is
    the gradient of each example, as the step saw it.
    """

    @jax.custom_vjp
    def loss(z, y):
        return jnp.zeros_like(z)

    loss.defvjp(lambda z, y: (loss(z, y), (z, y)), lambda saved, g: (g * form(*saved), jnp.zeros_like(saved[1])))

    @jax.jit
    def step(x, y):
        weight = jnp.ones((), x.dtype)
        per_example = jax.vmap(jax.grad(lambda z, label: loss(z, label)), (0, None))(x * weight, y)
        gradient = jnp.mean(per_example)
        return weight - gradient, per_example

    return lambda x, y: step(x, y)[1]


MODES: dict[str, Callable[[Form], Form]] = {"eager": eager, "jit": jax.jit, "step": train_step}


@dataclass
class Timing:
    """Seconds by phase."""

    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    def run(self, phase: str, function: Callable, *args):
        start = time.perf_counter()
        result = function(*args)
        self.seconds[phase] += time.perf_counter() - start
        return result


def evaluate(run: Form, z: np.ndarray, label: np.ndarray) -> np.ndarray:
    """`run` over points of shape `(n,)` in batches of one shape, so that it is compiled once."""
    padded = np.concatenate([z, np.zeros(-len(z) % BATCH, z.dtype)])
    batches = [np.asarray(run(jnp.asarray(b), jnp.asarray(label))) for b in padded.reshape(-1, BATCH)]
    return np.concatenate(batches)[: len(z)]


def _profile(z: np.ndarray, sample: Sample, fmt: FloatFormat, labelled: bool) -> Profile:
    ulps = sample.counted()
    first, last = (float(n) for n in sample.ordinals[[0, -1]])
    position = profile_position(z, fmt) if labelled else 2 * (sample.ordinals - first) / max(last - first, 1.0) - 1
    bins = np.split(np.arange(len(z)), np.flatnonzero(np.diff(np.floor(position * PROFILE_BINS / 2))) + 1)
    worst = np.array([b[np.argmax(ulps[b])] for b in bins])
    return Profile(z[worst].astype(np.float64), np.where(ulps[worst] < 0, np.nan, ulps[worst]))


def _summarise(
    study: str,
    form: str,
    fmt: FloatFormat,
    label: float | None,
    mode: str,
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
        form=form,
        dtype=fmt.name,
        label=label,
        mode=mode,
        points=sum(counts.values()),
        exhaustive=fmt.bits == 16,
        max_ulp=float(ulps[worst]) if ulps[worst] >= 0 else None,
        max_ulp_at=float(z[worst]) if ulps[worst] >= 0 else None,
        worst_ok=float(ok.max()) if ok.size and ok.max() >= 0 else None,
        regions=regions,
        counts=counts,
        states=_counts(np.concatenate([sample.states, nans[1]]), [state.name.lower() for state in State]),
        profile=_profile(z, sample, fmt, label is not None),
        searched=searched,
    )


def _counts(codes: np.ndarray, names: Sequence[str]) -> dict[str, int]:
    found, numbers = np.unique(codes, return_counts=True)
    return {names[c]: int(n) for c, n in zip(found, numbers, strict=True)}


def _overlaps(jit: tuple[Region, ...], eager_: tuple[Region, ...]) -> Iterator[tuple[int, int, str, str]]:
    edges = sorted({r.start for r in jit + eager_} | {r.stop + 1 for r in jit + eager_})

    def kinds(regions: tuple[Region, ...]) -> list[str]:
        found, i = [], 0
        for edge in edges:
            while i < len(regions) and regions[i].stop < edge:
                i += 1
            inside = i < len(regions) and regions[i].start <= edge
            found.append(regions[i].kind if inside else "ok")
        return found

    for a, b, j, e in zip(edges, edges[1:], kinds(jit), kinds(eager_), strict=False):
        if j != e:
            yield a, b - 1, j, e


SILENT = frozenset({"vanished", "flushed", "wrong_sign", "inaccurate"})


def _disagreement(jit: Row, eager_: Row, results: dict[str, np.ndarray], silent: np.ndarray) -> Disagreement:
    both_nan = np.isnan(widen(results["jit"])) & np.isnan(widen(results["eager"]))
    differ = (bits_of(results["jit"]) != bits_of(results["eager"])) & ~both_nan
    regions = tuple(_overlaps(jit.regions, eager_.regions))
    silently = bool(np.any(differ & silent)) or any(j in SILENT or e in SILENT for *_, j, e in regions)
    return Disagreement(jit.form, jit.dtype, jit.label, int(differ.sum()), silently, regions)


def sweep(
    study: Study,
    *,
    forms: list[str],
    dtypes: list[str],
    labels: Sequence[float | None],
    modes: list[str],
    points: int,
    tolerance: float,
    seed: int,
    search: bool = False,
    progress: Callable[[str], None] = lambda row: None,
    also: Callable[[str, Form, FloatFormat], np.ndarray] | None = None,
) -> Outcome:
    """Measures forms in formats, at labels, in modes, and compares jit with eager where both are asked for.

    **Arguments:** names from `study.forms`, `FORMATS` and `MODES`; `labels` in `study.label_range`, each rounded
    to the format it is used in; `points` the size of the grid of float32 and float64; `tolerance` in ulps of the true
    value; `search` whether to hunt the worst error of float32 and float64 rows (`stability.sweep.search`); `progress`
    is called once a row with its name; `also`, of a form's name, the form in a mode and a wide format, gives ordinals
    (int64, shape `(n,)`) to look at besides the grid.

    **Returns:** an `Outcome`, its rows in the order dtype, label, form, mode. float64 needs `jax_enable_x64`.
    """
    timing = Timing()
    rows: list[Row] = []
    disagreements: list[Disagreement] = []
    by_balls = 0
    for dtype in dtypes:
        fmt = FORMATS[dtype]
        z = floats_of(fmt, study.domain, points, seed)
        numbers = int(np.sum(~np.isnan(widen(z))))
        compiled: dict[tuple[str, str], Form] = {}
        for label in labels:
            exact = np.asarray(0.0 if label is None else label).astype(fmt.dtype)

            def truth_of(x: np.ndarray, exact=exact, fmt=fmt) -> Truth:
                nonlocal by_balls
                truth = timing.run("reference", study.truth, x, float(exact), fmt)
                by_balls += truth.by_balls
                return truth

            truth = truth_of(z)
            for form in forms:
                found: dict[str, Row] = {}
                results: dict[str, np.ndarray] = {}
                silent = np.zeros(len(z), bool)
                for mode in modes:
                    if (form, mode) not in compiled:
                        compiled[form, mode] = MODES[mode](study.forms[form])
                        timing.run("compile", evaluate, compiled[form, mode], z[:1], exact)
                    run = compiled[form, mode]

                    def measured(x: np.ndarray, known: Truth, run=run, exact=exact, fmt=fmt):
                        result = timing.run("run", evaluate, run, x, exact)
                        kinds, ulps = timing.run("measure", measure.classify, result, known, tolerance)
                        return result, kinds, ulps, measure.true_is_normal(known), known.state

                    def at(ordinals: np.ndarray, fmt=fmt, measured=measured, truth_of=truth_of) -> Sample:
                        x = from_ordinal(ordinals, fmt)
                        return Sample(ordinals, *measured(x, truth_of(x))[1:])

                    def true_at(ordinals: np.ndarray, fmt=fmt, truth_of=truth_of) -> Truth:
                        return truth_of(from_ordinal(ordinals, fmt))

                    result, kinds, *others = measured(z, truth)
                    n = slice(numbers)
                    inside = sample = Sample(to_ordinal(z[n]), kinds[n], *(column[n] for column in others))
                    looked_at = None
                    if fmt.bits != 16:
                        more = np.setdiff1d(also(form, run, fmt), sample.ordinals) if also else np.array([])
                        sample = refine(sample.merged(at(more)) if len(more) else sample, at)
                    if fmt.bits != 16 and search:
                        span = ordinals_within(study.domain, fmt)
                        sample, looked_at = hunted(sample, at, true_at, fmt, span, seed)
                    if fmt.bits != 16:
                        sample, inside = looked_inside(sample, at, seed)
                    regions, nans = regions_of(sample, inside), (kinds[numbers:], truth.state[numbers:])
                    found[mode] = _summarise(study.name, form, fmt, label, mode, sample, regions, nans, looked_at)
                    results[mode] = result
                    silent |= np.isfinite(widen(result)) & np.isin(kinds, FAILURES)
                    rows.append(found[mode])
                    progress(f"{form} {dtype} {'' if label is None else f'label {label:g} '}{mode}")
                if {"jit", "eager"} <= found.keys():
                    disagreement = _disagreement(found["jit"], found["eager"], results, silent)
                    if disagreement.count or disagreement.regions:
                        disagreements.append(disagreement)
    return Outcome(tuple(rows), tuple(disagreements), dict(timing.seconds), by_balls)
