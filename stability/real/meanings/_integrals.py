"""Exponential, trigonometric and Fresnel integrals, the dilogarithm: what they are over the reals, and their slopes."""

from __future__ import annotations

from functools import cache

import flint
from flint import acb, arb

from stability.real._near import flat, near
from stability.real.function import Function
from stability.real.meanings._analytic import partial
from stability.real.meanings._text import (
    DOMAIN,
    POLE,
    cos,
    div,
    exp,
    finite,
    mul,
    neg,
    square,
    sub,
    unary,
    whole,
)
from stability.real.values import INFINITY, MINUS_INFINITY, ONE, UNDECIDED, Scalar, Undefined, infinite


def _expint_outside(n, x) -> Scalar | None:
    if x < 0:
        return DOMAIN
    return INFINITY if x == 0 and n <= 1 else None


LARGE_ORDER, LARGEST_ORDER = 2**12, 2**20
"""From the first on an expansion in the order serves; beyond the second no series in the argument does."""


def _expint(n: arb, x: arb) -> arb:
    if x == 0:
        return 1 / (n - 1)
    near = x.expint(n) if n <= LARGEST_ORDER else arb.nan()
    return _expint_of_large_order(n, x) if n >= LARGE_ORDER and whole(n) and not near.is_finite() else near


def _expint_of_large_order(n: arb, x: arb) -> arb:
    """`E_n(x)` of a whole order, `x > 0`.

    Abramowitz and Stegun, 5.1.52: `e^-x/(x + n) (1 + n/(x + n)² + n (n - 2x)/(x + n)⁴ + n (6x² - 8nx + n²)/(x + n)⁶ +
    R)` with `-0.36 n^-4 <= R <= (1 + 1/(x + n - 1)) n^-4`.
    """
    s = x + n
    head = 1 + n / s**2 + n * (n - 2 * x) / s**4 + n * (6 * x * x - 8 * n * x + n * n) / s**6
    return (-x).exp() / s * (head + arb(0, 2) / n**4)


def _expint_in_complex(n: acb, x: acb) -> acb:
    return x.expint(n) if abs(n) <= LARGEST_ORDER else acb(arb.nan())


def _expint_limit(n: Scalar, x: Scalar) -> Scalar:
    return DOMAIN if x < 0 or (infinite(n) and n < 0) else arb(0)


expint: Function = Function(
    finite(_expint, _expint_outside, _expint_limit),
    partial(_expint_in_complex, (1, 0), lambda n, x: DOMAIN if x <= 0 else None),
    lambda n, x: neg(expint(sub(n, ONE), x)),
)
"""`E_n(x) = ∫_1^∞ e^(-xt) t^-n dt`, `x >= 0`, for any real order."""


def _expn(n: Scalar, x: Scalar) -> Scalar:
    if isinstance(n, Undefined) or (n >= 0 and whole(n)) or infinite(n):
        return expint(n, x)
    return DOMAIN if n < 0 or n.is_exact() else UNDECIDED


expn: Function = Function(_expn, expint.slopes[0], expint.slopes[1])
"""`E_n(x)` of whole orders from 0 on."""

exp1: Function = Function(lambda x: expint(ONE, x), lambda x: neg(expint(arb(0), x)))


def _falls_at_zero(x) -> Scalar | None:
    return MINUS_INFINITY if x == 0 else None


expi: Function = Function(
    unary(lambda x: flat(x).ei(), INFINITY, arb(0), _falls_at_zero),
    lambda x: div(exp(x), x),
)
"""`Ei(x)`, the principal value of `∫_-∞^x e^t/t dt`."""


@cache
def clifford(n: int) -> Function:
    """`0F1(n/2; x)`, of slope `2/n 0F1(n/2 + 1; x)`; the sine, the cosine and the Bessel functions are of this kind."""
    b = arb(n) / 2
    return Function(unary(lambda x: flat(x).hypgeom_0f1(b)), lambda x: div(mul(arb(2), clifford(n + 2)(x)), arb(n)))


def _sinc(x) -> Scalar:
    """`sin x/x`, near 1 at tiny `x`."""
    x = flat(x)
    if x == 0:
        return ONE
    if abs(x) < 1e-4 and x != 0:
        return near(ONE, -_distance(x))
    return x.sinc()


def _distance(x: arb) -> arb:
    """`1 - sin x/x = x²/6 0F1-like series`: `x²/6 1F2(1; 2, 5/2; -x²/4)`."""
    z = x * x
    return z / 6 * (-z / 4).hypgeom([ONE], [arb(2), arb(2.5)])


sinc: Function = Function(
    unary(_sinc, arb(0), arb(0)),
    lambda x: mul(div(x, arb(-3)), clifford(5)(mul(arb(-0.25), square(x)))),
)
"""`sin x/x`."""


def _sinc_pi(x) -> Scalar:
    if x == 0:
        return ONE
    return arb(0) if whole(x) else _sinc(arb.pi() * flat(x)) if abs(x) < 1e-5 else flat(x).sinc_pi()


sinc_pi: Function = Function(
    unary(_sinc_pi, arb(0), arb(0)),
    lambda x: mul(mul(x, -(arb.pi() ** 2) / 3), clifford(5)(mul(-(arb.pi() ** 2) / 4, square(x)))),
)
"""`sin πx/(πx)`."""

sin_pi: Function = Function(unary(lambda x: flat(x).sin_pi()), lambda x: mul(arb.pi(), cos_pi(x)))
cos_pi: Function = Function(unary(lambda x: flat(x).cos_pi()), lambda x: mul(-arb.pi(), sin_pi(x)))

si: Function = Function(unary(lambda x: flat(x).si(), lambda: arb.pi() / 2, lambda: -arb.pi() / 2), sinc)

ci: Function = Function(
    unary(lambda x: abs(flat(x)).ci(), arb(0), arb(0), _falls_at_zero),
    lambda x: div(cos(x), x),
)
"""`Ci(|x|)`."""

fresnel_s: Function = Function(
    unary(lambda x: flat(x).fresnel_s(), arb(0.5), arb(-0.5)), lambda x: sin_pi(mul(arb(0.5), square(x)))
)
fresnel_c: Function = Function(
    unary(lambda x: flat(x).fresnel_c(), arb(0.5), arb(-0.5)), lambda x: cos_pi(mul(arb(0.5), square(x)))
)


@cache
def log_ratio(k: int) -> Function:
    """The `k`th derivative of `log x/(x - 1) = 2F1(1, 1; 2; 1 - x)`."""

    def at(x) -> arb:
        x = flat(x)
        if abs(x - 1) < 0.5:
            order = arb(k + 1)
            return (1 - x).hypgeom_2f1(order, order, order + 1) * arb(k).fac() / order * (-1) ** k
        moved = flint.arb_series([x, 1], prec=k + 1)
        return (moved.log() / (moved - 1))[k] * arb(k).fac()

    return Function(unary(at, arb(0), None, _positive), lambda x: log_ratio(k + 1)(x))


def _positive(x) -> Undefined | None:
    return DOMAIN if x < 0 else POLE if x == 0 else None


def _spence(x) -> Scalar:
    rest = flat(1 - x)
    return arb.pi() ** 2 / 6 if rest == 1 else rest.polylog(arb(2))


spence: Function = Function(
    unary(_spence, MINUS_INFINITY, None, lambda x: DOMAIN if x < 0 else None),
    lambda x: neg(log_ratio(0)(x)),
)
"""`Li_2(1 - x)`, of slope `log x/(1 - x)`."""
