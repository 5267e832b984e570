"""The elementwise rules: what each primitive is over the reals.

A rule takes real numbers (`Scalar`) and gives one. Infinities stand for limits, and a rule is defined at one only
where the limit exists. Where a function has no value the rule says why, and says `UNDECIDED` where that
hangs on a ball that is too wide.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import methodcaller

from flint import arb

from stability.real import _arithmetic as plain
from stability.real import _series as series
from stability.real._arithmetic import DOMAIN, POLE
from stability.real._arithmetic import checked as _checked
from stability.real._arithmetic import first_undefined as _first_undefined
from stability.real._near import CLOSE, Near, flat, near
from stability.real._series import Series
from stability.real.function import (
    Function,
    Rule,
    add,
    composed,
    constant_of,
    div,
    mul,
    neg,
    one,
    smoothly,
    sub,
    times,
)
from stability.real.steps import sign, sign_native, signless, truncate
from stability.real.values import (
    INFINITY,
    MINUS_INFINITY,
    NEGATIVE_ZERO,
    ONE,
    POSITIVE_ZERO,
    UNDECIDED,
    ZERO,
    Scalar,
    Undefined,
    infinite,
)

FAR = 16
"""From here on, what tends to a constant is kept as its distance from that."""


def of_one(at: Callable[[arb], arb], above=None, below=None, outside=None) -> Rule:
    """The rule of a function of one real.

    **Arguments:** `at` gives it of a number; `above` and `below` its limits at the two infinities, if it has them;
    `outside` says of a number where the function has no finite value what it has instead: why not, or an infinite
    limit; and `None` elsewhere.
    """

    def rule(x: Scalar) -> Scalar:
        if isinstance(x, Undefined):
            return plain.at_pole(above, below, outside) if plain.is_pole(x) else x
        if infinite(x):
            limit = above if x > 0 else below
            return DOMAIN if limit is None else limit
        instead = outside(x) if outside else None
        return _checked(at(x)) if instead is None else instead

    return rule


def below(bound: int, at_bound: Scalar | None = MINUS_INFINITY):
    return lambda x: DOMAIN if x < bound else (at_bound if x == bound else None)


def beyond_one(infinite_there: bool):
    def outside(x):
        if abs(x) > 1:
            return DOMAIN
        return (INFINITY if x > 0 else MINUS_INFINITY) if infinite_there and abs(x) == 1 else None

    return outside


NEGLIGIBLE = arb(2) ** -20_000
"""What is to 1 far less than what any precision here resolves."""


def _next_to(name: str) -> Callable[[arb], arb]:
    """A function of Arb's with `|f(x) - x| ≤ x²` for `|x| ≤ 1`: by that bound where `x` is very small. Of what lies
    below 2^-2^62, as `exp` of a double can, Arb's own has 28 bits."""
    of, within = methodcaller(name), arb(0, 1)
    return lambda x: flat(x) + within * flat(x) * flat(x) if abs(x) < NEGLIGIBLE else of(x)


_expm1_of, _sinh_of, _tanh_of = map(_next_to, ("expm1", "sinh", "tanh"))


def _exp(x):
    return near(ONE, _expm1_of(x)) if abs(x) < CLOSE else x.exp()


def _expm1(x):
    return near(-ONE, x.exp()) if x < -FAR else _expm1_of(x)


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
    return near(ONE, -rest) if x > FAR else near(-ONE, rest) if x < -FAR else _tanh_of(x)


def _cos(x):
    return near(ONE, -2 * (x / 2).sin() ** 2) if abs(x) < CLOSE else x.cos()


def _cosh(x):
    return near(ONE, 2 * _sinh_of(x / 2) ** 2) if abs(x) < CLOSE else x.cosh()


def _atan(x: Scalar) -> Scalar:
    if isinstance(x, Undefined):
        return signless(x)
    if infinite(x):
        return arb.pi() / 2 if x > 0 else -arb.pi() / 2
    return _checked(x.atan())


def _exp_series(x: Series) -> Series:
    """By `y' = x' y`, a coefficient at a time."""
    if isinstance(x, series.Logarithm):
        series.seen.singular += 1
        return series.exponential(x, _exp_series)
    if x.special or x.start < 0:
        series.seen.at(x.limit())
        return Series([exp.rule(x.limit())])
    c, out = [x.at(k) for k in range(x.end)], [exp.rule(x.limit())]
    for k in range(1, x.end):
        terms = [plain.mul(plain.mul(c[i], out[k - i]), arb(i)) for i in range(1, k + 1)]
        out.append(plain.div(series.total(terms), arb(k)))
    return Series(out)


def _log_series(x: Series) -> Series:
    if x.special or x.start != 0:
        series.seen.singular += 1
        if x.special:
            return Series([log.rule(x.limit())], slow=x.slow)
        inside = x.direction(True, DOMAIN, UNDECIDED)
        return series.logarithm(arb(x.start), _log_series(Series(x.c))) if inside is True else Series([inside])
    return series.integrated(log.rule(x.limit()), series.div(x.derivative(), x.cut(x.end - 2)), x.end)


exp: Function = Function(
    of_one(_exp, INFINITY, arb(0)), lambda x: exp(x), series=_exp_series, native=methodcaller("exp")
)
log: Function = Function(
    of_one(methodcaller("log"), INFINITY, None, below(0)),
    lambda x: div(ONE, x),
    series=_log_series,
    native=methodcaller("log"),
)
expm1: Function = Function(of_one(_expm1, INFINITY, arb(-1)), lambda x: exp(x))
exp2: Function = Function(
    of_one(_exp2, INFINITY, arb(0)),
    lambda x: mul(arb.const_log2(), exp2(x)),
    native=lambda x: (x * arb.const_log2()).exp(),
)
log1p: Function = smoothly(
    Function(
        of_one(methodcaller("log1p"), INFINITY, None, below(-1)),
        lambda x: div(ONE, add(ONE, x)),
        series=lambda x: log(add(ONE, x)) if x.limit() == -1 else composed(log1p, [x]),
    )
)
log2: Function = smoothly(
    Function(
        of_one(_log2, INFINITY, None, below(0)),
        lambda x: div(ONE, mul(arb.const_log2(), x)),
        series=lambda x: composed(log2, [x]) if x.start == 0 and not x.special else div(log(x), arb.const_log2()),
    )
)


def _logistic_native(x):
    """In `exp(-|x|)`, which no ball around large numbers makes unbounded."""
    if constant_of(x) > 0:
        return 1 / (1 + (-x).exp())
    e = x.exp()
    return e / (1 + e)


def _logistic_series(x: Series):
    """By its slope, whose two logistics double the work with each order, for two orders; then as it is defined."""
    if x.special or x.end - x.start <= 3:
        return composed(logistic, [x])
    return div(ONE, add(ONE, exp(neg(x))))


logistic: Function = Function(
    of_one(_logistic, ONE, arb(0)),
    lambda x: mul(logistic(x), logistic(neg(x))),
    series=_logistic_series,
    native=_logistic_native,
)
sin: Function = Function(of_one(methodcaller("sin")), lambda x: cos(x), native=methodcaller("sin"))
cos: Function = Function(of_one(_cos), lambda x: neg(sin(x)), native=methodcaller("cos"))
tan: Function = Function(of_one(methodcaller("tan")), lambda x: div(ONE, square(cos(x))))
asin: Function = Function(
    of_one(methodcaller("asin"), None, None, beyond_one(False)), lambda x: rsqrt(one_minus_square(x))
)
acos: Function = Function(
    of_one(methodcaller("acos"), None, None, beyond_one(False)), lambda x: neg(rsqrt(one_minus_square(x)))
)
atan: Function = Function(_atan, lambda x: div(ONE, one_plus_square(x)))


def _sinh_native(x):
    """By `expm1` of what is above 0, where nothing cancels in any coefficient."""
    e = expm1(x if sign_native(x) > 0 else -x)
    above = (e + e / (e + 1)) / 2
    return above if sign_native(x) > 0 else -above


def _tanh_native(x):
    """By `expm1` of what is below 0, where nothing cancels in any coefficient."""
    e = expm1(2 * x if sign_native(x) < 0 else -2 * x)
    below = e / (e + 2)
    return below if sign_native(x) < 0 else -below


sinh: Function = Function(of_one(_sinh_of, INFINITY, MINUS_INFINITY), lambda x: cosh(x), native=_sinh_native)
cosh: Function = Function(
    of_one(_cosh, INFINITY, INFINITY), lambda x: sinh(x), native=lambda x: (x.exp() + (-x).exp()) / 2
)
tanh: Function = Function(
    of_one(_tanh, ONE, -ONE),
    lambda x: times(4, mul(logistic(times(2, x)), logistic(times(-2, x)))),
    native=_tanh_native,
)
asinh: Function = Function(of_one(methodcaller("asinh"), INFINITY, MINUS_INFINITY), lambda x: rsqrt(one_plus_square(x)))
acosh: Function = Function(
    of_one(methodcaller("acosh"), INFINITY, None, below(1, None)), lambda x: rsqrt(mul(sub(x, ONE), add(x, ONE)))
)
atanh: Function = Function(
    of_one(methodcaller("atanh"), None, None, beyond_one(True)), lambda x: div(ONE, one_minus_square(x))
)


def _root(exponent: arb, function: Callable[[], Function]) -> Callable[[Series], Series]:
    def of(x: Series) -> Series:
        if x.special:
            return Series([function().rule(x.limit())])
        outside = x.direction(None, DOMAIN, UNDECIDED)
        return series.power(x, exponent, function().rule) if outside is None else Series([outside])

    return of


sqrt: Function = Function(
    of_one(methodcaller("sqrt"), INFINITY, None, below(0, None)),
    lambda x: times(0.5, rsqrt(x)),
    series=_root(arb(1) / 2, lambda: sqrt),
    native=methodcaller("sqrt"),
)
rsqrt: Function = Function(
    of_one(methodcaller("rsqrt"), arb(0), None, below(0, INFINITY)),
    lambda x: times(-0.5, div(rsqrt(x), x)),
    series=_root(arb(-1) / 2, lambda: rsqrt),
    native=methodcaller("rsqrt"),
)


def absolute_rule(x: Scalar) -> Scalar:
    if isinstance(x, Undefined):
        return INFINITY if plain.is_pole(x) else x
    if x >= 0:
        return POSITIVE_ZERO if x is NEGATIVE_ZERO else x
    return -x if x <= 0 else abs(x)


def _absolute_series(x: Series):
    if x.special:
        return Series([absolute_rule(x.limit())])
    series.seen.singular += series.is_zero(x.limit())
    return x.direction(x, series.neg(x), Series([UNDECIDED]) if x.start == 0 and x.c else Series([], x.start))


absolute: Function = Function(
    absolute_rule, lambda x: sign(x), series=_absolute_series, native=lambda x: x if sign_native(x) > 0 else -x
)


def integer_pow(y: int) -> Function:
    def rule(x: Scalar) -> Scalar:
        if y == 0:
            return ONE
        if isinstance(x, Undefined):
            return x if not plain.is_pole(x) else arb(0) if y < 0 else POLE if y % 2 else INFINITY
        if y < 0:
            return INFINITY if x == 0 and y % 2 == 0 else plain.div(ONE, integer_pow(-y).rule(x))
        if infinite(x):
            return INFINITY if x > 0 or y % 2 == 0 else MINUS_INFINITY
        return _checked(x**y)

    def of_series(x: Series):
        if y == 0:
            return ONE
        if x.special:
            return Series([rule(x.limit())], slow=x.slow and y > 0)
        if y < 0:
            return series.div(ONE, integer_pow(-y).series(x))  # type: ignore[misc]
        if x.c and x.c[0] > 0 and y > 16:
            return series.power(x, arb(y), rule)
        out = x
        for _ in range(y - 1):
            out = series.mul(out, x)  # type: ignore[assignment]
        return out

    def of_native(x):
        return ONE / x ** (-y) if y < 0 else x**y if y else ONE

    return Function(
        rule, lambda x: times(y, integer_pow(y - 1)(x)) if y else arb(0), series=of_series, native=of_native
    )


square: Function = integer_pow(2)


def one_minus_square(x):
    return sub(ONE, square(x))


def one_plus_square(x):
    return add(ONE, square(x))


def polynomial(x, *coefficients):
    """`c0 + x (c1 + x (c2 + ...))`."""
    total = coefficients[-1]
    for c in reversed(coefficients[:-1]):
        total = add(c, mul(x, total))
    return total


def _rem(x: Scalar, y: Scalar) -> Scalar:
    if isinstance(x, Undefined) or isinstance(y, Undefined):
        return signless(_first_undefined(x, y))
    quotient = plain.div(x, y)
    if isinstance(quotient, Undefined):
        return DOMAIN if quotient.certain else quotient
    if infinite(y):
        return x
    if infinite(x):
        return DOMAIN
    x, y = (arb(0) if v is ZERO else v for v in (x, y))
    if y == 0:
        return DOMAIN
    if x.is_exact() and y.is_exact():
        (mx, ex), (my, ey) = ((int(v) for v in part.man_exp()) for part in (x, y))
        e = min(ex, ey)
        a, b = mx << (ex - e), my << (ey - e)
        r = abs(a) % abs(b)
        return arb(r if a >= 0 else -r) * arb(2) ** e
    whole = truncate.rule(quotient)
    return whole if isinstance(whole, Undefined) else _checked(x - whole * y)


def _rem_series(x, y):
    return sub(x, mul(truncate(div(x, y)), y))


rem: Function = Function(_rem, one, lambda x, y: neg(truncate(div(x, y))), series=_rem_series, native=_rem_series)
