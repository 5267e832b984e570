"""The walker of jaxprs: one loop, with what the equations mean as an argument.

A `Semantics` says what a variable holds and what an equation makes of it: real numbers (`_reals`), floats and reals
side by side (`stability.diagnosis`), floats as one jitted computation has them. The walker opens calls and follows
branches and loops.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import source_info_util
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal

from stability.losses import KERNELS
from stability.real.records import Calls, record_of


def source_of(eqn) -> str:
    """The user's source line of an equation, as JAX records it: `file:line:column (function)`."""
    return source_info_util.summarize(eqn.source_info)


def lines_of(eqn) -> list[str]:
    """The lines that led to an equation, of all code but JAX's own: the outermost call first, `source_of` the last."""
    return source_info_util.summarize(eqn.source_info, sys.maxsize).splitlines()


def aval(v: Any) -> Any:
    """The abstract value (shape and dtype) of a variable or a literal."""
    return v.aval


def dtype_of(variable: Any) -> Any:
    """The dtype of a variable of a jaxpr."""
    return variable.aval.dtype


def is_float(aval) -> bool:
    return jnp.issubdtype(aval.dtype, np.floating)


def opened(jaxpr: Jaxpr | ClosedJaxpr) -> tuple[Jaxpr, Sequence[Any]]:
    """A jaxpr and its constants."""
    return (jaxpr.jaxpr, jaxpr.consts) if isinstance(jaxpr, ClosedJaxpr) else (jaxpr, ())


def called(eqn) -> Jaxpr | ClosedJaxpr | None:
    """The jaxpr that an equation merely calls, or `None`."""
    record = record_of(eqn.primitive)
    return record.called(eqn) if isinstance(record, Calls) else None


def inlined(eqn) -> Jaxpr | ClosedJaxpr | None:
    """The jaxpr that an equation stands for over the reals: the one it calls, a kernel's formula, or `None`."""
    kernel = KERNELS.get(eqn.primitive.name)
    if kernel is None:
        return called(eqn)
    with jax.enable_x64(True):
        return jax.make_jaxpr(kernel.formula)(*(jax.ShapeDtypeStruct(v.aval.shape, v.aval.dtype) for v in eqn.invars))


def is_library(jaxpr: Jaxpr | ClosedJaxpr) -> bool:
    """Whether a called jaxpr is of a function of JAX's own, whose source lines say nothing to the user."""
    where = opened(jaxpr)[0].debug_info.func_src_info or ""
    return os.path.dirname(jax.__file__) in where


class Semantics:
    """What the variables of a jaxpr hold, and what its equations make of them."""

    reads: Callable = staticmethod(lambda jaxpr: jaxpr)
    """The jaxpr that is meant by one."""

    opens: Callable = staticmethod(called)
    """The jaxpr that an equation stands for, or `None`."""

    def literal(self, value: Any, aval: Any) -> Any:
        """A number in the program's text."""
        raise NotImplementedError

    def constant(self, value: Any, aval: Any) -> Any:
        """An array that the program closed over."""
        return self.literal(value, aval)

    def follow(self, eqn, inside: Callable[[], list], as_one: Callable[[], list]) -> list:
        """The outputs of a `cond`, `while` or `scan`: by walking `inside` it, or `as_one` equation as any other."""
        return inside()

    def enter(self, eqn, inner: Jaxpr | ClosedJaxpr, values: Sequence[Any], inside: Callable[[], list]) -> list:
        """The outputs of an equation that calls `inner`, by walking `inside` it."""
        return inside()

    def equation(self, eqn, values: Sequence[Any], source: str) -> list:
        """The outputs of an equation; `source` is the line to name."""
        raise NotImplementedError

    def decided(self, value: Any, what: str) -> int:
        """The branch to take, or whether a loop goes on: of many at once, whether any certainly does."""
        raise NotImplementedError

    def turned(self, turns: int) -> None:
        """A `while` loop goes on, after so many turns."""

    def picked(self, values: list) -> list:
        """What a branch puts out."""
        return values

    def row(self, value: Any, i: int) -> Any:
        """A slice along the first axis."""
        raise NotImplementedError

    def stacked(self, rows: list, aval: Any) -> Any:
        """Slices as one array; `aval` says of what, where there are none."""
        raise NotImplementedError


def walk(jaxpr: Jaxpr | ClosedJaxpr, args: Sequence[Any], semantics: Semantics, outer: str = "") -> list:
    """The outputs of a jaxpr.

    **Arguments:** `args` in the terms of the semantics; `outer` the source line of the call that this is the inside of,
    where the lines inside say nothing to the user.
    """
    jaxpr, consts = opened(jaxpr)
    env: dict[Any, Any] = dict(zip(jaxpr.invars, args, strict=True))
    env.update((v, semantics.constant(c, aval(v))) for v, c in zip(jaxpr.constvars, consts, strict=True))

    def read(v) -> Any:
        return semantics.literal(v.val, aval(v)) if isinstance(v, Literal) else env[v]

    source = ""
    for eqn in semantics.reads(jaxpr).eqns:
        values, source, inner = [read(v) for v in eqn.invars], outer or source_of(eqn) or source, semantics.opens(eqn)
        if inner is not None:
            inside = functools.partial(walk, inner, values, semantics, source if is_library(inner) else "")
            out = semantics.enter(eqn, inner, values, inside)
        elif eqn.primitive.name in CONTROL:
            out = semantics.follow(
                eqn,
                functools.partial(CONTROL[eqn.primitive.name], eqn, values, semantics),
                functools.partial(semantics.equation, eqn, values, source),
            )
        else:
            out = semantics.equation(eqn, values, source)
        env.update(zip(eqn.outvars, out, strict=True))
    return [read(v) for v in jaxpr.outvars]


class _Listed(Semantics):
    """The equations of a program as they are, those of what it calls or repeats left out."""

    opens = staticmethod(lambda eqn: None)

    def __init__(self) -> None:
        self.equations: list[Any] = []

    def literal(self, value, aval):
        return None

    def follow(self, eqn, inside, as_one) -> list:
        return as_one()

    def equation(self, eqn, values, source) -> list:
        self.equations.append(eqn)
        return [None] * len(eqn.outvars)


def equations(jaxpr: Jaxpr) -> list[Any]:
    """The equations of a program, in order, without those inside them."""
    listed = _Listed()
    walk(ClosedJaxpr(jaxpr, [None] * len(jaxpr.constvars)), [None] * len(jaxpr.invars), listed)
    return listed.equations


def _cond(eqn, values: Sequence[Any], semantics: Semantics) -> list:
    branches = eqn.params["branches"]
    index = min(max(semantics.decided(values[0], "branch of a cond"), 0), len(branches) - 1)
    return semantics.picked(walk(branches[index], values[1:], semantics))


def _while(eqn, values: Sequence[Any], semantics: Semantics) -> list:
    p = eqn.params
    n, m = p["cond_nconsts"], p["body_nconsts"]
    cond_consts, body_consts, carry = values[:n], values[n : n + m], list(values[n + m :])
    many = kept(p["cond_jaxpr"].out_avals[0], p["body_jaxpr"].out_avals) if p["cond_jaxpr"].out_avals[0].shape else None

    def condition() -> Any:
        return walk(p["cond_jaxpr"], [*cond_consts, *carry], semantics)[0]

    turns = 0
    while semantics.decided(going := condition(), "condition of a while loop"):
        semantics.turned(turns := turns + 1)
        new = walk(p["body_jaxpr"], [*body_consts, *carry], semantics)
        carry = walk(many, [going, *new, *carry], semantics) if many else new
    return walk(many, [going, *carry, *carry], semantics) if many else carry


def kept(going: Any, carried: Sequence[Any]) -> ClosedJaxpr:
    """What many loops at once, as `vmap` makes them, carry on: those that go on the new values, others the old."""

    def choose(going, *values):
        new, old = values[: len(carried)], values[len(carried) :]
        masks = [going.reshape(going.shape + (1,) * (x.ndim - going.ndim)) for x in new]
        return [jnp.where(m, x, y) for m, x, y in zip(masks, new, old, strict=True)]

    shapes = [jax.ShapeDtypeStruct(a.shape, a.dtype) for a in (going, *carried, *carried)]
    with jax.enable_x64(True):
        return jax.make_jaxpr(choose)(*shapes)


def scan_sizes(eqn) -> tuple[int, int]:
    """How many constants and how many carried values a scan has.

    By the ranks of its arguments, since what says so in its parameters depends on the release: what is scanned over and
    what is stacked has one axis fewer inside.
    """
    inside = eqn.params["jaxpr"].jaxpr
    scanned = sum(v.aval.ndim > w.aval.ndim for v, w in zip(eqn.invars, inside.invars, strict=True))
    stacked = sum(v.aval.ndim > w.aval.ndim for v, w in zip(eqn.outvars, inside.outvars, strict=True))
    carried = len(eqn.outvars) - stacked
    return len(eqn.invars) - carried - scanned, carried


def _scan(eqn, values: Sequence[Any], semantics: Semantics) -> list:
    p = eqn.params
    (n, m), length = scan_sizes(eqn), p["length"]
    consts, carry, xs = values[:n], values[n : n + m], values[n + m :]
    rows: list = [None] * length
    for i in range(length)[:: -1 if p["reverse"] else 1]:
        out = walk(p["jaxpr"], [*consts, *carry, *(semantics.row(x, i) for x in xs)], semantics)
        carry, rows[i] = out[:m], out[m:]
    stacked = [semantics.stacked([row[k] for row in rows], v.aval) for k, v in enumerate(eqn.outvars[m:])]
    return [*carry, *stacked]


CONTROL: dict[str, Callable[..., list]] = {"cond": _cond, "while": _while, "scan": _scan}


def wide(leaves: Sequence[Any]) -> bool:
    """Whether JAX is to keep 64 bits: it does already, or one of the arguments has them."""
    return bool(jax.config.read("jax_enable_x64")) or any(
        getattr(x, "dtype", None) in (np.float64, np.complex128) for x in leaves
    )


def trace(fn: Callable, *args) -> tuple[ClosedJaxpr, Any]:
    """The jaxpr of `fn` at these arguments and the tree of its outputs, float64 kept where an argument has it."""
    with jax.enable_x64(wide(jax.tree.leaves(args))):
        jaxpr, shape = jax.make_jaxpr(fn, return_shape=True)(*args)
    return jaxpr, jax.tree.structure(shape)
