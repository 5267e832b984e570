"""What an element of an array is measured by: the absolute values of the terms that it was added from.

A sum over elements of an array is rounded in units of its terms, however much of them cancels, and no program avoids
that. So beside each real number `v` stands the size `s` of the terms that roundings of such sums come from: 0 for what
was not added, and then

    s(Σ t) = Σ (|t| + s(t)),    s(f(x, y)) = |∂f/∂x| s(x) + |∂f/∂y| s(y).

In a sum of products `x_j y_j`, as matrix products and convolutions are made of, the errors of the factors are those of
different numbers: they add as independent ones do, or all of one sign, and not each at its worst. Otherwise every layer
of a network would multiply the sizes by the square root of its width, and nothing behind it could be called wrong:

    s(Σ x y) = Σ |x y| + min(√(Σ s(x)² y² + x² s(y)²) + |Σ s(x) y| + |Σ x s(y)|, Σ s(x) |y| + |x| s(y)).

A sum of two numbers that is written as one, as in `exp(x) - 1`, is no sum over an array: it adds nothing to `s`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import flint
import jax
import numpy as np
from flint import arb
from jax.extend.core import ClosedJaxpr

from stability.real import _arithmetic as plain
from stability.real import arrays, scalars
from stability.real._near import flat
from stability.real.arrays import as_array, bare
from stability.real.complexes import im, is_complex, magnitude, re
from stability.real.function import Complex, guessed
from stability.real.reals import Reals, is_inexact, lift, meaning
from stability.real.records import moves, record_of
from stability.real.values import Undecided, Undefined, is_number
from stability.real.walk import Semantics, dtype_of, walk

PRECISION = 256
NUDGE = arb(2) ** -64
"""The part of the terms by which an argument is moved to see what that does to a result."""

SUMS = ("reduce_sum", "cumsum", "scatter-add")
PRODUCTS = ("dot_general", "conv_general_dilated")
"""Sums of products of elements of two arrays."""

CHOICES = ("select_n", "reduce_max", "reduce_min", "cummax", "cummin")


class Sized(NamedTuple):
    """Real numbers and the sizes of their terms, arrays of one shape (or bare scalars)."""

    value: Any
    terms: Any


def _value(x):
    return x.value if isinstance(x, Sized) else x


def _terms(x):
    return x.terms if isinstance(x, Sized) else arrays.elementwise(lambda _: arb(0))(x)


def _known(s) -> arb:
    """A size, 0 where what it is a size of is not known."""
    return arb(0) if isinstance(s := guessed(s), Undefined) else s


def _is_finite(v) -> bool:
    return all(is_number(part) and flat(part).is_finite() for part in (re(v), im(v)))


def _size(v, s) -> arb:
    """`|v| + s` of a number that is finite, else `s`."""
    return magnitude(v) + s if _is_finite(v) else s


def _moved(along: complex) -> Callable:
    def move(v, s):
        if s == 0 or not _is_finite(v):
            return v
        x, y = (plain.add(part, arb(step) * NUDGE * s) for part, step in ((re(v), along.real), (im(v), along.imag)))
        return Complex(x, y) if isinstance(v, Complex) else x

    return move


def _difference(moved, v) -> arb:
    if moved is v or not (_is_finite(moved) and _is_finite(v)):
        return arb(0)
    return magnitude(scalars.sub(moved, v)) / NUDGE


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
        found = super().picked([_value(v) for v in values])
        return [Sized(x, v.terms) if isinstance(v, Sized) else x for x, v in zip(found, values, strict=True)]

    def equation(self, eqn, values, source):
        given = [_value(x) for x in values]
        out = meaning(eqn, given, source)
        terms = [arrays.elementwise(_known)(t) for t in _sizes(eqn, values, given, out, source)]
        return [Sized(o, t) if is_inexact(v.aval) else o for o, t, v in zip(out, terms, eqn.outvars, strict=True)]


def _sizes(eqn, values: Sequence[Any], given: list, out: list, source: str) -> list:
    name, reals = eqn.primitive.name, [is_inexact(v.aval) for v in eqn.invars]
    if name == "fft":
        return [_transformed(eqn, arrays.elementwise(_size)(given[0], _terms(values[0])))]
    if name in SUMS:
        sizes = [
            arrays.elementwise(_size)(p, _terms(x)) if r else p for x, p, r in zip(values, given, reals, strict=True)
        ]
        return meaning(eqn, sizes, source)
    if name in PRODUCTS:
        return [_of_products(eqn, given, [_terms(x) for x in values], source)]
    if moves(record_of(eqn.primitive), eqn) or name in CHOICES:
        return meaning(eqn, [_terms(x) if r else p for x, p, r in zip(values, given, reals, strict=True)], source)
    terms = [arrays.elementwise(lambda _: arb(0))(o) for o in out]
    for i, x in enumerate(values):
        if isinstance(x, Sized) and any(s != 0 for s in as_array(x.terms).ravel()):
            ways = [_slopes(eqn, i, along, x.terms, given, out, source) for along in _directions(eqn, i)]
            for k, v in enumerate(eqn.outvars):
                by = functools.reduce(_together(v.aval), [way[k] for way in ways])
                terms[k] = arrays.elementwise(scalars.add)(terms[k], by)
    return terms


def _of_products(eqn, given: Sequence[Any], terms: Sequence[Any], source: str) -> Any:
    """The sizes of sums of products of two factors."""

    def products(f: Callable, g: Callable, i: int) -> Any:
        x = arrays.elementwise(f)(terms[0] if i == 0 else given[0])
        y = arrays.elementwise(g)(terms[1] if i == 1 else given[1])
        return meaning(eqn, [x, y], source)[0]

    def size(own: arb, x: arb, y: arb, along_x: Any, along_y: Any, worst_x: arb, worst_y: arb) -> arb:
        likely = (x + y).sqrt() + _known_size(along_x) + _known_size(along_y)
        return own + (likely if likely < worst_x + worst_y else worst_x + worst_y)

    def square(v: Any) -> arb:
        return _known_size(v) ** 2

    def same(v: Any) -> Any:
        return v if _is_finite(v) else arb(0)

    own = products(_known_size, _known_size, 2)
    spread = [products(square, square, i) for i in (0, 1)]
    along = [products(same, same, i) for i in (0, 1)]
    worst = [products(_known_size, _known_size, i) for i in (0, 1)]
    return arrays.elementwise(size)(own, *spread, *along, *worst)


def _known_size(v) -> arb:
    return arb(magnitude(v).mid()) if _is_finite(v) else arb(0)


def _directions(eqn, i: int) -> tuple[complex, ...]:
    return (1, 1j) if is_complex(eqn.invars[i].aval) else (1,)


def _slopes(eqn, i: int, along: complex, terms, given: list, out: list, source: str) -> list:
    """How much each output moves where an argument moves by its terms in a direction."""
    moved = [arrays.elementwise(_moved(along))(p, terms) if i == j else p for j, p in enumerate(given)]
    return [arrays.elementwise(_difference)(m, o) for m, o in zip(meaning(eqn, moved, source), out, strict=True)]


def _together(aval) -> Callable:
    """The most that any direction does: of an analytic function that is the same in all, of a real one the gradient."""
    if is_complex(aval):
        return arrays.elementwise(lambda x, y: x if x > y else y)
    return arrays.elementwise(lambda x, y: arb((x * x + y * y).sqrt().mid()))


def _transformed(eqn, sizes: np.ndarray) -> np.ndarray:
    """Of a Fourier transform: every element is added from all along its axes, those of half a spectrum twice."""
    kind, lengths, shape = eqn.params["fft_type"].name, eqn.params["fft_lengths"], eqn.outvars[0].aval.shape
    total = sizes.sum(tuple(range(-len(lengths), 0)), keepdims=True)
    scale = arb(2 if kind == "IRFFT" else 1) / (math.prod(lengths) if kind in ("IFFT", "IRFFT") else 1)
    return np.broadcast_to(total * scale, shape)


def sizes_of_terms(jaxpr: ClosedJaxpr, leaves: Sequence[Any]) -> list[np.ndarray] | None:
    """For each output of a jaxpr, for each of its elements the size of the terms that it was added from.

    **Returns:** float64 arrays of shape `(n,)`, 0 where nothing was added; `None` where a branch stays undecided.
    """
    args = [lift(x, dtype_of(v)) for x, v in zip(leaves, jaxpr.jaxpr.invars, strict=True)]
    with flint.ctx.workprec(PRECISION), jax.enable_x64(True):
        try:
            out = walk(jaxpr, args, Sizes())
        except Undecided:
            return None
        return [np.array([float(s) for s in as_array(bare(_terms(x))).ravel()], np.float64) for x in out]
