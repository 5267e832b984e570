"""Orders and modes of derivatives: what difference quotients can't see is found, and right derivatives pass."""

import re

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from jax.test_util import check_grads

from stability import testing
from stability.study.functions import BadFunction
from stability.testing import assert_gradient_max_ulp

BOTH = {"orders": (1, 2), "modes": ("fwd", "rev")}
WAYS = [
    "(order 1, fwd)",
    "(order 1, rev)",
    *(f"(order 2, {way})" for way in ("fwd over fwd", "rev over fwd", "fwd over rev", "rev over rev")),
]


@jax.custom_vjp
def cancelled(z):
    """The cross-entropy of logits at label 1, with `a - y` for its gradient."""
    return jax.nn.softplus(-z)


cancelled.defvjp(lambda z: (cancelled(z), jax.nn.sigmoid(z)), lambda a, g: (g * (a - 1),))

UNSEEN = {
    "sigmoid": (jax.nn.sigmoid, 22.18, lambda x: mpmath.exp(-x) / (1 + mpmath.exp(-x)) ** 2),
    "tanh": (jnp.tanh, -9.0109, lambda x: mpmath.sech(x) ** 2),
    "expm1": (jnp.expm1, -40, mpmath.exp),
    "a - y": (cancelled, 20, lambda x: -1 / (1 + mpmath.exp(x))),
}


@pytest.mark.parametrize("name", UNSEEN)
def test_a_gradient_of_zero_that_check_grads_passes_fails(name):
    fn, at, exact = UNSEEN[name]
    x = np.float32(at)
    if fn is jnp.expm1 and jax.grad(fn)(x) == np.exp(x):
        pytest.skip("this JAX differentiates expm1 by exp")
    assert jax.grad(fn)(x) == jax.jit(jax.grad(fn))(x) == 0
    check_grads(fn, (x,), order=2, modes=["rev"])
    with pytest.raises(AssertionError) as told:
        assert_gradient_max_ulp(fn, domain=(x, x), max_ulp=1e6)
    message = str(told.value)
    assert "(order 1, rev) is not within 1e+06 ulps of its true value in float32" in message
    assert re.search(r"Worst: vanished, error [\d.e+]+ ulps\n", message)
    assert f" x: {float(x)!r} = " in message and " ACTUAL: 0.0 = " in message
    with mpmath.workprec(100):
        wanted = float(exact(mpmath.mpf(float(x))))
    assert float(re.search(r"DESIRED: (\S+) = ", message)[1]) == pytest.approx(wanted, rel=1e-7)


@pytest.mark.parametrize("fn", [jax.nn.sigmoid, jnp.tanh, jnp.expm1, cancelled])
def test_where_the_gradient_keeps_its_digits_they_pass(fn):
    assert_gradient_max_ulp(fn, domain=(-0.5, -0.25), max_ulp=8, points=64)


def in_cond(x):
    return jax.lax.cond(x > 1, jnp.exp, lambda x: x * x * x, x)


def in_scan(x):
    """`x**8`."""
    return jax.lax.scan(lambda c, _: (c * c, None), x, length=3)[0]


def sum_of_squares(x):
    return jnp.sum((x * jnp.arange(1, 4, dtype=x.dtype)) ** 2)


def of_a_tree(x):
    tree = {"a": x, "b": (2 * x, x[None])}
    return sum(jnp.sum(leaf * leaf) for leaf in jax.tree.leaves(tree))


HEALTHY = {
    "sin": (jnp.sin, (0.25, 1.25)),
    "exp": (jnp.exp, (-10, 10)),
    "square": (lambda x: x * x, (0.001, 1000)),
    "log1p": (jnp.log1p, (0.5, 0.5)),
    "log": (jnp.log, (0.001, 1000)),
    "cond": (in_cond, (0.25, 3)),
    "scan": (in_scan, (0.5, 1.5)),
    "sum of squares": (sum_of_squares, (-5, -0.25)),
    "of a tree": (of_a_tree, (-5, -0.25)),
    "relu": (jax.nn.relu, (0.001, 1)),
    "relu at its kink": (jax.nn.relu, (0, 0)),
}
"""Functions, and ranges where their derivatives are right; not next to 0, since XLA takes subnormal numbers as 0."""


@pytest.mark.parametrize("dtype", ["bfloat16", "float32", "float64"])
@pytest.mark.parametrize("name", HEALTHY)
def test_right_derivatives_pass_in_both_orders_and_modes(name, dtype):
    fn, domain = HEALTHY[name]
    before = len(testing.CHECKS)
    with jax.enable_x64(dtype == "float64"):
        assert_gradient_max_ulp(fn, dtype=dtype, domain=domain, max_ulp=16, points=64, **BOTH)
    assert ["(" + c.name.rpartition(" (")[2] for c in testing.CHECKS[before:]] == WAYS


def with_rules(fn, first, second):
    """`fn` of one scalar whose rules in forward and reverse mode say the slopes `first` and, of it, `second`."""

    def ruled(f, slope):
        g = jax.custom_jvp(f)
        g.defjvp(lambda primals, tangents: (g(*primals), slope(*primals) * tangents[0]))
        return g

    return ruled(fn, ruled(first, second))


@pytest.mark.parametrize("modes", [("fwd",), ("rev",), ("fwd", "rev")])
def test_a_wrong_second_derivative_is_found_at_order_2_alone(modes):
    f = with_rules(jnp.exp, jnp.exp, lambda x: jnp.exp(x) * (1 + 2.0**-12))
    assert_gradient_max_ulp(f, domain=(0, 1), max_ulp=8, points=64, modes=modes)
    with pytest.raises(AssertionError, match=rf"\(order 2, {modes[0]} over {modes[0]}\) is not within 8 ulps"):
        assert_gradient_max_ulp(f, domain=(0, 1), max_ulp=8, points=64, orders=(1, 2), modes=modes)


def test_each_mode_is_run_by_its_name():
    """A loop whose number of turns is not known has no reverse mode, and a `custom_vjp` no forward mode."""

    def loop(x):
        return jax.lax.while_loop(lambda s: s[0] < 3, lambda s: (s[0] + 1, s[1] * s[1]), (0, x))[1]

    assert_gradient_max_ulp(loop, domain=(0.5, 1.5), max_ulp=16, points=64, orders=(1, 2), modes=("fwd",))
    assert_gradient_max_ulp(cancelled, domain=(-1, -0.5), max_ulp=16, points=64, orders=(1, 2))
    with pytest.raises(BadFunction, match="Reverse-mode differentiation does not work"):
        assert_gradient_max_ulp(loop, domain=(0.5, 1.5), max_ulp=16)
    with pytest.raises(TypeError, match=r"forward-mode .* custom_vjp"):
        assert_gradient_max_ulp(cancelled, domain=(-1, -0.5), max_ulp=16, modes=("fwd", "rev"))


def test_other_orders_and_modes_are_refused():
    for wrong, told in (
        ({"orders": (3,)}, r"orders \(3,\): choose 1, 2 or both"),
        ({"orders": ()}, r"orders \(\)"),
        ({"modes": ("reverse",)}, r"modes \('reverse',\): choose fwd, rev or both"),
        ({"modes": ()}, r"modes \(\)"),
    ):
        with pytest.raises(ValueError, match=told):
            assert_gradient_max_ulp(jnp.sin, domain=(0, 1), max_ulp=8, **wrong)


def test_the_other_arguments_may_be_keywords_arrays_and_pytrees():
    def f(params, x, *, target):
        return jnp.sum((params["w"] * x + params["b"] - target) ** 2)

    params = {"w": jnp.float32([1, 2, 3]), "b": jnp.float32([0.5, 0, 1])}
    fixed = {"params": params, "target": [-1.0, -2.0, -4.0]}
    assert_gradient_max_ulp(f, 1, domain=(1, 2), max_ulp=4, points=64, fixed=fixed, **BOTH)
    with pytest.raises(AssertionError, match=r"grad_f \(order 1, fwd\)"):
        reference = lambda params, x, *, target: 1.001 * f(params, x, target=target)  # noqa: E731
        assert_gradient_max_ulp(f, 1, domain=(1, 2), max_ulp=4, points=64, fixed=fixed, reference=reference, **BOTH)


def test_a_reference_needs_no_mode_but_its_values():
    with pytest.raises(AssertionError, match=r"grad_<lambda> \(order 1, fwd\) is not within 4 ulps"):
        assert_gradient_max_ulp(lambda x: -x, domain=(-1, -0.5), max_ulp=4, modes=("fwd",), reference=cancelled)
