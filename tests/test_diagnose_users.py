"""Diagnoses of what people bring: keys, prints, masks, whole layers; healthy code among them."""

import json
import math

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from stability.diagnosis import diagnose

F32 = np.float32


def layer_norm(x):
    m = jnp.mean(x, -1)
    v = jnp.mean(jnp.square(x), -1) - jnp.square(m)
    return (x - m) * jax.lax.rsqrt(v + 1e-5)


def masked_softmax(x):
    return jax.nn.softmax(x + jnp.where(np.zeros(4, bool), 0.0, -1e10).astype(x.dtype))


def printing(x):
    jax.debug.print("{}", x)
    return 2 * x


def perceptron(weights, x):
    for w in weights:
        x = jnp.tanh(x @ w)
    return jnp.sum(x**2)


WEIGHTS = [0.5 * np.random.default_rng(i).standard_normal((4, 4)).astype(F32) for i in range(2)]

HEALTHY = {
    "a masked mean": (lambda x: x / jnp.sum(x > 0), (np.arange(4, dtype=F32),)),
    "a key of numbers": (lambda m: m + jax.random.normal(jax.random.PRNGKey(0), (3,)), (np.ones(3, F32),)),
    "a typed key": (lambda m: m + jax.random.uniform(jax.random.key(0), (3,)), (np.ones(3, F32),)),
    "a key that is an argument": (lambda m, k: m + jax.random.uniform(k, (3,)), (np.ones(3, F32), jax.random.key(1))),
    "a print": (printing, (F32(2),)),
    "a float8 argument": (lambda x: 3 * x.astype(jnp.float32), (np.array(1.5, ml_dtypes.float8_e4m3fn),)),
    "the gradient of a perceptron": (jax.grad(perceptron), (WEIGHTS, np.ones(4, F32))),
    "a sum of 1,000 numbers": (jnp.sum, (np.random.default_rng(0).standard_normal(1000).astype(F32),)),
    "a Cholesky factor": (jnp.linalg.cholesky, (np.array([[2, 1], [1, 3]], F32),)),
    "a linear system": (lambda a: jnp.linalg.solve(a, jnp.ones(2)), (np.array([[2, 1], [1, 3]], F32),)),
    "an overflow that is right": (jnp.exp, (F32(1e4),)),
    "a pole": (jnp.log, (F32(0),)),
}


@pytest.mark.parametrize("name", HEALTHY)
def test_healthy_code_is_found_healthy(name):
    fn, args = HEALTHY[name]
    found = diagnose(fn, *args)
    assert found.verdict == "ok" and found.culprit is None, found.summary()


@pytest.mark.parametrize("mode", ["eager", "jit"])
def test_the_nan_that_the_user_got_is_judged(mode):
    x = np.full(3, -59.99175, F32)
    run = layer_norm if mode == "eager" else jax.jit(layer_norm)
    if not np.isnan(np.asarray(run(x))).any():
        pytest.skip("on this release the call gives no NaN")
    found = diagnose(layer_norm, x, mode=mode)
    assert np.isnan(found.result) and found.verdict == "nan" and found.true == 0
    assert found.culprit.primitive == "sub" and found.culprit.kind == "cancellation"


def test_a_mask_that_overflows_is_to_blame_for_the_nan_behind_it():
    found = diagnose(masked_softmax, np.ones(4, np.float16))
    assert found.verdict == "nan" and found.true == 0.25
    assert found.culprit.primitive == "convert_element_type" and found.culprit.kind == "overflow"
    assert "masked_softmax" in found.source


def test_what_balls_leave_open_is_undecided_and_no_failure():
    for fn, x in (
        (lambda x: jnp.sin(x) ** 2 + jnp.cos(x) ** 2 - 1, 0.7),
        (jax.grad(lambda b: jax.nn.softmax(np.array([1, 2, 3], F32) + b)[0]), 0.5),
    ):
        found = diagnose(fn, F32(x))
        assert found.verdict == "undecided" and found.true is None and found.culprit is None
        assert "0, or smaller than 2^-4" in found.undefined


def test_the_line_of_the_caller_stands_for_equations_that_have_none():
    found = diagnose(jax.grad(jnp.std), np.ones(4, F32))
    assert np.isnan(found.result) and __file__ in found.source


def test_a_nan_that_is_true_comes_before_what_is_ok():
    keep = np.array([[True, False], [False, False]])
    scores = np.array([[0.5, 1], [0.25, 2]], F32)
    found = diagnose(lambda s: jax.nn.softmax(jnp.where(keep, s, -jnp.inf)), scores)
    assert np.isnan(found.result) and found.element[0] == 1 and found.verdict == "undefined"
    assert found.culprit.kind == "infinity_minus_infinity" and __file__ in found.source


def test_a_library_function_that_is_not_the_one_of_its_name_is_an_approximation():
    found = diagnose(jax.scipy.special.exp1, F32(np.inf))
    assert found.true == 0
    if found.verdict != "ok":
        assert found.culprit.kind == "approximation"


def test_an_approximation_is_named_by_the_function_and_the_line_that_calls_it():
    def fn(x):
        angle = jnp.rad2deg(x)
        return 2 * angle

    x = np.array(-7.59375, ml_dtypes.bfloat16)
    found = diagnose(fn, x, tolerance=0.5)
    wanted = 2 * math.degrees(-7.59375)
    assert found.verdict == "inaccurate" and found.true == np.float32(wanted).astype(ml_dtypes.bfloat16)
    assert (found.culprit.primitive, found.culprit.kind) == ("rad2deg", "approximation")
    assert f":{fn.__code__.co_firstlineno + 1}:" in found.source


def test_the_time_of_a_sum_is_linear_in_its_terms(monkeypatch):
    from stability.diagnosis._nodes import Terms

    calls = []
    rule = Terms.__call__
    monkeypatch.setattr(Terms, "__call__", lambda self, *v: calls.append(len(v)) or rule(self, *v))
    for n in (250, 500):
        calls.clear()
        diagnose(jnp.sum, np.random.default_rng(0).standard_normal(n).astype(F32))
        assert sum(calls) <= 8 * n


Z = np.array([0.3 + 0.7j, -1.25 + 2.5j, 2.0 - 1e-3j], np.complex64)
SIGNAL = np.random.default_rng(0).standard_normal(8).astype(F32)


def spectral_loss(x, y):
    return jnp.mean((jnp.abs(jnp.fft.rfft(x)) - jnp.abs(jnp.fft.rfft(y))) ** 2)


COMPLEX = {
    "a product": (lambda z: z * z, (Z,)),
    "a quotient": (lambda z: z / (1 + z), (Z,)),
    "an exponential": (jnp.exp, (Z,)),
    "a logarithm": (jnp.log, (Z,)),
    "a size": (jnp.abs, (Z,)),
    "a scalar product": (jnp.vdot, (Z, Z)),
    "a choice": (lambda z: jnp.where(z.real > 0, z, 0), (Z,)),
    "a loop": (lambda z: jax.lax.fori_loop(0, 3, lambda i, c: c * c + z, z).real, (Z / 10,)),
    "a pole": (lambda z: z / (z - z), (Z,)),
    "a spectrum": (lambda x: jnp.abs(jnp.fft.rfft(x)), (SIGNAL,)),
    "a spectral loss": (spectral_loss, (SIGNAL, SIGNAL + 1)),
    "its gradient": (jax.grad(spectral_loss), (SIGNAL, SIGNAL + 1)),
    "there and back": (lambda x: jnp.fft.irfft(jnp.fft.rfft(x)), (SIGNAL,)),
    "double": (lambda z: jnp.sqrt(z) * 2, (Z.astype(np.complex128),)),
}


@pytest.mark.parametrize("mode", ["eager", "jit"])
@pytest.mark.parametrize("name", COMPLEX)
def test_healthy_code_with_complex_numbers_is_found_healthy(name, mode):
    fn, args = COMPLEX[name]
    found = diagnose(fn, *args, mode=mode)
    assert found.verdict == "ok" and found.culprit is None, found.summary()
    json.dumps(found.as_json(), allow_nan=False)


SICK_COMPLEX = {
    "a sum that cancels": (lambda z: jnp.exp(z * 1e-7) - 1, Z[:1], "vanished", "sub", "cancellation"),
    "squares that underflow": (
        lambda z: jnp.sqrt(z.real * z.real + z.imag * z.imag),
        Z * F32(1e-30),
        "vanished",
        "mul",
        "underflow",
    ),
    "an exponential that overflows": (lambda z: jnp.exp(100 * z) * jnp.exp(-100 * z), Z[2:], "nan", "exp", "overflow"),
}


@pytest.mark.parametrize("name", SICK_COMPLEX)
def test_what_is_sick_with_complex_numbers_is_named(name):
    fn, z, verdict, primitive, kind = SICK_COMPLEX[name]
    found = diagnose(fn, z)
    assert (found.verdict, found.culprit.primitive, found.culprit.kind) == (verdict, primitive, kind), found.summary()


def test_a_complex_truth_is_told_by_its_parts():
    found = diagnose(lambda z: jnp.sin(z) ** 2 + jnp.cos(z) ** 2, Z[:1].astype(np.complex128))
    assert found.dtype == "complex128" and found.undefined.startswith("(1.0) + (undecided: 0, or smaller than 2^-")


def test_an_equation_without_a_meaning_is_marked():
    for fn in (
        lambda x: jax.pure_callback(lambda v: 2 * np.asarray(v), jax.ShapeDtypeStruct((3,), F32), x) + 1,
        lambda x: jnp.nextafter(jnp.sin(x), x),
    ):
        found = diagnose(fn, np.arange(1, 4, dtype=F32))
        assert found.verdict == "undecided" and found.culprit is None
        assert found.undefined.startswith("not proven")
        assert [r.kind for r in found.rows if r.primitive in ("pure_callback", "nextafter")] == ["not_proven"]
