"""What is not real arithmetic is as the floats have it; what has no meaning over the reals is not called proven."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.sharding import Mesh, PartitionSpec

from stability.real import true_value, why_undefined
from stability.real._bits import unproven
from stability.real.function import Estimate
from stability.real.reals import lift
from stability.real.walk import trace

F32, F64 = np.float32, np.float64


def same_bits(fn, *args):
    got, true = jax.tree.leaves(fn(*args)), jax.tree.leaves(true_value(fn, *args))
    for g, t in zip(got, true, strict=True):
        np.testing.assert_array_equal(np.asarray(g), t)
        assert np.asarray(g).dtype == t.dtype


@pytest.mark.parametrize("key", [jax.random.PRNGKey, jax.random.key])
def test_random_numbers_are_the_ones_that_were_drawn(key):
    x = np.float32([1.0, 2.0, 3.0])
    same_bits(lambda x: x * 0 + jax.random.uniform(key(0), (3,)), x)
    same_bits(lambda x: jnp.where(jax.random.bernoulli(key(1), 0.5, (3,)), x, -x), x)
    same_bits(lambda x: jax.random.permutation(key(2), x), x)
    same_bits(lambda x: x[jax.random.randint(key(3), (4,), 0, 3)], x)
    noise = jax.random.normal(key(0), (3,))
    true = true_value(lambda x: x + jax.random.normal(key(0), (3,)), x)
    np.testing.assert_allclose(true, x + noise, rtol=1e-6)


def test_keys_go_through_calls_loops_maps_and_arguments():
    x = np.float32([1.0, 2.0])

    def walk(key, x):
        def step(carry, _):
            key, total = carry
            key, sub = jax.random.split(key)
            return (key, total + x), jax.random.bits(sub, dtype=jnp.uint8).astype(jnp.float32)

        return lax.scan(step, (key, x * 0), None, length=3)[1]

    same_bits(lambda x: walk(jax.random.key(7), x), x)
    same_bits(lambda key, x: walk(key, x), jax.random.key(7), x)
    same_bits(
        lambda x: jax.vmap(lambda k: jax.random.bits(k, dtype=jnp.uint8) + x)(jax.random.split(jax.random.key(3))), x
    )
    same_bits(
        lambda x: (
            jax.random.bits(jax.random.fold_in(jax.random.split(jax.random.key(1), 3)[1], 5), dtype=jnp.uint8) * x
        ),
        x,
    )
    same_bits(
        lambda x: jax.random.key_data(jax.random.wrap_key_data(jnp.zeros(2, jnp.uint32))).astype(jnp.float32) + x, x
    )
    same_bits(lambda x: lax.rng_bit_generator(jnp.zeros(4, jnp.uint32), (2,), jnp.uint16)[1] + x, x)


def test_integers_are_machine_integers():
    n, x = np.int32([-7, 0, 12]), np.float32(2.0)
    for f in (
        lambda n: n << 2, lambda n: n >> 1, lambda n: lax.shift_right_logical(n, jnp.full_like(n, 3)),
        lax.clz, lax.population_count,
        lambda n: n ^ 5, lambda n: ~n, lambda n: n & 6, lambda n: n // 2, lambda n: n % 5,
        lambda n: n * n * 400_000_000,
    ):  # fmt: skip
        same_bits(lambda n, x, f=f: f(n).astype(jnp.float32) * x, n, x)
        same_bits(lambda n, x, f=f: f((n.astype(jnp.float32) * x).astype(jnp.int32)).astype(jnp.float32), n, x)
    same_bits(lambda b, x: jnp.bitwise_xor.reduce(b) * x, n % 2 == 0, x)


def test_an_integer_that_is_not_known_leaves_the_others_known():
    def f(x):
        whole = jnp.floor(jnp.stack([jnp.sqrt(x) * jnp.sqrt(x), x + 0.5]))
        return ((whole.astype(jnp.int32) << 1) & 6) + x

    true, why = true_value(f, F32(3)), why_undefined(f, F32(3))
    assert list(why) == ["undecided", None]
    assert true[1] == 9.0


def test_the_bits_of_a_float_are_known_and_those_of_a_computed_number_are_not():
    x = np.float32([1.5, -2.0, 3e-45])
    same_bits(lambda x: lax.bitcast_convert_type(x, jnp.int32).astype(jnp.float32), x)
    same_bits(jnp.frexp, x[:2])
    same_bits(lambda x: jnp.ldexp(x, jnp.arange(2)), x[:2])
    same_bits(jnp.signbit, x)
    same_bits(lambda n: lax.bitcast_convert_type(n, jnp.float32), np.int32([0x3F800000, 0x7F800000, 0]))
    assert set(why_undefined(lambda x: lax.bitcast_convert_type(x / 7, jnp.int32) * jnp.ones(3), x)) == {"undecided"}
    assert why_undefined(lambda x: jnp.signbit(0 * x) * F32(1), F32(1)) == "undecided"


def test_the_float_next_to_a_float():
    x = np.float32([1.0, 0.0, -0.0, np.inf, 3e38, 1e-45])
    same_bits(lambda x: jnp.nextafter(x, np.float32(np.inf)), x)
    same_bits(lambda x: jnp.nextafter(x, np.float32(-1)), x)


def test_what_is_told_to_the_outside_is_not_told_again():
    told = []

    def f(x):
        jax.debug.print("x = {}", x)
        jax.debug.callback(told.append, x)
        return lax.optimization_barrier(x * 2)

    assert true_value(f, F32(1.5)) == 3.0
    assert not told
    calls = []

    def g(x):
        return jax.experimental.io_callback(lambda v: calls.append(v) or v, jax.ShapeDtypeStruct((), x.dtype), x)

    assert why_undefined(g, F32(1.5)) == "undecided"
    assert not calls


def test_collectives_under_vmap_and_on_one_device():
    x = np.float32([0.1, 0.2, 0.4])
    true = true_value(jax.vmap(lambda x: x / lax.psum(x, "i") + lax.pmax(x, "i"), axis_name="i"), x)
    np.testing.assert_array_equal(true, true_value(lambda x: x / jnp.sum(x) + jnp.max(x), x))
    mesh = Mesh(np.array(jax.devices()[:1]), ("i",))

    def f(x):
        return lax.psum(x, "i") + lax.axis_index("i") + lax.all_gather(x, "i").sum() + lax.pmin(x, "i")

    mapped = jax.shard_map(f, mesh=mesh, in_specs=PartitionSpec("i"), out_specs=PartitionSpec("i"))
    np.testing.assert_array_equal(true_value(mapped, x), true_value(lambda x: x * 2 + jnp.sum(x), x))


def last(fn, *args):
    """The outputs of the last equation of `fn`, by `unproven`, on arguments as they are."""
    jaxpr, _ = trace(fn, *args)
    eqn = jaxpr.jaxpr.eqns[-1]
    return unproven(eqn, [lift(a, v.aval.dtype) for a, v in zip(args, eqn.invars, strict=True)])


def test_a_primitive_without_a_rule_is_an_estimate_in_float64():
    (out,) = last(lambda x: lax.exp(x), F32(0.1))
    assert isinstance(out, Estimate)
    assert float(out.value) == pytest.approx(np.exp(float(F32(0.1))), rel=1e-15)
    (out,) = last(lambda x: jax.pure_callback(np.sin, jax.ShapeDtypeStruct((2,), x.dtype), x), F32([0.5, 1.5]))
    assert [float(v.value) for v in out] == [float(v) for v in np.sin(F32([0.5, 1.5]))]
    (out,) = last(lambda x, y: lax.nextafter(x, y), F32(1), F32(2))
    assert float(out.value) == 1 + 2.0**-23
    (out,) = last(lambda x: lax.exp(x), F32(np.nan))
    assert out.kind == "undecided"


def test_integers_keep_the_width_that_the_program_says():
    a = np.float32([[2, 1], [1, 3]])
    assert set(why_undefined(jax.scipy.linalg.sqrtm, a).ravel()) == {"not proven: computed in wider floats"}
    root = true_value(jax.scipy.linalg.sqrtm, a)
    np.testing.assert_allclose(root @ root, a, rtol=1e-6)


ON_FOUR_DEVICES = """
import jax, jax.numpy as jnp, numpy as np
from jax import lax
from jax.sharding import Mesh, PartitionSpec as P
from stability import diagnose
from stability.real import true_derivative, true_value, why_undefined

line = Mesh(np.array(jax.devices()), ("i",))
square = Mesh(np.array(jax.devices()).reshape(2, 2), ("i", "j"))
x = np.arange(1, 9, dtype=np.float32)
ring = [(k, (k + 1) % 4) for k in range(4)]

def mapped(f, out=P("i"), mesh=line, given=P("i")):
    return jax.shard_map(f, mesh=mesh, in_specs=given, out_specs=out)

EVERY = {
    "elements": mapped(jnp.abs),
    "blocks": mapped(jnp.cumsum),
    "sum": mapped(lambda x: lax.psum(jnp.sum(x * x), "i"), P()),
    "greatest": mapped(lambda x: lax.pmax(jnp.max(x), "i"), P()),
    "least": mapped(lambda x: lax.pmin(jnp.min(x), "i"), P()),
    "number": mapped(lambda x: x * lax.axis_index("i")),
    "gathered": mapped(lambda x: lax.all_gather(x, "i", tiled=True)[:2] * x),
    "stacked": mapped(lambda x: lax.all_gather(x, "i")[:, 1].sum() * x),
    "round": mapped(lambda x: lax.ppermute(x, "i", ring)),
    "one way": mapped(lambda x: lax.ppermute(x, "i", ring[:2])),
    "exchanged": mapped(lambda x: lax.all_to_all(jnp.outer(jnp.arange(4.0), x), "i", 0, 0).sum(0)),
    "scattered": mapped(lambda x: lax.psum_scatter(jnp.tile(x, 2), "i", tiled=True)),
    "two axes": mapped(lambda x: lax.psum(x, "i"), P(), square),
    "both axes": mapped(lambda x: x * lax.axis_index(("i", "j")), P(("i", "j")), square, P(("i", "j"))),
    "in a scan": mapped(lambda x: lax.scan(lambda c, a: (c, lax.psum(a, "i")), 0.0, x)[1], P()),
    "integers": mapped(lambda x: lax.psum(x.astype(jnp.int32), "i"), P()),
    "gradient": jax.grad(lambda x: mapped(lambda x: lax.psum(jnp.sum(x**3), "i"), P())(x)),
}
for name, f in EVERY.items():
    got, true = np.asarray(f(x)), true_value(f, x)
    assert got.dtype == true.dtype and np.array_equal(got, true), (name, got, true)

norm = mapped(lambda x: x / jnp.sqrt(lax.psum(jnp.sum(x * x), "i")))
np.testing.assert_allclose(true_value(norm, x), x / np.linalg.norm(x.astype(float)), rtol=1e-7)
for mode in ("eager", "jit"):
    assert diagnose(norm, x, mode=mode).verdict == "ok"
    assert diagnose(norm, np.float32(1e30) * x, mode=mode).culprit.primitive == "shard_map"
slope = true_derivative(lambda t: mapped(lambda x: lax.psum(jnp.sum(jnp.sin(x * t)), "i"), P())(x), np.float32(1))
assert slope == np.float32(np.sum(x * np.cos(x.astype(float))))
apart = mapped(lambda x: lax.cond(x[0] > 4, lambda v: v, lambda v: -v, x))
assert set(why_undefined(apart, x)) == {"undecided"}
"""


def test_a_map_over_several_devices_is_evaluated_on_each():
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=4", "JAX_PLATFORMS": "cpu"}
    run = subprocess.run(
        [sys.executable, "-c", ON_FOUR_DEVICES], env=os.environ | flags, capture_output=True, text=True, timeout=300
    )
    assert run.returncode == 0, run.stderr
