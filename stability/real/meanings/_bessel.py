"""The modified Bessel functions: what they are over the reals, and their slopes."""

from __future__ import annotations

from functools import cache

from flint import arb

from stability.real._function import Function
from stability.real._near import flat
from stability.real._scalars import absolute
from stability.real._values import INFINITY, MINUS_INFINITY
from stability.real.meanings._text import add, exp, mul, neg, unary


def _sign(n: int) -> int:
    return -1 if n % 2 else 1


@cache
def bessel_i(n: int) -> Function:
    """`I_n(x)` for whole `n >= 0`, of slope `(I_(n-1) + I_(n+1))/2`."""
    slope = (
        (lambda x: bessel_i(1)(x)) if n == 0 else (lambda x: mul(arb(0.5), add(bessel_i(n - 1)(x), bessel_i(n + 1)(x))))
    )
    return Function(
        unary(lambda x: flat(x).bessel_i(arb(n)), INFINITY, INFINITY if n % 2 == 0 else MINUS_INFINITY), slope
    )


def _scaled(n: int, x: arb) -> arb:
    return x.bessel_i(arb(n), scaled=True) if x >= 0 else (-x).bessel_i(arb(n), scaled=True) * _sign(n)


@cache
def scaled_bessel_i(n: int) -> Function:
    """`e^-|x| I_n(x)`: not smooth at 0, where its series goes by that of `|x|`."""
    return Function(
        unary(lambda x: _scaled(n, flat(x)), arb(0), arb(0)),
        series=lambda x: mul(exp(neg(absolute(x))), bessel_i(n)(x)),
    )


i0, i1, i0e, i1e = bessel_i(0), bessel_i(1), scaled_bessel_i(0), scaled_bessel_i(1)
