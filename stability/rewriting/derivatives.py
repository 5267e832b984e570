"""First derivatives that keep their digits: where needed, a `custom_jvp` whose rule is rewritten as a value is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from stability.rewriting.comparison import is_normal, worse_around
from stability.rewriting.finding import Found, searched, written
from stability.rewriting.measuring import error_of
from stability.rewriting.problems import Problem
from stability.rewriting.sample import Sample
from stability.rewriting.slopes import NoSlope, derivative
from stability.rewriting.source import function_of

GOOD = 0.5
"""Mean bits of error of a derivative that is left as `jax.grad` makes it."""
PAYS = 0.25
"""Mean bits that a rule has to gain."""
POINTS = 256
"""At how many points a derivative is judged, and searched for."""


class Slopes(NamedTuple):
    """A function with its text, and the mean bits of error of its first derivatives, before and after; whether it has
    a rule of its own."""

    source: str
    function: Callable[..., Any]
    before: float
    after: float
    improved: bool


def with_slopes(problem: Problem, given: Callable, function: Callable, text: str, found: Found) -> Slopes | None:
    """An outcome with a rule for its derivatives, where that pays; `None` where no derivative is known."""
    try:
        own = [problem._replace(term=derivative(problem.term, name)) for name in problem.names]
    except NoSlope:
        return None
    where = [slope.mixed(POINTS) for slope in own]
    where = [points.at(is_normal(points.truth, problem.fmt)) for points in where]
    if not any(map(len, where)):
        return None
    before, plain = (slope_errors(f, where, problem) for f in (given, function))
    if plain is None:
        return None
    as_it_is = Slopes(text, function, _mean(before), _mean(plain), False)
    if _mean(plain) < GOOD:
        return as_it_is
    texts = [_slope(slope, points, f"slope_{i}") for i, (slope, points) in enumerate(zip(own, where, strict=True))]
    if None in texts:
        return as_it_is
    called = text.removeprefix("def ").partition("(")[0]
    source = _with_rule(text, called, texts, problem)  # type: ignore[arg-type]
    ruled = function_of(source, called)
    after = slope_errors(ruled, where, problem)
    if after is None or before is None or _mean(after) > _mean(plain) - PAYS:
        return as_it_is
    looked_at = [(i, slope, points) for i, (slope, points) in enumerate(zip(own, where, strict=True)) if len(points)]
    for (i, slope, points), b, a in zip(looked_at, before, after, strict=True):
        if len(worse_around(slope, jax.grad(given, i), jax.grad(ruled, i), points, b, a)):
            return as_it_is
    return Slopes(source, ruled, _mean(before), _mean(after), True)


def slope_errors(fn: Callable, where: Sequence[Sample], problem: Problem) -> list[np.ndarray] | None:
    """The bits of error of `jax.grad` in each argument; `None` where it can't be differentiated."""
    try:
        return [
            error_of(jax.grad(fn, argnums=i), points, problem.names, problem.fmt)
            for i, points in enumerate(where)
            if len(points)
        ]
    except (TypeError, NotImplementedError):
        return None


def _mean(errors: list[np.ndarray] | None) -> float:
    return float("nan") if errors is None else float(np.concatenate(errors).mean())


def _slope(problem: Problem, points: Sample, called: str) -> str | None:
    if not len(points):
        return None
    fn = lambda: None  # noqa: E731
    fn.__name__ = called
    return written(fn, searched(problem, points), problem.names)[0]


def _with_rule(text: str, called: str, slopes: Sequence[str], problem: Problem) -> str:
    """The text of a function with a rule: the sum of its slopes times the tangents."""
    arguments = text[text.index("(") + 1 : text.index(")")]
    names = [name.strip() for name in arguments.split(",")]
    tangents = [f"d{name}" for name in names]
    total = " + ".join(f"slope_{i}({arguments}) * {tangent}" for i, tangent in enumerate(tangents))
    rule = [
        f"@{called}.defjvp",
        f"def {called}_jvp(primals, tangents):",
        f"    ({arguments},), ({', '.join(tangents)},) = primals, tangents",
        f"    return {called}({arguments}), {total}",
    ]
    return "\n\n".join(["@jax.custom_jvp\n" + text, *slopes, "\n".join(rule) + "\n"])
