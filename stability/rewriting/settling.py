"""Which outcome of a search is used: one that is nowhere worse than the given function."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from stability.rewriting.comparison import is_normal, worse_around, worse_at
from stability.rewriting.finding import MOST_BAD, Found, joined_around, searched, written
from stability.rewriting.measuring import error_of
from stability.rewriting.problems import Problem
from stability.rewriting.regimes import LOST, Regimes
from stability.rewriting.sample import Sample, bits_of_error
from stability.rewriting.terms import Term, in_floats
from stability.rewriting.tidy import tidied

NOTHING = 0.01
"""A gain in mean bits that is none."""
AGAIN = (2, 0, 0, 0)
"""How many rounds the searches have that follow, each with the points added at which the outcome before is worse; with
none, the terms are shared out anew."""
MOST_TRIED = 3
"""Terms that are tried in place of an outcome that is worse than what was given."""


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


class Trial(NamedTuple):
    """An outcome as text and as a function; its errors, at which points it is worse than the given function, and
    whether it is better on the whole."""

    found: Found
    text: str
    function: Callable[..., Any]
    after: np.ndarray
    worse: np.ndarray
    pays: bool


def settled(problem: Problem, fn: Callable, found: Found, points: Sample) -> Settled:
    """The first outcome that is better than `fn` on the whole, and nowhere worse, at points and around them: the one
    found; one searched for where that is worse; with the given term where its result is not finite; with the given term
    in the branches in which it is worse; another term that was found. Where none is, the given term alone."""
    names, fmt = problem.names, problem.fmt
    before, normal = error_of(fn, points, names, fmt), is_normal(points.truth, fmt)

    def trial(found: Found) -> Trial:
        text, function = written(fn, found, names)
        after = error_of(function, points, names, fmt)
        gain = (before - after)[normal]
        worse = worse_around(problem, fn, function, points, before * normal, after * normal)
        return Trial(found, text, function, after, worse, bool(gain.mean() > NOTHING or gain.max() > LOST))

    for t in _trials(problem, found, points, before * normal, trial):
        if t.pays and not len(t.worse):
            return Settled(t.found, t.text, t.function, points, before, t.after, True)
    given = found.alone(problem.term)
    return Settled(given, written(fn, given, names)[0], fn, points, before, before, False)


def _trials(
    problem: Problem, found: Found, points: Sample, before: np.ndarray, trial: Callable[[Found], Trial]
) -> Iterator[Trial]:
    """What is to be tried, the best first; what comes next is made of what went wrong."""
    first = trial(found)
    yield first
    if not problem.rows:
        for rounds in AGAIN:
            if len(first.worse):
                found = first.found
                there = joined_around(problem, found.points, points.at(first.worse[:MOST_BAD]))
                first = trial(searched(problem, there, found, rounds))
                yield first
        guarded = trial(first.found._replace(regimes=first.found.regimes._replace(instead=problem.term)))
        yield guarded
        for last in (first, guarded):
            while last.found.regimes.name and len(last.worse):
                regimes = given_back(last.found.regimes, problem.term, points.at(last.worse))
                last = trial(last.found._replace(regimes=regimes))
                yield last
    for term in _others(problem, found, points, before):
        yield trial(found.alone(term))


def given_back(regimes: Regimes, given: Term, points: Sample) -> Regimes:
    """The given term in the branches that some points are of."""
    back = set(regimes.where(points.columns[regimes.name]).tolist())
    terms = [given if i in back else t for i, t in enumerate(regimes.terms)]
    pairs = list(itertools.pairwise(terms))
    bounds = [b for b, (one, other) in zip(regimes.bounds, pairs, strict=True) if one is not other]
    kept = [terms[0], *(other for one, other in pairs if one is not other)]
    return regimes._replace(name=regimes.name if bounds else "", bounds=tuple(bounds), terms=tuple(kept))


def _others(problem: Problem, found: Found, points: Sample, before: np.ndarray) -> list[Term]:
    """Other terms that were found, the best first, of those that are nowhere worse."""
    normal = is_normal(points.truth, problem.fmt)
    known: list[tuple[float, int, Term]] = []
    for piece, search in found.searches:
        for t in list(search.found) if piece.term is problem.term else ():
            bits = bits_of_error(in_floats(t, points.columns), points.truth)
            if not len(worse_at(before, bits * normal)):
                known.append((float(bits.mean()), len(known), search.written(t, tidied(t))))
    return [t for _, _, t in sorted(known)[:MOST_TRIED]]
