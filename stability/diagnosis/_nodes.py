"""Single numbers of a program that ran, with what they were computed from, as far as they are asked for."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from stability.diagnosis._program import Execution, Held
from stability.diagnosis._rules import (
    MANY,
    Slopes,
    Terms,
    Whole,
    as_number,
    as_real,
    plain,
    provenance,
    settled,
    slopes_of,
)
from stability.formats import FloatFormat
from stability.real import reals, scalars
from stability.real.function import is_unproven, parts

MOST = 20_000
"""Numbers that a truth may hang on and still be proven."""


class TooMany(Exception):
    """A truth hangs on more numbers than are worth evaluating."""


class Reading:
    """What is taken for the truth of single numbers: what balls prove, at one precision, or wider floats; and what is
    known so far."""

    def __init__(self, proven: bool):
        self.proven = proven
        self.spent = 0
        self.nodes: dict[tuple[int, int], Node] = {}
        self.outputs: dict[tuple[int, str], Any] = {}

    def once(self, execution: Execution, what: str, compute: Callable[[], Any]) -> Any:
        """Something about an equation, computed when it is first asked for."""
        key = (execution.index, what)
        if key not in self.outputs:
            self.outputs[key] = compute()
        return self.outputs[key]


class Node:
    """One number: `got` as the floats have it, `true` as the reals do.

    **Attributes:** `rule` the real function that gives it from `parents`, `None` for arguments and constants; of a
    sum of many numbers these are those that matter. `equation` the index of the equation execution that computed it, -1
    for those, and `name` its primitive (or the argument's name); `fmt` its format, `None` for integers and truth
    values.
    """

    def __init__(self, held: Held, index: int, reading: Reading):
        self.held, self.index, self.reading = held, index, reading
        self.fmt: FloatFormat | None = held.fmt
        self.equation = -1 if held.made is None else held.made.index
        self.name = held.name if held.made is None else held.made.primitive
        self.source = "" if held.made is None else held.made.source
        self.known = False
        self._true: Any = None

    @functools.cached_property
    def got(self) -> Any:
        return None if self.held.opaque else plain(self.held.flat[self.index])

    @functools.cached_property
    def _made_of(self) -> tuple[Callable | None, list]:
        if self.held.made is None:
            return None, []
        return provenance(self.held.made, self.held.output, self.index, self.reading)

    @property
    def rule(self) -> Callable | None:
        return self._made_of[0]

    @functools.cached_property
    def parents(self) -> tuple[Node, ...]:
        rule, inputs = self._made_of
        if isinstance(rule, Terms):
            inputs = rule.shown()
        elif isinstance(rule, Whole) and len(inputs) > MANY:
            inputs = slopes_of(rule.execution, rule.k, rule.j, self.reading)[1]
        return tuple(node_of(h, j, self.reading) for h, j in inputs)

    @property
    def shows_all(self) -> bool:
        """Whether the parents are all that the number was computed from."""
        return not isinstance(self.rule, Terms | Whole) or len(self._made_of[1]) <= MANY

    def every(self) -> list[Node]:
        """All that the number was computed from.

        **Raises:** `TooMany` where these are more than a proof can cost.
        """
        inputs = self.rule.every() if isinstance(self.rule, Terms) else self._made_of[1]
        if self.reading.spent + len(inputs) > MOST:
            raise TooMany
        return [node_of(h, j, self.reading) for h, j in inputs]

    def of_truths(self, values: Sequence[Any]) -> Any:
        """The real result of this equation on the true inputs."""
        assert self.rule is not None and self.held.made is not None
        true = self.rule.true(values) if isinstance(self.rule, Whole) else self.rule(*values)
        self.held.made.proven &= not any(map(is_unproven, parts(true)))
        return settled(true)

    @property
    def true(self) -> Any:
        if not self.known:
            settle(self)
        return self._true

    @true.setter
    def true(self, value: Any) -> None:
        self._true, self.known = value, True

    @functools.cached_property
    def exact(self) -> Any:
        """The real result of this equation on the inputs that the floats gave it."""
        if isinstance(self.rule, Terms | Whole | Slopes):
            return settled(self.rule.exact())
        return self.of([as_real(p.got) for p in self.parents])

    def of(self, values: Sequence[Any]) -> Any:
        """The real result of this equation on other inputs."""
        assert self.rule is not None
        return settled(self.rule(*values))

    def with_only(self, i: int) -> Any:
        """The real result where only input `i` is as the floats have it."""
        if isinstance(self.rule, Terms | Slopes):
            slope = self.rule.slope(i, [p.true for p in self.parents])
            got, true = (as_number(x) for x in (as_real(self.parents[i].got), self.parents[i].true))
            return settled(scalars.add(self.true, scalars.mul(slope, scalars.sub(got, true))))
        if self.shows_all:
            return self.of([as_real(p.got) if j == i else p.true for j, p in enumerate(self.parents)])
        return self.of([as_real(p.got) if p is self.parents[i] else p.true for p in self.every()])


def node_of(held: Held, j: int, reading: Reading) -> Node:
    """The node of an element, where it was computed."""
    while held.moved is not None:
        found = held.moved.at(j)
        if found is None:
            return Node(filled(held, j), 0, reading)
        held, j = found
    key = (id(held), j)
    if key not in reading.nodes:
        reading.nodes[key] = Node(held, j, reading)
    return reading.nodes[key]


def filled(held: Held, j: int) -> Held:
    """A number that was filled in where there was none to take."""
    x = held.flat[j]
    return Held(x, x, True)


def settle(node: Node) -> None:
    """Finds the truth of a node, and of what it hangs on."""
    reading = node.reading
    if not reading.proven:
        node.true = of_wide(node)
        return
    for n in _in_order(node):
        if n.held.exact or n.rule is None:
            n.true = of_given(n)
        elif isinstance(n.rule, Terms) and n.rule.known:
            n.true = n.exact
        else:
            n.true = n.of_truths([p.true for p in n.every()])


def _in_order(node: Node) -> list[Node]:
    """What the truth of a node hangs on that is not known yet, each after its own inputs.

    **Raises:** `TooMany`.
    """
    found: dict[int, Node] = {}
    stack: list[tuple[Node, bool]] = [(node, False)]
    while stack:
        n, done = stack.pop()
        if done:
            found[id(n)] = n
        elif not n.known and id(n) not in found:
            stack.append((n, True))
            if isinstance(n.rule, Slopes):
                raise TooMany
            if not (n.held.exact or n.rule is None or (isinstance(n.rule, Terms) and n.rule.known)):
                inputs = n.every()
                n.reading.spent += len(inputs)
                stack.extend((p, False) for p in inputs)
    return list(found.values())


def of_given(node: Node) -> Any:
    """The number that is an argument, a constant, or known without rounding."""
    if node.held.opaque:
        return None
    x = np.asarray(node.held.flat[node.index])
    return settled(reals.lift(x, x.dtype, node.held.literal))


def of_wide(node: Node) -> Any:
    """The number as wider floats have it, exact; NaN as no number."""
    if node.held.exact:
        return of_given(node)
    return as_real(plain(node.held.flat_wide[node.index]))
