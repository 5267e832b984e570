"""How many of all float32 are how far off, form by form; forms whose numbers agree to two digits share a line."""

from __future__ import annotations

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure

from stability.measure import KINDS
from stability.report.colours import KIND_COLOURS, KIND_WORDS, colours_of
from stability.report.pictures._sheet import DARK, LINE, MARGIN, WIDTH, Sheet, in_lines, on
from stability.report.pictures._words import at_label, be, begun, by, heading, listed
from stability.sweep.outcome import Row

EDGES = (0, 1, 2, 3, 4, 5, 9, 13, 17, 21)
"""The powers of two, less one, below which the errors of the columns are: 1/2, 1, 2, 4, 8, 16, 256, ... ulps."""
NAMES = 1.75


def draw(rows: list[Row], label: float | None) -> Figure:
    """**Arguments:** `label` is the one that the title speaks of."""
    labels, colours = by(rows, lambda row: row.label), colours_of(by(rows, lambda row: row.form))
    kinds = [k for k in KINDS if k not in ("ok", "inaccurate", "nan_input") and any(r.counts.get(k) for r in rows)]
    tables = {y: _groups([row for row in rows if row.label == y], kinds) for y in labels}
    heights = {y: [max(0.24, LINE * len(in_lines(names, NAMES)) + 0.04) for names, _ in tables[y]] for y in labels}
    heads = [*("1/2", "1", "2", "4", "8", "16", "$2^8$", "$2^{12}$", "$2^{16}$", "$2^{20}$", "more"), *kinds]
    told = (
        "float32, jit: how many of all 2**32 floats have an error below so many ulps of the true value (and not "
        "below the column before), and how many fail otherwise. k: thousands, M: millions, G: billions."
    )
    sheet = Sheet(
        _title([r for r in rows if r.label == label], label), told, sum(sum(h) + 0.5 for h in heights.values())
    )
    left, top = MARGIN + NAMES, sheet.top
    width = WIDTH - left - MARGIN
    each = width / len(heads)
    for y in labels:
        sheet.text(MARGIN, top, heading(y), fontweight="bold")
        for k, head in enumerate(heads):
            word = KIND_WORDS.get(head, head).replace(" ", "\n")
            sheet.text(left + (k + 0.5) * each, top, word, ha="center")
        top += 0.19 + 0.12 * any("_" in kind for kind in kinds)
        for (names, numbers), tall in zip(tables[y], heights[y], strict=True):
            sheet.names(MARGIN, top + 0.04, NAMES, names, colours)
            ax = sheet.axes(left, top, width, tall)
            ax.set_axis_off()
            ax.set_xlim(0, len(heads))
            ax.set_ylim(0, 1)
            for k, n in enumerate(numbers):
                if n:
                    kind = heads[k] if k >= len(EDGES) + 1 else ""
                    share = np.log10(n) / np.log10(2.0**32)
                    back = KIND_COLOURS[kind] if kind else colormaps["cividis_r"](share**2)
                    ax.barh(0.5, 0.95, 0.9, k + 0.025, color=back)
                    dark = on(kind) if kind else "white" if share > 0.68 else DARK
                    ax.text(k + 0.5, 0.48, short(n), ha="center", va="center", color=dark, fontsize=8)
            top += tall
        top += 0.31 - 0.12 * any("_" in kind for kind in kinds)
    return sheet.figure


def short(n: int) -> str:
    """A number of floats in at most five letters."""
    for unit, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if n >= unit * 0.9995:
            return f"{n / unit:.3g}{letter}" if n < 999.5 * unit else f"{n / unit:.0f}{letter}"
    return str(n)


def _columns(row: Row, kinds: list[str]) -> list[int]:
    histogram = row.histogram or ()
    bounds = [*(edge + 1 for edge in EDGES), len(histogram)]
    cells = [sum(histogram[a:b]) for a, b in zip([0, *bounds], bounds, strict=False)]
    return cells + [row.counts.get(kind, 0) for kind in kinds]


def _groups(rows: list[Row], kinds: list[str]) -> list[tuple[list[str], list[int]]]:
    found: dict[tuple[str, ...], tuple[list[str], list[int]]] = {}
    for row in rows:
        numbers = _columns(row, kinds)
        found.setdefault(tuple(f"{n:.1e}" for n in numbers), ([], numbers))[0].append(row.form)
    return list(found.values())


def _title(rows: list[Row], label: float | None) -> str:
    of, parts = len(rows), []
    nan = [row for row in rows if row.counts.get("nan")]
    if nan:
        share = max(row.counts["nan"] / row.points for row in nan)
        names = [row.form for row in nan]
        parts.append(f"{listed(names, of)} {be(names, 'is', 'are')} NaN at {share:.0%} of all floats")
    lost = [row for row in rows if row.counts.get("vanished") and row not in nan]
    if lost:
        names = [row.form for row in lost]
        parts.append(
            f"{listed(names, of)} {be(names, 'is', 'are')} 0 at up to {short(max(r.counts['vanished'] for r in lost))}"
        )
    best = min(
        (row for row in rows if row.max_ulp is not None), key=lambda row: (_failing(row), row.max_ulp), default=None
    )
    if best is not None:
        fails = f"fails at {short(_failing(best))}" if _failing(best) else "never fails"
        parts.append(f"{best.form} {fails}, and is at most {best.max_ulp:.4g} ulps off")
    text = at_label(label) + "; ".join(parts)
    return begun(text)


def _failing(row: Row) -> int:
    return sum(n for kind, n in row.counts.items() if kind not in ("ok", "nan_input", "undecided", "outside"))
