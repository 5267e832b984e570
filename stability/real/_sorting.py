"""The rules of order: sorting, the largest elements, and comparisons in which NaN has a place.

Where balls leave the order of some elements open, those that are certain keep their places, and the values at the
others are enclosed: a network of minima and maxima sorts enclosures as it sorts numbers. What moves along with the
keys is enclosed by all that may stand at a place.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from functools import cmp_to_key, reduce
from typing import Any

import numpy as np
from flint import arb

from stability.real import steps
from stability.real._near import flat
from stability.real.arrays import as_array, bare
from stability.real.values import UNDECIDED, Undefined, array, is_nan, is_number

LESS, SAME, MORE = -1, 0, 1


def order(x, y) -> int | None:
    """How two elements stand, NaN above all numbers; `None` where that is open."""
    if x is y:
        return SAME
    if is_nan(x) or is_nan(y):
        return None if UNDECIDED in (x, y) else int(is_nan(x)) - int(is_nan(y))
    below, above = steps.COMPARISONS["lt"](x, y), steps.COMPARISONS["gt"](x, y)
    if isinstance(below, Undefined) and isinstance(above, Undefined):
        return None
    if below is True or below is np.True_:
        return LESS
    if above is True or above is np.True_:
        return MORE
    return None if isinstance(below, Undefined) or isinstance(above, Undefined) else SAME


def lexicographic(x: Sequence[Any], y: Sequence[Any]) -> int | None:
    for a, b in zip(x, y, strict=True):
        found = order(a, b)
        if found != SAME:
            return found
    return SAME


def certain_order(keys: list, sign: int) -> list[int] | None:
    """The stable order of some keys, or `None` where it is open."""

    def compare(i: int, j: int) -> int:
        found = lexicographic(keys[i], keys[j])
        return 0 if found is None else sign * found

    out = sorted(range(len(keys)), key=cmp_to_key(compare))
    for i, j in itertools.pairwise(out):
        found = lexicographic(keys[i], keys[j])
        if found is None or sign * found > 0 or (found == SAME and i > j):
            return None
    return out


def candidates(keys: list, sign: int) -> list[list[int]]:
    """For every place, the elements that may stand there."""
    n = len(keys)
    first, last = [0] * n, [n - 1] * n
    for i in range(n):
        for j in range(i):
            found = lexicographic(keys[j], keys[i])
            if found is not None and (sign * found or LESS) < 0:
                first[i], last[j] = first[i] + 1, last[j] - 1
            elif found is not None:
                first[j], last[i] = first[j] + 1, last[i] - 1
    return [[i for i in range(n) if first[i] <= place <= last[i]] for place in range(n)]


def network(values: list, sign: int) -> list:
    """Values sorted by exchanges, each of a minimum for a maximum, so that enclosures come out as enclosures."""
    out = list(values)
    for end in range(len(out) - 1, 0, -1):
        for i in range(end):
            low, high = steps.minimum(out[i], out[i + 1]), steps.maximum(out[i], out[i + 1])
            out[i : i + 2] = (low, high) if sign > 0 else (high, low)
    return out


def hull(values: Sequence[Any]):
    """What is certain of one of these values, whichever it is."""
    one = values[0]
    if all(v is one for v in values):
        return one
    if all(is_number(v) and v.is_finite() for v in values):
        return reduce(arb.union, map(flat, values))
    if all(isinstance(v, int | np.integer | np.bool_) for v in values) and all(v == one for v in values):
        return one
    return UNDECIDED


def arranged(rows: Sequence[Sequence[Any]], num_keys: int, sign: int = 1) -> list[list]:
    """The rows in the order of the first `num_keys` of them, rising where `sign` is 1, falling where it is -1."""
    keys = list(zip(*rows[:num_keys], strict=True))
    found = certain_order(keys, sign)
    if found is not None:
        return [[row[i] for i in found] for row in rows]
    places = candidates(keys, sign)
    out = [[hull([row[i] for i in place]) for place in places] for row in rows]
    open_places = [k for k, place in enumerate(places) if len(place) > 1]
    settled = {place[0] for place in places if len(place) == 1}
    rest = [v for i, v in enumerate(rows[0]) if i not in settled]
    if not any(isinstance(v, Undefined) for v in rest):
        for k, v in zip(open_places, network(rest, sign), strict=True):
            out[0][k] = v
    return out


def sort(eqn, values) -> list:
    """Stable, by the first `num_keys` operands in lexicographic order, NaN last."""
    axis, keys = eqn.params["dimension"], eqn.params["num_keys"]
    moved = [np.moveaxis(as_array(x), axis, -1) for x in values]
    out = [m.astype(object) for m in moved]
    for index in np.ndindex(moved[0].shape[:-1]):
        for o, row in zip(out, arranged([list(m[index]) for m in moved], keys), strict=True):
            o[index] = array(row, (len(row),))
    return [np.moveaxis(o, -1, axis) for o in out]


def extremes(x, k: int, axis: int, sign: int) -> list:
    """The first `k` along an axis in falling (`sign` -1) or rising order, and where they stood."""
    rows = np.moveaxis(as_array(x), axis, -1)
    shape = (*rows.shape[:-1], k)
    kept, where = np.empty(shape, object), np.empty(shape, object)
    for index in np.ndindex(shape[:-1]):
        row = list(rows[index])
        out, positions = arranged([row, list(range(len(row)))], 1, sign)
        kept[index], where[index] = array(out[:k], (k,)), array(positions[:k], (k,))
    return [np.moveaxis(kept, -1, axis), np.moveaxis(where, -1, axis)]


def top_k(eqn, values) -> list:
    return extremes(values[0], eqn.params["k"], eqn.params.get("axis", -1), -1)


def approx_top_k(eqn, values) -> list:
    """The exact ones: an approximate search may miss some of them."""
    p = eqn.params
    axis = p["reduction_dimension"]
    return extremes(values[0], eqn.outvars[0].aval.shape[axis], axis, -1 if p["is_max_k"] else 1)


def _in_total_order(holds: Callable[[int], bool]) -> Callable:
    def rule(x, y) -> bool | Undefined:
        found = order(x, y)
        return UNDECIDED if found is None else holds(found)

    return rule


TOTAL_ORDER: dict[str, Callable] = {
    "lt_to": _in_total_order(lambda found: found < 0),
    "le_to": _in_total_order(lambda found: found <= 0),
    "eq_to": _in_total_order(lambda found: found == 0),
}
"""Comparisons in which NaN is a value above all others."""


def _compared(rule: Callable) -> Callable:
    return lambda eqn, values: [bare(np.frompyfunc(rule, 2, 1)(*map(as_array, values)))]


RULES: dict[str, Callable[[Any, Sequence[Any]], list]] = {
    "sort": sort,
    "top_k": top_k,
    "approx_top_k": approx_top_k,
    **{name: _compared(rule) for name, rule in TOTAL_ORDER.items()},
}
