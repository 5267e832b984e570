"""Where each form fails, a bar a form; forms and modes that look the same share one."""

from __future__ import annotations

from matplotlib.figure import Figure

from stability.formats import FloatFormat
from stability.report.colours import colours_of
from stability.report.pictures._axis import axis_of, draw_strip, draw_words, grouped, look, same_kinds
from stability.report.pictures._sheet import LINE, MARGIN, WIDTH, Sheet, in_lines, width_of
from stability.report.pictures._words import by, chosen, failing, heading, preferred_mode, sentence
from stability.sweep.outcome import Row

NAMES = 2.75
_BAR = 0.2


def draw(rows: list[Row], fmt: FloatFormat, swept: str, label: float | None, name: str) -> Figure:
    """**Arguments:** `label` is the one that the title speaks of, `name` what labels are called."""
    labels, modes = by(rows, lambda row: row.label), by(rows, lambda row: row.mode)
    axis, colours = axis_of(rows, fmt, swept), colours_of(by(rows, lambda row: row.form))
    looks = {id(row): look(row, axis) for row in rows}
    groups = {
        y: grouped([row for row in rows if row.label == y], lambda row: [looks[id(row)]], same_kinds) for y in labels
    }
    named = {y: [_names(group, modes) for group in groups[y]] for y in labels}
    wide = min(NAMES, max(sum(map(width_of, names)) for y in labels for names in named[y]))
    heights = {y: [max(_BAR, LINE * len(in_lines(n, wide))) + 0.06 for n in named[y]] for y in labels}
    height = sum(sum(heights[y]) + 0.36 + 0.19 * (y is not None) for y in labels)
    mode = preferred_mode(rows)
    told = f"{fmt.name}, {' and '.join(modes)}: what each form gives. Forms that look the same share a bar"
    told += "; where modes differ, the mode is named." if len(modes) > 1 else "."
    sheet = Sheet(sentence(label, name, failing(chosen(rows, label, mode), swept)), told, height + 0.25)
    left, top = MARGIN + wide + 0.2, sheet.top
    width = WIDTH - left - 2 * MARGIN
    for y in labels:
        if y is not None:
            sheet.text(MARGIN, top, heading(y, name), fontweight="bold")
            top += 0.19
        tall = sum(heights[y])
        ax = sheet.axes(left, top, width, tall)
        ax.set_ylim(tall, 0)
        ax.set_yticks([])
        ax.spines[["left", "right", "top"]].set_visible(False)
        axis.draw(ax, width, named=True, beyond=0.2)
        down = 0.0
        for group, each in zip(groups[y], heights[y], strict=True):
            draw_strip(ax, looks[id(group[0])], down + 0.03, each - 0.06)
            draw_words(ax, looks[id(group[0])], down + each / 2, width)
            down += each
        _beside(sheet, top, wide, named[y], heights[y], colours)
        top += tall + 0.36
    sheet.text(WIDTH - MARGIN, top - 0.17, axis.name, ha="right")
    sheet.kinds(top + 0.04, {"ok"} | {kind for one in looks.values() for kind, *_ in one.runs()})
    return sheet.figure


def _beside(
    sheet: Sheet, top: float, wide: float, named: list[list[str]], heights: list[float], colours: dict[str, str]
) -> None:
    """The names of each bar, left of it."""
    for names, each in zip(named, heights, strict=True):
        lines = len(in_lines(names, wide))
        sheet.names(MARGIN, top + (each - LINE * lines) / 2, wide, names, colours)
        top += each


def _names(group: list[Row], modes: list[str]) -> list[str]:
    """The forms of a group, each with its mode where it is not there in all."""
    found = []
    for form in by(group, lambda row: row.form):
        here = [row.mode for row in group if row.form == form]
        found += [form] if len(here) == len(modes) else [f"{form} ({mode})" for mode in here]
    return found
