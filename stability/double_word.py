"""Double-word arithmetic, one text for JAX and NumPy: a number as the unevaluated sum of two floats of one format.

`u` is `2**-24` for float32 and `2**-53` for float64. Where each `+ - * /` is correctly rounded and none is fused, as in
NumPy, the relative errors are (Joldes, Muller and Popescu, "Tight and rigorous error bounds for basic building blocks
of double-word arithmetic", ACM TOMS 44(2), 2017):

| operation | bound |
|---|---|
| `add` (AccurateDWPlusDW) | 3u² + 13u³ of the exact sum, whatever the signs |
| `multiply` (DWTimesDW1) | 7u² |
| `divide` (DWDivDW2, with the product of `multiply`), NumPy only | 15u² + 56u³ |

Under JAX, factors are split by their bits instead of by a product: every partial product of `two_product` is then
exact, so that it does not matter whether a compiler contracts `a * b + c` into one rounding, as XLA does on CPU. A
contraction of a product into a following sum leaves the total of both words within `u**2` of what it should be, and
each operation is good to a few `u**2`. Reassociation would break them: XLA of jaxlib 0.10, not of 0.12, reassociates
where two operands are constants of the program (`(x + c1) + c2` becomes `x + (c1 + c2)`, and so with products), so no
word given to these functions may be a literal (tests/test_floats.py). Inputs must be far enough from under- and
overflow that the low words are normal: XLA on CPU flushes subnormals.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

DoubleWord = tuple[Any, Any]

_LOW_HALF = {"float32": (jnp.int32, -(1 << 12)), "float64": (jnp.int64, -(1 << 27))}


def two_sum(a, b) -> DoubleWord:
    """`a + b` exactly, as the rounded sum and its error (Knuth)."""
    s = a + b
    t = s - a
    return s, (a - (s - t)) + (b - t)


def fast_two_sum(a, b) -> DoubleWord:
    """`a + b` exactly, where `|a| >= |b|` or `a` is 0 (Dekker)."""
    s = a + b
    return s, b - (s - a)


def _by_product(a) -> DoubleWord:
    t = 134217729.0 * a
    high = t - (t - a)
    return high, a - high


def _by_bits(a: Array) -> DoubleWord:
    integer, mask = _LOW_HALF[a.dtype.name]
    high = lax.bitcast_convert_type(lax.bitcast_convert_type(a, integer) & integer(mask), a.dtype)
    return high, a - high


def two_product(a, b) -> DoubleWord:
    """`a * b` as the rounded product and its error (Dekker): exact in NumPy's float64, short of under- and overflow,
    and in JAX's float32, and to `2**-106` in JAX's float64."""
    p = a * b
    split = _by_bits if isinstance(p, Array) else _by_product
    (ah, al), (bh, bl) = split(a), split(b)
    return p, ((ah * bh - p) + ah * bl + al * bh) + al * bl


def add(x: DoubleWord, y: DoubleWord) -> DoubleWord:
    s, e = two_sum(x[0], y[0])
    t, f = two_sum(x[1], y[1])
    s, e = fast_two_sum(s, e + t)
    return fast_two_sum(s, e + f)


def multiply(x: DoubleWord, y: DoubleWord) -> DoubleWord:
    p, e = two_product(x[0], y[0])
    return fast_two_sum(p, e + (x[0] * y[1] + x[1] * y[0]))


def quotient(a: Array, b: Array) -> Array:
    """`a / b`, which must be over -2, or NaN.

    XLA on CPU fuses a division into what uses it only where that is one operation; the maximum, which changes nothing,
    is that one, and keeps a whole kernel one pass over memory. Not after `two_product`: a maximum after a chain of bit
    masks does not come back from the compiler of jaxlib 0.12.0 (`reports/upstream/`).
    """
    return lax.max(a / b, jnp.full_like(a, -2))


def quotient_after_masks(a: Any, b: Any) -> Any:
    """`a / b`, as `-(a / -b)`, which is the same float: the negation is one operation too, and LLVM cancels it."""
    return -(a / -b)


def divide(x: DoubleWord, y: DoubleWord) -> DoubleWord:
    q = quotient_after_masks(x[0], y[0])
    if isinstance(q, Array):
        p, e = two_product(q, y[0])
        e = e + q * y[1]
    else:
        p, e = multiply(y, (q, np.zeros_like(q)))
    rest = (x[0] - p) + (x[1] - e)
    return fast_two_sum(q, quotient_after_masks(rest, y[0]))


def scale(x: DoubleWord, factor: Array) -> DoubleWord:
    """`x` times a power of two."""
    return x[0] * factor, x[1] * factor


def words(x: Fraction, dtype) -> tuple[np.floating, np.floating]:
    """A rational number as two floats of `dtype`, NumPy scalars."""
    high = np.dtype(dtype).type(float(x))
    return high, np.dtype(dtype).type(float(x - Fraction(float(high))))


def polynomial(x: DoubleWord, coefficients: Sequence[Fraction], doubled: int) -> DoubleWord:
    """`sum(c[n] x**n)` by Horner's rule, the terms below `doubled` in two words and those from there in one."""
    parts = [words(c, x[0].dtype) for c in coefficients]
    total = jnp.full_like(x[0], parts[-1][0])
    for high, _ in reversed(parts[doubled:-1]):
        total = total * x[0] + high
    result = total, jnp.zeros_like(total)
    for high, low in reversed(parts[:doubled]):
        p, e = multiply(result, x)
        s, f = two_sum(p, jnp.full_like(p, high))
        result = fast_two_sum(s, f + (e + low))
    return result
