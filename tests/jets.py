"""An oracle of programs: their values and two derivatives by mpmath, integers and truth values as machines have them.

A float is a `Jet`: the value and the first two derivatives by the program's argument, in mpmath numbers. What mpmath
can't tell is `OPEN`: digits that cancelled or were absorbed, an argument that is too large, a comparison of computed
numbers that agree. What is there is decided before the truth is asked for.
"""

from typing import NamedTuple

import mpmath

kinks: list = []
"""Where a program came to a place at which it may have two one-sided derivatives."""

NAN, HOLE, OPEN = "nan", "hole", "open"
"""No value; none but perhaps a limit, which is tested by itself; unknown."""


class Jet(NamedTuple):
    """**Attributes:** `slope` and `bend` the derivatives, `None` where they are open; `exact` whether the value has no
    rounding error; `mask` whether it is a zero that a choice made (`None`: it may be)."""

    value: mpmath.mpf
    slope: mpmath.mpf | None = mpmath.mpf(0)
    bend: mpmath.mpf | None = mpmath.mpf(0)
    exact: bool = False
    mask: bool | None = False

    @property
    def constant(self):
        return self.slope == 0 and self.bend == 0


def number(x, slope=0) -> Jet:
    return Jet(mpmath.mpf(x), mpmath.mpf(slope), exact=True)


class Unknown(Exception):
    """An operation comes to what is named."""


def worst(*values):
    return next((w for w in (OPEN, HOLE, NAN) if w in [v for v in values if isinstance(v, str)]), None)


def of(function):
    """A function of what is known; of anything else it is what that is."""

    def checked(*args):
        found = worst(*args)
        if found:
            return found
        try:
            return function(*args)
        except Unknown as e:
            return e.args[0]

    return checked


def tiny(exponent):
    return mpmath.mpf(2) ** (-exponent * mpmath.mp.prec)


def lost(small, large) -> bool:
    return abs(small) < abs(large) * tiny(0.5)


def total(a, b, exact=False):
    """A sum of which digits are left, or that has an exact value."""
    s = a + b
    if not exact and a and b and (lost(s, max(abs(a), abs(b))) or lost(a, b) or lost(b, a)):
        raise Unknown(OPEN)
    return s


def slopes(*terms):
    """A sum in a derivative: `None` where it is open."""
    s = mpmath.mpf(0)
    for t in terms:
        if t is None or s is None:
            return None
        if s and t and lost(s + t, s):
            return None
        s += t
    return s


def product(*factors):
    if any(f is None for f in factors):
        return None
    return mpmath.fprod(factors)


def add(a, b):
    for one, other in ((a, b), (b, a)):
        if isinstance(one, Jet) and one.mask is not False:
            return other if one.mask else OPEN if isinstance(other, str) else other
    return _add(a, b)


@of
def _add(a, b):
    exact = a.exact and b.exact and mpmath.fadd(a.value, b.value, exact=True) == a.value + b.value
    return Jet(total(a.value, b.value, exact), slopes(a.slope, b.slope), slopes(a.bend, b.bend), exact)


@of
def neg(a):
    return a._replace(value=-a.value, slope=product(a.slope, -1), bend=product(a.bend, -1))


def mul(a, b):
    masks = [v.mask for v in (a, b) if isinstance(v, Jet) and v.mask is not False]
    if True in masks:
        return Jet(mpmath.mpf(0), exact=True, mask=True)
    if masks and worst(a, b):
        return OPEN
    return _mul(a, b, masks)


@of
def _mul(a, b, masks):
    bend = slopes(product(a.bend, b.value), product(2, a.slope, b.slope), product(a.value, b.bend))
    slope = slopes(product(a.slope, b.value), product(a.value, b.slope))
    exact = a.exact and b.exact and mpmath.fmul(a.value, b.value, exact=True) == a.value * b.value
    return Jet(a.value * b.value, slope, bend, exact, None if masks else False)


def div(a, b):
    if isinstance(a, Jet) and a.mask is not False:
        return a if a.mask else OPEN
    return _div(a, b)


@of
def _div(a, b):
    if b.value == 0:
        raise Unknown(HOLE if b.exact else OPEN)
    value, out = a.value / b.value, mul(a, smooth(lambda v: 1 / v, lambda v: -1 / v**2, lambda v: 2 / v**3)(b))
    exact = a.exact and b.exact and mpmath.fmul(value, b.value, exact=True) == a.value
    return out._replace(value=value, exact=exact)


def smooth(f, first, second, *limits):
    """A function with its derivatives, that has its `limits` as values nowhere but at 0."""

    @of
    def checked(a):
        value = f(a.value)
        if a.value and any(lost(value - limit, limit or value) for limit in limits):
            raise Unknown(OPEN)
        mask = None if value == 0 and a.mask is not False else False
        if a.constant:
            return Jet(value, exact=a.exact and value == 0, mask=mask)
        try:
            d, dd = first(a.value), second(a.value)
        except ZeroDivisionError:
            return Jet(value, None, None, mask=mask)
        bend = slopes(product(dd, a.slope, a.slope), product(d, a.bend))
        return Jet(value, product(d, a.slope), bend, a.exact and value == 0, mask)

    return checked


def within(bound, f):
    def checked(v):
        if abs(v) > bound:
            raise Unknown(OPEN)
        return f(v)

    return checked


def inside(low, high, f, open_ends=False):
    """A function on an interval; just beside an end mpmath can't tell, on it the value may be a limit."""

    def checked(v):
        for end in (low, high):
            if end is not None and v != end and lost(v - end, end or 1) and end:
                raise Unknown(OPEN)
            if end is not None and v == end and open_ends:
                raise Unknown(HOLE)
        if (low is not None and v < low) or (high is not None and v > high):
            raise Unknown(NAN)
        return f(v)

    return checked


def by_pieces(f):
    """A function that is constant between halves and integers, and jumps at some of them."""

    @of
    def checked(a):
        steps_of(a)
        return Jet(mpmath.mpf(f(a.value)), exact=True, mask=None if a.mask is not False else False)

    return checked


def steps_of(a):
    """Notes whether a number is one of the halves, where functions may jump; `Unknown` where mpmath can't tell."""
    twice = 2 * a.value
    if abs(twice) > mpmath.mpf(2) ** 200:
        raise Unknown(OPEN)
    away = abs(twice - mpmath.nint(twice)) > max(1, abs(twice)) * mpmath.mpf(2) ** -250
    if not (away or a.exact):
        raise Unknown(OPEN)
    if not (away or a.constant):
        kinks.append(a)


def order(a, b) -> int:
    """The sign of `a - b`."""
    if a.value == b.value and a.exact and b.exact:
        if not (a.constant and b.constant):
            kinks.append(a)
        return 0
    if a.value == b.value or lost(a.value - b.value, max(abs(a.value), abs(b.value))):
        raise Unknown(OPEN)
    return 1 if a.value > b.value else -1


def compared(holds):
    @of
    def checked(a, b):
        return holds(order(a, b))

    return lambda a, b: OPEN if a is b and isinstance(a, str) else checked(a, b)


def extreme(sign):
    @of
    def checked(a, b):
        if a is b:
            return a
        return a if sign * order(a, b) >= 0 else b

    return checked


maximum, minimum = extreme(1), extreme(-1)


@of
def absolute(a):
    return a if order(a, number(0)) >= 0 else neg(a)


@of
def sign(a):
    return Jet(mpmath.mpf(order(a, number(0))), exact=True, mask=None if a.mask is not False else False)


@of
def remainder(a, b):
    if b.value == 0:
        raise Unknown(NAN if b.exact else OPEN)
    if a.mask is not False:
        raise Unknown(OPEN)
    q = a.value / b.value
    if abs(q) > mpmath.mpf(2) ** 200 or abs(q - mpmath.nint(q)) < max(abs(q), 1) * mpmath.mpf(2) ** -250:
        raise Unknown(OPEN)
    whole = mpmath.floor(q) if q >= 0 else mpmath.ceil(q)
    slope = slopes(a.slope, product(-whole, b.slope))
    return Jet(a.value - b.value * whole, slope, slopes(a.bend, product(-whole, b.bend)))


@of
def power(a, b):
    if abs(b.value) > 1e3 or a.mask is not False or b.mask is not False or lost(a.value - 1, 1):
        raise Unknown(OPEN)
    if a.value <= 0:
        whole = b.value == mpmath.floor(b.value)
        if not b.exact or (a.value == 0 and not a.exact):
            raise Unknown(OPEN)
        if a.value == 0 and b.value <= 0:
            raise Unknown(HOLE)
        if not whole and a.value < 0:
            raise Unknown(NAN)
        return (
            Jet(mpmath.power(a.value, b.value), None, None)
            if not (a.constant and b.constant)
            else Jet(mpmath.power(a.value, b.value))
        )
    out = exp(mul(b, log(a)))
    if isinstance(out, Jet) and b.value != 0 and lost(out.value - 1, 1):
        raise Unknown(OPEN)
    return out


e, ln2 = mpmath.exp, lambda: mpmath.log(2)
big, medium, small = 1e6, 1e3, 30


def half_power(n, v):
    return v ** (mpmath.mpf(n) / 2)


def sech(v):
    return 1 / mpmath.cosh(v)


def logistic_of(v):
    return 1 / (1 + e(-v))


def bell(v):
    return 2 / mpmath.sqrt(mpmath.pi) * e(-v * v)


def crossing(f):
    """A function with zeros and poles at which mpmath can't tell how far off it is."""

    def checked(v):
        y = f(v)
        if v and not lost(v, 1) and (lost(y, 1) or lost(1, y)) and v != 1:
            raise Unknown(OPEN)
        return y

    return checked


def gamma_like(f):
    def checked(v):
        if v <= 0 and v == mpmath.floor(v):
            raise Unknown(HOLE)
        return f(v)

    return within(medium, crossing(checked))


def waves(v):
    return -logistic_of(v) * logistic_of(-v) * mpmath.tanh(v / 2)


exp = smooth(within(big, e), e, e, 1, 0)
log = smooth(inside(0, None, crossing(mpmath.log), True), lambda v: 1 / v, lambda v: -1 / v**2)
UNARY = {
    "exp": exp,
    "exp2": smooth(
        within(big, lambda v: mpmath.power(2, v)), lambda v: ln2() * 2**v, lambda v: ln2() ** 2 * 2**v, 1, 0
    ),
    "expm1": smooth(within(big, mpmath.expm1), e, e, -1),
    "log": log,
    "log1p": smooth(
        inside(-1, None, lambda v: mpmath.log(total(1, v)), True), lambda v: 1 / (1 + v), lambda v: -1 / (1 + v) ** 2
    ),
    "sqrt": smooth(inside(0, None, mpmath.sqrt), lambda v: half_power(-1, v) / 2, lambda v: -half_power(-3, v) / 4),
    "rsqrt": smooth(
        inside(0, None, lambda v: 1 / mpmath.sqrt(v), True),
        lambda v: -half_power(-3, v) / 2,
        lambda v: 3 * half_power(-5, v) / 4,
    ),
    "logistic": smooth(within(big, logistic_of), lambda v: logistic_of(v) * logistic_of(-v), waves, 1, 0),
    "sin": smooth(within(big, crossing(mpmath.sin)), mpmath.cos, lambda v: -mpmath.sin(v), 1, -1),
    "cos": smooth(within(big, crossing(mpmath.cos)), lambda v: -mpmath.sin(v), lambda v: -mpmath.cos(v), 1, -1),
    "tan": smooth(
        within(big, crossing(mpmath.tan)),
        lambda v: mpmath.sec(v) ** 2,
        lambda v: 2 * mpmath.tan(v) * mpmath.sec(v) ** 2,
    ),
    "asin": smooth(
        inside(-1, 1, mpmath.asin),
        lambda v: 1 / mpmath.sqrt((1 - v) * (1 + v)),
        lambda v: v / mpmath.sqrt((1 - v) * (1 + v)) ** 3,
    ),
    "atan": smooth(mpmath.atan, lambda v: 1 / (1 + v * v), lambda v: -2 * v / (1 + v * v) ** 2),
    "sinh": smooth(within(big, mpmath.sinh), mpmath.cosh, mpmath.sinh),
    "cosh": smooth(within(big, mpmath.cosh), mpmath.sinh, mpmath.cosh, 1),
    "tanh": smooth(
        within(big, mpmath.tanh), lambda v: sech(v) ** 2, lambda v: -2 * mpmath.tanh(v) * sech(v) ** 2, 1, -1
    ),
    "asinh": smooth(mpmath.asinh, lambda v: 1 / mpmath.sqrt(1 + v * v), lambda v: -v / mpmath.sqrt(1 + v * v) ** 3),
    "acosh": smooth(
        inside(1, None, mpmath.acosh),
        lambda v: 1 / mpmath.sqrt((v - 1) * (v + 1)),
        lambda v: -v / mpmath.sqrt((v - 1) * (v + 1)) ** 3,
    ),
    "atanh": smooth(
        inside(-1, 1, mpmath.atanh, True),
        lambda v: 1 / ((1 - v) * (1 + v)),
        lambda v: 2 * v / ((1 - v) * (1 + v)) ** 2,
    ),
    "erf": smooth(within(small, mpmath.erf), bell, lambda v: -2 * v * bell(v), 1, -1),
    "erfc": smooth(within(small, mpmath.erfc), lambda v: -bell(v), lambda v: 2 * v * bell(v), 1, 2),
    "lgamma": smooth(
        gamma_like(lambda v: mpmath.log(abs(mpmath.gamma(v)))), lambda v: mpmath.psi(0, v), lambda v: mpmath.psi(1, v)
    ),
    "digamma": smooth(gamma_like(lambda v: mpmath.psi(0, v)), lambda v: mpmath.psi(1, v), lambda v: mpmath.psi(2, v)),
    "neg": neg,
    "abs": absolute,
    "sign": sign,
    "square": lambda a: mul(a, a) if not isinstance(a, Jet) or a.mask is False else OPEN,
    "inverse": lambda a: div(number(1), a),
    "floor": by_pieces(mpmath.floor),
    "ceil": by_pieces(mpmath.ceil),
    "round": by_pieces(mpmath.nint),
}
