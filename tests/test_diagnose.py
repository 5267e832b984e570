"""The equation to blame, on functions whose weakness is known; the command line."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stability
from stability import forms
from stability.blame import MEANINGS
from stability.diagnose import diagnose, main
from stability.shadow import UnsupportedPrimitive


def softplus(x):
    return jnp.log(1 + jnp.exp(x))


def guarded_log(x):
    return jnp.where(x > 0, jnp.log(x), 0.0)


def guarded_sqrt(x):
    return jnp.where(x > 0, jnp.sqrt(x), 0.0)


def guarded_ratio(x):
    return jnp.where(x == 0, 1.0, jnp.sin(x) / x)


def norm(x):
    return jnp.sqrt(jnp.sum(x * x))


def variance(x):
    return jnp.mean(x * x) - jnp.mean(x) ** 2


def expm1_ratio(x):
    return (jnp.exp(x) - 1) / x


def hypot(x, y):
    return jnp.sqrt(x * x + y * y)


def softmax_first(x):
    e = jnp.exp(x)
    return (e / jnp.sum(e))[0]


def guarded_power(x):
    return jnp.where(x > 0, x**1.5, 0.0) / x


def logsumexp(x):
    return jnp.log(jnp.sum(jnp.exp(x)))


def mish_like(x):
    return x * jnp.tanh(softplus(x))


def f(*values):
    return np.array(values, np.float32)


CASES = {
    # name: (function, arguments, primitives, kinds) to be blamed
    "log(1+x)": (lambda x: jnp.log(1 + x), (1e-9,), {"add"}, {"absorption"}),
    "log(1+exp(-x))": (lambda x: jnp.log(1 + jnp.exp(-x)), (18.0,), {"add"}, {"absorption"}),
    "softplus": (softplus, (100.0,), {"exp"}, {"overflow"}),
    "grad softplus": (jax.grad(softplus), (100.0,), {"exp"}, {"overflow"}),
    "1-cos": (lambda x: (1 - jnp.cos(x)) / x**2, (1e-4,), {"sub"}, {"cancellation"}),
    "x-sin": (lambda x: x - jnp.sin(x), (1e-3,), {"sub"}, {"cancellation"}),
    "tan-sin": (lambda x: jnp.tan(x) - jnp.sin(x), (1e-3,), {"sub"}, {"cancellation"}),
    "sqrt difference": (lambda x: jnp.sqrt(x + 1) - jnp.sqrt(x), (1e9,), {"sub"}, {"cancellation"}),
    "reciprocals": (lambda x: 1 / x - 1 / (x + 1), (1e5,), {"sub"}, {"cancellation"}),
    "expm1": (lambda x: jnp.exp(x) - 1, (1e-5,), {"sub"}, {"cancellation"}),
    "expm1 ratio": (expm1_ratio, (1e-5,), {"sub"}, {"cancellation"}),
    "expm1 ratio at 0": (expm1_ratio, (0.0,), {"div"}, {"zero_over_zero"}),
    "grad of expm1 ratio": (jax.grad(expm1_ratio), (1e-4,), {"add_any", "sub", "add"}, {"cancellation"}),
    "squares": (lambda x, y: x * x - y * y, (1.0001, 1.0), {"sub"}, {"cancellation"}),
    "quadratic": (lambda b: (-b + jnp.sqrt(b * b - 4)) / 2, (1e4,), {"add"}, {"cancellation"}),
    "sinh": (lambda x: (jnp.exp(x) - jnp.exp(-x)) / 2, (1e-4,), {"sub"}, {"cancellation"}),
    "atan difference": (lambda x: jnp.arctan(x + 1) - jnp.arctan(x), (1e4,), {"sub"}, {"cancellation"}),
    "log difference": (lambda x: jnp.log(x + 1) - jnp.log(x), (1e6,), {"sub"}, {"cancellation"}),
    "1-sigmoid": (lambda x: 1 - jax.nn.sigmoid(x), (15.0,), {"sub"}, {"cancellation"}),
    "log(1-sigmoid)": (lambda x: jnp.log(1 - jax.nn.sigmoid(x)), (20.0,), {"sub"}, {"cancellation"}),
    "1-tanh²": (lambda x: 1 - jnp.tanh(x) ** 2, (8.0,), {"sub"}, {"cancellation"}),
    "1-erf": (lambda x: 1 - jax.lax.erf(x), (4.5,), {"sub"}, {"cancellation"}),
    "variance": (variance, (f(1000.1, 1000.2, 1000.3),), {"sub"}, {"cancellation"}),
    "logsumexp": (logsumexp, (f(100.0, 99.0),), {"exp"}, {"overflow"}),
    "logsumexp below": (logsumexp, (f(-200.0, -210.0),), {"exp"}, {"underflow"}),
    "softmax": (softmax_first, (f(100.0, 1.0),), {"exp"}, {"overflow"}),
    "hypot above": (hypot, (1e30, 1e30), {"mul"}, {"overflow"}),
    "hypot below": (hypot, (1e-30, 1e-30), {"mul"}, {"underflow"}),
    "exp of a product": (lambda x, y: jnp.exp(x * y), (7.77, 10.1), {"exp"}, {"amplification"}),
    "sin of a product": (lambda x, y: jnp.sin(x * y), (3333.3, 333.3), {"sin"}, {"amplification"}),
    "exp ratio": (lambda x: jnp.exp(x) / (1 + jnp.exp(x)), (100.0,), {"exp"}, {"overflow"}),
    "textbook sigmoid": (lambda x: 1 / (1 + jnp.exp(-x)), (-100.0,), {"exp"}, {"overflow"}),
    "guarded log": (jax.grad(guarded_log), (0.0,), {"div", "mul"}, {"zero_over_zero", "zero_times_infinity"}),
    "guarded sqrt": (jax.grad(guarded_sqrt), (0.0,), {"mul", "div"}, {"zero_times_infinity", "pole"}),
    "guarded sqrt below": (jax.grad(guarded_sqrt), (-1.0,), {"sqrt"}, {"domain"}),
    "guarded ratio": (jax.grad(guarded_ratio), (0.0,), {"div", "mul"}, {"zero_over_zero", "pole", "zero_times_infinity"}),
    "norm": (jax.grad(norm), (f(0.0, 0.0),), {"div", "mul"}, {"zero_over_zero", "pole", "zero_times_infinity"}),
    "x log x": (lambda x: x * jnp.log(x), (0.0,), {"mul"}, {"zero_times_infinity"}),
    "x/x": (lambda x: (x + 0.0) / x, (0.0,), {"div"}, {"zero_over_zero"}),
    "inf-inf": (lambda x: jnp.exp(x) - jnp.exp(x + 1), (100.0,), {"exp"}, {"overflow"}),
    "acos of a rounding": (
        lambda x, y: jnp.arccos(x * y / (jnp.abs(x) * jnp.abs(y)) + 1.2e-7),
        (3.0, 7.0),
        {"acos"},
        {"domain"},
    ),
    "acos near 1": (lambda x: jnp.arccos(x / jnp.sqrt(x * x + 1)), (3000.3,), {"acos"}, {"amplification"}),
    "grad acos": (jax.grad(lambda x: jnp.arccos(x)), (1.0,), {"rsqrt", "div"}, {"pole"}),
    "sqrt(1-x²) below 0": (lambda x: jnp.sqrt(1 - x * x), (1.0000001,), {"sqrt"}, {"domain"}),
    "log-cosh": (lambda x: jnp.log(jnp.cosh(x)), (100.0,), {"cosh"}, {"overflow"}),
    "swallowed bias": (lambda x: (x + 1e8) - 1e8, (3.3,), {"sub", "add"}, {"cancellation", "absorption"}),
    "chain at 20": (forms.chain_combined, (20.0, 1.0), {"sub"}, {"cancellation"}),
    "autodiff at 20": (forms.autodiff, (20.0, 1.0), {"sub"}, {"cancellation"}),
    "autodiff at -88": (forms.autodiff, (-88.0, 1.0), {"logistic"}, {"flush", "underflow"}),
    "cancelled at 10": (forms.cancelled, (10.0, 1.0), {"sub"}, {"cancellation"}),
    "power": (lambda x: (1 + 1 / x) ** x, (1e6,), {"add"}, {"absorption"}),
    "float overflow of a square": (lambda x: x**2 / (1 + x**2), (1e25,), {"integer_pow", "square"}, {"overflow"}),
    "grad mish": (jax.grad(mish_like), (100.0,), {"exp"}, {"overflow"}),
}


@pytest.mark.parametrize("name", CASES)
def test_the_culprit(name):
    fn, args, primitives, kinds = CASES[name]
    found = diagnose(fn, *args, dtype=np.float32)
    assert found.culprit is not None, found
    assert found.culprit.primitive in primitives and found.culprit.kind in kinds, found
    assert "test_diagnose.py" in found.source or "stability/forms.py" in found.source
