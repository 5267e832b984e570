"""Files that are written whole or not at all, in UTF-8."""

from __future__ import annotations

import json
import os
import signal
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path


def unwritable(out: Path) -> str | None:
    """Why nothing can be written into the directory `out`, in one line, or `None`. Creates nothing that stays."""
    path = out.absolute()
    try:
        there = next(p for p in (path, *path.parents) if _is_there(p))
        if not there.is_dir():
            which = "is a file" if there == path else f"{there} is a file"
            return f"{out}: {which}; give a directory, or a name that does not exist yet"
        with tempfile.TemporaryFile(dir=there):
            pass
    except (OSError, ValueError) as error:
        return f"{out}: {getattr(error, 'strerror', None) or error}; give a directory that can be written"
    return None


def _is_there(path: Path) -> bool:
    """Whether anything has this name. **Raises:** `OSError` or `ValueError` where that can't be told."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return path.is_symlink()
    return True


def foreign(directory: Path, page: str, data: str) -> str | None:
    """Why the file `page` of a directory may not be replaced, in one line, or `None` where `data` is beside it."""
    if (directory / page).exists() and not (directory / data).exists():
        return f"{directory}: holds a {page} but no {data}, so it is not of an earlier run; give another directory"
    return None


def holds_others(directory: Path, data: str, beginning: str, what: str) -> str | None:
    """Why nothing may be written into a directory, in one line, or `None`: it may be empty, or hold the file `data` of
    an earlier run, which begins so, and is called `what`."""
    if not directory.is_dir() or not any(directory.iterdir()) or _begins(directory / data, beginning):
        return None
    return f"{directory}: holds files, but no {what}; give a new directory, an empty one, or one with a {what}"


def _begins(path: Path, beginning: str) -> bool:
    try:
        with path.open(encoding="utf-8") as file:
            return file.read(len(beginning)) == beginning
    except (OSError, ValueError):
        return False


def write_atomically(path: Path, text: str) -> None:
    """Replaces `path` by `text` in one step, so that no reader ever sees half of it; writes to what is no file."""
    if path.exists() and not path.is_file():
        path.write_text(text, encoding="utf-8")
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def write_together(directory: Path, texts: Mapping[str, str | bytes]) -> None:
    """Writes files by name into a directory, which is made: all of them, or none where one can't be written."""
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".report-", dir=directory) as staging:
        for name, text in texts.items():
            Path(staging, name).write_bytes(text.encode() if isinstance(text, str) else text)
        with uninterrupted():
            for name in texts:
                os.replace(Path(staging, name), directory / name)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Within it the keyboard does not interrupt the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)


def write_json(path: Path, data: dict) -> None:
    """Replaces `path` by `data` as indented JSON, in one step."""
    write_atomically(path, json.dumps(data, indent=1) + "\n")
