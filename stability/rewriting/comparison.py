"""Whether a function is worse than another: at a point, and around it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from stability.formats import FloatFormat
from stability.rewriting.measuring import error_of
from stability.rewriting.problems import Problem
from stability.rewriting.sample import Sample

AROUND = 32
"""How many points around one decide whether a function is worse there."""
MOST = 16
"""How many points that is looked at, the worst first."""
Function = Callable[..., Any]


def is_normal(truth: np.ndarray, fmt: FloatFormat) -> np.ndarray:
    """Where the true value is no subnormal number, which XLA has no better answer to than 0 on a CPU."""
    normal = (np.abs(truth.astype(np.float64)) >= fmt.smallest_normal) | (truth == 0)
    return normal if normal.ndim == 1 else normal.all(axis=-1)


def worse_at(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Where one error is over another by more than a bit, and over three bits, which is seven floats."""
    return np.flatnonzero(after > np.maximum(before, 2) + 1)


def worse_around(
    problem: Problem, given: Function, other: Function, points: Sample, before: np.ndarray, after: np.ndarray
) -> np.ndarray:
    """The points at which a function is worse than the given one (`worse_at`) and is so around them too: its mean error
    over points within an eighth of a binade is larger by over a bit; or which lose over half of their digits, where the
    given one loses as many nowhere around.

    At other points the given one is nearer by luck: of `tan(x + e) - tan(x)`, say, where `x + e` happens to be exact.
    """
    worse = worse_at(before, after)
    if problem.rows or not len(worse):
        return worse
    worst = worse[np.argsort(before[worse] - after[worse], kind="stable")][:MOST]
    return np.array([i for i in worst if not _by_luck(problem, given, other, points.at([i]), after[i])], np.int64)


def _by_luck(problem: Problem, given: Function, other: Function, point: Sample, error: float) -> bool:
    around = problem.beside(point, AROUND)
    around = around.at(is_normal(around.truth, problem.fmt))
    if not len(around):
        return False
    first, second = (error_of(f, around, problem.names, problem.fmt) for f in (given, other))
    bearable = max(problem.fmt.precision / 2, first.max() + 1)
    return bool(error <= bearable and second.mean() <= first.mean() + 1)
