"""What a figure was measured on: versions, backend, flags, processor; and the releases of JAX that are tested."""

from __future__ import annotations

import os
import platform
import re
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import jax

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TESTED = ("0.10", "0.12")
"""The first and the last series of JAX releases that the tests pass on."""


def numbers(release: str) -> tuple[int, ...]:
    """The numbers of a release, to be compared: `(0, 12, 0, 1)` of `0.12.0.1`, and `(0, 13, 0)` of `0.13.0.dev1`."""
    found = re.match(r"\d+(\.\d+)*", release)
    return tuple(map(int, found[0].split("."))) if found else ()


def untested(release: str) -> str | None:
    """One line that warns of a release of JAX outside `TESTED`, or `None`."""
    first, last = map(numbers, TESTED)
    series = numbers(release)[:2]
    if first <= series <= last:
        return None
    return (
        f"jax {release} is {'newer' if series > last else 'older'} than the releases that this project is tested on "
        f"({TESTED[0]} to {TESTED[1]}): what fails here may be a fault of the project."
    )


def tell_untested() -> None:
    """Prints the warning of `untested` for the installed JAX on standard error, if there is one."""
    if warning := untested(version("jax")):
        print(warning, file=sys.stderr)


def mark(figure: Figure) -> None:
    """Writes into the corner of a figure which release of JAX it is of."""
    text = f"jax {version('jax')}, {jax.default_backend()}"
    figure.text(0.998, 0.002, text, ha="right", va="bottom", fontsize=8, color="0.35")


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def environment() -> dict:
    """The environment of this process, as it stands in a manifest."""
    return {
        **{package: version(package) for package in ("jax", "jaxlib", "numpy", "python-flint")},
        "python": platform.python_version(),
        "backend": jax.default_backend(),
        "device": jax.devices()[0].device_kind,
        "devices": jax.device_count(),
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
        "x64": bool(jax.config.read("jax_enable_x64")),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }
