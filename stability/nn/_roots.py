"""Functions next to a root, by their series there: `f(r + t) = c_1 t + c_2 t² + …`.

With the root `r` and the slope `c_1` in two words, the leading term is off by no more than its last rounding, however
near `x` is to the root. The numbers are mpmath's (`findroot` and `taylor`, at 60 digits).
"""

from __future__ import annotations

from fractions import Fraction

import jax.numpy as jnp
from jax import Array

from stability import double_word
from stability.formats import format_of
from stability.nn._exponential import floats_of, horner

NEAR = 0.0625
"""How near the series is used."""


class Root:
    """A simple root and the slope there, to 40 digits, and the following coefficients in hex."""

    def __init__(self, root: str, slope: str, rest: str) -> None:
        self.root, self.slope, self.rest = Fraction(root), Fraction(slope), floats_of(rest)

    def near(self, x: Array, otherwise: Array) -> Array:
        """The function of `x` near the root, and `otherwise` elsewhere.

        The clamp keeps XLA from adding up the two words of the root: it makes `x - (a + b)` of `(x - a) - b` where both
        are constants.
        """
        root, root_low = double_word.words(self.root, x.dtype)
        slope, slope_low = double_word.words(self.slope, x.dtype)
        least = NEAR * abs(self.slope) * 2.0 ** -(format_of(x.dtype).precision + 4)
        rest = [c for n, c in enumerate(self.rest) if abs(c) * NEAR ** (n + 2) > least]
        offset = jnp.clip(x - root, -1, 1)
        t = offset - root_low
        small = (offset * slope_low - root_low * slope) + t * t * horner(t, rest)
        return jnp.where(jnp.abs(offset) < NEAR, offset * slope + small, otherwise)
