"""The second study: the machinery is not tied to one function, and the two-class truth is the sigmoid's."""

import json

import numpy as np
import pytest

from stability.cli import sweep
from stability.formats import FORMATS, every_float, from_ordinal
from stability.study.sigmoid.truth import sigmoid_minus_label
from stability.study.softmax import STUDIES
from stability.sweep import engine

TWO, THREE = STUDIES


@pytest.mark.parametrize("fmt", FORMATS.values(), ids=lambda f: f.name)
@pytest.mark.parametrize("label", [0.0, 1.0, 0.5])
def test_two_classes_have_the_truth_of_the_sigmoid(fmt, label):
    rng = np.random.default_rng(0)
    z = (
        every_float(fmt)
        if fmt.bits == 16
        else from_ordinal(rng.integers(-fmt.infinity - 1, fmt.infinity + 1, 3000), fmt)
    )
    found, known = TWO.truth(z, label, fmt), sigmoid_minus_label(z, label, fmt)
    assert np.array_equal(found.rounded, known.rounded, equal_nan=True)


def rows(study, forms, dtype="float32", label=1.0):
    options = dict(labels=[label], modes=["jit"], points=2000, tolerance=16.0, seed=0)
    return {r.form: r for r in engine.sweep(study, forms=forms, dtypes=[dtype], **options).rows}


@pytest.mark.parametrize("study", STUDIES, ids=lambda s: s.name)
def test_what_the_readme_says_of_label_1(study):
    found = rows(study, list(study.forms))
    for form in ("jacobian", "autodiff"):
        assert any(r.kind == "nan" and -90 < value(r.stop) < -80 for r in found[form].regions)
    for form in ("cancelled", "logsumexp", "optax"):
        (vanished,) = (r for r in found[form].regions if r.kind == "vanished")
        assert 16 < value(vanished.start) < 18 < 80 < value(vanished.stop) < 90
    finite = [r for r in found["accurate"].regions if np.isfinite(value(r.start))]
    assert {r.kind for r in finite} == {"flushed"} and found["accurate"].max_ulp <= 1.5


def value(ordinal):
    return float(from_ordinal(np.array([ordinal]), FORMATS["float32"])[0])


def test_the_condition_numbers_are_those_of_the_sigmoid():
    z = np.linspace(-30, 30, 61)
    in_z, in_label = TWO.condition(z, 0.25)
    p, q = 1 / (1 + np.exp(-z)), 1 / (1 + np.exp(z))
    np.testing.assert_allclose(in_z, np.abs(z * p * q / (p - 0.25)), 1e-6)
    np.testing.assert_allclose(in_label, 0.25 / np.abs(p - 0.25), 1e-6)


def test_the_command_line_sweeps_and_lists_it(tmp_path, capsys):
    quick = ["--study", "softmax_ce_3", "--form", "cancelled", "--dtype", "bfloat16", "--label", "1", "--mode", "jit"]
    assert sweep.main([*quick, "--out", str(tmp_path / "r")]) == 0
    summary = json.loads((tmp_path / "r" / "summary.json").read_text())
    assert [r["study"] for r in summary["results"]] == ["softmax_ce_3"]
    assert (tmp_path / "r" / "README.md").read_text().startswith(f"# {THREE.title}")
    assert (tmp_path / "r" / "plots" / "ladder.png").exists()
    assert sweep.main(["--study", "softmax_ce_2", "--list"]) == 0
    assert "jacobian" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--study", "softmax_ce_4"], "softmax_ce_3"),
        (["--study", "softmax_ce_2", "--exhaustive"], "no truth on the device"),
    ],
)
def test_a_wrong_study_is_one_line_and_exit_2(arguments, named, capsys):
    with pytest.raises(SystemExit) as stop:
        sweep.main(arguments)
    message = capsys.readouterr().err
    assert stop.value.code == 2 and message.count("\n") == 1 and named in message
