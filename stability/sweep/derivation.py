"""What the forms of a study compute on their way, op by op, against what it is in real numbers."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor

import jax
import jax.numpy as jnp
import numpy as np

from stability import real
from stability.formats import FORMATS, from_ordinal, to_ordinal, widen
from stability.study import Source, Study, study_of_source
from stability.sweep.engine import Here
from stability.sweep.outcome import Outcome, furthest
from stability.sweep.points import DENSE_BINADES, binade_starts
from stability.sweep.rows import ROUND, Settings, evaluate, exact_label
from stability.sweep.singles import Computed, Step, Steps, narrow, ordinals_of


def steps(source: Source, outcome: Outcome, executor: Executor | None = None) -> Steps:
    """The quantities that the forms of an outcome compute, in its formats and at its labels, measured on an executor.

    They are looked at where rows keep their results: at the powers of two, and, in the binades where the functions
    change, at every float of a 16-bit format, and at the round numbers and the ends of regions of a wide one.
    """
    study, pool = study_of_source(source), executor or Here()
    x64 = bool(jax.config.read("jax_enable_x64"))
    computed = {name for row in outcome.rows for name in study.lines.get(row.form, ())}
    names = [name for name in study.quantities if name in computed]
    dtypes = list(dict.fromkeys(k.dtype for k in outcome.known))
    floats = {dtype: narrow(_floats(outcome, dtype)) for dtype in dtypes}
    waiting = {}
    for dtype in sorted(dtypes, key=lambda dtype: -FORMATS[dtype].bits):
        labels = [k.label for k in outcome.known if k.dtype == dtype]
        waiting[dtype] = pool.submit(in_format, source, names, dtype, labels, floats[dtype], x64)
    return Steps(floats, tuple(step for dtype in dtypes for step in waiting[dtype].result()))


def _floats(outcome: Outcome, dtype: str) -> np.ndarray:
    fmt = FORMATS[dtype]
    known = np.unique(np.concatenate([k.values.floats for k in outcome.known if k.dtype == dtype])).astype(np.int64)
    size, starts = np.abs(widen(from_ordinal(known, fmt))), binade_starts(fmt)
    dense = (size >= 2.0 ** DENSE_BINADES[0]) & (size < min(2.0 ** DENSE_BINADES[1], furthest(fmt)))
    if fmt.bits != 16:
        regions = (r for row in outcome.rows if row.dtype == dtype for r in row.regions if r.kind != "inaccurate")
        ends = [end for r in regions for end in (r.start, r.stop)]
        dense &= np.isin(known, to_ordinal(ROUND.astype(fmt.dtype))) | np.isin(known, np.array(ends, np.int64))
    return known[dense | np.isin(known, starts) | np.isin(-known - 1, starts) | np.isin(known, (-1, 0))]


def in_format(
    source: Source,
    names: Sequence[str],
    dtype: str,
    labels: Sequence[float | None],
    floats: np.ndarray,
    x64: bool,
) -> list[Step]:
    """Quantities of a format, in one process, which compiles their operations once."""
    study = study_of_source(source)
    alike: dict[tuple, list[str]] = {}
    for name in names:
        quantity = study.quantities[name]
        alike.setdefault((quantity.true, quantity.labelled), []).append(name)
    return [
        step
        for (_, labelled), same in alike.items()
        for label in (labels if labelled else [None])
        for step in of_quantities(study, same, dtype, label, floats, x64)
    ]


def of_quantities(
    study: Study, names: Sequence[str], dtype: str, label: float | None, floats: np.ndarray, x64: bool
) -> list[Step]:
    """Quantities that are one in real numbers, at floats by ordinal, each operation an XLA computation of its own."""
    fmt = FORMATS[dtype]
    z, y = from_ordinal(floats, fmt), exact_label(label, fmt)
    found = []
    with Settings(0, 0.0, 0, x64=x64).running(fmt):
        true = real.truth(lambda x: study.quantities[names[0]].true(x, jnp.asarray(y)), z, fmt=fmt).rounded.astype(
            fmt.dtype
        )
        for name in names:
            computed = evaluate(study.quantities[name].computed, z, y)
            columns = Computed(narrow(ordinals_of(computed, fmt)), narrow(ordinals_of(true, fmt)))
            found.append(Step(name, dtype, label, columns))
    return found
