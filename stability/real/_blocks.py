"""Many true values at once: a Taylor polynomial over a block of floats, evaluated in float64, with a proven bound.

Of a function `g` that is smooth over `[m - r, m + r]`, with `u = (x - m)/r`,

    g(x) = Σ_{k < D} c_k r^k u^k + R,    |R| ≤ r^D max |g^(D)(ξ)/D!|,

the maximum being over the block: the coefficient of the power series about the ball of all of it, which encloses those
about every number of it (Lagrange's remainder). What is added to `|R|` is how far the float64 coefficients `a_k` are
off, and what Horner's rule rounds: at most `2 D 2^-53/(1 - 2 D 2^-53) Σ |a_k|` for `|u| ≤ 1` (N. J. Higham, *Accuracy
and Stability of Numerical Algorithms*, 2nd ed., (5.3)). `x - m` and `u` are exact: `r` is a power of two, and `m` has
few bits.

Floats near 0 have one block about 0, whose exactly vanishing first coefficients are divided out, so that the bound is
relative to the value.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from flint import arb

from stability.formats import FloatFormat
from stability.real.function import terms
from stability.truth import FRACTION

DEGREE = 14
MORE = 8
"""Terms beyond those asked for that a function may make on the way to a derivative of another."""
LEAST = 16
"""Floats from which on a block is tried."""
TRIALS = 8
"""Binades with no block that serves after which no others are tried, unless some has been found."""
AROUND_ZERO = 2.0**-3
TINY, HUGE = 1e-280, 1e280
"""Between these, doubles and their differences are normal."""

Line = Callable[[arb, int], Any]
"""The power series of Arb's own at a number up to a power, all finite, a ball where it is constant, or nothing."""


class _Polynomial(NamedTuple):
    """`u**zeros (Σ a_k u^k)` and how far off the sum is at most, for `|u| ≤ 1`; no terms where no float64 holds it."""

    a: list[float]
    bound: float
    zeros: int


def by_blocks(line: Line, x: np.ndarray, order: int, fmt: FloatFormat) -> tuple[np.ndarray, np.ndarray]:
    """Values of a derivative of a function, the function itself where `order` is 0, and how far off they are at most:
    infinitely where blocks do not serve.

    **Arguments:** `line` the function along power series; `x` floats of a 16-bit format, shape `(n,)`, NaN where
    nothing is asked.
    """
    found = _Blocks(line, x, order, fmt)
    with terms(DEGREE + order + 1 + MORE):
        found.look()
    return found.values, found.bounds


class _Blocks:
    """What blocks know of a function, or its derivative of an `order`, at the floats `x`."""

    def __init__(self, line: Line, x: np.ndarray, order: int, fmt: FloatFormat):
        self.line, self.x, self.order, self.fmt = line, x, order, fmt
        self.values, self.bounds = np.zeros(len(x)), np.full(len(x), np.inf)

    def look(self) -> None:
        """Fills in what a block about 0 knows, and then blocks by binades, those next to 1 first."""
        left = np.flatnonzero(np.isfinite(self.x) & (self.x != 0))
        near = left[np.abs(self.x[left]) <= AROUND_ZERO]
        if len(near) >= LEAST:
            left = np.setdiff1d(left, self.known(near, 0.0, AROUND_ZERO)[0], assume_unique=True)
        barren = set()
        for at, low, size in sorted(_quarters(self.x, left), key=lambda block: abs(math.log2(abs(block[1])))):
            binade = math.frexp(low)[1], size < 0
            if binade not in barren and not self.divided(at, low, size):
                barren.add(binade)
                if len(barren) == TRIALS and np.isinf(self.bounds).all():
                    break

    def divided(self, at: np.ndarray, low: float, size: float) -> bool:
        """Fills in what the block from `low` to `low + size` knows, or else its halves; whether that is anything."""
        middle = low + size / 2
        found, hopeless = self.known(at, middle, abs(size) / 2)
        rest = np.setdiff1d(at, found, assume_unique=True)
        if hopeless or 2 * len(found) >= len(at):
            return len(found) > 0
        upper = np.abs(self.x[rest]) >= abs(middle)
        halves = ((rest[~upper], low), (rest[upper], middle))
        inside = [self.divided(half, begin, size / 2) for half, begin in halves if len(half) >= LEAST]
        return any(inside) or len(found) > 0

    def known(self, at: np.ndarray, middle: float, radius: float) -> tuple[np.ndarray, bool]:
        """Fills in the values of one block where its bound decides what they round to, and to within `FRACTION`: at
        which floats, and whether smaller blocks can't do better."""
        found = _polynomial(self.line, middle, radius, self.order)
        if found is None or not found.a:
            return at[:0], found is not None
        y, bound = _evaluated(found, (self.x[at] - middle) / radius)
        with np.errstate(over="ignore", under="ignore"):
            least, most = np.frexp(np.abs(y) - bound)[1], np.frexp(np.abs(y) + bound)[1]
            exponent = np.maximum(most - self.fmt.precision, self.fmt.least_exponent)
            fine = (np.ldexp(bound, -exponent) <= FRACTION) & (least == most)
        self.values[at[fine]], self.bounds[at[fine]] = y[fine], bound[fine]
        return at[fine], False


def _quarters(x: np.ndarray, at: np.ndarray) -> Iterator[tuple[np.ndarray, float, float]]:
    """The positions of floats by quarters of a binade, and the least size and the width of each, with the sign."""
    mantissa, exponent = np.frexp(x[at])
    quarter = np.floor((np.abs(mantissa) - 0.5) * 8).astype(np.int64)
    key = (exponent.astype(np.int64) * 4 + quarter) * 2 + (mantissa < 0)
    by_key = np.argsort(key, kind="stable")
    for some in np.split(at[by_key], np.flatnonzero(np.diff(key[by_key])) + 1):
        if len(some) < LEAST:
            continue
        m, e = math.frexp(x[some[0]])
        sign = math.copysign(1, m)
        low = (math.floor((abs(m) - 0.5) * 8) / 8 + 0.5) * sign
        yield some, math.ldexp(low, e), math.ldexp(sign / 8, e)


def _polynomial(line: Line, middle: float, radius: float, order: int) -> _Polynomial | None:
    """The polynomial over `[middle - radius, middle + radius]`, or nothing where the function is not known to be smooth
    there; without terms where it is too small or too large everywhere."""
    around = line(arb(middle, radius), DEGREE + order + 1)
    if around is None or isinstance(around, arb):
        return None
    if abs(around[order]) < TINY or abs(around[order]) > HUGE:
        return _Polynomial([], 0.0, 0)
    about = line(arb(middle), DEGREE + order)
    if about is None or isinstance(about, arb):
        return None
    scale, power = arb(radius), arb(1)
    c = []
    for k in range(DEGREE):
        c.append(about[k + order] * (math.perm(k + order, order) * power))
        power *= scale
    rest = abs(around[DEGREE + order]) * (math.perm(DEGREE + order, order) * power)
    zeros = next((k for k, v in enumerate(c) if not (v.is_exact() and v == 0)), 0)
    a = [float(v) for v in c[zeros:]]
    size = sum(map(abs, a))
    if not size < HUGE:
        return None
    off = float(sum((abs(v - w) for v, w in zip(c[zeros:], a, strict=True)), rest).upper())
    if not off < HUGE:
        return None
    return _Polynomial(a, off * (1 + 2.0**-40) + 2 * DEGREE * 2.0**-52 * size, zeros)


def _evaluated(found: _Polynomial, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The values of a polynomial, and how far off they are: infinitely where no normal double holds them."""
    y = np.full(len(u), found.a[-1])
    for a in reversed(found.a[:-1]):
        y = y * u + a
    factor = u**found.zeros
    y = y * factor
    size = np.abs(y)
    normal = (np.minimum(size, np.abs(factor)) > TINY) & (size < HUGE)
    return y, np.where(normal, np.abs(factor) * found.bound * (1 + 2.0**-40) + size * 2.0**-50, np.inf)
