"""What a sweep finds is read back from JSON whole: profiles, histograms, states, regions and how they were counted."""

import dataclasses
import itertools
import json

import jax.numpy as jnp
import numpy as np
import pytest

from stability import report
from stability.formats import FORMATS, every_float, to_ordinal, widen
from stability.measure.regions import Region, regions_to_json
from stability.report.tables import how_many
from stability.study.functions import study_of
from stability.study.sigmoid import STUDY
from stability.sweep import engine, exhaustive
from stability.sweep.outcome import Outcome, joined


def sampled():
    study = study_of({"log_exp": lambda x: jnp.log(1 + jnp.exp(x)), "log": jnp.log}, reference=jnp.log)
    options = dict(labels=[None], points=256, tolerance=16.0, seed=0)
    both = engine.sweep(
        study, forms=["log_exp", "log"], dtypes=["bfloat16", "float32"], modes=["eager", "jit"], **options
    )
    ends = dataclasses.replace(study, domain=(1.0, 2.0))
    return study, joined(
        [both, engine.sweep(ends, forms=["log"], dtypes=["float64"], modes=["jit"], search=True, **options)]
    )


def every_float32():
    forms, tolerance = ["cancelled", "chain_split"], 16.0
    streams = exhaustive.sweep(STUDY, forms=forms, labels=[1.0], tolerance=tolerance, span=(16500, 16510))
    return Outcome(exhaustive.rows(STUDY, streams, tolerance), (), {"exhaustive": 0.1}, 3)


@pytest.fixture(scope="module")
def swept():
    return sampled()


@pytest.fixture(scope="module")
def outcomes(swept):
    return [swept[1], every_float32()]


def test_what_is_written_is_read_back_equal(outcomes):
    for outcome in [*outcomes, joined(outcomes)]:
        text = json.dumps(outcome.to_json(), allow_nan=False)
        assert Outcome.from_json(json.loads(text)) == outcome


def test_another_profile_histogram_state_or_region_is_another_outcome(outcomes):
    """Equality sees every field: so the test above would notice what is dropped."""
    outcome = outcomes[1]
    row = outcome.rows[0]
    profile = dataclasses.replace(row.profile, ulps=row.profile.ulps + 1)
    others = {
        "profile": profile,
        "histogram": row.histogram[::-1],
        "states": {"number": 1},
        "regions": (*row.regions, Region("nan", 0, 3, 2)),
        "undecided": row.undecided + 1,
    }
    assert set(others) < {f.name for f in dataclasses.fields(row)}
    for name, changed in others.items():
        other = dataclasses.replace(row, **{name: changed})
        assert other != row and Outcome.from_json(dataclasses.replace(outcome, rows=(other,)).to_json()).rows == (
            other,
        )


def test_the_summary_holds_the_outcome(tmp_path, swept):
    study, outcome = swept
    report.write(outcome, study, {"command": "a test"}, tmp_path / "r", False, tolerance=16.0, begun=0.0, blame=[])
    summary = json.loads((tmp_path / "r" / "summary.json").read_text())
    assert summary["schema"] == 3 and summary["blame"] == [] and Outcome.from_json(summary) == outcome


def test_points_are_counted_by_kind_and_by_state(outcomes):
    for row in joined(outcomes).rows:
        assert sum(row.counts.values()) == sum(row.states.values()) == row.points
        undefined = row.counts.get("nan_input", 0) + row.counts.get("outside", 0)
        assert undefined == row.states.get("undefined", 0)
    (log,) = [r for r in outcomes[0].rows if (r.form, r.dtype, r.mode) == ("log", "bfloat16", "jit")]
    assert log.states["pole"] == 2 and log.counts["nan_input"] > 32000


def test_the_largest_error_lies_in_the_last_bin_of_the_histogram_that_is_not_empty():
    """`rounded` is within half an ulp, so nothing may be counted from 1/2 up, however near some errors come."""
    streams = exhaustive.sweep(STUDY, forms=["rounded"], labels=[1.0], tolerance=16.0, span=(16256, 16384))
    (row,) = exhaustive.rows(STUDY, streams, 16.0)
    assert 0.49999 < row.max_ulp < 0.5 and row.worst_ok == row.max_ulp
    assert row.histogram[0] == sum(row.histogram) == row.counts["ok"] and row.undecided > 0


@pytest.mark.parametrize(
    ("region", "told"),
    [
        (Region("nan", 0, 9, 10), "10 floats"),
        (Region("inaccurate", 0, 9, 4), "4 floats among the 10 there"),
        (Region("nan", 0, 9, 10, counted=False), "10 floats (estimated: not all were looked at)"),
        (
            Region("inaccurate", 0, 9999, 4321, counted=False),
            "about 4,321 of the 10,000 floats there (kinds alternate; estimated)",
        ),
    ],
)
def test_counts_say_whether_they_were_counted(region, told):
    assert how_many(region) == told


def test_the_ends_of_a_region_are_exact_in_json():
    for fmt in FORMATS.values():
        ends = [int(n) for n in to_ordinal(np.array([-np.inf, -0.0, 0.0, np.inf], fmt.dtype))]
        for start, stop in itertools.pairwise(ends):
            region = Region("nan", start, stop, stop - start + 1)
            assert Region.from_json(regions_to_json([region], fmt)[0], fmt) == region


def test_an_outcome_shows_itself_as_a_table_of_a_line_a_form_and_format():
    study = study_of({"<b>": lambda x: jnp.log(1 + x), "log1p": jnp.log1p}, reference=jnp.log1p, domain=(1e-5, 1.0))
    outcome = study.sweep(dtypes=["bfloat16"], modes=["eager", "jit"])
    naive, right = outcome.lines()
    first = min(z for z in widen(every_float(FORMATS["bfloat16"])) if z >= 1e-5)
    assert naive == ("<b>", "bfloat16", None, first, naive.worst, True)
    assert right.vanished is None and right.worst < 1 < naive.worst
    shown = outcome._repr_html_()
    assert shown.count("<tr>") == 3 and "<td>&lt;b&gt;</td>" in shown and "<b>" not in shown
