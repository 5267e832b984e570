"""The lines of a derivation, one below the other, and what each gives at a few floats."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from stability.report.colours import KIND_COLOURS, KIND_WORDS, colours_of
from stability.report.pictures._sheet import MARGIN, WIDTH, Sheet, on
from stability.report.pictures._words import at_label, be, begun, listed
from stability.report.tables import label_text
from stability.sweep.outcome import Outcome, Row

_LINE = 0.27
_NAME, _CELLS = 1.42, 3.75


def draw(outcome: Outcome, formulas: dict[str, str], dtype: str, label: float | None, swept: str) -> Figure | None:
    """**Arguments:** `formulas` by form, in the order of the lines. **Returns:** `None` where no row has landmarks."""
    rows = {row.form: row for row in outcome.rows if (row.dtype, row.label) == (dtype, label) and row.landmarks}
    rows |= {form: row for form, row in rows.items() if row.mode == "jit"}
    steps = [(rows[form], text) for form, text in formulas.items() if form in rows]
    if not steps:
        return None
    mode, colours = steps[0][0].mode, colours_of(list(formulas))
    told = f"{dtype}, label {label_text(label)}, {mode}. In the cells: the error in ulps of the true value."
    sheet = Sheet(_title([row for row, _ in steps], label, swept), told, 0.2 + _LINE * len(steps) + 0.28)
    left = WIDTH - MARGIN / 2 - _CELLS
    marks = steps[0][0].landmarks
    each = _CELLS / len(marks)
    ax = sheet.axes(left, sheet.top + 0.2, _CELLS, _LINE * len(steps))
    ax.set_axis_off()
    ax.set_xlim(0, len(marks))
    ax.set_ylim(len(steps), 0)
    sheet.text(left, sheet.top, f"{swept} =", ha="right")
    for k, mark in enumerate(marks):
        sheet.text(left + (k + 0.5) * each, sheet.top, f"{mark.z:g}", ha="center")
    for k, (row, formula) in enumerate(steps):
        top = sheet.top + 0.2 + k * _LINE
        sheet.names(MARGIN, top + 0.06, _NAME, [row.form], colours)
        sheet.text(MARGIN + _NAME, top + 0.06, formula)
        for j, (_, kind, ulps) in enumerate(row.landmarks):
            ax.barh(k + 0.5, 0.94, 0.88, j + 0.03, color=KIND_COLOURS[kind])
            ax.text(j + 0.5, k + 0.5, _cell(kind, ulps), ha="center", va="center", color=on(kind), fontsize=8)
    sheet.kinds(sheet.top + 0.2 + _LINE * len(steps) + 0.1, {mark.kind for row, _ in steps for mark in row.landmarks})
    return sheet.figure


def _cell(kind: str, ulps: float | None) -> str:
    if kind not in ("ok", "inaccurate"):
        return "0" if kind == "flushed" else KIND_WORDS.get(kind, kind.replace("_", "\n"))
    if ulps is None:
        return ""
    if ulps < 0.005:
        return "0.0"
    return (
        f"{ulps:.2f}"
        if ulps < 1
        else f"{ulps:.2g}"
        if ulps < 10
        else f"{ulps:.0f}"
        if ulps < 1e4
        else f"{ulps:.0e}".replace("e+0", "e")
    )


def _title(rows: Sequence[Row], label: float | None, swept: str) -> str:
    of = len(rows)
    right = [row.form for row in rows if all(mark.kind in ("ok", "flushed") for mark in row.landmarks)]
    parts = []
    worst = max(rows[0].landmarks, key=lambda mark: (sum(_at(row, mark.z) == "nan" for row in rows), -abs(mark.z)))
    nan = [row.form for row in rows if _at(row, worst.z) == "nan"]
    if nan:
        parts.append(f"{listed(nan, of)} {be(nan, 'is', 'are')} NaN at {swept} = {worst.z:g}")
    lost = [row.form for row in rows if row.form not in nan and _at(row, worst.z) == "vanished"]
    if lost:
        there = "there" if nan else f"at {swept} = {worst.z:g}"
        parts.append(f"{listed(lost, of)} {be(lost, 'is', 'are')} 0 {there}")
    if right:
        parts.append(f"{listed(right, of)} {be(right, 'is', 'are')} right at every {swept} shown")
    text = at_label(label) + ("; ".join(parts) or f"no line is right at every {swept} shown")
    return begun(text)


def _at(row: Row, z: float) -> str | None:
    return next((mark.kind for mark in row.landmarks if mark.z == z), None)
