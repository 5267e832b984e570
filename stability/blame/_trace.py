"""Floats and reals side by side: every number that a program computes, as a node with what it was computed from."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np
from jax.extend.core import ClosedJaxpr

from stability.floats import FORMATS, FloatFormat, widen
from stability.real import _arrays as arrays
from stability.real import _reals as reals
from stability.real._arrays import as_array, bare
from stability.real._records import Elementwise, Folds, Moves, record_of
from stability.real._values import Undefined, array, real
from stability.real._walk import Semantics, called, is_float, walk


@dataclass(eq=False)
class Node:
    """One number: `got` as the floats have it, `true` as the reals do.

    **Attributes:** `rule` the real function that gives it from `parents`, `None` for arguments and constants;
    `equation` the index of the equation execution that computed it, -1 for those, and `name` its primitive (or the
    argument's name); `fmt` its format, `None` for integers and truth values.
    """

    got: Any
    true: Any
    fmt: FloatFormat | None
    equation: int = -1
    parents: tuple[Node, ...] = ()
    rule: Callable | None = None
    name: str = ""

    def exact(self) -> Any:
        """The real result of this equation on the inputs that the floats gave it."""
        assert self.rule is not None
        return self.rule(*(as_real(p.got) for p in self.parents))

    def with_only(self, i: int) -> Any:
        """The real result where only input `i` is as the floats have it."""
        assert self.rule is not None
        return self.rule(*(as_real(p.got) if j == i else p.true for j, p in enumerate(self.parents)))


def as_real(x):
    """A float as a real number; infinities as limits, NaN as undefined; integers and truth values as they are."""
    return real(x) if isinstance(x, float) else x


@dataclass
class Execution:
    """One execution of one equation: its primitive, its source line, and the nodes it made."""

    primitive: str
    source: str
    nodes: list[Node] = field(default_factory=list)


class Diverged(Exception):
    """Floats and reals take different ways through a loop or a branch."""


Values = tuple[Any, np.ndarray]
"""What a variable holds: its floats as JAX computes them, and an object array of `Node`."""


def format_of(aval) -> FloatFormat | None:
    return FORMATS.get(np.dtype(aval.dtype).name) if is_float(aval) else None


def plain(x) -> Any:
    """An element of a float array as a Python float, of another one as it is."""
    return float(widen(x)) if np.issubdtype(np.asarray(x).dtype, np.inexact) or x.dtype.name == "bfloat16" else x


def leaves(x, aval, literal: bool = False, name: str = "") -> Values:
    """An argument or a constant."""
    x = np.asarray(x)
    if is_float(aval):
        x = x.astype(aval.dtype)
    fmt = format_of(aval)
    true = as_array(reals.lift(x, aval.dtype, literal)).ravel()
    nodes = [Node(plain(g), t, fmt, name=name) for g, t in zip(x.ravel(), true, strict=True)]
    return x, array(nodes, x.shape)


def execute(eqn, values: Sequence[Any]) -> list:
    """An equation on floats, as an XLA computation of its own."""
    out = eqn.primitive.bind(*values, **eqn.params)
    return [np.asarray(o) for o in (out if eqn.primitive.multiple_results else [out])]


class Tracer(Semantics):
    """Floats and reals at once, at the precision in force.

    `recorded` are the results of the equations in order where they come from elsewhere, by default each is executed.
    """

    opens = staticmethod(called)

    def __init__(self, recorded: Iterator[Sequence[Any]] | None = None):
        self.executions: list[Execution] = []
        self.recorded = recorded

    def literal(self, value, aval) -> Values:
        return leaves(value, aval, literal=True)

    def constant(self, value, aval) -> Values:
        return leaves(value, aval)

    def follow(self, inside, as_one) -> list:
        if self.recorded is not None:
            return as_one()
        before = len(self.executions)
        try:
            return inside()
        except Diverged:
            del self.executions[before:]
            return as_one()

    def decided(self, value, what) -> int:
        (node,) = value[1].ravel()
        if isinstance(node.true, Undefined) or bool(node.true != node.got):
            raise Diverged(what)
        return int(node.got)

    def row(self, value, i):
        return value[0][i], as_array(value[1][i])

    def stacked(self, rows, aval) -> Values:
        if not rows:
            return leaves(np.zeros(aval.shape, aval.dtype), aval)
        return np.stack([r[0] for r in rows]), np.stack([r[1] for r in rows])

    def equation(self, eqn, values, source) -> list[Values]:
        floats = next(self.recorded) if self.recorded is not None else execute(eqn, [v for v, _ in values])
        floats = [np.asarray(x) for x in floats]
        record = record_of(eqn.primitive)
        if isinstance(record, Moves):
            moved = record.reals(eqn, [as_array(n) for n in with_native_indices(record, values)])
            return [(x, as_array(n)) for x, n in zip(floats, moved, strict=True)]
        reals.refuse_complex(eqn, source)
        return self.computed(eqn, floats, values, source)

    def computed(self, eqn, floats: list[np.ndarray], inputs: Sequence[Values], source: str) -> list[Values]:
        execution = Execution(eqn.primitive.name, source)
        index = len(self.executions)
        self.executions.append(execution)
        results = []
        for k, (x, (parents, rules)) in enumerate(zip(floats, provenance(eqn, inputs, source), strict=True)):
            fmt = format_of(eqn.outvars[k].aval)
            nodes = [
                Node(plain(g), rule(*(p.true for p in ps)), fmt, index, tuple(ps), rule, eqn.primitive.name)
                for g, ps, rule in zip(x.ravel(), parents, rules, strict=True)
            ]
            execution.nodes.extend(nodes)
            results.append((x, array(nodes, x.shape)))
        return results


def with_native_indices(record: Moves, values: Sequence[Values]) -> list[Any]:
    """The arguments of a moving primitive: nodes where they are the data, plain integers where they say whither."""
    return [n if record.data is None or i in record.data else x for i, (x, n) in enumerate(values)]


def provenance(eqn: Any, values: Sequence[Values], source: str) -> list[tuple[list, list]]:
    """For each output of an equation, for each of its elements: the nodes it depends on and the real function of
    them."""
    inputs = [n for _, n in values]
    record, shape = record_of(eqn.primitive), eqn.outvars[0].aval.shape
    real = any(is_float(v.aval) for v in (*eqn.invars, *eqn.outvars)) or eqn.outvars[0].aval.dtype == bool
    if isinstance(record, Elementwise) and real:
        rows = list(zip(*(np.broadcast_to(n, shape).ravel() for n in inputs), strict=True))
        return [(rows, [record.of(eqn)] * len(rows))]
    if isinstance(record, Folds) and real and inputs[0].size:
        elements = arrays.last(inputs[0], eqn.params["axes"])
        rows = list(elements.reshape(-1, elements.shape[-1]))
        return [(rows, [lambda *values: functools.reduce(record.step, values)] * len(rows))]
    sizes = [n.shape for n in inputs]
    every = [node for n in inputs for node in n.ravel()]

    def whole(*elements, k: int, j: int):
        parts, at = [], 0
        for s, v in zip(sizes, eqn.invars, strict=True):
            n = math.prod(s)
            part = array(elements[at : at + n], s)
            parts.append(bare(part) if is_float(v.aval) else reals.as_native(part, v.aval.dtype))
            at += n
        return as_array(reals.meaning(eqn, parts, source)[k]).ravel()[j]

    return [
        (
            [every] * math.prod(v.aval.shape),
            [functools.partial(whole, k=k, j=j) for j in range(math.prod(v.aval.shape))],
        )
        for k, v in enumerate(eqn.outvars)
    ]


class Recording(Semantics):
    """The results of the equations, in the order of `Tracer`, as they are computed."""

    opens = staticmethod(called)

    def __init__(self) -> None:
        self.seen: list[list] = []

    def literal(self, value, aval):
        return np.asarray(value, aval.dtype)

    def constant(self, value, aval):
        return value

    def follow(self, inside, as_one) -> list:
        return as_one()

    def equation(self, eqn, values, source) -> list:
        out = eqn.primitive.bind(*values, **eqn.params)
        self.seen.append(list(out) if eqn.primitive.multiple_results else [out])
        return self.seen[-1]


def record(jaxpr: ClosedJaxpr, args: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """The results of every equation, in the order of `Tracer`, as one jitted computation returns them all."""

    def every(*args):
        recording = Recording()
        walk(jaxpr, args, recording)
        return recording.seen

    return iter(jax.jit(every)(*(np.asarray(x, v.aval.dtype) for x, v in zip(args, jaxpr.jaxpr.invars, strict=True))))
