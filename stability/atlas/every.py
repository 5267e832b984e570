"""Rows of the atlas over every float32, where Taylor models give the true value of each (`stability.atlas.models`)."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping

import numpy as np
from jax import Array

from stability import real
from stability.atlas.models import Table
from stability.formats import FORMATS, to_ordinal
from stability.study import Study
from stability.study.functions import as_form
from stability.sweep import exhaustive
from stability.sweep.outcome import Row
from stability.truth import Truth

MOST_OPEN = 8
"""Blocks without a model that are measured by balls, float by float; of a function with more, not every float is."""

KEPT = 16
"""Blocks whose true values are kept: programs of one derivative ask for the same ones."""

FLOAT32 = FORMATS["float32"]


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

    @functools.lru_cache(maxsize=KEPT)
    def truth_of(z: bytes) -> Truth:
        derivative = real.Order(0, order) if order else None
        return real.truth(fn, np.frombuffer(z, np.float32), fmt=FLOAT32, derivative=derivative)

    study = Study(
        name="atlas",
        title="",
        forms={name: as_form(run) for name, run in derived.items()},
        formulas={},
        truth=lambda z, label, fmt: truth_of(z.tobytes()),
        device_truth=table.truth(order),
        swept="x",
    )
    streams = exhaustive.sweep(study, forms=list(derived), labels=[0.0], tolerance=tolerance)
    found = exhaustive.rows(study, streams, tolerance)
    return {row.form: row for row in found}


def profile_of(row: Row) -> tuple[np.ndarray, np.ndarray]:
    """The floats of a row's profile, by ordinal, and the errors there, -1 where none counts."""
    return to_ordinal(row.profile.z.astype(FLOAT32.dtype)), np.where(np.isnan(row.profile.ulps), -1.0, row.profile.ulps)
