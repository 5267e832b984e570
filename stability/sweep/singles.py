"""What a sweep keeps of single floats: the true values and the results there, by ordinal, and their text in JSON."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any, Self

import numpy as np

from stability.formats import FORMATS, FloatFormat, from_ordinal, to_ordinal, widen
from stability.sweep.points import binade_starts
from stability.truth import Truth

KEPT = 2048
"""Floats of a wide format at which all rows of a format and label keep their results, apart from powers of two."""
FRACTIONS = 254
"""A `fraction` is told in this part of an ulp, and as 0 only where it is 0."""


def packed(integers: np.ndarray) -> str:
    """Integers of shape `(n,)` as text: the first one and the differences, zigzag-coded into unsigned ones of the
    narrowest of 1, 2, 4 and 8 bytes, all their lowest bytes first, deflated, in base64, after the width and a colon.

    ```python
    import numpy as np
    from stability.sweep.singles import packed, unpacked

    assert unpacked(packed(np.array([5, -1, 2**40]))).tolist() == [5, -1, 2**40]
    ```
    """
    steps: Any = np.diff(np.asarray(integers, np.int64), prepend=np.int64(0))
    zigzag = ((steps << 1) ^ (steps >> 63)).view(np.uint64)
    width = next(w for w in (1, 2, 4, 8) if int(zigzag.max(initial=0)) < 1 << 8 * w)
    planes = zigzag.astype(f"<u{width}").view(np.uint8).reshape(-1, width).T.tobytes()
    return f"{width}:{base64.b64encode(zlib.compress(planes, 6)).decode()}"


def unpacked(text: str) -> np.ndarray:
    """The integers (int64) that `packed` made text of."""
    width, data = text.split(":")
    planes = np.frombuffer(zlib.decompress(base64.b64decode(data)), np.uint8).reshape(int(width), -1)
    zigzag = planes.T.copy().view(f"<u{width}").ravel().astype(np.uint64)
    steps = (zigzag >> np.uint64(1)).view(np.int64) ^ -(zigzag & np.uint64(1)).view(np.int64)
    return np.cumsum(steps)


@dataclass(frozen=True, eq=False)
class Columns:
    """Arrays of one shape `(n,)` of integers, as the fields of a dataclass: equal by value, packed in JSON."""

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and all(
            np.array_equal(getattr(self, f.name), getattr(other, f.name)) for f in fields(self)
        )

    def to_json(self) -> dict:
        return self._packed

    @cached_property
    def _packed(self) -> dict[str, str]:
        return {f.name: packed(getattr(self, f.name)) for f in fields(self)}

    @classmethod
    def from_json(cls, data: dict) -> Self:
        return cls(**{f.name: narrow(unpacked(data[f.name])) for f in fields(cls)})


def narrow(integers: np.ndarray) -> np.ndarray:
    """Integers in the narrowest signed type that holds them."""
    least, most = int(integers.min(initial=0)), int(integers.max(initial=0))
    return integers.astype(np.promote_types(np.min_scalar_type(least), np.min_scalar_type(-most - 1)))


@dataclass(frozen=True, eq=False)
class Results(Columns):
    """What a row gave at single floats.

    **Attributes:** `floats` which of those of its `TrueValues`, as ascending indices; `results` ordinals, that past
    infinity for a NaN; `kinds` indices into `stability.measure.KINDS`.
    """

    floats: np.ndarray
    results: np.ndarray
    kinds: np.ndarray


@dataclass(frozen=True, eq=False)
class TrueValues(Columns):
    """The true values at single floats.

    **Attributes:** `floats` ordinals, ascending; `rounded` those of the correctly rounded true values, the one past
    that of infinity where there is none; `fraction` how far above it the value lies, in ulps / `FRACTIONS`; `state` as
    of `stability.truth.State`; `other` as `rounded`, of the other ends of intervals of right values.
    """

    floats: np.ndarray
    rounded: np.ndarray
    fraction: np.ndarray
    state: np.ndarray
    other: np.ndarray

    @classmethod
    def of(cls, ordinals: np.ndarray, truth: Truth) -> TrueValues:
        fmt, nowhere = truth.fmt, np.full(len(ordinals), np.nan)
        columns = (
            ordinals,
            ordinals_of(truth.rounded.astype(fmt.dtype), fmt),
            _parts(np.where(np.isfinite(truth.quanta), truth.fraction, 0.0)),
            truth.state,
            ordinals_of((nowhere if truth.other is None else truth.other.rounded).astype(fmt.dtype), fmt),
        )
        return cls(*(narrow(np.asarray(c)) for c in columns))

    @classmethod
    def joined(cls, parts: Iterable[TrueValues]) -> TrueValues:
        """Those of several, one a float."""
        given = list(parts)
        columns = [np.concatenate([getattr(part, f.name) for part in given]) for f in fields(cls)]
        _, first = np.unique(columns[0], return_index=True)
        return cls(*(narrow(c[first]) for c in columns))

    def results(self, floats: np.ndarray, results: np.ndarray, kinds: np.ndarray) -> Results:
        """The results at some of the floats, by ordinal in any order."""
        order = np.argsort(floats)
        at = np.searchsorted(self.floats, floats[order])
        return Results(*(narrow(c) for c in (at, results[order], kinds[order])))


def _parts(fraction: np.ndarray) -> np.ndarray:
    size = np.rint(np.abs(fraction) * FRACTIONS).astype(np.int64)
    return np.where(fraction == 0, 0, np.copysign(np.maximum(size, 1), fraction).astype(np.int64))


@dataclass(frozen=True)
class Known:
    """The true values of a format and label, at the floats at which any of its rows keeps its results."""

    study: str
    dtype: str
    label: float | None
    values: TrueValues

    def to_json(self) -> dict:
        return {"study": self.study, "dtype": self.dtype, "label": self.label, **self.values.to_json()}

    @classmethod
    def from_json(cls, data: dict) -> Known:
        return cls(data["study"], data["dtype"], data["label"], TrueValues.from_json(data))


@dataclass(frozen=True, eq=False)
class Computed(Columns):
    """What a quantity is at single floats, by ordinal: `computed`, and `rounded` the correctly rounded true value; the
    ordinal past infinity for a NaN and where there is none."""

    computed: np.ndarray
    rounded: np.ndarray


@dataclass(frozen=True)
class Step:
    """A quantity that forms of a study compute on their way, in a format, at a label where that matters to it."""

    quantity: str
    dtype: str
    label: float | None
    values: Computed

    def to_json(self) -> dict:
        return {"quantity": self.quantity, "dtype": self.dtype, "label": self.label, **self.values.to_json()}

    @classmethod
    def from_json(cls, data: dict) -> Step:
        return cls(data["quantity"], data["dtype"], data["label"], Computed.from_json(data))


@dataclass(frozen=True, eq=False)
class Steps:
    """The quantities of a study at single floats of each format.

    **Attributes:** `floats` ordinals by format, ascending; `steps` the quantities there.
    """

    floats: dict[str, np.ndarray] = field(default_factory=dict)
    steps: tuple[Step, ...] = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Steps) and self.to_json() == other.to_json()

    def to_json(self) -> dict:
        floats = {dtype: packed(ordinals) for dtype, ordinals in self.floats.items()}
        return {"floats": floats, "steps": [step.to_json() for step in self.steps]}

    @classmethod
    def from_json(cls, data: dict) -> Steps:
        floats = {dtype: narrow(unpacked(text)) for dtype, text in data["floats"].items()}
        return cls(floats, tuple(Step.from_json(step) for step in data["steps"]))


def ordinals_of(values: np.ndarray, fmt: FloatFormat) -> np.ndarray:
    """Ordinals, that of every NaN being the one past that of infinity."""
    return np.where(np.isnan(widen(values)), fmt.infinity + 1, to_ordinal(values))


def kept(ordinals: np.ndarray, position: np.ndarray, fmt: FloatFormat) -> np.ndarray:
    """Which of the floats that a sweep starts from are kept, as indices: every one of a 16-bit format.

    Of a wide one the powers of two, and `KEPT` others: half at equal distances in `position`, which ascends, half in
    their order.
    """
    n = len(ordinals)
    if fmt.bits == 16 or n <= KEPT:
        return np.arange(n)
    half = KEPT // 2
    spread = np.searchsorted(position, np.linspace(position[0], position[-1], half))
    powers = np.concatenate([starts := binade_starts(fmt), -starts - 1, [0, -1]])
    in_order = np.linspace(0, n - 1, half).astype(int)
    chosen = np.concatenate([spread, in_order, np.flatnonzero(np.isin(ordinals, powers))])
    return np.unique(np.minimum(chosen, n - 1))


def values(ordinals: np.ndarray, dtype: str) -> np.ndarray:
    """Floats as float64, from their ordinals; NaN past that of infinity."""
    fmt = FORMATS[dtype]
    beyond = np.asarray(ordinals) > fmt.infinity
    return np.where(beyond, np.nan, widen(from_ordinal(np.where(beyond, 0, ordinals), fmt)))
