"""Where the rows of a sweep are measured: this process, processes of this machine, or a cluster."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import forkserver, resource_tracker
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from typing import NoReturn, ParamSpec, TypeVar

from stability.cli.arguments import whole_number
from stability.study.loading import first_line

P = ParamSpec("P")
T = TypeVar("T")


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


class _Pool(ProcessPoolExecutor):
    """Processes that start whole or not at all: an interrupt waits for what is handed on."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        if threading.current_thread() is not threading.main_thread():
            return super().submit(fn, *args, **kwargs)
        come: list[int] = []
        before = {n: signal.signal(n, lambda number, _: come.append(number)) for n in (signal.SIGINT, signal.SIGTERM)}
        try:
            return super().submit(fn, *args, **kwargs)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            for first in come[:1]:
                signal.raise_signal(first)


@contextmanager
def executor(jobs: int | None, scheduler: str | None, few: bool, apart: bool = False) -> Iterator[Executor | None]:
    """What runs tasks, `None` for this thread, which is where one process measures unless many tasks shall be `apart`.

    **Raises:** `NoExecutor`.
    """
    if scheduler is not None:
        with _cluster(scheduler) as found:
            yield found
    elif (count := processes(jobs, few)) == 1 and (few or not apart):
        yield None
    else:
        pool = _Pool(count, mp_context=_context(), initializer=_bound)
        try:
            yield pool
        except BrokenProcessPool:
            told = f"--jobs {jobs}: one of the processes was ended from outside; fewer need less memory"
            raise NoExecutor(told) from None
        except KeyboardInterrupt:
            _end(pool, count)
            raise
        finally:
            pool.shutdown(cancel_futures=True)


def _end(pool: ProcessPoolExecutor, count: int) -> None:
    """Makes the shutdown of `pool` end its `count` processes, whatever they are at.

    They end when the pool has let go of all that was to begin: one whose processes are gone fails on futures that
    are cancelled. It lets go in order, so that the last of some tasks added here tells. Some are handed on before, to
    wait for a process: at most one more than there are processes.
    """
    try:
        last = [pool.submit(int) for _ in range(count + 2)][-1]
    except BrokenProcessPool:
        _terminate(None)
    else:
        last.add_done_callback(_terminate)


def _terminate(_: Future[int] | None) -> None:
    for process in multiprocessing.active_children():
        process.terminate()


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
    # It and all that it begins have the interrupts blocked that are blocked here; the tracker would unblock them.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
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
