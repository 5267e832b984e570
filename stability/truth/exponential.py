"""The exponential in bulk, in double-words of float64 with a proven bound.

With `u = 2**-53`, and the bounds of the operations as in `stability.double_word`:

**Bound of `exp_scaled`.** For `w = -|z|`, `|z| <= 4096`, the argument is reduced to `w = k ln 2 + r`.
`ln 2 = L1 + L2 + L3` with 40-bit `L1`, `L2`, so that `k L1` and `k L2` are exact (`|k| < 2**13`); what
is left out and what `k L3` rounds is below `2**-118`, the two additions cost at most `6.1u²` of
`|r| <= 0.36`, and so `r` is off by less than `2**-103`. Now `e^w = 2**k (e^(r/64))**64`. With `x = r/64`,
`|x| < 2**-7.4`, the Taylor sum to degree 10 leaves `|x|**11/11! < 2**-106`; its Horner steps multiply
the errors before them by `|x|`, so the sum is off by at most `(3 + 2·0.06 + 1)u² + 2**-106 + 2**-109 < 6u²`,
relatively. Six squarings double the relative error each and add `7u²` each: `64·6u² + 63·7u² < 2**-96`.
"""

from __future__ import annotations

import math
from fractions import Fraction

import flint
import numpy as np
from flint import arb

from stability.double_word import DoubleWord, add, multiply, two_sum, words

CLAMP = 4096.0
"""The greatest `-w` that is told apart: `e^-4096` is below every midpoint of two floats of every format."""


def _ln2_parts() -> tuple[float, float, float]:
    with flint.ctx.workprec(200):
        rest = arb.const_log2().mid()
        mantissa, exponent = (int(v) for v in rest.man_exp())
    value = Fraction(mantissa) * Fraction(2) ** exponent
    first = Fraction(math.floor(value * 2**40), 2**40)
    second = Fraction(math.floor((value - first) * 2**80), 2**80)
    return float(first), float(second), float(value - first - second)


LN2 = _ln2_parts()
"""The logarithm of 2 in three parts, the first two of 40 bits."""
_TAYLOR = [words(Fraction(1, math.factorial(n)), np.float64) for n in range(11)]


def exp_scaled(w: np.ndarray) -> tuple[DoubleWord, np.ndarray]:
    """`e^w` as a double-double times `2**k`, for float64 `-4096 <= w <= 0`.

    **Returns:** `((h, l), k)`, relative error below `2**-96`; the proof is in the module docstring.
    """
    k = np.rint(w / LN2[0])
    r = add(two_sum(w, -k * LN2[0]), (-k * LN2[1], np.zeros_like(w)))
    r = add(r, (-k * LN2[2], np.zeros_like(w)))
    x = r[0] / 64, r[1] / 64
    total = np.full_like(w, _TAYLOR[10][0]), np.full_like(w, _TAYLOR[10][1])
    for coefficient in reversed(_TAYLOR[:10]):
        total = add(multiply(total, x), coefficient)
    for _ in range(6):
        total = multiply(total, total)
    return total, k.astype(np.int64)
