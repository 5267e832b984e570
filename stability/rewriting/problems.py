"""What is to be rewritten, and where: a term, and the points at which it is looked at."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from stability.formats import FloatFormat
from stability.rewriting.sample import TRIES, Domain, Sample, beside, drawn, ends_of, judged, moderate
from stability.rewriting.terms import Term

MOST_ENDS = 16


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
