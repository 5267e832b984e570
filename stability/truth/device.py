"""True values of float32 functions on the device, in float64 with a bound."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax

from stability.formats import FloatFormat
from stability.truth import State, Truth
from stability.truth.balls import HUGE

INFINITY = 0x7F800000
"""The bit pattern of float32's +inf."""


class Truth64(NamedTuple):
    """True values in float64: `value` off by less than `bound` ulps of float32, `scale` one over that ulp.

    `near + fraction * ulp` is the value as well, in float32 and to `2**-24` ulps, where `sharp` says so of a whole
    block: no bound is over `2**-24`, no value under `2**-100`, where differences of float32 would be flushed, and none
    from `2**127` up, where they would overflow.
    """

    value: Array
    scale: Array
    bound: Array
    near: Array
    fraction: Array
    inverse: Array
    sharp: Array


DeviceTruth = Callable[[Array, float, bool], Truth64]
"""From magnitudes (int32 bit patterns without sign, of shape `(n,)`), a label and whether the sign is negative."""


def in_float64(value: Array, scale: Array, bound: Array) -> Truth64:
    quanta = value * scale
    whole = jnp.round(quanta)
    single = (whole / scale).astype(jnp.float32), (quanta - whole).astype(jnp.float32), scale.astype(jnp.float32)
    sharp = (bound <= 2.0**-24) & (jnp.abs(value) >= 2.0**-100) & (jnp.abs(value) < 2.0**127)
    return Truth64(value, scale, bound, *single, sharp.all())


def power_of_two(exponent: Array) -> Array:
    """`2**exponent` in float64, for integers (int64) of the range of its normal numbers."""
    return lax.bitcast_convert_type((exponent + 1023) << 52, jnp.float64)


def exponent_of(x: Array) -> Array:
    """The exponent of the binade of a normal float64, whatever its sign; 1024 of what is not finite."""
    return ((lax.bitcast_convert_type(x, jnp.int64) >> 52) & 0x7FF) - 1023


def against(value: Array, exponent: Array, undefined: Array, fmt: FloatFormat) -> Truth:
    """True values in float64, infinities and `undefined` ones among them, in ulps of `2**exponent`, on the device."""
    quanta = value * power_of_two(-exponent)
    whole = jnp.where(exponent > fmt.emax + HUGE - fmt.precision, jnp.copysign(jnp.inf, value), jnp.round(quanta))
    state = jnp.where(undefined, jnp.int8(State.UNDEFINED), jnp.int8(State.NUMBER))
    fraction = jnp.where(jnp.isinf(whole), 0.0, quanta - whole)
    return Truth(jnp.where(undefined, jnp.nan, whole), fraction, exponent, fmt, state)
