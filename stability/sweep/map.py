"""A form over the swept float and the label at once, as data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stability.sweep.singles import packed, unpacked

LEAST, STEPS = -10, 4
"""A cell of a right or an inaccurate result holds its error: `STEPS` codes an octave from 2**LEAST ulps up."""
BEYOND = 200
SEVERITY = ("nan_input", "outside", "undecided", "flushed", "pole", "vanished", "wrong_sign", "inf", "nan")
"""Cells hold `BEYOND` and an index into this where a result is neither."""


@dataclass(frozen=True, eq=False)
class Map:
    """A form in a format over the swept float and the label.

    **Attributes:** `z` the floats in the middle of the columns, ascending, and `labels` of the rows (both float64);
    `cells` of shape `(len(labels), len(z))`, uint8: `BEYOND` and an index into `SEVERITY`, or the worst error e in ulps
    as `STEPS * (log2(e) - LEAST)`, rounded; `zero` the label at which the true value changes its sign in each column,
    NaN where it does not.
    """

    form: str
    dtype: str
    mode: str
    z: np.ndarray
    labels: np.ndarray
    cells: np.ndarray
    zero: np.ndarray

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Map) and self.to_json() == other.to_json()

    def to_json(self) -> dict:
        return {
            "form": self.form,
            "dtype": self.dtype,
            "mode": self.mode,
            "z": [x.hex() for x in self.z.tolist()],
            "labels": [y.hex() for y in self.labels.tolist()],
            "cells": packed(self.cells.ravel()),
            "zero": [None if np.isnan(y) else y for y in self.zero.tolist()],
        }

    @classmethod
    def from_json(cls, data: dict) -> Map:
        z, labels = (np.array([float.fromhex(x) for x in data[name]]) for name in ("z", "labels"))
        cells = unpacked(data["cells"]).astype(np.uint8).reshape(len(labels), len(z))
        zero = np.array([np.nan if y is None else y for y in data["zero"]])
        return cls(data["form"], data["dtype"], data["mode"], z, labels, cells, zero)
