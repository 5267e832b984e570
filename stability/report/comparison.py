"""Two outcomes side by side, drawn: lines of text, and README.md, compare.json and index.html of a directory."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from stability.files import holds_others, write_together
from stability.formats import FORMATS, FloatFormat, short_hex
from stability.report.tables import LABEL, both, label_text, labelled, value
from stability.report.writer import _TEMPLATES
from stability.sweep.comparison import BETTER, OPEN, VERDICTS, WORSE, Change, Comparison, Key, Moved, key_of
from stability.sweep.outcome import PROFILE_BINS, Row

MARKS = dict(zip(VERDICTS, "▲▼·", strict=True))
NAMES = ("README.md", "compare.json", "index.html")
_BEGINNING = '{"comparison": 1,'


@dataclass(frozen=True)
class Side:
    """One of the two: the file that it was read from, as it was named, what its manifest says, and what its study calls
    the second argument."""

    name: str
    manifest: dict
    label_name: str = LABEL


def foreign(directory: Path) -> str | None:
    """Why a comparison may not be written into a directory that exists, in one line, or `None`.

    It may be empty, or hold an earlier comparison, which alone is replaced.
    """
    return holds_others(directory, "compare.json", _BEGINNING, "comparison")


def sentence(found: Comparison) -> str:
    """How many rows moved, and which way."""
    if not found.moved and not found.missing:
        return f"Nothing moved in {_rows(found.shared)}."
    numbers = {verdict: sum(row.verdict == verdict for row in found.moved) for verdict in VERDICTS}
    judged = " and ".join(f"{numbers[verdict]:,} got {verdict}" for verdict in (WORSE, BETTER) if numbers[verdict])
    text = f"Of {_rows(found.shared)}, {judged or 'none got worse or better'}"
    text += f"; {numbers[OPEN]:,} moved in ways that are not judged." if numbers[OPEN] else "."
    return text + (f" {_rows(len(found.missing))} missing, which is worse." if found.missing else "")


def _rows(n: int) -> str:
    return f"{n:,} row{'' if n == 1 else 's'}"


def alone(found: Comparison, sides: tuple[Side, Side]) -> list[str]:
    """A sentence for each side that swept what the other did not."""
    only = (("before", found.only_before, sides[0]), ("after", found.only_after, sides[1]))
    return [f"{_rows(len(keys))} only {when}: {_summed(keys, side)}." for when, keys, side in only if keys]


def _summed(keys: Sequence[Key], side: Side) -> str:
    """Rows by what they are of: the names of each column, once each."""
    named = [(study, f"`{form}`", dtype, at(y, side), mode) for study, form, dtype, y, mode in keys]
    return "; ".join(", ".join(dict.fromkeys(column)) for column in zip(*named, strict=True) if column[0])


def at(label: float | None, side: Side) -> str:
    """A label after what it is called; nothing where there is none."""
    return "" if label is None else labelled(label_text(label), side.label_name)


def words(change: Change, before: Row, after: Row) -> tuple[str, str, str]:
    """What a change is of, and what was and what is, as text."""
    fmt, side = FORMATS[before.dtype], "from 0 up" if change.positive else "below 0"
    was, now = change.before, change.after
    if change.what == "floats":
        return f"floats {change.kind}", f"{was:,}", f"{now:,}"
    if change.what == "first":
        return f"first {change.kind}, {side}", _end(was, fmt), _end(now, fmt)
    if change.what == "worst":
        texts = [
            text if row.exhaustive or text == "–" else f"≥ {text}"
            for text, row in zip(_apart(was, now), (before, after), strict=True)
        ]
        return "worst error [ulps]", texts[0], texts[1]
    if change.what == "error":
        texts = ["yes" if told is None else f"no: {told}" for told in (was, now)]
        return "measured", texts[0], texts[1]
    if change.what == "regions":
        return "regions, at other floats", f"{was:,}", f"{now:,}"
    return "errors below the worst", "–", f"differ in {now:,} of {PROFILE_BINS} bins"


def _end(ordinal: object, fmt: FloatFormat) -> str:
    return both(value(ordinal, fmt), fmt) if isinstance(ordinal, int) else "–"


def _apart(*numbers: object) -> list[str]:
    """Numbers to as many digits as tell them apart, four at least; `–` for none."""
    for digits in range(4, 18):
        texts = [f"{x:.{digits}g}" if isinstance(x, float) else "–" for x in numbers]
        if texts[0] != texts[1]:
            break
    return texts


def short(row: Moved) -> str:
    """What moved in a row, in a few words, the weightiest first."""
    fmt = FORMATS[row.before.dtype]
    told = []
    for change in row.changes:
        if change.verdict != row.verdict:
            continue
        was, now = change.before, change.after
        if change.what == "floats":
            told.append(f"{change.kind} {change.numbers[1] - change.numbers[0]:+,}")
        elif change.what == "first":
            there = [f"{value(n, fmt):.6g}" if isinstance(n, int) else "–" for n in (was, now)]
            told.append(f"first {change.kind} {there[0]} → {there[1]}")
        elif change.what == "worst":
            told.append("worst {} → {}".format(*_apart(was, now)))
        elif change.what == "error":
            told.append("no longer measured" if was is None else "measured again" if now is None else "another error")
        else:
            told.append(words(change, row.before, row.after)[0])
    return ", ".join(told)


def facts(row: Moved) -> list[dict]:
    """The changes of a row as text, the worse ones first."""
    lines = []
    for change in sorted(row.changes, key=lambda change: VERDICTS.index(change.verdict)):
        what, was, now = words(change, row.before, row.after)
        told = {"what": what, "was": was, "now": now}
        lines.append({"mark": MARKS[change.verdict], "verdict": change.verdict, **told})
    return lines


def among(row: Moved) -> str:
    """Which floats a row was judged by."""
    if row.every:
        return f"every float: {row.floats:,}"
    return f"{row.floats:,} floats that both looked at" if row.floats else ""


def versions(sides: tuple[Side, Side]) -> list[tuple[str, str, str, bool]]:
    """What the manifests say, a line a name: before, after, and whether that differs."""
    one, other = (side.manifest for side in sides)
    names = [name for name in dict.fromkeys([*one, *other]) if name not in ("seconds", "started")]
    lines = [("file", sides[0].name, sides[1].name, sides[0].name != sides[1].name)]
    for name in names:
        was, now = one.get(name), other.get(name)
        lines.append((name, _plain(was), _plain(now), was != now))
    return lines


def _plain(told: object) -> str:
    if told is None or told == "":
        return "–"
    return " to ".join(map(str, told)) if isinstance(told, list) else str(told)


def _name(key: Key, side: Side) -> dict:
    study, form, dtype, label, mode = key
    names = {"study": study, "form": form, "dtype": dtype, "label": label_text(label), "mode": mode}
    return {**names, "at": at(label, side)}


def _change(change: Change, fmt: FloatFormat) -> dict:
    first = change.what == "first"
    was, now = (short_hex(value(n, fmt)) if first and isinstance(n, int) else n for n in (change.before, change.after))
    side = {"side": "z >= 0" if change.positive else "z < 0"} if first else {}
    kind = {"kind": change.kind} if change.kind else {}
    return {"what": change.what, **kind, **side, "before": was, "after": now, "verdict": change.verdict}


def _json(found: Comparison, sides: tuple[Side, Side]) -> str:
    def row(moved: Moved) -> dict:
        changes = [_change(change, FORMATS[moved.before.dtype]) for change in moved.changes]
        names = dict(zip(("study", "form", "dtype", "label", "mode"), key_of(moved.before), strict=True))
        return {**names, "verdict": moved.verdict, "floats": moved.floats, "every": moved.every, "changes": changes}

    data = {
        "before": {"file": sides[0].name, "manifest": sides[0].manifest},
        "after": {"file": sides[1].name, "manifest": sides[1].manifest},
        "worse": found.worse,
        "shared": found.shared,
        **{name: getattr(found, name) for name in ("missing", "only_before", "only_after")},
        "moved": [row(moved) for moved in found.moved],
    }
    return _BEGINNING + "\n" + json.dumps(data, indent=1, allow_nan=False)[1:].lstrip("\n") + "\n"


def write(found: Comparison, sides: tuple[Side, Side], directory: Path) -> None:
    """Writes README.md, compare.json and index.html into `directory`, all of them or none."""
    context = {
        "sentence": sentence(found),
        "worse": found.worse,
        "versions": versions(sides),
        "missing": [_name(key, sides[0]) for key in found.missing],
        "alone": alone(found, sides),
        "rows": [
            _name(key_of(row.before), sides[0])
            | {"verdict": row.verdict, "mark": MARKS[row.verdict], "among": among(row), "changes": facts(row)}
            for row in found.moved
        ],
        "marks": MARKS,
        "label": sides[0].label_name,
    }
    texts = {
        "README.md": _TEMPLATES.get_template("compare.md.j2").render(context),
        "compare.json": _json(found, sides),
        "index.html": _TEMPLATES.get_template("compare.html.j2").render(context),
    }
    write_together(directory, texts)
