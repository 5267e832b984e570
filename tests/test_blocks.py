"""A block measured on the device is what plain `jit` and the host's measure say of the same floats."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stability.formats import FORMATS
from stability.measure import INACCURATE, KINDS, OK, classify, true_is_normal
from stability.study.sigmoid import STUDY
from stability.sweep import blocks
from stability.sweep.blocks import BINS, BLOCK
from stability.sweep.streams import inputs

F32 = FORMATS["float32"]
FORMS = [STUDY.forms[f] for f in ("chain_split", "chain_combined", "logits")]
LABELS = [0.0, 1.0, 0.25]
GIVEN = jnp.array(LABELS, jnp.float32)
STREAMS = [(f, y, n) for f in range(len(FORMS)) for y in LABELS for n in (False, True)]
TOLERANCE = 16.0
AT = [0.0, 0.25, 1.0986123, 2.75, 16.6, 87.3, 88.7, 103.9, 3e38, np.inf, np.nan]

jitted = [jax.jit(form) for form in FORMS]


def first_of(value):
    return int(np.float32(value).view(np.int32)) // BLOCK * BLOCK


@functools.cache
def compiled(build):
    return jax.jit(build(STUDY.device_truth, FORMS, LABELS, TOLERANCE))


@functools.cache
def truth_of(value, label, negative):
    return STUDY.truth(inputs(first_of(value), negative), label, F32)


@functools.cache
def details(value):
    return [np.asarray(a) for a in compiled(blocks.details)(jnp.int32(first_of(value)), GIVEN)]


@pytest.mark.parametrize("value", AT)
def test_results_are_those_of_plain_jit(value):
    for (f, y, negative), result in zip(STREAMS, details(value)[0], strict=True):
        plain = np.asarray(jitted[f](jnp.asarray(inputs(first_of(value), negative)), jnp.float32(y)))
        assert np.all((plain.view(np.uint32) == result.view(np.uint32)) | (np.isnan(plain) & np.isnan(result)))


@pytest.mark.parametrize("value", AT)
def test_summaries_are_those_of_the_host(value):
    found = compiled(blocks.summaries)(jnp.array([first_of(value)], jnp.int32), GIVEN)
    found = jax.tree.map(lambda v: np.asarray(v[0]), found)
    results, kinds, opens = details(value)
    checked = np.flatnonzero(found.undecided == 0)
    assert len(checked) >= len(STREAMS) // 2
    for i in checked:
        _, y, negative = STREAMS[i]
        truth = truth_of(value, y, negative)
        expected, ulps = classify(results[i], truth, TOLERANCE)
        assert np.array_equal(kinds[i], expected)
        assert np.array_equal(found.counts[i], np.bincount(expected, minlength=len(KINDS)))
        assert found.changes[i] == np.count_nonzero(np.diff(expected))
        counted = np.isin(expected, [OK, INACCURATE])
        assert found.open[i] == opens[i].sum() and np.all(counted[opens[i]])
        settled = counted & ~opens[i]
        bins = np.searchsorted(np.exp2(np.arange(-1, BINS - 2)), ulps[settled], "right")
        assert np.array_equal(found.histogram[i], np.bincount(bins, minlength=BINS))
        worst = ulps[counted & true_is_normal(truth)].max(initial=-1)
        assert (found.error[i] == -1) == (worst == -1)
        if worst >= 0:
            assert found.error[i].view(np.float32) == pytest.approx(worst, rel=1e-6, abs=1e-6)
