"""The interpreter of jaxprs over the reals: one loop, a table of rules."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import source_info_util
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal

from stability.kernel import KERNELS
from stability.real import _arrays as arrays
from stability.real import _bits as bits
from stability.real import _linear as linear
from stability.real import _scalars as scalars
from stability.real import _sorting as sorting
from stability.real import _windows as windows
from stability.real._arrays import as_array, bare, is_real
from stability.real._values import LITERAL_ZERO, Undecided, Undefined, array, chosen, real


class UnsupportedPrimitive(NotImplementedError):
    """A primitive that has no meaning over the reals; names it and the user's source line."""

    def __init__(self, primitive: str, source: str):
        super().__init__(f"no rule for the primitive {primitive}, used at {source or 'an unknown line'}")
        self.primitive, self.source = primitive, source


def source_of(eqn) -> str:
    """The user's source line of an equation, as JAX records it: `file:line:column (function)`."""
    return source_info_util.summarize(eqn.source_info)


def aval(v: Any) -> Any:
    """The abstract value (shape and dtype) of a variable or a literal."""
    return v.aval


def is_float(aval) -> bool:
    return jnp.issubdtype(aval.dtype, np.floating)


def lift(x, dtype, literal: bool = False):
    """A float array as exact reals; integers and truth values stay as they are."""
    if jax.dtypes.issubdtype(dtype, jax.dtypes.prng_key):
        return bits.held(x)
    x = np.asarray(x)
    if not jnp.issubdtype(dtype, np.floating):
        return bare(x)
    flat = x.astype(dtype).astype(np.float64).ravel()
    zero = LITERAL_ZERO if literal else None
    return bare(array([zero if zero is not None and v == 0 else real(v) for v in flat], x.shape))


CALLS = {
    "jit": "jaxpr",
    "pjit": "jaxpr",
    "closed_call": "call_jaxpr",
    "eval_jaxpr": "call_jaxpr",
    "core_call": "call_jaxpr",
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
    "remat2": "jaxpr",
    "checkpoint": "jaxpr",
    "remat": "jaxpr",
}
"""Primitives that call a jaxpr, and the parameter that holds it."""


def opened(jaxpr: Jaxpr | ClosedJaxpr) -> tuple[Jaxpr, Sequence[Any]]:
    return (jaxpr.jaxpr, jaxpr.consts) if isinstance(jaxpr, ClosedJaxpr) else (jaxpr, ())


def called(eqn) -> Jaxpr | ClosedJaxpr | None:
    """The jaxpr that an equation merely calls, or `None`."""
    key = CALLS.get(eqn.primitive.name)
    return None if key is None else eqn.params[key]


def inlined(eqn) -> Jaxpr | ClosedJaxpr | None:
    """The jaxpr that an equation stands for over the reals: the one it calls, a kernel's formula, or `None`."""
    kernel = KERNELS.get(eqn.primitive.name)
    if kernel is None:
        return called(eqn)
    with jax.enable_x64(True):
        return jax.make_jaxpr(kernel.formula)(*(jax.ShapeDtypeStruct(v.aval.shape, v.aval.dtype) for v in eqn.invars))


def is_library(jaxpr: Jaxpr | ClosedJaxpr) -> bool:
    """Whether a called jaxpr is of a function of JAX's own, whose source lines say nothing to the user."""
    where = opened(jaxpr)[0].debug_info.func_src_info or ""
    return os.path.dirname(jax.__file__) in where


def _flag(x, what: str):
    if isinstance(x, Undefined):
        raise Undecided(f"the {what} is {x.kind}")
    return x


def _cond(eqn, values):
    branches = eqn.params["branches"]
    index = min(max(int(_flag(bare(values[0]), "branch of a cond")), 0), len(branches) - 1)
    out = run(branches[index], values[1:])
    return [chosen(x) if not isinstance(x, np.ndarray) else arrays.elementwise(chosen)(x) for x in out]


def _while(eqn, values):
    p = eqn.params
    n, m = p["cond_nconsts"], p["body_nconsts"]
    cond_consts, body_consts, carry = values[:n], values[n : n + m], values[n + m :]
    while _flag(bare(run(p["cond_jaxpr"], [*cond_consts, *carry])[0]), "condition of a while loop"):
        carry = run(p["body_jaxpr"], [*body_consts, *carry])
    return carry


def _scan(eqn, values):
    p = eqn.params
    n, m, length = p["num_consts"], p["num_carry"], p["length"]
    consts, carry, xs = values[:n], values[n : n + m], values[n + m :]
    steps = range(length)[:: -1 if p["reverse"] else 1]
    rows: list = [None] * length
    for i in steps:
        out = run(p["jaxpr"], [*consts, *carry, *(bare(as_array(x)[i]) for x in xs)])
        carry, rows[i] = out[:m], out[m:]
    return [*carry, *(stacked([row[k] for row in rows], v.aval) for k, v in enumerate(eqn.outvars[m:]))]


def stacked(parts: list, aval):
    """The slices that a scan puts out, as one array."""
    if not parts:
        return np.empty(aval.shape, object if is_float(aval) else aval.dtype)
    return np.stack([as_array(x) for x in parts])


def conversion(eqn) -> Callable:
    """The rule of a `convert_element_type`: a rounding does nothing."""
    before, after = eqn.invars[0].aval.dtype, eqn.params["new_dtype"]
    if is_float(eqn.outvars[0].aval):
        return scalars.identity if jnp.issubdtype(before, np.floating) else scalars.from_integer
    if jnp.issubdtype(after, np.bool_):
        return _is_nonzero
    return scalars.to_integer if jnp.issubdtype(before, np.floating) else _as_integer


def _is_nonzero(v):
    return scalars.COMPARISONS["ne"](v, LITERAL_ZERO)


def _as_integer(v):
    return v if isinstance(v, Undefined) else int(v)


CONTROL: dict[str, Callable] = {
    "cond": _cond,
    "while": _while,
    "scan": _scan,
    "convert_element_type": lambda eqn, values: [arrays.elementwise(conversion(eqn))(*values)],
    "empty2": lambda eqn, values: [_uninitialized(eqn.outvars[0].aval)],
    "iota": lambda eqn, values: [_integers(eqn, values)],
    **bits.RULES,
    **linear.RULES,
    **sorting.RULES,
    **windows.RULES,
}


def _uninitialized(aval):
    """Elements that are not there yet: they have no value until something is written over them."""
    return bare(array([Undefined("nan")] * math.prod(aval.shape), aval.shape))


def _integers(eqn, values):
    whole = eqn.primitive.bind(*values, **{**eqn.params, "dtype": np.dtype(np.int32)})
    return arrays.elementwise(scalars.from_integer)(np.asarray(whole))


FLOW = ("cond", "while", "scan", "shard_map", "custom_linear_solve", *bits.RULES)


def apply(eqn, values: Sequence[Any]) -> list:
    """The values of an equation's outputs, over the reals.

    **Raises:** `UnsupportedPrimitive` where there is no rule; `Undecided` where a branch hangs on wide balls.
    """
    name = eqn.primitive.name
    jaxpr = inlined(eqn)
    if jaxpr is not None:
        try:
            return run(jaxpr, values)
        except UnsupportedPrimitive as error:
            raise error if error.source else UnsupportedPrimitive(error.primitive, source_of(eqn)) from None
    refuse_complex(eqn)
    touches_reals = any(is_real(v) for v in values) or any(is_float(v.aval) for v in eqn.outvars)
    if not touches_reals and name not in FLOW:
        return bits.executed(eqn, values)
    if name in bits.INTEGERS and all(jnp.issubdtype(v.aval.dtype, np.integer) for v in eqn.invars):
        return bits.integers(eqn, values)
    if name in CONTROL:
        return CONTROL[name](eqn, values)
    if name in scalars.ELEMENTWISE:
        return [arrays.elementwise(scalars.ELEMENTWISE[name])(*values)]
    if name in scalars.PARAMETRIC:
        return [arrays.elementwise(scalars.PARAMETRIC[name](eqn.params))(*values)]
    if name in arrays.DATA:
        return arrays.move(eqn, values)
    if name in arrays.FOLDS:
        out = arrays.FOLDS[name](*values, **eqn.params)
        return out if eqn.primitive.multiple_results else [out]
    return bits.unproven(eqn, values)


def refuse_complex(eqn) -> None:
    """Raises `UnsupportedPrimitive` for an equation on complex numbers."""
    if any(jnp.issubdtype(v.aval.dtype, np.complexfloating) for v in (*eqn.invars, *eqn.outvars)):
        raise UnsupportedPrimitive(f"{eqn.primitive.name} of complex numbers", source_of(eqn))


def native(out: list, eqn) -> list:
    """Outputs of integers and truth values held natively again where every element is known."""
    return [
        as_native(x, v.aval.dtype) if not is_float(v.aval) and is_real(x) else x
        for x, v in zip(out, eqn.outvars, strict=True)
    ]


def as_native(x, dtype):
    flat = as_array(x)
    if any(isinstance(v, Undefined) for v in flat.ravel()):
        return x
    if jax.dtypes.issubdtype(dtype, jax.dtypes.prng_key):
        return bits.keys(x)
    return bare(flat.astype(dtype))


def run(jaxpr: Jaxpr | ClosedJaxpr, args: Sequence[Any], apply: Callable = apply) -> list:
    """The outputs of a jaxpr on real arguments (bare scalars, or object arrays of `Scalar`)."""
    jaxpr, consts = opened(jaxpr)
    env = dict(zip(jaxpr.invars, args, strict=True))
    env.update((v, lift(c, aval(v).dtype)) for v, c in zip(jaxpr.constvars, consts, strict=True))

    def read(v):
        return lift(v.val, aval(v).dtype, literal=True) if isinstance(v, Literal) else env[v]

    for eqn in jaxpr.eqns:
        env.update(zip(eqn.outvars, native(apply(eqn, [read(v) for v in eqn.invars]), eqn), strict=True))
    return [read(v) for v in jaxpr.outvars]


def wide(leaves: Sequence[Any]) -> bool:
    """Whether JAX is to keep 64 bits: it does already, or one of the arguments has them."""
    return bool(jax.config.read("jax_enable_x64")) or any(getattr(x, "dtype", None) == np.float64 for x in leaves)


def trace(fn: Callable, *args) -> tuple[ClosedJaxpr, Any]:
    """The jaxpr of `fn` at these arguments and the tree of its outputs, float64 kept where an argument has it."""
    with jax.enable_x64(wide(jax.tree.leaves(args))):
        jaxpr, shape = jax.make_jaxpr(fn, return_shape=True)(*args)
    return jaxpr, jax.tree.structure(shape)
