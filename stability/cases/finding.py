"""A case measured: both functions swept op by op and under jit, the region of the reported kind, and its culprit."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from stability.cases._case import DECLARED, POINTS, TOLERANCE, Case
from stability.cases.rewritten import Rewritten, rewritten
from stability.diagnosis import Diagnosis, diagnose
from stability.formats import FORMATS, from_ordinal, hex_of, to_ordinal
from stability.measure import KINDS, OK, classify
from stability.measure.regions import Region
from stability.study.functions import study_of
from stability.sweep import engine
from stability.sweep.outcome import Outcome, Row
from stability.sweep.points import floats_of
from stability.sweep.rows import evaluate

REGIONS_WRITTEN = 10
MODES = ["eager", "jit"]


@dataclass(frozen=True)
class Finding:
    """What was measured of a case.

    **Attributes:** `regions` the regions of the reported kind of the naive function by mode, the one around the point
    first; `fixed_kinds` the kinds that the fix shows at floats of that region, op by op, `ok` alone where it is clean
    (and `flushed`, where XLA flushes a subnormal result); `fixed_ulp` its largest error there where it is `ok`, in
    ulps of the true value; `diagnosis` of the naive function at the point; `rewritten` what `stabilize` makes of it, if
    that was asked for.
    """

    name: str
    outcome: Outcome
    regions: dict[str, tuple[Region, ...]]
    fixed_kinds: tuple[str, ...]
    fixed_ulp: float
    diagnosis: Diagnosis
    rewritten: Rewritten | None = None

    @property
    def case(self) -> Case:
        return case_of(self.name)

    def as_json(self) -> dict:
        case, fmt = self.case, FORMATS[self.case.dtype]

        def ends(region: Region) -> dict:
            start, stop = (hex_of(from_ordinal(np.array(n), fmt)) for n in (region.start, region.stop))
            return {"kind": region.kind, "from": start, "to": stop, "count": region.count, "counted": region.counted}

        culprit = self.diagnosis.culprit
        return {
            "name": case.name,
            "repository": case.repository,
            "number": case.number,
            "title": case.title,
            "dtype": case.dtype,
            "domain": [hex_of(v) for v in case.domain],
            "at": hex_of(point_of(case)),
            "kind": case.kind,
            "regions": {
                mode: {"count": len(regions), "first": [ends(r) for r in regions[:REGIONS_WRITTEN]]}
                for mode, regions in self.regions.items()
            },
            "culprit": None
            if culprit is None
            else {"primitive": culprit.primitive, "kind": culprit.kind, "source": place(culprit.source)},
            "fixed": {"kinds": list(self.fixed_kinds), "worst_ulp": self.fixed_ulp},
            "stabilize": self.rewritten and self.rewritten.as_json(),
        }


def case_of(name: str) -> Case:
    """A case by its name."""
    return next(case for case in DECLARED if case.name == name)


def place(source: str) -> str:
    """A source line by the name of its file, without directories."""
    path, _, rest = source.partition(":")
    return f"{Path(path).name}:{rest}" if rest else source


def point_of(case: Case) -> np.ndarray:
    """The point of the case as a scalar of its format."""
    return np.asarray(case.at).astype(FORMATS[case.dtype].dtype)


def _around(row: Row, kind: str, at: int) -> tuple[Region, ...]:
    """The regions of a kind, the one that holds an ordinal (or is nearest to it) first."""
    regions = [r for r in row.regions if r.kind == kind]
    return tuple(sorted(regions, key=lambda r: max(r.start - at, at - r.stop, 0)))


def study(case: Case):
    """The case as a study of its two functions."""
    forms = {"naive": case.naive, "fixed": case.fixed}
    return study_of(forms, reference=case.truth, name=case.name, domain=case.domain)


def examine(name: str, *, rewrite: bool = False) -> Finding:
    """Sweeps both functions of a case, by its name, over its domain and diagnoses the naive one at its point.

    float32 and float64 by a grid and exact ends, 16-bit formats on every float. **Arguments:** `rewrite` whether
    `stabilize` is tried too, which takes up to a minute.
    """
    case = case_of(name)
    with jax.enable_x64(case.dtype == "float64"):
        found = _examined(case)
        return replace(found, rewritten=rewritten(case, study(case).truth)) if rewrite else found


def _examined(case: Case) -> Finding:
    fmt, swept = FORMATS[case.dtype], study(case)
    at = int(to_ordinal(point_of(case)))
    outcome = engine.sweep(
        swept,
        dtypes=[case.dtype],
        modes=MODES,
        points=POINTS,
        tolerance=TOLERANCE,
        besides=[float(point_of(case))],
    )
    rows = {(row.form, row.mode): row for row in outcome.rows}
    regions = {mode: _around(rows["naive", mode], case.kind, at) for mode in MODES}
    kinds: tuple[str, ...] = ()
    ulp = 0.0
    if regions["eager"]:
        z = _inside(regions["eager"][0], case)
        result = evaluate(swept.forms["fixed"], z, np.zeros((), fmt.dtype))
        codes, ulps = classify(result, swept.truth(z, 0.0, fmt), TOLERANCE)
        kinds = tuple(KINDS[c] for c in np.unique(codes))
        ulp = float(np.max(ulps[codes == OK], initial=0.0))
    return Finding(case.name, outcome, regions, kinds, ulp, diagnose(case.naive, jnp.asarray(point_of(case))))


def _inside(region: Region, case: Case) -> np.ndarray:
    """Floats of a region: its ends, and those a sweep of it starts from; no subnormals, which XLA on CPU takes as 0."""
    fmt = FORMATS[case.dtype]
    low, high = (float(from_ordinal(np.array(n), fmt)) for n in (region.start, region.stop))
    z = floats_of(fmt, (low, high), POINTS, seed=1)
    ordinals = to_ordinal(z)
    subnormal = (z != 0) & (np.abs(z) < fmt.smallest_normal)
    return z[(ordinals >= region.start) & (ordinals <= region.stop) & ~subnormal]
