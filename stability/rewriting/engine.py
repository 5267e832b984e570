"""`stabilize`: the search, the choice and the checks, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jax import Array

from stability.formats import format_of
from stability.rewriting.derivatives import with_slopes
from stability.rewriting.everywhere import Everywhere, everywhere, swept_of
from stability.rewriting.finding import Found, focused
from stability.rewriting.problems import Problem
from stability.rewriting.programs import names_of, term_of
from stability.rewriting.proof import equality, in_16_bits, worse_told
from stability.rewriting.regimes import Regimes
from stability.rewriting.sample import Reals
from stability.rewriting.settling import settled
from stability.rewriting.stabilized import Branch, Errors, Judged, Stabilized, Step
from stability.rewriting.steps import chain
from stability.rewriting.terms import Term, cost

if TYPE_CHECKING:
    from jaxtyping import Float

FEW = 64
"""At how many points the conditions of rules are decided, for the steps."""
ROW = 5
"""How many elements a row has."""
OTHERS = 1000
JUDGED = 64
"""What is added to the seed for the points that the outcome is judged at, and how many times as many they are as those
of a search begins with."""


def branches_of(regimes: Regimes) -> tuple[Branch, ...]:
    ends = [float("-inf"), *regimes.bounds, float("inf")]
    sides = zip(ends, ends[1:], regimes.terms, strict=False)
    return tuple(Branch(regimes.name, low, high, t) for low, high, t in sides)


def steps_of(found: Found, given: Term) -> tuple[Step, ...]:
    """From the given term, by its pieces and the simplest equal to each, to the terms that are used; those between are
    named by rules where a chain of such is found."""
    steps, told = [Step(given, "given")], set()
    some = Reals(found.points.at(slice(None, None, max(1, len(found.points) // FEW))))
    for t in dict.fromkeys(found.regimes.terms):
        piece, search = found.of(t)
        if t is given:
            continue
        if piece.term not in told and piece.term is not given:
            steps.append(Step(piece.term, f"a piece, by {piece.name}"))
        if piece.term not in told and search.simplest is not piece.term:
            steps += _led(piece.term, search.simplest, some)
        told.add(piece.term)
        if not search.is_exact(t):
            steps.append(Step(t, "a truncated power series"))
        elif t is not piece.term and t is not search.simplest:
            steps += _led(search.simplest, t, some)
    return tuple(steps)


def _led(first: Term, last: Term, reals: Reals) -> list[Step]:
    links = chain(first, last, reals)
    return [Step(t, why) for t, why in links[1:]] if links else [Step(last, "equality saturation: several rules")]


def stabilize(
    fn: Callable[..., Float[Array, ""]],
    *,
    dtype: Any = "float32",
    domain: Mapping[str, Any] | None = None,
    orders: Sequence[int] = (0, 1),
    names: Sequence[str] | None = None,
    rows: Sequence[str] = (),
    points: int = 128,
    seed: int = 0,
    exhaustive: bool = False,
) -> Stabilized:
    """A function that equals `fn` over the reals and keeps its digits, with its source and what was checked of it.

    Equal terms are found by identities and algebra, and near ones by power series; which of them keeps its digits where
    is measured against true values, in balls. What is returned is nowhere worse than `fn` where both were measured: at
    no point by more than a bit, and more than seven floats off, unless `fn` is nearer there by luck alone, as it is not
    on the average of the points around; where that is so, it is told. Where nothing is found that is better, it says
    so, and calls `fn`. This differs from Herbie, whose search it follows, in: 1. JAX in, JAX out; 2. the chain of rules
    that lead there is shown; 3. a branch that is not taken is fed numbers where it is harmless, for derivatives.

    **Arguments:**

    - `fn`: a function of scalars, of JAX; it may make arrays inside.
    - `dtype`: the format in which it shall keep its digits.
    - `domain`: by the name of an argument, the range `(low, high)` where it is wanted, both ends included, or a list of
      the values that it takes. Without it: all finite floats.
    - `orders`: of the derivatives that shall keep their digits: the value alone, or with its first derivatives. Where
      those that `jax.grad` makes of the outcome don't, it has a `custom_jvp`, whose rule is rewritten as the value is.
    - `names`: of the arguments, where the signature does not tell.
    - `rows`: the arguments that are rows, of one axis, as logits are: sums, means, extremes and norms of them, and
      what is made of those element by element, to one number or one row. It is searched at rows of 5 numbers. Of such a
      function the value alone is rewritten; its gradient is one more function.
    - `points`: how many points the search begins with, of each of two kinds: uniform over the floats, and over those
      that are moderate in size.
    - `seed`: of the points.
    - `exhaustive`: whether both functions are measured at every float32, by Taylor models with a proven bound, each of
      `orders`: of a function of one argument, or of one beside another with a list of values. It takes minutes.

    **Returns:** a `Stabilized`, which is called as `fn` is.

    **Raises:** `Unsupported` for what is no function of scalars, or has no value; `ValueError` for a `domain` of other
    arguments, and where not every float can be measured; `Missing` without the package
    `egglog`, which the extra `stabilize` brings.

    ```python
    import jax.numpy as jnp
    from stability import stabilize

    stable = stabilize(lambda x: jnp.log(1 + jnp.exp(x)), domain={"x": (-50.0, 50.0)})
    assert "logaddexp(x, 0)" in stable.source
    assert stable.after.mean < 0.5 < stable.before.mean
    ```
    """
    fmt = format_of(dtype)
    names = tuple(names_of(fn) if names is None else names)
    if unknown := set(domain or {}) - set(names):
        raise ValueError(
            f"domain: there is no argument {', '.join(sorted(unknown))} (the arguments: {', '.join(names)})"
        )
    if unknown := set(rows) - set(names):
        raise ValueError(f"rows: there is no argument {', '.join(sorted(unknown))} (the arguments: {', '.join(names)})")
    sizes = dict.fromkeys(rows, ROW)
    problem = Problem(term_of(fn, names, fmt, sizes), names, fmt, dict(domain or {}), seed, rows=sizes)
    swept = swept_of(problem) if exhaustive else None
    found = focused(problem, points)
    others = problem.mixed((8 if rows else JUDGED) * points, salt=OTHERS)
    value = settled(problem, fn, found, others.joined(found.points))
    found, text, function, others, before, after, improved = value
    agreed = equality(problem.term, found.regimes, found.points, Reals(found.points), found.is_exact)
    proof = {"equal over the reals": agreed}
    if improved:
        proof |= dict(worse_told(others, before, after, fmt))
    if len(names) == 1 and improved and not rows:
        proof |= in_16_bits(problem.term, fn, function, names[0], inside(problem.domain.get(names[0])))
    slopes = with_slopes(problem, fn, function, text, found) if 1 in orders and not rows else None
    if slopes is not None:
        text, function, improved = slopes.source, slopes.function, improved or slopes.improved
    measured: tuple[Everywhere, ...] = ()
    if swept is not None:
        measured = tuple(everywhere(problem, swept, fn, function, equal_terms(found), orders))
    return Stabilized(
        function,
        text,
        improved,
        steps_of(found, problem.term),
        branches_of(found.regimes),
        Errors(float(before.mean()), float(before.max()), len(others), *([slopes.before] if slopes else [])),
        Errors(float(after.mean()), float(after.max()), len(others), *([slopes.after] if slopes else [])),
        (cost(problem.term), sum(cost(t) for t in set(found.regimes.terms))),
        proof | {e.what: str(e) for e in measured},
        Judged(others.columns, before, after),
        measured,
    )


def equal_terms(found: Found) -> list[Term]:
    """Terms that equal the given one everywhere; none where it was taken by pieces."""
    if len(found.searches) > 1:
        return []
    return [found.searches[0][1].simplest, *filter(found.is_exact, found.regimes.terms)]


def inside(ends: tuple[float, float] | list[float] | None) -> Callable[[np.ndarray], np.ndarray]:
    """Whether numbers are of a range, or of a list."""
    if ends is None:
        return np.isfinite
    return (lambda x: np.isin(x, ends)) if isinstance(ends, list) else lambda x: (x >= ends[0]) & (x <= ends[1])
