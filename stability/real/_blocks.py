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

import flint
import numpy as np
from flint import arb

from stability.formats import FloatFormat
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
    cap = flint.ctx.cap
    flint.ctx.cap = max(cap, DEGREE + order + 1 + MORE)
    try:
        return _by_blocks(line, x, order, fmt)
    finally:
        flint.ctx.cap = cap


def _by_blocks(line: Line, x: np.ndarray, order: int, fmt: FloatFormat) -> tuple[np.ndarray, np.ndarray]:
    values, bounds = np.zeros(len(x)), np.full(len(x), np.inf)
    left = np.flatnonzero(np.isfinite(x) & (x != 0))
    near = left[np.abs(x[left]) <= AROUND_ZERO]
    if len(near) >= LEAST:
        found = _polynomial(line, 0.0, AROUND_ZERO, order)
        if found is not None and found.a:
            _put(values, bounds, near, x[near] / AROUND_ZERO, found, fmt)
            left = left[bounds[left] == np.inf]
    barren = set()
    for at, low, size in _quarters(x, left):
        binade = math.frexp(low)[1], size < 0
        if binade not in barren and not _divided(line, x, at, low, size, order, fmt, values, bounds):
            barren.add(binade)
            if len(barren) == TRIALS and np.isinf(bounds).all():
                break
    return values, bounds


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


def _divided(
    line: Line,
    x: np.ndarray,
    at: np.ndarray,
    low: float,
    size: float,
    order: int,
    fmt: FloatFormat,
    values: np.ndarray,
    bounds: np.ndarray,
) -> bool:
    """Fills in what a block knows, or else its halves; whether that is anything."""
    radius = abs(size) / 2
    middle = low + size / 2
    found = _polynomial(line, middle, radius, order)
    if found is not None and found.a:
        _put(values, bounds, at, (x[at] - middle) / radius, found, fmt)
    rest = at[bounds[at] == np.inf]
    if found is not None and (not found.a or 2 * len(rest) <= len(at)):
        return len(rest) < len(at)
    upper = np.abs(x[rest]) >= abs(middle)
    halves = [(rest[~upper], low), (rest[upper], middle)]
    known = [
        _divided(line, x, half, begin, size / 2, order, fmt, values, bounds)
        for half, begin in halves
        if len(half) >= LEAST
    ]
    return any(known) or len(rest) < len(at)


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
    return _Polynomial(a, off * (1 + 2.0**-40) + 2 * DEGREE * 2.0**-52 * size, zeros)


def _put(
    values: np.ndarray, bounds: np.ndarray, at: np.ndarray, u: np.ndarray, found: _Polynomial, fmt: FloatFormat
) -> None:
    """Fills in the values of a polynomial where the bound decides what they round to, and to within `FRACTION`."""
    y = np.full(len(u), found.a[-1])
    for a in reversed(found.a[:-1]):
        y = y * u + a
    factor = u**found.zeros
    y = y * factor
    bound = np.abs(factor) * found.bound * (1 + 2.0**-40) + np.abs(y) * 2.0**-50
    with np.errstate(over="ignore", under="ignore"):
        least, most = np.frexp(np.abs(y) - bound)[1], np.frexp(np.abs(y) + bound)[1]
        exponent = np.maximum(most - fmt.precision, fmt.least_exponent)
        fine = np.ldexp(bound, -exponent) <= FRACTION
    known = fine & (least == most) & (np.minimum(np.abs(y), np.abs(factor)) > TINY) & (np.abs(y) < HUGE)
    values[at[known]], bounds[at[known]] = y[known], bound[known]
