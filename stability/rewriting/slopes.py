"""The derivative of a term, as a term: over the reals, by the chain rule."""

from __future__ import annotations

from stability.rewriting.notation import term
from stability.rewriting.terms import Term, folded, negated, number, operation, rebuilt, replaced, variable

_SLOPES: dict[str, tuple[Term, ...]] = {
    name: tuple(map(term, texts))
    for name, texts in {
        "abs": ("sign(a)",),
        "sqrt": ("1 / (2 * sqrt(a))",),
        "cbrt": ("1 / (3 * (cbrt(a) * cbrt(a)))",),
        "exp": ("exp(a)",),
        "exp2": ("log(2) * exp2(a)",),
        "expm1": ("exp(a)",),
        "log": ("1 / a",),
        "log2": ("1 / (a * log(2))",),
        "log1p": ("1 / (1 + a)",),
        "logistic": ("logistic(a) * logistic(-a)",),
        "sin": ("cos(a)",),
        "cos": ("-sin(a)",),
        "tan": ("1 / (cos(a) * cos(a))",),
        "asin": ("1 / sqrt(1 - a * a)",),
        "acos": ("-(1 / sqrt(1 - a * a))",),
        "atan": ("1 / (1 + a * a)",),
        "sinh": ("cosh(a)",),
        "cosh": ("sinh(a)",),
        "tanh": ("1 / (cosh(a) * cosh(a))",),
        "asinh": ("1 / sqrt(1 + a * a)",),
        "acosh": ("1 / sqrt(a * a - 1)",),
        "atanh": ("1 / (1 - a * a)",),
        "erf": ("2 / sqrt(pi) * exp(-(a * a))",),
        "erfc": ("-(2 / sqrt(pi) * exp(-(a * a)))",),
        "erfcx": ("2 * a * erfcx(a) - 2 / sqrt(pi)",),
        "log_ndtr": ("exp(-(a * a) / 2 - log_ndtr(a)) / sqrt(2 * pi)",),
        "lgamma": ("digamma(a)",),
        "sign": ("0",),
        "floor": ("0",),
        "ceil": ("0",),
        "mul": ("b", "a"),
        "div": ("1 / b", "-(a / (b * b))"),
        "pow": ("b * a ** (b - 1)", "a ** b * log(a)"),
        "hypot": ("a / hypot(a, b)", "b / hypot(a, b)"),
        "logaddexp": ("logistic(a - b)", "logistic(b - a)"),
        "atan2": ("b / (a * a + b * b)", "-(a / (a * a + b * b))"),
    }.items()
}
"""The partial derivatives of a function of `a`, or of `a` and `b`."""

_ZERO, _ONE = number(0), number(1)


class NoSlope(ArithmeticError):
    """A term has no derivative that is known."""


def derivative(t: Term, name: str) -> Term:
    """The derivative in a variable. **Raises:** `NoSlope`."""
    slopes: dict[Term, Term] = {}

    def step(t: Term, args: list[Term]) -> Term:
        if t.op == "var":
            return _ONE if t.leaf == name else _ZERO
        if all(a is _ZERO for a in args) or t.op in ("lt", "le", "gt", "ge", "eq", "ne", "and", "or", "not"):
            return _ZERO
        if t.op in ("add", "sub"):
            return plus(args[0], args[1] if t.op == "add" else minus(args[1]))
        if t.op == "neg":
            return minus(args[0])
        if t.op == "select":
            return operation("select", t.args[0], *args[1:])
        if t.op in ("max", "min"):
            first = operation("ge" if t.op == "max" else "le", *t.args)
            return operation("select", first, *args)
        if t.op not in _SLOPES:
            raise NoSlope(f"the derivative of {t.op} is not known")
        operands = dict(zip((variable("a"), variable("b")), t.args, strict=False))
        total = _ZERO
        for slope, inner in zip(_SLOPES[t.op], args, strict=True):
            if inner is not _ZERO:
                total = plus(total, times(_folded(replaced(slope, operands)), inner))
        return total

    return folded(t, step, slopes)


def _folded(t: Term) -> Term:
    """With differences of numbers as numbers, as the exponent `b - 1` of a power is."""

    def step(t: Term, args: list[Term]) -> Term:
        if t.op == "sub" and all(a.op == "num" for a in args):
            return number(args[0].leaf - args[1].leaf)  # type: ignore[operator]
        return rebuilt(t, args)

    return folded(t, step)


def plus(x: Term, y: Term) -> Term:
    if x is _ZERO or y is _ZERO:
        return y if x is _ZERO else x
    return operation("sub", x, y.args[0]) if y.op == "neg" else operation("add", x, y)


def minus(x: Term) -> Term:
    return x if x is _ZERO else negated(x)


def times(x: Term, y: Term) -> Term:
    return x if y is _ONE else y if x is _ONE else operation("mul", x, y)
