"""`diagnose`: one function at one point."""

from __future__ import annotations

import math
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import flint
import jax
import jax.numpy as jnp
import numpy as np
from flint import arb
from jax.extend.core import ClosedJaxpr

from stability import truth
from stability.diagnosis import _trace as trace
from stability.diagnosis import _walk as walk
from stability.diagnosis._diagnosis import Diagnosis, Input, Row
from stability.diagnosis._trace import Node, SumOfProducts, Tracer, as_real
from stability.formats import FORMATS, FloatFormat, ulp_exponent, widen
from stability.measure import FAILURE_KINDS, KINDS, OK, classify
from stability.real import _evaluate as evaluate
from stability.real import _scalars as scalars
from stability.real._arrays import as_array
from stability.real._terms import sizes_of_terms
from stability.real._values import Undefined, infinite, is_number
from stability.real._walk import walk as walk_jaxpr
from stability.real._walk import wide
from stability.truth import State, Truth

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


def caller() -> str:
    """The line outside of this package that called it."""
    here = str(Path(__file__).parent.parent)
    frames = [f for f in traceback.extract_stack() if not f.filename.startswith(here)]
    return f"{frames[-1].filename}:{frames[-1].lineno}:{frames[-1].colno} ({frames[-1].name})" if frames else ""


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
        kind=walk.local_kind(node) if kind is None else kind,
    )


def severity(node: Node) -> float:
    if not isinstance(node.got, float) or not math.isfinite(node.got):
        return math.inf
    off = walk.off(node)
    return off if off <= walk.HARMLESS or _is_decided(node) else 0.0


GRAVITY = ("nan", "inf", "pole", "vanished", "wrong_sign", "inaccurate", "flushed")
"""Kinds of failures, the gravest first."""


class Judged(NamedTuple):
    """What became of the output element that is worst off: which it is, its kind, its error in ulps of the truth."""

    output: int
    element: int
    kind: str
    error: float


def judged(results: list[np.ndarray], truths: list[Truth | None], terms: list, tolerance: float) -> Judged:
    """The worst element of the results, by the gravity of its kind and by its error.

    An element of an array is `ok` within `tolerance` ulps of the terms that it was added from.
    """
    found: list[Judged] = []
    for k, (result, known, sizes) in enumerate(zip(results, truths, terms, strict=True)):
        if known is None or not result.size:
            continue
        kinds, errors = classify(result.ravel(), known, tolerance)
        shift = np.minimum(known.exponent - ulp_exponent(np.asarray(sizes, np.float64), known.fmt), 0)
        kinds = np.where((shift < 0) & (np.ldexp(errors, shift) <= tolerance), OK, kinds)
        names = [KINDS[kind] for kind in kinds]
        rank = np.array([len(GRAVITY) - GRAVITY.index(name) if name in GRAVITY else 0 for name in names])
        size = np.where(np.isnan(errors), -1.0, errors)
        j = int(np.lexsort((size, rank))[-1])
        found.append(Judged(k, j, names[j], float(errors[j])))
    return max(found, key=lambda f: (f.kind in GRAVITY and len(GRAVITY) - GRAVITY.index(f.kind), f.error))


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

    **Arguments:**

    - `fn` of any arguments that JAX traces, returning at least one float (of several elements the worst is looked at).
    - `args` pytrees of NumPy or JAX arrays of any shape, or Python floats.
    - `mode`, `eager` for each equation by itself, `jit` for the equations of one XLA computation, as far as looking at
      them all leaves the result what it was.
    - `dtype` the format of Python floats among the arguments, JAX's default float without it.
    - `tolerance` in ulps of the true value, beyond which a result is `inaccurate`.

    **Returns:** a `Diagnosis`. Where jit and eager give different bits, it holds that of the other mode as `other`.

    **Raises:** `UnsupportedPrimitive`; `TypeError` where the function returns no float; `ValueError` for another mode.

    ```python
    import jax.numpy as jnp
    from stability import diagnose

    found = diagnose(lambda x: jnp.log(1 + x), jnp.float32(1e-9))
    assert (found.verdict, found.culprit.primitive, found.culprit.kind) == ("vanished", "add", "absorption")
    ```
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
    outputs = evaluate.reals(jaxpr, leaves, formats)
    truths = [None if f is None else evaluate.truth_of(x, f) for x, f in zip(outputs, formats, strict=True)]
    large = any(v.aval.size > 1 for v in jaxpr.jaxpr.outvars)
    terms = (sizes_of_terms(jaxpr, leaves) if large else None) or [np.zeros(x.shape).ravel() for x in eager]
    known = Known(outputs, truths, terms, {"eager": eager, "jit": jit})
    first = _diagnosis(fn, jaxpr, leaves, mode, tolerance, known)
    if not first.differs:
        return first
    other = _diagnosis(fn, jaxpr, leaves, "jit" if mode == "eager" else "eager", tolerance, known)
    return replace(first, other=other)


class Known(NamedTuple):
    """Of each output: its real elements, its true values, the sizes of the terms of its sums; and, by mode, the floats
    that the call returned."""

    outputs: list
    truths: list[Truth | None]
    terms: list[np.ndarray]
    results: dict[str, list[np.ndarray]]


def _name(fn: Callable) -> str:
    return getattr(fn, "__qualname__", None) or repr(fn)


def _diagnosis(fn, jaxpr, leaves, mode: str, tolerance: float, known: Known) -> Diagnosis:
    k, j, kind, error = judged(known.results[mode], known.truths, known.terms, tolerance)
    tracer, out = traced(jaxpr, leaves, mode == "jit")
    node = out[k][1].ravel()[j]
    fmt, meant = node.fmt, as_array(known.outputs[k]).ravel()[j]
    results = {m: float(widen(r[k]).ravel()[j]) for m, r in known.results.items()}
    result, note = results[mode], ""
    if not _equal(node.got, result):
        how = "its equations one by one" if mode == "eager" else "looking at all its equations"
        note = f"{how} give {node.got!r}, the {mode} result is {result!r}"
    with flint.ctx.workprec(4096), jax.enable_x64(True):
        no_number = math.isnan(result) or isinstance(meant, Undefined)
        bad = kind in FAILURE_KINDS or (no_number and not math.isfinite(result))
        blamed = _blamed(tracer, node, meant, result, fmt) if bad else None
        chosen = {i: max(e.nodes, key=severity) for i, e in enumerate(tracer.executions) if e.nodes}
        if blamed is not None:
            chosen.update({n.equation: n for n in blamed.path if n.equation >= 0})
            chosen[blamed.node.equation] = blamed.node
        rows = tuple(row_of(tracer, i, n) for i, n in chosen.items())
        culprit = None if blamed is None else row_of(tracer, blamed.node.equation, blamed.node, blamed.kind)
        true, undefined = shown(meant, fmt), why(meant, fmt)
    return Diagnosis(
        function=_name(fn),
        dtype=fmt.name,
        mode=mode,
        arguments=tuple(
            widen(x).tolist() if np.asarray(x).dtype.kind not in "iub" else np.asarray(x).tolist() for x in leaves
        ),
        element=tuple(int(i) for i in np.unravel_index(j, out[k][0].shape)),
        result=result,
        true=true,
        undefined=undefined,
        error=error,
        verdict="undefined" if kind in ("nan_input", "outside") else kind,
        rows=rows,
        culprit=culprit,
        path=() if blamed is None else tuple(n.equation for n in blamed.path if n.equation >= 0),
        eager=results["eager"],
        jit=results["jit"],
        note=note,
    )


def _equal(x: float, y: float) -> bool:
    return x == y or (x != x and y != y)


def left_over(node: Node) -> float:
    """How many times larger the terms of a sum are than what is left of them."""
    if not is_number(node.true) or infinite(node.true):
        return 0.0
    if walk.size(node.true) == 0:
        return math.inf if any(is_number(p.true) and p.true != 0 for p in node.parents) else 0.0
    return condition_number(node)


def _blamed(tracer: Tracer, node: Node, meant: Any, result: float, fmt: FloatFormat) -> walk.Verdict | None:
    """What is to blame for a result: by the walk from its node; where its equations come to the right value, but the
    value is not what is meant, an approximation; where they don't give the bits of the result, what magnified errors
    the most."""
    if not _equal(node.got, result) and walk.off(node) <= walk.HARMLESS:
        sums = [n for e in tracer.executions for n in e.nodes if walk.is_sum(n)]
        worst = max(sums, key=left_over, default=None)
        return None if worst is None else walk.Verdict(worst, "cancellation", (worst,))
    approximation = walk.Verdict(node, "approximation", (node,)) if node.rule is not None and is_number(meant) else None
    apart = is_number(node.true) and walk.gap(node.true, meant) != 0
    if approximation and apart and walk.off(node) <= walk.HARMLESS:
        return approximation
    return walk.walk(node) or approximation
