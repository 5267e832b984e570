"""Derivative rules side by side: what a library differentiates by, what was proposed for it, and what is offered here.

A rule is the function with another derivative (`jax.custom_jvp`): `rule(derivative)` says what the first one is, and
JAX differentiates that text for the second. Sources are the threads of `stability.atlas.threads`.
"""

from __future__ import annotations

import ast
import functools
import importlib
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array, lax

from stability.atlas.functions import by_logit, public_function, stem

Derivative = Callable[[Array, Array], Array]
"""From the argument and the value there to the slope."""

DEFAULT = "JAX"
OURS = "stability"


def with_rule(fn: Callable[[Array], Array], derivative: Derivative) -> Callable[[Array], Array]:
    """`fn` with another derivative."""

    @jax.custom_jvp
    def function(x: Array) -> Array:
        return fn(x)

    @function.defjvp
    def _(primals, tangents):
        (x,), (t,) = primals, tangents
        y = function(x)
        return y, t * derivative(x, y)

    return function


def _highest(fn: Callable) -> Callable[[Array], Array]:
    return functools.partial(fn, accuracy=lax.AccuracyMode.HIGHEST)


def _logistic_slope(x: Array) -> Array:
    e = jnp.exp(-jnp.abs(x))
    return e / ((1 + e) * (1 + e))


def _tanh_slope(x: Array) -> Array:
    e = jnp.exp(-2 * jnp.abs(x))
    return 4 * e / ((1 + e) * (1 + e))


def _silu_slope(x: Array) -> Array:
    s = lax.logistic(x)
    return s + x * s * (1 - s)


def _in_exponentials(x: Array) -> Array:
    """The slope of silu in `e^x` below 0, and in the logistic function above it."""
    e, s = jnp.exp(jnp.minimum(x, 0)), lax.logistic(x)
    return jnp.where(x < 0, e * (1 + e + x) / ((1 + e) * (1 + e)), s * (1 + x * (1 - s)))


SIGMOID: dict[str, Derivative] = {
    "a (1 - a)": lambda x, a: a * (1 - a),
    "σ(x) σ(-x)": lambda x, a: a * lax.logistic(-x),
    "e / (1 + e)², e = exp(-|x|)": lambda x, a: _logistic_slope(x),
}
TANH: dict[str, Derivative] = {
    "(1 + y) - y (1 + y)": lambda x, y: (1 + y) - y * (1 + y),
    "1 - y²": lambda x, y: 1 - y * y,
    "(1 - y) (1 + y)": lambda x, y: (1 - y) * (1 + y),
    "4 e / (1 + e)², e = exp(-2|x|)": lambda x, y: _tanh_slope(x),
}
EXPM1: dict[str, Derivative] = {
    "y + 1": lambda x, y: y + 1,
    "exp(x)": lambda x, y: jnp.exp(x),
}
I0: dict[str, Derivative] = {"i1(x)": lambda x, y: jax.scipy.special.i1(x)}
SILU: dict[str, Derivative] = {
    "s + x s (1 - s)": lambda x, y: _silu_slope(x),
    "e (1 + e + x) / (1 + e)² below 0": lambda x, y: _in_exponentials(x),
}
LOG_SIGMOID: dict[str, Derivative] = {"σ(-x)": lambda x, y: lax.logistic(-x)}
SOFTPLUS: dict[str, Derivative] = {"σ(x)": lambda x, y: lax.logistic(x)}
LOG1P: dict[str, Derivative] = {"1 / (1 + x)": lambda x, y: 1 / (1 + x)}
ASINH: dict[str, Derivative] = {
    "rsqrt(x² + 1)": lambda x, y: lax.rsqrt(x * x + 1),
    "1 / hypot(1, x)": lambda x, y: 1 / jnp.hypot(jnp.ones_like(x), x),
}
ACOSH: dict[str, Derivative] = {
    "rsqrt(x² - 1)": lambda x, y: lax.rsqrt(x * x - 1),
    "rsqrt(x - 1) rsqrt(x + 1)": lambda x, y: lax.rsqrt(x - 1) * lax.rsqrt(x + 1),
}
ELU: dict[str, Derivative] = {"exp(x) below 0": lambda x, y: jnp.where(x > 0, 1, jnp.exp(jnp.minimum(x, 0)))}
SQRT: dict[str, Derivative] = {
    "1 / (2 y)": lambda x, y: 1 / (2 * y),
    "y / (2 x)": lambda x, y: y / (2 * x),
}

RULES: dict[str, dict[str, Derivative]] = {
    "jnp.arccosh(x)": ACOSH,
    "jnp.arcsinh(x)": ASINH,
    "jnp.expm1(x)": EXPM1,
    "jnp.i0(x)": I0,
    "jnp.log1p(x)": LOG1P,
    "jnp.sqrt(x)": SQRT,
    "jnp.tanh(x)": TANH,
    "nn.elu(x)": ELU,
    "nn.log_sigmoid(x)": LOG_SIGMOID,
    "nn.sigmoid(x)": SIGMOID,
    "nn.silu(x)": SILU,
    "nn.softplus(x)": SOFTPLUS,
}
"""By the function's name, and the rule's text."""

HIGHEST: dict[str, Callable[[Array], Array]] = {
    "jnp.expm1(x)": _highest(lax.expm1),
    "jnp.log1p(x)": _highest(lax.log1p),
    "jnp.sqrt(x)": _highest(lax.sqrt),
    "jnp.tanh(x)": _highest(lax.tanh),
    "nn.sigmoid(x)": _highest(lax.logistic),
}
"""Functions whose primitive takes `accuracy=AccuracyMode.HIGHEST`, with it."""

HIGHEST_NAME = "accuracy=HIGHEST"


def _ours(name: str) -> Callable[[Array], Array] | None:
    """The function of this package that stands in for one of `jnp`, `nn`, `lax` or `optax`."""
    where, _, member = stem(name).rpartition(".")
    room = ROOMS.get(where)
    if room is None or name in OTHERS:
        return None
    fn = getattr(importlib.import_module(room), OTHER_NAMES.get(member, member), None)
    if fn is None or where != "optax":
        return None if fn is None else _applied(fn, name)
    if "[" in name:
        return by_logit(fn, ast.literal_eval(name.split("], ")[1].removesuffix(")")))
    return _applied(fn, name) if "(x, " in name else None


ROOMS = dict.fromkeys(("jnp", "jnp.linalg", "nn", "lax"), "stability.nn") | {"optax": "stability.losses"}
"""Where the functions are that stand in for those of a library; those of losses by their logits."""

OTHERS = {"nn.gelu(x)": "by tanh, with constants that no format has rounded"}
"""Functions of `stability.nn` that are not the same real function as their namesake's text, and why."""

OTHER_NAMES = {"logistic": "sigmoid"}
"""Of functions of `stability.nn`, in `lax`."""


def _applied(fn: Callable, name: str) -> Callable[[Array], Array] | None:
    """A namesake with the arguments that a name tells: `x` and numbers, or options."""
    inside = name.partition("(")[2].removesuffix(")")
    parts = [part.strip() for part in inside.split(",")]
    if any("[" in part for part in parts):
        return None
    options = {k: v == "True" for k, _, v in (p.partition("=") for p in parts if "=" in p)}
    places = [p for p in parts if "=" not in p]
    return lambda x: fn(*(x if p == "x" else jnp.full_like(x, float(p)) for p in places), **options)


def rules_of(name: str) -> dict[str, Callable[[Array], Array]]:
    """The function of a name as the library has it, and by every other rule there is for it, by the rule's text."""
    fn = public_function(name).fn
    found = {DEFAULT: fn}
    if name in HIGHEST:
        found[HIGHEST_NAME] = HIGHEST[name]
    found |= {text: with_rule(fn, derivative) for text, derivative in RULES.get(name, {}).items()}
    ours = _ours(name)
    return found | ({OURS: ours} if ours is not None else {})
