"""Rows of the atlas in words: code that reproduces them, and what is known about them in public."""

from __future__ import annotations

import re

from stability.atlas.records import Row
from stability.atlas.rules import DEFAULT
from stability.atlas.threads import Thread, threads_of
from stability.atlas.ways import is_in_an_array
from stability.formats import FORMATS

MODULES = {
    "jnp": "jax.numpy",
    "nn": "jax.nn",
    "lax": "jax.lax",
    "special": "jax.scipy.special",
    "stats": "jax.scipy.stats",
    "optax": "optax.losses",
}
"""What the first part of a name stands for."""

DERIVED = {
    "value": "f",
    "forward": "lambda x: jax.jvp(f, (x,), (jnp.ones_like(x),))[1]",
    "reverse": "jax.grad(f)",
    "forward over forward": "lambda x: jax.jvp(lambda x: jax.jvp(f, (x,), (jnp.ones_like(x),))[1], (x,), "
    "(jnp.ones_like(x),))[1]",
    "forward over reverse": "lambda x: jax.jvp(jax.grad(f), (x,), (jnp.ones_like(x),))[1]",
    "reverse over reverse": "jax.grad(jax.grad(f))",
}
"""A derivative of `f` as code, by its way."""


def code_of(function: str) -> str:
    """A function of the atlas as an expression in `x`."""
    first = function.partition(".")[0]
    text = function.replace(first, MODULES[first], 1)
    return re.sub(r"\[([^\[\]]*,[^\[\]]*)\]", r"jnp.stack([jnp.asarray(v, x.dtype) for v in (\1)])", text)


def reproduction(row: Row) -> str | None:
    """Lines of Python that show the failure of a row's example, or `None` where it has none, is of a rule that the
    library does not have, or of results that depend on other numbers."""
    if row.example is None or row.rule != DEFAULT:
        return None
    way, mode = row.ways[0]
    if is_in_an_array(mode):
        return None
    lines = ["import jax", "import jax.numpy as jnp"]
    if row.function.startswith("optax"):
        lines.append("import optax")
    if row.dtype == "float64":
        lines.append('jax.config.update("jax_enable_x64", True)')
    derived = DERIVED[way]
    if mode == "jit":
        derived = f"jax.jit({derived})"
    call = f"jnp.{row.dtype}(float.fromhex({row.example.x!r}))"
    lines += [
        "",
        f"f = lambda x: {code_of(row.function)}",
        f"derivative = {derived}",
        f"print(derivative({call}))  # {float.fromhex(row.example.result)!r}; true: {row.example.true}",
    ]
    return "\n".join(lines)


def threads_about(row: Row) -> tuple[Thread, ...]:
    """Public threads about the function and order of a row."""
    return tuple(t for t in threads_of(row.function) if t.order == row.order)


def decimal(text: str, dtype: str) -> str:
    """A float in hexadecimal as the shortest decimal that is it in its format."""
    return str(FORMATS[dtype].dtype.type(float.fromhex(text)))
