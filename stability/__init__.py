"""Where a gradient loses its digits, to the float, and gradients that don't.

Names are loaded when they are first asked for, so that `import stability`, and the pytest plugin, cost nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stability import nn, testing
    from stability.diagnosis import Diagnosis, diagnose
    from stability.losses import (
        sigmoid_binary_cross_entropy,
        sigmoid_binary_cross_entropy_grad,
        sigmoid_binary_cross_entropy_value_and_grad,
        softmax_cross_entropy,
        softmax_cross_entropy_grad,
        softmax_cross_entropy_with_integer_labels,
    )
    from stability.real import UnsupportedPrimitive, true_derivative, true_value, why_undefined
    from stability.rewriting import Stabilized, stabilize
    from stability.study import Study
    from stability.study.functions import study_of
    from stability.sweep.outcome import Outcome
    from stability.watching import watch

_WHERE = {
    "Diagnosis": "diagnosis",
    "Outcome": "sweep.outcome",
    "Stabilized": "rewriting",
    "Study": "study",
    "UnsupportedPrimitive": "real",
    "diagnose": "diagnosis",
    "sigmoid_binary_cross_entropy": "losses.sigmoid",
    "sigmoid_binary_cross_entropy_grad": "losses.sigmoid",
    "sigmoid_binary_cross_entropy_value_and_grad": "losses.sigmoid",
    "softmax_cross_entropy": "losses.softmax",
    "softmax_cross_entropy_grad": "losses.softmax",
    "softmax_cross_entropy_with_integer_labels": "losses.softmax",
    "stabilize": "rewriting",
    "study_of": "study.functions",
    "true_derivative": "real",
    "true_value": "real",
    "watch": "watching",
    "why_undefined": "real",
}
"""The rooms of the public names."""

__all__ = [
    "Diagnosis",
    "Outcome",
    "Stabilized",
    "Study",
    "UnsupportedPrimitive",
    "diagnose",
    "nn",
    "sigmoid_binary_cross_entropy",
    "sigmoid_binary_cross_entropy_grad",
    "sigmoid_binary_cross_entropy_value_and_grad",
    "softmax_cross_entropy",
    "softmax_cross_entropy_grad",
    "softmax_cross_entropy_with_integer_labels",
    "stabilize",
    "study_of",
    "testing",
    "true_derivative",
    "true_value",
    "watch",
    "why_undefined",
]


def __getattr__(name: str) -> Any:
    if name in ("nn", "testing"):
        return importlib.import_module(f"stability.{name}")
    if name in _WHERE:
        return getattr(importlib.import_module(f"stability.{_WHERE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
