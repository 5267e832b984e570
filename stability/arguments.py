"""What the command lines share: arguments that are checked, and problems told in one line with exit status 2."""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import tempfile
from pathlib import Path
from typing import NoReturn


class Parser(argparse.ArgumentParser):
    """A parser whose complaints are one line on standard error, exit status 2."""

    def error(self, message: str) -> NoReturn:
        print(f"{self.prog}: {message}", file=sys.stderr)
        raise SystemExit(2)


def number_in(low: float, high: float, what: str):
    """A parser of a number from `low` to `high`, which `what` describes."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text!r} is not {what}")
        return value

    return parse


def whole_number(least: int):
    """A parser of a whole number from `least` to 2**31 - 1."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if not least <= value < 2**31:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least} to {2**31 - 1}")
        return value

    return parse


def unwritable(out: Path) -> str | None:
    """Why a report can't be written into the directory `out`, or `None`. Creates nothing that stays."""
    if out.exists() and not out.is_dir():
        return f"--out {out}: is a file; give a directory, or a name that does not exist yet"
    parent = out if out.is_dir() else next(p for p in out.absolute().parents if p.exists())
    if not parent.is_dir():
        return f"--out {out}: {parent} is a file; give a directory"
    try:
        with tempfile.TemporaryFile(dir=parent):
            pass
    except OSError:
        return f"--out {out}: {parent} is not writable; give a directory that is"
    return None


def write_atomically(path: Path, text: str) -> None:
    """Replaces `path` by `text` in one step, so that no reader ever sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    with partial.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)


def write_json(path: Path, data: dict) -> None:
    """Replaces `path` by `data` as indented JSON, in one step."""
    write_atomically(path, json.dumps(data, indent=1) + "\n")
