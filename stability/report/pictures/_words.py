"""What a picture says in its title: sentences computed from the rows that it shows."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence

from stability.formats import FORMATS
from stability.measure import FAILURE_KINDS
from stability.measure.regions import Region
from stability.report.tables import LABEL, label_text, labelled, value
from stability.sweep.outcome import Row

LISTED = 4


def listed(names: Sequence[str], of: int) -> str:
    """Names as a list, or how many they are of where they are many."""
    names = list(dict.fromkeys(names))
    if len(names) > LISTED:
        return f"{len(names)} of {of} forms" if len(names) < of else f"all {of} forms"
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def be(names: Sequence[str], one: str, many: str) -> str:
    return one if len(names) == 1 else many


def preferred_mode(rows: Sequence[Row]) -> str:
    modes = [row.mode for row in rows]
    return "jit" if "jit" in modes else modes[0]


def at_label(label: float | None, name: str = LABEL) -> str:
    return "" if label is None else f"at {labelled(label_text(label), name)}, "


def sentence(label: float | None, name: str, parts: Sequence[str]) -> str:
    """Clauses after the label, as a sentence without its full stop."""
    return begun(at_label(label, name) + "; ".join(parts))


def heading(label: float | None, name: str = LABEL) -> str:
    """A label over what is drawn at it, where the formulas call it y."""
    return "" if label is None else f"{'label y' if name == LABEL else name} = {label:g}"


def begun(text: str) -> str:
    """A sentence with a capital, unless it begins with the name of a form."""
    return text[:1].upper() + text[1:] if text.startswith(("at ", "all ", "no ", "the ")) else text


def _where(row: Row, kind: str, positive: bool, swept: str) -> str:
    """Where a row is of a kind on a side of zero, in words; nothing where it is nowhere."""
    fmt = FORMATS[row.dtype]
    here = [r for r in _finite(row) if r.kind == kind and (r.stop >= 0 if positive else r.start < 0)]
    if not here:
        return ""
    near = max(here[0].start, 0) if positive else min(here[-1].stop, -1)
    far = here[-1].stop if positive else here[0].start
    text, end = f"{value(near, fmt):.4g}", f"{value(far, fmt):.4g}"
    if near == far:
        return f"at {swept} = {text}"
    if (far >= fmt.infinity - 1) if positive else (far <= -fmt.infinity):
        return f"from {swept} = {text} {'up' if positive else 'down'}"
    return f"between {swept} = {text} and {end}" if len(here) > 1 else f"from {swept} = {text} to {end}"


def _finite(row: Row, finite: bool = True) -> list[Region]:
    """The regions that hold a finite float, or those that do not."""
    infinity = FORMATS[row.dtype].infinity
    return [r for r in row.regions if (r.start < infinity and r.stop > -infinity - 1) == finite]


def _most(rows: Sequence[Row], kind: str, swept: str) -> tuple[list[str], str]:
    """The forms that are of a kind at the most common place, above zero if any is there, and where that is."""
    for positive in (True, False):
        places = {row.form: _where(row, kind, positive, swept) for row in rows}
        if any(places.values()):
            place = Counter(text for text in places.values() if text).most_common(1)[0][0]
            return [form for form, text in places.items() if text == place], place
    return [], ""


def failing(rows: Sequence[Row], swept: str) -> list[str]:
    """Clauses: which forms are NaN and where, which are 0 or infinite, and which are neither."""
    of, parts, others = len({row.form for row in rows}), [], list(rows)
    for kind, verb in (("nan", "NaN"), ("vanished", "0"), ("inf", "infinite"), ("wrong_sign", "of the wrong sign")):
        forms, where = _most(others, kind, swept)
        if forms:
            parts.append(f"{listed(forms, of)} {be(forms, 'is', 'are')} {verb} {where}")
        if of > 1:
            others = [row for row in others if row.form not in forms]
    if of == 1 and parts:
        parts = [parts[0], *(part.partition(" is ")[2] for part in parts[1:])]
    return parts + keeping(rows, swept)


def keeping(rows: Sequence[Row], swept: str) -> list[str]:
    """Clauses: which forms never fail, and which only at infinity or where the true value is subnormal."""
    of, found = len({row.form for row in rows}), defaultdict(list)
    for row in rows:
        kinds = {r.kind for r in _finite(row)} & {*FAILURE_KINDS}
        ends = any(r.kind in FAILURE_KINDS for r in _finite(row, False))
        if kinds <= {"flushed"}:
            places = [f"at infinite {swept}"] * ends + ["where the value is subnormal"] * bool(kinds)
            found[" or ".join(places)].append(row.form)
    parts = []
    for where, forms in sorted(found.items()):
        verb = be(forms, "fails", "fail")
        parts.append(f"{listed(forms, of)} {f'{verb} only {where}' if where else f'never {verb}'}")
    return parts


def inaccurate(rows: Sequence[Row], tolerance: float, swept: str) -> list[str]:
    """Clauses: which forms go over the tolerance and from where, and how far off the others are."""
    of = len({row.form for row in rows})
    over, where = _most(rows, "inaccurate", swept)
    every = [row.form for row in rows if any(r.kind == "inaccurate" for r in row.regions)]
    within = [row for row in rows if row.form not in every and row.max_ulp is not None]
    parts = []
    if over:
        more = len(set(every)) - len(set(over))
        told = f"over {tolerance:g} ulps off {where}" + (f", and {more} more elsewhere" if more else "")
        parts.append(f"{listed(over, of)} {be(over, 'is', 'are')} {told}")
    if within and of == 1:
        parts.append(f"{within[0].form}: the worst error found is {within[0].max_ulp:.3g} ulps")
    elif within and len(within) <= LISTED:
        worst = ", ".join(f"{row.form} {row.max_ulp:.2g}" for row in within)
        parts.append(f"the worst found {'of the others' if over else 'is'}: {worst} ulps")
    elif within:
        most = max(row.max_ulp or 0.0 for row in within)
        parts.append(f"none found of {listed([r.form for r in within], of)} is over {most:.2g} ulps off")
    return parts


def chosen(rows: Sequence[Row], label: float | None, mode: str) -> list[Row]:
    return [row for row in rows if (row.label, row.mode) == (label, mode)]


def by(rows: Sequence[Row], key: Callable[[Row], object]) -> list:
    """The values of a key, in order, each once."""
    return list(dict.fromkeys(key(row) for row in rows))
