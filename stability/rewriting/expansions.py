"""Polynomials that come near a term: its series, cut off."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction

import numpy as np

from stability.rewriting.plain import plain
from stability.rewriting.rational import TooLarge
from stability.rewriting.series import Expansion, NoSeries, Series
from stability.rewriting.terms import Term, negated, number, operation, replaced, variable, variables

ORDERS = {1: 24, 2: 8}
"""To how many coefficients, by the number of variables; of more, `FEW`."""
FEW = 5
KEPT = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16)
"""How many coefficients that are not 0 a polynomial has."""


def expansions(term: Term, points: Mapping[str, np.ndarray], bits: np.ndarray) -> Iterator[Term]:
    """Truncated series of a term, of several lengths: in each of its variables, at 0, at both infinities, and at
    numbers among the `points` of a sample (`centres`), where its error is so many `bits`."""
    term, names = plain(term), variables(term)
    order = ORDERS.get(len(names), FEW)
    found: set[Term] = set()
    for name in names:
        x = variable(name)
        for infinite, side in itertools.product((False, True), (1, -1)):
            found.update(_near(term, Expansion(name, infinite, side, order)))
        for centre in centres(points[name], bits):
            moved = plain(replaced(term, {x: plus(x, number(centre))}))
            back = {x: plus(x, number(-centre))}
            found.update(replaced(t, back) for t in _near(moved, Expansion(name, False, 1, order)))
    yield from found


def _near(term: Term, expansion: Expansion) -> Iterator[Term]:
    try:
        series = expansion.of(term)
    except (NoSeries, TooLarge, ZeroDivisionError):
        return
    yield from truncated(expansion, series)


NARROW, BITS = 2, 12
"""A range whose ends differ by less than this factor has a middle, of so many bits."""
PEAK = 8.0
"""The bits of an error that peaks."""


def centres(column: np.ndarray, bits: np.ndarray) -> set[Fraction]:
    """Numbers that are simple: the middle of a narrow range, and what is whole near the float of the worst error."""
    x = column.astype(np.float64)
    x, bits = x[np.isfinite(x)], bits[np.isfinite(x)]
    found: set[Fraction] = set()
    low, high = float(x.min(initial=np.inf)), float(x.max(initial=-np.inf))
    if 0 < low <= high < NARROW * low or NARROW * low < low <= high < 0:
        scale = Fraction(2) ** (BITS - math.frexp(high)[1])
        found.add(Fraction(round(Fraction(low + high) / 2 * scale)) / scale)
    if len(x) and bits.max() > PEAK:
        worst = x[int(np.argmax(bits))]
        if 1 <= abs(round(worst)) < 2**BITS and abs(worst - round(worst)) < abs(worst) / 16:
            found.add(Fraction(round(worst)))
    return found


def truncated(expansion: Expansion, series: Series) -> Iterator[Term]:
    """Polynomials of the first coefficients that are not 0, by Horner's scheme."""
    there = [i for i, c in enumerate(series.c) if not c.is_zero()]
    for n in KEPT:
        if 0 < n <= len(there):
            yield _polynomial(expansion, series, there[:n])


def _polynomial(expansion: Expansion, series: Series, places: Sequence[int]) -> Term:
    x = variable(expansion.name)
    out: Term | None = None
    for here, after in zip(reversed(places), [None, *reversed(places[1:])], strict=True):
        c = series.c[here].term()
        out = c if out is None or after is None else plus(c, times(_powers(x, after - here, expansion.infinite), out))
    assert out is not None
    n = -series.start if expansion.infinite else series.start
    if n == 0:
        return out
    scale = _product(x, abs(n))
    return times(scale, out) if n > 0 else operation("div", out, scale)


def plus(x: Term, y: Term) -> Term:
    if isinstance(y.leaf, Fraction) and y.leaf < 0:
        return operation("sub", x, number(-y.leaf))
    if y.op == "neg":
        return operation("sub", x, y.args[0])
    return operation("add", x, y)


def times(x: Term, y: Term) -> Term:
    if y.leaf == 1:
        return x
    if y.leaf == -1:
        return negated(x)
    return operation("mul", x, y)


def _powers(x: Term, n: int, infinite: bool) -> Term:
    """`t^n`."""
    power = _product(x, n)
    return operation("div", number(1), power) if infinite else power


def _product(x: Term, n: int) -> Term:
    """`x^n` by squaring, which shares what is repeated."""
    if n == 1:
        return x
    half = _product(x, n // 2)
    square = operation("mul", half, half)
    return operation("mul", x, square) if n % 2 else square
