"""The true softmax gradient in bulk: double-double arithmetic with a proven bound, balls where it does not decide.

For logits `z`, labels `y` with `s = Σ_j y_j`, and `a` the first class at the maximum,

    dL/dz_a = (s - y_a) - s T/(1 + T),    dL/dz_k = -y_k + s e_k/(1 + T),    e_k = e^{z_k - z_a},    T = Σ_{j≠a} e_j,

a constant of the labels and a deviation whose sign is that of `s`, or its opposite.

**Bound.** `z_k - z_a = h + l` exactly, by `two_sum`, and `e_k = e^h (1 + l + l²/2)` with `|l| <= 2^-41`, so that what
is left out is below `2^-124`. With `exp_scaled` (`2^-96`), the factor (`2^-104`, rounding `l²/2` included) and their
product (`7u² < 2^-103`), `e_k` is off by less than `2^-95.9`, relatively. `T` is a sum of positive numbers in a tree of
at most 20 additions in a row (`n <= 2^20`), each `3u² + 13u³`: below `2^-95.8`; it is scaled by the greatest power of
two among its terms, so what underflows in it is below `2^-1000` of it. `1 + T`, the quotient (`19u²`) and the product
with `s` (`7u²` and its own error) leave the deviation `D` off by less than `2^-94`, relatively. `s` and `s - y_a` are
exact where at most two labels are not 0, and else off by less than `2^-100 Σ|y|`, which is then added. The sum `t` of
the two parts costs `2^-104 |t|`, and `2^-1073` for a deviation that underflows beside a constant; where the constant is
0 its power of two is kept apart. Where `|t|` is within the bound of a power of two, balls decide. A deviation too small
to be seen beside the constant is told by its sign alone.

Differences beyond -4096 are taken as -4096: `e^-4096 < 2^-5909`, and nothing that is rounded to a format changes. The
infinite logits are taken as the greatest floats of float64, which gives the limits.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from flint import arb

from stability.double_word import DoubleWord, add, divide, multiply, two_sum
from stability.formats import FloatFormat, widen
from stability.truth import Truth, of_quanta, quantize
from stability.truth.balls import ball
from stability.truth.exponential import CLAMP, exp_scaled

_TINY = 5e-324


def _sum(x: DoubleWord) -> DoubleWord:
    """The sums of double-doubles of shape `(rows, n)` along the last axis, `(rows,)`, added in a tree."""
    h, l = x
    while h.shape[-1] > 1:
        half = h.shape[-1] // 2
        odd = h[:, 2 * half :], l[:, 2 * half :]
        s = add((h[:, :half], l[:, :half]), (h[:, half : 2 * half], l[:, half : 2 * half]))
        h, l = np.concatenate([s[0], odd[0]], axis=-1), np.concatenate([s[1], odd[1]], axis=-1)
    return h[:, 0], l[:, 0]


def softmax_gradient_ball(z: np.ndarray, y: np.ndarray, k: int) -> arb:
    """A ball around `dL/dz_k` for float64 logits and labels of shape `(n,)`, finite."""
    a = int(np.argmax(z))
    top, labels = ball(z[a]), [ball(v) for v in y]

    def power(j: int) -> arb:
        return max((ball(z[j]) - top), arb(-CLAMP), key=float).exp()

    others = sum((power(j) for j in range(len(z)) if j != a), arb(0))
    s = sum(labels, arb(0))
    return s - labels[a] - s * others / (1 + others) if k == a else s * power(k) / (1 + others) - labels[k]


def softmax_gradient(logits: np.ndarray, labels: np.ndarray, fmt: FloatFormat) -> Truth:
    """The true `dL/dz = p Σ_j y_j - y`, to be rounded to `fmt`.

    **Arguments:** `logits` of shape `(rows, n)` in any format, `2 <= n <= 2**20`, NaN and infinities included;
    `labels` that broadcast to them, finite.

    **Returns:** a `Truth` of shape `(rows, n)`; a row with a NaN logit has NaN quanta. An infinite logit has its limit.
    """
    z, y = np.broadcast_arrays(widen(logits), widen(labels))
    nan = np.isnan(z).any(axis=-1, keepdims=True)
    greatest = np.finfo(np.float64).max
    z = np.clip(np.where(nan, 0.0, z), -greatest, greatest)
    rows, n = z.shape
    a = np.argmax(z, axis=-1)
    top = np.arange(n) == a[:, None]
    zero, one = np.zeros_like(z), np.ones_like(z)

    with np.errstate(over="ignore", invalid="ignore"):
        h, l = two_sum(z, -z[np.arange(rows), a][:, None])
    inside = h > -CLAMP
    h, l = np.where(inside, h, -CLAMP), np.where(inside, l, 0.0)
    E, k = exp_scaled(h)
    c = two_sum(one, l)
    E = multiply(E, (c[0], c[1] + l * l / 2))
    K = np.max(np.where(top, np.iinfo(np.int64).min, k), axis=-1)
    apart = np.where(top, 0, k - K[:, None])
    T = _sum((np.where(top, 0.0, np.ldexp(E[0], apart)), np.where(top, 0.0, np.ldexp(E[1], apart))))
    S = add((one[:, 0], zero[:, 0]), (np.ldexp(T[0], K), np.ldexp(T[1], K)))

    s = _sum((y, zero))
    rest = _sum((np.where(top, 0.0, y), zero))
    inexact = np.where((y != 0).sum(axis=-1) > 2, 2.0**-100 * np.abs(y).sum(axis=-1), 0.0)[:, None]
    size = np.where(top, T[0][:, None], E[0]), np.where(top, T[1][:, None], E[1])
    D = multiply(divide(size, (S[0][:, None], S[1][:, None])), (s[0][:, None] * one, s[1][:, None] * one))
    D = np.where(top, -D[0], D[0]), np.where(top, -D[1], D[1])
    k = np.where(top, K[:, None], k)
    C = np.where(top, rest[0][:, None], -y), np.where(top, rest[1][:, None], 0.0)

    alone = C[0] == 0
    scale = np.where(alone, k, 0)
    deviation = np.ldexp(D[0], k - scale), np.ldexp(D[1], k - scale)
    t = add(C, deviation)
    t = np.where(alone, D[0], t[0]), np.where(alone, D[1], t[1])
    hidden = ~alone & (t[1] == 0)
    t = t[0], np.where(hidden, np.copysign(_TINY, D[0]) * (D[0] != 0), t[1])
    bound = np.ldexp(np.abs(deviation[0]), -94) + inexact
    bound += np.where(alone, 0.0, np.ldexp(np.abs(t[0]), -104) + 2.0**-1073)
    near_power_of_two = (np.abs(np.frexp(t[0])[0]) == 0.5) & (np.abs(t[1]) <= bound) & (t[0] != C[0])
    bound = np.where(near_power_of_two, np.inf, bound)

    def enclose(i: int) -> Callable[[], arb]:
        row, column = divmod(i, n)
        return lambda: softmax_gradient_ball(z[row], y[row], column)

    truth = quantize((np.ravel(t[0]), np.ravel(t[1])), np.ravel(scale), np.ravel(bound), fmt, enclose)
    quanta = np.where(nan, np.nan, truth.quanta.reshape(z.shape))
    return of_quanta(quanta, truth.fraction.reshape(z.shape), truth.exponent.reshape(z.shape), fmt, truth.by_balls)
