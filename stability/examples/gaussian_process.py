"""A Gaussian process by Cholesky: one step on its hyperparameters."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.scipy.linalg import cho_solve

from stability.examples._example import Example

OPTIMIZER = optax.adam(1e-2)


def kernel(params, x):
    apart = (x[:, None] - x[None]) / jnp.exp(params["log_length"])
    return jnp.exp(2 * params["log_scale"] - apart**2 / 2)


def loss(params, x, y, jitter):
    covariance = kernel(params, x) + jitter * jnp.eye(len(x))
    factor = jnp.linalg.cholesky(covariance)
    return y @ cho_solve((factor, True), y) / 2 + jnp.sum(jnp.log(jnp.diag(factor)))


def step(jitter, params, state, x, y):
    gradient = jax.grad(loss)(params, x, y, jitter)
    updates, state = OPTIMIZER.update(gradient, state)
    return optax.apply_updates(params, updates), state


def batch():
    rng = np.random.default_rng(0)
    x = np.sort(rng.uniform(0, 4, 20)).astype(np.float32)
    y = (np.sin(2 * x) + 0.3 * rng.normal(size=20)).astype(np.float32)
    params = {"log_length": jnp.float32(-0.5), "log_scale": jnp.float32(0)}
    return params, OPTIMIZER.init(params), x, y


EXAMPLE = Example(
    title="a Gaussian process",
    data="20 points of a line, a squared exponential kernel, one step of adam on its two parameters, float32",
    repository="tensorflow/probability",
    number=1291,
    thread="Jittered/safe Cholesky Operation",
    fault="1e-8 is added to the diagonal, less than the roundings of the entries, and the factor is NaN.",
    remedy="the variance of the noise, 1.",
    healthy=lambda: (functools.partial(step, 1.0), batch()),
    planted=lambda: (functools.partial(step, 1e-8), batch()),
    line="jnp.linalg.cholesky(covariance)",
    cause="domain",
    leaf="[0]['log_length']",
)
