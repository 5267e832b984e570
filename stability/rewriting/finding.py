"""The search for one term, and the outcome as text: what `stabilize` does once for a function, and for its slopes."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from stability.formats import FloatFormat, to_ordinal
from stability.rewriting.extraction import Candidate
from stability.rewriting.measuring import error_of, under_jit
from stability.rewriting.pieces import Piece, pieces
from stability.rewriting.programs import Unsupported
from stability.rewriting.rational import rational_forms
from stability.rewriting.regimes import LOST, Bisection, Regimes, chosen
from stability.rewriting.sample import (
    TRIES,
    Domain,
    Reals,
    Sample,
    beside,
    bits_of_error,
    drawn,
    ends_of,
    judged,
    moderate,
)
from stability.rewriting.search import Search
from stability.rewriting.source import function_of, source_of
from stability.rewriting.steps import rewritten
from stability.rewriting.terms import Term, cost, each_part, in_floats, replaced, size
from stability.rewriting.tidy import tidied

NOTHING = 0.01
"""A gain in mean bits that is none."""
PART = 0.01
"""Mean bits that a term may lose for each part by which it is smaller."""
ROUNDS = 2
TURNS = 4
"""How often points are added."""
MOST_ENDS = 16
MOST_TRIED = 3
"""Terms that are tried in place of an outcome that is worse than what was given."""
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

    def is_exact(self, term: Term) -> bool:
        return self.of(term)[1].is_exact(term)


class Problem(NamedTuple):
    """A term and where it is wanted: the domain, and those points of it that are `allowed`; `rows` how many elements
    those of its variables have that are rows."""

    term: Term
    names: tuple[str, ...]
    fmt: FloatFormat
    domain: Domain
    seed: int
    allowed: Callable[..., bool] = lambda *point: True
    rows: Mapping[str, int] = {}

    def sample(self, points: int, salt: int = 0) -> Sample:
        """Uniform over the floats of the domain."""
        return self._judged(self._drawn(drawn, salt), points)

    def _drawn(self, draw: Callable, salt: int) -> Iterator[dict[str, Any]]:
        """Points without end, the elements of rows drawn one by one."""
        slots = {name: [f"{name}.{i}" for i in range(self.rows.get(name, 1))] for name in self.names}
        domain = {slot: self.domain[name] for name in self.names if name in self.domain for slot in slots[name]}
        for point in draw([slot for each in slots.values() for slot in each], self.fmt, domain, self.seed + salt):
            of = {name: [point[slot] for slot in each] for name, each in slots.items()}
            yield {name: np.array(x) if name in self.rows else x[0] for name, x in of.items()}

    def mixed(self, points: int, salt: int = 0) -> Sample:
        """The ends of the domain, and half uniform over the floats, half over those of moderate numbers."""
        found = self.sample(points // 2, salt).joined(self._judged(self._drawn(moderate, salt), points // 2))
        return found if self.rows else self._judged(ends_of(self.names, self.domain), MOST_ENDS).joined(found)

    def beside(self, points: Sample, each: int) -> Sample:
        """Points around others."""
        return self._judged(beside(points, each, self.fmt, self.domain, self.seed), each * len(points))

    def _judged(self, points: Iterable[dict[str, Any]], n: int) -> Sample:
        """The first `n`, of `TRIES` times as many, where there is a value."""
        tried = itertools.islice(points, TRIES * n)
        kept = (point for point in tried if self.allowed(*(point[name] for name in self.names)))
        return judged(self.term, self.names, n, self.fmt, kept)


def searched(problem: Problem, points: Sample, before: Found | None = None) -> Found:
    """The best terms for one at the points of a sample. Those of a search before are tried first: another is made where
    they are bad at some point, all of them."""
    fmt = problem.fmt
    searches, measured = [], [_judged([problem.term], points, fmt)[0]]
    valid: dict[Term, Piece] = {}
    for piece in [Piece(problem.term)] if points.has_rows else pieces(problem.term, fmt):
        inside = piece.holds(points.columns[piece.name]) if piece.name else np.ones(len(points), bool)
        if not inside.any():
            continue
        search = _search(piece.term, points.at(np.flatnonzero(inside)), fmt, before)
        searches.append((piece, search))
        terms = [t for t in search.found if t is not problem.term]
        for candidate in _judged(terms, points, fmt):
            valid[candidate.term] = piece
            measured.append(candidate._replace(bits=np.where(inside, candidate.bits, fmt.bits)))
    bisect = Bisection(problem.term, problem.names, fmt, problem.domain, problem.seed, valid)
    regimes = chosen(measured, {} if points.has_rows else points.columns, measured[0].bits, fmt, bisect)
    found = Found(regimes, tuple(searches), points)
    used = regimes.where(points.columns[regimes.name]) if regimes.name else np.zeros(len(points), int)
    tidy = {}
    for t in dict.fromkeys(regimes.terms):
        search, there = found.of(t)[1], np.isin(used, [i for i, other in enumerate(regimes.terms) if other is t])
        simple = simplified(t, points.at(np.flatnonzero(there))) if search.is_exact(t) else t
        tidy[t] = search.written(t, tidied(simple))
    return found._replace(regimes=regimes._replace(terms=tuple(tidy[t] for t in regimes.terms)))


def simplified(term: Term, points: Sample) -> Term:
    """A smaller term that equals one by a rule or by algebra in some of its parts, as long as it keeps its digits: its
    mean error grows by `PART` at most for each part less, and nowhere by over a bit."""
    best, reals = term, Reals(points)
    bits = bits_of_error(in_floats(term, points.columns), points.truth)

    def serves(form: Term) -> bool:
        if size(form) >= size(best):
            return False
        own = bits_of_error(in_floats(form, points.columns), points.truth)
        allowed = bits.mean() + PART * (size(term) - size(form))
        return bool(own.mean() <= allowed and not len(worse_at(bits, own)))

    while smaller := [form for form in map(tidied, _forms(best, reals)) if serves(form)]:
        best = min(smaller, key=size)
    return best


def _forms(term: Term, reals: Reals) -> Iterator[Term]:
    for part in each_part(term):
        yield from (replaced(term, {part: form}) for form in rational_forms(part))
    yield from (form for form, _ in rewritten(term, reals))


def _search(term: Term, points: Sample, fmt: FloatFormat, before: Found | None) -> Search:
    """The candidates of a search before, and those of another where they are bad."""
    search = Search(term, points, fmt)
    for piece, other in before.searches if before else ():
        if piece.term is term:
            search.take(other)
    if before is None or np.any(search.kept.best[is_normal(points.truth, fmt)] > BAD):
        for _ in range(ROUNDS):
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
    where = problem.mixed(2 * points)
    if not len(where):
        raise Unsupported("it has no value anywhere in the domain")
    found = searched(problem, where)
    for turn in range(1, TURNS):
        fresh = problem.mixed(8 * points, salt=turn)
        given, got = (
            bits_of_error(x, fresh.truth)
            for x in (in_floats(problem.term, fresh.columns), found.regimes.in_floats(fresh.columns))
        )
        bad = np.flatnonzero(is_normal(fresh.truth, problem.fmt) & ((got > BAD) | (got > np.maximum(given + 1, 2))))
        if not len(bad):
            break
        worst = bad[np.argsort(-got[bad], kind="stable")][:MOST_BAD]
        around = fresh.at(worst)
        where = where.joined(around)
        if not problem.rows:
            where = where.joined(problem.beside(around, 1 + MOST_BAD // (2 * len(worst))))
        found = searched(problem, where, found)
    return found


class Settled(NamedTuple):
    """What is used of a search, as text and as a function; the errors of the given function and of this one at some
    `points`; whether it is another function than the given one."""

    found: Found
    text: str
    function: Callable[..., Any]
    points: Sample
    before: np.ndarray
    after: np.ndarray
    improved: bool


def settled(problem: Problem, fn: Callable, found: Found, points: Sample) -> Settled:
    """An outcome that is nowhere worse than `fn` at some points: as it is; with the given term where its result is not
    finite; one of the other terms that were found; or else the given term alone."""
    names, fmt = problem.names, problem.fmt
    before, normal = error_of(fn, points, names, fmt), is_normal(points.truth, fmt)
    for regimes in _outcomes(problem, found, points, before, normal):
        chosen = found._replace(regimes=regimes)
        text, function = written(fn, chosen, names)
        after = error_of(function, points, names, fmt)
        gain = before[normal] - after[normal]
        if not len(worse_at(before[normal], after[normal])) and (gain.mean() > NOTHING or gain.max() > LOST):
            return Settled(chosen, text, function, points, before, after, True)
    given = found._replace(regimes=Regimes("", (), (problem.term,)))
    return Settled(given, written(fn, given, names)[0], fn, points, before, before, False)


def _outcomes(
    problem: Problem, found: Found, points: Sample, before: np.ndarray, normal: np.ndarray
) -> Iterator[Regimes]:
    """What is to be tried, the best first."""
    yield found.regimes
    if not problem.rows:
        yield found.regimes._replace(instead=problem.term)
    others: list[tuple[float, int, Term]] = []
    for piece, search in found.searches:
        for t in list(search.found) if piece.term is problem.term else ():
            bits = bits_of_error(in_floats(t, points.columns), points.truth)
            if not len(worse_at(before[normal], bits[normal])):
                others.append((float(bits.mean()), len(others), search.written(t, tidied(t))))
    yield from (Regimes("", (), (t,)) for _, _, t in sorted(others)[:MOST_TRIED])


def is_normal(truth: np.ndarray, fmt: FloatFormat) -> np.ndarray:
    """Where the true value is no subnormal number, which XLA has no better answer to than 0 on a CPU."""
    normal = (np.abs(truth.astype(np.float64)) >= fmt.smallest_normal) | (truth == 0)
    return normal if normal.ndim == 1 else normal.all(axis=-1)


def harmless_points(regimes: Regimes, points: Sample) -> dict[Term, dict[str, float]]:
    """For each term a point where it is used: the one in the middle of its points, or next to its bounds."""
    out: dict[Term, dict[str, float]] = {}
    if points.has_rows:
        return {}
    branches = regimes.where(points.columns[regimes.name]) if regimes.name else np.zeros(len(points), int)
    for t in dict.fromkeys(regimes.terms):
        own = np.flatnonzero([regimes.terms[b] is t for b in branches])
        order = own[np.argsort(to_ordinal(points.truth[own]), kind="stable")] if len(own) else own
        i = int(order[len(order) // 2]) if len(order) else 0
        out[t] = {name: float(column[i]) for name, column in points.columns.items()}
    return out


def worse_at(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Where one error is over another by more than a bit, and over two bits, which is three floats."""
    return np.flatnonzero(after > np.maximum(before, 2) + 1)


def written(fn: Callable, found: Found, names: tuple[str, ...]) -> tuple[str, Callable[..., Any]]:
    """The text of an outcome, and the function that it is, named as the given one."""
    called = getattr(fn, "__name__", "stable")
    called = called if called.isidentifier() else "stable"
    text = source_of(found.regimes, names, harmless_points(found.regimes, found.points), called)
    return text, function_of(text, called)
