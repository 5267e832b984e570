"""What `stabilize` makes of the function as it was reported, beside the public fix, over the domain of a case."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import jax
import numpy as np

from stability.cases._case import POINTS, TOLERANCE, Case, Scalar
from stability.formats import FORMATS
from stability.measure import LOST, OK, classify
from stability.rewriting import Unsupported, stabilize
from stability.sweep.points import floats_of
from stability.sweep.rows import evaluate

SEED = 2
SAME = 3.0
"""Ulps within which two functions are as accurate as each other."""


@dataclass(frozen=True)
class Errors:
    """Of a function at floats of the domain: the share that fails (not by a subnormal result that XLA takes for 0), and
    the worst ulps of those that are `ok`."""

    failing: float
    worst: float

    def __str__(self) -> str:
        return f"{self.failing:.1%} fail, else {self.worst:.3g} ulps"


@dataclass(frozen=True)
class Rewritten:
    """**Attributes:** `source` of the rewritten function; `refused` why there is none; the errors of it, of the
    function as reported and of the public fix."""

    source: str
    refused: str
    naive: Errors
    fixed: Errors
    stable: Errors

    @property
    def as_accurate(self) -> bool:
        """Whether it fails at no more floats than the public fix, and at the others is as accurate or within `SAME`."""
        return self.stable.failing <= self.fixed.failing and self.stable.worst <= max(self.fixed.worst, SAME)

    @property
    def worse(self) -> bool:
        """Whether it fails at more floats than the function as it was reported."""
        return self.stable.failing > self.naive.failing

    def as_json(self) -> dict:
        return {**asdict(self), "as_accurate": self.as_accurate, "worse": self.worse}


def rewritten(case: Case, truth) -> Rewritten:
    """Needs `jax_enable_x64` for float64.

    **Arguments:** `truth` of floats, a label and a format, as of a `Study`.
    """
    fmt = FORMATS[case.dtype]
    z = floats_of(fmt, case.domain, POINTS, seed=SEED)
    z = z[(z == 0) | (np.abs(z) >= fmt.smallest_normal)]
    exact = truth(z, 0.0, fmt)

    def errors(fn: Scalar) -> Errors:
        codes, ulps = classify(evaluate(lambda x, label: jax.vmap(fn)(x), z, np.zeros((), fmt.dtype)), exact, TOLERANCE)
        fails = np.isin(codes, LOST)
        return Errors(float(fails.mean()), float(np.max(ulps[codes == OK], initial=0.0)))

    naive, fixed = errors(case.naive), errors(case.fixed)
    try:
        stable = stabilize(case.naive, dtype=case.dtype, domain={"x": case.domain}, names=["x"], orders=(0,))
    except Unsupported as why:
        return Rewritten("", str(why).splitlines()[0], naive, fixed, naive)
    if not stable.improved:
        return Rewritten("", "nothing better was found", naive, fixed, naive)
    return Rewritten(stable.source, "", naive, fixed, errors(stable))
