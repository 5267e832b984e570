"""Rows without a result: whether it is the library that has none, or true values that are not known here."""

from __future__ import annotations

from collections.abc import Callable

import jax

from stability.atlas import endless
from stability.formats import FloatFormat
from stability.study.loading import first_line

HERE = "no true values: "
"""What the error of a row begins with that has no result for want of true values; of others the library has none."""

ALONE = " (only under jax.vmap)"
"""What is added where the library has a result, but not of several numbers at once."""


class LibraryError(Exception):
    """A program of the library could not be made, or run."""


def why_not(fn: Callable, fmt: FloatFormat, shape: tuple[int, ...] = ()) -> str | None:
    """Why the library can't make a function's program in a format, in one line, or `None`."""
    try:
        jax.eval_shape(fn, jax.ShapeDtypeStruct(shape, fmt.dtype))
    except Exception as error:
        return first_line(error)
    return None


def told(error: Exception, program: Callable, fmt: FloatFormat) -> str:
    """An error of the measurement of a program of one number, as a row tells it."""
    if isinstance(error, endless.Endless):
        return first_line(error)
    if not isinstance(error, LibraryError):
        return HERE + first_line(error)
    of_vmap = why_not(jax.vmap(program), fmt, (1,)) is not None and why_not(program, fmt) is None
    return f"{error}{ALONE if of_vmap else ''}"
