"""Terms that hold infinities, or comparisons that are decided: what they come to, of numbers that are finite.

A term is of finite numbers, and so are its parts: an infinity in the text of a program is the result of a branch, or
nothing. What is left of it else has no place in algebra, in which `inf - inf` would be 0.
"""

from __future__ import annotations

from fractions import Fraction

from stability.rewriting.operations import TRUTHS
from stability.rewriting.terms import Term, constant, negated, number, operation


class Unsupported(ValueError):
    """A function that is no term: of many numbers, with loops, or of operations that have no rules."""


TRUE, FALSE = operation("eq", number(0), number(0)), operation("eq", number(0), number(1))
NAN, POSITIVE = constant("nan"), constant("inf")
NEGATIVE = operation("neg", POSITIVE)
_SIGNS = {POSITIVE: 1, NEGATIVE: -1}
_LIMITS: dict[str, tuple[Term | None, Term | None]] = {
    "exp": (number(0), POSITIVE),
    "exp2": (number(0), POSITIVE),
    "expm1": (number(-1), POSITIVE),
    "logistic": (number(0), number(1)),
    "tanh": (number(-1), number(1)),
    "sign": (number(-1), number(1)),
    "neg": (POSITIVE, NEGATIVE),
    "abs": (POSITIVE, POSITIVE),
    "log": (None, POSITIVE),
    "log1p": (None, POSITIVE),
    "sqrt": (None, POSITIVE),
}
"""At both infinities."""


def is_finite(x: Term) -> Term:
    return FALSE if x in _SIGNS or x is NAN else TRUE


def _truth(holds: bool) -> Term:
    return TRUE if holds else FALSE


def built(op: str, *args: Term) -> Term:
    """An operation, without an infinity where that decides it. **Raises:** `Unsupported` where it does not."""
    if op in TRUTHS or op == "select":
        found = _decided(op, args)
        return operation(op, *args) if found is None else found
    if NAN in args:
        raise Unsupported(f"{op} of NaN is no number")
    if not any(a in _SIGNS for a in args):
        return operation(op, *args)
    found = _limit(op, args)
    if found is None:
        raise Unsupported(f"{op} of an infinity is no number")
    return found


def _decided(op: str, args: tuple[Term, ...]) -> Term | None:
    if op == "select":
        which, yes, no = args
        return yes if which is TRUE or yes is no else no if which is FALSE else None
    if op == "not":
        return _truth(args[0] is FALSE) if args[0] in (TRUE, FALSE) else None
    x, y = args
    if NAN in args:
        return _truth(op == "ne")
    if op in ("and", "or"):
        decisive, other = (FALSE, TRUE) if op == "and" else (TRUE, FALSE)
        return decisive if decisive in args else y if x is other else x if y is other else None
    if x in _SIGNS or y in _SIGNS:
        a, b = _SIGNS.get(x, 0), _SIGNS.get(y, 0)
    elif isinstance(x.leaf, Fraction) and isinstance(y.leaf, Fraction):
        a, b = x.leaf, y.leaf  # type: ignore[assignment]
    else:
        return None
    return _truth({"lt": a < b, "le": a <= b, "gt": a > b, "ge": a >= b, "eq": a == b, "ne": a != b}[op])


def _limit(op: str, args: tuple[Term, ...]) -> Term | None:
    if op in _LIMITS:
        return _LIMITS[op][args[0] is POSITIVE]
    if len(args) != 2:
        return None
    x, y = args
    if op in ("max", "min"):
        decisive = POSITIVE if op == "max" else NEGATIVE
        return decisive if decisive in args else y if x in _SIGNS else x
    if op == "sub":
        op, y = "add", negated(y)
    if op == "add":
        return x if y is x or y not in _SIGNS else y if x not in _SIGNS else None
    if op == "div" and y in _SIGNS:
        return None if x in _SIGNS else number(0)
    if op in ("mul", "div"):
        infinity, other = (x, y) if x in _SIGNS else (y, x)
        sign = _SIGNS.get(other) or (other.leaf if isinstance(other.leaf, Fraction) else 0)
        return None if sign == 0 else infinity if sign > 0 else negated(infinity)
    if op == "logaddexp":
        return POSITIVE if POSITIVE in args else y if x in _SIGNS else x
    if op == "hypot":
        return POSITIVE
    return None
