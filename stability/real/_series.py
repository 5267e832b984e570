"""Power series in ε over the reals, ε positive and as small as one likes.

`Σ_k c[k] ε**(start + k) + o(ε**(end - 1))`, `end = start + len(c)`. Comparisons are of the first coefficients that
differ, and dividing by a series that begins with zeros gives one that begins with negative powers. So kinks have two
one-sided values, removable holes their limits, and poles their signs.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from flint import arb

from stability.real import _arithmetic as plain
from stability.real.values import INFINITY, MINUS_INFINITY, UNDECIDED, ZERO, Scalar, Undefined, infinite


def is_number(x: Any) -> bool:
    """Whether a coefficient is a finite real number."""
    return not isinstance(x, Undefined) and not infinite(x)


def is_zero(x: Scalar) -> bool:
    return not isinstance(x, Undefined) and x == 0


class Seen:
    """**Attributes:** `singular` how often a series came to where a function is not smooth: a comparison of equal
    numbers, which the direction of ε decided, a division by what begins with 0, an infinite slope."""

    def __init__(self) -> None:
        self.singular = 0

    def at(self, x: Scalar) -> None:
        """Counts a limit that is no number."""
        self.singular += infinite(x) if not isinstance(x, Undefined) else x.certain


seen = Seen()


class Series:
    """**Attributes:** `c` the coefficients, finite numbers the first of which is not known to be 0; or one alone that
    is an infinity or `Undefined`: the limit, of which nothing more is known but that it is `slow`, as a logarithm: less
    than any power of 1/ε: it is `special`. `start` is the power of the first."""

    __slots__ = ("c", "slow", "special", "start")

    def __init__(self, c: Sequence[Scalar], start: int = 0, slow: bool = False):
        self.slow = slow and len(c) == 1 and not isinstance(c[0], Undefined) and infinite(c[0])
        known = 0
        while known < len(c) and is_number(c[known]):
            known += 1
        self.special = known == 0 and len(c) > 0 and start <= 0
        if self.special:
            self.c, self.start = (c[0],), 0
            return
        zeros = 0
        while zeros < known and is_zero(c[zeros]):
            zeros += 1
        self.c, self.start = tuple(c[zeros:known]), start + zeros

    def __repr__(self) -> str:
        return f"Series({self.c}, {self.start})"

    @property
    def end(self) -> int:
        return self.start + len(self.c)

    def at(self, power: int) -> Scalar:
        """The coefficient of a power of ε; `UNDECIDED` where it is not known."""
        if self.special:
            return UNDECIDED
        if power < self.start:
            return arb(0)
        return self.c[power - self.start] if power < self.end else UNDECIDED

    def limit(self) -> Scalar:
        """The value at ε = 0."""
        if self.special:
            return self.c[0]
        if self.start > 0:
            return arb(0)
        if self.start == 0:
            return self.c[0] if self.c else UNDECIDED
        return self.direction(INFINITY, MINUS_INFINITY, UNDECIDED)

    def direction(self, positive, negative, unknown):
        """One of three, by the sign that the series has for small ε."""
        if not self.c or isinstance(self.c[0], Undefined):
            return unknown
        return positive if self.c[0] > 0 else negative if self.c[0] < 0 else unknown

    def direction_from_limit(self) -> int:
        """The sign of what the series is over its value at ε = 0; 0 where that is not known."""
        return (Series(self.c[1:], 1) if self.start == 0 else self).direction(1, -1, 0)

    def cut(self, order: int) -> Series:
        """Without the terms beyond `ε**order`."""
        if self.end <= order + 1:
            return self
        return Series(self.c[: max(order + 1 - self.start, 0)], min(self.start, order + 1))

    def derivative(self) -> Series:
        """By ε."""
        return Series([plain.mul(x, arb(self.start + k)) for k, x in enumerate(self.c)], self.start - 1)


class Logarithm(Series):
    """`factor log ε + rest`, an infinity in the limit, of which more is known: its exponential is a power.

    **Attributes:** `factor` a number that is not 0; `rest` a series without a pole.
    """

    __slots__ = ("factor", "rest")

    def __init__(self, factor: Scalar, rest: Series):
        super().__init__([MINUS_INFINITY if factor > 0 else INFINITY], slow=True)
        self.factor, self.rest = factor, rest

    def derivative(self) -> Series:
        """By ε: `factor/ε` and the derivative of the rest."""
        rest = self.rest.derivative()
        return Series([self.factor, *(rest.at(k) for k in range(rest.end))], -1)


def logarithm(factor: Scalar, rest: Series) -> Series:
    """`factor log ε + rest`."""
    if factor == 0:
        return rest
    known = (factor > 0 or factor < 0) and rest.start >= 0 and not rest.special
    return Logarithm(factor, rest) if known else Series([UNDECIDED])


def of_logarithms(x: Any, y: Any) -> bool:
    """Whether one is a `Logarithm`, and the other one too, or a number, or a series without a pole."""
    if not (isinstance(x, Logarithm) or isinstance(y, Logarithm)):
        return False
    return all(
        isinstance(v, Logarithm) or (v.start >= 0 and not v.special if isinstance(v, Series) else is_number(v))
        for v in (x, y)
    )


def sum_of_logarithms(x: Any, y: Any) -> Series:
    factors = [v.factor if isinstance(v, Logarithm) else arb(0) for v in (x, y)]
    rests = [v.rest if isinstance(v, Logarithm) else v for v in (x, y)]
    return logarithm(plain.add(*factors), add(*rests))  # type: ignore[arg-type]


def scaled_logarithm(x: Logarithm, y: Scalar | Series) -> Any:
    """A product: `ε**n log ε` is `o(ε**(n - 1))`."""
    if not isinstance(y, Series):
        return y if is_zero(y) else logarithm(plain.mul(x.factor, y), mul(x.rest, y))  # type: ignore[arg-type]
    if y.start > 0 or not y.c:
        return Series([], y.start)
    varies = next((k for k, c in enumerate(y.c) if k and not is_zero(c)), y.end)
    rest = mul(x.rest, y)
    assert isinstance(rest, Series)
    return logarithm(plain.mul(x.factor, y.c[0]), rest.cut(varies - 1))


def exponential(x: Logarithm, exp: Callable[[Series], Series]) -> Series:
    """`ε**factor` times the exponential of the rest."""
    if not (x.factor.is_exact() and x.factor.is_integer()):
        return Series([], 1) if x.factor > 0 else Series([INFINITY])
    rest = exp(x.rest)
    return Series(rest.c, rest.start + whole(x.factor))


def constant(x: Scalar, end: int) -> Series:
    """A real number as a series."""
    return Series([x, *[arb(0)] * (end - 1)] if is_number(x) else [x])


def limit(x: Scalar | Series) -> Scalar:
    return x.limit() if isinstance(x, Series) else x


def is_slow(*args: Scalar | Series) -> bool:
    """Whether an infinity made of these is slow: none of them is a pole."""
    return all(x.slow or (not x.special and x.start >= 0) if isinstance(x, Series) else is_number(x) for x in args)


def add(x: Scalar | Series, y: Scalar | Series) -> Scalar | Series:
    if x is ZERO or y is ZERO:
        return y if x is ZERO else x
    if of_logarithms(x, y):
        return sum_of_logarithms(x, y)
    if not isinstance(x, Series):
        x, y = y, x
    assert isinstance(x, Series)
    if not isinstance(y, Series):
        if x.special or not is_number(y):
            total = plain.add(x.limit(), y)
            return total if x.start >= 0 and not x.special else Series([total], slow=is_slow(x, y))
        y = constant(y, max(x.end, 1))
    if x.special or y.special:
        return Series([plain.add(x.limit(), y.limit())], slow=is_slow(x, y))
    if x.start > y.start:
        x, y = y, x
    alone = y.start - x.start
    both = [plain.add(a, b) for a, b in zip(x.c[alone:], y.c, strict=False)]
    return Series([*x.c[:alone], *both], x.start)


def neg(x: Series) -> Series:
    if isinstance(x, Logarithm):
        return logarithm(plain.neg(x.factor), neg(x.rest))
    return Series([plain.neg(c) for c in x.c], x.start, x.slow)


def mul(x: Scalar | Series, y: Scalar | Series) -> Scalar | Series:
    if x is ZERO or y is ZERO:
        return ZERO
    if of_logarithms(x, y) and not (isinstance(x, Logarithm) and isinstance(y, Logarithm)):
        return scaled_logarithm(x, y) if isinstance(x, Logarithm) else scaled_logarithm(y, x)  # type: ignore[arg-type]
    if not isinstance(x, Series):
        x, y = y, x
    assert isinstance(x, Series)
    if not isinstance(y, Series):
        if x.special and isinstance(x.c[0], Undefined):
            return x
        if is_zero(y):
            return y
        if x.special or not is_number(y):
            return Series([plain.mul(x.limit(), y)], slow=is_slow(x, y))
        return Series([plain.mul(c, y) for c in x.c], x.start)
    if x.slow and not y.special and y.start > 0:
        return Series([], y.start)
    if y.slow and not x.special and x.start > 0:
        return Series([], x.start)
    if x.special or y.special:
        return Series([plain.mul(x.limit(), y.limit())], slow=is_slow(x, y))
    if not x.c and not y.c:
        return Series([], x.start + y.start - 1)
    n = min(len(x.c), len(y.c))
    return Series([total([plain.mul(x.c[i], y.c[k - i]) for i in range(k + 1)]) for k in range(n)], x.start + y.start)


def total(terms: Sequence[Scalar]) -> Scalar:
    return functools.reduce(plain.add, terms)


def div(x: Scalar | Series, y: Scalar | Series) -> Scalar | Series:
    if isinstance(x, Logarithm) and not isinstance(y, Series) and is_number(y) and not is_zero(y):
        return scaled_logarithm(x, plain.div(arb(1), y))
    if x is ZERO:
        return ZERO
    if not isinstance(y, Series):
        assert isinstance(x, Series)
        if x.special or not is_number(y) or is_zero(y):
            pole = is_zero(y) and not x.special
            out = x.direction(plain.POLE, plain.POLE, UNDECIDED) if pole else plain.div(x.limit(), y)
            seen.at(out)
            return Series([out], slow=is_slow(x, y) and not is_zero(y))
        return Series([plain.div(c, y) for c in x.c], x.start)
    if isinstance(x, Series) and x.special and not isinstance(x.c[0], Undefined) and y.c and not y.special:
        return mul(x, div(arb(1), y))
    if y.special or (isinstance(x, Series) and x.special):
        return Series([plain.div(limit(x), y.limit())])
    if not isinstance(x, Series):
        if not is_number(x):
            return Series([plain.div(x, y.limit())])
        if is_zero(x):
            return y.direction(x, x, Series([UNDECIDED]))
        x = constant(x, max(len(y.c), 1))
    seen.singular += y.start != 0
    if not y.c or not (y.c[0] > 0 or y.c[0] < 0):
        return Series([UNDECIDED])
    quotient: list[Scalar] = []
    for k in range(min(len(x.c), len(y.c))):
        known = [plain.neg(plain.mul(quotient[i], y.c[k - i])) for i in range(k)]
        quotient.append(plain.div(total([x.c[k], *known]), y.c[0]))
    return Series(quotient, x.start - y.start)


def integrated(first: Scalar, slope: Scalar | Series, end: int) -> Series:
    """The series that begins with `first` and has the derivative `slope`, up to `end`."""
    if not isinstance(slope, Series):
        slope = constant(slope, max(end - 1, 1))
    terms = []
    for k in range(min(slope.end, end - 1)):
        term = slope.at(k)
        terms.append(plain.div(term, arb(k + 1)))
    return Series([first, *terms])


def expanded(taylor: Callable[[int], Scalar], x: Series) -> Any:
    """A function with the Taylor coefficients `taylor(k)` at the value of `x`, of a series without a pole."""
    step = Series([arb(0), *x.c[1:]]) if x.start == 0 else x
    if not step.c:
        return Series([taylor(0)])
    order = (step.end - 1) // step.start
    out: Any = constant(taylor(order), step.end)
    for k in reversed(range(order)):
        out = add(taylor(k), mul(step, out))
    return out


def whole(x: arb) -> int:
    """An exact integer as one of Python's."""
    n = x.unique_fmpz()
    assert n is not None
    return int(n)


def power(x: Series, exponent: arb, first, root: int = 1) -> Series:
    """`x**exponent` for a series with a positive first coefficient; `first` gives that of a number.

    An exponent that is no float is `1/root`.
    """
    shift = arb(x.start // root) if root > 1 and x.start % root == 0 else exponent * x.start
    seen.singular += x.start != 0
    if not x.c or not x.c[0] > 0:
        return Series([UNDECIDED])
    if not (shift.is_exact() and shift.is_integer()):
        positive = bool(exponent > 0) == (x.start > 0)
        return Series([], 1) if positive else Series([INFINITY])
    c, out = x.c, [first(x.c[0])]
    for k in range(1, len(c)):
        terms = [plain.mul(plain.mul(c[i], out[k - i]), exponent * i - (k - i)) for i in range(1, k + 1)]
        out.append(plain.div(total(terms), plain.mul(c[0], arb(k))))
    return Series(out, whole(shift))
