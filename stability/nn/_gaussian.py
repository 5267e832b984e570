"""The Gaussian error linear units and their first two derivatives, in float32 and float64, within a few roundings.

With `t = |x|`, the distribution `Φ` and the density `φ` of the normal distribution, and `W = t Φ(-t) / φ(t)`,

    f(x) = x Φ(x) = max(x, 0) - φ W,    f'(-t) = φ (W/t - t) = 1 - f'(t),    f''(x) = φ (2 - t²).

`W` is a polynomial in `1 / (t + 3)`. The unit by tanh is `x σ(y)` with `y = x v`, `v = a + b x²`, and with `e =
e^-|y|`, `y' = 3 v - 2 a`, `n = t y' - 1`,

    f(x) = max(x, 0) - t e / (1 + e),    f'(-t) = -e (n - e) / (1 + e)² = 1 - f'(t),
    f''(x) = -e (B - e C) / (1 + e)³,    B = y' (t y' - 2) - 6 b t²,    C = y' (t y' + 2) + 6 b t².

**What one float does not hold.** The absolute error of an exponent is the relative one of its power. So `t` is split
into halves of its bits, `t = h + l`, whose products are exact, and `t²/2`, `y`, `1 / (t + 3)` and `t y'` are each a
product of two short numbers and a small rest. Near the roots of `f'` and `f''` stand polynomials in the distance to the
root, which is exact where it is small.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from stability import double_word
from stability.double_word import DoubleWord
from stability.formats import format_of
from stability.nn import _gaussian_tables as tables
from stability.nn._exponential import EXP, LN2, horner, power, shift

_HALF = {32: 12, 64: 27}
"""By bits of a format: how many low bits of a float are cleared in its upper half."""


def _polynomial(x: Array, coefficients: Mapping[int, Sequence[float]]) -> Array:
    return horner(x, coefficients[format_of(x.dtype).bits])


def _upper(x: Array) -> Array:
    """`x` with half of its bits."""
    bits = format_of(x.dtype).bits
    integer = jnp.int32 if bits == 32 else jnp.int64
    return lax.bitcast_convert_type(lax.bitcast_convert_type(x, integer) & integer(-(1 << _HALF[bits])), x.dtype)


def _short(x: Fraction, like: Array) -> tuple[np.floating, np.floating]:
    """A number as one of half the bits of `like`'s format, and the rest."""
    fmt = format_of(like.dtype)
    mantissa, exponent = math.frexp(float(x))
    kept = fmt.precision - _HALF[fmt.bits]
    high = math.ldexp(round(math.ldexp(mantissa, kept)), exponent - kept)
    return fmt.dtype.type(high), fmt.dtype.type(float(x - Fraction(high)))


class _Halves(NamedTuple):
    """`t = h + l`, `h` with half the bits of `t`, so that `h**2`, `h l` and `l**2` are floats."""

    t: Array
    h: Array
    l: Array


def _halves(x: Array, farthest: float) -> _Halves:
    """Of `|x|`, and of `farthest` beyond it, where everything here has underflowed."""
    t = jnp.minimum(jnp.abs(x), farthest)
    h = _upper(t)
    return _Halves(t, h, t - h)


class _Power(NamedTuple):
    """`e^-a = (1 + q) scaled down`."""

    q: Array
    scaled: Array
    down: float

    @property
    def value(self) -> Array:
        return (self.scaled + self.scaled * self.q) * self.down

    def times(self, high: Array, low: Array | float = 0.0) -> Array:
        """`(high + low) e^-a`."""
        return ((high + ((high + low) * self.q + low)) * self.scaled) * self.down


def _decay(a: Array, low: Array) -> _Power:
    """`e^-(a + low)`, to half an ulp and a little: the sum is rounded where it is reduced."""
    bits = format_of(a.dtype).bits
    k = lax.round((a + low) * (-1 / math.log(2)), lax.RoundingMethod.TO_NEAREST_EVEN)
    r = (-a - k * LN2[bits][0]) - (k * LN2[bits][1] + low)
    return _Power(r + r * r * horner(r, EXP[bits]), power(k + shift(a)), 2.0 ** -shift(a))


def _square_less(c: Fraction, x: _Halves) -> DoubleWord:
    """`c - t**2` in two words.

    The first of them is not a constant of the program: XLA takes `(c + x) - c` for `x` where `c` is one.
    """
    high, low = double_word.words(c, x.t.dtype)
    d, rest = double_word.two_sum(jnp.where(x.h < jnp.inf, high, jnp.nan).astype(x.t.dtype), -x.h * x.h)
    d, more = double_word.two_sum(d, -2 * x.h * x.l)
    return d, (rest + more) + (low - x.l * x.l)


def _near_root(root: Fraction, t: Array, coefficients: Mapping[int, Sequence[float]]) -> Array:
    """`(root - t) P(root - t)`."""
    high, low = double_word.words(root, t.dtype)
    distance = high - t
    p = _polynomial(distance, coefficients)
    return distance * p + (((high - distance) - t) + low) * p


def _about_half(x: Array, of_minus_t: Array) -> Array:
    """`f'(x)` from `f'(-t)`: `f' - 1/2` is odd."""
    return jnp.where(x < 0, of_minus_t, 1 - of_minus_t)


def _density(x: Array) -> tuple[_Halves, _Power]:
    """`|x|`, and `φ(x)`, which is half of `2 φ(0)` times `e^(-x**2/2)`."""
    halves = _halves(x, 15.5 if x.dtype == jnp.float32 else 39.8)
    t, h, l = halves
    q, scaled, down = _decay(0.5 * h * h, (t + h) * (0.5 * l) + float(tables.LOG_DENSITY))
    return halves, _Power(q, scaled, down / 2)


def _tail(x: _Halves) -> Array:
    """`W = t Φ(-t) / φ(t)` for `t >= 0.65`.

    With `s` short, `1 / (t + 3) = s (1 + c + c² + ...)` for `c = 1 - s (t + 3)`, all of whose products are exact.
    """
    s = _upper(1 / (x.t + 3))
    c = ((1 - 3 * s) - s * x.h) - s * x.l
    p = _polynomial((s - 3 / 16) + s * (c + c * c), tables.TAIL)
    return 1 - s * s * ((1 + c * (2 + 3 * c)) * p)


def exact(x: Array) -> Array:
    """`x Φ(x)`."""
    halves, density = _density(x)
    near = x * (0.5 + x * _polynomial(x * x, tables.CENTRAL))
    return jnp.where(halves.t < 0.671875, near, jnp.maximum(x, 0) - density.times(_tail(halves)))


def exact_slope(x: Array) -> Array:
    """`Φ(x) + x φ(x)`."""
    halves, density = _density(x)
    t = halves.t
    near = _near_root(tables.EXACT_ROOT, t, tables.EXACT_SLOPE)
    return _about_half(x, jnp.where(t < 1.4375, near, -density.times(t - _tail(halves) / t)))


def exact_curvature(x: Array) -> Array:
    """`φ(x) (2 - x**2)`."""
    halves, density = _density(x)
    return density.times(*_square_less(Fraction(2), halves))


class _Exponent(NamedTuple):
    """What the unit by tanh needs of `t`: `e = e^-y`, and `y'` and `6 b t²`; `y'` in two words, the first short."""

    e: _Power
    slope: DoubleWord
    bend: Array


def _exponent(x: _Halves) -> _Exponent:
    t, h, l = x
    b = tables.SCALE * Fraction("0.044715")
    (a_high, a_low), (b_high, b_low) = _short(tables.SCALE, t), _short(b, t)
    square = _upper(h * h)
    v = _upper(float(tables.SCALE) + float(b) * square)
    small = float(b) * ((h * h - square) + (t + h) * l) + (b_low * square + a_low)
    v_low = ((a_high - v) + b_high * square) + small
    slope, slope_low = 3 * v - 2 * a_high, 3 * v_low - 2 * a_low
    return _Exponent(_decay(h * v, l * v + t * v_low), (slope, slope_low), 2 * ((slope - a_high) + (slope_low - a_low)))


def _by_tanh(x: Array) -> tuple[_Halves, _Exponent]:
    halves = _halves(x, 11.5 if x.dtype == jnp.float32 else 22.0)
    return halves, _exponent(halves)


def by_tanh(x: Array) -> Array:
    """`x σ(y)`."""
    halves, exponent = _by_tanh(x)
    q, scaled, down = exponent.e
    tail = ((halves.t + halves.t * q) * scaled / (1 + exponent.e.value)) * down
    return jnp.maximum(x, 0) - tail


def by_tanh_slope(x: Array) -> Array:
    halves, exponent = _by_tanh(x)
    (t, h, l), e, (slope, slope_low) = halves, exponent.e.value, exponent.slope
    n, rest = h * slope - 1, (l * slope + t * slope_low) - e
    more = e * (2 + e)
    rest = rest - (n + rest) * (more / (1 + more))
    near = _near_root(tables.TANH_ROOT, t, tables.TANH_SLOPE)
    return _about_half(x, jnp.where(t < 0.9375, near, -exponent.e.times(n, rest)))


def by_tanh_curvature(x: Array) -> Array:
    halves, exponent = _by_tanh(x)
    (t, h, l), e = halves, exponent.e.value
    slope = _upper(exponent.slope[0])
    slope_low = (exponent.slope[0] - slope) + exponent.slope[1]
    line, line_low = h * slope, l * slope + t * slope_low
    m = line - 2
    high = slope * m
    low = slope_low * m + (slope + slope_low) * line_low - exponent.bend
    c = (slope + slope_low) * (line + line_low + 2) + exponent.bend
    low = low - e * ((c + (high + low) * (3 + e * (3 + e))) / ((1 + e) * (1 + e) * (1 + e)))
    d, rest = _square_less(tables.TANH_INFLECTION**2, halves)
    p = _polynomial(float(tables.TANH_INFLECTION) - t, tables.TANH_CURVATURE)
    return jnp.where(t < 1.875, d * p + rest * p, -exponent.e.times(high, low))
