"""A training run as it was watched: the worst error and the share of vanished elements against the step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from stability.report.colours import FORM_COLOURS, KIND_COLOURS
from stability.report.pictures._sheet import FAINT, MARGIN, WIDTH, Sheet

NAMED = 6
"""How many leaves are named, the worst first; the others are a band."""

LEFT, TALL, BETWEEN = 0.75, 2.1, 0.42
LONGEST = 34
MARKS = ("o", "s", "D", "^", "v", "P")


class Watched(Protocol):
    """What was seen of a leaf, an entry a step."""

    step: list[int]
    error: list[float]
    vanished: list[float]
    not_finite: list[int]


def draw(leaves: Mapping[str, Watched], tolerance: float) -> Figure:
    """**Arguments:** `tolerance` in ulps, which is a line."""
    worst = sorted(leaves, key=lambda name: _rank(leaves[name]), reverse=True)
    named, others = worst[:NAMED], worst[NAMED:]
    told = (
        "Above, the worst element of each leaf that is a number; below, how many of its elements are 0 and should not "
        f"be. {'The grey band holds the other leaves. ' if others else ''}A cross: some elements are not finite."
    )
    lines = 0.17 * -(-len(named) // 2) if len(leaves) > 1 else 0.0
    sheet = Sheet(_title(leaves, tolerance), told, 2 * TALL + BETWEEN + lines + 0.45)
    width = WIDTH - LEFT - MARGIN
    panels = [sheet.axes(LEFT, sheet.top + lines + k * (TALL + BETWEEN), width, TALL) for k in range(2)]
    for ax, value, label in zip(
        panels,
        ("error", "vanished"),
        ("error [ulps of the largest element]", "vanished [share of elements]"),
        strict=True,
    ):
        _band(ax, [leaves[name] for name in others], value)
        for name, colour, mark in zip(named, FORM_COLOURS[::2], MARKS, strict=False):
            _line(ax, leaves[name], value, colour, mark)
        ax.set_yscale("log")
        ax.set_ylabel(label, fontsize=8)
        ax.grid(True, axis="y", color="#e4e4e4", linewidth=0.6)
        ax.set_axisbelow(True)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        _room(ax, value, tolerance)
    panels[0].axhline(tolerance, color=FAINT, linewidth=1, linestyle="--")
    panels[0].annotate(
        f"tolerance {tolerance:g}",
        (1, tolerance),
        (-3, 2),
        ("axes fraction", "data"),
        "offset points",
        ha="right",
        va="bottom",
        fontsize=8,
        color=FAINT,
    )
    steps = [s for leaf in leaves.values() for s in leaf.step] or [0]
    for ax in panels:
        ax.set_xlim(min(steps) - 0.5, max(steps) + 0.5)
    panels[1].set_xlabel("step", fontsize=8)
    _cross(panels[0], leaves.values())
    if lines:
        for k, (name, colour, mark) in enumerate(zip(named, FORM_COLOURS[::2], MARKS, strict=False)):
            _entry(sheet, MARGIN + (k % 2) * WIDTH / 2, sheet.top + 0.17 * (k // 2), name, colour, mark)
    return sheet.figure


def _rank(leaf: Watched) -> tuple[int, float, float]:
    return sum(leaf.not_finite), max(leaf.vanished, default=0.0), float(np.nanmax([0.0, *leaf.error]))


def _title(leaves: Mapping[str, Watched], tolerance: float) -> str:
    steps = max((len(leaf.step) for leaf in leaves.values()), default=0)
    worst = {name: float(np.nanmax([0.0, *leaf.error])) for name, leaf in leaves.items()}
    parts = [
        (sum(any(leaf.not_finite) for leaf in leaves.values()), "with elements that are not finite"),
        (sum(any(leaf.vanished) for leaf in leaves.values()), "with vanished ones"),
        (sum(x > tolerance for x in worst.values()), f"over {tolerance:g} ulps"),
    ]
    clauses = [f"{count} {what}" for count, what in parts if count]
    found = ", ".join(clauses) or f"nothing is lost, the worst error is {max(worst.values(), default=0.0):.3g} ulps"
    return f"{steps} watched steps, output leaves: {len(leaves)}; {found}"


def _line(ax: Axes, leaf: Watched, value: str, colour: str, mark: str) -> None:
    numbers = np.array(getattr(leaf, value), np.float64)
    few = max(len(numbers) // 12, 1)
    shown = np.where(numbers > 0, numbers, np.nan)
    if np.isnan(shown).all():
        return
    ax.plot(leaf.step, shown, color=colour, marker=mark, markevery=few, markersize=4, linewidth=1.4)


def _band(ax: Axes, leaves: list[Watched], value: str) -> None:
    """From the least to the most of many leaves at each step."""
    by_step: dict[int, list[float]] = {}
    for leaf in leaves:
        for step, x in zip(leaf.step, getattr(leaf, value), strict=True):
            if x > 0:
                by_step.setdefault(step, []).append(x)
    steps = sorted(by_step)
    if steps:
        low, high = ([pick(by_step[s]) for s in steps] for pick in (min, max))
        ax.fill_between(steps, low, high, color="#d0d0d0", linewidth=0.8, edgecolor="#b0b0b0")


def _cross(ax: Axes, leaves) -> None:
    steps = sorted({s for leaf in leaves for s, n in zip(leaf.step, leaf.not_finite, strict=True) if n})
    if steps:
        top = np.full(len(steps), 0.96)
        ax.plot(
            steps, top, "x", transform=ax.get_xaxis_transform(), color=KIND_COLOURS["nan"], markersize=5, clip_on=False
        )


def _room(ax: Axes, value: str, tolerance: float) -> None:
    if not ax.lines and not ax.collections:
        ax.text(0.5, 0.5, "none", transform=ax.transAxes, ha="center", va="center", fontsize=8, color=FAINT)
    low, high = ax.get_ylim() if np.isfinite(ax.dataLim.height) else (1.0, 1.0)
    if value == "vanished":
        ax.set_ylim(min(low, 1e-4), 1.2)
    else:
        ax.set_ylim(min(low, 0.1), max(high, 10 * tolerance))


def _entry(sheet: Sheet, left: float, top: float, name: str, colour: str, mark: str) -> None:
    """A name beside its line and mark."""
    ax = sheet.axes(left, top, 0.3, 0.15)
    ax.set_axis_off()
    ax.plot([0, 1], [0, 0], color=colour, marker=mark, markevery=[0, 1], markersize=4, linewidth=1.4)
    short = name if len(name) <= LONGEST else f"…{name[-LONGEST + 1 :]}"
    sheet.text(left + 0.36, top + 0.01, short or "the result")
