"""The truth of the study in bulk: `σ(z) - y`, and the loss, in double-words with a proven bound, else in balls.

With `u = 2**-53`, `exp_scaled` good to `2**-96` and the operations as in `stability.double_word`:

**Bound of `sigmoid_minus_label`.** With `E = e^-|z|`, `s = E/(1 + E) = σ(-|z|)` is off by at most
`2·2**-96 + 19u² < 2**-94.9`, relatively. The value is `s - y` for `z < 0` and `(1 - y) - s` otherwise;
`1 - y` is exact as a double-double and `add` costs `3u² + 13u³` of the result `t`. So the absolute error is
below `2**-94 s + 2**-104 |t| + 2**-1073` (the last for a scaling that underflows), and only below
`2**-94 s` where the constant is 0, in which case the power of two is kept apart and nothing underflows.
Next to zero, `_next_to_zero` takes over.
Inputs beyond ±4096 are taken as ±4096: every float64 and every midpoint of two is a multiple of
`2**-1075`, σ(-4096) < 2**-5909, and so nothing that is rounded to a format changes.

**Bound of `_next_to_zero`.** For `|z| < 2**-24` the value is `(1/2 - y) + z/4 - z**3/48 + z**5/480 - ...`, a series
whose terms alternate and shrink, and TwoSum gives `1/2 - y = c0 + c1` exactly. The first case that holds:

1. `c0` is 0: four times the value is `z - z**3/12`, off by `4u |z|**3/12 + |z|**5/120 < 2**-50 |z|**3`. Below
   `2**-300`, where the cube could underflow, it is `z`, and what is left out has the sign of `-z`.

The others are for `|z| < 2**-55`:

2. `|z|` is below `2**-102`, or below `2**-1000` where `c1` is 0: the value is `c0 + c1`, and what is left out, at most
   `|z|/4`, has the sign of `z`. In ulps it is nothing: `c1` is not 0 only for `y < 1/4`, where an ulp of float64 is
   `2**-54` or more, and elsewhere `|c0|` is at least `2**-54` and an ulp `2**-106`.
3. `c1` is 0: `c0 + z/4` is a double-double exactly, `z/4` being normal, and what is left out, at most `2**-112 |z|`,
   has the sign of `-z`. Else `add` costs `3u² + 13u³` of at most 1/2, less than `2**-105`, to either side.

**Bound of `log_loss`.** `log(1 + E)` is `2 atanh(t)`, `t = f/(2 + f)`, with `f = E` up to 0.41 and `f = (E - 1)/2`
plus `ln 2` above. `f` is off by `2**-96` relatively, or by `2**-96` of the sum that is at least 0.34. The quotient
and the product by the series cost below `2**-99`; the series in `t² < 0.03` to degree 20 leaves `0.03**21 < 2**-106`.
Below `E = 2**-60` it is `E (1 - E/2)`, which leaves `2**-121`. So the logarithm is off by less than `2**-94` of the
sum, and `(1 - y) z` or `-y z`, a double-double product, by `7u²` of itself. For labels in [0, 1] no term is negative:
`2**-93` of the value and `2**-1070`.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from flint import arb

from stability.double_word import DoubleWord, add, divide, fast_two_sum, multiply, two_sum, words
from stability.formats import FloatFormat, widen
from stability.truth import Truth, of_quanta, quantize
from stability.truth.balls import ball
from stability.truth.exponential import CLAMP, LN2, exp_scaled


def sigmoid_minus_label_ball(z: float, y: float) -> arb:
    """A ball around `σ(z) - y`, in the form `(1 - y) σ(z) - y σ(-z)` that does not cancel at `y` 0 and 1.

    Infinities are taken as their limits. Past ±4096 the value at ±4096 stands for the true one,
    which rounds the same in every format (module docstring).
    """
    x, label = ball(min(max(z, -CLAMP), CLAMP)), ball(y)
    return (1 - label) / (1 + (-x).exp()) - label / (1 + x.exp())


def _next_to_zero(z: np.ndarray, y: np.ndarray) -> tuple[DoubleWord, np.ndarray, np.ndarray, np.ndarray]:
    """Arguments of `quantize` for `σ(z) - y` next to zero: value, scale, bound and lean (module docstring)."""
    size = np.abs(z)
    c = two_sum(0.5, -y)
    alone, whole = c[0] == 0, c[1] == 0
    cube = np.where(size < 2.0**-300, 0.0, z) ** 3
    curved = fast_two_sum(z, -cube / 12)
    hidden = size < np.where(whole, 2.0**-1000, 2.0**-102)
    line = add(c, (z / 4, np.zeros_like(z)))
    h, l = (np.select([alone, hidden], parts[:2], parts[2]) for parts in zip(curved, c, line, strict=True))
    bound_alone = np.where(cube == 0, np.ldexp(size, -110), np.ldexp(np.abs(cube), -50))
    bound = np.select([alone, hidden, whole], [bound_alone, size, np.ldexp(size, -112)], 2.0**-105)
    lean = np.select([alone & (cube != 0), hidden & ~alone, whole], [0.0, np.sign(z), -np.sign(z)], 0.0)
    return (h, l), np.where(alone, -2, 0), bound, lean


def sigmoid_minus_label(logits: np.ndarray, label: float | np.ndarray, fmt: FloatFormat) -> Truth:
    """The true `σ(z) - y` for floats `z` of any format, to be rounded to `fmt`.

    **Arguments:** `logits` of shape `(n,)`, NaN and infinities included; `label` in [0, 1], a float
    that is exact in float64, or an array of them of shape `(n,)`.

    **Returns:** a `Truth`; the infinities have their limits.
    """
    z = widen(logits)
    nan = np.isnan(z)
    z = np.clip(np.where(nan, 1.0, z), -CLAMP, CLAMP)
    y = np.broadcast_to(label, z.shape)
    zero = np.zeros_like(z)
    E, k = exp_scaled(-np.abs(z))
    E_scaled = np.ldexp(E[0], k), np.ldexp(E[1], k)
    s = divide(E, add((np.ones_like(z), zero), E_scaled))
    sign = np.where(z < 0, 1.0, -1.0)
    c = two_sum(np.where(z < 0, -y, 1.0), np.where(z < 0, 0.0, -y))
    tail = c[0] == 0
    scale = np.where(tail, k, 0)
    h, l = np.ldexp(s[0], k - scale) * sign, np.ldexp(s[1], k - scale) * sign
    t = add(c, (h, l))
    t = np.where(tail, h, t[0]), np.where(tail, l, t[1])
    towards_zero = ~tail & (t[1] == 0)
    t = t[0], np.where(towards_zero, -np.copysign(5e-324, t[0]), t[1])
    bound = np.ldexp(np.abs(h), -94) + np.where(tail, 0.0, np.ldexp(np.abs(t[0]), -104) + 2.0**-1073)
    near = np.abs(z) < np.where(y == 0.5, 2.0**-24, 2.0**-55)
    t_near, scale_near, bound_near, lean = _next_to_zero(np.where(near, z, 0.0), y)
    t = np.where(near, t_near[0], t[0]), np.where(near, t_near[1], t[1])
    scale, bound, lean = np.where(near, scale_near, scale), np.where(near, bound_near, bound), np.where(near, lean, 0.0)
    mantissa, exponent = np.frexp(np.abs(t[0]))
    power = np.copysign(np.ldexp(np.where(mantissa < 0.75, 0.5, 1.0), exponent), t[0])
    leaning = (t[0] == power) & (t[1] == 0) & (lean != 0)
    either_side = (np.abs((t[0] - power) + t[1]) <= bound) & (bound > 0) & ~leaning & (t[0] != c[0])
    bound = np.where(either_side, np.inf, bound)
    truth = quantize(t, scale, bound, fmt, lambda i: lambda: sigmoid_minus_label_ball(z[i], y[i]), lean)
    return of_quanta(np.where(nan, np.nan, truth.quanta), truth.fraction, truth.exponent, fmt, truth.by_balls)


_ATANH = [words(Fraction(1, 2 * n + 1), np.float64) for n in range(21)]
_LN2_WORDS = two_sum(LN2[0], LN2[1] + LN2[2])


def log_loss_ball(z: float, y: float) -> arb:
    """A ball around `max(z, 0) - z y + log(1 + e^-|z|)` for finite `z`, every term of it positive for `y` in [0, 1].

    Past 4096 the logarithm is that at 4096: it only says on which side of a tie the value lies.
    """
    weight = 1 - ball(y) if z > 0 else ball(y)
    return weight * ball(abs(z)) + (-ball(min(abs(z), CLAMP))).exp().log1p()


def log_loss(logits: np.ndarray, label: float, fmt: FloatFormat) -> Truth:
    """The true `max(z, 0) - z y + log(1 + e^-|z|)`, to be rounded to `fmt`, for finite `|z| < 2**900`.

    **Arguments:** `logits` of shape `(n,)`; `label` in [0, 1], a float that is exact in float64.
    """
    z = widen(logits)
    size, zero = np.abs(z), np.zeros_like(z)
    E, k = exp_scaled(-np.minimum(size, CLAMP))
    e = np.ldexp(E[0], k), np.ldexp(E[1], k)
    far, large = k < -62, e[0] > 0.41
    half = add(e, (zero - 1, zero))
    f = np.where(large, half[0] / 2, e[0]), np.where(large, half[1] / 2, e[1])
    t = divide(f, add((zero + 2, zero), f))
    square = multiply(t, t)
    total = zero + _ATANH[20][0], zero + _ATANH[20][1]
    for coefficient in reversed(_ATANH[:20]):
        total = add(multiply(total, square), coefficient)
    log = multiply(t, total)
    log = add((np.where(large, _LN2_WORDS[0], 0), np.where(large, _LN2_WORDS[1], 0)), (2 * log[0], 2 * log[1]))
    tail = add(E, (-E[0] * np.where(far, e[0], 0) / 2, zero))
    weight = two_sum(np.where(z > 0, 1.0, label), np.where(z > 0, -label, 0.0))
    scale = np.where(far & (weight[0] == 0), k, 0)
    shift = np.where(far, k - scale, 0)
    log = np.where(far, np.ldexp(tail[0], shift), log[0]), np.where(far, np.ldexp(tail[1], shift), log[1])
    line = multiply(weight, (np.where(weight[0] == 0, 0, size), zero))
    value = add(line, log)
    bound = np.ldexp(value[0], -93) + np.where(scale == 0, 2.0**-1070, 0)
    return quantize(value, scale, bound, fmt, lambda i: lambda: log_loss_ball(z[i], label))
