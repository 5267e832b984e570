"""`stability bench sweep`: the exhaustive sweep of float32 beside its limit and its alternatives.

Every measurement is a process of its own, so that its memory is its own, and compiles what it runs.

- *swept*: all nine forms of the derivation at labels 0 and 1 on all 2**32 floats, measured and reduced;
- *evaluated*: the same forms merely evaluated on the same inputs, their bits summed so that nothing is optimised away,
  in blocks that fit the cache, on all devices; and *evaluated in chunks* of 2**20 floats, as one would first write it;
- the same job as people do it today: a loop over chunks in NumPy with a float64 truth, `ulpwise` and `mpmath` where
  installed, each on what it can do in a few seconds;
- the rate and the peak memory from 2**24 floats up; one device on one core, two devices on two; 20 kills.
"""

from __future__ import annotations

import argparse
import filecmp
import multiprocessing
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec
from rich.console import Console
from rich.table import Table

from stability.bench import figures
from stability.cli.arguments import Parser
from stability.environment import environment
from stability.files import write_json
from stability.study.sigmoid import STUDY
from stability.sweep import exhaustive
from stability.sweep.blocks import BLOCK

FORMS = [
    "chain_split",
    "chain_common",
    "chain_expanded",
    "chain_combined",
    "autodiff",
    "autodiff_textbook",
    "cancelled",
    "componentwise",
    "logits",
]
LABELS = [0.0, 1.0]
EVALUATIONS = len(FORMS) * len(LABELS)
CHUNK = 1 << 20
SECONDS = 5.0
FLAT = (24, 26, 28, 30)
DENSE = (15000, 17048)
KILLS = 20


def _isolated(function: Callable, *arguments, cores: int | None = None, devices: int = 1) -> Any:
    """`function(*arguments)` in a fresh process with float64, on the first `cores` cores and that many devices."""
    previous = os.environ.get("XLA_FLAGS")
    os.environ["XLA_FLAGS"] = f"{previous or ''} --xla_force_host_platform_device_count={devices}".strip()
    try:
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), _ready, (cores,)) as pool:
            return pool.submit(function, *arguments).result()
    finally:
        if previous is None:
            del os.environ["XLA_FLAGS"]
        else:
            os.environ["XLA_FLAGS"] = previous


def _ready(cores: int | None) -> None:
    if cores:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    jax.config.update("jax_enable_x64", True)


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _swept(span: tuple[int, int]) -> dict:
    """The blocks of `span` swept: seconds with and without compiling, and the peak memory in bytes."""
    last = exhaustive.Progress(0, 0, 0, 0.0, 0.0)

    def progress(p: exhaustive.Progress) -> None:
        nonlocal last
        last = p

    start = time.perf_counter()
    streams = exhaustive.sweep(STUDY, forms=FORMS, labels=LABELS, tolerance=16.0, span=span, progress=progress)
    return {
        "floats": last.total,
        "seconds": time.perf_counter() - start,
        "seconds_after_compiling": last.seconds,
        "bytes": _peak(),
        "undecided": sum(s.undecided for s in streams),
    }


def _sums(size: int):
    """A function of the first bit patterns of blocks of `size` floats, uint32 `(blocks,)`, and of the labels."""

    def block(first, labels):
        z = jax.lax.bitcast_convert_type(first + jnp.arange(size, dtype=jnp.uint32), jnp.float32)
        results = [STUDY.forms[form](z, labels[i]) for form in FORMS for i in range(len(LABELS))]
        return sum(jax.lax.bitcast_convert_type(r, jnp.int32).sum(dtype=jnp.int32) for r in results)

    return lambda firsts, labels: jax.lax.map(lambda first: block(first, labels), firsts)


def _evaluated(size: int, blocks: int) -> dict:
    """The forms merely evaluated on every bit pattern, in blocks of `size`, `blocks` a device and a call."""
    mesh = Mesh(np.array(jax.devices()), ("blocks",))
    spec = PartitionSpec("blocks")
    specs = (spec, PartitionSpec())
    sums = jax.jit(jax.shard_map(_sums(size), mesh=mesh, in_specs=specs, out_specs=spec, check_vma=False))
    labels = np.array(LABELS, np.float32)
    firsts = np.arange(0, 1 << 32, size, dtype=np.int64).astype(np.uint32).reshape(-1, blocks * mesh.size)
    floats = 1 << 32
    start = time.perf_counter()
    jax.block_until_ready(sums(firsts[0], labels))
    compiled = time.perf_counter()
    jax.block_until_ready([sums(some, labels) for some in firsts])
    end = time.perf_counter()
    return {"floats": floats, "seconds": end - start, "seconds_after_compiling": end - compiled, "bytes": _peak()}


def _repeated(work: Callable[[int], int]) -> dict:
    """Calls `work` with 0, 1, 2, ... for some seconds; it gives the evaluations that it measured."""
    work(0)
    start, done, n = time.perf_counter(), 0, 1
    while time.perf_counter() - start < SECONDS:
        done, n = done + work(n), n + 1
    return {"rate": done / (time.perf_counter() - start), "evaluations": done}


def _inputs(n: int, size: int) -> np.ndarray:
    first = int(np.float32(0.25).view(np.uint32)) + n * size
    return np.arange(first, first + size, dtype=np.uint32).view(np.float32)


def _true(z: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-z.astype(np.float64))) - 1


def _by_numpy() -> dict:
    """`a - y` in float32 against float64, both in NumPy: the loop that one writes first."""

    def work(n: int) -> int:
        z = _inputs(n, CHUNK)
        true = _true(z)
        with np.errstate(all="ignore"):
            result = 1 / (1 + np.exp(-z)) - np.float32(1)
            ulps = np.abs(result - true) / np.spacing(np.abs(true.astype(np.float32)))
        np.argmax(ulps), np.count_nonzero(ulps > 16), np.count_nonzero(np.isnan(result))
        return CHUNK

    return _repeated(work)


def _by_ulpwise() -> dict | None:
    """`a - y` under jit against the rounded float64 truth, by `ulpwise.max_ulp`."""
    try:
        import ulpwise
    except ImportError:
        return None
    form = jax.jit(STUDY.forms["cancelled"])

    def work(n: int) -> int:
        z = _inputs(n, CHUNK >> 4)
        ulpwise.max_ulp(np.asarray(form(z, np.float32(1))), _true(z).astype(np.float32))
        return len(z)

    return _repeated(work)


def _by_mpmath() -> dict | None:
    """`a - y` under jit against a truth of 30 digits, by mpmath."""
    try:
        import mpmath
    except ImportError:
        return None
    form = jax.jit(STUDY.forms["cancelled"])

    def work(n: int) -> int:
        z = _inputs(n, 1 << 10)
        with mpmath.workdps(30):
            for x, result in zip(z.tolist(), np.asarray(form(z, np.float32(1))).tolist(), strict=True):
                true = -1 / (1 + mpmath.exp(x))
                abs(result - true) / mpmath.ldexp(1, mpmath.frexp(true)[1] - 24)
        return len(z)

    return _repeated(work)


def _killed(directory: Path) -> dict:
    """One form swept whole by the command, killed `KILLS` times and resumed, beside a run that was left alone."""
    command = [sys.executable, "-m", "stability.sweep", "--exhaustive", "--form", "cancelled", "--no-plots"]

    def run(out: str, *more: str) -> subprocess.Popen:
        return subprocess.Popen([*command, "--out", str(directory / out), *more], stdout=subprocess.DEVNULL)

    start = time.perf_counter()
    if run("whole").wait():
        raise RuntimeError("the sweep that was left alone failed")
    alone = time.perf_counter() - start
    rng = random.Random(0)
    kills = finished = identical = 0
    while kills < KILLS or not (directory / "killed" / "summary.csv").exists():
        if (directory / "killed" / "summary.csv").exists():
            shutil.rmtree(directory / "killed")
        process = run("killed", "--resume")
        try:
            process.wait(rng.uniform(0.2, 0.9) * alone if kills < KILLS else None)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            kills += 1
            continue
        if process.returncode:
            raise RuntimeError("a sweep that was resumed failed")
        finished += 1
        whole, resumed = (directory / name / "summary.csv" for name in ("whole", "killed"))
        identical += filecmp.cmp(whole, resumed, shallow=False)
    return {"kills": kills, "finished": finished, "identical": identical}


def measure() -> dict:
    """All measurements, as in `bench-sweep.json`."""
    found: dict[str, Any] = {}
    cores = len(os.sched_getaffinity(0))
    found["evaluated"] = _isolated(_evaluated, BLOCK, 64, devices=cores)
    found["evaluated_in_chunks"] = _isolated(_evaluated, CHUNK, 1)
    found["swept"] = _isolated(_swept, (0, exhaustive.BLOCKS), devices=cores)
    found["flat"] = [_isolated(_swept, (0, (1 << power) // (2 * BLOCK)), devices=cores) for power in FLAT]
    found["devices"] = [_isolated(_swept, DENSE, cores=n, devices=n) for n in (1, 2)]
    found["numpy"], found["ulpwise"], found["mpmath"] = map(_isolated, (_by_numpy, _by_ulpwise, _by_mpmath))
    with tempfile.TemporaryDirectory() as directory:
        found["killed"] = _killed(Path(directory))
    swept, evaluated = found["swept"], found["evaluated"]
    one, two = (d["seconds_after_compiling"] for d in found["devices"])
    found["ratios"] = {
        "swept_to_evaluated": swept["seconds"] / evaluated["seconds"],
        "swept_to_evaluated_after_compiling": swept["seconds_after_compiling"] / evaluated["seconds_after_compiling"],
        "swept_to_evaluated_in_chunks": swept["seconds"] / found["evaluated_in_chunks"]["seconds"],
        "two_devices_to_one": one / two,
    }
    return found


def _rate(run: dict) -> float:
    return run.get("rate") or EVALUATIONS * run["floats"] / run["seconds"]


def _tables(found: dict) -> list[Table]:
    rates = Table(title="form evaluations, measured against the truth (`evaluated`: not measured)")
    for name in ("", "million a second", "to swept", "peak [GiB]"):
        rates.add_column(name, justify="right" if name else "left")
    for name in ("evaluated", "evaluated_in_chunks", "swept", "numpy", "ulpwise", "mpmath"):
        run = found[name]
        if run is None:
            rates.add_row(name, "not installed", "", "")
            continue
        peak = f"{run['bytes'] / 2**30:.2f}" if "bytes" in run else ""
        rates.add_row(name, f"{_rate(run) / 1e6:,.3g}", f"{_rate(run) / _rate(found['swept']):.3g}", peak)
    flat = Table(title="swept by size, without compiling")
    for name in ("floats", "million floats a second", "peak [GiB]"):
        flat.add_column(name, justify="right")
    for run in (*found["flat"], found["swept"]):
        rate = run["floats"] / run["seconds_after_compiling"]
        flat.add_row(f"{run['floats']:,}", f"{rate / 1e6:.1f}", f"{run['bytes'] / 2**30:.2f}")
    return [rates, flat]


def parser() -> Parser:
    return figures.parser("sweep", __doc__)


def run(args: argparse.Namespace) -> int:
    found = measure()
    write_json(args.out / "bench-sweep.json", {"environment": environment(), **found})
    console = Console(width=None if sys.stdout.isatty() else 120)
    for table in _tables(found):
        console.print(table)
    for name, ratio in found["ratios"].items():
        print(f"{name}: {ratio:.2f}")
    killed = found["killed"]
    print(f"killed {killed['kills']} times; {killed['identical']} of {killed['finished']} results identical")
    print(f"figures in {args.out / 'bench-sweep.json'}")
    return 0
