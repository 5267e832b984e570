"""Where the rows of a sweep are measured: this process, processes of this machine, or a cluster."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError, Executor, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import forkserver
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from typing import NoReturn

from stability.cli.arguments import whole_number
from stability.study.loading import first_line


class NoExecutor(ValueError):
    """Why processes or a cluster can't be used, in one line."""


def add_arguments(p: argparse.ArgumentParser) -> None:
    """Adds the options of `executor`."""
    p.add_argument(
        "--jobs",
        type=whole_number(1),
        metavar="N",
        help="processes that measure (default a process a core, and this one alone for few rows)",
    )
    p.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="measure on the workers of this dask.distributed scheduler (the extra `cluster`)",
    )


@contextmanager
def executor(jobs: int | None, scheduler: str | None, few: bool, apart: bool = False) -> Iterator[Executor | None]:
    """What runs tasks, `None` for this thread, which is where one process measures unless many tasks shall be `apart`.

    **Raises:** `NoExecutor`.
    """
    if scheduler is not None:
        with _cluster(scheduler) as found:
            yield found
    elif processes(jobs, few) == 1 and (few or not apart):
        yield None
    else:
        pool = ProcessPoolExecutor(processes(jobs, few), mp_context=_context(), initializer=_bound)
        try:
            yield pool
        except BrokenProcessPool:
            told = f"--jobs {jobs}: one of the processes was ended from outside; fewer need less memory"
            raise NoExecutor(told) from None
        except KeyboardInterrupt:
            for process in multiprocessing.active_children():
                process.terminate()
            raise
        finally:
            pool.shutdown(cancel_futures=True)


def _bound() -> None:
    """Makes a process end with the one that began it, to which interrupts from the keyboard are left."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_ended_with, args=(multiprocessing.parent_process(),), daemon=True).start()


def _ended_with(parent: BaseProcess) -> NoReturn:
    parent.join()
    os._exit(1)


def _context() -> BaseContext:
    """How processes start: on Linux as forks of one, begun here, that has loaded what measures and draws.

    It runs nothing of JAX, whose threads a fork would not have.
    """
    if sys.platform != "linux":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["stability.sweep.rows", "stability.study.sigmoid", "stability.report.plots"])
    forkserver.ensure_running()
    return context


def processes(jobs: int | None, few: bool) -> int:
    """How many processes measure: those asked for, or this one alone for few rows, or one a core."""
    if jobs or few:
        return jobs or 1
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


@contextmanager
def _cluster(address: str) -> Iterator[Executor]:
    try:
        from distributed import Client, KilledWorker
    except ImportError:
        raise NoExecutor("--scheduler: dask.distributed is not installed; the extra `cluster` brings it") from None
    try:
        client = Client(address, timeout="10s")
    except Exception as error:
        raise NoExecutor(f"--scheduler {address}: {first_line(error)}") from error
    with client:
        try:
            yield client.get_executor()
        except (CancelledError, KilledWorker) as error:
            raise NoExecutor(f"--scheduler {address}: the cluster gave up: {first_line(error)}") from error
