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
from stability.rewriting.terms import Term, folded, number, rebuilt, rounded, subterms

_HOLDS = {
    "lt": lambda x, c: x < c,
    "le": lambda x, c: x <= c,
    "gt": lambda x, c: x > c,
    "ge": lambda x, c: x >= c,
    "eq": lambda x, c: x == c,
    "ne": lambda x, c: x != c,
}
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


def _clipped(t: Term) -> str | None:
    """The variable that a term is, or that it is an extreme of, with numbers."""
    if t.op == "var":
        return str(t.leaf)
    of = next((a for a in t.args if a.op != "num"), None)
    return _clipped(of) if t.op in ("max", "min") and of is not None and any(a.op == "num" for a in t.args) else None


def _split(t: Term) -> tuple[str, Fraction] | None:
    """Of a comparison, or an extreme, of a variable and a number: both."""
    if t.op not in (*_HOLDS, "max", "min"):
        return None
    names = [name for a in t.args if (name := _clipped(a))]
    numbers = [a.leaf for a in t.args if isinstance(a.leaf, Fraction)]
    return (names[0], numbers[0]) if names and numbers else None


def pieces(term: Term, fmt: FloatFormat) -> list[Piece]:
    """The pieces of a term by the variable that most of its comparisons are of, each term once."""
    splits = [s for s in map(_split, subterms(term)) if s]
    names = [name for name, _ in splits]
    if not names:
        return [Piece(term)]
    name = max(names, key=names.count)
    places = sorted({place for of, place in splits if of == name})
    if len(places) > MOST:
        return [Piece(term)]
    found: dict[Term, list[tuple[int, int]]] = {}
    for first, last, x in _between(places, fmt):
        found.setdefault(_decided(term, name, x), []).append((first, last))
    return [Piece(t, name, tuple(intervals)) for t, intervals in found.items()]


def _between(places: list[Fraction], fmt: FloatFormat) -> Iterator[tuple[int, int, Fraction]]:
    """The intervals of floats below, at and above each of some numbers: the ordinals of their ends, and a number in
    them. Subnormal floats are with 0, for which XLA takes them, but for those of float16."""
    start, least = (
        -fmt.infinity - 1,
        1 if fmt.name == "float16" else int(to_ordinal(fmt.dtype.type(fmt.smallest_normal))),
    )
    for i, place in enumerate(places):
        nearest = fmt.dtype.type(rounded(place))
        here = int(to_ordinal(nearest))
        low, high = here + (float(nearest) < place), here - (float(nearest) > place)
        if -least <= here < least:
            low, high = -least, least - 1
        if start < low:
            yield start, low - 1, place - 1 if i == 0 else (places[i - 1] + place) / 2
        if start <= high and low <= high:
            yield max(start, low), high, place
        start = max(start, high + 1)
    if start <= fmt.infinity:
        yield start, fmt.infinity, places[-1] + 1


def _decided(term: Term, name: str, x: Fraction) -> Term:
    """A term with its comparisons decided as at a number. What is multiplied by a zero that is chosen is 0, whatever it
    is, as over the reals."""
    chosen: set[Term] = set()

    def value(t: Term) -> Fraction | None:
        return x if t.op == "var" and t.leaf == name else t.leaf if isinstance(t.leaf, Fraction) else None

    def step(t: Term, args: list[Term]) -> Term:
        if t.op in (*_HOLDS, "max", "min"):
            a, b = map(value, args)
            if a is not None and b is not None:
                if t.op in _HOLDS:
                    return TRUE if _HOLDS[t.op](a, b) else FALSE
                return args[0] if (a >= b) == (t.op == "max") else args[1]
        if (t.op == "mul" and chosen.intersection(t.args)) or (t.op in ("div", "neg") and t.args[0] in chosen):
            chosen.add(t)
            return number(0)
        out = built(t.op, *args) if t.args else rebuilt(t, args)
        if t.op == "select" and out is number(0):
            chosen.add(t)
        return out

    return folded(term, step)
