"""How a derivative of a function of one number is made, and run."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

Scalar = Callable[[Array], Array]


def forward(fn: Scalar) -> Scalar:
    return lambda x: jax.jvp(fn, (x,), (jnp.ones_like(x),))[1]


WAYS: dict[int, dict[str, Callable[[Scalar], Scalar]]] = {
    0: {"value": lambda fn: fn},
    1: {"forward": forward, "reverse": jax.grad},
    2: {
        "forward over forward": lambda fn: forward(forward(fn)),
        "forward over reverse": lambda fn: forward(jax.grad(fn)),
        "reverse over reverse": lambda fn: jax.grad(jax.grad(fn)),
    },
}
"""How a derivative is made, by its order."""

MODES: dict[str, Callable[[Scalar], Scalar]] = {"jit": jax.jit, "eager": lambda fn: fn}
