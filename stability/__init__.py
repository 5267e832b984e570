"""Where a gradient loses its digits, to the float, and gradients that don't."""

import importlib
from typing import Any

from stability.losses import (
    sigmoid_binary_cross_entropy,
    sigmoid_binary_cross_entropy_grad,
    sigmoid_binary_cross_entropy_value_and_grad,
)
from stability.softmax import (
    softmax_cross_entropy,
    softmax_cross_entropy_grad,
    softmax_cross_entropy_with_integer_labels,
)

__all__ = [
    "sigmoid_binary_cross_entropy",
    "sigmoid_binary_cross_entropy_grad",
    "sigmoid_binary_cross_entropy_value_and_grad",
    "softmax_cross_entropy",
    "softmax_cross_entropy_grad",
    "softmax_cross_entropy_with_integer_labels",
]


def __getattr__(name: str) -> Any:
    if name == "diagnose":
        return importlib.import_module("stability.diagnose")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
