"""Arrays with the axes of a reduction last, as one."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable

from jax import Array

Axis = int | tuple[int, ...] | None


def rows_last(x: Array, axis: Axis) -> tuple[Array, Callable[..., Array]]:
    """`x` of shape `(*batch, n)`, and what makes a result of it.

    **Returns:** the array, and `restore(y, keepdims=True)`, which gives `y` of that shape the shape of `x`, and `y` of
    shape `(*batch, 1)` that of `x` with 1 along the axes, or without the axes.

    **Raises:** `ValueError` for an axis that is not there, or is named twice.
    """
    ndim = x.ndim
    axes = tuple(range(ndim)) if axis is None else axis if isinstance(axis, tuple) else (operator.index(axis),)
    if any(not -ndim <= a < ndim for a in axes) or len({a % ndim for a in axes}) < len(axes):
        raise ValueError(f"axis {axis} does not name axes of an array of shape {x.shape}")
    axes = tuple(a % ndim for a in axes)
    batch = tuple(k for k in range(ndim) if k not in axes)
    order = (*batch, *axes)
    batch_shape = tuple(x.shape[k] for k in batch)
    rows = x.transpose(order).reshape(*batch_shape, math.prod(x.shape[k] for k in axes))

    def restore(y: Array, keepdims: bool = True) -> Array:
        if not keepdims:
            return y.reshape(batch_shape)
        kept = (1,) * len(axes) if y.shape[-1] != rows.shape[-1] else tuple(x.shape[k] for k in axes)
        return y.reshape(*batch_shape, *kept).transpose(*(order.index(k) for k in range(ndim)))

    return rows, restore
