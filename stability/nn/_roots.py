"""Functions near a root, where the terms of a formula cancel: by their series there.

`Σ a x^i (e^x)^j` with a root `r` is `t P(t)` for `t = x - r`. With `r` in two words `t` is accurate relatively, and so
is the product, next to the root as well.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction

import jax.numpy as jnp
from jax import Array

from stability import double_word
from stability.formats import format_of
from stability.nn._exponential import horner

NEAR = 0.5
"""How near the series is used."""


class Root:
    """A simple root `r` of `N(x) = Σ a x^i (e^x)^j`, given to 40 digits, with `{(i, j): a}`, `i` being 0 or 1."""

    def __init__(self, digits: str, terms: Mapping[tuple[int, int], int]) -> None:
        self.root = Fraction(digits)
        self.coefficients = [_coefficient(float(self.root), terms, n) for n in range(1, 24)]

    def near(self, x: Array, otherwise: Array) -> Array:
        """`N(x)`: near the root by the series, and `otherwise` elsewhere.

        The clamp keeps XLA from adding up the two words: it rewrites `(x - a) - b` as `x - (a + b)` for constants.
        """
        high, low = double_word.words(self.root, x.dtype)
        t = jnp.clip(x - high, -2 * NEAR, 2 * NEAR) - low
        least = NEAR * 2.0 ** -(format_of(x.dtype).precision + 4)
        kept = [c for n, c in enumerate(self.coefficients) if abs(c) * NEAR**n > least]
        return jnp.where(jnp.abs(t) < NEAR, t * horner(t, kept), otherwise)


def _coefficient(root: float, terms: Mapping[tuple[int, int], int], n: int) -> float:
    """Of `t**n` in `N(root + t)`, for `n` from 1."""
    total = 0.0
    for (i, j), a in terms.items():
        scale = a * math.exp(j * root)
        total += scale * (root if i else 1.0) * j**n / math.factorial(n)
        total += scale * i * j ** (n - 1) / math.factorial(n - 1)
    return total
