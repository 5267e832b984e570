"""What a function and the one made of it do at every float32.

The true values are those of Taylor models (`stability.sweep.models`) of the smallest term that the search found to
equal the given function; of larger ones, and of the function itself, in blocks of floats in which balls can't tell the
value of that (`1 - a` where `a` is 1 to thousands of bits). Where the given function has no value there is none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from stability.formats import FORMATS, FloatFormat, to_ordinal
from stability.measure import FLUSHED, KINDS, LOST_KINDS
from stability.rewriting.comparison import is_normal, worse_at
from stability.rewriting.measuring import in_jax
from stability.rewriting.problems import Problem
from stability.rewriting.sample import bits_of_error
from stability.rewriting.terms import Term, size
from stability.sweep import every
from stability.sweep.blocks import BLOCK
from stability.sweep.models import Table, table_of
from stability.sweep.outcome import Row
from stability.sweep.streams import inputs
from stability.truth import Truth
from stability.truth.device import DeviceTruth, Truth64

FLOAT32 = FORMATS["float32"]
TOLERANCE = 3.0
"""Ulps beyond which a result counts as inaccurate."""
NO_VALUE = ("nan_input", "outside", "undecided")
HELD = 0.0
"""The label where no argument is held."""


class Failures(NamedTuple):
    """**Attributes:** `worst` the largest error at normal true values, in ulps, `None` where no result is finite there;
    `counts` of the failing floats by kind, as of `stability.measure`; `flushed` how many results are 0 where the true
    value is subnormal."""

    worst: float | None
    counts: Mapping[str, int]
    flushed: int

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    def __str__(self) -> str:
        names = {"inaccurate": f"over {TOLERANCE:g} ulps"}
        kinds = ", ".join(f"{names.get(kind, kind)} {n:,}" for kind, n in self.counts.items())
        return f"{self.total:,} ({kinds})" if kinds else "0"


class Everywhere(NamedTuple):
    """What both functions do at every float32 where there is a true value.

    **Attributes:** `order` 0 of the value, 1 of the derivative by the swept argument; `swept` its name; `held` the name
    and the value of the other one, if there is one; `floats` how many; `worse` at how many the new one is worse by more
    than a bit, and more than seven floats off; `why` it could not be measured.
    """

    order: int
    swept: str
    held: tuple[str, float] | None
    floats: int = 0
    before: Failures = Failures(None, {}, 0)
    after: Failures = Failures(None, {}, 0)
    worse: int = 0
    why: str = ""

    @property
    def what(self) -> str:
        parts = [f"d/d{self.swept}"] if self.order else []
        parts += [f"{self.held[0]} = {self.held[1]:g}"] if self.held else []
        return ", ".join(["every float32", *parts])

    def __str__(self) -> str:
        if self.why:
            return f"not measured: {self.why}"
        both = self.before, self.after
        worst = ["–" if f.worst is None else f"{f.worst:.4g}" for f in both]
        told = f"{self.floats:,} floats: worst {worst[0]} ulps before, {worst[1]} after"
        told += f"; fails at {both[0]} before, {both[1]} after; worse at {self.worse:,}"
        if any(f.flushed for f in both):
            told += f"; 0 for a subnormal value at {both[0].flushed:,} before, {both[1].flushed:,} after"
        return told


class Swept(NamedTuple):
    """Which argument takes every float, and which one is held at each of a list of values."""

    name: str
    held: str | None
    values: tuple[float, ...]
    names: tuple[str, ...]

    def at(self, fn: Callable, x: Any, value: Any) -> Any:
        return fn(*(x if name == self.name else value for name in self.names))


def swept_of(problem: Problem) -> Swept:
    """**Raises:** `ValueError` where not every float can be measured."""
    names, domain = problem.names, problem.domain
    if problem.fmt is not FLOAT32:
        raise ValueError(f"every float is measured in float32 alone, not in {problem.fmt.name}")
    lists = [name for name in names if isinstance(domain.get(name), list)]
    free = [name for name in names if name not in lists]
    if len(free) != 1 or len(lists) > 1 or problem.rows:
        raise ValueError(
            "every float is measured of one argument that is a number, beside one that has a list of values at most; "
            f"free are {', '.join(free) or 'none'}, with a list {', '.join(lists) or 'none'}"
        )
    held = lists[0] if lists else None
    values = sorted({float(np.float32(v)) for v in domain[held]}) if held else [HELD]
    return Swept(free[0], held, tuple(values), names)


def everywhere(
    problem: Problem,
    swept: Swept,
    given: Callable,
    stable: Callable,
    equal: Sequence[Term],
    orders: Sequence[int],
) -> Iterator[Everywhere]:
    """What the given function and the stable one do, for each held value, order by order.

    **Arguments:** `equal` terms that equal the given function, for their true values.
    """
    smaller = sorted((t for t in equal if size(t) < size(problem.term)), key=size)
    fns = [*(_function(t, swept) for t in smaller), given]
    floats = _floats(problem.domain.get(swept.name))
    with jax.enable_x64(True):
        known = {y: _known(fns, swept, y, floats) for y in swept.values}
        for order in orders:
            yield from _of_order(order, swept, given, stable, known, floats)


class Floats(NamedTuple):
    """Those of a range, by the ordinals of the first and the last."""

    first: int
    last: int

    @property
    def span(self) -> tuple[int, int]:
        """The blocks of magnitudes that they lie in, the second end left out."""
        blocks = [(n if n >= 0 else -n - 1) // BLOCK for n in self]
        return (0 if self.first < 0 <= self.last else min(blocks), max(blocks) + 1)

    @property
    def models(self) -> tuple[slice, slice]:
        """The models that are needed, by sign and block."""
        return slice(int(self.last < 0), 1 + int(self.first < 0)), slice(*self.span)

    def hold(self, ordinals: Any) -> Any:
        return (ordinals >= self.first) & (ordinals <= self.last)


def _floats(domain: tuple[float, float] | list[float] | None) -> Floats:
    """Of a range; the finite ones without it."""
    low, high = (-FLOAT32.max, FLOAT32.max) if domain is None else domain
    with np.errstate(over="ignore"):
        first, last = to_ordinal(np.array([low, high]).astype(np.float32)).tolist()
    return Floats(max(first, -FLOAT32.infinity), min(last, FLOAT32.infinity - 1))


def _function(term: Term, swept: Swept) -> Callable:
    return lambda *args: in_jax(term, dict(zip(swept.names, args, strict=True)), {})


def _known(fns: Sequence[Callable], swept: Swept, value: float, floats: Floats) -> tuple[Table | None, Callable]:
    """The models of the first of some equal functions of one number, completed by those of the others, and the last
    that was needed; none where the last of them all, the given function, has no value."""
    table, blocks, last = None, np.arange(*floats.span), fns[0]
    of_one = [lambda x, fn=fn: swept.at(fn, x, jnp.float32(value)) for fn in fns]
    for fn in of_one:
        other = table_of(fn, blocks.tolist())
        if other is not None:
            table, last = (other if table is None else table.filled(other)), fn
            blocks = blocks[table.is_open[:2, floats.models[0], blocks].any(axis=(0, 1))]
        if len(blocks) <= every.MOST_OPEN:
            break
    return (table if table is None else table.where_defined(of_one[-1], range(*floats.span))), last


def _of_order(
    order: int,
    swept: Swept,
    given: Callable,
    stable: Callable,
    known: Mapping[float, tuple[Table | None, Callable]],
    floats: Floats,
) -> Iterator[Everywhere]:
    forms = {name: _form(fn, swept, order) for name, fn in (("before", given), ("after", stable))}
    place = {y: Everywhere(order, swept.name, (swept.held, y) if swept.held else None) for y in swept.values}
    tables = {y: table for y, (table, _) in known.items() if table is not None}
    opened = {y: table.is_open[order][floats.models] for y, table in tables.items()}
    told = [y for y in tables if opened[y].sum() <= every.MOST_OPEN]
    for y in swept.values:
        if y not in told:
            why = f"{opened[y].sum():,} of {opened[y].size:,} blocks of floats have" if y in tables else "it has"
            yield place[y]._replace(why=f"{why} no Taylor model to tell the true values by")
    if not told:
        return
    values = {y: _inside_on_device(tables[y].truth(order), floats) for y in told}
    on_device: DeviceTruth = lambda magnitude, label, negative: values[label](magnitude, label, negative)  # noqa: E731
    truth = _inside_of(every.truth_of(lambda y: known[y][1], order), floats)
    rows = every.measured(forms, truth, on_device, TOLERANCE, told, floats.span)
    for y in told:
        before, after = rows["before", y], rows["after", y]
        yield place[y]._replace(
            floats=before.points - sum(before.counts.get(kind, 0) for kind in NO_VALUE),
            before=_failures(before),
            after=_failures(after),
            worse=_worse(after, y, forms, values[y]),
        )


def _form(fn: Callable, swept: Swept, order: int) -> Callable[[Array, Array], Array]:
    def of_one(x: Array, value: Array) -> Array:
        return swept.at(fn, x, value)

    return jax.vmap(jax.grad(of_one) if order else of_one, in_axes=(0, None))


def _inside_of(truth: every.Truths, floats: Floats) -> every.Truths:
    """True values that there are none of outside of a range."""

    def of_floats(z: np.ndarray, label: float, fmt: FloatFormat) -> Truth:
        return truth(np.where(floats.hold(to_ordinal(z)), z, np.float32("nan")), label, fmt)

    return of_floats


def _inside_on_device(truth: DeviceTruth, floats: Floats) -> DeviceTruth:

    def of_block(magnitude: Array, label: float, negative: bool) -> Truth64:
        found = truth(magnitude, label, negative)
        inside = floats.hold(-magnitude - 1 if negative else magnitude)
        return found._replace(value=jnp.where(inside, found.value, jnp.nan), sharp=found.sharp & inside.all())

    return of_block


def _failures(row: Row) -> Failures:
    counts = {kind: row.counts[kind] for kind in LOST_KINDS if row.counts.get(kind)}
    return Failures(row.max_ulp, counts, row.counts.get(KINDS[FLUSHED], 0))


def _worse(row: Row, label: float, forms: Mapping[str, Callable], truth: DeviceTruth) -> int:
    """At how many floats the new function is worse than the given one: looked for where it fails."""
    regions = [r for r in row.regions if r.kind in LOST_KINDS]
    parts = [((r.start, r.stop) if r.start >= 0 else (-r.stop - 1, -r.start - 1), r.start < 0) for r in regions]
    blocks = {(n, b) for (first, last), n in parts for b in range(first // BLOCK, last // BLOCK + 1)}
    both = [jax.jit(forms[name]) for name in ("before", "after")]
    true = [jax.jit(lambda m, sign=sign: truth(m, label, sign)) for sign in (False, True)]
    found = 0
    for negative, block in sorted(blocks):
        z = inputs(block * BLOCK, negative)
        known = true[negative](jnp.arange(block * BLOCK, (block + 1) * BLOCK, dtype=jnp.int32))
        with np.errstate(over="ignore"):
            exact = np.asarray(known.value).astype(np.float32)
        judged = np.isfinite(exact) & is_normal(exact, FLOAT32) & (np.asarray(known.bound) <= 0.25)
        before, after = (bits_of_error(np.asarray(f(z, np.float32(label))), exact) for f in both)
        found += len(worse_at(before[judged], after[judged]))
    return found
