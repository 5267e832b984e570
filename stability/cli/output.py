"""Standard output that lets a job go on when it can't be written."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable


class Output(io.TextIOWrapper):
    """A stream that drops what it is given once writing failed, and remembers why.

    Whoever reads may have seen enough (`stability sweep | head`); the report is still to be written.
    """

    problem: OSError | None = None

    def write(self, text: str) -> int:
        self._tried(lambda: super(Output, self).write(text))
        return len(text)

    def flush(self) -> None:
        self._tried(super().flush)

    def _tried(self, do: Callable[[], object]) -> None:
        try:
            do()
        except OSError as error:
            self.problem = error
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())


def lasting() -> Output | None:
    """Puts an `Output` in the place of `sys.stdout`, where that is a file."""
    stream = sys.stdout
    if not isinstance(stream, io.TextIOWrapper) or isinstance(stream, Output):
        return None
    encoding, line_buffering = stream.encoding, stream.line_buffering
    output = Output(stream.detach(), encoding=encoding, errors="replace", line_buffering=line_buffering)
    sys.stdout = output
    return output
