"""The true value at one point: precision raised until every output is decided."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import flint
import jax
import numpy as np
from flint import arb
from jax.extend.core import ClosedJaxpr

from stability import truth
from stability.floats import FloatFormat, format_of
from stability.real._arrays import as_array, bare, elementwise
from stability.real._complex import im, is_complex, re
from stability.real._function import Complex, Estimate
from stability.real._near import resolved
from stability.real._reals import is_inexact, lift, run
from stability.real._values import UNDECIDED, Scalar, Undecided, Undefined, array, infinite
from stability.real._walk import is_float, trace
from stability.truth import Point, State, Truth

FIRST_PRECISION = 128
LAST_PRECISION = 4096


def point_of(x: Scalar, fmt: FloatFormat) -> Point:
    """A real number, an infinity or what is neither as a true value against the floats of a format.

    A number that is not proven is undecided; what is known of it is the number.
    """
    if isinstance(x, Estimate):
        return point_of(x.value, fmt)._replace(state=State.UNDECIDED, why="not proven: computed in wider floats")
    if isinstance(x, Undefined):
        if not x.certain:
            return truth.undecided(fmt)
        return truth.pole(fmt) if x.kind == "pole" else truth.undefined(x.kind, fmt)
    if infinite(x):
        return truth.infinite(1 if x > 0 else -1, fmt)
    return truth.enclosed(resolved(x), fmt)


def is_decided(x: Scalar, fmt: FloatFormat | None) -> bool:
    """Whether no more precision is needed, or none would help."""
    if isinstance(x, Complex):
        return is_decided(x.re, fmt) and is_decided(x.im, fmt)
    return fmt is None or isinstance(x, Estimate) or point_of(x, fmt).state != State.UNDECIDED


def truth_of(output: Any, fmt: FloatFormat) -> Truth:
    """The elements of an output of a jaxpr over the reals as true values, of shape `(n,)`."""
    return truth.of_points([point_of(v, fmt) for v in as_array(output).ravel()], fmt)


def parts(output: Any) -> tuple[Any, Any]:
    """The real and the imaginary parts of an output of complex numbers."""
    return elementwise(re)(output), elementwise(im)(output)


def joined(real: np.ndarray, imaginary: np.ndarray) -> np.ndarray:
    """Complex numbers from their parts, which may be NaN one by one."""
    out = np.empty(real.shape, np.complex128)
    out.real, out.imag = real, imaginary
    return out


def reals(jaxpr: ClosedJaxpr, leaves: Sequence[Any], formats: Sequence[FloatFormat | None]) -> list:
    """The outputs of a jaxpr as real numbers, each decided to its format where the precision limit allows.

    What hangs on a branch that stays undecided at `LAST_PRECISION` bits is `UNDECIDED`.
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
            if all(is_decided(v, f) for x, f in zip(out, formats, strict=True) for v in as_array(x).ravel()):
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
                    found.add(float(truth.of_points([point_of(value, fmt)], fmt).rounded[0]))
    return found.pop() if len(found) == 1 and not any(math.isnan(v) for v in found) else None


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
    stays undecided at 4096 bits (`why_undefined` tells which; it is 0 where all that it can be rounds to 0), and
    infinite where it overflows or is a limit that is infinite.

    **Raises:** `UnsupportedPrimitive`, with the primitive's name and the user's source line.
    """
    jaxpr, tree, leaves, formats = prepared(fn, args, dtype)

    def as_floats(x, fmt, aval):
        if fmt is None:
            return np.asarray(x)
        with np.errstate(over="ignore"):
            if not is_complex(aval):
                return truth_of(x, fmt).rounded.reshape(aval.shape).astype(fmt.dtype)
            real, imaginary = (truth_of(part, fmt).rounded.reshape(aval.shape) for part in parts(x))
            return joined(real, imaginary).astype(aval.dtype if dtype is None else np.complex128)

    out = [
        as_floats(x, f, v.aval)
        for x, f, v in zip(reals(jaxpr, leaves, formats), formats, jaxpr.jaxpr.outvars, strict=True)
    ]
    return jax.tree.unflatten(tree, out)


def why_undefined(fn: Callable, *args, dtype=None):
    """Why elements of `true_value(fn, *args)` are no proven numbers, where they are not.

    **Returns:** a pytree as of `fn(*args)` with object arrays: `None` where the value is a number, else the kind of
    `stability.real.Undefined`, `pole` among them; where 4096 bits don't decide, `undecided`, and after
    a colon what is known.
    """
    jaxpr, tree, leaves, formats = prepared(fn, args, dtype)

    def why(x, fmt, aval):
        reasons = [truth_of(part, fmt).why.reshape(aval.shape) for part in (parts(x) if is_complex(aval) else (x,))]
        return functools.reduce(np.frompyfunc(lambda a, b: b if a is None else a, 2, 1), reasons)

    out = [
        why(x, f, v.aval) if f else None
        for x, f, v in zip(reals(jaxpr, leaves, formats), formats, jaxpr.jaxpr.outvars, strict=True)
    ]
    return jax.tree.unflatten(tree, out)
