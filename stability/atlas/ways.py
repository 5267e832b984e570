"""How a derivative of a function of one number is made, and run."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Hashable, Mapping
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

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

Mode = Callable[[Scalar], Callable[[Array], Array]]
"""How a program of one number is run over an array."""

MODES: dict[str, Mode] = {"jit": lambda fn: jax.jit(jax.vmap(fn)), "eager": jax.vmap}

IN_AN_ARRAY = " in an array"
"""What the name of a mode ends with that `is_in_an_array`."""

LOOP_MODES: dict[str, Mode] = {
    "jit": lambda fn: jax.jit(lambda z: lax.map(fn, z)),
    **{mode + IN_AN_ARRAY: run for mode, run in MODES.items()},
}
"""The same of a program with loops, which in an array go on until the last of its numbers has converged: first each
number by itself, as in a call of its own, then among others."""


def is_in_an_array(mode: str) -> bool:
    """Whether a result of a mode can depend on other numbers."""
    return mode.endswith(IN_AN_ARRAY)


def is_looping(fn: Scalar, fmt: FloatFormat) -> bool:
    """Whether a program has a loop, as it is made, or as XLA is given it: also one inside a primitive."""
    try:
        traced = jax.jit(fn).trace(jax.ShapeDtypeStruct((), fmt.dtype))
        return "while[" in str(traced.jaxpr) or "stablehlo.while" in traced.lower().as_text()
    except Exception:
        return False


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


ALONE, BATCH, OTHERS = 1024, 8192, 2048
"""Floats of a wide format that are run at once; and where their results can depend on one another, and how many of
them, at least, are then a grid over all."""


def evaluated(run: Callable[[Array], Array], fmt: FloatFormat, ordinals: np.ndarray, mode: str) -> np.ndarray:
    """Results at ordinals, in batches of one shape, so that each program is compiled once. Of a wide format, in a mode
    `in an array`, the same `OTHERS` are in each batch: a result that depends on them is the same whatever else is
    asked.

    **Raises:** `LibraryError`, and `endless.Endless`.
    """
    size, others = (1 << 16, 0) if fmt.bits == 16 else (BATCH, OTHERS) if is_in_an_array(mode) else (ALONE, 0)
    spread = np.linspace(-fmt.infinity, fmt.infinity, others).astype(np.int64)
    found = []

    def at(some: np.ndarray) -> np.ndarray:
        filled = np.concatenate([some, np.resize(spread if others else some, size - len(some))])
        z = from_ordinal(filled, fmt)
        with jax.enable_x64(fmt.name == "float64"):
            return np.asarray(run(jnp.asarray(z)))[: len(some)]

    try:
        for some in np.split(ordinals, range(size - others, len(ordinals), size - others)):
            found.append(endless.finished(functools.partial(at, some), endless.PATIENCE))
    except endless.Endless:
        raise
    except Exception as error:
        raise LibraryError(first_line(error)) from error
    return np.concatenate(found)


def results(run: Callable[[Array], Array], fmt: FloatFormat, mode: str) -> Callable[[np.ndarray], np.ndarray]:
    """What a program of an array gives at ordinals; of a 16-bit format it is run once, at every float."""
    if fmt.bits > 16:
        return functools.partial(evaluated, run, fmt, mode=mode)
    least = -fmt.infinity - 1
    found = evaluated(run, fmt, np.arange(least, fmt.infinity + 1), mode)
    return lambda ordinals: found[ordinals - least]
