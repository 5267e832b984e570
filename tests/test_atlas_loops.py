"""Programs with loops, which in an array go on until the last of its numbers has converged."""

import json
import subprocess
import sys
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from stability.atlas import page
from stability.atlas.functions import public_function
from stability.atlas.records import Settings, Task
from stability.atlas.rows import measure
from stability.atlas.store import Atlas
from stability.atlas.ways import IN_AN_ARRAY, LOOP_MODES, MODES, WAYS, evaluated, is_looping
from stability.atlas.words import reproduction
from stability.formats import FORMATS, from_ordinal, to_ordinal, widen
from stability.sweep.points import grid

FEW = Settings(points=512)
BY_SHAPE = "special.betainc(0.75, x, 0.25)"
"""Its results depend on the other numbers of an array: one loop goes on until the last has converged."""
SHARED = "jit" + IN_AN_ARRAY, "eager" + IN_AN_ARRAY


@pytest.fixture(scope="module", params=["float32", "bfloat16"])
def rows(request):
    return measure(Task(BY_SHAPE, request.param), FEW)


def bits(results):
    return widen(np.stack(results)).view(np.int64)


def test_loops_are_found_in_programs_and_inside_primitives():
    fmt = FORMATS["float32"]
    looping = [lambda x: lax.while_loop(lambda v: v < 2, lambda v: 2 * v, x), lambda x: lax.igamma(x, x), lax.digamma]
    assert [is_looping(fn, fmt) for fn in looping] == [True, True, False]
    unused = WAYS[1]["forward"](public_function("special.expi(x)").fn)
    assert is_looping(unused, fmt), "of a derivative that jit alone leaves the loop out of"
    assert not is_looping(lambda x: x.no_such_attribute, fmt)


def test_by_itself_a_row_says_what_single_calls_give(rows):
    alone, shared = (r for r in rows if r.order == 0)
    fmt = FORMATS[alone.dtype]
    fn = public_function(BY_SHAPE).fn
    ordinals = grid(fmt, 64, 0)
    by_calls = [jax.jit(fn)(x) for x in from_ordinal(ordinals, fmt)]
    assert (bits(evaluated(LOOP_MODES["jit"](fn), fmt, ordinals, "jit")) == bits(by_calls)).all()
    assert [mode for _, mode in alone.ways] == ["jit"] and tuple(mode for _, mode in shared.ways) == SHARED
    assert shared.failing > 2 * alone.failing


def test_in_an_array_the_others_are_the_same_whatever_is_asked():
    fmt = FORMATS["float32"]
    run = MODES["jit"](public_function(BY_SHAPE).fn)
    some = grid(fmt, 16384, 0)
    whole, apart = evaluated(run, fmt, some, SHARED[0]), evaluated(run, fmt, some[::64], SHARED[0])
    assert (bits(whole[::64]) == bits(apart)).all()
    few = jnp.linspace(0.25, 4, 16, dtype=jnp.float32)
    among = evaluated(run, fmt, to_ordinal(np.asarray(few)), SHARED[0])
    assert (bits(run(few)) != bits(among)).any(), "the fault that this is about"


def test_a_reproduction_is_of_what_it_shows(rows):
    alone, shared = (r for r in rows if r.order == 0)
    assert reproduction(shared) is None and shared.culprit is None
    done = subprocess.run([sys.executable, "-c", reproduction(alone)], capture_output=True, text=True, check=True)
    assert float(done.stdout) == pytest.approx(float.fromhex(alone.example.result), rel=1e-6, nan_ok=True)


def test_a_loop_whose_results_do_not_depend_on_others_is_one_row():
    (row,) = (r for r in measure(Task("lax.igamma_grad_a(x, 0.25)", "float32"), FEW) if r.order == 0)
    assert [mode for _, mode in row.ways] == list(LOOP_MODES)
    assert json.loads(row.measured)[0]["ok"] > 100


def test_the_findings_name_functions_that_are_worse_in_an_array(rows):
    manifest = {"backend": "cpu", "cpu": "a", "jax": "1", "jaxlib": "1", "command": "c", "settings": vars(FEW)}
    told = " ".join(page.readme(Atlas(manifest, tuple(rows), {})).split())
    assert "floats among others of all sizes. Worse there, by more than twice" in told
    assert f"or without end: `{BY_SHAPE}`." in told
    assert all(r.ways[0][1] == "jit" for r in page.failing(Atlas(manifest, tuple(rows), {})))
    alike = [replace(r, ways=tuple(("value", mode) for mode in LOOP_MODES)) for r in rows[:1]]
    assert page.looping(Atlas(manifest, tuple(alike), {})) == {BY_SHAPE: False}
    assert page.looping(Atlas(manifest, tuple(r for r in rows if r.order), {})) == {}
