"""Polynomials that come near a term: its series, cut off."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

from stability.rewriting.plain import plain
from stability.rewriting.rational import TooLarge
from stability.rewriting.series import Expansion, NoSeries, Series
from stability.rewriting.terms import Term, negated, number, operation, variable, variables

ORDERS = {1: 24, 2: 8}
"""To how many coefficients, by the number of variables; of more, `FEW`."""
FEW = 5
KEPT = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16)
"""How many coefficients that are not 0 a polynomial has."""


def expansions(term: Term) -> Iterator[Term]:
    """Truncated series of a term: in each of its variables, at 0 and at both infinities, of several lengths."""
    term, names = plain(term), variables(term)
    order = ORDERS.get(len(names), FEW)
    found: set[Term] = set()
    for name in names:
        for infinite in (False, True):
            for side in (1, -1):
                expansion = Expansion(name, infinite, side, order)
                try:
                    series = expansion.of(term)
                except (NoSeries, TooLarge, ZeroDivisionError):
                    continue
                for polynomial in truncated(expansion, series):
                    if polynomial not in found:
                        found.add(polynomial)
                        yield polynomial


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
