"""A step as it is traced at arguments of some shapes: what is run beside it, and what its outputs are called."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr

from stability.formats import FORMATS, FloatFormat
from stability.real import reals
from stability.watching._beside import Numbers, Unwatchable, alone, beside, coarsest, ulps

WIDEST = 53
"""Digits of the format that nothing is wider than."""


class Seen(NamedTuple):
    """What is told of an output leaf at a step.

    **Attributes:** `error`, `vanished` and `not_finite` as of a `Series`; `unfounded` how many of the latter are no
    infinities that wider floats have too, and `born` how many are numbers there.
    """

    leaf: str
    error: float
    vanished: float
    not_finite: int
    unfounded: int
    born: int

    def measures(self) -> dict[str, float]:
        """How bad it is, by what it may be suspected of."""
        error = 0.0 if math.isnan(self.error) else self.error
        return {"not_finite": self.unfounded, "vanished": self.vanished, "inaccurate": error}


@dataclass(frozen=True, eq=False)
class Step:
    """A step at arguments of some shapes.

    **Attributes:** `jaxpr` as it was traced; `info` its arguments, without the static ones; `names` and `formats` of
    the output leaves that are floats; `coarse` the coarsest format that it computes in; `donated` which leaves of the
    arguments it takes the buffers of; `compare` the computation beside it.
    """

    jaxpr: ClosedJaxpr
    info: Any
    names: Sequence[str]
    formats: Sequence[FloatFormat | None]
    coarse: FloatFormat | None
    donated: Sequence[bool]
    compare: jax.stages.Wrapped

    @property
    def widest(self) -> bool:
        return is_widest(self.coarse)

    @property
    def coarser(self) -> float:
        """How many ulps of the outputs one of the coarsest format is."""
        digits = [f.precision for f in self.formats if f is not None]
        return 2.0 ** (max(digits) - self.coarse.precision) if digits and self.coarse else 1.0

    def arguments(self, args: tuple, kwargs: dict[str, Any]) -> list:
        """The leaves of the arguments that are no static ones."""
        return jax.tree.leaves(traced_arguments(args, kwargs, self.info))

    def copied(self, args: tuple, kwargs: dict[str, Any]) -> tuple[tuple, dict[str, Any]]:
        """The arguments, with copies of those whose buffers the step takes."""
        if not any(self.donated):
            return args, kwargs
        taken = {id(x) for x, d in zip(self.arguments(args, kwargs), self.donated, strict=True) if d}
        return jax.tree.map(lambda x: jnp.copy(x) if id(x) in taken else x, (args, kwargs))

    def lowered(self, args: tuple, kwargs: dict[str, Any]) -> jax.stages.Lowered:
        """The computation beside the step, not compiled yet."""
        outputs = [jax.ShapeDtypeStruct(a.shape, a.dtype) for a in self.jaxpr.out_avals]
        with jax.enable_x64(True):
            return self.compare.lower(*self._given(args, kwargs), outputs)

    def _given(self, args: tuple, kwargs: dict[str, Any]) -> tuple[list, list]:
        leaves = zip(self.arguments(args, kwargs), self.jaxpr.in_avals, strict=True)
        return list(self.jaxpr.consts), [_as_array(x, a) for x, a in leaves]

    def seen(self, args: tuple, kwargs: dict[str, Any], out: Any) -> list[Seen]:
        """What is told of the output leaves."""
        outputs = jax.tree.leaves(out)
        with jax.enable_x64(True):
            found = self.compare(*self._given(args, kwargs), outputs)
        floats = [x for x in outputs if reals.is_inexact(x)]
        return [
            self._seen(name, fmt, n, x.size)
            for name, fmt, n, x in zip(self.names, self.formats, jax.device_get(found), floats, strict=True)
            if fmt is not None
        ]

    def _seen(self, name: str, fmt: FloatFormat, n: Numbers, size: int) -> Seen:
        not_finite = int(n.not_finite)
        if is_widest(fmt):
            return Seen(name, math.nan, 0.0, not_finite, not_finite, 0)
        coarse = fmt if self.coarse is None or fmt.precision < self.coarse.precision else self.coarse
        born = int(n.born)
        return Seen(name, ulps(n, coarse), int(n.vanished) / max(size, 1), not_finite, born + int(n.undefined), born)


def is_widest(fmt: FloatFormat | None) -> bool:
    """Whether nothing is wider than a format."""
    return fmt is not None and fmt.precision >= WIDEST


def plan_of(step: Any, args: tuple, kwargs: dict[str, Any], plans: dict[Any, Step]) -> Step:
    """The step at these arguments, among those that are known."""
    if any(isinstance(x, jax.core.Tracer) for x in jax.tree.leaves((args, kwargs))):
        raise Unwatchable("it is called inside another transformation")
    traced = step.trace(*args, **kwargs)
    if id(traced.jaxpr) not in plans:
        leaves = jax.tree_util.tree_leaves_with_path(traced.out_info)
        floats = [(jax.tree_util.keystr(path), x.dtype) for path, x in leaves if reals.is_inexact(x)]
        coarse = coarsest(traced.jaxpr)
        plans[id(traced.jaxpr)] = Step(
            traced.jaxpr,
            traced.args_info,
            [name for name, _ in floats],
            [FORMATS.get(jnp.finfo(dtype).dtype.name) for _, dtype in floats],
            coarse,
            [x.donated for x in jax.tree.leaves(traced.args_info, is_leaf=lambda x: hasattr(x, "donated"))],
            jax.jit(alone if is_widest(coarse) else beside(traced.jaxpr)),
        )
    return plans[id(traced.jaxpr)]


def traced_arguments(args: tuple, kwargs: dict[str, Any], info: Any) -> tuple[tuple, dict[str, Any]]:
    """The arguments without those that are static, by what was traced.

    **Raises:** `Unwatchable` where that can't be told.
    """
    positional, named = info
    if len(positional) < len(args):
        args = tuple(a for a in args if all(isinstance(x, jax.Array | np.ndarray | float) for x in jax.tree.leaves(a)))
    if len(positional) != len(args):
        raise Unwatchable("its static arguments can't be told from the others; give them by name")
    return args, {k: kwargs[k] for k in named}


def _as_array(x: Any, aval: Any) -> Any:
    return x if isinstance(x, jax.Array) else np.asarray(x, aval.dtype)


def on_host(tree: Any) -> Any:
    """Arrays as NumPy has them, where this process holds them whole; random keys and other things as they are."""
    return jax.tree.map(lambda x: np.array(x) if _is_whole(x) else x, tree)


def _is_whole(x: Any) -> bool:
    if not isinstance(x, jax.Array):
        return isinstance(x, np.ndarray)
    return x.is_fully_addressable and not jnp.issubdtype(x.dtype, jax.dtypes.extended)
