"""What the subcommands share: arguments that are checked, and problems told in one line with exit status 2."""

from __future__ import annotations

import argparse
import math
import re
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from stability.files import unwritable
from stability.study.loading import meant

_NEGATIVE = re.compile(r"-(\d|\.\d|inf|nan|0x)", re.IGNORECASE)

_PATHS = {"FILE": "file", "DIR": "directory"}
"""What shtab calls the values of a `metavar`."""


class Parser(argparse.ArgumentParser):
    """A parser whose complaints are one line on standard error, exit status 2, and say what may have been meant.

    Negative numbers are values in every notation, and lists of them. `elsewhere` says of options that this parser does
    not have where they belong.
    """

    def __init__(self, *, elsewhere: Mapping[str, str] | None = None, **options):
        super().__init__(allow_abbrev=False, **options)
        self._elsewhere = elsewhere or {}

    def add_argument(self, *names, **options):
        """Adds an argument; a shell completes the files or directories of one whose `metavar` is FILE or DIR."""
        action = super().add_argument(*names, **options)
        if action.metavar in _PATHS:
            action.complete = _PATHS[action.metavar]  # type: ignore[attr-defined]
        return action

    def parse_known_args(self, args=None, namespace=None):
        given = list(sys.argv[1:] if args is None else args)
        if empty := next((a for a in given if a.startswith("-") and a.endswith("=--")), None):
            self.error(f"{empty}: -- is no value")
        # An argument with a space in it is never taken for an option.
        return super().parse_known_args([f" {a}" if _NEGATIVE.match(a) else a for a in given], namespace)

    def error(self, message: str) -> NoReturn:
        if unknown := re.match(r"unrecognized arguments: (\S+)", message):
            name = unknown[1].partition("=")[0]
            there = self._elsewhere.get(name)
            told = f"belongs to {there}" if there else f"no such option{meant(name, self._options())}"
            message = f"{unknown[1]}: {told}"
        if chosen := re.match(r"(.*): invalid choice: '([^']*)' \(choose from (.*)\)", message):
            allowed = [name.strip("' ") for name in chosen[3].split(",")]
            told = ", ".join(allowed)
            message = f"{chosen[1]}: there is no {chosen[2]!r}{meant(chosen[2], allowed)} (choose from {told})"
        print(f"{self.prog}: {one_line(message)}", file=sys.stderr)
        raise SystemExit(2)

    @contextmanager
    def writing(self, out: Path, foreign: Callable[[Path], str | None] = lambda out: None) -> Iterator[None]:
        """Tells why `--out` can't be written: before anything is done, where that is known, or within."""
        try:
            if problem := unwritable(out) or foreign(out):
                self.error(f"--out {problem}")
            yield
        except OSError as error:
            self.error(f"--out {out}: {error.strerror or error}")

    def _options(self) -> list[str]:
        return re.findall(r"--[\w-]+", self.format_help())


def one_line(text: str) -> str:
    """A text with its line ends and control characters as escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def command(name: str, argv: Sequence[str]) -> str:
    """A command as it stands in a manifest, to be typed again; what is no text in UTF-8 as escapes."""
    return " ".join([name, *map(shlex.quote, argv)]).encode("utf-8", "backslashreplace").decode("utf-8")


def number_in(low: float, high: float, what: str):
    """A parser of a number from `low` to `high`, which `what` describes."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text.strip()!r} is not {what}")
        return value

    return parse


def whole_number(least: int, most: int = 2**31 - 1):
    """A parser of a whole number from `least` to `most`."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{text.strip()!r} is not a whole number from {least} to {most}")
        return value

    return parse


def number(text: str) -> float:
    """A float from decimals or hex."""
    text = text.strip()
    try:
        return float.fromhex(text) if "0x" in text.lower() else float(text)
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(f"{text!r} is not a float; give decimals, hex floats, inf or nan") from None


def numbers(text: str) -> list[float]:
    """Floats between commas."""
    return [number(part) for part in text.split(",")]
