"""Times of alternatives measured in turn, so that what slows the machine down slows all of them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

import jax

SLICE = 0.01
"""Seconds that a round gives each alternative: short calls are repeated for as long."""


def seconds_by_round(alternatives: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """The least time of a call of each alternative in each of `rounds` rounds, in seconds; one uncounted call comes
    first.

    **Arguments:** `alternatives` by name, functions of no argument whose result is waited for
    (`jax.block_until_ready`); every round calls each of them in order, once or until `SLICE` has passed.
    """
    for run in alternatives.values():
        jax.block_until_ready(run())
    found: dict[str, list[float]] = {name: [] for name in alternatives}
    for _ in range(rounds):
        for name, run in alternatives.items():
            end, best = time.perf_counter() + SLICE, float("inf")
            while True:
                start = time.perf_counter()
                jax.block_until_ready(run())
                stop = time.perf_counter()
                best = min(best, stop - start)
                if stop >= end:
                    break
            found[name].append(best)
    return found


def best_seconds(alternatives: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """The least time of a call of each alternative over all rounds; arguments as of `seconds_by_round`."""
    return {name: min(times) for name, times in seconds_by_round(alternatives, rounds).items()}


def median_ratio(times: Mapping[str, list[float]], one: str, other: str) -> float:
    """The median over the rounds of the time of one alternative over that of another: a round in which one of them was
    lucky with its memory counts as one round."""
    return statistics.median(a / b for a, b in zip(times[one], times[other], strict=True))
