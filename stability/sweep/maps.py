"""Forms over the swept float and the label at once: in each cell of a grid, the worst of a few floats."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor, Future

import jax
import jax.numpy as jnp
import numpy as np

from stability import truth as truths
from stability.formats import FORMATS, FloatFormat, from_ordinal, to_ordinal, widen
from stability.measure import INACCURATE, KINDS, OK, classify
from stability.study import Source, Study, study_of_source
from stability.sweep.map import BEYOND, LEAST, SEVERITY, STEPS, Map
from stability.sweep.outcome import furthest
from stability.sweep.rows import MODES, Settings

COLUMNS, ROWS = 160, 65
FLOATS = 4
"""Of a cell."""
MAPPED = ("float32", "bfloat16")
"""The formats of a map where nothing else is asked for."""


def begun(
    source: Source,
    *,
    forms: Sequence[str],
    dtypes: Sequence[str],
    mode: str = "jit",
    tolerance: float = 16.0,
    executor: Executor,
) -> list[Future[list[Map]]]:
    """Forms of a study whose label varies, in some formats, at floats and labels over the whole of both.

    **Returns:** the maps of a format, one a form, for each.
    """
    settings = Settings(0, tolerance, 0, x64=bool(jax.config.read("jax_enable_x64")))
    return [executor.submit(of_forms, source, tuple(forms), dtype, mode, settings) for dtype in dtypes]


def done(waiting: Sequence[Future[list[Map]]]) -> tuple[Map, ...]:
    """What was begun, when it is done."""
    return tuple(found for future in waiting for found in future.result())


def of_forms(source: Source, forms: Sequence[str], dtype: str, mode: str, settings: Settings) -> list[Map]:
    """The maps of forms in one format, against true values that they share."""
    study, fmt = study_of_source(source), FORMATS[dtype]
    z, labels = columns(study, fmt), rows(study, fmt)
    with settings.running(fmt):
        parts = [study.truth(z.ravel(), float(y), fmt) for y in labels]
        truth = truths.concatenated(parts)
        zero = _zeros(truth.quanta.reshape(len(labels), len(z), FLOATS)[:, :, FLOATS // 2], widen(labels))
        found = []
        for form in forms:
            run = MODES[mode](study.forms[form])
            results = np.asarray(run(jnp.asarray(z.ravel()[None, :]), jnp.asarray(labels[:, None])))
            kinds, ulps = classify(results.ravel(), truth, settings.tolerance)
            cells = _cells(kinds, ulps).reshape(len(labels), len(z), FLOATS).max(axis=2)
            found.append(Map(form, dtype, mode, widen(z[:, FLOATS // 2]), widen(labels), cells, zero))
    return found


def columns(study: Study, fmt: FloatFormat) -> np.ndarray:
    """The floats of the columns, of shape `(COLUMNS, FLOATS)`: at equal distances of `arcsinh(2 z)` over the domain of
    the study, as far out as any gradient is left."""
    count = COLUMNS * FLOATS
    low, high = np.arcsinh(2 * np.clip(study.domain, -furthest(fmt), furthest(fmt)))
    at = low + (np.arange(count) + 0.5) / count * (high - low)
    return np.clip(np.sinh(at) / 2, *study.domain).astype(fmt.dtype).reshape(COLUMNS, FLOATS)


def rows(study: Study, fmt: FloatFormat) -> np.ndarray:
    """The labels of the rows in the format: at equal distances over the range of the study."""
    return from_ordinal(np.unique(to_ordinal(np.linspace(*study.label_range, ROWS).astype(fmt.dtype))), fmt)


def _zeros(values: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Between which labels the sign of each column changes first: the middle, NaN where it does not."""
    sign = np.sign(values)
    changes = (sign[:-1] != sign[1:]) & ~np.isnan(values[:-1]) & ~np.isnan(values[1:])
    middle = (labels[:-1] + labels[1:]) / 2
    return np.where(changes.any(axis=0), middle[np.argmax(changes, axis=0)], np.nan)


def _cells(kinds: np.ndarray, ulps: np.ndarray) -> np.ndarray:
    """Codes of which the greatest is the worst."""
    with np.errstate(divide="ignore", invalid="ignore"):
        errors = np.clip(np.rint(STEPS * (np.log2(ulps) - LEAST)), 0, BEYOND - 1)
    worse = np.array([SEVERITY.index(kind) if kind in SEVERITY else 0 for kind in KINDS])
    return np.where(np.isin(kinds, (OK, INACCURATE)), errors, BEYOND + worse[kinds]).astype(np.uint8)
