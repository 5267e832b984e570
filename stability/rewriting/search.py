"""The search for terms that equal a given one and keep its digits."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from stability.formats import FloatFormat
from stability.rewriting.expansions import expansions
from stability.rewriting.extraction import KEPT_AT_ROOT, Kept, extracted, representatives
from stability.rewriting.plain import plain
from stability.rewriting.rational import rational_forms
from stability.rewriting.sample import Reals, Sample, known
from stability.rewriting.saturation import FAMILIES, Graph
from stability.rewriting.terms import Term, each_part, in_floats, size

NODES, SEEDS = 2500, 6
LARGEST_TOLD = 24
"""How many parts a term has at most that facts are told about."""


def saturated(seeds: Iterable[Term], reals: Reals, fmt: FloatFormat, limit: int = NODES) -> Graph:
    """A graph that holds equal terms as one class, that of seed 0, grown to about `limit` nodes."""
    graph = Graph()
    for i, term in enumerate(seeds):
        graph.add(0, term)
        for j, (part, forms) in enumerate(seeds_of(term).items()):
            for t in (part, *forms):
                graph.add(1000 * (i + 1) + j, t)
    told: set[Term] = set()
    families, before = [name for name in FAMILIES if name != "normal" or fmt.bits > 16], -1
    while families and graph.size() != before:
        before = graph.size()
        for family in tuple(families):
            tell(graph, reals, fmt, told)
            if not graph.grow(family, limit):
                families.remove(family)
    return graph


def tell(graph: Graph, reals: Reals, fmt: FloatFormat, told: set[Term]) -> None:
    """The facts about the classes that conditions speak of, where their smallest terms are new."""
    classes, _, wanted = graph.nodes()
    smallest = representatives(classes)
    facts: dict[str, list[Term]] = {}
    for i in wanted:
        term = smallest[i]
        if term is None or term in told or size(term) > LARGEST_TOLD:
            continue
        told.add(term)
        for name in signs(known(reals.of(term), fmt).sign):
            facts.setdefault(name, []).append(term)
    graph.tell(facts)


def signs(sign: np.ndarray) -> list[str]:
    """The facts that hold at every point, from which the others follow."""
    low, high = sign.min(initial=1), sign.max(initial=-1)
    if high == 2:
        return []
    if low > 0 or high < 0:
        return ["positive" if low > 0 else "negative"]
    every = [("nonnegative", low >= 0), ("nonpositive", high <= 0), ("nonzero", bool(np.all(sign != 0)))]
    return [name for name, holds in every if holds]


def seeds_of(term: Term) -> dict[Term, list[Term]]:
    """Parts of a term, each with terms that equal it: quotients of polynomials in their one form."""
    out = {part: rational_forms(part) for part in each_part(term)}
    out[term] = [*out.get(term, ()), plain(term), *rational_forms(plain(term))]
    return {part: forms for part, forms in out.items() if forms}


class Search:
    """A search over the points of one sample.

    **Attributes:** `kept` the candidates for the term; `approximate` those that do not equal it, but come near,
    as polynomials; `simplest` the smallest term that equals it; `found`, once closed, the terms to choose from.
    """

    def __init__(self, term: Term, points: Sample, fmt: FloatFormat):
        self.term, self.points, self.fmt = term, points, fmt
        self.reals = Reals(points)
        self.approximate: set[Term] = set()
        self.simplest = term
        self.found: dict[Term, None] = {}
        self.kept = Kept(known(self.reals.of(term), fmt), KEPT_AT_ROOT, fmt.bits)
        self.offer([term])
        near = [] if points.has_rows else list(expansions(term, points.columns, self.kept.best))
        self.approximate.update(near)
        self.offer(near)

    def offer(self, terms: Iterable[Term]) -> None:
        for term in terms:
            self.kept.offer(self.kept.judged(term, in_floats(term, self.points.columns)))

    def take(self, other: Search) -> None:
        """The candidates of another search for the same term."""
        self.approximate |= other.approximate
        self.simplest = other.simplest
        self.offer(c.term for c in other.kept.candidates)

    def close(self) -> None:
        self.found = dict.fromkeys([self.term, *(c.term for c in self.kept.candidates)])

    def written(self, term: Term, out: Term) -> Term:
        """One of those found, and how it is to be written, which is then found too."""
        self.found[out] = None
        if not self.is_exact(term):
            self.approximate.add(out)
        return out

    def is_exact(self, term: Term) -> bool:
        return term not in self.approximate

    def round(self, limit: int = NODES) -> None:
        """Saturates from the best so far, and keeps what comes of it."""
        best = sorted(self.kept.candidates, key=lambda c: float(c.bits.mean()))
        seeds = [self.term, self.simplest, *(c.term for c in best if self.is_exact(c.term))]
        graph = saturated(list(dict.fromkeys(seeds))[:SEEDS], self.reals, self.fmt, limit)
        classes, roots, _ = graph.nodes()
        found = extracted(classes, roots[0], self.points, self.reals, self.fmt)
        self.offer(c.term for c in found[roots[0]].candidates)
        smallest = representatives(classes)[roots[0]]
        if smallest is not None and size(smallest) < size(self.simplest):
            self.simplest = smallest
            self.offer([smallest])
