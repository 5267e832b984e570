"""A scalar function along power series of Arb's own, at a number in place of an argument or about a ball of them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import flint
import jax
import numpy as np
from flint import arb, arb_series
from jax.extend.core import ClosedJaxpr

from stability.real._compiled import Name, Open, compiled
from stability.real.function import Dual, Held, dual
from stability.real.reals import lift
from stability.real.values import ONE
from stability.real.walk import is_float, trace


class Given(NamedTuple):
    """An argument that can be compared: its dtype, shape and bytes."""

    dtype: str
    shape: tuple[int, ...]
    data: bytes

    def array(self) -> np.ndarray:
        return np.frombuffer(self.data, np.dtype(self.dtype)).reshape(self.shape)


MOST_KEPT = 1 << 17
"""Power series that are kept of a function."""


Row = arb_series | arb | None
"""A power series, all finite, a ball where a function is constant, or nothing."""


class Along:
    """A straight line along power series of Arb's own, which are kept: derivatives of lower order are in them.

    **Attributes:** `at_points` whether only those about one number are of the function.
    """

    def __init__(self, line: Callable[..., Any], at_points: bool):
        self.line, self.at_points = line, at_points
        self.found: dict[tuple[float, int], tuple[arb_series, bool]] = {}

    def __call__(self, x: arb, end: int) -> Row:
        """The power series at a number up to a power."""
        return self._at(x, end)[0]

    def of_function(self, x: arb, end: int) -> Row:
        """As a call, but nothing where a number that varies is taken for a constant: of all numbers in a ball."""
        found, held = self._at(x, end)
        return None if held else found

    def of_derivative(self, order: int) -> Callable[[arb, int], Row]:
        """The derivative, the function itself where `order` is 0, along power series, by dual numbers of such: also
        where a number that varies is taken for a constant."""

        def row(x: arb, end: int) -> Row:
            Held.varies = False
            try:
                found = self.line(dual(arb_series([x, 1], prec=end), ONE, max(order, 1)))
            except (Open, ZeroDivisionError, ValueError):
                return None
            for _ in range(order):
                found = found.slope if isinstance(found, Dual) else arb(0)
            if order == 0 and isinstance(found, Dual):
                found = found.value
            return None if Held.varies else _finite(found, end)

        return row

    def about(self, order: int) -> Callable[[arb], arb]:
        """The derivative, or the function, of all numbers of a ball. It raises `Open` where it can't tell."""
        along = self.of_derivative(order)

        def over(x: arb) -> arb:
            row = None if x.is_exact() else along(x, 2)
            if row is None:
                raise Open
            return row if isinstance(row, arb) else row[0]

        return over

    def _at(self, x: arb, end: int) -> tuple[Row, bool]:
        """And whether a number that varies was taken for a constant."""
        key = float(x.mid()), flint.ctx.prec
        there = self.found.get(key)
        if there is not None and there[0].prec >= end and x.is_exact() and x == key[0]:
            return there
        Held.varies = False
        try:
            found = self.line(arb_series([x, 1], prec=end))
        except (Open, ZeroDivisionError, ValueError):
            return None, False
        found = _finite(found, end)
        if type(found) is not arb_series:
            return found, Held.varies
        if x.is_exact() and x == key[0]:
            if len(self.found) >= MOST_KEPT:
                self.found.clear()
            self.found[key] = found, Held.varies
        return found, Held.varies


def _finite(found: Any, end: int) -> Row:
    """What is a finite ball, or a power series up to a power of such."""
    if isinstance(found, arb):
        return found if found.is_finite() else None
    is_series = type(found) is arb_series and found.prec >= end and all(found[k].is_finite() for k in range(end))
    return found if is_series else None


def of_one_float(fn: Callable, args: Sequence[Any]) -> ClosedJaxpr:
    """The jaxpr of a function that returns one float of shape (). **Raises:** `ValueError`."""
    jaxpr, _ = trace(fn, *args)
    outs: list[Any] = list(jaxpr.out_avals)
    if len(outs) != 1 or outs[0].shape or not is_float(outs[0]):
        raise ValueError(f"the function returns {', '.join(map(str, outs))}; one float of shape () is needed")
    return jaxpr


@functools.lru_cache(maxsize=4)
def along_series(fn: Callable, full: tuple[Given, ...], argnum: int, x64: bool) -> Along | None:
    """A function of a number in place of an argument along power series, where it has a straight line."""
    arrays = [g.array() for g in full]
    jaxpr = of_one_float(fn, arrays)
    held = [lift(x, a.dtype) for x, a in zip(arrays, jaxpr.in_avals, strict=True)]
    line = compiled(jaxpr, [*held[:argnum], Name("x"), *held[argnum + 1 :]], ("x",), over_balls=False)
    if line is None or not getattr(line, "straight", False):
        return None
    return Along(line, bool(getattr(line, "at_points", True)))


def straight_line(fn: Callable, x: jax.ShapeDtypeStruct) -> Callable[..., Any] | None:
    """A function of one number as one of balls, or of power series of Arb's own, or `None` where it has none.

    It raises `Open`, `ZeroDivisionError` or `ValueError` where it can't tell.
    """
    found = along_series(fn, (zero_of(x),), 0, bool(jax.config.read("jax_enable_x64")))
    return None if found is None or found.at_points else found.line


def zero_of(x: Any) -> Given:
    """Of the shape and dtype of something."""
    zero = np.zeros(x.shape, x.dtype)
    return Given(zero.dtype.name, zero.shape, zero.tobytes())
