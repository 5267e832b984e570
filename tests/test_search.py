"""The hunt for worst cases: it climbs to planted peaks, is the same for the same seed, and only ever finds more."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from stability.formats import FORMATS, to_ordinal
from stability.study.sigmoid import STUDY
from stability.study.sigmoid.forms import componentwise
from stability.sweep import engine

F64 = FORMATS["float64"]


def sweep(form, dtype="float64", label=1.0, search=True, seed=0):
    study = dataclasses.replace(STUDY, forms={"form": form})
    options = dict(labels=[label], modes=["jit"], points=2000, tolerance=16.0, seed=seed, search=search)
    return engine.sweep(study, forms=["form"], dtypes=[dtype], **options).rows[0]


def peaked(at, width):
    """`componentwise` with an error that grows towards one float: 3000 ulps there, none `width` relatively away."""

    def form(z, y):
        off = jnp.abs(z - at) / (width * jnp.abs(at))
        return componentwise(z, y) * (1 + 3000 * 2.0**-53 * jnp.maximum(1 - off, 0))

    return form


@pytest.mark.parametrize("at", [1.2345678901234, -9.87654321, 30.000001])
def test_it_climbs_to_a_peak_between_the_points_of_the_grid(at):
    row = sweep(peaked(at, 3e-3))
    assert row.max_ulp > 1400
    assert abs(row.max_ulp_at - at) < 1e-6 * abs(at)
    assert any(r.kind == "inaccurate" and r.start <= to_ordinal(np.array([at]))[0] <= r.stop for r in row.regions)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("form", ["componentwise", "logits"])
def test_it_finds_at_least_what_the_grid_finds(form, dtype):
    grid, hunted = (sweep(STUDY.forms[form], dtype, search=s) for s in (False, True))
    assert hunted.max_ulp >= grid.max_ulp
    assert grid.searched is None and hunted.searched > 30_000 and not hunted.exhaustive
    assert sum(hunted.counts.values()) == hunted.points


def test_the_same_seed_gives_the_same_hunt():
    first, again, other = (sweep(componentwise, seed=s).to_json() for s in (5, 5, 6))
    assert first == again
    assert first != other


def test_it_comes_next_to_the_zero_of_the_gradient_at_a_soft_label():
    row = sweep(componentwise, label=0.1)
    assert row.max_ulp > 2.0**40
    assert abs(row.max_ulp_at + np.log(9)) < 1e-14
