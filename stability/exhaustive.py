"""The exhaustive sweep of float32: blocks over devices, regions joined, progress stored as it goes.

The blocks of `stability.blocks` are taken in order of magnitude, `STEP` a device and a call, sharded over all local
devices. Blocks whose points are of one kind extend a region as a whole; of the others the kinds are fetched, and the
ends of every run found exactly. Where `ok` and `inaccurate` alternate (more than `MAX_RUNS` runs in a block), the
inaccurate points of the block are one region, whose count is less than the floats between its ends.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec

from stability import blocks
from stability.blocks import BINS, BLOCK
from stability.floats import FORMATS, from_ordinal, hex_of
from stability.measure import INACCURATE, KINDS, NAN_INPUT, OK, classify, runs, true_is_normal
from stability.study import Study

FLOAT32 = FORMATS["float32"]
BLOCKS = (1 << 31) // BLOCK
STEP = 32
MAX_RUNS = 64
CHECKPOINT_SECONDS = 5.0


class Refused(ValueError):
    """A checkpoint that can't be continued; the message says why."""


@dataclass
class Stream:
    """One form, label and sign so far.

    `error` is the largest, as float32 bits, and `at` the first magnitude of the first block that has it; `zones` are
    `[kind, first magnitude, last, points]`, the failures in order.
    """

    form: str
    label: float
    negative: bool
    counts: list[int] = field(default_factory=lambda: [0] * len(KINDS))
    histogram: list[int] = field(default_factory=lambda: [0] * BINS)
    error: int = -1
    at: int = -1
    zones: list[list[int]] = field(default_factory=list)
    undecided: int = 0

    def add(self, counts, histogram, error: int, at: int) -> None:
        self.counts = [a + int(b) for a, b in zip(self.counts, counts, strict=True)]
        self.histogram = [a + int(b) for a, b in zip(self.histogram, histogram, strict=True)]
        if error > self.error:
            self.error, self.at = error, at

    def extend(self, kind: int, first: int, last: int, points: int) -> None:
        """Adds a zone, joined to the last of its kind where they touch, or where both are of alternating kinds."""
        if kind in (OK, NAN_INPUT):
            return
        for zone in reversed(self.zones[-2:]):
            alternating = points < last - first + 1 and zone[3] < zone[2] - zone[1] + 1
            if zone[0] == kind and (first == zone[2] + 1 or (alternating and first - zone[2] <= BLOCK)):
                zone[2], zone[3] = last, zone[3] + points
                return
        self.zones.append([kind, first, last, points])

    def extend_by_kinds(self, kinds: np.ndarray, first: int) -> None:
        """Adds the zones of a block from the kind of each of its points."""
        found = runs(kinds)
        if len(found) <= MAX_RUNS:
            for run in found:
                self.extend(run.code, first + run.start, first + run.stop, run.stop - run.start + 1)
            return
        where = np.flatnonzero(kinds == INACCURATE)
        found = runs(np.where(kinds == INACCURATE, OK, kinds))
        if len(where):
            self.extend(INACCURATE, first + int(where[0]), first + int(where[-1]), len(where))
        for run in found:
            self.extend(run.code, first + run.start, first + run.stop, run.stop - run.start + 1)


def identity(study: Study, forms: list[str], labels: list[float], tolerance: float) -> dict:
    """What a result depends on, by name: a checkpoint of another is refused."""
    code = hashlib.sha256()
    for path in sorted(Path(__file__).parent.rglob("*.py")):
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


def _store(path: Path, state: dict) -> None:
    partial = path.with_name(path.name + ".partial")
    with partial.open("w") as file:
        json.dump(state, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)


def _load(path: Path, mine: dict) -> tuple[int, list[Stream]]:
    try:
        state = json.loads(path.read_text())
    except FileNotFoundError:
        return 0, []
    except ValueError:
        raise Refused(f"{path} is not a checkpoint; delete it, or run without --resume") from None
    differ = [name for name in mine if state["identity"].get(name) != mine[name]]
    if differ:
        raise Refused(f"{path} is of another run: {', '.join(differ)} differ; run without --resume")
    return state["next"], [Stream(**stream) for stream in state["streams"]]


def _inputs(first: int, negative: bool) -> np.ndarray:
    magnitude = np.arange(first, first + BLOCK, dtype=np.uint32)
    return (magnitude | np.uint32(negative << 31)).view(np.float32)


def _remeasure(study: Study, stream: Stream, result: np.ndarray, first: int, tolerance: float):
    """A stream of a block on the host, against the proven reference: counts, histogram, error, first, kinds."""
    z = _inputs(first, stream.negative)
    truth = study.truth(z, stream.label, FLOAT32)
    kinds, ulps = classify(result, truth, FLOAT32, tolerance)
    measured = np.isin(kinds, (OK, INACCURATE)) & ~np.isnan(z)
    single = np.minimum(ulps, 3e38).astype(np.float32)
    bins = np.clip((single.view(np.int32) >> 23) - 125, 0, BINS - 1)
    errors = np.where(measured & true_is_normal(truth, FLOAT32), single.view(np.int32), -1)
    counts = np.bincount(kinds, minlength=len(KINDS))
    return counts, np.bincount(bins[measured], minlength=BINS), int(errors.max()), first, kinds


def sweep(
    study: Study,
    *,
    forms: list[str],
    labels: list[float],
    tolerance: float,
    checkpoint: Path | None = None,
    resume: bool = False,
    span: tuple[int, int] = (0, BLOCKS),
    progress: Callable[[int, float], None] = lambda done, worst: None,
) -> list[Stream]:
    """Measures forms at labels under `jit` on every float32, or on the blocks of magnitudes in `span`.

    **Arguments:** names from `study.forms`; `labels` in `study.label_range`; `tolerance` in ulps of the true value;
    `checkpoint` a file that is replaced at most every `CHECKPOINT_SECONDS` and removed at the end; `resume` whether to
    go on from it; `progress` is called with the blocks done and the worst error so far in ulps.

    **Returns:** a `Stream` for each form, label and sign, positive first. **Raises:** `Refused`.
    Needs `jax_enable_x64`.
    """
    labels = [float(np.float32(y)) for y in labels]
    mine = identity(study, forms, labels, tolerance) | {"span": list(span)}
    begin, streams = _load(checkpoint, mine) if resume and checkpoint else (0, [])
    begin = max(begin, span[0])
    streams = streams or [Stream(f, y, n) for f in forms for y in labels for n in (False, True)]
    chosen = [study.forms[name] for name in forms]
    mesh = Mesh(np.array(jax.local_devices()), ("blocks",))
    spec = PartitionSpec("blocks")
    summaries = jax.jit(
        jax.shard_map(
            blocks.summaries(chosen, labels, tolerance), mesh=mesh, in_specs=spec, out_specs=spec, check_vma=False
        )
    )
    details = jax.jit(blocks.details(chosen, labels, tolerance))
    width = STEP * mesh.size
    stored = time.monotonic()
    for start in range(begin, span[1], width):
        these = np.minimum(np.arange(start, start + width), span[1] - 1)
        found = jax.tree.map(np.asarray, summaries(jnp.asarray(these * BLOCK, jnp.int32)))
        for i in range(min(width, span[1] - start)):
            first = (start + i) * BLOCK
            only = (np.delete(found.counts[i], (OK, INACCURATE), axis=1) == 0).all(1)
            alternating = only & (found.changes[i] >= MAX_RUNS)
            fetched = ((found.changes[i] > 0) & ~alternating).any() or found.undecided[i].any()
            results, kinds = (np.asarray(a) for a in details(jnp.int32(first))) if fetched else (None, None)
            for j, stream in enumerate(streams):
                counts = found.counts[i, j]
                if found.undecided[i, j]:
                    stream.undecided += int(found.undecided[i, j])
                    *summary, block_kinds = _remeasure(study, stream, results[j], first, tolerance)
                    stream.add(*summary)
                    stream.extend_by_kinds(block_kinds, first)
                    continue
                stream.add(counts, found.histogram[i, j], int(found.error[i, j]), first)
                if found.changes[i, j] == 0:
                    stream.extend(int(np.argmax(counts)), first, first + BLOCK - 1, BLOCK)
                elif alternating[j]:
                    stream.extend(
                        INACCURATE,
                        first + int(found.first[i, j]),
                        first + int(found.last[i, j]),
                        int(counts[INACCURATE]),
                    )
                else:
                    stream.extend_by_kinds(kinds[j], first)
        done = min(start + width, span[1])
        progress(done, max(float(np.int32(max(s.error, 0)).view(np.float32)) for s in streams))
        if checkpoint and time.monotonic() - stored > CHECKPOINT_SECONDS:
            _store(checkpoint, {"identity": mine, "next": done, "streams": [asdict(s) for s in streams]})
            stored = time.monotonic()
    if checkpoint:
        checkpoint.unlink(missing_ok=True)
    return streams


def _float(magnitude: int, negative: bool) -> float:
    return float(from_ordinal(np.array([-magnitude - 1 if negative else magnitude]), FLOAT32)[0])


def rows(study: Study, streams: list[Stream]) -> list[dict]:
    """The two signs of each form and label joined into a row of `summary.json`.

    `max_ulp` is the largest error of its block by the proven truth; that it is the largest of all blocks is sure to
    within `2**-22` of it.
    """
    return [_row(study, above, below) for above, below in zip(streams[::2], streams[1::2], strict=True)]


def _worst(study: Study, stream: Stream) -> tuple[float, np.float32]:
    """The largest error in ulps in the block of the largest error, and where."""
    form, label = study.forms[stream.form], jnp.float32(stream.label)
    z = _inputs(stream.at, stream.negative)
    truth = study.truth(z, stream.label, FLOAT32)
    result = np.asarray(jax.jit(form)(jnp.asarray(z), label))
    kinds, ulps = classify(result, truth, FLOAT32, np.inf)
    ulps = np.where((kinds == OK) & true_is_normal(truth, FLOAT32), ulps, -1)
    return float(ulps.max()), z[ulps.argmax()]


def _row(study: Study, above: Stream, below: Stream) -> dict:
    counts = dict(zip(KINDS, np.add(above.counts, below.counts).tolist(), strict=True))
    worst = max(above, below, key=lambda s: s.error)
    max_ulp, at = _worst(study, worst) if worst.error >= 0 else (None, None)
    regions = [(k, _float(b, True), _float(a, True), n) for k, a, b, n in reversed(below.zones)]
    regions += [(k, _float(a, False), _float(b, False), n) for k, a, b, n in above.zones]
    return {
        "study": study.name,
        "form": above.form,
        "dtype": "float32",
        "label": above.label,
        "mode": "jit",
        "points": sum(counts.values()),
        "exhaustive": True,
        "max_ulp": max_ulp,
        "max_ulp_at": None if at is None else hex_of(at),
        "histogram": np.add(above.histogram, below.histogram).tolist(),
        "undecided": above.undecided + below.undecided,
        "regions": [{"kind": KINDS[k], "from": hex_of(a), "to": hex_of(b), "count": n} for k, a, b, n in regions],
        "counts": {kind: n for kind, n in counts.items() if n},
    }
