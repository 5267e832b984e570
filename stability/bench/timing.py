"""Times of alternatives measured in turn, so that what slows the machine down slows all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import jax

SLICE = 0.01
"""Seconds that a round gives each alternative: short calls are repeated for as long."""


def best_seconds(alternatives: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """The least time of a call of each alternative over `rounds` rounds, in seconds; one uncounted call comes first.

    **Arguments:** `alternatives` by name, functions of no argument whose result is waited for
    (`jax.block_until_ready`); every round calls each of them in order, once or until `SLICE` has passed.
    """
    for run in alternatives.values():
        jax.block_until_ready(run())
    best = dict.fromkeys(alternatives, float("inf"))
    for _ in range(rounds):
        for name, run in alternatives.items():
            end = time.perf_counter() + SLICE
            while True:
                start = time.perf_counter()
                jax.block_until_ready(run())
                stop = time.perf_counter()
                best[name] = min(best[name], stop - start)
                if stop >= end:
                    break
    return best
