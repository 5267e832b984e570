"""Programs that do not end: told after a while, and left with the process in which they go on."""

from __future__ import annotations

import os
import queue
import sys
import threading
from collections.abc import Callable
from typing import TypeVar, cast

PATIENCE = 60.0
"""Seconds after which a program, made and run, is taken for one that does not end: ten times what the slowest takes
that does."""

PATIENCE_WITH_MANY = 120.0
"""The same for a call that runs many programs."""


class Endless(RuntimeError):
    """A program that does not end; it goes on in this process."""


T = TypeVar("T")


def finished(run: Callable[[], T], seconds: float) -> T:
    """What a call gives, made in a thread of its own, in which the configuration of JAX is as it begins.

    **Raises:** `Endless`, and what the call raises.
    """
    found: queue.SimpleQueue[tuple[T | None, Exception | None]] = queue.SimpleQueue()

    def go() -> None:
        try:
            found.put((run(), None))
        except Exception as error:
            found.put((None, error))

    threading.Thread(target=go, daemon=True).start()
    try:
        value, error = found.get(timeout=seconds)
    except queue.Empty:
        raise Endless(f"does not end within {seconds:g} s") from None
    if error is not None:
        raise error
    return cast(T, value)


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
