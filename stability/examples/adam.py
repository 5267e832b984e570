"""Vectors of words in float16, by adam."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax

from stability.examples._example import Example


def loss(params, words, targets):
    vectors = params["embedding"][words]
    return jnp.mean((vectors @ params["kernel"] - targets) ** 2)


def step(optimizer, params, state, words, targets):
    gradient = jax.grad(loss)(params, words, targets)
    updates, state = optimizer.update(gradient, state, params)
    return optax.apply_updates(params, updates), state


def call(optimizer):
    rng = np.random.default_rng(0)
    params = {
        "embedding": rng.normal(size=(20, 8)).astype(np.float16),
        "kernel": rng.normal(size=(8, 3)).astype(np.float16),
    }
    words = rng.integers(0, 10, 32)
    targets = rng.normal(size=(32, 3)).astype(np.float16)
    return functools.partial(step, optimizer), (params, optimizer.init(params), words, targets)


EXAMPLE = Example(
    title="adam in optax",
    data="vectors of 20 words, 10 of which are in the batch of 32, float16",
    repository="google-deepmind/optax",
    number=1754,
    thread="Adam-family optimizers (adam, amsgrad, adabelief, yogi) produce NaN on float16 zero-gradient steps",
    fault="the squares of small gradients and adam's eps of 1e-8 are 0 in float16, and so is what it divides by.",
    remedy="`eps=1e-4`.",
    healthy=lambda: call(optax.adam(1e-3, eps=1e-4)),
    planted=lambda: call(optax.adam(1e-3)),
    line="optimizer.update(",
    cause="underflow",
    leaf="[0]['embedding']",
)
