"""Limits where an output has no value: which of the arguments' numbers to vary for them, and several at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from flint import arb
from jax.extend.core import ClosedJaxpr

from stability.formats import FloatFormat
from stability.real._derivative import Sides, limits
from stability.real._reads import numbers_read
from stability.real._series import is_number
from stability.real.arrays import as_array, bare
from stability.real.function import add
from stability.real.reals import run
from stability.real.values import UNDECIDED, Scalar, Undefined, array, infinite
from stability.real.walk import is_float

MOST_ROUNDS = 64
"""The most evaluations of a program by which limits are looked for."""

Raised = Callable[[Callable[[], list], Sequence[FloatFormat | None]], list]


class Hole(NamedTuple):
    """An element of an output that has no value, and why."""

    output: int
    element: int
    was: Undefined


def limits_at(
    jaxpr: ClosedJaxpr,
    args: Sequence[Any],
    holes: Sequence[Hole],
    formats: Sequence[FloatFormat | None],
    raised: Raised,
) -> list[Scalar]:
    """What stands at each hole: its limit, or why it has none.

    It has a limit where exactly one number among the arguments, as it alone varies, makes something else of it, and
    what it makes of it has limits from both sides, or from the one that is in the domain, that agree: a number, or an
    infinity. Numbers that no hole hangs on together are varied at once. `raised` computes outputs until they are
    decided to formats.
    """
    sizes = [v.aval.size if is_float(v.aval) else 0 for v in jaxpr.jaxpr.invars]
    numbers = [x for a, n in zip(args, sizes, strict=True) if n for x in as_array(a).ravel()]
    finite = [not isinstance(x, Undefined) and not infinite(x) for x in numbers]
    read = numbers_read(jaxpr, sizes)
    hangs_on = [read[h.output][h.element] for h in holes]
    pairs = [(h, d) for h in range(len(holes)) for d in range(len(numbers)) if finite[d] and hangs_on[h] >> d & 1]
    found: list[list[Scalar]] = [[] for _ in holes]
    for _ in range(MOST_ROUNDS):
        pairs = [pair for pair in pairs if len(found[pair[0]]) < 2]
        if not pairs:
            break
        together = at_once(pairs, hangs_on)
        pairs = [(h, d) for h, d in pairs if together.get(h) != d]
        moved, at = set(together.values()), [holes[h] for h in together]

        def outputs(step: Any, moved: set[int] = moved, at: list[Hole] = at) -> list:
            out = run(jaxpr, with_steps(jaxpr, args, moved, step))
            return [as_array(out[hole.output]).ravel()[hole.element] for hole in at]

        def ends(outputs: Callable = outputs, at: list[Hole] = at) -> list:
            return [_one_or_was(sides, hole.was) for sides, hole in zip(limits(outputs, arb(0)), at, strict=True)]

        for h, value in zip(together, raised(ends, [formats[hole.output] for hole in at]), strict=True):
            if not (isinstance(value, Undefined) and value == holes[h].was):
                found[h].append(value)
    left = {h for h, _ in pairs}
    why = f"no limit looked for in more than {MOST_ROUNDS} ways"
    return [
        Undefined(f"undecided: {hole.was.kind}, {why}")
        if h in left
        else f[0]
        if len(f) == 1 and not isinstance(f[0], Undefined)
        else hole.was
        for h, (f, hole) in enumerate(zip(found, holes, strict=True))
    ]


def at_once(pairs: Sequence[tuple[int, int]], hangs_on: Sequence[int]) -> dict[int, int]:
    """Holes, and the number to vary for each, such that none hangs on two of the numbers."""
    chosen: dict[int, int] = {}
    moved = watched = 0
    for h, d in pairs:
        if h not in chosen and not hangs_on[h] & moved & ~(1 << d) and (moved >> d & 1 or not watched >> d & 1):
            chosen[h] = d
            moved |= 1 << d
            watched |= hangs_on[h]
    return chosen


def with_steps(jaxpr: ClosedJaxpr, args: Sequence[Any], moved: set[int], step: Any) -> list:
    """The arguments, those of their numbers that are to be varied a step away."""
    out, first = [], 0
    for a, v in zip(args, jaxpr.jaxpr.invars, strict=True):
        if not is_float(v.aval):
            out.append(a)
            continue
        flat = as_array(a).ravel()
        varied = [add(x, step) if first + j in moved else x for j, x in enumerate(flat)]
        out.append(bare(array(varied, v.aval.shape)))
        first += len(flat)
    return out


def _one_or_was(sides: Sides, was: Undefined) -> Scalar:
    return was if sides.left == was or sides.right == was else one_limit(sides)


def one_limit(sides: Sides) -> Scalar:
    """The limit from both sides, if it is one."""
    left, right = sides
    same = left is right or (not is_number(left) and not is_number(right) and bool(left == right))
    return left if same else UNDECIDED
