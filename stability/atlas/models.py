"""True values of a function and its derivatives at every float32, on the device: Taylor models with a proven bound.

The floats of a sign with the same upper 16 bits are a block: `x = c + h t` with `c` its middle, `h` the distance from
its first float to its middle, and `t = -1, -1 + 2**-15, ..., 1 - 2**-15`. In each block

    f(x) = Σ_{k <= DEGREE} a_k h^k t^k + R,    |R| <= |A h^(DEGREE + 1)|,

where the `a_k` are the Taylor coefficients of `f` at `c` and `A` encloses the next one over the whole block (Lagrange's
remainder); both are power series of Arb's own, at 320 bits. The coefficients `c_k = a_k h^k` are rounded to float64,
which leaves `e_k`, and Horner's scheme in float64 is off by at most `Σ (2 k + 2) 2**-53 |c_k|` for `|t| <= 1` (N. J.
Higham, Accuracy and Stability of Numerical Algorithms, 5.1), and by less where products and sums are fused. The sum of
all three, times `1 + 2**-20` for what is of higher order, and `1e-300` for what underflows, is the bound.

A block where the function has no value at any float is NaN; one where it overflows or underflows past all that float32
can tell apart is infinite or 0; one without a power series has the one value that it has,
or an infinite bound. A value that is a power of two as far as the bound can tell has the ulp of that power, or of the
binade below it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import flint
import jax
import jax.numpy as jnp
import numpy as np
from flint import arb, arb_series
from jax import Array

from stability.formats import FORMATS, from_ordinal, widen
from stability.real import Order, everywhere, straight_line
from stability.real.function import Open
from stability.real.values import Undefined
from stability.truth import FRACTION, State
from stability.truth.device import INFINITY, DeviceTruth, Truth64, exponent_of, in_float64, power_of_two

DEGREE = 16
ORDERS = 3
PRECISION = 320
HALF = 1 << 15
"""Floats from the first of a block to its middle."""
BLOCKS = (INFINITY >> 16) + 1
FLOAT32 = FORMATS["float32"]
FAR = 400
"""Beyond `2**FAR`, and below `2**-FAR`, nothing is told apart."""

Line = Callable[..., object]


@dataclass(frozen=True)
class Model:
    """A block: float64 `coefficients` of shape `(DEGREE + 1,)`, a bound of the absolute error, and between which sizes
    the value lies, where that is known to be within one binade."""

    coefficients: np.ndarray
    bound: float
    least: float = 0.0
    most: float = math.inf


def _constant(value: float, bound: float = 0.0) -> Model:
    return Model(np.array([value] + [0.0] * DEGREE), bound)


OPEN, NOWHERE = _constant(0.0, math.inf), _constant(math.nan)


def ends(block: int, negative: bool) -> tuple[float, float, float]:
    """The first float of a block, the middle one and the last."""
    magnitudes = np.array([block << 16, (block << 16) + HALF, (block << 16) + 2 * HALF - 1])
    return tuple(widen(from_ordinal(-magnitudes - 1 if negative else magnitudes, FLOAT32)).tolist())


@contextmanager
def _many_terms() -> Iterator[None]:
    """Within it power series have as many terms as a model needs."""
    before = flint.ctx.cap
    flint.ctx.cap = DEGREE + ORDERS + 1
    try:
        with flint.ctx.workprec(PRECISION):
            yield
    finally:
        flint.ctx.cap = before


def models(fn: Callable, line: Line, block: int, negative: bool) -> list[Model]:
    """The models of a block, of a function's value and its derivatives up to order 2."""
    if block << 16 >= INFINITY:
        return [OPEN] * ORDERS
    first, middle, last = ends(block, negative)
    found = _by_series(line, first, middle, last)
    return [
        m if math.isfinite(m.bound) else _constant_in(fn, line, min(first, last), max(first, last), n)
        for n, m in enumerate(found)
    ]


def _by_series(line: Line, first: float, middle: float, last: float) -> list[Model]:
    with _many_terms():
        h, around = arb(middle) - arb(first), arb(min(first, last)).union(arb(max(first, last)))
        try:
            at = line(arb_series([arb(middle), 1], prec=DEGREE + ORDERS))
            over = line(arb_series([around, 1], prec=DEGREE + ORDERS + 1))
        except (Open, ZeroDivisionError, ValueError):
            return [OPEN] * ORDERS
        if isinstance(over, arb) and isinstance(at, arb):
            return [_model([at], over, [over], h, 0), _constant(0.0), _constant(0.0)]
        if not (type(at) is arb_series and type(over) is arb_series):
            return [OPEN] * ORDERS
        if at.prec < DEGREE + ORDERS or over.prec < DEGREE + ORDERS + 1:
            return [OPEN] * ORDERS
        known, enclosing = ([s[k] for k in range(DEGREE + ORDERS + n)] for n, s in enumerate((at, over)))
        if not all(v.is_finite() for v in (*known, *enclosing)):
            return [OPEN] * ORDERS
        return [_model(known[n:], enclosing[n] * math.factorial(n), enclosing[n:], h, n) for n in range(ORDERS)]


def _constant_in(fn: Callable, line: Line, low: float, high: float, order: int) -> Model:
    """Of a block that has no power series: the one value that it has, that it has none, or nothing."""
    if _is_nowhere(line, low, high):
        return NOWHERE
    point = everywhere(fn, low, high, fmt=FLOAT32, derivative=Order(0, order) if order else None)
    if point is None or point.state not in (State.NUMBER, State.UNDEFINED):
        return OPEN
    if point.state == State.UNDEFINED:
        return NOWHERE
    value = math.ldexp(point.quanta + point.fraction, point.exponent) if math.isfinite(point.quanta) else point.quanta
    return _constant(value, math.ldexp(FRACTION, point.exponent))


def _is_nowhere(line: Line, low: float, high: float) -> bool:
    """Whether a function has no value at any number of an interval."""
    try:
        value = line(arb(low).union(arb(high)))
    except (Open, ZeroDivisionError, ValueError):
        return False
    return isinstance(value, Undefined) and value.kind in ("domain", "nan")


def _model(known: list[arb], value: arb, enclosing: list[arb], h: arb, order: int) -> Model:
    """From Taylor coefficients at the middle and over the block, those of the value from `order` on."""
    size = abs(value)
    if size.lower() > arb(2) ** FAR:
        return _constant(math.inf if value > 0 else -math.inf)
    if size.upper() < arb(2) ** -FAR:
        return _constant(0.0)
    coefficients, bound, power = np.zeros(DEGREE + 1), arb(0), arb(1)
    for k in range(min(DEGREE + 1, len(known))):
        exact = known[k] * _falling(k, order) * power
        rounded = float(exact)
        coefficients[k] = rounded
        bound += abs(exact - rounded) + (2 * k + 2) * arb(2) ** -53 * abs(arb(rounded))
        power *= h
    if len(enclosing) > DEGREE + 1:
        bound += abs(enclosing[DEGREE + 1] * _falling(DEGREE + 1, order) * power)
    bound *= 1 + arb(2) ** -20
    if not (np.isfinite(coefficients).all() and bound.is_finite()):
        return OPEN
    return Model(coefficients, float(bound.upper()) * (1 + 2.0**-50) + 1e-300, *_binade(value))


def _falling(k: int, order: int) -> int:
    """What a coefficient `k + order` of a function is multiplied by in its derivative."""
    return math.prod(range(k + 1, k + order + 1))


def _binade(value: arb) -> tuple[float, float]:
    """The least and the greatest float64 of the binade that all of a ball lies in; a power of two as far as the ball
    can tell is in its own."""
    size = abs(value)
    mantissa, exponent = math.frexp(float(size.mid()))
    if mantissa == 0.0:
        return 0.0, math.inf
    for e in (exponent, exponent - 1):
        low, high = arb(2) ** (e - 1), arb(2) ** e
        if size >= low and size < high:
            return math.ldexp(1.0, e - 1), math.ldexp(1 - 2.0**-53, e)
    near = arb(2) ** (exponent - 1 if mantissa == 0.5 else exponent)
    if size.rad() * arb(2) ** 100 < near and size.contains(near):
        return float(near), math.inf
    return 0.0, math.inf


@dataclass(frozen=True, eq=False)
class Table:
    """The models of all blocks by sign (positive first) and order: float64 `coefficients` of shape
    `(ORDERS, 2, BLOCKS, DEGREE + 1)`, `bound`, `least` and `most` of shape `(ORDERS, 2, BLOCKS)`."""

    coefficients: np.ndarray
    bound: np.ndarray
    least: np.ndarray
    most: np.ndarray

    def open(self, order: int) -> int:
        """How many blocks have no model whose bound is within a quarter of an ulp of the value in their middle."""
        size = np.abs(self.coefficients[order, ..., 0])
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            ulp = np.exp2(np.maximum(np.floor(np.log2(np.where(size > 0, size, 2.0**-149))) - 23, -149))
            return int((~(self.bound[order] <= 0.25 * ulp) & ~(self.bound[order] == 0)).sum())

    def truth(self, order: int) -> DeviceTruth:
        """The true values of a derivative on the device; needs `jax_enable_x64`."""
        columns = [jnp.asarray(v[order]) for v in (self.coefficients, self.bound, self.least, self.most)]

        def of_block(magnitude: Array, label: float, negative: bool) -> Truth64:
            block = jnp.minimum(magnitude[0] >> 16, BLOCKS - 1)
            c, bound, least, most = (v[int(negative), block] for v in columns)
            t = ((magnitude & (2 * HALF - 1)) - HALF).astype(jnp.float64) * (1.0 / HALF)
            value = jnp.full(t.shape, c[DEGREE])
            for k in range(DEGREE - 1, -1, -1):
                value = value * t + c[k]
            value = jnp.where(magnitude > INFINITY, jnp.nan, value)
            value = jnp.copysign(jnp.clip(jnp.abs(value), least, most), value)
            scale = power_of_two(-jnp.maximum(exponent_of(value) - 23, -149))
            return in_float64(value, scale, bound * scale)

        return of_block


def table_of(fn: Callable, blocks: range = range(BLOCKS)) -> Table | None:
    """The models of a function of one number, in some blocks (in others there is none); `None` where its program is
    not straight."""
    line = straight_line(fn, jax.ShapeDtypeStruct((), np.float32))
    if line is None:
        return None
    shape = ORDERS, 2, BLOCKS
    coefficients, bound = np.zeros((*shape, DEGREE + 1)), np.full(shape, np.inf)
    least, most = np.zeros(shape), np.full(shape, np.inf)
    for negative in (False, True):
        for block in blocks:
            for order, model in enumerate(models(fn, line, block, negative)):
                at = order, int(negative), block
                coefficients[at], bound[at] = model.coefficients, model.bound
                least[at], most[at] = model.least, model.most
    return Table(coefficients, bound, least, most)
