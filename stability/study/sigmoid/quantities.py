"""What the lines of the derivation compute on their way from `z` to `dL/dz`, as written, and in real numbers.

In real numbers each is written without a difference of near numbers, so that balls decide it quickly.
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

from stability.study import Quantity
from stability.study.sigmoid import forms


def _a(z: Array, y: Array) -> Array:
    return 1 / (1 + jnp.exp(-z))


def _one_minus_a(z: Array, y: Array) -> Array:
    return 1 / (1 + jnp.exp(z))


def _da_dz(z: Array, y: Array) -> Array:
    return 1 / ((1 + jnp.exp(z)) * (1 + jnp.exp(-z)))


def _dL_da(z: Array, y: Array) -> Array:
    return (1 - y) * (1 + jnp.exp(z)) - y * (1 + jnp.exp(-z))


def _loss(z: Array, y: Array) -> Array:
    return y * jnp.log1p(jnp.exp(-z)) + (1 - y) * jnp.log1p(jnp.exp(z))


def _e_minus_abs_z(z: Array, y: Array) -> Array:
    return jnp.exp(-jnp.abs(z))


_L = "L = -(y log a + (1 - y) log(1 - a))"

QUANTITIES = {
    "a": Quantity("a = σ(z)", lambda z, y: forms.sigmoid(z), _a),
    "a_textbook": Quantity("a = 1/(1 + e^-z)", lambda z, y: forms.sigmoid_textbook(z), _a),
    "one_minus_a": Quantity("1 - a", lambda z, y: 1 - forms.sigmoid(z), _one_minus_a),
    "one_minus_a_textbook": Quantity("1 - a", lambda z, y: 1 - forms.sigmoid_textbook(z), _one_minus_a),
    "sigmoid_of_minus_z": Quantity("σ(-z)", lambda z, y: forms.sigmoid(-z), _one_minus_a),
    "da_dz": Quantity("da/dz = a(1 - a)", lambda z, y: forms.da_dz(forms.sigmoid(z)), _da_dz),
    "dL_da_split": Quantity(
        "dL/da = -y/a + (1 - y)/(1 - a)", lambda z, y: forms.dL_da_split(forms.sigmoid(z), y), _dL_da, labelled=True
    ),
    "dL_da_common": Quantity(
        "dL/da = -y(1 - a)/(a(1 - a)) + a(1 - y)/(a(1 - a))",
        lambda z, y: forms.dL_da_common(forms.sigmoid(z), y),
        _dL_da,
        labelled=True,
    ),
    "dL_da_expanded": Quantity(
        "dL/da = (-y + ay + a - ay)/(a(1 - a))",
        lambda z, y: forms.dL_da_expanded(forms.sigmoid(z), y),
        _dL_da,
        labelled=True,
    ),
    "dL_da_combined": Quantity(
        "dL/da = (a - y)/(a(1 - a))", lambda z, y: forms.dL_da_combined(forms.sigmoid(z), y), _dL_da, labelled=True
    ),
    "loss": Quantity(_L, lambda z, y: forms.binary_cross_entropy(forms.sigmoid(z), y), _loss, labelled=True),
    "loss_textbook": Quantity(
        _L, lambda z, y: forms.binary_cross_entropy(forms.sigmoid_textbook(z), y), _loss, labelled=True
    ),
    "loss_from_logits": Quantity(
        "L = max(z, 0) - zy + log(1 + e^-|z|)", forms.binary_cross_entropy_from_logits, _loss, labelled=True
    ),
    "e_minus_abs_z": Quantity("e^-|z|", _e_minus_abs_z, _e_minus_abs_z),
}

LINES = {
    "chain_split": ("a", "one_minus_a", "dL_da_split", "da_dz"),
    "chain_common": ("a", "one_minus_a", "dL_da_common", "da_dz"),
    "chain_expanded": ("a", "one_minus_a", "dL_da_expanded", "da_dz"),
    "chain_combined": ("a", "one_minus_a", "dL_da_combined", "da_dz"),
    "autodiff": ("a", "one_minus_a", "loss"),
    "autodiff_textbook": ("a_textbook", "one_minus_a_textbook", "loss_textbook"),
    "cancelled": ("a",),
    "componentwise": ("a", "sigmoid_of_minus_z"),
    "logits": ("e_minus_abs_z", "loss_from_logits"),
}
"""The quantities of a form, in the order in which it computes them."""
