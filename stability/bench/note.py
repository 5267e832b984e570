"""`stabilize` on the course note: each line of it that is chained, and each gradient that JAX makes, at labels 0 and 1,
measured at every float32 before and after.

The outcome may be off by 3 ulps where the true value is normal, and is never NaN; and `a - y` is among the steps, where
the note's own derivation goes.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

from stability.bench import figures
from stability.cli.arguments import Parser
from stability.rewriting import Stabilized, stabilize
from stability.rewriting.everywhere import TOLERANCE, Failures
from stability.study.sigmoid.forms import FORMS

NAMES = ("chain_split", "chain_common", "chain_expanded", "chain_combined", "autodiff", "autodiff_textbook")
LABELS = [0.0, 1.0]
CANCELLED = "logistic(logits) - labels"


def parser() -> Parser:
    p = figures.parser("note", __doc__)
    p.add_argument("--only", choices=NAMES, help="one of the forms")
    return p


def row_of(name: str, found: Stabilized, seconds: float) -> dict[str, Any]:
    """What came of a form, over its labels."""
    told: dict[str, Any] = {"form": name, "seconds": round(seconds, 1), "a_minus_y": _by_way(found)}
    for when in ("before", "after"):
        each: list[Failures] = [getattr(e, when) for e in found.everywhere]
        told[when] = {
            "max_ulp": max((f.worst for f in each if f.worst is not None), default=None),
            "nan": sum(f.counts.get("nan", 0) for f in each),
            "failing": sum(f.total for f in each),
            "flushed": sum(f.flushed for f in each),
        }
    told["worse"] = sum(e.worse for e in found.everywhere)
    told["not_measured"] = [f"{e.what}: {e.why}" for e in found.everywhere if e.why]
    return told | {"source": found.source}


def _by_way(found: Stabilized) -> bool:
    return CANCELLED in [str(step.term) for step in found.steps]


def holds(row: dict[str, Any]) -> bool:
    """Whether no result is over the tolerance, or NaN; a subnormal one that is 0 is XLA's policy."""
    return not row["not_measured"] and row["after"]["failing"] == 0


def line(row: dict[str, Any]) -> str:
    cells = []
    for when in ("before", "after"):
        worst = "–" if row[when]["max_ulp"] is None else f"{row[when]['max_ulp']:.4g}"
        cells.append(f"{worst:>10}{row[when]['nan']:>14,}")
    way = "yes" if row["a_minus_y"] else "no"
    return f"{row['form']:18}{''.join(cells)}{row['worse']:>9,}{way:>7}{row['seconds']:>8.0f} s"


def run(args: argparse.Namespace) -> int:
    heads = "".join(f"{'ulps ' + when:>12}{'NaN':>12}" for when in ("before", "after"))
    print(f"{'labels 0 and 1':16}{heads}{'worse at':>9}{'a - y':>7}")
    rows = []
    for name in [args.only] if args.only else NAMES:
        begun = time.perf_counter()
        found = stabilize(FORMS[name], domain={"labels": LABELS}, orders=(0,), exhaustive=True)
        rows.append(row_of(name, found, time.perf_counter() - begun))
        print(line(rows[-1]), flush=True)
    good = sum(map(holds, rows))
    print(f"{good} of {len(rows)} within {TOLERANCE:g} ulps at every float32 where the value is normal, and never NaN")
    figures.write(args.out, "note", args.command, {"forms": rows})
    return 0 if good == len(rows) else 1
