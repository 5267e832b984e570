"""Which term where: branches on one variable, and the floats at which they meet.

Points are sorted by one variable, and each is given to a term; a change of terms costs `CHANGE` bits a point of the
sample, so that a branch is there only where it pays. Where two terms meet is then bisected over the floats, at points
that are drawn for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from stability.formats import FloatFormat, from_ordinal, to_ordinal
from stability.rewriting.extraction import Candidate
from stability.rewriting.pieces import Piece
from stability.rewriting.sample import Domain, bits_of_error, drawn, true_value
from stability.rewriting.terms import Term, in_floats

CHANGE = 0.25
WORSE = 2.0
"""What a bit more than the given term has costs beyond itself."""
CLEARLY = 0.5
"""By how many bits one of two terms is the better one, where they are not as good as each other."""
STAYS, LOST = 0.05, 8.0
"""The mean bits that have to be gained before the given term is replaced, or the bits at a single point."""
COST = 2e-4
"""Bits that an addition is worth."""


class Regimes(NamedTuple):
    """**Attributes:** `name` the variable, empty where there is one term; `bounds` the first floats of the second and
    of later branches, in order; `terms` one more than bounds; `instead` the term that serves where that is not finite,
    if there is one."""

    name: str
    bounds: tuple[float, ...]
    terms: tuple[Term, ...]
    instead: Term | None = None

    @classmethod
    def alone(cls, term: Term) -> Regimes:
        """One term everywhere."""
        return cls("", (), (term,))

    def where(self, column: np.ndarray) -> np.ndarray:
        """The number of the branch of each float."""
        return np.searchsorted(np.array(self.bounds, np.float64), column.astype(np.float64), side="right")

    def in_floats(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        found = in_floats(self.terms[0], columns)
        if self.bounds:
            every = np.array([in_floats(t, columns) for t in self.terms])
            found = np.take_along_axis(every, self.where(columns[self.name])[None], 0)[0]
        return found if self.instead is None else np.where(np.isfinite(found), found, in_floats(self.instead, columns))


def weighed(candidates: Sequence[Candidate], given: np.ndarray) -> np.ndarray:
    """What each candidate costs at each point, of shape `(candidates, points)`."""
    table = np.array([c.bits for c in candidates])
    worse = np.maximum(table - np.maximum(given, 1.0) - 0.6, 0)
    return table + WORSE * worse + COST * np.array([[c.cost] for c in candidates])


def shared_out(weights: np.ndarray, change: float) -> tuple[float, np.ndarray]:
    """The cheapest way to give each of a line of points to a candidate, where a change costs `change`.

    **Returns:** its cost, and the candidate of each point.
    """
    n = weights.shape[1]
    total, came = weights[:, 0].copy(), np.zeros(weights.shape, np.int64)
    for i in range(1, n):
        least = int(np.argmin(total))
        moves = total > total[least] + change
        came[:, i] = np.where(moves, least, np.arange(len(total)))
        total = np.where(moves, total[least] + change, total) + weights[:, i]
    path = np.zeros(n, np.int64)
    path[-1] = np.argmin(total)
    for i in range(n - 1, 0, -1):
        path[i - 1] = came[path[i], i]
    return float(total.min()), path


def chosen(
    candidates: Sequence[Candidate],
    columns: Mapping[str, np.ndarray],
    given: np.ndarray,
    fmt: FloatFormat,
    bisect: Callable[[str, Term, Term, int, int], int],
) -> Regimes:
    """The terms to use, with branches on the one variable where they pay most.

    **Arguments:** `candidates` the term that is to be replaced first; `given` the bits of its error; `bisect` from a
    variable, two terms and the ordinals of two floats, the one on the first term's side, to the ordinal of the first
    float for the second.
    """
    weights = weighed(candidates, given)
    change = CHANGE * weights.shape[1]
    alone = int(np.argmin(weights.sum(axis=1)))
    best = (float(weights[alone].sum()), Regimes.alone(candidates[alone].term))
    for name, column in columns.items():
        order = np.argsort(to_ordinal(column), kind="stable")
        total, path = shared_out(weights[:, order], change)
        if total < best[0] - 1e-9 and len(set(path)) > 1:
            table = np.array([c.bits[order] for c in candidates])
            best = total, _bounded(name, column[order], table, path, [c.term for c in candidates], fmt, bisect)
    lost = np.any(weights[0] - weights.min(axis=0) > LOST)
    if best[0] < weights[0].sum() - (0 if lost else STAYS * weights.shape[1]):
        return best[1]
    return Regimes.alone(candidates[0].term)


def _bounded(
    name: str,
    column: np.ndarray,
    table: np.ndarray,
    path: np.ndarray,
    terms: Sequence[Term],
    fmt: FloatFormat,
    bisect: Callable,
) -> Regimes:
    """Where the branches of a sorted column meet; `table` the bits of each candidate at each point."""
    places = (np.flatnonzero(np.diff(path)) + 1).tolist()
    ordinals, bounds = to_ordinal(column), []
    for before, i, after in zip([0, *places], places, [*places[1:], len(path)], strict=False):
        one, other = table[path[i - 1]], table[path[i]]
        better = [k for k in range(before, i) if one[k] < other[k] - CLEARLY]
        worse = [k for k in range(i, after) if other[k] < one[k] - CLEARLY]
        low, high = better[-1] if better else i - 1, worse[0] if worse else i
        first = bisect(name, terms[path[i - 1]], terms[path[i]], int(ordinals[low]), int(ordinals[high]))
        bounds.append(float(from_ordinal(np.array(first), fmt).astype(np.float64)))
    return Regimes(name, tuple(bounds), tuple(terms[k] for k in [path[0], *(path[i] for i in places)]))


class Bisection:
    """Finds where one term begins to be better than another, by the errors at points that are drawn there, and by
    where they are `valid`, if not everywhere."""

    def __init__(
        self,
        term: Term,
        names: Sequence[str],
        fmt: FloatFormat,
        domain: Domain,
        seed: int,
        valid: Mapping[Term, Piece],
        points: int = 6,
    ):
        self.term, self.fmt, self.domain, self.seed, self.points = term, fmt, domain, seed, points
        self.names, self.valid = names, valid
        self._truths: dict[tuple, Any] = {}

    def __call__(self, name: str, one: Term, other: Term, low: int, high: int) -> int:
        """The ordinal of the first float for `other`; `low` is for `one` and `high` for `other`."""
        if low < -1 and high > 0:
            low, high = (-1, high) if self._prefers(name, one, other, -1) else (low, -1)
            if low == -1:
                low, high = (0, high) if self._prefers(name, one, other, 0) else (-1, 0)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._prefers(name, one, other, middle) else (low, middle)
        return high

    def _prefers(self, name: str, one: Term, other: Term, ordinal: int) -> bool:
        """Whether the first of two terms is better near a float."""
        first_holds, second_holds = (self._holds(name, t, ordinal) for t in (one, other))
        if first_holds != second_holds:
            return first_holds
        columns, truth = self._near(name, ordinal)
        if not len(truth):
            return True
        first, second = (bits_of_error(in_floats(t, columns), truth).sum() for t in (one, other))
        return bool(first <= second)

    def _holds(self, name: str, term: Term, ordinal: int) -> bool:
        piece = self.valid.get(term)
        return piece is None or piece.name != name or any(a <= ordinal <= b for a, b in piece.intervals)

    def _near(self, name: str, ordinal: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Points at a float and right beside it, away from 0, the other variables drawn, and the truth."""
        if (name, ordinal) not in self._truths:
            self._truths[name, ordinal] = self._drawn(name, ordinal)
        return self._truths[name, ordinal]

    def _drawn(self, name: str, ordinal: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
        rows: list[list[float]] = []
        away = np.arange(self.points) * (1 if ordinal >= 0 else -1)
        floats = from_ordinal(np.clip(ordinal + away, -self.fmt.infinity, self.fmt.infinity - 1), self.fmt)
        for i, point in enumerate(drawn(self.names, self.fmt, self.domain, self.seed)):
            if len(rows) == self.points or i == 12 * self.points:
                break
            point = {**point, name: floats[i % self.points]}
            found = true_value(self.term, {n: float(x) for n, x in point.items()}, self.fmt)
            if found is not None and np.isfinite(found[0]):
                rows.append([*map(float, point.values()), found[0]])
        table = np.array(rows, np.float64).reshape(-1, len(self.names) + 1).T.astype(self.fmt.dtype)
        return dict(zip(self.names, table, strict=False)), table[-1]
