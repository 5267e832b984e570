"""The modified Bessel functions: what they are over the reals, and their slopes."""

from __future__ import annotations

import math
from functools import cache

from flint import arb

from stability.real._near import flat
from stability.real._series import Series, expanded
from stability.real.function import Function, sub, zero
from stability.real.meanings._text import add, exp, mul, neg, unary
from stability.real.scalars import absolute
from stability.real.steps import sign
from stability.real.values import INFINITY, MINUS_INFINITY


def _sign(n: int) -> int:
    return -1 if n % 2 else 1


@cache
def bessel_i(n: int) -> Function:
    """`I_n(x)` for whole `n >= 0`, of slope `(I_(n-1) + I_(n+1))/2`."""
    slope = (
        (lambda x: bessel_i(1)(x)) if n == 0 else (lambda x: mul(arb(0.5), add(bessel_i(n - 1)(x), bessel_i(n + 1)(x))))
    )

    def at(n: int, x: arb) -> arb:
        return flat(x).bessel_i(arb(abs(n)))

    def of_series(x: Series):
        if x.special or x.start < 0:
            return Series([rule(x.limit())])

        def taylor(k: int) -> arb:
            terms = [math.comb(k, j) * at(n - k + 2 * j, x.limit()) for j in range(k + 1)]
            return sum(terms, arb(0)) / 2**k / math.factorial(k)

        return expanded(taylor, x)

    rule = unary(lambda x: at(n, x), INFINITY, INFINITY if n % 2 == 0 else MINUS_INFINITY)
    return Function(rule, slope, series=of_series)


def _scaled(n: int, x: arb) -> arb:
    return x.bessel_i(arb(n), scaled=True) if x >= 0 else (-x).bessel_i(arb(n), scaled=True) * _sign(n)


@cache
def scaled_bessel_i(n: int) -> Function:
    """`e^-|x| I_n(x)`: not smooth at 0, where its series goes by that of `|x|`."""

    def slope(x):
        neighbours = add(scaled_bessel_i(abs(n - 1))(x), scaled_bessel_i(n + 1)(x))
        return sub(mul(arb(0.5), neighbours), mul(sign(x), scaled_bessel_i(n)(x)))

    return Function(
        unary(lambda x: _scaled(n, flat(x)), zero, zero),
        slope,
        series=lambda x: mul(exp(neg(absolute(x))), bessel_i(n)(x)),
    )


i0, i1, i0e, i1e = bessel_i(0), bessel_i(1), scaled_bessel_i(0), scaled_bessel_i(1)
