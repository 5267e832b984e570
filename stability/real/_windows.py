"""The rules of scatters, windows and convolutions: index maps, and folds of the elements that they name."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jax.lax import GatherScatterMode

from stability.real import arrays, scalars, steps
from stability.real.arrays import as_array, bare, elementwise
from stability.real.values import INFINITY, MINUS_INFINITY, UNDECIDED, ZERO, Undefined, array, chosen

HOLE = -1
"""The index of what is no element: padding, or what lies between elements that were spread apart."""


def within(jaxpr, *values) -> list:
    """The outputs of an inner jaxpr on real arguments."""
    from stability.real.reals import run

    return [bare(v) for v in run(jaxpr, values)]


def targets(eqn, operand: np.ndarray, indices: np.ndarray, updates: np.ndarray) -> np.ndarray:
    """For every element of the updates, where in the flat operand a scatter puts it; `HOLE` where it drops it."""
    numbers, clipped = eqn.params["dimension_numbers"], eqn.params["mode"] == GatherScatterMode.CLIP
    shape, grid = operand.shape, np.indices(updates.shape)
    window_dims = numbers.update_window_dims
    lead = [grid[d] for d in range(updates.ndim) if d not in window_dims]
    moving = [d for d in range(len(shape)) if d not in (*numbers.inserted_window_dims, *numbers.operand_batching_dims)]
    sizes = [1] * len(shape)
    offset = [np.zeros(updates.shape, np.int64) for _ in shape]
    for d, w in zip(moving, window_dims, strict=True):
        sizes[d], offset[d] = updates.shape[w], grid[w]
    start = [np.zeros(updates.shape, np.int64) for _ in shape]
    for k, d in enumerate(numbers.scatter_dims_to_operand_dims):
        start[d] = indices[(*lead, k)].astype(np.int64)
        if clipped:
            start[d] = np.clip(start[d], 0, shape[d] - sizes[d])
    for d, k in zip(numbers.operand_batching_dims, numbers.scatter_indices_batching_dims, strict=True):
        start[d] = lead[k]
    flat, inside = np.zeros(updates.shape, np.int64), np.ones(updates.shape, bool)
    for d, n in enumerate(shape):
        inside &= (start[d] >= 0) & (start[d] + sizes[d] <= n)
        flat = flat * n + start[d] + offset[d]
    return np.where(inside, flat, HOLE).ravel()


SCATTERS: dict[str, Callable] = {
    "scatter-add": scalars.add,
    "scatter-sub": scalars.sub,
    "scatter-mul": scalars.mul,
    "scatter-min": steps.minimum,
    "scatter-max": steps.maximum,
}
"""What a scatter does with an element and an update."""


def scatter(eqn, values) -> list:
    jaxpr = eqn.params["update_jaxpr"]
    operand, indices, updates = map(as_array, values)
    out = operand.astype(object)
    if indices.dtype == object:
        return [elementwise(lambda _: UNDECIDED)(bare(out))]
    consts = eqn.params["update_consts"]
    rule = SCATTERS.get(eqn.primitive.name) or (lambda x, y: within(jaxpr, *consts, x, y)[0])
    flat = out.ravel()
    for value, j in zip(updates.ravel(), targets(eqn, operand, indices, updates).tolist(), strict=True):
        if j != HOLE:
            flat[j] = rule(flat[j], value)
    return [elementwise(chosen)(bare(out))]


def places(n: int, window: int, stride: int, padding: tuple[int, int], base: int, dilation: int) -> np.ndarray:
    """Of one dimension: `[output, position in the window]` to the index of the element there, or `HOLE`."""
    spread = max(0, (n - 1) * base + 1) + sum(padding)
    reach = (window - 1) * dilation + 1
    count = 0 if spread < reach else (spread - reach) // stride + 1
    at = np.arange(count)[:, None] * stride + np.arange(window)[None, :] * dilation - padding[0]
    return np.where((at >= 0) & (at % base == 0) & (at // base < n), at // base, HOLE)


def windows(shape: Sequence[int], maps: Sequence[np.ndarray]) -> tuple[tuple[int, ...], np.ndarray]:
    """The shape of the outputs, and for each of them (flat) the flat indices of the elements of its window."""
    k = len(shape)
    flat, hole = np.zeros((1,) * (2 * k), np.int64), np.zeros((1,) * (2 * k), bool)
    for d, (n, where) in enumerate(zip(shape, maps, strict=True)):
        where = where.reshape([where.shape[i // k] if i % k == d else 1 for i in range(2 * k)])
        flat, hole = flat * n + where, hole | (where == HOLE)
    count = tuple(m.shape[0] for m in maps)
    full = np.broadcast_to(np.where(hole, HOLE, flat), (*count, *(m.shape[1] for m in maps)))
    return count, full.reshape(math.prod(count), math.prod(m.shape[1] for m in maps))


def windows_of(eqn, shape: Sequence[int]) -> tuple[tuple[int, ...], np.ndarray]:
    p, ones = eqn.params, (1,) * len(shape)
    maps = map(
        places,
        shape,
        p["window_dimensions"],
        p["window_strides"],
        p["padding"],
        p.get("base_dilation") or ones,
        p.get("window_dilation") or ones,
    )
    return windows(shape, list(maps))


def window_fold(rule: Callable, start: Any) -> Callable:
    """A reduction of windows; what is outside the array does not matter, and a window of nothing gives `start`."""

    def apply(eqn, values) -> list:
        x = as_array(values[0])
        shape, rows = windows_of(eqn, x.shape)
        flat = x.ravel()
        parts = [[flat[j] for j in row if j != HOLE] for row in rows]
        return [bare(array([functools.reduce(rule, p) if p else start for p in parts], shape))]

    return apply


def reduce_window(eqn, values) -> list:
    """By the equation's own computation, what is outside the array being the initial value."""
    jaxpr, half = eqn.params["jaxpr"], len(values) // 2
    operands, starts = [as_array(v) for v in values[:half]], [bare(v) for v in values[half:]]
    shape, rows = windows_of(eqn, operands[0].shape)
    out = [_fold_within(jaxpr, eqn.params["consts"], operands, starts, row) for row in rows]
    return [bare(array([o[k] for o in out], shape)) for k in range(half)]


def reduce_(eqn, values) -> list:
    """A reduction over `dimensions` by the equation's own computation."""
    half, axes = len(values) // 2, eqn.params["dimensions"]
    operands = [arrays.last(as_array(v), axes) for v in values[:half]]
    starts, shape = [bare(v) for v in values[half:]], operands[0].shape
    rows = np.arange(math.prod(shape)).reshape(math.prod(shape[:-1]), shape[-1])
    out = [_fold_within(eqn.params["jaxpr"], eqn.params.get("consts", ()), operands, starts, row) for row in rows]
    return [bare(array([o[k] for o in out], shape[:-1])) for k in range(half)]


def _fold_within(jaxpr, consts, operands: list, starts: list, row) -> list:
    flat, total = [x.ravel() for x in operands], list(starts)
    for j in row:
        total = within(jaxpr, *consts, *total, *([x[j] for x in flat] if j != HOLE else starts))
    return total


def picked(row: Sequence[int], flat, holds: Callable) -> list[int]:
    """Of the elements of a window, the one that a selection keeps, the first of equals; all where that is open."""
    best, *rest = [j for j in row if j != HOLE] or [HOLE]
    for j in rest:
        keep = holds(flat[best], flat[j])
        if isinstance(keep, Undefined):
            return [best, *rest]
        best = best if keep else j
    return [best]


def select_and_scatter_add(eqn, values) -> list:
    source, operand = map(as_array, values)
    holds = steps.COMPARISONS[eqn.params["select_prim"].name]
    _, rows = windows_of(eqn, operand.shape)
    flat, out = operand.ravel(), array([ZERO] * operand.size, operand.shape)
    total = out.ravel()
    for value, row in zip(source.ravel(), rows, strict=True):
        found = picked(row, flat, holds)
        for j in found:
            if j != HOLE:
                total[j] = scalars.add(total[j], value if len(found) == 1 else UNDECIDED)
    return [bare(out)]


def select_and_gather_add(eqn, values) -> list:
    tangents, operand = map(as_array, values)
    holds = steps.COMPARISONS[eqn.params["select_prim"].name]
    shape, rows = windows_of(eqn, operand.shape)
    flat, of = operand.ravel(), tangents.ravel()
    found = [picked(row, flat, holds) for row in rows]
    return [bare(array([UNDECIDED if len(f) > 1 else ZERO if f == [HOLE] else of[f[0]] for f in found], shape))]


def select_and_scatter(eqn, values) -> list:
    """The general form: which element is selected, and what is done to it, are computations of the equation's own."""
    p = eqn.params
    operand, source, start = as_array(values[0]), as_array(values[1]), bare(values[2])
    _, rows = windows_of(eqn, operand.shape)
    flat, out = operand.ravel(), array([start] * operand.size, operand.shape)
    total = out.ravel()
    for value, row in zip(source.ravel(), rows, strict=True):
        found = picked(row, flat, lambda x, y: within(p["select_jaxpr"], *p["select_consts"], x, y)[0])
        for j in found:
            if j != HOLE:
                merged = within(p["scatter_jaxpr"], *p["scatter_consts"], value, total[j])[0]
                total[j] = merged if len(found) == 1 else UNDECIDED
    return [bare(out)]


def conv_general_dilated(eqn, values) -> list:
    p = eqn.params
    numbers = p["dimension_numbers"]
    lhs, rhs = as_array(values[0]).transpose(numbers.lhs_spec), as_array(values[1]).transpose(numbers.rhs_spec)
    batch, features, channels = lhs.shape[0], rhs.shape[0], rhs.shape[1]
    parts, groups = p["batch_group_count"], p["feature_group_count"]
    spatial, kernel = lhs.shape[2:], rhs.shape[2:]
    maps = map(places, spatial, kernel, p["window_strides"], p["padding"], p["lhs_dilation"], p["rhs_dilation"])
    shape, rows = windows(spatial, list(maps))
    x = lhs.reshape(batch, lhs.shape[1], math.prod(spatial))
    k = rhs.reshape(features, channels, math.prod(kernel))
    out = np.empty((batch // parts, features, len(rows)), object)
    for n, o, s in np.ndindex(out.shape):
        image = x[o // (features // parts) * (batch // parts) + n]
        first = o // (features // groups) * channels if groups > 1 else 0
        terms = (
            scalars.mul(image[first + c, j], k[o, c, w])
            for c in range(channels)
            for w, j in enumerate(rows[s])
            if j != HOLE
        )
        out[n, o, s] = functools.reduce(scalars.add, terms, ZERO)
    back = np.argsort(numbers.out_spec)
    return [out.reshape(batch // parts, features, *shape).transpose(back)]


RULES: dict[str, Callable[[Any, Sequence[Any]], list]] = {
    **dict.fromkeys(SCATTERS, scatter),
    "reduce_window_sum": window_fold(scalars.add, ZERO),
    "reduce_window_max": window_fold(steps.maximum, MINUS_INFINITY),
    "reduce_window_min": window_fold(steps.minimum, INFINITY),
    "reduce_window": reduce_window,
    "reduce": reduce_,
    "select_and_scatter_add": select_and_scatter_add,
    "select_and_gather_add": select_and_gather_add,
    "select_and_scatter": select_and_scatter,
    "conv_general_dilated": conv_general_dilated,
}
"""By primitive: a rule takes an equation and its values and gives its outputs."""
