"""`squareplus`, `soft_sign` and the derivatives of `log1p`, in float32 and float64: quotients of sums.

The rounding errors of the sums are made up for to first order, so that what remains is that of the last operations.
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

from stability import double_word as dw
from stability.double_word import DoubleWord
from stability.formats import format_of
from stability.nn._exponential import is_positive, quotient, shift


def one_plus(x: Array) -> DoubleWord:
    """`1 + x` exactly; an infinity has no second word."""
    high, low = dw.two_sum(x, jnp.ones_like(x))
    return high, jnp.where(jnp.isfinite(high), low, 0)


def inverse_square(d: DoubleWord) -> Array:
    """`d**-2` for positive `d`, and infinite at 0."""
    high, low = d
    value = quotient(jnp.ones_like(high), high * high)
    rest = 2 * low * (value * high)
    return jnp.where((low == 0) | (value == 0), value, value - value * rest)


def soft_sign(x: Array) -> Array:
    """`x / (1 + |x|)`."""
    a = jnp.minimum(jnp.abs(x), format_of(x.dtype).max)
    return jnp.copysign(a / (1 + a), x)


def soft_sign_slope(x: Array) -> Array:
    """`1 / (1 + |x|)²`, 0 where the square overflows."""
    high, low = dw.two_sum(jnp.minimum(jnp.abs(x), 2.0 ** shift(x)), jnp.ones_like(x))
    return 1 / (high * (high + 2 * low))


def soft_sign_curvature(x: Array) -> Array:
    """`-2 sign(x) / (1 + |x|)³`; at the kink at 0 that from the right."""
    far = 2.0**42.4 if x.dtype == jnp.float32 else 2.0**341.2
    d = one_plus(jnp.minimum(jnp.abs(x), far))
    up = 2.0 ** shift(x)
    high, low = dw.divide((jnp.full_like(x, 2 * up), jnp.zeros_like(x)), dw.multiply(dw.multiply(d, d), d))
    size = jnp.where(jnp.abs(x) > far, 0, (high + low) * (1 / up))
    return jnp.where(is_positive(-x), size, -size)


def _scaled(x: Array, b: Array) -> tuple[Array, Array, Array]:
    """A power of two, and `|x|` times it and `b` times its square, whose squares and roots are normal."""
    single = x.dtype == jnp.float32
    far, near, step = (2.0**62, 2.0**-40, 2.0**64) if single else (2.0**510, 2.0**-400, 2.0**512)
    a = jnp.abs(x)
    factor = jnp.where(a > far, 1 / step, jnp.where((a < near) & (b < near * near), step, 1)).astype(x.dtype)
    return factor, a * factor, (b * factor) * factor


def squareplus(x: Array, b: Array) -> Array:
    """`(x + h) / 2` with `h = sqrt(x² + b)`, and left of 0 `b / (2 (|x| + h))`."""
    factor, a, scaled = _scaled(x, b)
    h = jnp.sqrt(a * a + scaled)
    left = quotient(0.5 * (b * factor), jnp.where(a + h > 0, a + h, 1))
    return jnp.where(jnp.isinf(x), jnp.maximum(x, 0), jnp.where(x < 0, left, (0.5 * a + 0.5 * h) / factor))


def _hypotenuse(a: Array, b: Array) -> tuple[DoubleWord, DoubleWord]:
    """`a² + b` and its root `h`, each in two words, the second 0 where the square overflows."""
    square, rest = dw.two_product(a, a)
    high, low = dw.two_sum(square, b)
    finite = jnp.isfinite(high)
    low = jnp.where(finite, low + rest, 0)
    h = jnp.sqrt(high)
    p, e = dw.two_product(h, h)
    h_low = dw.quotient_after_masks(((high - p) - e) + low, jnp.where(h > 0, 2 * h, 1))
    return (high, low), (h, jnp.where(finite, h_low, 0))


def _corrected(value: Array, *factors: DoubleWord) -> Array:
    """A quotient by the first words of `factors`, made one by all of their words."""
    rest = sum((dw.quotient_after_masks(low, jnp.where(high > 0, high, 1)) for high, low in factors), 0.0)
    return jnp.where(value == 0, 0, value - value * rest)


def squareplus_slope(x: Array, b: Array) -> Array:
    """`(1 + x / h) / 2`, and left of 0 `b / (2 h (h + |x|))`."""
    a = jnp.abs(x)
    _, (h, h_low) = _hypotenuse(a, b)
    total, rest = dw.two_sum(a, h)
    below = jnp.where(x < 0, h * total, h)
    share = dw.quotient_after_masks(jnp.where(x < 0, b, a), jnp.where(below == 0, 1, below))
    left = _corrected(0.5 * share, (h, h_low), (total, jnp.where(jnp.isfinite(total), rest + h_low, 0)))
    right = jnp.where(h == jnp.inf, 1, 0.5 + 0.5 * share)
    return jnp.where(x < 0, left, right)


def squareplus_curvature(x: Array, b: Array) -> Array:
    """`b / (2 h³)`."""
    m, h = _hypotenuse(jnp.abs(x), b)
    share = dw.quotient_after_masks(0.5 * b, jnp.where(m[0] == 0, 1, m[0] * h[0]))
    return _corrected(share, m, h)
