"""Of a graph of equal terms, those that keep their digits.

All terms of a class have one real value, which balls give at every point of a sample; so a class's terms are judged by
themselves, from the leaves up: of each a few are kept that are nearest to the true value, each at points of its own,
and what is made of those is judged in turn, in floats, as a whole.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from stability.formats import FloatFormat
from stability.rewriting.operations import TRUTHS
from stability.rewriting.sample import Known, Reals, Sample, bits_of_error, known
from stability.rewriting.saturation import Node
from stability.rewriting.terms import Term, applied, build, cost, in_floats, size, spread

KEPT, KEPT_AT_ROOT = 4, 24
LARGEST = 60
"""How many parts a term may have."""
WORTH = 0.02
"""The mean gain, in bits, that a further term of a class has to bring."""
PRICE = 2e-3
"""Bits that an addition is worth, where a short term is kept beside those that are nearer."""


class Candidate(NamedTuple):
    """A term with what it gives in floats, the bits of its error at each point, and its cost."""

    term: Term
    values: np.ndarray
    bits: np.ndarray
    cost: int


class Kept:
    """The terms of a class that are kept: the best one throughout, those that are better somewhere, and a cheap one;
    `best` the least error of any of them at each point."""

    def __init__(self, truth: Known, most: int, width: int):
        self.truth, self.most = truth, most
        self.best = np.full(len(truth.values), float(width))
        self.candidates: list[Candidate] = []
        self.seen: set[Term] = set()
        self.width = width

    def judged(self, term: Term, values: np.ndarray) -> Candidate:
        return Candidate(term, values, bits_of_error(values, self.truth.values), cost(term))

    def offer(self, new: Candidate) -> bool:
        """Whether it is kept."""
        gain = float(np.maximum(self.best - new.bits, 0).mean())
        better = gain > WORTH or new.bits.mean() < min(map(_mean, self.candidates), default=np.inf) - WORTH
        if better or _price(new) < min(map(_price, self.candidates), default=np.inf):
            self._keep(new)
            return True
        dearer = [c for c in self.candidates if c.cost > new.cost]
        cheaper = [c for c in dearer if np.maximum(new.bits - c.bits, 0).mean() <= WORTH]
        if cheaper:
            self.candidates = [c for c in self.candidates if c not in cheaper]
            self._keep(new)
            return True
        return False

    def _keep(self, new: Candidate) -> None:
        self.candidates.append(new)
        while len(self.candidates) > self.most:
            table = np.array([c.bits for c in self.candidates])
            lowest = np.partition(table, 1, axis=0)[:2]
            alone = np.where(table == lowest[0], lowest[1] - lowest[0], 0).mean(axis=1)
            alone[[np.argmin(table.mean(axis=1)), np.argmin(list(map(_price, self.candidates)))]] = np.inf
            self.candidates.pop(int(np.argmin(alone)))
        self.best = np.min([c.bits for c in self.candidates], axis=0)


def _mean(candidate: Candidate) -> float:
    return float(candidate.bits.mean())


def _price(candidate: Candidate) -> float:
    return _mean(candidate) + PRICE * candidate.cost


def representatives(classes: Sequence[Sequence[Node]]) -> list[Term | None]:
    """The smallest term of each class, by the sum of its parts' sizes."""
    out: list[Term | None] = [None] * len(classes)
    sizes = [10**9] * len(classes)
    changed = True
    while changed:
        changed = False
        for i, nodes in enumerate(classes):
            for node in nodes:
                total = 1 + sum(sizes[a] for a in node.args)
                if total < sizes[i]:
                    sizes[i], changed = total, True
                    out[i] = build(node.op, tuple(out[a] for a in node.args), node.leaf)  # type: ignore[misc]
    return out


def extracted(
    classes: Sequence[Sequence[Node]], root: int, points: Sample, reals: Reals, fmt: FloatFormat, rounds: int = 6
) -> dict[int, Kept]:
    """What is kept of each class that the root is made of."""
    smallest = representatives(classes)
    needed = reachable(classes, root)
    kept: dict[int, Kept] = {}
    for i in needed:
        term = smallest[i]
        if term is not None and term.op not in TRUTHS:
            truth = known(reals.of(term), fmt)
            kept[i] = Kept(truth, KEPT_AT_ROOT if i == root else KEPT, fmt.bits)
    floats: dict[Term, np.ndarray] = {}
    nodes = [(i, node) for i in needed for node in classes[i] if i in kept]
    fresh = set(kept)
    for i, node in nodes:
        if not node.args:
            term = build(node.op, (), node.leaf)
            kept[i].offer(kept[i].judged(term, in_floats(term, points.columns, floats)))
    for _ in range(rounds):
        changed: set[int] = set()
        for i, node in nodes:
            if node.args and fresh.intersection(node.args) and all(a in kept for a in node.args):
                changed |= {i} if _extend(kept[i], node, [kept[a] for a in node.args], points) else set()
        if not changed:
            break
        fresh = changed
    return kept


def reachable(classes: Sequence[Sequence[Node]], root: int) -> list[int]:
    """The classes that terms of the root are made of."""
    found, stack = {root}, [root]
    while stack:
        for node in classes[stack.pop()]:
            new = set(node.args) - found
            found |= new
            stack += new
    return sorted(found)


def _extend(kept: Kept, node: Node, operands: Sequence[Kept], points: Sample) -> bool:
    changed = False
    for chosen in itertools.product(*(list(o.candidates) for o in operands)):
        term = build(node.op, tuple(c.term for c in chosen))
        if term in kept.seen:
            continue
        kept.seen.add(term)
        if size(term) > LARGEST:
            continue
        with np.errstate(all="ignore"):
            values = spread(applied(node.op, *(c.values for c in chosen)), points.columns)
        changed |= kept.offer(kept.judged(term, values))
    return changed
