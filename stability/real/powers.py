"""Powers with real exponents, and the cube root."""

from __future__ import annotations

from typing import Any

import numpy as np
from flint import arb

from stability.real import _arithmetic as plain
from stability.real import _series as series
from stability.real._arithmetic import DOMAIN
from stability.real._arithmetic import first_undefined as _first_undefined
from stability.real._series import Series
from stability.real.function import Function, Open, constant_of, div, mul, neg, smoothly, sub, times
from stability.real.scalars import exp, integer_pow, log, square
from stability.real.values import INFINITY, ONE, UNDECIDED, Scalar, Undefined, infinite


def _pow(x: Scalar, y: Any) -> Scalar:
    if not isinstance(y, Undefined) and y == 0:
        return ONE
    if isinstance(y, Undefined) or isinstance(x, Undefined):
        return _first_undefined(x, y)
    if y.is_exact() and y.is_integer() and abs(y) < 2**20:
        return integer_pow(int(y.unique_fmpz())).rule(x)
    if x == 1 and not infinite(y):
        return ONE
    if x == 0:
        return arb(0) if y > 0 else INFINITY if y < 0 else UNDECIDED
    if x > 0:
        return exp.rule(plain.mul(log.rule(x), y))
    if x < 0 and y.is_exact() and not infinite(y):
        if not y.is_integer():
            return DOMAIN
        magnitude = exp.rule(plain.mul(log.rule(-x), y))
        return plain.neg(magnitude) if (y / 2).is_integer() is False else magnitude
    return DOMAIN if x < 0 and infinite(y) else UNDECIDED


def _pow_series(x, y):
    if not isinstance(y, Series) and not isinstance(y, Undefined) and y.is_exact() and not infinite(y):
        if y.is_integer() and abs(y) < 2**20:
            return integer_pow(int(y.unique_fmpz()))(x)
        outside = x.direction(None, DOMAIN, UNDECIDED)
        return series.power(x, y, lambda c: _pow(c, y)) if outside is None else Series([outside])
    if series.is_zero(x):
        series.seen.singular += series.is_zero(series.limit(y))
        return y.direction(arb(0), INFINITY, UNDECIDED)
    return exp(mul(log(x), y))


def _pow_native(x, y):
    if isinstance(y, arb) and y.is_exact() and y.is_integer() and abs(y) < 2**20:
        return integer_pow(int(float(y)))(x)
    if not constant_of(x) > 0:
        raise Open
    return exp(mul(log(x), y))


_power: Function = Function(
    _pow,
    lambda x, y: mul(y, power(x, sub(y, ONE))),
    lambda x, y: mul(log(x), power(x, y)),
    series=_pow_series,
    native=_pow_native,
)


def power(x, y):
    return integer_pow(int(y))(x) if isinstance(y, int | np.integer) else _power(x, y)


def _cbrt(x: Scalar) -> Scalar:
    if isinstance(x, Undefined) or infinite(x) or x == 0:
        return x
    if x > 0:
        return x.root(3)
    return -(-x).root(3) if x < 0 else UNDECIDED


def _cbrt_series(x: Series):
    def positive(x: Series) -> Series:
        return series.power(x, arb(1) / 3, _cbrt, 3)

    if x.special:
        return Series([_cbrt(x.limit())])
    return x.direction(positive, lambda x: neg(positive(neg(x))), lambda x: Series([UNDECIDED]))(x)


cbrt: Function = smoothly(Function(_cbrt, lambda x: div(ONE, times(3, square(cbrt(x)))), series=_cbrt_series))
