"""The error function and its kin, the normal distribution: what they are over the reals, and their slopes."""

from __future__ import annotations

from functools import cache

import flint
from flint import acb, arb

from stability.real._near import flat, near
from stability.real.function import Function
from stability.real.meanings._text import (
    DOMAIN,
    add,
    div,
    exp,
    finite,
    is_wide,
    mul,
    neg,
    product,
    root_pi,
    root_two,
    root_two_pi,
    square,
    unary,
)
from stability.real.values import INFINITY, MINUS_INFINITY, ONE, Scalar, infinite

FAR = 4
"""From here on, what tends to a constant is kept as its distance from that."""


def _gaussian(x):
    return exp(neg(square(x)))


def _erf(x) -> Scalar:
    x = flat(x)
    return near(ONE, -x.erfc()) if x > FAR else near(-ONE, (-x).erfc()) if x < -FAR else x.erf()


def _erfc(x) -> Scalar:
    x = flat(x)
    return near(arb(2), -(-x).erfc()) if x < -FAR else x.erfc()


erf: Function = Function(unary(_erf, ONE, -ONE), lambda x: div(mul(arb(2), _gaussian(x)), root_pi()))

erfc: Function = Function(unary(_erfc, arb(0), arb(2)), lambda x: div(mul(arb(-2), _gaussian(x)), root_pi()))


def _scaled_integral(n: int, x: arb) -> arb:
    """`e^(x²) iⁿerfc(x)`: `2^-n/√π U((n+1)/2, 1/2, x²)` for `x > 0`, and by Kummer's two functions elsewhere."""
    a, z = arb(n + 1) / 2, x * x
    if x > 0:
        return z.hypgeom_u(a, arb(0.5)) * arb(2) ** -n / root_pi()
    if n == 0:
        return 2 * z.exp() - z.hypgeom_u(a, arb(0.5)) / root_pi() if x < 0 else z.exp() * x.erfc()
    even = z.hypgeom_1f1(a, arb(0.5)) * (arb(n) / 2 + 1).rgamma()
    odd = z.hypgeom_1f1(arb(n) / 2 + 1, arb(1.5)) * a.rgamma()
    return (even - 2 * x * odd) * arb(2) ** -n


@cache
def scaled_integral(n: int) -> Function:
    """`e^(x²) iⁿerfc(x)`, the scaled repeated integrals of the complementary error function: the slope of the `n`th is
    `-2(n+1)` times the next, without cancellation."""
    return Function(
        unary(lambda x: _scaled_integral(n, flat(x)), arb(0), INFINITY),
        lambda x: mul(arb(-2 * (n + 1)), scaled_integral(n + 1)(x)),
    )


erfcx = scaled_integral(0)


def _erfinv(x) -> Scalar:
    """From the distance to 1 beyond 1/2."""
    if x > 0.5:
        return flat(1 - x).erfcinv()
    return -flat(1 + x).erfcinv() if x < -0.5 else flat(x).erfinv()


def _erfcinv(x) -> Scalar:
    if x < 0.5:
        return flat(x).erfcinv()
    return -flat(2 - x).erfcinv() if x > 1.5 else flat(1 - x).erfinv()


def _beyond(low: int, high: int):
    """Outside of an interval, at whose ends the function tends to infinities: rising from one to the other."""

    def outside(x):
        if x < low or x > high:
            return DOMAIN
        return MINUS_INFINITY if x == low else INFINITY if x == high else None

    return outside


def _inverse_slope(inverse, scale: int):
    return lambda x: product(arb(scale) / 2, root_pi(), exp(square(inverse(x))))


erfinv: Function = Function(unary(_erfinv, outside=_beyond(-1, 1)), lambda x: _inverse_slope(erfinv, 1)(x))

erfcinv: Function = Function(unary(_erfcinv, outside=_beyond(0, 2)), lambda x: _inverse_slope(erfcinv, -1)(x))


def density(x):
    """`e^(-x²/2)/√(2π)`."""
    return div(exp(mul(arb(-0.5), square(x))), root_two_pi())


def _scaled_tail(x: arb) -> arb:
    """`e^(x²/2) Φ(-x)` for `x > 0`."""
    return (x * x / 2).hypgeom_u(arb(0.5), arb(0.5)) / (2 * root_pi())


def _tail(x: arb) -> arb:
    """`Φ(-x)`."""
    return (-x * x / 2).exp() * _scaled_tail(x) if x > 1 else (x / root_two()).erfc() / 2


def _ndtr(x) -> Scalar:
    x = flat(x)
    return near(ONE, -_tail(x)) if x > FAR else _tail(-x)


ndtr: Function = Function(unary(_ndtr, ONE, arb(0)), density)
"""The distribution function of the normal distribution."""


def _log_ndtr(x) -> Scalar:
    x = flat(x)
    if x > 0:
        return (-_tail(x)).log1p()
    return _scaled_tail(-x).log() - x * x / 2 if x < -1 else _tail(-x).log()


log_ndtr: Function = Function(
    unary(_log_ndtr, arb(0), MINUS_INFINITY),
    lambda x: div(div(root_two(), root_pi()), erfcx(div(neg(x), root_two()))),
)


def _ndtri(p) -> Scalar:
    return -root_two() * _erfcinv(2 * p)


ndtri: Function = Function(
    unary(_ndtri, outside=_beyond(0, 1)), lambda p: mul(root_two_pi(), exp(mul(arb(0.5), square(ndtri(p)))))
)
"""The inverse of `ndtr`."""


def _gelu(x) -> Scalar:
    return mul(x, ndtr(x))


gelu: Function = Function(unary(_gelu, INFINITY, arb(0)), lambda x: add(ndtr(x), mul(x, density(x))))
"""`x Φ(x)`."""


def _kummer(b: float):
    return lambda x: (-flat(x) * flat(x)).hypgeom_1f1(ONE, arb(b))


dawsn: Function = Function(unary(lambda x: flat(x) * _kummer(1.5)(x), arb(0), arb(0)), lambda x: dawsn_slope(x))
"""Dawson's function `e^(-x²) ∫_0^x e^(t²) dt = x 1F1(1; 3/2; -x²)`."""

dawsn_slope: Function = Function(
    unary(_kummer(0.5), arb(0), arb(0)), lambda x: mul(arb(-2), add(dawsn(x), mul(x, dawsn_slope(x))))
)
"""`1 - 2x dawsn(x) = 1F1(1; 1/2; -x²)`."""


def _owens_t(h: arb, a: arb) -> arb:
    """`e^(-h²/2)/(2π) ∫_0^a e^(-h²t²/2)/(1 + t²) dt`, which is monotonic in `a`, and in `|h|`: from wide balls by their
    ends."""
    for v, ends in ((h, (h.abs_lower(), h.abs_upper())), (a, (a.lower(), a.upper()))):
        if v.is_finite() and is_wide(v):
            low, high = (_owens_t(end, a) if v is h else _owens_t(h, end) for end in ends)
            return low.union(high)
    with flint.ctx.workprec(flint.ctx.prec + 10):
        total = acb.integral(lambda t, _: (-h * h * t * t / 2).exp() / (1 + t * t), acb(0), acb(a)).real
        return total * (-h * h / 2).exp() / (2 * arb.pi())


def _owens_t_limit(h: Scalar, a: Scalar) -> Scalar:
    if infinite(h):
        return arb(0)
    size = abs(flat(h)) / root_two()
    return size.erfc() / 4 if a > 0 else -size.erfc() / 4


owens_t: Function = Function(
    finite(_owens_t, None, _owens_t_limit),
    lambda h, a: product(arb(-0.5), density(h), erf(div(mul(a, h), root_two()))),
    lambda h, a: div(
        exp(product(arb(-0.5), square(h), add(ONE, square(a)))), product(arb(2), arb.pi(), add(ONE, square(a)))
    ),
)
"""Owen's function `T(h, a)`."""
