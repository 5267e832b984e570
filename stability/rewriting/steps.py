"""How one term becomes another: a chain of named rules, found by applying rules from both ends.

Terms that are one quotient of polynomials in the same parts (`rational`) are one place on the way, so that only what is
no algebra has to be found. Conditions of rules are decided in balls at the points of a sample.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from stability.rewriting.identities import ARITHMETIC, FRACTIONS, RULES
from stability.rewriting.rational import Quotients, TooLarge, rational_forms
from stability.rewriting.rules import Rule
from stability.rewriting.sample import Reals
from stability.rewriting.terms import Term, folded, rebuilt, replaced, size, subterms, variable, written

LETTERS = frozenset("abcd")
DEEPEST, WIDEST = 3, 400
"""How many rules are applied from each end, and how many terms are followed at each depth."""
_ALGEBRA = {*ARITHMETIC, *FRACTIONS}
_BY_OPERATION: dict[str, list[Rule]] = {}
for _rule in RULES:
    if _rule not in _ALGEBRA:
        _BY_OPERATION.setdefault(_rule.left.op, []).append(_rule)
ALGEBRA = "algebra: one quotient of polynomials"


class Link(NamedTuple):
    """A term, and the rule that makes it of another one."""

    term: Term
    why: str
    before: Term | None


def matched(pattern: Term, term: Term, bound: dict[str, Term]) -> bool:
    """Whether a term is of the pattern, whose letters are then `bound`."""
    if pattern.op == "var" and pattern.leaf in LETTERS:
        return bound.setdefault(str(pattern.leaf), term) is term
    if pattern.op != term.op or pattern.leaf != term.leaf or len(pattern.args) != len(term.args):
        return False
    return all(matched(p, t, bound) for p, t in zip(pattern.args, term.args, strict=True))


def holds(rule: Rule, bound: Mapping[str, Term], reals: Reals) -> bool:
    """Whether the conditions of a rule hold at every point."""
    letters = {variable(name): t for name, t in bound.items()}
    return all(_all(c.op, reals.of(replaced(c.expression, letters))) for c in rule.conditions)


_TESTS = {
    "gt": lambda x: x > 0,
    "ge": lambda x: x >= 0,
    "lt": lambda x: x < 0,
    "le": lambda x: x <= 0,
    "ne": lambda x: x != 0,
}


def _all(op: str, values: np.ndarray) -> bool:
    test = _TESTS[op]
    try:
        return all(test(x) for x in values.ravel())
    except TypeError:
        return False


def rewritten(term: Term, reals: Reals) -> Iterator[tuple[Term, str]]:
    """What one rule makes of a term, anywhere in it."""
    for part in subterms(term):
        for rule in _BY_OPERATION.get(part.op, ()):
            bound: dict[str, Term] = {}
            if matched(rule.left, part, bound) and holds(rule, bound, reals):
                other = replaced(rule.right, {variable(name): t for name, t in bound.items()})
                yield replaced(term, {part: other}), rule.name


def place(term: Term) -> str:
    """The same text for terms that are equal by algebra alone."""

    def step(t: Term, args: list[Term]) -> Term:
        inner = rebuilt(t, args)
        try:
            return _canonical(inner)
        except (TooLarge, ZeroDivisionError):
            return inner

    return written(folded(term, step))


def _canonical(term: Term) -> Term:
    field = Quotients()
    for part in sorted((t for t in subterms(term) if t.args or t.op == "var"), key=written):
        if part.op not in ("add", "sub", "mul", "div", "neg", "pow"):
            field.part(part)
    return field.of(term).expanded()


def chain(first: Term, last: Term, reals: Reals) -> list[tuple[Term, str]] | None:
    """Terms from the first to the last, each with the rule that makes it of the one before; `None` where no chain is
    found within `DEEPEST` rules from either end."""
    ends = [{place(t): Link(t, "", None)} for t in (first, last)]
    edges = [list(side.values()) for side in ends]
    for depth in range(2 * DEEPEST + 1):
        met = ends[0].keys() & ends[1].keys()
        if met:
            return _joined(ends, min(met, key=len))
        if depth == 2 * DEEPEST:
            break
        side = depth % 2
        edges[side] = _further(edges[side], ends[side], reals)
    return None


def _further(edge: list[Link], known: dict[str, Link], reals: Reals) -> list[Link]:
    out: list[Link] = []
    for link in sorted(edge, key=lambda link: size(link.term))[:WIDEST]:
        for form in (link.term, *rational_forms(link.term)):
            for term, why in rewritten(form, reals):
                key = place(term)
                if key not in known and len(out) < WIDEST:
                    known[key] = Link(term, why, link.term)
                    out.append(known[key])
    return out


def _joined(ends: list[dict[str, Link]], key: str) -> list[tuple[Term, str]]:
    forward = _back(ends[0], ends[0][key])[::-1]
    out = [(link.term, link.why) for link in forward]
    backward = _back(ends[1], ends[1][key])
    if backward[0].term is not out[-1][0]:
        out.append((backward[0].term, ALGEBRA))
    out += [(b.term, a.why) for a, b in pairwise(backward)]
    return out


def _back(side: dict[str, Link], link: Link) -> list[Link]:
    """A link and those that led to it."""
    by_term = {known.term: known for known in side.values()}
    out = [link]
    while out[-1].before is not None:
        out.append(by_term[out[-1].before])
    return out
