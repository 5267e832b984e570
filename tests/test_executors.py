"""Where rows are measured makes no difference to what is found, and a row that fails takes no other with it."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time

import jax.numpy as jnp
import pytest

from stability.cli import sweep
from stability.cli.executors import NoExecutor, executor
from stability.study import Declared
from stability.study.sigmoid import STUDY
from stability.sweep import engine

SMALL = ["--form", "cancelled", "--form", "chain_split", "--dtype", "float64", "--dtype", "float32", "--points", "512"]
SOURCE = """
import jax, jax.numpy as jnp

def softplus(x, *, scale=1.0):
    return scale * jnp.log1p(jnp.exp(x))
"""


def found(path):
    """All that a report says, but for its seconds, its command and when it was made."""
    summary = json.loads((path / "summary.json").read_text())
    for key in ("seconds", "manifest"):
        del summary[key]
    return summary, (path / "summary.csv").read_bytes(), [p.read_bytes() for p in sorted(path.glob("plots/*"))]


def test_two_processes_find_what_one_finds_byte_for_byte(tmp_path):
    for jobs in ("1", "2"):
        assert sweep.main([*SMALL, "--jobs", jobs, "--out", str(tmp_path / jobs)]) == 0
    assert found(tmp_path / "1") == found(tmp_path / "2")


def test_a_function_of_a_user_in_two_processes(tmp_path, monkeypatch):
    (tmp_path / "users_own.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    own = ["--function", "users_own:softplus", "--grad", "0", "--fix", "scale=2.0", "--dtype", "float16", "--no-plots"]
    for jobs in ("1", "2"):
        assert sweep.main([*own, "--jobs", jobs, "--out", jobs]) == 0
    assert found(tmp_path / "1") == found(tmp_path / "2")


def test_a_cluster_of_two_workers_finds_the_same(tmp_path):
    distributed = pytest.importorskip("distributed")
    assert sweep.main([*SMALL, "--jobs", "1", "--no-plots", "--out", str(tmp_path / "here")]) == 0
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        there = ["--scheduler", cluster.scheduler_address, "--no-plots", "--out", str(tmp_path / "there")]
        assert sweep.main([*SMALL, *there]) == 0
    assert found(tmp_path / "here") == found(tmp_path / "there")


def test_a_scheduler_that_is_not_there_is_one_line(tmp_path, capsys):
    with pytest.raises((NoExecutor, SystemExit)):
        sweep.main([*SMALL, "--scheduler", "nowhere", "--out", str(tmp_path / "r")])
    assert capsys.readouterr().err.count("\n") == 1 and not (tmp_path / "r").exists()


@pytest.mark.parametrize(("at_once", "formats"), [(1, 1), (2, 2), (None, 2)])
def test_who_is_done_with_a_format_goes_on_with_it(at_once, formats):
    """Of two places that measure, each begins with a format of its own; of one, it is done with the first before."""
    begun = []

    class Told(engine.Here):
        def submit(self, fn, /, *args):
            if fn is engine.measure_rows:
                begun.append(args[0][0].dtype)
            return super().submit(fn, *args)

    asked = dict(forms=["cancelled", "logits", "rounded"], dtypes=["float16", "bfloat16"], labels=[1.0], modes=["jit"])
    outcome = engine.sweep(STUDY, **asked, executor=Told(), at_once=at_once)
    assert len(begun) == 6 and len(set(begun[:2])) == formats
    assert at_once != 1 or begun == ["float16"] * 3 + ["bfloat16"] * 3
    assert outcome.rows == engine.sweep(STUDY, **asked).rows


def test_few_rows_are_measured_here():
    with executor(None, None, few=True) as pool:
        assert pool is None


def test_a_row_that_fails_says_so_and_the_others_finish():
    def broken(z, y):
        raise RuntimeError("no such thing\nas two lines")

    study = dataclasses.replace(STUDY, forms={"broken": broken, "cancelled": STUDY.forms["cancelled"]})
    outcome = study.sweep(dtypes=["bfloat16"], labels=[1.0], modes=["eager", "jit"])
    errors = {(row.form, row.mode): row.error for row in outcome.rows}
    assert errors["broken", "jit"] == errors["broken", "eager"] == "RuntimeError: no such thing"
    assert errors["cancelled", "jit"] is None and outcome.rows[-1].points == 65536
    assert type(outcome).from_json(json.loads(json.dumps(outcome.to_json()))) == outcome


def test_every_option_has_a_default():
    outcome = dataclasses.replace(STUDY, forms={"zero": lambda z, y: jnp.zeros_like(z)}, labels=(0.0,)).sweep(points=64)
    assert len(outcome.rows) == 8 and not any(row.error for row in outcome.rows)


def test_a_study_by_its_name_is_the_study():
    options = dict(forms=["logits"], dtypes=["bfloat16"], labels=[1.0], modes=["jit"])
    by_name, itself = engine.sweep(Declared("sigmoid_bce"), **options), engine.sweep(STUDY, **options)
    assert by_name.rows == itself.rows


@pytest.mark.parametrize("options", [{"forms": ["none"]}, {"dtypes": ["int8"]}, {"modes": ["pmap"]}])
def test_a_name_that_is_not_there_is_told(options):
    with pytest.raises(ValueError, match="allowed are"):
        STUDY.sweep(**options)


STARTS = """
import signal, time
from stability import cli
from stability.cli.executors import executor

signal.signal(signal.SIGINT, signal.default_int_handler)

def main(argv):
    with executor(2, None, False) as pool:
        print("begun", flush=True)
        list(pool.map(time.sleep, [0.05] * 40 + [600] * 40))

cli.main = main
cli.run()
"""


def _begun(*program):
    return subprocess.Popen(
        [sys.executable, "-c", *program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def _interrupted(begun, number, seconds=0.2):
    """Sends the signal, from the keyboard to all processes; whether one line tells of it and nothing else.

    After some time, as one that comes just before Python begins to wait for a lock is not told until the next.
    """
    time.sleep(seconds)
    (os.killpg if number == signal.SIGINT else os.kill)(begun.pid, number)
    _, told = begun.communicate(timeout=60)
    return begun.returncode == 128 + number and told.startswith("interrupted: ") and told.count("\n") == 1


WAITS = """
import os, signal, sys, time
from stability import cli
from stability.cli.executors import executor

signal.signal(signal.SIGINT, signal.default_int_handler)

def main(argv):
    with executor(2, None, False) as pool:
        list(pool.map(time.sleep, [1, 1]))
        worker = pool.submit(os.getpid).result()
        tasks = pool.map(time.sleep, [600] * int(sys.argv[1]))
        print(worker, flush=True)
        list(tasks)

cli.main = main
cli.run()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("tasks", [2, 4, 5, 40])
def test_an_interrupt_ends_what_is_measured_in_other_processes(tasks, number):
    """At once, though each is at work for minutes; from the keyboard it reaches all of them."""
    begun = _begun(WAITS, str(tasks))
    worker = int(begun.stdout.readline())
    assert _interrupted(begun, number)
    with pytest.raises(ProcessLookupError):
        os.kill(worker, 0)


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("seconds", [0.1, 0.5, 1, 2])
def test_an_interrupt_while_processes_start(seconds, number):
    begun = _begun(STARTS)
    assert begun.stdout.readline() == "begun\n"
    assert _interrupted(begun, number, seconds)
