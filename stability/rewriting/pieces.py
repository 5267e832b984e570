"""A term by pieces: where comparisons of a variable with numbers hold, and what the term is there.

A choice that hangs on such a comparison is made once and for all in each piece, so that what is chosen there is a term
of its own, which rules and series serve.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from stability.formats import FloatFormat, to_ordinal
from stability.rewriting.infinite import FALSE, TRUE, built
from stability.rewriting.terms import Term, folded, rebuilt, rounded, subterms

_HOLDS = {
    "lt": lambda x, c: x < c,
    "le": lambda x, c: x <= c,
    "gt": lambda x, c: x > c,
    "ge": lambda x, c: x >= c,
    "eq": lambda x, c: x == c,
    "ne": lambda x, c: x != c,
}
_TURNED = {"lt": "gt", "le": "ge", "gt": "lt", "ge": "le", "eq": "eq", "ne": "ne"}
MOST = 8
"""Places at most where pieces meet."""


class Piece(NamedTuple):
    """A term, and on which intervals of the variable `name` it is the whole one: the ordinals of their first and last
    floats. Everywhere, without a name."""

    term: Term
    name: str = ""
    intervals: tuple[tuple[int, int], ...] = ()

    def holds(self, column: np.ndarray) -> np.ndarray:
        """At which floats of the variable."""
        ordinals = to_ordinal(column)
        return np.any([(a <= ordinals) & (ordinals <= b) for a, b in self.intervals], axis=0)


def _split(t: Term) -> tuple[str, str, Fraction] | None:
    """A comparison, or an extreme, of a variable and a number: the operation, the variable on its left."""
    if len(t.args) != 2 or t.op not in (*_HOLDS, "max", "min"):
        return None
    x, y = t.args
    if x.op == "var" and isinstance(y.leaf, Fraction):
        return t.op, str(x.leaf), y.leaf
    if y.op == "var" and isinstance(x.leaf, Fraction):
        return _TURNED.get(t.op, t.op), str(y.leaf), x.leaf
    return None


def pieces(term: Term, fmt: FloatFormat) -> list[Piece]:
    """The pieces of a term by the variable that most of its comparisons are of, each term once."""
    splits = [s for s in map(_split, subterms(term)) if s]
    names = [name for _, name, _ in splits]
    if not names:
        return [Piece(term)]
    name = max(names, key=names.count)
    places = sorted({c for _, of, c in splits if of == name})
    if len(places) > MOST:
        return [Piece(term)]
    found: dict[Term, list[tuple[int, int]]] = {}
    for first, last, x in _between(places, fmt):
        found.setdefault(_decided(term, name, x), []).append((first, last))
    return [Piece(t, name, tuple(intervals)) for t, intervals in found.items()]


def _between(places: list[Fraction], fmt: FloatFormat) -> Iterator[tuple[int, int, Fraction]]:
    """The intervals of floats below, at and above each of some numbers: the ordinals of their ends, and a number in
    them. Subnormal floats are with 0, for which XLA takes them."""
    start, least = -fmt.infinity - 1, int(to_ordinal(np.array(fmt.smallest_normal, fmt.dtype)))
    for i, place in enumerate(places):
        nearest = fmt.dtype.type(rounded(place))
        here = int(to_ordinal(nearest))
        low, high = here + (float(nearest) < place), here - (float(nearest) > place)
        if abs(place) < fmt.smallest_normal:
            low, high = -least, least - 1
        if start < low:
            yield start, low - 1, place - 1 if i == 0 else (places[i - 1] + place) / 2
        if start <= high and low <= high:
            yield max(start, low), high, place
        start = max(start, high + 1)
    if start <= fmt.infinity:
        yield start, fmt.infinity, places[-1] + 1


def _decided(term: Term, name: str, x: Fraction) -> Term:
    """A term with its comparisons decided as at a number."""

    def step(t: Term, args: list[Term]) -> Term:
        split = _split(t)
        if split and split[1] == name:
            op, _, c = split
            if op in _HOLDS:
                return TRUE if _HOLDS[op](x, c) else FALSE
            greater = t.args[0] if (t.args[0].op == "var") == (x > c) else t.args[1]
            other = t.args[1] if greater is t.args[0] else t.args[0]
            return greater if op == "max" else other
        return built(t.op, *args) if t.args else rebuilt(t, args)

    return folded(term, step)
