"""Overflow, poles, undefined and undecided values, end to end: nothing right is called wrong."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from jax import lax
from jax.scipy.special import gammaln

from stability import measure
from stability.diagnosis import diagnose
from stability.formats import FORMATS, from_ordinal, widen
from stability.measure import FAILURE_KINDS
from stability.real import true_value, truth, why_undefined
from stability.report.tables import how_many
from stability.study.functions import study_of
from stability.sweep import engine
from stability.sweep.points import ordinals_within
from stability.sweep.rows import evaluate
from stability.testing import assert_gradient_max_ulp, assert_max_ulp
from stability.truth import State

BF16, F32 = FORMATS["bfloat16"], FORMATS["float32"]
OPTIONS = dict(labels=[None], modes=["jit"], points=2048, tolerance=16.0, seed=0)


def sweep(fn, dtype="bfloat16", domain=(-np.inf, np.inf), **options):
    study = study_of({"f": fn}, domain=domain)
    return engine.sweep(study, forms=["f"], dtypes=[dtype], **(OPTIONS | options)).rows[0]


def power_of_two(x):
    return jnp.power(jnp.asarray(2.0, x.dtype), x)


GROWING = {f.__name__: f for f in (jnp.exp, jnp.expm1, jnp.exp2, jnp.sinh, jnp.cosh, power_of_two)}


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
@pytest.mark.parametrize("grad", [False, True], ids=["value", "gradient"])
@pytest.mark.parametrize("name", GROWING)
def test_an_infinity_is_right_from_the_overflow_to_the_end(name, grad, dtype):
    fn = jax.grad(GROWING[name]) if grad else GROWING[name]
    row = sweep(fn, dtype)
    beyond = [r for r in row.regions if widen(from_ordinal(np.array(r.stop), FORMATS[dtype])) > 130]
    assert beyond == []
    assert row.states.keys() == {"number", "undefined"} and row.states["undefined"] == row.counts["nan_input"]


@pytest.mark.parametrize("fmt", FORMATS.values(), ids=lambda f: f.name)
def test_exp_overflows_where_mpmath_says(fmt):
    with mpmath.workprec(200):
        edge = mpmath.log(mpmath.mpf(fmt.max) + mpmath.mpf(2) ** (fmt.emax - fmt.precision))
        z = from_ordinal(np.arange(-20, 20) + ordinals_within((-np.inf, float(edge)), fmt)[1], fmt)
        expected = [mpmath.mpf(float(x)) >= edge for x in widen(z)]
    assert np.isinf(truth(jnp.exp, z, fmt=fmt).rounded).tolist() == expected and 0 < sum(expected) < len(z)


def test_gradients_and_arrays_at_the_ends_pass():
    assert_gradient_max_ulp(jnp.exp, domain=(0.0, 1e4), max_ulp=4)
    assert_max_ulp(jnp.sin, jnp.zeros((0,)), max_ulp=1)
    assert np.array_equal(true_value(jnp.matmul, np.zeros((2, 0)), np.zeros((0, 3))), np.zeros((2, 3)))
    assert_max_ulp(jax.nn.log_softmax, jnp.float32([-3e38, 0.5]), max_ulp=4)
    with mpmath.workprec(100):
        assert float(true_value(jax.nn.log_softmax, np.float64([-800.0, 0.5]))[1]) == -float(mpmath.exp(-800.5))


@pytest.mark.parametrize("x", [-3e38, -1e300])
def test_balls_of_very_different_sizes_are_not_expanded(x):
    x = np.float64(x)
    assert true_value(lambda x: x + jnp.exp(x), x) == x
    assert true_value(lambda x: jnp.exp(x) - jnp.exp(2 * x), x) == 0
    assert true_value(lambda x: jnp.exp(-x), x) == np.inf


def never_shown_to_be_zero():
    logits = jnp.float32([1.0, 2.0, 3.0])
    yield jax.grad(lambda b: jax.nn.softmax(logits + b)[0]), 0.5
    yield lambda x: jnp.sin(x) ** 2 + jnp.cos(x) ** 2 - 1, 0.7
    yield lambda x: jnp.abs(jnp.log(jnp.exp(x)) - x), 0.7


@pytest.mark.parametrize("jitted", [False, True], ids=["eager", "jit"])
@pytest.mark.parametrize("shape", [(), (1,)])
@pytest.mark.parametrize(("fn", "at"), list(never_shown_to_be_zero()))
def test_what_is_0_as_far_as_precision_tells_condemns_nothing(fn, at, shape, jitted):
    many = (lambda f: f) if shape == () else jax.vmap
    f = jax.jit(many(fn)) if jitted else many(fn)
    x = jnp.full(shape, at, jnp.float32)
    assert np.all(true_value(f, x) == 0)
    known = np.ravel(why_undefined(f, x))[0]
    assert known.startswith("undecided: 0, or smaller than 2^-40")
    assert_max_ulp(f, x, max_ulp=0.5)
    found = diagnose(f, x)
    assert (found.verdict, found.true, found.culprit) == ("undecided", None, None)
    assert found.undefined.startswith("undecided: 0, or smaller than 2^-40") and "e-" not in found.undefined


def test_a_sweep_counts_what_is_undecided_apart():
    row = sweep(lambda x: jnp.sin(x) ** 2 + jnp.cos(x) ** 2 - 1, domain=(0.5, 0.51))
    assert set(row.counts) == {"undecided"} and row.states == {"undecided": row.points}
    assert row.max_ulp is None and {r.kind for r in row.regions} == {"undecided"}


def test_a_value_at_a_tie_is_undecided_and_its_neighbours_are_told():
    """(a + b)/2 of neighbouring floats lies between them, as far as balls can tell."""
    a = np.float32(1.5)
    b = np.nextafter(a, np.float32(2))
    mean = lambda x: (jnp.exp(jnp.log(x)) + jnp.exp(jnp.log(jnp.float32(b)))) / 2  # noqa: E731
    assert why_undefined(mean, a) == f"undecided: from {float(a).hex()} to {float(b).hex()}"
    assert_max_ulp(mean, a, max_ulp=0.5)


POLES = {"log": (jnp.log, 0.0), "rsqrt": (lax.rsqrt, 0.0), "lgamma": (gammaln, -2.0), "1/x": (lambda x: 1 / x, -0.0)}


@pytest.mark.parametrize("name", POLES)
def test_the_infinity_of_a_pole_is_right(name):
    fn, at = POLES[name]
    assert np.isinf(fn(jnp.float32(at)))
    assert_max_ulp(fn, jnp.float32([at]), max_ulp=0.5)
    assert diagnose(fn, np.float32(at)).verdict == "ok"


def test_a_number_at_a_pole_is_a_failure_and_outside_the_domain_is_not():
    def guarded(x):
        return jnp.where(x > 0, jnp.log(x), 7.0)

    study = study_of({"f": guarded}, reference=jnp.log, domain=(-1.0, 1.0))
    row = engine.sweep(study, forms=["f"], dtypes=["float16"], **OPTIONS).rows[0]
    zeros = [r for r in row.regions if r.start <= 0 <= r.stop or r.start <= -1 <= r.stop]
    assert {r.kind for r in zeros} & {"pole", "vanished", "inaccurate", "wrong_sign"}
    outside = [r for r in row.regions if r.kind == "outside"]
    assert sum(r.count for r in outside) == row.counts["outside"] == row.states["undefined"] > 1000
    assert "outside" not in FAILURE_KINDS and all(r.stop < 0 for r in outside)


def test_a_hunt_stays_in_the_domain():
    for domain in ((1.0, 2.0), (1.0, float(np.nextafter(np.float32(1), np.float32(2))))):
        row = sweep(jnp.exp, "float32", domain=domain, search=True)
        assert domain[0] <= row.max_ulp_at <= domain[1] and row.searched > 0
        assert domain[0] <= row.profile.z.min() and row.profile.z.max() <= domain[1]


def test_where_kinds_alternate_a_region_says_so_and_its_count_is_estimated():
    """By brute force over every float of the wide regions: the share that fails, in hundreds of runs."""
    study = study_of({"f": jax.grad(jax.nn.silu)}, domain=(-1.4, -1.2))
    row = engine.sweep(study, forms=["f"], dtypes=["float32"], **OPTIONS).rows[0]
    wide = [r for r in row.regions if r.width > 5000]
    assert sum(r.alternates for r in wide) >= len(wide) / 2 > 2 and not any(r.counted for r in wide)
    for region in wide:
        z = from_ordinal(np.arange(region.start, region.stop + 1), F32)
        result = evaluate(jax.jit(study.forms["f"]), z, np.float32(0))
        kinds, _ = measure.classify(result, study.truth(z, 0.0, F32), 16.0)
        share = np.mean(kinds == measure.INACCURATE)
        assert len(measure.runs(kinds)) > 100 and abs(region.count / region.width - share) < 0.35
    told = [how_many(r) for r in wide if r.alternates]
    assert all("kinds alternate; estimated" in text for text in told)


def test_a_nan_inside_a_region_is_not_stepped_over():
    """An inaccurate region with NaNs in its middle that no point of the grid meets."""
    middle = np.float32(1.5).view(np.int32) + 12345

    def f(x):
        n = lax.bitcast_convert_type(x, jnp.int32)
        return jnp.where(jnp.abs(n - middle) < 250_000, jnp.nan, x * 1.001)

    study = study_of({"f": f}, reference=lambda x: x, domain=(1.0, 2.0))
    row = engine.sweep(study, forms=["f"], dtypes=["float32"], **(OPTIONS | {"points": 8})).rows[0]
    (nan,) = [r for r in row.regions if r.kind == "nan"]
    assert (nan.start, nan.stop) == (middle - 249_999, middle + 249_999)


def test_states_have_names_for_every_code():
    assert [s.name.lower() for s in State] == ["number", "pole", "undefined", "undecided"]
    assert [int(s) for s in State] == [0, 1, 2, 3]
