"""How far off a JAX function is at the points of a sample."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stability.formats import FloatFormat
from stability.rewriting.operations import CONSTANTS, OPERATIONS
from stability.rewriting.sample import Sample, bits_of_error
from stability.rewriting.terms import Term, folded, rounded, spread, whole_exponent


def results(fn: Callable, points: Sample, names: Sequence[str], fmt: FloatFormat) -> list[np.ndarray]:
    """What a function of scalars gives at each point: under `jit`, and operation by operation."""
    n = len(points)
    index = np.resize(np.arange(n), 1 << max(n - 1, 0).bit_length())
    columns = [points.columns[name][index] for name in names]
    columns = [x[:, 0] if x.shape[1:] == (1,) else x for x in columns]
    with jax.enable_x64(fmt.bits == 64):
        found = [np.asarray(run(*columns))[:n] for run in (jax.jit(jax.vmap(fn)), jax.vmap(fn))]
    return [x.reshape(n, -1) for x in found] if points.has_rows else found


def under_jit(terms: Sequence[Term], points: Sample, fmt: FloatFormat) -> list[np.ndarray]:
    """What terms give under `jit` at each point, all of them compiled at once."""

    def all_of(columns: dict[str, jax.Array]) -> list[jax.Array]:
        known: dict[Term, jax.Array] = {}
        return [jnp.asarray(in_jax(t, columns, known), fmt.dtype) for t in terms]

    with jax.enable_x64(fmt.bits == 64):
        return [spread(x, points.columns) for x in map(np.asarray, jax.jit(all_of)(points.columns))]


def in_jax(term: Term, columns: Mapping[str, jax.Array], known: dict[Term, Any]) -> Any:
    """The values of a term in JAX."""

    def step(t: Term, args: list) -> Any:
        if t.op == "var":
            return columns[str(t.leaf)]
        if not t.args:
            return CONSTANTS[t.op][0] if t.leaf is None else rounded(t.leaf)
        if (n := whole_exponent(t)) is not None:
            return OPERATIONS["pow"].jax(args[0], n)
        return OPERATIONS[t.op].jax(*args)

    return folded(term, step, known)


def error_of(fn: Callable, points: Sample, names: Sequence[str], fmt: FloatFormat) -> np.ndarray:
    """The bits of its error at each point, under `jit` or operation by operation, whichever is worse."""
    return np.max([bits_of_error(x, points.truth) for x in results(fn, points, names, fmt)], axis=0)
