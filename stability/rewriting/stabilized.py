"""What `stabilize` returns: the function, its source, and what it is beside the one that was given."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from stability.formats import short_hex
from stability.rewriting.everywhere import Everywhere
from stability.rewriting.terms import Term


class Errors(NamedTuple):
    """How far off a function is at the points of a sample, in bits: `log2(1 + n)`, `n` how many floats from the true
    one. **Attributes:** `mean` and `worst`; `points` how many; `slope` the mean of its first derivatives, NaN where
    those are not asked for."""

    mean: float
    worst: float
    points: int
    slope: float = float("nan")

    def __str__(self) -> str:
        told = f"{self.mean:.2f} bits (worst {self.worst:.1f})"
        return told if self.slope != self.slope else f"{told}, derivative {self.slope:.2f} bits"


class Judged(NamedTuple):
    """The points that both functions were judged at. **Attributes:** `columns` the floats by the name of the argument;
    `before` and `after` the bits of error of both, of shape `(points,)`."""

    columns: Mapping[str, np.ndarray]
    before: np.ndarray
    after: np.ndarray


class Step(NamedTuple):
    """A term on the way, and what makes it of the one before: the name of a rule, or of a method."""

    term: Term
    why: str

    def __str__(self) -> str:
        return f"{self.term}    ({self.why})"


class Branch(NamedTuple):
    """A term, and where it is used: from `low` to below `high` of a variable."""

    name: str
    low: float
    high: float
    term: Term

    @property
    def where(self) -> str:
        return f"{short_hex(self.low)} <= {self.name} < {short_hex(self.high)}" if self.name else "everywhere"

    def __str__(self) -> str:
        return f"{self.where}: {self.term}"


@dataclass(frozen=True, eq=False)
class Stabilized:
    """A function that `stabilize` made: called as the one that was given.

    **Attributes:** `source` its text, in Python and JAX; `improved` whether it is another function than the given one;
    `steps` the terms from the given one to it, each with what makes it of the one before; `branches` which term is used
    where; `before` and `after` the errors of both at the same points (`Errors`); `cost` of both, in additions; `proof`
    what was checked of it, in words, by what was checked; `judged` the points that the errors are of; `everywhere` what
    both do at every float32, where that was asked for.

    ```python
    import jax.numpy as jnp
    from stability import Stabilized, stabilize

    stable = stabilize(lambda x: jnp.exp(x) - 1, points=64)
    assert isinstance(stable, Stabilized) and "expm1(x)" in stable.source
    assert stable.steps[-1].why == "exp: exp(a) - 1 == expm1(a)"
    ```
    """

    function: Callable[..., Any] = field(repr=False)
    source: str = field(repr=False)
    improved: bool
    steps: tuple[Step, ...] = field(repr=False)
    branches: tuple[Branch, ...] = field(repr=False)
    before: Errors
    after: Errors
    cost: tuple[int, int]
    proof: Mapping[str, str] = field(repr=False)
    judged: Judged = field(repr=False)
    everywhere: tuple[Everywhere, ...] = field(default=(), repr=False)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)

    def __str__(self) -> str:
        if not self.improved:
            told = f"nothing better was found; the function as it was given: {self.before}"
            return "\n".join([told, *(f"{e.what}: {e}" for e in self.everywhere)])
        lines = [self.source.rstrip(), "", f"before  {self.before}, cost {self.cost[0]}"]
        lines += [f"after   {self.after}, cost {self.cost[1]}", "", "steps"]
        lines += [f"  {step}" for step in self.steps]
        if len(self.branches) > 1:
            lines += ["", "branches", *(f"  {branch}" for branch in self.branches)]
        return "\n".join([*lines, "", *(f"{what}: {told}" for what, told in self.proof.items())])

    def _repr_html_(self) -> str:
        rows = [("before", self.before, self.cost[0]), ("after", self.after, self.cost[1])]
        errors = [(what, f"{e.mean:.2f}", f"{e.worst:.1f}", _bits(e.slope), str(cost)) for what, e, cost in rows]
        parts = [
            _pre(self.source) if self.improved else "<p>nothing better was found; the function as it was given</p>",
            _table(("", "mean bits", "worst", "derivative, mean bits", "cost"), errors),
        ]
        if self.improved:
            parts.append(_table(("step", "by"), [(str(s.term), s.why) for s in self.steps]))
        if len(self.branches) > 1:
            parts.append(_table(("where", "term"), [(b.where, str(b.term)) for b in self.branches]))
        return "\n".join([*parts, _table(("checked", "found"), list(self.proof.items()))])


def _bits(x: float) -> str:
    return "" if math.isnan(x) else f"{x:.2f}"


def _pre(text: str) -> str:
    return f"<pre>{html.escape(text)}</pre>"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["".join(f"<th>{html.escape(head)}</th>" for head in heads)]
    lines += ["".join(f"<td style='text-align: left'>{html.escape(cell)}</td>" for cell in row) for row in rows]
    return f"<table>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"
