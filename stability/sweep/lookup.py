"""The results at single floats of rows that were measured without keeping any."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from stability.formats import FORMATS, from_ordinal, to_ordinal
from stability.measure import classify
from stability.study import Study
from stability.sweep.outcome import Outcome, Row
from stability.sweep.points import floats_of
from stability.sweep.rows import Settings, evaluate, exact_label, in_mode, kept_apart, kept_of
from stability.sweep.singles import Known, TrueValues, narrow, ordinals_of


def with_results(study: Study, outcome: Outcome, settings: Settings) -> Outcome:
    """An outcome whose every row has results: those that had none at the floats that a sweep of `settings` keeps, and
    at the ends of the regions of all of them."""
    rows, known = list(outcome.rows), list(outcome.known)
    without = [row for row in rows if row.results is None and not row.error]
    for dtype, label in dict.fromkeys((row.dtype, row.label) for row in without):
        here = [row for row in without if (row.dtype, row.label) == (dtype, label)]
        values, found = _results(study, here, settings)
        known.append(Known(study.name, dtype, label, values))
        for row in found:
            at = next(i for i, r in enumerate(rows) if r.results is None and _place(r) == _place(row))
            rows[at] = row
    return replace(outcome, rows=tuple(rows), known=tuple(known))


def _place(row: Row) -> tuple:
    return row.form, row.dtype, row.label, row.mode


def _results(study: Study, rows: list[Row], settings: Settings) -> tuple[TrueValues, list[Row]]:
    fmt, label = FORMATS[rows[0].dtype], exact_label(rows[0].label, FORMATS[rows[0].dtype])
    start = to_ordinal(floats_of(fmt, study.domain, settings.points, settings.seed)[kept_of(study, fmt, settings)])
    floats = np.union1d(start, kept_apart(study, fmt, settings, [r for row in rows for r in row.regions]))
    z, found = from_ordinal(floats, fmt), []
    with settings.running(fmt):
        truth = study.truth(z, float(label), fmt)
        values = TrueValues.of(floats, truth)
        for row in rows:
            results = evaluate(in_mode(study.forms[row.form], row.mode), z, label)
            kinds, _ = classify(results, truth, settings.tolerance)
            found.append(replace(row, results=values.results(floats, narrow(ordinals_of(results, fmt)), narrow(kinds))))
    return values, found
