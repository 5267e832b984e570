"""The error of a function along one of its arguments, before and after it was rewritten."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stability.formats import format_of, short_hex, to_ordinal
from stability.report.pictures._axis import by_ordinal
from stability.report.pictures._sheet import DARK, FAINT, MARGIN, WIDTH, Sheet

BEFORE, AFTER = "#880000", "#004477"
BINS = 48
LEFT, TALL, BELOW = 0.6, 2.9, 0.5
TOLD = (
    "A point is one of the floats that both were judged at: a cross before, a dot after. The lines are the means of {} "
    "parts of the axis: dashed before, solid after.{}"
)


def draw(name: str, x: np.ndarray, before: np.ndarray, after: np.ndarray, bounds: Sequence[float]) -> Figure:
    """**Arguments:** `name` of the argument and `x` its floats; the bits of error there; `bounds` the first floats of
    the second and later branches on it."""
    fmt = format_of(x.dtype)
    ordinals = to_ordinal(x)
    marked = " Where branches meet there is a dotted line, and the first float of the branch to its right." * bool(
        bounds
    )
    title = f"Mean error along {name}: {before.mean():.2f} bits before, {after.mean():.2f} after"
    sheet = Sheet(title, TOLD.format(BINS, marked), TALL + BELOW + 0.3 * bool(bounds))
    width = WIDTH - LEFT - MARGIN
    ax = sheet.axes(LEFT, sheet.top + 0.3 * bool(bounds), width, TALL)
    axis = by_ordinal(int(ordinals.min()), int(ordinals.max()), fmt, name)
    axis.draw(ax, width, True)
    places = axis.place(ordinals)
    ax.set_xlim(-0.01, 1.01)
    alpha = min(0.45, max(0.15, 400 / len(places)))
    for bits, colour, mark, size in ((before, BEFORE, "x", 14), (after, AFTER, "o", 7)):
        ax.scatter(places, bits, s=size, c=colour, marker=mark, linewidths=0.7 if mark == "x" else 0, alpha=alpha)
    ax.plot(*_means(places, after), color=AFTER, linewidth=2.4, label="after")
    ax.plot(*_means(places, before), color=BEFORE, linewidth=1.5, linestyle="--", label="before")
    _meeting(ax, axis.place(to_ordinal(np.array(bounds, x.dtype))) if bounds else np.empty(0), bounds)
    ax.set_ylim(-0.03 * fmt.bits, 1.03 * fmt.bits)
    ax.set_yticks(range(0, fmt.bits + 1, fmt.bits // 8))
    ax.set_ylabel("error [bits: log2(1 + floats off)]", fontsize=8, color=DARK)
    ax.set_xlabel(axis.name, fontsize=8, color=DARK)
    ax.grid(True, axis="y", color="#e4e4e4", linewidth=0.6)
    ax.set_axisbelow(True)
    ax.legend(fontsize=8, loc="upper right", bbox_to_anchor=(1, -0.09), ncols=2, frameon=False, handlelength=3)
    return sheet.figure


def _means(places: np.ndarray, bits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean of each part of the axis that has points, at its middle."""
    part = np.clip((places * BINS).astype(int), 0, BINS - 1)
    count, total = np.bincount(part, minlength=BINS), np.bincount(part, bits, minlength=BINS)
    there = np.flatnonzero(count)
    return (there + 0.5) / BINS, total[there] / count[there]


def _meeting(ax: Axes, places: np.ndarray, bounds: Sequence[float]) -> None:
    """Lines where branches meet; their floats above, in two rows, but for those that there is no room for."""
    ends = [-1.0, -1.0]
    for place, bound in sorted(zip(places.tolist(), bounds, strict=True)):
        if not 0 <= place <= 1:
            continue
        ax.axvline(place, color=FAINT, linewidth=1, linestyle=":")
        text = f"{bound:.6g}" if len(short_hex(bound)) > 10 else f"{bound:.6g} = {short_hex(bound)}"
        half = 0.0045 * len(text)
        middle = min(max(place, half), 1 - half)
        row = next((k for k, end in enumerate(ends) if middle - half > end), None)
        if row is not None:
            ends[row] = middle + half
            ax.annotate(
                text,
                (middle, 1),
                (0, 3 + 10 * row),
                ("data", "axes fraction"),
                "offset points",
                ha="center",
                va="bottom",
                fontsize=7,
                color=FAINT,
            )
