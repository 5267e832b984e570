"""The elementwise rules: what each primitive is over the reals.

A rule takes real numbers (`Scalar`) and gives one. Infinities stand for limits, and a rule is defined at one only
where the limit exists. Where a function has no value the rule says why, and says `UNDECIDED` where that
hangs on a ball that is too wide.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from operator import methodcaller
from typing import Any

import flint
import numpy as np
from flint import arb

from stability.real._near import CLOSE, Near, flat, near, plus
from stability.real._values import INFINITY, MINUS_INFINITY, ONE, UNDECIDED, ZERO, Scalar, Undefined, chosen, infinite

Rule = Callable[..., Any]

FAR = 16
"""From here on, what tends to a constant is kept as its distance from that."""

DOMAIN, POLE = Undefined("domain"), Undefined("pole")


def _checked(y: arb) -> Scalar:
    return y if y.is_finite() or infinite(y) else UNDECIDED


def _function(at: Callable[[arb], arb], above=None, below=None, outside=None) -> Rule:
    """The rule of a function of one real: `above` and `below` its limits at the two infinities, `outside` where
    (and why) a number has no value."""

    def rule(x: Scalar) -> Scalar:
        if isinstance(x, Undefined):
            return x
        if infinite(x):
            limit = above if x > 0 else below
            return DOMAIN if limit is None else limit
        why = outside(x) if outside else None
        return why or _checked(at(x))

    return rule


def _below(bound: int, at_bound: Undefined | None = POLE):
    return lambda x: DOMAIN if x < bound else (at_bound if x == bound else None)


def _beyond_one(at_bound: Undefined | None):
    return lambda x: DOMAIN if abs(x) > 1 else (at_bound if abs(x) == 1 else None)


def _nonpositive_integer(x: arb) -> Undefined | None:
    return POLE if x <= 0 and x.is_exact() and x.is_integer() else None


def add(x: Scalar, y: Scalar) -> Scalar:
    if x is ZERO:
        return y
    if y is ZERO:
        return x
    if isinstance(x, Undefined) or isinstance(y, Undefined):
        return _first_undefined(x, y)
    if infinite(x) and infinite(y) and (x > 0) != (y > 0):
        return Undefined("infinity_minus_infinity")
    return x if infinite(x) else y if infinite(y) else _checked(plus(x, y))


def neg(x: Scalar) -> Scalar:
    return x if x is ZERO or isinstance(x, Undefined) else -x


def sub(x: Scalar, y: Scalar) -> Scalar:
    return add(x, neg(y))


def _first_undefined(*values) -> Undefined:
    undefined = [v for v in values if isinstance(v, Undefined)]
    return next((v for v in undefined if v.certain), undefined[0])


def mul(x: Scalar, y: Scalar) -> Scalar:
    if x is ZERO or y is ZERO:
        return ZERO
    if isinstance(x, Undefined) or isinstance(y, Undefined):
        return _first_undefined(x, y)
    if infinite(x) or infinite(y):
        if x == 0 or y == 0:
            return Undefined("zero_times_infinity")
        if not (x != 0 and y != 0):
            return UNDECIDED
        return INFINITY if (x > 0) == (y > 0) else MINUS_INFINITY
    return _checked(x * y)


def div(x: Scalar, y: Scalar) -> Scalar:
    if x is ZERO:
        return ZERO
    if isinstance(x, Undefined) or isinstance(y, Undefined):
        return _first_undefined(x, y)
    if infinite(y):
        return Undefined("infinity_over_infinity") if infinite(x) else arb(0)
    if y == 0:
        return Undefined("zero_over_zero") if x == 0 else POLE if x != 0 else UNDECIDED
    if infinite(x):
        return UNDECIDED if not (y > 0 or y < 0) else INFINITY if (x > 0) == (y > 0) else MINUS_INFINITY
    return _checked(x / y)


def _exp(x):
    return near(ONE, x.expm1()) if abs(x) < CLOSE else x.exp()


def _expm1(x):
    return near(-ONE, x.exp()) if x < -FAR else x.expm1()


def _exp2(x):
    if x.is_exact() and x.is_integer() and abs(x) < 2**20:
        return arb(2) ** int(x.unique_fmpz())
    return _exp(x * arb.const_log2())


def _log2(x):
    flat_x = flat(x)
    if flat_x.is_exact() and not isinstance(x, Near):
        mantissa, exponent = flat_x.man_exp()
        if mantissa == 1:
            return arb(exponent)
    return x.log() / arb.const_log2()


def _logistic(x):
    e = (-abs(x)).exp()
    if x > FAR:
        return near(ONE, -e / (1 + e))
    return e / (1 + e) if x < 0 else 1 / (1 + (-x).exp())


def _tanh(x):
    rest = 2 / ((2 * abs(x)).exp() + 1)
    return near(ONE, -rest) if x > FAR else near(-ONE, rest) if x < -FAR else x.tanh()


def _erf(x):
    return near(ONE, -x.erfc()) if x > FAR else near(-ONE, (-x).erfc()) if x < -FAR else x.erf()


def _erfc(x):
    return near(arb(2), -(-x).erfc()) if x < -FAR else x.erfc()


def _cos(x):
    return near(ONE, -2 * (x / 2).sin() ** 2) if abs(x) < CLOSE else x.cos()


def _cosh(x):
    return near(ONE, 2 * (x / 2).sinh() ** 2) if abs(x) < CLOSE else x.cosh()


exp = _function(_exp, INFINITY, arb(0))
log = _function(methodcaller("log"), INFINITY, None, _below(0))


def absolute(x: Scalar) -> Scalar:
    if isinstance(x, Undefined) or x >= 0:
        return x
    return -x if x <= 0 else abs(x)


def _integer_pow(y: int) -> Rule:
    def rule(x: Scalar) -> Scalar:
        if isinstance(x, Undefined):
            return x
        if y == 0:
            return ONE
        if y < 0:
            return div(ONE, _integer_pow(-y)(x))
        if infinite(x):
            return INFINITY if x > 0 or y % 2 == 0 else MINUS_INFINITY
        return _checked(x**y)

    return rule


def _one_minus_square(x: Scalar) -> Scalar:
    return sub(ONE, _integer_pow(2)(x))


def _polynomial(x: Scalar, *coefficients: Scalar) -> Scalar:
    """`c0 + x (c1 + x (c2 + ...))`."""
    total = coefficients[-1]
    for c in reversed(coefficients[:-1]):
        total = add(c, mul(x, total))
    return total


def _pow(x: Scalar, y: Any) -> Scalar:
    if isinstance(y, Undefined) or isinstance(x, Undefined):
        return _first_undefined(x, y)
    y = arb(int(y)) if isinstance(y, int | np.integer) else y
    if y == 0:
        return ONE
    if y.is_exact() and y.is_integer() and abs(y) < 2**20:
        return _integer_pow(int(y.unique_fmpz()))(x)
    if x == 1 and not infinite(y):
        return ONE
    if x == 0:
        return arb(0) if y > 0 else POLE if y < 0 else UNDECIDED
    if x > 0:
        return exp(mul(log(x), y))
    if x < 0 and y.is_exact() and not infinite(y):
        if not y.is_integer():
            return DOMAIN
        magnitude = exp(mul(log(neg(x)), y))
        return neg(magnitude) if (y / 2).is_integer() is False else magnitude
    return DOMAIN if x < 0 and infinite(y) else UNDECIDED


def _cbrt(x: Scalar) -> Scalar:
    if isinstance(x, Undefined) or infinite(x) or x == 0:
        return x
    if x > 0:
        return x.root(3)
    return -(-x).root(3) if x < 0 else UNDECIDED


def _atan2(y: Scalar, x: Scalar) -> Scalar:
    if isinstance(x, Undefined) or isinstance(y, Undefined):
        return _first_undefined(x, y)
    if x == 0 and y == 0:
        return Undefined("zero_over_zero")
    if infinite(x) or infinite(y):
        if infinite(x) and infinite(y):
            return Undefined("infinity_over_infinity")
        if infinite(y):
            return arb.pi() / 2 if y > 0 else -arb.pi() / 2
        if x > 0:
            return arb(0)
        return arb.pi() if y >= 0 else -arb.pi() if y < 0 else UNDECIDED
    if x < 0 and not (y >= 0 or y < 0):
        return UNDECIDED
    return _checked(arb.atan2(flat(y), flat(x)))


def _rem(x: Scalar, y: Scalar) -> Scalar:
    quotient = div(x, y)
    if isinstance(quotient, Undefined):
        return DOMAIN if quotient.certain else quotient
    if infinite(y):
        return x
    if infinite(x):
        return DOMAIN
    if x.is_exact() and y.is_exact():
        (mx, ex), (my, ey) = ((int(v) for v in part.man_exp()) for part in (x, y))
        e = min(ex, ey)
        a, b = mx << (ex - e), my << (ey - e)
        r = abs(a) % abs(b)
        return arb(r if a >= 0 else -r) * arb(2) ** e
    whole = _truncate(quotient)
    return whole if isinstance(whole, Undefined) else _checked(x - whole * y)


def _exactly(compute: Callable[[], arb]) -> arb:
    with flint.ctx.workprec(4096):
        return compute()


def _wrap_step(compute: Callable[[arb], arb]) -> Rule:
    def rule(x: Scalar) -> Scalar:
        if isinstance(x, Undefined) or infinite(x):
            return x
        y = _exactly(lambda: compute(x))
        return y if y.is_finite() and y.is_exact() else UNDECIDED

    return rule


def _nearest_away(x: arb) -> arb:
    return (x + 0.5).floor() if x >= 0 else (x - 0.5).ceil()


def _nearest_even(x: arb) -> arb:
    up = (x + 0.5).floor()
    return up - 1 if x + 0.5 == up and not (up / 2).is_integer() else up


_floor, _ceil = _wrap_step(methodcaller("floor")), _wrap_step(methodcaller("ceil"))


def _truncate(x: Scalar) -> Scalar:
    return x if isinstance(x, Undefined) else _floor(x) if x >= 0 else _ceil(x) if x <= 0 else UNDECIDED


def to_integer(x: Scalar) -> int | Undefined:
    """A real number truncated to an integer, as `convert_element_type` to an integer dtype does."""
    whole = _truncate(x)
    if isinstance(whole, Undefined) or infinite(whole):
        return whole if isinstance(whole, Undefined) else DOMAIN
    return int(whole.unique_fmpz())


def sign(x: Scalar) -> Scalar:
    if isinstance(x, Undefined):
        return x
    return ONE if x > 0 else -ONE if x < 0 else arb(0) if x == 0 else UNDECIDED


def maximum(x: Scalar, y: Scalar) -> Scalar:
    if x is y:
        return x
    if isinstance(x, Undefined) or isinstance(y, Undefined):
        return _first_undefined(x, y)
    if x >= y:
        return x
    return y if y >= x else arb.max(flat(x), flat(y))


def minimum(x: Scalar, y: Scalar) -> Scalar:
    if x is y:
        return x
    if isinstance(x, Undefined) or isinstance(y, Undefined):
        return _first_undefined(x, y)
    if x <= y:
        return x
    return y if y <= x else arb.min(flat(x), flat(y))


def clamp(low: Scalar, x: Scalar, high: Scalar) -> Scalar:
    return minimum(maximum(x, low), high)


def _comparison(yes: Callable[[Any, Any], bool], no: Callable[[Any, Any], bool], same: bool) -> Rule:
    """A comparison of reals. One and the same number (`x is y`) equals itself, however wide its ball.

    Compared with itself, what is not a number differs, as NaN does: that is how programs ask for one (`x != x`).
    """

    def rule(x, y) -> bool | Undefined:
        if isinstance(x, Undefined) or isinstance(y, Undefined):
            undefined = _first_undefined(x, y)
            return not same if x is y and undefined.kind not in ("undecided", "pole") else undefined
        if x is y or yes(x, y):
            return same if x is y else True
        return False if no(x, y) else UNDECIDED

    return rule


ORDERS = {
    "lt": (operator.lt, operator.ge, False),
    "le": (operator.le, operator.gt, True),
    "gt": (operator.gt, operator.le, False),
    "ge": (operator.ge, operator.lt, True),
    "eq": (operator.eq, operator.ne, True),
    "ne": (operator.ne, operator.eq, False),
}
"""By primitive: what holds of balls where it is true, and where it is false, and what it is of a number and itself."""

COMPARISONS = {name: _comparison(*order) for name, order in ORDERS.items()}


def is_finite(x: Scalar) -> bool | Undefined:
    if isinstance(x, Undefined):
        return False if x.certain else x
    return not infinite(x)


def logical_and(x, y):
    if any(not isinstance(v, Undefined) and not v for v in (x, y)):
        return False
    return _first_undefined(x, y) if isinstance(x, Undefined) or isinstance(y, Undefined) else True


def logical_not(x):
    return x if isinstance(x, Undefined) else not x


def logical_or(x, y):
    return logical_not(logical_and(logical_not(x), logical_not(y)))


def logical_xor(x, y):
    return _first_undefined(x, y) if isinstance(x, Undefined) or isinstance(y, Undefined) else bool(x) != bool(y)


def select(which, *cases):
    """`select_n`: the case that is not taken is never evaluated, so it does not matter what it is."""
    return which if isinstance(which, Undefined) else chosen(cases[int(which)])


def from_integer(n) -> Scalar:
    """An integer or a truth value as a real number; False is a chosen zero (Iverson's bracket)."""
    if isinstance(n, Undefined):
        return n
    if isinstance(n, bool | np.bool_):
        return ONE if n else ZERO
    return arb(int(n))


def log_add_exp(x: Scalar, y: Scalar) -> Scalar:
    return log(add(exp(x), exp(y)))


def _polygamma(m: Scalar, x: Scalar) -> Scalar:
    """`ψ^(m)(x) = (-1)^(m+1) m! ζ(m+1, x)` for whole `m >= 1`, and the digamma function for `m = 0`."""
    if isinstance(m, Undefined) or isinstance(x, Undefined):
        return _first_undefined(m, x)
    if not (m.is_exact() and m.is_integer() and m >= 0) or infinite(m):
        return DOMAIN
    if m == 0:
        return DIGAMMA(x)
    order = int(m.unique_fmpz())
    if infinite(x):
        return arb(0) if x > 0 else DOMAIN
    y = arb(order).fac() * arb(order + 1).zeta(flat(x))
    return _nonpositive_integer(x) or _checked(y if order % 2 else -y)


def _zeta(s: Scalar, q: Scalar) -> Scalar:
    if isinstance(s, Undefined) or isinstance(q, Undefined):
        return _first_undefined(s, q)
    if infinite(s) or infinite(q) or s <= 1:
        return DOMAIN
    return _nonpositive_integer(q) or _checked(s.zeta(flat(q)))


def _incomplete_gamma(compute: Callable[[arb, arb], arb], at_zero: int, at_infinity: int) -> Rule:
    def rule(a: Scalar, x: Scalar) -> Scalar:
        if isinstance(a, Undefined) or isinstance(x, Undefined):
            return _first_undefined(a, x)
        if infinite(a) or a <= 0 or x < 0:
            return DOMAIN
        if infinite(x):
            return arb(at_infinity)
        return arb(at_zero) if x == 0 else _checked(compute(a, x))

    return rule


def _incomplete_beta(a: Scalar, b: Scalar, x: Scalar) -> Scalar:
    if any(isinstance(v, Undefined) for v in (a, b, x)):
        return _first_undefined(a, b, x)
    if any(infinite(v) for v in (a, b, x)) or a <= 0 or b <= 0 or x < 0 or x > 1:
        return DOMAIN
    return _checked(x.beta_lower(flat(a), flat(b), regularized=True))


def _bessel_scaled(order: int) -> Callable[[arb], arb]:
    def at(x: arb) -> arb:
        if x >= 0:
            return x.bessel_i(arb(order), scaled=True)
        y = (-x).bessel_i(arb(order), scaled=True)
        return y if order % 2 == 0 else -y

    return at


def _lgamma(x: arb) -> arb:
    if x > 0:
        return x.lgamma()
    return abs(x.gamma()).log()


DIGAMMA = _function(methodcaller("digamma"), INFINITY, None, _nonpositive_integer)


def _at_infinity(limit: Callable[[], arb], rule: Rule) -> Rule:
    """`rule` with a limit at +inf that is not exact; the limit at -inf is its negative."""

    def wrapped(x: Scalar) -> Scalar:
        if not isinstance(x, Undefined) and infinite(x):
            return limit() if x > 0 else -limit()
        return rule(x)

    return wrapped


def identity(x):
    return x


ELEMENTWISE: dict[str, Rule] = {
    "add": add,
    "add_any": add,
    "sub": sub,
    "mul": mul,
    "div": div,
    "neg": neg,
    "rem": _rem,
    "pow": _pow,
    "square": _integer_pow(2),
    "one_minus_square": _one_minus_square,
    "polynomial": _polynomial,
    "abs": absolute,
    "sign": sign,
    "max": maximum,
    "min": minimum,
    "clamp": clamp,
    "floor": _floor,
    "ceil": _ceil,
    "is_finite": is_finite,
    "exp": exp,
    "exp2": _function(_exp2, INFINITY, arb(0)),
    "expm1": _function(_expm1, INFINITY, arb(-1)),
    "log": log,
    "log2": _function(_log2, INFINITY, None, _below(0)),
    "log1p": _function(methodcaller("log1p"), INFINITY, None, _below(-1)),
    "sqrt": _function(methodcaller("sqrt"), INFINITY, None, _below(0, None)),
    "rsqrt": _function(methodcaller("rsqrt"), arb(0), None, _below(0)),
    "cbrt": _cbrt,
    "logistic": _function(_logistic, ONE, arb(0)),
    "sin": _function(methodcaller("sin")),
    "cos": _function(_cos),
    "tan": _function(methodcaller("tan")),
    "asin": _function(methodcaller("asin"), None, None, _beyond_one(None)),
    "acos": _function(methodcaller("acos"), None, None, _beyond_one(None)),
    "atan": _at_infinity(lambda: arb.pi() / 2, _function(methodcaller("atan"))),
    "atan2": _atan2,
    "sinh": _function(methodcaller("sinh"), INFINITY, MINUS_INFINITY),
    "cosh": _function(_cosh, INFINITY, INFINITY),
    "tanh": _function(_tanh, ONE, -ONE),
    "asinh": _function(methodcaller("asinh"), INFINITY, MINUS_INFINITY),
    "acosh": _function(methodcaller("acosh"), INFINITY, None, _below(1, None)),
    "atanh": _function(methodcaller("atanh"), None, None, _beyond_one(POLE)),
    "erf": _function(_erf, ONE, -ONE),
    "erfc": _function(_erfc, arb(0), arb(2)),
    "erf_inv": _function(methodcaller("erfinv"), None, None, _beyond_one(POLE)),
    "lgamma": _function(_lgamma, INFINITY, INFINITY, _nonpositive_integer),
    "digamma": DIGAMMA,
    "polygamma": _polygamma,
    "zeta": _zeta,
    "igamma": _incomplete_gamma(lambda a, x: flat(x).gamma_lower(flat(a), regularized=1), 0, 1),
    "igammac": _incomplete_gamma(lambda a, x: flat(x).gamma_upper(flat(a), regularized=1), 1, 0),
    "regularized_incomplete_beta": _incomplete_beta,
    "bessel_i0e": _function(_bessel_scaled(0), arb(0), arb(0)),
    "bessel_i1e": _function(_bessel_scaled(1), arb(0), arb(0)),
    "select_n": select,
    "and": logical_and,
    "or": logical_or,
    "xor": logical_xor,
    "not": logical_not,
    "copy": identity,
    "copy_p": identity,
    "reduce_precision": identity,
    "stop_gradient": identity,
    "name": identity,
    "device_put": identity,
    "sharding_constraint": identity,
    **COMPARISONS,
}

PARAMETRIC: dict[str, Callable[[dict], Rule]] = {
    "integer_pow": lambda params: _integer_pow(params["y"]),
    "round": lambda params: _wrap_step(_nearest_even if int(params["rounding_method"]) == 1 else _nearest_away),
}
