"""What an equation did, as a row."""

from __future__ import annotations

import itertools
import math
import traceback
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from flint import arb

from stability import truth
from stability.diagnosis import _walk as walk
from stability.diagnosis._diagnosis import Input, Row
from stability.diagnosis._nodes import Node
from stability.diagnosis._program import Execution
from stability.diagnosis._rules import Slopes, Terms, as_number, as_real
from stability.formats import FORMATS, FloatFormat, ulp_exponent
from stability.real import evaluate, scalars
from stability.real.complexes import magnitude
from stability.real.function import Complex, parts
from stability.real.values import Undefined
from stability.real.walk import lines_of, source_of
from stability.truth import State

NUDGE = 2.0**-64
"""The relative change of an input by which a condition number is measured."""


def shown(x: Any, fmt: FloatFormat | None) -> float | complex | None:
    """A number correctly rounded to the format, or to float64 where the format would make it 0 or infinite."""
    if isinstance(x, Complex):
        re, im = (shown(part, fmt) for part in parts(x))
        return None if re is None or im is None else complex(re, im)
    value = nearest(x, fmt)
    lost = value is not None and fmt is not None and (value == 0 or math.isinf(value))
    return nearest(x, FORMATS["float64"]) if lost else value


def nearest(x: Any, fmt: FloatFormat | None) -> float | None:
    """A real correctly rounded; `None` where it has no value or the precision in force does not decide it."""
    if fmt is None:
        return None if isinstance(x, Undefined) else x
    known = truth.of_points([evaluate.point_of(x, fmt)], fmt)
    value = float(known.rounded[0])
    return None if math.isnan(value) or known.state[0] == State.UNDECIDED else value


def why(x: Any, fmt: FloatFormat | None) -> str | None:
    """Why a number has no value that can be told, `None` where it has one."""
    if fmt is None:
        return x.kind if isinstance(x, Undefined) else None
    reasons = [evaluate.point_of(part, fmt).why for part in parts(x)]
    if not any(reasons) or not isinstance(x, Complex):
        return reasons[0]
    real, imaginary = (reason or repr(shown(part, fmt)) for reason, part in zip(reasons, parts(x), strict=True))
    return f"({real}) + ({imaginary})j"


def ulps_between(error: arb, value: Any, fmt: FloatFormat | None) -> float:
    """An absolute error in ulps of a number (Goldberg's; of the larger part of a complex one), NaN where it is none."""
    if fmt is None or not walk.is_finite(value):
        return math.nan
    near = [nearest(part, fmt) for part in parts(value)]
    if any(x is None or math.isinf(x) for x in near):
        return math.nan
    return float(error * arb(2) ** -int(ulp_exponent(np.asarray(max(map(abs, near))), fmt)))  # type: ignore[arg-type]


def condition_number(node: Node) -> float:
    """`max_i |x_i ∂f/∂x_i / f|` at the true inputs, measured by a relative nudge of each."""
    if node.fmt is None or not walk.is_finite(node.true) or magnitude(node.true) == 0:
        return math.nan
    values = [p.true for p in node.parents]
    if isinstance(node.rule, Terms | Slopes):
        terms = [scalars.mul(as_number(x), node.rule.slope(i, values)) for i, x in enumerate(values)]
        sizes = [magnitude(t) for t in terms if walk.is_finite(t)]
        return float(max(sizes, default=arb(0)) / magnitude(node.true))
    if not node.shows_all:
        return math.nan
    found = [0.0]
    for i, (parent, x) in enumerate(zip(node.parents, values, strict=True)):
        if parent.fmt is None or not walk.is_finite(x) or magnitude(x) == 0:
            continue
        moved = node.of([scalars.mul(x, 1 + arb(NUDGE)) if j == i else v for j, v in enumerate(values)])
        found.append(float(walk.gap(moved, node.true) / magnitude(node.true) / NUDGE))
    return max(found)


def caller() -> str:
    """The line outside of this package that called it."""
    here = str(Path(__file__).parent.parent)
    frames = [f for f in traceback.extract_stack() if not f.filename.startswith(here)]
    if not frames:
        return ""
    place = [str(n) for n in (frames[-1].lineno, frames[-1].colno) if n is not None]
    return f"{':'.join([frames[-1].filename, *place])} ({frames[-1].name})"


def own_line(execution: Execution) -> str:
    """The line that called the library which an equation is of; empty where the equation's own line is no library's."""
    around = (execution.eqn, *reversed(execution.calls))
    known = itertools.dropwhile(lambda e: source_of(e) != execution.source, around)
    lines = (line for e in known for line in reversed(lines_of(e)))
    return next((line for line in lines if not is_installed(line)), "") if is_installed(execution.source) else ""


def is_installed(source: str) -> bool:
    return not INSTALLED.isdisjoint(Path(source.partition(":")[0]).parts)


INSTALLED = {"site-packages", "dist-packages"}


def row_of(execution: Execution, node: Node, kind: str | None = None) -> Row:
    """What an equation did, told by one of the numbers that it computed."""
    exact = node.exact
    total = (
        math.nan
        if isinstance(node.true, Undefined)
        else ulps_between(walk.gap(as_real(node.got), node.true), node.true, node.fmt)
    )
    return Row(
        index=execution.index,
        primitive=execution.primitive,
        source=execution.source or caller(),
        inputs=tuple(
            Input(p.equation if p.equation >= 0 else None, p.name, p.got, shown(p.true, p.fmt)) for p in node.parents
        ),
        result=node.got,
        true=shown(node.true, node.fmt),
        undefined=why(node.true, node.fmt),
        total_error=total,
        own_error=ulps_between(walk.gap(as_real(node.got), exact), exact, node.fmt),
        amplification=condition_number(node),
        kind=kind or walk.local_kind(node) or ("" if execution.proven else "not_proven"),
        caller=own_line(execution),
    )


def of_the_library(row: Row, functions: list[tuple[str, str]]) -> Row:
    """A row of what a library's equations come to, by the name of its function and the line that called it.

    It is the last function called from the row's own line, or before it.
    """
    near = [f for f in functions if f[1] == row.source] or functions
    return replace(row, primitive=near[-1][0], source=near[-1][1] or row.source) if near else row
