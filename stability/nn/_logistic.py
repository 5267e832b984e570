"""The logistic functions and their first two derivatives, in float32 and float64, within a few roundings.

All of them are written in `e = e^-|x|`, so that nothing overflows, and so that sums have terms of one sign: with
`s = 1 + e` and `d = 1 - e`, `σ' = e / s²`, `σ'' = -sign(x) e d / s³`, `tanh(|x|/2) = d / s`. Where terms of both signs
remain, next to a root of a derivative, `_roots` takes over.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from stability.nn._exponential import exponential, log1p_reduced, power, quotient, reach, shift
from stability.nn._roots import Root


class Decay(NamedTuple):
    """`e = e^-a = two (1 + q)` for `0 <= a`; `scaled` is `two` times a power of two that keeps it normal."""

    a: Array
    q: Array
    scaled: Array

    @property
    def down(self) -> float:
        return 2.0 ** -shift(self.a)

    @property
    def two(self) -> Array:
        return self.scaled * self.down

    @property
    def e(self) -> Array:
        return self.two + self.two * self.q

    @property
    def s(self) -> Array:
        """`1 + e`."""
        return (1 + self.two) + self.two * self.q

    @property
    def squared(self) -> Array:
        """`(1 + e)**2`."""
        two, more = self.two, self.two * self.q
        return 1 + (two * (2 + two) + more * (2 * (1 + two) + more))

    @property
    def cubed(self) -> Array:
        """`(1 + e)**3`."""
        two, more = self.two, self.two * self.q
        c = 1 + two
        return 1 + (two * (3 + two * (3 + two)) + more * (3 * c * c + more * (3 * c + more)))

    @property
    def d(self) -> Array:
        """`1 - e`, which keeps its digits where `a` is small."""
        return (1 - self.two) - self.two * self.q

    def times(self, x: Array) -> Array:
        """`x e`, also where `e` by itself underflows."""
        return ((x + x * self.q) * self.scaled) * self.down


def decay(x: Array) -> Decay:
    """`e^-|x|`; as far as `reach`, past which `e^-|x|` times anything here is 0."""
    a = jnp.minimum(jnp.abs(x), reach(x))
    k, q = exponential(-a)
    return Decay(a, q, power(k + shift(x)))


def sigmoid(x: Array) -> Array:
    e = decay(x)
    share = quotient(jnp.ones_like(x), e.s)
    return jnp.where(x < 0, e.times(share), share)


def sigmoid_slope(x: Array) -> Array:
    e = decay(x)
    return e.times(quotient(jnp.ones_like(x), e.squared))


def sigmoid_curvature(x: Array) -> Array:
    e = decay(x)
    size = e.times(quotient(e.d, e.cubed))
    return jnp.where(x < 0, size, -size)


def softplus(x: Array) -> Array:
    """`max(x, 0) + log(1 + e)`; above `sqrt(2)`, `1 + e` is halved."""
    e = decay(x)
    halved = e.e > math.sqrt(2) - 1
    z = jnp.where(halved, -0.5 * e.d, e.times(jnp.ones_like(x)))
    return jnp.maximum(x, 0) + (jnp.where(halved, math.log(2), 0) + log1p_reduced(z))


def tanh(x: Array) -> Array:
    e = decay(2 * x)
    size = quotient(e.d, e.s)
    return jnp.where(x < 0, -size, size)


def tanh_slope(x: Array) -> Array:
    e = decay(2 * x)
    return e.times(quotient(jnp.full_like(x, 4), e.squared))


def tanh_curvature(x: Array) -> Array:
    e = decay(2 * x)
    size = e.times(quotient(8 * e.d, e.cubed))
    return jnp.where(x < 0, size, -size)


def silu(x: Array) -> Array:
    e = decay(x)
    share = quotient(e.a, e.s)
    return jnp.where(x < 0, -e.times(share), jnp.where(x < reach(x), share, x))


_SILU_SLOPE = Root("-1.27846454276107379510935873902298015543948", {(0, 0): 1, (1, 0): 1, (0, 1): 1})
_SILU_CURVATURE = Root(
    "2.39935728051546766783273969728228388852292", {(0, 0): 2, (1, 0): -1, (0, -1): 2, (1, -1): 1}
)


def silu_slope(x: Array) -> Array:
    """`(1 + e + e x) / s²`, and left of 0 `e (1 + x + e) / s²`."""
    e = decay(x)
    left = _SILU_SLOPE.near(x, (1 - e.a) + e.e)
    share = quotient(jnp.where(x < 0, left, e.s + e.e * e.a), e.squared)
    return jnp.where(x < 0, e.times(share), share)


def silu_curvature(x: Array) -> Array:
    """`e (2 - a + e (2 + a)) / s³`."""
    e = decay(x)
    n = _SILU_CURVATURE.near(e.a, (2 - e.a) + e.e * (2 + e.a))
    return e.times(quotient(n, e.cubed))


def mish(x: Array) -> Array:
    """`x w / (w + 2)` with `w = e^2x + 2 e^x`."""
    e = decay(x)
    above = jnp.where(x < 0, 2 + e.e, 1 + 2 * e.e)
    below = jnp.where(x < 0, 2 + e.e * (2 + e.e), 1 + 2 * e.e * e.s)
    share = quotient(e.a * above, below)
    return jnp.where(x < 0, -e.times(share), jnp.where(x < reach(x), share, x))


_MISH_SLOPE = Root(
    "-1.19243121451549521213758834042073940560069",
    {(0, 3): 1, (0, 2): 4, (0, 1): 6, (0, 0): 4, (1, 1): 4, (1, 0): 4},
)
_MISH_CURVATURE_TERMS = {
    **{(0, 3): 2, (0, 2): 6, (0, 1): 8, (0, 0): 4},
    **{(1, 0): 2, (1, 1): 2, (1, 2): -3, (1, 3): -2},
}
_MISH_CURVATURE_LEFT = Root("-2.25637639636079312000574854395016390626403", _MISH_CURVATURE_TERMS)
_MISH_CURVATURE_RIGHT = Root(
    "1.49057117948542845929449081899790982112783",
    {(i, j - 3): a for (i, j), a in _MISH_CURVATURE_TERMS.items()},
)


def mish_slope(x: Array) -> Array:
    """With `E = e^x`, `E (E³ + 4E² + 6E + 4 + 4x(E + 1)) / (E² + 2E + 2)²`, and right of 0 the same in `1/E`."""
    d = decay(x)
    e, a = d.e, d.a
    left = _MISH_SLOPE.near(x, (4 - 4 * a) + e * ((6 - 4 * a) + e * (4 + e)))
    right = 1 + e * (4 + e * ((6 + 4 * a) + e * (4 + 4 * a)))
    below = jnp.where(x < 0, 2 + e * (2 + e), 1 + 2 * e * d.s)
    share = quotient(jnp.where(x < 0, left, right), below * below)
    return jnp.where(x < 0, d.times(share), share)


def mish_curvature(x: Array) -> Array:
    """With `E = e^x`, `4E (2E³ + 6E² + 8E + 4 + x(2 + 2E - 3E² - 2E³)) / (E² + 2E + 2)³`, right of 0 in `1/E`."""
    d = decay(x)
    e, a = d.e, d.a
    left = _MISH_CURVATURE_LEFT.near(x, (4 - 2 * a) + e * ((8 - 2 * a) + e * ((6 + 3 * a) + e * (2 + 2 * a))))
    right = _MISH_CURVATURE_RIGHT.near(x, (2 - 2 * a) + e * ((6 - 3 * a) + e * ((8 + 2 * a) + e * (4 + 2 * a))))
    below = jnp.where(x < 0, 2 + e * (2 + e), 1 + 2 * e * d.s)
    return d.times(quotient(4 * jnp.where(x < 0, left, right * e), below * below * below))
