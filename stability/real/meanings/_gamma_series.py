"""The gamma function and its kin along power series: Arb's own, and those that may begin with a negative power, at the
poles.

`1/Γ` is entire, so at every pole `Γ` is one over a power series. With `x = d - n`, `n` whole, the polygamma functions
are, by reflection,

    ψ^(m)(x) = (-1)^(m+1) m!/d^(m+1) + (-1)^m ψ^(m)(1 - x) - h^(m)(d),    h(d) = π cot πd - 1/d,

all but the first term being analytic there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from flint import arb, arb_series

from stability.real._near import flat
from stability.real._series import Series, limit
from stability.real.function import Function, Open, composed, constant_of, moved, terms
from stability.real.meanings._text import absolute, add, div, log, mul, neg, sub, whole
from stability.real.scalars import integer_pow
from stability.real.steps import sign_native
from stability.real.values import Undefined, infinite


def log_of_gamma(x: arb_series) -> arb_series:
    """`log |Γ(x)|`, left of 0 as `log(π/|sin πx|) - log Γ(1 - x)`."""
    at = constant_of(x)
    if at > 0:
        return x.lgamma()
    if not at < 0:
        raise Open
    sine = x.sin_pi()
    return (arb.pi() / (sine if sign_native(sine) > 0 else -sine)).log() - (1 - x).lgamma()


def derivative_of(taylor: arb_series, order: int, d: arb_series) -> arb_series:
    """The derivative of a function by its power series about a number, at that and `d`. **Raises:** `Open`."""
    if taylor.prec < d.prec + order:
        raise Open
    return arb_series([taylor[k + order] * math.perm(k + order, order) for k in range(d.prec)], prec=d.prec)(d)


def derivative_of_lgamma(x: arb_series, order: int) -> arb_series:
    """The polygamma function of `order - 1`, by the power series of `log |Γ|` at the point of `x`."""
    at = constant_of(x)
    return derivative_of(log_of_gamma(arb_series([at, 1], prec=x.prec + order)), order, moved(x))


def ratio_of_gammas(x: arb_series | arb, y: arb_series | arb) -> arb_series | arb:
    """`Γ(x)/Γ(y)`; for whole `n = y - x`, left of 0, as `(-1)^n Γ(1 - y)/Γ(1 - x)`, which has no poles there."""
    n = constant_of(y) - constant_of(x)
    if whole(n) and constant_of(x) < 0 and constant_of(y) < 1:
        found = (1 - y).gamma() * (1 - x).rgamma()
        return found if (n / 2).is_integer() else -found
    return x.gamma() * y.rgamma()


def lgamma_series(lgamma: Function, x: Series) -> Series:
    """At a pole `-log |1/Γ|`, so that differences of such have limits."""
    if at_pole(x) and isinstance(entire := _natively(_entire, [x]), Series) and entire.c:
        return neg(log(absolute(entire)))
    return _natively(log_of_gamma, [x]) or composed(lgamma, [x])


def at_pole(x: Any) -> bool:
    """Whether the gamma function has a pole at a number, or at the limit of a series."""
    at = limit(x)
    return not isinstance(at, Undefined) and not infinite(at) and at <= 0 and whole(flat(at))


def ratio_series(f: Function, args: Sequence[Any], above: Sequence[Any], below: Sequence[Any]) -> Series:
    """`f(*args)`, which is the product of `1/Γ` of what is `above` over that of what is `below`."""
    top, bottom = (_natively(_entire, xs) for xs in (above, below))
    if any(v is None or (v == 0 if isinstance(v, arb) else not v.c) for v in (top, bottom)):
        return composed(f, args)
    return div(top, bottom)


def _entire(*xs: arb_series | arb) -> arb_series | arb:
    product: Any = arb(1)
    for x in xs:
        product = product * x.rgamma()
    return product


def polygamma_series(f: Function, m: int, x: Series) -> Series:
    """The polygamma function `f` of order `m`, the digamma function where that is 0."""
    at, args = limit(x), [x] if m == 0 else [arb(m), x]
    if not at_pole(x):
        return _natively(lambda x: derivative_of_lgamma(x, m + 1), [x], m + 1) or composed(f, args)

    def regular(x: arb_series) -> arb_series:
        right = derivative_of_lgamma(1 - x, m + 1)
        return (-right if m % 2 else right) - derivative_of(_cotangent(x.prec + m), m, moved(x))

    rest = _natively(regular, [x], m + 3)
    if rest is None:
        return composed(f, args)
    first = mul(arb((-1) ** (m + 1) * math.factorial(m)), integer_pow(-m - 1)(sub(x, at)))
    return add(first, rest)


def _cotangent(end: int) -> arb_series:
    """`π cot πd - 1/d = (πd cos πd - sin πd)/(d sin πd)` up to a power."""
    d = arb_series([0, 1], prec=end + 3)
    sine, cosine = d.sin_pi(), d.cos_pi()
    top, bottom = arb.pi() * d * cosine - sine, d * sine
    low, high = (arb_series([s[k + 2] for k in range(end)], prec=end) for s in (bottom, top))
    return high / low


def _natively(native: Callable[..., Any], args: Sequence[Any], more: int = 0) -> Any:
    """A function of series, or of numbers alone, by Arb's own; nothing where a limit is no finite ball, or it has a
    pole.

    **Arguments:** `more` how many more terms than its result `native` makes on the way.
    """
    ends = [x.end for x in args if isinstance(x, Series)]
    end = min(ends, default=1)
    try:
        with terms(max([*ends, end + more])):
            found = native(*map(_native, args))
    except (Open, ZeroDivisionError, ValueError):
        return None
    if not ends:
        return found
    if type(found) is not arb_series or found.prec < end or not all(found[k].is_finite() for k in range(end)):
        return None
    return Series([found[k] for k in range(end)])


def _native(x: Any) -> arb_series | arb:
    if not isinstance(x, Series):
        return constant_of(x)
    if x.special or x.start < 0:
        raise Open
    return arb_series([constant_of(x.at(k)) for k in range(x.end)], prec=x.end)
