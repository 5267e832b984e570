"""The losses under JAX's transformations, promotion, and refusals, without x64."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.sharding import PartitionSpec

import stability
from stability import sigmoid_binary_cross_entropy as loss
from stability import sigmoid_binary_cross_entropy_grad as gradient
from stability import sigmoid_binary_cross_entropy_value_and_grad as both
from stability.losses.sigmoid import ARITHMETICS

Z = np.linspace(-30, 80, 24).astype(np.float32)
SOFT, HARD, WHOLE = (
    np.linspace(0, 1, 24).astype(np.float32),
    (np.arange(24) % 2).astype(np.float32),
    np.arange(24) % 2,
)
labels = pytest.mark.parametrize("y", [SOFT, HARD, WHOLE, WHOLE.astype(bool)], ids=["soft", "hard", "int", "bool"])


@pytest.fixture(autouse=True)
def x64_off():
    with jax.enable_x64(False):
        yield


def same(x, y):
    x, y = np.asarray(x), np.asarray(y)
    assert x.dtype == y.dtype == np.float32 and x.shape == y.shape
    np.testing.assert_array_equal(x.view(np.int32), y.view(np.int32))


@labels
def test_every_way_to_the_gradient_gives_the_same_bits(y):
    expected, values = gradient(Z, y), loss(Z, y)
    ones = jnp.ones_like(values)
    summed = jax.grad(lambda z: loss(z, y).sum())
    same(jax.jit(gradient)(Z, y), expected)
    same(jax.jit(summed)(Z), expected)
    same(jax.vmap(gradient)(Z, y), expected)
    same(jax.jit(jax.vmap(jax.grad(loss)))(Z, y), expected)
    same(jax.jvp(lambda z: loss(z, y), (Z,), (ones,))[1], expected)
    same(jax.jit(lambda z: jax.vjp(lambda z: loss(z, y), z)[1](ones)[0])(Z), expected)
    same(jax.linearize(lambda z: loss(z, y), jnp.asarray(Z))[1](ones), expected)
    same(jax.jit(jax.grad(lambda z: jax.checkpoint(loss)(z, y).sum()))(Z), expected)
    for value, dz in (both(Z, y), jax.jit(both)(Z, y)):
        same(value, values)
        same(dz, expected)


@labels
def test_scan(y):
    def total(z):
        return lax.scan(lambda c, zy: (c + loss(*zy), gradient(*zy)), jnp.float32(0), (z, y))

    same(total(Z)[1], gradient(Z, y))
    same(jax.jit(jax.grad(lambda z: total(z)[0]))(Z), gradient(Z, y))
    curved = jax.hessian(lambda z: total(z)[0])(jnp.asarray(Z))
    same(jnp.diagonal(curved), jax.vmap(jax.grad(jax.grad(loss)))(Z, y))


@pytest.mark.parametrize("copies", [1, 1 << 12])
def test_shard_map(copies):
    """Of a few numbers, and of more than are taken again at once."""
    z, y = np.tile(Z, copies), np.tile(SOFT, copies)
    mesh = jax.make_mesh((1,), ("i",), axis_types=(jax.sharding.AxisType.Auto,))
    spec = PartitionSpec("i")
    for function in (loss, gradient, jax.grad(lambda z, y: loss(z, y).sum()), jax.vmap(jax.grad(loss))):
        sharded = jax.jit(jax.shard_map(function, mesh=mesh, in_specs=spec, out_specs=spec))
        same(sharded(z, y), jax.jit(function)(z, y))


@pytest.mark.parametrize("arithmetic", ARITHMETICS)
def test_derivatives_agree_with_finite_differences_and_with_each_other(arithmetic):
    def f(z, y):
        return loss(z, y, arithmetic=arithmetic)

    for z in (-3.0, -0.2, 0.0, 0.3, 4.0):
        s = 1 / (1 + np.exp(-z))
        assert jax.grad(f)(z, 0.25) == pytest.approx(s - 0.25, rel=1e-6)
        assert jax.grad(f, 1)(z, 0.25) == -z
        assert jax.grad(jax.grad(f), 1)(z, 0.25) == -1
        for second in (jax.grad(jax.grad(f)), jax.jacfwd(jax.grad(f)), jax.jacfwd(jax.jacfwd(f)), jax.hessian(f)):
            assert second(z, 0.25) == pytest.approx(s * (1 - s), rel=1e-6)
        third = jax.grad(jax.grad(jax.grad(f)))(z, 0.25)
        assert third == pytest.approx(s * (1 - s) * (1 - 2 * s), rel=1e-5, abs=1e-9)


def test_a_closed_jaxpr_runs_without_x64():
    closed = jax.make_jaxpr(gradient)(Z, SOFT)
    same(jax.core.eval_jaxpr(closed.jaxpr, closed.consts, Z, SOFT)[0], gradient(Z, SOFT))
    same(jax.jit(gradient).lower(Z, SOFT).compile()(Z, SOFT), gradient(Z, SOFT))


PROMOTION = [
    (jnp.float16(2), jnp.float32(1)),
    (jnp.bfloat16(2), 1),
    (jnp.float16(2), jnp.int32(1)),
    (jnp.bfloat16(2), jnp.float16(1)),
    (jnp.float32(2), True),
    (2.0, jnp.float16(1)),
    (2.0, 1),
    (2.0, True),
]


@pytest.mark.parametrize(("z", "y"), PROMOTION, ids=str)
def test_promotion_is_that_of_jax_numpy(z, y):
    expected = jax.eval_shape(jnp.add, z, y)
    for result in (loss(z, y), gradient(z, y), jax.jit(loss)(z, y)):
        assert (result.dtype, result.weak_type) == (expected.dtype, expected.weak_type)
    assert loss(z, y) == loss(jnp.asarray(z, result.dtype), jnp.asarray(y, result.dtype))


def test_shapes():
    assert loss(jnp.zeros((0, 3)), jnp.zeros(3)).shape == (0, 3)
    assert gradient(jnp.zeros((4, 1)), jnp.zeros(3)).shape == (4, 3)
    assert jax.grad(lambda z: loss(z, jnp.zeros((4, 3))).sum())(jnp.zeros(3)).shape == (3,)


BAD = [
    (jnp.arange(3, dtype=jnp.int32), jnp.zeros(3), TypeError, "logits are int32"),
    (jnp.array([True]), 1.0, TypeError, "logits are bool"),
    (jnp.zeros(3, jnp.complex64), 1.0, TypeError, "logits are complex64"),
    (jnp.zeros(3), jnp.zeros(3, jnp.complex64), TypeError, "labels are complex64"),
    (jnp.zeros(3, jnp.float8_e4m3fn), 1, TypeError, "float8_e4m3fn"),
    (jnp.zeros((2, 3)), jnp.zeros(2), ValueError, r"\(2, 3\) and labels of shape \(2,\)"),
]


@pytest.mark.parametrize(("z", "y", "error", "text"), BAD, ids=lambda v: v if isinstance(v, str) else "")
def test_what_makes_no_sense_is_refused_by_name(z, y, error, text):
    for function in (loss, gradient, both, jax.jit(loss)):
        with pytest.raises(error, match=text):
            function(z, y)


def test_an_unknown_arithmetic_is_refused():
    with pytest.raises(ValueError, match="float64, compensated"):
        loss(1.0, 1, arithmetic="float128")


def test_import_loads_neither_matplotlib_nor_flint():
    names = ", ".join(name for name in stability.__all__ if "cross_entropy" in name)
    loaded = "[m for m in ('matplotlib', 'flint', 'optax', 'rich') if m in sys.modules]"
    code = f"import sys; from stability import {names}; print({loaded}, 'jax' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[] True"
