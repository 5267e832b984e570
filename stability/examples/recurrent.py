"""A recurrent network in float16, by scan."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from stability.examples._example import Example


class Recurrent(eqx.Module):
    inward: eqx.nn.Linear
    recur: eqx.nn.Linear
    norm: eqx.nn.LayerNorm
    out: eqx.nn.Linear

    def __init__(self, key):
        keys = jax.random.split(key, 3)
        self.inward = eqx.nn.Linear(4, 16, dtype=jnp.float16, key=keys[0])
        self.recur = eqx.nn.Linear(16, 16, dtype=jnp.float16, key=keys[1])
        self.norm = eqx.nn.LayerNorm(16, dtype=jnp.float16)
        self.out = eqx.nn.Linear(16, 1, dtype=jnp.float16, key=keys[2])

    def __call__(self, xs, activation):
        def advance(h, x):
            h = activation(self.inward(x) + self.recur(h))
            return h, None

        h, _ = jax.lax.scan(advance, jnp.zeros(16, xs.dtype), xs)
        return self.out(self.norm(h))[0]


def loss(model, activation, xs, ys):
    return jnp.mean((jax.vmap(lambda x: model(x, activation))(xs) - ys) ** 2)


def step(activation, model, xs, ys):
    gradient = eqx.filter_grad(loss)(model, activation, xs, ys)
    return eqx.apply_updates(model, jax.tree.map(lambda g: jnp.float16(-0.1) * g, gradient))


def batch():
    rng = np.random.default_rng(0)
    xs, ys = rng.normal(size=(4, 30, 4)).astype(np.float16), rng.normal(size=4).astype(np.float16)
    model = Recurrent(jax.random.key(0))
    return eqx.tree_at(lambda m: m.recur.weight, model, 6 * model.recur.weight), xs, ys


EXAMPLE = Example(
    title="a recurrent network in equinox",
    data="4 sequences of 30 steps of 4 numbers, the weights of the state six times as large as usual, float16",
    repository="keras-team/keras",
    number=2194,
    thread="Nan acc in A LSTM model with ReLU activations",
    fault="the state grows in each step, since relu bounds it not, beyond the greatest float16.",
    remedy="tanh.",
    healthy=lambda: (functools.partial(step, jnp.tanh), batch()),
    planted=lambda: (functools.partial(step, jax.nn.relu), batch()),
    line="self.recur(h)",
    cause="overflow",
    leaf=".recur.weight",
)
