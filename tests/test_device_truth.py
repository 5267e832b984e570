"""The device's float64 truth against the proven reference, within the bound that it claims."""

import jax
import numpy as np
import pytest
from flint import arb

from stability.formats import FORMATS
from stability.study.sigmoid import device as device_truth
from stability.study.sigmoid.truth import sigmoid_minus_label
from stability.truth.balls import ball

F32 = FORMATS["float32"]
TINY = [0.0, 2.0**-149, 1e-40, 1e-30, 2.0**-40]
LABELS = [*TINY, 2.0**-28, 2.0**-24, 1e-3, 0.1, 0.25, 0.5, 0.9, 1 - 2.0**-24, 1.0]


def magnitudes(label, negative):
    """Around the zero of the truth, the ends of the format, and at random."""
    rng = np.random.default_rng(0)
    with np.errstate(divide="ignore"):
        zero = np.abs(np.float32(np.log(label) - np.log1p(-label)))
    near = min(int(zero.view(np.int32)), device_truth.INFINITY - 3000)
    return np.unique(
        np.concatenate(
            [
                np.arange(max(near - 2000, 0), near + 2000),
                np.arange(5),
                [device_truth.INFINITY - 1, device_truth.INFINITY],
                rng.integers(0x30000000, 0x43000000, 4000),
                rng.integers(0, device_truth.INFINITY, 1000),
            ]
        ).astype(np.int32)
    )


@pytest.mark.parametrize("negative", [False, True])
@pytest.mark.parametrize("label", LABELS)
def test_the_bound_holds_and_the_binade_is_right(label, negative):
    label = float(np.float32(label))
    m = magnitudes(label, negative)
    found = jax.jit(lambda m: device_truth.sigmoid_minus_label(m, label, negative))(m)
    value, scale, bound = (np.asarray(v) for v in found[:3])
    z = (m.view(np.uint32) | np.uint32(negative << 31)).view(np.float32)
    truth = sigmoid_minus_label(z, label, F32)
    decided = np.isfinite(bound)
    assert np.count_nonzero(~decided) < 50
    exponent = -np.log2(scale).astype(int)
    assert np.array_equal(exponent[decided], truth.exponent[decided])
    error = np.abs((value * scale - truth.quanta) - truth.fraction)
    resolution = 2.0**-52 * np.abs(truth.fraction) + 2.0**-90 * np.abs(truth.quanta)
    assert np.all((error <= bound + resolution)[decided])


def test_no_power_of_two_is_near_a_tail_but_one_half_and_one():
    for k in range(2, 150):
        exact = (arb(2) ** k - 1).log()
        nearest = np.float32(float(exact))
        for z in (np.nextafter(nearest, np.float32(0)), nearest, np.nextafter(nearest, np.float32(np.inf))):
            off = abs(arb(2) ** k / (1 + ball(float(z)).exp()) - 1)
            assert off.lower() > arb(2) ** -48


def test_a_bound_that_is_too_small_would_be_noticed():
    m = magnitudes(0.1, True)
    found = jax.jit(lambda m: device_truth.sigmoid_minus_label(m, 0.1, True))(m)
    z = (m.view(np.uint32) | np.uint32(1 << 31)).view(np.float32)
    truth = sigmoid_minus_label(z, 0.1, F32)
    error = np.abs((np.asarray(found.value * found.scale) - truth.quanta) - truth.fraction)
    assert np.any(error > np.asarray(found.bound))
