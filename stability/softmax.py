"""Softmax cross-entropy whose gradient keeps its digits, for one-hot, soft and integer labels.

For logits `z_1 ... z_n`, `p_k = e^{z_k} / Σ_j e^{z_j}` and labels `y`, the loss is `L = -Σ_k y_k log p_k` and

    dL/dz_k = p_k Σ_j y_j - y_k = p_k Σ_{j≠k} y_j - y_k q_k,    q_k = 1 - p_k = Σ_{j≠k} p_j.

The first form is the textbook's and cancels where the label's class is the likely one, exactly as `a - y` does for two
classes. The second has no difference of nearly equal numbers for one-hot labels, scaled ones included. What it needs
is `q_k` to full precision: with `m = max z`, `e_k = e^{z_k - m}` and `c` classes at the maximum,

    W = (c - 1) + Σ_{z_j < m} e_j,    p_k = e_k / (1 + W),    q_k = W / (1 + W) at the maximum,
    L = Σ_k y_k (m - z_k) + log1p(W) Σ_k y_k.

`W` is never a difference, so a loss of `1e-30` is `1e-30` where `logsumexp(z) - z_k` is 0.

**Arithmetic.** Sums, exponentials and the division are float64 for every input format, inside the functions alone:
`jax_enable_x64` stays as the caller has it. What follows them is float32 (float64 for float64 logits). There the
likely class has `q = (1 - p) + κ`, with `κ = q - (1 - p)` taken once a row in float64: the first difference is exact
wherever `p` is at least 1/2, and `κ` restores what rounding `p` lost. For the other classes `|κ| <= 2^-25` is at most
half an ulp of a `q >= 1/2`. So the error for one-hot labels is below 1.75 ulps of float32 wherever the gradient is
normal: `p_k` is rounded once; `q_k` costs a quarter of an ulp for `p_k`, a half each for `1 - p`, `κ` and their sum.
For float64 it is a few ulps, and more below about `1e-292`, where exponentials that are flushed have a share in it.

**Subnormals.** XLA on CPU flushes them: a gradient under `2^-126` is returned as 0 in float32 and bfloat16.

Every function is differentiable any number of times, forward and in reverse, with respect to logits and labels.
"""

from __future__ import annotations

import functools
import math
import operator
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.custom_derivatives import SymbolicZero
from jax.typing import ArrayLike

Axis = int | tuple[int, ...] | None

_UNROLLED = 16
"""Up to so many classes are added up one by one: XLA's reductions over so short an axis take several times as long."""


_ENDLESS = 1e300
"""A distance that stands for an infinite one: 0 times it is 0, and any other narrower float times it is `inf`."""


def _over_classes(combine, reduction, x: Array) -> Array:
    n = x.shape[-1]
    if n > _UNROLLED:
        return reduction(x, axis=-1, keepdims=True)
    return functools.reduce(combine, [x[..., k : k + 1] for k in range(n)])


_total = functools.partial(_over_classes, jnp.add, jnp.sum)
_greatest = functools.partial(_over_classes, jnp.maximum, jnp.max)


def _wide(x: Array) -> Array:
    return lax.convert_element_type(x, jnp.float64)


def _exponentials(z: Array) -> tuple[Array, Array, Array]:
    """`z - m`, `e^(z - m)` and `W` in float64 for logits of shape `(..., n)`; the last is `(..., 1)`.

    The difference is exact to `2**-40` for the narrower formats. For float64 what its rounding left out is restored.
    """
    m = _greatest(z)
    d = _wide(z) - _wide(m)
    e = jnp.exp(d)
    if z.dtype == jnp.float64:
        t = d - z
        rest = (z - (d - t)) - (m + t)
        e = e * (1 + jnp.where(jnp.isfinite(rest), rest, 0.0))
    below = _total(e * jnp.sign(-d))
    return d, e, below + jnp.round(_total(e) - below - 1)


def _narrow(x: Array, like: Array) -> Array:
    return x.astype(jnp.float64 if like.dtype == jnp.float64 else jnp.float32)


def _shifted_mean(z: Array, p: Array, v: Array) -> tuple[Array, Array]:
    """`w = v - v_a`, `a` the likeliest class, and `Σ_j p_j w_j`, in which `p_a` close to 1 has no part."""
    likeliest = jnp.argmax(z, axis=-1, keepdims=True)
    w = v.astype(p.dtype) - jnp.take_along_axis(v, likeliest, axis=-1).astype(p.dtype)
    return w, jnp.sum(p * w, axis=-1, keepdims=True)


@jax.custom_jvp
def _probabilities(z: Array) -> tuple[Array, Array]:
    """`p` and `q = 1 - p`, both to full precision, for logits of shape `(..., n)`."""
    with jax.enable_x64(True):
        _, e, W = _exponentials(z)
        scale = 1 / (1 + W)
        p = _narrow(e * scale, z)
        # The maximum changes nothing, but without it XLA takes the rounding of `scale` away as needless.
        rounded = jnp.maximum(_narrow(scale, z), 0)
        kappa = _narrow(W * scale - (1 - _wide(rounded)), z)
    return p, (1 - p) + kappa


@_probabilities.defjvp
def _probabilities_jvp(primals, tangents):
    """`dp_k = p_k (v_k - Σ_j p_j v_j)`, which is the same for `v` less a constant."""
    (z,), (v,) = primals, tangents
    p, q = _probabilities(z)
    w, mean = _shifted_mean(z, p, v)
    dp = p * (w - mean)
    return (p, q), (dp, -dp)


@jax.custom_jvp
def _surprisal(z: Array) -> Array:
    """`-log p_k` for logits of shape `(..., n)`."""
    with jax.enable_x64(True):
        d, _, W = _exponentials(z)
        return _narrow(jnp.log1p(W) - d, z)


@_surprisal.defjvp
def _surprisal_jvp(primals, tangents):
    (z,), (v,) = primals, tangents
    w, mean = _shifted_mean(z, _probabilities(z)[0], v)
    return _surprisal(z), mean - w


def _gradient(z: Array, y: Array) -> Array:
    p, q = _probabilities(z)
    return (_total(y) - y) * p - y * q


def _gradient_at(z: Array, label: Array) -> Array:
    p, q = _probabilities(z)
    of_label = lax.broadcasted_iota(label.dtype, z.shape, z.ndim - 1) == label[..., None]
    return jnp.where(_inside(z, label)[..., None], jnp.where(of_label, -q, p), jnp.nan)


def _inside(z: Array, label: Array) -> Array:
    return (label >= 0) & (label < z.shape[-1])


@jax.custom_jvp
def _loss(z: Array, y: Array) -> Array:
    """`L` for logits of shape `(..., n)` and labels of the same shape, float32 or float64."""
    with jax.enable_x64(True):
        d, _, W = _exponentials(z)
        y64 = _wide(y)
        finite = jnp.where(y == 0, 0.0, -d) if z.dtype == jnp.float64 else jnp.minimum(-d, _ENDLESS)
        return _narrow(_total(y64 * finite) + _total(y64) * jnp.log1p(W), z)[..., 0]


def _loss_jvp(primals, tangents):
    (z, y), (dz, dy) = primals, tangents
    out = _loss(z, y)
    total = jnp.zeros_like(out)
    if not isinstance(dz, SymbolicZero):
        total += jnp.sum(_gradient(z, y) * dz.astype(out.dtype), axis=-1)
    if not isinstance(dy, SymbolicZero):
        total += jnp.sum(_surprisal(z) * dy, axis=-1)
    return out, total


_loss.defjvp(_loss_jvp, symbolic_zeros=True)


@jax.custom_jvp
def _loss_at(z: Array, label: Array) -> Array:
    """`L` for logits of shape `(..., n)` and classes of shape `(...)`."""
    of_label = jnp.take_along_axis(z, label[..., None], axis=-1, mode="clip")
    with jax.enable_x64(True):
        W = _exponentials(z)[2]
        m = _wide(_greatest(z))
        loss = _narrow(jnp.log1p(W) + (m - _wide(of_label)), z)[..., 0]
    return jnp.where(_inside(z, label), loss, jnp.nan)


def _loss_at_jvp(primals, tangents):
    (z, label), (dz, _) = primals, tangents
    out = _loss_at(z, label)
    if isinstance(dz, SymbolicZero):
        return out, jnp.zeros_like(out)
    return out, jnp.sum(_gradient_at(z, label) * dz.astype(out.dtype), axis=-1)


_loss_at.defjvp(_loss_at_jvp, symbolic_zeros=True)


class _Layout(NamedTuple):
    """Where the classes are in an array of `shape`."""

    shape: tuple[int, ...]
    axes: tuple[int, ...]

    @property
    def batch(self) -> tuple[int, ...]:
        return tuple(k for k in range(len(self.shape)) if k not in self.axes)

    @property
    def batch_shape(self) -> tuple[int, ...]:
        return tuple(self.shape[k] for k in self.batch)

    def classes_last(self, x: Array) -> Array:
        x = x.transpose(*self.batch, *self.axes)
        return x.reshape(*self.batch_shape, math.prod(self.shape[k] for k in self.axes))

    def restore(self, x: Array) -> Array:
        order = (*self.batch, *self.axes)
        x = x.reshape(*(self.shape[k] for k in order))
        return x.transpose(*(order.index(k) for k in range(len(order))))


def _layout(shape: tuple[int, ...], axis: Axis) -> _Layout:
    ndim = len(shape)
    axes = tuple(range(ndim)) if axis is None else axis if isinstance(axis, tuple) else (operator.index(axis),)
    if not axes or any(not -ndim <= a < ndim for a in axes) or len({a % ndim for a in axes}) < len(axes):
        raise ValueError(f"axis {axis} does not name axes of logits of shape {shape}")
    layout = _Layout(shape, tuple(a % ndim for a in axes))
    if any(shape[k] == 0 for k in layout.axes):
        raise ValueError(f"logits of shape {shape} have no classes along axis {axis}")
    return layout


def _floating(logits: ArrayLike) -> Array:
    logits = jnp.asarray(logits)
    if not jnp.issubdtype(logits.dtype, jnp.floating):
        raise TypeError(f"logits must be floating point, got {logits.dtype}")
    return logits


def _masked(z: Array, where: ArrayLike | None, axis: Axis) -> tuple[Array, Array | None]:
    """Logits with excluded classes at `-inf`; where all of them are excluded, zeros."""
    if where is None:
        return z, None
    where = jnp.asarray(where)
    if where.dtype != jnp.bool_:
        raise TypeError(f"where must be boolean, got {where.dtype}")
    if where.ndim != z.ndim:
        where = jnp.expand_dims(where, axis if axis is not None else tuple(range(z.ndim)))
    try:
        where = jnp.broadcast_to(where, z.shape)
    except ValueError:
        raise ValueError(f"where of shape {where.shape} does not broadcast to logits of shape {z.shape}") from None
    return jnp.where(where, z, jnp.where(where.any(axis, keepdims=True), -jnp.inf, 0.0).astype(z.dtype)), where


def _prepared(logits, labels, axis: Axis, where) -> tuple[Array, Array, _Layout, jnp.dtype]:
    logits, labels = _floating(logits), jnp.asarray(labels)
    if jnp.issubdtype(labels.dtype, jnp.complexfloating):
        raise TypeError(f"labels must be real, got {labels.dtype}")
    dtype = jnp.result_type(logits, labels)
    try:
        shape = jnp.broadcast_shapes(logits.shape, labels.shape)
    except ValueError:
        raise ValueError(
            f"logits of shape {logits.shape} and labels of shape {labels.shape} do not broadcast"
        ) from None
    layout = _layout(shape, axis)
    z, y = (jnp.broadcast_to(x, shape).astype(dtype) for x in (logits, labels))
    z, kept = _masked(z, where, axis)
    y = y if kept is None else jnp.where(kept, y, 0)
    z = layout.classes_last(z)
    return z, _narrow(layout.classes_last(y), z), layout, dtype


def softmax_cross_entropy(
    logits: ArrayLike, labels: ArrayLike, axis: Axis = -1, where: ArrayLike | None = None
) -> Array:
    """`-Σ_k y_k log softmax(logits)_k`, in nats; a drop-in for `optax.softmax_cross_entropy`.

    **Arguments:** `logits` floating point, one class an entry along `axis` (an axis, several, or `None` for all);
    `labels` real, broadcast against the logits: one-hot, or any weights, which need not sum to one nor be positive;
    `where` boolean, with the classes that count, of the logits' shape or without `axis`.

    **Returns:** the loss, in the shape without `axis` and in the promoted dtype of both. A class at `-inf` has
    probability 0: its label must be 0, else the loss is `inf`. NaN where a logit or a label is NaN, where a logit
    is `+inf`, and where all are `-inf`. 0 where `where` leaves no class.

    **Raises:** `TypeError` for logits that are not floating point, complex labels, or a `where` that is not boolean;
    `ValueError` for shapes that do not broadcast, an axis that is not there, or no classes at all.
    """
    z, y, _, dtype = _prepared(logits, labels, axis, where)
    return _loss(z, y).astype(dtype)


def softmax_cross_entropy_grad(
    logits: ArrayLike, labels: ArrayLike, axis: Axis = -1, where: ArrayLike | None = None
) -> Array:
    """`dL/dz = p Σ_j y_j - y` of `softmax_cross_entropy`, per example: the backward pass of a hand-written step.

    Arguments and errors are those of `softmax_cross_entropy`.

    **Returns:** the gradient in the broadcast shape and promoted dtype of logits and labels. It is
    never NaN for finite logits and labels. For one-hot labels it is within 2 ulps of the true value wherever that is
    normal (float16, bfloat16, float32); for soft ones the error grows as `p_k Σ y` comes close to `y_k`, from the
    rounding of `p_k`. A class at `-inf` has `-y_k`.
    """
    z, y, layout, dtype = _prepared(logits, labels, axis, where)
    return layout.restore(_gradient(z, y)).astype(dtype)


def softmax_cross_entropy_with_integer_labels(
    logits: ArrayLike, labels: ArrayLike, axis: Axis = -1, where: ArrayLike | None = None
) -> Array:
    """`-log softmax(logits)_label`, in nats; a drop-in for optax's function of this name.

    **Arguments:** `logits` and `where` as for `softmax_cross_entropy`; `labels` integers from 0 to `n - 1`,
    broadcast to the logits' shape without `axis`; with several axes, flat indices into them.

    **Returns:** the loss, in that shape and the logits' dtype, `inf` where the label's class is at `-inf`, 0 where
    `where` leaves no class; NaN as for `softmax_cross_entropy`. A label out of range gives NaN, loss and
    gradient, where it is traced (`jit`, `vmap`, `scan`); optax counts negative ones from the end.

    **Raises:** `TypeError` and `ValueError` as for `softmax_cross_entropy`, `TypeError` for labels that are not
    integers, `ValueError` for a label out of range that is not traced.
    """
    logits, labels = _floating(logits), jnp.asarray(labels)
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise TypeError(f"labels must be integers, got {labels.dtype}")
    layout = _layout(logits.shape, axis)
    z, kept = _masked(logits, where, axis)
    z = layout.classes_last(z)
    try:
        label = jnp.broadcast_to(labels, layout.batch_shape)
    except ValueError:
        raise ValueError(
            f"labels of shape {labels.shape} do not broadcast to logits of shape {logits.shape} without axis {axis}"
        ) from None
    inside = _inside(z, label)
    if not isinstance(inside, jax.core.Tracer) and not inside.all():
        raise ValueError(f"labels must lie from 0 to {z.shape[-1] - 1}, got {int(label[~inside][0])}")
    out = _loss_at(z, label)
    return (out if kept is None else jnp.where(kept.any(layout.axes), out, 0)).astype(logits.dtype)
