"""Truth values, choices and integers: the rules of what is not a real number but is computed from some."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from flint import arb

from stability.real import _series as series
from stability.real._arithmetic import first_undefined as _first_undefined
from stability.real._function import Function
from stability.real._scalars import COMPARISONS, truncate
from stability.real._values import LITERAL_ZERO, ONE, ZERO, Scalar, Undefined, chosen


def to_integer(dtype) -> Function:
    """A real number truncated to an integer of a dtype, or the nearest that it has: a `convert_element_type` to one."""
    least, most = int(jnp.iinfo(dtype).min), int(jnp.iinfo(dtype).max)

    def rule(x) -> int | Undefined:
        at = series.limit(x)
        if isinstance(at, Undefined):
            return Undefined("unsigned_infinity") if at.kind == "pole" else at
        if at > most or at < least:
            return most if at > 0 else least
        whole = series.limit(truncate(x))
        return whole if isinstance(whole, Undefined) else int(whole.unique_fmpz())

    return Function(rule, series=rule)


def is_nonzero(x):
    return COMPARISONS["ne"](x, LITERAL_ZERO)


def as_integer(x):
    return x if isinstance(x, Undefined) else int(x)


def logical_and(x, y):
    if any(not isinstance(v, Undefined) and not v for v in (x, y)):
        return False
    return _first_undefined(x, y) if isinstance(x, Undefined) or isinstance(y, Undefined) else True


def logical_not(x):
    return x if isinstance(x, Undefined) else not x


def logical_or(x, y):
    return logical_not(logical_and(logical_not(x), logical_not(y)))


def logical_xor(x, y):
    return _first_undefined(x, y) if isinstance(x, Undefined) or isinstance(y, Undefined) else bool(x) != bool(y)


def select(which, *cases):
    """`select_n`: the case that is not taken is never evaluated, so it does not matter what it is."""
    return which if isinstance(which, Undefined) else chosen(cases[int(which)])


def from_integer(n) -> Scalar:
    """An integer or a truth value as a real number; False is a chosen zero (Iverson's bracket)."""
    if isinstance(n, Undefined):
        return n
    if isinstance(n, bool | np.bool_):
        return ONE if n else ZERO
    return arb(int(n))


def identity(x):
    return x
