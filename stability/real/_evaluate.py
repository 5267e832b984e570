"""The true value at one point: precision raised until every output is decided."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import flint
import jax
import jax.numpy as jnp
import numpy as np
from flint import arb
from jax.extend.core import ClosedJaxpr

from stability.balls import round_ball
from stability.floats import FloatFormat, format_of
from stability.real._arrays import as_array, bare
from stability.real._function import Complex, Estimate
from stability.real._near import resolved
from stability.real._reals import is_inexact, lift, run
from stability.real._values import UNDECIDED, Scalar, Undecided, Undefined, array, infinite
from stability.real._walk import is_float, trace

FIRST_PRECISION = 128
LAST_PRECISION = 4096


def rounded(x: Scalar, fmt: FloatFormat) -> float | None:
    """The float of `fmt` nearest to a real number, NaN where it is certainly undefined, `None` where undecided."""
    if isinstance(x, Undefined):
        return float("nan") if x.certain else None
    if isinstance(x, Estimate):
        return None
    if infinite(x):
        return float("inf") if x > 0 else float("-inf")
    return round_ball(resolved(x), fmt)


def parts(x: Scalar) -> tuple[Scalar, ...]:
    """The real numbers that a number is made of."""
    return (x.re, x.im) if isinstance(x, Complex) else (x,)


def nearest(x: Scalar, fmt: FloatFormat) -> complex:
    """The number of `fmt` nearest to a real or a complex one, NaN where it is undefined or undecided."""
    found = [float("nan") if v is None else v for v in (rounded(part, fmt) for part in parts(x))]
    return complex(*found)


def settled(x: Scalar, fmt: FloatFormat) -> bool:
    """Whether a higher precision can say no more."""
    if isinstance(x, Complex):
        return settled(x.re, fmt) and settled(x.im, fmt)
    return isinstance(x, Estimate) or rounded(x, fmt) is not None


def reals(jaxpr: ClosedJaxpr, leaves: Sequence[Any], formats: Sequence[FloatFormat | None]) -> list:
    """The outputs of a jaxpr as real numbers, each decided to its format where the precision limit allows.

    A value that stays undecided at `LAST_PRECISION` bits is `UNDECIDED`.
    """
    args = [lift(x, v.aval.dtype) for x, v in zip(leaves, jaxpr.jaxpr.invars, strict=True)]
    out: list = []
    prec = FIRST_PRECISION
    while prec <= LAST_PRECISION:
        with flint.ctx.workprec(prec), jax.enable_x64(True):
            try:
                out = run(jaxpr, args)
            except Undecided:
                shapes = [v.aval.shape for v in jaxpr.jaxpr.outvars]
                out = [bare(array([UNDECIDED] * math.prod(s), s)) for s in shapes]
            pairs = list(zip(out, formats, strict=True))
            if all(f is None or all(settled(v, f) for v in as_array(x).ravel()) for x, f in pairs):
                break
        prec *= 2
    return out


def prepared(fn: Callable, args, dtype):
    kind = np.dtype(dtype) if dtype is not None else None
    default = kind if kind is not None else jax.dtypes.canonicalize_dtype(np.float64)
    args = jax.tree.map(lambda x: np.asarray(x, default) if type(x) is float else x, args)
    jaxpr, tree = trace(fn, *args)
    formats = [
        None
        if not is_inexact(v.aval)
        else format_of(kind if kind is not None else np.zeros((), v.aval.dtype).real.dtype)
        for v in jaxpr.jaxpr.outvars
    ]
    return jaxpr, tree, jax.tree.leaves(args), formats


def limit(jaxpr: ClosedJaxpr, leaves: Sequence[Any], output: int, element: int, fmt: FloatFormat) -> float | None:
    """The limit of an output element at a point where it has no value, or `None`.

    Each element of each float argument alone is moved by a hair to either side, at two distances. Where these ways of
    approach give values, and all of them round to one float, that float is taken for the limit. This is evidence, not
    proof.
    """
    found = set()
    inputs = [v.aval for v in jaxpr.jaxpr.invars]
    points = [lift(x, a.dtype) for x, a in zip(leaves, inputs, strict=True)]
    for i, aval in enumerate(inputs):
        if not is_float(aval):
            continue
        for j in range(as_array(points[i]).size):
            for step in (2.0**-600, -(2.0**-600), 2.0**-900, -(2.0**-900)):
                value = _nearby(jaxpr, points, i, j, step, output, element)
                if not isinstance(value, Undefined):
                    found.add(rounded(value, fmt))
    return found.pop() if len(found) == 1 else None


def _nearby(jaxpr, points, i: int, j: int, step: float, output: int, element: int) -> Scalar:
    with flint.ctx.workprec(LAST_PRECISION), jax.enable_x64(True):
        moved = as_array(points[i]).copy()
        x = moved.ravel()[j]
        if isinstance(x, Undefined) or infinite(x):
            return Undefined("undecided")
        moved.ravel()[j] = x + arb(step)
        try:
            out = run(jaxpr, [bare(moved) if k == i else p for k, p in enumerate(points)])
        except Undecided:
            return Undefined("undecided")
        return as_array(out[output]).ravel()[element]


def true_value(fn: Callable, *args, dtype=None):
    """The correctly rounded true value of `fn(*args)`.

    **Arguments:** `args` pytrees of NumPy or JAX arrays of any shape, or Python floats, taken at face value in their
    dtype (a Python float in `dtype`, or in JAX's default float); `dtype` the format to round to, by default that of
    each output.

    **Returns:** a pytree as of `fn(*args)` with NumPy arrays. An element is NaN where the true value is undefined or
    stays undecided at 4096 bits (`why_undefined` tells which), and infinite where it overflows or is a limit that is
    infinite.

    **Raises:** `UnsupportedPrimitive`, with the primitive's name and the user's source line.
    """
    jaxpr, tree, leaves, formats = prepared(fn, args, dtype)

    def as_floats(x, fmt, aval):
        if fmt is None:
            return np.asarray(x)
        flat = np.array([nearest(v, fmt) for v in as_array(x).ravel()], np.complex128).reshape(aval.shape)
        if not jnp.issubdtype(aval.dtype, np.complexfloating):
            return flat.real.astype(fmt.dtype)
        return flat if dtype is not None else flat.astype(aval.dtype)

    out = [
        as_floats(x, f, v.aval)
        for x, f, v in zip(reals(jaxpr, leaves, formats), formats, jaxpr.jaxpr.outvars, strict=True)
    ]
    return jax.tree.unflatten(tree, out)


def why_undefined(fn: Callable, *args, dtype=None):
    """Why elements of `true_value(fn, *args)` are NaN, where they are.

    **Returns:** a pytree as of `fn(*args)` with object arrays: `None` where the value is a number, else the kind of
    `stability.real.Undefined` (`undecided` where 4096 bits don't decide), or
    `unproven` where it depends on a primitive that has no meaning over the reals.
    """
    jaxpr, tree, leaves, formats = prepared(fn, args, dtype)

    def why(v, fmt):
        return next((found for part in parts(v) if (found := why_part(part, fmt)) is not None), None)

    def why_part(v, fmt):
        if fmt is None or (not isinstance(v, Undefined) and rounded(v, fmt) is not None):
            return None
        return v.kind if isinstance(v, Undefined) else "unproven" if isinstance(v, Estimate) else "undecided"

    out = [
        np.frompyfunc(lambda v, f=f: why(v, f), 1, 1)(as_array(x)) if f else None
        for x, f in zip(reals(jaxpr, leaves, formats), formats, strict=True)
    ]
    return jax.tree.unflatten(tree, out)
