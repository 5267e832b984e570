"""Files that are written whole or not at all."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path


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
