"""Whether a function is worse than another: at a point, and around it."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from stability.formats import FloatFormat
from stability.rewriting.measuring import error_of
from stability.rewriting.problems import Problem
from stability.rewriting.sample import Sample

AROUND = 32
"""How many points around one decide whether a function is worse there."""
TOGETHER = 256
"""How many points are looked around at once."""
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
    """The points at which a function is worse than the given one (`worse_at`) and is so around them too, the worst
    first: its mean error over points within an eighth of a binade is larger by over a bit; or which lose over half of
    their digits, where the given one loses as many nowhere around. All points are looked at, `TOGETHER` of them after
    `TOGETHER`, until some are found.

    At other points the given one is nearer by luck: of `tan(x + e) - tan(x)`, say, where `x + e` happens to be exact.
    """
    worse = worse_at(before, after)
    worse = worse[np.argsort(before[worse] - after[worse], kind="stable")]
    if problem.rows:
        return worse
    for begin in range(0, len(worse), TOGETHER):
        some = worse[begin : begin + TOGETHER]
        if len(found := some[~_by_luck(problem, given, other, points.at(some), after[some])]):
            return found
    return worse[:0]


def _by_luck(problem: Problem, given: Function, other: Function, points: Sample, errors: np.ndarray) -> np.ndarray:
    """At which of some points the given function is nearer by luck."""
    samples = [problem.beside(points.at([i]), AROUND) for i in range(len(points))]
    samples = [around.at(is_normal(around.truth, problem.fmt)) for around in samples]
    every = functools.reduce(Sample.joined, samples)
    found = [error_of(f, every, problem.names, problem.fmt) if len(every) else errors[:0] for f in (given, other)]
    ends = np.cumsum([len(around) for around in samples])
    lucky = np.zeros(len(points), bool)
    for i, (begin, end) in enumerate(itertools.pairwise([0, *ends])):
        if begin < end:
            first, second = (error[begin:end] for error in found)
            bearable = max(problem.fmt.precision / 2, first.max() + 1)
            lucky[i] = errors[i] <= bearable and second.mean() <= first.mean() + 1
    return lucky
