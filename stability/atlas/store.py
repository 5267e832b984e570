"""The atlas as data: rows and what they were measured on, progress that can be continued, and what changed."""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from stability.atlas.maps import LossMap
from stability.atlas.records import Row, Settings, Task
from stability.files import write_atomically
from stability.formats import FORMATS
from stability.measure import LOST_KINDS

SCHEMA = 1
ATLAS = "atlas.json.gz"
"""The name of the file of an atlas."""
WORSE = 2.0
"""An error, or a share of failing floats, that grew by more than this factor is worse."""
LEAST_SHARE = 1e-4
"""A share of failing floats below this is not compared."""


class Refused(ValueError):
    """A file that can't be read as what it should be; the message says why, in one line."""


@dataclass(frozen=True)
class Atlas:
    """**Attributes:** `manifest` what it was measured on, and how; `rows` in the order of their functions; `seconds`
    that a value with its derivative takes at 2^20 float32 by each rule of a function, as a ratio to JAX's own; `maps`
    of losses over logit and label."""

    manifest: dict[str, Any]
    rows: tuple[Row, ...]
    seconds: dict[str, dict[str, float]]
    maps: tuple[LossMap, ...] = ()

    def to_json(self) -> dict:
        told = {"schema": SCHEMA, "manifest": self.manifest, "seconds": self.seconds}
        return told | {"maps": [m.to_json() for m in self.maps], "rows": [row.to_json() for row in self.rows]}

    @classmethod
    def from_json(cls, data: dict) -> Atlas:
        rows, maps = map(Row.from_json, data["rows"]), map(LossMap.from_json, data.get("maps", ()))
        return cls(data["manifest"], tuple(rows), data["seconds"], tuple(maps))


def packed(atlas: Atlas) -> bytes:
    """As JSON, a row a line, by gzip."""
    data = atlas.to_json()
    rows = ",\n".join(json.dumps(row, ensure_ascii=False, separators=(",", ":")) for row in data.pop("rows"))
    head = json.dumps(data, ensure_ascii=False)
    return gzip.compress(f'{head[:-1]}, "rows": [\n{rows}\n]}}\n'.encode(), mtime=0)


def read(path: Path) -> Atlas:
    """An atlas from its file. **Raises:** `Refused`."""
    try:
        data = json.loads(gzip.decompress(path.read_bytes()))
        if data["schema"] != SCHEMA:
            raise Refused(f"{path}: of schema {data['schema']}; this release reads {SCHEMA}")
        return Atlas.from_json(data)
    except (gzip.BadGzipFile, EOFError, zlib.error):
        raise Refused(f"{path}: not an {ATLAS}") from None
    except OSError as error:
        raise Refused(f"{path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise error if isinstance(error, Refused) else Refused(f"{path}: not an {ATLAS}") from None


def identity(settings: Settings) -> dict[str, Any]:
    """What rows depend on: progress of another is refused."""
    code = hashlib.sha256()
    for path in sorted(Path(__file__).parents[1].rglob("*.py")):
        code.update(path.read_bytes())
    return {**asdict(settings), "code": code.hexdigest(), "jax": version("jax"), "jaxlib": version("jaxlib")}


class Progress:
    """Tasks that are done, a line each in a file; the first line is their `identity`."""

    def __init__(self, path: Path, mine: dict[str, Any], resume: bool):
        """**Raises:** `Refused` where the file is of another run, or there is one and it is not to be continued."""
        self.path, self.mine = path, mine
        self.done: dict[Task, list[Row]] = {}
        self.begun = path.exists()
        if self.begun and not resume:
            raise Refused(f"{path} is of an interrupted run; --resume goes on with it; delete it to begin anew")
        if self.begun:
            self._load()

    def _load(self) -> None:
        try:
            first, *lines = self.path.read_text(encoding="utf-8").splitlines(keepends=True) or [""]
            theirs = json.loads(first)
            differ = [name for name in self.mine if theirs.get(name) != self.mine[name]]
            whole = [line for line in lines if line.endswith("\n")]
            told = [json.loads(line) for line in whole]
            self.done = {Task(*t["task"]): [Row.from_json(row) for row in t["rows"]] for t in told}
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise Refused(f"{self.path} is no progress of an atlas; delete it, or begin anew") from None
        if differ:
            raise Refused(f"{self.path} is of another run: {', '.join(differ)} differ; delete it to begin anew")
        if whole != lines:
            write_atomically(self.path, first + "".join(whole))

    def add(self, task: Task, rows: list[Row]) -> None:
        self.done[task] = rows
        if not self.begun:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.write_text(json.dumps(self.mine) + "\n", encoding="utf-8")
            self.begun = True
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"task": list(task), "rows": [row.to_json() for row in rows]}) + "\n")


class Change(NamedTuple):
    """What is told of a way to a derivative in two atlases: `verdict` better, worse, new or gone, and both in words."""

    function: str
    rule: str
    order: int
    dtype: str
    way: str
    mode: str
    verdict: str
    before: str
    after: str


def by_way(rows: Iterable[Row]) -> dict[tuple, Row]:
    """Rows by function, rule, order, format, way and mode."""
    return {(r.function, r.rule, r.order, r.dtype, way, mode): r for r in rows for way, mode in r.ways}


def told(row: Row) -> str:
    """A row in a few words."""
    if row.error:
        return f"not measured: {row.error}"
    worst = "no finite error" if row.max_ulp is None else f"{'' if row.exhaustive else '≥ '}{row.max_ulp:.4g} ulps"
    return f"{100 * row.failing:.3g} % of the floats fail, {worst}"


def verdict(before: Row, after: Row) -> str | None:
    """Whether a row is better or worse than another, by more than a factor of `WORSE`."""
    if before.error or after.error:
        return None if bool(before.error) == bool(after.error) else "better" if before.error else "worse"
    share = max(after.failing, LEAST_SHARE) / max(before.failing, LEAST_SHARE)
    error = max(after.max_ulp or 0.0, 1.0) / max(before.max_ulp or 0.0, 1.0)
    if share > WORSE or (error > WORSE and _is_comparable(before)):
        return "worse"
    return "better" if share < 1 / WORSE or (error < 1 / WORSE and _is_comparable(after)) else None


def _is_comparable(row: Row) -> bool:
    """Whether a greater error in another row is news: this one is of every float, or of the grid that each run has. Of
    a 16-bit format that is not looked at whole, which floats are hangs on the time that they take."""
    return row.exhaustive or FORMATS[row.dtype].bits > 16


def changes(before: Atlas, after: Atlas) -> Iterator[Change]:
    """Where two atlases differ by more than `WORSE`, among the functions and formats of the later one."""
    old, new = by_way(before.rows), by_way(after.rows)
    looked_at = {(row.function, row.dtype) for row in after.rows}
    for place in [*new, *(p for p in old if p not in new and (p[0], p[3]) in looked_at)]:
        a, b = old.get(place), new.get(place)
        found = "new" if a is None else "gone" if b is None else verdict(a, b)
        if found:
            function, rule, order, dtype, way, mode = place
            yield Change(function, rule, order, dtype, way, mode, found, told(a) if a else "", told(b) if b else "")


def is_failing(row: Row) -> bool:
    """Whether a derivative fails where that can matter: NaN, infinite, lost, of the wrong sign or inaccurate at more
    than `LEAST_SHARE` of the floats, subnormal inputs aside, which XLA takes for 0."""
    fmt = FORMATS[row.dtype]
    least = 2.0**fmt.emin

    def counts(region: tuple[str, str, str, int]) -> bool:
        kind, first, last, _ = region
        return kind in LOST_KINDS and max(abs(float.fromhex(first)), abs(float.fromhex(last))) >= least

    share = sum(r[3] for r in row.regions if counts(r)) / (2 * (fmt.infinity + 1))
    return not row.error and share > LEAST_SHARE
