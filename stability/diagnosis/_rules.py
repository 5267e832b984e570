"""What a number was computed from, and the real function of that: element by element, a sum, or a whole equation."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from flint import arb

from stability.diagnosis._program import Execution, Held
from stability.real import arrays, logic, reals, scalars
from stability.real.arrays import as_array, bare
from stability.real.function import Complex, guessed
from stability.real.records import Elementwise, Folds, record_of
from stability.real.values import ONE, UNDECIDED, ZERO, Undecided, Undefined, array, real
from stability.real.wider import in_wider, widened

MANY = 64
"""Terms of a sum, or numbers that a result hangs on, up to which each is looked at."""

LONG = 4096
"""Numbers that go into a sum up to which it is added in balls."""

WHOLE = 512
"""Numbers that go into an equation up to which it is evaluated over the reals, where it is none of single elements."""


class Reading(Protocol):
    """Where what is computed once about an equation is kept."""

    def once(self, execution: Execution, what: str, compute: Callable[[], Any]) -> Any: ...


def as_number(x: Any) -> Any:
    """An integer or a truth value as a real number; real ones as they are."""
    return logic.from_integer(x) if isinstance(x, int | np.generic) else x


def as_real(x):
    """A float as a real number; infinities as limits, NaN as undefined; integers and truth values as they are."""
    if isinstance(x, complex):
        return settled(Complex(real(x.real), real(x.imag)))
    return real(x) if isinstance(x, float) else x


def settled(x: Any) -> Any:
    """A number as what follows goes on with it: an estimate as it is, a complex one without a part has no value."""
    if not isinstance(x, Complex):
        return guessed(x)
    re, im = settled(x.re), settled(x.im)
    return next((part for part in (re, im) if isinstance(part, Undefined)), Complex(re, im))


def plain(x) -> Any:
    """An element of an array of floats or complex numbers as one of Python's, of another one as it is."""
    if jnp.issubdtype(x.dtype, np.complexfloating):
        return complex(x)
    return float(x) if jnp.issubdtype(x.dtype, np.floating) else x


Element = tuple[Held, int]


class Terms:
    """The rule of a sum, or of a dot product: the numbers that are added, or the factors of each.

    **Arguments:** `factors` the arrays of the terms, or of both factors of each, and where in them these stand.
    """

    def __init__(self, factors: Sequence[tuple[Held, np.ndarray]]):
        self.factors = factors
        self.width = len(factors)

    @property
    def known(self) -> bool:
        return all(h.exact for h, _ in self.factors)

    def __call__(self, *numbers: Any) -> Any:
        values = list(map(as_number, numbers))
        terms = values if self.width == 1 else map(scalars.mul, values[::2], values[1::2])
        return functools.reduce(scalars.add, terms, ZERO)

    def every(self) -> list[Element]:
        return self._elements(range(len(self.factors[0][1])))

    def _elements(self, places: Sequence[int]) -> list[Element]:
        return [(h, int(at[t])) for t in places for h, at in self.factors]

    @functools.cached_property
    def _products(self) -> tuple[np.ndarray, np.ndarray]:
        """The terms as the floats have them and as wider ones do, in wider floats."""
        with np.errstate(all="ignore"):
            got: Any = [np.asarray(h.flat[at], _wide_of(h)) for h, at in self.factors]
            true: Any = [np.asarray(h.flat_wide[at], _wide_of(h)) for h, at in self.factors]
            return math.prod(got), math.prod(true)

    def shown(self) -> list[Element]:
        """The numbers that matter: of many those that are not finite, and those of the terms that are most off or
        largest."""
        n = len(self.factors[0][1])
        if n * self.width <= MANY:
            return self.every()
        got, true = self._products
        with np.errstate(all="ignore"):
            off = np.where(np.isfinite(got) & np.isfinite(true), np.abs(got - true), -1.0)
            size = np.where(np.isfinite(true), np.abs(true), -1.0)
        chosen = [*np.flatnonzero(~np.isfinite(got))[:8], *_largest(off, 12), *_largest(size, 4)]
        return self._elements(sorted({int(t) for t in chosen}))

    def slope(self, i: int, values: Sequence[Any]) -> Any:
        """What number `i` of those shown is multiplied by."""
        return ONE if self.width == 1 else as_number(values[i ^ 1])

    def exact(self) -> Any:
        """The sum of the floats: of very many, by exact summation in float64, where the products are exact there."""
        got, _ = self._products
        narrow = all(h.fmt is not None and h.fmt.bits < 64 for h, _ in self.factors) or self.width == 1
        if len(got) * self.width > LONG and got.dtype == np.float64 and narrow and np.isfinite(got).all():
            return _summed(got.tolist())
        columns = [[as_real(plain(x)) for x in h.flat[at]] for h, at in self.factors]
        return self(*(x for term in zip(*columns, strict=True) for x in term))

    def magnification(self) -> float:
        """How many times larger the terms together are than the sum."""
        _, true = self._products
        with np.errstate(all="ignore"):
            finite = true[np.isfinite(true)]
            return float(np.max(np.abs(finite), initial=0.0) / np.abs(np.sum(finite)))


def _summed(terms: list[float]) -> arb:
    """The sum of floats to three float64, each the sum correctly rounded of what those before it leave."""
    parts: list[float] = []
    for _ in range(3):
        parts.append(math.fsum([*terms, *(-p for p in parts)]))
    return functools.reduce(scalars.add, map(arb, parts[1:]), arb(parts[0])) + arb(0, abs(parts[2]) * 2.0**-53)


def _wide_of(held: Held) -> type:
    return np.complex128 if np.iscomplexobj(held.flat) else np.float64


def _largest(x: np.ndarray, n: int) -> np.ndarray:
    return np.argsort(-x, kind="stable")[:n] if len(x) <= n else np.argpartition(-x, n)[:n]


class Whole:
    """The rule of an equation that is none of single elements: all its numbers go in."""

    def __init__(self, execution: Execution, k: int, j: int, reading: Reading):
        self.execution, self.k, self.j, self.reading = execution, k, j, reading

    def __call__(self, *elements: Any) -> Any:
        return self._of(outputs_of(self.execution, elements))

    def _of(self, outputs: list[np.ndarray] | None) -> Any:
        return UNDECIDED if outputs is None else outputs[self.k][self.j]

    def true(self, elements: Sequence[Any]) -> Any:
        return self._of(self.reading.once(self.execution, "true", lambda: outputs_of(self.execution, elements)))

    def exact(self) -> Any:
        def compute() -> list[np.ndarray] | None:
            return outputs_of(self.execution, [as_real(plain(x)) for h in self.execution.inputs for x in h.flat])

        return self._of(self.reading.once(self.execution, "exact", compute))


def outputs_of(execution: Execution, elements: Sequence[Any]) -> list[np.ndarray] | None:
    """The outputs of an equation over the reals, flat, from all the numbers that go in."""
    eqn, at, values = execution.eqn, 0, []
    for h, v in zip(execution.inputs, eqn.invars, strict=True):
        n = math.prod(h.floats.shape)
        part = array(elements[at : at + n], h.floats.shape)
        values.append(bare(part) if reals.is_inexact(v.aval) else reals.as_native(part, v.aval.dtype))
        at += n
    try:
        return [as_array(x).ravel() for x in reals.meaning(eqn, values, execution.source, reals.Letter())]
    except Undecided:
        return None


class Slopes:
    """The rule of an element of a large equation, linear about the wider floats: those numbers that it hangs on, and
    how much it moves with each."""

    def __init__(self, execution: Execution, k: int, j: int, reading: Reading, slopes: Sequence[float]):
        self.execution, self.k, self.j, self.reading, self.slopes = execution, k, j, reading, slopes

    def __call__(self, *elements: Any) -> Any:
        return UNDECIDED

    def slope(self, i: int, values: Sequence[Any]) -> Any:
        return arb(self.slopes[i])

    def exact(self) -> Any:
        """What wider floats make of the floats."""

        def compute() -> list[np.ndarray]:
            with jax.enable_x64(True):
                floats = [widened(jnp.asarray(h.floats)) for h in self.execution.inputs]
                return [np.asarray(x).ravel() for x in in_wider(self.execution.eqn, floats)]

        return as_real(plain(self.reading.once(self.execution, "wider", compute)[self.k][self.j]))


def slopes_of(execution: Execution, k: int, j: int, reading: Reading) -> tuple[Slopes, list[Element]]:
    """The rule of one element of a large equation, by one pass back through the equation in wider floats."""
    inexact = [i for i, h in enumerate(execution.inputs) if reals.is_inexact(h.floats)]
    if not inexact:
        return Slopes(execution, k, j, reading, []), []

    def element(*floats):
        values = [h.wide for h in execution.inputs]
        for i, x in zip(inexact, floats, strict=True):
            values[i] = x
        return jnp.ravel(in_wider(execution.eqn, values)[k])[j]

    with jax.enable_x64(True):
        at = [jnp.nan_to_num(execution.inputs[i].wide, nan=1.0, posinf=1.0, neginf=1.0) for i in inexact]
        try:
            value, back = jax.vjp(element, *at)
            slopes = [np.asarray(s).ravel() for s in back(jnp.ones_like(value))]
        except (TypeError, ValueError, NotImplementedError):
            slopes = [np.ones(math.prod(x.shape)) for x in at]
    found: list[tuple[float, Element]] = []
    for i, s in zip(inexact, slopes, strict=True):
        h = execution.inputs[i]
        with np.errstate(all="ignore"):
            off = np.abs(s) * np.abs(h.flat - h.flat_wide)
            ranked = np.where(s == 0, -1.0, np.where(np.isfinite(off), off, np.inf))
            size = np.where(s == 0, -1.0, np.abs(s * np.nan_to_num(h.flat_wide)))
        places = {int(t) for t in (*_largest(ranked, 12), *_largest(size, 4)) if s[t] != 0}
        found.extend((float(np.real(s[t])), (h, t)) for t in sorted(places))
    return Slopes(execution, k, j, reading, [s for s, _ in found]), [e for _, e in found]


def provenance(execution: Execution, k: int, j: int, reading: Reading) -> tuple[Callable, list[Element]]:
    """What an element of an output was computed from, and the real function of that."""
    eqn, inputs = execution.eqn, execution.inputs
    record, out = record_of(eqn.primitive), eqn.outvars[k].aval
    real_numbers = (
        any(reals.is_inexact(v.aval) for v in (*eqn.invars, *eqn.outvars)) or eqn.outvars[0].aval.dtype == bool
    )
    if eqn.primitive.name == "dot_general" and reals.is_inexact(out):
        left, right, columns = reading.once(execution, "factors", lambda: _factors(execution))
        row, column = divmod(j, columns)
        return Terms([(inputs[0], left[row]), (inputs[1], right[row // (len(left) // len(right)), column])]), []
    if isinstance(record, Elementwise) and real_numbers:
        return record.of(eqn), [(h, _broadcast(j, out.shape, h.floats.shape)) for h in inputs]
    if isinstance(record, Folds) and real_numbers and math.prod(inputs[0].floats.shape):
        row = reading.once(execution, "rows", lambda: _rows(execution))[j]
        if eqn.primitive.name == "reduce_sum" and reals.is_inexact(out):
            return Terms([(inputs[0], row)]), []
        if len(row) <= WHOLE:
            step = record.step
            return lambda *values: functools.reduce(step, values), [(inputs[0], int(i)) for i in row]
    if sum(math.prod(h.floats.shape) for h in inputs) > WHOLE:
        return slopes_of(execution, k, j, reading)
    return Whole(execution, k, j, reading), [(h, i) for h in inputs for i in range(math.prod(h.floats.shape))]


def _broadcast(j: int, shape: Sequence[int], given: Sequence[int]) -> int:
    """Where an element of a result stands, flat, in an argument of another shape that is broadcast to its own."""
    if tuple(given) == tuple(shape):
        return j
    place = np.unravel_index(j, shape)[len(shape) - len(given) :]
    return (
        int(np.ravel_multi_index([i if n > 1 else 0 for i, n in zip(place, given, strict=True)], given)) if given else 0
    )


def _indices(held: Held) -> np.ndarray:
    shape = held.floats.shape
    return np.arange(math.prod(shape)).reshape(shape)


def _factors(execution: Execution) -> tuple[np.ndarray, np.ndarray, int]:
    """Of a dot product: where the left factors of each row stand, `[batch * row, term]`, the right ones, `[batch,
    column, term]`, and how many columns there are."""
    x, y = map(_indices, execution.inputs)
    left, right = arrays.sides(x, y, execution.eqn.params["dimension_numbers"])
    return left.reshape(-1, left.shape[-1]), right, right.shape[1]


def _rows(execution: Execution) -> np.ndarray:
    """Of a fold: where the numbers of each element stand, `[element, number]`."""
    rows = arrays.last(_indices(execution.inputs[0]), execution.eqn.params["axes"])
    return rows.reshape(-1, rows.shape[-1])
