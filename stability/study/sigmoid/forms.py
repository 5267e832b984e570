"""The derivation of `dL/dz = a - y`, one small pure JAX function a line of it.

For a logit `z`, an activation `a = σ(z)` and a label `y`, the binary cross-entropy is
`L(a, y) = -(y log a + (1 - y) log(1 - a))`. A *form* computes `dL/dz` from `(logits, labels)`,
elementwise, with broadcasting, in the dtype of its arguments. In real numbers all the forms
are one function. Nothing in a naive form is cancelled, reordered or clipped.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

from stability.study import Form


def sigmoid(logits: Array) -> Array:
    """`a = σ(z)` as JAX ships it."""
    return jax.nn.sigmoid(logits)


def sigmoid_textbook(logits: Array) -> Array:
    """`a = 1 / (1 + e^-z)`, written out."""
    return 1 / (1 + jnp.exp(-logits))


def binary_cross_entropy(a: Array, y: Array) -> Array:
    """`L(a, y) = -(y log a + (1 - y) log(1 - a))`, in nats."""
    return -(y * jnp.log(a) + (1 - y) * jnp.log(1 - a))


def dL_da_split(a: Array, y: Array) -> Array:
    """Step 1: `dL/da = -y/a + (1 - y)/(1 - a)`."""
    return -y / a + (1 - y) / (1 - a)


def dL_da_common(a: Array, y: Array) -> Array:
    """Step 1, over the common denominator: `-y(1 - a)/(a(1 - a)) + a(1 - y)/(a(1 - a))`."""
    return -y * (1 - a) / (a * (1 - a)) + a * (1 - y) / (a * (1 - a))


def dL_da_expanded(a: Array, y: Array) -> Array:
    """Step 1, expanded: `(-y + ay + a - ay)/(a(1 - a))`."""
    return (-y + a * y + a - a * y) / (a * (1 - a))


def dL_da_combined(a: Array, y: Array) -> Array:
    """Step 1, cleaned up: `(a - y)/(a(1 - a))`."""
    return (a - y) / (a * (1 - a))


def da_dz(a: Array) -> Array:
    """Step 2: `da/dz = a(1 - a)`."""
    return a * (1 - a)


def _chain(dL_da: Callable[[Array, Array], Array], logits: Array, labels: Array) -> Array:
    a = sigmoid(logits)
    return dL_da(a, labels) * da_dz(a)


def _grad(loss: Form, logits: Array, labels: Array) -> Array:
    shape = jnp.broadcast_shapes(jnp.shape(logits), jnp.shape(labels))
    return jax.grad(lambda z: jnp.sum(loss(z, labels)))(jnp.broadcast_to(logits, shape))


def chain_split(logits: Array, labels: Array) -> Array:
    """Step 3, `dL/da × da/dz`, from `dL_da_split`."""
    return _chain(dL_da_split, logits, labels)


def chain_common(logits: Array, labels: Array) -> Array:
    """Step 3 from `dL_da_common`."""
    return _chain(dL_da_common, logits, labels)


def chain_expanded(logits: Array, labels: Array) -> Array:
    """Step 3 from `dL_da_expanded`."""
    return _chain(dL_da_expanded, logits, labels)


def chain_combined(logits: Array, labels: Array) -> Array:
    """Step 3 from `dL_da_combined`."""
    return _chain(dL_da_combined, logits, labels)


def autodiff(logits: Array, labels: Array) -> Array:
    """`jax.grad` of the loss through `jax.nn.sigmoid`."""
    return _grad(lambda z, y: binary_cross_entropy(sigmoid(z), y), logits, labels)


def autodiff_textbook(logits: Array, labels: Array) -> Array:
    """`jax.grad` of the loss through the written-out σ."""
    return _grad(lambda z, y: binary_cross_entropy(sigmoid_textbook(z), y), logits, labels)


def cancelled(logits: Array, labels: Array) -> Array:
    """Step 3 with the common factor cancelled: `a - y`."""
    return sigmoid(logits) - labels


def componentwise(logits: Array, labels: Array) -> Array:
    """`(1 - y) σ(z) - y σ(-z)`: no `1 - a` anywhere, so nothing is absorbed for y in {0, 1}."""
    return (1 - labels) * sigmoid(logits) - labels * sigmoid(-logits)


def binary_cross_entropy_from_logits(logits: Array, labels: Array) -> Array:
    """`max(z, 0) - z y + log1p(e^-|z|)`, the loss most frameworks compute from logits."""
    return jnp.maximum(logits, 0) - logits * labels + jnp.log1p(jnp.exp(-jnp.abs(logits)))


def logits(logits: Array, labels: Array) -> Array:
    """`jax.grad` of `binary_cross_entropy_from_logits`."""
    return _grad(binary_cross_entropy_from_logits, logits, labels)


FORMS: dict[str, Form] = {
    form.__name__: form
    for form in (
        chain_split,
        chain_common,
        chain_expanded,
        chain_combined,
        autodiff,
        autodiff_textbook,
        cancelled,
        componentwise,
        logits,
    )
}
"""The forms of the study by name, in the order of the derivation."""

try:
    from optax import sigmoid_binary_cross_entropy as _optax_loss
except ImportError:
    pass
else:

    def optax(logits: Array, labels: Array) -> Array:
        """`jax.grad` of `optax.sigmoid_binary_cross_entropy`; a form where optax is installed."""
        return _grad(_optax_loss, logits, labels)

    FORMS["optax"] = optax
