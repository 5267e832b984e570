"""The worked experiment, small, and what the README says of it."""

import builtins
import json

import numpy as np
import pytest

from stability.experiment import training as experiment


@pytest.fixture(scope="module")
def runs():
    return experiment.experiment(steps=1500, rate=1.0)


def test_on_separable_data_one_dies_one_stalls_and_two_go_on_alike(runs):
    found = runs["separable"]
    last = {name: curve["losses"][-1] for name, curve in found.items()}
    assert found["autodiff"]["first_nan"] == 14
    assert 1e-10 < last["cancelled"] < 1e-9 and last["stability"] < 1e-22
    assert abs(np.log(last["optax"] / last["stability"])) < 0.01


def test_on_mislabelled_data_one_dies_and_three_are_alike(runs):
    found = runs["mislabelled"]
    assert found["autodiff"]["first_nan"] == 2
    last = [found[name]["losses"][-1] for name in ("cancelled", "optax", "stability")]
    assert max(last) / min(last) < 1.02 and max(last) < 0.6


def test_the_separable_data_is_separable_and_a_tenth_is_mislabelled():
    x, y = experiment.separable()
    assert x.shape == (150, 5) and y.sum() == 50
    flipped = experiment.mislabelled()[1]
    from sklearn.datasets import load_breast_cancer

    assert (flipped != load_breast_cancer().target).sum() == 57


def test_the_true_loss_is_that_of_the_margins():
    w = np.array([[1.0, -2.0]], np.float32)
    losses = experiment.true_losses(w, np.array([[3, 1], [1, 1]], np.float32), np.array([1, 1], np.float32))
    assert losses == pytest.approx([(np.log1p(np.exp(-1)) + np.log1p(np.exp(1))) / 2])


def test_the_command_line_writes_a_picture_and_its_data(tmp_path):
    assert experiment.main(["--steps", "20", "--out", str(tmp_path / "e")]) == 0
    data = json.loads((tmp_path / "e" / "experiment.json").read_text())
    assert set(data["runs"]) == {"separable", "mislabelled"} and data["manifest"]["x64"] in (True, False)
    assert {p.name for p in (tmp_path / "e").iterdir()} == {"experiment.json", "losses.png"}


def test_without_scikit_learn_it_says_so(tmp_path, monkeypatch, capsys):
    real = builtins.__import__

    def without(name, *rest):
        if name.startswith("sklearn"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(SystemExit) as stop:
        experiment.main(["--out", str(tmp_path / "e")])
    message = capsys.readouterr().err
    assert stop.value.code == 2 and message.count("\n") == 1 and "scikit-learn" in message
    assert list(tmp_path.iterdir()) == []
