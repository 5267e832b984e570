"""What an example is."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass

Call = tuple[Callable, tuple]
"""A training step and its arguments."""


@dataclass(frozen=True)
class Example:
    """A training step, healthy and with a failure that people reported.

    **Attributes:** `title` and `data` what is trained on what, in words; `repository`, `number` and `thread` the report
    of the failure as the tracker has it; `fault` what is wrong in the planted step and `remedy` what the healthy one
    does instead, in a sentence each; `healthy` and `planted` each give a step and its arguments; `line` a part of the
    source line that is to blame, or that calls the library which is, and `cause` the kind of its error; `leaf` an
    output that shows it.
    """

    title: str
    data: str
    repository: str
    number: int
    thread: str
    fault: str
    remedy: str
    healthy: Callable[[], Call]
    planted: Callable[[], Call]
    line: str
    cause: str
    leaf: str

    @property
    def url(self) -> str:
        return f"https://github.com/{self.repository}/issues/{self.number}"


def load(name: str) -> Example:
    """The example of a file.

    **Raises:** `ImportError` where a library that it trains with is not installed.
    """
    return importlib.import_module(f"stability.examples.{name}").EXAMPLE
