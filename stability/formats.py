"""A float format as ordered integers.

Every float of a format but NaN gets an *ordinal*, an integer that grows with the value:
``+0`` is 0, ``-0`` is -1, the float above ``x`` is ``ordinal(x) + 1``, and ``+inf`` and
``-inf`` are the ends. The two zeros are different inputs, so they are different ordinals.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import ml_dtypes
import numpy as np


@dataclass(frozen=True)
class FloatFormat:
    """An IEEE 754 binary interchange format.

    **Attributes:** `name` as JAX spells it; `dtype` the NumPy dtype; `bits` the width;
    `precision` the significand's bits, the hidden one included; `emin` and `emax` the
    exponents of the least and the greatest normal binade.
    """

    name: str
    dtype: np.dtype
    bits: int
    precision: int
    emin: int
    emax: int

    @property
    def unsigned(self) -> np.dtype:
        return np.dtype(f"uint{self.bits}")

    @property
    def infinity(self) -> int:
        """The ordinal of +inf; -inf has the ordinal ``-infinity - 1``."""
        return (self.emax - self.emin + 2) << (self.precision - 1)

    @property
    def least_exponent(self) -> int:
        """The exponent of the least subnormal, which is the least ulp."""
        return self.emin - self.precision + 1

    @property
    def smallest_normal(self) -> float:
        return math.ldexp(1.0, self.emin)

    @property
    def max(self) -> float:
        return math.ldexp(2.0 - 2.0 ** (1 - self.precision), self.emax)


FORMATS: dict[str, FloatFormat] = {
    f.name: f
    for f in (
        FloatFormat("float16", np.dtype(np.float16), 16, 11, -14, 15),
        FloatFormat("bfloat16", np.dtype(ml_dtypes.bfloat16), 16, 8, -126, 127),
        FloatFormat("float32", np.dtype(np.float32), 32, 24, -126, 127),
        FloatFormat("float64", np.dtype(np.float64), 64, 53, -1022, 1023),
    )
}


def format_of(dtype) -> FloatFormat:
    """The format of a dtype. Raises `ValueError` for a dtype that is not one of `FORMATS`."""
    name = np.dtype(dtype).name
    if name not in FORMATS:
        raise ValueError(f"{name} is not a float format; choose from {', '.join(FORMATS)}")
    return FORMATS[name]


def bits_of(x: np.ndarray) -> np.ndarray:
    """The bit patterns of an array of floats, as unsigned integers of the same shape."""
    x = np.asarray(x)
    return x.view(format_of(x.dtype).unsigned)


def to_ordinal(x: np.ndarray) -> np.ndarray:
    """The ordinals (int64) of an array of floats; those of NaNs lie beyond the infinities."""
    x = np.asarray(x)
    fmt = format_of(x.dtype)
    magnitude = (bits_of(x) & fmt.unsigned.type(2 ** (fmt.bits - 1) - 1)).astype(np.int64)
    return np.where(np.signbit(x), -magnitude - 1, magnitude)


def from_ordinal(ordinals: np.ndarray, fmt: FloatFormat) -> np.ndarray:
    """The floats of `fmt` that have these ordinals: the inverse of `to_ordinal`."""
    n = np.asarray(ordinals, dtype=np.int64)
    magnitude = np.where(n < 0, -(n + 1), n).astype(fmt.unsigned)
    sign = np.where(n < 0, fmt.unsigned.type(1 << (fmt.bits - 1)), fmt.unsigned.type(0))
    return (magnitude | sign).view(fmt.dtype)


def every_float(fmt: FloatFormat) -> np.ndarray:
    """All floats of a 16-bit format from -inf to +inf, then every NaN: 2**16 values."""
    if fmt.bits != 16:
        raise ValueError(f"{fmt.name} has 2**{fmt.bits} floats; only 16-bit formats are enumerated")
    inf = fmt.infinity
    numbers = from_ordinal(np.arange(-inf - 1, inf + 1), fmt)
    nans = np.arange(inf + 1, 1 << 15, dtype=np.uint16)
    return np.concatenate([numbers, nans.view(fmt.dtype), (nans | np.uint16(1 << 15)).view(fmt.dtype)])


def ulp_exponent(x: np.ndarray, fmt: FloatFormat) -> np.ndarray:
    """The exponent `e` (int64) such that floats of `fmt` near the float64 `x` are `2**e` apart.

    It is the spacing of the binade that holds `x` (Goldberg's ulp), and the spacing of the
    subnormals for 0 and for anything below the least normal.
    """
    _, exponent = np.frexp(x)
    e = np.maximum(exponent.astype(np.int64) - fmt.precision, fmt.least_exponent)
    return np.where(np.asarray(x) == 0, fmt.least_exponent, e)


def widen(x: np.ndarray) -> np.ndarray:
    """An array of floats as float64, which holds every format exactly; a signalling NaN stays a NaN, quietly."""
    with np.errstate(invalid="ignore"):
        return np.asarray(x).astype(np.float64)


def hex_of(x) -> str:
    """A float as a hex string that Python's `float.fromhex` reads back exactly."""
    return float(x).hex()


def short_hex(x: float) -> str:
    """A hex float without the zeros that `float.hex` pads with."""
    text = x.hex()
    head, p, exponent = text.partition("p")
    return f"{head.rstrip('0').rstrip('.')}{p}{exponent}" if p else text
