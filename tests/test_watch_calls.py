"""A watched step called: arguments and results as of the step itself, what cannot be watched, the history, devices."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from watched import as_users_have_it, normal, same_bits  # noqa: F401

from stability import diagnose, watch
from stability.watching import History

ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.usefixtures("as_users_have_it")


def test_a_step_may_take_the_buffers_of_its_arguments(caplog):
    step = jax.jit(lambda w, x: w - jnp.log(1 - jax.nn.sigmoid(w * x)), donate_argnums=0)
    watched = watch(step)
    w = jnp.float32([1, 2])
    w = watched(w, jnp.float32(1))
    given, host = w, np.array(w)
    watched(w, jnp.float32(8))
    assert given.is_deleted() and watched.failed.step == 1
    assert isinstance(watched.failed.args[0], np.ndarray) and same_bits(watched.failed.args[0], host)
    assert [f.kind for f in watched.findings] == ["inf"] and "not watched" not in caplog.text
    assert diagnose(step, *watched.failed.args).culprit.primitive == "sub"


def test_every_third_call_is_watched():
    watched = watch(jnp.sin, every=3)
    for k in range(8):
        watched(jnp.float32(k))
    assert watched.history.leaves[""].step == [0, 3, 6] and watched.calls == 8


def test_pytrees_and_keywords_go_in_and_come_out():
    def step(state, *, batch, scale=1.0, name):
        return {"state": {k: v * scale for k, v in state.items()}, "n": batch["x"].sum(), "text": None, "i": 3}

    watched, jitted = watch(jax.jit(step, static_argnames="name")), jax.jit(step, static_argnames="name")
    state, batch = {"a": jnp.ones(3), "key": jnp.float32(2)}, {"x": np.arange(3, dtype=np.float32)}
    given = {"batch": batch, "name": "s"}
    assert same_bits(watched(state, **given), jitted(state, **given))
    assert same_bits(watched(state, scale=2.0, **given), jitted(state, scale=2.0, **given))
    assert set(watched.history.leaves) == {"['state']['a']", "['state']['key']", "['n']"}


def test_what_fails_in_watching_is_logged_once_and_the_loop_goes_on(caplog):
    def host(x):
        return np.asarray(x)

    def step(x):
        return jax.experimental.io_callback(host, jax.ShapeDtypeStruct((), jnp.float32), x) + 1

    watched = watch(step)
    assert [float(watched(jnp.float32(k))) for k in range(3)] == [1, 2, 3]
    assert len(caplog.records) == 1 and "calls back to the host" in caplog.text and not watched.findings


def test_what_the_step_raises_is_raised():
    watched = watch(lambda x: x @ x)
    with pytest.raises(TypeError, match="dot_general"):
        watched(jnp.ones((2, 3)))
    assert float(watched(jnp.ones(2))) == 2


def test_a_print_is_not_printed_twice(capfd):
    def step(x):
        jax.debug.print("x is {}", x)
        return x + 1

    watch(step)(jnp.float32(3))
    jax.effects_barrier()
    assert capfd.readouterr().out.count("x is") == 1


def test_inside_another_transformation_the_step_is_just_run(caplog):
    watched = watch(jnp.sin)
    assert float(jax.grad(watched)(jnp.float32(0))) == 1 and "inside another transformation" in caplog.text


def test_the_history_goes_to_json_and_back_and_is_drawn(tmp_path):
    watched = watch(lambda p, z: {k: jax.nn.sigmoid(v * z) - 1 for k, v in p.items()})
    params = {f"leaf{k}": normal(8) for k in range(12)}
    for k in range(10):
        watched(params, jnp.float32(4 * k))
    data = json.loads(json.dumps(watched.history.as_json()))
    assert History.from_json(data) == watched.history and set(data["leaves"]) == {f"['{k}']" for k in params}
    for ending in ("png", "svg"):
        watched.history.plot(tmp_path / f"history.{ending}")
        assert (tmp_path / f"history.{ending}").stat().st_size > 5000
    with pytest.raises(ValueError, match="png"):
        watched.history.plot(tmp_path / "history.pdf")


def test_every_is_a_positive_number():
    with pytest.raises(ValueError, match="every=0"):
        watch(jnp.sin, every=0)


TWO_DEVICES = """
import logging
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
from stability import watch

logging.basicConfig()
mesh = Mesh(np.array(jax.devices()), ("data",))
assert mesh.size == 2

def loss(w, x):
    return -jnp.mean(jnp.log(1 - jax.nn.sigmoid(jnp.tanh(x @ w) * 30)))

def mapped(w, x):
    def one(c, row):
        return c + jax.grad(loss)(w, row[None]), None
    total, _ = jax.lax.scan(one, jax.lax.pcast(0 * w, "data", to="varying"), x)
    return jax.lax.pmean(total, "data")

steps = {
    "shard_map": jax.jit(jax.shard_map(mapped, mesh=mesh, in_specs=(P(), P("data")), out_specs=P())),
    "jit": jax.jit(jax.grad(loss), out_shardings=NamedSharding(mesh, P())),
}
rng = np.random.default_rng(0)
w = jax.device_put(np.full(4, 0.1, np.float32), NamedSharding(mesh, P()))
x = 0.1 * rng.normal(size=(8, 4)).astype(np.float32)
bad = x.copy()
bad[5] = 9
for name, step in steps.items():
    watched = watch(step)
    for batch in (x, bad):
        batch = jax.device_put(batch, NamedSharding(mesh, P("data")))
        assert np.asarray(watched(w, batch)).tobytes() == np.asarray(step(w, batch)).tobytes()
    found = [(f.step, f.kind, f.culprit and f.culprit.primitive) for f in watched.findings]
    print(name, found, watched.history.leaves[""].error[0])
"""


def test_two_devices():
    env = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=2", "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", TWO_DEVICES], env=env, capture_output=True, text=True)
    lines = done.stdout.splitlines()
    assert done.returncode == 0 and len(lines) == 2, done.stderr
    for line in lines:
        assert re.search(r"\[\(1, 'nan', ('sub'|'shard_map'|None)\)\]", line) and 0 < float(line.split()[-1]) < 16, (
            done.stderr
        )
