"""A linear layer on frames, trained by a CTC loss."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax

from stability.examples._example import Example


def loss(kernel, frames, labels, log_epsilon):
    logits, padding = frames @ kernel, (labels == 0).astype(jnp.float32)
    each = optax.ctc_loss(logits, jnp.zeros(logits.shape[:2]), labels, padding, log_epsilon=log_epsilon)
    return each.mean()


def step(log_epsilon, kernel, frames, labels):
    return kernel - 0.1 * jax.grad(loss)(kernel, frames, labels, log_epsilon)


def batch():
    rng = np.random.default_rng(0)
    kernel = rng.normal(size=(6, 5)).astype(np.float32)
    frames = rng.normal(size=(2, 10, 6)).astype(np.float32)
    return kernel, frames, np.array([[1, 2, 2, 3], [4, 1, 0, 0]])


EXAMPLE = Example(
    title="a CTC loss in optax",
    data="2 sequences of 10 frames and at most 4 labels, float32",
    repository="pytorch/pytorch",
    number=14335,
    thread="CTCLoss produces NaNs in some situations",
    fault="the logarithm of no probability is given as -inf, and optax multiplies it by 0.",
    remedy="optax's default, -1e5.",
    healthy=lambda: (functools.partial(step, -1e5), batch()),
    planted=lambda: (functools.partial(step, float("-inf")), batch()),
    line="optax.ctc_loss(",
    cause="zero_times_infinity",
    leaf="",
)
