"""The derivatives of the regularized incomplete gamma function by its first argument, of any order.

They are coefficients of the power series in `a` of

    P(a, x) = x^a e^-x/Γ(a + 1) Σ_n t_n,    t_n = x^n/((a + 1)…(a + n))

(DLMF 8.7.1, 8.2.4). Of a power series in `ε` let `|f|` be that of the sizes of its coefficients, and `a = a_0 + δ(ε)`.
With `c <= a_0 + n + 1`, every factor `x/(a + m)` after `t_n` has coefficients of at most those of `x/(c - |δ|)`, so
that what follows `t_n` has at most those of

    |t_n| Σ_(j>0) (x/(c - |δ|))^j = |t_n| x/(c - x - |δ|).
"""

from __future__ import annotations

import functools
import math
from typing import Any

import flint
from flint import acb, arb, arb_series

from stability.real.function import Function, Open, along_slopes, constant_of, moved, terms
from stability.real.meanings._analytic import MOST_TERMS, partial
from stability.real.meanings._gamma import lgamma
from stability.real.meanings._gamma_series import derivative_of
from stability.real.meanings._text import DOMAIN, ONE, Rule, add, div, exp, finite, mul, neg, power, sub
from stability.real.values import UNDECIDED, Undefined

SMALL = 1000
"""Up to here `x` takes the series no longer than values on a circle, whatever `a` is; beyond it that is so from
`a = 2 x` on."""
MOST_BITS = 5000
"""That a large `a` is given beyond the precision, as `Γ(a + 1)` has its logarithm times as large an error."""


def outside(a: arb, x: arb) -> Undefined | None:
    """Why there is no value; undecided of balls that are in part outside, where Arb goes on with a polynomial."""
    if a < 0 or x < 0 or (a == 0 and x == 0):
        return DOMAIN
    return None if a >= 0 and x >= 0 else UNDECIDED


def _outside_open(a: arb, x: arb) -> Undefined | None:
    return outside(a, x) or (DOMAIN if a == 0 or x == 0 else None)


def _lower(a: acb, x: acb) -> acb:
    return x.gamma_lower(a, regularized=1)


def _upper(a: acb, x: acb) -> acb:
    return -x.gamma_upper(a, regularized=1)


def _sizes(f: arb_series) -> arb_series:
    return arb_series([abs(f[k]).upper() for k in range(f.prec)], prec=f.prec)


def total_along(a: arb_series, x: arb, negligible: arb) -> arb_series:
    """`Σ_n t_n` along `a > 0`, the terms after one below `negligible` by their bound."""
    n, t = 0, arb_series([1], prec=a.prec)
    total = t
    while not (abs(t[0]) < negligible and 2 * x < a[0] + (n + 1)):
        n += 1
        t = t * x / (a + n)
        total = total + t
    c = (a[0] + (n + 1)).lower()
    rest = _sizes(t) * x.upper() / (c - x.upper() - _sizes(moved(a)))
    return arb_series([total[k] + arb(0, rest[k].upper()) for k in range(rest.prec)], prec=rest.prec)


def lower_along(a: arb_series, x: arb) -> arb_series:
    """`P(a, x)` along `a`. **Raises:** `Open` where `a > 0` and `x > 0` is not known, or it would take many terms."""
    at = constant_of(a)
    small = bool(2 * x <= at)
    if not (at > 0 and x > 0 and (small or x <= SMALL)):
        raise Open
    mantissa, exponent = (int(v) for v in at.mid().man_exp())
    more = min(max(exponent + mantissa.bit_length(), 0), MOST_BITS) + (0 if small else int(2 * float(x.upper())))
    with flint.ctx.workprec(flint.ctx.prec + more + 30), terms(a.prec):
        total = total_along(a, x, arb(2) ** -flint.ctx.prec)
        return (a * x.log() - x - (a + 1).lgamma()).exp() * total


def _by_series(k: int, a: arb, x: arb) -> arb:
    return lower_along(arb_series([a, 1], prec=k + 1), x)[k] * math.factorial(k)


def _by_values(k: int, a: arb, x: arb) -> Any:
    """From that of the two functions which is the smaller."""
    return partial(_upper if x > a else _lower, (k, 0), _outside_open)(a, x)


@functools.cache
def in_shape(k: int) -> Function:
    """The `k`th derivative of `P(a, x)` by `a`, `k >= 1`."""

    def at(a: arb, x: arb) -> Any:
        if x == 0 and a > 0:
            return arb(0)
        if why := _outside_open(a, x):
            return why
        try:
            return _by_series(k, a, x)
        except Open:
            return _by_values(k, a, x)

    def native(a: Any, x: Any) -> Any:
        if type(x) is arb:
            try:
                about = arb_series([constant_of(a), 1], prec=a.prec + k)
                return derivative_of(lower_along(about, x), k, moved(a))
            except Open:
                pass
        if any(type(v) is arb_series and v.prec > MOST_TERMS for v in (a, x)):
            raise Open
        return along_slopes(found, (a, x))

    found = Function(
        finite(at, outside), lambda a, x: in_shape(k + 1)(a, x), lambda a, x: density_in_shape(k)(a, x), native=native
    )
    return found


def density(a: Any, x: Any) -> Any:
    """`x^(a - 1) e^-x/Γ(a)`, the derivative of `P(a, x)` by `x`."""
    return mul(power(x, sub(a, ONE)), exp(neg(add(x, lgamma(a)))))


@functools.cache
def density_in_shape(k: int) -> Rule:
    """The `k`th derivative of the density by `a`."""
    if k == 0:
        return density

    def at(a: arb, x: arb) -> arb:
        s = arb_series([a, 1], prec=k + 1)
        with terms(k + 1):
            return ((s - 1) * x.log() - x - s.lgamma()).exp()[k] * math.factorial(k)

    def by_x(a: Any, x: Any) -> Any:
        first = mul(density_in_shape(k)(a, x), sub(div(sub(a, ONE), x), ONE))
        return add(first, mul(arb(k), div(density_in_shape(k - 1)(a, x), x)))

    return Function(finite(at, _outside_open), lambda a, x: density_in_shape(k + 1)(a, x), by_x)
