"""The losses against the truth: every format, label and arithmetic, and the values that are special."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stability.formats import FORMATS, bits_of, every_float, from_ordinal, to_ordinal, widen
from stability.losses import _logistic as logistic
from stability.losses import sigmoid as losses
from stability.measure import error_in_ulps
from stability.study.sigmoid import STUDY
from stability.study.sigmoid.truth import log_loss, log_loss_ball, sigmoid_minus_label, sigmoid_minus_label_ball
from stability.sweep import exhaustive
from stability.truth import of_quanta
from stability.truth.balls import ball, decide, decide_quanta

LABELS = (0.0, 1.0, 0.1, 0.25, 0.5)
SINGLE, DOUBLE = FORMATS["float32"], FORMATS["float64"]
FUNCTIONS = {
    "gradient": (losses.sigmoid_binary_cross_entropy_grad, sigmoid_minus_label),
    "value": (losses.sigmoid_binary_cross_entropy, log_loss),
}
functions = pytest.mark.parametrize("name", FUNCTIONS)
formats = pytest.mark.parametrize("fmt", FORMATS.values(), ids=FORMATS)
x64 = pytest.mark.parametrize("enabled", [False, True], ids=["x64 off", "x64 on"])


def spread(fmt, n, seed):
    """Floats of every binade below 2**899, of the range where the functions change, and near zero."""
    rng = np.random.default_rng(seed)
    top = int(to_ordinal(np.array([min(2.0**899, fmt.max)], fmt.dtype))[0])
    reach = -1.05 * fmt.least_exponent * math.log(2)
    parts = from_ordinal(rng.integers(-top, top, n), fmt), rng.uniform(-reach, reach, n), rng.normal(size=n)
    return np.concatenate([p.astype(fmt.dtype) for p in parts])


def errors(name, z, label, fmt, run=None, **options):
    """Errors in ulps of a loss function at one label, in the format of `z`, against the proven reference."""
    function, reference = FUNCTIONS[name]
    result = np.asarray((run or function)(jnp.asarray(z), np.asarray(label, fmt.dtype), **options))
    assert result.dtype == fmt.dtype
    return error_in_ulps(result, reference(z, np.asarray(label, fmt.dtype).astype(np.float64), fmt))


@formats
@pytest.mark.parametrize("label", LABELS)
def test_the_true_loss_agrees_with_balls(fmt, label):
    z, exact = spread(fmt, 100, seed=1), float(np.asarray(label, fmt.dtype))
    truth = log_loss(z, exact, fmt)
    for i, v in enumerate(widen(z)):
        n, f, e = decide_quanta(lambda v=v: log_loss_ball(float(v), exact), fmt)
        assert (n, e) == (truth.quanta[i], truth.exponent[i]) and abs(f - truth.fraction[i]) < 2.0**-24


@functions
@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("fmt", [FORMATS["float16"], FORMATS["bfloat16"]], ids=lambda f: f.name)
def test_every_16_bit_logit_is_correctly_rounded(name, label, fmt):
    z = every_float(fmt)
    assert errors(name, z[np.isfinite(widen(z))], label, fmt).max() <= 0.5


@x64
@functions
@pytest.mark.parametrize("label", [0.0, 1.0])
def test_float32_is_correctly_rounded_at_labels_0_and_1(name, label, enabled):
    z = spread(SINGLE, 40_000, seed=2)
    ties = (np.arange(1, 2000, 2) * 2.0**-23).astype(np.float32)
    with jax.enable_x64(enabled):
        assert errors(name, np.concatenate([z, ties, -ties]), label, SINGLE).max() <= 0.5


@functions
@pytest.mark.parametrize("label", [0.0, 1.0])
def test_float64_at_labels_0_and_1(name, label):
    assert errors(name, spread(DOUBLE, 40_000, seed=3), label, DOUBLE).max() <= 0.51


@pytest.mark.parametrize("label", [0.1, 0.25, 0.5])
def test_float64_values_at_other_labels(label):
    z = spread(DOUBLE, 10_000, seed=3)
    assert errors("value", z[np.abs(z) < 60], label, DOUBLE).max() <= 0.51


@pytest.mark.parametrize("label", [0.1, 0.25, 0.5])
def test_float64_gradients_at_other_labels(label):
    z = spread(DOUBLE, 10_000, seed=3)
    truth = sigmoid_minus_label(z, label, DOUBLE)
    result = np.asarray(losses.sigmoid_binary_cross_entropy_grad(jnp.asarray(z), label))
    floor = np.spacing(label) * 2.0**-8
    unit = np.maximum(np.ldexp(1.0, truth.exponent), floor)
    assert np.max(error_in_ulps(result, truth) * np.ldexp(1.0, truth.exponent) / unit) <= 0.51


def near_labels(n, seed):
    """float32 logits, and labels up to 3 floats from `σ(z)`, of every magnitude down to subnormal labels."""
    rng = np.random.default_rng(seed)
    z = np.concatenate(
        [rng.uniform(-104, 17, n // 2), np.ldexp(rng.uniform(-1, 1, n - n // 2), rng.integers(-30, 4, n - n // 2))]
    )
    z = z.astype(np.float32)
    wide = z.astype(np.float64)
    nearest = (np.exp(np.minimum(wide, 0)) / (1 + np.exp(-np.abs(wide)))).astype(np.float32)
    y = from_ordinal(
        np.clip(to_ordinal(nearest) + rng.integers(-3, 4, n), 0, to_ordinal(np.ones(1, np.float32))), SINGLE
    )
    return z, y


@x64
def test_soft_labels_next_to_sigmoid(enabled):
    z, y = near_labels(200_000, seed=4)
    with jax.enable_x64(enabled):
        found = errors("gradient", z, y, SINGLE)
    assert found.max() <= 1


def test_a_special_value_elsewhere_hides_no_cancellation():
    """2**18 points, which XLA's reductions take the way of large arrays, where a NaN was seen to hide a maximum."""
    z, y = near_labels(1 << 18, seed=6)
    alone = np.asarray(losses.sigmoid_binary_cross_entropy_grad(z, y))
    for at, special in ((len(z) - 1, np.nan), (0, np.nan), (0, np.inf)):
        labels = y.copy()
        labels[at] = special
        found = np.asarray(losses.sigmoid_binary_cross_entropy_grad(z, labels))
        np.testing.assert_array_equal(found[at], np.float32(-special))
        np.testing.assert_array_equal(np.delete(found, at), np.delete(alone, at))


@pytest.mark.parametrize("n", [1, 8192, 8193, 3 * 8192 + 5])
def test_one_label_that_cancels_is_right_wherever_it_stands(n):
    z, y = near_labels(10_000, seed=9)
    size = np.abs(sigmoid_minus_label(z, y.astype(np.float64), SINGLE).rounded)
    most = [np.where(y > 0.1, size, 1).argmin()]
    z, y = z[most], y[most]
    truth = sigmoid_minus_label(z, y.astype(np.float64), SINGLE)
    assert size[most] < 2.0**-28 * y
    others = np.float32(0.3) - np.float32(0.1) * np.arange(n, dtype=np.float32) / n
    for at in {0, n // 2, n - 1}:
        logits, labels = others.copy(), np.full(n, 0.25, np.float32)
        logits[at], labels[at] = z[0], y[0]
        found = np.asarray(losses.sigmoid_binary_cross_entropy_grad(logits, labels))
        assert error_in_ulps(found[at : at + 1], truth) <= 1
        rest = np.asarray(losses.sigmoid_binary_cross_entropy_grad(others, np.float32(0.25)))
        np.testing.assert_array_equal(np.delete(found, at), np.delete(rest, at))


@functions
def test_soft_labels_anywhere(name):
    for label in (0.1, 0.25, 0.5, 0.9, float(np.float32(1e-40)), float(np.nextafter(np.float32(0.5), np.float32(1)))):
        z = spread(SINGLE, 10_000, seed=5)
        assert errors(name, z[np.abs(z) < 60], label, SINGLE).max() <= 1


def test_a_result_off_by_one_ulp_is_seen():
    z = spread(SINGLE, 1000, seed=6)

    def planted(z, y):
        right = np.asarray(losses.sigmoid_binary_cross_entropy_grad(z, y)).copy()
        right[77] = np.nextafter(right[77], np.float32(2))
        return right

    assert list(np.flatnonzero(errors("gradient", z, 0.0, SINGLE, planted) > 0.5)) == [77]


@functions
@pytest.mark.parametrize("label", [0.0, 1.0, 0.25])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_compensated_float32_arithmetic(name, label, dtype):
    fmt = FORMATS[dtype]
    z = spread(fmt, 20_000, seed=7)
    z = z[np.abs(widen(z)) < (60 if label == 0.25 else np.inf)]
    with jax.enable_x64(False):
        text = str(jax.make_jaxpr(lambda z: FUNCTIONS[name][0](z, label, arithmetic="compensated"))(jnp.asarray(z)))
        assert "f64" not in text
        found = errors(name, z, label, fmt, arithmetic="compensated")
    assert found.max() <= (0.5001 if fmt.bits == 32 else 0.501)


def curvature_ball(z):
    e = (-ball(abs(z))).exp()
    return e / (1 + e) ** 2


@formats
@pytest.mark.parametrize("arithmetic", losses.ARITHMETICS)
def test_the_second_derivative_is_as_accurate(fmt, arithmetic):
    z = spread(fmt, 150, seed=8)
    z = z[np.abs(widen(z)) < 4096]
    second = jax.jit(
        jax.vmap(jax.grad(lambda x: losses.sigmoid_binary_cross_entropy_grad(x, 1, arithmetic=arithmetic)))
    )
    truth = [decide_quanta(lambda v=v: curvature_ball(float(v)), fmt) for v in widen(z)]
    found = error_in_ulps(np.asarray(second(jnp.asarray(z))), of_quanta(*zip(*truth, strict=True), fmt))
    exact = fmt.bits != 64 and arithmetic == "float64"
    assert found.max() <= (0.5 if exact else 0.51)


@formats
@pytest.mark.parametrize("arithmetic", losses.ARITHMETICS)
def test_subnormal_results_are_subnormal(fmt, arithmetic):
    if fmt.name == "float16":
        z = -np.array([10.0, 12.0, 16.0, 17.0])
    else:
        z = np.linspace(fmt.emin, fmt.least_exponent - 0.9, 50) * math.log(2) - 1e-3
    z = z.astype(fmt.dtype)
    for name in FUNCTIONS:
        result = np.asarray(FUNCTIONS[name][0](jnp.asarray(z), 0, arithmetic=arithmetic))
        truth = FUNCTIONS[name][1](z, 0.0, fmt).rounded.astype(fmt.dtype)
        assert np.array_equal(bits_of(result), bits_of(truth))
        assert np.any(bits_of(result) == 1) or fmt.name == "float16"


@formats
def test_subnormal_logits_and_labels_are_read(fmt):
    least = from_ordinal(np.array([1, 2, 3, 40, 5]), fmt)
    half = losses.sigmoid_binary_cross_entropy_grad(jnp.asarray(least), 0.5)
    truth = [decide(lambda v=v: sigmoid_minus_label_ball(float(v), 0.5), fmt) for v in least]
    assert widen(np.asarray(half)).tolist() == truth
    far = jnp.full(5, -2000.0 if fmt.bits == 64 else -800.0, fmt.dtype)
    towards = losses.sigmoid_binary_cross_entropy_grad(far, jnp.asarray(least))
    assert np.array_equal(bits_of(np.asarray(towards)), bits_of(-least))


SPECIAL = [
    (np.inf, 1.0, 0.0, -0.0),
    (np.inf, 0.0, np.inf, 1.0),
    (np.inf, 0.25, np.inf, 0.75),
    (np.inf, 2.0, -np.inf, -1.0),
    (-np.inf, 0.0, 0.0, 0.0),
    (-np.inf, 1.0, np.inf, -1.0),
    (-np.inf, 0.25, np.inf, -0.25),
    (np.nan, 0.0, np.nan, np.nan),
    (0.0, np.nan, np.nan, np.nan),
    (np.nan, np.inf, np.nan, np.nan),
    (1.0, np.inf, -np.inf, -np.inf),
    (-1.0, np.inf, np.inf, -np.inf),
]


@formats
@pytest.mark.parametrize("arithmetic", losses.ARITHMETICS)
@pytest.mark.parametrize("jit", [False, True], ids=["eager", "jit"])
def test_special_values(fmt, arithmetic, jit):
    z, y, value, gradient = (np.array(c).astype(fmt.dtype) for c in zip(*SPECIAL, strict=True))
    run = lambda z, y: losses.sigmoid_binary_cross_entropy_value_and_grad(z, y, arithmetic=arithmetic)  # noqa: E731
    found = (jax.jit(run) if jit else run)(jnp.asarray(z), jnp.asarray(y))
    for result, expected in zip(found, (value, gradient), strict=True):
        np.testing.assert_array_equal(widen(np.asarray(result)), widen(expected))
    assert np.signbit(widen(np.asarray(found[1]))[0])


@formats
@pytest.mark.parametrize("label", [-2.0, 3.0, 100.0])
def test_labels_outside_0_and_1_are_taken_as_they_are(fmt, label):
    z = np.linspace(-12, 12, 101).astype(fmt.dtype)
    exact = float(np.asarray(label, fmt.dtype))
    for name, enclose in (
        ("gradient", lambda v: 1 / (1 + (-ball(v)).exp()) - ball(exact)),
        ("value", lambda v: ball(max(v, 0)) - ball(v) * ball(exact) + (-ball(abs(v))).exp().log1p()),
    ):
        result = widen(np.asarray(FUNCTIONS[name][0](jnp.asarray(z), exact)))
        truth = np.array([decide(lambda v=v, f=enclose: f(float(v)), fmt) for v in widen(z)])
        assert np.max(np.abs(result - truth) / np.spacing(np.abs(truth).astype(fmt.dtype)).astype(float)) <= 1.01


@formats
@pytest.mark.parametrize("arithmetic", losses.ARITHMETICS)
def test_no_finite_logit_gives_nan_or_a_spurious_zero(fmt, arithmetic):
    z = np.concatenate([from_ordinal(np.array([fmt.infinity - 1, -fmt.infinity]), fmt), spread(fmt, 2000, seed=9)])
    for label in (0, 1):
        for result in losses.sigmoid_binary_cross_entropy_value_and_grad(jnp.asarray(z), label, arithmetic=arithmetic):
            assert np.isfinite(widen(np.asarray(result))).all()
        truth = sigmoid_minus_label(z, float(label), fmt).rounded
        assert np.array_equal(widen(np.asarray(result)) == 0, truth == 0)


def _values(z, y):
    """The losses of float32 logits by two words of float64, to `2**-80`, and where that is too near a tie to decide."""
    v, j = logistic.value_doubled(logistic.widen(z), jnp.full(z.shape, y.astype(jnp.float64)), logistic.FULL)
    v = logistic.to_odd(*v) * logistic.power(-j, DOUBLE)
    bits = jax.lax.bitcast_convert_type(v, jnp.int64)
    below = bits & ((1 << 29) - 1)
    near_tie = (jnp.abs(below - (1 << 28)) <= 1) & (v > 2.0**-126)
    return logistic.narrow(v, SINGLE), near_tie


@jax.jit
def _block_of_values(first, sign, label):
    magnitude = first + jnp.arange(1 << 20, dtype=jnp.int32)
    z = jax.lax.bitcast_convert_type(magnitude | sign, jnp.float32)
    truth, near_tie = _values(z, label)
    result = losses.sigmoid_binary_cross_entropy(z, label)
    differ = jax.lax.bitcast_convert_type(result, jnp.int32) != jax.lax.bitcast_convert_type(truth, jnp.int32)
    open_ = (differ & ~(jnp.isnan(result) & jnp.isnan(z))) | near_tie
    return open_.any(), open_


def check_values(first):
    """Wrong losses among the 2**20 magnitudes from `first`, both signs, labels 0 and 1; how many the reference saw."""
    wrong = left = 0
    for sign, label in itertools.product((0, -(1 << 31)), (0, 1)):
        found, where = _block_of_values(jnp.int32(first), jnp.int32(sign), jnp.float32(label))
        if found:
            at = np.flatnonzero(np.asarray(where)).astype(np.uint32)
            z = (np.uint32(first) + at | np.uint32(sign % (1 << 32))).view(np.float32)
            z = z[np.isfinite(z)]
            left += len(z)
            wrong += int(np.sum(errors("value", z, label, SINGLE) > 0.5)) if len(z) else 0
    return wrong, left


@pytest.mark.parametrize("first", [0x33F00000, 0x39E00000, 0x3F300000, 0x42B00000, 0x42C80000])
def test_blocks_of_float32_values(first):
    assert check_values(first)[0] == 0


@jax.jit
def _wrong_where_constant(first, sign, label, expected):
    """How many losses of 2**20 magnitudes are not `expected`, or not the logit's size where that is NaN."""
    magnitude = first + jnp.arange(1 << 20, dtype=jnp.int32)
    z = jax.lax.bitcast_convert_type(magnitude | sign, jnp.float32)
    result = jax.lax.bitcast_convert_type(losses.sigmoid_binary_cross_entropy(z, label), jnp.int32)
    truth = jnp.where(jnp.isnan(expected), magnitude, jax.lax.bitcast_convert_type(expected, jnp.int32))
    return (result != truth).sum()


def check_constant(first):
    """As `check_values` below `2**-27`, where the loss rounds to `ln 2`, and from 128, where it is 0 or `|z|`."""
    wrong = 0
    for sign, label in itertools.product((0, -(1 << 31)), (0, 1)):
        expected = math.log(2) if first < 0x32000000 else (math.nan if label == (sign != 0) else 0.0)
        wrong += int(
            _wrong_where_constant(jnp.int32(first), jnp.int32(sign), jnp.float32(label), jnp.float32(expected))
        )
    return wrong, 0


def check_any(first):
    return check_values(first) if 0x32000000 <= first < 0x43000000 else check_constant(first)


@pytest.mark.parametrize("first", [0, 0x100000, 0x31F00000, 0x43000000, 0x7F700000])
def test_constant_blocks_of_float32_values(first):
    assert check_constant(first)[0] == 0


@pytest.mark.exhaustive
def test_every_float32_value():
    """Every finite magnitude, both signs, labels 0 and 1: 4 * 2139095040 losses.

    Below `2**-27` a logit moves the loss by less than `2**-28`, and `ln 2` is further than that from a tie of float32.
    """
    counts = [check_any(first) for first in range(0, SINGLE.infinity, 1 << 20)]
    print("wrong, left to the reference:", np.sum(counts, axis=0))
    assert sum(wrong for wrong, _ in counts) == 0


@pytest.mark.exhaustive
def test_every_float32_gradient_is_correctly_rounded():
    streams = exhaustive.sweep(STUDY, forms=["rounded"], labels=[0.0, 1.0], tolerance=0.5)
    for row in exhaustive.rows(STUDY, streams, 0.5):
        print(row.label, row.counts, row.max_ulp, row.max_ulp_at, "undecided", row.undecided)
        assert set(row.counts) <= {"ok", "nan_input"} and row.points == 2**32 and row.max_ulp <= 0.5


def hunted(name, label, n, seed):
    """The largest float64 error over `n` points: half at random, half around the worst of them."""
    rng = np.random.default_rng(seed)
    z = np.concatenate(
        [rng.uniform(-760, 760, n // 4), np.ldexp(rng.uniform(-1, 1, n // 4), rng.integers(-60, 5, n // 4))]
    )
    found = errors(name, z, label, DOUBLE)
    worst = z[np.argsort(found)[-n // 2000 :]]
    around = from_ordinal(
        (to_ordinal(worst)[:, None] + rng.integers(-(2**20), 2**20, (len(worst), 1000))).ravel(), DOUBLE
    )
    return max(found.max(), errors(name, around, label, DOUBLE).max())


@pytest.mark.exhaustive
@functions
@pytest.mark.parametrize("label", [0.0, 1.0])
def test_float64_hunted(name, label):
    found = max(hunted(name, label, 250_000, seed) for seed in range(10))
    print(name, label, found)
    assert found <= 0.51


@pytest.mark.exhaustive
def test_soft_labels_next_to_sigmoid_on_1e8_points():
    found = max(errors("gradient", *near_labels(1_000_000, seed), SINGLE).max() for seed in range(100))
    print(found)
    assert found <= 1
