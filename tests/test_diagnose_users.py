"""Diagnoses of what people bring: keys, prints, masks, whole layers; healthy code among them."""

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from stability.blame import diagnose

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


def test_a_library_function_that_is_not_the_one_of_its_name_is_an_approximation():
    found = diagnose(jax.scipy.special.exp1, F32(np.inf))
    assert found.true == 0
    if found.verdict != "ok":
        assert found.culprit.kind == "approximation"


def test_the_time_of_a_sum_is_linear_in_its_terms(monkeypatch):
    from stability.blame import _trace as trace

    calls = []
    rule = trace.SumOfProducts.__call__
    monkeypatch.setattr(trace.SumOfProducts, "__call__", lambda self, *v: calls.append(len(v)) or rule(self, *v))
    for n in (250, 500):
        calls.clear()
        diagnose(jnp.sum, np.random.default_rng(0).standard_normal(n).astype(F32))
        assert sum(calls) <= 8 * n
