"""A jaxpr as one straight-line Python function, for many points.

The walker runs once, on names: every element of every array becomes a line of Python. Two kinds:

- over **balls**: NaN stands for everything that is not a number, and a finite result is an enclosure, since every NaN
  that matters reaches the result. Where the result is not finite, a comparison is open, or an argument is infinite, the
  interpreter decides.
- over **series**: each line calls the function that the interpreter would call.

A loop or a branch that hangs on the point is not straight: there the interpreter does all.
"""

from __future__ import annotations

import functools
import itertools
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import flint
import numpy as np
from flint import arb
from jax.extend.core import ClosedJaxpr

from stability.real import arrays, steps
from stability.real._near import flat
from stability.real.arrays import as_array, bare
from stability.real.complexes import is_complex
from stability.real.function import Estimate, Function, Open, constant
from stability.real.logic import identity
from stability.real.reals import Reals, added, meaning, native, of_integers
from stability.real.records import IDENTITIES, Elementwise, Folds, Named, as_numbers, moves, record_of
from stability.real.values import Undefined, array
from stability.real.walk import is_float, walk

MOST_LINES = 20_000

METHODS = (
    *("exp", "log", "log1p", "sqrt", "rsqrt", "sin", "cos", "tan", "asin", "acos", "atan"),
    *("cosh", "asinh", "acosh", "atanh", "erf", "erfc", "digamma"),
)
TEXT = {
    "add": "{0} + {1}",
    "add_any": "{0} + {1}",
    "sub": "{0} - {1}",
    "mul": "{0} * {1}",
    "div": "{0} / {1}",
    "neg": "-{0}",
    "square": "{0} * {0}",
    "and": "{0} and {1}",
    "or": "{0} or {1}",
    "not": "not {0}",
    "stop_gradient": "{0}",
    "reduce_sum": "{0} + {1}",
    "reduce_prod": "{0} * {1}",
    **{name: f"{{0}}.{name}()" for name in METHODS},
}
"""Primitives, and steps of reductions, as Python over balls. Every other one calls its function."""


class _Bent(Exception):
    """The program is not straight, or too long."""


@dataclass(frozen=True)
class Name:
    """A variable of the compiled function."""

    text: str


def _comparison(yes: Callable, no: Callable, same: bool) -> Callable:
    def compare(x, y) -> bool:
        if yes(x, y):
            return True
        if no(x, y):
            return False
        if x is y and x.is_finite():
            return same
        raise Open

    return compare


FAST = {name: _comparison(*order) for name, order in steps.ORDERS.items()}


def _strict(rule: Callable) -> Callable:
    """A rule on balls that are finite, to one that is."""
    of_balls = rule.rule if isinstance(rule, Function) else rule

    def checked(*values):
        for v in values:
            if isinstance(v, arb) and not v.is_finite():
                raise Open
        out = flat(of_balls(*values))
        if isinstance(out, Undefined):
            raise Open
        return out

    return checked


def _extreme(order: Callable, otherwise: Callable) -> Callable:
    def pick(x, y):
        if order(x, y):
            return x
        if order(y, x):
            return y
        if x.is_finite() and y.is_finite():
            return otherwise(flat(x), flat(y))
        raise Open

    return pick


PICKS = {"max": _extreme(operator.ge, arb.max), "min": _extreme(operator.le, arb.min)}


LOOSE = FAST | PICKS
"""What takes infinities as they are."""


def _varies(value: Any) -> bool:
    """Whether a value has elements that are not known."""
    return any(isinstance(x, Name) for x in as_array(value).ravel())


def _one_or_zero(x: bool) -> arb:
    return arb(1) if x else arb(0)


class _Source(Reals):
    """Elements of arrays are names, or numbers that are known."""

    def __init__(self, over_balls: bool):
        super().__init__()
        self.over_balls = over_balls
        self.lines: list[str] = []
        self.fixed: set[str] = set()
        """Variables that hang on no number that varies, but on the precision."""
        self.names: dict[str, Any] = {"arb": arb}
        self.texts: dict[int, str] = {}
        self.straight, self.at_points = True, False

    def constant_text(self, value: Any) -> str:
        """A value that is known, as a variable."""
        if id(value) not in self.texts:
            name = self.texts[id(value)] = f"c{len(self.names)}"
            self.names[name] = value
        return self.texts[id(value)]

    def text(self, x: Any) -> str:
        return x.text if isinstance(x, Name) else self.constant_text(x)

    def line(self, expression: str, inputs: Sequence[Any]) -> Name:
        if len(self.lines) > MOST_LINES:
            raise _Bent
        name = f"v{len(self.lines)}"
        self.lines.append(f"    {name} = {expression}")
        if all(x.text.partition("[")[0] in self.fixed for x in inputs if isinstance(x, Name)):
            self.fixed.add(name)
        return Name(name)

    def text_of_function(self, names: Sequence[str], result: str) -> str:
        """The functions `fixed`, of nothing, and `point`, which takes what that gives from `known`."""
        fixed = [line for line in self.lines if line.split()[0] in self.fixed]
        open_ = [line for line in self.lines if line.split()[0] not in self.fixed]
        kept = "".join(f"{line.split()[0]}, " for line in fixed)
        lines = ["def fixed():", *fixed, f"    return ({kept})", f"def point({', '.join(names)}):"]
        return "\n".join([*lines, *([f"    {kept}= known()"] if fixed else []), *open_, f"    return {result}"])

    def call(self, function: Callable, inputs: Sequence[Any], primitive: str = "") -> Name:
        texts = [self.text(x) for x in inputs]
        self.at_points |= function is constant
        if self.over_balls and primitive in TEXT:
            return self.line(TEXT[primitive].format(*texts), inputs)
        if self.over_balls:
            function = LOOSE.get(primitive.removeprefix("reduce_")) or _strict(function)
        return self.call_of(function, inputs)

    def call_of(self, function: Callable, inputs: Sequence[Any]) -> Name:
        return self.line(f"{self.constant_text(function)}({', '.join(map(self.text, inputs))})", inputs)

    def decided(self, value, what):
        if _varies(value):
            raise _Bent
        return super().decided(value, what)

    def equation(self, eqn, values, source):
        if not (any(map(_varies, values)) or any(is_float(v.aval) for v in eqn.outvars)):
            return super().equation(eqn, values, source)
        if any(is_complex(v.aval) for v in (*eqn.invars, *eqn.outvars)):
            raise _Bent
        out = self.lines_of(eqn, values, source)
        if self.over_balls or not self.adds_values(eqn):
            return out
        return [arrays.elementwise(lambda x: self.call(added, [x]))(x) for x in out]

    def lines_of(self, eqn, values, source) -> list:
        """The outputs of an equation of numbers that vary."""
        record = record_of(eqn.primitive)
        if record is None:
            raise _Bent
        if moves(record, eqn) and not any(map(_varies, record.indices(values))):
            return record.reals(eqn, values)
        if of_integers(eqn):
            return self.whole(eqn, functools.partial(meaning, eqn, source=source), values)
        if isinstance(record, Named):
            return self.named(eqn, values)
        if isinstance(record, Elementwise):
            return [self.elementwise(eqn, record, values)]
        if isinstance(record, Folds):
            return [self.folded(eqn, record, values)]
        return self.whole(eqn, functools.partial(record.reals, eqn), values)

    def elementwise(self, eqn, record: Elementwise, values: Sequence[Any]):
        name, shape = eqn.primitive.name, eqn.outvars[0].aval.shape
        function = record.of(eqn)
        rows = zip(*(np.broadcast_to(as_array(v), shape).ravel() for v in values), strict=True)
        if name in IDENTITIES or function is identity:
            return values[0]
        return bare(array([self.element(eqn, function, row) for row in rows], shape))

    def named(self, eqn, values: Sequence[Any]) -> list:
        shape = eqn.outvars[0].aval.shape
        numbers = (np.broadcast_to(as_array(v), shape).ravel() for v in as_numbers(eqn, values))
        rows = list(zip(*numbers, strict=True))
        rows = rows or [()] * int(np.prod(shape))
        return [bare(array([self.call(f, row) for row in rows], shape)) for f in eqn.params["functions"]]

    def element(self, eqn, function: Callable, row: Sequence[Any]) -> Name:
        name = eqn.primitive.name
        if not self.over_balls:
            return self.call(function, row)
        if name in FAST and not is_float(eqn.invars[0].aval):
            raise _Bent
        texts = [self.text(x) for x in row]
        if name == "select_n" and len(row) == 3:
            return self.line(f"{texts[2]} if {texts[0]} else {texts[1]}", row)
        if name == "convert_element_type" and eqn.invars[0].aval.dtype == bool and is_float(eqn.outvars[0].aval):
            return self.call(_one_or_zero, row)
        return self.call(function, row, name)

    def folded(self, eqn, record: Folds, values: Sequence[Any]):
        x = as_array(values[0])
        axes = tuple(eqn.params["axes"])
        kept = [a for a in range(x.ndim) if a not in axes]
        shape = tuple(x.shape[a] for a in kept)
        rows = x.transpose([*kept, *axes]).reshape(int(np.prod(shape)), -1)

        def total(row: Sequence[Any]) -> Any:
            if not len(row):
                return record.empty
            first, *rest = row
            for y in rest:
                first = self.call(record.step, [first, y], eqn.primitive.name)
            return first

        return bare(array([total(list(row)) for row in rows], shape))

    def whole(self, eqn, rule: Callable[[list], list], values: Sequence[Any]) -> list:
        avals = [v.aval for v in eqn.invars]

        def run(*elements):
            if self.over_balls and any(isinstance(e, arb) and not e.is_finite() for e in elements):
                raise Open
            parts, at = [], iter(elements)
            for aval, known in zip(avals, values, strict=True):
                if _varies(known):
                    part = array(list(itertools.islice(at, int(np.prod(aval.shape)))), aval.shape)
                    parts.append(native(bare(part), aval))
                else:
                    parts.append(known)
            out = [x for v in rule(parts) for x in as_array(v).ravel()]
            if self.over_balls:
                out = [flat(x) for x in out]
                if any(isinstance(x, Undefined | Estimate) or (isinstance(x, arb) and not x.is_finite()) for x in out):
                    raise Open
            return out

        self.straight = False
        open_inputs = [x for v in values if _varies(v) for x in as_array(v).ravel()]
        result = self.call_of(run, open_inputs).text
        at = itertools.count()
        return [
            bare(array([Name(f"{result}[{next(at)}]") for _ in range(int(np.prod(v.aval.shape)))], v.aval.shape))
            for v in eqn.outvars
        ]


def compiled(
    jaxpr: ClosedJaxpr, args: Sequence[Any], names: Sequence[str], over_balls: bool
) -> Callable[..., Any] | None:
    """The straight-line function of the numbers that vary, or `None` where the jaxpr has none.

    **Arguments:** `args` the arguments over the reals, a `Name` in place of each number that varies; `names` the names
    of those, in the order of the function's parameters; `over_balls` whether it is a function of balls (to one, or it
    raises `Open` or `ZeroDivisionError`), or of anything that a `Function` takes: of power series of Arb's own only
    where its attribute `straight` says that it calls nothing but functions of numbers, and then those about a ball are
    of one function unless `at_points` says that it takes something for a constant.
    """
    source = _Source(over_balls)
    try:
        (out,) = walk(jaxpr, args, source)
    except _Bent:
        return None
    result = source.text(bare(out))
    known = [v for v in source.names.values() if isinstance(v, arb | Undefined)]
    if over_balls and any(isinstance(v, Undefined) for v in known):
        return None
    exec(source.text_of_function(names, result), source.names)
    source.names["known"] = _by_precision(source.names["fixed"])
    point = source.names["point"]
    point.straight, point.at_points = source.straight, source.at_points
    return point


def _by_precision(fixed: Callable[[], tuple]) -> Callable[[], tuple]:
    """What is computed anew only where the precision is another."""
    found: dict[int, tuple] = {}

    def known() -> tuple:
        prec = flint.ctx.prec
        if prec not in found:
            found[prec] = fixed()
        return found[prec]

    return known
