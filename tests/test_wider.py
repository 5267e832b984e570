"""Programs in float64, equation by equation, against the same functions of float64 arguments."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stability.real.wider import run_in_wider

RNG = np.random.default_rng(0)
X = RNG.normal(size=(8, 8)).astype(np.float32)
V = X[0]
S = X @ X.T + np.eye(8, dtype=np.float32)
IMAGE = RNG.normal(size=(2, 8, 8, 3)).astype(np.float32)
KERNEL = RNG.normal(size=(3, 3, 3, 4)).astype(np.float32)


def conv(image, kernel):
    return jax.lax.conv_general_dilated(image, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def pooled(image, start, step):
    return jax.lax.reduce_window(image, start, step, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")


PROGRAMS = {
    "scatter-add": (lambda x: jnp.asarray(x).at[jnp.array([1, 2, 1])].add(3.0), (X,)),
    "scatter-mul": (lambda x: jnp.asarray(x).at[jnp.array([1, 2, 1])].multiply(3.0), (X,)),
    "gather's gradient": (jax.grad(lambda x: jnp.sum(x[jnp.array([1, 1, 2])] ** 2)), (X,)),
    "cholesky": (jnp.linalg.cholesky, (S,)),
    "a linear system": (lambda a: jnp.linalg.solve(a, a[0]), (S,)),
    "its gradient": (jax.grad(lambda a: jnp.sum(jnp.linalg.solve(a, a[0]))), (S,)),
    "singular values": (lambda a: jnp.linalg.svd(a)[1], (X,)),
    "a spectrum": (lambda x: jnp.abs(jnp.fft.rfft(x)), (V,)),
    "sort": (jnp.sort, (V,)),
    "cumsum": (jnp.cumsum, (V,)),
    "convolution": (conv, (IMAGE, KERNEL)),
    "its gradient in both": (jax.grad(lambda i, k: jnp.sum(conv(i, k) ** 2), argnums=(0, 1)), (IMAGE, KERNEL)),
    "max pool": (jax.grad(lambda i: jnp.sum(pooled(i, -jnp.inf, jax.lax.max) ** 2)), (IMAGE,)),
    "mean pool": (jax.grad(lambda i: jnp.sum(pooled(i, 0.0, jax.lax.add) ** 2)), (IMAGE,)),
    "scan": (lambda x: jax.lax.scan(lambda c, y: (jnp.tanh(c + y), c), x[0], x), (X,)),
    "fori_loop": (lambda x: jax.lax.fori_loop(0, 5, lambda i, c: c * 0.5 + i, x), (X,)),
    "while_loop": (lambda x: jax.lax.while_loop(lambda c: jnp.sum(c) < 100, lambda c: c * c + 1, jnp.abs(x)), (V,)),
    "a while_loop each": (
        jax.vmap(lambda x: jax.lax.while_loop(lambda c: c < 10, lambda c: c * 2 + 1, jnp.abs(x))),
        (V,),
    ),
    "cond": (lambda x: jax.lax.cond(x[0] > 0, lambda y: y, lambda y: -y, x), (V,)),
    "gelu": (jax.nn.gelu, (V,)),
    "softmax's gradient": (jax.grad(lambda x: jnp.sum(jax.nn.softmax(x) ** 2)), (V,)),
    "checkpoint": (jax.jit(lambda x: jax.checkpoint(jnp.sin)(x)), (V,)),
    "iota": (lambda x: jnp.arange(8.0, dtype=x.dtype) + x, (V,)),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_in_wider_floats_is_the_function_of_wider_arguments(name):
    fn, args = PROGRAMS[name]
    wide = run_in_wider(jax.make_jaxpr(fn)(*args), args)
    with jax.enable_x64(True):
        expected = jax.tree.leaves(fn(*(np.asarray(x, np.float64) for x in args)))
    for x, y in zip(wide, expected, strict=True):
        assert x.dtype == y.dtype == np.float64
        np.testing.assert_allclose(x, y, rtol=1e-6, atol=1e-9)


def test_random_numbers_are_those_of_the_program():
    key = jax.random.key(0)
    jaxpr = jax.make_jaxpr(lambda x: x + jax.random.normal(key, x.shape))(V)
    (wide,) = run_in_wider(jaxpr, [V])
    np.testing.assert_allclose(wide, V + jax.random.normal(key, V.shape), atol=1e-5)


def test_what_is_of_the_bits_of_a_format_stays_there():
    jaxpr = jax.make_jaxpr(lambda x: jnp.nextafter(x, 2.0))(V)
    assert (np.asarray(run_in_wider(jaxpr, [V])[0]) == np.nextafter(V, np.float32(2))).all()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_products_of_small_formats_are_added_in_float64(dtype):
    x = jnp.asarray(X, dtype)
    (wide,) = run_in_wider(jax.make_jaxpr(lambda x: x @ x.T)(x), [x])
    exact = np.asarray(x, np.float64)
    np.testing.assert_allclose(wide, exact @ exact.T, rtol=1e-14)
