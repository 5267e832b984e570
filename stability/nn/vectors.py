"""The length of a vector and the cosine distance of two, whose values and gradients keep their digits.

`jax.numpy.linalg.norm` squares what over- and underflows, and its gradient at 0 is NaN. `1 - cos` leaves nothing of the
distance of two vectors that point almost the same way, and less than nothing of its gradient. With `u = x / |x|`,
`w = y / |y|` and `h = y - x`,

    d = 1 - u w = |u - w|² / 2,    u - w = (x (h (x + y)) / (|x| + |y|) - h |x|) / (|x| |y|),
    ∂d/∂x = ((u - w) - d u) / |x|.

All is computed in float64 for narrower formats, vectors scaled by a power of two before they are squared. The
derivatives of the gradients are composed of such functions in the format of the arguments.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from stability.losses import Kernel
from stability.nn._double import Linear, in_double, widened
from stability.nn._elementwise import floats
from stability.nn._layout import Axis, rows_last

if TYPE_CHECKING:
    from jaxtyping import Float


def _sum(x: Array) -> Array:
    return jnp.sum(x, axis=-1, keepdims=True)


def _scaled(x: Array) -> tuple[Array, Array]:
    """`x` in float64, over a power of two `2**k` near its largest number, and `k`; an infinite one is ±1, the rest 0."""
    wide = widened(x)
    largest = jnp.max(jnp.abs(wide), axis=-1, keepdims=True)
    _, k = jnp.frexp(jnp.where(jnp.isfinite(largest) & (largest > 0), largest, 1))
    small = jnp.ldexp(wide, -k)
    return jnp.where(jnp.isinf(largest), jnp.where(jnp.isinf(wide), jnp.sign(wide), 0), small), k


def _length(x: Array) -> Array:
    small, k = _scaled(x)
    size = jnp.sqrt(_sum(small * small))
    infinite = jnp.isinf(jnp.max(jnp.abs(x), axis=-1, keepdims=True))
    return jnp.where(infinite, jnp.inf, jnp.ldexp(size, k))


def _over(x: Array, size: Array) -> Array:
    """`x / size`, and 0 where that is 0."""
    return jnp.where(size == 0, 0, x / jnp.where(size == 0, 1, size))


def _unit(x: Array) -> Array:
    small, _ = _scaled(x)
    return _over(small, jnp.sqrt(_sum(small * small)))


def _turned(v: Array, x: Array) -> Array:
    """`(v - u (u v)) / |x|`."""
    small, k = _scaled(x)
    size = jnp.sqrt(_sum(small * small))
    u, v = _over(small, size), widened(v)
    return jnp.ldexp(_over(v - u * _sum(u * v), size), -k)


def _gap(x: Array, y: Array) -> tuple[Array, Array, Array]:
    """`u - w`, and `x` over a power of two, which is divided by, too."""
    (x, _), (y, _) = _scaled(x), _scaled(y)
    a, b = jnp.sqrt(_sum(x * x)), jnp.sqrt(_sum(y * y))
    h = y - x
    gap = _over(_over(x * _sum(h * (x + y)), a + b) - h * a, a * b)
    return gap, _over(x, a), a


def _difference(x: Array, y: Array) -> Array:
    gap, _, _ = _gap(x, y)
    return gap


def _halved_square(x: Array) -> Array:
    return _sum(x * x) / 2


def _distance(x: Array, y: Array) -> Array:
    gap, _, a = _gap(x, y)
    b = _length(widened(y))
    return jnp.where((a == 0) | (b == 0), 1, _halved_square(gap))


def _distance_slope(x: Array, y: Array) -> Array:
    gap, u, a = _gap(x, y)
    _, k = _scaled(x)
    return jnp.ldexp(_over(gap - u * _halved_square(gap), a), -k)
