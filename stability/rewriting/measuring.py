"""How far off a JAX function is at the points of a sample."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax
import numpy as np

from stability.formats import FloatFormat
from stability.rewriting.sample import Sample, bits_of_error


def results(fn: Callable, points: Sample, names: Sequence[str], fmt: FloatFormat) -> np.ndarray:
    """What a function of scalars gives under `jit` at each point."""
    with jax.enable_x64(fmt.bits == 64):
        return np.asarray(jax.jit(jax.vmap(fn))(*(points.columns[name] for name in names)))


def error_of(fn: Callable, points: Sample, names: Sequence[str], fmt: FloatFormat) -> np.ndarray:
    """The bits of its error at each point."""
    return bits_of_error(results(fn, points, names, fmt), points.truth)


def slope_errors(
    fn: Callable, points: Sequence[Sample | None], names: Sequence[str], fmt: FloatFormat
) -> list[np.ndarray]:
    """The bits of error of `jax.grad` in each argument, at the points of a sample of that derivative."""
    out = []
    for i, own in enumerate(points):
        if own is not None and len(own):
            out.append(error_of(jax.grad(fn, argnums=i), own, names, fmt))
    return out
