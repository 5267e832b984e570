"""Programs of one function at every float32, where Taylor models (`stability.sweep.models`) give the true values."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from jax import Array

from stability import real
from stability.formats import FORMATS, FloatFormat, to_ordinal
from stability.study import Form, Study
from stability.study.functions import as_form
from stability.sweep import exhaustive
from stability.sweep.models import Table
from stability.sweep.outcome import Row
from stability.truth import Truth
from stability.truth.device import DeviceTruth

MOST_OPEN = 8
"""Blocks without a model that are measured by balls, float by float; of a function with more, not every float is."""

KEPT = 16
"""Blocks whose true values are kept."""

FLOAT32 = FORMATS["float32"]

Truths = Callable[[np.ndarray, float, FloatFormat], Truth]
"""From floats of shape `(n,)`, a label and a format."""


def rows(
    fn: Callable[[Array], Array],
    derived: Mapping[str, Callable[[Array], Array]],
    order: int,
    table: Table,
    tolerance: float,
) -> dict[str, Row]:
    """A row of the exhaustive sweep for each of several programs of one derivative of `fn`, under `jit`, by name.

    Needs `jax_enable_x64`.
    """
    forms = {name: as_form(run) for name, run in derived.items()}
    truth = truth_of(lambda label: fn, order)
    return {name: row for (name, _), row in measured(forms, truth, table.truth(order), tolerance).items()}


def truth_of(fn_at: Callable[[float], Callable[[Array], Array]], order: int) -> Truths:
    """The true values of a derivative of the function of a label; those of the last blocks are kept, for programs of
    one derivative ask for the same ones."""
    derivative = real.Order(0, order) if order else None

    @functools.lru_cache(maxsize=KEPT)
    def at(z: bytes, label: float) -> Truth:
        return real.truth(fn_at(label), np.frombuffer(z, np.float32), fmt=FLOAT32, derivative=derivative)

    return lambda z, label, fmt: at(z.tobytes(), float(label))


def measured(
    forms: Mapping[str, Form],
    truth: Truths,
    device_truth: DeviceTruth,
    tolerance: float,
    labels: Sequence[float] = (0.0,),
    span: tuple[int, int] = (0, exhaustive.BLOCKS),
) -> dict[tuple[str, float], Row]:
    """A row of the exhaustive sweep by form and label, over the blocks of magnitudes in `span`. Needs
    `jax_enable_x64`."""
    study = Study("every", "", forms, {}, truth, device_truth=device_truth, swept="x")
    streams = exhaustive.sweep(study, forms=list(forms), labels=list(labels), tolerance=tolerance, span=span)
    return {(row.form, float(row.label or 0.0)): row for row in exhaustive.rows(study, streams, tolerance)}


def profile_of(row: Row) -> tuple[np.ndarray, np.ndarray]:
    """The floats of a row's profile, by ordinal, and the errors there, -1 where none counts."""
    return to_ordinal(row.profile.z.astype(FLOAT32.dtype)), np.where(np.isnan(row.profile.ulps), -1.0, row.profile.ulps)
