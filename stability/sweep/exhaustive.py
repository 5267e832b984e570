"""The exhaustive sweep of float32: blocks over devices and hosts, regions joined, progress stored as it goes.

The blocks of `blocks` are taken in order of magnitude, `STEP` a device and a call, sharded over all devices of all
processes. The first process joins the summaries. Blocks whose points are of one kind extend a region as a
whole; of the others the kinds are fetched, and the ends of every run found exactly. Where `ok` and `inaccurate`
alternate, the inaccurate points of a block are one region, whose count is less than the floats between its ends.
Nothing depends on how many devices there are, nor on where a run was interrupted and continued.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from stability.files import write_atomically
from stability.formats import FORMATS, from_ordinal
from stability.measure import INACCURATE, KINDS, NAN_INPUT, OK, OUTSIDE, classify, true_is_normal
from stability.measure.regions import Region
from stability.study import Study
from stability.sweep import blocks
from stability.sweep.blocks import BINS, BLOCK, Summary
from stability.sweep.outcome import Outcome, Profile, Row
from stability.sweep.rows import evaluate, exact_label, landmark_floats, landmarks
from stability.sweep.streams import MAX_RUNS, Stream, inputs

FLOAT32 = FORMATS["float32"]
BLOCKS = (1 << 31) // BLOCK
STEP = 32
CHECKPOINT_SECONDS = 5.0
_MEASURED = [OK, INACCURATE]


class Refused(ValueError):
    """A checkpoint that can't be continued; the message says why."""


@dataclass(frozen=True)
class Progress:
    """How far a sweep is: floats done of all, those of this run alone, its seconds, the worst error so far in ulps."""

    done: int
    total: int
    here: int
    seconds: float
    worst: float

    @property
    def rate(self) -> float:
        """Floats per second in this run."""
        return self.here / self.seconds if self.seconds else 0.0

    @property
    def seconds_left(self) -> float:
        return (self.total - self.done) / self.rate if self.rate else float("inf")


def identity(study: Study, forms: list[str], labels: list[float], tolerance: float) -> dict:
    """What a result depends on, by name: a checkpoint of another is refused."""
    code = hashlib.sha256()
    for path in sorted(Path(__file__).parents[1].rglob("*.py")):
        code.update(path.read_bytes())
    return {
        "study": study.name,
        "forms": forms,
        "labels": labels,
        "tolerance": tolerance,
        "code": code.hexdigest(),
        "jax": version("jax"),
        "jaxlib": version("jaxlib"),
        "backend": jax.default_backend(),
        "XLA_FLAGS": os.environ.get("XLA_FLAGS", ""),
    }


def load(path: Path, mine: dict, streams: list[Stream], span: tuple[int, int]) -> tuple[int, list[Stream]]:
    """The next block and the streams of a checkpoint; the first, and `streams`, where there is none.

    **Arguments:** `mine` the `identity` that the checkpoint must have; `streams` the streams before the first block of
    `span`, which say of what form, label and sign each of the checkpoint must be.

    **Raises:** `Refused` where it is of another run, or no checkpoint.
    """
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
        theirs, begin = state["identity"], state["next"]
        found = [Stream.from_json(stream) for stream in state["streams"]]
        differ = [name for name in mine if theirs.get(name) != mine[name]]
    except FileNotFoundError:
        return span[0], streams
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise Refused(f"{path} is not a checkpoint; delete it, or begin anew") from None
    if differ:
        raise Refused(f"{path} is of another run: {', '.join(differ)} differ; begin anew")
    same = [(s.form, s.label, s.negative) for s in found] == [(s.form, s.label, s.negative) for s in streams]
    whole = type(begin) is int and span[0] <= begin <= span[1]
    if not same or not whole or any(sum(s.counts) != (begin - span[0]) * BLOCK for s in found):
        raise Refused(f"{path} is not whole; delete it, or begin anew")
    return begin, found


def _resumed(
    checkpoint: Path | None, resume: bool, mine: dict, streams: list[Stream], span: tuple[int, int]
) -> tuple[int, list[Stream]]:
    """As `load` in the first process; the others learn from it where to begin, or that it refused."""
    begin, problem = span[0], None
    if resume and checkpoint and jax.process_index() == 0:
        try:
            begin, streams = load(checkpoint, mine, streams, span)
        except Refused as refusal:
            begin, problem = -1, refusal
    if jax.process_count() > 1:
        begin = int(multihost_utils.broadcast_one_to_all(np.int32(begin)))
    if begin < 0:
        raise problem or Refused("the first process refused its checkpoint")
    return begin, streams


def _histogram(ulps: np.ndarray, kinds: np.ndarray) -> np.ndarray:
    """How many of the errors, of what is `ok` or `inaccurate`, lie in each bin."""
    bins = np.clip(np.frexp(ulps[np.isin(kinds, _MEASURED)])[1] + 1, 0, BINS - 1)
    return np.bincount(bins, minlength=BINS)


def _settled(study: Study, stream: Stream, result: np.ndarray, first: int, open_: np.ndarray) -> np.ndarray:
    """The histogram of the points of a block that the device left open, by the proven reference."""
    truth = study.truth(inputs(first, stream.negative)[open_], stream.label, FLOAT32)
    stream.undecided += len(truth.quanta)
    stream.by_balls += truth.by_balls
    kinds, ulps = classify(result[open_], truth, np.inf)
    return _histogram(ulps, kinds)


def _remeasure(study: Study, stream: Stream, result: np.ndarray, first: int, tolerance: float) -> np.ndarray:
    """Adds a block to a stream by the proven reference, on the host; returns its kinds."""
    z = inputs(first, stream.negative)
    truth = study.truth(z, stream.label, FLOAT32)
    kinds, ulps = classify(result, truth, tolerance)
    bits = np.minimum(ulps, 3e38).astype(np.float32).view(np.int32)
    errors = np.where(np.isin(kinds, _MEASURED) & true_is_normal(truth), bits, -1)
    counts = np.bincount(kinds, minlength=len(KINDS)).tolist()
    histogram = _histogram(ulps, kinds).tolist()
    stream.add(counts, histogram, int(errors.max()), int(np.where(kinds == OK, errors, -1).max()), first)
    stream.by_balls += truth.by_balls
    return kinds


def _join(
    study: Study,
    streams: list[Stream],
    found: Summary,
    first: int,
    details: Callable[[Array], Any],
    tolerance: float,
) -> None:
    """Adds one block's summary, fields of shape `(streams, ...)`, to the streams."""
    only = (np.delete(found.counts, _MEASURED, axis=1) == 0).all(1)
    alternating = only & (found.changes >= MAX_RUNS)
    by_point = (found.changes > 0) & ~alternating
    looked_at = by_point | (found.undecided > 0) | (found.open > 0)
    results, kinds, opens = details(jnp.int32(first)) if looked_at.any() else ([], [], [])
    for j, (stream, counts) in enumerate(zip(streams, found.counts.tolist(), strict=True)):
        if found.undecided[j]:
            stream.undecided += int(found.undecided[j])
            stream.extend_by_kinds(_remeasure(study, stream, np.asarray(results[j]), first, tolerance), first)
            continue
        histogram = found.histogram[j]
        if found.open[j]:
            left = np.asarray(results[j]), first, np.asarray(opens[j])
            histogram = histogram + _settled(study, stream, *left)
        stream.add(counts, histogram.tolist(), int(found.error[j]), int(found.ok_error[j]), first)
        if by_point[j]:
            stream.extend_by_kinds(np.asarray(kinds[j]), first)
        elif alternating[j]:
            zone = first + int(found.first[j]), first + int(found.last[j])
            stream.extend(INACCURATE, *zone, counts[INACCURATE])
        else:
            stream.extend(int(np.argmax(counts)), first, first + BLOCK - 1, BLOCK)


def sweep(
    study: Study,
    *,
    forms: list[str],
    labels: list[float],
    tolerance: float,
    checkpoint: Path | None = None,
    resume: bool = False,
    span: tuple[int, int] = (0, BLOCKS),
    progress: Callable[[Progress], None] = lambda progress: None,
) -> list[Stream]:
    """Measures forms at labels under `jit` on every float32, or on the blocks of magnitudes in `span`.

    **Arguments:** names from `study.forms`; `labels` in `study.label_range`; `tolerance` in ulps of the true value;
    `checkpoint` a file that is replaced every `CHECKPOINT_SECONDS` and at the end; `resume` whether to go on from it;
    `progress` is called in the first process after each call to the devices.

    **Returns:** in the first process, a `Stream` for each form, label and sign, positive first; in others, nothing to
    be used. **Raises:** `Refused`; `ValueError` for a study without `device_truth`. Needs `jax_enable_x64`.
    """
    truth = study.device_truth
    if truth is None:
        raise ValueError(f"the study {study.name} has no device_truth, which the exhaustive sweep of float32 needs")
    labels = [float(np.float32(y)) for y in labels]
    mine = identity(study, forms, labels, tolerance) | {"span": list(span)}
    fresh = [Stream(f, y, n) for f in forms for y in labels for n in (False, True)]
    begin, streams = _resumed(checkpoint, resume, mine, fresh, span)
    chosen = [study.forms[name] for name in forms]
    mesh = Mesh(np.array(jax.devices()), ("blocks",))
    spec = PartitionSpec("blocks")
    of_device = blocks.summaries(truth, chosen, labels, tolerance)
    specs = (spec, PartitionSpec())
    summaries = jax.jit(jax.shard_map(of_device, mesh=mesh, in_specs=specs, out_specs=spec, check_vma=False))
    given = np.array(labels, np.float32)
    details = partial(jax.jit(blocks.details(truth, chosen, labels, tolerance)), given=given)
    width = STEP * mesh.size

    def launch(start: int) -> Summary:
        firsts = (np.minimum(np.arange(start, start + width), span[1] - 1) * BLOCK).astype(np.int32)
        return summaries(
            jax.make_array_from_callback((width,), NamedSharding(mesh, spec), lambda at: firsts[at]), given
        )

    def fetch(found: Summary) -> Summary:
        if jax.process_count() > 1:
            return multihost_utils.process_allgather(found, tiled=True)
        return jax.tree.map(np.asarray, found)

    ahead = [launch(begin)] if begin < span[1] else []
    jax.block_until_ready(ahead)
    begun = stored = time.monotonic()
    for start in range(begin, span[1], width):
        running = ahead.pop()
        if start + width < span[1]:
            ahead.append(launch(start + width))
        found = fetch(running)
        if jax.process_index():
            continue
        done = min(start + width, span[1])
        for i in range(done - start):
            _join(study, streams, Summary(*(v[i] for v in found)), (start + i) * BLOCK, details, tolerance)
        now = time.monotonic()
        worst = max(float(np.int32(max(s.error, 0)).view(np.float32)) for s in streams)
        floats = [2 * BLOCK * n for n in (done - span[0], span[1] - span[0], done - begin)]
        progress(Progress(floats[0], floats[1], floats[2], now - begun, worst))
        if checkpoint and (now - stored > CHECKPOINT_SECONDS or done == span[1]):
            state = {"identity": mine, "next": done, "streams": [asdict(s) for s in streams]}
            write_atomically(checkpoint, json.dumps(state))
            stored = now
    return streams


def outcome(
    study: Study,
    *,
    forms: list[str],
    labels: list[float],
    tolerance: float,
    checkpoint: Path,
    resume: bool,
    progress: Callable[[Progress], None],
) -> Outcome:
    """`sweep` over every float32 as an `Outcome`; in other processes than the first an empty one."""
    begun = time.perf_counter()
    streams = sweep(
        study,
        forms=forms,
        labels=labels,
        tolerance=tolerance,
        checkpoint=checkpoint,
        resume=resume,
        progress=progress,
    )
    if jax.process_index():
        return Outcome((), (), {}, 0)
    found = rows(study, streams, tolerance)
    return Outcome(found, (), {"exhaustive": time.perf_counter() - begun}, sum(s.by_balls for s in streams))


def rows(study: Study, streams: list[Stream], tolerance: float) -> tuple[Row, ...]:
    """The two signs of each form and label joined into a row.

    `max_ulp` is the largest error of its block by the proven truth, and so is `worst_ok`, of what is within
    `tolerance`; that it is the largest of all blocks is sure to within `2**-22` of it.
    """
    return tuple(_row(study, above, below, tolerance) for above, below in zip(streams[::2], streams[1::2], strict=True))


def _worst(study: Study, stream: Stream, at: int, tolerance: float) -> tuple[float, float]:
    """The largest error in ulps, up to `tolerance`, in the block at `at`, by the proven truth, and where."""
    z = inputs(at, stream.negative)
    result = np.asarray(jax.jit(study.forms[stream.form])(jnp.asarray(z), jnp.float32(stream.label)))
    may_be = _candidates(study, stream, z, result, tolerance)
    z, truth = z[may_be], study.truth(z[may_be], stream.label, FLOAT32)
    kinds, ulps = classify(result[may_be], truth, tolerance)
    ulps = np.where((kinds == OK) & true_is_normal(truth), ulps, -1)
    return float(ulps.max()), float(z[ulps.argmax()])


def _candidates(study: Study, stream: Stream, z: np.ndarray, result: np.ndarray, tolerance: float) -> np.ndarray:
    """Positions of a block among which the largest error is: what the device leaves undecided, and errors that its
    bound does not tell from the largest."""
    assert study.device_truth is not None
    magnitude = jnp.asarray(z.view(np.int32) & 0x7FFFFFFF)
    truth = study.device_truth(magnitude, stream.label, stream.negative)
    points = blocks.measure(jnp.asarray(result), truth, magnitude, tolerance)
    error, undecided = np.asarray(points.error), np.asarray(points.undecided)
    decided = ~undecided & (np.asarray(points.kind) == OK) & (error >= 0)
    errors = np.where(decided, error.view(np.float32), -1.0).astype(np.float64)
    slack = 2 * np.broadcast_to(truth.bound, error.shape)[decided].max(initial=0.0)
    return np.flatnonzero(undecided | (decided & (errors >= errors.max() * (1 - 2.0**-20) - slack)))


def _row(study: Study, above: Stream, below: Stream, tolerance: float) -> Row:
    counts = np.add(above.counts, below.counts)
    worst = max(above, below, key=lambda s: s.error)
    worst_ok = max(above, below, key=lambda s: s.ok_error)
    max_ulp, at = _worst(study, worst, worst.at, np.inf) if worst.error >= 0 else (None, None)
    ok_ulp = _worst(study, worst_ok, worst_ok.ok_at, tolerance)[0] if worst_ok.ok_error >= 0 else None
    label, marks = exact_label(above.label, FLOAT32), landmark_floats(study, FLOAT32)
    at_marks = evaluate(jax.jit(study.forms[above.form]), marks, label) if len(marks) else marks
    undefined = int(counts[NAN_INPUT] + counts[OUTSIDE])
    regions = [Region(KINDS[k], -b - 1, -a - 1, n) for k, a, b, n in reversed(below.zones)]
    regions += [Region(KINDS[k], a, b, n) for k, a, b, n in above.zones]
    pairs = [(-first - 1, error) for error, first in reversed(below.profile)] + [(z, e) for e, z in above.profile]
    ordinals, errors = np.array(pairs).T
    return Row(
        study=study.name,
        form=above.form,
        dtype="float32",
        label=above.label,
        mode="jit",
        points=int(counts.sum()),
        exhaustive=True,
        max_ulp=max_ulp,
        max_ulp_at=at,
        worst_ok=ok_ulp,
        regions=tuple(sorted(regions, key=lambda r: r.start)),
        counts={kind: int(n) for kind, n in zip(KINDS, counts, strict=True) if n},
        states={name: n for name, n in (("number", int(counts.sum()) - undefined), ("undefined", undefined)) if n},
        profile=Profile.of(
            from_ordinal(ordinals, FLOAT32),
            np.where(errors < 0, np.nan, errors.astype(np.int32).view(np.float32).astype(np.float64)),
        ),
        histogram=tuple(np.add(above.histogram, below.histogram).tolist()),
        undecided=above.undecided + below.undecided,
        landmarks=landmarks(study, marks, at_marks, label, FLOAT32, tolerance),
    )
