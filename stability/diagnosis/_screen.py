"""Whole arrays judged: floats against wider ones, by the sizes of the terms that sums were added from."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from stability import truth
from stability.diagnosis._program import Execution, Held
from stability.formats import FloatFormat, ulp_exponent, widen
from stability.measure import KINDS, OK, classify
from stability.real import evaluate, reals
from stability.real.terms import CHOICES, PRODUCTS, SUMS
from stability.real.wider import in_wider
from stability.truth import Truth

GRAVITY = ("nan", "inf", "pole", "nan_input", "vanished", "wrong_sign", "inaccurate", "flushed", "infinite")
"""Kinds of failures, the gravest first, a NaN that is true among them; then an infinity that is."""


class Judged(NamedTuple):
    """The worst of the elements of one kind of an output: which they are, its error in ulps of the truth, and how many
    there are of the kind."""

    output: int
    element: int
    kind: str
    error: float
    many: int

    @property
    def rank(self) -> tuple[int, float]:
        return len(GRAVITY) - GRAVITY.index(self.kind) if self.kind in GRAVITY else 0, self.error


def judged(
    results: Sequence[np.ndarray],
    truths: Sequence[tuple[Truth, ...]],
    terms: Callable[[], Sequence[np.ndarray]],
    tolerance: float,
) -> list[Judged]:
    """The worst element of each kind of failure in each output, the gravest first; one that is none where none is.

    An element of an array is `ok` within `tolerance` ulps of the terms that it was added from, and a part of a complex
    number within those of the larger part. The terms are asked for where they make a difference.
    """
    found: list[Judged] = []
    for k, (result, known) in enumerate(zip(results, truths, strict=True)):
        largest = np.max([np.abs(np.nan_to_num(t.rounded)) for t in known], 0) if len(known) > 1 else 0.0
        for part, t in zip(evaluate.parts_of(result), known, strict=False):
            if not part.size:
                continue
            kinds, errors = classify(part.ravel(), t, tolerance)
            if np.isin(kinds, FORGIVEN).any():
                kinds = _forgiven(kinds, errors, t, np.maximum(terms()[k], largest), tolerance)
            found.extend(_worst(k, np.where((kinds == OK) & np.isinf(widen(part.ravel())), INFINITE, kinds), errors))
    return sorted(found, key=lambda f: f.rank, reverse=True)


INFINITE = len(KINDS)

FORGIVEN = [KINDS.index(kind) for kind in ("vanished", "flushed", "wrong_sign", "inaccurate")]


def _forgiven(kinds: np.ndarray, errors: np.ndarray, known: Truth, sizes: np.ndarray, tolerance: float) -> np.ndarray:
    shift = np.minimum(known.exponent - ulp_exponent(np.asarray(sizes, np.float64), known.fmt), 0)
    with np.errstate(invalid="ignore"):
        return np.where((shift < 0) & (np.ldexp(errors, shift) <= tolerance), OK, kinds)


def _worst(k: int, kinds: np.ndarray, errors: np.ndarray) -> list[Judged]:
    known = np.where(np.isnan(errors), -1.0, errors)
    found = []
    for code, count in zip(*np.unique(kinds, return_counts=True), strict=True):
        places = np.flatnonzero(kinds == code)
        j = int(places[np.argmax(known[places])])
        kind = "infinite" if code == INFINITE else KINDS[code]
        found.append(Judged(k, j, kind, float(errors[j]), int(count)))
    return found


def truths_in_wider(outputs: Sequence[Held], formats: Sequence[FloatFormat | None]) -> list[tuple[Truth, ...]]:
    """What wider floats take for the truth of each output, or of both parts of a complex one."""
    return [
        () if fmt is None else tuple(truth.of_floats(x, fmt) for x in evaluate.parts_of(h.flat_wide))
        for h, fmt in zip(outputs, formats, strict=True)
    ]


def work(executions: Sequence[Execution]) -> int:
    """How many numbers the equations of a program take and give."""
    return sum(_work(e) for e in executions)


def _work(execution: Execution) -> int:
    sizes = [math.prod(h.floats.shape) for h in (*execution.inputs, *execution.outputs)]
    if execution.primitive != "dot_general":
        return max(sizes)
    (contracted, _), _ = execution.eqn.params["dimension_numbers"]
    return sizes[-1] * math.prod(execution.inputs[0].floats.shape[d] for d in contracted)


ARRAY_SUMS = (*SUMS, "reduce_window_sum", "select_and_scatter_add", "psum", "scatter-sub")
COMPARISONS = ("eq", "ne", "lt", "le", "gt", "ge")
JUMPS = (*COMPARISONS, "sign", "floor", "ceil", "round", "is_finite")
LOGIC = ("and", "or", "not", "xor")


class Sizes:
    """The sizes of terms (`stability.real.terms`) in wider floats, whole arrays at a time; nothing for zeros.

    Of a truth value they say where rounding alone may have decided it: the floats that were compared are as near to the
    wider ones as their sizes let them, and yet came out the other way. There, either way is right.
    """

    def __init__(self, executions: Sequence[Execution], tolerance: float):
        self.known: dict[int, Array] = {}
        self.tolerance = tolerance
        with jax.enable_x64(True):
            for e in executions:
                for held, size in zip(e.outputs, self._through(e), strict=True):
                    if size is not None:
                        self.known[id(held)] = jnp.nan_to_num(size, nan=0.0, posinf=np.finfo(np.float64).max)

    def of(self, held: Held) -> Array | None:
        """The sizes of what a variable holds, `None` where they are all 0."""
        if held.moved is None or id(held) in self.known:
            return self.known.get(id(held))
        parts = [self.of(h) for h in held.moved.pool]
        if all(p is None for p in parts):
            return None
        pairs = zip(held.moved.pool, parts, strict=True)
        flat = [np.zeros(math.prod(h.floats.shape)) if p is None else np.asarray(p).ravel() for h, p in pairs]
        moved = np.concatenate([*flat, [0.0]])[held.moved.places]
        self.known[id(held)] = jnp.asarray(moved.reshape(held.floats.shape))
        return self.known[id(held)]

    def _through(self, e: Execution) -> list[Array | None]:
        name, sizes = e.primitive, [self.of(h) for h in e.inputs]
        nothing: list[Array | None] = [None] * len(e.outputs)
        if name in JUMPS:
            return [self._doubt(e, sizes)]
        if name in LOGIC:
            doubts = [jnp.broadcast_to(s, e.outputs[0].floats.shape) for s in sizes if s is not None]
            return [sum(doubts)] if doubts else nothing  # type: ignore[list-item]
        if not any(reals.is_inexact(h.floats) for h in e.outputs):
            return nothing
        sizes = [_in_ulps_of(e.outputs[0].fmt, h, s) for h, s in zip(e.inputs, sizes, strict=True)]
        if name in ARRAY_SUMS:
            pairs = zip(e.inputs, sizes, strict=True)
            return in_wider(e.eqn, [_whole(h, s) if reals.is_inexact(h.floats) else h.wide for h, s in pairs])
        if name in PRODUCTS:
            return [self._of_products(e, sizes)]
        if name == "fft":
            return [self._transformed(e, sizes[0])]
        if all(s is None for s in sizes):
            return nothing
        if name == "convert_element_type" and e.inputs[0].floats.dtype == bool:
            assert sizes[0] is not None
            return [jnp.asarray(sizes[0] * _doubtful(e.outputs[0]))]
        if name in CHOICES:
            given = [jnp.zeros(h.floats.shape) if s is None else s for h, s in zip(e.inputs, sizes, strict=True)]
            return [self._chosen(e, sizes[0], given[1:])] if name == "select_n" else in_wider(e.eqn, given)
        return self._slopes(e, sizes)

    def _transformed(self, e: Execution, size: Array | None) -> Array:
        """Of a Fourier transform, as `stability.real.terms` has it."""
        lengths, kind = e.eqn.params["fft_lengths"], e.eqn.params["fft_type"].name
        total = _whole(e.inputs[0], size).sum(tuple(range(-len(lengths), 0)), keepdims=True)
        scale = (2 if kind == "IRFFT" else 1) / (math.prod(lengths) if kind in ("IFFT", "IRFFT") else 1)
        return jnp.broadcast_to(total * scale, e.outputs[0].floats.shape)

    def _of_products(self, e: Execution, sizes: Sequence[Array | None]) -> Array:
        def products(x: Array, y: Array) -> Array:
            return in_wider(e.eqn, [x, y])[0]

        x, y = (jnp.nan_to_num(h.wide, nan=0.0, posinf=0.0, neginf=0.0) for h in e.inputs)
        pairs: list[tuple[Array, Array]] = []
        if sizes[0] is not None:
            pairs.append((jnp.asarray(sizes[0], x.dtype), y))
        if sizes[1] is not None:
            pairs.append((x, jnp.asarray(sizes[1], y.dtype)))
        own = jnp.abs(products(jnp.abs(x), jnp.abs(y)))
        if not pairs:
            return own
        spread = sum(jnp.abs(products(jnp.abs(a) ** 2, jnp.abs(b) ** 2)) for a, b in pairs)
        along = sum(jnp.abs(products(a, b)) for a, b in pairs)
        worst = sum(jnp.abs(products(jnp.abs(a), jnp.abs(b))) for a, b in pairs)
        return own + jnp.minimum(jnp.sqrt(spread) + along, worst)

    def _doubt(self, e: Execution, sizes: Sequence[Array | None]) -> Array | None:
        """Where rounding alone decided: 1 of a truth value, of a number the jump in units of its last place."""
        out = e.outputs[0]
        differs = jnp.asarray(out.floats) != out.wide
        if not bool(differs.any()):
            return None
        pairs = [(h, s) for h, s in zip(e.inputs, sizes, strict=True) if h.fmt is not None]
        for h, s in pairs:
            ulps = 2.0**-h.fmt.precision * self.tolerance  # type: ignore[union-attr]
            near = jnp.abs(jnp.asarray(h.floats, h.wide.dtype) - h.wide) <= ulps * _whole(h, s)
            differs &= jnp.broadcast_to(near, differs.shape)
        jump = jnp.abs(jnp.asarray(out.floats, np.float64) - jnp.asarray(out.wide, np.float64))
        return jnp.where(differs, jump * (_doubtful(out) if out.fmt else 1.0), 0.0)

    def _chosen(self, e: Execution, doubt: Array | None, sizes: Sequence[Array]) -> Array:
        which, cases = e.inputs[0].wide, [h.wide for h in e.inputs[1:]]
        size = jax.lax.select_n(which, *sizes)
        if doubt is None or len(cases) != 2:
            return size
        apart = jnp.nan_to_num(jnp.abs(cases[0] - cases[1]))
        return size + jnp.broadcast_to(doubt, size.shape) * apart * _doubtful(e.outputs[0])

    def _slopes(self, e: Execution, sizes: Sequence[Array | None]) -> list[Array | None]:
        """How much each output moves where the inputs move by their terms, one after the other."""
        total: list[Any] = [0.0] * len(e.outputs)
        for i, (h, s) in enumerate(zip(e.inputs, sizes, strict=True)):
            if s is None or not reals.is_inexact(h.floats):
                continue
            values = [x.wide for x in e.inputs]

            def moved(x, i=i, values=values):
                return in_wider(e.eqn, [x if j == i else v for j, v in enumerate(values)])

            try:
                _, slopes = jax.jvp(moved, (h.wide,), (jnp.asarray(s, h.wide.dtype),))
            except (TypeError, ValueError, NotImplementedError):
                continue
            total = [t + jnp.abs(d) if reals.is_inexact(d) else t for t, d in zip(total, slopes, strict=True)]
        return [None if isinstance(t, float) else t for t in total]


def _in_ulps_of(fmt: FloatFormat | None, held: Held, size: Array | None) -> Array | None:
    """The size of an input whose ulps, in the format of the output, are those of the input in its own; of what was
    computed in a narrower format that is the number itself, and more."""
    if fmt is None or held.fmt is None or held.fmt.precision == fmt.precision:
        return size
    if is_rounded_narrower(fmt, held):
        size = _whole(held, size)
    return None if size is None else size * 2.0 ** (fmt.precision - held.fmt.precision)


def is_rounded_narrower(fmt: FloatFormat | None, held: Held) -> bool:
    """Whether a number was computed in a format that has fewer digits."""
    return fmt is not None and held.fmt is not None and held.fmt.precision < fmt.precision and not held.exact


def is_mixed(executions: Sequence[Execution]) -> bool:
    """Whether a program computes in one format and goes on in a wider one."""
    return any(is_rounded_narrower(e.outputs[0].fmt, h) for e in executions for h in e.inputs if e.outputs)


def _whole(held: Held, size: Array | None) -> Array:
    """`|v| + s` where it is finite."""
    value = jnp.nan_to_num(jnp.abs(held.wide), nan=0.0, posinf=0.0, neginf=0.0)
    return value if size is None else value + size


def _doubtful(held: Held) -> float:
    """What makes a difference of 1 less than a rounding."""
    return 2.0 ** (held.fmt.precision if held.fmt else 0)


SCALES = ("mul", "div", "neg", "convert_element_type", "copy", "reduce_precision", "stop_gradient")


def size_of_sum(held: Held) -> float:
    """Of a number that is a sum over an array, or one times constants, the size of the terms of that sum; else 0."""
    factor = 1.0
    while True:
        if held.moved is not None:
            if len(held.moved.pool) > 1 or math.prod(held.moved.pool[0].floats.shape) != 1:
                return 0.0
            held = held.moved.pool[0]
            continue
        if held.made is None or held.fmt is None:
            return 0.0
        e = held.made
        if e.primitive in ("reduce_sum", "dot_general"):
            sizes = [jnp.abs(h.wide) for h in e.inputs]
            return factor * float(jnp.ravel(in_wider(e.eqn, sizes)[0])[0])
        computed = [h for h in e.inputs if not h.exact]
        if e.primitive not in SCALES or len(computed) != 1:
            return 0.0
        for h in e.inputs:
            if h is not computed[0]:
                size = abs(float(h.flat_wide[0]))
                factor *= 1 / size if e.primitive == "div" and size else size
        held = computed[0]


def sizes_in_wider(executions: Sequence[Execution], outputs: Sequence[Held], tolerance: float) -> list[np.ndarray]:
    """For each output, for each of its elements the size of the terms that it was added from, float64, flat."""
    sizes = Sizes(executions, tolerance)
    found = [sizes.of(h) for h in outputs]
    return [
        np.zeros(math.prod(h.floats.shape)) if s is None else np.asarray(s).ravel()
        for h, s in zip(outputs, found, strict=True)
    ]
