"""The public functions of JAX and optax that make a float of a float, found by trying every name.

A release of JAX brings its new functions by itself. What a name does not tell is declared: what an argument is held at,
functions of arrays by one of their numbers (`DECLARED`), and what is left out, and why (`LEFT_OUT`).
"""

from __future__ import annotations

import functools
import importlib.util
import inspect
import itertools
import warnings
from collections.abc import Callable, Iterator, Sequence
from types import ModuleType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import jax.scipy.special as special
import jax.scipy.stats as stats
import numpy as np
from jax import lax

HELD = {"a": 0.75, "b": 2.5, "c": 0.5, "k": 2.0, "labels": 0.25, "n": 5.0, "p": 0.25, "q": 0.25, "x": 0.25}
"""What an argument that is held is, by its name; `OTHER` where that says nothing."""

HELD_IN = {
    "lax.clamp": {"min": -1.5},
    "lax.zeta": {"x": 2.0},
    "lax.polygamma": {"m": 2.0},
    "stats.bernoulli": {"k": 1.0},
    "stats.pareto": {"x": 1.5},
    "stats.truncnorm": {"x": 1.5},
}
"""Where `HELD` is outside the domain, in a library or of one function."""

OTHER = 1.5

ALSO_HELD: dict[str, tuple[dict[int, float], ...]] = {
    "jnp.arctan2": ({1: -1e-3},),
    "jnp.hypot": ({1: 0.0}, {1: 1e-3}),
    "jnp.logaddexp": ({1: 0.0}, {1: -20.0}),
    "jnp.logaddexp2": ({1: 0.0},),
    "jnp.power": ({1: 0.5}, {1: 3.0}, {1: -0.5}, {0: 0.999}),
    "optax.sigmoid_binary_cross_entropy": ({1: 0.0}, {1: 1.0}),
    "optax.sigmoid_focal_loss": ({1: 0.0}, {1: 1.0}),
    "special.gammainc": ({0: 20.0},),
    "special.gammaincc": ({0: 20.0},),
    "special.xlog1py": ({0: 1.0}, {1: -0.5}),
    "special.xlogy": ({0: 1.0}, {1: 0.25}),
}
"""Functions of two numbers one of which, by its place, is held at these besides."""

MOST = 4
"""Arguments at most."""

WHOLE = 2
"""What an argument that must be a Python integer is held at."""

LOGITS, ROWS = (0.5, -1.25), ((0.125, 0.5, 0.375), (1.0, 0.0, 0.0))
"""What a loss of rows is given beside the one logit that varies, and as its other row."""


class Public(NamedTuple):
    """A function of one float: `name` says which argument it is, and what the others are held at."""

    name: str
    fn: Callable


def libraries() -> Iterator[tuple[str, ModuleType]]:
    """The public modules, and the names they go by."""
    yield from (("jnp", jnp), ("nn", jax.nn), ("lax", lax), ("special", special))
    for name in sorted(dir(stats)):
        module = getattr(stats, name)
        if not name.startswith("_") and inspect.ismodule(module):
            yield f"stats.{name}", module
    if importlib.util.find_spec("optax"):
        yield "optax", importlib.import_module("optax.losses")


NOTHING = "its argument, or a constant: nothing can be lost"
OF_FLOATS = "a function of floats, which has no derivative over the reals"
BY_INTENT = "its derivative is 0 by intent"

LEFT_OUT = {
    "jnp.unravel_index": "takes an index",
    "lax.select": "an integer that picks one of two can't be 2",
    **dict.fromkeys((f"jnp.{name}" for name in ("array", "asarray", "block", "broadcast_arrays", "conj")), NOTHING),
    **dict.fromkeys((f"jnp.{name}" for name in ("conjugate", "copy", "empty_like", "flip", "full_like")), NOTHING),
    **dict.fromkeys((f"jnp.{name}" for name in ("imag", "ones_like", "positive", "real", "roll")), NOTHING),
    **dict.fromkeys((f"jnp.{name}" for name in ("squeeze", "zeros_like")), NOTHING),
    **dict.fromkeys((f"lax.{name}" for name in ("broadcast_like", "full_like", "optimization_barrier")), NOTHING),
    **dict.fromkeys(("lax.stage", "nn.identity"), NOTHING),
    **dict.fromkeys(("jnp.nextafter", "jnp.spacing", "lax.nextafter", "jnp.frexp"), OF_FLOATS),
    "lax.stop_gradient": BY_INTENT,
}
"""By module and name."""


def members(module: ModuleType) -> Iterator[tuple[str, Callable]]:
    for name in sorted(dir(module)):
        fn = getattr(module, name)
        if not name.startswith("_") and callable(fn) and not inspect.isclass(fn):
            yield name, fn


def shapes(fn: Callable, shape: tuple[int, ...]) -> list | None:
    """What a function makes of a float32 array of a shape, or `None` where it does not take one."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            out = jax.tree.leaves(jax.eval_shape(lambda x: fn(x), jax.ShapeDtypeStruct(shape, np.float32)))
        return [(v.shape, v.dtype) for v in out]
    except Exception:
        return None


def elementwise(fn: Callable) -> list[int]:
    """Which outputs of a function are floats of the shape of its arguments, if all have that shape."""
    outputs = shapes(fn, ())
    if not outputs or {shape for shape, _ in outputs} != {()}:
        return []
    if {shape for shape, _ in shapes(fn, (2, 3)) or [((), None)]} != {(2, 3)}:
        return []
    return [k for k, (_, dtype) in enumerate(outputs) if jnp.issubdtype(dtype, jnp.floating)]


def required(fn: Callable) -> list[str]:
    """The names of the arguments that there must be, of one at least; none where that is not known."""
    if isinstance(fn, jnp.ufunc):
        return ["", ""][: fn.nin]
    try:
        given = list(inspect.signature(fn).parameters.values())
    except (TypeError, ValueError):
        return []
    by_place = [p for p in given if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return [p.name for p in by_place if p.default is p.empty] or [p.name for p in given[:1]]


def with_held(fn: Callable, by: int, values: list) -> Callable:
    """A function by one argument, the other floats as arrays like it."""

    def of_one(x):
        full = [jnp.full_like(x, v) if isinstance(v, float) else v for v in values]
        return fn(*full[:by], x, *full[by + 1 :])

    return of_one


def of_numbers(library: str, name: str, fn: Callable) -> Iterator[Public]:
    """A function of numbers, argument by argument: floats, or one of them an integer."""
    names = required(fn)
    known = HELD | HELD_IN.get(library, {}) | HELD_IN.get(f"{library}.{name}", {})
    floats = [known.get(n, OTHER) for n in names]
    for whole in (None, *range(len(names))) if 1 < len(names) <= MOST else (None,) * (len(names) == 1):
        values = [WHOLE if i == whole else v for i, v in enumerate(floats)]
        places = [i for i in range(len(names)) if i != whole]
        outputs = elementwise(with_held(fn, places[0], values))
        for by, k in itertools.product(places, outputs):
            text = ", ".join("x" if i == by else repr(v) for i, v in enumerate(values))
            several = f"[{k}]" * (len(outputs) > 1)
            yield Public(f"{library}.{name}({text}){several}", output(with_held(fn, by, values), k))
        if outputs:
            yield from also_held(f"{library}.{name}", fn)
            return


def also_held(label: str, fn: Callable) -> Iterator[Public]:
    """A function of two floats by the one that `ALSO_HELD` does not hold."""
    for held in ALSO_HELD.get(label, ()):
        ((place, value),) = held.items()
        text = f"{value!r}, x" if place == 0 else f"x, {value!r}"
        yield Public(f"{label}({text})", with_held(fn, 1 - place, [value, value]))


def output(fn: Callable, k: int) -> Callable:
    return lambda x: jax.tree.leaves(fn(x))[k]


def by_logit(fn: Callable, row: Sequence[float]) -> Callable:
    """A loss of rows by the first of three logits, its other row held."""
    return lambda x: fn(jnp.stack([x, *(jnp.asarray(v, x.dtype) for v in LOGITS)]), jnp.asarray(row, x.dtype))


def of_rows(label: str, fn: Callable) -> Iterator[Public]:
    """A loss of rows, by one logit."""
    for row in ROWS:
        if shapes(by_logit(fn, row), ()) == [((), np.dtype(np.float32))]:
            yield Public(f"{label}([x, 0.5, -1.25], {list(row)})", by_logit(fn, row))


def _logits(fn: Callable, other: float) -> Callable:
    """A function of a row of logits by the first of two, the other one held: its first output."""
    return lambda x: jnp.ravel(fn(jnp.stack([x, jnp.full_like(x, other)])))[0]


def _cosine_distance(x: Any) -> Any:
    """Of optax, between `[x, 1]` and `[1, 1]`."""
    optax = importlib.import_module("optax")
    return optax.losses.cosine_distance(jnp.stack([x, jnp.ones_like(x)]), jnp.ones(2, x.dtype))


DECLARED: dict[str, Callable] = {
    "jnp.linalg.norm([x, 0.0])": _logits(jnp.linalg.norm, 0.0),
    "jnp.linalg.norm([x, 1.0])": _logits(jnp.linalg.norm, 1.0),
    "nn.gelu(x, approximate=False)": functools.partial(jax.nn.gelu, approximate=False),
    "nn.log_softmax([x, 0.0])[0]": _logits(jax.nn.log_softmax, 0.0),
    "nn.logsumexp([x, 0.0])": _logits(jax.nn.logsumexp, 0.0),
    "nn.softmax([x, 0.0])[0]": _logits(jax.nn.softmax, 0.0),
    "optax.cosine_distance([x, 1.0], [1.0, 1.0])": _cosine_distance,
}
"""Functions of arrays, and of options, that no introspection finds."""


@functools.cache
def _of_member(label: str, name: str) -> tuple[Public, ...]:
    if f"{label}.{name}" in LEFT_OUT:
        return ()
    fn = getattr(dict(libraries())[label], name)
    return tuple(of_numbers(label, name, fn)) or (tuple(of_rows(f"{label}.{name}", fn)) if label == "optax" else ())


def public_functions(only: Callable[[str], bool] = lambda name: True) -> dict[str, Public]:
    """The functions, by name; one that goes by several names in a module once, `DECLARED` ones last.

    **Arguments:** `only` says of `module.name` whether it is wanted.
    """
    found: list[Public] = []
    for label, module in libraries():
        seen: list[Callable] = []
        for name, fn in members(module):
            if any(fn is other for other in seen):
                continue
            seen.append(fn)
            if only(f"{label}.{name}"):
                found += _of_member(label, name)
    found += [Public(name, fn) for name, fn in DECLARED.items() if only(stem(name)) and _is_there(name)]
    return {f.name: f for f in found}


def _is_there(name: str) -> bool:
    return not name.startswith("optax.") or importlib.util.find_spec("optax") is not None


def stem(name: str) -> str:
    """`module.name` of a function's full name."""
    return name.partition("(")[0]


def public_function(name: str) -> Public:
    """One of `public_functions`, found without looking at the others. **Raises:** `KeyError`."""
    if name in DECLARED:
        return Public(name, DECLARED[name])
    label, _, member = stem(name).rpartition(".")
    return {f.name: f for f in _of_member(label, member)}[name]
