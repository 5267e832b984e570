"""The bulk reference against interval arithmetic, and the conventions of the measure."""

from fractions import Fraction

import flint
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flint import arb

from stability import measure, real, truth
from stability.double_word import two_sum
from stability.formats import FORMATS, every_float, from_ordinal, widen
from stability.study.sigmoid.truth import sigmoid_minus_label, sigmoid_minus_label_ball
from stability.truth import State, nearest_quanta
from stability.truth.balls import FRACTION, decide, decide_quanta, quanta_of

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
    assert truth.by_balls < 16


LABELS_NEXT_TO_A_TIE = [
    0.5,
    0.1,
    0.25,
    2.0**-30,
    2.0**-80,
    1e-300,
    5e-324,
    1 - 2.0**-53,
    0.5 - 2.0**-54,
    0.5 + 2.0**-53,
]


@pytest.mark.parametrize("label", LABELS_NEXT_TO_A_TIE)
@pytest.mark.parametrize("fmt", FORMATS.values(), ids=lambda f: f.name)
def test_a_tie_that_a_tiny_logit_breaks_is_decided_as_balls_do(fmt, label):
    """The label itself may lie between two floats of the format: then `1/2 - y` can be a tie, and `z/4` breaks it.

    From 2**-55 up, where the bound is that of any other logit unless the label is 1/2, only the rounding is compared.
    """
    rng = np.random.default_rng(5)
    z = np.ldexp(rng.uniform(1, 2, 300), rng.integers(-1074, -18, 300)) * rng.choice([-1, 1], 300)
    edges = np.ldexp(1.0, [-1074, -1073, -1022, -1001, -1000, -301, -300, -103, -102, -101, -56, -55, -54, -25, -24])
    near = np.concatenate([edges, np.nextafter(edges, 1), np.nextafter(edges, 0)])
    z = np.concatenate([z, near, -near, 2.0 ** np.arange(-100, -20)])
    truth = sigmoid_minus_label(z, label, fmt)
    for i, v in enumerate(z):
        with flint.ctx.workprec(5000):
            n, f, e = quanta_of(sigmoid_minus_label_ball(float(v), label), fmt)
        assert (n, e) == (truth.quanta[i], truth.exponent[i])
        assert abs(f - truth.fraction[i]) < 2.0**-24 or (abs(v) >= (2.0**-24 if label == 0.5 else 2.0**-55))


def test_ties_at_tiny_logits_take_no_balls():
    for name, label in (("float64", 0.1), ("float32", 0.5), ("bfloat16", 0.5)):
        fmt = FORMATS[name]
        z = from_ordinal(np.arange(1, 4000), fmt)
        assert sigmoid_minus_label(z, float(np.asarray(label).astype(fmt.dtype)), fmt).by_balls == 0


def nearest(value: Fraction, fmt) -> tuple[int, int]:
    """The quanta and the exponent of the correctly rounded value, by rational arithmetic."""
    size, e = abs(value), fmt.least_exponent
    while size >= Fraction(2) ** (e + fmt.precision):
        e += 1
    n = round(size / Fraction(2) ** e)
    return (n if value > 0 else -n), e


@pytest.mark.parametrize("lean", [-1, 0, 1])
@pytest.mark.parametrize("fmt", [FORMATS["float16"], FORMATS["float64"]], ids=lambda f: f.name)
def test_a_lean_decides_a_tie_and_the_binade_and_without_it_a_tie_is_left_open(fmt, lean):
    rng = np.random.default_rng(6)
    whole = rng.integers(2 ** (fmt.precision - 1), 2**fmt.precision - 1, 40).astype(float)
    whole[:2] = 2.0 ** (fmt.precision - 1)
    ties = (
        np.concatenate([whole, whole[:2], -whole]),
        np.concatenate([np.full(40, 0.5), np.zeros(2), np.full(40, -0.5)]),
    )
    h, l = two_sum(*ties)
    bound = np.full(len(h), 2.0**-40)
    n, f, e, open_ = nearest_quanta((h, l), 0, bound, fmt, np.full(len(h), lean))
    tie = ties[1] != 0
    assert open_[tie].all() if lean == 0 else not open_.any()
    for i in np.flatnonzero(~open_ & (tie | (lean != 0))):
        true = Fraction(h[i]) + Fraction(l[i]) + lean * Fraction(1, 2**60)
        assert nearest(true, fmt) == (n[i], e[i])
        assert abs(int(n[i]) + Fraction(f[i]) - true / Fraction(2) ** int(e[i])) < Fraction(1, 2**24)


@pytest.mark.parametrize(("factor", "open_too"), [(0.99, False), (1.01, True)])
@pytest.mark.parametrize("fmt", [f for f in FORMATS.values() if f.bits < 64], ids=lambda f: f.name)
def test_how_far_a_value_is_from_a_tie_is_known_to_a_rounding(fmt, factor, open_too):
    rng = np.random.default_rng(7)
    tie = rng.integers(2 ** (fmt.precision - 1) + 1, 2**fmt.precision - 1, 400) + 0.5
    off = np.ldexp(rng.uniform(0.5, 1, 400), rng.integers(-200, -54, 400)) * rng.choice([-1, 1], 400)
    n, _, e, open_ = nearest_quanta((tie, off), 0, np.abs(off) * factor, fmt)
    assert (open_ == open_too).all()
    if not open_too:
        true = [Fraction(t) + Fraction(d) for t, d in zip(tie, off, strict=True)]
        assert [nearest(v, fmt) for v in true] == list(zip(n, e, strict=True))


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


@pytest.mark.parametrize("fmt", FORMATS.values(), ids=lambda f: f.name)
@pytest.mark.parametrize("sign", [1, -1])
def test_a_ball_about_a_power_of_two_is_that_power(fmt, sign):
    """In it two binades meet: below the normal floats, among them, and beyond the greatest. Its middle has more bits
    than what is computed with here."""
    for k in (fmt.least_exponent, fmt.least_exponent + 1, fmt.emin, 0, fmt.emax, fmt.emax + 1, fmt.emax + 9):
        with flint.ctx.workprec(200):
            about = arb(sign) * arb(2) ** k * (1 - arb(2) ** -110) + arb(0, arb(2) ** (k - 100))
        found = truth.enclosed(about, fmt)
        assert found._replace(fraction=0.0) == truth.enclosed(arb(sign) * arb(2) ** k, fmt), k
        assert abs(found.fraction) <= FRACTION
        wide = arb(sign) * arb(2) ** k + arb(0, arb(2) ** (max(k - fmt.precision, fmt.least_exponent) + 1))
        assert truth.enclosed(wide, fmt).state == State.UNDECIDED, k


def test_exact_powers_that_overflow_are_infinite():
    with jax.enable_x64(True):
        known = real.truth(lambda x: x**1.5, np.array([2.0**700, 4.0**350, 2.0**702]), fmt=FORMATS["float64"])
    assert np.isinf(known.rounded).all() and (known.state == State.NUMBER).all()
