"""The speed of truths by balls: sweeps of everyday functions in bfloat16, every float, under `jit`, on all cores.

Each of the sweeps takes under 20 s on two cores (a process a core, their start included); the true values of a gradient
of twenty equations take less than 2.5 times as long as the same equations written down in balls, on one core.
"""

from __future__ import annotations

import argparse
import time

import flint
import jax
import jax.numpy as jnp
import numpy as np
from flint import arb
from jax import Array

from stability import real
from stability.bench import figures
from stability.bench.timing import best_seconds
from stability.cli.arguments import Parser
from stability.cli.executors import executor
from stability.formats import FORMATS
from stability.study.functions import Named
from stability.sweep.engine import sweep

SECONDS = 20.0
RATIO = 2.5
BF16 = FORMATS["bfloat16"]


def log_softmax(x: Array) -> Array:
    """The first of two logits, the other 0."""
    return jax.nn.log_softmax(jnp.stack([x, jnp.zeros_like(x)]))[0]


def norm(x: Array) -> Array:
    """The length of nine numbers, `x` among them."""
    return jnp.linalg.norm(jnp.concatenate([x[None], jnp.arange(1, 9).astype(x.dtype)]))


def masked_entropy(x: Array) -> Array:
    """The entropy of four logits' softmax, a probability of 0 counted as 0."""
    p = jax.nn.softmax(jnp.stack([x, 0.5 + 0 * x, -1 + 0 * x, jnp.zeros_like(x)]))
    return -jnp.sum(jnp.where(p > 0, p * jnp.log(jnp.where(p > 0, p, 1)), 0))


def loss(z: Array) -> Array:
    """The cross-entropy of the course note at label 1, as it is written; its gradient has twenty equations."""
    a = jax.nn.sigmoid(z)
    return -(1.0 * jnp.log(a) + (1 - 1.0) * jnp.log(1 - a))


SWEEPS = {
    "softplus'": Named("jax.nn:softplus", argnum=0),
    "softplus''": Named("jax.nn:softplus", argnum=0, order=2),
    "digamma'": Named("jax.scipy.special:digamma", argnum=0),
    "i0": Named("jax.scipy.special:i0"),
    "gelu'": Named("jax.nn:gelu", argnum=0),
    "log_softmax": Named(f"{__name__}:log_softmax"),
    "norm": Named(f"{__name__}:norm"),
    "masked entropy": Named(f"{__name__}:masked_entropy"),
}


def by_hand(z: float) -> float:
    """The gradient of `loss` in balls, equation by equation, as someone would write it down."""
    x, one = arb(z), arb(1)
    a = one / (one + (-x).exp())
    rest = one - a
    outer = -one * (one / a)
    inner = -(arb(0) * (one / rest))
    slope = a * rest
    first, second = outer * slope, inner * -slope
    return float(first + second)


def ratio_by_hand() -> float:
    """The time of the true values of the gradient of `loss`, rounded and proven, over that of `by_hand` on its own."""
    gradient = jax.grad(loss)
    z = np.linspace(-20, 20, 1 << 14).astype(BF16.dtype)
    numbers = z.astype(np.float64).tolist()

    def in_balls() -> list[float]:
        with flint.ctx.workprec(128):
            return [by_hand(x) for x in numbers]

    seconds = best_seconds({"ours": lambda: real.truth(gradient, z, fmt=BF16), "hand": in_balls}, 5)
    print(f"{len(z) / seconds['ours']:,.0f} true values a second of a gradient of twenty equations")
    return seconds["ours"] / seconds["hand"]


def parser() -> Parser:
    return figures.parser("points", __doc__)


def run(args: argparse.Namespace) -> int:
    ratio = ratio_by_hand()
    print(f"{ratio:.2f} times the same equations written down in balls")
    seconds: dict[str, float] = {}
    states: dict[str, dict[str, int]] = {}
    for name, source in SWEEPS.items():
        begun = time.perf_counter()
        with executor(None, None, few=False) as pool:
            (row,) = sweep(source, dtypes=["bfloat16"], modes=["jit"], executor=pool).rows
        seconds[name], states[name] = round(time.perf_counter() - begun, 2), row.states
        print(f"{name:16} {seconds[name]:6.1f} s  {row.states}", flush=True)
    data = {"ratio_by_hand": round(ratio, 3), "seconds": seconds, "states": states}
    figures.write(args.out, "points", args.command, data)
    slow = [name for name, s in seconds.items() if s > SECONDS]
    if slow or ratio > RATIO:
        print(f"over the bar of {SECONDS:g} s, or {RATIO} times by hand: {', '.join(slow) or 'the gradient'}")
        return 1
    return 0
