"""A white sheet as wide as a page of text, on which things are placed in inches from its top left corner.

At the width of a README, 830 pixels, an inch is 100 of them, so that a font of 8 points is 11 pixels high.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from stability.report.colours import KIND_COLOURS, KIND_WORDS

WIDTH = 8.3
MARGIN = 0.1
LINE = 0.145
DARK, FAINT = "#1a1a1a", "#595959"
_LETTER = 0.06
_TITLE = 96
_TOLD = 138


class Sheet:
    """A figure under a title that says what was found, and lines that say how to read it.

    `top` is where the things below begin; `height` is theirs.
    """

    def __init__(self, title: str, told: str, height: float):
        lines, small = textwrap.wrap(title, _TITLE), textwrap.wrap(told, _TOLD)
        self.top = 0.1 + 0.18 * len(lines) + LINE * len(small) + 0.1
        self.height = self.top + height + 0.1
        self.figure = Figure(figsize=(WIDTH, self.height), facecolor="white")
        self.text(MARGIN, 0.1, "\n".join(lines), fontsize=10, fontweight="bold", linespacing=1.25)
        self.text(MARGIN, 0.12 + 0.18 * len(lines), "\n".join(small), color=FAINT)

    def text(self, left: float, top: float, text: str, **given: Any) -> None:
        """Text whose upper left corner is there, unless what is given aligns it otherwise."""
        style: dict[str, Any] = {"va": "top", "ha": "left", "color": DARK, "fontsize": 8} | given
        self.figure.text(left / WIDTH, 1 - top / self.height, text, **style)

    def axes(self, left: float, top: float, width: float, height: float, **options) -> Axes:
        """Axes in a rectangle."""
        box = (left / WIDTH, 1 - (top + height) / self.height, width / WIDTH, height / self.height)
        ax = self.figure.add_axes(box, **options)
        ax.tick_params(labelsize=8, length=2.5, colors=DARK, pad=2)
        for side in ax.spines.values():
            side.set_color("#b0b0b0")
        return ax

    def names(self, left: float, top: float, width: float, names: Sequence[str], colours: dict[str, str]) -> None:
        """Names of forms, each after a square of its colour, in lines of a width."""
        for k, line in enumerate(in_lines(names, width)):
            x = left
            for name in line:
                y = top + k * LINE
                box = (x / WIDTH, 1 - (y + 0.105) / self.height), 0.08 / WIDTH, 0.08 / self.height
                colour = colours[name.partition(" (")[0]]
                self.figure.add_artist(Rectangle(*box, color=colour, linewidth=0, transform=self.figure.transFigure))
                self.text(x + 0.12, y, name)
                x += width_of(name)

    def kinds(self, top: float, kinds: Iterable[str]) -> None:
        """What the colours of kinds stand for, in a line."""
        x = MARGIN
        for kind in [k for k in KIND_COLOURS if k in set(kinds)]:
            word = KIND_WORDS.get(kind, kind)
            text = (
                "no failure" if kind == "ok" else f"{word} ({kind})" if word.lower() != kind.replace("_", " ") else word
            )
            box = (x / WIDTH, 1 - (top + 0.12) / self.height), 0.16 / WIDTH, 0.1 / self.height
            colour = KIND_COLOURS[kind]
            self.figure.add_artist(Rectangle(*box, color=colour, linewidth=0, transform=self.figure.transFigure))
            self.text(x + 0.2, top, text)
            x += 0.42 + len(text) * _LETTER


def width_of(name: str) -> float:
    """About how wide a name and its square are."""
    return 0.3 + len(name) * _LETTER


def in_lines(names: Sequence[str], width: float) -> list[list[str]]:
    """Names in as few lines of a width as they fit in, in order."""
    lines: list[list[str]] = [[]]
    for name in names:
        if lines[-1] and sum(map(width_of, [*lines[-1], name])) > width:
            lines.append([])
        lines[-1].append(name)
    return lines


def on(kind: str) -> str:
    """The colour of text on a kind's colour."""
    return "white" if kind in ("nan", "pole") else DARK
