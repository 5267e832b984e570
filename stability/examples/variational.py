"""A variational autoencoder, whose deviations are softplus of what the encoder gives."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from stability.examples._example import Example


class Autoencoder(nn.Module):
    @nn.compact
    def __call__(self, x, key):
        h = nn.tanh(nn.Dense(32)(x))
        mean, raw = nn.Dense(4)(h), nn.Dense(4, name="spread")(h)
        z = mean + nn.softplus(raw) * jax.random.normal(key, mean.shape)
        return nn.Dense(x.shape[1])(nn.tanh(nn.Dense(32)(z))), mean, raw


def log_softplus(raw):
    small = raw < -15
    return jnp.where(small, raw - jnp.exp(jnp.where(small, raw, 0)) / 2, jnp.log(nn.softplus(jnp.where(small, 0, raw))))


def divergence(mean, raw):
    return 0.5 * jnp.sum(mean**2 + nn.softplus(raw) ** 2 - 1) - jnp.sum(log_softplus(raw))


def naive_divergence(mean, raw):
    std = nn.softplus(raw)
    return 0.5 * jnp.sum(mean**2 + std**2 - 1) - jnp.sum(jnp.log(std))


def loss(params, divergence, x, key):
    decoded, mean, raw = Autoencoder().apply(params, x, key)
    return jnp.mean(jnp.sum((decoded - x) ** 2, -1)) + divergence(mean, raw) / len(x)


def step(divergence, params, x, key):
    gradient = jax.grad(loss)(params, divergence, x, key)
    return jax.tree.map(lambda p, g: p - 1e-3 * g, params, gradient)


def batch():
    x = np.random.default_rng(0).normal(size=(16, 8)).astype(np.float32)
    key = jax.random.key(0)
    params = Autoencoder().init(key, x, key)
    params["params"]["spread"]["bias"] = params["params"]["spread"]["bias"].at[2].set(-120)
    return params, x, key


EXAMPLE = Example(
    title="a variational autoencoder in flax",
    data="16 rows of 8 numbers, 4 latent ones, one of which is certain; noise of a random key, float32",
    repository="mllam/neural-lam",
    number=537,
    thread="Fix: prevent variance underflow causing NaN losses",
    fault="the deviation is a softplus of -120, which is 0 in float32, and its logarithm -inf.",
    remedy="the logarithm of softplus as one function.",
    healthy=lambda: (functools.partial(step, divergence), batch()),
    planted=lambda: (functools.partial(step, naive_divergence), batch()),
    line="std = nn.softplus(raw)",
    cause="underflow",
    leaf="['params']['spread']['kernel']",
)
