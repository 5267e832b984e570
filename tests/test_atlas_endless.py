"""What does not end: a program, a call, a diagnosis."""

import ast
import subprocess
import sys
import threading

import pytest

from stability.atlas import endless
from stability.atlas.records import Settings, Task
from stability.atlas.rows import measure

FEW = Settings(points=256)
ENDLESS = """
import jax, jax.numpy as jnp
from stability.atlas import asked, endless, rows
from stability.atlas.rules import DEFAULT

def looping(x):
    return jax.lax.while_loop(lambda v: v < 2, lambda v: v - v, x)

@jax.custom_jvp
def loops_in_its_derivative(x):
    return jnp.sin(x)

loops_in_its_derivative.defjvp(lambda x, by: (jnp.sin(x[0]), looping(x[0]) * by[0]))
asked.rules_of = lambda name: {DEFAULT: FUNCTION}
endless.PATIENCE = 3.0
for task in (rows.Task("jnp.sin(x)", "float16"), rows.Task("jnp.cos(x)", "float16")):
    told = rows.measure_in_turn(task, rows.Settings(points=64, seconds=0.05))
    print(sorted({(row.order, row.error or "") for row in told}), flush=True)
endless.leave(3)
"""


@pytest.mark.parametrize("function, order", [("looping", 0), ("loops_in_its_derivative", 1)])
def test_a_program_that_does_not_end_is_told_and_stops_nothing(function, order):
    """In a process of its own, which that program goes on in until it ends."""
    text = ENDLESS.replace("FUNCTION", function)
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=120)
    first, second = map(ast.literal_eval, done.stdout.splitlines())
    assert (order, "Endless: does not end within 3 s") in first
    assert {error for at, error in first if at < order} <= {""}
    assert any(error.startswith("not tried") for at, error in first if at > order)
    assert {error for _, error in second} <= {error for _, error in first} and done.returncode == 3


def test_a_call_that_does_not_end_is_told_and_others_give_what_they_give():
    assert endless.finished(lambda: 5, 60) == 5
    with pytest.raises(ZeroDivisionError):
        endless.finished(lambda: 1 / 0, 60)
    with pytest.raises(endless.Endless, match=r"within 0\.1 s"):
        endless.finished(threading.Event().wait, 0.1)


def test_a_diagnosis_that_does_not_end_is_told_in_place_of_a_culprit(monkeypatch):
    noted = []
    monkeypatch.setattr("stability.atlas.rows.culprit_of", lambda *args: threading.Event().wait())
    monkeypatch.setattr(endless, "PATIENCE_WITH_MANY", 0.1)
    monkeypatch.setattr(endless, "note", lambda task, error: noted.append(task))
    found = measure(Task("jnp.expm1(x)", "float32"), FEW)
    told = {r.culprit.did for r in found if r.culprit}
    assert told == {"not diagnosed: does not end within 0.1 s"} and set(noted) == {Task("jnp.expm1(x)", "float32")}
