"""Floats and reals side by side: every number that a program computes, as a node with what it was computed from."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr

from stability.formats import FORMATS, FloatFormat
from stability.real import arrays, logic, reals, scalars
from stability.real.arrays import as_array, bare
from stability.real.function import Complex, guessed, is_unproven, parts
from stability.real.records import Elementwise, Folds, Moves, moves, record_of
from stability.real.values import ONE, UNDECIDED, ZERO, Undecided, Undefined, array, real
from stability.real.walk import Semantics, called, dtype_of, walk


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

    @functools.cached_property
    def exact(self) -> Any:
        """The real result of this equation on the inputs that the floats gave it."""
        return self.of([as_real(p.got) for p in self.parents])

    def of(self, values: Sequence[Any]) -> Any:
        """The real result of this equation on other inputs."""
        assert self.rule is not None
        return settled(self.rule(*values))

    def with_only(self, i: int) -> Any:
        """The real result where only input `i` is as the floats have it."""
        if isinstance(self.rule, SumOfProducts):
            slope = self.rule.partner([p.true for p in self.parents], i)
            got, true = (as_number(x) for x in (as_real(self.parents[i].got), self.parents[i].true))
            moved = scalars.mul(slope, scalars.sub(got, true))
            return settled(scalars.add(self.true, moved))
        return self.of([as_real(p.got) if j == i else p.true for j, p in enumerate(self.parents)])


def as_number(x: Any) -> Any:
    """An integer or a truth value as a real number; real ones as they are."""
    return logic.from_integer(x) if isinstance(x, int | np.generic) else x


class SumOfProducts:
    """The rule of sums and dot products: the inputs are the terms, or the factors of each in turn."""

    def __init__(self, width: int):
        self.width = width

    def __call__(self, *numbers: Any) -> Any:
        values = list(map(as_number, numbers))
        terms = values if self.width == 1 else map(scalars.mul, values[::2], values[1::2])
        return functools.reduce(scalars.add, terms, ZERO)

    def partner(self, values: Sequence[Any], i: int) -> Any:
        """What input `i` is multiplied by."""
        return ONE if self.width == 1 else as_number(values[i ^ 1])


def as_real(x):
    """A float as a real number; infinities as limits, NaN as undefined; integers and truth values as they are."""
    if isinstance(x, complex):
        return settled(Complex(real(x.real), real(x.imag)))
    return real(x) if isinstance(x, float) else x


def settled(x: Any) -> Any:
    """A number as what follows goes on with it: an estimate as it is, a complex one without a part has no value."""
    if not isinstance(x, Complex):
        return guessed(x)
    re, im = settled(x.re), settled(x.im)
    return next((part for part in (re, im) if isinstance(part, Undefined)), Complex(re, im))


@dataclass
class Execution:
    """One execution of one equation: its primitive, its source line, the nodes it made, and whether its meaning over
    the reals is known."""

    primitive: str
    source: str
    proven: bool = True
    nodes: list[Node] = field(default_factory=list)


class Diverged(Exception):
    """Floats and reals take different ways through a loop or a branch."""


Values = tuple[Any, np.ndarray]
"""What a variable holds: its floats as JAX computes them, and an object array of `Node`."""


def format_of(aval) -> FloatFormat | None:
    return FORMATS.get(jnp.finfo(aval.dtype).dtype.name) if reals.is_inexact(aval) else None


def plain(x) -> Any:
    """An element of an array of floats or complex numbers as one of Python's, of another one as it is."""
    if jnp.issubdtype(x.dtype, np.complexfloating):
        return complex(x)
    return float(x) if jnp.issubdtype(x.dtype, np.floating) else x


def leaves(x, aval, literal: bool = False, name: str = "") -> Values:
    """An argument, a constant, or what only floats have."""
    if is_opaque(aval):
        return x, array([Node(None, None, None, name=name)] * math.prod(aval.shape), aval.shape)
    x = np.asarray(x)
    if reals.is_inexact(aval):
        x = x.astype(aval.dtype)
    fmt = format_of(aval)
    true = map(settled, as_array(reals.lift(x, aval.dtype, literal)).ravel())
    nodes = [Node(plain(g), t, fmt, name=name) for g, t in zip(x.ravel(), true, strict=True)]
    return x, array(nodes, x.shape)


def execute(eqn, values: Sequence[Any]) -> list:
    """An equation on floats, as an XLA computation of its own."""
    return [as_floats(o) for o in arrays.bound(eqn, values)]


def is_opaque(aval) -> bool:
    """Whether something is no number but what only its own primitives can read, as a random key."""
    return jnp.issubdtype(aval.dtype, jax.dtypes.extended)


def as_floats(x) -> Any:
    """An array of JAX as one of NumPy, where it has numbers."""
    return x if is_opaque(x) else np.asarray(x)


class Tracer(Semantics):
    """Floats and reals at once, at the precision in force.

    `recorded` are the results of the equations in order where they come from elsewhere, by default each is executed;
    what the program calls under `jit` is one computation then too, as it is in the user's run.
    """

    opens = staticmethod(called)

    def __init__(self, recorded: Iterator[Sequence[Any]] | None = None):
        self.executions: list[Execution] = []
        self.recorded = recorded

    def literal(self, value, aval) -> Values:
        return leaves(value, aval, literal=True)

    def constant(self, value, aval) -> Values:
        return leaves(value, aval)

    def follow(self, eqn, inside, as_one) -> list:
        if self.recorded is not None:
            return as_one()
        before = len(self.executions)
        try:
            return inside()
        except Diverged:
            del self.executions[before:]
            return as_one()

    def enter(self, eqn, inner, values, inside) -> list:
        if self.recorded is not None or eqn.primitive.name not in ("jit", "pjit"):
            return inside()
        floats = [x for x, _ in values]
        self.recorded = record(inner, floats)
        try:
            out = inside()
        finally:
            self.recorded = None
        return [as_called(v, x) for v, x in zip(out, execute(eqn, floats), strict=True)]

    def decided(self, value, what) -> int:
        if value[1].shape:
            raise Diverged(what)
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
        if not eqn.outvars:
            return []
        floats = next(self.recorded) if self.recorded is not None else execute(eqn, [v for v, _ in values])
        floats = [as_floats(x) for x in floats]
        if any(is_opaque(v.aval) for v in (*eqn.invars, *eqn.outvars)):
            return [
                (x, leaves(x, v.aval, name=eqn.primitive.name)[1]) for x, v in zip(floats, eqn.outvars, strict=True)
            ]
        record = record_of(eqn.primitive)
        if moves(record, eqn):
            moved = record.reals(eqn, [as_array(n) for n in with_native_indices(record, values)])
            return [(x, as_nodes(as_array(n), x)) for x, n in zip(floats, moved, strict=True)]
        return self.computed(eqn, floats, values, source)

    def computed(self, eqn, floats: list[np.ndarray], inputs: Sequence[Values], source: str) -> list[Values]:
        execution = Execution(eqn.primitive.name, source)
        index = len(self.executions)
        self.executions.append(execution)
        results = []
        for k, (x, (parents, rules)) in enumerate(zip(floats, provenance(eqn, inputs, source), strict=True)):
            fmt = format_of(eqn.outvars[k].aval)
            true = [rule(*(p.true for p in ps)) for ps, rule in zip(parents, rules, strict=True)]
            execution.proven &= not any(is_unproven(part) for v in true for part in parts(v))
            nodes = [
                Node(plain(g), settled(t), fmt, index, tuple(ps), rule, eqn.primitive.name)
                for g, t, ps, rule in zip(x.ravel(), true, parents, rules, strict=True)
            ]
            execution.nodes.extend(nodes)
            results.append((x, array(nodes, x.shape)))
        return results


def as_nodes(moved: np.ndarray, floats: np.ndarray) -> np.ndarray:
    """What was moved, with nodes for what was filled in."""
    fmt = FORMATS.get(floats.dtype.name)
    pairs = zip(moved.ravel(), floats.ravel(), strict=True)
    return array([n if isinstance(n, Node) else Node(plain(x), n, fmt) for n, x in pairs], moved.shape)


def with_native_indices(record: Moves, values: Sequence[Values]) -> list[Any]:
    """The arguments of a moving primitive: nodes where they are the data, plain integers where they say whither."""
    return [n if record.data is None or i in record.data else x for i, (x, n) in enumerate(values)]


def as_called(value: Values, result: Any) -> Values:
    """What a call put out when its equations were looked at, with the bits that it gives when they are not."""
    if is_opaque(result):
        return value
    for node, x in zip(value[1].ravel(), result.ravel(), strict=True):
        if node.rule is not None:
            node.got = plain(x)
    return result, value[1]


def provenance(eqn: Any, values: Sequence[Values], source: str) -> list[tuple[list, list]]:
    """For each output of an equation, for each of its elements: the nodes it depends on and the real function of
    them."""
    inputs = [n for _, n in values]
    record, shape = record_of(eqn.primitive), eqn.outvars[0].aval.shape
    if eqn.primitive.name == "dot_general" and reals.is_inexact(eqn.outvars[0].aval):
        _, pairs = arrays.factors(inputs[0], inputs[1], eqn.params["dimension_numbers"])
        products = [[node for pair in zip(u, v, strict=True) for node in pair] for u, v in pairs]
        return [(products, [SumOfProducts(2)] * len(products))]
    real = any(reals.is_inexact(v.aval) for v in (*eqn.invars, *eqn.outvars)) or eqn.outvars[0].aval.dtype == bool
    if isinstance(record, Elementwise) and real:
        rows = list(zip(*(np.broadcast_to(n, shape).ravel() for n in inputs), strict=True))
        return [(rows, [record.of(eqn)] * len(rows))]
    if isinstance(record, Folds) and real and inputs[0].size:
        elements = arrays.last(inputs[0], eqn.params["axes"])
        rows = list(elements.reshape(-1, elements.shape[-1]))
        if eqn.primitive.name == "reduce_sum" and reals.is_inexact(eqn.outvars[0].aval):
            return [(rows, [SumOfProducts(1)] * len(rows))]
        return [(rows, [lambda *values: functools.reduce(record.step, values)] * len(rows))]
    sizes = [n.shape for n in inputs]
    every = [node for n in inputs for node in n.ravel()]

    def outputs(*elements) -> list | None:
        given, at = [], 0
        for s, v in zip(sizes, eqn.invars, strict=True):
            n = math.prod(s)
            part = array(elements[at : at + n], s)
            given.append(bare(part) if reals.is_inexact(v.aval) else reals.as_native(part, v.aval.dtype))
            at += n
        try:
            return [as_array(x).ravel() for x in reals.meaning(eqn, given, source, reals.Letter())]
        except Undecided:
            return None

    true = outputs(*(node.true for node in every))

    def whole(*elements, k: int, j: int):
        at_truth = all(x is node.true for x, node in zip(elements, every, strict=True))
        found = true if at_truth else outputs(*elements)
        return UNDECIDED if found is None else found[k][j]

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
        return value if is_opaque(aval) else np.asarray(value, aval.dtype)

    def follow(self, eqn, inside, as_one) -> list:
        return as_one()

    def equation(self, eqn, values, source) -> list:
        if not eqn.outvars:
            return []
        self.seen.append(arrays.bound(eqn, values))
        return self.seen[-1]


def record(jaxpr: ClosedJaxpr, args: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """The results of every equation, in the order of `Tracer`, as one jitted computation returns them all."""

    def every(*args):
        recording = Recording()
        walk(jaxpr, args, recording)
        return recording.seen

    pairs = zip(args, jaxpr.jaxpr.invars, strict=True)
    return iter(jax.jit(every)(*(x if is_opaque(v.aval) else np.asarray(x, dtype_of(v)) for x, v in pairs)))
