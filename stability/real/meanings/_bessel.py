"""The modified Bessel functions: what they are over the reals, and their slopes."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

from flint import arb, arb_series

from stability.real._near import flat
from stability.real._series import Series, expanded
from stability.real.function import Function, Open, constant_of, moved, sub, zero
from stability.real.meanings._analytic import MOST_TERMS
from stability.real.meanings._text import add, exp, is_wide, mul, neg, unary
from stability.real.scalars import absolute
from stability.real.steps import sign, sign_native
from stability.real.values import INFINITY, MINUS_INFINITY


def _sign(n: int) -> int:
    return -1 if n % 2 else 1


def _between(f: Callable[[arb], arb], low: arb, high: arb) -> arb:
    """What a monotonic function is from one number to another."""
    return f(low).union(f(high))


def _at(n: int, x: arb) -> arb:
    """`I_n(x)`, `n >= 0`, which grows with `x >= 0` and has the parity of `n`."""

    def at(x: arb) -> arb:
        return x.bessel_i(arb(n))

    if not (is_wide(x) and x.is_finite()):
        return at(x)
    return _between(at, x.lower(), x.upper()) if n % 2 else _between(at, x.abs_lower(), x.abs_upper())


@cache
def bessel_i(n: int) -> Function:
    """`I_n(x)` for whole `n >= 0`, of slope `(I_(n-1) + I_(n+1))/2`."""
    slope = (
        (lambda x: bessel_i(1)(x)) if n == 0 else (lambda x: mul(arb(0.5), add(bessel_i(n - 1)(x), bessel_i(n + 1)(x))))
    )

    def of_series(x: Series):
        if x.special or x.start < 0:
            return Series([rule(x.limit())])

        at = flat(x.limit())
        return expanded(lambda k: _taylor(lambda m: _at(m, at), n, k), x)

    rule = unary(lambda x: _at(n, flat(x)), INFINITY, INFINITY if n % 2 == 0 else MINUS_INFINITY)
    return Function(rule, slope, series=of_series, native=lambda x: _native(_at, n, x))


def _taylor(at: Callable[[int], arb], n: int, k: int) -> arb:
    """The Taylor coefficient `Σ_j C(k, j) I_|n - k + 2j|/(2^k k!)` of `I_n`, or of what scales all of them alike."""
    terms = [math.comb(k, j) * at(abs(n - k + 2 * j)) for j in range(k + 1)]
    return sum(terms, arb(0)) / 2**k / math.factorial(k)


def _native(at: Callable[[int, arb], arb], n: int, x: arb_series) -> arb_series:
    if x.prec > MOST_TERMS:
        raise Open
    u = constant_of(x)
    known = cache(lambda m: at(m, u))
    return arb_series([_taylor(known, n, k) for k in range(x.prec)], prec=x.prec)(moved(x))


def _scaled_native(n: int, x: arb_series) -> arb_series:
    """`e^-|x| I_n(x) = e^-(|x| - u) Σ_k e^-u c_k (|x| - u)^k` at `u = |x|`, with the parity of `n`."""
    size = x * sign_native(x)
    found = (-moved(size)).exp() * _native(_scaled, n, size)
    return found * _sign(n) if sign_native(x) < 0 else found


def _scaled(n: int, x: arb) -> arb:
    """`e^-|x| I_n(x)`, at most `I_n(|x|)` in size.

    That of order 0 falls with `x > 0`, that of 1 for `x > 2`, since `x/(x + 1) < x/(1/2 + √(x² + 9/4)) <= I_1/I_0 < 1`:
    Amos, Computation of modified Bessel functions and their ratios, 1974.
    """

    def at(x: arb) -> arb:
        return x.bessel_i(arb(n), scaled=True)

    if not x >= 0:
        if x < 0:
            return _scaled(n, -x) * _sign(n)
        most = x.abs_upper()
        return _between(at, arb(0), most) if n == 0 else _at(n, most).union(-_at(n, most))
    wide = n <= 1 and x > 2 and x.is_finite() and is_wide(x)
    return _between(at, x.lower(), x.upper()) if wide else at(x)


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
        native=lambda x: _scaled_native(n, x),
    )


i0, i1, i0e, i1e = bessel_i(0), bessel_i(1), scaled_bessel_i(0), scaled_bessel_i(1)
