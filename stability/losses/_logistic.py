"""Kernels of the losses: `σ(z) - y`, `max(z, 0) - z y + log(1 + e^-|z|)` and `σ(z) σ(-z)`, rounded once at the end.

With `a = |z|`, `k = round(a / ln 2)` and `r = k ln 2 - a`, `|r| <= 0.35`, everything comes from `q = e^r - 1`, a
polynomial in `r`: `e = e^-a = 2**-k (1 + q)`, `σ(-a) = e / (1 + e)`, `1/2 - σ(-a) = -q / (2 (2 + q))` where `k` is 0,
and `log(1 + e) = 2 atanh(f / (2 + f))`, with `f = e`, or `f = (e - 1)/2` and `ln 2` added where `e` is near 1, a
polynomial in the square of that quotient. The gradient is the sum of a *base* that is exact, `1/2 - y` where `k` is 0
and `1 - y` or `-y` elsewhere, and a *term* that is accurate relatively; so nothing cancels at labels 0 and 1, nor at
1/2 near `z = 0`.

Two ways to compute them:

- **single**, in float64 for the narrower formats. The term is off by about 2 ulps of float64, `2**-28` of float32. The
  last sum is rounded to odd, so that the rounding to the format sees on which side of a tie it lies.
- **doubled**, in two words of float32 or float64 (`stability.double_word`), for float64 itself, for hardware without
  float64, and for float32 where base and term cancel by more than `2**-24`.

**Subnormals.** XLA on CPU takes them as 0 and returns them as 0, so they are read from their bits and written as bits:
adding `2**52` times the least float leaves the rounded quanta in the low bits of the sum. Doubled results are kept
scaled by a power of two until then.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array, lax

from stability import double_word
from stability.double_word import DoubleWord
from stability.formats import FORMATS, FloatFormat, format_of

_LN2 = Fraction(0x162E42FEFA39EF35793C7673007E5ED5E81E68, 1 << 149)
"""The logarithm of 2, to `2**-149`."""

_EXP = [Fraction(1, math.factorial(n + 1)) for n in range(19)]
_ATANH = [Fraction(1, 2 * n + 1) for n in range(13)]
_SQRT_HALF_ISH = 0.41421356


def _floats(text: str) -> list[float]:
    return [float.fromhex(c) for c in text.split()]


_EXP_SINGLE = _floats(
    "0x1.0000000000001p-1 0x1.5555555555556p-3 0x1.5555555553d68p-5 0x1.11111111109b5p-7 0x1.6c16c17889ef9p-10 "
    "0x1.a01a01a7c2f03p-13 0x1.a019b914985a9p-16 0x1.71de0db2f585ep-19 0x1.28917c8be7ad6p-22 0x1.af389ed28db09p-26"
)
"""`(e^r - 1 - r) / r**2` for `|r| <= ln(2)/2`, to `2**-52`: mpmath's `chebyfit`."""
_ATANH_SINGLE = _floats(
    "0x1.5555555555544p-2 0x1.99999999a99fbp-3 0x1.249249115a6d8p-3 0x1.c71c834c6b501p-4 "
    "0x1.74592e77d3d15p-4 0x1.3b8c53a898e39p-4 0x1.09176fde9a535p-4 0x1.357f7c6831624p-4"
)
"""`(atanh(t) / t - 1) / t**2` as a polynomial in `t**2 <= 0.0683`, to `2**-49`, which is `2**-54` of `atanh(t)`."""


class Precision(NamedTuple):
    """How far the series go: their degrees, and below which degree their terms have two words."""

    exp: int
    exp_doubled: int
    log: int
    log_doubled: int


FULL = Precision(18, 9, 12, 6)
"""Two words of float64, `2**-85`."""
FLOAT64 = Precision(14, 3, 12, 2)
"""Two words of float64, `2**-60`: enough to round to float64 within 0.51 ulps."""
FLOAT32 = Precision(12, 7, 9, 5)
"""Two words of float32, `2**-44`."""


def _integer(fmt: FloatFormat) -> Any:
    return {16: jnp.int16, 32: jnp.int32, 64: jnp.int64}[fmt.bits]


def _nearest(x: Array) -> Array:
    return lax.round(x, lax.RoundingMethod.TO_NEAREST_EVEN)


def power(exponent: Array, fmt: FloatFormat) -> Array:
    integer = _integer(fmt)
    biased = (exponent.astype(integer) + integer(fmt.emax)) << (fmt.precision - 1)
    return lax.bitcast_convert_type(biased, fmt.dtype)


def _subnormal(x: Array, exponent: int) -> tuple[Array, Array]:
    """Where `x` is 0 or subnormal, and there `x * 2**exponent`, from the bits (float32 or float64)."""
    fmt = format_of(x.dtype)
    integer = _integer(fmt)
    bits = lax.bitcast_convert_type(x, integer)
    mantissa = bits & integer((1 << (fmt.precision - 1)) - 1)
    size = mantissa.astype(x.dtype) * fmt.dtype.type(math.ldexp(1.0, exponent + fmt.least_exponent))
    field = bits & integer(((1 << (fmt.bits - fmt.precision)) - 1) << (fmt.precision - 1))
    return field == 0, jnp.where(bits < 0, -size, size)


def widen(x: Array) -> Array:
    """A narrower array as float64, subnormals included."""
    if x.dtype == jnp.bfloat16:
        bits = lax.bitcast_convert_type(x, jnp.uint16).astype(jnp.uint32) << 16
        x = lax.bitcast_convert_type(bits, jnp.float32)
    fmt = format_of(x.dtype)
    bits = lax.bitcast_convert_type(x, _integer(fmt)).astype(jnp.int32)
    negative = bits >> 31
    quanta = ((bits & ((1 << (fmt.precision - 1)) - 1)) ^ negative) - negative
    subnormal = quanta.astype(jnp.float64) * math.ldexp(1.0, fmt.least_exponent)
    return jnp.where((bits & fmt.infinity) == 0, subnormal, x.astype(jnp.float64))


def narrow(x: Array, fmt: FloatFormat) -> Array:
    """float64 rounded to a narrower format, to nearest even, subnormals included. The sign of a zero is kept."""
    magnitude = jnp.abs(x)
    quanta = lax.bitcast_convert_type(magnitude + math.ldexp(1.0, 52 + fmt.least_exponent), jnp.int64)
    if fmt.bits == 32:
        plain = x.astype(jnp.float32)
        small = quanta.astype(jnp.int32) | lax.bitcast_convert_type(plain, jnp.int32)
        return jnp.where(magnitude < fmt.smallest_normal, lax.bitcast_convert_type(small, jnp.float32), plain)
    bits = lax.bitcast_convert_type(x, jnp.int64)
    shift = 53 - fmt.precision
    rebiased = (bits & ((1 << 63) - 1)) - ((1023 - fmt.emax) << 52)
    rounded = (rebiased + ((1 << (shift - 1)) - 1) + ((rebiased >> shift) & 1)) >> shift
    rounded = jnp.minimum(rounded, fmt.infinity)
    size = jnp.where(magnitude < fmt.smallest_normal, quanta & 0xFFFF, rounded)
    size = jnp.where(jnp.isnan(x), fmt.infinity | (1 << (fmt.precision - 2)), size)
    return lax.bitcast_convert_type((size | jnp.where(bits < 0, 0x8000, 0)).astype(jnp.uint16), fmt.dtype)


def to_odd(high: Array, low: Array) -> Array:
    """`high + low`, `high` being the rounded sum, rounded to odd, so that rounding it again is right (float64).

    An infinite or NaN `high`, the error of which is NaN, stays.
    """
    bits = lax.bitcast_convert_type(high, jnp.int64)
    apart = (bits ^ lax.bitcast_convert_type(low, jnp.int64)) >> 63
    return lax.bitcast_convert_type(jnp.where(jnp.abs(low) > 0, (bits + apart) | 1, bits), high.dtype)


def _estrin(x: Array, coefficients: Sequence[float]) -> Array:
    """`sum(c[n] x**n)` by Estrin's scheme: a chain of the logarithm of the degree, where Horner's is the degree."""
    terms: list[Array] = [jnp.full_like(x, c) for c in coefficients]
    while len(terms) > 1:
        pairs = [low + x * high for low, high in zip(terms[::2], terms[1::2], strict=False)]
        terms = pairs + terms[2 * len(pairs) :]
        x = x * x
    return terms[0]


class _Exponential(NamedTuple):
    """`e = e^-a = 2**-k (1 + q)` in float64."""

    k: Array
    q: Array
    e: Array


def _exponential(a: Array) -> _Exponential:
    """For `0 <= a <= 200` in float64; `q` is off by about an ulp, relatively so where `k` is 0 (`r` is `-a` there)."""
    high = math.floor(float(_LN2) * 2**32) / 2**32
    k = _nearest(a * (1 / math.log(2)))
    r = (k * high - a) + k * float(_LN2 - Fraction(high))
    q = r + r * r * _estrin(r, _EXP_SINGLE)
    biased = lax.bitcast_convert_type((2.0**52 + FORMATS["float64"].emax) - k, jnp.int64)
    two = lax.bitcast_convert_type(biased << 52, jnp.float64)
    return _Exponential(k, q, two + two * q)


def _logarithm(exponential: _Exponential) -> DoubleWord:
    """`log(1 + e)` in float64, in two words of which the first is the larger.

    `2t` is `f - t f` exactly, for `t = f / (2 + f)`: so the leading term has no rounding of the quotient in it.
    """
    k, q, e = exponential
    near = k == 0
    f = jnp.where(near, 0.5 * q, e)
    t = double_word.quotient(f, 2 + f)
    square = t * t
    rest = t * (2 * square * _estrin(square, _ATANH_SINGLE) - f)
    shift, shift_low = double_word.words(_LN2, f.dtype)
    high, low = double_word.fast_two_sum(jnp.where(near, shift, 0.0), f)
    return double_word.fast_two_sum(high, low + jnp.where(near, shift_low, 0.0) + rest)


_FAR = 200.0
"""Past it, σ(-|z|) is below half the least float of every narrower format."""


def gradient(z: Array, y: Array) -> tuple[Array, Array]:
    """`σ(z) - y` for float64 arrays that hold narrower floats, to be rounded by `narrow`.

    **Returns:** the value, rounded to odd, and where base and term cancel so that it may be off by `2**-27` of itself.
    """
    k, q, e = _exponential(jnp.minimum(jnp.abs(z), _FAR))
    near, positive = k == 0, z >= 0
    term = double_word.quotient(jnp.where(near, -0.5 * q, e), 1 + e) * jnp.where(near == positive, 1.0, -1.0)
    base = jnp.where(near, 0.5, jnp.where(positive, 1.0, 0.0)) - y
    high, low = double_word.two_sum(base, term)
    return to_odd(high, low), jnp.abs(high) < 2.0**-26 * jnp.abs(term)


def value(z: Array, y: Array) -> Array:
    """`max(z, 0) - z y + log(1 + e^-|z|)` for float64 arrays that hold narrower floats, to be rounded by `narrow`."""
    logarithm = _logarithm(_exponential(jnp.minimum(jnp.abs(z), _FAR)))
    weight = jnp.where(z >= 0, 1 - y, -y)
    high, low = double_word.two_sum(jnp.where(weight == 0, 0.0, weight * z), logarithm[0])
    return jnp.where(jnp.isfinite(high), to_odd(*double_word.fast_two_sum(high, low + logarithm[1])), high)


def curvature(z: Array) -> Array:
    """`σ(z) σ(-z)` for float64 arrays that hold narrower floats, to be rounded by `narrow`."""
    _, _, e = _exponential(jnp.minimum(jnp.abs(z), _FAR))
    return e / ((1 + e) * (1 + e))


def _reach(fmt: FloatFormat) -> int:
    """The power of two by which doubled values are scaled away from underflow; the clamp's `k` is at most 260 above."""
    return 100 if fmt.bits == 32 else 900


def _doubled_exponential(a: Array, precision: Precision) -> tuple[Array, DoubleWord]:
    fmt = format_of(a.dtype)
    bits = 15 if fmt.bits == 32 else 42
    first = Fraction(math.floor(_LN2 * 2**bits), 2**bits)
    second = Fraction(math.floor((_LN2 - first) * 2 ** (2 * bits)), 2 ** (2 * bits))
    k = _nearest(a * fmt.dtype.type(1 / math.log(2)))
    high, low = double_word.two_sum(k * fmt.dtype.type(first) - a, k * fmt.dtype.type(second))
    r = double_word.fast_two_sum(high, low + k * fmt.dtype.type(_LN2 - first - second))
    q = double_word.multiply(r, double_word.polynomial(r, _EXP[: precision.exp + 1], precision.exp_doubled))
    return k.astype(jnp.int32), q


def _clamped(z: Array) -> Array:
    return jnp.minimum(jnp.abs(z), 120 if z.dtype == jnp.float32 else 800)


def _plus(x: float, d: DoubleWord) -> DoubleWord:
    return double_word.add(d, (jnp.full_like(d[0], x), jnp.zeros_like(d[0])))


def _where(condition: Array, x: DoubleWord, y: DoubleWord) -> DoubleWord:
    return jnp.where(condition, x[0], y[0]), jnp.where(condition, x[1], y[1])


def _times(x: Array, exponent: Array, fmt: FloatFormat) -> Array:
    """`x * 2**exponent`, subnormal `x` included, for exponents from 0 to the reach."""
    subnormal, scaled = _subnormal(x, _reach(fmt))
    return jnp.where(subnormal, scaled * power(exponent - _reach(fmt), fmt), x * power(exponent, fmt))


def gradient_doubled(z: Array, y: Array, precision: Precision) -> tuple[DoubleWord, Array]:
    """`σ(z) - y` as `(v, j)`, the value being `v * 2**-j`, from float32 or float64 `z` and `y` of one shape."""
    fmt = format_of(z.dtype)
    reach = _reach(fmt)
    k, q = _doubled_exponential(_clamped(z), precision)
    near, positive = k == 0, z >= 0
    one_and_q = _plus(1.0, q)
    e = double_word.scale(one_and_q, power(-jnp.minimum(k, reach), fmt))
    numerator = _where(near, double_word.scale(q, fmt.dtype.type(-0.5)), one_and_q)
    term = double_word.divide(numerator, _plus(1.0, e))
    j = jnp.where(jnp.abs(y) > 2, 0, jnp.minimum(k, reach))
    tiny, scaled = _subnormal(z, reach)
    tiny = (tiny | (jnp.abs(z) < 2.0 ** (-reach // 2))) & (y == 0.5)
    j = jnp.where(tiny, reach, j)
    term = double_word.scale(term, power(jnp.where(near, 0, j - k), fmt))
    term = _where(near == positive, term, (-term[0], -term[1]))
    ahead = jnp.where(near, 0.5, jnp.where(positive, 1.0, 0.0)).astype(z.dtype) * power(j, fmt)
    base = double_word.two_sum(ahead, -_times(y, j, fmt))
    v = double_word.add(base, term)
    quarter = jnp.where(_subnormal(z, 0)[0], scaled, z * power(j, fmt)) * fmt.dtype.type(0.25)
    return _where(tiny, (quarter, jnp.zeros_like(quarter)), v), j


def _log1p(e: DoubleWord, precision: Precision) -> DoubleWord:
    large = e[0] > _SQRT_HALF_ISH
    half = double_word.scale(_plus(-1.0, e), e[0].dtype.type(0.5))
    f = _where(large, half, e)
    t = double_word.divide(f, _plus(2.0, f))
    series = double_word.polynomial(double_word.multiply(t, t), _ATANH[: precision.log + 1], precision.log_doubled)
    logarithm = double_word.scale(double_word.multiply(t, series), e[0].dtype.type(2))
    high, low = double_word.words(_LN2, e[0].dtype)
    shift = jnp.where(large, high, high * 0), jnp.where(large, low, low * 0)
    return double_word.add(shift, logarithm)


def value_doubled(z: Array, y: Array, precision: Precision) -> tuple[DoubleWord, Array]:
    """`max(z, 0) - z y + log(1 + e^-|z|)` as `(v, j)`, the value being `v * 2**-j`; arguments as `gradient_doubled`."""
    fmt = format_of(z.dtype)
    reach = _reach(fmt)
    k, q = _doubled_exponential(_clamped(z), precision)
    one_and_q = _plus(1.0, q)
    far = k > 2 * fmt.precision + 12
    j = jnp.where(far & (jnp.abs(z) < 2.0**10) & (jnp.abs(y) <= 2), jnp.minimum(k, reach), 0)
    beyond = jnp.where(j - k < -reach, 0.0, 1.0).astype(z.dtype)
    tail = double_word.scale(one_and_q, power(jnp.maximum(j - k, -reach), fmt) * beyond)
    e = double_word.scale(one_and_q, power(-jnp.minimum(k, reach), fmt))
    logarithm = _where(far, tail, _log1p(e, precision))
    subnormal, scaled = _subnormal(y, reach)
    split = subnormal & (z < 0)
    weight = double_word.two_sum(jnp.where(z < 0, 0.0, 1.0).astype(z.dtype), jnp.where(z < 0, y, -y))
    weight = _where(split, (scaled, jnp.zeros_like(scaled)), weight)
    size = jnp.abs(z) * power(jnp.where(split, j - reach, j), fmt)
    p, rest = double_word.two_product(weight[0], size)
    line = double_word.fast_two_sum(p, rest + weight[1] * size)
    line = _where(weight[0] == 0, (jnp.zeros_like(p), jnp.zeros_like(p)), line)
    return double_word.add(line, logarithm), j


def curvature_doubled(z: Array, precision: Precision) -> tuple[DoubleWord, Array]:
    """`σ(z) σ(-z)` as `(v, j)`, the value being `v * 2**-j`, from float32 or float64 `z`."""
    fmt = format_of(z.dtype)
    reach = _reach(fmt)
    k, q = _doubled_exponential(_clamped(z), precision)
    one_and_q = _plus(1.0, q)
    denominator = _plus(1.0, double_word.scale(one_and_q, power(-jnp.minimum(k, reach), fmt)))
    j = jnp.minimum(k, reach)
    v = double_word.divide(one_and_q, double_word.multiply(denominator, denominator))
    return double_word.scale(v, power(j - k, fmt)), j


def encode(v: DoubleWord, j: Array) -> Array:
    """`v * 2**-j` rounded to the format of its words, to nearest even, subnormals included."""
    high, low = v
    fmt = format_of(high.dtype)
    integer = _integer(fmt)
    exponent = -j - fmt.least_exponent
    first = jnp.minimum(exponent, _reach(fmt))
    factors = power(first, fmt), power(exponent - first, fmt)
    size, rest = jnp.abs(high) * factors[0] * factors[1], low * factors[0] * factors[1]
    rest = jnp.where(high < 0, -rest, rest)
    subnormal = size < fmt.dtype.type(math.ldexp(1.0, fmt.precision - 1))
    size = jnp.where(subnormal, size, 0)
    whole = _nearest(size)
    fraction = (size - whole) + rest
    quanta = whole.astype(integer) + jnp.where(fraction > 0.5, 1, jnp.where(fraction < -0.5, -1, 0)).astype(integer)
    sign = lax.bitcast_convert_type(high, integer) & integer(-(1 << (fmt.bits - 1)))
    small = lax.bitcast_convert_type(quanta | sign, fmt.dtype)
    return jnp.where(subnormal, small, high * power(-j, fmt))
