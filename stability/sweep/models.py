"""True values of a function and its derivatives at every float32, on the device: Taylor models with a proven bound.

The floats of a sign with the same upper 16 bits are a block: `x = c + h t` with `c` its middle, `h` the distance from
its first float to its middle, and `t = -1, -1 + 2**-15, ..., 1 - 2**-15`. In each block

    f(x) = Σ_{k <= n} a_k h^k t^k + R,    |R| <= |A h^(n + 1)|,

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

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import flint
import jax
import jax.numpy as jnp
import numpy as np
from flint import arb, arb_series
from jax import Array

from stability.formats import FORMATS, from_ordinal, widen
from stability.real import Order, everywhere, straight_line
from stability.real.function import Open, terms
from stability.real.values import Undefined
from stability.truth import FRACTION, State
from stability.truth.device import INFINITY, DeviceTruth, Truth64, exponent_of, in_float64, power_of_two

DEGREES = 8, 16
"""Of the models of a function: the lower one where that is as good."""
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
    """A block: float64 `coefficients` from the constant on, a bound of the absolute error, and between which sizes the
    value lies, where that is known to be within one binade."""

    coefficients: np.ndarray
    bound: float
    least: float = 0.0
    most: float = math.inf


def _constant(value: float, bound: float = 0.0) -> Model:
    return Model(np.array([value]), bound)


OPEN, NOWHERE = _constant(0.0, math.inf), _constant(math.nan)


def ends(block: int, negative: bool) -> tuple[float, float, float]:
    """The first float of a block, the middle one and the last."""
    magnitudes = np.array([block << 16, (block << 16) + HALF, (block << 16) + 2 * HALF - 1])
    return tuple(widen(from_ordinal(-magnitudes - 1 if negative else magnitudes, FLOAT32)).tolist())


def models(fn: Callable, line: Line, block: int, negative: bool, degree: int) -> list[Model]:
    """The models of a block, of a function's value and its derivatives up to order 2, of a degree at most."""
    if block << 16 >= INFINITY:
        return [OPEN] * ORDERS
    first, middle, last = ends(block, negative)
    found = _by_series(line, first, middle, last, degree)
    return [
        m if math.isfinite(m.bound) else _constant_in(fn, line, min(first, last), max(first, last), n)
        for n, m in enumerate(found)
    ]


def _by_series(line: Line, first: float, middle: float, last: float, degree: int) -> list[Model]:
    with flint.ctx.workprec(PRECISION), terms(degree + ORDERS + 1):
        h, around = arb(middle) - arb(first), arb(min(first, last)).union(arb(max(first, last)))
        try:
            at = line(arb_series([arb(middle), 1], prec=degree + ORDERS))
            over = line(arb_series([around, 1], prec=degree + ORDERS + 1))
        except (Open, ZeroDivisionError, ValueError):
            return [OPEN] * ORDERS
        if isinstance(over, arb) and isinstance(at, arb):
            return [_model([at], over, [over], h, 0, degree), _constant(0.0), _constant(0.0)]
        if not (type(at) is arb_series and type(over) is arb_series):
            return [OPEN] * ORDERS
        if at.prec < degree + ORDERS or over.prec < degree + ORDERS + 1:
            return [OPEN] * ORDERS
        known, enclosing = ([s[k] for k in range(degree + ORDERS + n)] for n, s in enumerate((at, over)))
        if not all(v.is_finite() for v in (*known, *enclosing)):
            return [OPEN] * ORDERS
        return [_model(known[n:], enclosing[n] * math.factorial(n), enclosing[n:], h, n, degree) for n in range(ORDERS)]


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


def _model(known: list[arb], value: arb, enclosing: list[arb], h: arb, order: int, degree: int) -> Model:
    """From Taylor coefficients at the middle and over the block, those of the value from `order` on."""
    size = abs(value)
    if size.lower() > arb(2) ** FAR:
        return _constant(math.inf if value > 0 else -math.inf)
    if size.upper() < arb(2) ** -FAR:
        return _constant(0.0)
    coefficients, bound, power = np.zeros(degree + 1), arb(0), arb(1)
    for k in range(min(degree + 1, len(known))):
        exact = known[k] * _falling(k, order) * power
        rounded = float(exact)
        coefficients[k] = rounded
        bound += abs(exact - rounded) + (2 * k + 2) * arb(2) ** -53 * abs(arb(rounded))
        power *= h
    if len(enclosing) > degree + 1:
        bound += abs(enclosing[degree + 1] * _falling(degree + 1, order) * power)
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
    `(ORDERS, 2, BLOCKS, degree + 1)`, `bound`, `least` and `most` of shape `(ORDERS, 2, BLOCKS)`."""

    coefficients: np.ndarray
    bound: np.ndarray
    least: np.ndarray
    most: np.ndarray

    @cached_property
    def is_open(self) -> np.ndarray:
        """Which blocks have no model whose bound is within a quarter of an ulp of the value in their middle: of shape
        `(ORDERS, 2, BLOCKS)`."""
        return _is_open(self.coefficients[..., 0], self.bound, 0.25)

    def open(self, order: int) -> int:
        """How many blocks that is."""
        return int(self.is_open[order].sum())

    def filled(self, other: Table) -> Table:
        """With the models of another table of the same function where this one's are open."""
        degrees = max(t.coefficients.shape[-1] for t in (self, other))
        mine, theirs = (
            np.pad(t.coefficients, [(0, 0)] * 3 + [(0, degrees - t.coefficients.shape[-1])]) for t in (self, other)
        )
        bounds = [(getattr(self, name), getattr(other, name)) for name in ("bound", "least", "most")]
        return Table(
            np.where(self.is_open[..., None], theirs, mine), *(np.where(self.is_open, b, a) for a, b in bounds)
        )

    def where_defined(self, fn: Callable, blocks: Sequence[int]) -> Table:
        """Without a value in those blocks where another function has none."""
        line = straight_line(fn, jax.ShapeDtypeStruct((), np.float32))
        if line is None:
            return self
        nowhere = np.zeros((2, BLOCKS), bool)
        with flint.ctx.workprec(PRECISION):
            for negative, block in itertools.product((False, True), blocks):
                first, _, last = ends(block, negative)
                nowhere[int(negative), block] = _is_nowhere(line, min(first, last), max(first, last))
        coefficients = np.where(nowhere[..., None], NOWHERE.coefficients[0], self.coefficients)
        return replace(self, coefficients=coefficients, bound=np.where(nowhere, 0.0, self.bound))

    def truth(self, order: int) -> DeviceTruth:
        """The true values of a derivative on the device; needs `jax_enable_x64`."""
        columns = [jnp.asarray(v[order]) for v in (self.coefficients, self.bound, self.least, self.most)]

        def of_block(magnitude: Array, label: float, negative: bool) -> Truth64:
            block = jnp.minimum(magnitude[0] >> 16, BLOCKS - 1)
            c, bound, least, most = (v[int(negative), block] for v in columns)
            t = ((magnitude & (2 * HALF - 1)) - HALF).astype(jnp.float64) * (1.0 / HALF)
            value = jnp.full(t.shape, c[-1])
            for k in range(len(c) - 2, -1, -1):
                value = value * t + c[k]
            value = jnp.where(magnitude > INFINITY, jnp.nan, value)
            value = jnp.copysign(jnp.clip(jnp.abs(value), least, most), value)
            scale = power_of_two(-jnp.maximum(exponent_of(value) - 23, -149))
            return in_float64(value, scale, bound * scale)

        return of_block


def _is_open(value: np.ndarray, bound: np.ndarray, most: float) -> np.ndarray:
    """Where a bound is over so many ulps of a value."""
    size = np.abs(value)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ulp = np.exp2(np.maximum(np.floor(np.log2(np.where(size > 0, size, 2.0**-149))) - 23, -149))
        return ~(bound <= most * ulp) & ~(bound == 0)


SHARP = 2.0**-12
"""Ulps within which a bound leaves so few floats open that a higher degree is not worth its time."""


def _blunt(found: list[Model]) -> int:
    """How many of some models are not sharp."""
    return sum(int(_is_open(m.coefficients[:1], np.array([m.bound]), SHARP).sum()) for m in found)


def table_of(fn: Callable, blocks: Sequence[int] = range(BLOCKS)) -> Table | None:
    """The models of a function of one number, in some blocks (in others there is none); `None` where its program is
    not straight."""
    line = straight_line(fn, jax.ShapeDtypeStruct((), np.float32))
    if line is None:
        return None
    low, high = DEGREES
    return _table(fn, line, blocks, low, high) or _table(fn, line, blocks, high, high)


def _table(fn: Callable, line: Line, blocks: Sequence[int], degree: int, higher: int) -> Table | None:
    """By models of a degree; `None` where those of a higher one do in a block in which they don't."""
    shape = ORDERS, 2, BLOCKS
    coefficients, bound = np.zeros((*shape, degree + 1)), np.full(shape, np.inf)
    least, most = np.zeros(shape), np.full(shape, np.inf)
    for negative in (False, True):
        for block in blocks:
            found = models(fn, line, block, negative, degree)
            blunt = _blunt(found) if higher > degree else 0
            if blunt and blunt > _blunt(models(fn, line, block, negative, higher)):
                return None
            for order, model in enumerate(found):
                at = order, int(negative), block
                coefficients[at][: len(model.coefficients)] = model.coefficients
                bound[at], least[at], most[at] = model.bound, model.least, model.most
    return Table(coefficients, bound, least, most)
