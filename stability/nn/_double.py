"""Functions of arrays computed in float64, whether `jax_enable_x64` is set or not, and linear ones among them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, wraps
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.interpreters import ad

from stability.losses import Kernel
from stability.nn._elementwise import Function

if TYPE_CHECKING:
    from jax.extend.core import Primitive


def widened(x: Array) -> Array:
    """A narrower array as float64, with the subnormals, which XLA on CPU takes for 0; float64 as it is."""
    if x.dtype == jnp.float64:
        return x
    x = x.astype(jnp.float32)
    bits = lax.bitcast_convert_type(x, jnp.int32)
    size = (bits & 0x7FFFFF).astype(jnp.float64) * 2.0**-149
    return jnp.where((bits & 0x7F800000) == 0, jnp.where(bits < 0, -size, size), x.astype(jnp.float64))


def in_double(run: Function) -> Function:
    """`run`, compiled, where float64 is allowed, its result rounded to the dtype of the first argument."""

    @jax.jit
    def compiled(*arrays: Array) -> Array:
        return run(*arrays).astype(arrays[0].dtype)

    @wraps(run)
    def computed(*arrays: Array) -> Array:
        with jax.enable_x64(True):
            return compiled(*arrays)

    return computed


class Linear(Kernel):
    """A kernel that is linear in its first argument, an array of the shape of its result.

    **Arguments:** as of `Kernel`, but that `derivatives` are those by the other arguments, and that `transpose()` is
    the kernel of the transposed linear map, of the same other arguments.
    """

    def __init__(
        self,
        name: str,
        run: Function,
        formula: Function,
        *derivatives: Callable | None,
        transpose: Callable[[], Kernel],
    ) -> None:
        def by_first(tangent: Array, _: Array, *others: Array) -> Array:
            return self(tangent, *others)

        super().__init__(name, run, formula, by_first, *derivatives)
        self.transpose = transpose

    @cached_property
    def primitive(self) -> Primitive:
        p = super().primitive

        def transposed(cotangent: Any, _: Any, *others: Array) -> list[Any]:
            return [self.transpose()(cotangent, *others), *(None for _ in others)]

        ad.primitive_transposes[p] = transposed
        return p
