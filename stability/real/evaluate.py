"""The true value at one point: precision raised until every output is decided."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import flint
import jax
import jax.numpy as jnp
import numpy as np
from flint import arb
from jax import Array
from jax.extend.core import ClosedJaxpr
from jax.typing import ArrayLike, DTypeLike

from stability import truth
from stability.formats import FloatFormat, format_of
from stability.real._derivative import HOLES, Sides, derivatives
from stability.real._limits import Hole, limits_at
from stability.real._near import resolved
from stability.real._series import is_number
from stability.real.arrays import as_array, bare, elementwise
from stability.real.complexes import im, is_complex, re
from stability.real.function import Complex, Estimate, is_unproven, parts
from stability.real.reals import is_inexact, lift, run
from stability.real.values import ENDLESS, UNDECIDED, Scalar, Undefined, array, infinite
from stability.real.walk import dtype_of, is_float, trace
from stability.truth import Point, State, Truth

if TYPE_CHECKING:
    from jaxtyping import Float, PyTree, Shaped

FIRST_PRECISION = 128
LAST_PRECISION = 4096


def point_of(x: Scalar, fmt: FloatFormat) -> Point:
    """A real number, an infinity or what is neither as a true value against the floats of a format.

    A number that is not proven is undecided; what is known of it is the number.
    """
    if is_unproven(x):
        known = point_of(x.value, fmt) if isinstance(x, Estimate) else truth.undecided(fmt)
        return known._replace(state=State.UNDECIDED, why="not proven: computed in wider floats")
    if isinstance(x, Undefined):
        if not x.certain:
            return truth.undecided(fmt, x.kind.partition(": ")[2])
        return truth.pole(fmt, x.sign) if x.kind == "pole" else truth.undefined(x.kind, fmt)
    if infinite(x):
        return truth.infinite(1 if x > 0 else -1, fmt)
    return truth.enclosed(resolved(x), fmt)


def is_decided(x: Scalar, fmt: FloatFormat | None) -> bool:
    """Whether no more precision is needed, or none would help."""
    return fmt is None or all(
        is_unproven(part) or part is ENDLESS or point_of(part, fmt).state != State.UNDECIDED for part in parts(x)
    )


def truth_of(output: Any, fmt: FloatFormat) -> Truth:
    """The elements of an output of a jaxpr over the reals as true values, of shape `(n,)`."""
    return truth.of_points([point_of(v, fmt) for v in as_array(output).ravel()], fmt)


def parts_of(x: np.ndarray) -> tuple[np.ndarray, ...]:
    """The arrays of real numbers that an array is made of."""
    return (x.real, x.imag) if np.iscomplexobj(x) else (x,)


def truths_of(output: Any, fmt: FloatFormat | None, aval: Any) -> tuple[Truth, ...]:
    """The true values of an output, or of both parts of a complex one; none of what has no format."""
    if fmt is None:
        return ()
    columns = (re, im) if is_complex(aval) else (re,)
    return tuple(truth_of(elementwise(part)(output), fmt) for part in columns)


def raised(compute: Callable[[], list], formats: Sequence[FloatFormat | None]) -> list:
    """Outputs computed at a precision that is raised until each is decided, or the limit is reached."""
    out: list = []
    prec = FIRST_PRECISION
    while prec <= LAST_PRECISION:
        with flint.ctx.workprec(prec), jax.enable_x64(True):
            out = compute()
            if all(is_decided(v, f) for x, f in zip(out, formats, strict=True) for v in as_array(x).ravel()):
                break
        prec *= 2
    return out


def reals(
    jaxpr: ClosedJaxpr, leaves: Sequence[Any], formats: Sequence[FloatFormat | None], strict: bool = False
) -> list:
    """The outputs of a jaxpr as real numbers, each decided to its format where the precision limit allows.

    What hangs on a branch that stays undecided at `LAST_PRECISION` bits is `UNDECIDED`. Where an element has no value
    but a limit as the one argument varies that it has none for, it is the limit.
    """
    args = [lift(x, dtype_of(v)) for x, v in zip(leaves, jaxpr.jaxpr.invars, strict=True)]
    out = raised(lambda: run(jaxpr, args, strict), formats)
    holes = [
        Hole(k, j, v)
        for k, (x, fmt) in enumerate(zip(out, formats, strict=True))
        for j, v in enumerate(as_array(x).ravel())
        if fmt is not None and isinstance(v, Undefined) and v.kind in HOLES
    ]
    if holes:
        filled = [as_array(x).copy() for x in out]
        for hole, found in zip(holes, limits_at(jaxpr, args, holes, formats, raised), strict=True):
            filled[hole.output].ravel()[hole.element] = found
        out = list(map(bare, filled))
    return poles_named(jaxpr, args, out)


def poles_named(jaxpr: ClosedJaxpr, args: Sequence[Any], out: list) -> list:
    """Outputs with the infinities that hang on no infinite argument as poles."""

    def is_infinite(x: Scalar) -> bool:
        return not isinstance(x, Undefined | Estimate | Complex) and infinite(x)

    def without(x: Scalar) -> Scalar:
        return Undefined("nan") if is_infinite(x) else x

    def named(x: Scalar, again: Scalar) -> Scalar:
        still = again.kind in HOLES if isinstance(again, Undefined) else is_infinite(again)
        return Undefined("pole", 1 if x > 0 else -1) if is_infinite(x) and still else x

    floats = [k for k, v in enumerate(jaxpr.jaxpr.outvars) if is_float(v.aval)]
    if not any(is_infinite(v) for k in floats for v in as_array(out[k]).ravel()):
        return out
    given = [elementwise(without)(x) if is_float(v.aval) else x for x, v in zip(args, jaxpr.jaxpr.invars, strict=True)]
    with flint.ctx.workprec(FIRST_PRECISION), jax.enable_x64(True):
        again = run(jaxpr, given)
    return [elementwise(named)(x, again[k]) if k in floats else x for k, x in enumerate(out)]


def varied(jaxpr: ClosedJaxpr, args: Sequence[Any]) -> Iterator[tuple[Scalar, Callable[[Any], list]]]:
    """Each number among the float arguments, and the outputs as a function of what stands in its place."""
    for i, v in enumerate(jaxpr.jaxpr.invars):
        if not is_float(v.aval):
            continue
        for j in range(as_array(args[i]).size):

            def replaced(x: Any, i: int = i, j: int = j) -> list:
                moved = as_array(args[i]).copy()
                moved.ravel()[j] = x
                return run(jaxpr, [bare(moved) if k == i else a for k, a in enumerate(args)])

            yield as_array(args[i]).ravel()[j], replaced


def prepared(fn: Callable, args, dtype):
    kind = np.dtype(dtype) if dtype is not None else None
    default = kind if kind is not None else jax.dtypes.canonicalize_dtype(np.float64)
    args = jax.tree.map(lambda x: np.asarray(x, default) if type(x) is float else x, args)
    jaxpr, tree = trace(fn, *args)
    formats = [
        None if not is_inexact(v.aval) else format_of(kind if kind is not None else jnp.finfo(dtype_of(v)).dtype)
        for v in jaxpr.jaxpr.outvars
    ]
    return jaxpr, tree, jax.tree.leaves(args), formats


def nearest(output: Any, fmt: FloatFormat | None, aval: Any, dtype) -> np.ndarray:
    """An output of a jaxpr over the reals as floats, correctly rounded."""
    if fmt is None:
        return np.asarray(output)
    with np.errstate(over="ignore"):
        if not is_complex(aval):
            return truth_of(output, fmt).rounded.reshape(aval.shape).astype(fmt.dtype)
        whole = np.empty(aval.shape, np.complex128)
        whole.real, whole.imag = (
            truth_of(elementwise(part)(output), fmt).rounded.reshape(aval.shape) for part in (re, im)
        )
    return whole if dtype is not None else whole.astype(aval.dtype)


def true_value(
    fn: Callable[..., PyTree[Shaped[Array, "*_"]]],
    *args: PyTree[Shaped[ArrayLike, "*_"]],
    dtype: DTypeLike | None = None,
    strict: bool = False,
) -> PyTree[Shaped[np.ndarray, "*_"]]:
    """The correctly rounded true value of `fn(*args)`.

    The jaxpr of `fn` is evaluated in balls (F. Johansson, "Arb: efficient arbitrary-precision midpoint-radius interval
    arithmetic", https://arxiv.org/abs/1611.02831) at a precision that is raised until they decide the rounding.

    **Arguments:**

    - `fn` a function of pytrees of arrays to a pytree of arrays, that JAX can trace.
    - `args` pytrees of NumPy or JAX arrays of any shape, or Python floats, taken at face value in their dtype (a Python
      float in `dtype`, or in JAX's default float).
    - `dtype` the format to round to: float16, bfloat16, float32 or float64, by default that of each output.
    - `strict` whether a primitive that has no meaning over the reals is an error, and not evaluated in wider floats.

    **Returns:** a pytree as of `fn(*args)` with NumPy arrays. An element is NaN where the true value is undefined or
    stays undecided at 4096 bits (`why_undefined` tells which; it is 0 where all that it can be rounds to 0), and
    infinite where it overflows, or is a limit or a pole of one sign. What depends on a primitive without a meaning is
    not proven, and `why_undefined` says so.

    **Raises:** `UnsupportedPrimitive` where it is strict, with the primitive's name and the user's source line.

    ```python
    import jax.numpy as jnp
    from stability import true_value

    assert true_value(lambda x: jnp.sin(x) / x, jnp.float32(0)) == 1
    ```
    """
    jaxpr, tree, leaves, formats = prepared(fn, args, dtype)
    out = reals(jaxpr, leaves, formats, strict)
    return jax.tree.unflatten(
        tree, [nearest(x, f, v.aval, dtype) for x, f, v in zip(out, formats, jaxpr.jaxpr.outvars, strict=True)]
    )


def why_undefined(
    fn: Callable[..., PyTree[Shaped[Array, "*_"]]],
    *args: PyTree[Shaped[ArrayLike, "*_"]],
    dtype: DTypeLike | None = None,
) -> PyTree[Shaped[np.ndarray, "*_"]]:
    """Why elements of `true_value(fn, *args)` are no proven numbers, where they are not.

    **Arguments:**

    - `fn`, `args`, `dtype` as for `true_value`.

    **Returns:** a pytree as of `fn(*args)` with object arrays: `None` where the value is a number, else the kind of
    `stability.real.Undefined`, `pole` among them; where 4096 bits don't decide, `undecided`, and after a colon what is
    known; `not proven` where it depends on a primitive that has no meaning over the reals.

    ```python
    import jax.numpy as jnp
    from stability import why_undefined

    assert why_undefined(lambda x: 1 / x, jnp.float32([0, 2])).tolist() == ["pole", None]
    ```
    """
    jaxpr, tree, leaves, formats = prepared(fn, args, dtype)

    def why(x: Any, fmt: FloatFormat, aval: Any) -> np.ndarray:
        columns = [elementwise(re)(x), elementwise(im)(x)] if is_complex(aval) else [x]
        reasons = [truth_of(column, fmt).why.reshape(aval.shape) for column in columns]
        return np.asarray(functools.reduce(np.frompyfunc(lambda a, b: b if a is None else a, 2, 1), reasons), object)[
            ()
        ]

    out = reals(jaxpr, leaves, formats)
    return jax.tree.unflatten(
        tree,
        [f and why(x, f, v.aval) for x, f, v in zip(out, formats, jaxpr.jaxpr.outvars, strict=True)],
    )


def true_derivative(
    fn: Callable[..., PyTree[Shaped[Array, "*_"]]],
    *args: PyTree[Shaped[ArrayLike, "*_"]],
    argnum: int = 0,
    order: int = 1,
    dtype: DTypeLike | None = None,
) -> PyTree[Float[np.ndarray, "*_"]]:
    """The correctly rounded true derivative of `fn` by one of its arguments.

    It is that of the real function, by power series over balls from the program of its values; no derivative rule is
    read, so a rule that is wrong in real numbers makes no difference.

    **Arguments:**

    - `fn`, `args`, `dtype` as for `true_value`.
    - `argnum` the number of the argument to differentiate by, one float or an array of them.
    - `order` 1, or more for higher derivatives by each number alone.

    **Returns:** a pytree as of `fn(*args)` with NumPy arrays of the shape of the output followed by that of the
    argument. An element is NaN where the derivative is undefined or undecided, infinite at a pole of one sign, and at a
    kink the middle between the one-sided derivatives, between which every value is right.

    **Raises:** `ValueError` where there is no argument `argnum`, where it is not one array of floats, and for an
    `order` less than 1.

    ```python
    import jax
    from stability import true_derivative

    assert true_derivative(jax.scipy.special.i0, 0.0) == 0
    ```
    """
    if order < 1:
        raise ValueError(f"order {order}: a derivative has order 1 or more")
    if not 0 <= argnum < len(args):
        raise ValueError(f"argnum {argnum}: there are {len(args)} arguments")
    jaxpr, tree, leaves, formats = prepared(fn, args, dtype)
    before = len(jax.tree.leaves(args[:argnum]))
    aval = jaxpr.jaxpr.invars[before].aval if len(jax.tree.leaves(args[argnum])) == 1 else None
    if aval is None or not is_float(aval):
        raise ValueError(
            f"argument {argnum} is not one float or array of floats, which is what can be differentiated by"
        )
    held = [lift(x, dtype_of(v)) for x, v in zip(leaves, jaxpr.jaxpr.invars, strict=True)]
    first = sum(as_array(h).size for h, v in zip(held[:before], jaxpr.jaxpr.invars, strict=False) if is_float(v.aval))
    columns = []
    for n, (x, outputs) in enumerate(varied(jaxpr, held)):
        if first <= n < first + math.prod(aval.shape):

            def slopes(outputs=outputs, x=x) -> list:
                sizes = [math.prod(v.aval.shape) for v in jaxpr.jaxpr.outvars]
                sides = derivatives(lambda s: [v for o in outputs(s) for v in as_array(o).ravel()], x, order)
                flat = iter([_middle(s) for s in sides])
                return [array([next(flat) for _ in range(size)], (size,)) for size in sizes]

            columns.append(raised(slopes, formats))
    out = []
    for k, (fmt, v) in enumerate(zip(formats, jaxpr.jaxpr.outvars, strict=True)):
        stacked = [nearest(c[k], fmt, jax.ShapeDtypeStruct((c[k].size,), v.aval.dtype), dtype) for c in columns]
        shape = (*v.aval.shape, *aval.shape)
        out.append(np.stack(stacked, -1).reshape(shape) if stacked else np.empty(shape))
    return jax.tree.unflatten(tree, out)


def _middle(sides: Sides) -> Scalar:
    left, right = sides
    if left is right or isinstance(left, Undefined):
        return left
    if isinstance(right, Undefined):
        return right
    if is_number(left) and is_number(right):
        return (left + right) / arb(2)
    return left if left == right else Undefined("pole") if not (is_number(left) or is_number(right)) else UNDECIDED
