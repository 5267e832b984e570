"""The softmax gradient in 2 and 3 classes: `dL/dz_1` of `L = -Σ_k y_k log softmax(z)_k` as `z_1` is swept.

The other logits are 0 and, with three classes, 1. The label of the swept class is `y`, that of the second `1 - y`,
rounded in the format, and that of the third 0. Every form computes the whole gradient and returns its first entry.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from stability.formats import FORMATS, FloatFormat
from stability.losses.softmax import softmax_cross_entropy_grad
from stability.study import Form, Study
from stability.study.softmax.truth import softmax_gradient
from stability.truth import Truth

Gradient = Callable[[Array, Array], Array]
FIXED = {2: (0.0,), 3: (0.0, 1.0)}


def jacobian(z: Array, y: Array) -> Array:
    """`Σ_j (∂p_j/∂z_k)(-y_j/p_j)` with `∂p_j/∂z_k = p_j (δ_jk - p_k)`, computed as written, nothing cancelled."""
    p = jax.nn.softmax(z, axis=-1)
    dp = p[..., :, None] * (jnp.eye(z.shape[-1], dtype=z.dtype) - p[..., None, :])
    return jnp.sum(dp * (-y / p)[..., :, None], axis=-2)


def autodiff(z: Array, y: Array) -> Array:
    """`jax.grad` of `-Σ y log p` through `jax.nn.softmax` and `log`."""
    return jax.grad(lambda v: -jnp.sum(y * jnp.log(jax.nn.softmax(v, axis=-1))))(z)


def cancelled(z: Array, y: Array) -> Array:
    """`p - y`, what the note's cancellation leaves for many classes."""
    return jax.nn.softmax(z, axis=-1) - y


def logsumexp(z: Array, y: Array) -> Array:
    """`jax.grad` of `logsumexp(z) Σ y - Σ y z`."""
    return jax.grad(lambda v: jnp.sum(jax.nn.logsumexp(v, axis=-1) * jnp.sum(y, axis=-1) - jnp.sum(y * v, axis=-1)))(z)


GRADIENTS: dict[str, Gradient] = {f.__name__: f for f in (jacobian, autodiff, cancelled, logsumexp)}
FORMULAS = {
    "jacobian": "Σ_j p_j (δ_jk - p_k) × (-y_j/p_j)",
    "autodiff": "grad of -Σ y log softmax(z)",
    "cancelled": "p - y",
    "logsumexp": "grad of log Σ e^z - Σ yz",
    "optax": "grad of optax.softmax_cross_entropy",
    "accurate": "stability.softmax_cross_entropy_grad",
}

try:
    import optax as _optax
except ImportError:
    pass
else:

    def optax(z: Array, y: Array) -> Array:
        """`jax.grad` of `optax.softmax_cross_entropy`; a form where optax is installed."""
        return jax.grad(lambda v: jnp.sum(_optax.softmax_cross_entropy(v, y)))(z)

    GRADIENTS["optax"] = optax

GRADIENTS["accurate"] = softmax_cross_entropy_grad


def _rows(z: Any, label: Any, classes: int, np_: Any) -> tuple[Any, Any]:
    """Logits and labels of shape `(..., classes)` for a swept logit and its label, in the dtype of the logit."""
    fixed = [np_.full_like(z, v) for v in FIXED[classes]]
    y = np_.broadcast_to(np_.asarray(label, z.dtype), z.shape)
    labels = [y, (1 - y).astype(z.dtype), np_.zeros_like(z)][:classes]
    return np_.stack([z, *fixed], -1), np_.stack(labels, -1)


def _form(gradient: Gradient, classes: int) -> Form:
    def form(logits: Array, labels: Array) -> Array:
        z = jnp.broadcast_to(logits, jnp.broadcast_shapes(jnp.shape(logits), jnp.shape(labels)))
        return gradient(*_rows(z, labels, classes, jnp))[..., 0]

    return form


def _truth(classes: int) -> Callable[[np.ndarray, float, FloatFormat], Truth]:
    def truth(z: np.ndarray, label: float, fmt: FloatFormat) -> Truth:
        rows, labels = _rows(np.asarray(z), np.asarray(label).astype(np.asarray(z).dtype), classes, np)
        return softmax_gradient(rows, labels, fmt).at((slice(None), 0))

    return truth


def _condition(classes: int) -> Callable[[np.ndarray, float], tuple[np.ndarray, np.ndarray]]:
    def condition(z: np.ndarray, label: float) -> tuple[np.ndarray, np.ndarray]:
        """`|z p_1 (1 - p_1) / g|` and `|y / g|` for the gradient `g`, to a few digits, for finite float64 `z`."""
        z = np.asarray(z, dtype=np.float64)
        g = _truth(classes)(z, label, FORMATS["float64"]).rounded
        p = _truth(classes)(z, 0.0, FORMATS["float64"]).rounded
        q = -_truth(classes)(z, 1.0, FORMATS["float64"]).rounded
        with np.errstate(all="ignore"):
            return np.abs(z * p * q / g), np.abs(label / g)

    return condition


def _study(classes: int) -> Study:
    return Study(
        name=f"softmax_ce_{classes}",
        title=f"Where each form of the softmax gradient fails, {classes} classes",
        forms={name: _form(gradient, classes) for name, gradient in GRADIENTS.items()},
        formulas=FORMULAS,
        truth=_truth(classes),
        condition=_condition(classes),
        labels=(0.0, 1.0, 0.5, 0.1),
        label_range=(0.0, 1.0),
        landmarks=(-100.0, -88.0, -20.0, -3.0, 3.0, 8.0, 16.0, 20.0, 80.0),
    )


STUDIES = tuple(_study(classes) for classes in FIXED)
