"""Equal terms found together: the rules applied to everything at once, by the `egglog` package.

A `Graph` holds classes of terms that are equal; a *node* is an operation on classes. Conditions of rules are facts
about classes, which are found outside (from balls, at the points of a sample) and told between rounds.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any, NamedTuple

from stability.rewriting.identities import GROWING, SHRINKING
from stability.rewriting.operations import CONSTANTS, OPERATIONS
from stability.rewriting.rules import Rule
from stability.rewriting.terms import Term, folded

LETTERS = frozenset("abcd")
_FACT = {"gt": "positive", "ge": "nonnegative", "lt": "negative", "le": "nonpositive", "ne": "nonzero"}
FACTS = tuple(_FACT.values())
FAMILIES = tuple(GROWING)


class Node(NamedTuple):
    """An operation on classes, or a leaf: `leaf` as of a `Term`, `args` the numbers of classes."""

    op: str
    args: tuple[int, ...]
    leaf: Any = None


class Missing(ImportError):
    """The package `egglog` is not there."""


def _bindings() -> Any:
    try:
        from egglog import bindings
    except ImportError:
        raise Missing("stabilize needs the package egglog: pip install 'stability[stabilize]'") from None
    return bindings


def _integer(n: int) -> str:
    return f"(bigint {n})" if abs(n) < 2**62 else f'(from-string "{n}")'


def encoded(term: Term, pattern: bool = False) -> str:
    """A term in egglog's notation; of a `pattern` the single letters stand for any class."""

    def step(t: Term, args: list[str]) -> str:
        if isinstance(t.leaf, Fraction):
            return f"(Num (bigrat {_integer(t.leaf.numerator)} {_integer(t.leaf.denominator)}))"
        if t.op == "var":
            return str(t.leaf) if pattern and t.leaf in LETTERS else f'(Var "{t.leaf}")'
        return f"({t.op}_ {' '.join(args)})" if args else f"({t.op}_)"

    return folded(term, step)


def _commands(rule: Rule, ruleset: str) -> Iterable[str]:
    left, right = encoded(rule.left, True), encoded(rule.right, True)
    conditions = [(c, encoded(c.expression, True), f"t{i}") for i, c in enumerate(rule.conditions)]
    for _, expression, _ in conditions:
        yield f"(rule ((= e {left})) ((wanted {expression})) :ruleset {ruleset})"
    told = " ".join(f"(= {t} {expression}) ({_FACT[c.op]} {t})" for c, expression, t in conditions)
    yield f"(rule ((= e {left}) {told}) ((union e {right})) :ruleset {ruleset})"


_FOLDED = """
(rule ((= e (add_ (Num x) (Num y)))) ((union e (Num (+ x y)))) :ruleset shrink)
(rule ((= e (sub_ (Num x) (Num y)))) ((union e (Num (- x y)))) :ruleset shrink)
(rule ((= e (mul_ (Num x) (Num y)))) ((union e (Num (* x y)))) :ruleset shrink)
(rule ((= e (div_ (Num x) (Num y))) (!= y (bigrat (bigint 0) (bigint 1)))) ((union e (Num (/ x y)))) :ruleset shrink)
(rule ((= e (neg_ (Num x)))) ((union e (Num (neg x)))) :ruleset shrink)
(rule ((positive x)) ((nonnegative x) (nonzero x)) :ruleset shrink)
(rule ((negative x)) ((nonpositive x) (nonzero x)) :ruleset shrink)
"""


def program() -> str:
    """The declarations and the rules, in egglog's notation."""
    sort = " ".join(f"({op}_ {' '.join(['M'] * o.arity)})" for op, o in OPERATIONS.items())
    named = " ".join(f"({name}_)" for name in CONSTANTS)
    lines = [f"(datatype M (Num BigRat) (Var String) (Seed i64) {sort} {named})"]
    lines += [f"(relation {fact} (M))" for fact in (*FACTS, "wanted")]
    lines += ["(ruleset shrink)", _FOLDED]
    for family, rules in {"shrink": SHRINKING, **GROWING}.items():
        lines += [] if family == "shrink" else [f"(ruleset {family})"]
        for rule in rules:
            lines += _commands(rule, family)
    return "\n".join(dict.fromkeys(lines))


class _Prepared:
    """An egglog with the rules, and how many of its states are put by."""

    def __init__(self) -> None:
        self.egglog = _bindings().EGraph()
        self.depth = 0
        self.run(program())

    def run(self, text: str) -> list:
        return self.egglog.run_program(*self.egglog.parse_program(text))

    def push(self) -> None:
        self.run("(push)")
        self.depth += 1

    def pop(self, states: int = 1) -> None:
        self.run("(pop)\n" * states)
        self.depth -= states


@functools.cache
def _prepared() -> _Prepared:
    return _Prepared()


class Graph:
    """Classes of equal terms, which rules make more of. One at a time: making one ends the last."""

    def __init__(self) -> None:
        self._shared = _prepared()
        self._shared.pop(self._shared.depth)
        self._shared.push()
        self._run, self._egglog = self._shared.run, self._shared.egglog

    def add(self, seed: int, term: Term) -> None:
        """A term of the class of a seed."""
        self._run(f"(union (Seed {seed}) {encoded(term)})")

    def tell(self, facts: Mapping[str, Iterable[Term]]) -> None:
        """Facts, by their names in `FACTS`, about the classes of terms."""
        self._run("\n".join(f"({name} {encoded(t)})" for name, terms in facts.items() for t in terms))

    def grow(self, family: str, limit: int) -> bool:
        """Applies the rules of a family once, and those that shrink; not, where that makes over `limit` nodes.
        **Returns:** whether it did."""
        self._shared.push()
        self._run(f"(run {family} 1)\n(run-schedule (repeat 4 (run shrink)))")
        fits = self.size() <= limit
        if not fits:
            self._shared.pop()
        return fits

    def size(self) -> int:
        """How many nodes there are."""
        return sum(len(f.rows) for name, f in self._egglog.freeze().functions.items() if f.output_sort == "M")

    def nodes(self) -> tuple[list[list[Node]], dict[int, int], list[int]]:
        """The nodes of each class; the class of each seed; the classes that conditions speak of."""
        numbers: dict[Any, int] = {}
        classes: list[list[Node]] = []
        seeds: dict[int, int] = {}

        def of(value: Any) -> int:
            if value not in numbers:
                numbers[value] = len(classes)
                classes.append([])
            return numbers[value]

        functions = self._egglog.freeze().functions
        for name, function in functions.items():
            if function.output_sort != "M" or function.is_let_binding:
                continue
            for row in function.rows:
                out = of(row.output)
                if name == "Seed":
                    seeds[self._egglog.value_to_i64(row.inputs[0])] = out
                elif name == "Num":
                    classes[out].append(Node("num", (), self._egglog.value_to_bigrat(row.inputs[0])))
                elif name == "Var":
                    classes[out].append(Node("var", (), self._egglog.value_to_string(row.inputs[0])))
                else:
                    classes[out].append(Node(name[:-1], tuple(map(of, row.inputs))))
        return classes, seeds, [of(row.inputs[0]) for row in functions["wanted"].rows]
