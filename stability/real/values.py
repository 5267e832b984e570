"""What a real number can be in evaluation over the reals: a ball, an infinity, or undefined."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from flint import arb

from stability.real._near import Near


@dataclass(frozen=True)
class Undefined:
    """No real number: `kind` says why.

    `undecided` is the kind of what a higher precision may still decide, and what begins so and tells why it is not
    decided; every other kind is certain: `zero_over_zero`, `pole` (a nonzero number over 0, log 0),
    `zero_times_infinity`, `infinity_minus_infinity`, `infinity_over_infinity`, `unsigned_infinity` (of what hangs on
    the sign of a pole), `domain`, `nan` (of an input).
    `sign` is that of a pole at the end of a program, where all limits are one infinity. `guess` is what wider floats
    make of something undecided that is no float: a truth value or an integer that is not proven.
    """

    kind: str
    sign: int = 0
    guess: Any = field(default=None, compare=False)

    @property
    def certain(self) -> bool:
        return not self.kind.startswith("undecided")


class Undecided(ArithmeticError):
    """A branch of the program hangs on a truth value that is none.

    **Attributes:** `value` what it is instead: undecided at this precision, or of something that has no value.
    """

    def __init__(self, value: Undefined, what: str):
        super().__init__(f"the {what} is {value.kind}")
        self.value = value


Scalar = Any
"""A real number, an infinity or what is neither: `arb | Near | Undefined`."""

UNDECIDED = Undefined("undecided")
MOST_TURNS = 10_000
ENDLESS = Undefined(f"undecided: a loop of over {MOST_TURNS} turns")
"""What a loop gives that is not followed to its end: one that ends by rounding alone has none over the reals."""
ONE = arb(1)
INFINITY = arb.pos_inf()
MINUS_INFINITY = arb.neg_inf()

LITERAL_ZERO = arb(0)
"""The 0.0 that the program's text spells out; known by identity."""

ZERO = arb(0)
"""A zero that was *chosen*: picked by a select, a mask or a pad, never computed. Known by identity."""

POSITIVE_ZERO, NEGATIVE_ZERO = arb(0), arb(0)
"""A zero that is given as a float, with the sign that it has there. Known by identity."""


def chosen(x):
    """What a choice makes of a value: a zero that the program spells out becomes `ZERO`."""
    return ZERO if x is LITERAL_ZERO else x


def sign_of_zero(x) -> int | None:
    """The sign of a zero as a float has it, where that is known: of one that is given, and was not computed."""
    return -1 if x is NEGATIVE_ZERO else 1 if any(x is z for z in (POSITIVE_ZERO, LITERAL_ZERO, ZERO)) else None


def infinite(x: arb) -> bool:
    """Whether `x` is one of the two infinities, which are exact, rather than a number or an unbounded ball."""
    return not x.is_finite() and x.is_exact() and not x.is_nan()


def is_number(x) -> bool:
    """Whether `x` is a real number or an infinity, held as a ball or near an exact number."""
    return isinstance(x, arb | Near)


def is_nan(x) -> bool:
    """Whether a float would certainly be NaN here."""
    return isinstance(x, Undefined) and x.kind not in ("undecided", "pole")


def real(x: float) -> Scalar:
    """A float as a real number: exact."""
    x = float(x)
    if x == 0:
        return NEGATIVE_ZERO if math.copysign(1, x) < 0 else POSITIVE_ZERO
    return Undefined("nan") if x != x else arb(x)


def array(values, shape: tuple[int, ...]) -> np.ndarray:
    """An object array of this shape from a flat sequence."""
    out = np.empty(len(values), object)
    out[:] = values
    return out.reshape(shape)
