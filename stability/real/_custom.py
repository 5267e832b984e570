"""Which of the functions that a program calls have derivative rules that a user wrote."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import flint
import jax

from stability.real._evaluate import FIRST_PRECISION, prepared
from stability.real._reals import Letter, lift
from stability.real._values import Undecided
from stability.real._walk import is_library, opened, walk


class _Rules(Letter):
    """Real numbers; notes the calls that have rules of a user's."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def enter(self, eqn, inner, values, inside):
        if eqn.primitive.name in ("custom_jvp_call", "custom_vjp_call") and not is_library(inner):
            self.found.append(opened(inner)[0].debug_info.func_src_info or "a function")
        return inside()


def custom_rules(fn: Callable, *args) -> list[str]:
    """The functions with custom derivative rules of a user's that `fn` calls at a point, `name at file:line`."""
    jaxpr, _, leaves, _ = prepared(fn, args, None)
    rules = _Rules()
    with flint.ctx.workprec(FIRST_PRECISION), jax.enable_x64(True):
        held = [lift(x, v.aval.dtype) for x, v in zip(leaves, jaxpr.jaxpr.invars, strict=True)]
        with contextlib.suppress(Undecided):
            walk(jaxpr, held, rules)
    return list(dict.fromkeys(rules.found))
