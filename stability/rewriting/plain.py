"""Terms in few functions: what is defined by others is written in them, and functions of sums as products.

So that terms which say the same by different functions have the same parts, for algebra to cancel.
"""

from __future__ import annotations

from collections.abc import Callable

from stability.rewriting.notation import term
from stability.rewriting.terms import Term, folded, operation, rebuilt, replaced, variable

_DEFINED: dict[str, Term] = {
    "expm1": term("exp(a) - 1"),
    "log1p": term("log(1 + a)"),
    "logistic": term("1 / (1 + exp(-a))"),
    "tanh": term("(exp(a) - 1 / exp(a)) / (exp(a) + 1 / exp(a))"),
    "sinh": term("(exp(a) - 1 / exp(a)) / 2"),
    "cosh": term("(exp(a) + 1 / exp(a)) / 2"),
    "tan": term("sin(a) / cos(a)"),
    "erfc": term("1 - erf(a)"),
    "erfcx": term("exp(a * a) * (1 - erf(a))"),
    "log_ndtr": term("log((1 + erf(a / sqrt(2))) / 2)"),
    "hypot": term("sqrt(a * a + b * b)"),
    "logaddexp": term("log(exp(a) + exp(b))"),
}
"""By the name of a function, what it is, of its operands `a` and `b`."""


def defined(t: Term) -> Term:
    """With the functions of `_DEFINED` written out."""

    def step(t: Term, args: list[Term]) -> Term:
        if t.op in _DEFINED:
            return replaced(_DEFINED[t.op], dict(zip((variable("a"), variable("b")), args, strict=False)))
        return rebuilt(t, args)

    return folded(t, step)


def split(t: Term) -> Term:
    """With functions of sums and differences as products and sums of functions."""

    def step(t: Term, args: list[Term]) -> Term:
        return _SPLIT[t.op](args[0]) if t.op in _SPLIT else rebuilt(t, args)

    return folded(t, step)


def _exp(x: Term) -> Term:
    if x.op in ("add", "sub"):
        return operation({"add": "mul", "sub": "div"}[x.op], *map(_exp, x.args))
    if x.op == "neg":
        return operation("div", _ONE, _exp(x.args[0]))
    if x.op == "mul":
        for one, other in (x.args, x.args[::-1]):
            if one.op in ("add", "sub"):
                parts = [operation("mul", part, other) for part in one.args]
                return operation({"add": "mul", "sub": "div"}[one.op], *map(_exp, parts))
            if one.leaf == 2:
                half = _exp(other)
                return operation("mul", half, half)
    return operation("exp", x)


def _turned(x: Term) -> tuple[Term, Term]:
    """Sine and cosine."""
    if x.op in ("add", "sub"):
        (s, c), (u, v) = map(_turned, x.args)
        one, other = (operation("mul", *pair) for pair in ((s, v), (c, u)))
        two, more = (operation("mul", *pair) for pair in ((c, v), (s, u)))
        other_way = "sub" if x.op == "add" else "add"
        return operation(x.op, one, other), operation(other_way, two, more)
    if x.op == "neg":
        s, c = _turned(x.args[0])
        return operation("neg", s), c
    return operation("sin", x), operation("cos", x)


_ONE = term("1")
_SPLIT: dict[str, Callable[[Term], Term]] = {
    "exp": _exp,
    "sin": lambda x: _turned(x)[0],
    "cos": lambda x: _turned(x)[1],
}


def plain(t: Term) -> Term:
    """Both."""
    return split(defined(t))
