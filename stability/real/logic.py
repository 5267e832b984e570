"""Truth values, choices and integers: the rules of what is not a real number but is computed from some."""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from flint import arb

from stability.real import _series as series
from stability.real._arithmetic import DOMAIN
from stability.real._arithmetic import first_undefined as _first_undefined
from stability.real._near import resolved
from stability.real.function import Dual, Function, as_unproven, div, guessed, is_unproven, mul
from stability.real.scalars import absolute, exp2
from stability.real.steps import COMPARISONS, truncate
from stability.real.values import (
    LITERAL_ZERO,
    ONE,
    POSITIVE_ZERO,
    UNDECIDED,
    ZERO,
    Scalar,
    Undefined,
    chosen,
    infinite,
    is_number,
    sign_of_zero,
)


def _of_guesses(rule: Callable) -> Callable:
    """A rule of truth values or integers, that gives what is not proven of such."""

    def of(*values):
        doubtful = any(map(is_unproven, values))
        return as_unproven(rule(*map(guessed, values))) if doubtful else rule(*values)

    return of


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


@_of_guesses
def as_integer(x):
    return x if isinstance(x, Undefined) else int(x)


@_of_guesses
def _and(x, y):
    return _first_undefined(x, y) if isinstance(x, Undefined) or isinstance(y, Undefined) else bool(x) and bool(y)


def logical_and(x, y):
    return False if any(not isinstance(v, Undefined) and not v for v in (x, y)) else _and(x, y)


@_of_guesses
def logical_not(x):
    return x if isinstance(x, Undefined) else not x


def logical_or(x, y):
    return logical_not(logical_and(logical_not(x), logical_not(y)))


@_of_guesses
def logical_xor(x, y):
    return _first_undefined(x, y) if isinstance(x, Undefined) or isinstance(y, Undefined) else bool(x) != bool(y)


def select(which, *cases):
    """`select_n`: the case that is not taken is never evaluated, so it does not matter what it is; a number beyond the
    cases takes the last, as JAX has it."""
    if isinstance(which, Undefined):
        return which if which.guess is None else as_unproven(select(which.guess, *cases))
    return chosen(cases[min(max(int(which), 0), len(cases) - 1)])


@_of_guesses
def from_integer(n) -> Scalar:
    """An integer or a truth value as a real number; False is a chosen zero (Iverson's bracket)."""
    if isinstance(n, Undefined):
        return n
    if isinstance(n, bool | np.bool_):
        return ONE if n else ZERO
    return arb(int(n)) if n else POSITIVE_ZERO


def identity(x):
    return x


def _signbit(x) -> bool | Undefined:
    if isinstance(x, Undefined) or x != 0:
        return COMPARISONS["lt"](x, arb(0))
    sign = sign_of_zero(x)
    return UNDECIDED if sign is None else sign < 0


def _is_below_zero(x):
    return COMPARISONS["lt"](x, arb(0))


signbit = Function(_signbit, series=_is_below_zero, native=_is_below_zero)
"""Whether a number has the sign bit; of a zero that was computed it is not known."""


def value_of(x):
    """A number without its derivatives."""
    return value_of(x.value) if isinstance(x, Dual) else x


def exponent(x) -> int | Undefined:
    """`e` of `x = m 2**e`, `1/2 <= |m| < 1`, as `frexp` has it: 0 for the zeros and infinities."""
    number = series.limit(value_of(x))
    if isinstance(number, Undefined) or not is_number(number):
        return number if isinstance(number, Undefined) else UNDECIDED
    if infinite(number) or number == 0:
        return 0
    mantissa, power = resolved(number).mid().man_exp()
    guess, size = int(power) + int(mantissa).bit_length(), absolute(x)
    for e in (guess, guess + 1, guess - 1):
        low, high = arb(2) ** (e - 1), arb(2) ** e
        if COMPARISONS["ge"](size, low) is True and COMPARISONS["lt"](size, high) is True:
            return e
    return UNDECIDED


def mantissa(x):
    """`m` of the same; a zero, an infinity and what is no number are themselves. It has no limit at 0."""
    e = exponent(x)
    if isinstance(e, Undefined):
        return e
    varies = isinstance(x, Dual | series.Series)
    return DOMAIN if varies and series.limit(value_of(x)) == 0 else div(x, arb(2) ** e)


def ldexp(x, n):
    """`x 2**n`."""
    return mul(x, exp2(n))
