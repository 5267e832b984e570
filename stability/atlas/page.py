"""The atlas for people: a page to explore, findings in words, what changed, and reports ready to be filed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.resources import files
from typing import NamedTuple

import jinja2

from stability.atlas.functions import LEFT_OUT
from stability.atlas.maps import LossMap
from stability.atlas.profile import DENSE
from stability.atlas.records import Row
from stability.atlas.refusals import HERE
from stability.atlas.rules import DEFAULT, OURS
from stability.atlas.store import Atlas, Change, by_way, is_failing, told, verdict
from stability.atlas.threads import Thread, threads
from stability.atlas.ways import LOOP_MODES, is_in_an_array
from stability.atlas.words import decimal, reproduction, threads_about
from stability.formats import FORMATS, short_hex
from stability.measure import KINDS, LOST_KINDS, UNDECIDED
from stability.report.page import MEANINGS, blob

ORDER = {0: "value", 1: "first derivative", 2: "second derivative"}
SHOWN = 60
"""Failing derivatives that the README lists."""


def _environment() -> jinja2.Environment:
    loader = jinja2.FunctionLoader(
        lambda name: files("stability.atlas").joinpath("templates", name).read_text(encoding="utf-8")
    )
    environment = jinja2.Environment(
        loader=loader, autoescape=jinja2.select_autoescape(["html.j2"]), trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["decimal"] = decimal
    environment.filters["told"] = told
    environment.filters["cell"] = lambda text: str(text).replace("|", "\\|")
    return environment


def html(atlas: Atlas) -> str:
    """The page: one file that needs no network."""
    rows = [
        row.to_json()
        | {"fails": is_failing(row), "repro": reproduction(row), "threads": [t.url for t in threads_about(row)]}
        for row in atlas.rows
    ]
    data = {"manifest": atlas.manifest, "seconds": atlas.seconds, "rows": rows, "dense": DENSE, "meanings": MEANINGS}
    data |= {"maps": [m.to_json() for m in atlas.maps], "kinds": KINDS, "lost": LOST_KINDS}
    return _environment().get_template("index.html.j2").render(atlas=atlas, data=blob(data))


class Total(NamedTuple):
    """Of an order, by the libraries' own rules, a way and mode each: `rows`, those that `fail`, those of which the
    library has no result (`refused`), and those of which no true values are known (`unknown`)."""

    order: int
    rows: int
    fail: int
    refused: int
    unknown: int


def totals(atlas: Atlas) -> list[Total]:
    """By order."""
    found = []
    for order in ORDER:
        here = [r for r in atlas.rows if r.order == order and r.rule == DEFAULT]
        unknown = [r for r in here if is_unknown(r)]
        refused = [r for r in here if r.error and r not in unknown]
        failing = [r for r in here if is_failing(r)]
        found.append(Total(order, *(sum(len(r.ways) for r in rows) for rows in (here, failing, refused, unknown))))
    return found


def is_unknown(row: Row) -> bool:
    """Whether a row has no result for want of true values: none at all, or most are undecided."""
    if row.error:
        return row.error.startswith(HERE)
    return 2 * (row.counts or {}).get(KINDS[UNDECIDED], 0) > row.points


def without(atlas: Atlas) -> list[tuple[str, int, list[str]]]:
    """The reasons for which the library has no result, how many rows each, and of which functions; most rows first."""
    rows: dict[str, list[Row]] = {}
    for row in atlas.rows:
        if row.error and row.rule == DEFAULT and not is_unknown(row):
            rows.setdefault(row.error, []).append(row)
    found = [(why, sum(len(r.ways) for r in of), sorted({r.function for r in of})) for why, of in rows.items()]
    return sorted(found, key=lambda reason: (-reason[1], reason[0]))


def standing(atlas: Atlas) -> list[tuple[Thread, str, Row | None]]:
    """Each public thread, whether what it reports is still so here, and the row that says so."""
    return [(t, *_standing(t, atlas.rows)) for t in threads()]


def _standing(thread: Thread, rows: Sequence[Row]) -> tuple[str, Row | None]:
    here = [
        r
        for r in rows
        if (r.order, r.dtype, r.rule) == (thread.order, thread.dtype, DEFAULT)
        and r.function in thread.functions
        and not r.error
    ]
    if not here:
        return "not measured", None
    if not thread.points:
        return "no input told", here[0]
    inside = [r for r in here if {short_hex(p) for p in thread.points} <= set(r.reported)]
    return ("it is so here", inside[0]) if inside else ("not so here", here[0])


def looping(atlas: Atlas) -> dict[str, bool]:
    """The functions with loops, and whether in an array one is worse, by some way, than by itself."""
    found: dict[str, bool] = {}
    rows = by_way(atlas.rows)
    for place, row in rows.items():
        *_, mode = place
        if is_in_an_array(mode):
            worse = verdict(rows[*place[:-1], "jit"], row) == "worse"
            found[row.function] = worse or found.get(row.function, False)
    return found


def families(atlas: Atlas) -> list[tuple[str, list[tuple[str, dict[int, Row | None], float]]]]:
    """Functions with several rules: of each rule its worst row in `told_format` by order, and its time."""
    found, dtype = [], told_format(atlas)
    for function, seconds in atlas.seconds.items():
        rules = []
        for rule, ratio in seconds.items():
            here = [r for r in atlas.rows if (r.function, r.rule, r.dtype) == (function, rule, dtype)]
            worst = {order: _gravest([r for r in here if r.order == order]) for order in (1, 2)}
            rules.append((rule, worst, ratio))
        found.append((function, rules))
    return found


def _gravest(rows: Sequence[Row]) -> Row | None:
    return max(rows, key=lambda r: (r.failing, r.max_ulp or 0.0), default=None)


def told_format(atlas: Atlas) -> str:
    """The format that is told of in words: float32, if it was measured."""
    measured = {row.dtype for row in atlas.rows}
    return next((dtype for dtype in ("float32", *FORMATS) if dtype in measured), "float32")


def planes(atlas: Atlas) -> list[tuple[LossMap, LossMap]]:
    """The maps of losses in `told_format`, of the value and of the derivative by each rule; those without any aside."""
    here = [m for m in atlas.maps if m.dtype == told_format(atlas) and not m.error]
    slopes = {(m.function, m.rule): m for m in here if m.order}
    return [(m, slopes[place]) for m in here if not m.order and (place := (m.function, m.rule)) in slopes]


def failing(atlas: Atlas) -> list[Row]:
    """The worst row of each derivative that fails in `told_format` by the library's own rule, the most floats first; of
    functions with loops by themselves."""
    dtype = told_format(atlas)
    by_place: dict[tuple[str, int], list[Row]] = {}
    for row in atlas.rows:
        by_itself = not is_in_an_array(row.ways[0][1])
        if row.dtype == dtype and row.rule == DEFAULT and by_itself and is_failing(row):
            by_place.setdefault((row.function, row.order), []).append(row)
    found = [gravest for rows in by_place.values() if (gravest := _gravest(rows)) is not None]
    return sorted(found, key=lambda r: -r.failing)


def readme(atlas: Atlas) -> str:
    """The findings in words."""
    bad = failing(atlas)
    functions = {r.function for r in atlas.rows}
    return (
        _environment()
        .get_template("README.md.j2")
        .render(
            atlas=atlas,
            functions=len(functions),
            rows=sum(len(r.ways) for r in atlas.rows),
            totals=totals(atlas),
            without=without(atlas),
            dtype=told_format(atlas),
            formats=", ".join(f for f in FORMATS if any(r.dtype == f for r in atlas.rows)),
            order=ORDER,
            standing=standing(atlas),
            families=families(atlas),
            planes=planes(atlas),
            lost=LOST_KINDS,
            failing=bad[:SHOWN],
            more=len(bad) - SHOWN,
            left_out=LEFT_OUT,
            ours=OURS,
            default=DEFAULT,
            reports=sorted(upstream(atlas)),
            looping=looping(atlas),
            in_an_array=list(filter(is_in_an_array, LOOP_MODES)),
        )
    )


def changed(before: Atlas, after: Atlas, found: Sequence[Change]) -> str:
    """What changed between two atlases: a line for what changed alike, what got worse first."""
    alike: dict[Change, list[Change]] = {}
    for change in found:
        alike.setdefault(change._replace(way="", mode=""), []).append(change)
    rank = ("worse", "gone", "new", "better").index
    lines = [(same[0], ways_told([(c.way, c.mode) for c in same])) for same in alike.values()]
    lines.sort(key=lambda line: rank(line[0].verdict))
    return (
        _environment()
        .get_template("changes.md.j2")
        .render(before=before.manifest, after=after.manifest, lines=lines, order=ORDER)
    )


def ways_told(ways: Sequence[tuple[str, str]]) -> str:
    """Ways to a derivative, each with its mode; by themselves where both modes are there of all of them."""
    names, modes = dict.fromkeys(way for way, _ in ways), dict.fromkeys(mode for _, mode in ways)
    if len(modes) > 1 and len(ways) == len(names) * len(modes):
        return f"{', '.join(names)}; {' and '.join(modes)}"
    return "; ".join(f"{way}, {mode}" for way, mode in ways)


def upstream(atlas: Atlas) -> dict[str, str]:
    """Reports of derivatives that fail in float32 and that no thread known here is about, by file name; one for all
    functions that fail in the same way."""
    alike: dict[tuple, list[Row]] = {}
    for row in failing(atlas):
        about = any(t.order == row.order and row.function in t.functions for t in threads())
        if row.dtype == "float32" and row.order and not about and row.example and reproduction(row):
            alike.setdefault((row.order, row.regions, row.max_ulp), []).append(row)
    template = _environment().get_template("upstream.md.j2")
    return {
        f"{re.sub(r'[^a-z0-9]+', '_', rows[0].function.lower()).strip('_')}_{rows[0].order}.md": template.render(
            row=rows[0], rows=rows, order=ORDER, repro=reproduction(rows[0]), manifest=atlas.manifest
        )
        for rows in alike.values()
    }
