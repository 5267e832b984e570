"""The truth of the study on the device: `σ(z) - y` of float32, in float64 with a proven bound.

**Bound of `sigmoid_tails`.** For `|z| <= 200`, `k = floor(|z|/ln 2 + 1/2)` and `r = k ln 2 - |z|` with a 30-bit high
part `L1` of `ln 2`: `k L1` is exact and, `|z|` having 24 bits, its difference from `|z|` is off by at most
`2**-52 |r|`. The Taylor sum of `e^r` to degree 13 leaves `0.35**14/14! < 2**-57`, its Horner steps cost less than
`2**-51`, and the quotient and the product after it three roundings. So `s = σ(-|z|)` and `c = σ(|z|)` are off by less
than `2**-49`, relatively.

**Bound of `sigmoid_minus_label`.** At labels 0 and 1 the truth is `±s` or `±c`, whose error is below `2**-24` ulps of
float32. The ulp is that of the true value: next to 1/2 and 1 the tails are kept on the right side, and no other power
of two is within `2**-48` of a tail of a float32, relatively (tests/test_device_truth.py looks at the two float32
nearest to each). At another label the truth is a constant plus a term: `(1/2 - y) ± h` with the series of
`h = 1/2 - s` where `|z| < 2**-12`, which leaves `2**-50 h`; else `-y + s` below zero and `(1 - y) - s` above. The
constant is a double-double, and the rounding of the sum is known from TwoSum.
"""

from __future__ import annotations

import math
from fractions import Fraction

import jax.numpy as jnp
from jax import Array, lax

from stability.truth.device import INFINITY, Truth64, exponent_of, in_float64, power_of_two

_LN2_HIGH = math.floor(math.log(2) * 2**30) / 2**30
_LN2_LOW = 8.893134238886677e-10
_SMALL = 2.0**-12


def sigmoid_tails(magnitude: Array) -> tuple[Array, Array, Array]:
    """`|z|`, `σ(-|z|)` and `σ(|z|)` in float64 for magnitudes (int32 bit patterns without sign) of shape `(n,)`.

    Relative error below `2**-49` (module docstring). Past 200, and for NaN, the values are those at 200, which rounds
    the same in float32.
    """
    a = jnp.minimum(magnitude, INFINITY)
    mantissa, field = a & 0x7FFFFF, a >> 23
    subnormal = mantissa.astype(jnp.float64) * 2.0**-149
    normal = (mantissa | 0x800000).astype(jnp.float64) * power_of_two(field.astype(jnp.int64) - 150)
    z = jnp.minimum(jnp.where(field == 0, subnormal, normal), 200.0)
    k = jnp.floor(z * (1 / math.log(2)) + 0.5)
    r = (k * _LN2_HIGH - z) + k * _LN2_LOW
    p = jnp.full_like(r, 1 / math.factorial(13))
    for n in range(12, -1, -1):
        p = p * r + 1 / math.factorial(n)
    e = p * power_of_two(-k.astype(jnp.int64))
    c = 1 / (1 + e)
    return z, e * c, c


def _hard(s: Array, c: Array, inside: Array, label: float, negative: bool) -> Truth64:
    if negative == (label == 0):
        t = jnp.where(inside, jnp.minimum(s, 0.5 - 2.0**-54), s)
    else:
        t = jnp.where(inside, jnp.minimum(c, 1 - 2.0**-53), c)
    scale = power_of_two(-jnp.maximum(exponent_of(t) - 23, -149))
    return in_float64(t if label == 0 else -t, scale, jnp.full_like(t, 2.0**-24))


def _high_and_low(exact: Fraction) -> tuple[float, float]:
    return float(exact), float(exact - Fraction(float(exact)))


def _soft(z: Array, s: Array, label: float, negative: bool) -> Truth64:
    y = Fraction(label)
    small = z < _SMALL
    h = z * (0.25 - z * z * (1 / 48 - z * z / 480))
    near_zero, far = _high_and_low(Fraction(1, 2) - y), _high_and_low(-y if negative else 1 - y)
    constant, low = (jnp.where(small, a, b) for a, b in zip(near_zero, far, strict=True))
    term = jnp.where(small, -h, s) if negative else jnp.where(small, h, -s)
    value = constant + term
    shift = value - constant
    rest = ((constant - (value - shift)) + (term - shift)) + low
    known = jnp.where(small, 2.0**-50 * jnp.abs(h), 2.0**-49 * s) + 2.0**-52 * jnp.abs(rest)
    below = (rest != 0) & ((rest < 0) == (value > 0))
    bits = lax.bitcast_convert_type(jnp.abs(value), jnp.int64)
    scale = power_of_two(-jnp.maximum(exponent_of(lax.bitcast_convert_type(bits - below, jnp.float64)) - 23, -149))
    mantissa = bits & ((1 << 52) - 1)
    gap = jnp.minimum(mantissa, (1 << 52) - mantissa).astype(jnp.float64) * power_of_two(exponent_of(value) - 52)
    unclear = gap + jnp.abs(rest) <= known
    return in_float64(value, scale, jnp.where(unclear, jnp.inf, (known + jnp.abs(rest)) * scale))


def sigmoid_minus_label(magnitude: Array, label: float, negative: bool) -> Truth64:
    """The true `σ(z) - y` for float32 `z` of one sign, by magnitude, to be measured in ulps of float32.

    **Arguments:** `magnitude` int32 of shape `(n,)`; `label` in [0, 1], exact in float32. Needs `jax_enable_x64`.

    **Returns:** a `Truth64`; its bound is infinite where it does not decide the binade of the truth.
    """
    z, s, c = sigmoid_tails(magnitude)
    if label in (0.0, 1.0):
        return _hard(s, c, magnitude > 0, label, negative)
    return _soft(z, s, label, negative)
