"""The page that people explore, drawn from the JSON of an outcome alone: one file that needs no network."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from markupsafe import Markup, escape

from stability.formats import FORMATS, FloatFormat, short_hex, to_ordinal
from stability.measure import KINDS
from stability.report.colours import KIND_COLOURS
from stability.report.figures import figures, library, map_figure, style_of
from stability.report.tables import label_text, spotlight
from stability.study import Study
from stability.sweep.map import BEYOND, LEAST, SEVERITY, STEPS
from stability.sweep.outcome import Landmark, Outcome, Profile, Row, furthest
from stability.sweep.singles import packed

IN_A_BAR = {
    "nan": "NaN",
    "inf": "inf",
    "vanished": "0",
    "flushed": "0",
    "wrong_sign": "sign",
    "inaccurate": "inaccurate",
    "pole": "pole",
    "outside": "outside",
    "undecided": "undecided",
}
"""What a bar of a kind says."""
PALETTE = (
    (0.5, "≤ 1/2 ulp", "#fdf6c9"),
    (1.0, "≤ 1", "#f5e08f"),
    (4.0, "≤ 4", "#d9c56b"),
    (16.0, "≤ 16", "#a9a05f"),
    (256.0, "≤ 256", "#7a8166"),
    (2.0**16, "≤ 2^16", "#4d6580"),
    (2.0**24, "≤ 2^24", "#2c4a86"),
    (2.0**300, "more", "#1b2f6b"),
)
"""The colours of errors in a map, each for those up to a bound in ulps, which is said."""
SVG_DASHES = {"solid": "none", "dashed": "7 4", "dashdot": "7 3 2 3", "dotted": "2 3"}
MEANINGS = {
    "ok": "Within the tolerance; an infinity where the true value overflows, too.",
    "nan": "NaN where the true value is a number.",
    "inf": "Infinite where the true value is finite.",
    "vanished": "0 where the true value rounds to a normal float: the gradient is lost.",
    "flushed": "0 where the true value rounds to a subnormal float.",
    "wrong_sign": "Neither is 0, and the signs differ.",
    "inaccurate": "None of these, and further from the true value than the tolerance.",
    "nan_input": "The true value is undefined, and NaN is right.",
    "undecided": "The highest precision leaves the true value open. No failure.",
    "pole": "At a pole, anything but an infinity that is right there.",
    "outside": "A number where the true value is undefined. No failure.",
}


def words(tolerance: str) -> dict[str, str]:
    """The kinds in words, a few for a cell."""
    return {
        "ok": "right",
        "nan": "NaN",
        "inf": "infinite",
        "vanished": "0: vanished",
        "flushed": "0: flushed",
        "wrong_sign": "wrong sign",
        "inaccurate": f"over {tolerance} ulps off",
        "nan_input": "NaN, rightly",
        "undecided": "truth undecided",
        "pole": "wrong at a pole",
        "outside": "a number outside the domain",
    }


def codes(text: str) -> Markup:
    """Text with what stands between backticks as code."""
    parts = [escape(part) for part in text.split("`")]
    return Markup("").join(Markup(f"<code>{part}</code>") if i % 2 else part for i, part in enumerate(parts))


def blob(data: Any) -> str:
    """Data as deflated JSON in base64."""
    return base64.b64encode(zlib.compress(json.dumps(data, allow_nan=False).encode(), 6)).decode()


def _regions(row: Row) -> dict[str, str]:
    kinds = [KINDS.index(r.kind) for r in row.regions]
    columns = {name: [getattr(r, name) for r in row.regions] for name in ("start", "stop", "count", "width")}
    return {name: packed(np.array(c, np.int64)) for name, c in {**columns, "kind": kinds}.items()}


def _profile(profile: Profile, fmt: FloatFormat) -> dict[str, str]:
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.rint(512 * np.log2(np.maximum(profile.ulps, 2.0**-10)))
    return {
        "z": packed(to_ordinal(profile.z.astype(fmt.dtype))),
        "ulps": packed(np.where(np.isnan(profile.ulps), -32768, logs).astype(np.int64)),
    }


def _row(row: Row) -> dict:
    kept = {} if row.results is None else {"results": row.results.to_json()}
    shown = {} if row.exhaustive and row.results else {"profile": _profile(row.profile, FORMATS[row.dtype])}
    told = {name: getattr(row, name) for name in ("form", "dtype", "label", "mode", "exhaustive")}
    return told | {"regions": _regions(row)} | kept | shown


def _of_each_fate(rows: Sequence[Row]) -> list[str]:
    """A few forms that show all that there is: the first that fails in each way, and the last that never does."""
    fates: dict[frozenset, str] = {}
    for row in rows:
        fate = frozenset(r.kind for r in row.regions) & {"nan", "inf", "vanished", "wrong_sign", "pole"}
        if not fate or fate not in fates:
            fates[fate] = row.form
    return list(fates.values())


def about(study: Study) -> dict:
    """What a page tells of a study, as it stands in `summary.json`."""
    return {
        "name": study.name,
        "title": study.title,
        "swept": study.swept,
        "label": study.label_name,
        "domain": [str(end) for end in study.domain],
        "formulas": dict(study.formulas),
        "quantities": {name: quantity.formula for name, quantity in study.quantities.items()},
        "lines": {form: list(names) for form, names in study.lines.items()},
    }


def data(outcome: Outcome, study: dict, blame: Sequence[dict], tolerance: str) -> dict:
    """What the scripts of the page read."""
    rows = [row for row in outcome.rows if not row.error]
    forms, dtypes, modes, labels = (
        list(dict.fromkeys(getattr(row, name) for row in rows)) for name in ("form", "dtype", "mode", "label")
    )
    shown: dict[str, Any] = {
        "dtype": "float32" if "float32" in dtypes else dtypes[0],
        "mode": "jit" if "jit" in modes else modes[0],
        "label": spotlight(outcome),
        "axis": "floats" if labels == [None] else "z",
    }
    shown["forms"] = _of_each_fate(
        [r for r in rows if all(getattr(r, k) == shown[k] for k in ("dtype", "mode", "label"))]
    )
    return {
        "study": study | {"reach": {d: furthest(FORMATS[d]) for d in dtypes}},
        "formats": {d: {k: v for k, v in asdict(FORMATS[d]).items() if k != "dtype"} for d in dtypes},
        "kinds": KINDS,
        "words": words(tolerance),
        "colours": {"ok": "#E8E8E8", "nan_input": "#E8E8E8"} | KIND_COLOURS,
        "in_a_bar": IN_A_BAR,
        "styles": {form: style_of(form, forms) for form in forms},
        "forms": forms,
        "dtypes": dtypes,
        "modes": modes,
        "labels": labels,
        "shown": shown,
        "rows": [_row(row) for row in rows],
        "known": [known.to_json() for known in outcome.known],
        "steps": outcome.steps.to_json(),
        "blame": list(blame),
        "maps": [found.to_json() for found in outcome.maps],
        "map": {"beyond": BEYOND, "severity": SEVERITY, "least": LEAST, "steps": STEPS, "palette": PALETTE},
    }


def ladder(outcome: Outcome, formulas: dict[str, str], dtype: str) -> dict | None:
    """The forms at the landmarks, as a table: headings and a row a form, each cell its text and kind."""
    label = spotlight(outcome)
    rows = [row for row in outcome.rows if (row.dtype, row.label) == (dtype, label) and row.landmarks]
    by_form = {row.form: row for row in rows} | {row.form: row for row in rows if row.mode == "jit"}
    lines = [by_form[form] for form in (formulas or by_form) if form in by_form]
    if not lines:
        return None
    return {
        "dtype": dtype,
        "label": label_text(label),
        "mode": lines[0].mode,
        "landmarks": [(f"{mark.z:g}", short_hex(mark.z)) for mark in lines[0].landmarks],
        "lines": [
            {
                "form": row.form,
                "formula": formulas.get(row.form, ""),
                "cells": [(_cell(mark), mark.kind) for mark in row.landmarks],
            }
            for row in lines
        ],
    }


def _cell(mark: Landmark) -> str:
    if mark.kind in ("vanished", "flushed"):
        return "0"
    if mark.kind not in ("ok", "inaccurate"):
        return {"nan": "NaN"}.get(mark.kind, mark.kind)
    if mark.ulps is None:
        return "–"
    return f"{mark.ulps:.2g}" if mark.ulps < 10 else f"{mark.ulps:.0f}" if mark.ulps < 1e4 else f"{mark.ulps:.0e}"


def context(outcome: Outcome, study: dict, blame: Sequence[dict], tolerance: float) -> dict:
    """What the template of the page shows besides the tables."""
    shown = data(outcome, study, blame, f"{tolerance:g}")
    forms = shown["forms"]
    there = {r.kind for row in outcome.rows for r in row.regions} | {"ok"}
    return {
        "study": study,
        "page": shown,
        "words": shown["words"],
        "meanings": MEANINGS,
        "kinds_shown": [kind for kind in KINDS if kind in there],
        "styles": {form: (colour, SVG_DASHES[dash]) for form in forms for colour, dash in [style_of(form, forms)]},
        "map_forms": list(dict.fromkeys(found.form for found in outcome.maps)),
        "map_dtypes": list(dict.fromkeys(found.dtype for found in outcome.maps)),
        "ladder": ladder(outcome, study["formulas"], shown["shown"]["dtype"]),
        "blob": blob(shown),
        "figures": figures(forms, study["swept"], tolerance),
        "map_figure": map_figure(study["swept"], study["label"]) if outcome.maps else "",
        "library": library(),
    }
