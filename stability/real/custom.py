"""Which functions a program calls at a point: of a library by their meaning, and with derivative rules of a user's."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import flint
import jax
from jax.extend.core import ClosedJaxpr

from stability.real.evaluate import FIRST_PRECISION, prepared
from stability.real.meanings._table import MEANING
from stability.real.reals import Letter, Reals, lift
from stability.real.values import Undecided
from stability.real.walk import dtype_of, is_library, opened, walk


class _Rules(Letter):
    """Real numbers; notes the calls that have rules of a user's."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def enter(self, eqn, inner, values, inside):
        if eqn.primitive.name in ("custom_jvp_call", "custom_vjp_call") and not is_library(inner):
            self.found.append(opened(inner)[0].debug_info.func_src_info or "a function")
        return inside()


class _Named(Reals):
    """Real numbers; notes the functions of libraries and the lines that call them."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, str]] = []

    def equation(self, eqn, values, source):
        if eqn.primitive is MEANING:
            self.found.append((eqn.params["named"], source))
        return super().equation(eqn, values, source)


def named_functions(jaxpr: ClosedJaxpr, leaves: Sequence[Any]) -> list[tuple[str, str]]:
    """The functions of libraries that a jaxpr calls at a point, in order: name, and source line of the call."""
    return _called_at(jaxpr, leaves, _Named())


def custom_rules(fn: Callable, *args) -> list[str]:
    """The functions with custom derivative rules of a user's that `fn` calls at a point, `name at file:line`."""
    jaxpr, _, leaves, _ = prepared(fn, args, None)
    return _called_at(jaxpr, leaves, _Rules())


def _called_at(jaxpr: ClosedJaxpr, leaves: Sequence[Any], semantics: _Rules | _Named) -> list:
    with flint.ctx.workprec(FIRST_PRECISION), jax.enable_x64(True):
        held = [lift(x, dtype_of(v)) for x, v in zip(leaves, jaxpr.jaxpr.invars, strict=True)]
        with contextlib.suppress(Undecided):
            walk(jaxpr, held, semantics)
    return list(dict.fromkeys(semantics.found))
