"""Identities over the reals, as data.

A rule says that its right side is its left side wherever the left side has a value and the conditions hold: each
compares an expression with 0. One that holds both ways is two rules. Nothing in a rule speaks of floats: which of two
equal terms keeps its digits is measured. The letters `a` to `d` stand for any terms.
"""

from __future__ import annotations

from typing import NamedTuple

from stability.rewriting.notation import term
from stability.rewriting.terms import Term


class Condition(NamedTuple):
    """What has to hold: `op` of `gt`, `ge`, `lt`, `le`, `ne`, between `expression` and 0."""

    op: str
    expression: Term


class Rule(NamedTuple):
    """**Attributes:** `name`; `left` and `right` terms in pattern variables; `conditions` all of which have to hold."""

    name: str
    left: Term
    right: Term
    conditions: tuple[Condition, ...] = ()

    def __str__(self) -> str:
        told = " and ".join(f"{c.expression} {_SIGN[c.op]} 0" for c in self.conditions)
        return f"{self.left} = {self.right}" + (f", where {told}" if told else "")


_SIGN = {"gt": ">", "ge": ">=", "lt": "<", "le": "<=", "ne": "!="}


def _conditions(text: str) -> tuple[Condition, ...]:
    parts = map(term, filter(None, (part.strip() for part in text.split(" and "))))
    return tuple(Condition(part.op, part.args[0]) for part in parts)


def rules_of(family: str, table: str) -> list[Rule]:
    """The rules of a table, a line each: `left = right`, or `left == right` where it holds both ways; `if` conditions,
    all of which compare with 0."""
    out = []
    for line in filter(None, map(str.strip, table.splitlines())):
        sides, _, told = line.partition(" if ")
        both = " == " in sides
        left, right = map(term, sides.split(" == " if both else " = "))
        conditions = _conditions(told)
        out.append(Rule(f"{family}: {sides.strip()}", left, right, conditions))
        if both:
            out.append(Rule(f"{family}: {sides.strip()}", right, left, conditions))
    return out
