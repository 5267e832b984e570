"""Public threads on inaccurate derivatives and values, as far as they name a function and an input.

In a thread of another framework the function is JAX's of that name, and the fault may not be JAX's. What a thread is
about, and its state, are as read on 2026-11-29.
"""

from __future__ import annotations

import functools
import json
from importlib.resources import files
from typing import NamedTuple


class Thread(NamedTuple):
    """**Attributes:** `functions` by the names of the atlas; `order` of the derivative and `points` the inputs that are
    reported, of `dtype`; `state` open, closed or merged; `is_pull` whether it is a pull request."""

    repository: str
    number: int
    title: str
    functions: tuple[str, ...]
    order: int
    dtype: str
    points: tuple[float, ...]
    state: str
    is_pull: bool

    @property
    def url(self) -> str:
        return f"https://github.com/{self.repository}/{'pull' if self.is_pull else 'issues'}/{self.number}"


@functools.cache
def threads() -> tuple[Thread, ...]:
    """All of them, from `threads.json`."""
    told = json.loads(files("stability.atlas").joinpath("threads.json").read_text(encoding="utf-8"))
    of_json = {"functions": tuple, "points": lambda points: tuple(map(float, points))}
    return tuple(Thread(**{k: of_json.get(k, lambda v: v)(v) for k, v in t.items()}) for t in told)


def threads_of(function: str) -> tuple[Thread, ...]:
    """The threads about a function, by its name."""
    return tuple(t for t in threads() if function in t.functions)
