"""Programs that do not end: told after a while, and left with the process in which they go on."""

from __future__ import annotations

import contextlib
import os
import sys
import threading

import jax
import numpy as np
from jax import Array

PATIENCE = 120.0
"""Seconds after which a program is taken for one that does not end."""


class Endless(RuntimeError):
    """A program that does not end; it goes on in this process."""


def awaited(result: Array, seconds: float = PATIENCE) -> np.ndarray:
    """A result, when it is there. **Raises:** `Endless`."""
    waiting = threading.Thread(target=_ended, args=(result,), daemon=True)
    waiting.start()
    waiting.join(seconds)
    if waiting.is_alive():
        raise Endless(f"does not end within {seconds:g} s")
    return np.asarray(result)


def _ended(result: Array) -> None:
    """Returns when a result is there, or has failed."""
    with contextlib.suppress(Exception):
        jax.block_until_ready(result)


_tasks: list[object] = []
"""The tasks whose programs go on in this process."""


def goes_on(task: object) -> bool:
    """Whether a program of a task goes on in this process."""
    return task in _tasks


def note(task: object, error: Exception) -> None:
    """Notes a task whose program does not end, where that is the error."""
    if isinstance(error, Endless):
        _tasks.append(task)


def leave(status: int) -> None:
    """Ends this process if a program goes on in it, which Python would wait for."""
    if _tasks:
        sys.stdout.flush()
        os._exit(status)
