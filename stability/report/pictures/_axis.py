"""Where a float is in a picture; and what a row looks like there, cell by cell, which is what is drawn and compared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

import numpy as np
from matplotlib.axes import Axes
from matplotlib.transforms import Transform

from stability.formats import FORMATS, FloatFormat, from_ordinal, to_ordinal, widen
from stability.measure import INACCURATE, KINDS, OK
from stability.report.colours import KIND_COLOURS, KIND_WORDS
from stability.report.pictures._sheet import on
from stability.sweep.outcome import PROFILE_BINS, Row

T = TypeVar("T")
CELLS = 2 * PROFILE_BINS
_NEAR = CELLS // 100
_FACTOR = 4.0
_FEW_ULPS = 4.0


@dataclass(frozen=True)
class Axis:
    """`place` takes ordinals to [0, 1], and floats that are not shown beyond; `ticks` are places with texts, those
    that are drawn together or not at all, the more important ones first."""

    name: str
    place: Callable[[np.ndarray], np.ndarray]
    ticks: tuple[tuple[tuple[float, str], ...], ...]

    def draw(self, ax: Axes, width: float, named: bool, beyond: float = 0.03) -> None:
        """Ticks on axes of a width in inches, as many as there is room for, with their texts where `named`, which may
        reach `beyond` the axes."""
        shown: list[tuple[float, str]] = []

        def fits(x: float, text: str, others: list[tuple[float, str]]) -> bool:
            inside = min(x, 1 - x) * width >= _half(text) - beyond
            return inside and all(abs(x - at) * width > _half(text) + _half(other) + 0.12 for at, other in others)

        for ticks in self.ticks:
            if all(fits(x, text, [*shown, *ticks[:k]]) for k, (x, text) in enumerate(ticks)):
                shown += ticks
        ax.set_xlim(0, 1)
        ax.set_xticks([x for x, _ in shown], [text if named else "" for _, text in shown])


def _half(text: str) -> float:
    return 0.031 * len(text)


def axis_of(rows: Sequence[Row], fmt: FloatFormat, swept: str) -> Axis:
    """A signed logarithm of the logit where rows have labels, else the ordinal between the ends of the sweep."""
    if rows[0].label is not None:
        return _signed_log(fmt, swept)
    ends = [int(n) for row in rows for n in to_ordinal(row.profile.z.astype(fmt.dtype))]
    ends += [n for row in rows for r in row.regions for n in (r.start, r.stop)]
    return by_ordinal(min(ends, default=0), max(ends, default=0), fmt, swept)


def reach(fmt: FloatFormat) -> float:
    """The |z| past which even the least subnormal gradient is gone, with a margin."""
    return -1.15 * fmt.least_exponent * float(np.log(2))


def _signed_log(fmt: FloatFormat, swept: str) -> Axis:
    limit = float(np.arcsinh(2 * reach(fmt)))

    def at(z: np.ndarray) -> np.ndarray:
        return (np.arcsinh(2 * z) / limit + 1) / 2

    def place(ordinals: np.ndarray) -> np.ndarray:
        return at(widen(from_ordinal(ordinals, fmt)))

    pairs = [(float(t), -float(t)) if t else (0.0,) for t in (0, 10, 100, 1, 3, 30) if t < reach(fmt)]
    ticks = tuple(tuple((float(at(np.array(v))), f"{v:g}") for v in pair) for pair in pairs)
    return Axis(f"{swept} (signed log axis)", place, ticks)


def by_ordinal(first: int, last: int, fmt: FloatFormat, swept: str) -> Axis:
    """The floats from one ordinal to another, each as wide as the others."""

    def place(ordinals: np.ndarray) -> np.ndarray:
        return (np.asarray(ordinals, np.float64) - float(first)) / max(float(last - first), 1.0)

    def ticks(pairs: list[tuple[float, ...]]) -> list[tuple[tuple[float, str], ...]]:
        found = []
        for pair in pairs:
            places = place(to_ordinal(np.array(pair).astype(fmt.dtype))).tolist()
            inside = [(x, f"{v:.4g}") for x, v in zip(places, pair, strict=True) if 0 <= x <= 1]
            found += [tuple(inside)] if inside else []
        return found

    with np.errstate(over="ignore", under="ignore"):
        powers = sorted(range(-300, 309), key=lambda n: (n != 0, n % 10 != 0, n % 5 != 0, abs(n)))
        marks = ticks(
            [(0.0,), *((v, -v) for n in powers if 0 < (v := float(np.array(10.0**n).astype(fmt.dtype))) < np.inf)]
        )
    if len(marks) < 3:
        inside = np.unique(np.linspace(first, last, 5).astype(np.int64))
        marks = ticks([(float(v),) for v in widen(from_ordinal(inside, fmt))])
    return Axis(f"{swept} (equal width for every binade)", place, tuple(marks))


@dataclass(frozen=True, eq=False)
class Look:
    """What a row looks like: a code of `KINDS` in each of the `CELLS`, and the worst error in each of the bins."""

    kinds: np.ndarray
    ulps: np.ndarray

    def runs(self) -> list[tuple[str, int, int]]:
        """The kinds from left to right, as `(kind, first cell, cell after the last)`."""
        return _runs(self.kinds)


def _runs(codes: np.ndarray) -> list[tuple[str, int, int]]:
    edges = [0, *(np.flatnonzero(np.diff(codes)) + 1).tolist(), len(codes)]
    return [(KINDS[int(codes[a])], a, b) for a, b in pairwise(edges)]


def look(row: Row, axis: Axis) -> Look:
    """A region fills the cells that it touches, one at least; where two do, the kind that `KINDS` has first."""
    kinds = np.full(CELLS, OK, np.int64)
    if row.regions:
        ends = axis.place(np.array([(r.start, r.stop) for r in row.regions], np.int64))
        first, last = np.floor(np.clip(ends, -1, 2) * CELLS).astype(int).T
        order = sorted(range(len(first)), key=lambda k: -KINDS.index(row.regions[k].kind))
        for k in order:
            if last[k] >= 0 and first[k] <= CELLS:
                a, b = min(max(first[k], 0), CELLS - 1), min(last[k], CELLS - 1)
                kinds[a : b + 1] = KINDS.index(row.regions[k].kind)
    ulps = np.full(PROFILE_BINS, np.nan)
    x, errors = curve(row, axis)
    known = ~np.isnan(errors)
    np.fmax.at(ulps, np.clip((x[known] * PROFILE_BINS).astype(int), 0, PROFILE_BINS - 1), errors[known])
    return Look(kinds, ulps)


def curve(row: Row, axis: Axis) -> tuple[np.ndarray, np.ndarray]:
    """The places of a row's profile that are shown, and the errors there."""
    x = axis.place(to_ordinal(row.profile.z.astype(FORMATS[row.dtype].dtype)))
    shown = (x >= 0) & (x <= 1)
    return x[shown], row.profile.ulps[shown]


def same_kinds(a: Look, b: Look) -> bool:
    """Whether two rows fail in the same places.

    The same kinds but `inaccurate` are in the same order, each end within 1 % of the axis, and where one is
    `inaccurate` the other is, within 2 % of it. A cell or two of another kind beside `inaccurate` ones count as these:
    there the kinds alternate.
    """
    both = [_blurred(side) for side in (a, b)]
    plain = [_runs(np.where(codes == INACCURATE, OK, codes)) for codes in both]
    if [kind for kind, *_ in plain[0]] != [kind for kind, *_ in plain[1]]:
        return False
    if any(abs(p[1] - q[1]) > _NEAR for p, q in zip(*plain, strict=True)):
        return False
    one, other = (np.flatnonzero(codes == INACCURATE) for codes in both)
    return _near(one, other) and _near(other, one)


def _near(cells: np.ndarray, others: np.ndarray) -> bool:
    if not len(others):
        return not len(cells)
    return bool(np.all(np.abs(cells[:, None] - others).min(1) <= 2 * _NEAR))


def agree(a: Look, b: Look) -> bool:
    """Whether they do, and in each bin their errors are within a factor of 4, or both below 4 ulps."""
    both = ~np.isnan(a.ulps) & ~np.isnan(b.ulps)
    low, high = np.minimum(a.ulps, b.ulps)[both], np.maximum(a.ulps, b.ulps)[both]
    return same_kinds(a, b) and bool(np.all((high <= _FEW_ULPS) | (high <= _FACTOR * low)))


def _blurred(side: Look) -> np.ndarray:
    codes, found = side.kinds.copy(), side.runs()
    for k, (kind, first, stop) in enumerate(found):
        beside = {found[n][0] for n in (k - 1, k + 1) if 0 <= n < len(found)}
        if kind != "ok" and stop - first <= 2 and KINDS[INACCURATE] in beside:
            codes[first:stop] = INACCURATE
    return codes


def grouped(
    items: Sequence[T], looks: Callable[[T], list[Look]], same: Callable[[Look, Look], bool] = agree
) -> list[list[T]]:
    """The items that look the same, together: each with the first that it is the same as in every look."""
    groups: list[tuple[list[Look], list[T]]] = []
    for item in items:
        here = looks(item)
        for first, members in groups:
            if len(first) == len(here) and all(map(same, first, here)):
                members.append(item)
                break
        else:
            groups.append((here, [item]))
    return [members for _, members in groups]


def draw_strip(ax: Axes, row: Look, y: float, height: float, transform: Transform | None = None) -> None:
    """The kinds of a row as a bar."""
    runs = row.runs()
    for kind in dict.fromkeys(kind for kind, *_ in runs):
        spans = [(a / CELLS, (b - a) / CELLS) for k, a, b in runs if k == kind]
        ax.broken_barh(spans, (y, height), color=KIND_COLOURS[kind], linewidth=0, transform=transform or ax.transData)


def draw_words(ax: Axes, row: Look, y: float, width: float) -> None:
    """The words of the kinds of a row, where there is room in a bar on axes of a width in inches."""
    for kind, a, b in row.runs():
        word = KIND_WORDS.get(kind, kind)
        if kind != "ok" and (b - a) / CELLS * width > 0.07 * len(word) + 0.06:
            ax.text((a + b) / 2 / CELLS, y, word, ha="center", va="center", fontsize=8, color=on(kind))
