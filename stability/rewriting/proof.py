"""What is checked of an outcome: equality over the reals, and every float of the 16-bit formats."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import flint
import numpy as np
from flint import arb

from stability.formats import FORMATS, FloatFormat, every_float, widen
from stability.real.arrays import as_array
from stability.real.values import Undefined
from stability.rewriting.comparison import is_normal, worse_at
from stability.rewriting.measuring import error_of
from stability.rewriting.regimes import Regimes
from stability.rewriting.sample import Reals, Sample, flat, judged
from stability.rewriting.terms import Term, flushed


class Wrong(AssertionError):
    """A term that was to equal another does not: a rule is wrong."""


def equality(term: Term, regimes: Regimes, points: Sample, reals: Reals, is_exact: Callable[[Term], bool]) -> str:
    """That the terms of an outcome equal the given one at every point of a sample where they are used, in balls; of a
    truncated series, how near it comes. Points of subnormal numbers, which XLA takes for 0 and so for those of another
    branch, are left out where branches are on them.

    **Raises:** `Wrong` where an exact term differs.
    """
    given = reals.of(term)
    branches = np.zeros(len(points), int)
    if regimes.name:
        x = points.columns[regimes.name]
        branches = np.where(flushed(x) == x, regimes.where(x), -1)
    exact, nearest = 0, float("inf")
    for i, t in enumerate(regimes.terms):
        own = reals.of(t)
        for k in np.flatnonzero(branches == i):
            pairs = np.broadcast(as_array(given[k]), as_array(own[k]))
            agreed = min(agreement(a, b, int(points.precisions[k])) for a, b in pairs)
            if is_exact(t) and agreed < float("inf"):
                raise Wrong(f"{t} is not {term} at {point_told(points, int(k))}")
            exact += is_exact(t)
            nearest = min(nearest, agreed)
    n = int((branches >= 0).sum())
    told = [f"at {exact} of {n} points, in balls"] if exact else []
    if exact < n:
        within = "of it" if nearest == float("inf") else f"within 2^-{nearest:.0f} of it"
        told.append(f"a series {within} at {'the other ' * bool(exact)}{n - exact}")
    return "; ".join(told)


def agreement(x: object, y: object, precision: int) -> float:
    """In how many leading bits two numbers agree: infinite where balls around both overlap, or the second is not
    decided; 0 where it has no value."""
    with flint.ctx.workprec(2 * precision):
        a, b = _around(x), _around(y)
        if a is None or b is None:
            certain = isinstance(y, Undefined) and y.certain
            return 0.0 if certain else float("inf")
        difference = a - b
        if difference.contains(0):
            return float("inf")
        if a == 0:
            return 0.0
        ratio = abs(difference / a)
        return -_log2(ratio) if ratio < 1 else 0.0


def _around(x: object) -> arb | None:
    """A ball around a number."""
    return None if flat(x) is None else x if type(x) is arb else x.ball()  # type: ignore[attr-defined, arg-type]


def _log2(x: arb) -> float:
    return float((x.mid().log() / arb.const_log2()).mid())


def point_told(points: Sample, i: int) -> str:
    return ", ".join(f"{name} = {column[i].tolist()}" for name, column in points.columns.items())


def worse_told(points: Sample, before: np.ndarray, after: np.ndarray, fmt: FloatFormat) -> Iterator[tuple[str, str]]:
    """At how many points an outcome is worse than the given function, and the worst of them; around those it is not
    (`comparison.worse_around`), but that is not looked at where the true value is subnormal."""
    if len(worse := worse_at(before, after)):
        subnormal = np.count_nonzero(~is_normal(points.truth[worse], fmt))
        i = int(worse[np.argmax((after - before)[worse])])
        told = f"{before[i]:.1f} bits before, {after[i]:.1f} after, at {point_told(points, i)}"
        told += f"; the true value is subnormal at {subnormal} of them, around the others it is not worse"
        yield "worse", f"at {len(worse)} of {len(points)} points, at most {told}"


def in_16_bits(
    term: Term, fn: Callable, stable: Callable, name: str, inside: Callable[[np.ndarray], np.ndarray]
) -> Iterator[tuple[str, str]]:
    """Of every float of the 16-bit formats where a function of one argument has a value: the errors of both; or that
    they have no such format, as some functions of JAX have not."""
    for fmt in (FORMATS["float16"], FORMATS["bfloat16"]):
        floats = every_float(fmt)
        floats = floats[np.isfinite(widen(floats))]
        floats = floats[inside(widen(floats))]
        points = judged(term, (name,), len(floats), fmt, ({name: x} for x in floats))
        if not len(points):
            continue
        try:
            before, after = (error_of(f, points, (name,), fmt) for f in (fn, stable))
        except TypeError as refused:
            yield f"every {fmt.name}", f"not looked at: {str(refused).splitlines()[0]}"
            continue
        worse = len(worse_at(before, after))
        told = f"{len(points)} floats: {before.mean():.2f} bits before, {after.mean():.2f} after"
        yield f"every {fmt.name}", f"{told}, worse at {worse}"
