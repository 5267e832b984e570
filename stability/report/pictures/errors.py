"""The error of each form by z, small multiples: forms that look the same at every label are drawn once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stability.formats import FloatFormat
from stability.report.colours import colours_of
from stability.report.pictures._axis import Axis, Look, axis_of, curve, draw_strip, grouped, look
from stability.report.pictures._sheet import LINE, MARGIN, WIDTH, Sheet, in_lines
from stability.report.pictures._words import at_label, by, chosen, heading, inaccurate, preferred_mode, sentence
from stability.sweep.outcome import Row

NAMES = 1.5
COLUMNS = 4
FLOOR = 2.0**-3
HEADING = 0.2
_GAP = 0.12


def draw(rows: list[Row], fmt: FloatFormat, tolerance: float, swept: str, label: float | None, name: str) -> Figure:
    """**Arguments:** `label` is the one that the title speaks of, `name` what labels are called."""
    mode, labels, forms = preferred_mode(rows), by(rows, lambda row: row.label), by(rows, lambda row: row.form)
    axis, colours = axis_of(rows, fmt, swept), colours_of(forms)
    of = {(row.form, row.label): row for row in rows if row.mode == mode}
    looks = {key: look(row, axis) for key, row in of.items()}
    groups = grouped(forms, lambda form: [looks[form, y] for y in labels if (form, y) in of])
    heights = panel_heights(groups, 0.56 if len(labels) > 1 else 0.8)
    blocks = [labels[k : k + COLUMNS] for k in range(0, len(labels), COLUMNS)]
    said = sentence(label, name, inaccurate(chosen(rows, label, mode), tolerance, swept))
    told = (
        f"{fmt.name}, {mode}: worst error by {swept}, in ulps of the true value; the line is at {tolerance:g}. The "
        "strip below shows where a form fails otherwise. Forms that look the same are drawn once."
    )
    each = sum(heights) + 0.35 + HEADING * (labels[0] is not None)
    sheet = Sheet(said or f"{fmt.name}: {at_label(label, name)}errors", told, each * len(blocks) + 0.22)
    greatest = max((float(np.nanmax(u)) for r in of.values() if np.isfinite(u := r.profile.ulps).any()), default=1.0)
    top, kinds = sheet.top, {"ok"}
    for block in blocks:
        spread = panels(sheet, top, heights, [heading(y, name) for y in block], groups, colours)
        for line, group in enumerate(groups):
            for column, y in enumerate(block):
                ax, width = spread[line][column]
                scale(ax, tolerance, greatest, first=column == 0)
                axis.draw(ax, width, named=line == len(groups) - 1)
                if (group[0], y) in of:
                    row = of[group[0], y]
                    fill(ax, row, axis, colours[group[0]])
                    strip(ax, looks[group[0], y])
                    kinds |= {kind for kind, *_ in looks[group[0], y].runs()}
        sheet.text(WIDTH - MARGIN, top + each - 0.16, axis.name, ha="right")
        top += each
    sheet.kinds(top, kinds)
    return sheet.figure


def panel_heights(groups: Sequence[Sequence[str]], least: float) -> list[float]:
    """How high the panels of groups are, with what is between them, so that the names fit beside."""
    return [max(least, LINE * len(in_lines(group, NAMES))) + _GAP for group in groups]


def panels(
    sheet: Sheet,
    top: float,
    heights: Sequence[float],
    headings: Sequence[str],
    groups: Sequence[Sequence[str]],
    colours: dict[str, str],
) -> list[list[tuple[Axes, float]]]:
    """Axes, and how wide they are: a line for each group, its names before it, and a column for each heading."""
    left = MARGIN + NAMES + 0.4
    width = (WIDTH - MARGIN - left + 0.1) / len(headings) - 0.1
    found = []
    for k, over in enumerate(headings):
        sheet.text(left + k * (width + 0.1), top, over, fontweight="bold")
    top += HEADING * any(headings)
    for height, group in zip(heights, groups, strict=True):
        sheet.names(MARGIN, top, NAMES, group, colours)
        places = [left + k * (width + 0.1) for k in range(len(headings))]
        found.append([(sheet.axes(x, top, width, height - _GAP), width) for x in places])
        top += height
    return found


def scale(ax: Axes, tolerance: float, greatest: float, first: bool) -> None:
    """A logarithmic axis of errors, with a line at the tolerance and texts in the first column."""
    high = max(greatest, 4 * tolerance) * 8
    ax.set_yscale("log", base=2)
    span = np.log2(high) - np.log2(FLOOR)
    ax.set_ylim(2 ** (np.log2(FLOOR) - span * 0.28), high)
    ax.axhline(tolerance, color="#767676", linewidth=0.7, zorder=3)
    ticks = [1.0, 2.0 ** (4 * int(np.log2(high) / 4.4))]
    ax.set_yticks(ticks, [_power(t) if first else "" for t in ticks])
    ax.minorticks_off()


def _power(x: float) -> str:
    n = round(np.log2(x))
    return "1" if n == 0 else f"$2^{{{n}}}$"


def fill(ax: Axes, row: Row, axis: Axis, colour: str) -> None:
    """The error of a row, a line over a shade; it ends where there is none."""
    x, ulps = curve(row, axis)
    height = np.where(np.isnan(ulps), np.nan, np.maximum(ulps, FLOOR))
    ax.fill_between(x, FLOOR, height, color=colour, alpha=0.3, linewidth=0)
    ax.plot(x, height, color=colour, linewidth=1.3, marker="o" if len(x) == 1 else None, markersize=3)


def strip(ax: Axes, row: Look) -> None:
    """The kinds of a row along the lower edge of its panel."""
    low, high = np.log2(ax.get_ylim())
    draw_strip(ax, row, 0, 0.85 * (np.log2(FLOOR) - low) / (high - low), ax.get_xaxis_transform())
