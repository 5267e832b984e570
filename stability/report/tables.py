"""The findings of a sweep as rows of text, computed from the outcome alone."""

from __future__ import annotations

import numpy as np

from stability.environment import untested
from stability.formats import FORMATS, FloatFormat, from_ordinal, short_hex
from stability.measure import FAILURE_KINDS, KINDS
from stability.measure.regions import Region, nearest
from stability.sweep.outcome import Disagreement, Outcome, Row

LABEL = "label"
"""What the second argument is called that has no name of its own."""
REGIONS_SHOWN = 30
"""Of a row, in a table: those that a tolerance alone tells apart are left out."""


def label_text(label: float | None) -> str:
    return "–" if label is None else f"{label:g}"


def labelled(text: str, name: str) -> str:
    """The text of a label after what it is called: `label 1`, or `y = 1` where the argument has a name of its own."""
    return f"label {text}" if name == LABEL else f"{name} = {text}"


def cell(text: object) -> str:
    """Text in a cell of a Markdown table, or in its title."""
    escaped = str(text).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")
    return " ".join(escaped.split())


def code(name: object) -> str:
    """A name between backticks in a cell of a Markdown table."""
    return " ".join(str(name).replace("`", "'").replace("|", "\\|").split())


def spotlight(outcome: Outcome) -> float | None:
    """The label that the findings are told at: 1 where it was swept, else the first."""
    labels = [row.label for row in outcome.rows]
    return 1.0 if 1.0 in labels else labels[0]


def value(ordinal: int, fmt: FloatFormat) -> float:
    return float(from_ordinal(np.array([ordinal]), fmt)[0])


def decimal(x: float, fmt: FloatFormat) -> str:
    return f"{x:.{min(fmt.precision * 3 // 10 + 2, 17)}g}"


def both(x: float, fmt: FloatFormat) -> str:
    return f"{decimal(x, fmt)} = {short_hex(x)}"


def how_many(region: Region) -> str:
    """The count of a region in words: counted or estimated, and whether other kinds are among its floats."""
    if region.counted:
        among = f" among the {region.width:,} there" if region.alternates else ""
        return f"{region.count:,} floats{among}"
    if region.alternates:
        return f"about {region.count:,} of the {region.width:,} floats there (kinds alternate; estimated)"
    return f"{region.count:,} floats (estimated: not all were looked at)"


def csv_row(row: Row) -> dict:
    fmt = FORMATS[row.dtype]
    cells = {
        name: getattr(row, name)
        for name in ("study", "form", "dtype", "label", "mode", "points", "exhaustive", "max_ulp")
    }
    cells["max_ulp_at"] = "" if row.max_ulp_at is None else row.max_ulp_at.hex()
    cells["worst_ok"] = row.worst_ok
    cells["regions"] = sum(r.kind in FAILURE_KINDS for r in row.regions)
    for side, positive in (("below", False), ("above", True)):
        found = nearest(row.regions, positive)
        z = value(found[0], fmt) if found else None
        cells[f"first_{side}"] = "" if z is None else repr(z)
        cells[f"first_{side}_hex"] = "" if z is None else z.hex()
        cells[f"first_{side}_kind"] = found[1] if found else ""
    return cells | {kind: row.counts.get(kind, 0) for kind in KINDS}


def _end(row: Row, positive: bool, kind: str) -> str:
    found = nearest(row.regions, positive, kind)
    return both(value(found[0], FORMATS[row.dtype]), FORMATS[row.dtype]) if found else "–"


def _ulps(x: float | None) -> str:
    return "–" if x is None else f"{x:.4g}"


def bound(row: Row) -> str:
    """The worst error of a row in ulps, as text, `≥` where it is a lower bound."""
    return _ulps(row.max_ulp) if row.exhaustive or row.max_ulp is None else f"≥ {_ulps(row.max_ulp)}"


def _line(row: Row) -> dict:
    return {
        "form": row.form,
        "mode": row.mode,
        "nan_below": _end(row, False, "nan"),
        "nan_above": _end(row, True, "nan"),
        "vanished_below": _end(row, False, "vanished"),
        "vanished_above": _end(row, True, "vanished"),
        "max_ulp": bound(row),
        "worst_ok": _ulps(row.worst_ok),
    }


def _row(row: Row) -> dict:
    fmt = FORMATS[row.dtype]
    apart = [r for r in row.regions if r.kind != "inaccurate"]
    below, above = nearest(row.regions, False), nearest(row.regions, True)
    return _line(row) | {
        "dtype": row.dtype,
        "label": label_text(row.label),
        "points": f"{row.points:,}",
        "how": "every float" if row.exhaustive else "sampled" if row.searched is None else "sampled, worst hunted",
        "below": f"{both(value(below[0], fmt), fmt)} {below[1]}" if below else "–",
        "above": f"{both(value(above[0], fmt), fmt)} {above[1]}" if above else "–",
        "regions": [
            f"{r.kind}: {both(value(r.start, fmt), fmt)} to {both(value(r.stop, fmt), fmt)}, {how_many(r)}"
            for r in apart[:REGIONS_SHOWN]
        ],
        "more": max(len(apart) - REGIONS_SHOWN, 0),
    }


def _disagreement(d: Disagreement) -> dict:
    fmt = FORMATS[d.dtype]
    clear = [r for r in d.regions if {r[2], r[3]} - {"ok", "inaccurate"}]
    shown = [
        f"{both(value(a, fmt), fmt)} to {both(value(b, fmt), fmt)}: jit {jit}, eager {eager} ({b - a + 1:,} floats)"
        for a, b, jit, eager in clear
    ]
    return {
        "form": d.form,
        "dtype": d.dtype,
        "label": label_text(d.label),
        "count": f"{d.count:,}",
        "silent": "yes" if d.silently_wrong else "no",
        "regions": shown,
        "blurred": len(d.regions) - len(clear),
    }


def context(outcome: Outcome, manifest: dict, tolerance: float) -> dict:
    """What the templates of the page and of its README show; `label` is empty where the forms have none."""
    label = spotlight(outcome)
    rows_failed = [row for row in outcome.rows if row.error]
    dtypes = list(dict.fromkeys(row.dtype for row in outcome.rows))
    return {
        "manifest": manifest,
        "warning": untested(manifest["jax"]) if "jax" in manifest else None,
        "tolerance": f"{tolerance:g}",
        "label": "" if label is None else f"{label:g}",
        "spotlight": {d: [_line(r) for r in outcome.rows if (r.dtype, r.label) == (d, label)] for d in dtypes},
        "rows": [_row(row) for row in outcome.rows],
        "errors": [f"{row.form}, {row.dtype}, {label_text(row.label)}, {row.mode}: {row.error}" for row in rows_failed],
        "both_modes": {"jit", "eager"} <= {row.mode for row in outcome.rows},
        "disagreements": [_disagreement(d) for d in outcome.disagreements],
        "exhaustive": list(dict.fromkeys(row.dtype for row in outcome.rows if row.exhaustive)),
        "sampled": list(dict.fromkeys(row.dtype for row in outcome.rows if not row.exhaustive)),
        "searched": f"{sum(row.searched or 0 for row in outcome.rows):,}",
        "by_balls": f"{outcome.by_balls:,}",
        "undecided": f"{sum(row.undecided or 0 for row in outcome.rows):,}",
        "on_device": any(row.undecided is not None for row in outcome.rows),
    }
