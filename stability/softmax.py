"""Softmax cross-entropy whose gradient keeps its digits, for one-hot, soft and integer labels.

For logits `z_1 ... z_n`, `p_k = e^{z_k} / Σ_j e^{z_j}` and labels `y` with `a = Σ_j y_j`, the loss is
`L = -Σ_k y_k log p_k` and `dL/dz_k = a p_k - y_k`, which cancels where the label's class is the likely one, exactly as
`a - y` does for two classes. With `m = max z`, `e_k = e^{z_k - m}` and `c` classes at the maximum,

    W = (c - 1) + Σ_{z_j < m} e_j,    p_k = e_k / (1 + W),    q = 1 - p = W / (1 + W) at the maximum,
    dL/dz_k = (a - y_k) - a q where p_k >= 1/2,    a p_k - y_k elsewhere,
    L = Σ_k y_k (m - z_k) + a log1p(W).

For one-hot labels, scaled ones included, nothing is a difference of nearly equal numbers. `W` never is, so a loss of
`1e-30` is `1e-30` where `logsumexp(z) - z_k` is 0.

**Arithmetic.** That of the logits: float32 for float16, bfloat16 and float32, float64 for float64; nothing needs
`jax_enable_x64` or hardware that has float64. What one float does not hold is kept in two (`stability.doubled`):

- `z_k - m`, whose rounding alone would cost up to 32 ulps of `e_k`;
- `W`, a sum in two words from terms in two words, but for where a number is stored on the way: the sums of pieces, and
  the whole for up to 16 classes. All exponentials are kept times `2**64`, so that those that float32 would flush take
  part in it;
- `a / (1 + W)`, the second word of which is added to the exponent: `p` is rounded once, where it is multiplied out.

**Error**, for float32 and one-hot labels wherever the gradient is normal, in units of `u = 2**-24`. In `e^r = 1 + q`,
`|r| <= 0.3506`, the series is off by 0.09 of `e^r`, rounding costs `q` 0.25 and `r² P(r)` 0.2: over the least
`e^r`, 0.70, that is 0.75 for an exponential before it is rounded, and 1.75 for `W`, of which a second word is dropped.
So `p_k` is off by 0.75 for itself, 1.75 `W / (1 + W)` for the sum, and half an ulp for the last addition: 3 ulps, if
every error were of its worst size and none against another, where XLA fuses `h + h q`, as on a CPU with FMA (0.3 more
where it does not). `q` at the maximum is off by 1.75 and half an ulp, and another half under `2**-126`. The scale of
labels is in `h` and costs nothing from `2**-90` to `2**40`; below it half an ulp more. The worst of ten million points
of 2 to 1,000 classes is off by 1.45 ulps (`test_ten_million_points`). The loss is within 2 ulps for one-hot labels; for
soft ones it is a sum in float32. For float64 all is a few ulps, and more below about `1e-292`, where exponentials that
are flushed have a share in it.

**Subnormals.** XLA on CPU flushes them: a gradient under `2**-126` is returned as 0 in float32 and bfloat16.

Every function is differentiable any number of times, forward and in reverse, with respect to logits and labels.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike

from stability import doubled
from stability.doubled import Doubled
from stability.kernel import Kernel, like_first

Axis = int | tuple[int, ...] | None

_UNROLLED = 16
"""Up to so many classes are added up one by one, and half as many compared: XLA's reductions over so short an axis take
several times as long."""

_LOOPED = 1024
"""More classes than these are added up by a loop over pieces of half as many: the program would be too long."""

_SHIFT = {"float32": 64, "float64": 0}
"""Exponentials are kept times `2**_SHIFT`."""

_BACK = {"float32": 2.0**-48, "float64": 1.0}
"""What shares are kept times, so that those of small and of large labels neither flush nor overflow."""

_FARTHEST = {"float32": -132.5, "float64": -800.0}
"""Below it `e^d` counts as 0, times `2**_SHIFT` too."""

_LN2 = float.fromhex("0x1.62e4p-1"), float.fromhex("0x1.7f7d1cf79abcap-20")
"""The logarithm of 2 as a short number, of which small multiples are exact in float32, and the rest."""

_SERIES = tuple(
    float.fromhex(c) for c in ("0x1.fffffcp-2", "0x1.555488p-3", "0x1.55591cp-5", "0x1.1240bep-7", "0x1.6a18d6p-10")
)
"""`(e^x - 1 - x) / x**2` for `|x| <= 0.3506`, minimax for `e^x`, good to `2**-27.5` of it."""

_SMALL = 2.0**-90
"""A share of less has no second word: parts of its product could be flushed, and others not."""

Terms = tuple[Array, Array, Array]
"""Numbers that are not negative, in two words, and which of them hide a maximum that is not in them."""


def _over_classes(combine, reduction, unrolled: int, x: Array) -> Array:
    n = x.shape[-1]
    if n > unrolled:
        return reduction(x, axis=-1, keepdims=True)
    return functools.reduce(combine, [x[..., k : k + 1] for k in range(n)])


_total = functools.partial(_over_classes, jnp.add, jnp.sum, _UNROLLED)
_greatest = functools.partial(_over_classes, jnp.maximum, jnp.max, _UNROLLED // 2)


def _kept(x: Array, m: Array) -> Array:
    """`x`, NaN where `m` is not finite: by a division, which XLA on CPU does once a row and not once an element."""
    return x / jnp.where(jnp.isfinite(m), 1, jnp.nan).astype(x.dtype)


def _pieces(terms: Callable[..., Terms], *arrays: Array) -> list[Terms]:
    """`terms` of pieces of one width, which cover arrays of shape `(..., n)`; what would be there twice is 0.

    The compiler makes vector operations of such pieces; a reduction over `terms` would store them all in memory first.
    """
    n = arrays[0].shape[-1]
    width = 1 if n <= _UNROLLED else 16 if n <= 512 else 32
    found = [terms(*(x[..., k : k + width] for x in arrays)) for k in range(0, n - width + 1, width)]
    if n % width:
        hi, lo, hides = terms(*(x[..., n - width :] for x in arrays))
        new = lax.broadcasted_iota(jnp.int32, hi.shape, hi.ndim - 1) >= width - n % width
        found.append((jnp.where(new, hi, 0), jnp.where(new, lo, 0), hides & new))
    return found


def _difference(z: Array, m: Array) -> Doubled:
    """`z - m` in two words, or a number far below what counts."""
    d, rest = doubled.two_sum(z, -m)
    farthest = _FARTHEST[z.dtype.name]
    return jnp.where(d < farthest, farthest, d), jnp.where(d < farthest, 0, rest)


def _exponential(d: Array, rest: Array) -> Doubled:
    """`q` and `t` with `(1 + q) t = 2**_SHIFT e^(d + rest)`, for a small `rest`; `t` is a power of two in float32."""
    if d.dtype == jnp.float64:
        return rest, jnp.exp(d)
    f = np.float32
    k = lax.round(d * f(1 / math.log(2)), lax.RoundingMethod.TO_NEAREST_EVEN)
    r = d - k * f(_LN2[0])
    rest = rest - k * f(_LN2[1])
    x = r + rest
    series = jnp.full_like(x, _SERIES[-1])
    for c in _SERIES[-2::-1]:
        series = series * x + f(c)
    power = (k.astype(jnp.int32) + (127 + _SHIFT["float32"])) << 23
    return r + (x * x * series + rest), lax.bitcast_convert_type(power, jnp.float32)


def _added(terms: list[Terms]) -> Terms:
    """The sum, which hides one of the maxima, if there are any, and has the others in it."""
    hi = lo = maxima = jnp.zeros_like(terms[0][0])
    for high, low, hides in terms:
        hi, error = doubled.two_sum(hi, high)
        lo = lo + (error + low)
        maxima = maxima + hides.astype(hi.dtype)
    hi, error = doubled.two_sum(hi, jnp.maximum(maxima - 1, 0) * hi.dtype.type(2.0 ** _SHIFT[hi.dtype.name]))
    return hi, lo + error, maxima > 0


def _others(z: Array, m: Array) -> Doubled:
    """`2**_SHIFT W` in two words, for logits of shape `(..., n)` and their maximum; `(..., 1)`.

    No sum on the way has a maximum in it that would hide what is small. A sum that is stored has a minus where it hides
    one, and in the loop both words, as a complex number, since XLA on CPU makes one array at a time.
    """

    def terms(z: Array) -> Terms:
        q, t = _exponential(*_difference(z, m))
        t = jnp.where(z < m, t, 0)
        return *doubled.fast_two_sum(t, t * q), z == m

    def stored(x: Array) -> Terms:
        return jnp.abs(lax.real(x)), lax.imag(x), jnp.signbit(lax.real(x))

    def packed(sums: Terms) -> Array:
        hi, lo, hides = sums
        return lax.complex(jnp.where(hides, -hi, hi), lo)

    n, width = z.shape[-1], _LOOPED // 2

    def step(k: Array, x: Array) -> Array:
        start = jnp.minimum(k * width, n - width)
        hi, lo, hides = terms(lax.dynamic_slice_in_dim(z, start, width, axis=-1))
        new = lax.broadcasted_iota(jnp.int32, hi.shape, hi.ndim - 1) >= k * width - start
        return packed(_added([stored(x), (jnp.where(new, hi, 0), jnp.where(new, lo, 0), hides & new)]))

    if n > _LOOPED:
        x = lax.fori_loop(1, -(-n // width), step, packed(terms(z[..., :width])))
        hi, lo, hides = _added(_pieces(stored, x))
    else:
        hi, lo, hides = _added(_pieces(terms, z))
    if n > _UNROLLED:
        x = jnp.where(hides, -(hi + lo), hi + lo)
        lanes = [x[..., k : k + 1] for k in range(x.shape[-1])]
        hi, lo, _ = _added([(jnp.abs(lane), jnp.zeros_like(lane), jnp.signbit(lane)) for lane in lanes])
    hi, lo = doubled.fast_two_sum(hi, lo)
    if n <= _UNROLLED:  # XLA would compute all of it again for the second word
        return _kept(hi, m), jnp.zeros_like(hi)
    return _kept(hi, m), _kept(lo, m)


class _Rows(NamedTuple):
    """What rows of logits of shape `(..., n)` have, NaN where the maximum is not finite; arrays of shape `(..., 1)`."""

    m: Array
    others: Doubled
    """`2**_SHIFT W`."""
    whole: Doubled
    """`2**_SHIFT (1 + W)`."""


def _rows(z: Array) -> _Rows:
    m = _greatest(z)
    m = _kept(m, m)
    hi, lo = _others(z, m)
    # Not a constant: XLA takes `(c + x) - c` for `x` where `c` is one.
    whole, rest = doubled.two_sum(jnp.where(m < jnp.inf, 2.0 ** _SHIFT[z.dtype.name], jnp.nan).astype(m.dtype), hi)
    return _Rows(m, (hi, lo), (whole, rest + lo))


def _share(a: Array, rows: _Rows) -> tuple[Array, Array, Array]:
    """`h` and `c` with `h (1 + c) = a / (2**_SHIFT _BACK (1 + W))`, and `a q` of a maximum; all of shape `(..., 1)`."""
    back = a.dtype.type(_BACK[a.dtype.name])
    whole, rest = rows.whole[0] * back, rows.whole[1] * back
    h = a / whole
    product, error = doubled.two_product(h, whole)
    c = jnp.where(jnp.abs(a) < _SMALL, 0, ((a - product) - (error + h * rest)) / a)
    aq, error = doubled.two_product(h, rows.others[0])
    aq = aq + (error + h * (rows.others[0] * c + rows.others[1]))
    return h, c, _kept(aq * back, rows.m)


def _products(z: Array, m: Array, h: Array, c: Array) -> Array:
    """`a p`."""
    d, rest = _difference(z, m)
    q, t = _exponential(d, rest + c)
    return (h + h * q) * t * z.dtype.type(_BACK[z.dtype.name])


def _gradient_kernel(z: Array, y: Array) -> Array:
    rows = _rows(z)
    a = _kept(_total(y), rows.m)
    h, c, aq = _share(a, rows)
    likely = jnp.where(2 * jnp.abs(aq) <= jnp.abs(a), rows.m, jnp.inf)
    return jnp.where(z == likely, (a - y) - aq, _products(z, rows.m, h, c) - y)


def _share_at(z: Array, label: Array) -> tuple[_Rows, Array, Array, Array]:
    rows = _rows(z)
    a = jnp.where(_inside(z, label), 1, jnp.nan).astype(z.dtype)[..., None]
    return rows, *_share(a, rows)


def _gradient_at_kernel(z: Array, label: Array) -> Array:
    rows, h, c, q = _share_at(z, label)
    p = _products(z, rows.m, h, c)
    return jnp.where(_is_label(z, label), jnp.where(z == rows.m, -q, p - 1), p)


def _probability_kernel(z: Array) -> Array:
    rows = _rows(z)
    h, c, _ = _share(jnp.ones_like(rows.m), rows)
    return _products(z, rows.m, h, c)


def _complement_kernel(z: Array) -> Array:
    rows = _rows(z)
    h, c, q = _share(jnp.ones_like(rows.m), rows)
    return jnp.where(z == rows.m, q, 1 - _products(z, rows.m, h, c))


def _log1p(rows: _Rows) -> Doubled:
    """`log(1 + W)`; in float32 by `1 + W = 2**j (1 + t)` and `log(1 + t) = 2 atanh(t / (2 + t))`, in two words."""
    scale = rows.m.dtype.type(2.0 ** -_SHIFT[rows.m.dtype.name])
    W, W_low = (x * scale for x in rows.others)
    if W.dtype == jnp.float64:
        return jnp.log1p(W), jnp.zeros_like(W)
    f = np.float32
    whole, rest = (x * scale for x in rows.whole)
    j = (lax.bitcast_convert_type(whole, jnp.int32) - f(math.sqrt(0.5)).view(np.int32)) >> 23
    down = lax.bitcast_convert_type((127 - j) << 23, jnp.float32)
    t, t_low = jnp.where(j == 0, W, whole * down - 1), jnp.where(j == 0, W_low, rest * down)
    u = doubled.quotient(t, 2 + t)
    s = u * u
    beyond = 2 * u * s * (((s * f(1 / 9) + f(1 / 7)) * s + f(1 / 5)) * s + f(1 / 3)) - t * u
    k = j.astype(jnp.float32)
    high, low = doubled.fast_two_sum(k * f(_LN2[0]), t)
    return high, low + (k * f(_LN2[1]) + (beyond + t_low * (1 - t * (1 - t))))


def _plus(x: Array, y: Doubled) -> Array:
    total, rest = doubled.two_sum(x, y[0])
    return jnp.where(jnp.isfinite(total), total + (rest + y[1]), total)


def _surprisal_kernel(z: Array) -> Array:
    rows = _rows(z)
    return _plus(rows.m - z, _log1p(rows))


def _stored(x: Array, m: Array) -> Array:
    """`x`, NaN where `m` is not finite: by a selection, which XLA on CPU never makes a part of a sum that follows."""
    return jnp.where(jnp.isfinite(m), x, jnp.nan)


def _loss_kernel(z: Array, y: Array) -> Array:
    rows = _rows(z)

    def terms(z: Array, y: Array) -> Terms:
        x = jnp.where(y == 0, 0, y * (rows.m - z))
        return x, jnp.zeros_like(x), jnp.zeros(x.shape, bool)

    pieces = [terms(z, y)] if z.shape[-1] > _LOOPED else _pieces(terms, z, y)
    lines = _stored(functools.reduce(jnp.add, [x for x, _, _ in pieces]), rows.m)
    a = _kept(_total(y), rows.m)
    high, low = _log1p(rows)
    return _stored(_plus(jnp.sum(lines, axis=-1, keepdims=True), (a * high, a * low)), rows.m)[..., 0]


def _loss_at_kernel(z: Array, label: Array) -> Array:
    rows = _rows(z)
    of_label = jnp.take_along_axis(z, label[..., None], axis=-1, mode="clip")
    loss = _stored(_plus(rows.m - of_label, _log1p(rows)), rows.m)
    return jnp.where(_inside(z, label), loss[..., 0], jnp.nan)


def _is_label(z: Array, label: Array) -> Array:
    return lax.broadcasted_iota(label.dtype, z.shape, z.ndim - 1) == label[..., None]


def _inside(z: Array, label: Array) -> Array:
    return (label >= 0) & (label < z.shape[-1])


def _centred(z: Array, v: Array) -> tuple[Array, Array, Array]:
    """`p`, `w = v - v_a`, `a` the likeliest class, and `Σ_j p_j w_j`, in which `p_a` close to 1 has no part."""
    p = _probability(z)
    likeliest = jnp.argmax(z, axis=-1, keepdims=True)
    w = v - jnp.take_along_axis(v, likeliest, axis=-1)
    return p, w, jnp.sum(p * w, axis=-1, keepdims=True)


def _probability_tangent(v: Array, z: Array, *_) -> Array:
    """`dp_k = p_k (v_k - Σ_j p_j v_j)`, which is the same for `v` less a constant."""
    p, w, mean = _centred(z, v)
    return p * (w - mean)


def _surprisal_tangent(v: Array, z: Array) -> Array:
    _, w, mean = _centred(z, v)
    return mean - w


def _gradient_of_labels(v: Array, z: Array, _) -> Array:
    return (_total(v) - v) * _probability(z) - v * _complement(z)


def _a_row(z, *_):
    return z.update(shape=z.shape[:-1])


def _true_surprisal(z: Array) -> Array:
    distance = jnp.max(z, axis=-1, keepdims=True) - z
    return distance + jnp.log(jnp.sum(jnp.exp(-distance), axis=-1, keepdims=True))


def _true_probability(z: Array) -> Array:
    return jnp.exp(-_true_surprisal(z))


def _at(x: Array, label: Array) -> Array:
    return jnp.sum(jnp.where(_is_label(x, label), x, 0), axis=-1)


def _kernel(
    name: str, kernel: Callable[..., Array], formula: Callable[..., Array], *derivatives, abstract=like_first
) -> Kernel:
    """Of arrays with the rows in front: logits `(..., n)`, labels the same or `(...)`."""
    return Kernel(f"softmax_{name}", jax.jit(kernel), formula, *derivatives, abstract=abstract)


_probability = _kernel("probability", _probability_kernel, _true_probability, _probability_tangent)
_complement = _kernel(
    "complement", _complement_kernel, lambda z: 1 - _true_probability(z), lambda v, z: -_probability_tangent(v, z)
)
_surprisal = _kernel("surprisal", _surprisal_kernel, _true_surprisal, _surprisal_tangent)
_gradient = _kernel(
    "cross_entropy_gradient",
    _gradient_kernel,
    lambda z, y: jnp.sum(y, axis=-1, keepdims=True) * _true_probability(z) - y,
    lambda v, z, y: _total(y) * _probability_tangent(v, z),
    _gradient_of_labels,
)
_gradient_at = _kernel(
    "cross_entropy_gradient_at",
    _gradient_at_kernel,
    lambda z, label: _true_probability(z) - jnp.where(_is_label(z, label), 1, 0),
    _probability_tangent,
    None,
)
_loss = _kernel(
    "cross_entropy",
    _loss_kernel,
    lambda z, y: jnp.sum(y * _true_surprisal(z), axis=-1),
    lambda v, z, y: jnp.sum(_gradient(z, y) * v, axis=-1),
    lambda v, z, y: jnp.sum(_surprisal(z) * v, axis=-1),
    abstract=_a_row,
)
_loss_at = _kernel(
    "cross_entropy_at",
    _loss_at_kernel,
    lambda z, label: _at(_true_surprisal(z), label),
    lambda v, z, label: jnp.sum(_gradient_at(z, label) * v, axis=-1),
    None,
    abstract=_a_row,
)


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


def _computed(z: Array) -> Array:
    return z.astype(jnp.float64 if z.dtype == jnp.float64 else jnp.float32)


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
    z = _computed(layout.classes_last(z))
    return z, layout.classes_last(y).astype(z.dtype), layout, dtype


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
    z = _computed(layout.classes_last(z))
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
