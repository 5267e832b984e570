"""What a derivative rule costs: rules of a function timed in turn in one process."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

import jax
import jax.numpy as jnp
import numpy as np

from stability.atlas.rules import DEFAULT, rules_of

SIZE = 1 << 20
ROUNDS = 7


def seconds_by_rule(functions: Iterable[str]) -> dict[str, dict[str, float]]:
    """The least time of a value with its derivative at `SIZE` float32 under `jit`, by function and rule, as a ratio to
    that of JAX's own rule; of functions that have more than one, and of rules that this backend can run."""
    x = jnp.asarray(np.random.default_rng(0).uniform(1, 4, SIZE), jnp.float32)
    found = {}
    for name in functions:
        rules = rules_of(name)
        if len(rules) > 1:
            compiled = {
                rule: jax.jit(lambda x, fn=fn: jax.jvp(fn, (x,), (jnp.ones_like(x),))) for rule, fn in rules.items()
            }
            compiled = {rule: run for rule, run in compiled.items() if _runs(run, x)}
            best = dict.fromkeys(compiled, float("inf"))
            for _ in range(ROUNDS):
                for rule, run in compiled.items():
                    begun = time.perf_counter()
                    jax.block_until_ready(run(x))
                    best[rule] = min(best[rule], time.perf_counter() - begun)
            found[name] = {rule: round(seconds / best[DEFAULT], 3) for rule, seconds in best.items()}
    return found


def _runs(run: Callable, x: jax.Array) -> bool:
    """Whether a program compiles and runs here."""
    try:
        jax.block_until_ready(run(x))
    except Exception:
        return False
    return True
