"""The exhaustive sweep of float32 in processes of its own: killed and resumed, on many devices, and several at once."""

import os
import random
import signal
import socket
import subprocess
import sys
import time

import pytest

RUN = """
import json, sys
from dataclasses import asdict
from pathlib import Path
import jax
jax.config.update("jax_enable_x64", True)
from stability.sweep import exhaustive
from stability.study.sigmoid import STUDY
out, checkpoint, pace, coordinator, n, i = sys.argv[1:]
if coordinator:
    jax.distributed.initialize(coordinator, int(n), int(i))
exhaustive.CHECKPOINT_SECONDS = 0.02
import time
def slow(progress):
    print(progress.done, flush=True)
    time.sleep(float(pace))
streams = exhaustive.sweep(
    STUDY, forms=["chain_split", "cancelled"], labels=[1.0], tolerance=16.0, span=(16300, 16900),
    checkpoint=Path(checkpoint) if checkpoint else None, resume=True, progress=slow,
)
if jax.process_index() == 0:
    Path(out).write_text(json.dumps([asdict(s) for s in streams]))
"""


def start(out, checkpoint="", pace=0.0, coordinator="", n=1, i=0, devices=1):
    flags = f"--xla_force_host_platform_device_count={devices}"
    arguments = [str(a) for a in (out, checkpoint, pace, coordinator, n, i)]
    environment = os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    return subprocess.Popen([sys.executable, "-c", RUN, *arguments], env=environment, stdout=subprocess.PIPE, text=True)


def finished(*processes):
    for p in processes:
        p.communicate(timeout=300)
        assert p.returncode == 0


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    out = tmp_path_factory.mktemp("whole") / "streams.json"
    finished(start(out))
    return out.read_bytes()


def test_killed_three_times_and_resumed_the_result_is_the_same(tmp_path, whole):
    out, checkpoint = tmp_path / "streams.json", tmp_path / "checkpoint.json"
    rng = random.Random(0)
    done = []
    for _ in range(3):
        run = start(out, checkpoint, pace=0.2)
        done.append(int(run.stdout.readline()))
        for _ in range(rng.randrange(1, 4)):
            assert run.stdout.readline()
        time.sleep(rng.uniform(0, 0.2))
        run.send_signal(signal.SIGKILL)
        run.communicate()
        assert not out.exists()
    assert done == sorted(done) and done[-1] > done[0]
    finished(start(out, checkpoint))
    assert out.read_bytes() == whole


def test_eight_devices_give_the_same(tmp_path, whole):
    finished(start(tmp_path / "streams.json", devices=8))
    assert (tmp_path / "streams.json").read_bytes() == whole


def test_two_processes_give_the_same(tmp_path, whole):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        coordinator = f"127.0.0.1:{s.getsockname()[1]}"
    out = [tmp_path / "first.json", tmp_path / "second.json"]
    finished(*(start(out[i], coordinator=coordinator, n=2, i=i) for i in (0, 1)))
    assert out[0].read_bytes() == whole
    assert not out[1].exists()
