"""A convolutional network with batch norm on data as they come from a sensor."""

import functools

import flax.linen as nn
import jax
import numpy as np
import optax

from stability.examples._example import Example


class Network(nn.Module):
    fast: bool

    @nn.compact
    def __call__(self, x):
        x = nn.BatchNorm(use_running_average=False, use_fast_variance=self.fast, name="inputs")(x)
        x = nn.relu(nn.Conv(8, (3, 3))(x))
        x = nn.BatchNorm(use_running_average=False)(x)
        x = nn.max_pool(x, (2, 2), strides=(2, 2))
        return nn.Dense(4)(x.reshape(len(x), -1))


def loss(params, network, stats, images, labels):
    logits, new = network.apply({"params": params, **stats}, images, mutable=["batch_stats"])
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean(), new


def step(network, params, stats, images, labels):
    gradient, stats = jax.grad(loss, has_aux=True)(params, network, stats, images, labels)
    return jax.tree.map(lambda p, g: p - 0.1 * g, params, gradient), stats


def batch():
    rng = np.random.default_rng(0)
    images = (1e4 + rng.normal(size=(8, 8, 8, 2))).astype(np.float32)
    variables = Network(fast=True).init(jax.random.key(0), images)
    params = variables.pop("params")
    return params, variables, images, rng.integers(0, 4, 8)


EXAMPLE = Example(
    title="a convolutional network in flax",
    data="8 images of 8 × 8 pixels and 2 channels, with mean 10,000 and deviation 1, batch norm, float32",
    repository="google/flax",
    number=1491,
    thread="Variance can be negative in BatchNorm computation, leading to NaN's",
    fault="batch norm takes the variance as E[x²] - E[x]², flax's default, of which nothing is left at such a mean.",
    remedy="`use_fast_variance=False`.",
    healthy=lambda: (functools.partial(step, Network(fast=False)), batch()),
    planted=lambda: (functools.partial(step, Network(fast=True)), batch()),
    line="use_fast_variance=self.fast",
    cause="cancellation",
    leaf="[1]['batch_stats']['BatchNorm_0']['var']",
)
