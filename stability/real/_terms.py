"""What an element of an array is measured by: the absolute values of the terms that it was added from.

A sum over elements of an array is rounded in units of its terms, however much of them cancels, and no program avoids
that. So beside each real number `v` stands the size `s` of the terms that roundings of such sums come from: 0 for what
was not added, and then

    s(Σ t) = Σ (|t| + s(t)),    s(f(x, y)) = |∂f/∂x| s(x) + |∂f/∂y| s(y).

A sum of two numbers that is written as one, as in `exp(x) - 1`, is no sum over an array: it adds nothing to `s`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import flint
import jax
import numpy as np
from flint import arb
from jax.extend.core import ClosedJaxpr

from stability.real import _arrays as arrays
from stability.real import _scalars as scalars
from stability.real._arrays import as_array, bare
from stability.real._near import flat
from stability.real._reals import Reals, lift, meaning
from stability.real._records import moves, record_of
from stability.real._values import Undecided, is_number
from stability.real._walk import Semantics, is_float, walk

PRECISION = 256
NUDGE = arb(2) ** -64
"""The part of the terms by which an argument is moved to see what that does to a result."""

SUMS = ("reduce_sum", "cumsum", "dot_general", "scatter-add")
CHOICES = ("select_n", "reduce_max", "reduce_min", "cummax", "cummin")


class Sized(NamedTuple):
    """Real numbers and the sizes of their terms, arrays of one shape (or bare scalars)."""

    value: Any
    terms: Any


def _value(x):
    return x.value if isinstance(x, Sized) else x


def _terms(x):
    return x.terms if isinstance(x, Sized) else arrays.elementwise(lambda _: arb(0))(x)


def _size(v, s) -> arb:
    """`|v| + s` of a number that is finite, else `s`."""
    return arb(abs(flat(v)).mid()) + s if is_number(v) and flat(v).is_finite() else s


def _moved(v, s):
    return v + NUDGE * s if is_number(v) and s != 0 else v


def _difference(moved, v) -> arb:
    if moved is v or not (is_number(moved) and is_number(v)):
        return arb(0)
    difference = flat(moved - v)
    return arb(abs(difference).mid()) / NUDGE if difference.is_finite() else arb(0)


class Sizes(Reals):
    """Real numbers with the sizes of their terms."""

    follow = Semantics.follow

    def row(self, value, i):
        if not isinstance(value, Sized):
            return super().row(value, i)
        return Sized(super().row(value.value, i), super().row(value.terms, i))

    def stacked(self, rows, aval):
        if not any(isinstance(r, Sized) for r in rows):
            return super().stacked(rows, aval)
        return Sized(super().stacked([_value(r) for r in rows], aval), super().stacked([_terms(r) for r in rows], aval))

    def picked(self, values):
        return [Sized(super().picked([v.value])[0], v.terms) if isinstance(v, Sized) else v for v in values]

    def equation(self, eqn, values, source):
        plain = [_value(x) for x in values]
        out = meaning(eqn, plain, source)
        terms = _sizes(eqn, values, plain, out, source)
        return [Sized(o, t) if is_float(v.aval) else o for o, t, v in zip(out, terms, eqn.outvars, strict=True)]


def _sizes(eqn, values: Sequence[Any], plain: list, out: list, source: str) -> list:
    name, reals = eqn.primitive.name, [is_float(v.aval) for v in eqn.invars]
    if name in SUMS:
        sizes = [
            arrays.elementwise(_size)(p, _terms(x)) if r else p for x, p, r in zip(values, plain, reals, strict=True)
        ]
        return meaning(eqn, sizes, source)
    if moves(record_of(eqn.primitive), eqn) or name in CHOICES:
        return meaning(eqn, [_terms(x) if r else p for x, p, r in zip(values, plain, reals, strict=True)], source)
    terms = [arrays.elementwise(lambda _: arb(0))(o) for o in out]
    for i, x in enumerate(values):
        if isinstance(x, Sized) and any(s != 0 for s in as_array(x.terms).ravel()):
            moved = [arrays.elementwise(_moved)(p, x.terms) if i == j else p for j, p in enumerate(plain)]
            by = (arrays.elementwise(_difference)(m, o) for m, o in zip(meaning(eqn, moved, source), out, strict=True))
            terms = [arrays.elementwise(scalars.add)(t, d) for t, d in zip(terms, by, strict=True)]
    return terms


def sizes_of_terms(jaxpr: ClosedJaxpr, leaves: Sequence[Any]) -> list[np.ndarray] | None:
    """For each output of a jaxpr, for each of its elements the size of the terms that it was added from.

    **Returns:** float64 arrays of shape `(n,)`, 0 where nothing was added; `None` where a branch stays undecided.
    """
    args = [lift(x, v.aval.dtype) for x, v in zip(leaves, jaxpr.jaxpr.invars, strict=True)]
    with flint.ctx.workprec(PRECISION), jax.enable_x64(True):
        try:
            out = walk(jaxpr, args, Sizes())
        except Undecided:
            return None
        return [np.array([float(s) for s in as_array(bare(_terms(x))).ravel()], np.float64) for x in out]
