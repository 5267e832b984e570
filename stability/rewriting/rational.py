"""Quotients of polynomials: the one exact form that any sum, product and quotient of parts has.

What is no sum, product, quotient or whole power is a part that is taken as a variable. Over a common denominator, what
numerator and denominator share is cancelled, and both are factored, by FLINT.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import flint

from stability.rewriting.terms import Term, folded, negated, number, operation

MOST_PARTS, MOST_TERMS, HIGHEST = 24, 60, 24
ARITHMETIC = frozenset({"add", "sub", "mul", "div", "neg", "pow"})


class TooLarge(ArithmeticError):
    """More parts, terms or powers than are followed."""


class Quotients:
    """Quotients of polynomials in parts that are terms; two are equal where their numbers are."""

    def __init__(self) -> None:
        names = [f"g{i}" for i in range(MOST_PARTS)]
        self._ring = flint.fmpz_mpoly_ctx.get(names, flint.Ordering.lex)
        self._parts: dict[Term, int] = {}
        self._terms: list[Term] = []

    def part(self, term: Term) -> Quotient:
        """A term as a variable."""
        if term not in self._parts:
            if len(self._parts) == MOST_PARTS:
                raise TooLarge
            self._parts[term] = len(self._terms)
            self._terms.append(term)
        return Quotient(self, self._ring.gen(self._parts[term]), self._ring.constant(1))

    def number(self, value: Fraction | int) -> Quotient:
        value = Fraction(value)
        return Quotient(self, self._ring.constant(value.numerator), self._ring.constant(value.denominator))

    def of(self, term: Term) -> Quotient:
        """**Raises:** `TooLarge`; `ZeroDivisionError` where a denominator is 0 throughout."""
        return folded(term, self._step)

    def _step(self, t: Term, args: list[Quotient]) -> Quotient:
        if isinstance(t.leaf, Fraction):
            return self.number(t.leaf)
        if (t.op == "pow" and not _whole(t.args[1])) or t.op not in ARITHMETIC:
            return self.part(t)
        if t.op == "pow":
            return args[0].power(int(t.args[1].leaf))  # type: ignore[arg-type]
        if t.op == "neg":
            return self.number(0) - args[0]
        a, b = args
        return {"add": a.__add__, "sub": a.__sub__, "mul": a.__mul__, "div": a.__truediv__}[t.op](b)

    def polynomial(self, p: Any) -> Term:
        """A polynomial as a sum of products, positive ones first; what all of them share, before it."""
        shared = [min(powers) for powers in zip(*p.monoms(), strict=True)]
        out: Term | None = None
        for powers, c in sorted(p.terms(), key=lambda term: term[1] < 0):
            rest = [n - m for n, m in zip(powers, shared, strict=True)]
            size = product(abs(Fraction(int(c))), self._monomial(rest))
            signed = negated(size) if c < 0 and out is None else size
            out = signed if out is None else operation("sub" if c < 0 else "add", out, size)
        assert out is not None
        return product(Fraction(1), [*self._monomial(shared), out])

    def _monomial(self, powers: list[int]) -> list[Term]:
        return [self._terms[i] for i, n in enumerate(powers) for _ in range(n)]


def _whole(term: Term) -> bool:
    return isinstance(term.leaf, Fraction) and term.leaf.denominator == 1 and abs(term.leaf) <= HIGHEST


def product(factor: Fraction, terms: list[Term]) -> Term:
    """A number times terms."""
    out = None if factor == 1 and terms else number(factor)
    for t in terms:
        if t.leaf == 1:
            continue
        out = t if out is None else operation("mul", out, t)
    return number(1) if out is None else out


class Quotient:
    """A quotient of polynomials without common factors."""

    __slots__ = ("bottom", "field", "top")

    def __init__(self, field: Quotients, top: Any, bottom: Any):
        if bottom == 0:
            raise ZeroDivisionError
        if len(top) > MOST_TERMS or len(bottom) > MOST_TERMS:
            raise TooLarge
        shared = top.gcd(bottom)
        if shared != 1:
            top, bottom = divmod(top, shared)[0], divmod(bottom, shared)[0]
        if bottom.leading_coefficient() < 0:
            top, bottom = -top, -bottom
        self.field, self.top, self.bottom = field, top, bottom

    def __add__(self, other: Quotient) -> Quotient:
        return Quotient(self.field, self.top * other.bottom + other.top * self.bottom, self.bottom * other.bottom)

    def __sub__(self, other: Quotient) -> Quotient:
        return Quotient(self.field, self.top * other.bottom - other.top * self.bottom, self.bottom * other.bottom)

    def __mul__(self, other: Quotient) -> Quotient:
        return Quotient(self.field, self.top * other.top, self.bottom * other.bottom)

    def __truediv__(self, other: Quotient) -> Quotient:
        return Quotient(self.field, self.top * other.bottom, self.bottom * other.top)

    def power(self, n: int) -> Quotient:
        if n < 0:
            return Quotient(self.field, self.bottom**-n, self.top**-n)
        return Quotient(self.field, self.top**n, self.bottom**n)

    def is_zero(self) -> bool:
        return self.top == 0

    def value(self) -> Fraction | None:
        """The number that it is, or `None`."""
        if not (self.top.is_constant() and self.bottom.is_constant()):
            return None
        constants = [int(p.leading_coefficient()) if p != 0 else 0 for p in (self.top, self.bottom)]
        return Fraction(*constants)

    def term(self) -> Term:
        """Both polynomials factored."""
        value = self.value()
        if value is not None:
            return number(value)
        (above, tops), (below, bottoms) = self._factors(self.top), self._factors(self.bottom)
        factor = Fraction(above, below)
        top = product(Fraction(abs(factor.numerator)), tops)
        if factor < 0:
            top = negated(top)
        bottom = product(Fraction(factor.denominator), bottoms)
        return top if bottom.leaf == 1 else operation("div", top, bottom)

    def expanded(self) -> Term:
        """Both polynomials as sums."""
        if self.top == 0:
            return number(0)
        top = self.field.polynomial(self.top)
        return top if self.bottom == 1 else operation("div", top, self.field.polynomial(self.bottom))

    def _factors(self, p: Any) -> tuple[int, list[Term]]:
        try:
            factor, parts = p.factor()
        except OverflowError:
            return 1, [self.field.polynomial(p)]
        return int(factor), [self.field.polynomial(q) for q, n in parts for _ in range(int(n))]


def rational_forms(term: Term) -> list[Term]:
    """Terms that equal one: over one denominator, in factors and in sums."""
    if not any(a.op in ARITHMETIC for a in term.args) or term.op not in ARITHMETIC:
        return []
    try:
        quotient = Quotients().of(term)
        return [form for form in (quotient.term(), quotient.expanded()) if form is not term]
    except (TooLarge, ZeroDivisionError):
        return []
