"""Which equation is to blame: a walk from a bad result back to where it went bad.

With `v̂` the float result of an equation `f` on the float inputs `x̂`, `v` and `x` the real ones, the error splits:
`v̂ - v = (v̂ - f(x̂)) + (f(x̂) - f(x))`, the equation's *own* error and the one that it *passes on*. The walk starts
at a bad output. Where the own error is the larger part, the error was born there. Otherwise it goes to the input
whose error alone moves `f` the most, as long as that input is off by more than rounding can be blamed for (`HARMLESS`
units of `2**-precision`, relatively). If it ends at inputs that are harmless, then some equation on the way made much
of little: the one that magnified the relative error most is to blame, a *cancellation* where it is a sum, an
*amplification* otherwise, unless what it magnified is the rounding of a sum that had swallowed the digits of its
smaller operand: then that sum, an *absorption*. A result that is not a number has its equation's kind, unless an
input was already wrong: an infinity that is a number in truth, a zero that is not zero, or an argument off by more
than rounding. Then the walk goes on from there.
"""

from __future__ import annotations

import cmath
import math
from typing import Any, NamedTuple

from flint import arb

from stability.diagnosis._nodes import Node
from stability.diagnosis._rules import as_real
from stability.real import logic, scalars
from stability.real.complexes import magnitude
from stability.real.function import parts
from stability.real.values import INFINITY, Undefined, infinite, is_number

HARMLESS = 4.0
"""Relative errors up to this many units of `2**-precision` are rounding."""

STRIKING = 16.0
"""An equation that magnifies a relative error this many times is said to do so in its row."""

SUMS = ("add", "add_any", "sub", "reduce_sum", "cumsum", "dot_general", "scatter-add")

FROM_INFINITY = ("zero_times_infinity", "infinity_minus_infinity", "infinity_over_infinity")

NOTHING = arb(0)


class Step(NamedTuple):
    """A node on the way back from a bad result, and how many times it magnified the relative error of what came in."""

    node: Node
    growth: float


class Verdict(NamedTuple):
    """The node to blame, why, and the way from the result to it."""

    node: Node
    kind: str
    path: tuple[Node, ...]


def is_finite(x: Any) -> bool:
    """Whether something is a number, real or complex, and finite."""
    return all(is_number(part) and not infinite(part) for part in parts(x))


def gap(x: Any, y: Any) -> arb:
    """`|x - y|` of two numbers, infinite where they are not both finite and not the same."""
    if isinstance(x, Undefined) or isinstance(y, Undefined):
        return NOTHING if x is y else INFINITY
    if not (is_finite(x) and is_finite(y)):
        same = all(bool(a == b) for a, b in zip(parts(x), parts(y), strict=True))
        return NOTHING if same else INFINITY
    return magnitude(scalars.sub(x, y))


def in_units(error: arb, value: Any, node: Node) -> float:
    """An error in units of `2**-precision` of a value, 0 where the error is."""
    if error == 0:
        return 0.0
    if infinite(error) or not is_finite(value) or magnitude(value) == 0 or node.fmt is None:
        return math.inf
    return float(error / magnitude(value) * 2**node.fmt.precision)


def off(node: Node) -> float:
    """How far off the float is, relatively, in units of `2**-precision`; 0 where the truth is no number."""
    if isinstance(node.true, Undefined):
        return 0.0
    if node.fmt is None:
        return 0.0 if bool(node.got == node.true) else math.inf
    return in_units(gap(as_real(node.got), node.true), node.true, node)


def wrong(node: Node) -> bool:
    return off(node) > HARMLESS


def relevant(node: Node) -> tuple[Node, ...]:
    """The inputs that the float result hangs on: of a select, the predicate and the case taken."""
    if node.rule is logic.select:
        return node.parents[0], node.parents[1 + int(node.parents[0].got)]
    return node.parents


def not_a_number(node: Node) -> bool:
    return isinstance(node.got, float | complex) and cmath.isnan(node.got)


def is_infinite(node: Node) -> bool:
    return isinstance(node.got, float | complex) and cmath.isinf(node.got) and not cmath.isnan(node.got)


def own_error(node: Node) -> arb:
    return gap(as_real(node.got), node.exact)


def passed_on(node: Node) -> arb:
    return gap(node.exact, node.true)


def birth_kind(node: Node) -> str:
    """What an equation itself did to its result, given its inputs; empty where it rounded as it should."""
    exact = node.exact
    if isinstance(exact, Undefined):
        return "domain" if exact.kind in ("nan", "undecided") else exact.kind
    if node.fmt is None:
        return "" if bool(node.got == exact) else "branch"
    if not_a_number(node) or not is_finite(exact):
        return "inaccurate" if gap(as_real(node.got), exact) != 0 else ""
    if is_infinite(node):
        return "overflow"
    own = in_units(own_error(node), exact, node)
    if own <= HARMLESS:
        return ""
    if abs(node.got) >= node.fmt.smallest_normal:
        return "cancellation" if is_sum(node) and own_error(node) > magnitude(exact) else "inaccurate"
    if magnitude(exact) < arb(2) ** (node.fmt.least_exponent - 1):
        return "underflow"
    tiny = magnitude(exact) < node.fmt.smallest_normal
    subnormal_input = any(
        isinstance(p.got, float | complex) and p.fmt is not None and 0 < abs(p.got) < p.fmt.smallest_normal
        for p in node.parents
    )
    if node.got == 0 and (tiny or subnormal_input):
        return "flush"
    return "underflow" if tiny else "flush" if subnormal_input else "inaccurate"


def absorbed(node: Node, operand: Node) -> bool:
    """Whether rounding the sum lost more than rounding of the digits of an operand."""
    value = as_real(operand.got)
    return is_finite(value) and magnitude(value) != 0 and in_units(own_error(node), value, node) > HARMLESS


def birthplace(node: Node) -> Node:
    """Where an error was born, as far back as a good part of it goes."""
    while node.rule is not None:
        if own_error(node) >= 4 * passed_on(node):
            return node
        node = main_source(node)
    return node


def main_source(node: Node) -> Node:
    """The input whose error alone moves the result the most."""
    inputs = relevant(node)
    where = {id(p): i for i, p in enumerate(node.parents)}
    moved = [gap(node.with_only(where[id(p)]), node.true) for p in inputs]
    best = max(moved, key=lambda m: m.mid())
    if best == 0:
        return max(inputs, key=off)
    return next(p for p, m in zip(inputs, moved, strict=True) if m == best)


def amplifier(path: list[Step]) -> tuple[Node, str]:
    """Of a way that ends in harmless inputs, the equation that made much of little, and its kind."""
    node = max(path, key=lambda step: step.growth).node
    if node.fmt is None:
        return node, "branch"
    if is_sum(node):
        return node, "cancellation"
    source = birthplace(main_source(node))
    if source.rule is not None and is_sum(source) and any(absorbed(source, p) for p in source.parents):
        return source, "absorption"
    return node, "amplification"


def is_sum(node: Node) -> bool:
    return node.name in SUMS


def worst_input(node: Node) -> Node | None:
    """Of a result that is no number, or infinite, the input to go on with: one that is itself wrong."""
    inputs = [p for p in reversed(relevant(node)) if wrong(p)]
    return next((p for p in inputs if not_a_number(p) or is_infinite(p)), inputs[0] if inputs else None)


def of_a_mask(node: Node) -> bool:
    """Whether a factor is a 0 that a mask picked, which hides a value and not what it is multiplied by."""
    zero = next((p for p in node.parents if isinstance(p.got, float) and p.got == 0), None)
    while zero is not None:
        if zero.rule is logic.select or any(p.fmt is None for p in zero.parents[:1]):
            return True
        zero = next((p for p in zero.parents if isinstance(p.got, float) and p.got == 0), None)
    return False


def birth_of_infinity(node: Node) -> list[Node]:
    """The way back along infinities to where one was born of finite numbers; empty where one was given."""
    way: list[Node] = []
    at = node
    while cause := next((p for p in relevant(at) if is_infinite(p)), None):
        if cause.rule is None:
            return []
        way.append(cause)
        at = cause
    return way if not not_a_number(at) else []


def line_of(source: str) -> str:
    """`file:line` of a source, without the column."""
    return ":".join(source.partition(" ")[0].split(":")[:2])


def to_infinity(node: Node) -> Verdict | None:
    """The equation that made an infinity of finite numbers; `None` where one was given."""
    way = [node, *birth_of_infinity(node)]
    born = way[-1].rule is not None and not any(map(is_infinite, relevant(way[-1])))
    return Verdict(way[-1], birth_kind(way[-1]) or "pole", tuple(way)) if born else None


def walk(node: Node) -> Verdict | None:
    """The equation to blame for a bad node; `None` where an argument is, or nothing."""
    path: list[Step] = []
    while node.rule is not None:
        steps = (*(s.node for s in path), node)
        if not_a_number(node) or is_infinite(node):
            same = [p for p in relevant(node) if (not_a_number(p) if not_a_number(node) else is_infinite(p))]
            exact = node.exact
            born = not same
            cause = next((p for p in same if wrong(p)), same[0]) if same else worst_input(node)
            in_range = is_finite(node.true) and magnitude(node.true) <= (node.fmt.max if node.fmt else 0)
            truly = isinstance(node.true, Undefined) and isinstance(exact, Undefined) and node.true.kind == exact.kind
            if born and truly:
                cause = None
            if born and is_infinite(node) and is_finite(exact) and not in_range:
                cause = None
            if cause is None:
                kind = birth_kind(node) or "inaccurate"
                way = birth_of_infinity(node) if kind in FROM_INFINITY and not of_a_mask(node) else []
                if way and line_of(way[-1].source) != line_of(node.source) and birth_kind(way[-1]) in ("pole", ""):
                    return Verdict(way[-1], "pole", (*steps, *way))
                return Verdict(node, kind, steps)
            path.append(Step(node, 1.0))
            node = cause
            continue
        own, passed = own_error(node), passed_on(node)
        if own >= passed:
            kind = birth_kind(node)
            if kind:
                return Verdict(node, kind, steps)
            if not path:
                return None
            blamed, kind = amplifier(path)
            return Verdict(blamed, kind, steps)
        source = main_source(node)
        path.append(Step(node, off(node) / max(off(source), 0.5)))
        if not wrong(source):
            blamed, kind = amplifier(path)
            return Verdict(blamed, kind, (*steps, source))
        node = source
    return None


def local_kind(node: Node) -> str:
    """What happened at an equation: empty where nothing did."""
    if node.rule is None or not relevant(node):
        return ""
    bad = [p for p in relevant(node) if not_a_number(p) or (is_infinite(p) and is_infinite(node))]
    kind = "" if bad else birth_kind(node)
    if kind or node.fmt is None or not_a_number(node) or is_infinite(node):
        return kind
    growth = in_units(passed_on(node), node.true, node) / max(0.5, *(off(p) for p in relevant(node)))
    if growth > STRIKING:
        return "cancellation" if is_sum(node) else "amplification"
    swallowed = (
        is_sum(node)
        and len(node.parents) == 2
        and any(
            isinstance(p.got, float | complex) and p.got != 0 and node.got == q.got
            for p in node.parents
            for q in node.parents
            if p is not q
        )
    )
    return "absorption" if swallowed and own_error(node) != 0 else ""
