"""Where a gradient loses its digits, to the float, and gradients that don't.

Names are loaded when they are first asked for, so that the pytest plugin costs a run without checks nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stability import diagnose
    from stability.losses.sigmoid import (
        sigmoid_binary_cross_entropy,
        sigmoid_binary_cross_entropy_grad,
        sigmoid_binary_cross_entropy_value_and_grad,
    )
    from stability.losses.softmax import (
        softmax_cross_entropy,
        softmax_cross_entropy_grad,
        softmax_cross_entropy_with_integer_labels,
    )
    from stability.real import true_derivative, true_value, why_undefined
    from stability.study.functions import study_of

_WHERE = {
    "sigmoid_binary_cross_entropy": "losses",
    "sigmoid_binary_cross_entropy_grad": "losses",
    "sigmoid_binary_cross_entropy_value_and_grad": "losses",
    "softmax_cross_entropy": "softmax",
    "softmax_cross_entropy_grad": "softmax",
    "softmax_cross_entropy_with_integer_labels": "softmax",
    "study_of": "functions",
    "true_derivative": "real",
    "true_value": "real",
    "why_undefined": "real",
}
"""Where the public names stand."""

__all__ = [
    "diagnose",
    "sigmoid_binary_cross_entropy",
    "sigmoid_binary_cross_entropy_grad",
    "sigmoid_binary_cross_entropy_value_and_grad",
    "softmax_cross_entropy",
    "softmax_cross_entropy_grad",
    "softmax_cross_entropy_with_integer_labels",
    "study_of",
    "true_derivative",
    "true_value",
    "why_undefined",
]


def __getattr__(name: str) -> Any:
    if name == "diagnose":
        return importlib.import_module("stability.cli.diagnose")
    if name in _WHERE:
        return getattr(importlib.import_module(f"stability.{_WHERE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
