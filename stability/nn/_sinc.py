"""`sinc(x) = sin(πx) / (πx)` and its first two derivatives, in float64 and in two words of it.

With `s = sin(πx)`, `c = cos(πx)`,

    f = s / (πx),    f' = (c - f) / x,    f'' = -(π s + 2 f') / x,

and by their power series for `|x| <= 1/4`. `2x` is reduced to the nearest whole number `n`, which is exact: `s` and `c`
are ± sine and cosine of `π r`, `r = x - n/2`, `|r| <= 1/4`, and have their digits next to their roots as well. `f'` and
`f''` cancel next to theirs, which lie near `n + 1/2` and near `n`. What is left there is some 25 bits less than was
there: float64 has them for the narrower formats, and two words of float64 for float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax

from stability import double_word
from stability.double_word import DoubleWord
from stability.nn._exponential import horner, line_of_subnormals

PI = Fraction("3.14159265358979323846264338327950288419716939937510582097494459")

TERMS = [(-1) ** k * PI ** (2 * k) / math.factorial(2 * k + 1) for k in range(20)]
"""`sin(πx) / (πx)` in `x**2`."""
_COSINE = [term * (2 * k + 1) for k, term in enumerate(TERMS)]
_SLOPE = [term * (2 * k) for k, term in enumerate(TERMS)][1:]
"""`f'(x) / x` in `x**2`."""
_CURVATURE = [term * (2 * k) * (2 * k - 1) for k, term in enumerate(TERMS)][1:]

_DOUBLED, _NEEDED = 9, 15
"""Below which degree terms have two words, and how many are more than 2**-106, for `|x| <= 1/4`."""


class _Turn(NamedTuple):
    """`t = |x| = n/2 + r` with `|r| <= 1/4`; `n` modulo 4 is even or odd, and more than 1 or not."""

    t: Array
    r: Array
    first: Array
    odd: Array
    beyond: Array

    def signed(self, sine: Array, cosine: Array) -> tuple[Array, Array]:
        """`sin(πt)` and `cos(πt)` from those of `πr`."""
        s, c = jnp.where(self.odd, cosine, sine), jnp.where(self.odd, -sine, cosine)
        return jnp.where(self.beyond, -s, s), jnp.where(self.beyond, -c, c)


def _turn(x: Array) -> _Turn:
    t = jnp.abs(x)
    n = lax.round(2 * t, lax.RoundingMethod.TO_NEAREST_EVEN)
    m = n - 4 * jnp.floor(n * 0.25)
    return _Turn(t, t - 0.5 * n, n == 0, (m == 1) | (m == 3), m > 1.5)


def _taylor(x: Array, terms: list[Fraction], count: int) -> Array:
    return horner(x * x, [float(term) for term in terms[:count]])


def _ended(x: Array, result: Array) -> Array:
    """0, the limit, at infinities."""
    return jnp.where(jnp.abs(x) < jnp.inf, result, jnp.where(jnp.isnan(x), x, 0))


def _parts(turn: _Turn, count: int) -> tuple[Array, Array, Array]:
    """`sin(πr) / (πr)`, `sin(πt)` and `cos(πt)` from so many terms."""
    near = _taylor(turn.r, TERMS, count)
    return near, *turn.signed(float(PI) * turn.r * near, _taylor(turn.r, _COSINE, count + 1))


def value(x: Array) -> Array:
    """Good to `2**-35`."""
    turn = _turn(x)
    near, s, _ = _parts(turn, 6)
    return _ended(x, jnp.where(turn.first, near, s / (float(PI) * turn.t)))


def _far_slope(turn: _Turn) -> tuple[Array, Array]:
    _, s, c = _parts(turn, 9)
    return (c - s / (float(PI) * turn.t)) / turn.t, s


def slope(x: Array) -> Array:
    turn = _turn(x)
    size, _ = _far_slope(turn)
    return _ended(x, jnp.where(turn.first, x * _taylor(x, _SLOPE, 8), jnp.where(x < 0, -size, size)))


def curvature(x: Array) -> Array:
    turn = _turn(x)
    size, s = _far_slope(turn)
    return _ended(x, jnp.where(turn.first, _taylor(x, _CURVATURE, 8), -(float(PI) * s + 2 * size) / turn.t))


def _doubled(turn: _Turn) -> tuple[DoubleWord, DoubleWord]:
    """`sin(πt)` and `cos(πt)` in two words."""
    zero = jnp.zeros_like(turn.r)
    square = double_word.two_product(turn.r, turn.r)
    pi = double_word.words(PI, turn.r.dtype)
    near = double_word.polynomial(square, TERMS[:_NEEDED], _DOUBLED)
    (s, s_low) = double_word.multiply(double_word.multiply((turn.r, zero), (zero + pi[0], zero + pi[1])), near)
    (c, c_low) = double_word.polynomial(square, _COSINE[:_NEEDED], _DOUBLED)
    (s, c), (s_low, c_low) = turn.signed(s, c), turn.signed(s_low, c_low)
    return (s, s_low), (c, c_low)


def _over(x: DoubleWord, factor: Fraction, t: Array) -> DoubleWord:
    """`x / (factor t)`."""
    high, low = double_word.words(factor, t.dtype)
    zero = jnp.zeros_like(t)
    return double_word.divide(x, double_word.multiply((t, zero), (zero + high, zero + low)))


def _doubled_slope(turn: _Turn) -> tuple[DoubleWord, DoubleWord]:
    s, c = _doubled(turn)
    f, f_low = _over(s, PI, turn.t)
    return _over(double_word.add(c, (-f, -f_low)), Fraction(1), turn.t), s


def _rounded(x: Array, turn: _Turn, series: Callable[[Array], Array], far: DoubleWord) -> Array:
    return _ended(x, jnp.where(turn.first, series(jnp.where(turn.first, x, 0)), far[0]))


def value_doubled(x: Array) -> Array:
    turn = _turn(x)
    s, _ = _doubled(turn)
    return _rounded(x, turn, lambda t: _taylor(t, TERMS, 11), _over(s, PI, turn.t))


def slope_doubled(x: Array) -> Array:
    turn = _turn(x)
    (size, _), _ = _doubled_slope(turn)
    far = jnp.where(x < 0, -size, size)
    result = _rounded(x, turn, lambda t: t * _taylor(t, _SLOPE, 11), (far, far))
    return line_of_subnormals(x, float(_SLOPE[0]), result)


def curvature_doubled(x: Array) -> Array:
    turn = _turn(x)
    size, s = _doubled_slope(turn)
    zero = jnp.zeros_like(turn.t)
    high, low = double_word.words(PI, turn.t.dtype)
    total = double_word.add(double_word.multiply(s, (zero + high, zero + low)), double_word.scale(size, zero + 2))
    far, _ = _over(total, Fraction(-1), turn.t)
    return _rounded(x, turn, lambda t: _taylor(t, _CURVATURE, 11), (far, far))
