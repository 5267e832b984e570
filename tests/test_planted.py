"""Defects planted in forms are found, at exactly the floats where they were planted."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stability.formats import FORMATS, every_float, from_ordinal, to_ordinal, widen
from stability.study.sigmoid import STUDY
from stability.study.sigmoid.forms import componentwise
from stability.study.sigmoid.truth import sigmoid_minus_label
from stability.sweep import engine
from stability.sweep.rows import MODES

BF16, F16 = FORMATS["bfloat16"], FORMATS["float16"]


def sweep(form, dtype, **options):
    study = dataclasses.replace(STUDY, forms={"planted": form})
    chosen = dict(labels=[1.0], modes=["jit"], points=2000, tolerance=16.0, seed=0) | options
    return engine.sweep(study, forms=["planted"], dtypes=[dtype], **chosen)


@functools.cache
def correct(fmt):
    """The correctly rounded gradient at label 1, as a table by bit pattern."""
    floats = every_float(fmt)
    rounded = sigmoid_minus_label(floats, 1.0, fmt).rounded.astype(fmt.dtype)
    table = np.empty(1 << 16, fmt.dtype)
    table[floats.view(np.uint16)] = rounded
    return table


def lookup(table):
    return lambda z, y: jnp.asarray(table)[jax.lax.bitcast_convert_type(z, jnp.uint16).astype(jnp.int32)]


def planted(fmt, ordinals, change):
    table = correct(fmt).copy()
    index = from_ordinal(np.asarray(ordinals), fmt).view(np.uint16)
    table[index] = change(table[index])
    return lookup(table)


def regions(outcome):
    return [(r.kind, r.start, r.stop) for r in outcome.rows[0].regions]


@pytest.mark.parametrize("fmt", [F16, BF16], ids=lambda f: f.name)
def test_the_correctly_rounded_table_has_no_failure(fmt):
    row = sweep(lookup(correct(fmt)), fmt.name, tolerance=0.5).rows[0]
    assert row.regions == () and row.max_ulp <= 0.5 and row.points == 65536 and row.exhaustive


@pytest.mark.parametrize("at", [0.75, -3.5, 20.0])
def test_one_ulp_at_one_bfloat16(at):
    ordinal = int(to_ordinal(np.array([at], BF16.dtype))[0])
    form = planted(BF16, [ordinal], lambda x: from_ordinal(to_ordinal(x) + 1, BF16))
    assert regions(sweep(form, "bfloat16", tolerance=0.5)) == [("inaccurate", ordinal, ordinal)]


def test_a_flipped_sign_on_a_run_of_three():
    start = int(to_ordinal(np.array([2.5], BF16.dtype))[0])
    form = planted(BF16, [start, start + 1, start + 2], np.negative)
    assert regions(sweep(form, "bfloat16")) == [("wrong_sign", start, start + 2)]


def test_one_nan_at_a_single_float16():
    ordinal = int(to_ordinal(np.array([-1.25], F16.dtype))[0])
    form = planted(F16, [ordinal], lambda x: np.full_like(x, np.nan))
    assert regions(sweep(form, "float16")) == [("nan", ordinal, ordinal)]


def test_a_form_that_is_wrong_only_under_jit():
    def form(z, y):
        traced = isinstance(z, jax.core.Tracer)
        return jnp.where((z > 1) & (z < 2), 0.0, componentwise(z, y)).astype(z.dtype) if traced else componentwise(z, y)

    outcome = sweep(form, "bfloat16", modes=["eager", "jit"])
    (disagreement,) = outcome.disagreements
    assert disagreement.silently_wrong
    one, two = to_ordinal(np.array([1, 2], BF16.dtype))
    assert disagreement.regions == ((one + 1, two - 1, "vanished", "ok"),)
    assert disagreement.count == two - one - 1


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("at", [1.2345678, -37.3, 1e-5, -1e5])
def test_a_nan_from_an_exact_float_on(dtype, at):
    fmt = FORMATS[dtype]
    first = np.array([at], fmt.dtype)

    def form(z, y):
        return jnp.where(z >= first[0], jnp.nan, componentwise(z, y)).astype(z.dtype)

    found = [r for r in sweep(form, dtype).rows[0].regions if r.kind == "nan"]
    assert [(r.start, r.stop) for r in found] == [(to_ordinal(first)[0], fmt.infinity)]


@pytest.mark.parametrize("mode", ["eager", "jit"])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_ends_agree_with_brute_force_over_every_bit_pattern(dtype, mode):
    z = np.arange(1 << 16, dtype=np.uint16).view(FORMATS[dtype].dtype)
    names = ["chain_split", "chain_combined", "autodiff", "cancelled"]
    options = dict(labels=[1.0], modes=[mode], points=1, tolerance=16.0, seed=0)
    outcome = engine.sweep(STUDY, forms=names, dtypes=[dtype], **options)
    for row in outcome.rows:
        run = MODES[mode](STUDY.forms[row.form])
        result = widen(np.asarray(run(jnp.asarray(z), jnp.asarray(1, z.dtype))))
        kind, bad = (
            ("vanished", result == 0) if row.form == "cancelled" else ("nan", np.isnan(result) & ~np.isnan(widen(z)))
        )
        above = float(np.min(widen(z)[bad & (widen(z) > 0)]))
        ends = [widen(from_ordinal(np.array([r.start, r.stop]), FORMATS[dtype])) for r in row.regions if r.kind == kind]
        assert min(a for a, _ in ends if a > 0) == above
        if kind == "nan":
            assert max(b for _, b in ends if b < 0) == float(np.max(widen(z)[bad & (widen(z) < 0)]))


def test_the_silent_zeros_of_float32_under_jit():
    fmt = FORMATS["float32"]
    options = dict(labels=[1.0], modes=["eager", "jit"], points=4096, tolerance=16.0, seed=0)
    outcome = engine.sweep(STUDY, forms=["chain_split"], dtypes=["float32"], **options)
    silent = [r for r in outcome.rows[1].regions if r.kind == "vanished" and r.stop < 0]
    (region,) = silent
    ordinals = np.arange(region.start - 1000, region.stop + 1001)
    z, y = from_ordinal(ordinals, fmt), np.float32(1)
    jitted = np.asarray(jax.jit(STUDY.forms["chain_split"])(z, y))
    inside = (ordinals >= region.start) & (ordinals <= region.stop)
    assert np.array_equal(jitted == 0, inside)
    assert np.all(np.isnan(np.asarray(STUDY.forms["chain_split"](jnp.asarray(z), y))[inside]))
    assert outcome.disagreements[0].silently_wrong


@pytest.mark.parametrize("dtype", list(FORMATS))
def test_rows_are_whole_and_the_same_each_time(dtype):
    def rows():
        options = dict(labels=[0.0, 0.1], modes=["eager", "jit", "step"], points=1000, tolerance=16.0, seed=3)
        return engine.sweep(STUDY, forms=["cancelled", "logits"], dtypes=[dtype], **options).rows

    first, again = rows(), rows()
    assert [r.to_json() for r in first] == [r.to_json() for r in again]
    for row in first:
        assert sum(row.counts.values()) == row.points
        assert all(a.stop < b.start for a, b in zip(row.regions, row.regions[1:], strict=False))
        assert all(r.start <= r.stop for r in row.regions)
