"""Rows of the atlas that is published, chosen by chance, against mpmath, and floats judged by plain rules."""

import gzip
import json
from pathlib import Path

import jax
import mpmath
import numpy as np
import pytest
from mpmath import mp, mpf
from public_distributions import DISTRIBUTIONS
from public_oracles import ORACLES as OF_NUMBERS

from stability.atlas.figures import MOST_REGIONS
from stability.atlas.functions import public_function
from stability.atlas.store import ATLAS
from stability.atlas.ways import LOOP_MODES, MODES, WAYS, is_looping, results
from stability.environment import environment
from stability.formats import FORMATS, from_ordinal, to_ordinal, widen
from stability.truth import FRACTION

ORACLES = OF_NUMBERS | DISTRIBUTIONS
NAMES = ("atlas", "atlas-16bit", "atlas-float32", "atlas-float64")
PUBLISHED = [Path(__file__).parents[1] / "reports" / name / ATLAS for name in NAMES]
ROWS, SEED, TOLERANCE = 30, 20, 16
SLACK = mpf(2) ** -300
"""How far a derivative by differences may be off, relatively: at a tie that decides nothing."""
INSIDE, MOSTLY = 6, 1 / 2
"""Floats inside a region that are looked at besides its ends, and how many of them are of its kind at least where not
every float was looked at: single ones of another can be among all that random ones show to be of one."""


def derivative(fn, x, order):
    """By central differences, of steps far smaller than what a float resolves, and than a period of what oscillates."""
    with mpmath.workprec(2600 + 2 * abs(int(np.frexp(x)[1]))):
        x = mpf(x)
        h = min(abs(x), mpf(1)) * mpf(2) ** -400
        if order == 0:
            return fn(x)
        if order == 1:
            return (fn(x + h) - fn(x - h)) / (2 * h)
        return (fn(x + h) - 2 * fn(x) + fn(x - h)) / h**2


@mpmath.workprec(3000)
def kind(result, true, fmt, order):
    """What a result of a derivative is, by the definitions of `stability.measure.KINDS`; of a value, to all digits of
    what is next to a tie. None where it hangs on the ulp of a number that is all but a power of two, which
    `stability.real.truth` lets be that of the power."""
    if np.isnan(result):
        return "nan"
    least = mpf(2) ** fmt.emin
    top = mpf(2) ** (fmt.emax + 1) * (1 - mpf(2) ** -(fmt.precision + 1))
    if np.isinf(result):
        return "ok" if abs(true) >= top and np.sign(result) == mp.sign(true) else "inf"
    is_zero = abs(true) <= mpf(2) ** (fmt.least_exponent - 1) * (1 + (SLACK if order else 0))
    if result == 0 and not is_zero:
        return "vanished" if abs(true) >= least * (1 - mpf(2) ** -fmt.precision) else "flushed"
    if mp.sign(true) * np.sign(result) < 0 and not is_zero:
        return "wrong_sign"
    exponent = int(mp.frexp(true)[1]) - 1 if true else fmt.emin
    ulp = mpf(2) ** max(exponent - fmt.precision + 1, fmt.least_exponent)
    off = abs(mpf(float(result)) - true)
    if TOLERANCE * ulp < off <= 2 * TOLERANCE * ulp and abs(true) >= mpf(2) ** (exponent + 1) - FRACTION * ulp:
        return None
    return "inaccurate" if off > TOLERANCE * ulp else "ok"


def chosen(published):
    if not published.exists():
        return []
    data = json.loads(gzip.decompress(published.read_bytes()))
    if any(data["manifest"][name] != environment()[name] for name in ("jax", "cpu")):
        return []
    rows = [r for r in data["rows"] if r.get("regions") and r["function"] in ORACLES and r["rule"] == "JAX"]
    picked = np.random.default_rng(SEED).permutation(len(rows))[:ROWS]
    return [rows[i] for i in sorted(picked.tolist())]


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    "row",
    [row for published in PUBLISHED for row in chosen(published)],
    ids=lambda r: f"{r['function']}-{r['order']}-{r['dtype']}-{r['ways'][0]}",
)
def test_the_regions_of_a_published_row_are_where_mpmath_says(row):
    fmt, rng = FORMATS[row["dtype"]], np.random.default_rng(SEED)
    oracle, (low, high) = ORACLES[row["function"]]
    way, mode = row["ways"][0]
    checked = 0
    with jax.enable_x64(row["dtype"] == "float64"):
        program = WAYS[row["order"]][way](public_function(row["function"]).fn)
        run = results((LOOP_MODES if is_looping(program, fmt) else MODES)[mode](program), fmt, mode)

        def kind_at(ordinals):
            ordinals = np.array(ordinals, np.int64)
            found, points = widen(run(ordinals)).tolist(), widen(from_ordinal(ordinals, fmt)).tolist()
            for result, x in zip(found, points, strict=True):
                usable = np.isfinite(x) and x != 0 and low < x < high
                try:
                    yield kind(result, derivative(oracle, x, row["order"]), fmt, row["order"]) if usable else None
                except ZeroDivisionError:
                    yield None

        kinds = [region[0] for region in row["regions"]]
        estimated = not row.get("exhaustive") and max(map(kinds.count, kinds)) == MOST_REGIONS
        for name, first, last, count in row["regions"]:
            if name == "pole":
                continue
            start, stop = (int(to_ordinal(np.array([float.fromhex(v)]).astype(fmt.dtype))[0]) for v in (first, last))
            whole = count == stop - start + 1 and not estimated
            inside = rng.integers(start, stop + 1, INSIDE).tolist() if whole else []
            for found in kind_at([start, stop]):
                assert found != "ok" if estimated else found in (name, None), (name, first, last)
                checked += found is not None
            known = [found for found in kind_at(inside) if found is not None]
            checked += len(known)
            assert known.count(name) >= len(known) * (1 if row.get("exhaustive") else MOSTLY), (name, first, last)
            for found in kind_at([max(start - 1, -fmt.infinity - 1), min(stop + 1, fmt.infinity)]) if whole else ():
                assert found != name, (name, first, last)
                checked += found is not None
    assert checked or low > -np.inf or high < np.inf
