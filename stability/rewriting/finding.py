"""The search for one term, and the outcome as text: what `stabilize` does once for a function, and for its slopes."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from stability.formats import FloatFormat, from_ordinal
from stability.rewriting.comparison import is_normal, worse_at
from stability.rewriting.extraction import Candidate
from stability.rewriting.measuring import error_of, under_jit
from stability.rewriting.pieces import Piece, pieces
from stability.rewriting.problems import Problem
from stability.rewriting.programs import Unsupported
from stability.rewriting.rational import rational_forms
from stability.rewriting.regimes import Bisection, Regimes, chosen
from stability.rewriting.sample import (
    Reals,
    Sample,
    bits_of_error,
)
from stability.rewriting.search import Search
from stability.rewriting.source import function_of, source_of
from stability.rewriting.steps import rewritten
from stability.rewriting.terms import Term, cost, each_part, in_floats, replaced, size
from stability.rewriting.tidy import tidied

PART = 0.01
"""Mean bits that a term may lose for each part by which it is smaller."""
CLOSE = 1.6
"""The bits of a result that is two floats off."""
ROUNDS = 2
TURNS, FRESH = 4, 32
"""How often points are added, and how many times as many points as those of a search are looked at for it."""
BAD, MOST_BAD = 3.0, 32
"""The bits from which a result is bad; how many of the worst points are added."""


class Found(NamedTuple):
    """What a search came to: the terms to use, what was known on the way, a search for each piece of the given term,
    and the points that it was made for."""

    regimes: Regimes
    searches: tuple[tuple[Piece, Search], ...]
    points: Sample

    def of(self, term: Term) -> tuple[Piece, Search]:
        """The piece, and its search, that found a term."""
        known = [(piece, search) for piece, search in self.searches if term in search.found]
        return known[0] if known else self.searches[0]

    def alone(self, term: Term) -> Found:
        """With one term everywhere."""
        return self._replace(regimes=Regimes.alone(term))

    def is_exact(self, term: Term) -> bool:
        return self.of(term)[1].is_exact(term)


def searched(problem: Problem, points: Sample, before: Found | None = None, rounds: int = ROUNDS) -> Found:
    """The best terms for one at the points of a sample. Those of a search before are tried first: another is made where
    they are bad at some point, all of them."""
    fmt = problem.fmt
    searches, measured = [], [_judged([problem.term], points, fmt)[0]]
    valid: dict[Term, Piece] = {}
    for piece in [Piece(problem.term)] if points.has_rows else pieces(problem.term, fmt):
        inside = piece.holds(points.columns[piece.name]) if piece.name else np.ones(len(points), bool)
        if not inside.any():
            continue
        search = _search(piece.term, points.at(np.flatnonzero(inside)), fmt, before, rounds)
        searches.append((piece, search))
        terms = [t for t in search.found if t is not problem.term]
        for candidate in _judged(terms, points, fmt):
            valid[candidate.term] = piece
            measured.append(candidate._replace(bits=np.where(inside, candidate.bits, fmt.bits)))
    bisect = Bisection(problem.term, problem.names, fmt, problem.domain, problem.seed, valid)
    regimes = chosen(measured, {} if points.has_rows else points.columns, measured[0].bits, fmt, bisect)
    found = Found(regimes, tuple(searches), points)
    used = _branches(regimes, points.columns)
    tidy = {}
    for t in dict.fromkeys(regimes.terms):
        search, there = found.of(t)[1], np.isin(used, [i for i, other in enumerate(regimes.terms) if other is t])
        known = filter(search.is_exact, search.found)
        simple = simplified(t, points.at(np.flatnonzero(there)), known) if search.is_exact(t) else t
        tidy[t] = search.written(t, tidied(simple))
    return found._replace(regimes=regimes._replace(terms=tuple(tidy[t] for t in regimes.terms)))


def simplified(term: Term, points: Sample, known: Iterable[Term]) -> Term:
    """A smaller term, of those known or one that equals it by a rule or by algebra in some of its parts, as long as it
    keeps its digits: its mean error grows by `PART` at most for each part less, its worst to `CLOSE` at most, and none
    by over a bit; or it is nowhere more than one float off."""
    best, reals = term, Reals(points)
    bits = bits_of_error(in_floats(term, points.columns), points.truth)

    def serves(form: Term) -> bool:
        if size(form) >= size(best):
            return False
        own = bits_of_error(in_floats(form, points.columns), points.truth)
        allowed = bits.mean() + PART * (size(term) - size(form))
        near = own.mean() <= allowed and own.max() <= max(bits.max(), CLOSE) and not len(worse_at(bits, own))
        return bool(near or own.max() <= 1)

    forms: Iterator[Term] = itertools.chain(known, _forms(best, reals))
    while smaller := list(filter(serves, map(tidied, forms))):
        best = min(smaller, key=size)
        forms = _forms(best, reals)
    return best


def _forms(term: Term, reals: Reals) -> Iterator[Term]:
    for part in each_part(term):
        yield from (replaced(term, {part: form}) for form in rational_forms(part))
    yield from (form for form, _ in rewritten(term, reals))


def _search(term: Term, points: Sample, fmt: FloatFormat, before: Found | None, rounds: int) -> Search:
    """The candidates of a search before, and those of another where they are bad."""
    search = Search(term, points, fmt)
    for piece, other in before.searches if before else ():
        if piece.term is term:
            search.take(other)
    if before is None or np.any(search.kept.best[is_normal(points.truth, fmt)] > BAD):
        for _ in range(rounds):
            search.round()
    search.close()
    return search


def _judged(terms: Sequence[Term], points: Sample, fmt: FloatFormat) -> list[Candidate]:
    """Terms at points, under `jit` or operation by operation, whichever is worse: what XLA fuses is rounded less."""
    out = []
    for t, x in zip(terms, under_jit(terms, points, fmt), strict=True):
        plain = bits_of_error(in_floats(t, points.columns), points.truth)
        out.append(Candidate(t, x, np.maximum(bits_of_error(x, points.truth), plain), cost(t)))
    return out


def focused(problem: Problem, points: int) -> Found:
    """As `searched`, with points where the outcome is bad added to those of the search, until it is not."""
    where = _of_each_piece(problem, points)
    if not len(where):
        raise Unsupported("it has no value anywhere in the domain")
    found = searched(problem, where)
    given = written(lambda: None, found.alone(problem.term), problem.names)[1]
    for turn in range(1, TURNS):
        fresh = problem.mixed((8 if problem.rows else FRESH) * points, salt=turn)
        own = written(lambda: None, found, problem.names)[1]
        before, got = (error_of(f, fresh, problem.names, problem.fmt) for f in (given, own))
        bad = np.flatnonzero(is_normal(fresh.truth, problem.fmt) & ((got > BAD) | (got > np.maximum(before + 1, 2))))
        if not len(bad):
            break
        worst = bad[np.argsort(-got[bad], kind="stable")][:MOST_BAD]
        found = searched(problem, joined_around(problem, found.points, fresh.at(worst)), found)
    return found


def _of_each_piece(problem: Problem, points: int) -> Sample:
    """Points of the domain, and some of each piece of the term."""
    found = problem.mixed(2 * points)
    for piece in pieces(problem.term, problem.fmt) if not problem.rows else ():
        ends = problem.domain.get(piece.name, (-problem.fmt.max, problem.fmt.max))
        for interval in piece.intervals if isinstance(ends, tuple) else ():
            low, high = from_ordinal(np.array(interval), problem.fmt).astype(np.float64).tolist()
            inside = max(low, ends[0]), min(high, ends[1])
            if inside[0] <= inside[1]:
                part = problem._replace(domain={**problem.domain, piece.name: inside})
                found = found.joined(part.mixed(points // 4))
    return found


def joined_around(problem: Problem, points: Sample, others: Sample) -> Sample:
    """A sample with others, and with points around those."""
    points = points.joined(others)
    return points if problem.rows else points.joined(problem.beside(others, 1 + MOST_BAD // (2 * len(others))))


def harmless_points(regimes: Regimes, points: Sample) -> dict[Term, dict[str, float]]:
    """For each term a point where it is used and has a result: one of moderate numbers, of two digits where that is
    such a point too."""
    out: dict[Term, dict[str, float]] = {}
    if points.has_rows:
        return {}
    branches, sizes = _branches(regimes, points.columns), _sizes(points)
    for t in dict.fromkeys(regimes.terms):
        own = np.flatnonzero([regimes.terms[b] is t for b in branches])
        i = int(own[np.argmin(sizes[own])]) if len(own) else int(np.argmin(sizes))
        point = {name: column[i : i + 1] for name, column in points.columns.items()}
        short = {name: float(f"{float(x[0]):.2g}") for name, x in point.items()}
        near = {name: np.array([short[name]], x.dtype) for name, x in point.items()}
        serves = len(own) and regimes.terms[_branches(regimes, near)[0]] is t and np.isfinite(in_floats(t, near)[0])
        out[t] = short if serves else {name: float(x[0]) for name, x in point.items()}
    return out


def _branches(regimes: Regimes, columns: Mapping[str, np.ndarray]) -> np.ndarray:
    n = len(next(iter(columns.values())))
    return regimes.where(columns[regimes.name]) if regimes.name else np.zeros(n, np.int64)


def _sizes(points: Sample) -> np.ndarray:
    """How far from 1 in size the numbers of a point are, in bits."""
    with np.errstate(divide="ignore"):
        logs = [np.abs(np.log2(np.abs(x.astype(np.float64)))) for x in points.columns.values()]
    return np.max(logs, axis=0)


def written(fn: Callable, found: Found, names: tuple[str, ...]) -> tuple[str, Callable[..., Any]]:
    """The text of an outcome, and the function that it is, named as the given one."""
    called = getattr(fn, "__name__", "stable")
    called = called if called.isidentifier() else "stable"
    text = source_of(found.regimes, names, harmless_points(found.regimes, found.points), called)
    return text, function_of(text, called)
