"""Training steps of real libraries: nothing is found in healthy ones, and what is planted is found.

Skipped where a library of the extra `examples` is not installed.
"""

import json
from pathlib import Path

import pytest
from training import diagnosed, example, float32  # noqa: F401

from stability.cli import main
from stability.examples import NAMES
from stability.examples.finding import Finding, as_planted, short, text_of, timed
from stability.examples.page import page

pytestmark = pytest.mark.usefixtures("float32")
HERE = Path(__file__).parent.parent / "stability" / "examples"
QUICK = ("perceptron", "adam", "gaussian_process")
SLOW = ("convolution", "recurrent")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.exhaustive) if name in SLOW else name for name in NAMES[:5]]
)
def test_what_is_planted_is_found_with_its_line_and_leaf(name):
    planted = example(name)
    found = diagnosed(planted.planted)
    assert as_planted(planted, found), found.summary()


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.exhaustive) for name in NAMES]
)
def test_nothing_is_found_in_the_healthy_step(name):
    found = diagnosed(example(name).healthy)
    assert found.findings == () and found.verdict == "ok", found.summary()


def test_the_examples_are_all_that_there_are_short_and_cited_once():
    files = {path.stem for path in HERE.glob("*.py")} - {"__init__", "_example", "finding", "page"}
    assert files == set(NAMES)
    assert all(len((HERE / f"{name}.py").read_text().splitlines()) <= 80 for name in NAMES)
    examples = [example(name) for name in NAMES]
    assert len({e.url for e in examples}) == len(NAMES)
    for name, e in zip(NAMES, examples, strict=True):
        assert (HERE / f"{name}.py").read_text().count(e.line) == 2 and e.fault.endswith(".") and e.remedy.endswith(".")


def test_a_finding_that_is_not_the_planted_one_is_not_taken_for_it():
    adam, perceptron = example("adam"), example("perceptron")
    found = diagnosed(adam.planted)
    assert as_planted(adam, found) and not as_planted(perceptron, found)
    assert adam.line in text_of(found.culprit.caller) and adam.line not in text_of(found.culprit.source)
    assert not as_planted(adam, diagnosed(adam.healthy))


def test_the_page_and_its_data(tmp_path, capsys):
    example("adam")
    assert main(["examples", "--example", "adam", "--out", str(tmp_path / "training")]) == 0
    assert "adam: healthy step clean, planted failure found" in capsys.readouterr().out
    data = json.loads((tmp_path / "training" / "training.json").read_text())
    (row,) = data["examples"]
    assert row["clean"] and row["right"] and set(row["modes"]) == {"eager", "jit"}
    assert row["modes"]["jit"]["planted"]["findings"][0]["caller"].startswith("stability/examples/adam.py:")
    text = (tmp_path / "training" / "README.md").read_text()
    assert "In 1 of 1 healthy steps" in text and "called from stability/examples/adam.py" in text
    assert "optax/_src/transform.py" in text and "site-packages" not in text and str(HERE) not in text


def test_a_false_alarm_and_a_miss_are_told_on_the_page():
    adam = example("adam")
    sick, well = timed(adam.planted(), "eager"), timed(adam.healthy(), "eager")
    swapped = {"healthy": sick, "planted": well}
    found = Finding("adam", adam, swapped, swapped)
    assert not found.clean and not found.right
    manifest = {"command": "c", "libraries": {}, "jax": "0.10.2", "jaxlib": "", "python-flint": "", "backend": "cpu"}
    text = page([found], manifest | {"cpu": "here"})
    assert "In 0 of 1 healthy steps" in text and "0 of 1 planted ones" in text and text.count("a false alarm") == 2
    assert short("/x/site-packages/optax/a.py:1") == "optax/a.py:1"
