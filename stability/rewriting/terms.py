"""Terms: expressions of scalars that do not change, each one object however often it is built.

A term is a variable, an exact number, a number with a name, or an operation of `OPERATIONS` on terms. Terms with the
same parts are the same object, so that they are compared and looked up by identity, and what is repeated is shared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any
from weakref import WeakValueDictionary

import ml_dtypes
import numpy as np
from flint import arb, fmpq

from stability.real.arrays import elementwise
from stability.real.values import LITERAL_ZERO, Scalar
from stability.rewriting import rows
from stability.rewriting.operations import CONSTANTS, MOST_BY_PRODUCTS, OPERATIONS

Leaf = str | Fraction | None


class Term:
    """A term.

    **Attributes:** `op` the name of the operation, or `var`, `num`, or a key of `CONSTANTS`; `args` its operands;
    `leaf` the name of a variable, or the value of a number.
    """

    __slots__ = ("__weakref__", "args", "leaf", "op")

    op: str
    args: tuple[Term, ...]
    leaf: Leaf

    def __repr__(self) -> str:
        return written(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return build, (self.op, self.args, self.leaf)


_known: WeakValueDictionary[tuple, Term] = WeakValueDictionary()


def build(op: str, args: tuple[Term, ...] = (), leaf: Leaf = None) -> Term:
    key = (op, args, leaf)
    found = _known.get(key)
    if found is None:
        found = Term()
        found.op, found.args, found.leaf = op, args, leaf
        _known[key] = found
    return found


def variable(name: str) -> Term:
    return build("var", leaf=name)


def number(value: Fraction | int) -> Term:
    return build("num", leaf=Fraction(value))


def constant(name: str) -> Term:
    return build(name)


def operation(op: str, *args: Term) -> Term:
    """**Raises:** `ValueError` for an operation that is not known, or of another number of operands."""
    if op not in OPERATIONS or OPERATIONS[op].arity != len(args):
        raise ValueError(f"there is no operation {op} of {len(args)}")
    return build(op, args)


def whole_exponent(t: Term) -> int | None:
    """The exponent of a power that is a product."""
    n = t.args[1].leaf if t.op == "pow" else None
    small = isinstance(n, Fraction) and n.denominator == 1 and abs(n) <= MOST_BY_PRODUCTS
    return int(n) if small else None  # type: ignore[arg-type]


def subterms(term: Term) -> list[Term]:
    """A term's parts, each once, operands before what is made of them; itself last."""
    out: dict[Term, None] = {}
    stack = [(term, False)]
    while stack:
        t, ready = stack.pop()
        if ready:
            out[t] = None
        elif t not in out:
            stack.append((t, True))
            stack += [(a, False) for a in reversed(t.args) if a not in out]
    return list(out)


def folded(term: Term, step: Callable[[Term, list], Any], known: dict[Term, Any] | None = None) -> Any:
    """`step` of each part, given what it made of the operands; `known` is where it is looked up and kept."""
    known = {} if known is None else known
    if term in known:
        return known[term]
    for t in subterms(term):
        if t not in known:
            known[t] = step(t, [known[a] for a in t.args])
    return known[term]


def rebuilt(t: Term, args: Sequence[Term]) -> Term:
    """A term with other operands."""
    return build(t.op, tuple(args), t.leaf)


def negated(t: Term) -> Term:
    return t.args[0] if t.op == "neg" else number(-t.leaf) if isinstance(t.leaf, Fraction) else operation("neg", t)


def replaced(term: Term, by: Mapping[Term, Term]) -> Term:
    """With terms in the place of others."""

    def step(t: Term, args: list[Term]) -> Term:
        return by[t] if t in by else rebuilt(t, args)

    return folded(term, step)


def variables(term: Term) -> list[str]:
    """The names of the variables, in order of their first use."""
    return [str(t.leaf) for t in subterms(term) if t.op == "var"]


def size(term: Term) -> int:
    """How many parts a term has, each counted once."""
    return len(subterms(term))


def cost(term: Term) -> int:
    """What one evaluation costs, each part once, in additions."""
    return sum(OPERATIONS[t.op].cost if t.args else 0 for t in subterms(term))


def flushed(x: Any) -> Any:
    """Without subnormal numbers, which XLA takes for 0 on a CPU; those of float16 it keeps."""
    x = np.asarray(x)
    if x.dtype.kind == "b" or x.dtype.name == "float16":
        return x
    return np.where(np.abs(x) < ml_dtypes.finfo(x.dtype).smallest_normal, np.copysign(x.dtype.type(0), x), x)


def applied(op: str, *args: Any) -> Any:
    """An operation on floats, as XLA has it."""
    return flushed(OPERATIONS[op].floats(*args))


def in_floats(term: Term, columns: Mapping[str, np.ndarray], known: dict[Term, Any] | None = None) -> np.ndarray:
    """The values in floating point, by NumPy, in the dtype of the `columns`, one array a variable."""
    dtype = next(iter(columns.values())).dtype

    def step(t: Term, args: list) -> Any:
        if t.op == "var":
            return flushed(columns[str(t.leaf)])
        if t.op == "num":
            return dtype.type(rounded(t.leaf))
        if t.op in CONSTANTS:
            return dtype.type(CONSTANTS[t.op][0])
        return applied(t.op, *args)

    with np.errstate(all="ignore"):
        out = folded(term, step, known)
    return spread(out, columns)


def spread(values: Any, columns: Mapping[str, Any]) -> np.ndarray:
    """Values at the points of `columns`, one a point, or a row a point where those have rows."""
    some = next(iter(columns.values()))
    shape = (len(some),) if some.ndim == 1 else (len(some), 1)
    return np.broadcast_to(values, np.broadcast_shapes(np.shape(values), shape))


def rounded(value: Any) -> float:
    """An exact number as the nearest float64, infinite where it is beyond all."""
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def in_reals(term: Term, point: Mapping[str, Scalar], known: dict[Term, Scalar] | None = None) -> Scalar:
    """The value over the reals at a point, in balls of the precision in force."""

    def step(t: Term, args: list) -> Any:
        if t.op == "var":
            return point[str(t.leaf)]
        if isinstance(t.leaf, Fraction):
            return exactly(t.leaf)
        if t.op in CONSTANTS:
            return CONSTANTS[t.op][1]()
        return over_reals(t.op, *args)

    return folded(term, step, known)


def over_reals(op: str, *args: Any) -> Any:
    """An operation on real numbers, or on object arrays of them."""
    function = OPERATIONS[op].reals
    return function(*args) if op in rows.REALS else elementwise(function)(*args)


def exactly(value: Fraction) -> arb:
    """A ball around a fraction: a point, where it can be one; the zero that a program spells out."""
    if value == 0:
        return LITERAL_ZERO
    return arb(value.numerator) if value.denominator == 1 else arb(fmpq(value.numerator, value.denominator))


def written(term: Term) -> str:
    """In the notation of rules: `sqrt(x + 1) - sqrt(x)`."""
    return folded(term, _written)[0]


_LEVELS = {"add": 1, "sub": 1, "mul": 2, "div": 2, "neg": 3, "pow": 4}
_SIGNS = {"add": " + ", "sub": " - ", "mul": " * ", "div": " / ", "pow": " ** "}


def _written(t: Term, args: list[tuple[str, int]]) -> tuple[str, int]:
    if t.op == "num":
        whole = isinstance(t.leaf, Fraction) and t.leaf.denominator == 1 and t.leaf >= 0
        return str(t.leaf), 5 if whole else 2
    if not args:
        return str(t.leaf or t.op), 5
    level = _LEVELS.get(t.op, 5)
    if t.op == "neg":
        return "-" + _bracketed(args[0], level), level
    if t.op in _SIGNS:
        left = _bracketed(args[0], level + (t.op == "pow"))
        return left + _SIGNS[t.op] + _bracketed(args[1], level + (t.op != "pow")), level
    return f"{t.op}({', '.join(text for text, _ in args)})", 5


def _bracketed(part: tuple[str, int], level: int) -> str:
    text, own = part
    return f"({text})" if own < level else text


def each_part(term: Term) -> Iterator[Term]:
    """The parts that are operations."""
    return (t for t in subterms(term) if t.args)
