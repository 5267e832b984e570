"""The words that meanings and their slopes are written in: functions of the primitives, constants, and how a rule is
made from a function of balls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flint import arb

from stability.real._arithmetic import DOMAIN, POLE, at_pole, first_undefined, is_pole
from stability.real._arithmetic import checked as finite_or_undecided
from stability.real._near import flat
from stability.real.function import add, div, mul, neg, sub
from stability.real.powers import power
from stability.real.scalars import (
    absolute,
    cos,
    exp,
    exp2,
    expm1,
    integer_pow,
    log,
    log1p,
    logistic,
    sin,
    square,
    tanh,
)
from stability.real.steps import maximum, minimum
from stability.real.values import ONE, UNDECIDED, Scalar, Undefined, infinite

Rule = Callable[..., Any]
Limit = Scalar | Callable[[], Scalar] | None

reciprocal = integer_pow(-1)


def log_two() -> arb:
    return arb.const_log2()


def log_ten() -> arb:
    return arb.const_log10()


def root_pi() -> arb:
    return arb.const_sqrt_pi()


def root_two() -> arb:
    return arb(2).sqrt()


def root_two_pi() -> arb:
    return (2 * arb.pi()).sqrt()


def product(*factors):
    """The product of real numbers or series."""
    total = factors[0]
    for f in factors[1:]:
        total = mul(total, f)
    return total


def checked(y) -> Scalar:
    return y if isinstance(y, Undefined) else finite_or_undecided(y)


def _limit(value: Limit) -> Scalar:
    return DOMAIN if value is None else _known(value)


def _known(value: Limit) -> Scalar | None:
    return value() if callable(value) else value


def unary(at: Callable[[Any], Any], above: Limit = None, below: Limit = None, outside=None) -> Rule:
    """The rule of a function of one real number.

    **Arguments:** `at` its value at a number; `above` and `below` its limits at the two infinities, `None` where there
    is none; `outside` says of a number where there is no finite value why, or the infinite limit, else `None`.
    """

    def rule(x: Scalar) -> Scalar:
        if isinstance(x, Undefined):
            return at_pole(_known(above), _known(below), outside) if is_pole(x) else x
        if infinite(x):
            return _limit(above if x > 0 else below)
        instead = outside(x) if outside else None
        return checked(at(x)) if instead is None else instead

    return rule


def finite(at: Callable[..., Any], outside=None, limit=None) -> Rule:
    """The rule of a function of several real numbers: its value at finite ones.

    **Arguments:** `outside` as of `unary`; `limit` the value where an argument is infinite (none: undecided).
    """

    def rule(*args: Scalar) -> Scalar:
        if any(isinstance(a, Undefined) for a in args):
            return first_undefined(*args)
        if any(infinite(a) for a in args):
            return UNDECIDED if limit is None else limit(*args)
        why = outside(*args) if outside else None
        return checked(at(*map(flat, args))) if why is None else why

    return rule


NARROW = 24
"""Bits of a ball from which on Arb's integrals and Bessel functions are quick; around a wide one they take up to a
second."""


def is_wide(x: arb) -> bool:
    """Whether a function is quicker at the ends of a ball than of the ball."""
    return not x.is_exact() and x.rel_accuracy_bits() < NARROW


def whole(x) -> bool:
    """Whether a number is certainly an integer."""
    return x.is_exact() and x.is_integer()


def pole_of_gamma(x) -> Undefined | None:
    return POLE if x <= 0 and whole(x) else None


__all__ = [
    "DOMAIN",
    "ONE",
    "POLE",
    "absolute",
    "add",
    "checked",
    "cos",
    "div",
    "exp",
    "exp2",
    "expm1",
    "finite",
    "first_undefined",
    "is_wide",
    "log",
    "log1p",
    "log_ten",
    "log_two",
    "logistic",
    "maximum",
    "minimum",
    "mul",
    "neg",
    "pole_of_gamma",
    "power",
    "product",
    "reciprocal",
    "root_pi",
    "root_two",
    "root_two_pi",
    "sin",
    "square",
    "sub",
    "tanh",
    "unary",
    "whole",
]
