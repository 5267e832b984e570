"""The register: what the walker of jaxprs needs to know of each primitive, one record a primitive.

A record has the primitive's meaning over the reals, one text for balls and power series, and says which input elements
an output element reads. Evaluation in wider floats needs no record: it is the primitive itself, on wider inputs.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeGuard

import jax
import jax.extend.core.primitives
import jax.numpy as jnp
import numpy as np
from flint import arb
from jax.extend.core import Primitive

from stability.real import _bits as bits
from stability.real import _linear as linear
from stability.real import _sorting as sorting
from stability.real import _spectral as spectral
from stability.real import _windows as windows
from stability.real import angles, arrays, complexes, function, logic, powers, scalars, steps
from stability.real.arrays import as_array, bare
from stability.real.meanings._elementary import logaddexp
from stability.real.meanings._table import MEANING, PRIMITIVES
from stability.real.values import INFINITY, MINUS_INFINITY, ONE, Undefined, array

Values = list[Any]


class Record:
    """A primitive of which every output element may read every input element.

    **Arguments:** `rule(eqn, values)` gives the outputs: floats as `Scalar` or object arrays of them, integers and
    truth values natively.
    """

    def __init__(self, rule: Callable[..., Values]):
        self.rule = rule

    def reals(self, eqn, values: Sequence[Any]) -> Values:
        return self.rule(eqn, values)


class Elementwise(Record):
    """An output element reads the input elements at its place.

    **Arguments:** `text` the function of them; or `of(eqn)` gives it.
    """

    def __init__(self, text: Callable | None = None, *, of: Callable[..., Callable] | None = None):
        self.of: Callable[..., Any] = of if of is not None else lambda eqn: text

    def reals(self, eqn, values):
        function = self.of(eqn)
        return list(values) if function is logic.identity else [arrays.elementwise(function)(*values)]


class Moves(Record):
    """An output element is an input element; `data` the positions of the inputs that hold them, `None` for all."""

    def __init__(self, *data: int):
        self.data = data or None

    def indices(self, values: Sequence[Any]) -> Values:
        """The inputs that say which elements."""
        return [v for i, v in enumerate(values) if self.data is not None and i not in self.data]

    def reals(self, eqn, values):
        return arrays.move(eqn, self.data, values)


class Scatters(Moves):
    """Elements of the updates in the places of others, or a function of those in place of them."""

    def reals(self, eqn, values):
        return super().reals(eqn, values) if moves(self, eqn) else windows.scatter(eqn, values)


def moves(record: Record | None, eqn) -> TypeGuard[Moves]:
    """Whether an equation only moves elements."""
    return isinstance(record, Moves) and eqn.params.get("update_jaxpr") is None


class Folds(Record):
    """An output element reads the elements along `axes`, by a function of two that is repeated."""

    def __init__(self, step: Callable, empty: Any):
        self.step, self.empty = step, empty

    def reals(self, eqn, values):
        rows = arrays.last(as_array(values[0]), eqn.params["axes"])
        flat = rows.reshape(-1, rows.shape[-1]) if rows.size else [()] * int(np.prod(rows.shape[:-1]))
        out = [functools.reduce(self.step, row) if len(row) else self.empty for row in flat]
        return [bare(array(out, rows.shape[:-1]))]


def as_numbers(eqn, values: Sequence[Any]) -> list:
    """The inputs of an equation, with integers and truth values as real numbers."""
    inexact = (jnp.issubdtype(v.aval.dtype, np.inexact) for v in eqn.invars)
    pairs = zip(values, inexact, strict=True)
    return [x if known else arrays.elementwise(logic.from_integer)(x) for x, known in pairs]


class Named(Record):
    """A function of a library by its meaning, one function of elements an output."""

    def __init__(self) -> None:
        pass

    def reals(self, eqn, values):
        return [arrays.elementwise(f)(*as_numbers(eqn, values)) for f in eqn.params["functions"]]


class Calls(Record):
    """It calls the jaxpr in the parameter `param`."""

    def __init__(self, param: str):
        self.param = param

    def called(self, eqn):
        """The jaxpr that the equation merely calls, or `None`."""
        return eqn.params[self.param]


class Maps(Calls):
    """A map over the devices of a mesh, which is a call where there is one."""

    def called(self, eqn):
        return super().called(eqn) if eqn.params["mesh"].size == 1 else None

    def reals(self, eqn, values):
        from stability.real._shards import mapped

        return mapped(eqn, values)


class Picks(Record):
    """An integer that says where an element is, of floats, integers or truth values."""


class Control(Record):
    """`cond`, `while` and `scan`, which the walker itself knows."""

    def __init__(self) -> None:
        pass


def _of_params(rule: Callable) -> Callable[..., Values]:
    """A rule of arrays and parameters that gives one output."""
    return lambda eqn, values: [rule(*values, **eqn.params)]


def _whole(rule: Callable) -> Record:
    return Record(_of_params(rule))


def _real_or_complex(eqn, of_reals: Any, of_complex: Any) -> Any:
    """The function of real numbers or of complex ones, as the result is."""
    return of_complex if complexes.is_complex(eqn.outvars[0].aval) else of_reals


def conversion(eqn) -> Callable:
    """The function of a `convert_element_type`: a rounding does nothing."""
    before, after = eqn.invars[0].aval.dtype, eqn.params["new_dtype"]
    was_complex, is_float = jnp.issubdtype(before, np.complexfloating), jnp.issubdtype(before, np.floating)
    if jnp.issubdtype(after, np.bool_):
        return logic.is_nonzero
    if jnp.issubdtype(after, np.complexfloating):
        real = logic.identity if is_float else logic.from_integer
        return logic.identity if was_complex else lambda x: complexes.embedded(real(x))
    if jnp.issubdtype(after, np.floating):
        return complexes.re if was_complex else logic.identity if is_float else logic.from_integer
    if was_complex:
        return lambda z: logic.to_integer(after)(complexes.re(z))
    return logic.to_integer(after) if is_float else logic.as_integer


def _uninitialized(eqn, values):
    shape = eqn.outvars[0].aval.shape
    return [bare(array([Undefined("nan")] * int(np.prod(shape)), shape))]


def _iota(eqn, values):
    whole = eqn.primitive.bind(*values, **{**eqn.params, "dtype": np.dtype(np.int32)})
    return [arrays.elementwise(logic.from_integer)(np.asarray(whole))]


IDENTITIES = (
    *("copy", "copy_p", "reduce_precision", "name", "device_put", "sharding_constraint"),
    *("optimization_barrier",),
)

TEXTS: dict[str, Callable] = {
    "add": scalars.add,
    "add_any": scalars.add,
    "sub": scalars.sub,
    "mul": scalars.mul,
    "div": scalars.div,
    "neg": scalars.neg,
    "rem": scalars.rem,
    "square": scalars.square,
    "one_minus_square": scalars.one_minus_square,
    "polynomial": scalars.polynomial,
    "abs": scalars.absolute,
    "sign": steps.sign,
    "max": steps.maximum,
    "min": steps.minimum,
    "clamp": steps.clamp,
    "floor": steps.floor,
    "ceil": steps.ceil,
    "is_finite": steps.is_finite,
    "exp": scalars.exp,
    "exp2": scalars.exp2,
    "expm1": scalars.expm1,
    "log": scalars.log,
    "log2": scalars.log2,
    "log1p": scalars.log1p,
    "sqrt": scalars.sqrt,
    "rsqrt": scalars.rsqrt,
    "cbrt": powers.cbrt,
    "logistic": scalars.logistic,
    "sin": scalars.sin,
    "cos": scalars.cos,
    "tan": scalars.tan,
    "asin": scalars.asin,
    "acos": scalars.acos,
    "atan": scalars.atan,
    "atan2": angles.atan2,
    "sinh": scalars.sinh,
    "cosh": scalars.cosh,
    "tanh": scalars.tanh,
    "asinh": scalars.asinh,
    "acosh": scalars.acosh,
    "atanh": scalars.atanh,
    "select_n": logic.select,
    "and": logic.logical_and,
    "or": logic.logical_or,
    "xor": logic.logical_xor,
    "not": logic.logical_not,
    **PRIMITIVES,
    "stop_gradient": function.constant,
    **dict.fromkeys(IDENTITIES, logic.identity),
    **steps.COMPARISONS,
}
"""Functions of elements, by the primitive's name."""

RULES = (bits.RULES, linear.RULES, sorting.RULES, spectral.RULES, windows.RULES)
"""Rules of whole arrays, by the primitive's name."""

RECORDS: dict[str, Record] = {
    **{name: Elementwise(text) for name, text in TEXTS.items()},
    **{name: Elementwise(text) for name, text in complexes.PARTS.items()},
    "integer_pow": Elementwise(
        of=lambda eqn: _real_or_complex(eqn, scalars.integer_pow, complexes.integer_pow)(eqn.params["y"])
    ),
    "pow": Elementwise(of=lambda eqn: _real_or_complex(eqn, powers.power, complexes.power)),
    "fft": Record(complexes.fft),
    "round": Elementwise(
        of=lambda eqn: steps.nearest_even if int(eqn.params["rounding_method"]) == 1 else steps.nearest_away
    ),
    "convert_element_type": Elementwise(of=conversion),
    "broadcast_in_dim": Moves(0),
    "concatenate": Moves(),
    "dynamic_slice": Moves(0),
    "dynamic_update_slice": Moves(0, 1),
    "expand_dims": Moves(0),
    "gather": Moves(0),
    "pad": Moves(),
    "reshape": Moves(0),
    "rev": Moves(0),
    "scatter": Scatters(0, 2),
    "slice": Moves(0),
    "split": Moves(0),
    "squeeze": Moves(0),
    "stack": Moves(),
    "tile": Moves(0),
    "transpose": Moves(0),
    "unstack": Moves(0),
    "reduce_sum": Folds(scalars.add, arb(0)),
    "reduce_prod": Folds(scalars.mul, ONE),
    "reduce_max": Folds(steps.maximum, MINUS_INFINITY),
    "reduce_min": Folds(steps.minimum, INFINITY),
    "reduce_and": Folds(logic.logical_and, True),
    "reduce_or": Folds(logic.logical_or, False),
    "reduce_xor": Folds(logic.logical_xor, False),
    "cumsum": _whole(arrays.cumulative(scalars.add)),
    "cumprod": _whole(arrays.cumulative(scalars.mul)),
    "cummax": _whole(arrays.cumulative(steps.maximum)),
    "cummin": _whole(arrays.cumulative(steps.minimum)),
    "cumlogsumexp": _whole(arrays.cumulative(logaddexp)),
    "argmax": Picks(_of_params(arrays.arg_extreme(steps.COMPARISONS["gt"], True))),
    "argmin": Picks(_of_params(arrays.arg_extreme(steps.COMPARISONS["lt"], False))),
    "dot_general": Record(lambda eqn, values: [arrays.dot_general(*as_numbers(eqn, values), **eqn.params)]),
    **{
        name: Record(rule)
        for name, rule in (bits.RULES | linear.RULES | sorting.RULES | spectral.RULES | windows.RULES).items()
    },
    "iota": Record(_iota),
    "empty2": Record(_uninitialized),
    "jit": Calls("jaxpr"),
    "pjit": Calls("jaxpr"),
    "closed_call": Calls("call_jaxpr"),
    "core_call": Calls("call_jaxpr"),
    "eval_jaxpr": Calls("call_jaxpr"),
    "custom_jvp_call": Calls("call_jaxpr"),
    "custom_vjp_call": Calls("call_jaxpr"),
    "remat2": Calls("jaxpr"),
    "checkpoint": Calls("jaxpr"),
    "remat": Calls("jaxpr"),
    "shard_map": Maps("jaxpr"),
    "cond": Control(),
    "while": Control(),
    "scan": Control(),
}
"""By the name that the primitive has in jaxprs."""


def public_primitives() -> Iterator[Primitive]:
    """The primitives that JAX makes public."""
    for module in (jax.extend.core.primitives, jax.lax):
        yield from (p for p in vars(module).values() if isinstance(p, Primitive))


def _registered(records: Mapping[str, Record]) -> tuple[dict[Primitive, Record], dict[str, Record]]:
    """The records by primitive, and by name those of primitives that JAX does not make public."""
    found = {p: records[p.name] for p in public_primitives() if p.name in records}
    names = {p.name for p in found}
    return found, {name: record for name, record in records.items() if name not in names}


_NAMED = Named()
_REGISTER, _HIDDEN = _registered(RECORDS)


def record_of(primitive: Primitive) -> Record | None:
    """The record of a primitive, or `None`."""
    return _NAMED if primitive is MEANING else _REGISTER.get(primitive) or _HIDDEN.get(primitive.name)
