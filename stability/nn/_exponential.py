"""The exponential and the logarithm in parts, in float32 and float64, from which the functions of this room are made.

`e^x = 2**k (1 + q)` with `k = round(x / ln 2)`, and `q = e^r - 1` a polynomial in `r = x - k ln 2`, `|r| <= ln(2)/2`.
Where `k` is 0, `q` is `e^x - 1` to an ulp or two, however small `x` is.

Powers of two far from 1 are kept apart until the last product, because XLA on CPU flushes subnormals, also those in
the middle of a formula whose result is an ordinary float.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import jax.numpy as jnp
from jax import Array, lax

from stability import double_word
from stability.double_word import DoubleWord
from stability.formats import format_of


def floats_of(text: str) -> list[float]:
    """Floats in hex, with blanks between them."""
    return [float.fromhex(c) for c in text.split()]


EXP = {
    32: floats_of(
        "0x1.0000000b9129bp-1 0x1.5555555a78ed4p-3 0x1.5554e9063586ep-5 0x1.1110e0f238322p-7 0x1.6d43246b523b4p-10 "
        "0x1.a124f19fe89acp-13"
    ),
    64: floats_of(
        "0x1.0000000000000p-1 0x1.5555555555557p-3 0x1.5555555555556p-5 0x1.11111111100dcp-7 0x1.6c16c16c162d4p-10 "
        "0x1.a01a01abe7fe1p-13 0x1.a01a01a6d889cp-16 0x1.71de0231960ebp-19 0x1.27e4db646b17ep-22 "
        "0x1.af4de97ca4194p-26 0x1.1f730349868cep-29"
    ),
}
"""By bits: `(e^r - 1 - r) / r**2` for `|r| <= ln(2)/2`, to `2**-30` and `2**-60` of `e^r - 1`: mpmath's `chebyfit`."""

_EXP_ABOVE = {
    32: floats_of(
        "0x1.ffffffe2d49d8p-2 0x1.55556cfae7567p-3 0x1.554f25e60c687p-5 0x1.11a7a9568d3bfp-7 0x1.5f45e0dceac31p-10 "
        "0x1.0ed4af5579410p-12"
    ),
    64: floats_of(
        "0x1.0000000000000p-1 0x1.555555555553fp-3 0x1.5555555556997p-5 0x1.111111109f4e7p-7 0x1.6c16c194ff7c1p-10 "
        "0x1.a019f90e3e281p-13 0x1.a01b1f8f1c745p-16 0x1.71c65e22862fbp-19 0x1.292ab8aeda55cp-22 "
        "0x1.9909bb1acd1d9p-26 0x1.81a00b6028692p-29"
    ),
}
"""By bits: the same for `0 <= r <= ln(2)`, to `2**-29` and `2**-58`."""

_LOG = {
    32: floats_of(
        "-0x1.fffffff63e8a5p-2 0x1.55554e3a7d3b1p-2 -0x1.0000075e24d09p-2 0x1.99a1362044cb8p-3 -0x1.5559e98e2ebf6p-3 "
        "0x1.2379a521b8ebap-3 -0x1.fcbfc8e9e7041p-4 0x1.e3dd7e47a3cb3p-4 -0x1.d975c7f2c7917p-4 0x1.1540db79117aap-4"
    ),
    64: floats_of(
        "-0x1.0000000000000p-1 0x1.555555555555dp-2 -0x1.fffffffffff33p-3 0x1.99999999976dcp-3 -0x1.5555555561f8ep-3 "
        "0x1.24924926225b8p-3 -0x1.fffffff7da31cp-4 0x1.c71c70bf5a5adp-4 -0x1.99999a6493424p-4 0x1.745d46566a720p-4 "
        "-0x1.55556c5e75e17p-4 0x1.3b0ed46a5d37dp-4 -0x1.248b21bb591ecp-4 0x1.115b97f180d5ap-4 -0x1.00b18d8e286d2p-4 "
        "0x1.dd2d39fb427edp-5 -0x1.b62a9786937cap-5 0x1.bb0c772fee4a5p-5 -0x1.fca925cb785a2p-5 0x1.cec8b39ee8aa2p-5 "
        "-0x1.8e8cce11ab325p-6"
    ),
}
"""By bits: `(log(1 + z) - z) / z**2` for `1/sqrt(2) <= 1 + z <= sqrt(2)`, to `2**-29` and `2**-56` of `log(1 + z)`."""

LN2 = {32: floats_of("0x1.62e4p-1 0x1.7f7d1cf79abcap-20"), 64: floats_of("0x1.62e42fefa38p-1 0x1.ef35793c76730p-45")}
"""By bits: `ln 2` in two parts, the first of them short enough that its products with `k` are exact."""


def horner(x: Array, coefficients: Sequence[float]) -> Array:
    """`sum(c[n] x**n)`."""
    total = jnp.full_like(x, coefficients[-1])
    for c in reversed(coefficients[:-1]):
        total = total * x + c
    return total


def exponential_words(x: Array, low: Array | None = None) -> tuple[Array, DoubleWord]:
    """`k`, and `q` in two words that are good to a quarter of an ulp of the first, for `e^(x + low)`.

    `low` is less than 1, and the sum no further from 0 than `reach(x)`; that it is rounded to the grid of `r` is an
    error of `q`.
    """
    bits = format_of(x.dtype).bits
    high_part, low_part = LN2[bits]
    k = lax.round((x if low is None else x + low) * (1 / math.log(2)), lax.RoundingMethod.TO_NEAREST_EVEN)
    if low is None:
        r, r_low = double_word.fast_two_sum(x - k * high_part, -(k * low_part))
    else:
        r, r_low = double_word.two_sum(x - k * high_part, low - k * low_part)
    return k, double_word.fast_two_sum(r, r_low + r * r * horner(r, EXP[bits]))


def exponential(x: Array, low: Array | None = None) -> tuple[Array, Array]:
    """As `exponential_words`, with `q` in one word, off by an ulp of `1 + q` at most, and by an ulp of `q` where `k` is
    0."""
    bits = format_of(x.dtype).bits
    high_part, low_part = LN2[bits]
    k = lax.round((x if low is None else x + low) * (1 / math.log(2)), lax.RoundingMethod.TO_NEAREST_EVEN)
    r = (x - k * high_part) - k * low_part if low is None else (x - k * high_part) + (low - k * low_part)
    return k, r + r * r * horner(r, EXP[bits])


def exp(x: Array) -> Array:
    """`e^x`.

    With `k` the floor of `x / ln 2`, `2**k` is 0, normal or infinite where `e^x` is. The quotient is taken a little
    towards 0, so that `k` is never that of overflow before `e^x` is: there 1 + q is 2 at most.
    """
    fmt = format_of(x.dtype)
    high_part, low_part = LN2[fmt.bits]
    x = jnp.clip(x, -(fmt.emax - 0.5) * math.log(2), (fmt.emax + 1.5) * math.log(2))
    k = jnp.floor(x * ((1 - 2.0 ** (2 - fmt.precision)) / math.log(2)))
    r = (x - k * high_part) - k * low_part
    return (1 + (r + r * r * horner(r, _EXP_ABOVE[fmt.bits]))) * power(k)


def reach(x: Array) -> float:
    """How far arguments of `exponential` may be from 0: past it, all results over- or underflow in the format."""
    return 110.0 if x.dtype == jnp.float32 else 760.0


def shift(x: Array) -> int:
    """The power of two by which what may underflow is scaled up: `k + shift` and `-shift` are exponents of floats."""
    return 64 if x.dtype == jnp.float32 else 512


def quotient(a: Array, b: Array) -> Array:
    """`a / b`.

    XLA on CPU fuses a division into what uses it only where that is one operation; the maximum, which changes nothing,
    is that one, and keeps a whole kernel one pass over memory.
    """
    return lax.max(a / b, jnp.full_like(a, -format_of(a.dtype).max))


def power(k: Array) -> Array:
    """`2**k` for whole numbers `k`: normal powers of two, and 0 and infinity for those next below and above."""
    fmt = format_of(k.dtype)
    integer = jnp.int32 if fmt.bits == 32 else jnp.int64
    stored = fmt.precision - 1
    biased = k + (1.5 * 2.0**stored + fmt.emax)
    return lax.bitcast_convert_type(lax.bitcast_convert_type(biased, integer) << stored, k.dtype)


def log1p_reduced(z: Array) -> Array:
    """`log(1 + z)` for `1/sqrt(2) <= 1 + z <= sqrt(2)`, to an ulp or two."""
    return z + z * z * horner(z, _LOG[format_of(z.dtype).bits])


def is_positive(x: Array) -> Array:
    """`x > 0`, subnormals included, which XLA on CPU takes as 0."""
    integer = jnp.int32 if format_of(x.dtype).bits == 32 else jnp.int64
    return (lax.bitcast_convert_type(x, integer) > 0) & ~jnp.isnan(x)


def line_of_subnormals(x: Array, slope: Array | float, otherwise: Array) -> Array:
    """`slope x` where `x` is subnormal, and `otherwise` elsewhere.

    XLA on CPU takes subnormals as 0, so they are read from their bits; the result is normal where `slope x` is. The
    minimum keeps XLA from multiplying the two constants, which would underflow.
    """
    fmt = format_of(x.dtype)
    integer = jnp.int32 if fmt.bits == 32 else jnp.int64
    bits = lax.bitcast_convert_type(x, integer)
    stored = fmt.precision - 1
    mantissa = bits & integer((1 << stored) - 1)
    size = jnp.minimum(mantissa.astype(x.dtype) * 2.0**-stored, 1) * slope * fmt.smallest_normal
    field = bits & integer(((1 << (fmt.bits - fmt.precision)) - 1) << stored)
    return jnp.where(field == 0, jnp.where(bits < 0, -size, size), otherwise)
