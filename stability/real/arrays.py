"""The rules of arrays: what moves elements, what folds them, dot products and sorting.

A primitive that only moves elements is applied, as JAX has it, to the *indices* of the elements; so gather, pad,
slice and the rest are exact in one line each. Folds go element by element through the elementwise rules.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from flint import arb

from stability.real import scalars
from stability.real.function import is_unproven
from stability.real.values import UNDECIDED, Undefined, array, chosen, is_nan, real

CHOOSING = ("pad", "gather", "scatter", "dynamic_slice", "dynamic_update_slice")
"""Primitives that pick elements by a condition or an index; others only lay them out."""


def as_array(x) -> np.ndarray:
    """A value as an array: object elements for reals, native ones for integers and truth values."""
    return x if isinstance(x, np.ndarray) else array([x], ())


def bare(x):
    """An array of shape () as its element; other arrays as they are."""
    return x[()] if isinstance(x, np.ndarray) and x.shape == () else x


def is_real(x) -> bool:
    """Whether a value is held as real numbers (or truth values that may be undecided), not natively."""
    return x.dtype == object if isinstance(x, np.ndarray) else not isinstance(x, int | float | np.generic)


def is_undecided(x) -> bool:
    """Whether integers or truth values are held as objects, since some of them are not known."""
    return isinstance(x, Undefined) or (isinstance(x, np.ndarray) and x.dtype == object)


def elementwise(rule: Callable) -> Callable:
    def apply(*values):
        if not any(isinstance(v, np.ndarray) and v.shape for v in values):
            return rule(*map(bare, values))
        return np.frompyfunc(rule, len(values), 1)(*values)

    return apply


def bound(eqn, args: Sequence[Any]) -> list:
    """The outputs of an equation on arrays, as JAX has it."""
    out = eqn.primitive.bind(*args, **eqn.primitive.get_bind_params(eqn.params))
    return list(out) if eqn.primitive.multiple_results else [out]


def move(eqn, data: Sequence[int] | None, values: Sequence[Any]) -> list:
    """The result of a primitive that moves elements; `data` the positions of the arguments that hold them."""
    positions = range(len(values)) if data is None else data
    arrays = [as_array(values[i]) for i in positions]
    open_at = [i for i, v in enumerate(values) if i not in positions and is_undecided(v)]
    if open_at and eqn.primitive.name not in ("gather", "dynamic_slice"):
        return [bare(array([UNDECIDED] * v.aval.size, v.aval.shape)) for v in eqn.outvars]
    pool = np.concatenate([a.astype(object).ravel() for a in arrays])
    pool = np.append(np.frompyfunc(chosen, 1, 1)(pool) if eqn.primitive.name in CHOOSING else pool, [None])
    fill = eqn.params.get("fill_value")
    pool[-1] = Undefined("nan") if fill is None or fill != fill else real(fill)
    if open_at:
        ends = [moved_indices(eqn, data, _at_end(eqn, values, open_at, end))[0] for end in (_least, _greatest)]
        return [bare(_wherever(ends, pool))]
    return [bare(pool[o]) for o in moved_indices(eqn, data, values)]


def moved_indices(eqn, data: Sequence[int] | None, values: Sequence[Any]) -> list[np.ndarray]:
    """Where a primitive that moves elements takes them from: indices into its data, flat and one after the other; -1
    for what it fills in."""
    indexed, start = list(values), 0
    for i in range(len(values)) if data is None else data:
        shape = np.shape(values[i])
        size = math.prod(shape)
        indexed[i] = jnp.asarray(np.arange(start, start + size, dtype=np.int32).reshape(shape))
        start += size
    params = dict(eqn.params)
    if "fill_value" in params:
        params["fill_value"] = -1
    out = eqn.primitive.bind(*map(bare, indexed), **params)
    return [np.asarray(o) for o in (out if eqn.primitive.multiple_results else [out])]


def _least(dtype) -> int:
    return 0


def _greatest(dtype) -> int:
    return int(jnp.iinfo(dtype).max)


def _at_end(eqn, values: Sequence[Any], open_at: Sequence[int], end: Callable[[Any], int]) -> list:
    """The arguments with an end of their range in place of the indices that are not known."""
    out = list(values)
    for i in open_at:
        whole, dtype = as_array(values[i]), eqn.invars[i].aval.dtype
        known = [end(dtype) if isinstance(v, Undefined) else int(v) for v in whole.ravel()]
        out[i] = np.array(known, dtype).reshape(whole.shape)
    return out


def _wherever(places: Sequence[np.ndarray], pool: np.ndarray) -> np.ndarray:
    """What is picked where some of the indices are not known: undecided, unless the least index and the greatest, of
    which one comes to either end of what can be picked, pick the same place."""
    least, greatest = places
    out = [pool[a] if a == b else UNDECIDED for a, b in zip(least.ravel(), greatest.ravel(), strict=True)]
    return array(out, least.shape)


def last(x: np.ndarray, axes: Sequence[int]) -> np.ndarray:
    """The reduced axes moved to the end and flattened to one."""
    kept = [a for a in range(x.ndim) if a not in axes]
    x = x.transpose([*kept, *axes])
    return x.reshape([*x.shape[: len(kept)], -1])


def cumulative(rule: Callable) -> Callable:
    def apply(x, axis, reverse):
        rows = np.moveaxis(as_array(x), axis, -1)
        out = rows.copy()
        for index in np.ndindex(rows.shape[:-1]):
            row = list(rows[index])[:: -1 if reverse else 1]
            out[index] = array(list(itertools.accumulate(row, rule)), (len(row),))[:: -1 if reverse else 1]
        return np.moveaxis(out, -1, axis)

    return apply


def arg_extreme(better: Callable, top: bool) -> Callable:
    """The first place of an extreme element; `top` the extreme truth value, after which no other matters. What has no
    value is more extreme than any number, as NaN is."""

    def best(row) -> int | Undefined:
        found = 0
        for i in range(1, len(row)):
            if is_nan(row[found]) or (isinstance(row[found], bool | np.bool_) and row[found] == top):
                return found
            if is_nan(row[i]):
                found = i
                continue
            verdict = better(row[i], row[found])
            if isinstance(verdict, Undefined):
                return UNDECIDED if is_unproven(verdict) else verdict
            found = i if verdict else found
        return found

    def apply(x, axes, index_dtype):
        rows = last(as_array(x), axes)
        out = [best(row) for row in rows.reshape(-1, rows.shape[-1])]
        return bare(array(out, rows.shape[:-1]))

    return apply


def sides(x: np.ndarray, y: np.ndarray, dimension_numbers) -> tuple[np.ndarray, np.ndarray]:
    """The factors of a `dot_general`, `[batch, row, term]` of the left and `[batch, column, term]` of the right."""
    (cx, cy), (bx, by) = dimension_numbers
    fx = [a for a in range(x.ndim) if a not in (*cx, *bx)]
    fy = [a for a in range(y.ndim) if a not in (*cy, *by)]
    n, k = math.prod(x.shape[a] for a in bx), math.prod(x.shape[a] for a in cx)
    left = x.transpose([*bx, *fx, *cx]).reshape(n, math.prod(x.shape[a] for a in fx), k)
    return left, y.transpose([*by, *fy, *cy]).reshape(n, math.prod(y.shape[a] for a in fy), k)


def dot_general(x, y, dimension_numbers, **_):
    x, y = as_array(x), as_array(y)
    (cx, cy), (bx, by) = dimension_numbers
    free = [[n for a, n in enumerate(z.shape) if a not in (*c, *b)] for z, c, b in ((x, cx, bx), (y, cy, by))]
    left, right = sides(x, y, dimension_numbers)
    rows = [(u, v) for a, b in zip(left, right, strict=True) for u in a for v in b]
    out = [functools.reduce(scalars.add, map(scalars.mul, u, v)) if len(u) else arb(0) for u, v in rows]
    return bare(array(out, (*(x.shape[a] for a in bx), *free[0], *free[1])))
