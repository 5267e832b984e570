"""Where a gradient loses its digits, to the float."""

import importlib
from typing import Any


def __getattr__(name: str) -> Any:
    if name == "diagnose":
        return importlib.import_module("stability.diagnose")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
