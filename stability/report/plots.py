"""The pictures of a report, each a task that can be pickled."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PolyCollection
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from PIL import Image

from stability.environment import mark
from stability.formats import FORMATS, FloatFormat, from_ordinal, widen
from stability.measure import KINDS
from stability.measure.regions import Region
from stability.report.tables import spotlight, value
from stability.study import Study
from stability.sweep.outcome import Outcome, Row

COLOURS = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#D55E00",
    "#CC79A7",
    "#56B4E9",
    "#000000",
    "#8A6D00",
    "#7F7F7F",
    "#6A3D9A",
)
STYLES = ("-", "--", "-.", ":")
KIND_COLOURS = {
    "nan": "#000000",
    "inf": "#CC79A7",
    "vanished": "#D55E00",
    "flushed": "#56B4E9",
    "wrong_sign": "#009E73",
    "inaccurate": "#E69F00",
    "pole": "#0072B2",
    "outside": "#F0E442",
    "undecided": "#A9A9A9",
    "ok": "#E8E8E8",
}
_LINEAR_WIDTH = 0.5
DPI = 110
STYLE: dict[Any, Any] = {
    "svg.hashsalt": "stability",
    "font.size": 8.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


Picture = tuple[Callable[..., Figure | None], tuple]
"""A function of this room and its arguments, which can be pickled."""


def pictures(outcome: Outcome, study: Study, tolerance: float) -> dict[str, Picture]:
    """Every picture that the rows allow, by name, in the order in which they are shown."""
    dtypes = list(dict.fromkeys(row.dtype for row in outcome.rows))
    main = "float32" if "float32" in dtypes else dtypes[0]
    ordered = [main] + [d for d in dtypes if d != main]
    rows = {dtype: [row for row in outcome.rows if row.dtype == dtype] for dtype in ordered}
    found: dict[str, Picture] = {"ladder": (_ladder, (outcome, dict(study.formulas), main))}
    for dtype in ordered:
        found[f"errors_{dtype}"] = _errors, (rows[dtype], FORMATS[dtype], tolerance)
        found[f"regions_{dtype}"] = _regions, (rows[dtype], FORMATS[dtype])
    for dtype in ordered if study.condition else ():
        found[f"condition_{dtype}"] = _condition, (rows[dtype], FORMATS[dtype], _conditions(rows[dtype], study))
    measured = [row for row in outcome.rows if row.histogram is not None]
    if measured:
        found["histogram_float32"] = _histogram, (measured,)
    found["jit_against_eager"] = _jit_against_eager, (outcome,)
    return found


def drawn(make: Callable[..., Figure | None], arguments: tuple, svg: bool) -> dict[str, bytes]:
    """A picture as PNG, and as SVG where asked for, by ending; nothing where there is nothing to draw.

    The release of JAX is in its corner.
    """
    with mpl.rc_context(STYLE):
        figure = make(*arguments)
        if figure is None:
            return {}
        mark(figure)
        figure.dpi = DPI
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        png = _png(np.asarray(canvas.buffer_rgba()))
        if not svg:
            return {"png": png}
        figure.savefig(vector := io.BytesIO(), format="svg", metadata={"Date": None})
        return {"png": png, "svg": vector.getvalue()}


def _png(pixels: np.ndarray) -> bytes:
    """A picture of 256 colours, which is a third of the bytes."""
    small = io.BytesIO()
    Image.fromarray(pixels).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(small, "png", optimize=True)
    return small.getvalue()


def _reach(fmt: FloatFormat) -> float:
    """The |z| past which even the least subnormal gradient is gone, with a margin."""
    return -1.15 * fmt.least_exponent * float(np.log(2))


def _signed_log_axis(ax: Axes, fmt: FloatFormat) -> None:
    reach = _reach(fmt)
    ax.set_xscale("asinh", linear_width=_LINEAR_WIDTH)
    ax.set_xlim(-reach, reach)
    ticks = [1, 10, 100] if reach > 300 else [t for t in (1, 3, 10, 30, 100) if t < reach]
    ax.set_xticks(
        [-t for t in reversed(ticks)] + [0, *ticks], [f"{t:g}" for t in [-t for t in reversed(ticks)] + [0, *ticks]]
    )
    ax.minorticks_off()


def _preferred_mode(rows: list[Row]) -> str:
    modes = [row.mode for row in rows]
    return "jit" if "jit" in modes else modes[0]


def _labels(rows: list[Row]) -> list[float]:
    return list(dict.fromkeys(row.label for row in rows if row.label is not None))


def _line_style(form: str, forms: list[str]) -> dict:
    i = forms.index(form)
    return {"color": COLOURS[i % len(COLOURS)], "linestyle": STYLES[i % len(STYLES)], "linewidth": 1.4}


def _plot_errors(ax: Axes, rows: list[Row], forms: list[str], fmt: FloatFormat) -> None:
    for row in rows:
        inside = np.abs(row.profile.z) <= _reach(fmt)
        z, ulps = row.profile.z[inside], np.maximum(row.profile.ulps[inside], 2.0**-6)
        ax.plot(z, ulps, label=row.form, **_line_style(row.form, forms))
    ax.set_yscale("log", base=2)
    _signed_log_axis(ax, fmt)


def _errors(rows: list[Row], fmt: FloatFormat, tolerance: float) -> Figure:
    mode, labels = _preferred_mode(rows), _labels(rows)
    forms = list(dict.fromkeys(row.form for row in rows))
    figure = Figure(figsize=(9, 2.1 * len(labels) + 1.3), layout="constrained")
    axes = figure.subplots(len(labels), 1, squeeze=False, sharex=True)[:, 0]
    for ax, label in zip(axes, labels, strict=True):
        _plot_errors(ax, [r for r in rows if (r.label, r.mode) == (label, mode)], forms, fmt)
        ax.axhline(tolerance, color="0.5", linewidth=0.7)
        ax.set_title(f"label y = {label:g}", loc="left")
        ax.set_ylabel("error\n[ulps of true value]")
    axes[-1].set_xlabel("logit z (signed log axis)")
    handles, names = axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=5, frameon=False, handlelength=3)
    figure.suptitle(
        f"{fmt.name}, {mode}: worst error by z; a line ends where the form is NaN or 0 (grey: {tolerance:g} ulps)"
    )
    return figure


def _spans(starts: np.ndarray, stops: np.ndarray, reach: float) -> np.ndarray:
    """Intervals of z clipped to the axis and merged where a gap would be under a pixel: `(left, right)` in each row."""
    left, right = (np.arcsinh(np.clip(x, -reach, reach) / _LINEAR_WIDTH) for x in (starts, stops))
    pixel = 2 * np.arcsinh(reach / _LINEAR_WIDTH) / 900
    merged: list[list[float]] = []
    for a, b in zip(left, np.maximum(right, left + pixel), strict=True):
        if merged and a - merged[-1][1] < pixel:
            merged[-1][1] = max(b, merged[-1][1])
        else:
            merged.append([a, b])
    return np.sinh(np.array(merged)) * _LINEAR_WIDTH


def _bars(ax: Axes, places: list[tuple[float, float]], regions: list[tuple[Region, ...]], fmt: FloatFormat) -> None:
    """Bars in their places, which are `(y, height)`: all of it `ok`, and over it, a kind after the other, the regions.

    The rectangles of a kind are one artist.
    """
    reach = _reach(fmt)
    ax.barh(*np.array([(y + h / 2, 2 * reach, h, -reach) for y, h in places]).T, color=KIND_COLOURS["ok"])
    for kind in [k for k in KINDS[::-1] if k in KIND_COLOURS]:
        corners = []
        for (y, h), row in zip(places, regions, strict=True):
            ends = np.array([(r.start, r.stop) for r in row if r.kind == kind], np.int64).reshape(-1, 2)
            start, stop = widen(from_ordinal(ends, fmt)).T
            inside = (start <= reach) & (stop >= -reach)
            if inside.any():
                spans = _spans(start[inside], stop[inside], reach)
                corners += [[(a, y), (a, y + h), (b, y + h), (b, y)] for a, b in spans]
        if corners:
            drawn = PolyCollection(corners, facecolors=KIND_COLOURS[kind], linewidths=0)
            ax.add_collection(drawn, autolim=False)


def _kind_legend(figure: Figure, present: set[str]) -> None:
    patches = [Patch(color=colour, label=kind) for kind, colour in KIND_COLOURS.items() if kind in present]
    figure.legend(handles=patches, loc="outside lower center", ncols=len(patches), frameon=False)


def _regions(rows: list[Row], fmt: FloatFormat) -> Figure:
    labels, forms = _labels(rows), list(dict.fromkeys(row.form for row in rows))
    modes = list(dict.fromkeys(row.mode for row in rows))
    height = 0.8 / len(modes)
    columns = min(2, len(labels))
    lines = -(-len(labels) // columns)
    figure = Figure(figsize=(9, (0.26 * len(forms) + 0.7) * lines + 0.9), layout="constrained")
    axes = figure.subplots(lines, columns, squeeze=False, sharex=True, sharey=True).ravel()
    for ax, label in zip(axes, labels, strict=False):
        here = [r for r in rows if r.label == label]
        tops = [forms.index(row.form) - 0.4 + modes.index(row.mode) * height for row in here]
        _bars(ax, [(y, height * 0.9) for y in tops], [row.regions for row in here], fmt)
        ax.set_title(f"label y = {label:g}", loc="left")
        ax.set_yticks(range(len(forms)), forms)
        ax.set_ylim(len(forms) - 0.5, -0.5)
        ax.tick_params(axis="y", length=0)
        _signed_log_axis(ax, fmt)
    for ax in axes[max(len(labels) - columns, 0) : len(labels)]:
        ax.set_xlabel("logit z (signed log axis)")
    for ax in axes[len(labels) :]:
        ax.set_visible(False)
    _kind_legend(figure, {"ok"} | {r.kind for row in rows for r in row.regions})
    bars = f"in each row, from the top: {', '.join(modes)}" if len(modes) > 1 else modes[0]
    figure.suptitle(f"{fmt.name}: where each form fails ({bars})")
    return figure


def _ladder(outcome: Outcome, formulas: dict[str, str], dtype: str) -> Figure | None:
    label = spotlight(outcome)
    rows = {row.form: row for row in outcome.rows if (row.dtype, row.label) == (dtype, label) and row.landmarks}
    rows |= {form: row for form, row in rows.items() if row.mode == "jit"}
    steps = [(rows[form], text) for form, text in formulas.items() if form in rows]
    if not steps:
        return None
    z = [mark.z for mark in steps[0][0].landmarks]
    figure = Figure(figsize=(9.4, 0.34 * len(steps) + 1.1), layout="constrained")
    ax = figure.subplots()
    for i, (row, text) in enumerate(steps):
        ax.text(-0.2, i, f"{row.form}   ", ha="right", va="center", fontsize=8.5, family="monospace")
        ax.text(-8.1, i, text, ha="left", va="center", fontsize=8)
        for j, (_, kind, ulps) in enumerate(row.landmarks):
            ax.barh(i, 0.94, 0.86, j, color=KIND_COLOURS[kind])
            number = (
                "" if ulps is None else f"{ulps:.2g}" if ulps < 10 else f"{ulps:.0f}" if ulps < 1e4 else f"{ulps:.0e}"
            )
            words = {"ok": number, "inaccurate": number, "vanished": "0", "flushed": "0", "nan": "NaN"}
            colour = "white" if kind in ("nan", "vanished") else "black"
            ax.text(j + 0.47, i, words.get(kind, kind), ha="center", va="center", color=colour, fontsize=8)
    for j, v in enumerate(z):
        ax.text(j + 0.47, -0.75, f"z = {v:g}", ha="center", va="center", fontsize=8)
    ax.set_xlim(-8.2, len(z))
    ax.set_ylim(len(steps) - 0.4, -1.2)
    ax.axis("off")
    _kind_legend(figure, {mark.kind for row, _ in steps for mark in row.landmarks})
    mode = steps[0][0].mode
    figure.suptitle(
        f"The derivation, line by line: {dtype}, label {label:g}, {mode}; cells: error [ulps of true value]"
    )
    return figure


Conditions = dict[float, tuple[np.ndarray, np.ndarray, np.ndarray]]
"""By label: logits, and the condition numbers in them and in the label."""


def _conditions(rows: list[Row], study: Study) -> Conditions:
    fmt = FORMATS[rows[0].dtype]
    half = np.geomspace(1e-3, _reach(fmt), 250)
    z = np.concatenate([-half[::-1], half])
    if study.condition is None:
        return {}
    return {y: (z, *study.condition(z, float(np.asarray(y).astype(fmt.dtype)))) for y in _labels(rows)}


def _condition(rows: list[Row], fmt: FloatFormat, conditions: Conditions) -> Figure:
    mode, labels = _preferred_mode(rows), _labels(rows)
    forms = list(dict.fromkeys(row.form for row in rows))
    shown = [f for f in ("cancelled", "componentwise", "optax", "rounded", "accurate") if f in forms] or forms[:3]
    figure = Figure(figsize=(9, 4.6), layout="constrained")
    axes = figure.subplots(2, len(labels), squeeze=False, sharex=True, sharey="row")
    for (top, bottom), label in zip(axes.T, labels, strict=True):
        chosen = [r for r in rows if r.form in shown and (r.label, r.mode) == (label, mode)]
        _plot_errors(top, chosen, forms, fmt)
        top.set_title(f"label y = {label:g}", loc="left")
        z, in_z, in_label = conditions[label]
        bottom.plot(z, in_z, color=COLOURS[0], label="condition in z")
        bottom.plot(z, in_label, color=COLOURS[3], linestyle="--", label="condition in y")
        bottom.set_yscale("log")
        bottom.set_ylim(1e-3, 1e6)
        _signed_log_axis(bottom, fmt)
        bottom.set_xticks([t for t in bottom.get_xticks() if abs(t) in (0, 1, 10, 100)])
        bottom.set_xlabel("logit z")
    axes[0, 0].set_ylabel("error [ulps of true value]")
    axes[1, 0].set_ylabel("condition number [1]")
    entries = [axis.get_legend_handles_labels() for axis in (axes[0, 0], axes[1, 0])]
    handles, names = entries[0][0] + entries[1][0], entries[0][1] + entries[1][1]
    figure.legend(handles, names, loc="outside lower center", ncols=5, frameon=False, handlelength=3)
    figure.suptitle(f"{fmt.name}, {mode}: unstable formula (above, not below) or ill-conditioned point (both)")
    return figure


def _histogram(rows: list[Row]) -> Figure:
    """Every float of each row by its error, or by its kind where it has none: counts as colours, and in words."""
    labels, forms = _labels(rows), list(dict.fromkeys(row.form for row in rows))
    bins = len(rows[0].histogram or ())
    kinds = [k for k in KINDS if k not in ("ok", "inaccurate", "nan_input") and any(r.counts.get(k) for r in rows)]
    figure = Figure(figsize=(9, (0.26 * len(forms) + 0.55) * len(labels) + 1.3), layout="constrained")
    axes = figure.subplots(len(labels), 1, squeeze=False, sharex=True)[:, 0]
    image = None
    for ax, label in zip(axes, labels, strict=True):
        here = {
            row.form: [*(row.histogram or ()), *(row.counts.get(k, 0) for k in kinds)]
            for row in rows
            if row.label == label
        }
        table = np.array([here[form] for form in forms], dtype=np.float64)
        image = ax.imshow(np.where(table > 0, table, np.nan), aspect="auto", cmap="cividis_r", norm=LogNorm(1e2, 2**32))
        for i, j in zip(*np.nonzero(table), strict=True):
            colour = "white" if table[i, j] > 1e6 else "black"
            ax.text(j, i, f"{np.log10(table[i, j]):.1f}", ha="center", va="center", fontsize=6, color=colour)
        ax.axvline(bins - 0.5, color="black", linewidth=0.8)
        ax.set_yticks(range(len(forms)), forms)
        ax.tick_params(length=0)
        ax.set_title(f"label y = {label:g}", loc="left")
    powers = ["1/2", *(f"$2^{{{n}}}$" for n in range(bins - 2)), "more"]
    axes[-1].set_xticks(range(bins + len(kinds)), powers + kinds, rotation=90)
    axes[-1].set_xlabel("error below [ulps of true value], and failures that have none")
    if image is not None:
        figure.colorbar(image, ax=list(axes), label="floats [1]", aspect=40)
    figure.suptitle(
        r"float32, jit: how many of all $2^{32}$ floats are how far off (in the cells: $\log_{10}$ of their number)"
    )
    return figure


def _jit_against_eager(outcome: Outcome) -> Figure | None:
    label = spotlight(outcome) or 0.0
    chosen = [d for d in outcome.disagreements if d.label == label and d.regions]
    if not chosen:
        return None
    dtypes = list(dict.fromkeys(d.dtype for d in chosen))
    sizes = [sum(d.dtype == dtype for d in chosen) for dtype in dtypes]
    figure = Figure(figsize=(9, 0.36 * sum(sizes) + 0.75 * len(sizes) + 0.9), layout="constrained")
    axes = figure.subplots(len(dtypes), 1, squeeze=False, height_ratios=[n + 0.5 for n in sizes])[:, 0]
    for ax, dtype in zip(axes, dtypes, strict=True):
        fmt = FORMATS[dtype]
        here = [d for d in chosen if d.dtype == dtype]
        for i, d in enumerate(here):
            for start, stop, *kinds in d.regions:
                a, b = value(start, fmt), value(stop, fmt)
                for y, kind in zip((i - 0.21, i + 0.21), kinds, strict=True):
                    ax.barh(y, b - a, 0.38, a, color=KIND_COLOURS[kind], edgecolor=KIND_COLOURS[kind], linewidth=0.5)
        ax.set_yticks(range(len(here)), [d.form for d in here])
        ax.set_ylim(len(here) - 0.5, -0.5)
        ax.set_title(dtype, loc="left")
        ends = np.array([value(n, fmt) for d in here for r in d.regions for n in r[:2]])
        ends = np.clip(ends, -_reach(fmt), _reach(fmt))
        margin = max(0.25 * float(np.ptp(ends)), 0.01 * float(np.abs(ends).max()))
        ax.set_xlim(ends.min() - margin, ends.max() + margin)
    axes[-1].set_xlabel("logit z, around the floats where they differ")
    _kind_legend(figure, {"ok"} | {kind for d in chosen for _, _, *kinds in d.regions for kind in kinds})
    figure.suptitle(f"label {label:g}: where the kinds of jit (upper bar) and eager (lower bar) differ")
    return figure
