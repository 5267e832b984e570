"""Expressions of FPCore, evaluated by what they mean: over the floats of JAX, or over balls.

`evaluate` is the one walker of them; a *meaning* says what a number, an operation, a choice and a loop are. Scalars
only: what is a tensor, calls another core, loops in a precondition or rounds any other way than to nearest, is a
`BadFunction`, whose message is one line.
"""

from __future__ import annotations

import ast as python
import functools
import itertools
import re
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, NamedTuple

import flint
import jax
import jax.numpy as jnp
import numpy as np
from flint import arb
from jax import Array
from jax.extend import source_info_util
from titanfp.fpbench import fpcast as ast

from stability.formats import FloatFormat
from stability.real import logic, powers, scalars
from stability.real.records import TEXTS
from stability.real.values import INFINITY, Undefined
from stability.study.loading import BadFunction
from stability.truth.balls import decide

source_info_util.register_exclusion(__file__)

ROUNDS = 10_000
"""A loop that goes on for so many rounds has no value, if nothing else is said: it is NaN, in floats and in truth."""

CONSTANTS: dict[str, Callable[[], arb]] = {
    "E": arb.const_e,
    "LOG2E": lambda: 1 / arb.const_log2(),
    "LOG10E": lambda: 1 / arb.const_log10(),
    "LN2": arb.const_log2,
    "LN10": arb.const_log10,
    "PI": arb.pi,
    "PI_2": lambda: arb.pi() / 2,
    "PI_4": lambda: arb.pi() / 4,
    "M_1_PI": lambda: 1 / arb.pi(),
    "M_2_PI": lambda: 2 / arb.pi(),
    "M_2_SQRTPI": lambda: 2 / arb.pi().sqrt(),
    "SQRT2": lambda: arb(2).sqrt(),
    "SQRT1_2": lambda: arb(0.5).sqrt(),
}

_HEX = re.compile(r"([-+]?)0x([0-9a-f]*)\.?([0-9a-f]*)(?:p([-+]?\d+))?", re.IGNORECASE)


@functools.lru_cache(maxsize=1024)
def rational(number: ast.Val) -> Fraction:
    """The number that a literal writes: decimal, hexadecimal, rational, or `(digits m e b)`."""
    if isinstance(number, ast.Rational):
        return Fraction(number.p, number.q)
    if isinstance(number, ast.Digits):
        return number.m * Fraction(number.b) ** number.e
    if found := _HEX.fullmatch(number.value):
        sign, whole, part, power = found.groups()
        return int(sign + whole + part, 16) * Fraction(2) ** (int(power or 0) - 4 * len(part))
    return Fraction(number.value)


def enclosure(number: ast.Val) -> Callable[[], arb]:
    """A literal or a constant as a ball of the precision in force."""
    if isinstance(number, ast.Constant):
        return CONSTANTS[number.value]
    exact = rational(number)
    return lambda: arb(flint.fmpq(exact.numerator, exact.denominator))


class Meaning:
    """What the parts of an expression are: `operators` by the names of FPCore, and the methods."""

    operators: Mapping[str, Callable[..., Any]]

    def number(self, number: ast.Val) -> Any:
        raise NotImplementedError

    def choice(self, condition: Any, then: Callable[[], Any], other: Callable[[], Any]) -> Any:
        raise NotImplementedError

    def loop(self, loop: ast.While, names: Mapping[str, Any]) -> Any:
        raise NotImplementedError

    def within(self, annotation: Mapping[str, ast.Data]) -> Meaning:
        """The meaning inside of an annotation."""
        rounding = str(annotation.get("round", "nearestEven"))
        if rounding != "nearestEven":
            raise BadFunction(f":round {rounding}: results are rounded to nearest, ties to even, and no other way")
        return self

    def caller(self, e: ast.Expr) -> Callable[[Callable, list], Any]:
        """What calls a function for an expression."""
        return lambda operator, operands: operator(*operands)

    def rounded(self, value: Any) -> Any:
        """A result as the annotation in force has it."""
        return value


def evaluate(e: ast.Expr, names: Mapping[str, Any], meaning: Meaning) -> Any:
    """The value of an expression, `names` the values of the variables.

    **Raises:** `BadFunction` for what has no meaning.
    """
    if isinstance(e, ast.Var):
        if e.value not in names:
            raise BadFunction(f"{e.value} has no value where it is used")
        return names[e.value]
    if isinstance(e, ast.Val):
        return meaning.rounded(meaning.number(e))
    if isinstance(e, ast.Ctx):
        return evaluate(e.body, names, meaning.within(e.props))
    if isinstance(e, ast.If):
        condition = evaluate(e.cond, names, meaning)
        then, other = (functools.partial(evaluate, case, names, meaning) for case in (e.then_body, e.else_body))
        return meaning.caller(e)(meaning.choice, [condition, then, other])
    if isinstance(e, ast.Let):
        return evaluate(e.body, bound(e.let_bindings, names, meaning, in_order=isinstance(e, ast.LetStar)), meaning)
    if isinstance(e, ast.While):
        return meaning.caller(e)(meaning.loop, [e, names])
    if isinstance(e, ast.NaryExpr) and e.name in meaning.operators:
        operands = [evaluate(child, names, meaning) for child in e.children]
        return meaning.rounded(meaning.caller(e)(meaning.operators[e.name], operands))
    raise BadFunction(f"{e.name} is not supported: of FPCore, scalars and the functions that JAX has are")


def bound(bindings: list, names: Mapping[str, Any], meaning: Meaning, in_order: bool) -> dict[str, Any]:
    """The variables with those of `bindings`, `(name, expression)`; `in_order` whether each sees those before it."""
    inner = dict(names)
    for name, e in bindings:
        inner[name] = evaluate(e, inner if in_order else names, meaning)
    return inner


def _folded(connect: Callable, empty: bool) -> Callable:
    """What connects two truth values, of any number of them."""
    return lambda *xs: functools.reduce(connect, xs) if xs else np.bool_(empty)


def _chained(compare: Callable, both: Callable) -> Callable:
    """A comparison of any number of operands: of each with the next."""
    return lambda *xs: _folded(both, True)(*itertools.starmap(compare, itertools.pairwise(xs)))


def _distinct(differ: Callable, both: Callable) -> Callable:
    """Whether any number of operands all differ."""
    return lambda *xs: _folded(both, True)(*itertools.starmap(differ, itertools.combinations(xs, 2)))


def _minus(x: Array, *y: Array) -> Array:
    return jnp.subtract(x, *y) if y else jnp.negative(x)


def _fma(x: Array, y: Array, z: Array) -> Array:
    return jnp.add(jnp.multiply(x, y), z)


def _fdim(x: Array, y: Array) -> Array:
    return jnp.where(x <= y, jnp.zeros_like(x), jnp.subtract(x, y))


def _round(x: Array) -> Array:
    return jax.lax.round(x, jax.lax.RoundingMethod.AWAY_FROM_ZERO)


def _isnormal(x: Array) -> Array:
    return jnp.isfinite(x) & (jnp.abs(x) >= jnp.finfo(x.dtype).smallest_normal)


SAME = (
    *("sqrt", "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "cbrt", "hypot", "sin", "cos", "tan"),
    *("sinh", "cosh", "tanh", "ceil", "floor", "trunc", "fmod", "fmax", "fmin", "copysign"),
    *("isfinite", "isinf", "isnan", "signbit"),
)
"""What `jax.numpy` calls as FPCore does."""

FLOATS: dict[str, Callable[..., Any]] = {
    **{name: getattr(jnp, name) for name in SAME},
    **{f"a{name}": getattr(jnp, f"arc{name}") for name in ("sin", "cos", "tan", "sinh", "cosh", "tanh", "tan2")},
    "+": jnp.add,
    "-": _minus,
    "*": jnp.multiply,
    "/": jnp.divide,
    "fabs": jnp.abs,
    "fma": _fma,
    "fdim": _fdim,
    "pow": jnp.power,
    "round": _round,
    "nearbyint": jnp.round,
    "erf": jax.scipy.special.erf,
    "erfc": jax.scipy.special.erfc,
    "lgamma": jax.scipy.special.gammaln,
    "tgamma": jax.scipy.special.gamma,
    "cast": lambda x: x,
    "<": _chained(jnp.less, jnp.logical_and),
    "<=": _chained(jnp.less_equal, jnp.logical_and),
    ">": _chained(jnp.greater, jnp.logical_and),
    ">=": _chained(jnp.greater_equal, jnp.logical_and),
    "==": _chained(jnp.equal, jnp.logical_and),
    "!=": _distinct(jnp.not_equal, jnp.logical_and),
    "and": _folded(jnp.logical_and, True),
    "or": _folded(jnp.logical_or, False),
    "not": jnp.logical_not,
    "isnormal": _isnormal,
}
"""The operations over arrays of JAX."""

EXACT: dict[str, Callable[..., Any]] = {
    **{name: TEXTS[name] for name in (*SAME, "atan2", "erf", "erfc", "lgamma") if name in TEXTS},
    **{f"a{name}": TEXTS[f"a{name}"] for name in ("sin", "cos", "tan", "sinh", "cosh", "tanh")},
    "+": scalars.add,
    "-": lambda x, *y: scalars.sub(x, *y) if y else scalars.neg(x),
    "*": scalars.mul,
    "/": scalars.div,
    "fabs": scalars.absolute,
    "fma": lambda x, y, z: scalars.add(scalars.mul(x, y), z),
    "fmax": TEXTS["max"],
    "fmin": TEXTS["min"],
    "pow": powers.power,
    "cast": lambda x: x,
    "<": _chained(TEXTS["lt"], logic.logical_and),
    "<=": _chained(TEXTS["le"], logic.logical_and),
    ">": _chained(TEXTS["gt"], logic.logical_and),
    ">=": _chained(TEXTS["ge"], logic.logical_and),
    "==": _chained(TEXTS["eq"], logic.logical_and),
    "!=": _distinct(TEXTS["ne"], logic.logical_and),
    "and": _folded(logic.logical_and, True),
    "or": _folded(logic.logical_or, False),
    "not": logic.logical_not,
}
"""The operations over balls."""


class Place(NamedTuple):
    """Where an operation stands in a file: the attribute `place` of its expression."""

    path: str
    line: int
    column: int


@functools.lru_cache(maxsize=1024)
def caller_at(place: Place, name: str) -> Callable[[Callable, list], Any]:
    """A function of a name that calls another one, and stands at a place of an FPCore file for JAX, which takes the
    source lines of equations from the frames that are active."""
    tree = python.parse("lambda operator, operands: operator(*operands)", mode="eval")
    there = {"lineno": place.line, "end_lineno": place.line, "col_offset": place.column, "end_col_offset": place.column}
    for node in python.walk(tree):
        python.copy_location(node, python.expr(**there))
    (code,) = (c for c in compile(tree, place.path, "eval").co_consts if isinstance(c, types.CodeType))
    return types.FunctionType(code.replace(co_name=name, co_qualname=name), {"__builtins__": {}})


@dataclass(frozen=True)
class Floats(Meaning):
    """The floats of JAX, every operation in one format.

    A literal or a constant is rounded to the format once. An annotated precision is left aside, since the format is
    that of the arguments, but `integer`: in it, every result is rounded to a whole number.
    """

    fmt: FloatFormat
    core: str
    rounds: int = ROUNDS
    whole: bool = False
    operators = FLOATS

    def number(self, number: ast.Val) -> Any:
        if number.value in ("TRUE", "FALSE"):
            return np.bool_(number.value == "TRUE")
        special = {"INFINITY": np.inf, "NAN": np.nan}.get(number.value)
        return self.fmt.dtype.type(decide(enclosure(number), self.fmt) if special is None else special)

    def choice(self, condition: Any, then: Callable[[], Any], other: Callable[[], Any]) -> Any:
        return jax.lax.cond(condition, lambda: jnp.asarray(then()), lambda: jnp.asarray(other()))

    def loop(self, loop: ast.While, names: Mapping[str, Any]) -> Any:
        if isinstance(loop.cond, ast.Constant) and loop.cond.value == "TRUE":
            raise BadFunction(f"{loop.name} TRUE has no end")
        in_order = isinstance(loop, ast.WhileStar)
        carried = [name for name, _, _ in loop.while_bindings]
        updates = [(name, update) for name, _, update in loop.while_bindings]

        def inside(state: tuple) -> dict[str, Any]:
            return {**names, **dict(zip(carried, state, strict=True))}

        def values(inner: dict[str, Any]) -> tuple:
            return tuple(jnp.asarray(inner[name]) for name in carried)

        def goes_on(state: tuple) -> Array:
            return jnp.logical_and(state[0] < self.rounds, evaluate(loop.cond, inside(state[1:]), self))

        def once(state: tuple) -> tuple:
            return (state[0] + 1, *values(bound(updates, inside(state[1:]), self, in_order)))

        first = values(bound([(name, start) for name, start, _ in loop.while_bindings], names, self, in_order))
        rounds, *last = jax.lax.while_loop(goes_on, once, (jnp.int32(0), *first))
        value = jnp.asarray(evaluate(loop.body, inside(tuple(last)), self))
        return jnp.where(rounds < self.rounds, value, jnp.asarray(np.nan, self.fmt.dtype))

    def caller(self, e: ast.Expr) -> Callable[[Callable, list], Any]:
        return caller_at(e.place, self.core) if hasattr(e, "place") else super().caller(e)

    def within(self, annotation: Mapping[str, ast.Data]) -> Meaning:
        super().within(annotation)
        precision = annotation.get("precision")
        return self if precision is None else replace(self, whole=str(precision) == "integer")

    def rounded(self, value: Any) -> Any:
        return jnp.round(value) if self.whole and value.dtype == self.fmt.dtype else value


@dataclass(frozen=True)
class Exact(Meaning):
    """Real numbers, as balls of the precision in force; what they leave open is `UNDECIDED`."""

    operators = EXACT

    def number(self, number: ast.Val) -> Any:
        special = {"TRUE": True, "FALSE": False, "INFINITY": INFINITY, "NAN": Undefined("nan")}
        return special[number.value] if number.value in special else enclosure(number)()

    def choice(self, condition: Any, then: Callable[[], Any], other: Callable[[], Any]) -> Any:
        return condition if isinstance(condition, Undefined) else then() if condition else other()

    def loop(self, loop: ast.While, names: Mapping[str, Any]) -> Any:
        raise BadFunction(f"{loop.name} in a precondition is not supported")
