"""Programs in wider floats: the primitives themselves on float64, one equation at a time or a whole jaxpr."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend.core import ClosedJaxpr, Jaxpr

from stability.real import arrays
from stability.real.walk import CONTROL, Semantics, called, walk

ITS_OWN = ("bitcast_convert_type", "nextafter", "random_gamma", "rng_uniform", "pure_callback", "io_callback")
"""Primitives that are of the bits of a format, or must be run in their own."""


def widened_dtype(dtype: Any) -> Any:
    """float64 for a float format, complex128 for a complex one, others as they are."""
    if not jnp.issubdtype(dtype, np.inexact):
        return dtype
    return np.dtype(np.complex128 if jnp.issubdtype(dtype, np.complexfloating) else np.float64)


def widened(x: Any) -> Any:
    """An array in wider floats, subnormals too where it is no tracer; integers and the rest as they are."""
    if not jnp.issubdtype(x.dtype, np.inexact):
        return x
    wide = widened_dtype(x.dtype)
    return jnp.asarray(x, wide) if isinstance(x, jax.core.Tracer) else jnp.asarray(np.asarray(x).astype(wide))


def narrowed(x: Any, dtype: Any) -> Any:
    return jnp.asarray(x, dtype) if jnp.issubdtype(dtype, np.inexact) else x


def in_wider(eqn, values: Sequence[Any]) -> list:
    """The outputs of an equation on wider floats, under `jax.enable_x64`; of values that can be traced.

    A primitive that float64 can't run is run in its own format, and its outputs are widened.
    """
    name = eqn.primitive.name
    inner = called(eqn)
    if inner is not None:
        return walk(inner, values, Wider())
    if name in CONTROL:
        return CONTROL[name](eqn, values, Wider())
    if name == "custom_linear_solve":
        return _solved(eqn, values)
    if name == "reduce_precision":
        return list(values)
    if name not in ITS_OWN:
        try:
            return _bound(eqn, values)
        except (TypeError, ValueError, NotImplementedError, RuntimeError):
            pass
    narrow = [narrowed(x, v.aval.dtype) for x, v in zip(values, eqn.invars, strict=True)]
    return list(map(widened, arrays.bound(eqn, narrow)))


def _bound(eqn, values: Sequence[Any]) -> list:
    params = {key: widened_dtype(p) if _is_dtype(p) else p for key, p in eqn.params.items()}
    if eqn.primitive.name in _RETRACED:
        return [_RETRACED[eqn.primitive.name](eqn, *values)]
    out = eqn.primitive.bind(*values, **eqn.primitive.get_bind_params(params))
    out = list(out) if eqn.primitive.multiple_results else [out]
    for x, v in zip(out, eqn.outvars, strict=True):
        if x.dtype != widened_dtype(v.aval.dtype):
            raise TypeError(f"{eqn.primitive.name} gives {x.dtype} in wider floats")
    return out


def _is_dtype(p: Any) -> bool:
    return isinstance(p, np.dtype) or (isinstance(p, type) and issubclass(p, np.generic))


def _scatter(of: Any) -> Any:
    """A scatter, whose parameters have a jaxpr of its own format."""

    def apply(eqn, operand, indices, updates):
        p = eqn.params
        return of(
            operand,
            indices,
            updates,
            p["dimension_numbers"],
            indices_are_sorted=p["indices_are_sorted"],
            unique_indices=p["unique_indices"],
            mode=p["mode"],
        )

    return apply


_RETRACED = {
    "scatter-add": _scatter(lax.scatter_add),
    "scatter-sub": _scatter(lax.scatter_sub),
    "scatter-mul": _scatter(lax.scatter_mul),
    "scatter-min": _scatter(lax.scatter_min),
    "scatter-max": _scatter(lax.scatter_max),
}


def _solved(eqn, values: Sequence[Any]) -> list:
    """A linear system by the solver that came with it."""
    lengths = eqn.params["const_lengths"]
    starts = np.cumsum([0, *lengths])
    consts = values[starts[2] : starts[3]]
    return walk(eqn.params["jaxprs"].solve, [*consts, *values[starts[4] :]], Wider())


def jittered(x: Any, rng: np.random.Generator) -> Any:
    """Wider floats, each moved up or down by a rounding."""
    if not jnp.issubdtype(x.dtype, np.inexact):
        return x
    return x * (1 + rng.choice([-(2.0**-52), 2.0**-52], x.shape))


class Wider(Semantics):
    """Arrays in wider floats; branches and loops as these have them.

    With `jitter` every result is moved by a rounding: what changes much by that, wider floats do not know.
    """

    def __init__(self, jitter: np.random.Generator | None = None):
        self.jitter = jitter

    def literal(self, value, aval):
        return widened(jnp.asarray(value, aval.dtype))

    def constant(self, value, aval):
        return widened(value)

    def equation(self, eqn, values, source):
        out = in_wider(eqn, values)
        return out if self.jitter is None else [jittered(x, self.jitter) for x in out]

    def decided(self, value, what):
        return bool(value.any()) if value.shape else int(value)

    def row(self, value, i):
        return value[i]

    def stacked(self, rows, aval):
        return jnp.stack(rows) if rows else jnp.zeros(aval.shape, widened_dtype(aval.dtype))


def run_in_wider(jaxpr: Jaxpr | ClosedJaxpr, args: Sequence[Any], jitter: np.random.Generator | None = None) -> list:
    """The outputs of a jaxpr in wider floats."""
    with jax.enable_x64(True):
        return walk(jaxpr, [widened(jnp.asarray(x)) for x in args], Wider(jitter))
