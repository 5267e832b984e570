"""A program as it ran: every array that it computed, in its own floats and in wider ones, and what it was made of."""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr

from stability.formats import FORMATS, FloatFormat
from stability.real import arrays, reals
from stability.real.records import Moves, moves, record_of
from stability.real.walk import Semantics, called, opened, walk
from stability.real.wider import in_wider, jittered, widened


class Diverged(Exception):
    """The floats and the wider ones take different ways through a loop or a branch."""


@dataclass(eq=False)
class Held:
    """What a variable holds.

    **Attributes:** `floats` as the program has them, `wide` the same program in wider floats; `exact` whether these are
    the numbers meant, as those of an argument are; `made` the equation execution that computed it, as its output number
    `output`, `None` for arguments and constants; `moved` where its elements were taken from, of what only moves them.
    """

    floats: Any
    wide: Any
    exact: bool
    made: Execution | None = None
    output: int = 0
    name: str = ""
    literal: bool = False
    moved: Moved | None = None

    @functools.cached_property
    def flat(self) -> np.ndarray:
        """The floats, flat."""
        return as_floats(self.floats).ravel()

    @functools.cached_property
    def flat_wide(self) -> np.ndarray:
        """The wider floats, flat."""
        return as_floats(self.wide).ravel()

    @functools.cached_property
    def fmt(self) -> FloatFormat | None:
        """The format, `None` for what is no float."""
        return format_of(self.floats)

    @functools.cached_property
    def opaque(self) -> bool:
        """Whether it is no number, as a random key."""
        return is_opaque(self.floats)


@dataclass(eq=False)
class Moved:
    """Where the elements of an array were taken from: `pool`, and flat indices into it, as if it were one array; less
    than 0 for what was filled in."""

    pool: Sequence[Held]
    indices: Callable[[], np.ndarray]

    @functools.cached_property
    def places(self) -> np.ndarray:
        """The indices, flat."""
        return self.indices().ravel()

    @functools.cached_property
    def _ends(self) -> np.ndarray:
        return np.cumsum([math.prod(h.floats.shape) for h in self.pool])

    def at(self, j: int) -> tuple[Held, int] | None:
        i = int(self.places[j])
        if i < 0:
            return None
        k = int(np.searchsorted(self._ends, i, side="right"))
        return self.pool[k], i - (int(self._ends[k - 1]) if k else 0)

    def put(self, values: np.ndarray) -> None:
        """Other floats for what was moved, where it was computed."""
        start = 0
        for held, end in zip(self.pool, self._ends, strict=True):
            there = (self.places >= start) & (self.places < end)
            if there.any():
                held_put(held, self.places[there] - start, values[there])
            start = int(end)


def held_put(held: Held, places: np.ndarray, values: np.ndarray) -> None:
    """Other floats at some places of what was computed; arguments and constants stay."""
    if held.moved is not None:
        flat = held.flat.copy()
        flat[places] = values
        held.moved.put(flat)
    elif held.made is not None:
        flat = held.flat.copy()
        flat[places] = values
        held.__dict__["flat"] = flat


@dataclass(eq=False)
class Execution:
    """One execution of one equation: what went in and came out, the line to name, the equations that it is inside of
    (calls, branches, loops), and whether its meaning over the reals is known, as far as it was asked for."""

    index: int
    eqn: Any
    source: str
    inputs: Sequence[Held]
    calls: Sequence[Any] = ()
    outputs: list[Held] = field(default_factory=list)
    proven: bool = True

    @property
    def primitive(self) -> str:
        return self.eqn.primitive.name


def is_opaque(aval) -> bool:
    """Whether something is no number but what only its own primitives can read, as a random key."""
    return jnp.issubdtype(aval.dtype, jax.dtypes.extended)


def as_floats(x) -> Any:
    """An array of JAX as one of NumPy, where it has numbers."""
    return x if is_opaque(x) else np.asarray(x)


def format_of(aval) -> FloatFormat | None:
    return FORMATS.get(jnp.finfo(aval.dtype).dtype.name) if reals.is_inexact(aval) else None


def given(x: Any, aval: Any, name: str = "", literal: bool = False) -> Held:
    """An argument, a constant, a number in the text, or what only floats have."""
    x = x if is_opaque(aval) else np.asarray(x).astype(aval.dtype)
    return Held(x, widened(x), True, name=name, literal=literal)


class Recorder(Semantics):
    """The floats of a program and wider ones side by side.

    `recorded` are the results of the equations in order where they come from elsewhere, by default each is executed;
    what the program calls under `jit` is one computation then too, as it is in the user's run. `jitter` moves the wider
    floats of a program of float64 by a rounding, which these can't show otherwise.
    """

    opens = staticmethod(called)

    def __init__(self, recorded: Iterator[Sequence[Any]] | None = None, jitter: np.random.Generator | None = None):
        self.executions: list[Execution] = []
        self.recorded = recorded
        self.jitter = jitter
        self.inner: dict[int, tuple[Any, Callable[..., list]]] = {}
        self.calls: list[Any] = []

    def literal(self, value, aval) -> Held:
        return given(value, aval, literal=True)

    def constant(self, value, aval) -> Held:
        return given(value, aval)

    @contextlib.contextmanager
    def within(self, eqn) -> Iterator[None]:
        self.calls.append(eqn)
        try:
            yield
        finally:
            self.calls.pop()

    def follow(self, eqn, inside, as_one) -> list:
        with self.within(eqn):
            return self._followed(inside, as_one)

    def _followed(self, inside, as_one) -> list:
        before, recorded = len(self.executions), self.recorded
        if recorded is not None:
            return self._recorded_inside(inside, as_one, before)
        try:
            return inside()
        except Diverged:
            del self.executions[before:]
            return as_one()

    def _recorded_inside(self, inside: Callable, as_one: Callable, before: int) -> list:
        """A branch or loop of a jitted computation equation by equation, where that gives what it gave but for
        rounding, and then what it gave."""
        whole = as_one()
        kept, self.executions = self.executions, self.executions[:before]
        recorded, self.recorded = self.recorded, None
        try:
            out = inside()
        except Diverged:
            out = None
        finally:
            self.recorded = recorded
        if out is None or not all(alike(x.floats, y.floats) for x, y in zip(out, whole, strict=True)):
            self.executions = kept
            return whole
        put_back(out, [y.floats for y in whole])
        return out

    def enter(self, eqn, inner, values, inside) -> list:
        with self.within(eqn):
            return self._entered(eqn, inner, values, inside)

    def _entered(self, eqn, inner, values, inside) -> list:
        if self.recorded is not None or eqn.primitive.name not in ("jit", "pjit"):
            return inside()
        floats = [x.floats for x in values]
        if id(inner) not in self.inner:
            self.inner[id(inner)] = inner, recording(inner)
        self.recorded = iter(self.inner[id(inner)][1](*floats))
        try:
            out = inside()
        finally:
            self.recorded = None
        put_back(out, arrays.bound(eqn, floats))
        return out

    def decided(self, value, what) -> int:
        if value.floats.shape or bool(value.floats != value.wide):
            raise Diverged(what)
        return int(value.floats)

    def row(self, value, i):
        shape = value.floats.shape[1:]
        size = math.prod(shape)
        moved = Moved([value], lambda: np.arange(i * size, (i + 1) * size))
        return Held(value.floats[i], value.wide[i], value.exact, moved=moved)

    def stacked(self, rows, aval) -> Held:
        if not rows:
            return given(np.zeros(aval.shape, aval.dtype), aval)
        floats, wide = (jnp.stack(x) for x in ([r.floats for r in rows], [r.wide for r in rows]))
        moved = Moved(rows, lambda: np.arange(math.prod(floats.shape)))
        return Held(floats, wide, all(r.exact for r in rows), moved=moved)

    def equation(self, eqn, values, source) -> list[Held]:
        if not eqn.outvars:
            return []
        floats = next(self.recorded) if self.recorded is not None else arrays.bound(eqn, [v.floats for v in values])
        if any(is_opaque(v.aval) for v in (*eqn.invars, *eqn.outvars)):
            return [given(x, v.aval, name=eqn.primitive.name) for x, v in zip(floats, eqn.outvars, strict=True)]
        record, exact = record_of(eqn.primitive), all(v.exact for v in values)
        wide = floats if exact and moves(record, eqn) else self.in_wider(eqn, values)
        wide = [widened(x) for x in wide]
        if moves(record, eqn):
            return moved_elements(eqn, record, values, floats, wide)
        execution = Execution(len(self.executions), eqn, source, values, tuple(self.calls))
        self.executions.append(execution)
        known = exact and not any(reals.is_inexact(v.aval) for v in eqn.outvars)
        execution.outputs = [Held(x, w, known, execution, k) for k, (x, w) in enumerate(zip(floats, wide, strict=True))]
        return execution.outputs

    def in_wider(self, eqn, values) -> list:
        found = in_wider(eqn, [v.wide for v in values])
        if self.jitter is None:
            return found
        wide = [reals.is_inexact(v.aval) and jnp.finfo(v.aval.dtype).bits == 64 for v in eqn.outvars]
        return [jittered(np.asarray(x), self.jitter) if w else x for x, w in zip(found, wide, strict=True)]


def same_bits(x: Any, y: Any) -> bool:
    x, y = as_floats(x), as_floats(y)
    return is_opaque(x) or np.asarray(x).tobytes() == np.asarray(y).tobytes()


def alike(x: Any, y: Any) -> bool:
    """Whether arrays are the same but for rounding: within 16 ulps of the largest number, NaNs and infinities where the
    other has them."""
    if not reals.is_inexact(x):
        return same_bits(x, y)
    eps = float(jnp.finfo(x.dtype).eps)
    x, y = (np.asarray(v).astype(np.complex128) for v in (x, y))
    largest = np.max(np.abs(y[np.isfinite(y)]), initial=0.0)
    return np.allclose(x, y, rtol=0, atol=16 * eps * largest, equal_nan=True)


def put_back(out: Sequence[Held], floats: Sequence[Any]) -> None:
    """Other floats for what was computed, where they are not the same."""
    for held, x in zip(out, floats, strict=True):
        if not is_opaque(held.floats) and not same_bits(held.floats, x):
            held_put(held, np.arange(held.flat.size), np.asarray(x).ravel())


def moved_elements(eqn, record: Moves, values: Sequence[Held], floats: Sequence[Any], wide: Sequence[Any]) -> list:
    """What a primitive put out that only moves elements; its indices are found when they are asked for."""
    positions = range(len(values)) if record.data is None else record.data
    pool = [values[i] for i in positions]

    @functools.cache
    def indices() -> list[np.ndarray]:
        return arrays.moved_indices(eqn, record.data, [v.floats for v in values])

    exact = all(v.exact for v in values)
    return [
        Held(x, w, exact, moved=Moved(pool, functools.partial(lambda k: indices()[k], k)))
        for k, (x, w) in enumerate(zip(floats, wide, strict=True))
    ]


class Recording(Semantics):
    """The results of the equations, in the order of `Recorder`, as they are computed."""

    opens = staticmethod(called)

    def __init__(self) -> None:
        self.seen: list[list] = []

    def literal(self, value, aval):
        return np.asarray(value, aval.dtype)

    def constant(self, value, aval):
        return value if is_opaque(aval) else np.asarray(value, aval.dtype)

    def follow(self, eqn, inside, as_one) -> list:
        return as_one()

    def equation(self, eqn, values, source) -> list:
        if not eqn.outvars:
            return []
        self.seen.append(arrays.bound(eqn, values))
        return self.seen[-1]


def recording(jaxpr: ClosedJaxpr) -> Callable[..., list]:
    """The results of every equation, in the order of `Recorder`, as one jitted computation returns them all."""

    def every(*args):
        recording = Recording()
        walk(jaxpr, args, recording)
        return recording.seen

    compiled = jax.jit(every)
    avals: list[Any] = [v.aval for v in opened(jaxpr)[0].invars]
    return lambda *args: compiled(
        *(x if is_opaque(a) else np.asarray(x, a.dtype) for x, a in zip(args, avals, strict=True))
    )


def run(jaxpr: ClosedJaxpr, leaves: Sequence[Any], wide: bool, jitted: bool) -> tuple[list[Execution], list[Held]]:
    """The equations of a program as they ran at a point, one by one or as one jitted computation, and its outputs."""
    with jax.enable_x64(wide):
        recorded = recording(jaxpr)(*leaves) if jitted else None
    with jax.enable_x64(True):
        recorder = Recorder(None if recorded is None else iter(recorded), np.random.default_rng(0) if wide else None)
        held = [given(x, v.aval, name=str(i)) for i, (x, v) in enumerate(zip(leaves, jaxpr.jaxpr.invars, strict=True))]
        out = walk(jaxpr, held, recorder)
    return recorder.executions, out
