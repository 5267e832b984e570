"""The search for terms that equal a given one and keep its digits."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from stability.formats import FloatFormat
from stability.stabilize.extraction import Candidate, Kept, extracted, representatives
from stability.stabilize.operations import TRUTHS
from stability.stabilize.sample import Reals, Sample, known
from stability.stabilize.saturation import FAMILIES, Graph
from stability.stabilize.terms import Term

NODES = 2500


def saturated(seeds: Iterable[Term], reals: Reals, fmt: FloatFormat, limit: int = NODES) -> Graph:
    """A graph that holds equal terms as one class, that of seed 0, grown to about `limit` nodes."""
    graph = Graph()
    for term in seeds:
        graph.add(0, term)
    told: set[Term] = set()
    for _ in range(8):
        before = graph.size()
        for family in FAMILIES:
            tell(graph, reals, fmt, told)
            if not graph.grow(family, limit):
                continue
        if graph.size() == before or graph.size() > 0.8 * limit:
            break
    return graph


def tell(graph: Graph, reals: Reals, fmt: FloatFormat, told: set[Term]) -> None:
    """The facts about the classes whose smallest terms are new."""
    classes, _ = graph.nodes()
    facts: dict[str, list[Term]] = {}
    for term in representatives(classes):
        if term is None or term in told or term.op in TRUTHS:
            continue
        told.add(term)
        for name in signs(known(reals.of(term), fmt).sign):
            facts.setdefault(name, []).append(term)
    graph.tell(facts)


def signs(sign: np.ndarray) -> list[str]:
    """The facts that hold at every point."""
    low, high = sign.min(initial=1), sign.max(initial=-1)
    if high == 2:
        return []
    every = [("positive", low > 0), ("nonnegative", low >= 0), ("negative", high < 0), ("nonpositive", high <= 0)]
    return [name for name, holds in every if holds] + (["nonzero"] if np.all(sign != 0) else [])


def candidates(term: Term, points: Sample, fmt: FloatFormat) -> list[Candidate]:
    """Terms that equal one at all points, each the best at some."""
    reals = Reals(points)
    graph = saturated([term], reals, fmt)
    classes, seeds = graph.nodes()
    kept: dict[int, Kept] = extracted(classes, seeds[0], points, reals, fmt)
    return kept[seeds[0]].candidates
