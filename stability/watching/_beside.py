"""A step in wider floats as one computation that can be jitted, beside its own floats, which make its decisions.

What the floats compare, round to whole numbers or sort, decides in the wider program too: where it is rounding that
decides, as at the kink of a rectifier, either way is right, and both programs must take the same one to be compared.
XLA leaves out what no decision needs of the program's own floats.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.extend.core import ClosedJaxpr, Jaxpr

from stability.formats import FORMATS, FloatFormat
from stability.real import arrays, reals
from stability.real.walk import Semantics, called, opened, scan_sizes, walk
from stability.real.wider import in_wider, widened


class Pair(NamedTuple):
    """An array in the floats of the program, and in wider ones. What is no float is held as it is, without a pair."""

    floats: Any
    wide: Any


class Unwatchable(Exception):
    """A step that can't be run a second time."""


class Numbers(NamedTuple):
    """What is told of an output beside its wider floats.

    **Attributes:** how many elements are `not_finite`, how many of these are so where the wider ones are (`born`), how
    many are NaN where the wider ones are not finite (`undefined`), and how many are 0 where the wider ones are normal
    numbers of the format (`vanished`); the largest `error` of those that are finite, and the `largest` wider one.
    """

    not_finite: Any
    born: Any
    undefined: Any
    vanished: Any
    error: Any
    largest: Any


def numbers(floats: Array, wide: Array) -> Numbers:
    """In one pass over both arrays."""
    finite, true, size = jnp.isfinite(floats), jnp.isfinite(wide), jnp.abs(wide)
    flags = (
        ~finite,
        ~finite & true,
        jnp.isnan(floats) & ~true,
        (floats == 0) & (size >= float(jnp.finfo(floats.dtype).tiny)) & true,
    )
    sizes = jnp.where(finite & true, jnp.abs(floats.astype(wide.dtype) - wide), 0), jnp.where(finite & true, size, 0)
    found = lax.reduce(
        (*(f.astype(np.int64) for f in flags), *sizes),
        (*(np.int64(0),) * 4, np.float64(0), np.float64(0)),
        lambda x, y: (*map(jnp.add, x[:4], y[:4]), *map(jnp.maximum, x[4:], y[4:])),
        tuple(range(floats.ndim)),
    )
    return Numbers(*found)


def beside(jaxpr: ClosedJaxpr) -> Callable[[Sequence[Any], Sequence[Any], Sequence[Any]], list[Numbers]]:
    """A function of the constants, the arguments and the outputs of a step, which tells the `Numbers` of each output
    that is a float; to be jitted, and called under `jax.enable_x64`. It raises `Unwatchable` where the step has
    effects outside itself.
    """

    def compared(consts: Sequence[Any], leaves: Sequence[Any], outputs: Sequence[Any]) -> list[Numbers]:
        pairs = [_pair(jnp.asarray(x, v.aval.dtype)) for x, v in zip(leaves, jaxpr.jaxpr.invars, strict=True)]
        found = walk(ClosedJaxpr(jaxpr.jaxpr, list(consts)), pairs, Beside())
        return [numbers(x, _wide(w)) for x, w in zip(outputs, found, strict=True) if reals.is_inexact(x)]

    return compared


def alone(consts: Sequence[Any], leaves: Sequence[Any], outputs: Sequence[Any]) -> list[Numbers]:
    """The same of outputs that nothing stands beside: what is not finite."""
    return [numbers(x, widened(x)) for x in outputs if reals.is_inexact(x)]


class _Formats(Semantics):
    """Which float formats the equations of a program compute in, those of every branch and loop included."""

    def __init__(self) -> None:
        self.found: set[FloatFormat] = set()

    def literal(self, value, aval):
        return None

    def follow(self, eqn, inside, as_one) -> list:
        return as_one()

    def equation(self, eqn, values, source) -> list:
        dtypes = [v.aval.dtype for v in eqn.outvars if reals.is_inexact(v.aval)]
        self.found.update(f for f in (FORMATS.get(jnp.finfo(d).dtype.name) for d in dtypes) if f is not None)
        for inner in filter(_is_jaxpr, itertools.chain.from_iterable(map(_listed, eqn.params.values()))):
            walk(inner, [None] * len(opened(inner)[0].invars), self)
        return [None] * len(eqn.outvars)


def _listed(param: Any) -> Sequence[Any]:
    return param if isinstance(param, tuple | list) else (param,)


def _is_jaxpr(x: Any) -> bool:
    return isinstance(x, Jaxpr | ClosedJaxpr)


def coarsest(jaxpr: ClosedJaxpr) -> FloatFormat | None:
    """The float format of fewest digits that any equation of a program computes in, `None` where there is none."""
    formats = _Formats()
    walk(jaxpr, [None] * len(jaxpr.in_avals), formats)
    return min(formats.found, key=lambda f: f.precision, default=None)


def _pair(x: Any) -> Any:
    return Pair(x, widened(x)) if reals.is_inexact(x) else x


def _floats(value: Any) -> Any:
    return value.floats if isinstance(value, Pair) else value


def _wide(value: Any) -> Any:
    return value.wide if isinstance(value, Pair) else value


class Beside(Semantics):
    """Pairs of tracers. Branches and loops are built anew over pairs, with the floats to decide."""

    opens = staticmethod(called)

    def literal(self, value, aval):
        return _pair(jnp.asarray(value, aval.dtype))

    def constant(self, value, aval):
        return _pair(value)

    def follow(self, eqn, inside, as_one) -> list:
        return as_one()

    def equation(self, eqn, values, source) -> list:
        name = eqn.primitive.name
        if name in REBUILT:
            return REBUILT[name](eqn, values)
        if not eqn.outvars:
            return []
        if name == "io_callback":
            raise Unwatchable(f"it calls back to the host with effects, at {source}")
        given = [_floats(v) for v in values]
        floats = arrays.bound(eqn, given)
        if not any(map(reals.is_inexact, floats)):
            return floats
        wide = DECIDING[name](eqn, values) if name in DECIDING else in_wider(eqn, [_wide(v) for v in values])
        return [Pair(x, widened(w)) if reals.is_inexact(x) else x for x, w in zip(floats, wide, strict=True)]


def _jumped(eqn, values: Sequence[Any]) -> list:
    """A whole number or a sign as the floats have it, where they have a number."""
    (floats,) = arrays.bound(eqn, [_floats(v) for v in values])
    (wide,) = in_wider(eqn, [_wide(v) for v in values])
    return [jnp.where(jnp.isfinite(floats), widened(floats), wide)]


def _sorted(eqn, values: Sequence[Any]) -> list:
    """In the order that the floats are sorted into."""
    p = eqn.params
    places = lax.broadcasted_iota(np.int32, _floats(values[0]).shape, p["dimension"])
    *_, order = lax.sort([*map(_floats, values), places], dimension=p["dimension"], num_keys=p["num_keys"])
    return [jnp.take_along_axis(_wide(v), order, p["dimension"]) for v in values]


def _picked(at: int) -> Callable:
    """The element that the floats pick from the argument at a position."""

    def apply(eqn, values: Sequence[Any]) -> list:
        return in_wider(eqn, [widened(_floats(v)) if i == at else _wide(v) for i, v in enumerate(values)])

    return apply


DECIDING: dict[str, Callable[..., list]] = {
    **dict.fromkeys(("sign", "floor", "ceil", "round"), _jumped),
    "sort": _sorted,
    **dict.fromkeys(("select_and_scatter_add", "select_and_gather_add"), _picked(1)),
}
"""Primitives that give floats by a decision."""


def _scan(eqn, values: Sequence[Any]) -> list:
    p, (n, m) = eqn.params, scan_sizes(eqn)

    def body(carry, row):
        out = walk(p["jaxpr"], [*values[:n], *carry, *row], Beside())
        return out[:m], out[m:]

    carry, stacked = lax.scan(
        body, list(values[n : n + m]), list(values[n + m :]), length=p["length"], reverse=p["reverse"]
    )
    return [*carry, *stacked]


def _while(eqn, values: Sequence[Any]) -> list:
    p = eqn.params
    n, m = p["cond_nconsts"], p["body_nconsts"]

    def condition(carry) -> Any:
        return walk(p["cond_jaxpr"], [*values[:n], *carry], Beside())[0]

    def body(carry) -> list:
        new, going = walk(p["body_jaxpr"], [*values[n : n + m], *carry], Beside()), condition(carry)
        return jax.tree.map(functools.partial(_where, going), new, carry) if going.shape else new

    return lax.while_loop(lambda carry: jnp.any(condition(carry)), body, list(values[n + m :]))


def _where(going: Array, new: Array, old: Array) -> Array:
    """Many loops at once, as `vmap` makes them: those that go on have new values."""
    return jnp.where(going.reshape(going.shape + (1,) * (new.ndim - going.ndim)), new, old)


def _cond(eqn, values: Sequence[Any]) -> list:
    branches = [functools.partial(_branch, b) for b in eqn.params["branches"]]
    return lax.switch(jnp.asarray(values[0], np.int32), branches, *values[1:])


def _branch(jaxpr: ClosedJaxpr, *values: Any) -> list:
    return walk(jaxpr, values, Beside())


def _sharded(eqn, values: Sequence[Any]) -> list:
    p = eqn.params
    rebuilt = jax.shard_map(
        lambda *local: tuple(walk(p["jaxpr"], local, Beside())),
        mesh=p["mesh"],
        in_specs=tuple(p["in_specs"]),
        out_specs=tuple(p["out_specs"]),
        check_vma=p["check_vma"],
        axis_names=set(p["newly_manual_axes"]),
    )
    return list(rebuilt(*values))


REBUILT: dict[str, Callable[..., list]] = {"scan": _scan, "while": _while, "cond": _cond, "shard_map": _sharded}


def ulps(found: Numbers, fmt: FloatFormat) -> float:
    """The worst error in ulps of the largest element."""
    if not float(found.error):
        return 0.0
    exponent = max(math.frexp(float(found.largest))[1] - fmt.precision, fmt.least_exponent)
    return math.ldexp(float(found.error), -exponent)
