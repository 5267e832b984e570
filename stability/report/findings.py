"""What the rows at one label say, in words: what is the same in several formats, modes or forms is said once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from stability.formats import FORMATS
from stability.measure.regions import nearest
from stability.report.tables import LABEL, both, bound, code, label_text, labelled, spotlight, value
from stability.sweep.outcome import Outcome, Row


class Finding(NamedTuple):
    """A sentence, and where it holds, a line a format."""

    text: str
    where: tuple[str, ...] = ()


def findings(outcome: Outcome, swept: str, label_name: str = LABEL) -> list[Finding]:
    """The findings at the spotlight label."""
    label = spotlight(outcome)
    rows = [row for row in outcome.rows if row.label == label and not row.error]
    of = len({row.form for row in rows})
    at = f"At {labelled(label_text(label), label_name)}"
    found = [*_ends(rows, "nan", "NaN", swept, of), *_silent(outcome, label, swept)]
    vanished = [row for row in rows if not row.counts.get("nan")]
    found += _ends(vanished, "vanished", "0 where the true value is a normal float", swept, of)
    return [Finding(f"{at} {text}", where) for text, where in [*found, *_sound(rows)]]


def _names(forms: Iterable[str]) -> str:
    return ", ".join(f"`{code(name)}`" for name in dict.fromkeys(forms))


def _told(rows: list[Row]) -> str:
    return _names(row.form for row in rows)


def _by_dtype(rows: list[Row]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row.dtype, []).append(row)
    return found


def _ends(rows: list[Row], kind: str, words: str, swept: str, of: int) -> list[Finding]:
    """Which forms, `of` so many, have a kind, and in each format the floats nearest to zero from which on they do, and
    which of them."""
    bad = [row for row in rows if row.counts.get(kind)]
    if not bad:
        return []
    where = []
    for dtype, here in _by_dtype(bad).items():
        fmt = FORMATS[dtype]
        ends: dict[str, list[Row]] = {}
        for row in here:
            for positive, way in ((True, "up"), (False, "down")):
                if end := nearest(row.regions, positive, kind):
                    ends.setdefault(f"{swept} = {both(value(end[0], fmt), fmt)} {way}", []).append(row)
        told = (f"from {end}{_who(rows_there, here)}" for end, rows_there in ends.items())
        where.append(f"{dtype}: {'; '.join(told)}")
    number = len({row.form for row in bad})
    verb = "is" if number == 1 else "are"
    return [Finding(f"{_told(bad)} {verb} {words} ({number} of {of} forms).", tuple(where))]


def _who(some: list[Row], every: list[Row]) -> str:
    """Which rows in parentheses; nothing where it is every one, no modes where they have all of them."""
    if len(some) == len(every):
        return ""
    by_form: dict[str, list[str]] = {}
    for row in some:
        by_form.setdefault(row.form, []).append(row.mode)
    alike: dict[tuple[str, ...], list[str]] = {}
    for form, modes in by_form.items():
        alike.setdefault(tuple(modes), []).append(form)
    every_mode = {row.mode for row in every}
    told = []
    for those, forms in alike.items():
        names = "all" if len(forms) == len({row.form for row in every}) else _names(forms)
        both_modes = len(every_mode) == len(those) == 2
        told.append(f"{names} in {'both modes' if both_modes else ', '.join(those)}")
    return f" ({'; '.join(told)})"


def _silent(outcome: Outcome, label: float | None, swept: str) -> list[Finding]:
    """Where one mode is 0 and says nothing, and the other NaN."""
    places: dict[str, dict[str, list[str]]] = {}
    forms: dict[str, None] = {}
    for d in (d for d in outcome.disagreements if d.label == label):
        fmt = FORMATS[d.dtype]
        for a, b, jit, eager in d.regions:
            if {jit, eager} == {"nan", "vanished"}:
                silent, loud = ("jit", "eager") if jit == "vanished" else ("eager", "jit")
                there = f"{both(value(a, fmt), fmt)} to {both(value(b, fmt), fmt)}"
                text = f"{b - a + 1:,} floats, {swept} from {there}, 0 in {silent} and NaN in {loud}"
                places.setdefault(d.dtype, {}).setdefault(text, []).append(d.form)
                forms[d.form] = None
    if not forms:
        return []
    where = []
    for dtype, texts in places.items():
        said = (t + ("" if set(names) == set(forms) else f" ({_names(names)})") for t, names in texts.items())
        where.append(f"{dtype}: {'; '.join(said)}")
    verb = "is" if len(forms) == 1 else "are"
    text = f"{_names(forms)} {verb} silently 0 in one mode where the other gives NaN."
    return [Finding(text, tuple(where))]


def _sound(rows: list[Row]) -> list[Finding]:
    """The forms that never are NaN and never lose a normal value, and their worst error."""
    lost = {row.form for row in rows if row.counts.get("nan") or row.counts.get("vanished")}
    sound = [row for row in rows if row.form not in lost]
    if not sound:
        return []
    where = []
    for dtype, here in _by_dtype(sound).items():
        by_form: dict[str, Row] = {}
        for row in here:
            if (row.max_ulp or 0.0) >= (by_form.get(row.form, row).max_ulp or 0.0):
                by_form[row.form] = row
        worst = (f"{_names([form])} {bound(row)}" for form, row in by_form.items())
        where.append(f"{dtype}, worst error in ulps: {', '.join(worst)}")
    text = (
        f"{_told(sound)} never {'is' if len({r.form for r in sound}) == 1 else 'are'} NaN, nor 0 where the true value "
    )
    return [Finding(text + "is a normal float.", tuple(where))]
