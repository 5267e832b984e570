"""Floats and reals side by side: every number that a program computes, as a node with what it was computed from."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal

from stability.floats import FORMATS, FloatFormat, widen
from stability.shadow import _arrays as arrays
from stability.shadow import _interpreter as interpreter
from stability.shadow import _scalars as scalars
from stability.shadow._arrays import as_array, bare
from stability.shadow._values import Undefined, array, real


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
    return FORMATS.get(np.dtype(aval.dtype).name) if interpreter.is_float(aval) else None


def plain(x) -> Any:
    """An element of a float array as a Python float, of another one as it is."""
    return float(widen(x)) if np.issubdtype(np.asarray(x).dtype, np.inexact) or x.dtype.name == "bfloat16" else x


def leaves(x, aval, literal: bool = False, name: str = "") -> Values:
    """An argument or a constant."""
    x = np.asarray(x)
    if interpreter.is_float(aval):
        x = x.astype(aval.dtype)
    fmt = format_of(aval)
    true = as_array(interpreter.lift(x, aval.dtype, literal)).ravel()
    nodes = [Node(plain(g), t, fmt, name=name) for g, t in zip(x.ravel(), true, strict=True)]
    return x, array(nodes, x.shape)


def execute(eqn, values: Sequence[Any]) -> list:
    """An equation on floats, as an XLA computation of its own."""
    out = eqn.primitive.bind(*values, **eqn.params)
    return [np.asarray(o) for o in (out if eqn.primitive.multiple_results else [out])]


class Tracer:
    """Runs a jaxpr on floats and reals at once, at the precision in force.

    `recorded` are the results of the equations in order where they come from elsewhere, by default each is executed.
    """

    def __init__(self, recorded: Iterator[Sequence[Any]] | None = None):
        self.executions: list[Execution] = []
        self.recorded = recorded

    def run(self, jaxpr: Jaxpr | ClosedJaxpr, args: Sequence[Values], outer: str = "") -> list[Values]:
        jaxpr, consts = interpreter.opened(jaxpr)
        env: dict[Any, Values] = dict(zip(jaxpr.invars, args, strict=True))
        env.update((v, leaves(c, v.aval)) for v, c in zip(jaxpr.constvars, consts, strict=True))

        def read(v) -> Values:
            return leaves(v.val, v.aval, literal=True) if isinstance(v, Literal) else env[v]

        for eqn in jaxpr.eqns:
            out = self.equation(eqn, [read(v) for v in eqn.invars], outer)
            env.update(zip(eqn.outvars, out, strict=True))
        return [read(v) for v in jaxpr.outvars]

    def equation(self, eqn, values: list[Values], outer: str) -> list[Values]:
        name, inner = eqn.primitive.name, interpreter.called(eqn)
        source = outer or interpreter.source_of(eqn)
        if inner is not None:
            return self.run(inner, values, source if interpreter.is_library(inner) else "")
        if name in CONTROL and self.recorded is None:
            before = len(self.executions)
            try:
                return CONTROL[name](self, eqn, values, source)
            except Diverged:
                del self.executions[before:]
        floats = next(self.recorded) if self.recorded is not None else execute(eqn, [v for v, _ in values])
        floats = [np.asarray(x) for x in floats]
        if name in arrays.DATA:
            moved = arrays.move(eqn, [as_array(n) for _, n in with_native_indices(eqn, values)])
            return [(x, as_array(n)) for x, n in zip(floats, moved, strict=True)]
        try:
            interpreter.refuse_complex(eqn)
            return self.computed(eqn, floats, [n for _, n in values], source)
        except interpreter.UnsupportedPrimitive as error:
            raise interpreter.UnsupportedPrimitive(error.primitive, error.source or source) from None

    def computed(self, eqn, floats: list[np.ndarray], inputs: list[np.ndarray], source: str) -> list[Values]:
        execution = Execution(eqn.primitive.name, source)
        index = len(self.executions)
        self.executions.append(execution)
        results = []
        for k, (x, (parents, rules)) in enumerate(zip(floats, provenance(eqn, inputs), strict=True)):
            fmt = format_of(eqn.outvars[k].aval)
            nodes = [
                Node(plain(g), rule(*(p.true for p in ps)), fmt, index, tuple(ps), rule, eqn.primitive.name)
                for g, ps, rule in zip(x.ravel(), parents, rules, strict=True)
            ]
            execution.nodes.extend(nodes)
            results.append((x, array(nodes, x.shape)))
        return results


def with_native_indices(eqn, values: list[Values]) -> list[tuple[Any, Any]]:
    """The arguments of a moving primitive: nodes where they are the data, plain integers where they say whither."""
    where = arrays.DATA[eqn.primitive.name]
    return [(x, n if where is None or i in where else x) for i, (x, n) in enumerate(values)]


def elementwise_rule(eqn) -> Callable | None:
    name = eqn.primitive.name
    if name == "convert_element_type":
        return interpreter.conversion(eqn)
    if name in scalars.PARAMETRIC:
        return scalars.PARAMETRIC[name](eqn.params)
    floats = any(interpreter.is_float(v.aval) for v in (*eqn.invars, *eqn.outvars))
    logical = name in ("and", "or", "xor", "not", "select_n") and eqn.outvars[0].aval.dtype == bool
    return scalars.ELEMENTWISE.get(name) if floats or logical else None


def provenance(eqn: Any, inputs: list[np.ndarray]) -> list[tuple[list, list]]:
    """For each output of an equation, for each of its elements: the nodes it depends on and the real function of
    them."""
    name = eqn.primitive.name
    shape = eqn.outvars[0].aval.shape
    rule = elementwise_rule(eqn)
    if rule is not None:
        rows = list(zip(*(np.broadcast_to(n, shape).ravel() for n in inputs), strict=True))
        return [(rows, [rule] * len(rows))]
    if name in arrays.FOLDED and inputs[0].size:
        elements = arrays.last(inputs[0], eqn.params["axes"])
        rows = list(elements.reshape(-1, elements.shape[-1]))
        step = arrays.FOLDED[name]
        return [(rows, [lambda *values, step=step: functools.reduce(step, values)] * len(rows))]
    sizes = [n.shape for n in inputs]
    every = [node for n in inputs for node in n.ravel()]

    def whole(*values, k: int, j: int):
        parts, at = [], 0
        for s, v in zip(sizes, eqn.invars, strict=True):
            n = math.prod(s)
            part = array(values[at : at + n], s)
            parts.append(bare(part if interpreter.is_float(v.aval) else interpreter.as_native(part, v.aval.dtype)))
            at += n
        return as_array(interpreter.apply(eqn, parts)[k]).ravel()[j]

    return [
        (
            [every] * math.prod(v.aval.shape),
            [functools.partial(whole, k=k, j=j) for j in range(math.prod(v.aval.shape))],
        )
        for k, v in enumerate(eqn.outvars)
    ]


def _agreed(values: Values, what: str) -> Any:
    """A predicate that floats and reals agree on."""
    _, nodes = values
    true = nodes.ravel()[0].true
    if isinstance(true, Undefined) or bool(true != nodes.ravel()[0].got):
        raise Diverged(what)
    return nodes.ravel()[0].got


def _cond(tracer: Tracer, eqn, values: list[Values], source: str) -> list[Values]:
    branches = eqn.params["branches"]
    index = min(max(int(_agreed(values[0], "branch")), 0), len(branches) - 1)
    return tracer.run(branches[index], values[1:])


def _while(tracer: Tracer, eqn, values: list[Values], source: str) -> list[Values]:
    p = eqn.params
    n, m = p["cond_nconsts"], p["body_nconsts"]
    cond_consts, body_consts, carry = values[:n], values[n : n + m], values[n + m :]
    while _agreed(tracer.run(p["cond_jaxpr"], [*cond_consts, *carry])[0], "loop"):
        carry = tracer.run(p["body_jaxpr"], [*body_consts, *carry])
    return carry


def _scan(tracer: Tracer, eqn, values: list[Values], source: str) -> list[Values]:
    p = eqn.params
    (n, m), length = interpreter.scan_sizes(eqn), p["length"]
    consts, carry, xs = values[:n], values[n : n + m], values[n + m :]
    rows: list = [None] * length
    for i in range(length)[:: -1 if p["reverse"] else 1]:
        out = tracer.run(p["jaxpr"], [*consts, *carry, *((x[i], as_array(nodes[i])) for x, nodes in xs)])
        carry, rows[i] = out[:m], out[m:]
    stacked = [
        (np.stack([r[k][0] for r in rows]), np.stack([r[k][1] for r in rows]))
        if rows
        else leaves(np.zeros(v.aval.shape, v.aval.dtype), v.aval)
        for k, v in enumerate(eqn.outvars[m:])
    ]
    return [*carry, *stacked]


CONTROL: dict[str, Callable] = {"cond": _cond, "while": _while, "scan": _scan}


def record(jaxpr: ClosedJaxpr, args: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """The results of every equation, in the order of `Tracer`, as one jitted computation returns them all."""

    def every(*args):
        seen: list = []

        def run(jaxpr, args):
            jaxpr, consts = interpreter.opened(jaxpr)
            env = dict(zip(jaxpr.invars, args, strict=True)) | dict(zip(jaxpr.constvars, consts, strict=True))

            def read(v):
                return np.asarray(v.val, interpreter.aval(v).dtype) if isinstance(v, Literal) else env[v]

            for eqn in jaxpr.eqns:
                inner, inputs = interpreter.called(eqn), [read(v) for v in eqn.invars]
                if inner is not None:
                    out = run(inner, inputs)
                else:
                    out = eqn.primitive.bind(*inputs, **eqn.params)
                    out = list(out) if eqn.primitive.multiple_results else [out]
                    seen.append(out)
                env.update(zip(eqn.outvars, out, strict=True))
            return [read(v) for v in jaxpr.outvars]

        run(jaxpr, args)
        return seen

    return iter(jax.jit(every)(*(np.asarray(x, v.aval.dtype) for x, v in zip(args, jaxpr.jaxpr.invars, strict=True))))
