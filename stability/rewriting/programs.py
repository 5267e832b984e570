"""A function of JAX as a term: its jaxpr, with the equations as operations on terms."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stability.formats import FloatFormat
from stability.real.recognition import meaning_of
from stability.real.walk import Semantics, called, walk
from stability.rewriting.operations import OPERATIONS, TRUTHS
from stability.rewriting.terms import Term, number, operation, variable


class Unsupported(ValueError):
    """A function that is no term: of arrays, with loops, or of operations that have no rules."""


def names_of(fn: Callable) -> list[str]:
    """The names of a function's positional parameters without a default. **Raises:** `Unsupported`."""
    try:
        kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        parameters = inspect.signature(fn).parameters.values()
    except (TypeError, ValueError):
        parameters = ()  # type: ignore[assignment]
    names = [p.name for p in parameters if p.kind in kinds and p.default is inspect.Parameter.empty]
    if not names:
        raise Unsupported("the function's signature does not tell its arguments; give their `names`")
    return names


_SAME = frozenset({"copy", "copy_p", "reshape", "squeeze", "broadcast_in_dim", "reduce_sum", "optimization_barrier"})
"""What does nothing to a scalar."""


_WRITTEN: dict[str, Callable[..., Term]] = {
    "add_any": lambda x, y: operation("add", x, y),
    "square": lambda x: operation("mul", x, x),
    "rsqrt": lambda x: operation("div", number(1), operation("sqrt", x)),
    "is_finite": lambda x: operation("eq", number(0), number(0)),
    "select_n": lambda which, no, yes: operation("select", which, yes, no),
    "clamp": lambda low, x, high: operation("min", operation("max", x, low), high),
}


def _known(eqn: Any) -> str | None:
    """The operation that a call of a named function of JAX is, where it is one."""
    meaning = meaning_of(eqn)
    name = None if meaning is None else meaning.params["named"]
    return name if name in OPERATIONS else None


class Symbols(Semantics):
    """Floats are terms."""

    opens = staticmethod(lambda eqn: None if _known(eqn) else called(eqn))

    def literal(self, value: Any, aval: Any) -> Term:
        value = np.asarray(value)
        if value.ndim:
            raise Unsupported("it holds an array; a function of scalars is needed")
        if value.dtype == bool:
            return operation("eq", number(0), number(0 if value else 1))
        value = float(value)
        if not np.isfinite(value):
            raise Unsupported(f"it holds {value}")
        return number(Fraction(value))

    def equation(self, eqn: Any, values: Sequence[Any], source: str) -> list:
        name = _known(eqn) or eqn.primitive.name
        if any(v.aval.shape for v in (*eqn.invars, *eqn.outvars)):
            raise Unsupported(f"{name} makes an array, at {source}; a function of scalars is needed")
        if name in _SAME:
            return list(values[:1])
        if name == "cond":
            return self._chosen(eqn, values)
        if name == "convert_element_type":
            return [_converted(eqn, values[0], source)]
        if name == "integer_pow":
            return [whole_power(values[0], eqn.params["y"])]
        if name in _WRITTEN:
            return [_WRITTEN[name](*values)]
        if name not in OPERATIONS:
            raise Unsupported(f"{name} has no rules, at {source}")
        return [operation(name, *values)]

    def follow(self, eqn: Any, inside: Callable[[], list], as_one: Callable[[], list]) -> list:
        return as_one() if eqn.primitive.name == "cond" else inside()

    def _chosen(self, eqn: Any, values: Sequence[Any]) -> list:
        """Both branches of a `cond`, and which."""
        which, branches = values[0], eqn.params["branches"]
        if which.op not in TRUTHS or len(branches) != 2:
            raise Unsupported("a branch hangs on what is no comparison")
        no, yes = (walk(branch, values[1:], self) for branch in branches)
        return [operation("select", which, a, b) for a, b in zip(yes, no, strict=True)]

    def decided(self, value: Any, what: str) -> int:
        raise Unsupported(f"the {what} hangs on an argument")

    def row(self, value: Any, i: int) -> Any:
        raise Unsupported("it loops over an array")

    def stacked(self, rows: list, aval: Any) -> Any:
        raise Unsupported("it makes an array")


def _converted(eqn: Any, value: Term, source: str) -> Term:
    before, after = eqn.invars[0].aval.dtype, eqn.params["new_dtype"]
    if value.op in TRUTHS and after == np.int32:
        return value
    floats = jnp.issubdtype(before, np.floating) and jnp.issubdtype(after, np.floating)
    if (floats and jnp.finfo(after).bits >= jnp.finfo(before).bits) or isinstance(value.leaf, Fraction):
        return value
    raise Unsupported(f"it converts {before} to {after}, at {source}")


def whole_power(x: Term, n: int) -> Term:
    return operation("mul", x, x) if n == 2 else operation("pow", x, number(n))


def term_of(fn: Callable, names: Sequence[str], fmt: FloatFormat) -> Term:
    """The term that a function of scalars is, its arguments the variables of `names`.

    **Raises:** `Unsupported`.
    """
    with jax.enable_x64(fmt.bits == 64):
        jaxpr = jax.make_jaxpr(fn)(*[jax.ShapeDtypeStruct((), fmt.dtype)] * len(names))
        if len(jaxpr.out_avals) != 1 or jaxpr.out_avals[0].shape:
            raise Unsupported("it does not return a scalar")
        if jaxpr.out_avals[0].dtype != fmt.dtype:
            raise Unsupported(f"it returns {jaxpr.out_avals[0].dtype}, from {fmt.name}")
        (out,) = walk(jaxpr, list(map(variable, names)), Symbols())
    return out
