"""Figures of a row as they are told: errors to six digits, regions to a few of a kind."""

from __future__ import annotations

import itertools

import numpy as np

from stability.measure.regions import Region

MOST_REGIONS = 8
"""Regions of a kind that a row tells of; those nearest to each other are told as one in which kinds alternate."""


def rounded_down(x: float) -> float:
    """An error to six digits, not larger than it is."""
    near = float(f"{x:.6g}")
    return near if near <= x else float(f"{x * (1 - 5e-6):.6g}")


def condensed(regions: list[Region]) -> list[Region]:
    """At most `MOST_REGIONS`: those nearest to each other are told as one, of as many floats as they have together."""
    if len(regions) <= MOST_REGIONS:
        return regions
    gaps = np.array([b.start - a.stop for a, b in itertools.pairwise(regions)])
    cuts = [0, *(np.sort(np.argsort(-gaps, kind="stable")[: MOST_REGIONS - 1]) + 1).tolist(), len(regions)]
    parts = [regions[a:b] for a, b in itertools.pairwise(cuts)]
    return [Region(p[0].kind, p[0].start, p[-1].stop, sum(r.count for r in p)) for p in parts]
