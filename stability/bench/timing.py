"""Times of alternatives measured in turn, so that what slows the machine down slows all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import jax


def best_seconds(alternatives: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """The least time of each alternative over `rounds` rounds, in seconds; one uncounted call each comes first.

    **Arguments:** `alternatives` by name, functions of no argument whose result is waited for
    (`jax.block_until_ready`); every round calls each of them once, in order.
    """
    for run in alternatives.values():
        jax.block_until_ready(run())
    best = dict.fromkeys(alternatives, float("inf"))
    for _ in range(rounds):
        for name, run in alternatives.items():
            start = time.perf_counter()
            jax.block_until_ready(run())
            best[name] = min(best[name], time.perf_counter() - start)
    return best
