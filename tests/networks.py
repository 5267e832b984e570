"""Networks, their data, and the lines that are to blame, for the tests of diagnosed training steps."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np

F32 = np.float32


def normal(*shape, scale=1.0, seed=0, dtype=F32):
    return (np.random.default_rng(seed).normal(size=shape) * scale).astype(dtype)


def network(width=48, batch=64):
    layers = [
        {"kernel": normal(width, width, scale=(2 / width) ** 0.5, seed=i), "bias": np.zeros(width, F32)}
        for i in range(2)
    ]
    layers.append({"kernel": normal(width, 1, scale=width**-0.5, seed=3), "bias": np.zeros(1, F32)})
    return {"layers": layers}, normal(batch, width, seed=4), (normal(batch, seed=5) > 0).astype(F32)


def logits(params, x):
    *hidden, last = params["layers"]
    for layer in hidden:
        x = jax.nn.relu(x @ layer["kernel"] + layer["bias"])
    return (x @ last["kernel"] + last["bias"])[:, 0]


def naive_loss(params, x, y):
    a = jax.nn.sigmoid(logits(params, x))
    return -jnp.mean(y * jnp.log(a) + (1 - y) * jnp.log(1 - a))  # <-


def saturated():
    """One example of the batch with a logit of 25 and label 1."""
    params, x, y = network()
    z = np.asarray(logits(params, x))
    i = int(np.argmax(z))
    x[i] *= F32(25) / z[i]
    y[i] = 1
    return params, x, y, i


def marked(fn):
    """The line of a function that is to blame."""
    lines, first = inspect.getsourcelines(fn)
    return f":{first + next(i for i, line in enumerate(lines) if '# <-' in line)}:"


LABELS = np.random.default_rng(0).integers(0, 10, 64)
