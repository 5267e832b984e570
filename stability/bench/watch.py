"""`stability bench watch`: a training step that is watched, beside the same step by itself.

The gradient of a network of three layers (1,024 wide, a batch of 256, 2.1 million parameters, float32). The bars: a
watched call takes at most 6 times as long as the jitted step, and what is run beside it at most 4 times its memory and
8 s to compile; with every hundredth call watched, all take at most 6 % longer.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from stability.bench import figures
from stability.bench.timing import best_seconds
from stability.cli.arguments import Parser, whole_number
from stability.watching import watch

WIDTH, BATCH = 1024, 256
TIME, MEMORY, COMPILE, SELDOM = 6.0, 4.0, 8.0, 1.06
EVERY = 100


def loss(layers: list, x: Array, y: Array) -> Array:
    """The mean cross-entropy of a network of rectifiers with one output."""
    for w, b in layers[:-1]:
        x = jax.nn.relu(x @ w + b)
    w, b = layers[-1]
    z = (x @ w + b)[:, 0]
    return jnp.mean(jnp.maximum(z, 0) - z * y + jnp.log1p(jnp.exp(-jnp.abs(z))))


def arguments() -> tuple[list, Array, Array]:
    """Weights of He's variance, inputs of variance 1 and labels 0 and 1."""
    rng = np.random.default_rng(0)

    def normal(shape: tuple[int, ...], scale: float) -> Array:
        return jnp.asarray(scale * rng.standard_normal(shape, np.float32))

    shapes = ((WIDTH, WIDTH), (WIDTH, WIDTH), (WIDTH, 1))
    layers = [(normal(s, (2 / s[0]) ** 0.5), jnp.zeros(s[1], jnp.float32)) for s in shapes]
    return layers, normal((BATCH, WIDTH), 1.0), jnp.asarray(rng.random(BATCH) < 0.5, jnp.float32)


def bytes_of(compiled: Any) -> int:
    """What an XLA computation holds at most: arguments, results and what it needs between."""
    m = compiled.memory_analysis()
    return m.argument_size_in_bytes + m.output_size_in_bytes + m.temp_size_in_bytes - m.alias_size_in_bytes


def measured(rounds: int) -> dict[str, float]:
    """Ratios to the jitted step, and the seconds of the first watched call less those of a later one."""
    args, step = arguments(), jax.jit(jax.grad(loss))
    jax.block_until_ready(step(*args))
    watched = watch(step)
    begun = time.perf_counter()
    jax.block_until_ready(watched(*args))
    first = time.perf_counter() - begun
    seldom = watch(step, every=1 << 30)
    jax.block_until_ready(seldom(*args))
    alternatives: dict[str, Callable] = {"step": step, "watched": watched, "passed on": seldom}
    seconds = best_seconds({name: partial(each, *args) for name, each in alternatives.items()}, rounds)
    if watched.findings:
        raise RuntimeError(f"a healthy step is not found to be one: {watched.findings[0]}")
    of_step = bytes_of(step.lower(*args).compile())
    beside = bytes_of(watched.beside(*args).compile())
    return {
        "step_milliseconds": 1e3 * seconds["step"],
        "time_ratio": seconds["watched"] / seconds["step"],
        "seldom_ratio": (seconds["watched"] + (EVERY - 1) * seconds["passed on"]) / (EVERY * seconds["step"]),
        "memory_ratio": beside / of_step,
        "compile_seconds": first - seconds["watched"],
    }


def parser() -> Parser:
    p = figures.parser("watch", __doc__)
    p.add_argument("--rounds", type=whole_number(1), default=15, help="rounds, the best counts (default %(default)s)")
    return p


def run(args: argparse.Namespace) -> int:
    found = {name: round(x, 3) for name, x in measured(args.rounds).items()}
    figures.write(args.out, "watch", args.command, found)
    print(
        f"a watched call takes {found['time_ratio']:.2f} times the step's {found['step_milliseconds']:.0f} ms; every "
        f"{EVERY}th watched, all take {found['seldom_ratio']:.3f} times as long\n"
        f"what is run beside it takes {found['memory_ratio']:.2f} times the step's memory, and "
        f"{found['compile_seconds']:.1f} s to compile"
    )
    bars = {"time_ratio": TIME, "memory_ratio": MEMORY, "compile_seconds": COMPILE, "seldom_ratio": SELDOM}
    over = [name for name, bar in bars.items() if found[name] > bar]
    if over:
        print(f"over the bar: {', '.join(f'{name} {bars[name]:g}' for name in over)}")
    return int(bool(over))
