"""`diagnose`: one function at one point."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import flint
import jax
import jax.numpy as jnp
import numpy as np
from flint import arb
from jax.extend.core import ClosedJaxpr

from stability import truth
from stability.blame import _trace as trace
from stability.blame import _walk as walk
from stability.blame._diagnosis import Diagnosis, Input, Row
from stability.blame._trace import Node, SumOfProducts, Tracer, as_real
from stability.floats import FORMATS, FloatFormat, ulp_exponent, widen
from stability.measure import FAILURE_KINDS, KINDS, classify
from stability.real import _evaluate as evaluate
from stability.real import _scalars as scalars
from stability.real._values import Undefined, infinite, is_number
from stability.real._walk import walk as walk_jaxpr
from stability.real._walk import wide
from stability.truth import State

TOLERANCE = 16.0
"""Results within this many ulps are not blamed on anything."""

PRECISIONS = (256, 1024, 4096)
NUDGE = 2.0**-64
"""The relative change of an input by which a condition number is measured."""


def shown(x: Any, fmt: FloatFormat | None) -> float | None:
    """A real correctly rounded to the format, or to float64 where the format would make it 0 or infinite."""
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
    """Why a real has no value that can be told, `None` where it has one."""
    if fmt is None:
        return x.kind if isinstance(x, Undefined) else None
    return evaluate.point_of(x, fmt).why


def ulps_between(error: arb, value: Any, fmt: FloatFormat | None) -> float:
    """An absolute error in ulps of a real value (Goldberg's), NaN where that is no number."""
    if fmt is None or isinstance(value, Undefined) or infinite(value):
        return math.nan
    near = nearest(value, fmt)
    if near is None or math.isinf(near):
        return math.nan
    return float(error * arb(2) ** -int(ulp_exponent(np.asarray(near), fmt)))


def condition_number(node: Node) -> float:
    """`max_i |x_i ∂f/∂x_i / f|` at the true inputs, measured by a relative nudge of each."""
    if node.fmt is None or not is_number(node.true) or infinite(node.true) or walk.size(node.true) == 0:
        return math.nan
    values = [p.true for p in node.parents]
    if isinstance(node.rule, SumOfProducts):
        terms = [scalars.mul(x, node.rule.partner(values, i)) for i, x in enumerate(values)]
        sizes = [walk.size(t) for t in terms if is_number(t) and not infinite(t)]
        return float(max(sizes, default=arb(0)) / walk.size(node.true))
    found = [0.0]
    for i, (parent, x) in enumerate(zip(node.parents, values, strict=True)):
        if parent.fmt is None or not is_number(x) or infinite(x) or x == 0:
            continue
        moved = node.rule(*(x * (1 + arb(NUDGE)) if j == i else v for j, v in enumerate(values)))  # type: ignore[misc]
        found.append(float(walk.gap(moved, node.true) / walk.size(node.true) / NUDGE))
    return max(found)


def row_of(tracer: Tracer, index: int, node: Node, kind: str | None = None) -> Row:
    execution, exact = tracer.executions[index], node.exact
    total = (
        math.nan
        if isinstance(node.true, Undefined)
        else ulps_between(walk.gap(as_real(node.got), node.true), node.true, node.fmt)
    )
    return Row(
        index=index,
        primitive=execution.primitive,
        source=execution.source,
        inputs=tuple(
            Input(p.equation if p.equation >= 0 else None, p.name, p.got, shown(p.true, p.fmt)) for p in node.parents
        ),
        result=node.got,
        true=shown(node.true, node.fmt),
        undefined=why(node.true, node.fmt),
        total_error=total,
        own_error=ulps_between(walk.gap(as_real(node.got), exact), exact, node.fmt),
        amplification=condition_number(node),
        kind=walk.local_kind(node) if kind is None else kind,
    )


def severity(node: Node) -> float:
    if not isinstance(node.got, float) or not math.isfinite(node.got):
        return math.inf
    off = walk.off(node)
    return off if off <= walk.HARMLESS or _is_decided(node) else 0.0


def judge(node: Node, fmt: FloatFormat, tolerance: float) -> tuple[str, float]:
    """The kind of a result, as `measure` has it, and its error in ulps of the truth; `undefined` where NaN is right."""
    known = truth.of_points([evaluate.point_of(node.true, fmt)], fmt)
    kinds, errors = classify(np.array([node.got]).astype(fmt.dtype), known, tolerance)
    kind = KINDS[kinds[0]]
    return "undefined" if kind in ("nan_input", "outside") else kind, float(errors[0])


def traced(jaxpr: ClosedJaxpr, args: list, jitted: bool) -> tuple[Tracer, list]:
    """Floats and reals side by side, at a precision that decides the results where there is one that does."""
    with jax.enable_x64(wide(args)):
        recorded = list(trace.record(jaxpr, args)) if jitted else None
    for prec in PRECISIONS:
        with flint.ctx.workprec(prec), jax.enable_x64(wide(args)):
            tracer = Tracer(iter(recorded) if recorded is not None else None)
            values = [
                trace.leaves(x, v.aval, name=str(i))
                for i, (x, v) in enumerate(zip(args, jaxpr.jaxpr.invars, strict=True))
            ]
            out = walk_jaxpr(jaxpr, values, tracer)
        if all(_is_decided(n) for _, nodes in out for n in nodes.ravel()):
            break
    return tracer, out


def _is_decided(node: Node) -> bool:
    if node.fmt is None:
        return not isinstance(node.true, Undefined) or node.true.certain
    return evaluate.is_decided(node.true, node.fmt)


def diagnose(fn: Callable, *args, mode: str = "eager", dtype=None, tolerance: float = TOLERANCE) -> Diagnosis:
    """Runs a function in floats and in reals at one point, equation by equation, and says which one lost the digits.

    **Arguments:** `fn` of any arguments that JAX traces, returning at least one float (of several elements the worst
    is looked at); `mode`, `eager` for each equation by itself, `jit` for the equations of one XLA computation, as far
    as looking at them all leaves the result what it was; `dtype` that of Python floats among the arguments;
    `tolerance` in ulps, beyond which a result is `inaccurate`.

    **Returns:** a `Diagnosis`. Where jit and eager give different bits, it holds that of the other mode as `other`.

    **Raises:** `stability.real.UnsupportedPrimitive`; `TypeError` where the function returns no float.
    """
    if mode not in ("eager", "jit"):
        raise ValueError(f"{mode!r} is not a mode; choose eager or jit")
    jaxpr, _, leaves, formats = evaluate.prepared(fn, args, dtype)
    if not any(formats):
        raise TypeError(f"{_name(fn)} returns no float: {', '.join(map(str, jaxpr.out_avals))}")
    with jax.enable_x64(wide(leaves)):
        args = jax.tree.unflatten(jax.tree.structure(args), [jnp.asarray(x) for x in leaves])
        eager = [np.asarray(x) for x in jax.tree.leaves(fn(*args))]
        jit = [np.asarray(x) for x in jax.tree.leaves(jax.jit(fn)(*args))]
    first = _diagnosis(fn, jaxpr, leaves, mode, tolerance, eager, jit)
    if not first.differs:
        return first
    other = _diagnosis(fn, jaxpr, leaves, "jit" if mode == "eager" else "eager", tolerance, eager, jit)
    return replace(first, other=other)


def _name(fn: Callable) -> str:
    return getattr(fn, "__qualname__", None) or repr(fn)


def _diagnosis(fn, jaxpr, leaves, mode: str, tolerance: float, eager: list, jit: list) -> Diagnosis:
    tracer, out = traced(jaxpr, leaves, mode == "jit")
    ends = [(k, j, n) for k, (_, nodes) in enumerate(out) for j, n in enumerate(nodes.ravel()) if n.fmt is not None]
    k, j, node = max(ends, key=lambda end: severity(end[2]))
    fmt = node.fmt
    assert fmt is not None
    precision = 4096
    with flint.ctx.workprec(precision), jax.enable_x64(True):
        verdict, error = judge(node, fmt, tolerance)
        undefined = why(node.true, fmt)
        no_number = math.isnan(node.got) or isinstance(node.true, Undefined)
        bad = verdict in FAILURE_KINDS or (no_number and not math.isfinite(node.got))
        blamed = walk.walk(node) if bad else None
        chosen = {i: max(e.nodes, key=severity) for i, e in enumerate(tracer.executions) if e.nodes}
        if blamed is not None:
            chosen.update({n.equation: n for n in blamed.path if n.equation >= 0})
            chosen[blamed.node.equation] = blamed.node
        rows = tuple(row_of(tracer, i, n) for i, n in chosen.items())
        culprit = None if blamed is None else row_of(tracer, blamed.node.equation, blamed.node, blamed.kind)
    results = {"eager": float(widen(eager[k]).ravel()[j]), "jit": float(widen(jit[k]).ravel()[j])}
    note = ""
    if not _equal(node.got, results[mode]):
        how = "its equations one by one" if mode == "eager" else "looking at all its equations"
        note = f"{how} give {node.got!r}, the {mode} result is {results[mode]!r}"
    return Diagnosis(
        function=_name(fn),
        dtype=fmt.name,
        mode=mode,
        arguments=tuple(
            widen(x).tolist() if np.asarray(x).dtype.kind not in "iub" else np.asarray(x).tolist() for x in leaves
        ),
        element=tuple(int(i) for i in np.unravel_index(j, out[k][0].shape)),
        result=node.got,
        true=shown(node.true, fmt),
        undefined=undefined,
        limit=evaluate.limit(jaxpr, leaves, k, j, fmt) if isinstance(node.true, Undefined) else None,
        error=error,
        verdict=verdict,
        rows=rows,
        culprit=culprit,
        path=() if blamed is None else tuple(n.equation for n in blamed.path if n.equation >= 0),
        eager=results["eager"],
        jit=results["jit"],
        note=note,
    )


def _equal(x: float, y: float) -> bool:
    return x == y or (x != x and y != y)
