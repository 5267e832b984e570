"""Elementary functions with constants in them, and activations: what they are over the reals, and their slopes."""

from __future__ import annotations

from flint import arb

from stability.real._near import flat, near
from stability.real._series import limit
from stability.real.function import Function
from stability.real.meanings._text import (
    DOMAIN,
    absolute,
    add,
    div,
    exp,
    exp2,
    log1p,
    log_ten,
    log_two,
    logistic,
    maximum,
    minimum,
    mul,
    neg,
    product,
    reciprocal,
    square,
    sub,
    tanh,
    unary,
)
from stability.real.values import INFINITY, MINUS_INFINITY, ONE, Scalar, Undefined, infinite, is_nan


def _log_sum(x: Scalar, y: Scalar, distance) -> Scalar:
    """The larger number and the distance from it, `distance` of the difference to the smaller one."""
    for v in (x, y):
        if isinstance(v, Undefined):
            return v
    if infinite(x) or infinite(y):
        return maximum(x, y)
    if x == y:
        return add(x, distance(arb(0)))
    high, low = (x, y) if x >= y else (y, x) if y >= x else (flat(x), flat(y))
    return add(high, distance(sub(low, high)))


logaddexp: Function = Function(
    lambda x, y: _log_sum(x, y, lambda d: log1p(exp(d))),
    lambda x, y: logistic(sub(x, y)),
    lambda x, y: logistic(sub(y, x)),
)


def _log2_of_sum(d: arb) -> Scalar:
    return ONE if d == 0 else div(log1p(exp2(d)), log_two())


logaddexp2: Function = Function(
    lambda x, y: _log_sum(x, y, _log2_of_sum),
    lambda x, y: logistic(mul(log_two(), sub(x, y))),
    lambda x, y: logistic(mul(log_two(), sub(y, x))),
)
"""`log2(2^x + 2^y)`."""


def _log10(x) -> Scalar:
    y = x.log() / log_ten()
    n = y.unique_fmpz()
    return arb(n) if n is not None and n >= 0 and x.is_exact() and x == arb(10) ** int(n) else y


log10: Function = Function(
    unary(_log10, INFINITY, None, lambda x: DOMAIN if x < 0 else MINUS_INFINITY if x == 0 else None),
    lambda x: reciprocal(mul(x, log_ten())),
)


silu: Function = Function(
    unary(lambda x: mul(x, logistic(x)), INFINITY, arb(0)),
    lambda x: mul(logistic(x), add(ONE, mul(x, logistic(neg(x))))),
)
"""`x σ(x)`."""


def _of_numbers(extreme: Function) -> Function:
    """An extreme of two numbers of which one may be NaN, which is passed over."""

    def pick(x, y):
        if is_nan(limit(x)):
            return y
        return x if is_nan(limit(y)) else extreme(x, y)

    return Function(pick, *extreme.slopes, series=pick, native=pick)


fmax, fmin = _of_numbers(maximum), _of_numbers(minimum)


def softplus(x):
    """`log(1 + e^x)`."""
    return logaddexp(x, arb(0))


def _sech_squared(x):
    """`1 - tanh² x = 4 σ(2x) σ(-2x)`."""
    twice = mul(arb(2), x)
    return product(arb(4), logistic(twice), logistic(neg(twice)))


mish: Function = Function(
    unary(lambda x: mul(x, tanh(softplus(x))), INFINITY, arb(0)),
    lambda x: add(tanh(softplus(x)), product(x, _sech_squared(softplus(x)), logistic(x))),
)
"""`x tanh(log(1 + e^x))`."""


soft_sign: Function = Function(
    unary(lambda x: div(x, add(ONE, absolute(x))), ONE, -ONE),
    lambda x: reciprocal(square(add(ONE, absolute(x)))),
)
"""`x/(1 + |x|)`."""


def _cauchy(x) -> Scalar:
    """`1/2 + atan(x)/π`, from `atan(1/x)` where that is small."""
    x = flat(x)
    if x < -1:
        return -(1 / x).atan() / arb.pi()
    return near(ONE, -(1 / x).atan() / arb.pi()) if x > 1 else arb(0.5) + x.atan() / arb.pi()


cauchy: Function = Function(unary(_cauchy, ONE, arb(0)), lambda x: reciprocal(mul(arb.pi(), add(ONE, square(x)))))
"""The distribution function of the Cauchy distribution."""


def _cauchy_ends(q) -> Scalar | None:
    if q < 0 or q > 1:
        return DOMAIN
    return MINUS_INFINITY if q == 0 else INFINITY if q == 1 else None


cauchy_quantile: Function = Function(
    unary(lambda q: arb(0) if q == 0.5 else -flat(q).cot_pi(), outside=_cauchy_ends),
    lambda q: mul(arb.pi(), add(ONE, square(cauchy_quantile(q)))),
)
"""The inverse of `cauchy`, `tan(π (q - 1/2))`."""


def located(f: Function):
    """A distribution function with a location and a scale."""
    return lambda x, place, scale: f(div(sub(x, place), scale))


def scaled(f):
    """A quantile function with a location and a scale."""
    return lambda q, place, scale: add(place, mul(scale, f(q)))
