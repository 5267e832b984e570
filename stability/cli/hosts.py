"""An exhaustive sweep over several processes: finding the others."""

from __future__ import annotations

import argparse
import socket
import time

import jax

from stability.study.loading import first_line

REACHED_SECONDS = 300.0
"""How long a process waits for the first one."""


def address(text: str) -> str:
    """`auto`, or HOST:PORT."""
    host, _, port = text.rpartition(":")
    if text != "auto" and not (host and port.isdecimal() and 0 < int(port) < 2**16):
        raise argparse.ArgumentTypeError(f"{text!r} is neither HOST:PORT nor auto")
    return text


def join(coordinator: str, processes: int | None, process: int | None) -> None:
    """Joins the other processes of a sweep. **Raises:** `ValueError`."""
    try:
        if coordinator == "auto":
            jax.distributed.initialize()
        else:
            _reach(coordinator, first=process == 0)
            jax.distributed.initialize(coordinator, processes, process)
    except (OSError, RuntimeError, ValueError) as error:
        raise ValueError(f"--coordinator {coordinator}: {first_line(error)}") from error


def _reach(coordinator: str, first: bool) -> None:
    """Waits until the first process answers. **Raises:** `OSError`, where JAX itself would abort."""
    host, _, port = coordinator.rpartition(":")
    place = host.strip("[]"), int(port)
    socket.getaddrinfo(*place)
    last = time.monotonic() + REACHED_SECONDS
    while not first:
        try:
            socket.create_connection(place, 5).close()
            return
        except OSError:
            if time.monotonic() > last:
                raise
            time.sleep(0.1)
