"""`diagnose`: one call of a function, its outputs judged, and for each that is bad the equation to blame."""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import flint
import jax
import numpy as np
from jax import Array
from jax.typing import ArrayLike, DTypeLike

from stability.diagnosis import _walk as walk
from stability.diagnosis._call import SMALL, Call, called
from stability.diagnosis._diagnosis import Diagnosis, Finding, Row
from stability.diagnosis._fixes import fix_of
from stability.diagnosis._nodes import Node, Reading, TooMany, node_of, settle
from stability.diagnosis._program import Execution, Held, is_opaque
from stability.diagnosis._rows import condition_number, of_the_library, row_of, shown, why
from stability.diagnosis._rules import plain
from stability.diagnosis._screen import Judged, judged
from stability.formats import widen
from stability.measure import FAILURE_KINDS
from stability.real import evaluate
from stability.real.arrays import as_array
from stability.real.complexes import magnitude
from stability.real.custom import named_functions
from stability.real.function import parts
from stability.real.values import Undefined, is_number

if TYPE_CHECKING:
    from jaxtyping import PyTree, Shaped

TOLERANCE = 16.0
"""Results within this many ulps are not blamed on anything."""

PRECISIONS = (256, 1024, 4096)

MOST_FINDINGS = 24
"""How many bad elements are followed back, the gravest first."""


def severity(node: Node) -> float:
    if not isinstance(node.got, float | complex) or not cmath.isfinite(node.got):
        return math.inf
    off = walk.off(node)
    return off if off <= walk.HARMLESS or _is_decided(node) else 0.0


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
    **kwargs: Any,
) -> Diagnosis:
    """Runs a function in floats and in reals at one point, and says which equation lost the digits.

    Of a small function every truth is proven by balls. Of a larger one (a training step) the same program in wider
    floats says which elements of its outputs are bad; the way back from such an element is what is looked at, and
    proven where it hangs on few enough numbers. A float64 program has no wider floats: there, what changes by more than
    the tolerance when every result is moved by a rounding is looked at, and only what is proven or not finite is called
    bad.

    **Arguments:**

    - `fn` of any arguments that JAX traces, returning at least one float.
    - `args` pytrees of NumPy or JAX arrays of any shape, or Python floats.
    - `mode`, `eager` for each equation by itself, `jit` for the equations of one XLA computation, as far as looking at
      them all leaves the result what it was.
    - `dtype` the format of Python floats among the arguments, JAX's default float without it.
    - `tolerance` in ulps of the true value, or of the terms that an element of an array was added from, beyond which a
      result is `inaccurate`.
    - `kwargs` further arguments of `fn` by name: pytrees of arrays or Python floats, and anything else as it is.

    **Returns:** a `Diagnosis`; its `findings` are what is wrong, the gravest first. Where the other mode comes to
    another verdict, it holds that diagnosis as `other`.

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
    call = called(fn, args, kwargs, dtype, tolerance)
    first = _diagnosis(call, mode)
    other = "jit" if mode == "eager" else "eager"
    if call.meant is None and call.judged(other)[0].kind == call.judged(mode)[0].kind:
        return first
    return replace(first, other=_diagnosis(call, other)) if first.differs else first


def screened(
    fn: Callable, args: tuple, kwargs: dict[str, Any], outputs: Sequence[Any], tolerance: float
) -> tuple[list[tuple[str, Judged]], Callable[[], Diagnosis]]:
    """The output leaves that a jitted call has returned judged, those that are bad with their path, and what diagnoses
    the call where that is wanted."""
    call = called(fn, args, kwargs, None, tolerance)
    call.results["jit"] = [np.asarray(x) for x in outputs]
    return [(call.paths[j.output], j) for j in call.judged("jit") if j.kind != "ok"], lambda: _diagnosis(call, "jit")


def _diagnosis(call: Call, mode: str) -> Diagnosis:
    found = call.judged(mode)
    bad = [_looked_at(call, mode, j) for j in found[:MOST_FINDINGS] if j.kind != "ok"]
    looked = sorted((x for x in bad if x is not None), key=lambda x: x.judged.rank, reverse=True)
    first = looked[0] if looked and looked[0].judged.kind != "infinite" else _healthy(call, mode, found)
    findings = _merged([x.finding for x in looked if x.finding is not None])
    results = {m: plain(r[first.judged.output].ravel()[first.judged.element]) for m, r in call.results.items()}
    f = first.judged
    return Diagnosis(
        function=call.name,
        dtype=call.results[mode][f.output].dtype.name,
        mode=mode,
        arguments=tuple(map(told, call.leaves)) if sum(map(np.size, map(_plain, call.leaves))) <= SMALL else (),
        leaf=call.paths[f.output],
        element=_place(call, f),
        result=results[mode],
        true=first.true,
        undefined=first.undefined,
        proven=first.proven,
        error=f.error,
        verdict=_verdict(f.kind),
        findings=findings,
        rows=first.rows,
        culprit=None if _verdict(f.kind) == "ok" else first.culprit,
        path=first.path,
        eager=results["eager"],
        jit=results["jit"],
        note=first.note,
    )


def _verdict(kind: str) -> str:
    """The kind of an element that a diagnosis gives; an infinity that is true is right."""
    return {"nan_input": "undefined", "outside": "undefined", "infinite": "ok"}.get(kind, kind)


def _place(call: Call, f: Judged) -> tuple[int, ...]:
    return tuple(int(i) for i in np.unravel_index(f.element, call.jaxpr.out_avals[f.output].shape))


@dataclass(frozen=True)
class Looked:
    """What became of one element of the outputs that was looked at."""

    judged: Judged
    true: float | complex | None
    undefined: str | None
    proven: bool
    rows: tuple[Row, ...]
    culprit: Row | None
    path: tuple[int, ...]
    note: str
    finding: Finding | None


def _healthy(call: Call, mode: str, found: Sequence[Judged]) -> Looked:
    """Nothing that was looked at is bad: the element that is furthest off of those that are right."""
    f = next((j for j in found if j.kind in ("ok", "infinite")), found[-1]._replace(kind="ok", error=math.nan))
    looked = _looked_at(call, mode, f)
    assert looked is not None
    return looked


def _looked_at(call: Call, mode: str, f: Judged) -> Looked | None:
    """An element as the floats and the reals have it, and what is to blame; `None` where the proof clears it."""
    executions, out = call.run(mode)
    result = plain(call.results[mode][f.output].ravel()[f.element])
    for prec in PRECISIONS:
        with flint.ctx.workprec(prec), jax.enable_x64(True):
            node = _proven(out, f)
        if node is None or _is_decided(node):
            break
    if node is None:
        if f.kind in ("inaccurate", "wrong_sign") and call.results[mode][f.output].dtype in (np.float64, np.complex128):
            return None
        node = node_of(out[f.output], f.element, Reading(proven=False))
    with flint.ctx.workprec(4096), jax.enable_x64(True):
        proven = node.reading.proven
        meant = node.true if call.meant is None else as_array(call.meant[f.output]).ravel()[f.element]
        if call.meant is None and proven and f.kind != "ok":
            cleared = _judged_alone(call, mode, f, meant)
            if cleared.kind in ("ok", "undecided"):
                return None
            f = f._replace(kind=cleared.kind, error=cleared.error)
        return _told(call, mode, f, node, meant, result, executions)


def _proven(out: Sequence[Held], f: Judged) -> Node | None:
    """The node of an element with its truth proven, `None` where that would cost too much."""
    node = node_of(out[f.output], f.element, Reading(proven=True))
    try:
        if not node.known:
            settle(node)
    except TooMany:
        return None
    return node


def _judged_alone(call: Call, mode: str, f: Judged, meant: Any) -> Judged:
    """The verdict on one element by its proven truth."""
    aval = jax.ShapeDtypeStruct((1,), call.jaxpr.out_avals[f.output].dtype)
    known = evaluate.truths_of(np.array([meant], object), call.formats[f.output], aval)
    result = call.results[mode][f.output].ravel()[f.element : f.element + 1]
    return judged([result], [known], lambda: [call.terms[f.output][f.element : f.element + 1]], call.tolerance)[0]


def _told(call: Call, mode: str, f: Judged, node: Node, meant: Any, result: Any, executions: list[Execution]) -> Looked:
    fmt, note = node.fmt, ""
    if not _equal(node.got, result):
        how = "its equations one by one" if mode == "eager" else "looking at all its equations"
        note = f"{how} give {node.got!r}, the {mode} result is {result!r}"
    no_number = cmath.isnan(result) or isinstance(meant, Undefined)
    bad = f.kind in FAILURE_KINDS or (f.kind != "ok" and no_number and not cmath.isfinite(result))
    blamed = _blamed(executions, node, meant, result) if bad else None
    if f.kind == "infinite":
        blamed = walk.to_infinity(node)
        bad = blamed is not None
    missed = None if blamed is None or node.reading.proven else _missed_by_wider(blamed)
    if missed is not None and f.kind in ("infinite", "nan_input"):
        f, blamed = f._replace(kind="inf" if f.kind == "infinite" else "nan"), missed
    chosen = _all_rows(executions, node.reading) if call.meant is not None and node.reading.proven else {}
    if blamed is not None:
        chosen.update({n.equation: n for n in blamed.path if n.equation >= 0})
        chosen[blamed.node.equation] = blamed.node
    rows = {i: row_of(executions[i], n) for i, n in sorted(chosen.items())}
    culprit = None if blamed is None else row_of(executions[blamed.node.equation], blamed.node, blamed.kind)
    if culprit is not None and call.meant is not None:
        culprit = _of_the_library(call, culprit, without_value=is_value(meant) and not is_value(node.true))
    path = () if blamed is None else tuple(n.equation for n in blamed.path if n.equation >= 0)
    true, undefined = shown(meant, fmt), why(meant, fmt)
    if blamed is not None and blamed is missed:
        true, undefined = None, "a number that wider floats lose too"
    finding = None
    if bad:
        finding = Finding(
            leaf=call.paths[f.output],
            element=_place(call, f),
            count=f.many,
            kind=f.kind if f.kind == "infinite" else _verdict(f.kind),
            result=result,
            true=true,
            undefined=undefined,
            proven=node.reading.proven,
            error=f.error,
            culprit=culprit,
            chain=_chain(rows, path, culprit),
            fix="" if culprit is None else fix_of(culprit.kind, culprit.primitive),
        )
    return Looked(f, true, undefined, node.reading.proven, tuple(rows.values()), culprit, path, note, finding)


def _missed_by_wider(blamed: walk.Verdict) -> walk.Verdict | None:
    """What is to blame for a NaN or an infinity that wider floats have too, where the reals have a number: as balls
    prove at the place where it was born."""
    lost = [n for n in blamed.path if walk.not_a_number(n) or walk.is_infinite(n)]
    if not lost:
        return None
    born = node_of(lost[-1].held, lost[-1].index, Reading(proven=True))
    try:
        found = walk.walk(born) if walk.is_finite(born.true) else None
    except TooMany:
        return None
    return None if found is None else found._replace(path=(*lost, *found.path[1:]))


def _of_the_library(call: Call, culprit: Row, without_value: bool) -> Row:
    """A culprit by the name of the library's function that it stands for: where that is an approximation of what it
    means, or where its equations have no value and what it means has."""
    if culprit.kind != "approximation" and not without_value:
        return culprit
    functions = named_functions(call.jaxpr, call.leaves)
    if culprit.kind != "approximation" and not any(source in ("", culprit.source) for _, source in functions):
        return culprit
    return of_the_library(replace(culprit, kind="approximation"), functions)


def _chain(rows: dict[int, Row], path: Sequence[int], culprit: Row | None) -> tuple[Row, ...]:
    """The rows from the culprit to the output, where it is on the way; else from where the error came from."""
    way = list(dict.fromkeys(path))
    if culprit is not None and culprit.index in way:
        way = way[: way.index(culprit.index) + 1]
    return tuple(rows[i] for i in reversed(way))


def _all_rows(executions: Sequence[Execution], reading: Reading) -> dict[int, Node]:
    """Of every equation the number that is furthest off."""
    nodes = ([node_of(h, j, reading) for h in e.outputs for j in range(h.flat.size)] for e in executions if _numbers(e))
    return {ns[0].equation: max(ns, key=severity) for ns in nodes if ns}


def _numbers(e: Execution) -> bool:
    return not any(h.opaque for h in e.outputs)


def _merged(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Findings of one kind with one culprit as one, the other leaves named in the first."""
    first: dict[Any, Finding] = {}
    for f in findings:
        key = (f.kind, f.culprit and (f.culprit.source, f.culprit.primitive, f.culprit.kind))
        if key in first and f.culprit is not None:
            first[key] = replace(first[key], also=tuple(dict.fromkeys((*first[key].also, f.leaf))))
        else:
            first[key if f.culprit is not None else (key, f.leaf)] = f
    return tuple(first.values())


def _plain(x: Any) -> Any:
    x = x if isinstance(x, jax.Array) else np.asarray(x)
    return jax.random.key_data(x) if is_opaque(x) else x


def told(x: Any) -> Any:
    """An argument as Python numbers: floats, the pairs of complex ones, integers, truth values, a random key's data."""
    x = np.asarray(_plain(x))
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


def _blamed(executions: Sequence[Execution], node: Node, meant: Any, result: Any) -> walk.Verdict | None:
    """What is to blame for a result: by the walk from its node; where its equations come to the right value, but the
    value is not what is meant, an approximation; where they don't give the bits of the result, what magnified errors
    the most."""
    if not _equal(node.got, result) and walk.off(node) <= walk.HARMLESS:
        return _most_magnified(executions, node.reading)
    approximation = walk.Verdict(node, "approximation", (node,)) if node.rule is not None and is_value(meant) else None
    apart = is_value(node.true) and walk.gap(node.true, meant) != 0
    if approximation and apart and walk.off(node) <= walk.HARMLESS:
        return approximation
    return walk.walk(node) or approximation


def _most_magnified(executions: Sequence[Execution], reading: Reading) -> walk.Verdict | None:
    sums = [
        node_of(h, j, reading)
        for e in executions
        if e.primitive in walk.SUMS
        for h in e.outputs
        for j in (range(h.flat.size) if h.flat.size <= SMALL else [int(np.argmin(np.abs(h.flat_wide)))])
    ]
    worst = max(sums, key=left_over, default=None)
    return None if worst is None else walk.Verdict(worst, "cancellation", (worst,))
