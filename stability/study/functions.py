"""A user's function: checked, and made a study whose truth is the function itself in real arithmetic.

The swept argument is a scalar float; the other arguments are fixed. A form of it over many points is the function under
`jax.vmap`. Everything that can be wrong with what the user named is a `BadFunction`, whose message is one line.
"""

from __future__ import annotations

import ast
import functools
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.extend import source_info_util
from jax.typing import DTypeLike

from stability import real
from stability.formats import FORMATS, FloatFormat
from stability.measure import FAILURES, classify
from stability.study._study import Form, Study
from stability.study.loading import BadFunction, NotFixed, Reference, first_line, load
from stability.truth import State, Truth

if TYPE_CHECKING:
    from jaxtyping import Float

source_info_util.register_exclusion(__file__)

Scalar = Callable[[Array], Array]


@dataclass(frozen=True, eq=False)
class Derivative:
    """A derivative of a function of one scalar: run as JAX has it, true by the function's own values.

    **Attributes:** `run` what is run; `value` the function, of the swept scalar and, unless that is the one to
    differentiate by, of that other scalar, which is fixed at `by`; `order` of the derivative.
    """

    run: Scalar
    value: Callable[..., Array]
    by: float | None
    order: int
    __name__: str

    def __call__(self, x: Array) -> Array:
        return self.run(x)

    def truth(self, z: np.ndarray, fmt: FloatFormat) -> Truth:
        """The true derivatives at floats of shape `(n,)`."""
        args = () if self.by is None else (self.by,)
        return real.truth(self.value, z, args=args, fmt=fmt, derivative=real.Order(len(args), self.order))

    def told_of_rules(self, x: np.ndarray, fmt: FloatFormat, tolerance: float) -> str:
        """In a sentence, that the derivative rules are not those of the function; empty where they are.

        They are not where what they say in real numbers is itself off by more than `tolerance` ulps of the derivative,
        at the float `x` of shape `()`.
        """
        true, by_rules = self.truth(x[None], fmt), real.truth(self.run, x[None], fmt=fmt)
        kinds, _ = classify(by_rules.rounded, true, tolerance)
        if kinds[0] not in FAILURES or by_rules.state[0] == State.UNDECIDED:
            return ""
        found = real.custom_rules(self.value, x, *(() if self.by is None else (fmt.dtype.type(self.by),)))
        said = f"by it the derivative is {by_rules.told(0)} in real numbers"
        if not found:
            return f"a derivative rule of the library is not the derivative: {said}"
        return f'{", ".join(found)} has a custom derivative rule: {said}; rules="trusted" takes it for the definition'


def truth_of(scalar: Scalar, z: np.ndarray, fmt: FloatFormat) -> Truth:
    """The true values of a function of one scalar, or of a `Derivative`, at floats of shape `(n,)`."""
    return scalar.truth(z, fmt) if isinstance(scalar, Derivative) else real.truth(scalar, z, fmt=fmt)


def parse_fixed(texts: Sequence[str]) -> dict[str, Any]:
    """`name=value` texts as a dictionary; a value is a Python number, bool, string, or a list of numbers.

    **Raises:** `BadFunction`.
    """
    fixed = {}
    for text in texts:
        name, equals, value = text.partition("=")
        try:
            if not (equals and name.strip()):
                raise ValueError
            fixed[name] = ast.literal_eval(value.strip())
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            raise BadFunction(f"{text}: not name=value with a Python number, list, bool or string") from None
    return fixed


def _fixed_array(value: Any, dtype: DTypeLike) -> Any:
    """Floats, and lists and tuples of numbers, as arrays of the format of the swept argument; others as they are."""
    return jnp.asarray(value, dtype) if isinstance(value, float | list | tuple) else value


def parameters_of(fn: Callable) -> list[inspect.Parameter]:
    """The parameters of a function, one `x` where it does not tell."""
    try:
        return list(inspect.signature(fn).parameters.values())
    except (TypeError, ValueError):
        return [inspect.Parameter("x", inspect.Parameter.POSITIONAL_ONLY)]


def hold(
    fn: Callable,
    *,
    swept: int = 0,
    fixed: Mapping[str, Any] | None = None,
    argnum: int | None = None,
    modes: Sequence[str] = ("rev",),
    rules: str = "derived",
) -> Scalar:
    """`fn`, or a derivative of it, as a function of one scalar: its positional argument number `swept`.

    **Arguments:**

    - `fixed` the values of other arguments by name (those with a default may be left out); floats and lists of numbers
      take the format of the swept argument;
    - `argnum` the number of the argument to differentiate by; without it `fn` itself is meant;
    - `modes` of differentiation, one an order of the derivative, the innermost first: `rev`, `jax.grad`, or `fwd`,
      `jax.jvp`;
    - `rules`, `derived` where the derivative is that of the function's values, `trusted` where it is by definition what
      the derivative rules say that JAX finds.

    **Raises:** `BadFunction` for an argument that `fn` does not have, and for one to differentiate by that is fixed and
    no number; `NotFixed` where nothing gives an argument a value.
    """
    fixed = dict(fixed or {})
    name = getattr(fn, "__name__", repr(fn))
    parameters = parameters_of(fn)
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    keyword = [p for p in parameters if p.kind == p.KEYWORD_ONLY]
    names = [p.name for p in positional]
    for n in (swept, argnum):
        if n is not None and not 0 <= n < len(positional):
            allowed = ", ".join(f"{i} ({a})" for i, a in enumerate(names)) or "none"
            raise BadFunction(f"{name} has no positional argument number {n}; it has {allowed}")
    others = [a for a in [*names, *(p.name for p in keyword)] if a != names[swept]]
    for unknown in [a for a in fixed if a not in others]:
        allowed = ", ".join(others) or "none"
        raise BadFunction(f"{unknown} is not an argument of {name} that can be fixed; those are: {allowed}")
    missing = [p.name for p in [*positional, *keyword] if p.name in others and p.default is p.empty]
    if missing := [a for a in missing if a not in fixed]:
        raise NotFixed(f"{name} needs a value for {', '.join(missing)}")
    defaults = {p.name: p.default for p in positional}
    keywords = [p.name for p in keyword if p.name in fixed]

    def applied(run: Callable, x: Array, *by: Array) -> Array:
        given = {names[swept]: x} | ({names[argnum]: by[0]} if by and argnum is not None else {})
        values = [given[a] if a in given else _fixed_array(fixed.get(a, defaults[a]), x.dtype) for a in names]
        return run(*values, **{a: _fixed_array(fixed[a], x.dtype) for a in keywords})

    if argnum is None:
        return _named(functools.partial(applied, fn), name)
    derived, order = fn, len(modes)
    for mode in modes:
        derived = jax.grad(derived, argnums=argnum) if mode == "rev" else _forward(derived, argnum)
    title = f"grad_{name}" if order == 1 else f"grad{order}_{name}"
    run = functools.partial(applied, derived)
    if rules == "trusted":
        return _named(run, title)
    by = None if argnum == swept else fixed.get(names[argnum], defaults[names[argnum]])
    if by is not None and not (isinstance(by, float) or (isinstance(by, int) and abs(by) < 2**1023)):
        raise BadFunction(f"{name}: the derivative by {names[argnum]} is by one number; it is fixed at {by!r}")
    return Derivative(run, functools.partial(applied, fn), None if by is None else float(by), order, title)


def _forward(fn: Callable[..., Array], argnum: int) -> Callable[..., Array]:
    """The derivative of a function of scalars by one of its arguments, in forward mode."""

    def slope(*args: Array, **keywords: Any) -> Array:
        x = args[argnum]

        def of_one(x: Array) -> Array:
            return fn(*args[:argnum], x, *args[argnum + 1 :], **keywords)

        return jax.jvp(of_one, (x,), (jnp.ones_like(x),))[1]

    return slope


def _named(scalar: Callable[..., Array], name: str) -> Scalar:
    def call(x: Array) -> Array:
        return scalar(x)

    call.__name__ = name
    return call


@dataclass(frozen=True)
class Named:
    """A user's function as a `Source`: by what `load` takes, and the arguments of `hold`.

    **Attributes:** `fixed` texts `name=value`; `domain` as of `study_of`.
    """

    reference: Reference
    swept: int = 0
    fixed: tuple[str, ...] = ()
    argnum: int | None = None
    order: int = 1
    domain: tuple[float, float] = (-math.inf, math.inf)

    def scalar(self) -> Scalar:
        """The function of one scalar. **Raises:** `BadFunction`."""
        fixed = parse_fixed(self.fixed)
        modes = ("rev",) * self.order
        return hold(load(self.reference), swept=self.swept, fixed=fixed, argnum=self.argnum, modes=modes)

    def __call__(self) -> Study:
        scalar = self.scalar()
        swept = parameters_of(load(self.reference))[self.swept].name
        return study_of({scalar.__name__: scalar}, name=str(self.reference), domain=self.domain, swept=swept)


def check_scalar(scalar: Scalar, fmt: FloatFormat) -> None:
    """Traces a function of one scalar at `fmt`.

    **Raises:** `BadFunction` unless it takes a scalar of the format to one scalar of the same format.
    """
    name = getattr(scalar, "__name__", "the function")
    try:
        out = jax.eval_shape(scalar, jax.ShapeDtypeStruct((), fmt.dtype))
    except (Exception, SystemExit) as error:
        raise BadFunction(f"{name} does not take a {fmt.name} scalar: {first_line(error)}") from error
    leaves = jax.tree.leaves(out)
    if len(leaves) != 1 or not hasattr(leaves[0], "shape"):
        raise BadFunction(
            f"{name} returns {len(leaves)} values for a {fmt.name} scalar; a function of one scalar result"
        )
    (leaf,) = leaves
    if leaf.shape != ():
        raise BadFunction(f"{name} is not scalar: it returns shape {leaf.shape} for a {fmt.name} scalar")
    if leaf.dtype != fmt.dtype:
        hint = f": cast its constants to {fmt.name}" if leaf.dtype.name in FORMATS else ""
        raise BadFunction(f"{name} returns {leaf.dtype.name} for a {fmt.name} scalar; {fmt.name} is needed{hint}")


def as_form(scalar: Scalar) -> Form:
    """A function of one scalar as a form: over points of shape `(n,)`, the label ignored."""
    over_points = jax.vmap(scalar)

    def form(z: Array, label: Array) -> Array:
        return over_points(z)

    return form


def study_of(
    forms: Mapping[str, Callable[[Float[Array, ""]], Float[Array, ""]]],
    *,
    reference: Callable[[Float[Array, ""]], Float[Array, ""]] | None = None,
    name: str = "function",
    domain: tuple[float, float] = (-math.inf, math.inf),
    swept: str = "x",
) -> Study:
    """A study of several ways to write one real function of one scalar.

    **Arguments:**

    - `forms` by name, each from a scalar of a format to a scalar of that format.
    - `reference` the function whose value in real arithmetic is the truth of all: by default the first form, since in
      real numbers it does not matter which way it is written.
    - `name` of the study in reports.
    - `domain` the closed range of the swept scalar.
    - `swept` the name of that scalar in reports.

    **Returns:** a `Study`, to be measured by its `sweep`. Where the truth is undefined, a NaN is right.

    ```python
    import jax.numpy as jnp
    from stability import study_of

    study = study_of({"plain": lambda x: jnp.log(1 + x), "log1p": jnp.log1p}, domain=(1e-5, 1))
    plain, log1p = study.sweep(dtypes=["bfloat16"], modes=["jit"]).rows
    assert plain.counts["vanished"] > 0 and set(log1p.counts) == {"ok"}
    ```
    """
    exact = reference or next(iter(forms.values()))

    def truth(z: np.ndarray, label: float, fmt: FloatFormat) -> Truth:
        return truth_of(exact, z, fmt)

    return Study(
        name=name,
        title=f"Where {name} fails",
        forms={n: as_form(f) for n, f in forms.items()},
        formulas={},
        truth=truth,
        domain=domain,
        swept=swept,
    )
