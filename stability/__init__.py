"""Where a gradient loses its digits, to the float, and gradients that don't.

Names are loaded when they are first asked for, so that the pytest plugin costs a run without checks nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stability import diagnose
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
    "diagnose",
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
    if name in __all__:
        return getattr(importlib.import_module(f"stability.{'losses' if 'sigmoid' in name else 'softmax'}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
