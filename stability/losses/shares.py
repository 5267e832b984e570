"""Kernels of the softmax losses: the share of each class in a sum of exponentials, and what is left of it.

For logits `z_1 ... z_n`, `p_k = e^{z_k} / Σ_j e^{z_j}` and labels `y` with `a = Σ_j y_j`, the loss is
`L = -Σ_k y_k log p_k` and `dL/dz_k = a p_k - y_k`, which cancels where the label's class is the likely one, exactly as
`a - y` does for two classes. With `m = max z`, `e_k = e^{z_k - m}` and `c` classes at the maximum,

    W = (c - 1) + Σ_{z_j < m} e_j,    p_k = e_k / (1 + W),    q = 1 - p = W / (1 + W) at the maximum,
    dL/dz_k = (a - y_k) - a q where p_k >= 1/2,    a p_k - y_k elsewhere,
    L = Σ_k y_k (m - z_k) + a log1p(W).

For one-hot labels, scaled ones included, nothing is a difference of nearly equal numbers. `W` never is, so a loss of
`1e-30` is `1e-30` where `logsumexp(z) - z_k` is 0.

**Arithmetic.** That of the logits: float32 for float16, bfloat16 and float32, float64 for float64; nothing needs
`jax_enable_x64` or hardware that has float64. What one float does not hold is kept in two (`stability.double_word`):

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
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from stability import double_word
from stability.double_word import DoubleWord

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


def _over_classes(
    combine: Callable[[Array, Array], Array], reduction: Callable[..., Array], unrolled: int, x: Array
) -> Array:
    n = x.shape[-1]
    if n > unrolled:
        return reduction(x, axis=-1, keepdims=True)
    return functools.reduce(combine, [x[..., k : k + 1] for k in range(n)])


total = functools.partial(_over_classes, jnp.add, jnp.sum, _UNROLLED)
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


def _difference(z: Array, m: Array) -> DoubleWord:
    """`z - m` in two words, or a number far below what counts."""
    d, rest = double_word.two_sum(z, -m)
    farthest = _FARTHEST[z.dtype.name]
    return jnp.where(d < farthest, farthest, d), jnp.where(d < farthest, 0, rest)


def _exponential(d: Array, rest: Array) -> DoubleWord:
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
        hi, error = double_word.two_sum(hi, high)
        lo = lo + (error + low)
        maxima = maxima + hides.astype(hi.dtype)
    hi, error = double_word.two_sum(hi, jnp.maximum(maxima - 1, 0) * hi.dtype.type(2.0 ** _SHIFT[hi.dtype.name]))
    return hi, lo + error, maxima > 0


def _others(z: Array, m: Array) -> DoubleWord:
    """`2**_SHIFT W` in two words, for logits of shape `(..., n)` and their maximum; `(..., 1)`.

    No sum on the way has a maximum in it that would hide what is small. A sum that is stored has a minus where it hides
    one, and in the loop both words, as a complex number, since XLA on CPU makes one array at a time.
    """

    def terms(z: Array) -> Terms:
        q, t = _exponential(*_difference(z, m))
        t = jnp.where(z < m, t, 0)
        return *double_word.fast_two_sum(t, t * q), z == m

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
    hi, lo = double_word.fast_two_sum(hi, lo)
    if n <= _UNROLLED:  # XLA would compute all of it again for the second word
        return _kept(hi, m), jnp.zeros_like(hi)
    return _kept(hi, m), _kept(lo, m)


class _Rows(NamedTuple):
    """What rows of logits of shape `(..., n)` have, NaN where the maximum is not finite; arrays of shape `(..., 1)`."""

    m: Array
    others: DoubleWord
    """`2**_SHIFT W`."""
    whole: DoubleWord
    """`2**_SHIFT (1 + W)`."""


def _rows(z: Array) -> _Rows:
    m = _greatest(z)
    m = _kept(m, m)
    hi, lo = _others(z, m)
    # Not a constant: XLA takes `(c + x) - c` for `x` where `c` is one.
    whole, rest = double_word.two_sum(jnp.where(m < jnp.inf, 2.0 ** _SHIFT[z.dtype.name], jnp.nan).astype(m.dtype), hi)
    return _Rows(m, (hi, lo), (whole, rest + lo))


def _share(a: Array, rows: _Rows) -> tuple[Array, Array, Array]:
    """`h` and `c` with `h (1 + c) = a / (2**_SHIFT _BACK (1 + W))`, and `a q` of a maximum; all of shape `(..., 1)`."""
    back = a.dtype.type(_BACK[a.dtype.name])
    whole, rest = rows.whole[0] * back, rows.whole[1] * back
    h = a / whole
    product, error = double_word.two_product(h, whole)
    c = jnp.where(jnp.abs(a) < _SMALL, 0, ((a - product) - (error + h * rest)) / a)
    aq, error = double_word.two_product(h, rows.others[0])
    aq = aq + (error + h * (rows.others[0] * c + rows.others[1]))
    return h, c, _kept(aq * back, rows.m)


def _products(z: Array, m: Array, h: Array, c: Array) -> Array:
    """`a p`."""
    d, rest = _difference(z, m)
    q, t = _exponential(d, rest + c)
    return (h + h * q) * t * z.dtype.type(_BACK[z.dtype.name])


def gradient(z: Array, y: Array) -> Array:
    """`dL/dz` for logits and labels of shape `(..., n)`, float32 or float64."""
    rows = _rows(z)
    a = _kept(total(y), rows.m)
    h, c, aq = _share(a, rows)
    likely = jnp.where(2 * jnp.abs(aq) <= jnp.abs(a), rows.m, jnp.inf)
    return jnp.where(z == likely, (a - y) - aq, _products(z, rows.m, h, c) - y)


def _share_at(z: Array, label: Array) -> tuple[_Rows, Array, Array, Array]:
    rows = _rows(z)
    a = jnp.where(inside(z, label), 1, jnp.nan).astype(z.dtype)[..., None]
    return rows, *_share(a, rows)


def gradient_at(z: Array, label: Array) -> Array:
    """`dL/dz` for logits of shape `(..., n)` and classes of shape `(...)`, NaN where a class is none of theirs."""
    rows, h, c, q = _share_at(z, label)
    p = _products(z, rows.m, h, c)
    return jnp.where(is_label(z, label), jnp.where(z == rows.m, -q, p - 1), p)


def probability(z: Array) -> Array:
    """`p` for logits of shape `(..., n)`."""
    rows = _rows(z)
    h, c, _ = _share(jnp.ones_like(rows.m), rows)
    return _products(z, rows.m, h, c)


def complement(z: Array) -> Array:
    """`1 - p` for logits of shape `(..., n)`."""
    rows = _rows(z)
    h, c, q = _share(jnp.ones_like(rows.m), rows)
    return jnp.where(z == rows.m, q, 1 - _products(z, rows.m, h, c))


def _log1p(rows: _Rows) -> DoubleWord:
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
    u = double_word.quotient(t, 2 + t)
    s = u * u
    beyond = 2 * u * s * (((s * f(1 / 9) + f(1 / 7)) * s + f(1 / 5)) * s + f(1 / 3)) - t * u
    k = j.astype(jnp.float32)
    high, low = double_word.fast_two_sum(k * f(_LN2[0]), t)
    return high, low + (k * f(_LN2[1]) + (beyond + t_low * (1 - t * (1 - t))))


def plus(x: Array, y: DoubleWord) -> Array:
    total, rest = double_word.two_sum(x, y[0])
    return jnp.where(jnp.isfinite(total), total + (rest + y[1]), total)


def log_sum(z: Array) -> tuple[Array, DoubleWord]:
    """The maximum and `log(1 + W)`, whose sum is `logsumexp(z)`, for logits of shape `(..., n)`; `(..., 1)`."""
    rows = _rows(z)
    return rows.m, _log1p(rows)


def rest(z: Array) -> Array:
    """`1 - p` of a maximum for logits of shape `(..., n)`; `(..., 1)`."""
    rows = _rows(z)
    return _share(jnp.ones_like(rows.m), rows)[2]


def surprisal(z: Array) -> Array:
    """`-log p` for logits of shape `(..., n)`."""
    rows = _rows(z)
    return plus(rows.m - z, _log1p(rows))


def _stored(x: Array, m: Array) -> Array:
    """`x`, NaN where `m` is not finite: by a selection, which XLA on CPU never makes a part of a sum that follows."""
    return jnp.where(jnp.isfinite(m), x, jnp.nan)


def loss(z: Array, y: Array) -> Array:
    """`L`, of shape `(...)`, for logits and labels of shape `(..., n)`."""
    rows = _rows(z)

    def terms(z: Array, y: Array) -> Terms:
        x = jnp.where(y == 0, 0, y * (rows.m - z))
        return x, jnp.zeros_like(x), jnp.zeros(x.shape, bool)

    pieces = [terms(z, y)] if z.shape[-1] > _LOOPED else _pieces(terms, z, y)
    lines = _stored(functools.reduce(jnp.add, [x for x, _, _ in pieces]), rows.m)
    a = _kept(total(y), rows.m)
    high, low = _log1p(rows)
    return _stored(plus(jnp.sum(lines, axis=-1, keepdims=True), (a * high, a * low)), rows.m)[..., 0]


def loss_at(z: Array, label: Array) -> Array:
    """`L` for logits of shape `(..., n)` and classes of shape `(...)`, NaN where a class is none of theirs."""
    rows = _rows(z)
    of_label = jnp.take_along_axis(z, label[..., None], axis=-1, mode="clip")
    result = _stored(plus(rows.m - of_label, _log1p(rows)), rows.m)
    return jnp.where(inside(z, label), result[..., 0], jnp.nan)


def is_label(z: Array, label: Array) -> Array:
    return lax.broadcasted_iota(label.dtype, z.shape, z.ndim - 1) == label[..., None]


def inside(z: Array, label: Array) -> Array:
    return (label >= 0) & (label < z.shape[-1])
