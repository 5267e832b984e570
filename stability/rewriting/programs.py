"""A function of JAX as a term: its jaxpr, with the equations as operations on terms."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stability.formats import FloatFormat
from stability.real.arrays import as_array, bare, bound, cumulative, elementwise, last, moved_indices, sides
from stability.real.recognition import meaning_of
from stability.real.records import moves, record_of
from stability.real.values import array
from stability.real.walk import Semantics, called, walk
from stability.rewriting.infinite import FALSE, NAN, NEGATIVE, POSITIVE, TRUE, Unsupported, built, is_finite
from stability.rewriting.operations import OPERATIONS, TRUTHS
from stability.rewriting.terms import Term, number, operation, variable


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


_SAME = frozenset({"copy", "copy_p", "optimization_barrier", "stop_gradient", "reduce_precision"})
"""What does nothing to a number."""

MOST_NUMBERS = 64
"""How many numbers an array inside of a function has at most."""

_WRITTEN: dict[str, Callable[..., Term]] = {
    "add_any": lambda x, y: built("add", x, y),
    "square": lambda x: built("mul", x, x),
    "rsqrt": lambda x: built("div", number(1), built("sqrt", x)),
    "is_finite": is_finite,
    "select_n": lambda which, no, yes: built("select", which, yes, no),
    "clamp": lambda low, x, high: built("min", built("max", x, low), high),
}

_FOLDS = {
    "reduce_sum": ("add", number(0)),
    "reduce_prod": ("mul", number(1)),
    "reduce_max": ("max", NEGATIVE),
    "reduce_min": ("min", POSITIVE),
    "reduce_and": ("and", TRUE),
    "reduce_or": ("or", FALSE),
}
"""The operation that is repeated, and what there is of no numbers."""

_CUMULATIVE = {"cumsum": "add", "cumprod": "mul", "cummax": "max", "cummin": "min"}


def _known(eqn: Any) -> str | None:
    """The operation that a call of a named function of JAX is, where it is one."""
    meaning = meaning_of(eqn)
    name = None if meaning is None else meaning.params["named"]
    return name if name in OPERATIONS else None


class Symbols(Semantics):
    """Floats are terms, arrays of them object arrays of terms; integers are native."""

    opens = staticmethod(lambda eqn: None if _known(eqn) else called(eqn))

    def literal(self, value: Any, aval: Any) -> Any:
        if not (jnp.issubdtype(aval.dtype, np.floating) or aval.dtype == bool):
            return np.asarray(value)
        value = np.asarray(value, bool if aval.dtype == bool else np.float64)
        return bare(array([_number(v) for v in value.ravel().tolist()], value.shape))

    def equation(self, eqn: Any, values: Sequence[Any], source: str) -> list:
        name = _known(eqn) or eqn.primitive.name
        if eqn.primitive.name == "cond":
            return self._chosen(eqn, values)
        if (most := max(v.aval.size for v in eqn.outvars)) > MOST_NUMBERS:
            raise Unsupported(f"{name} makes {most} numbers, at {source}; {MOST_NUMBERS} are allowed")
        if not any(map(_is_symbolic, values)):
            out = zip(bound(eqn, values), eqn.outvars, strict=True)
            return [_as_terms(x) if jnp.issubdtype(v.aval.dtype, np.floating) else x for x, v in out]
        if (rule := _of_arrays(name, eqn, source)) is not None:
            return [bare(out) for out in rule(*values)]
        return [elementwise(_of_numbers(name, eqn, source))(*(_as_terms(x) for x in values))]

    def follow(self, eqn: Any, inside: Callable[[], list], as_one: Callable[[], list]) -> list:
        return as_one() if eqn.primitive.name == "cond" else inside()

    def _chosen(self, eqn: Any, values: Sequence[Any]) -> list:
        """Both branches of a `cond`, and which."""
        which, branches = values[0], eqn.params["branches"]
        if not _is_symbolic(which):
            return walk(branches[int(np.clip(which, 0, len(branches) - 1))], values[1:], self)
        if which.op not in TRUTHS or len(branches) != 2:
            raise Unsupported("a branch hangs on what is no comparison")
        no, yes = (walk(branch, values[1:], self) for branch in branches)
        choose = elementwise(lambda a, b: built("select", which, a, b))
        return [choose(a, b) for a, b in zip(yes, no, strict=True)]

    def decided(self, value: Any, what: str) -> int:
        if _is_symbolic(value):
            raise Unsupported(f"the {what} hangs on an argument")
        return int(np.any(value))

    def row(self, value: Any, i: int) -> Any:
        return bare(as_array(value)[i])

    def stacked(self, rows: list, aval: Any) -> Any:
        return np.stack([as_array(row) for row in rows])


def _number(value: float | bool) -> Term:
    if isinstance(value, bool):
        return TRUE if value else FALSE
    if math.isnan(value):
        return NAN
    return (POSITIVE if value > 0 else NEGATIVE) if math.isinf(value) else number(Fraction(value))


def _is_symbolic(value: Any) -> bool:
    return isinstance(value, Term) or (isinstance(value, np.ndarray) and value.dtype == object)


def _as_terms(value: Any) -> Any:
    """Integers and truth values as exact numbers."""
    if _is_symbolic(value):
        return value
    flat = np.asarray(value)
    return bare(array([_number(v if flat.dtype == bool else float(v)) for v in flat.ravel().tolist()], flat.shape))


def _of_arrays(name: str, eqn: Any, source: str) -> Callable[..., list] | None:
    """The rule of a primitive of whole arrays, as terms."""
    record = record_of(eqn.primitive)
    if moves(record, eqn):
        return lambda *values: _moved(eqn, record.data, values, source)
    if name in _FOLDS:
        op, empty = _FOLDS[name]
        return lambda x: [_folded(op, empty, x, eqn.params["axes"])]
    if name in _CUMULATIVE:
        rule = functools.partial(built, _CUMULATIVE[name])
        return lambda x: [cumulative(rule)(x, eqn.params["axis"], eqn.params["reverse"])]
    if name == "dot_general":
        return lambda x, y: [_product(eqn, as_array(_as_terms(x)), as_array(_as_terms(y)))]
    return None


def _moved(eqn: Any, data: Sequence[int] | None, values: Sequence[Any], source: str) -> list:
    held = range(len(values)) if data is None else data
    if any(_is_symbolic(v) for i, v in enumerate(values) if i not in held):
        raise Unsupported(f"{eqn.primitive.name} takes what hangs on an argument, at {source}")
    pool = np.concatenate([as_array(_as_terms(values[i])).ravel() for i in held])
    places = moved_indices(eqn, data, values)
    if any((place < 0).any() for place in places):
        raise Unsupported(f"{eqn.primitive.name} takes what is outside of an array, at {source}")
    return [pool[place] for place in places]


def _folded(op: str, empty: Term, x: Any, axes: Sequence[int]) -> Any:
    rows = last(as_array(x), axes)
    flat = rows.reshape(math.prod(rows.shape[:-1]), -1)
    out = [functools.reduce(functools.partial(built, op), row) if len(row) else empty for row in flat]
    return array(out, rows.shape[:-1])


def _product(eqn: Any, x: np.ndarray, y: np.ndarray) -> Any:
    left, right = sides(x, y, eqn.params["dimension_numbers"])
    add, mul = functools.partial(built, "add"), functools.partial(built, "mul")
    rows = [(u, v) for a, b in zip(left, right, strict=True) for u in a for v in b]
    return array([functools.reduce(add, map(mul, u, v)) for u, v in rows], eqn.outvars[0].aval.shape)


def _of_numbers(name: str, eqn: Any, source: str) -> Callable[..., Term]:
    """The rule of a primitive of numbers, as terms."""
    if name in _SAME:
        return lambda x: x
    if name == "convert_element_type":
        return functools.partial(_converted, eqn, source=source)
    if name == "integer_pow":
        return lambda x: whole_power(x, eqn.params["y"])
    if name in _WRITTEN:
        return _WRITTEN[name]
    if name not in OPERATIONS:
        raise Unsupported(f"{name} has no rules, at {source}")
    return functools.partial(built, name)


def _converted(eqn: Any, value: Term, source: str) -> Term:
    before, after = eqn.invars[0].aval.dtype, eqn.params["new_dtype"]
    if value.op in TRUTHS:
        if jnp.issubdtype(after, np.floating):
            return built("select", value, number(1), number(0))
        return value
    if jnp.issubdtype(after, np.floating) or not jnp.issubdtype(before, np.floating):
        return value
    raise Unsupported(f"it converts {before} to {after}, at {source}")


def whole_power(x: Term, n: int) -> Term:
    return built("mul", x, x) if n == 2 else built("pow", x, number(n))


class RowSymbols(Symbols):
    """Floats are terms, and so are rows, of `n` elements: arrays with one axis that is not 1. A sum divided by `n` is a
    mean, if `means`."""

    def __init__(self, n: int, means: bool):
        self.n, self.means = n, means

    def literal(self, value: Any, aval: Any) -> Any:
        value = np.asarray(value)
        if value.size != 1 and (value != value.flat[0]).any():
            raise Unsupported("it holds an array whose numbers differ, beside a row")
        return super().literal(value.flat[0], jax.ShapeDtypeStruct((), aval.dtype))

    def equation(self, eqn: Any, values: Sequence[Any], source: str) -> list:
        name = _known(eqn) or eqn.primitive.name
        if any(sum(k != 1 for k in v.aval.shape) > 1 or v.aval.size not in (1, self.n) for v in eqn.outvars):
            raise Unsupported(f"{name} makes what is no row, at {source}")
        numbers = [_numbers(x, v.aval) for x, v in zip(values, eqn.invars, strict=True)]
        if all(x is not None for x in numbers):
            return [self.literal(x, v.aval) for x, v in zip(bound(eqn, numbers), eqn.outvars, strict=True)]
        if name in _LAID_OUT:
            return list(values)
        if name in _OF_ROWS:
            return list(values) if eqn.invars[0].aval.size == 1 else [_OF_ROWS[name](*values)]
        if name == "dot_general" and eqn.outvars[0].aval.size == 1:
            return [operation("sum", operation("mul", *values))]
        if self.means and name == "div" and values[0].op == "sum" and values[1].leaf == self.n:
            return [operation("mean", *values[0].args)]
        return [_of_numbers(name, eqn, source)(*map(_as_terms, values))]


def _numbers(x: Any, aval: Any) -> np.ndarray | None:
    """An array of one number, `None` of what is none."""
    if not isinstance(x, Term):
        return np.asarray(x)
    return np.full(aval.shape, float(x.leaf), aval.dtype) if isinstance(x.leaf, Fraction) else None


_LAID_OUT = frozenset({"broadcast_in_dim", "reshape", "squeeze", "expand_dims", "transpose"})
_OF_ROWS: dict[str, Callable[[Term], Term]] = {
    "reduce_sum": lambda x: operation("sum", x),
    "reduce_max": lambda x: operation("amax", x),
    "reduce_min": lambda x: operation("neg", operation("amax", operation("neg", x))),
}


def term_of(fn: Callable, names: Sequence[str], fmt: FloatFormat, rows: Mapping[str, int] | None = None) -> Term:
    """The term that a function of scalars, and of rows, is, its arguments the variables of `names`.

    **Arguments:** `rows` how many elements those arguments have that are rows, all of them as many. The term is the
    same for rows of another length: a divisor that is the number of elements by chance alone makes no mean.

    **Raises:** `Unsupported`.
    """
    if not rows:
        return _traced(fn, names, fmt, {}, Symbols())
    n = max(rows.values())
    for means in (True, False):
        one, other = (_traced(fn, names, fmt, dict.fromkeys(rows, k), RowSymbols(k, means)) for k in (n, n + 2))
        if one is other:
            return one
    raise Unsupported("numbers in it hang on the length of its rows, and are not those of means")


def _traced(fn: Callable, names: Sequence[str], fmt: FloatFormat, rows: Mapping[str, int], symbols: Symbols) -> Term:
    shapes = [(rows[name],) if name in rows else () for name in names]
    with jax.enable_x64(fmt.bits == 64):
        jaxpr = jax.make_jaxpr(fn)(*(jax.ShapeDtypeStruct(shape, fmt.dtype) for shape in shapes))
        if len(jaxpr.out_avals) != 1 or jaxpr.out_avals[0].shape not in ((), *shapes):
            raise Unsupported("it does not return a scalar" + (", or a row" if rows else ""))
        if jaxpr.out_avals[0].dtype != fmt.dtype:
            raise Unsupported(f"it returns {jaxpr.out_avals[0].dtype}, from {fmt.name}")
        (out,) = walk(jaxpr, list(map(variable, names)), symbols)
    return out
