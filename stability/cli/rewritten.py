"""What `stability diagnose --rewrite` ends with: the function near the point, rewritten so that it keeps its digits."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from stability.formats import FloatFormat, format_of
from stability.real import true_value
from stability.rewriting import Stabilized, Unsupported, stabilize
from stability.rewriting.sample import bits_of_error

POINTS = 16
"""Of each of the two kinds that a search begins with."""
LINE = 100
"""Letters that an expression may have to be told as source."""


def told(fn: Callable, values: Mapping[str, np.ndarray]) -> str | None:
    """A line, or `None` where nothing is found that is better near the point and at it, or the function is refused.

    **Arguments:** `values` the point, scalars by the name of the argument. **Raises:** `Missing` without egglog.
    """
    if not all(np.isfinite(x) for x in values.values()):
        return None
    for domain in _domains(values):
        try:
            found = stabilize(
                fn,
                dtype=next(iter(values.values())).dtype,
                domain=domain,
                names=list(values),
                points=POINTS,
                orders=(0,),
            )
        except Unsupported:
            return None
        before, after = _bits(fn, found, list(values.values()))
        if found.improved and after < before:
            return f"rewritten: {expression(found, values)}  ({before:.1f} → {after:.1f} bits)"
    return None


def _domains(values: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
    """Within a binade of each number; and of the first, with the others as they are."""
    near = {name: _near(float(x), format_of(x.dtype)) for name, x in values.items()}
    first, *others = values
    held = {first: near[first]} | {name: [float(values[name])] for name in others}
    return [near, held] if others else [near]


def _near(x: float, fmt: FloatFormat) -> tuple[float, float]:
    if x == 0:
        return -1.0, 1.0
    ends = x / 2, math.copysign(min(abs(2 * x), fmt.max), x)
    return min(ends), max(ends)


def _bits(fn: Callable, found: Stabilized, point: Sequence[np.ndarray]) -> tuple[float, float]:
    """How far off both are at a point under jit; NaN where there is no finite true value."""
    with jax.enable_x64(point[0].dtype == np.float64):
        exact = np.asarray(true_value(fn, *point))
        results = [np.asarray(jax.jit(f)(*point)) for f in (fn, found)]
    if not np.isfinite(exact):
        return math.nan, math.nan
    before, after = (float(bits_of_error(r[None], exact[None])[0]) for r in results)
    return before, after


def expression(found: Stabilized, values: Mapping[str, np.ndarray]) -> str:
    """The source where it is one short expression, else the term that is used at a point."""
    lines = found.source.splitlines()
    if len(lines) == 2 and len(lines[1]) <= LINE:
        return lines[1].strip().removeprefix("return ")
    at = next(b for b in found.branches if not b.name or b.low <= float(values[b.name]) < b.high)
    return str(at.term)
