"""What the functions of this room share: arguments made floats, and chains of kernels that are each other's slopes."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from stability.formats import FORMATS
from stability.losses import Kernel

Function = Callable[..., Array]

_ORDERS = ("", "_slope", "_curvature")


def floats(*arguments: ArrayLike) -> tuple[list[Array], bool]:
    """Arguments broadcast and in the one float dtype of `jax.numpy` promotion, and whether that is a weak one.

    **Raises:** `TypeError` for complex numbers, and for floats that are not of one of `FORMATS`.
    """
    promoted = jax.eval_shape(lambda *x: jnp.true_divide(sum(x[1:], x[0]), 1), *arguments)
    dtype, shape = promoted.dtype, promoted.shape
    if dtype.name not in FORMATS:
        raise TypeError(f"the arguments give {dtype.name}; they must be real, and floats of {', '.join(FORMATS)}")
    return [jnp.broadcast_to(jnp.asarray(x).astype(dtype), shape) for x in arguments], promoted.weak_type


def weakened(x: Array, weak: bool) -> Array:
    """`x`, with the weak type of a Python number if `weak`."""
    if not weak:
        return x
    return lax.convert_element_type_p.bind(x, new_dtype=x.dtype, weak_type=True, sharding=None)


def applied(kernel: Function, *arguments: ArrayLike) -> Array:
    """A kernel of arguments as users give them: numbers, integers, arrays that broadcast."""
    arrays, weak = floats(*arguments)
    return weakened(kernel(*arrays), weak)


def in_single(run: Function) -> Function:
    """`run`, compiled, and for the 16-bit formats computed in float32 and rounded once."""

    @wraps(run)
    def computed(*arguments: Array) -> Array:
        dtype = arguments[0].dtype
        if dtype.itemsize > 2:
            return run(*arguments)
        return run(*(x.astype(jnp.float32) for x in arguments)).astype(dtype)

    return jax.jit(computed)


def slope(formula: Function) -> Function:
    """The derivative of an elementwise function of one array, as JAX's rules write it."""

    def derivative(x: Array) -> Array:
        return jax.jvp(formula, (x,), (jnp.ones_like(x),))[1]

    return derivative


def chain(name: str, formula: Function, *runs: Function, then: Function) -> Kernel:
    """The kernel of an elementwise function of one array, whose derivative is the next kernel, and so on.

    **Arguments:** `name` in jaxprs; `formula` as plain JAX, a function of the file that calls; `runs` compute the
    function and its derivatives one after another, in float32 and float64; `then` is the derivative of the last.
    """
    formulas = [formula]
    while len(formulas) < len(runs):
        formulas.append(slope(formulas[-1]))
    for order in reversed(range(len(runs))):
        then = Kernel(
            f"nn_{name}{_ORDERS[order]}",
            in_single(runs[order]),
            formulas[order],
            lambda tangent, x, then=then: tangent * then(x),
        )
    assert isinstance(then, Kernel)
    return then
