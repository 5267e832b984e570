"""`stability bench nn`: what the functions of `stability.nn` cost beside their namesakes, and how far off both are.

The value and the gradient (`jax.vjp` with ones, both arrays returned, under `jit`) of 2**24 float32 of standard
deviation 4, in turn within one run: told are the medians over the rounds, of times and of their ratios in a round;
`copy` reads the array and writes two, which is the limit. Errors are the worst of the gradient over about 2**10 floats,
spread over all binades, in ulps of the true value, where that is a normal float. Where one of ours takes over 1.25
times as long as its namesake, or the median of the ratios is over 1, the exit status is 1. Those that reduce an axis
have a table of their own: the value, and the gradient at a random cotangent, of rows of 10 to 1,000 float32, told and
not asserted.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from stability import nn
from stability.bench import figures
from stability.bench.timing import median_ratio, seconds_by_round
from stability.cli.arguments import Parser, whole_number
from stability.formats import FORMATS
from stability.measure import error_in_ulps, true_is_normal
from stability.study.functions import hold, truth_of
from stability.sweep.points import floats_of

SINGLE = FORMATS["float32"]
EACH, MEDIAN = 1.25, 1.0
Pair = tuple[Callable, Callable]


def _of_zero(function: Callable) -> Callable:
    return lambda x: function(x, jnp.zeros_like(x))


def _exact(gelu: Callable) -> Callable:
    return lambda x: gelu(x, approximate=False)


def _gelu(x: jax.Array) -> jax.Array:
    """By tanh, with the constants of the formula and not those of a format."""
    x = x.astype(jnp.float64)
    u = jnp.sqrt(0.5 / jnp.arctan(jnp.ones_like(x))) * (x + 44715 * x**3 / 10**6)
    return x * jax.nn.sigmoid(2 * u)


ELEMENTWISE: dict[str, Pair] = {
    **{name: (getattr(nn, name), getattr(jax.nn, name)) for name in ("sigmoid", "log_sigmoid", "softplus", "silu")},
    **{name: (getattr(nn, name), getattr(jax.nn, name)) for name in ("mish", "elu", "celu", "selu", "squareplus")},
    "soft_sign": (nn.soft_sign, jax.nn.soft_sign),
    **{name: (getattr(nn, name), getattr(jnp, name)) for name in ("tanh", "expm1", "log1p")},
    "sinc": (nn.sinc, jnp.sinc),
    "gelu": (nn.gelu, jax.nn.gelu),
    "gelu, exact": (_exact(nn.gelu), _exact(jax.nn.gelu)),
    "logaddexp": (_of_zero(nn.logaddexp), _of_zero(jnp.logaddexp)),
}
"""Ours and its namesake, functions of one array."""

REDUCTIONS: dict[str, Pair] = {
    "softmax": (nn.softmax, jax.nn.softmax),
    "log_softmax": (nn.log_softmax, jax.nn.log_softmax),
    "logsumexp": (partial(nn.logsumexp, axis=-1), partial(jax.nn.logsumexp, axis=-1)),
    "norm": (partial(nn.norm, axis=-1), partial(jnp.linalg.norm, axis=-1)),
}
SHAPES = ((1 << 17, 10), (1 << 15, 100), (1 << 14, 1000))

MEANT = {"gelu": _gelu}
"""What is true, where it is not the namesake by its letter."""


def value_and_gradient(function: Callable) -> Callable:
    """Of the sum, both arrays, under `jit`."""

    def both(x):
        value, pull = jax.vjp(function, x)
        return value, pull(jnp.ones_like(value))[0]

    return jax.jit(both)


def worst_error(function: Callable, plain: Callable) -> float | None:
    """The worst error of the gradient of `function`, in ulps of that of `plain` in real arithmetic; `None`: NaN."""
    x = floats_of(SINGLE, (-SINGLE.max, SINGLE.max), 1 << 10, seed=0)
    with jax.enable_x64(True):
        truth = truth_of(hold(plain, argnum=0), x, SINGLE)
    gradient = np.asarray(value_and_gradient(function)(jnp.asarray(x))[1])
    ulps = error_in_ulps(gradient, truth)[true_is_normal(truth)]
    return None if np.isnan(ulps).any() else float(ulps.max())


def measured(name: str, pair: Pair, x: jax.Array, rounds: int) -> dict:
    """Milliseconds, their ratio, and the worst errors, of one function and its namesake."""
    runs: dict[str, Callable] = {"copy": jax.jit(lambda x: (x + 1, x - 1))}
    runs |= {who: value_and_gradient(function) for who, function in zip(("ours", "jax"), pair, strict=True)}
    seconds = seconds_by_round({who: partial(run, x) for who, run in runs.items()}, rounds)
    return {
        "function": name,
        "milliseconds": {who: round(1e3 * statistics.median(s), 3) for who, s in seconds.items()},
        "ratio": round(median_ratio(seconds, "ours", "jax"), 3),
        "gradient_ulps": {
            who: worst_error(f, MEANT.get(name, pair[1])) for who, f in zip(("ours", "jax"), pair, strict=True)
        },
    }


def reduced(name: str, pair: Pair, shape: tuple[int, int], rounds: int) -> dict:
    """Milliseconds of the value, and of value and gradient, of a function of the last axis and its namesake."""
    rng = np.random.default_rng(0)
    x = jnp.asarray(4 * rng.standard_normal(shape, dtype=np.float32))
    cotangent = jnp.asarray(rng.standard_normal(jax.eval_shape(pair[1], x).shape, dtype=np.float32))

    def both(function: Callable) -> Callable:
        def run(x, cotangent):
            value, pull = jax.vjp(function, x)
            return value, pull(cotangent)[0]

        return jax.jit(run)

    found: dict = {"function": name, "shape": shape}
    for task, made, inputs in (("value", jax.jit, (x,)), ("value and gradient", both, (x, cotangent))):
        runs = {who: partial(made(f), *inputs) for who, f in zip(("ours", "jax"), pair, strict=True)}
        seconds = seconds_by_round(runs, rounds)
        found[task] = {who: round(1e3 * statistics.median(s), 3) for who, s in seconds.items()}
        found[task]["ratio"] = round(median_ratio(seconds, "ours", "jax"), 3)
    return found


def parser() -> Parser:
    p = figures.parser("nn", __doc__)
    p.add_argument("--exponent", type=whole_number(1), default=24, help="2**EXPONENT floats (default %(default)s)")
    p.add_argument("--rounds", type=whole_number(1), default=15, help="rounds, the median counts (default %(default)s)")
    return p


def run(args: argparse.Namespace) -> int:
    x = jnp.asarray(4 * np.random.default_rng(0).standard_normal(1 << args.exponent, dtype=np.float32))
    rows = []
    for name, pair in ELEMENTWISE.items():
        rows.append(measured(name, pair, x, args.rounds))
        times, ulps = rows[-1]["milliseconds"], rows[-1]["gradient_ulps"]
        told = ", ".join(f"{who} {'NaN' if u is None else format(u, '.4g')}" for who, u in ulps.items())
        each = f"{times['ours']:.1f} ms, jax {times['jax']:.1f}, copy {times['copy']:.1f}"
        print(f"{name:12} {rows[-1]['ratio']:.2f} ({each}); gradient off by [ulps] {told}", flush=True)
    reductions = []
    for name, pair in REDUCTIONS.items():
        for shape in SHAPES:
            reductions.append(reduced(name, pair, shape, args.rounds))
            told = ", ".join(f"{task} {reductions[-1][task]['ratio']:.2f}" for task in ("value", "value and gradient"))
            print(f"{name:12} of {shape[0]} x {shape[1]}: {told}", flush=True)
    ratios = [row["ratio"] for row in rows]
    median = statistics.median(ratios)
    measured_now = {"functions": rows, "median_ratio": median, "worst_ratio": max(ratios), "reductions": reductions}
    figures.write(args.out, "nn", args.command, measured_now)
    print(f"median {median:.2f}, worst {max(ratios):.2f} times the namesake's time")
    return int(max(ratios) > EACH or median > MEDIAN)
