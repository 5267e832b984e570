"""A user's function: checked, and made a study whose truth is the function itself in real arithmetic.

The swept argument is a scalar float; the other arguments are held. A form of it over many points is the function under
`jax.vmap`. Everything that can be wrong with what the user named is a `BadFunction`, whose message is one line.
"""

from __future__ import annotations

import ast
import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.extend import source_info_util

from stability import real
from stability.floats import FORMATS, FloatFormat
from stability.forms import Form
from stability.study import Study
from stability.truth import Truth

source_info_util.register_exclusion(__file__)

Scalar = Callable[[Array], Array]


class BadFunction(ValueError):
    """What was wrong with a function or with its arguments, and what is allowed, in one line."""


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def parse_held(texts: list[str]) -> dict[str, Any]:
    """`name=value` texts as a dictionary; a value is a Python number, bool, string, or a list of numbers.

    **Raises:** `BadFunction`.
    """
    held = {}
    for text in texts:
        name, equals, value = text.partition("=")
        try:
            if not (equals and name.isidentifier()):
                raise ValueError
            held[name] = ast.literal_eval(value.strip())
        except (ValueError, SyntaxError):
            raise BadFunction(f"--fix {text}: not name=value with a Python number, list, bool or string") from None
    return held


def _held_array(value: Any, dtype) -> Any:
    """Floats, and lists and tuples of numbers, as arrays of the format of the swept argument; others as they are."""
    return jnp.asarray(value, dtype) if isinstance(value, float | list | tuple) else value


def hold(fn: Callable, *, arg: int = 0, held: Mapping[str, Any] | None = None, grad: int | None = None) -> Scalar:
    """`fn`, or its gradient, as a function of one scalar: its argument number `arg`.

    **Arguments:** `held` the values of other arguments by name (those with a default may be left out); floats and lists
    of numbers take the format of the swept argument; `grad` the number of the argument to differentiate by, as
    `argnums` of `jax.grad`.

    **Raises:** `BadFunction` for an argument that `fn` does not have, or that nothing gives a value.
    """
    held = dict(held or {})
    name = getattr(fn, "__name__", repr(fn))
    try:
        parameters = list(inspect.signature(fn).parameters.values())
    except (TypeError, ValueError):
        parameters = [inspect.Parameter("x", inspect.Parameter.POSITIONAL_ONLY)]
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    keyword = [p for p in parameters if p.kind == p.KEYWORD_ONLY]
    names = [p.name for p in positional]
    for what, n in (("--arg", arg), ("--grad", grad)):
        if n is not None and not 0 <= n < len(positional):
            allowed = ", ".join(f"{i} ({a})" for i, a in enumerate(names)) or "none"
            raise BadFunction(f"{what} {n}: {name} has no such positional argument; it has {allowed}")
    swept = names[arg]
    others = [a for a in [*names, *(p.name for p in keyword)] if a != swept]
    for unknown in [a for a in held if a not in others]:
        allowed = ", ".join(others) or "none"
        raise BadFunction(f"--fix {unknown}: not an argument of {name} that can be held; those are: {allowed}")
    missing = [p.name for p in [*positional, *keyword] if p.name in others and p.default is p.empty]
    if missing := [a for a in missing if a not in held]:
        raise BadFunction(f"{name} needs a value for {', '.join(missing)}; give --fix name=value for each")
    defaults = {p.name: p.default for p in positional}
    run = fn if grad is None else jax.grad(fn, argnums=grad)

    def scalar(x: Array) -> Array:
        values = [x if a == swept else _held_array(held.get(a, defaults[a]), x.dtype) for a in names]
        named = {p.name: _held_array(held[p.name], x.dtype) for p in keyword if p.name in held}
        return run(*values, **named)

    scalar.__name__ = name if grad is None else f"grad_{name}"
    return scalar


def check_scalar(scalar: Scalar, fmt: FloatFormat) -> None:
    """Traces a function of one scalar at `fmt`.

    **Raises:** `BadFunction` unless it takes a scalar of the format to one scalar of the same format.
    """
    name = getattr(scalar, "__name__", "the function")
    try:
        out = jax.eval_shape(scalar, jax.ShapeDtypeStruct((), fmt.dtype))
    except Exception as error:
        raise BadFunction(f"{name} does not take a {fmt.name} scalar: {_first_line(error)}") from error
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
    forms: Mapping[str, Scalar],
    *,
    reference: Scalar | None = None,
    name: str = "function",
    domain: tuple[float, float] = (-math.inf, math.inf),
    swept: str = "x",
) -> Study:
    """A study of several ways to write one real function of one scalar.

    **Arguments:** `forms` by name, each from a scalar of a format to a scalar of it; `reference` the function whose
    value in real arithmetic is the truth of all (the first form by default: in real numbers it
    does not matter which way it is written); `domain` the closed range of the swept scalar; `swept` its name.

    **Returns:** a `Study` for `engine.sweep` with `labels=[None]`. Where the truth is undefined, a NaN is right.
    """
    exact = reference or next(iter(forms.values()))

    def truth(z: np.ndarray, label: float, fmt: FloatFormat) -> Truth:
        return real.truth(exact, z, fmt=fmt)

    return Study(
        name=name,
        title=f"Where {name} fails",
        forms={n: as_form(f) for n, f in forms.items()},
        formulas={},
        truth=truth,
        domain=domain,
        swept=swept,
    )
