"""Terms as the source text of a JAX function, and the function that the text is."""

from __future__ import annotations

import importlib
import keyword
import linecache
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any

import jax
import jax.numpy as jnp

from stability.formats import FORMATS
from stability.rewriting.operations import CONSTANTS, OPERATIONS
from stability.rewriting.regimes import Regimes
from stability.rewriting.terms import Term, folded, rounded, subterms, variables, whole_exponent

LEVELS = {
    **dict.fromkeys(("lt", "le", "gt", "ge", "eq", "ne"), 0),
    **{"or": 1, "and": 2, "add": 3, "sub": 3, "mul": 4, "div": 4, "neg": 5, "not": 5, "pow": 6},
}
"""How tightly an operation binds in Python; what is not here is a call."""
CALL = 9
_LEAST = frozenset(fmt.smallest_normal for fmt in FORMATS.values())
"""Below these, and above 0, XLA has nothing on a CPU."""


def literal(value: Fraction) -> tuple[str, int]:
    """A number as it is written, and how tightly it binds: whole, a short quotient, or a float."""
    if value.denominator == 1 and abs(value) < 2**31:
        return str(value.numerator), CALL if value >= 0 else LEVELS["neg"]
    short = Fraction(rounded(value))
    if short == value and len(repr(float(value))) <= 8:
        return repr(float(value)), CALL if value >= 0 else LEVELS["neg"]
    if abs(value.numerator) < 2**53 and value.denominator < 2**53:
        return f"({value.numerator} / {value.denominator})", CALL
    number = rounded(value)
    return (repr(number) if math.isfinite(number) else f'float("{number}")'), CALL if value >= 0 else LEVELS["neg"]


class Writer:
    """Writes statements; what is used several times gets a name."""

    def __init__(self, taken: Sequence[str]):
        self.lines: list[str] = []
        self._taken = set(taken) | {"jnp", "jax", "stability"}

    def fresh(self, stem: str) -> str:
        """A name that is not taken yet."""
        names = (stem if i == 0 else f"{stem}{i}" for i in range(1000))
        name = next(n for n in names if n not in self._taken and not keyword.iskeyword(n))
        self._taken.add(name)
        return name

    def expression(self, term: Term, names: Mapping[str, str]) -> str:
        """A term as an expression, after statements for its parts that are used several times."""
        used = Counter(a for t in subterms(term) for a in t.args)
        known: dict[Term, tuple[str, int]] = {}

        def step(t: Term, args: list[tuple[str, int]]) -> tuple[str, int]:
            polynomial = _in_horners_scheme(t, used)
            if polynomial and len(polynomial[1]) > LEAST_DEGREE:
                x, listed = known[polynomial[0]][0], ", ".join(literal(c)[0] for c in reversed(polynomial[1]))
                text, level = f"jnp.polyval(jnp.array([{listed}], jnp.result_type({x})), {x})", CALL
            else:
                text, level = _text(t, args, names)
            if t.args and used[t] > 1:
                name = self.fresh(_STEMS.get(t.op, "t"))
                self.lines.append(f"{name} = {text}")
                return name, CALL
            return text, level

        return folded(term, step, known)[0]


LEAST_DEGREE = 3
"""Of a polynomial that is written as one."""


def _in_horners_scheme(t: Term, used: Mapping[Term, int]) -> tuple[Term, list[Fraction]] | None:
    """Of `c0 + x (c1 + x (c2 + …))`, each part of which is used once: `x` and the coefficients."""
    if t.op not in ("add", "sub") or not isinstance(t.args[0].leaf, Fraction):
        return None
    first, rest = t.args[0].leaf, t.args[1]
    if t.op == "add" and rest.op == "mul" and used[rest] == 1:
        x, inner = rest.args
        if isinstance(inner.leaf, Fraction):
            return x, [first, inner.leaf]
        found = _in_horners_scheme(inner, used) if used[inner] == 1 else None
        if found and found[0] is x:
            return x, [first, *found[1]]
    return rest, [first, Fraction(1 if t.op == "add" else -1)]


_STEMS = {"exp": "e", "expm1": "e", "log": "l", "sqrt": "r", "sin": "s", "cos": "c", "logistic": "p", "mul": "m"}


def _text(t: Term, args: list[tuple[str, int]], names: Mapping[str, str]) -> tuple[str, int]:
    if t.op == "var":
        return names[str(t.leaf)], CALL
    if isinstance(t.leaf, Fraction):
        return literal(t.leaf)
    if not t.args:
        return CONSTANTS[t.op][2], CALL
    if (n := whole_exponent(t)) is not None:
        args = [args[0], (str(n), CALL)]
    level = LEVELS.get(t.op)
    if level is None:
        return OPERATIONS[t.op].text.format(*(text for text, _ in args)), CALL
    operands = [_within(a, level + (i > 0 or level == 0 or t.op == "pow")) for i, a in enumerate(args)]
    return OPERATIONS[t.op].text.format(*operands), level


def _within(part: tuple[str, int], level: int) -> str:
    text, own = part
    return text if own >= level else f"({text})"


def source_of(regimes: Regimes, names: Sequence[str], harmless: Mapping[Term, Mapping[str, float]], called: str) -> str:
    """The text of a function with these arguments.

    **Arguments:** `harmless` for each term a point where it is used, which it is fed where it is not, so that a
    derivative of what is not used is a number.
    """
    arguments = _identifiers(names)
    writer = Writer(list(arguments.values()))
    branches = list(dict.fromkeys(regimes.terms))
    default = max(branches, key=regimes.terms.count)
    if len(branches) == 1:
        out = writer.expression(default, arguments)
    else:
        out = _chosen(regimes, branches, default, arguments, harmless, writer)
    if not any(variables(t) for t in branches):
        out = f"jnp.full_like({next(iter(arguments.values()))}, {out})"
    if regimes.instead is not None:
        out = _guarded(out, regimes.instead, arguments, harmless[default], writer)
    body = "\n".join(f"    {line}" for line in [*writer.lines, f"return {out}"])
    return f"def {called}({', '.join(arguments.values())}):\n{body}\n"


def _chosen(
    regimes: Regimes,
    branches: Sequence[Term],
    default: Term,
    arguments: Mapping[str, str],
    harmless: Mapping[Term, Mapping[str, float]],
    writer: Writer,
) -> str:
    """Branches, each fed its own arguments."""
    masks = {t: writer.fresh("here") for t in branches if t is not default}
    for t, mask in masks.items():
        writer.lines.append(f"{mask} = {_intervals(regimes, t, arguments[regimes.name])}")
    elsewhere = " | ".join(masks.values())
    values = {}
    for t in branches:
        fed = dict(arguments)
        for name in variables(t):
            x, point = arguments[name], _number(harmless[t][name])
            fed[name] = writer.fresh(x)
            choice = f"{masks[t]}, {x}, {point}" if t in masks else f"{elsewhere}, {point}, {x}"
            writer.lines.append(f"{fed[name]} = jnp.where({choice})")
        values[t] = writer.expression(t, fed)
    out = values[default]
    for t, mask in masks.items():
        out = f"jnp.where({mask}, {values[t]}, {out})"
    return out


def _guarded(out: str, instead: Term, arguments: Mapping[str, str], point: Mapping[str, float], writer: Writer) -> str:
    """A result, and a term that serves where it is not finite, fed a point elsewhere."""
    result, finite = writer.fresh("out"), writer.fresh("finite")
    writer.lines += [f"{result} = {out}", f"{finite} = jnp.isfinite({result})"]
    fed = {name: writer.fresh(arguments[name]) for name in variables(instead)}
    writer.lines += [
        f"{fed[name]} = jnp.where({finite}, {_number(point[name])}, {arguments[name]})" for name in variables(instead)
    ]
    return f"jnp.where({finite}, {result}, {writer.expression(instead, fed)})"


def _identifiers(names: Sequence[str]) -> dict[str, str]:
    """The names as Python has them."""
    out: dict[str, str] = {}
    for name in names:
        clean = "".join(c if c.isalnum() or c == "_" else "_" for c in name)
        clean = clean if clean.isidentifier() and not keyword.iskeyword(clean) else f"_{clean}"
        out[name] = clean if clean not in out.values() else f"{clean}_{len(out)}"
    return out


def _number(x: float) -> str:
    return repr(float(x)) if math.isfinite(x) else f'float("{float(x)}")'


def _intervals(regimes: Regimes, term: Term, x: str) -> str:
    """Where a term is used, as text; the first and the last interval are open."""
    ends = [None, *regimes.bounds, None]
    parts = []
    for i, t in enumerate(regimes.terms):
        if t is term:
            low, high = ends[i], ends[i + 1]
            tests = [f"{x} > 0" if low in _LEAST else f"{x} >= {_number(low)}"] if low is not None else []
            tests += [f"{x} <= 0" if high in _LEAST else f"{x} < {_number(high)}"] if high is not None else []
            parts.append(_joined(tests, " & "))
    return _joined(parts, " | ")


def _joined(parts: Sequence[str], sign: str) -> str:
    return parts[0] if len(parts) == 1 else sign.join(f"({p})" for p in parts)


def function_of(text: str, called: str) -> Callable[..., Any]:
    """The function that a text defines; its lines are there for tracebacks."""
    file = f"<stabilize {called} {hash(text):x}>"
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    space: dict[str, Any] = {"jax": jax, "jnp": jnp, "stability": importlib.import_module("stability")}
    exec(compile(text, file, "exec"), space)
    return space[called]
