"""Kernels as JAX primitives of their own, with derivative rules that every transformation keeps.

JAX loses a `custom_jvp` where it differentiates a scan in reverse twice, and would then differentiate the arithmetic
inside, bit operations and all.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
from jax import Array
from jax.interpreters import ad, batching, mlir

if TYPE_CHECKING:
    from jax.extend.core import Primitive


Abstract = Any
"""An abstract array of JAX: a shape and a dtype."""

KERNELS: dict[str, Kernel] = {}
"""By name, for those who look into jaxprs."""


def like_first(first: Abstract, *_: Abstract, **__: Any) -> Abstract:
    return first


class Kernel:
    """A function of arrays whose leading axes are batch axes of all of them, as a primitive.

    **Arguments:** `name` in jaxprs; `run(*arrays, **parameters)` computes one array, of the shape and dtype that
    `abstract` gives from the abstract arguments (the first argument's by default); `formula(*arrays)` is what that
    would be in real numbers, as plain JAX, by which `stability.real` knows its true values; `derivatives` are a rule
    `rule(tangent, *arrays, **parameters)` or `None` for each argument: what it adds to the result's tangent.
    """

    def __init__(
        self,
        name: str,
        run: Callable[..., Array],
        formula: Callable[..., Array],
        *derivatives: Callable | None,
        abstract: Callable[..., Abstract] = like_first,
    ) -> None:
        self.name, self.run, self.formula, self.derivatives, self.abstract = name, run, formula, derivatives, abstract
        KERNELS[name] = self

    def __call__(self, *arguments: Array, **parameters: Any) -> Array:
        return self.primitive.bind(*arguments, **parameters)

    @cached_property
    def primitive(self) -> Primitive:
        """Made at the first call, because importing `jax.extend` imports all of it, Pallas too."""
        from jax.extend import source_info_util
        from jax.extend.core import Primitive

        for file in (__file__, inspect.getfile(self.formula)):
            source_info_util.register_exclusion(file)
        p = Primitive(self.name)
        p.def_impl(self.run)
        p.def_abstract_eval(self.abstract)
        mlir.register_lowering(p, mlir.lower_fun(self.run, multiple_results=False))
        batching.primitive_batchers[p] = self._batched
        ad.defjvp(p, *self.derivatives)
        return p

    def _batched(self, arguments: Sequence[Array], axes: Sequence[int | None], **parameters: Any) -> tuple[Array, int]:
        size = next(x.shape[a] for x, a in zip(arguments, axes, strict=True) if a is not None)
        moved = [
            jnp.broadcast_to(x, (size, *jnp.shape(x))) if a is None else jnp.moveaxis(x, a, 0)
            for x, a in zip(arguments, axes, strict=True)
        ]
        return self(*moved, **parameters), 0
