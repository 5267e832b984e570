"""Functions over the reals: one text for balls, for power series over balls, and for numbers that are not proven.

A `Function` has a *rule*, which takes real numbers and gives one, and a *slope* for each argument: its partial
derivative there, written in other functions. So a power series goes through any function by

    f(s(ε)) = f(s(0)) + ∫ Σ_i ∂_i f(s(ε)) s_i'(ε) dε,

the integrand needing one order less than the result; nothing else is needed for derivatives of any order.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import flint
import numpy as np
from flint import arb, arb_series

from stability.real import _arithmetic as plain
from stability.real import _series as series
from stability.real._near import flat
from stability.real._series import Series
from stability.real.values import ONE, UNDECIDED, Scalar, Undefined, infinite

Rule = Callable[..., Any]


class Open(ArithmeticError):
    """A quicker way to a number can't tell; the slower one may."""


@contextmanager
def terms(n: int) -> Iterator[None]:
    """Within it Arb's power series have `n` terms, or more."""
    cap = flint.ctx.cap
    flint.ctx.cap = max(cap, n)
    try:
        yield
    finally:
        flint.ctx.cap = cap


class Estimate:
    """A number that was computed in wider floats, and is not proven; what is computed from it is not either."""

    __slots__ = ("value",)

    def __init__(self, value: Scalar):
        self.value = value

    def __repr__(self) -> str:
        return f"Estimate({self.value})"


def is_unproven(x: Any) -> bool:
    """Whether something was computed in wider floats."""
    return isinstance(x, Estimate) or (isinstance(x, Undefined) and x.guess is not None)


def as_unproven(x: Any) -> Any:
    """A number, a truth value or an integer as what is not proven."""
    if isinstance(x, Complex):
        return Complex(as_unproven(x.re), as_unproven(x.im))
    if is_unproven(x) or x is UNDECIDED:
        return x
    return Undefined("undecided", guess=x) if isinstance(x, Undefined | int | np.generic) else Estimate(x)


def guessed(x: Any) -> Any:
    """What is not proven as if it were."""
    return x.value if isinstance(x, Estimate) else x.guess if is_unproven(x) else x


class Dual:
    """A number and its derivative, where the number may be infinite or have no value and the derivative still has one.

    Either may be a real number, a series, or a dual again, for the next order.
    """

    __slots__ = ("slope", "value")

    def __init__(self, value: Any, slope: Any):
        self.value, self.slope = value, slope

    def __repr__(self) -> str:
        return f"Dual({self.value}, {self.slope})"


def dual(x: Any, slope: Scalar, order: int) -> Any:
    """A number as one of which every slope up to an order is known: itself, `slope`, 0, ..."""
    for n in range(order):
        x = Dual(x, slope if n == 0 else Dual(slope, arb(0)))
    return x


class Complex:
    """A complex number, its parts real ones."""

    __slots__ = ("im", "re")

    def __init__(self, re: Any, im: Any):
        self.re, self.im = re, im

    def __repr__(self) -> str:
        return f"Complex({self.re}, {self.im})"


def parts(x: Any) -> tuple[Any, ...]:
    """The real numbers that a number is made of."""
    return (x.re, x.im) if isinstance(x, Complex) else (x,)


BALLS_AND_SERIES = frozenset({arb, arb_series})
"""What most numbers are, which no function has to look at twice."""


class Function:
    """A function of real numbers.

    **Arguments:** `rule` takes real numbers (balls, numbers near an exact one, infinities for limits, `Undefined`) and
    gives one; `slopes` the partial derivatives, one an argument, as texts in other functions, `None` where it is not
    known, and none at all where the result is a truth value or an integer; `series` what replaces the slopes where the
    function is not smooth, or can do better: from arguments of which one at least is a `Series`, the resulting one;
    `native` the same of Arb's own power series, at a point where the function is smooth, else it raises `Open`; by the
    slopes where neither is given.
    """

    complex: Callable[..., Any] | None = None
    """What it is of complex numbers (`_complex`); undecided where that is not known."""

    def __init__(
        self,
        rule: Rule,
        *slopes: Rule | None,
        series: Callable[..., Any] | None = None,
        native: Callable[..., Any] | None = None,
    ):
        self.rule, self.slopes, self.series, self.native = rule, slopes, series, native

    def __call__(self, *args):
        kinds = set(map(type, args))
        if kinds <= BALLS_AND_SERIES:
            return self.of_native(args) if arb_series in kinds else self.rule(*args)
        for a in args:
            if isinstance(a, Complex):
                return UNDECIDED if self.complex is None else self.complex(*args)
        for a in args:
            if isinstance(a, Dual):
                return self._dual(args)
            if isinstance(a, Estimate):
                return self._estimated(args)
        for a in args:
            if isinstance(a, Series):
                return composed(self, args) if self.series is None else self.series(*args)
            if type(a) is arb_series:
                return self.of_native(args)
        return self.rule(*args)

    def of_native(self, args: Sequence[Any]):
        """The power series of Arb's own of arguments of which one at least is such. **Raises:** `Open`."""
        if self.native is not None:
            return _all_finite(self.native(*args))
        if self.series is not None:
            raise Open
        return _all_finite(along_slopes(self, args))

    def _dual(self, args: Sequence[Any]):
        values = [a.value if isinstance(a, Dual) else a for a in args]
        out = self(*values)
        if not self.slopes:
            return out
        slope: Any = None
        for i, a in enumerate(args):
            if isinstance(a, Dual):
                text = self.slopes[i]
                term = UNDECIDED if text is None else mul(text(*values), a.slope)
                slope = term if slope is None else add(slope, term)
        return Dual(out, slope)

    def _estimated(self, args: Sequence[Any]):
        return as_unproven(self(*(a.value if isinstance(a, Estimate) else a for a in args)))


def is_finite(x: Scalar) -> bool:
    """Whether a limit is a number."""
    return not isinstance(x, Undefined) and not infinite(x)


def composed(f: Function, args: Sequence[Any]) -> Series:
    """A smooth function of series: by its slopes, or its limit alone where an argument has none, or an infinite one."""
    limits = [series.limit(a) for a in args]
    first = f.rule(*limits)
    varying = [i for i, a in enumerate(args) if isinstance(a, Series)]
    end = min(args[i].end for i in varying)
    series.seen.at(first)
    if len(args) == 1 and not isinstance(first, Undefined) and infinite(first) and is_finite(limits[0]):
        beside = f.rule(limits[0] + arb(args[0].direction_from_limit()) / 2**100)
        return Series([beside if isinstance(beside, Undefined) else first])
    if len(args) == 1 and isinstance(first, Undefined) and not isinstance(limits[0], Undefined) and infinite(limits[0]):
        beside = f.rule(limits[0].sgn() * arb(2) ** 100)
        return Series([first if isinstance(beside, Undefined) else UNDECIDED])
    if not is_finite(first) or not all(map(is_finite, limits)) or end <= 1:
        return Series([first])
    slope: Any = UNDECIDED
    for n, i in enumerate(varying):
        text = f.slopes[i] if i < len(f.slopes) else None
        if text is None:
            return Series([first])
        partial = text(*(limits if end == 2 else [a.cut(end - 2) if isinstance(a, Series) else a for a in args]))
        term = series.mul(partial, args[i].derivative())
        slope = term if n == 0 else series.add(slope, term)
    series.seen.at(series.limit(slope))
    return series.integrated(first, slope, end)


def _all_finite(x: Any) -> Any:
    """What has only finite coefficients, as a zero would hide others, or is an infinity. **Raises:** `Open`."""
    if type(x) is arb_series:
        for k in range(x.length()):
            if not x[k].is_finite():
                raise Open
    elif isinstance(x, arb) and not (x.is_finite() or infinite(x)):
        raise Open
    return x


def moved(x: arb_series) -> arb_series:
    """A power series of Arb's own without its value."""
    return arb_series([0, *(x[k] for k in range(1, x.prec))], prec=x.prec)


def along_slopes(f: Function, args: Sequence[Any]) -> arb_series | arb:
    """A smooth function of power series of Arb's own, by its slopes. **Raises:** `Open`."""
    varying = [i for i, a in enumerate(args) if type(a) is arb_series]
    end = min(args[i].prec for i in varying)
    if end <= 1:
        return constant_of(f.rule(*map(constant_of, args)))
    slope: Any = None
    for i in varying:
        text = f.slopes[i] if i < len(f.slopes) else None
        if text is None:
            raise Open
        partial = text(*(_cut(a, end - 1) for a in args))
        term = _as_native(partial) * args[i].derivative()
        slope = term if slope is None else slope + term
    return slope.integral() + constant_of(f.rule(*map(constant_of, args)))


def _cut(a: Any, end: int) -> Any:
    """Without the terms from a power on."""
    if type(a) is not arb_series:
        return a
    return a[0] if end == 1 else arb_series([a[k] for k in range(end)], prec=end)


def constant_of(x: Any) -> arb:
    """The value of a power series of Arb's own, or a number as it is. **Raises:** `Open` where it is no finite ball."""
    value = x[0] if type(x) is arb_series else flat(x)
    if not isinstance(value, arb) or not value.is_finite():
        raise Open
    return value


def _as_native(x: Any) -> Any:
    return x if type(x) is arb_series else constant_of(x)


def _of_two(operation: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda x, y: operation(_as_native(x), _as_native(y))


def smoothly(f: Function) -> Function:
    """A function whose power series of Arb's own is by its slopes, though it has a text for others."""
    f.native = lambda *args: along_slopes(f, args)
    return f


def one(*_) -> Scalar:
    return ONE


def zero(*_) -> Scalar:
    return arb(0)


def _add_native(x: Any, y: Any) -> Any:
    for v, other in ((x, y), (y, x)):
        if isinstance(v, arb) and infinite(v):
            constant_of(other)
            return v
    return _as_native(x) + _as_native(y)


add = Function(plain.add, one, one, series=series.add, native=_add_native)
mul = Function(plain.mul, lambda x, y: y, lambda x, y: x, series=series.mul, native=_of_two(operator.mul))


div: Function = Function(
    plain.div,
    lambda x, y: div(ONE, y),
    lambda x, y: neg(div(x, mul(y, y))),
    series=series.div,
    native=_of_two(operator.truediv),
)
neg: Function = Function(plain.neg, lambda x: -ONE, series=series.neg, native=operator.neg)


class Held:
    """Whether a power series of Arb's own that varies went through `constant` since this was set to false."""

    varies = False


def _held(x: Any) -> arb:
    if type(x) is arb_series and any(not (x[k].is_exact() and x[k] == 0) for k in range(1, x.prec)):
        Held.varies = True
    return constant_of(x)


class _Constant(Function):
    """Of dual numbers of power series: itself without its slopes, so that it varies as it does."""

    def _dual(self, args):
        (x,) = args
        while isinstance(x, Dual):
            x = x.value
        return x if type(x) is arb_series else super()._dual(args)


constant = _Constant(lambda x: x, zero, series=lambda x: x.limit(), native=_held)
"""A number that is taken for a constant, whatever it depends on: where it varies, series through it are right at one
point only (`Held`)."""


def sub(x, y):
    """The difference; of what is one and the same, a ball or a power series of Arb's own, 0."""
    if isinstance(x, Dual) and isinstance(y, Dual):
        return Dual(sub(x.value, y.value), sub(x.slope, y.slope))
    if isinstance(x, Dual):
        return Dual(sub(x.value, y), x.slope)
    if isinstance(y, Dual):
        return Dual(sub(x, y.value), neg(y.slope))
    if x is y and (type(x) is arb_series or (isinstance(x, arb) and x.is_finite())):
        return arb(0)
    return add(x, neg(y))


def times(factor: int | float, x):
    return mul(arb(factor), x)
