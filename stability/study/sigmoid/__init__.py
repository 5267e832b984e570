"""The study of the course note: `dL/dz` of the binary cross-entropy through a sigmoid."""

from __future__ import annotations

import numpy as np

from stability.formats import FORMATS
from stability.losses.sigmoid import sigmoid_binary_cross_entropy_grad
from stability.study import Study
from stability.study.sigmoid import device
from stability.study.sigmoid.forms import FORMS
from stability.study.sigmoid.quantities import LINES, QUANTITIES
from stability.study.sigmoid.truth import sigmoid_minus_label


def condition(z: np.ndarray, label: float) -> tuple[np.ndarray, np.ndarray]:
    """`|z σ'(z) / (σ(z) - y)|` and `|y / (σ(z) - y)|`, to a few digits, for finite float64 `z` of shape `(n,)`."""
    z = np.asarray(z, dtype=np.float64)
    truth = sigmoid_minus_label(z, label, FORMATS["float64"])
    with np.errstate(all="ignore"):
        slope = np.exp(-np.abs(z)) / (1 + np.exp(-np.abs(z))) ** 2
        in_z = np.where((label == (z > 0)) & (np.abs(z) > 700), np.abs(z), np.abs(z * slope / truth.rounded))
        return in_z, np.abs(label / truth.rounded)


FORMULAS = {
    "autodiff": "grad of L(σ(z), y)",
    "autodiff_textbook": "grad of L(1/(1 + e^-z), y)",
    "chain_split": "(-y/a + (1 - y)/(1 - a)) × a(1 - a)",
    "chain_common": "(-y(1 - a)/(a(1 - a)) + a(1 - y)/(a(1 - a))) × a(1 - a)",
    "chain_expanded": "(-y + ay + a - ay)/(a(1 - a)) × a(1 - a)",
    "chain_combined": "(a - y)/(a(1 - a)) × a(1 - a)",
    "cancelled": "a - y",
    "componentwise": "(1 - y) σ(z) - y σ(-z)",
    "logits": "grad of max(z, 0) - zy + log(1 + e^-|z|)",
    "optax": "grad of optax.sigmoid_binary_cross_entropy",
    "rounded": "σ(z) - y, rounded once",
}

STUDY = Study(
    name="sigmoid_bce",
    title="Where each line of the derivation fails",
    forms={**FORMS, "rounded": sigmoid_binary_cross_entropy_grad},
    formulas=FORMULAS,
    truth=sigmoid_minus_label,
    condition=condition,
    labels=(0.0, 1.0, 0.5, 0.1),
    label_range=(0.0, 1.0),
    device_truth=device.sigmoid_minus_label,
    landmarks=(-100.0, -88.0, -20.0, -3.0, 3.0, 8.0, 16.0, 20.0, 80.0),
    quantities=QUANTITIES,
    lines=LINES,
)

STUDIES = (STUDY,)
