"""Points where a term has a value, and its true values there.

Points are uniform over the floats of a domain, each variable by itself, and are kept where the true value is a number
that the format holds. At each point the precision is known that decided it, and other terms are evaluated in it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import flint
import numpy as np
from flint import arb

from stability.formats import FloatFormat, bits_of, from_ordinal, to_ordinal
from stability.real.arrays import as_array
from stability.real.values import Scalar, Undefined, array, infinite, real
from stability.rewriting.operations import CONSTANTS
from stability.rewriting.terms import Term, exactly, folded, in_reals, over_reals
from stability.truth.balls import round_ball

PRECISIONS = (128, 256, 512, 1024, 2048, 4096, 8192)
SPARE = 1.25
"""How much more precision than the term needed others are given."""

Domain = Mapping[str, tuple[float, float] | list[float]]
"""The closed range of a variable by its name, or a list of the values that it takes; all finite floats where it is not
given."""


class Sample(NamedTuple):
    """Points and true values.

    **Attributes:** `columns` the floats, one array of shape `(n,)` a variable; `truth` the correctly rounded values, in
    the same dtype; `precisions` the bits that decided each.
    """

    columns: dict[str, np.ndarray]
    truth: np.ndarray
    precisions: np.ndarray

    def at(self, index: Any) -> Sample:
        columns = {name: column[index] for name, column in self.columns.items()}
        return Sample(columns, self.truth[index], self.precisions[index])

    def __len__(self) -> int:
        return len(self.truth)

    @property
    def has_rows(self) -> bool:
        """Whether a point has rows: then all arrays have a second axis, of 1 where there is one number."""
        return self.truth.ndim > 1

    def joined(self, other: Sample) -> Sample:
        """Both, one after the other."""
        columns = {name: np.concatenate([x, other.columns[name]]) for name, x in self.columns.items()}
        both = ((self.truth, other.truth), (self.precisions, other.precisions))
        return Sample(columns, *(np.concatenate(pair) for pair in both))


def flat(x: Scalar) -> arb | None:
    """A number as a ball, or `None` where it is none."""
    if isinstance(x, Undefined | bool | np.bool_):
        return None
    return x if type(x) is arb else x.resolved()


def true_value(term: Term, point: Mapping[str, Any], fmt: FloatFormat) -> tuple[Any, int] | None:
    """The correctly rounded value of a term at a point, infinite where it overflows, and the bits that decided it;
    `None` where it has none, or it is not decided. Of a point with a row, an array."""
    for precision in PRECISIONS:
        with flint.ctx.workprec(precision):
            found = in_reals(term, {name: _lifted(x) for name, x in point.items()})
            values = [_rounded(x, fmt) for x in np.ravel(as_array(found))]
            if any(v is Ellipsis for v in values):
                return None
        if None not in values:
            of_rows = any(np.ndim(x) for x in point.values())
            return np.array(values) if of_rows else values[0], precision
    return None


def _lifted(x: Any) -> Any:
    return array([real(v) for v in x.tolist()], x.shape) if np.ndim(x) else real(float(x))


def _rounded(x: Scalar, fmt: FloatFormat) -> Any:
    """A real number rounded; `None` where it is not decided, `...` where there is none."""
    if isinstance(x, Undefined) and x.certain:
        return ...
    ball = flat(x)
    return None if ball is None or not ball.is_finite() else round_ball(ball, fmt)


def ordinals(rng: np.random.Generator, n: int, fmt: FloatFormat, ends: tuple[float, float] | list[float] | None):
    """Of floats drawn from a range, or from a list."""
    if isinstance(ends, list):
        return to_ordinal(np.array(ends, fmt.dtype))[rng.integers(0, len(ends), n)]
    low, high = (-fmt.infinity, fmt.infinity - 1)
    if ends is not None:
        low, high = max(low, _ordinal(ends[0], fmt)), min(high, _ordinal(ends[1], fmt))
    return rng.integers(low, high, n, endpoint=True)


def _ordinal(x: float, fmt: FloatFormat) -> int:
    with np.errstate(over="ignore"):
        return int(to_ordinal(fmt.dtype.type(x)))


def drawn(names: Sequence[str], fmt: FloatFormat, domain: Domain, seed: int) -> Iterator[dict[str, Any]]:
    """Points without end, uniform over the floats of the domain."""
    rng = np.random.default_rng(seed)
    while True:
        table = np.array([ordinals(rng, 256, fmt, domain.get(name)) for name in names])
        yield from (dict(zip(names, point, strict=True)) for point in from_ordinal(table, fmt).T)


TRIES = 100


def ends_of(names: Sequence[str], domain: Domain) -> Iterator[dict[str, Any]]:
    """The corners of a domain in which every argument has a range, or a list of values; infinite ends are of it."""
    if all(name in domain for name in names):
        for corner in itertools.product(*(dict.fromkeys(domain[name]) for name in names)):
            yield dict(zip(names, corner, strict=True))


def judged(term: Term, names: Sequence[str], n: int, fmt: FloatFormat, points: Iterable[Mapping[str, Any]]) -> Sample:
    """The first `n` of some points where a term's true value is a number that the format holds."""
    kept: list[tuple] = []
    for point in points:
        if len(kept) == n:
            break
        found = true_value(term, {name: np.float64(x) for name, x in point.items()}, fmt)
        if found is not None and np.all(np.isfinite(found[0])):
            kept.append((*point.values(), *found))
    columns = list(zip(*kept, strict=True)) or [()] * (len(names) + 2)
    arrays = [np.array(c, fmt.dtype) for c in columns[:-1]]
    if any(a.ndim > 1 for a in arrays):
        arrays = [a if a.ndim > 1 else a[:, None] for a in arrays]
    return Sample(dict(zip(names, arrays, strict=False)), arrays[-1], np.array(columns[-1], np.int64))


MODERATE = 14
"""The numbers that most programs compute with lie between `2**-MODERATE` and `2**MODERATE` in size."""


def moderate(names: Sequence[str], fmt: FloatFormat, domain: Domain, seed: int) -> Iterator[dict[str, Any]]:
    """Points without end of moderate numbers of the domain, where it has such: uniform over the floats of a sign."""
    rng, size = np.random.default_rng([seed, 1]), 2.0**MODERATE
    while True:
        table = []
        for name in names:
            ends = domain.get(name, (-fmt.max, fmt.max))
            parts: list[tuple[float, float] | list[float]] = [ends]
            if isinstance(ends, tuple):
                sides = [(-size, -1 / size), (1 / size, size)]
                inside = [(max(a, ends[0]), min(b, ends[1])) for a, b in sides]
                parts = [(a, b) for a, b in inside if a <= b] or parts
            choices = np.array([ordinals(rng, 256, fmt, part) for part in parts])
            table.append(np.take_along_axis(choices, rng.integers(0, len(parts), (1, 256)), 0)[0])
        yield from (dict(zip(names, point, strict=True)) for point in from_ordinal(np.array(table), fmt).T)


def beside(points: Sample, each: int, fmt: FloatFormat, domain: Domain, seed: int) -> Iterator[dict[str, Any]]:
    """Points around those of a sample, within an eighth of a binade, inside of the domain."""
    rng, reach = np.random.default_rng([seed, 2]), 1 << (fmt.precision - 4)
    for _ in range(each):
        for i in range(len(points)):
            point = {}
            for name, column in points.columns.items():
                ends, x = domain.get(name), column[i]
                if not isinstance(ends, list):
                    low, high = (-fmt.max, fmt.max) if ends is None else ends
                    near = int(to_ordinal(x)) + int(rng.integers(-reach, reach))
                    x = from_ordinal(np.array(np.clip(near, _ordinal(low, fmt), _ordinal(high, fmt))), fmt)[()]
                point[name] = x
            yield point


class Reals:
    """The values of terms over the reals at the points of a sample, each term once."""

    def __init__(self, points: Sample):
        self._points = points
        levels = sorted(set(points.precisions.tolist()))
        self._groups = [(int(p * SPARE), np.flatnonzero(points.precisions == p)) for p in levels]
        self._known: dict[Term, np.ndarray] = {}

    def of(self, term: Term) -> np.ndarray:
        """An object array of `Scalar`, one a point."""
        return folded(term, self._step, self._known)

    def _step(self, t: Term, args: list[np.ndarray]) -> np.ndarray:
        out: np.ndarray | None = None
        for precision, index in self._groups:
            with flint.ctx.workprec(precision):
                values = self._values(t, index, [a[index] for a in args])
            if out is None:
                out = np.empty((len(self._points), *values.shape[1:]), object)
            out[index] = values
        return np.empty(0, object) if out is None else out

    def _values(self, t: Term, index: np.ndarray, args: list[np.ndarray]) -> np.ndarray:
        if t.op == "var":
            x = self._points.columns[str(t.leaf)][index].astype(np.float64)
            return array([real(v) for v in x.ravel().tolist()], x.shape)
        if not t.args:
            value = CONSTANTS[t.op][1]() if t.leaf is None else exactly(t.leaf)  # type: ignore[arg-type]
            shape = (len(index), *(1,) * (self._points.truth.ndim - 1))
            return array([value] * len(index), shape)
        return over_reals(t.op, *args)


class Known(NamedTuple):
    """What is known of a term at the points of a sample.

    **Attributes:** `values` rounded to the format, NaN where there is none; `sign` of -1, 0, 1, or 2 where it is not
    known.
    """

    values: np.ndarray
    sign: np.ndarray


def known(values: np.ndarray, fmt: FloatFormat) -> Known:
    """Of real numbers, as `Reals` has them."""
    floats, sign = np.full(values.shape, np.nan), np.full(values.shape, 2, np.int8)
    for i, x in np.ndenumerate(values):
        ball = flat(x)
        if ball is not None and infinite(ball):
            sign[i] = 1 if ball > 0 else -1
            floats[i] = sign[i] * np.inf
        if ball is None or not ball.is_finite():
            continue
        sign[i] = 1 if ball > 0 else -1 if ball < 0 else 0 if ball == 0 else 2
        if sign[i] != 2 and (ball.is_exact() or ball.rel_accuracy_bits() > fmt.precision + 4):
            floats[i] = _float(ball, int(sign[i]))
    with np.errstate(all="ignore"):
        return Known(floats.astype(fmt.dtype), sign)


def _float(ball: arb, sign: int) -> float:
    if abs(ball) > arb(2) ** 1024:
        return float("inf") * int(sign)
    return float(ball.mid())


def bits_of_error(results: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """`log2(1 + n)`, where `n` is how many floats a result is from the true one; the two zeros are one float. Of NaN
    it is the width of the format; of a row, the most of any element. It is 0 where the true value is NaN: not known."""
    results, truth = np.broadcast_arrays(np.asarray(results, np.asarray(truth).dtype), truth)
    results, truth = np.ascontiguousarray(results), np.ascontiguousarray(truth)
    a, b = bits_of(results), bits_of(truth)
    width = 8 * truth.dtype.itemsize
    mask = a.dtype.type(2 ** (width - 1) - 1)
    m, n = (a & mask).astype(np.int64), (b & mask).astype(np.int64)
    apart = (a ^ b) > mask
    far = np.where(apart, m.astype(np.float64) + n.astype(np.float64), np.abs(m - n).astype(np.float64))
    bits = np.where(np.isnan(results), float(width), np.log2(1 + far))
    bits = np.where(np.isnan(truth.astype(np.float64)), 0, bits)
    return bits if bits.ndim == 1 else bits.max(axis=-1)
