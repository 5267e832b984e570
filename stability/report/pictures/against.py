"""Where jit and eager return different kinds of results."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from stability.formats import FORMATS, FloatFormat
from stability.report.colours import KIND_COLOURS, KIND_WORDS, colours_of
from stability.report.pictures._axis import reach
from stability.report.pictures._sheet import LINE, MARGIN, WIDTH, Sheet, in_lines, on
from stability.report.pictures._words import at_label, be, begun, by, listed
from stability.report.tables import decimal, value
from stability.sweep.engine import SILENT
from stability.sweep.outcome import Disagreement, Outcome

NAMES = 1.9
_PAIR = 0.44


def draw(outcome: Outcome, label: float | None, swept: str, name: str) -> Figure | None:
    """**Arguments:** `name` what labels are called. **Returns:** `None` where the kinds differ nowhere."""
    found = [d for d in outcome.disagreements if d.label == label and d.regions]
    if not found:
        return None
    colours = colours_of(by(outcome.rows, lambda row: row.form))
    groups = {dtype: _groups([d for d in found if d.dtype == dtype]) for dtype in dict.fromkeys(d.dtype for d in found)}
    heights = {
        dtype: [max(_PAIR, LINE * len(in_lines([d.form for d in group], NAMES))) + 0.1 for group in each]
        for dtype, each in groups.items()
    }
    told = f"jit, and eager, where each operation is a computation of its own: around the {swept} at which they differ."
    sheet = Sheet(_title(found, label, swept, name), told, sum(sum(h) + 0.55 for h in heights.values()) + 0.2)
    top, left = sheet.top, MARGIN + NAMES + 0.5
    width = WIDTH - left - 2 * MARGIN
    for dtype, each in groups.items():
        sheet.text(MARGIN, top, dtype, fontweight="bold")
        top += 0.19
        fmt, tall = FORMATS[dtype], sum(heights[dtype])
        ax = sheet.axes(left, top, width, tall)
        low, high = _extent([d for group in each for d in group], fmt)
        ax.set_xlim(low, high)
        ax.set_ylim(tall, 0)
        ax.set_yticks([])
        ax.spines[["left", "right", "top"]].set_visible(False)
        ax.locator_params(axis="x", nbins=6)
        ax.set_xticks([x for x in ax.get_xticks() if low <= x <= high])
        down = 0.0
        for group, height in zip(each, heights[dtype], strict=True):
            sheet.names(MARGIN, top + down + 0.05, NAMES, [d.form for d in group], colours)
            half = (height - 0.1) / 2
            for k, mode in enumerate(("jit", "eager")):
                sheet.text(left - 0.06, top + down + 0.05 + (k + 0.5) * half, mode, ha="right", va="center")
                for start, stop, *kinds in group[0].regions:
                    a, b = np.clip([value(start, fmt), value(stop, fmt)], low, high)
                    y, kind = down + 0.05 + k * half, kinds[k]
                    ax.barh(y, b - a, half - 0.02, a, color=KIND_COLOURS[kind], align="edge")
                    word = KIND_WORDS.get(kind, kind)
                    if (b - a) / (high - low) * width > 0.07 * len(word) + 0.06:
                        at = (a + b) / 2, y + half / 2 - 0.01
                        ax.text(*at, word, ha="center", va="center", fontsize=8, color=on(kind))
            down += height
        top += tall + 0.36
    sheet.kinds(top, {kind for d in found for _, _, *kinds in d.regions for kind in kinds})
    return sheet.figure


def _groups(found: list[Disagreement]) -> list[list[Disagreement]]:
    groups: dict[tuple, list[Disagreement]] = {}
    for d in found:
        groups.setdefault(d.regions, []).append(d)
    return list(groups.values())


def _extent(found: list[Disagreement], fmt: FloatFormat) -> tuple[float, float]:
    ends = np.array([value(n, fmt) for d in found for r in d.regions for n in r[:2]])
    ends = np.clip(ends, -reach(fmt), reach(fmt))
    margin = max(0.25 * float(np.ptp(ends)), 0.01 * float(np.abs(ends).max()), float(np.finfo(np.float32).tiny))
    return float(ends.min() - margin), float(ends.max() + margin)


def _title(found: list[Disagreement], label: float | None, swept: str, name: str) -> str:
    """The largest region, of those where one mode is NaN and the other a wrong number if there are any; of float32 if
    it is there."""
    dtype = "float32" if any(d.dtype == "float32" for d in found) else found[0].dtype
    here = [(d.form, r) for d in found if d.dtype == dtype for r in d.regions]
    worst = max((r for _, r in here), key=lambda r: ("nan" in r[2:] and bool(SILENT & {*r[2:]}), r[1] - r[0]))
    start, stop, *kinds = worst
    names, fmt = [form for form, r in here if r == worst], FORMATS[dtype]
    jit, eager = (KIND_WORDS.get(kind, kind) for kind in kinds)
    forms = max(len({d.form for d in found}), len(names) + 1)
    text = at_label(label, name) + listed(names, forms)
    text += f" {be(names, 'is', 'are')} {jit} under jit and {eager} in eager at "
    ends = [decimal(value(end, fmt), fmt) for end in (start, stop)]
    text += f"{stop - start + 1:,} {dtype} ({swept} = {ends[0]} to {ends[1]})"
    return begun(text)
