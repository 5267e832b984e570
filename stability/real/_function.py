"""Functions over the reals: one text for balls, for power series over balls, and for numbers that are not proven.

A `Function` has a *rule*, which takes real numbers and gives one, and a *slope* for each argument: its partial
derivative there, written in other functions. So a power series goes through any function by

    f(s(ε)) = f(s(0)) + ∫ Σ_i ∂_i f(s(ε)) s_i'(ε) dε,

the integrand needing one order less than the result; nothing else is needed for derivatives of any order.

A series is a function of ε at `0 < ε`, as small as one likes: comparisons are of its first coefficients that differ,
and dividing by one that begins with zeros gives a series that begins with negative powers. So kinks have two one-sided
values, removable holes their limits, and poles their signs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from stability.real._values import Scalar, Undefined, infinite

Rule = Callable[..., Any]


class Series:
    """`Σ_k c[k] ε**(start + k)`, truncated after the last coefficient.

    **Attributes:** `c` the coefficients, real numbers; the first is not known to be 0, unless all are; where the first
    has no value, or is infinite, it is the only one. `start` is the power of the first.
    """

    __slots__ = ("c", "start")

    def __init__(self, c: Sequence[Scalar], start: int = 0):
        self.c, self.start = tuple(c), start

    def __repr__(self) -> str:
        return f"Series({self.c}, {self.start})"


class Estimate:
    """A number that was computed in wider floats, and is not proven; what is computed from it is not either."""

    __slots__ = ("value",)

    def __init__(self, value: Scalar):
        self.value = value

    def __repr__(self) -> str:
        return f"Estimate({self.value})"


class Function:
    """A function of real numbers.

    **Arguments:** `rule` takes real numbers (balls, numbers near an exact one, infinities for limits, `Undefined`) and
    gives one; `slopes` the partial derivatives, one an argument, as texts in other functions, `None` where the
    function is constant but for jumps; `series` what replaces the slopes where the function is not smooth, or has no
    value somewhere: from arguments of which one at least is a `Series`, the resulting one.
    """

    def __init__(self, rule: Rule, *slopes: Rule | None, series: Callable[..., Series] | None = None):
        self.rule, self.slopes, self.series = rule, slopes, series

    def __call__(self, *args):
        if any(isinstance(a, Series) for a in args):
            if self.series is not None:
                return self.series(*args)
            return composed(self, args)
        if any(isinstance(a, Estimate) for a in args):
            out = self.rule(*(a.value if isinstance(a, Estimate) else a for a in args))
            return out if isinstance(out, Undefined) else Estimate(out)
        return self.rule(*args)


def composed(f: Function, args: Sequence[Any]) -> Series:
    raise NotImplementedError


__all__ = ["Estimate", "Function", "Series", "infinite"]
