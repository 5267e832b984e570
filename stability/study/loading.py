"""A function that a user names, as `module:function` or otherwise."""

from __future__ import annotations

import difflib
import importlib
import os
import sys
from collections.abc import Callable
from typing import Any

Reference = str | Callable[[], Callable]
"""A function by `module:function`, or by what makes it: that can be hashed and pickled, and is named by its text."""


class BadFunction(ValueError):
    """What was wrong with a function or with its arguments, and what is allowed, in one line."""


class NotFixed(BadFunction):
    """An argument that nothing gives a value."""


def first_line(error: BaseException) -> str:
    """The kind of an error and the first line of what it says."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def meant(name: str, allowed: list[str]) -> str:
    """A question for the name that a misspelt one is nearest to, or nothing."""
    near = difflib.get_close_matches(name, allowed, 1)
    return f"; did you mean {near[0]}?" if near else ""


def _in_utf8(argument: str) -> str:
    """An argument of the command in UTF-8, as source code is, in whatever locale it was decoded."""
    try:
        return os.fsencode(argument).decode("utf-8")
    except UnicodeError:
        return argument


def load(reference: Reference) -> Callable:
    """The function that is named; modules of the working directory are found first.

    **Raises:** `BadFunction`.
    """
    if not isinstance(reference, str):
        return reference()
    found = _named(reference, "module:function")
    if not callable(found):
        raise BadFunction(f"{reference} is not a function")
    return found


def value_of(reference: str) -> Any:
    """What is named as `module:name`, or returned by the function of that name.

    **Raises:** `BadFunction`.
    """
    found = _named(reference, "module:name")
    if not callable(found):
        return found
    try:
        return found()
    except (Exception, SystemExit) as error:
        raise BadFunction(f"{reference}(): {first_line(error)}") from error


def _named(reference: str, form: str) -> Any:
    module_name, colon, name = reference.partition(":")
    if not colon or not module_name or not name:
        raise BadFunction(f"{reference!r} is not {form}")
    if module_name.endswith(".py"):
        dotted = module_name.removesuffix(".py").replace(os.sep, ".").strip(".")
        raise BadFunction(f"{reference!r} names a file; did you mean {dotted}:{name}?")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:
        raise BadFunction(f"{module_name} does not import: {first_line(error)}") from error
    for part in _in_utf8(name).split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise BadFunction(f"{module_name} has no {name}{meant(part, dir(found))}") from None
        except (Exception, SystemExit) as error:
            raise BadFunction(f"{module_name} does not give {name}: {first_line(error)}") from error
    return found
