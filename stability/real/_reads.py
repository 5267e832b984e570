"""Which numbers among the arguments each element of the outputs hangs on."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from jax.extend.core import ClosedJaxpr

from stability.real import arrays
from stability.real.arrays import as_array
from stability.real.recognition import meant
from stability.real.records import Elementwise, Folds, Named, moves, record_of
from stability.real.values import array
from stability.real.walk import Semantics, inlined, walk


class Reads(Semantics):
    """Elements are sets of numbers, as the bits of an integer."""

    opens = staticmethod(inlined)
    reads = staticmethod(meant)

    def literal(self, value, aval):
        return array([0] * math.prod(aval.shape), aval.shape)

    def follow(self, eqn, inside, as_one):
        return inside() if eqn.primitive.name == "scan" else as_one()

    def row(self, value, i):
        return as_array(value[i])

    def stacked(self, rows, aval):
        return np.stack(rows) if rows else self.literal(0, aval)

    def equation(self, eqn, values, source):
        record, shapes = record_of(eqn.primitive), [v.aval.shape for v in eqn.outvars]
        if isinstance(record, Elementwise | Named):
            rows = [np.broadcast_to(v, shapes[0]) for v in values]
            return [functools.reduce(np.bitwise_or, rows, self.literal(0, v.aval)) for v in eqn.outvars]
        if moves(record, eqn) and not record.indices(values):
            return list(map(as_array, record.reals(eqn, values)))
        if isinstance(record, Folds):
            folded = arrays.last(values[0], eqn.params["axes"])
            return [array([_union(folded[i]) for i in np.ndindex(shapes[0])], shapes[0])]
        every = _union([_union(v.ravel()) for v in values])
        return [array([every] * math.prod(s), s) for s in shapes]


def _union(sets: Iterable[int]) -> int:
    return functools.reduce(operator.or_, sets, 0)


def numbers_read(jaxpr: ClosedJaxpr, sizes: Sequence[int]) -> list[np.ndarray]:
    """For each output, for each of its elements, the numbers that it may hang on, flat.

    **Arguments:** `sizes` how many numbers each argument has that count; they are numbered through.
    """
    first, args = 0, []
    for v, n in zip(jaxpr.jaxpr.invars, sizes, strict=True):
        shape: Any = v.aval.shape
        args.append(array([1 << (first + j) if n else 0 for j in range(math.prod(shape))], shape))
        first += n
    return [as_array(x).ravel() for x in walk(jaxpr, args, Reads())]
