"""The logistic functions and their first two derivatives, in float32 and float64.

All of them are written in `e = e^-|x|`, so that nothing overflows and most sums have terms of one sign: with `s = 1 +
e` and `d = 1 - e`, `σ' = e / s²`, `σ'' = -sign(x) e d / s³` and `tanh(|x|/2) = d / s`. Where a formula has many
roundings, or terms of both signs, it is computed in two words, and next to a root by the series there.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from stability import double_word as dw
from stability.double_word import DoubleWord
from stability.formats import format_of
from stability.nn._exponential import (
    exponential,
    exponential_words,
    line_of_subnormals,
    log1p_reduced,
    power,
    reach,
    shift,
)
from stability.nn._roots import Root


class Decay(NamedTuple):
    """`e = e^-a = two (1 + q)` for `0 <= a`; `scaled` is `two` times a power of two that keeps it normal."""

    a: Array
    q: DoubleWord
    scaled: Array

    @property
    def down(self) -> float:
        return 2.0 ** -shift(self.a)

    @property
    def two(self) -> Array:
        return self.scaled * self.down

    @property
    def more(self) -> Array:
        """`e - two`."""
        return self.two * self.q[0]

    @property
    def e(self) -> Array:
        return self.two + self.more

    @property
    def words(self) -> DoubleWord:
        """`e`."""
        high, low = dw.fast_two_sum(self.two, self.more)
        return high, low + self.two * self.q[1]

    @property
    def s(self) -> Array:
        """`1 + e`."""
        return (1 + self.two) + self.more

    @property
    def w(self) -> Array:
        """`e (2 + e)`."""
        two, more = self.two, self.more
        return two * (2 + two) + more * (2 * (1 + two) + more)

    @property
    def d(self) -> Array:
        """`1 - e`, which keeps its digits where `a` is small."""
        return (1 - self.two) - self.more

    @property
    def d_words(self) -> DoubleWord:
        """`1 - e`."""
        high, low = dw.two_sum(-self.more, 1 - self.two)
        return dw.fast_two_sum(high, low - self.two * self.q[1])

    def times(self, x: Array, low: Array | None = None) -> Array:
        """`(x + low) e`, also where `e` by itself underflows."""
        q = self.q[0]
        product = x + (x * q if low is None else x * q + (low + low * q))
        return (product * self.scaled) * self.down


def _below(x: Array, low: Array | None, far: float) -> tuple[Array, Array | None]:
    """`-|x + low|` in two words, as far as `far`."""
    a = jnp.minimum(jnp.abs(x), far)
    return -a, None if low is None else jnp.where(jnp.abs(x) > a, 0, jnp.where(x < 0, low, -low)).astype(x.dtype)


def decay(x: Array, low: Array | None = None) -> Decay:
    """`e^-|x + low|`; as far as `reach`, past which `e^-|x|` times anything here is 0."""
    high, low = _below(x, low, reach(x))
    k, q = exponential_words(high, low)
    return Decay(-high, q, power(k + shift(x)))


def _words(x: Array) -> DoubleWord:
    return x, jnp.zeros_like(x)


def _add(x: DoubleWord, y: DoubleWord) -> DoubleWord:
    """`x + y`, off by a few `u**2` of the larger of them."""
    high, low = dw.two_sum(x[0], y[0])
    return dw.fast_two_sum(high, low + (x[1] + y[1]))


def _ratio(x: DoubleWord, y: DoubleWord) -> DoubleWord:
    """`x / y`, where the words below the first of both are made up for, but not the rounding of the division."""
    high = dw.quotient_after_masks(x[0], y[0])
    return high, dw.quotient_after_masks(x[1] - high * y[1], y[0])


def _polynomial(x: DoubleWord, coefficients: list[DoubleWord]) -> DoubleWord:
    """By Horner's rule, the constant first."""
    total = coefficients[-1]
    for c in reversed(coefficients[:-1]):
        total = _add(dw.multiply(total, x), c)
    return total


def _power(x: DoubleWord, n: int) -> DoubleWord:
    total = x
    for _ in range(n - 1):
        total = dw.multiply(total, x)
    return total


def _one_plus(x: DoubleWord) -> DoubleWord:
    return _add(x, _words(jnp.ones_like(x[0])))


class Parts(NamedTuple):
    """`e = e^-a = two (1 + q)` for `0 <= a`, in one word each; `e` and `two` are 0 where `e` is subnormal."""

    q: Array
    two: Array

    @property
    def e(self) -> Array:
        return self.two + self.two * self.q


def parts(x: Array, low: Array | None = None) -> Parts:
    """`e^-|x + low|`."""
    k, q = exponential(*_below(x, low, (format_of(x.dtype).emax + 0.25) * math.log(2)))
    return Parts(q, power(k))


def sigmoid(x: Array, low: Array | None = None) -> Array:
    """`1 / (1 + e)`, and left of 0 `e / (1 + e)`."""
    e = parts(x, low).e
    return jnp.where(x < 0, e, 1) / (1 + e)


def sigmoid_slope(x: Array, low: Array | None = None) -> Array:
    """`e / (1 + e)²`."""
    e = parts(x, low).e
    return e / (1 + e * (2 + e))


def _curvature(x: Array, factor: float, low: Array | None = None) -> Array:
    """`factor σ''(x + low)`."""
    e = decay(x, low)
    size = e.times(*dw.divide(dw.scale(e.d_words, jnp.full_like(x, factor)), _power(_one_plus(e.words), 3)))
    return jnp.where(x < 0, size, -size)


def sigmoid_curvature(x: Array, low: Array | None = None) -> Array:
    return _curvature(x, 1.0, low)


def _log1p(e: Decay) -> Array:
    """`log(1 + e)`; above `sqrt(2)`, `1 + e` is halved."""
    halved = e.e > math.sqrt(2) - 1
    z = jnp.where(halved, -0.5 * e.d, e.times(jnp.ones_like(e.a)))
    return jnp.where(halved, math.log(2), 0).astype(z.dtype) + log1p_reduced(z)


def softplus(x: Array) -> Array:
    return jnp.maximum(x, 0) + _log1p(decay(x))


def difference(x: Array, y: Array) -> DoubleWord:
    """`x - y` exactly; 0 for equal infinities."""
    high, low = dw.two_sum(x, -y)
    return jnp.where(x == y, 0, high), jnp.where(jnp.isfinite(high), low, 0)


def logaddexp(x: Array, y: Array) -> Array:
    """`max(x, y) + log(1 + e^-|x - y|)`."""
    return jnp.maximum(x, y) + _log1p(decay(*difference(x, y)))


def tanh(x: Array) -> Array:
    """`±(1 - e) / (1 + e)`, whose upper part keeps its digits where `x` is small."""
    q, two = parts(2 * x)
    return jnp.copysign((1 - two) - two * q, x) / ((1 + two) + two * q)


def tanh_slope(x: Array) -> Array:
    """`4 e / (1 + e)²`, which is normal for some subnormal `e`."""
    k, q = exponential(*_below(2 * x, None, (format_of(x.dtype).emax + 2.25) * math.log(2)))
    four = power(k + 2)
    four = four + four * q
    e = 0.25 * four
    return four / (1 + e * (2 + e))


def tanh_curvature(x: Array) -> Array:
    """`8 σ''(2x)`; `-2x` where `x` is subnormal."""
    return line_of_subnormals(x, -2.0, _curvature(2 * x, 8.0))


def silu(x: Array) -> Array:
    """`x / (1 + e)`, and left of 0 `x e / (1 + e)`, which is normal for some subnormal `e`."""
    left, _ = _below(x, None, reach(x))
    k, q = exponential(left)
    scaled = power(k + shift(x))
    down = 2.0 ** -shift(x)
    left = ((left + left * q) * scaled) * down
    two = scaled * down
    return jnp.where(x < 0, left, x) / (1 + (two + two * q))


_SILU_SLOPE = Root(
    "-1.27846454276107379510935873902298015543948",
    "0.217811705719800098779702924073255219818092",
    "0x1.2c563458cc0adp-3 0x1.353eb573ca457p-6 -0x1.f2d0e32bc2994p-7 -0x1.b0f82c498fd2fp-8 0x1.098e92b8f076dp-13 "
    "0x1.a2a7caf0ee747p-11 0x1.8574d136d4cb4p-13 -0x1.57238dca12615p-15 -0x1.f2d8976600f6fp-16 -0x1.8af40fd30a2bcp-19 "
    "0x1.3ae0f751df483p-19 0x1.cdb14ef8f6491p-21",
)
_SILU_CURVATURE = Root(
    "2.39935728051546766783273969728228388852292",
    "-0.0915305201641922838700520946042306487802667",
    "0x1.388203715b23ep-4 -0x1.706e66bf3603bp-6 -0x1.e178d8d2391d6p-10 0x1.fa4e9f742fa77p-9 -0x1.662f848d6c11cp-10 "
    "0x1.e2e4a6611bf4bp-14 0x1.94804c550c0fcp-14 -0x1.8e0bb1b9411e3p-15 0x1.1af1925d34d7ep-17 0x1.4e83911395334p-20 "
    "-0x1.3f8fd2d4427b6p-20 0x1.51a7765845eb5p-22",
)


def silu_slope(x: Array) -> Array:
    """`(1 + e + e x) / s²`, and left of 0 `e (1 + x + e) / s²`."""
    e = decay(x)
    high, low = dw.two_sum((1 - e.a) + e.two, e.more)
    n = jnp.where(x < 0, high, e.s + e.e * e.a), jnp.where(x < 0, low + e.two * e.q[1], 0)
    share, rest = _ratio(n, dw.two_sum(e.w, jnp.ones_like(x)))
    return _SILU_SLOPE.near(x, jnp.where(x < 0, e.times(share, rest), share))


def silu_curvature(x: Array) -> Array:
    """`e (2 - a + e (2 + a)) / s³`."""
    e = decay(x)
    two = jnp.full_like(x, 2)
    n = _polynomial(e.words, [dw.two_sum(-e.a, two), dw.two_sum(e.a, two)])
    return _SILU_CURVATURE.near(e.a, e.times(*dw.divide(n, _power(_one_plus(e.words), 3))))


def mish(x: Array) -> Array:
    """`x w / (w + 2)` with `w = e^2x + 2 e^x`: over `e (e + 2)` or `1 + 2e`, and `2 + 2e + e²` or `1 + 2e + 2e²`."""
    e = decay(x)
    n = jnp.where(x < 0, 1, 2).astype(x.dtype)
    two, more = e.two, e.more
    above = dw.two_sum(n * more, 2 / n + n * two)
    high, low = dw.two_sum(two * (2 + n * two), 2 / n)
    below = _add((high, low), _words(more * ((2 + 2 * n * two) + n * more)))
    share, rest = _ratio(above, below)
    left, right = e.times(e.a * share, e.a * rest), e.a * share + e.a * rest
    return jnp.copysign(jnp.where(x < 0, left, jnp.where(x < reach(x), right, x)), x)


_MISH_SLOPE = Root(
    "-1.19243121451549521213758834042073940560069",
    "0.266947914049534511316623054060666460546492",
    "0x1.a34a251d8ad7bp-3 0x1.574f121a868dbp-5 -0x1.4c222fe64d4fbp-6 -0x1.03369d4ac90fap-6 -0x1.b87ddfb51b745p-9 "
    "0x1.1e5e184a0fe00p-10 0x1.03799182b217fp-10 0x1.0a7954e868670p-12 -0x1.5fffa067220abp-15 -0x1.d453aef9813d0p-15 "
    "-0x1.223bcd6871175p-16 0x1.fa20aae0364c5p-21",
)
_MISH_CURVATURE_LEFT = Root(
    "-2.25637639636079312000574854395016390626403",
    "0.108754410731642694118948592568518728782779",
    "0x1.956e15ad4977cp-4 0x1.321192f866b01p-5 0x1.b79f54f639c0dp-9 -0x1.fa00ae6565a08p-9 -0x1.451146d7c7c26p-9 "
    "-0x1.9fa64b5d84113p-11 -0x1.ba0303a55dc65p-14 0x1.4dba0d414b9b4p-15 0x1.0e6fa51038bd6p-15 0x1.86c9cde32cec6p-17 "
    "0x1.26e828ed46da8p-19 -0x1.9b97ea0ba2a2ep-23",
)
_MISH_CURVATURE_RIGHT = Root(
    "1.49057117948542845929441890819790982112783",
    "-0.230694511597460535589502731065321300506026",
    "0x1.2005f89b94e15p-2 -0x1.467b383afa813p-4 -0x1.11016a32bec52p-4 0x1.eb6dcd56f7729p-5 -0x1.24b1188ea3f55p-7 "
    "-0x1.79fcae5ae4ba7p-7 0x1.caeea1614b2fcp-8 -0x1.1990c81d8054bp-12 -0x1.6f584cc4a3af0p-10 0x1.3ee8a1b2735a0p-11 "
    "0x1.809ebdda7f117p-15 -0x1.1fada05c82d53p-13",
)

Line = tuple[int, int]
"""`c + b a` as `(c, b)`."""


def _mish_quotient(e: Decay, x: Array, left: list[Line], right: list[Line], n: int) -> DoubleWord:
    """A polynomial in `e` whose coefficients are lines in `a`, over `(2 + 2e + e²)**n`; right of 0 the other one, over
    `(1 + 2e + 2e²)**n`."""
    negative = x < 0

    def either(a: int, b: int) -> Array:
        return jnp.where(negative, a, b).astype(x.dtype)

    def line(p: Line, q: Line) -> DoubleWord:
        constant, even = either(p[0], q[0]), [2 * int(b / 2) for b in (p[1], q[1])]
        if p[1] == q[1] == 0:
            return _words(constant)
        first = dw.two_sum(either(*even) * e.a, constant)
        if even == [p[1], q[1]]:
            return first
        return _add(first, _words(either(p[1] - even[0], q[1] - even[1]) * e.a))

    lines = [line(p, q) for p, q in zip(left, right, strict=True)]
    below = _add(dw.scale(e.words, either(1, 2)), _words(jnp.full_like(x, 2)))
    below = _add(dw.multiply(below, e.words), _words(either(2, 1)))
    return _ratio(_polynomial(e.words, lines), _power(below, n))


def mish_slope(x: Array) -> Array:
    """With `E = e^x`, `E (E³ + 4E² + 6E + 4 + 4x(E + 1)) / (E² + 2E + 2)²`, and right of 0 the same in `1/E`."""
    e = decay(x)
    left, right = [(4, -4), (6, -4), (4, 0), (1, 0)], [(1, 0), (4, 0), (6, 4), (4, 4)]
    high, low = _mish_quotient(e, x, left, right, 2)
    return _MISH_SLOPE.near(x, jnp.where(x < 0, e.times(high, low), high))


def mish_curvature(x: Array) -> Array:
    """With `E = e^x`, `4E (2E³ + 6E² + 8E + 4 + x(2 + 2E - 3E² - 2E³)) / (E² + 2E + 2)³`, right of 0 in `1/E`."""
    e = decay(x)
    left, right = [(4, -2), (8, -2), (6, 3), (2, 2)], [(2, -2), (6, -3), (8, 2), (4, 2)]
    v = _mish_quotient(e, x, left, right, 3)
    w = dw.multiply(v, e.words)
    high, low = jnp.where(x < 0, v[0], w[0]), jnp.where(x < 0, v[1], w[1])
    return _MISH_CURVATURE_LEFT.near(x, _MISH_CURVATURE_RIGHT.near(x, e.times(4 * high, 4 * low)))
