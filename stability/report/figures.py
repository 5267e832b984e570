"""The figures of the page, empty, as `bokeh` embeds them, and what gives a form its look in every view."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import cache

from stability.report.colours import colours_of

DASHES = ("solid", "dashed", "dashdot", "dotted")


def style_of(form: str, forms: Sequence[str]) -> tuple[str, str]:
    """The colour and the dash of a form, the same in every view."""
    return colours_of(forms)[form], DASHES[list(forms).index(form) % len(DASHES)]


def figures(forms: Sequence[str], swept: str, tolerance: float) -> str:
    """The empty figures as `bokeh` embeds them; the scripts of the page fill them."""
    from bokeh.embed import json_item
    from bokeh.events import MouseMove, Tap
    from bokeh.layouts import column
    from bokeh.models import (
        ColumnDataSource,
        CustomJS,
        CustomJSTickFormatter,
        FactorRange,
        FixedTicker,
        Range1d,
        Span,
        WheelZoomTool,
    )
    from bokeh.plotting import figure

    shared = Range1d(-1, 1, name="range")
    ticker = FixedTicker(ticks=[], name="ticks")
    formatter = CustomJSTickFormatter(code="return tickLabel(tick)")
    common = {"x_range": shared, "sizing_mode": "stretch_width", "toolbar_location": None, "output_backend": "canvas"}
    tools = "xpan,xbox_zoom,crosshair"
    curve = figure(
        name="curve",
        height=330,
        y_axis_type="log",
        y_range=(2.0**-7, 2.0**26),
        tools=tools,
        min_border_left=112,
        **common,
    )
    bars = figure(
        name="bars",
        height=60 + 22 * len(forms),
        y_range=FactorRange(*reversed(forms)),
        tools=tools,
        min_border_left=112,
        **common,
    )
    curve.yaxis.axis_label = "error [ulps of the true value]"
    bars.xaxis.axis_label = f"{swept}"
    for plot in (curve, bars):
        plot.xaxis.ticker, plot.xaxis.formatter = ticker, formatter
        plot.xgrid.ticker = ticker
        wheel = WheelZoomTool(dimensions="width")
        plot.add_tools(wheel)
        plot.toolbar.active_scroll = wheel
        plot.js_on_event(MouseMove, CustomJS(code="cursorAt(cb_obj.x)"))
    curve.js_on_event(Tap, CustomJS(code="tapped(cb_obj.x)"))
    bars.js_on_event(Tap, CustomJS(code="barTapped(cb_obj.x, cb_obj.y)"))
    curve.add_layout(Span(location=tolerance, dimension="width", line_color="gray", line_dash="dotted"))
    marker = ColumnDataSource({"x": []}, name="marker")
    for plot in (curve, bars):
        plot.vspan(x="x", source=marker, line_color="#D55E00", line_width=1.5, line_dash="dashed")
    curves = ColumnDataSource({k: [] for k in ("xs", "ys", "colour", "dash", "form")}, name="curves")
    curve.multi_line("xs", "ys", source=curves, line_color="colour", line_dash="dash", line_width=2)
    dots = ColumnDataSource({"x": [], "y": [], "colour": []}, name="dots")
    curve.scatter("x", "y", source=dots, color="colour", size=4)
    regions = ColumnDataSource({k: [] for k in ("left", "right", "form", "colour")}, name="regions")
    bars.hbar(
        y="form",
        left="left",
        right="right",
        height=0.8,
        source=regions,
        fill_color="colour",
        line_color=None,
    )
    said = ColumnDataSource({k: [] for k in ("x", "form", "text", "colour")}, name="said")
    look = {"text_align": "center", "text_baseline": "middle", "text_font_size": "11px"}
    bars.text("x", "form", text="text", text_color="colour", source=said, **look)
    bars.ygrid.grid_line_color = None
    return _renumbered(json.dumps(json_item(column(curve, bars, sizing_mode="stretch_width"))))


def map_figure(swept: str, label: str) -> str:
    """The empty figure of a map, over the swept float and the label."""
    from bokeh.embed import json_item
    from bokeh.models import ColumnDataSource, CustomJSTickFormatter, FixedTicker, Range1d
    from bokeh.plotting import figure

    plot = figure(
        name="map",
        height=420,
        sizing_mode="stretch_width",
        x_range=Range1d(0, 1, name="map across"),
        y_range=Range1d(0, 1, name="map up"),
        toolbar_location=None,
        tools="hover",
        tooltips=[(swept, "@z"), (label, "@label"), ("worst there", "@what")],
        min_border_left=70,
    )
    names = ("left", "right", "bottom", "top", "colour", "z", "label", "what")
    cells = ColumnDataSource({name: [] for name in names}, name="map cells")
    drawn = plot.quad("left", "right", "top", "bottom", source=cells, fill_color="colour", line_color="colour")
    plot.hover.renderers = [drawn]
    zero = ColumnDataSource({"x": [], "y": []}, name="map zero")
    plot.line("x", "y", source=zero, line_color="white", line_width=4)
    plot.line("x", "y", source=zero, line_color="black", line_width=2, line_dash="dashed")
    plot.xaxis.ticker = FixedTicker(ticks=[], name="map ticks")
    plot.xaxis.formatter = CustomJSTickFormatter(code="return mapTick(tick)")
    plot.xaxis.axis_label, plot.yaxis.axis_label = swept, label
    plot.grid.grid_line_color = None
    return _renumbered(json.dumps(json_item(plot)))


def _renumbered(text: str) -> str:
    """The text of figures with the numbers of their parts counted from 1, whatever was drawn before."""
    numbers: dict[str, str] = {}
    return re.sub(r'"p\d+"', lambda found: numbers.setdefault(found[0], f'"p{len(numbers) + 1}"'), text)


@cache
def library() -> str:
    """The scripts of the plotting library."""
    from bokeh.resources import Resources

    return "\n".join(Resources(mode="inline", components=["bokeh"]).js_raw)
