"""A transformer block that computes in float16, on sequences of unequal length."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from stability.examples._example import Example

HALF = {"dtype": jnp.float16, "param_dtype": jnp.float16}


def additive(query, key, value, mask=None, **kwargs):
    bias = ((1.0 - mask) * -1e9).astype(query.dtype)
    return nn.dot_product_attention(query, key, value, bias=bias, **kwargs)


class Block(nn.Module):
    attention_fn: object = nn.dot_product_attention

    @nn.compact
    def __call__(self, x, mask):
        h = nn.LayerNorm(**HALF)(x)
        x = x + nn.MultiHeadDotProductAttention(2, attention_fn=self.attention_fn, name="attention", **HALF)(
            h, mask=mask
        )
        h = nn.gelu(nn.Dense(32, **HALF)(nn.LayerNorm(**HALF)(x)))
        return x + nn.Dense(16, **HALF)(h)


def loss(params, block, x, lengths, targets):
    real = jnp.arange(x.shape[1]) < lengths[:, None]
    out = block.apply(params, x, nn.make_attention_mask(jnp.ones_like(real), real))
    return jnp.sum(jnp.square(out - targets).mean(-1), where=real) / jnp.sum(real)


def step(block, params, x, lengths, targets):
    gradient = jax.grad(loss)(params, block, x, lengths, targets)
    return jax.tree.map(lambda p, g: p - jnp.float16(0.1) * g, params, gradient)


def batch():
    x, targets = np.random.default_rng(0).normal(size=(2, 3, 8, 16)).astype(np.float16)
    params = Block().init(jax.random.key(0), x, jnp.ones((3, 1, 8, 8), bool))
    return params, x, np.array([8, 5, 0]), targets


EXAMPLE = Example(
    title="a transformer block in flax",
    data="sequences of 8, 5 and no words of 16 numbers, two heads, float16",
    repository="NVIDIA/apex",
    number=1052,
    thread="RuntimeError: value cannot be converted to type at::Half without overflow: -1e+09",
    fault="the mask adds -1e9 to the scores, -inf in float16, and the softmax of the sequence without words is NaN.",
    remedy="flax's own masking, by the least number of the dtype.",
    healthy=lambda: (functools.partial(step, Block()), batch()),
    planted=lambda: (functools.partial(step, Block(additive)), batch()),
    line="((1.0 - mask) * -1e9)",
    cause="overflow",
    leaf="['params']['attention']['query']['kernel']",
)
