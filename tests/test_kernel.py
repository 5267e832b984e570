"""The kernels of the losses under the project's own microscope: their formulas, and functions made of them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stability import real
from stability.diagnosis import diagnose
from stability.formats import FORMATS
from stability.losses import sigmoid as losses
from stability.losses import softmax
from stability.losses._kernel import KERNELS
from stability.study.sigmoid.truth import log_loss, sigmoid_minus_label
from stability.study.softmax.truth import softmax_gradient

SINGLE = FORMATS["float32"]
LOGITS = np.array([-104, -87.5, -20, -1e-3, -1e-40, 0, 1e-3, 0.5, 3, 17, 80, 120], np.float32)


@pytest.mark.parametrize("label", [0.0, 1.0, 0.25])
def test_the_true_values_of_the_binary_losses_are_those_of_the_reference(label):
    for function, reference in (
        (losses.sigmoid_binary_cross_entropy, log_loss),
        (losses.sigmoid_binary_cross_entropy_grad, sigmoid_minus_label),
    ):
        found = real.truth(lambda z, function=function: function(z, label), LOGITS, fmt=SINGLE)
        np.testing.assert_array_equal(found.rounded, reference(LOGITS, label, SINGLE).rounded)


def test_the_true_gradient_of_the_softmax_is_that_of_the_reference():
    z = np.array([[3, -20, 0.5], [2, 2, 2], [90, 0, 89]], np.float32)
    for row in z:
        for label in range(3):
            y = np.eye(3, dtype=np.float32)[label]
            for gradient in (
                lambda z, y=y: softmax.softmax_cross_entropy_grad(z, y),
                lambda z, label=label: jax.grad(
                    lambda v: softmax.softmax_cross_entropy_with_integer_labels(v, jnp.int32(label))
                )(z),
            ):
                found = real.true_value(gradient, row)
                np.testing.assert_array_equal(found, softmax_gradient(row[None], y[None], SINGLE).rounded[0])


@pytest.mark.parametrize("label", [0.0, 1.0])
@pytest.mark.parametrize("order", [0, 1, 2])
def test_a_function_of_the_loss_is_diagnosed_by_the_line_that_calls_it(label, order):
    def loss(z):
        return losses.sigmoid_binary_cross_entropy(z, label)

    for _ in range(order):
        loss = jax.grad(loss)
    found = diagnose(loss, np.float32(20))
    assert found.verdict == "ok"
    kernels = [row for row in found.rows if row.primitive in KERNELS]
    assert kernels and all("test_kernel.py" in row.source for row in kernels)


def test_a_sum_after_the_loss_is_to_blame_and_not_the_loss():
    def confident(z):
        return (losses.sigmoid_binary_cross_entropy(z, 1.0) + 1) - 1

    found = diagnose(confident, np.float32(20))
    assert found.verdict == "vanished"
    assert found.culprit.primitive in ("add", "sub")


def test_every_kernel_has_the_value_of_its_formula():
    """In float64, on points where the plain formula has a few digits to lose."""
    z, y = np.array([0.3, -1.2, 2.0, 0.0]), np.array([0.2, 0.5, 0.0, 0.3])
    arguments = {1: (z,), 2: (z, y)}
    with jax.enable_x64(True):
        for name, kernel in KERNELS.items():
            if not name.startswith(("sigmoid", "softmax")):
                continue
            parameters = {"arithmetic": "float64", "whole": False} if name.startswith("sigmoid") else {}
            inputs = (z, np.int32(2)) if name.endswith("_at") else arguments[len(kernel.derivatives)]
            found = kernel(*map(jnp.asarray, inputs), **parameters)
            np.testing.assert_allclose(found, kernel.formula(*map(jnp.asarray, inputs)), rtol=1e-13)
