"""A call of a function at a point: its results, its equations as they ran, and what is true of the results."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr

from stability.diagnosis import _program as program
from stability.diagnosis._program import Execution, Held
from stability.diagnosis._screen import Judged, is_mixed, judged, size_of_sum, sizes_in_wider, truths_in_wider, work
from stability.formats import FloatFormat
from stability.real import evaluate
from stability.real.terms import sizes_of_terms
from stability.real.walk import wide
from stability.truth import Truth

SMALL = 6_000
"""Numbers that a program may take and give, all equations together, for every truth to be proven; of larger ones wider
floats say which results to look at."""


@dataclass(frozen=True, eq=False)
class Call:
    """A call of a function, and what is known of its results.

    **Attributes:** `results` the floats that it returned, by mode; `runs` its equations and outputs as they ran, by
    mode; `meant` the real elements of each output where all truths are proven, else `None`; `truths` those against the
    formats of the outputs; `terms` the sizes of the terms of their sums; `paths` the name of each output leaf.
    """

    name: str
    jaxpr: ClosedJaxpr
    leaves: Sequence[Any]
    formats: Sequence[FloatFormat | None]
    paths: Sequence[str]
    results: dict[str, list[np.ndarray]]
    tolerance: float
    runs: dict[str, tuple[list[Execution], list[Held]]] = field(default_factory=dict)

    def run(self, mode: str) -> tuple[list[Execution], list[Held]]:
        if mode not in self.runs:
            self.runs[mode] = program.run(self.jaxpr, self.leaves, wide(self.leaves), mode == "jit")
        return self.runs[mode]

    @functools.cached_property
    def meant(self) -> list | None:
        if work(self.run("eager")[0]) > SMALL:
            return None
        return evaluate.reals(self.jaxpr, self.leaves, self.formats)

    @functools.cached_property
    def truths(self) -> list[tuple[Truth, ...]]:
        if self.meant is None:
            return truths_in_wider(self.run("eager")[1], self.formats)
        avals = self.jaxpr.out_avals
        return [evaluate.truths_of(x, f, v) for x, f, v in zip(self.meant, self.formats, avals, strict=True)]

    @functools.cached_property
    def terms(self) -> Sequence[np.ndarray]:
        """The sizes of terms of the outputs, 0 where they are not known, and of a number alone but for a long sum."""
        nothing = [np.zeros(math.prod(v.aval.shape)) for v in self.jaxpr.jaxpr.outvars]
        alone = all(len(x) <= 1 for x in nothing)
        if self.meant is None:
            executions, out = self.run("eager")
            if alone and not is_mixed(executions):
                with jax.enable_x64(True):
                    return [np.full(len(x), size_of_sum(h)) for x, h in zip(nothing, out, strict=True)]
            return sizes_in_wider(executions, out, self.tolerance)
        if alone:
            return nothing
        return sizes_of_terms(self.jaxpr, self.leaves) or nothing

    def judged(self, mode: str) -> list[Judged]:
        return judged(self.results[mode], self.truths, lambda: self.terms, self.tolerance)


def called(fn: Callable, args: tuple, kwargs: dict[str, Any], dtype: Any, tolerance: float) -> Call:
    """A function, called eagerly and jitted.

    **Raises:** `TypeError` where it returns no float.
    """
    fn, name, args = _with_keywords(fn, kwargs, args), _name(fn), _with_arrays(kwargs, args)
    jaxpr, tree, leaves, formats = evaluate.prepared(fn, args, dtype)
    if not any(formats):
        raise TypeError(f"{name} returns no float: {', '.join(map(str, jaxpr.out_avals))}")
    with jax.enable_x64(wide(leaves)):
        eager, jit = (_results(f, jax.tree.structure(args), leaves) for f in (fn, jax.jit(fn)))
    numbered = jax.tree.unflatten(tree, range(len(formats)))
    paths = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(numbered)]
    return Call(name, jaxpr, leaves, formats, paths, {"eager": eager, "jit": jit}, tolerance)


def _results(fn: Callable, structure: Any, leaves: Sequence[Any]) -> list[np.ndarray]:
    """The output leaves of a function, which may take the buffers of its arguments for its own."""
    args = jax.tree.unflatten(structure, [jnp.array(x) for x in leaves])
    return [np.asarray(x) for x in jax.tree.leaves(fn(*args))]


def _is_array(x: Any) -> bool:
    return isinstance(x, float | np.ndarray | np.generic | jax.Array)


def _traced(kwargs: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in kwargs.items() if jax.tree.leaves(v) and all(map(_is_array, jax.tree.leaves(v)))}


def _with_arrays(kwargs: dict[str, Any], args: tuple) -> tuple:
    return (args, _traced(kwargs)) if kwargs else args


def _with_keywords(fn: Callable, kwargs: dict[str, Any], args: tuple) -> Callable:
    """A function of what can be traced; the rest of the keyword arguments stay as they are."""
    if not kwargs:
        return fn
    held = {k: v for k, v in kwargs.items() if k not in _traced(kwargs)}
    return lambda args, given: fn(*args, **given, **held)


def _name(fn: Callable) -> str:
    return getattr(fn, "__qualname__", None) or repr(fn)
