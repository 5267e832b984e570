"""How a derivative of a function of one number is made, and run."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from stability.atlas import endless
from stability.atlas.refusals import LibraryError
from stability.formats import FloatFormat, from_ordinal
from stability.study.loading import first_line

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

BATCH = 8192


def evaluated(run: Scalar, fmt: FloatFormat, ordinals: np.ndarray) -> np.ndarray:
    """Results at ordinals, in batches of one shape, so that each program is compiled once.

    **Raises:** `LibraryError`, and `endless.Endless`.
    """
    size = 1 << 16 if fmt.bits == 16 else BATCH
    padded = np.zeros(-(-len(ordinals) // size) * size, fmt.dtype)
    padded[: len(ordinals)] = from_ordinal(ordinals, fmt)
    try:
        return np.concatenate([endless.awaited(run(jnp.asarray(z))) for z in padded.reshape(-1, size)])[: len(ordinals)]
    except endless.Endless:
        raise
    except Exception as error:
        raise LibraryError(first_line(error)) from error
