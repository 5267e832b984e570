"""Functions of FPCore files, the format of fpbench.org: read, called as functions of JAX, and drawn points for.

A core is a function of scalars, computed in the format of its arguments. Its precondition is decided over the real
numbers. What is not supported (tensors, calls of other cores, directed rounding) is told in one line by `refusal`. The
text is parsed by `titanfp`, which the extra `fpcore` brings.
"""

from __future__ import annotations

import functools
import inspect
import itertools
import math
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import flint
import jax
import jax.numpy as jnp
import numpy as np
from flint import arb
from jax import Array
from jax.extend import source_info_util
from titanfp.fpbench import fpcast as ast
from titanfp.fpbench import fpcparser
from titanfp.fpbench.fpcommon import FPCoreParserError

from stability.formats import FORMATS, FloatFormat, format_of, from_ordinal, to_ordinal
from stability.real.values import Undefined, infinite, real
from stability.study.expressions import ROUNDS, Exact, Floats, Place, evaluate
from stability.study.loading import BadFunction, first_line, meant
from stability.truth.balls import Undecided, decide

source_info_util.register_exclusion(__file__)

PRECISIONS = (128, 512, 4096)
"""Bits that a precondition is decided at, until one is enough."""

TRIES = 200
"""Points drawn for each that is wanted, before a precondition that leaves fewer is taken at that."""


class _Argument(inspect.Parameter):
    """A parameter by its FPCore name, which need not be one of Python: `sr*`."""

    def __init__(self, name: str):
        super().__init__("x", inspect.Parameter.POSITIONAL_OR_KEYWORD)
        self._fpcore_name = name

    @property
    def name(self) -> str:
        return self._fpcore_name


@dataclass(frozen=True, eq=False, repr=False)
class Core:
    """A function of an FPCore file, called with scalars of JAX, by position or by name, all of one format.

    **Attributes:** `name` by which it is called; `arguments` the names of its arguments; `body` and `precondition` the
    expressions, the latter `None` where there is none; `whole` the arguments that are annotated as integers; `rounds`
    how many a loop may go on for: one that goes on has no value.
    """

    name: str
    arguments: tuple[str, ...]
    body: ast.Expr
    precondition: ast.Expr | None = None
    whole: tuple[str, ...] = ()
    rounds: int = ROUNDS

    def __post_init__(self) -> None:
        object.__setattr__(self, "__name__", self.name)
        object.__setattr__(self, "__signature__", inspect.Signature(list(map(_Argument, self.arguments))))

    def __repr__(self) -> str:
        return self.name

    def __call__(self, *args: Any, **named: Any) -> Array:
        given = dict(inspect.signature(self).bind(*args, **named).arguments)
        dtypes = [x.dtype for x in given.values() if jnp.issubdtype(getattr(x, "dtype", bool), np.floating)]
        dtype = jax.dtypes.canonicalize_dtype(dtypes[0] if dtypes else np.float64)
        values = {name: jnp.asarray(x, dtype) for name, x in given.items()}
        return jnp.asarray(evaluate(self.body, values, Floats(format_of(dtype), self.name, self.rounds)))

    @functools.cached_property
    def refusal(self) -> str:
        """Why it can't be called, in a line; empty where it can."""
        try:
            out = jax.eval_shape(self, *[jax.ShapeDtypeStruct((), np.float32)] * len(self.arguments))
            for part in _conjuncts(self.precondition):
                _holds(part, dict.fromkeys(self.arguments, arb(1)))
        except BadFunction as problem:
            return str(problem)
        except TypeError as problem:
            return first_line(problem)
        return "" if out.dtype == np.float32 else f"it returns {out.dtype}; a float is needed"

    def meets(self, *args: Any) -> bool:
        """Whether numbers, taken as the reals that they are, meet the precondition; not, where 4096 bits leave it
        open. **Raises:** `BadFunction` for what it says that is not supported."""
        numbers = {name: real(float(x)) for name, x in zip(self.arguments, args, strict=True)}
        if not all(_is_whole(numbers[name]) for name in self.whole):
            return False
        return all(_holds(part, numbers) for part in _conjuncts(self.precondition))


def _conjuncts(e: ast.Expr | None) -> list[ast.Expr]:
    """What all has to hold, where something has to."""
    if isinstance(e, ast.And):
        return [part for child in e.children for part in _conjuncts(child)]
    return [] if e is None else [e]


def _holds(e: ast.Expr, numbers: dict[str, Any]) -> bool:
    for precision in PRECISIONS:
        with flint.ctx.workprec(precision):
            found = evaluate(e, numbers, Exact())
        if not isinstance(found, Undefined):
            return bool(found)
    return False


def _is_whole(x: Any) -> bool:
    return not isinstance(x, Undefined) and not infinite(x) and x.is_integer()


class _Visitor(fpcparser.Visitor):
    """Of `titanfp`, but that operations know their `place`, and `:alt` may be given several times, as the standard has
    it."""

    def __init__(self, path: str):
        super().__init__()
        self._path = path

    def _placed(self, ctx: Any, found: ast.Expr) -> ast.Expr:
        found.place = Place(self._path, ctx.start.line, ctx.start.column)
        return found

    def visitExprOp(self, ctx: Any) -> ast.Expr:
        return self._placed(ctx, super().visitExprOp(ctx))

    def visitExprIf(self, ctx: Any) -> ast.Expr:
        return self._placed(ctx, super().visitExprIf(ctx))

    def visitExprWhile(self, ctx: Any) -> ast.Expr:
        return self._placed(ctx, super().visitExprWhile(ctx))

    def visitExprWhileStar(self, ctx: Any) -> ast.Expr:
        return self._placed(ctx, super().visitExprWhileStar(ctx))

    def visitProp(self, ctx: Any) -> tuple[str, ast.Data]:
        name, data = super().visitProp(ctx)
        return f"alt {ctx.start.start}" if name == "alt" else name, data


def read(path: str | os.PathLike) -> list[Core]:
    """The cores of a file, each by its `:name`, else its identifier, else its number; a name that is taken gets the
    number behind it.

    **Raises:** `BadFunction`, in one line, where the file can't be read or is not FPCore.
    """
    try:
        parsed = _Visitor(os.path.abspath(path)).visit(fpcparser.parse(Path(path).read_text("utf-8")))
    except OSError as problem:
        raise BadFunction(f"{path}: {problem.strerror or problem}") from None
    except UnicodeDecodeError:
        raise BadFunction(f"{path} is not text in UTF-8") from None
    except (FPCoreParserError, TypeError, ValueError, RecursionError) as problem:
        raise BadFunction(f"{path} is not read: {' '.join(str(problem).split()) or type(problem).__name__}") from None
    found: dict[str, Core] = {}
    for number, core in enumerate(parsed, 1):
        name = str(core.name).strip('"') if core.name is not None else core.ident or str(number)
        name = f"{name} {number}" if name in found else name
        found[name] = _core(core, name)
    return list(found.values())


def _core(core: ast.FPCore, name: str) -> Core:
    whole = [n for n, props, _ in core.inputs if str(props.get("precision")) == "integer"]
    shaped = [n for n, _, shape in core.inputs if shape]
    body = ast.Array() if shaped else core.e
    arguments = tuple(n for n, _, _ in core.inputs)
    return Core(name, arguments, ast.Ctx(core.props, body), core.pre, tuple(whole))


@dataclass(frozen=True)
class CoreOf:
    """A core by its file and name, which makes it: what can be hashed and pickled."""

    path: str
    name: str

    def __str__(self) -> str:
        return f"{Path(self.path).stem}:{self.name}"

    def __call__(self) -> Core:
        """**Raises:** `BadFunction`, in one line, for one that is not there or not supported."""
        cores = {core.name: core for core in read(self.path)}
        if self.name not in cores:
            close, names = meant(self.name, list(cores)), ", ".join(cores) or "none"
            raise BadFunction(f"{self.path} has no core {self.name}{close} (choose from {names})")
        if problem := cores[self.name].refusal:
            raise BadFunction(f"{self.name}: {problem}")
        return cores[self.name]


def core_of(path: str, name: str | None) -> CoreOf:
    """The core of a file by its name, which a file of one need not be told.

    **Raises:** `BadFunction`, in one line, with the names that there are.
    """
    if name is not None:
        return CoreOf(path, name)
    names = [core.name for core in read(path)]
    if len(names) != 1:
        raise BadFunction(f"{path} has {len(names)} cores; choose one by name: {', '.join(names) or 'none'}")
    return CoreOf(path, names[0])


def _constant(e: ast.Expr) -> Callable[[], arb] | None:
    """What encloses the value of an expression without variables, where it is a number."""
    enclose = functools.partial(evaluate, e, {}, Exact())
    try:
        found = enclose()
    except BadFunction:
        return None
    return enclose if isinstance(found, arb) and found.is_finite() else None


def _bounds(e: ast.Expr, names: Sequence[str]) -> Iterator[tuple[str, Callable[[], arb], bool]]:
    """What comparisons with constants say that have to hold: a name, what encloses a number, and whether that is the
    lower end."""
    if isinstance(e, ast.Let):
        hidden = [name for name, _ in e.let_bindings]
        for part in _conjuncts(e.body):
            yield from _bounds(part, [name for name in names if name not in hidden])
    elif isinstance(e, ast.LT | ast.LEQ | ast.GT | ast.GEQ | ast.EQ):
        rising, falling = isinstance(e, ast.LT | ast.LEQ | ast.EQ), isinstance(e, ast.GT | ast.GEQ | ast.EQ)
        for one, other in itertools.pairwise(e.children):
            for x, c, x_first in ((one, other, True), (other, one, False)):
                if isinstance(x, ast.Var) and x.value in names and (enclose := _constant(c)) is not None:
                    if rising if x_first else falling:
                        yield x.value, enclose, False
                    if falling if x_first else rising:
                        yield x.value, enclose, True


def ranges(core: Core, fmt: FloatFormat) -> dict[str, tuple[int, int]]:
    """The ordinals of the finite floats of each argument that its precondition's comparisons with constants leave,
    first and last; none where the first is greater."""
    found = {name: (-fmt.infinity, fmt.infinity - 1) for name in core.arguments}
    said = itertools.chain.from_iterable(_bounds(part, core.arguments) for part in _conjuncts(core.precondition))
    for name, enclose, is_lower in said:
        try:
            at, first, last = decide(enclose, fmt), *found[name]
        except Undecided:
            continue
        with flint.ctx.workprec(PRECISIONS[-1]):
            below, above = (math.isfinite(at) and bool(x) for x in (arb(at) < enclose(), arb(at) > enclose()))
        ordinal = int(to_ordinal(fmt.dtype.type(at)))
        if is_lower:
            found[name] = max(first, (-1 if at == 0 else ordinal) + below), last
        else:
            found[name] = first, min(last, (0 if at == 0 else ordinal) - above)
    return found


def domain(core: Core, argument: str) -> tuple[float, float]:
    """The closed range of an argument that the precondition's comparisons with constants leave."""
    fmt = FORMATS["float64"]
    first, last = ranges(core, fmt)[argument]
    low, high = from_ordinal(np.array([first, last]), fmt).tolist()
    return -math.inf if first == -fmt.infinity else low, math.inf if last == fmt.infinity - 1 else high


def points(core: Core, n: int, fmt: FloatFormat, seed: int) -> np.ndarray:
    """Points that meet the precondition of a core, drawn uniformly over the finite floats of a format: by ordinal,
    each argument by itself, within what comparisons with constants leave of it.

    **Returns:** an array of shape `(arguments, n)`, of fewer columns, with a warning that says how many, where
    `TRIES` times as many draws had no more.
    """
    rng, ends = np.random.default_rng(seed), list(ranges(core, fmt).values())
    kept: list[np.ndarray] = []
    drawn = 0
    while len(kept) < n and drawn < TRIES * n and all(first <= last for first, last in ends):
        ordinals = np.array([rng.integers(first, last, n, endpoint=True) for first, last in ends]).reshape(-1, n)
        kept += [x for x in from_ordinal(ordinals, fmt).T if core.meets(*x)]
        drawn += n
    if len(kept) < n:
        warnings.warn(f"{core.name}: {len(kept)} of {n} points meet its precondition, of {drawn} drawn", stacklevel=2)
    return np.array(kept[:n], fmt.dtype).reshape(-1, len(core.arguments)).T
