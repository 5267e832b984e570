"""The findings and the pictures of a study of functions of one scalar, which have no label.

The axis of the pictures is the ordinal of the input: every binade is equally wide, from the least float of the sweep to
the greatest.
"""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from stability.formats import FORMATS, FloatFormat, from_ordinal, to_ordinal
from stability.measure import FAILURE_KINDS, KINDS
from stability.measure.regions import Region
from stability.report.findings import Finding
from stability.report.plots import COLOURS, KIND_COLOURS, STYLES, Picture
from stability.report.tables import both, how_many, value
from stability.sweep.outcome import Outcome, Row

_REGIONS_TOLD = 3
_APART = {"outside": "it gives a number where the truth is undefined", "undecided": "the truth is undecided"}


def findings(outcome: Outcome, swept: str) -> list[Finding]:
    """A sentence for each row: where it fails, by kind, or that it never does."""
    return [Finding(_finding(row, swept)) for row in outcome.rows if not row.error]


def _finding(row: Row, swept: str) -> str:
    fmt = FORMATS[row.dtype]
    where = []
    for kind in FAILURE_KINDS:
        regions = [r for r in row.regions if r.kind == kind]
        if regions:
            told = sorted(regions, key=lambda r: -r.count)[:_REGIONS_TOLD]
            spans = " and ".join(_span(r, fmt) for r in told)
            more = f" (and {len(regions) - len(told):,} smaller regions)" if len(regions) > len(told) else ""
            where.append(f"{kind} at {swept} from {spans}{more}")
    worst = "" if row.max_ulp is None else f"; the worst error of a finite result is {row.max_ulp:.4g} ulps"
    apart = "".join(f"; {text} at {row.counts[kind]:,} points" for kind, text in _APART.items() if row.counts.get(kind))
    start = f"{row.dtype}, {row.mode}: `{row.form}`"
    return f"{start} is {'; '.join(where)}{worst}{apart}." if where else f"{start} never fails{worst}{apart}."


def _span(region: Region, fmt: FloatFormat) -> str:
    span = f"{both(value(region.start, fmt), fmt)} to {both(value(region.stop, fmt), fmt)}"
    return f"{span}, {how_many(region)}" if region.alternates else span


def pictures(outcome: Outcome, tolerance: float, swept: str) -> dict[str, Picture]:
    """`regions_*` and `errors_*` of every format, by name."""
    found: dict[str, Picture] = {}
    for dtype in dict.fromkeys(row.dtype for row in outcome.rows):
        rows = [row for row in outcome.rows if row.dtype == dtype]
        found[f"regions_{dtype}"] = _regions, (rows, FORMATS[dtype], swept)
        found[f"errors_{dtype}"] = _errors, (rows, FORMATS[dtype], tolerance, swept)
    return found


def _extent(rows: list[Row], fmt: FloatFormat) -> tuple[float, float]:
    """The ordinals between which the rows have points, as far as their profiles and regions tell."""
    ends = [int(n) for row in rows for n in to_ordinal(row.profile.z.astype(fmt.dtype))]
    ends += [n for row in rows for r in row.regions for n in (r.start, r.stop)]
    return float(min(ends)), float(max(ends))


def _axis(ax: Axes, extent: tuple[float, float], fmt: FloatFormat, swept: str) -> None:
    first, last = extent
    margin = max((last - first) * 0.01, 1)
    ax.set_xlim(first - margin, last + margin)
    powers = np.array([10.0**n for n in range(-300, 309, 1 if fmt.bits == 16 and fmt.precision == 11 else 2)])
    marks = np.concatenate([-powers, [0.0], powers])
    with np.errstate(over="ignore"):
        marks = marks[np.isfinite(marks.astype(fmt.dtype).astype(np.float64))]
    ordinals = to_ordinal(marks.astype(fmt.dtype))
    inside = (ordinals >= first) & (ordinals <= last)
    if inside.sum() < 3:
        ordinals = np.linspace(first, last, 5).astype(np.int64)
        marks = from_ordinal(ordinals, fmt).astype(np.float64)
        inside = np.ones(5, bool)
    ordinals, marks = ordinals[inside], marks[inside]
    shown: list[tuple[int, float]] = []
    for n, x in sorted(zip(ordinals.tolist(), marks.tolist(), strict=True), key=lambda p: (p[1] != 0, -abs(p[0]))):
        if all(abs(n - other) > (last - first) * 0.085 for other, _ in shown):
            shown.append((n, x))
    shown.sort()
    ax.set_xticks([n for n, _ in shown], [f"{x:.4g}" for _, x in shown])
    ax.minorticks_off()
    ax.set_xlabel(f"{swept} (equal width for every binade)")


def _regions(rows: list[Row], fmt: FloatFormat, swept: str) -> Figure:
    forms, modes = (list(dict.fromkeys(getattr(row, name) for row in rows)) for name in ("form", "mode"))
    extent = _extent(rows, fmt)
    pixel = (extent[1] - extent[0]) / 900
    height = 0.8 / len(modes)
    figure = Figure(figsize=(9, 0.34 * len(forms) + 1.5), layout="constrained")
    ax = figure.subplots()
    for row in rows:
        y = forms.index(row.form) - 0.4 + modes.index(row.mode) * height
        ax.barh(y + height / 2, extent[1] - extent[0], height * 0.9, extent[0], color=KIND_COLOURS["ok"])
        for kind in [k for k in KINDS[::-1] if k in KIND_COLOURS]:
            spans = [(float(r.start), max(float(r.stop - r.start), pixel)) for r in row.regions if r.kind == kind]
            ax.broken_barh(spans, (y, height * 0.9), color=KIND_COLOURS[kind], linewidth=0)
    ax.set_yticks(range(len(forms)), forms)
    ax.set_ylim(len(forms) - 0.5, -0.5)
    ax.tick_params(axis="y", length=0)
    _axis(ax, extent, fmt, swept)
    present = {r.kind for row in rows for r in row.regions} | {"ok"}
    patches = [Patch(color=colour, label=kind) for kind, colour in KIND_COLOURS.items() if kind in present]
    figure.legend(handles=patches, loc="outside lower center", ncols=len(patches), frameon=False)
    figure.suptitle(f"{fmt.name}: where each form fails (in each row, from the top: {', '.join(modes)})")
    return figure


def _errors(rows: list[Row], fmt: FloatFormat, tolerance: float, swept: str) -> Figure:
    mode = "jit" if any(row.mode == "jit" for row in rows) else rows[0].mode
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    ax = figure.subplots()
    for i, row in enumerate(row for row in rows if row.mode == mode):
        x = to_ordinal(row.profile.z.astype(fmt.dtype)).astype(np.float64)
        ax.plot(
            x,
            np.maximum(row.profile.ulps, 2.0**-6),
            label=row.form,
            color=COLOURS[i % len(COLOURS)],
            linestyle=STYLES[i % len(STYLES)],
            linewidth=1.4,
        )
    ax.axhline(tolerance, color="0.5", linewidth=0.7)
    ax.set_yscale("log", base=2)
    ax.set_ylabel("error [ulps of true value]")
    _axis(ax, _extent(rows, fmt), fmt, swept)
    figure.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=5, frameon=False, handlelength=3)
    figure.suptitle(f"{fmt.name}, {mode}: worst error of each bin (grey: {tolerance:g} ulps)")
    return figure
