"""`python -m stability.upkeep.releases A B`: what differs between two releases of JAX by their `summary.json`.

Compared are the rows that both have: the failing float nearest to zero on each side, by kind, and the largest error; of
a row that looked at every float also how many are of each kind. Forms that differ in the same way share a line.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from stability.cli.arguments import Parser
from stability.formats import FORMATS
from stability.measure import FAILURE_KINDS, INACCURATE, KINDS
from stability.measure.regions import Region, nearest
from stability.report.tables import both, label_text, value

COLUMNS = ("study", "form", "dtype", "label", "mode")

Rows = dict[tuple, dict]
Difference = tuple[str, str, str]
"""What differs, and what the one row and the other say."""


def rows_of(summary: dict) -> Rows:
    """The rows of a summary by study, form, format, label and mode."""
    return {tuple(row[name] for name in COLUMNS): row for row in summary["results"]}


def facts(row: dict) -> dict[str, str]:
    """What a row of a summary says, by name.

    A sample does not know the first `inaccurate` float, nor how many there are of a kind, so these are left out there.
    """
    fmt, every = FORMATS[row["dtype"]], row["exhaustive"]
    regions = tuple(Region.from_json(r, fmt) for r in row["regions"])
    found = {}
    for kind in FAILURE_KINDS:
        for positive, side in ((False, "z < 0"), (True, "z ≥ 0")):
            if every or kind != KINDS[INACCURATE]:
                end = nearest(regions, positive, kind)
                found[f"first `{kind}`, {side}"] = "–" if end is None else both(value(end[0], fmt), fmt)
        if every:
            found[f"floats `{kind}`"] = f"{row['counts'].get(kind, 0):,}"
    found["largest error [ulps]"] = "–" if row["max_ulp"] is None else f"{row['max_ulp']:.4g}"
    return found


def differences(one: dict, other: dict) -> list[Difference]:
    """What two rows of the same form, format, label and mode say differently."""
    known = facts(other)
    return [(name, said, known[name]) for name, said in facts(one).items() if known.get(name, said) != said]


def compared(one: dict, other: dict) -> dict[tuple, list[str]]:
    """The differing rows of two summaries: the forms that share a format, label, mode and difference."""
    rows, others = rows_of(one), rows_of(other)
    found: dict[tuple, list[str]] = {}
    for key in rows.keys() & others.keys():
        study, form, dtype, label, mode = key
        for difference in differences(rows[key], others[key]):
            found.setdefault((study, dtype, label, mode, *difference), []).append(form)
    order = list(rows)
    return dict(
        sorted(found.items(), key=lambda item: min(order.index((item[0][0], f, *item[0][1:4])) for f in item[1]))
    )


def page(one: dict, other: dict) -> str:
    """Two summaries compared, as Markdown: a sentence, and a table where there is something to show."""
    rows, others = rows_of(one), rows_of(other)
    shared = rows.keys() & others.keys()
    differing = [key for key in shared if differences(rows[key], others[key])]
    names = [f"jax {s['manifest']['jax']}" for s in (one, other)]
    alone = len(rows.keys() ^ others.keys())
    text = f"{len(differing)} of {len(shared)} rows differ between {names[0]} and {names[1]}"
    text += f" ({alone} are in one of them alone).\n" if alone else ".\n"
    if not differing:
        return text
    text += f"\n| form | format | label | mode | what | {names[0]} | {names[1]} |\n|---|---|---|---|---|---|---|\n"
    for (_, dtype, label, mode, what, said, says), forms in compared(one, other).items():
        told = ", ".join(f"`{form}`" for form in sorted(forms, key=[key[1] for key in rows].index))
        text += f"| {told} | {dtype} | {label_text(label)} | {mode} | {what} | {said} | {says} |\n"
    return text


def load(path: Path) -> dict:
    """A summary. **Raises:** `ValueError`, one line that says what is wrong with the file."""
    try:
        summary = json.loads(path.read_text())
        if summary["manifest"]["jax"] and all(facts(row) for row in summary["results"]):
            return summary
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        pass
    raise ValueError(f"{path} is not the summary.json of a sweep")


def main(argv: list[str]) -> int:
    p = Parser(prog="python -m stability.upkeep.releases", description=__doc__)
    p.add_argument("one", type=Path, metavar="A", help="the summary.json of a sweep")
    p.add_argument("other", type=Path, metavar="B", help="that of the same sweep with another release")
    args = p.parse_args(argv)
    try:
        print(page(load(args.one), load(args.other)), end="")
    except ValueError as error:
        p.error(str(error))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
