"""The pictures of a report, each a task that can be pickled; a module of `pictures` draws each."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from stability.environment import mark
from stability.formats import FORMATS
from stability.report.colours import FORM_COLOURS, KIND_COLOURS
from stability.report.pictures import against, condition, errors, histogram, ladder, regions
from stability.report.tables import spotlight
from stability.study import Study
from stability.sweep.outcome import Outcome

STYLE: dict[Any, Any] = {"svg.hashsalt": "stability", "font.family": "DejaVu Sans", "axes.linewidth": 0.6}
DPI = 150
_NEAR = 8

Picture = tuple[Callable[..., Figure | None], tuple]
"""A function of this room and its arguments, which can be pickled."""


def pictures(outcome: Outcome, study: Study, tolerance: float) -> dict[str, Picture]:
    """Every picture that the rows allow, by name, in the order in which they are shown."""
    dtypes = list(dict.fromkeys(row.dtype for row in outcome.rows))
    main = "float32" if "float32" in dtypes else dtypes[0]
    ordered = [main] + [d for d in dtypes if d != main]
    rows = {dtype: [row for row in outcome.rows if row.dtype == dtype] for dtype in ordered}
    label, swept, name = spotlight(outcome), study.swept, study.label_name
    found: dict[str, Picture] = {}
    if study.formulas:
        found["ladder"] = ladder.draw, (outcome, dict(study.formulas), main, label, swept)
    for dtype in ordered:
        found[f"regions_{dtype}"] = regions.draw, (rows[dtype], FORMATS[dtype], swept, label, name)
        found[f"errors_{dtype}"] = errors.draw, (rows[dtype], FORMATS[dtype], tolerance, swept, label, name)
    for dtype in ordered if study.condition else ():
        known = condition.conditions(rows[dtype], study)
        found[f"condition_{dtype}"] = condition.draw, (rows[dtype], FORMATS[dtype], tolerance, swept, known)
    measured = [row for row in outcome.rows if row.histogram is not None]
    if measured:
        found["histogram_float32"] = histogram.draw, (measured, label)
    if label is not None:
        found["jit_against_eager"] = against.draw, (outcome, label, swept, name)
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
        png = _fewer_colours(np.asarray(canvas.buffer_rgba()))
        if not svg:
            return {"png": png}
        figure.savefig(vector := io.BytesIO(), format="svg", metadata={"Date": None})
        return {"png": png, "svg": vector.getvalue()}


def _fewer_colours(pixels: np.ndarray) -> bytes:
    """A picture of 256 colours, which is a third of the bytes, the colours of forms and kinds as they are."""
    image = Image.fromarray(pixels).convert("RGB")
    named = ("#FFFFFF", *FORM_COLOURS, *KIND_COLOURS.values())
    own = np.array([[int(colour[k : k + 2], 16) for k in (1, 3, 5)] for colour in named])
    common = np.array(image.quantize(256 - len(own), dither=Image.Dither.NONE).getpalette()).reshape(-1, 3)
    far = np.abs(common[:, None] - own).max(-1)
    common = np.where(far.min(1, keepdims=True) <= _NEAR, own[far.argmin(1)], common)
    palette = Image.new("P", (1, 1))
    palette.putpalette(np.concatenate([own, common])[:256].astype(np.uint8).tobytes())
    image.quantize(palette=palette, dither=Image.Dither.NONE).save(small := io.BytesIO(), "png", compress_level=8)
    return small.getvalue()
