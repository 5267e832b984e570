"""`stabilize`: the search, the choice and the checks, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from stability.formats import FloatFormat, format_of, from_ordinal, to_ordinal
from stability.stabilize.measuring import error_of
from stability.stabilize.programs import names_of, term_of
from stability.stabilize.regimes import Bisection, Regimes, chosen
from stability.stabilize.sample import Domain, Sample, bits_of_error, sample
from stability.stabilize.search import Search
from stability.stabilize.source import function_of, source_of
from stability.stabilize.stabilized import Branch, Errors, Stabilized, Step
from stability.stabilize.terms import Term, cost, in_floats

ROUNDS = 2
GOOD = 0.05
"""Bits of mean error that no further round is made below."""


class Found(NamedTuple):
    """What a search came to: the terms to use, what was known on the way, and the points that it was made for."""

    regimes: Regimes
    search: Search
    points: Sample


def searched(term: Term, names: Sequence[str], fmt: FloatFormat, domain: Domain, points: int, seed: int) -> Found | None:
    """The best terms for one, or `None` where it has no values in the domain."""
    where = sample(term, names, points, fmt, domain, seed)
    if not len(where):
        return None
    search = Search(term, where, fmt)
    for _ in range(ROUNDS):
        search.round()
    given = bits_of_error(in_floats(term, where.columns), where.truth)
    bisect = Bisection(term, names, fmt, domain, seed)
    return Found(chosen(search.kept.candidates, where.columns, given, fmt, bisect), search, where)


def harmless_points(regimes: Regimes, points: Sample) -> dict[Term, dict[str, float]]:
    """For each term a point where it is used: the one in the middle of its points, or next to its bounds."""
    out: dict[Term, dict[str, float]] = {}
    branches = regimes.where(points.columns[regimes.name]) if regimes.name else np.zeros(len(points), int)
    for t in dict.fromkeys(regimes.terms):
        own = np.flatnonzero([regimes.terms[b] is t for b in branches])
        order = own[np.argsort(to_ordinal(points.truth[own]), kind="stable")] if len(own) else own
        i = int(order[len(order) // 2]) if len(order) else 0
        out[t] = {name: float(column[i]) for name, column in points.columns.items()}
    return out


def branches_of(regimes: Regimes) -> tuple[Branch, ...]:
    ends = [float("-inf"), *regimes.bounds, float("inf")]
    return tuple(Branch(regimes.name, *ends[i : i + 2], t) for i, t in enumerate(regimes.terms))


def stabilize(
    fn: Callable[..., Any],
    *,
    dtype: Any = "float32",
    domain: Mapping[str, Any] | None = None,
    count: int | None = None,
    points: int = 256,
    seed: int = 0,
) -> Stabilized:
    """A function that equals `fn` over the reals and keeps its digits, with its source and what was checked of it."""
    fmt = format_of(dtype)
    names = names_of(fn, count)
    term = term_of(fn, names, fmt)
    found = searched(term, names, fmt, dict(domain or {}), points, seed)
    called = getattr(fn, "__name__", "stable")
    called = called if called.isidentifier() else "stable"
    assert found is not None
    text = source_of(found.regimes, names, harmless_points(found.regimes, found.points), called)
    function = function_of(text, called)
    before, after = (error_of(f, found.points, names, fmt) for f in (fn, function))
    return Stabilized(
        function,
        text,
        True,
        (Step(term, "given"),),
        branches_of(found.regimes),
        Errors(before.mean(), before.max(), len(before)),
        Errors(after.mean(), after.max(), len(after)),
        (cost(term), sum(cost(t) for t in set(found.regimes.terms))),
        {},
    )
