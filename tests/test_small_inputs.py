"""Small inputs at the edges, with what is right there by mpmath or by hand; each stands for its kind."""

import jax
import jax.numpy as jnp
import jax.scipy.special as special
import jax.scipy.stats as stats
import mpmath
import numpy as np
import pytest
from jax import lax, nn

from stability import (
    UnsupportedPrimitive,
    diagnose,
    study_of,
    true_derivative,
    true_value,
    why_undefined,
)
from stability.formats import FORMATS
from stability.real import Order, truth
from stability.testing import assert_gradient_max_ulp, assert_max_ulp
from stability.truth import State

F32 = FORMATS["float32"]
NAN, INF, PI = np.nan, np.inf, mpmath.pi
NOTHING_KEPT = np.array([False, False])


def f(*x):
    return np.float32(x[0] if len(x) == 1 else x)


def is_right(found, wanted) -> bool:
    return np.array_equal(np.asarray(found), np.asarray(wanted, np.asarray(found).dtype), equal_nan=True)


NUMBERS = {
    "any number to the 0": (lambda x: x**0, f(0, INF, NAN), [1, 1, 1]),
    "any number to a 0 that is given": (lambda x: x ** f(0), f(0, NAN), [1, 1]),
    "fmax passes over NaN": (lambda x: jnp.fmax(x, f(1)), f(NAN, 2), [1, 2]),
    "fmin passes over NaN": (lambda x: jnp.fmin(f(1), x), f(NAN, 2), [1, 1]),
    "argmax finds NaN": (lambda x: jnp.argmax(x).astype(x.dtype), f(3, NAN, 2), 1),
    "exp(-1/x²) at its hole": (lambda x: jnp.exp(-1 / x**2), f(0), 0),
    "atan(1/x²) at its hole": (lambda x: jnp.arctan(1 / x**2), f(0), PI / 2),
    "E1 at its pole": (special.exp1, f(0), INF),
    "entropy with a zero": (lambda p: -jnp.sum(p * jnp.log(p)), f(0, 0.5, 0.5), mpmath.log(2)),
    "masked logits": (lambda x: nn.softmax(jnp.where(x > 0, x, -INF)), f(-1, 2), [0, 1]),
    "integers in a dot product": (jnp.dot, (np.int32([1, 2]), f(0.5, 0.25)), 1),
    "an element that is filled in": (lambda x: x.at[7].get(mode="fill", fill_value=2.5), f(1, 2), 2.5),
    "atan2 of a negative zero": (jnp.arctan2, (f(-0.0), f(-1)), -PI),
    "atan2 of a zero": (jnp.arctan2, (f(0), f(-1)), PI),
    "atan2 of a negated zero": (lambda y: jnp.arctan2(-y, f(-1)), f(0), -PI),
    "atan2 of the absolute value of a zero": (lambda y: jnp.arctan2(jnp.abs(y), f(-1)), f(-0.0), PI),
    "atan2 below minus infinity": (jnp.arctan2, (f(-0.0), f(-INF)), -PI),
    "the sign of a zero": (lambda x: jnp.copysign(f(2), x), f(-0.0, 0, -1), [-2, 2, -2]),
    "signbit": (lambda x: jnp.signbit(x).astype(x.dtype), f(-0.0, 0), [1, 0]),
    "the bits of a zero": (lambda x: lax.bitcast_convert_type(x, jnp.int32), f(-0.0), -(2**31)),
    "many holes": (lambda x: jnp.sin(x) / x, np.zeros(150, np.float32), [1] * 150),
    "many holes under scan": (
        lambda x: lax.scan(lambda c, v: (c, jnp.expm1(v) / v), 0.0, x)[1],
        np.zeros(150, np.float32),
        [1] * 150,
    ),
    "a hole that many elements hang on": (lambda x, y: jnp.sin(x) / x + y, (f(0), np.ones(80, np.float32)), [2] * 80),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_a_number_is_right_and_what_jax_makes_of_it_is_not_condemned_for_its_zeros(name):
    fn, args, wanted = NUMBERS[name]
    args = args if isinstance(args, tuple) else (args,)
    found, why = true_value(fn, *args), np.ravel(np.asarray(why_undefined(fn, *args), object))
    with mpmath.workdps(40):
        assert is_right(found, np.vectorize(float)(wanted))
    assert all(w in (None, "pole") for w in why)
    if np.issubdtype(found.dtype, np.floating):
        diagnose(fn, *args).summary()


UNDEFINED = {
    "a masked mean of nothing": (lambda x: jnp.mean(x, where=NOTHING_KEPT), f(1, 2), "zero_over_zero"),
    "the same by products": (
        lambda x: jnp.sum(x * NOTHING_KEPT) / jnp.sum(NOTHING_KEPT.astype(np.float32)),
        f(1, 2),
        "zero_over_zero",
    ),
    "the same by a dot product": (
        lambda x: jnp.dot(x, NOTHING_KEPT.astype(np.float32)) / jnp.sum(NOTHING_KEPT),
        f(1, 2),
        "zero_over_zero",
    ),
    "nanmean of NaNs": (jnp.nanmean, f(NAN, NAN), "zero_over_zero"),
    "a jump at a pole": (lambda x: jnp.arctan(1 / x), f(0), "unsigned_infinity"),
    "a direction of nothing": (lambda x: x / jnp.linalg.norm(x), np.zeros(100, np.float32), "zero_over_zero"),
    "what is written so": (lambda x: jnp.where(x == 0, NAN, x), f(0), "nan"),
}


@pytest.mark.parametrize("name", UNDEFINED)
def test_what_has_no_value_says_why_and_a_nan_is_right_there(name):
    fn, x, why = UNDEFINED[name]
    assert set(np.ravel(np.asarray(why_undefined(fn, x), object))) == {why}
    assert_max_ulp(fn, x, max_ulp=1)


def test_the_line_of_a_masked_mean_of_nothing_is_named():
    found = diagnose(lambda x: jnp.mean(x, where=NOTHING_KEPT), f(1, 2))
    assert (found.verdict, found.culprit.primitive, found.culprit.kind) == ("undefined", "div", "zero_over_zero")


def test_a_choice_is_still_a_strong_zero_to_a_gradient():
    kept = np.array([False, True])
    for fn in (jnp.sqrt, jax.jit(jnp.sqrt)):
        gradient = jax.grad(lambda x, fn=fn: jnp.sum(jnp.where(kept, fn(x), 0)))
        assert is_right(true_value(gradient, f(0, 4)), [0, 0.25])


def test_of_a_zero_that_was_computed_the_sign_is_not_known():
    assert why_undefined(lambda x: jnp.arctan2(x * 0, f(-1)), f(1)) == "undecided"
    assert why_undefined(lambda x: jnp.signbit(x * 0).astype(x.dtype), f(1)) == "undecided"


def test_where_too_many_numbers_would_be_varied_it_is_said():
    why = why_undefined(lambda x: jnp.sum(jnp.sin(x) / x), np.linspace(-1, 1, 129, dtype=np.float32))
    assert why == "undecided: zero_over_zero, no limit looked for in more than 64 ways"


def isolated(x):
    return jnp.where(x == jnp.round(x), x, 0.0)


def hole_filled(x):
    return jnp.where(x == 0, 0.0, 1 / jnp.where(x == 0, 1.0, x))


DERIVATIVES = {
    "a mass at a whole number": (lambda k: stats.poisson.pmf(k, 1.5), 2.0, NAN),
    "a log mass at a whole number": (lambda k: stats.poisson.logpmf(k, 1.5), 2.0, NAN),
    "beside a mass": (lambda k: stats.poisson.pmf(k, 1.5), 2.5, 0),
    "a mass by its mean": (lambda m: stats.poisson.pmf(2, m), 3.0, -np.exp(-3) * 1.5),
    "a value at whole numbers alone": (isolated, 1.0, NAN),
    "a value that is the limit": (lambda x: jnp.where(x == 0, 0.0, x), 0.0, 1),
    "a value that is not the limit": (hole_filled, 0.0, NAN),
    "a NaN that is written": (lambda x: jnp.where(x == 0, NAN, x), 0.0, NAN),
    "a jump at a hole": (lambda y: jnp.arctan2(y, f(0)), 0.0, NAN),
    "a sign as a quotient": (lambda x: x / jnp.abs(x), 0.0, NAN),
    "a step, from its side": (jnp.floor, 1.0, 0),
    "a remainder, from its side": (lambda x: x % 1.0, 1.0, 1),
    "a jump of a cond, from its side": (lambda x: lax.cond(x > 0, lambda y: y + 1, lambda y: -y, x), 0.0, -1),
    "the cut of atan2, from its side": (lambda y: jnp.arctan2(y, f(-1)), 0.0, -1),
    "a sign at 0": (jnp.sign, 0.0, NAN),
    "the 0th power": (lambda x: x**0, 0.0, 0),
    "a power of 0": (lambda y: jnp.power(f(0), y), 1.0, 0),
    "a power of 0, to the 0": (lambda y: jnp.power(f(0), y), 0.0, NAN),
    "a negative number to a float": (lambda y: jnp.power(f(-2), y), 2.0, NAN),
    "fmax": (lambda x: jnp.fmax(x, 1.0), 2.0, 1),
    "E1 at its pole": (special.exp1, 0.0, -INF),
    "a product with a zero": (lambda x: jnp.prod(jnp.stack([x, f(0) * x, x + 3])), 0.0, 0),
    "a hinge at its corner": (lambda x: jnp.maximum(0.0, 1 - x), 1.0, -0.5),
}


@pytest.mark.parametrize("shape", [(), (1,)])
@pytest.mark.parametrize("name", DERIVATIVES)
def test_a_derivative_is_that_of_a_continuous_value(name, shape):
    fn, x, wanted = DERIVATIVES[name]
    many = jax.vmap(fn) if shape else fn
    assert is_right(np.ravel(true_derivative(many, np.full(shape, x, np.float32)))[0], np.float32(wanted))


SECOND = {
    "sinc": (jnp.sinc, 0.0, -(np.pi**2) / 3),
    "sinc at 1": (jnp.sinc, 1.0, 2),
    "the norm of (3, x)": (lambda x: jnp.linalg.norm(jnp.stack([f(3), x])), 4.0, 9 / 125),
    "x log x": (lambda x: x * jnp.log(x), 2.0, 0.5),
    "huber at its corner": (lambda x: jnp.where(jnp.abs(x) > 1, jnp.abs(x) - 0.5, x * x / 2), 1.0, 0.5),
    "a square as a power": (lambda x: jnp.power(x, f(2)), 0.0, 2),
    "sqrt at 0": (jnp.sqrt, 0.0, -INF),
    "atan2 of a square, on its cut": (lambda x: jnp.arctan2(x * x, f(-1)), 0.0, -2),
}


@pytest.mark.parametrize("name", SECOND)
def test_second_derivatives(name):
    fn, x, wanted = SECOND[name]
    assert is_right(true_derivative(fn, np.float32(x), order=2), np.float32(wanted))


@pytest.mark.parametrize(
    "fn",
    [
        lambda x: jnp.where(x == 0, 0.0, jnp.exp(-1 / jnp.where(x == 0, 1.0, x) ** 2)),
        lambda x: jnp.where(x == 0, 0.0, x * x * jnp.sin(1 / jnp.where(x == 0, 1.0, x))),
    ],
)
def test_a_derivative_that_limits_do_not_tell_is_undecided(fn):
    assert truth(fn, f(0)[None], fmt=F32, derivative=Order(0, 1)).state.tolist() == [State.UNDECIDED]


def guessed(x):
    return jax.pure_callback(np.sin, jax.ShapeDtypeStruct(x.shape, x.dtype), x, vmap_method="expand_dims")


UNPROVEN = {
    "where": lambda x: jnp.where(guessed(x) > 0, x, -x),
    "relu": lambda x: nn.relu(guessed(x)),
    "cond": lambda x: lax.cond(guessed(x) > 0, lambda y: 2 * y, lambda y: 3 * y, x),
    "switch": lambda x: lax.switch((2 * guessed(x)).astype(jnp.int32), [jnp.sin, jnp.cos, jnp.exp], x),
    "while": lambda x: lax.while_loop(lambda c: c < 10, lambda c: c + 1, guessed(x)),
    "how often": lambda x: lax.while_loop(lambda c: guessed(c[0]) > 0.5, lambda c: (c[0] - 0.5, c[1] + 1), (x, x))[1],
    "mask": lambda x: (guessed(x) > 0) * x,
    "both": lambda x: jnp.where((guessed(x) > 0) & (x > 0), x, -x),
    "not": lambda x: jnp.where(~(guessed(x) > 0), x, -x),
    "integer": lambda x: x * (guessed(x).astype(jnp.int32) + 3),
    "nothing there": lambda x: jnp.where(guessed(x) > 0, jnp.log(-x), x),
    "isnan": lambda x: jnp.where(jnp.isnan(guessed(x)), 0.0, x),
    "constant": lambda x: x + guessed(f(1)),
    "by a constant": lambda x: jnp.where(guessed(f(1)) > 0, x, -x),
}


@pytest.mark.parametrize("shape", [(), (2,)])
@pytest.mark.parametrize("name", UNPROVEN)
def test_what_hangs_on_a_comparison_of_what_is_not_proven_is_not_either(name, shape):
    fn = jax.vmap(UNPROVEN[name]) if shape else UNPROVEN[name]
    x = np.full(shape, np.float32(1))
    assert set(np.ravel(np.asarray(why_undefined(fn, x), object))) == {"not proven: computed in wider floats"}
    assert np.allclose(true_value(fn, x), fn(x), rtol=1e-6, equal_nan=True)
    with pytest.raises(UnsupportedPrimitive, match="pure_callback"):
        true_value(fn, x, strict=True)
    assert diagnose(fn, x).verdict == "undecided"
    assert_max_ulp(fn, x, max_ulp=1)


def test_a_sweep_of_what_is_not_proven_is_undecided():
    row = (
        study_of({"f": UNPROVEN["by a constant"]}, domain=(0.5, 1.0)).sweep(dtypes=["bfloat16"], modes=["jit"]).rows[0]
    )
    assert set(row.counts) == {"undecided"}


def test_what_hangs_on_no_guess_is_proven():
    assert why_undefined(lambda x: jnp.where((guessed(x) > 0) & (x < 0), x, -x), f(1)) is None


def test_a_neighbour_of_a_computed_number_is_not_proven():
    with pytest.raises(UnsupportedPrimitive, match="nextafter"):
        true_value(lambda x: jnp.nextafter(jnp.exp(x), f(0)), f(1), strict=True)
    assert true_value(lambda x: jnp.nextafter(x, f(0)), f(1), strict=True) == np.nextafter(f(1), f(0))


Z = np.complex64([1 + 2j, 3e-5 - 1j, -1 + 1e-9j])


def test_both_parts_of_a_complex_result_are_judged_in_ulps_of_the_larger():
    assert_max_ulp(jnp.exp, Z, max_ulp=4)
    assert_max_ulp(lambda z: z, Z, max_ulp=0.5, reference=Z)
    assert_max_ulp(lambda z: z + np.float32(1e-7) * 1j, Z, max_ulp=2, reference=Z)
    with pytest.raises(AssertionError, match="the imaginary part of"):
        assert_max_ulp(lambda z: z + np.float32(1e-7) * 1j, Z, max_ulp=2, reference=Z, elementwise=True)
    with pytest.raises(AssertionError, match=r"the real part of .*\n(.*\n)*.*x: \(1\+2j\)(.*\n)*.*CULPRIT: sub"):
        assert_max_ulp(lambda z: z * z - z * z * np.float32(1 + 1e-7), Z, max_ulp=1)
    with pytest.raises(ValueError, match="the reference"):
        assert_max_ulp(lambda z: z, Z, max_ulp=1, reference=Z.real)


def test_a_line_without_a_column_is_told_without_one():
    source = diagnose(jnp.log, f(-1)).culprit.source
    assert "None" not in source and source.count(":") == 1


def test_a_domain_that_holds_no_float_is_told_in_one_line():
    narrow = study_of({"e": jnp.exp}, domain=(1.0001, 1.0002))
    assert {r.dtype for r in narrow.sweep(modes=["jit"], points=64).rows} == {"float32", "float64"}
    for domain, dtype in (((1.0001, 1.0002), "bfloat16"), ((2.0, 1.0), "float32"), ((NAN, 1.0), "float16")):
        with pytest.raises(ValueError, match=f"holds no {dtype}"):
            study_of({"e": jnp.exp}, domain=domain).sweep(dtypes=[dtype], modes=["jit"])
    with pytest.raises(ValueError, match=r"orders \(0,\)"):
        assert_gradient_max_ulp(jnp.exp, domain=(0.0, 1.0), max_ulp=4, orders=(0,))
