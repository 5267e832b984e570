"""Jaxprs over the reals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flint import arb
from jax.extend.core import ClosedJaxpr, Jaxpr

from stability.real import _bits as bits
from stability.real import arrays
from stability.real.arrays import as_array, bare, is_real
from stability.real.function import Complex, as_unproven, guessed, is_unproven, parts
from stability.real.recognition import meant, of_values
from stability.real.records import Elementwise, Folds, Picks, moves, record_of
from stability.real.values import (
    ENDLESS,
    LITERAL_ZERO,
    MOST_TURNS,
    UNDECIDED,
    ZERO,
    Undecided,
    Undefined,
    array,
    chosen,
    real,
)
from stability.real.walk import CONTROL, Semantics, inlined, walk


class UnsupportedPrimitive(NotImplementedError):
    """A primitive that has no meaning over the reals; `primitive` is its name, `source` the user's line.

    ```python
    import jax
    import jax.numpy as jnp
    import numpy as np
    from stability import UnsupportedPrimitive, true_value

    def called_back(x):
        return jax.pure_callback(np.sin, jax.ShapeDtypeStruct((), x.dtype), x)

    try:
        true_value(called_back, jnp.float32(1), strict=True)
    except UnsupportedPrimitive as error:
        assert error.primitive == "pure_callback"
    ```
    """

    def __init__(self, primitive: str, source: str):
        super().__init__(f"no rule for the primitive {primitive}, used at {source or 'an unknown line'}")
        self.primitive, self.source = primitive, source


def lift(x, dtype, literal: bool = False):
    """A float array as exact reals; integers and truth values as they are."""
    if jnp.issubdtype(dtype, jax.dtypes.prng_key):
        return bits.held(x)
    x = np.asarray(x)
    if jnp.issubdtype(dtype, np.complexfloating):
        parts = (as_array(lift(part, part.dtype)) for part in (x.real, x.imag))
        return bare(array(list(map(Complex, *(p.ravel() for p in parts))), x.shape))
    if not jnp.issubdtype(dtype, np.floating):
        return bare(x)
    flat = x.astype(dtype).astype(np.float64).ravel()
    return bare(array([LITERAL_ZERO if literal and v == 0 and not np.signbit(v) else real(v) for v in flat], x.shape))


def is_inexact(aval) -> bool:
    """Whether numbers are held as real ones, or pairs of such."""
    return jnp.issubdtype(aval.dtype, np.inexact)


SUMS = ("reduce_sum", "cumsum", "dot_general", "scatter-add", "reduce_window_sum")


def added(x):
    """A sum of numbers: one of nothing but chosen zeros is computed, and an ordinary zero."""
    if isinstance(x, Complex):
        return Complex(added(x.re), added(x.im))
    return arb(0) if x is ZERO else x


class Reals(Semantics):
    """Floats are real numbers (`Scalar`, or object arrays of them), or power series; integers and truth values are
    native, unless some element is undecided."""

    opens = staticmethod(inlined)
    reads = staticmethod(meant)

    def __init__(self, strict: bool = False):
        self.strict = strict
        self.guesses = False
        self.derived = False

    def literal(self, value, aval):
        return lift(value, aval.dtype, literal=True)

    def constant(self, value, aval):
        return lift(value, aval.dtype)

    def equation(self, eqn, values, source):
        out = meaning(eqn, values, source) if has_meaning(eqn) or not self.strict else None
        if out is None or (self.strict and not all(map(is_proven, out))):
            raise UnsupportedPrimitive(eqn.primitive.name, source)
        return list(map(arrays.elementwise(added), out)) if self.adds_values(eqn) else out

    def adds_values(self, eqn) -> bool:
        """Whether an equation is a sum of floats over an array in the program of the values."""
        of_floats = eqn.primitive.name in SUMS and is_inexact(eqn.outvars[0].aval)
        return of_floats and not self.derived and of_values(eqn)

    def enter(self, eqn, inner, values, inside):
        before, self.derived = self.derived, self.derived or not of_values(eqn)
        out = inside()
        self.derived = before
        return out

    def follow(self, eqn, inside, as_one):
        before, self.guesses = self.guesses, False
        try:
            out = self.enter(eqn, None, (), inside)
            return list(map(arrays.elementwise(as_unproven), out)) if self.guesses else out
        except Undecided as e:
            return [bits.filled(v.aval, e.value) for v in eqn.outvars]
        finally:
            self.guesses = before

    def decided(self, value, what):
        flag = bare(value)
        self.guesses |= any(map(is_unproven, as_array(flag).ravel()))
        flag = arrays.elementwise(guessed)(flag)
        if isinstance(flag, np.ndarray):
            return any(not isinstance(v, Undefined) and bool(v) for v in flag.ravel())
        if isinstance(flag, Undefined):
            raise Undecided(flag, what)
        return int(flag)

    def turned(self, turns):
        if turns > MOST_TURNS:
            raise Undecided(ENDLESS, "end of a while loop")

    def picked(self, values):
        return [arrays.elementwise(chosen)(x) for x in values]

    def row(self, value, i):
        return bare(as_array(value)[i])

    def stacked(self, rows, aval):
        if not rows:
            return np.empty(aval.shape, object if is_inexact(aval) else aval.dtype)
        return np.stack([as_array(x) for x in rows])


class Letter(Reals):
    """As `Reals`, functions of libraries by their equations, one by one."""

    reads = staticmethod(Semantics.reads)


def has_meaning(eqn) -> bool:
    """Whether an equation is of no reals, or one over them."""
    known = record_of(eqn.primitive) is not None and eqn.primitive.name not in bits.UNPROVEN
    return known or not any(is_inexact(v.aval) for v in (*eqn.invars, *eqn.outvars))


def is_proven(output: Any) -> bool:
    """Whether nothing of an output was computed in wider floats."""
    found = as_array(output)
    return found.dtype != object or not any(is_unproven(part) for v in found.ravel() for part in parts(v))


def run(jaxpr: Jaxpr | ClosedJaxpr, args: Sequence[Any], strict: bool = False) -> list:
    """The outputs of a jaxpr on real arguments.

    **Raises:** `UnsupportedPrimitive` for a primitive without a meaning, where it is `strict`.
    """
    return walk(jaxpr, args, Reals(strict))


def meaning(eqn, values: Sequence[Any], source: str = "", semantics: Semantics | None = None) -> list:
    """The outputs of an equation over the reals.

    **Raises:** `Undecided` where a branch hangs on wide balls.
    """
    inner, semantics = inlined(eqn), semantics or Reals()
    if inner is not None:
        return walk(inner, values, semantics, source)
    if eqn.primitive.name in CONTROL:
        return CONTROL[eqn.primitive.name](eqn, values, semantics)
    record = record_of(eqn.primitive)
    real_inputs, own = any(is_real(v) for v in values), eqn.primitive.name in bits.RULES
    if not (own or real_inputs or any(is_inexact(v.aval) for v in eqn.outvars)):
        return bits.executed(eqn, values)
    if not own and of_integers(eqn):
        return undecided_integers(eqn, values)
    if record is None:
        return bits.unproven(eqn, values)
    return [native(x, v.aval) for x, v in zip(record.reals(eqn, values), eqn.outvars, strict=True)]


def of_integers(eqn) -> bool:
    """Whether an equation is of integers: of no reals, and not of truth values, with integers at most to select by."""
    avals = [v.aval for v in (*eqn.invars[eqn.primitive.name == "select_n" :], *eqn.outvars)]
    return not any(map(is_inexact, avals)) and any(a.dtype != bool for a in avals)


def undecided_integers(eqn, values: Sequence[Any]) -> list:
    """An equation of integers some of which are not known: one that picks or moves may do without them, and what else
    hangs on none of those is as JAX has it."""
    shapes = [v.aval.shape for v in eqn.outvars]
    record = record_of(eqn.primitive)
    if moves(record, eqn) or isinstance(record, Picks):
        return record.reals(eqn, values)
    if isinstance(record, Elementwise):
        return bits.integers(eqn, values)
    if isinstance(record, Folds):
        return bits.folded(eqn, values)
    return [bare(array([UNDECIDED] * math.prod(s), s)) for s in shapes]


def native(x, aval):
    """An output of integers or truth values natively again where every element is known; floats as they are."""
    return x if is_inexact(aval) else as_native(x, aval.dtype)


def as_native(x, dtype):
    """Integers or truth values held as objects as an array of `dtype`, unless some are undecided."""
    flat = as_array(x)
    if flat.dtype == object and any(isinstance(v, Undefined) for v in flat.ravel()):
        return x
    return bits.keys(flat) if jnp.issubdtype(dtype, jax.dtypes.prng_key) else bare(flat.astype(dtype))
