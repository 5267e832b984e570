"""`diagnose`: one function at one point."""

from __future__ import annotations

import cmath
import math
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import flint
import jax
import jax.numpy as jnp
import numpy as np
from flint import arb
from jax import Array
from jax.extend.core import ClosedJaxpr
from jax.typing import ArrayLike, DTypeLike

from stability import truth
from stability.diagnosis import _trace as trace
from stability.diagnosis import _walk as walk
from stability.diagnosis._diagnosis import Diagnosis, Input, Row
from stability.diagnosis._trace import Node, SumOfProducts, Tracer, as_number, as_real, is_opaque, plain
from stability.formats import FORMATS, FloatFormat, ulp_exponent, widen
from stability.measure import FAILURE_KINDS, KINDS, OK, classify
from stability.real import evaluate, scalars
from stability.real.arrays import as_array
from stability.real.complexes import magnitude
from stability.real.custom import named_functions
from stability.real.function import Complex, parts
from stability.real.terms import sizes_of_terms
from stability.real.values import Undefined, is_number
from stability.real.walk import walk as walk_jaxpr
from stability.real.walk import wide
from stability.truth import State, Truth

if TYPE_CHECKING:
    from jaxtyping import PyTree, Shaped

TOLERANCE = 16.0
"""Results within this many ulps are not blamed on anything."""

PRECISIONS = (256, 1024, 4096)
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
    if isinstance(node.rule, SumOfProducts):
        terms = [scalars.mul(as_number(x), node.rule.partner(values, i)) for i, x in enumerate(values)]
        sizes = [magnitude(t) for t in terms if walk.is_finite(t)]
        return float(max(sizes, default=arb(0)) / magnitude(node.true))
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
        kind=kind or walk.local_kind(node) or ("" if execution.proven else "not_proven"),
    )


def of_the_library(row: Row, functions: list[tuple[str, str]]) -> Row:
    """A row of what a library's equations come to, by the name of its function and the line that called it.

    It is the last function called from the row's own line, or before it.
    """
    near = [f for f in functions if f[1] == row.source] or functions
    return replace(row, primitive=near[-1][0], source=near[-1][1] or row.source) if near else row


def severity(node: Node) -> float:
    if not isinstance(node.got, float | complex) or not cmath.isfinite(node.got):
        return math.inf
    off = walk.off(node)
    return off if off <= walk.HARMLESS or _is_decided(node) else 0.0


GRAVITY = ("nan", "inf", "pole", "vanished", "wrong_sign", "inaccurate", "flushed", "nan_input")
"""Kinds of failures, the gravest first, and a NaN that is true."""


class Judged(NamedTuple):
    """What became of the output element that is worst off: which it is, its kind, its error in ulps of the truth."""

    output: int
    element: int
    kind: str
    error: float


def judged(results: list[np.ndarray], truths: list[tuple[Truth, ...]], terms: list, tolerance: float) -> Judged:
    """The worst element of the results, by the gravity of its kind and by its error.

    An element of an array is `ok` within `tolerance` ulps of the terms that it was added from, and a part of a complex
    number within those of the larger part.
    """
    found: list[Judged] = []
    for k, (result, known, sizes) in enumerate(zip(results, truths, terms, strict=True)):
        largest = np.max([np.abs(np.nan_to_num(t.rounded)) for t in known], 0) if len(known) > 1 else 0.0
        for part, t in zip(evaluate.parts_of(result), known, strict=False):
            if part.size:
                found.append(_judged(k, part.ravel(), t, np.maximum(sizes, largest), tolerance))
    return max(found, key=lambda f: (f.kind in GRAVITY and len(GRAVITY) - GRAVITY.index(f.kind), f.error))


def _judged(k: int, result: np.ndarray, known: Truth, sizes: np.ndarray, tolerance: float) -> Judged:
    kinds, errors = classify(result, known, tolerance)
    shift = np.minimum(known.exponent - ulp_exponent(np.asarray(sizes, np.float64), known.fmt), 0)
    kinds = np.where((shift < 0) & (np.ldexp(errors, shift) <= tolerance), OK, kinds)
    names = [KINDS[kind] for kind in kinds]
    rank = np.array([len(GRAVITY) - GRAVITY.index(name) if name in GRAVITY else 0 for name in names])
    j = int(np.lexsort((np.where(np.isnan(errors), -1.0, errors), rank))[-1])
    return Judged(k, j, names[j], float(errors[j]))


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


def diagnose(
    fn: Callable[..., PyTree[Shaped[Array, "*_"]]],
    *args: PyTree[Shaped[ArrayLike, "*_"]],
    mode: str = "eager",
    dtype: DTypeLike | None = None,
    tolerance: float = TOLERANCE,
) -> Diagnosis:
    """Runs a function in floats and in reals at one point, equation by equation, and says which one lost the digits.

    **Arguments:**

    - `fn` of any arguments that JAX traces, returning at least one float (of several elements the worst is looked at).
    - `args` pytrees of NumPy or JAX arrays of any shape, or Python floats.
    - `mode`, `eager` for each equation by itself, `jit` for the equations of one XLA computation, as far as looking at
      them all leaves the result what it was.
    - `dtype` the format of Python floats among the arguments, JAX's default float without it.
    - `tolerance` in ulps of the true value, beyond which a result is `inaccurate`.

    **Returns:** a `Diagnosis`. Where jit and eager give different bits, it holds that of the other mode as `other`.

    **Raises:** `TypeError` where the function returns no float; `ValueError` for another mode.

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
    truths = [evaluate.truths_of(x, f, v) for x, f, v in zip(outputs, formats, jaxpr.out_avals, strict=True)]
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
    truths: list[tuple[Truth, ...]]
    terms: list[np.ndarray]
    results: dict[str, list[np.ndarray]]


def _name(fn: Callable) -> str:
    return getattr(fn, "__qualname__", None) or repr(fn)


def _diagnosis(fn, jaxpr, leaves, mode: str, tolerance: float, known: Known) -> Diagnosis:
    k, j, kind, error = judged(known.results[mode], known.truths, known.terms, tolerance)
    tracer, out = traced(jaxpr, leaves, mode == "jit")
    node = out[k][1].ravel()[j]
    fmt, meant = node.fmt, as_array(known.outputs[k]).ravel()[j]
    results = {m: plain(r[k].ravel()[j]) for m, r in known.results.items()}
    result, note = results[mode], ""
    if not _equal(node.got, result):
        how = "its equations one by one" if mode == "eager" else "looking at all its equations"
        note = f"{how} give {node.got!r}, the {mode} result is {result!r}"
    with flint.ctx.workprec(4096), jax.enable_x64(True):
        no_number = cmath.isnan(result) or isinstance(meant, Undefined)
        bad = kind in FAILURE_KINDS or (kind != "ok" and no_number and not cmath.isfinite(result))
        blamed = _blamed(tracer, node, meant, result, fmt) if bad else None
        chosen = {i: max(e.nodes, key=severity) for i, e in enumerate(tracer.executions) if e.nodes}
        if blamed is not None:
            chosen.update({n.equation: n for n in blamed.path if n.equation >= 0})
            chosen[blamed.node.equation] = blamed.node
        rows = tuple(row_of(tracer, i, n) for i, n in chosen.items())
        culprit = None if blamed is None else row_of(tracer, blamed.node.equation, blamed.node, blamed.kind)
        if culprit is not None and culprit.kind == "approximation":
            culprit = of_the_library(culprit, named_functions(jaxpr, leaves))
        true, undefined = shown(meant, fmt), why(meant, fmt)
    return Diagnosis(
        function=_name(fn),
        dtype=known.results[mode][k].dtype.name,
        mode=mode,
        arguments=tuple(map(told, leaves)),
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


def told(x: Any) -> Any:
    """An argument as Python numbers: floats, the pairs of complex ones, integers, truth values, a random key's data."""
    x = x if isinstance(x, jax.Array) else np.asarray(x)
    if is_opaque(x):
        x = jax.random.key_data(x)
    x = np.asarray(x)
    x = np.stack(evaluate.parts_of(x), -1) if np.iscomplexobj(x) else x
    return x.tolist() if x.dtype.kind in "iub" else widen(x).tolist()


def _equal(x: float | complex, y: float | complex) -> bool:
    return x == y or (x != x and y != y)


def is_value(x: Any) -> bool:
    """Whether something is a number or an infinity, or made of such."""
    return all(map(is_number, parts(x)))


def left_over(node: Node) -> float:
    """How many times larger the terms of a sum are than what is left of them."""
    if not walk.is_finite(node.true):
        return 0.0
    if magnitude(node.true) == 0:
        return math.inf if any(walk.is_finite(p.true) and magnitude(p.true) != 0 for p in node.parents) else 0.0
    return condition_number(node)


def _blamed(tracer: Tracer, node: Node, meant: Any, result: float | complex, fmt: FloatFormat) -> walk.Verdict | None:
    """What is to blame for a result: by the walk from its node; where its equations come to the right value, but the
    value is not what is meant, an approximation; where they don't give the bits of the result, what magnified errors
    the most."""
    if not _equal(node.got, result) and walk.off(node) <= walk.HARMLESS:
        sums = [n for e in tracer.executions for n in e.nodes if walk.is_sum(n)]
        worst = max(sums, key=left_over, default=None)
        return None if worst is None else walk.Verdict(worst, "cancellation", (worst,))
    approximation = walk.Verdict(node, "approximation", (node,)) if node.rule is not None and is_value(meant) else None
    apart = is_value(node.true) and walk.gap(node.true, meant) != 0
    if approximation and apart and walk.off(node) <= walk.HARMLESS:
        return approximation
    return walk.walk(node) or approximation
