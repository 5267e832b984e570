"""`stabilize`: the search, the choice and the checks, one after the other."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from stability.formats import FloatFormat, format_of, to_ordinal
from stability.rewriting.extraction import Candidate
from stability.rewriting.measuring import error_of, under_jit
from stability.rewriting.proof import equality, in_16_bits
from stability.rewriting.programs import Unsupported, names_of, term_of
from stability.rewriting.regimes import Bisection, Regimes, chosen
from stability.rewriting.sample import TRIES, Domain, Reals, Sample, beside, bits_of_error, judged, moderate, sample
from stability.rewriting.search import Search
from stability.rewriting.source import function_of, source_of
from stability.rewriting.stabilized import Branch, Errors, Stabilized, Step
from stability.rewriting.steps import chain
from stability.rewriting.terms import Term, cost, in_floats
from stability.rewriting.tidy import tidied

ROUNDS = 2
NOTHING = 0.01
"""A gain in mean bits that is none."""
FEW = 64
"""At how many points the conditions of rules are decided, for the steps."""
OTHERS = 1000
"""What is added to the seed for the points that the outcome is judged at."""
TURNS = 4
"""How often points are added."""
BAD, MOST_BAD = 3.0, 32
"""The bits from which a result is bad; how many of the worst points are added."""


class Found(NamedTuple):
    """What a search came to: the terms to use, what was known on the way, and the points that it was made for."""

    regimes: Regimes
    search: Search
    points: Sample


class Problem(NamedTuple):
    """A term and where it is wanted."""

    term: Term
    names: tuple[str, ...]
    fmt: FloatFormat
    domain: Domain
    seed: int

    def sample(self, points: int, salt: int = 0) -> Sample:
        """Uniform over the floats of the domain."""
        return sample(self.term, self.names, points, self.fmt, self.domain, self.seed + salt)

    def mixed(self, points: int, salt: int = 0) -> Sample:
        """Half of them uniform over the floats, and half over those of moderate numbers."""
        drawn = moderate(self.names, self.fmt, self.domain, self.seed + salt)
        middle = judged(self.term, self.names, points // 2, self.fmt, itertools.islice(drawn, TRIES * points))
        return self.sample(points // 2, salt).joined(middle)

    def beside(self, points: Sample, each: int) -> Sample:
        """Points around others."""
        drawn = beside(points, each, self.fmt, self.domain, self.seed)
        return judged(self.term, self.names, each * len(points), self.fmt, drawn)


def searched(problem: Problem, points: Sample, before: Search | None = None) -> Found:
    """The best terms for one at the points of a sample. Those of a search before are tried first: another is made where
    they are bad at some point, all of them."""
    term, names, fmt, domain, seed = problem
    search = Search(term, points, fmt)
    if before is not None:
        search.take(before)
    if before is None or np.any(search.kept.best[is_normal(points.truth, fmt)] > BAD):
        for _ in range(ROUNDS):
            search.round()
    terms = list(dict.fromkeys([term, *(c.term for c in search.kept.candidates)]))
    values = under_jit(terms, points, fmt)
    measured = [Candidate(t, x, bits_of_error(x, points.truth), cost(t)) for t, x in zip(terms, values, strict=True)]
    bisect = Bisection(term, names, fmt, domain, seed)
    regimes = chosen(measured, points.columns, measured[0].bits, fmt, bisect)
    tidy = {t: tidied(t) for t in regimes.terms}
    search.approximate |= {tidy[t] for t in regimes.terms if not search.is_exact(t)}
    return Found(regimes._replace(terms=tuple(tidy[t] for t in regimes.terms)), search, points)


def focused(problem: Problem, points: int) -> Found:
    """As `searched`, with points where the outcome is bad added to those of the search, until it is not."""
    where = problem.mixed(2 * points)
    if not len(where):
        raise Unsupported("it has no value anywhere in the domain")
    found = searched(problem, where)
    for turn in range(1, TURNS):
        fresh = problem.mixed(8 * points, salt=turn)
        given, got = (
            bits_of_error(x, fresh.truth)
            for x in (in_floats(problem.term, fresh.columns), found.regimes.in_floats(fresh.columns))
        )
        bad = np.flatnonzero(is_normal(fresh.truth, problem.fmt) & ((got > BAD) | (got > np.maximum(given + 1, 2))))
        if not len(bad):
            break
        worst = bad[np.argsort(-got[bad], kind="stable")][:MOST_BAD]
        around = fresh.at(worst)
        where = where.joined(around).joined(problem.beside(around, 1 + MOST_BAD // (2 * len(worst))))
        found = searched(problem, where, found.search)
    return found


def is_normal(truth: np.ndarray, fmt: FloatFormat) -> np.ndarray:
    """Where the true value is no subnormal number, which XLA has no better answer to than 0 on a CPU."""
    return (np.abs(truth.astype(np.float64)) >= fmt.smallest_normal) | (truth == 0)


def harmless_points(regimes: Regimes, points: Sample) -> dict[Term, dict[str, float]]:
    """For each term a point where it is used: the one in the middle of its points, or next to its bounds."""
    out: dict[Term, dict[str, float]] = {}
    branches = regimes.where(points.columns[regimes.name]) if regimes.name else np.zeros(len(points), int)
    for t in dict.fromkeys(regimes.terms):
        own = np.flatnonzero([regimes.terms[b] is t for b in branches])
        order = own[np.argsort(to_ordinal(points.truth[own]), kind="stable")] if len(own) else own
        i = int(order[len(order) // 2]) if len(order) else 0
        out[t] = {name: float(column[i]) for name, column in points.columns.items()}
    return out


def branches_of(regimes: Regimes) -> tuple[Branch, ...]:
    ends = [float("-inf"), *regimes.bounds, float("inf")]
    return tuple(Branch(regimes.name, *ends[i : i + 2], t) for i, t in enumerate(regimes.terms))


def steps_of(found: Found, given: Term) -> tuple[Step, ...]:
    """From the given term by the simplest equal one to the terms that are used; those between are named by rules where
    a chain of such is found."""
    search, steps = found.search, [Step(given, "given")]
    some = Reals(found.points.at(slice(None, None, max(1, len(found.points) // FEW))))
    if search.simplest is not given:
        steps += _led(given, search.simplest, some)
    for t in dict.fromkeys(found.regimes.terms):
        if not search.is_exact(t):
            steps.append(Step(t, "a truncated power series"))
        elif t is not given and t is not search.simplest:
            steps += _led(search.simplest, t, some)
    return tuple(steps)


def _led(first: Term, last: Term, reals: Reals) -> list[Step]:
    links = chain(first, last, reals)
    return [Step(t, why) for t, why in links[1:]] if links else [Step(last, "equality saturation: several rules")]


def worse_at(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Where one error is over another by more than a bit, and over two bits, which is three floats."""
    return np.flatnonzero(after > np.maximum(before, 2) + 1)


def written(fn: Callable, found: Found, names: tuple[str, ...]) -> tuple[str, Callable[..., Any]]:
    """The text of an outcome, and the function that it is, named as the given one."""
    called = getattr(fn, "__name__", "stable")
    called = called if called.isidentifier() else "stable"
    text = source_of(found.regimes, names, harmless_points(found.regimes, found.points), called)
    return text, function_of(text, called)


def stabilize(
    fn: Callable[..., Any],
    *,
    dtype: Any = "float32",
    domain: Mapping[str, Any] | None = None,
    names: Sequence[str] | None = None,
    points: int = 256,
    seed: int = 0,
) -> Stabilized:
    """A function that equals `fn` over the reals and keeps its digits, with its source and what was checked of it.

    Equal terms are found by identities and algebra, and near ones by power series; which of them keeps its digits where
    is measured against true values, in balls. What is returned is not worse than `fn` at any point where both were
    measured (by more than a bit, and more than three floats off); where nothing is found that is better, it says so,
    and calls `fn`. This differs from Herbie, whose search it follows, in: 1. JAX in, JAX out; 2. the chain of rules that
    lead there is shown; 3. what is not taken by a branch is fed a number where it is harmless, for derivatives.

    **Arguments:**

    - `fn`: a function of scalars, of JAX.
    - `dtype`: the format in which it shall keep its digits.
    - `domain`: by the name of an argument, the range `(low, high)` where it is wanted, both ends included, or a list of
      the values that it takes. Without it: all finite floats.
    - `names`: of the arguments, where the signature does not tell.
    - `points`: how many points the search begins with, of each of two kinds: uniform over the floats, and over those
      that are moderate in size.
    - `seed`: of the points.

    **Returns:** a `Stabilized`, which is called as `fn` is.

    **Raises:** `Unsupported` for what is no function of scalars, or has no value; `Missing` without the package
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
        raise ValueError(f"domain: there is no argument {', '.join(sorted(unknown))} (the arguments: {', '.join(names)})")
    problem = Problem(term_of(fn, names, fmt), names, fmt, dict(domain or {}), seed)
    found = focused(problem, points)
    text, function = written(fn, found, names)
    others = problem.mixed(8 * points, salt=OTHERS).joined(found.points)
    before, after = (error_of(f, others, names, fmt) for f in (fn, function))
    normal = is_normal(others.truth, fmt)
    improved = not len(worse_at(before[normal], after[normal])) and after.mean() < before.mean() - NOTHING
    if not improved:
        found = found._replace(regimes=Regimes("", (), (problem.term,)))
        text, function, after = written(fn, found, names)[0], fn, before
    proof = {"equal over the reals": equality(problem.term, found.regimes, found.points, found.search.reals, found.search.is_exact)}
    if len(names) == 1 and improved:
        proof |= in_16_bits(problem.term, fn, function, names[0], inside(problem.domain.get(names[0])))
    return Stabilized(
        function,
        text,
        improved,
        steps_of(found, problem.term),
        branches_of(found.regimes),
        Errors(float(before.mean()), float(before.max()), len(before)),
        Errors(float(after.mean()), float(after.max()), len(after)),
        (cost(problem.term), sum(cost(t) for t in set(found.regimes.terms))),
        proof,
    )


def inside(ends: tuple[float, float] | list[float] | None) -> Callable[[np.ndarray], np.ndarray]:
    """Whether numbers are of a range, or of a list."""
    if ends is None:
        return np.isfinite
    return (lambda x: np.isin(x, ends)) if isinstance(ends, list) else lambda x: (x >= ends[0]) & (x <= ends[1])
