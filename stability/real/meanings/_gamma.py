"""The gamma function and its kin: what they are over the reals, and their slopes."""

from __future__ import annotations

from operator import methodcaller

import flint
from flint import arb, arb_series

from stability.real._near import flat
from stability.real.function import Function, Open, composed, constant_of, zero
from stability.real.meanings._analytic import partial
from stability.real.meanings._gamma_series import (
    at_pole,
    derivative_of_lgamma,
    lgamma_series,
    log_of_gamma,
    polygamma_series,
    ratio_of_gammas,
    ratio_series,
)
from stability.real.meanings._text import (
    DOMAIN,
    POLE,
    add,
    checked,
    finite,
    mul,
    neg,
    pole_of_gamma,
    sub,
    unary,
    whole,
)
from stability.real.steps import sign_native
from stability.real.values import INFINITY, MINUS_INFINITY, ONE, UNDECIDED, Scalar, Undefined, infinite

LARGEST_ORDER = 1000
"""Of the zeta and polygamma functions that are evaluated left of 0."""


def _lgamma(x) -> arb:
    x = flat(x)
    return x.lgamma() if x > 0 else (arb.pi() / abs(x.sin_pi())).log() - (1 - x).lgamma()


lgamma: Function = Function(
    unary(_lgamma, INFINITY, INFINITY, lambda x: INFINITY if pole_of_gamma(x) else None),
    lambda x: digamma(x),
    series=lambda x: lgamma_series(lgamma, x),
    native=log_of_gamma,
)
"""`log |Γ(x)|`."""

digamma: Function = Function(
    unary(lambda x: flat(x).digamma(), INFINITY, None, pole_of_gamma),
    lambda x: polygamma(ONE, x),
    series=lambda x: polygamma_series(digamma, 0, x),
    native=lambda x: derivative_of_lgamma(x, 1),
)

gamma: Function = Function(
    unary(lambda x: flat(x).gamma(), INFINITY, None, pole_of_gamma),
    lambda x: mul(gamma(x), digamma(x)),
    series=lambda x: ratio_series(gamma, [x], [], [x]),
    native=methodcaller("gamma"),
)


def _gammasgn(x) -> Scalar:
    if x > 0:
        return ONE
    cell = flat(x).floor()
    return ONE if whole(cell / 2) else -ONE if whole((cell - 1) / 2) else UNDECIDED


gammasgn: Function = Function(unary(_gammasgn, ONE, None, lambda x: DOMAIN if pole_of_gamma(x) else None), zero)
"""The sign of `Γ(x)`."""


def _zeta_outside(s, q) -> Undefined | None:
    if s == 1:
        return POLE
    if s < 1:
        return DOMAIN
    if q <= 0:
        return POLE if whole(q) else None if whole(s) else DOMAIN
    return None


def _zeta(s: arb, q: arb) -> arb:
    """`ζ(s, q)`: for `q > 0`, all but the first term add up to at most `(q + 1)^-s (1 + (q + 1)/(s - 1))`. For `q < 0`
    and whole `s` it is `(-1)^(s+1) (ζ(s, 1 - q) + π c)`, `c` the Taylor coefficient of `cot π(q + ε)` at `ε^(s-1)`."""
    if q > 0:
        rest = (q / (q + 1)) ** s * (1 + (q + 1) / (s - 1))
        return q**-s * (1 + arb(0, rest.upper())) if rest < arb(2) ** -flint.ctx.prec else s.zeta(q)
    if not s <= LARGEST_ORDER:
        return arb.nan()
    order = int(float(s))
    cot = flint.arb_series([q, 1], prec=order).cot_pi()
    right = s.zeta(1 - q) + arb.pi() * cot[order - 1]
    return right if order % 2 else -right


def _zeta_limit(s: Scalar, q: Scalar) -> Scalar:
    if s <= 1:
        return _zeta_outside(s, q)
    if infinite(q):
        return DOMAIN if q < 0 else arb(0)
    return arb(0) if q > 1 else ONE if q == 1 else INFINITY if 0 < q < 1 else UNDECIDED


def _minus_s_zeta(s, q):
    return neg(mul(s, zeta(add(s, ONE), q)))


def _right_of_zero(s, q) -> Undefined | None:
    return _zeta_outside(s, q) or (None if q > 0 else DOMAIN)


_OF_ZETA = partial(lambda s, q: s.zeta(q), (1, 0), _right_of_zero)


def _zeta_in_s(s: arb, q: arb) -> Scalar:
    """`-Σ_n log(n + q) (n + q)^-s`: with `log t < t`, all but the first term add up to at most the bound of `_zeta` for
    `s - 1`."""
    if s > 3 and q != 1:
        rest = (q + 1) * (q / (q + 1)) ** s * (1 + (q + 1) / (s - 2)) / abs(q.log())
        if rest < arb(2) ** -flint.ctx.prec:
            return -q.log() * q**-s * (1 + arb(0, rest.upper()))
    return _OF_ZETA(s, q)


zeta: Function = Function(
    finite(_zeta, _zeta_outside, _zeta_limit),
    Function(finite(_zeta_in_s, _right_of_zero), *_OF_ZETA.slopes),
    _minus_s_zeta,
)
"""The Hurwitz function `Σ_n (n + q)^-s`, `s > 1`; for whole `s` also left of 0."""


def _polygamma(m: Scalar, x: Scalar) -> Scalar:
    if isinstance(x, Undefined) or isinstance(m, Undefined):
        return x if isinstance(x, Undefined) else m
    if infinite(m) or not (m >= 0 and whole(m)):
        return DOMAIN
    if m == 0:
        return digamma(x)
    if infinite(x):
        return arb(0) if x > 0 else DOMAIN
    y = zeta(m + 1, x)
    if isinstance(y, Undefined):
        return INFINITY if y == POLE and not (m / 2).is_integer() else y
    y = m.gamma() * m * y
    return y if not (m / 2).is_integer() else -y


def _polygamma_series(m, x):
    if not (isinstance(m, arb) and whole(m) and 0 <= m <= LARGEST_ORDER):
        return composed(polygamma, [m, x])
    return polygamma_series(polygamma if m > 0 else digamma, int(float(m)), x)


def _polygamma_native(m, x):
    if type(m) is arb_series or not (whole(m) and 0 <= m <= LARGEST_ORDER):
        raise Open
    return derivative_of_lgamma(x, int(float(m)) + 1)


polygamma: Function = Function(
    _polygamma,
    lambda m, x: DOMAIN,
    lambda m, x: polygamma(add(m, ONE), x),
    series=_polygamma_series,
    native=_polygamma_native,
)
"""`ψ^(m)(x) = (-1)^(m+1) m! ζ(m + 1, x)` for whole `m >= 1`, and the digamma function for `m = 0`; only for
whole `m`, so without a slope in it."""


def _beta_at_pole(a: arb, b: arb) -> Scalar:
    """At a whole `a <= 0`: `(-1)^b B(1 - a - b, b)` for whole `b` in `1..-a`, the limit in `a`."""
    if not (whole(b) and b > 0 and b <= -a):
        return POLE
    y = _beta(1 - a - b, b)
    return y if (b / 2).is_integer() else -y


def _beta(a: arb, b: arb) -> Scalar:
    if pole_of_gamma(a):
        return _beta_at_pole(a, b)
    if pole_of_gamma(b):
        return _beta_at_pole(b, a)
    return a.gamma() * b.gamma() * (a + b).rgamma()


def _beta_limit(a: Scalar, b: Scalar) -> Scalar:
    if infinite(b):
        a, b = b, a
    if a < 0 or (infinite(b) and b < 0):
        return DOMAIN
    if b > 0:
        return arb(0)
    if not (b < 0) or whole(b):
        return UNDECIDED
    return INFINITY if b.gamma() > 0 else MINUS_INFINITY


def _beta_rule(a: Scalar, b: Scalar) -> Scalar:
    for v in (a, b):
        if isinstance(v, Undefined):
            return v
    if infinite(a) or infinite(b):
        return _beta_limit(a, b)
    y = _beta(flat(a), flat(b))
    return y if isinstance(y, Undefined) else checked(y)


def _beta_native(a, b):
    if type(a) is arb_series and type(b) is arb and whole(b):
        return ratio_of_gammas(a, a + b) * b.gamma()
    return ratio_of_gammas(b, a + b) * a.gamma()


beta: Function = Function(
    _beta_rule,
    lambda a, b: mul(beta(a, b), sub(digamma(a), digamma(add(a, b)))),
    lambda a, b: mul(beta(a, b), sub(digamma(b), digamma(add(a, b)))),
    series=lambda a, b: ratio_series(beta, [a, b], [add(a, b)], [a, b]),
    native=_beta_native,
)
"""`Γ(a) Γ(b)/Γ(a + b)`."""


def _betaln(a: Scalar, b: Scalar) -> Scalar:
    y = _beta_rule(a, b)
    if isinstance(y, Undefined):
        return y
    if infinite(a) or infinite(b):
        return MINUS_INFINITY if y == 0 else INFINITY
    a, b = flat(a), flat(b)
    if a > 0 and b > 0:
        return checked(a.lgamma() + b.lgamma() - (a + b).lgamma())
    return POLE if y == 0 else checked(abs(y).log())


def _betaln_native(a, b):
    if constant_of(a) > 0 and constant_of(b) > 0:
        return lgamma(a) + lgamma(b) - lgamma(a + b)
    y = _beta_native(a, b)
    return (y if sign_native(y) > 0 else -y).log()


def _betaln_series(a, b):
    total = add(a, b)
    if any(map(at_pole, (a, b, total))):
        return sub(add(lgamma(a), lgamma(b)), lgamma(total))
    return composed(betaln, [a, b])


betaln: Function = Function(
    _betaln,
    lambda a, b: sub(digamma(a), digamma(add(a, b))),
    lambda a, b: sub(digamma(b), digamma(add(a, b))),
    series=_betaln_series,
    native=_betaln_native,
)
"""`log |B(a, b)|`."""


def _poch(z: arb, m: arb) -> Scalar:
    if m == 0:
        return ONE
    total = z + m
    if pole_of_gamma(z):
        if not pole_of_gamma(total):
            return arb(0) if total > 0 or total.is_exact() else arb.nan()
        y = (1 - z).gamma() * (1 - total).rgamma()
        return y if (m / 2).is_integer() else -y
    return total.gamma() * z.rgamma()


def _poch_rule(z: Scalar, m: Scalar) -> Scalar:
    for v in (z, m):
        if isinstance(v, Undefined):
            return v
    if infinite(z) or infinite(m):
        return UNDECIDED
    z, m = flat(z), flat(m)
    if m != 0 and not pole_of_gamma(z) and pole_of_gamma(z + m):
        return POLE
    return checked(_poch(z, m))


poch: Function = Function(
    _poch_rule,
    lambda z, m: mul(poch(z, m), sub(digamma(add(z, m)), digamma(z))),
    lambda z, m: mul(poch(z, m), digamma(add(z, m))),
    series=lambda z, m: ratio_series(poch, [z, m], [z], [add(z, m)]),
    native=lambda z, m: ratio_of_gammas(z + m, z),
)
"""`Γ(z + m)/Γ(z)`."""
