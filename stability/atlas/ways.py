"""How a derivative of a function of one number is made, and run."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Mapping
from typing import TypeVar

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

OF_NO_MATTER = re.compile(r"name=\w+|0x[0-9a-f]+")
"""What two printed programs may differ in."""


def program_text(fn: Callable, fmt: FloatFormat, shape: tuple[int, ...] = ()) -> str | None:
    """A program as text, or `None` where that does not tell all: it has constants, or can't be made."""
    try:
        closed = jax.make_jaxpr(fn)(jax.ShapeDtypeStruct(shape, fmt.dtype))
    except Exception:
        return None
    return None if closed.consts else OF_NO_MATTER.sub("", str(closed))


Key = TypeVar("Key", bound=Hashable)


def same_as(programs: Mapping[Key, Scalar], fmt: FloatFormat) -> dict[Key, Key]:
    """By program of one number the first that is the same over several, itself where there is none before it."""
    first: dict[object, Key] = {}
    texts = {key: program_text(jax.vmap(program), fmt, (2,)) for key, program in programs.items()}
    return {key: key if text is None else first.setdefault(text, key) for key, text in texts.items()}


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
