"""A study, declared: the forms to compare, the true value of them all, and the domain of its second argument."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from jax import Array

from stability.formats import FloatFormat
from stability.truth import Truth
from stability.truth.device import DeviceTruth

Form = Callable[[Array, Array], Array]
"""From arrays of the swept float and of labels, which broadcast, to an array."""


@dataclass(frozen=True)
class Study:
    """Several forms of one real function of a swept float and a label.

    **Attributes:** `name` as in the reports and `title` over them; `forms` by name, in the order of the reports;
    `formulas` of forms as TeX, by name, in the order of the picture that shows them beside their errors;
    `truth(z, label, fmt)` the true values for floats `z` of shape `(n,)`; `condition(z, label)` the
    condition numbers in `z` and in the label, each of shape `(n,)`: the relative change of the true
    value for a relative change of that argument; `labels` the default ones; `label_range` the allowed
    ones; `device_truth` the true values on the device, where the study has them: it is monotone in the float, and
    float32 is swept exhaustively by it. A form of the swept float alone has the one label `None` and needs no
    `condition`; it is called with label 0 and ignores it. `domain` is the closed range of the swept float, `swept` its
    name.
    """

    name: str
    title: str
    forms: Mapping[str, Form]
    formulas: Mapping[str, str]
    truth: Callable[[np.ndarray, float, FloatFormat], Truth]
    condition: Callable[[np.ndarray, float], tuple[np.ndarray, np.ndarray]] | None = None
    labels: tuple[float | None, ...] = (None,)
    label_range: tuple[float, float] = (0.0, 0.0)
    device_truth: DeviceTruth | None = None
    domain: tuple[float, float] = (-math.inf, math.inf)
    swept: str = "z"
