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

import jax
import jax.numpy as jnp
import numpy as np

from stability.real import _scalars as scalars
from stability.real._values import (
    INFINITY,
    MINUS_INFINITY,
    ONE,
    UNDECIDED,
    ZERO,
    Undecided,
    Undefined,
    array,
    chosen,
    real,
)

DATA: dict[str, tuple[int, ...] | None] = {
    "broadcast_in_dim": (0,),
    "concatenate": None,
    "dynamic_slice": (0,),
    "dynamic_update_slice": (0, 1),
    "expand_dims": (0,),
    "gather": (0,),
    "pad": None,
    "reshape": (0,),
    "rev": (0,),
    "scatter": (0, 2),
    "slice": (0,),
    "split": (0,),
    "squeeze": (0,),
    "stack": None,
    "tile": (0,),
    "transpose": (0,),
    "unstack": (0,),
}
"""The primitives that move elements, and which of their arguments hold those elements (`None`: all)."""


def as_array(x) -> np.ndarray:
    """A value as an array: object elements for reals, native ones for integers and truth values."""
    return x if isinstance(x, np.ndarray) else array([x], ())


def bare(x):
    """An array of shape () as its element; other arrays as they are."""
    return x[()] if isinstance(x, np.ndarray) and x.shape == () else x


def is_real(x) -> bool:
    """Whether a value is held as real numbers (or truth values that may be undecided), not natively."""
    return x.dtype == object if isinstance(x, np.ndarray) else not isinstance(x, int | float | np.generic)


def elementwise(rule: Callable) -> Callable:
    def apply(*values):
        if not any(isinstance(v, np.ndarray) and v.shape for v in values):
            return rule(*map(bare, values))
        return np.frompyfunc(rule, len(values), 1)(*values)

    return apply


def move(eqn, values: Sequence[Any]) -> list:
    """The result of a primitive that moves elements."""
    where = DATA[eqn.primitive.name]
    positions = range(len(values)) if where is None else where
    arrays = [as_array(values[i]) for i in positions]
    pool = np.concatenate([a.astype(object).ravel() for a in arrays])
    offsets = [0, *itertools.accumulate(a.size for a in arrays)]
    indexed = list(values)
    for i, a, start in zip(positions, arrays, offsets, strict=False):
        indexed[i] = jnp.asarray(np.arange(start, start + a.size, dtype=np.int32).reshape(a.shape))
    params = dict(eqn.params)
    fill: Any = Undefined("nan")
    if "fill_value" in params:
        value = params["fill_value"]
        fill = fill if value is None or value != value else real(value)
        params["fill_value"] = -1
    out = eqn.primitive.bind(*(bare(v) for v in indexed), **params)
    pool = np.append(np.frompyfunc(chosen, 1, 1)(pool), [None])
    pool[-1] = fill
    return [bare(pool[np.asarray(o)]) for o in (out if eqn.primitive.multiple_results else [out])]


def last(x: np.ndarray, axes: Sequence[int]) -> np.ndarray:
    """The reduced axes moved to the end and flattened to one."""
    kept = [a for a in range(x.ndim) if a not in axes]
    x = x.transpose([*kept, *axes])
    return x.reshape([*x.shape[: len(kept)], -1])


def fold(rule: Callable, start: Any) -> Callable:
    """A reduction over `axes`; an empty one gives `start`."""

    def apply(x, axes, **_):
        rows = last(as_array(x), axes)
        out = [functools.reduce(rule, row) if len(row) else start for row in rows.reshape(-1, rows.shape[-1])]
        return bare(array(out, rows.shape[:-1]))

    return apply


def cumulative(rule: Callable) -> Callable:
    def apply(x, axis, reverse):
        rows = np.moveaxis(as_array(x), axis, -1)
        out = rows.copy()
        for index in np.ndindex(rows.shape[:-1]):
            row = list(rows[index])[:: -1 if reverse else 1]
            out[index] = array(list(itertools.accumulate(row, rule)), (len(row),))[:: -1 if reverse else 1]
        return np.moveaxis(out, -1, axis)

    return apply


def arg_extreme(better: Callable) -> Callable:
    def best(row) -> int | Undefined:
        found = 0
        for i in range(1, len(row)):
            verdict = better(row[i], row[found])
            if isinstance(verdict, Undefined):
                return verdict
            found = i if verdict else found
        return found

    def apply(x, axes, index_dtype):
        rows = last(as_array(x), axes)
        out = [best(row) for row in rows.reshape(-1, rows.shape[-1])]
        return bare(array(out, rows.shape[:-1]))

    return apply


def dot_general(x, y, dimension_numbers, **_):
    (cx, cy), (bx, by) = dimension_numbers
    x, y = as_array(x), as_array(y)
    fx = [a for a in range(x.ndim) if a not in (*cx, *bx)]
    fy = [a for a in range(y.ndim) if a not in (*cy, *by)]
    batch = [x.shape[a] for a in bx]
    shape = (*batch, *(x.shape[a] for a in fx), *(y.shape[a] for a in fy))
    n, k = math.prod(batch), math.prod(x.shape[a] for a in cx)
    left = x.transpose([*bx, *fx, *cx]).reshape(n, math.prod(x.shape[a] for a in fx), k)
    right = y.transpose([*by, *fy, *cy]).reshape(n, math.prod(y.shape[a] for a in fy), k)
    out = [
        functools.reduce(scalars.add, map(scalars.mul, u, v), ZERO)
        for a, b in zip(left, right, strict=True)
        for u in a
        for v in b
    ]
    return bare(array(out, shape))


def sort(*operands, dimension, num_keys, is_stable=True):
    """Stable, by the first `num_keys` operands in lexicographic order."""

    def before(i: int, j: int) -> int:
        for row in rows[:num_keys]:
            less, more = scalars.COMPARISONS["lt"](row[i], row[j]), scalars.COMPARISONS["gt"](row[i], row[j])
            if less is UNDECIDED or isinstance(less, Undefined) or isinstance(more, Undefined):
                raise Undecided("the order of a sort")
            if less or more:
                return -1 if less else 1
        return 0

    moved = [np.moveaxis(as_array(x), dimension, -1) for x in operands]
    out = [m.copy() for m in moved]
    for index in np.ndindex(moved[0].shape[:-1]):
        rows = [m[index] for m in moved]
        order = sorted(range(len(rows[0])), key=functools.cmp_to_key(before))
        for o, row in zip(out, rows, strict=True):
            o[index] = row[order]
    return [np.moveaxis(o, -1, dimension) for o in out]


def scatter_add(eqn, operand, indices, updates):
    """Every update, added where the primitive itself puts it: JAX tells where by scattering a 1 for each of them."""
    dtype, shape = eqn.outvars[0].aval.dtype, as_array(updates).shape
    zeros, size = jnp.zeros(eqn.outvars[0].aval.shape, dtype), as_array(updates).size
    marks = jnp.eye(size, dtype=dtype).reshape(size, *shape)
    targets = jax.vmap(lambda mark: eqn.primitive.bind(zeros, indices, mark, **eqn.params))(marks)
    out = as_array(operand).ravel().copy()
    for value, target in zip(as_array(updates).ravel(), np.asarray(targets).reshape(size, -1), strict=True):
        for j in np.flatnonzero(target):
            out[j] = scalars.add(out[j], value)
    return bare(array([chosen(v) for v in out], zeros.shape))


FOLDED: dict[str, Callable] = {
    "reduce_sum": scalars.add,
    "reduce_prod": scalars.mul,
    "reduce_max": scalars.maximum,
    "reduce_min": scalars.minimum,
    "reduce_and": scalars.logical_and,
    "reduce_or": scalars.logical_or,
}
"""Reductions over `axes`, by the function of two elements that they repeat."""

EMPTY = {"reduce_sum": ZERO, "reduce_prod": ONE, "reduce_max": MINUS_INFINITY, "reduce_min": INFINITY}

FOLDS: dict[str, Callable] = {
    **{name: fold(rule, EMPTY.get(name, name == "reduce_and")) for name, rule in FOLDED.items()},
    "cumsum": cumulative(scalars.add),
    "cumprod": cumulative(scalars.mul),
    "cummax": cumulative(scalars.maximum),
    "cummin": cumulative(scalars.minimum),
    "cumlogsumexp": cumulative(scalars.log_add_exp),
    "argmax": arg_extreme(scalars.COMPARISONS["gt"]),
    "argmin": arg_extreme(scalars.COMPARISONS["lt"]),
    "dot_general": dot_general,
    "sort": sort,
}
"""Rules that take whole arrays and the equation's parameters."""
