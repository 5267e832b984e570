"""`e^x`, `e^x - 1` and `log(1 + x)`, and the units made of them, in float32 and float64."""

from __future__ import annotations

import math

import jax.numpy as jnp
from jax import Array, lax

from stability import double_word as dw
from stability.formats import format_of
from stability.nn._algebraic import inverse_square, one_plus
from stability.nn._exponential import (
    LN2,
    exponential,
    is_positive,
    line_of_subnormals,
    log1p_reduced,
    power,
    reach,
    shift,
)


def _reduced(x: Array, low: Array | None, least: float, most: float) -> tuple[Array, Array]:
    """The exponential of `x + low` in parts, for `x` clipped to where it matters."""
    far = jnp.clip(x, least, most)
    return exponential(far, None if low is None else jnp.where(far == x, low, 0.0).astype(x.dtype))


def multiple_of_exp(factor: Array | float, x: Array, low: Array | None = None) -> Array:
    """`factor e^(x + low)`, also where `e^x` by itself over- or underflows."""
    k, q = _reduced(x, low, -reach(x), reach(x))
    s = shift(x)
    grown = k > 0
    product = (factor + factor * q) * power(jnp.where(grown, k - s, k + s))
    return product * jnp.where(grown, 2.0**s, 2.0**-s).astype(x.dtype)


def expm1(x: Array, low: Array | None = None) -> Array:
    """`2**(k-1) (2q + (2 - 2**(1-k)))`; past where it rounds to -1, -1."""
    fmt = format_of(x.dtype)
    k, q = _reduced(x, low, -1.5 * fmt.precision, (fmt.emax + 1.25) * math.log(2))
    return jnp.copysign(((2 - power(1 - k)) + 2 * q) * power(k - 1), x)


def log1p(x: Array) -> Array:
    """`k ln 2 + log(1 + z)` for `1 + x = 2**k (1 + z)`, `1 + z` between `1/sqrt(2)` and `sqrt(2)`.

    `4 z = 2**(2-k) x + (2**(2-k) - 4)`, where `2**(2-k)` is normal for the largest `x` too.
    """
    fmt = format_of(x.dtype)
    integer = jnp.int32 if fmt.bits == 32 else jnp.int64
    stored = fmt.precision - 1
    u = 1 + x
    half = lax.bitcast_convert_type(jnp.full_like(x, 0.5**0.5), integer)
    steps = (lax.bitcast_convert_type(u, integer) - half) >> stored
    four = lax.bitcast_convert_type(integer((fmt.emax + 2) << stored) - (steps << stored), x.dtype)
    k = steps.astype(x.dtype)
    high, low = LN2[fmt.bits]
    value = k * high + (log1p_reduced(0.25 * (x * four + (four - 4))) + k * low)
    value = jnp.where(u == 0, -jnp.inf, jnp.where(u == jnp.inf, jnp.inf, value))
    return jnp.copysign(jnp.where(u >= 0, value, jnp.nan), x)


def log1p_slope(x: Array) -> Array:
    """`1 / (1 + x)`; NaN left of -1."""
    return jnp.where(x >= -1, 1 / (1 + x), jnp.nan)


def log1p_curvature(x: Array) -> Array:
    """`-1 / (1 + x)²`; NaN left of -1."""
    return jnp.where(x >= -1, -inverse_square(one_plus(x)), jnp.nan)


def elu(x: Array, alpha: Array | float, slope: float = 1.0) -> Array:
    """`slope x` above 0, and `alpha (e^x - 1)` from there down."""
    value = jnp.where(is_positive(x), slope * x, alpha * expm1(x))
    return line_of_subnormals(x, jnp.where(is_positive(x), slope, alpha).astype(x.dtype), value)


def elu_slope(x: Array, alpha: Array | float, slope: float = 1.0) -> Array:
    return jnp.where(is_positive(x), slope, multiple_of_exp(alpha, x))


def elu_curvature(x: Array, alpha: Array | float) -> Array:
    return jnp.where(is_positive(x), 0, multiple_of_exp(alpha, x))


def _over(x: Array, alpha: Array) -> tuple[Array, Array]:
    """`x / alpha` in two words, the second 0 where the first is not finite."""
    high = dw.quotient_after_masks(x, alpha)
    p, e = dw.two_product(high, alpha)
    low = dw.quotient_after_masks((x - p) - e, alpha)
    return high, jnp.where(jnp.isfinite(low), low, 0)


def celu(x: Array, alpha: Array) -> Array:
    """`x` above 0, and `alpha (e^(x / alpha) - 1)` from there down, which is `x` where `x / alpha` is tiny."""
    u, low = _over(jnp.minimum(x, 0), alpha)
    return jnp.where(is_positive(x) | (jnp.abs(u) < 2.0**-60), x, alpha * expm1(u, low))


def celu_slope(x: Array, alpha: Array) -> Array:
    return multiple_of_exp(1.0, *_over(jnp.minimum(x, 0), alpha))


def celu_curvature(x: Array, alpha: Array) -> Array:
    u, low = _over(jnp.minimum(x, 0), alpha)
    return jnp.where(is_positive(x), 0, multiple_of_exp(1 / alpha, u, low))
