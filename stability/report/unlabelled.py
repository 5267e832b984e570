"""The findings of a study of functions of one scalar, which have no label."""

from __future__ import annotations

from stability.formats import FORMATS, FloatFormat
from stability.measure import FAILURE_KINDS
from stability.measure.regions import Region
from stability.report.findings import Finding
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
