"""Unstable formula or ill-conditioned point: the error of a few forms, and the condition number, in the same panels."""

from __future__ import annotations

from typing import Literal

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from stability.formats import FORMATS, FloatFormat, to_ordinal
from stability.report.colours import colours_of
from stability.report.pictures import errors
from stability.report.pictures._axis import axis_of, curve, grouped, look, reach
from stability.report.pictures._sheet import FAINT, MARGIN, WIDTH, Sheet
from stability.report.pictures._words import be, by, heading, listed, preferred_mode
from stability.report.tables import label_text
from stability.study import Study
from stability.sweep.outcome import Row

SHOWN = ("cancelled", "logits", "logsumexp", "componentwise", "optax", "rounded", "accurate")

Conditions = dict[float | None, tuple[np.ndarray, np.ndarray, np.ndarray]]
"""By label: logits, and the condition numbers in them and in the label."""


def conditions(rows: list[Row], study: Study) -> Conditions:
    """At logits of the axis of the pictures."""
    if study.condition is None:
        return {}
    fmt = FORMATS[rows[0].dtype]
    half = np.geomspace(1e-3, reach(fmt), 250)
    z = np.concatenate([-half[::-1], half])
    labels = [y for y in by(rows, lambda row: row.label) if y is not None]
    return {y: (z, *study.condition(z, float(np.asarray(y).astype(fmt.dtype)))) for y in labels}


def _blamed(of: dict, forms: list[str], known: Conditions, tolerance: float) -> dict[str, list[float | None]]:
    """The labels at which a form is over the tolerance where the condition number in z is below it."""
    found: dict[str, list[float | None]] = {form: [] for form in forms}
    for (form, y), row in of.items():
        if form in found:
            z, in_z, _ = known[y]
            over = row.profile.ulps > tolerance
            if np.any(over & (np.interp(row.profile.z, z, in_z) < tolerance)):
                found[form].append(y)
    return found


def _title(blamed: dict[str, list[float | None]], tolerance: float) -> str:
    bad = [form for form, labels in blamed.items() if labels]
    good = [form for form in blamed if form not in bad]
    if not bad:
        return f"No form shown is over {tolerance:g} ulps off where the function is well-conditioned in z"
    labels = dict.fromkeys(label_text(y) for form in bad for y in blamed[form])
    verb = be(bad, "loses", "lose")
    where = f"where the function is well-conditioned in z (label {', '.join(labels)})"
    text = f"{listed(bad, len(blamed))} {verb} digits {where}: the formula's fault"
    return text + (f"; {listed(good, len(blamed))} {be(good, 'does', 'do')} not" if good else "")


def draw(rows: list[Row], fmt: FloatFormat, tolerance: float, swept: str, known: Conditions) -> Figure:
    """**Arguments:** `known` the condition numbers by label."""
    mode, labels, forms = preferred_mode(rows), list(known)[: errors.COLUMNS], by(rows, lambda row: row.form)
    shown = [form for form in SHOWN if form in forms] or forms[:3]
    axis, colours = axis_of(rows, fmt, swept), colours_of(forms)
    of = {(row.form, row.label): row for row in rows if row.mode == mode and row.label in labels}
    groups = grouped(shown, lambda form: [look(of[form, y], axis) for y in labels if (form, y) in of])
    told = (
        f"{fmt.name}, {mode}: error by {swept} [ulps of the true value], and the condition numbers in {swept} and in y "
        "(to round that argument once costs about half as many ulps). Colour over the level line, at "
        f"{tolerance:g}, is the formula's fault where the line of {swept} is below it (up to the line of y, no more "
        "than if it rounded y), and the point's where both are over it."
    )
    heights = errors.panel_heights(groups, 0.7)
    sheet = Sheet(_title(_blamed(of, shown, known, tolerance), tolerance), told, sum(heights) + 0.65)
    spread = errors.panels(sheet, sheet.top, heights, [heading(y) for y in labels], groups, colours)
    greatest = max((float(np.nanmax(u)) for r in of.values() if np.isfinite(u := r.profile.ulps).any()), default=1.0)
    for line, group in enumerate(groups):
        for column, y in enumerate(labels):
            ax, width = spread[line][column]
            errors.scale(ax, tolerance, greatest, first=column == 0)
            ax.set_ylim(bottom=errors.FLOOR / 2)
            axis.draw(ax, width, named=line == len(groups) - 1)
            z, in_z, in_label = known[y]
            x = axis.place(to_ordinal(z.astype(fmt.dtype)))
            for numbers, style in ((in_z, "-"), (in_label, "--")):
                ax.plot(x, np.clip(numbers, errors.FLOOR / 4, None), color=FAINT, linewidth=1, linestyle=style)
            if (group[0], y) in of and len(curve(of[group[0], y], axis)[0]):
                errors.fill(ax, of[group[0], y], axis, colours[group[0]])
    below = sheet.top + sum(heights) + 0.4
    sheet.text(WIDTH - MARGIN, below, axis.name, ha="right")
    styles: tuple[tuple[str, Literal["-", "--"]], ...] = ((swept, "-"), ("y", "--"))
    lines = [Line2D([], [], color=FAINT, linewidth=1, linestyle=s, label=f"condition in {n}") for n, s in styles]
    sheet.figure.legend(
        handles=lines,
        loc="upper left",
        ncols=2,
        frameon=False,
        fontsize=8,
        bbox_to_anchor=(0, 1 - (below - 0.06) / sheet.height),
    )
    return sheet.figure
