"""The functions of `stability.nn` under JAX's transformations, promotion, refusals, and the project's microscope."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from stability import nn, real
from stability.diagnosis import diagnose
from stability.losses import KERNELS, Kernel
from stability.nn import algebraic, exponential, logistic

NAMESAKES = {
    name: getattr(jax.nn, name, None) or getattr(jnp, name)
    for name in (
        *("sigmoid", "log_sigmoid", "softplus", "tanh", "silu", "swish", "mish"),
        *("expm1", "log1p", "elu", "celu", "selu", "squareplus", "soft_sign"),
    )
}
functions = pytest.mark.parametrize("name", NAMESAKES)
X = np.float32([-30, -2.4, -1.28, -1e-3, 0.3, 1.5, 17, 80])[1:]
"""Within the domain of `log1p` from the fourth on."""


def inputs(name):
    return jnp.asarray(X[X > -1] if name == "log1p" else X)


def same(x, y):
    np.testing.assert_array_equal(np.asarray(x).view(np.int32), np.asarray(y).view(np.int32))


@functions
def test_every_way_to_the_gradient_gives_the_same_bits(name):
    function, x = getattr(nn, name), inputs(name)
    ones = jnp.ones_like(x)
    expected = jax.vmap(jax.grad(function))(x)
    same(jax.jit(jax.vmap(jax.grad(function)))(x), expected)
    same(jax.grad(lambda x: function(x).sum())(x), expected)
    same(jax.jvp(function, (x,), (ones,))[1], expected)
    same(jax.vjp(function, x)[1](ones)[0], expected)
    same(jax.linearize(function, x)[1](ones), expected)
    same(jax.grad(lambda x: jax.checkpoint(function)(x).sum())(x), expected)
    same(jax.jit(jax.vmap(function))(x), function(x))


@functions
def test_every_way_to_the_second_derivative_gives_the_same_bits(name):
    function, x = getattr(nn, name), inputs(name)
    expected = jax.vmap(jax.grad(jax.grad(function)))(x)
    for second in (jax.jacfwd(jax.grad(function)), jax.jacrev(jax.jacfwd(function)), jax.jacfwd(jax.jacfwd(function))):
        same(jax.vmap(second)(x), expected)
    same(jnp.diagonal(jax.hessian(lambda x: function(x).sum())(x)), expected)


@functions
def test_a_scan_is_differentiated_twice(name):
    function, x = getattr(nn, name), inputs(name)

    def total(x):
        return lax.scan(lambda c, v: (c + function(v), None), jnp.float32(0), x)[0]

    same(jax.jit(jax.grad(total))(x), jax.vmap(jax.grad(function))(x))
    same(jnp.diagonal(jax.jacrev(jax.jacrev(total))(x)), jax.vmap(jax.grad(jax.grad(function)))(x))


@functions
def test_the_third_derivative_is_that_of_the_namesake(name):
    with jax.enable_x64(True):
        x = jnp.asarray(inputs(name)[:-2], jnp.float64)
        ours, plain = getattr(nn, name), NAMESAKES[name]
        for _ in range(3):
            ours, plain = jax.grad(ours), jax.grad(plain)
        np.testing.assert_allclose(jax.vmap(ours)(x), jax.vmap(plain)(x), rtol=1e-8, atol=1e-12)


BY_SECOND = {
    "once": lambda f: jax.grad(f, 1),
    "after the first": lambda f: jax.grad(jax.grad(f), 1),
    "before the first": lambda f: jax.grad(jax.grad(f, 1), 0),
    "after the first twice": lambda f: jax.grad(jax.grad(jax.grad(f)), 1),
}


@pytest.mark.parametrize("derivative", BY_SECOND.values(), ids=BY_SECOND)
@pytest.mark.parametrize(("name", "second"), [("elu", 1.5), ("celu", 1.5), ("squareplus", 1.5), ("logaddexp", 0.4)])
def test_derivatives_by_the_second_argument(name, second, derivative):
    plain = getattr(jax.nn, name, None) or getattr(jnp, name)
    with jax.enable_x64(True):
        for x in (-3.0, -0.4, 0.7, 5.0):
            expected = float(derivative(plain)(x, second))
            assert float(derivative(getattr(nn, name))(x, second)) == pytest.approx(expected, rel=1e-10, abs=1e-14)


@functions
@pytest.mark.parametrize(
    "x", [2.0, np.float64(2), jnp.float16(2), jnp.bfloat16(2), np.ones((2, 3), np.float32)], ids=repr
)
@pytest.mark.parametrize("enabled", [False, True], ids=["x64 off", "x64 on"])
def test_shapes_and_types_are_those_of_the_namesake(name, x, enabled):
    with jax.enable_x64(enabled):
        expected = jax.eval_shape(NAMESAKES[name], x)
        for result in (getattr(nn, name)(x), jax.jit(getattr(nn, name))(x)):
            assert (result.dtype, result.shape) == (expected.dtype, expected.shape)
            assert result.weak_type == expected.weak_type


@functions
@pytest.mark.parametrize("x", [2, True, np.arange(3), jnp.arange(3, dtype=jnp.int8)], ids=repr)
def test_integers_are_taken_as_floats(name, x):
    function = getattr(nn, name)
    with jax.enable_x64(False):
        assert function(x).dtype == jnp.float32 and function(x).shape == np.shape(x)
        same(function(x), function(jnp.asarray(x, jnp.float32)))


def test_arguments_broadcast():
    assert nn.elu(jnp.zeros((3, 1)), jnp.ones(4)).shape == (3, 4)
    assert nn.logaddexp(jnp.zeros((2, 1, 3)), jnp.zeros((5, 1))).shape == (2, 5, 3)
    assert jax.grad(lambda b: nn.squareplus(jnp.ones((2, 3)), b).sum())(jnp.ones(3)).shape == (3,)
    assert nn.tanh(jnp.zeros((0, 3))).shape == (0, 3)


@pytest.mark.parametrize("x", [jnp.complex64(1), jnp.ones(3, jnp.float8_e4m3fn)], ids=["complex64", "float8"])
@functions
def test_what_has_no_ulps_here_is_refused(name, x):
    with pytest.raises(TypeError, match=str(x.dtype)):
        getattr(nn, name)(x)


def kernels():
    return [k for room in (logistic, exponential, algebraic) for k in vars(room).values() if isinstance(k, Kernel)]


@pytest.mark.parametrize("kernel", kernels(), ids=lambda k: k.name)
def test_every_kernel_has_the_value_of_its_formula(kernel):
    """In float64, on points where the plain formula has a few digits to lose."""
    assert KERNELS[kernel.name] is kernel
    with jax.enable_x64(True):
        x = jnp.asarray([0.3, -0.6, 2.0, 0.0])
        arguments = (x, jnp.asarray([1.2, 0.5, 3.0, 0.3]))[: len(kernel.derivatives)]
        np.testing.assert_allclose(kernel(*arguments), kernel.formula(*arguments), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", [name for name in NAMESAKES if name != "selu"])
def test_the_true_value_of_a_gradient_is_that_of_the_namesake(name):
    """But of `selu`, whose constants are floats."""
    for x in np.asarray(inputs(name)):
        assert real.true_value(jax.grad(getattr(nn, name)), x) == real.true_derivative(NAMESAKES[name], x)


def test_a_line_that_calls_a_function_is_told_and_not_the_function():
    def confident(x):
        return (nn.softplus(x) + 1) - 1

    found = diagnose(confident, np.float32(-20))
    assert found.verdict == "vanished" and found.culprit.primitive in ("add", "sub")
    healthy = diagnose(jax.grad(jax.grad(nn.silu)), np.float32(-20))
    assert healthy.verdict == "ok"
    called = [row for row in healthy.rows if row.primitive in KERNELS]
    assert called and all("test_nn_transforms.py" in row.source for row in called)
