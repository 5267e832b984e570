"""A perceptron of three layers, ten classes, momentum."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax

from stability.examples._example import Example

OPTIMIZER = optax.sgd(0.1, momentum=0.9)


def init(key, sizes=(16, 32, 32, 10)):
    keys = jax.random.split(key, len(sizes) - 1)
    kernels = [
        jax.random.normal(k, s) * (2 / s[0]) ** 0.5 for k, s in zip(keys, itertools.pairwise(sizes), strict=True)
    ]
    return [{"kernel": kernel, "bias": jnp.zeros(kernel.shape[1])} for kernel in kernels]


def logits(params, x):
    *hidden, last = params
    for layer in hidden:
        x = jax.nn.relu(x @ layer["kernel"] + layer["bias"])
    return x @ last["kernel"] + last["bias"]


def loss(params, x, labels):
    return optax.softmax_cross_entropy_with_integer_labels(logits(params, x), labels).mean()


def naive_loss(params, x, labels):
    log_probabilities = jnp.log(jax.nn.softmax(logits(params, x)))
    return -jnp.take_along_axis(log_probabilities, labels[:, None], axis=1).mean()


def step(loss, params, state, x, labels):
    gradient = jax.grad(loss)(params, x, labels)
    updates, state = OPTIMIZER.update(gradient, state, params)
    return optax.apply_updates(params, updates), state


def batch():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 16)).astype(np.float32)
    x[7] *= 100
    params = init(jax.random.key(0))
    return params, OPTIMIZER.init(params), x, rng.integers(0, 10, 64)


EXAMPLE = Example(
    title="a perceptron in optax",
    data="64 rows of 16 numbers in ten classes, one row a hundred times as large as the others, momentum, float32",
    repository="tensorflow/models",
    number=181,
    thread="Use tf.softmax_cross_entropy_with_logits to calculate loss",
    fault="the loss is the logarithm of a softmax, which is 0 where a logit is far below the greatest.",
    remedy="`optax.softmax_cross_entropy_with_integer_labels`, which takes the logits.",
    healthy=lambda: (functools.partial(step, loss), batch()),
    planted=lambda: (functools.partial(step, naive_loss), batch()),
    line="jnp.log(jax.nn.softmax(",
    cause="underflow",
    leaf="[0][2]['kernel']",
)
