"""Power series in one variable of a term, at 0 and at infinity, with quotients of its other parts as coefficients.

A series is `t^start (c_0 + c_1 t + ...)` up to an order, `t` being the variable, or 1 over it at an infinity, on one
side of 0. Coefficients are exact (`rational.Quotient`): fractions, or terms in the other variables and in `log |t|`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction

from stability.rewriting.rational import Quotient, Quotients
from stability.rewriting.terms import Term, constant, folded, number, operation, variable, variables


class NoSeries(ArithmeticError):
    """The function has no such series there, or none that is known."""


class Series:
    """`t^start (c[0] + c[1] t + ...)`, with `c[0]` not 0; no `c` where nothing is known but that it is small."""

    __slots__ = ("c", "start")

    def __init__(self, c: Sequence[Quotient], start: int = 0):
        first = next((i for i, x in enumerate(c) if not x.is_zero()), len(c))
        self.c, self.start = list(c[first:]), start + first

    @property
    def end(self) -> int:
        return self.start + len(self.c)


class Expansion:
    """Series of terms in one variable.

    **Arguments:** `name` of the variable; `place` 0, or infinite; `side` 1 or -1, the sign of the variable; `order` the
    number of coefficients.
    """

    def __init__(self, name: str, infinite: bool, side: int, order: int):
        self.field = Quotients()
        self.name, self.infinite, self.side, self.order = name, infinite, side, order
        self.zero, self.one = self.field.number(0), self.field.number(1)
        size = operation("abs", variable(name))
        logarithm = operation("log", size)
        self.logarithm = self.field.part(logarithm) * self.field.number(-1 if infinite else 1)

    def of(self, term: Term) -> Series:
        """**Raises:** `NoSeries`, `TooLarge`."""
        return folded(term, self._step)

    def constant(self, c: Quotient) -> Series:
        return Series([c] + [self.zero] * (self.order - 1))

    def _step(self, t: Term, args: list[Series]) -> Series:
        if t.leaf == self.name:
            return Series([self.one] + [self.zero] * (self.order - 1), -1 if self.infinite else 1)
        if not t.args:
            return self.constant(self.field.number(t.leaf) if isinstance(t.leaf, Fraction) else self.field.part(t))
        if self.name not in variables(t):
            return self.constant(self.field.of(t))
        if t.op in _OF_TWO:
            return _OF_TWO[t.op](self, *args)
        if t.op == "pow":
            return self._power(t, args)
        if t.op not in _OF_ONE:
            raise NoSeries(t.op)
        return _OF_ONE[t.op](self, args[0])

    def _power(self, t: Term, args: list[Series]) -> Series:
        exponent = t.args[1].leaf
        if isinstance(exponent, Fraction):
            return self.power(args[0], exponent)
        return self.exp(self.mul(args[1], self.log(args[0])))

    def add(self, x: Series, y: Series) -> Series:
        start, end = min(x.start, y.start), min(x.end, y.end)
        c = [self.zero] * max(end - start, 0)
        for s in (x, y):
            for i, value in enumerate(s.c):
                if s.start + i < end:
                    c[s.start + i - start] = c[s.start + i - start] + value
        return Series(c, start)

    def neg(self, x: Series) -> Series:
        return Series([self.zero - c for c in x.c], x.start)

    def sub(self, x: Series, y: Series) -> Series:
        return self.add(x, self.neg(y))

    def mul(self, x: Series, y: Series) -> Series:
        n = min(len(x.c), len(y.c))
        return Series([self._dot(x.c, y.c, k) for k in range(n)], x.start + y.start)

    def _dot(self, x: Sequence[Quotient], y: Sequence[Quotient], k: int) -> Quotient:
        total = self.zero
        for i in range(k + 1):
            if not (x[i].is_zero() or y[k - i].is_zero()):
                total = total + x[i] * y[k - i]
        return total

    def div(self, x: Series, y: Series) -> Series:
        if not y.c:
            raise NoSeries("0/0")
        n = min(len(x.c), len(y.c))
        out: list[Quotient] = []
        for k in range(n):
            total = x.c[k]
            for i in range(k):
                if not (out[i].is_zero() or y.c[k - i].is_zero()):
                    total = total - out[i] * y.c[k - i]
            out.append(total / y.c[0])
        return Series(out, x.start - y.start)

    def derivative(self, x: Series) -> Series:
        return Series([c * self.field.number(x.start + i) for i, c in enumerate(x.c)], x.start - 1)

    def integral(self, x: Series, first: Quotient) -> Series:
        """The integral from `t = 0`, plus `first`."""
        if x.start < 0:
            raise NoSeries("an integral over a pole")
        c = [first] + [self.zero] * x.start
        return Series(c + [v / self.field.number(x.start + i + 1) for i, v in enumerate(x.c)])

    def _apart(self, x: Series) -> tuple[Quotient, Series]:
        """The value at `t = 0` and the rest."""
        if x.start < 0 or (x.start > 0 and not x.c):
            raise NoSeries("an infinite or unknown argument")
        if x.start > 0:
            return self.zero, x
        return x.c[0], Series([self.zero, *x.c[1:]])

    def at(self, op: str, c: Quotient) -> Quotient:
        """A function of a coefficient, as a part."""
        return self.field.part(operation(op, c.term()))

    def exp(self, x: Series) -> Series:
        first, rest = self._apart(x)
        n = max(rest.end, 1)
        c = [self.zero] * n
        for i, v in enumerate(rest.c):
            c[rest.start + i] = v
        out = [self.one]
        for k in range(1, n):
            total = self.zero
            for i in range(1, k + 1):
                if not c[i].is_zero():
                    total = total + self.field.number(i) * c[i] * out[k - i]
            out.append(total / self.field.number(k))
        scale = self.one if first.is_zero() else self.at("exp", first)
        return Series([scale * v for v in out])

    def log(self, x: Series) -> Series:
        """Of `c t^n (1 + ...)`: `log |c| + n log |t|`, and the integral of the rest."""
        if not x.c:
            raise NoSeries("log 0")
        value, size = x.c[0].value(), x.c[0]
        if x.start % 2 and self.side < 0:
            value, size = None if value is None else -value, self.zero - size
        if value is not None and value < 0:
            raise NoSeries("a logarithm of a negative number")
        first = self.zero if value == 1 else self.at("log", size)
        if x.start:
            first = first + self.field.number(x.start) * self.logarithm
        unit = Series(x.c)
        if len(x.c) == 1:
            return Series([first])
        return self.integral(self.div(self.derivative(unit), unit), first)

    def power(self, x: Series, exponent: Fraction) -> Series:
        """By `y' x = exponent x' y`."""
        if exponent.denominator == 1 and 0 <= exponent <= 8:
            whole = self.constant(self.one)
            for _ in range(int(exponent)):
                whole = self.mul(whole, x)
            return whole
        if not x.c:
            raise NoSeries("a power of 0")
        start = x.start * exponent
        if start.denominator != 1:
            raise NoSeries("a fractional power")
        first = self._lead(x.c[0], x.start, exponent)
        out = [first]
        for k in range(1, len(x.c)):
            total = self.zero
            for i in range(1, k + 1):
                if not x.c[i].is_zero():
                    total = total + self.field.number(exponent * i - (k - i)) * x.c[i] * out[k - i]
            out.append(total / (self.field.number(k) * x.c[0]))
        return Series(out, int(start))

    def _lead(self, c: Quotient, start: int, exponent: Fraction) -> Quotient:
        """`|c t^start|^exponent` over `t^(start exponent)`, where `c t^start` is positive; of a cube root, of any."""
        if exponent.denominator == 1:
            return c.power(int(exponent))
        odd = exponent.denominator % 2 == 1
        sign = self.side ** (start * int(exponent * exponent.denominator) // exponent.denominator)
        if start % 2 and self.side < 0 and not odd:
            c = self.zero - c
        value = c.value()
        if value is not None and value < 0 and not odd:
            raise NoSeries("a root of a negative number")
        root = _root(c, exponent)
        if root is None:
            name = {Fraction(1, 2): "sqrt", Fraction(1, 3): "cbrt"}.get(exponent)
            exact = number(exponent)
            root = self.at(name, c) if name else self.field.part(operation("pow", c.term(), exact))
        return root * self.field.number(1 if odd else sign)

    def sine(self, x: Series) -> Series:
        return self._circle(x)[0]

    def cosine(self, x: Series) -> Series:
        return self._circle(x)[1]

    def _circle(self, x: Series) -> tuple[Series, Series]:
        first, rest = self._apart(x)
        slope = self.derivative(rest)
        n = max(rest.end, 1)
        sines, cosines = [self.zero], [self.one]
        d = [self.zero] * n
        for i, v in enumerate(slope.c):
            if 0 <= slope.start + i < n:
                d[slope.start + i] = v
        for k in range(1, n):
            up = down = self.zero
            for i in range(k):
                if not d[i].is_zero():
                    up, down = up + d[i] * cosines[k - 1 - i], down - d[i] * sines[k - 1 - i]
            sines.append(up / self.field.number(k))
            cosines.append(down / self.field.number(k))
        sine, cosine = Series(sines), Series(cosines)
        if first.is_zero():
            return sine, cosine
        a, b = self.constant(self.at("sin", first)), self.constant(self.at("cos", first))
        return (
            self.add(self.mul(a, cosine), self.mul(b, sine)),
            self.sub(self.mul(b, cosine), self.mul(a, sine)),
        )

    def along(self, op: str, slope: Callable[[Expansion, Series], Series], x: Series) -> Series:
        """A function by its derivative: `slope` gives that at a series."""
        first, _ = self._apart(x)
        at = self.zero if first.is_zero() and op not in _NOT_ZERO_AT_ZERO else self.at(op, first)
        return self.integral(self.mul(slope(self, x), self.derivative(x)), at)

    def one_plus(self, x: Series, factor: int = 1) -> Series:
        return self.add(self.constant(self.one), self.mul(self.constant(self.field.number(factor)), x))

    def atan(self, x: Series) -> Series:
        if x.start >= 0 or not x.c:
            return self.along("atan", lambda e, s: e.div(e.constant(e.one), e.one_plus(e.mul(s, s))), x)
        value = x.c[0].value()
        if value is None:
            raise NoSeries("an infinity of an unknown sign")
        sign = (1 if value > 0 else -1) * (self.side if x.start % 2 else 1)
        inverse = self.atan(self.div(self.constant(self.one), x))
        right = self.field.part(constant("pi")) * self.field.number(Fraction(sign, 2))
        return self.sub(self.constant(right), inverse)


def _root(c: Quotient, exponent: Fraction) -> Quotient | None:
    """An exact root of a number."""
    value = c.value()
    if value is None:
        return None
    n = exponent.denominator
    parts = [_whole_root(abs(p), n) for p in (value.numerator, value.denominator)]
    if None in parts:
        return None
    root = Fraction(*parts) * (-1 if value < 0 else 1)  # type: ignore[arg-type]
    return c.field.number(root).power(exponent.numerator)


def _whole_root(p: int, n: int) -> int | None:
    root = round(p ** (1 / n)) if p < 2**52 else 0
    return root if root**n == p else None


def _difference_of_exp(e: Expansion, x: Series) -> Series:
    return e.sub(e.exp(x), e.exp(e.neg(x)))


def _half(e: Expansion, x: Series) -> Series:
    return e.mul(e.constant(e.field.number(Fraction(1, 2))), x)


_OF_TWO: dict[str, Callable[..., Series]] = {
    "add": Expansion.add,
    "sub": Expansion.sub,
    "mul": Expansion.mul,
    "div": Expansion.div,
    "hypot": lambda e, x, y: e.power(e.add(e.mul(x, x), e.mul(y, y)), Fraction(1, 2)),
    "logaddexp": lambda e, x, y: e.log(e.add(e.exp(x), e.exp(y))),
    "atan2": lambda e, x, y: e.atan(e.div(x, y)),
}

_OF_ONE: dict[str, Callable[[Expansion, Series], Series]] = {
    "neg": Expansion.neg,
    "abs": lambda e, x: _absolute(e, x),
    "sqrt": lambda e, x: e.power(x, Fraction(1, 2)),
    "cbrt": lambda e, x: e.power(x, Fraction(1, 3)),
    "exp": Expansion.exp,
    "expm1": lambda e, x: e.sub(e.exp(x), e.constant(e.one)),
    "log": Expansion.log,
    "log1p": lambda e, x: e.log(e.one_plus(x)),
    "logistic": lambda e, x: e.div(e.constant(e.one), e.one_plus(e.exp(e.neg(x)))),
    "sin": Expansion.sine,
    "cos": Expansion.cosine,
    "tan": lambda e, x: e.div(e.sine(x), e.cosine(x)),
    "sinh": lambda e, x: _half(e, _difference_of_exp(e, x)),
    "cosh": lambda e, x: _half(e, e.add(e.exp(x), e.exp(e.neg(x)))),
    "tanh": lambda e, x: e.div(_difference_of_exp(e, x), e.add(e.exp(x), e.exp(e.neg(x)))),
    "atan": Expansion.atan,
    "asin": lambda e, x: e.along("asin", lambda e, s: e.power(e.one_plus(e.mul(s, s), -1), Fraction(-1, 2)), x),
    "acos": lambda e, x: e.along("acos", lambda e, s: e.neg(e.power(e.one_plus(e.mul(s, s), -1), Fraction(-1, 2))), x),
    "asinh": lambda e, x: e.along("asinh", lambda e, s: e.power(e.one_plus(e.mul(s, s)), Fraction(-1, 2)), x),
    "atanh": lambda e, x: e.along("atanh", lambda e, s: e.div(e.constant(e.one), e.one_plus(e.mul(s, s), -1)), x),
    "erf": lambda e, x: e.along("erf", _gauss, x),
    "erfc": lambda e, x: e.along("erfc", lambda e, s: e.neg(_gauss(e, s)), x),
}

_NOT_ZERO_AT_ZERO = frozenset({"acos", "erfc"})


def _absolute(e: Expansion, x: Series) -> Series:
    value = x.c[0].value() if x.c else None
    if value is None:
        raise NoSeries("a size of an unknown sign")
    return x if (value > 0) == (e.side > 0 or x.start % 2 == 0) else e.neg(x)


def _gauss(e: Expansion, x: Series) -> Series:
    two = e.field.number(2) / e.field.part(operation("sqrt", constant("pi")))
    return e.mul(e.constant(two), e.exp(e.neg(e.mul(x, x))))
