"""Steps and numbers that the tests of watching share."""

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest

RNG = np.random.default_rng(0)


@pytest.fixture
def as_users_have_it():
    """JAX's default floats are of 32 bits; each test draws the same numbers whichever is run before it."""
    RNG.bit_generator.state = np.random.default_rng(0).bit_generator.state
    with jax.enable_x64(False):
        yield


def normal(*shape, scale=1.0):
    return jnp.asarray(scale * RNG.standard_normal(shape), jnp.float32)


def layers(*widths):
    return [{"w": normal(a, b, scale=(2 / a) ** 0.5), "b": jnp.zeros(b)} for a, b in pairwise(widths)]


def logits(params, x):
    for layer in params[:-1]:
        x = jax.nn.relu(x @ layer["w"] + layer["b"])
    return x @ params[-1]["w"] + params[-1]["b"]


def naive_loss(params, x, y):
    a = jax.nn.sigmoid(logits(params, x)[:, 0])
    return -jnp.mean(y * jnp.log(a) + (1 - y) * jnp.log(1 - a))


def classes(n, count=10):
    return jnp.asarray(RNG.integers(0, count, n))


def same_bits(a, b):
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return jax.tree.structure(a) == jax.tree.structure(b) and all(
        np.asarray(x).tobytes() == np.asarray(y).tobytes() for x, y in pairs
    )
