"""The bulk reference against interval arithmetic, and the conventions of the measure."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stability import measure
from stability.formats import FORMATS, every_float, from_ordinal, widen
from stability.study.sigmoid.truth import sigmoid_minus_label, sigmoid_minus_label_ball
from stability.truth.balls import decide, decide_quanta

SPECIAL = [0.0, -0.0, np.inf, -np.inf, 5e-324, -2.197224577336219, 88.72, -103.97, 103.9, 745.1, -745.2]


def points(fmt, n, seed):
    rng = np.random.default_rng(seed)
    anywhere = from_ordinal(rng.integers(-fmt.infinity - 1, fmt.infinity + 1, n // 2), fmt)
    reach = -1.1 * fmt.least_exponent * np.log(2)
    with np.errstate(over="ignore"):
        return np.concatenate([anywhere, np.append(rng.uniform(-reach, reach, n // 2), SPECIAL).astype(fmt.dtype)])


def wrong(z, label, fmt, rounded):
    """The indices where `rounded` is not the correctly rounded true value, by balls."""
    x = z.astype(np.float64)
    truth = [decide(lambda v=v: sigmoid_minus_label_ball(float(v), label), fmt) for v in x]
    return np.flatnonzero(np.array(truth) != rounded)


def check(fmt, label, n, seed):
    z, exact = points(fmt, n, seed), float(np.asarray(label).astype(fmt.dtype))
    assert len(wrong(z, exact, fmt, sigmoid_minus_label(z, exact, fmt).rounded)) == 0


@pytest.mark.parametrize("label", [0.0, 1.0, 0.5, 0.1])
@pytest.mark.parametrize("fmt", FORMATS.values(), ids=lambda f: f.name)
def test_the_reference_is_correctly_rounded(fmt, label):
    check(fmt, label, 2000, seed=1)


@pytest.mark.exhaustive
@pytest.mark.parametrize("label", [0.0, 1.0, 0.5, 0.1])
@pytest.mark.parametrize("fmt", FORMATS.values(), ids=lambda f: f.name)
def test_the_reference_is_correctly_rounded_on_a_million_points(fmt, label):
    check(fmt, label, 62500, seed=2)


def test_a_reference_off_by_one_ulp_at_one_point_is_caught():
    fmt = FORMATS["float32"]
    z = points(fmt, 400, seed=3)
    rounded = sigmoid_minus_label(z, 0.0, fmt).rounded
    rounded[7] = np.nextafter(np.float32(rounded[7]), np.float32(2))
    assert list(wrong(z, 0.0, fmt, rounded)) == [7]


@pytest.mark.parametrize("fmt", FORMATS.values(), ids=lambda f: f.name)
def test_quanta_and_fraction_agree_with_balls(fmt):
    z = points(fmt, 1000, seed=4)
    for label in (0.0, 1.0, 0.25):
        truth = sigmoid_minus_label(z, label, fmt)
        for i, v in enumerate(z.astype(np.float64)):
            n, f, e = decide_quanta(lambda v=v, label=label: sigmoid_minus_label_ball(float(v), label), fmt)
            assert (n, e) == (truth.quanta[i], truth.exponent[i])
            assert abs(f - truth.fraction[i]) < 2.0**-24


@pytest.mark.parametrize("label", [0.0, 1.0, 0.5, 0.25, 2.0**-24])
@pytest.mark.parametrize("fmt", FORMATS.values(), ids=lambda f: f.name)
def test_logits_next_to_zero_keep_their_distance(fmt, label):
    below = np.left_shift(np.int64(1), np.arange(fmt.precision + 4))
    magnitudes = np.unique(np.concatenate([[0], below - 1, below, below + 1]))
    z = from_ordinal(np.concatenate([magnitudes, -magnitudes - 1]), fmt)
    truth = sigmoid_minus_label(z, label, fmt)
    for i, v in enumerate(widen(z)):
        n, _, e = decide_quanta(lambda v=v: sigmoid_minus_label_ball(float(v), label), fmt)
        assert (n, e) == (truth.quanta[i], truth.exponent[i])
    assert truth.by_balls < len(z) or label == 0.5


@pytest.mark.parametrize("label", [0.5, np.nextafter(0.5, 0), np.nextafter(0.5, 1)])
def test_differences_of_a_few_quanta_of_float64(label):
    fmt = FORMATS["float64"]
    z = from_ordinal(np.arange(-40, 41), fmt)
    truth = sigmoid_minus_label(z, label, fmt)
    for i, v in enumerate(z):
        n, f, e = decide_quanta(lambda v=v: sigmoid_minus_label_ball(float(v), label), fmt)
        assert (n, e) == (truth.quanta[i], truth.exponent[i]) and abs(f - truth.fraction[i]) < 2.0**-24


def test_numpy_keeps_subnormals_after_jax_has_run():
    jax.jit(jnp.exp)(jnp.ones(8)).block_until_ready()
    assert np.float64(5e-324) * 1.0 == 5e-324 and np.float32(1e-45) != 0


KINDS_AT_LABEL_1 = [
    (2.0, np.nan, "nan"),
    (2.0, -np.inf, "inf"),
    (-20.0, -0.0, "vanished"),
    (2.0, 0.125, "wrong_sign"),
    (2.0, -0.5, "inaccurate"),
    (np.nan, np.nan, "nan_input"),
    (np.nan, 1.0, "outside"),
    (np.inf, 0.0, "ok"),
    (-np.inf, -1.0, "ok"),
    (np.inf, np.nan, "nan"),
]


@pytest.mark.parametrize("fmt", FORMATS.values(), ids=lambda f: f.name)
@pytest.mark.parametrize(("z", "result", "kind"), KINDS_AT_LABEL_1)
def test_kinds(fmt, z, result, kind):
    truth = sigmoid_minus_label(np.array([z], fmt.dtype), 1.0, fmt)
    code, _ = measure.classify(np.array([result], fmt.dtype), truth, 16.0)
    assert measure.KINDS[code[0]] == kind


@pytest.mark.parametrize(("name", "z"), [("float16", 10.0), ("float32", 88.0), ("bfloat16", 88.0), ("float64", 710.0)])
def test_zero_for_a_subnormal_is_flushed(name, z):
    fmt = FORMATS[name]
    truth = sigmoid_minus_label(np.array([z], fmt.dtype), 1.0, fmt)
    code, _ = measure.classify(np.zeros(1, fmt.dtype), truth, 16.0)
    assert measure.KINDS[code[0]] == "flushed"


def test_the_tolerance_is_inclusive():
    fmt = FORMATS["float32"]
    truth = sigmoid_minus_label(np.array([0.0], np.float32), 0.0, fmt)
    for ulps, kind in ((16, "ok"), (17, "inaccurate")):
        code, error = measure.classify(np.array([0.5 + ulps * 2.0**-24], np.float32), truth, 16.0)
        assert (measure.KINDS[code[0]], error[0]) == (kind, ulps)


@pytest.mark.parametrize("fmt", [FORMATS["float16"], FORMATS["bfloat16"]], ids=lambda f: f.name)
def test_the_correctly_rounded_value_is_within_half_an_ulp(fmt):
    z = every_float(fmt)
    truth = sigmoid_minus_label(z, 1.0, fmt)
    error = measure.error_in_ulps(truth.rounded, truth)
    assert np.nanmax(error) <= 0.5 and np.isnan(error).sum() == np.isnan(truth.quanta).sum()


def test_runs_are_maximal():
    assert measure.runs(np.array([1, 1, 0, 2])) == [(0, 1, 1), (2, 2, 0), (3, 3, 2)]
    assert measure.runs(np.array([], int)) == []
