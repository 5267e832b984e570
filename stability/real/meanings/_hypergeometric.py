"""The confluent and Gauss's hypergeometric function, and the powers of Box and Cox: what they are over the reals, and
their slopes."""

from __future__ import annotations

from flint import acb, arb

from stability.real.function import Function, along_slopes, constant_of
from stability.real.meanings._analytic import partial
from stability.real.meanings._text import (
    DOMAIN,
    POLE,
    add,
    div,
    expm1,
    finite,
    log,
    mul,
    pole_of_gamma,
    power,
    product,
    square,
    sub,
)
from stability.real.values import ONE, UNDECIDED, Scalar, Undefined, infinite


def _ends_before(a, b) -> bool:
    """Whether the series ends, at a whole `a <= 0`, before the whole `b <= 0` would make a denominator 0."""
    return pole_of_gamma(a) is not None and a >= b


def _hyp1f1_outside(a, b, x) -> Undefined | None:
    if pole_of_gamma(b) and not _ends_before(a, b) and x != 0:
        return POLE
    return None


def _polynomial(factors, n: int, x: arb) -> arb:
    """`Σ_k t_k` of `n + 1` terms, `t_0 = 1`, `t_(k+1) = factors(k) x/(k + 1) t_k`."""
    total = term = arb(1)
    for k in range(n):
        term = term * factors(k) * x / (k + 1)
        total += term
    return total


LONGEST = 2000
"""The longest terminating series that is added up term by term."""


def _beside_a_far_pole(b: arb) -> bool:
    """Whether the denominator of a term beyond `LONGEST` is next to 0, which is reached by adding all up to it."""
    apart = b - (b + 0.5).floor()
    return bool(b < -LONGEST and abs(apart) < 2.0**-64 and apart != 0)


def _hyp1f1(a: arb, b: arb, x: arb) -> arb:
    if x == 0:
        return ONE
    if _beside_a_far_pole(b):
        return arb.nan()
    if pole_of_gamma(a) and pole_of_gamma(b) and a >= -LONGEST:
        return _polynomial(lambda k: (a + k) / (b + k), -int(float(a)), x)
    return x.hypgeom_1f1(a, b)


def _complex_1f1(a: acb, b: acb, x: acb) -> acb:
    return x.hypgeom_1f1(a, b)


def _hyp1f1_limit(a, b, x):
    return Undefined("undecided")


hyp1f1: Function = Function(
    finite(_hyp1f1, _hyp1f1_outside),
    partial(_complex_1f1, (1, 0, 0), _hyp1f1_outside),
    partial(_complex_1f1, (0, 1, 0), _hyp1f1_outside),
    lambda a, b, x: mul(div(a, b), hyp1f1(add(a, ONE), add(b, ONE), x)),
)
"""Kummer's function `1F1(a; b; x)`."""


def _hyp2f1_outside(a, b, c, x) -> Undefined | None:
    if pole_of_gamma(c) and not _ends_before(a, c) and not _ends_before(b, c) and x != 0:
        return POLE
    if pole_of_gamma(a) or pole_of_gamma(b) or x < 1:
        return None
    if x == 1:
        return None if c - a - b > 0 else POLE
    return DOMAIN


def _hyp2f1(a: arb, b: arb, c: arb, x: arb) -> arb:
    if x == 0:
        return ONE
    if _beside_a_far_pole(c):
        return arb.nan()
    if pole_of_gamma(b) and (not pole_of_gamma(a) or b > a):
        a, b = b, a
    if pole_of_gamma(a) and a >= -LONGEST:
        return _polynomial(lambda k: (a + k) * (b + k) / (c + k), -int(float(a)), x)
    if x == 1:
        return c.gamma() * (c - a - b).gamma() * (c - a).rgamma() * (c - b).rgamma()
    return x.hypgeom_2f1(a, b, c)


def _complex_2f1(a: acb, b: acb, c: acb, x: acb) -> acb:
    return x.hypgeom_2f1(a, b, c)


def _inside(a, b, c, x) -> Undefined | None:
    return None if x < 1 and not pole_of_gamma(c) else DOMAIN


def _up_to_one(a: arb, b: arb, c: arb, x: arb) -> list[arb]:
    return [arb(1), arb(1), arb(1), arb.min(1 - x, arb(1))]


hyp2f1: Function = Function(
    finite(_hyp2f1, _hyp2f1_outside),
    partial(_complex_2f1, (1, 0, 0, 0), _inside, _up_to_one),
    partial(_complex_2f1, (0, 1, 0, 0), _inside, _up_to_one),
    partial(_complex_2f1, (0, 0, 1, 0), _inside, _up_to_one),
    lambda a, b, c, x: mul(div(product(a, b), c), hyp2f1(add(a, ONE), add(b, ONE), add(c, ONE), x)),
)
"""Gauss's function `2F1(a, b; c; x)`, `x < 1`, or where the series ends."""


def _boxcox(x: Scalar, y: Scalar) -> Scalar:
    if isinstance(y, Undefined) or infinite(y):
        return y if isinstance(y, Undefined) else UNDECIDED
    return log(x) if y == 0 else div(expm1(mul(y, log(x))), y)


def _boxcox_native(x, y):
    """The quotient, which loses nothing where `x^y` is far from 1."""
    exponent = mul(y, log(x))
    return div(expm1(exponent), y) if abs(constant_of(exponent)) > 0.25 else along_slopes(boxcox, (x, y))


boxcox: Function = Function(
    _boxcox,
    lambda x, y: power(x, sub(y, ONE)),
    lambda x, y: product(arb(0.5), square(log(x)), hyp1f1(arb(2), arb(3), mul(y, log(x)))),
    native=_boxcox_native,
)
"""`(x^y - 1)/y`, and `log x` for `y = 0`."""


def boxcox1p(x, y):
    """`boxcox(1 + x, y)`."""
    return boxcox(add(ONE, x), y)
