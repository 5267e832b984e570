"""The command line: its report, its refusals, and what an interrupt leaves."""

import json

import jax
import pytest

from stability import environment
from stability.cli import sweep
from stability.report import tables

QUICK = ["--form", "cancelled", "--form", "chain_split", "--dtype", "bfloat16", "--label", "1"]


def summary(path):
    return json.loads((path / "summary.json").read_text())


def test_the_report_is_whole_and_repeatable(tmp_path, capsys):
    found = []
    for name in ("first", "second"):
        assert sweep.main([*QUICK, "--out", str(tmp_path / name), "--no-plots"]) == 0
        found.append(summary(tmp_path / name))
    assert {p.name for p in (tmp_path / "first").iterdir()} == {
        "summary.json",
        "summary.csv",
        "README.md",
        "index.html",
    }
    for s in found:
        assert s.pop("seconds").keys() >= {"compile", "run", "reference"}
        assert s["manifest"].pop("seconds").keys() == {"plots", "total"}
        s["manifest"].pop("started")
        s["manifest"].pop("command")
    assert found[0] == found[1]
    listed = {"schema", "manifest", "study", "results", "disagreements", "by_balls", "known", "steps", "maps"}
    assert set(found[0]) == listed
    row = found[0]["results"][0]
    assert (row["study"], row["points"], row["exhaustive"]) == ("sigmoid_bce", 65536, True)
    assert "cancelled" in capsys.readouterr().out


def test_plots_are_drawn_in_both_formats(tmp_path):
    assert sweep.main([*QUICK, "--mode", "jit", "--svg", "--out", str(tmp_path / "r")]) == 0
    names = {p.name for p in (tmp_path / "r" / "plots").iterdir()}
    wanted = {"ladder", "errors_bfloat16", "regions_bfloat16", "condition_bfloat16"}
    assert names == {f"{n}.{ending}" for n in wanted for ending in ("png", "svg")}
    assert "plots/ladder.png" in (tmp_path / "r" / "README.md").read_text()
    assert "data:image/png;base64," in (tmp_path / "r" / "index.html").read_text()
    for picture in (tmp_path / "r" / "plots").glob("*.svg"):
        assert f"jax {jax.__version__}, cpu" in picture.read_text()


def test_a_release_that_is_not_tested_is_warned_of_and_not_refused(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(environment, "TESTED", ("0.1", "0.2"))
    assert sweep.main([*QUICK, "--out", str(tmp_path / "r"), "--no-plots"]) == 0
    warning = environment.untested(jax.__version__)
    assert capsys.readouterr().err == warning + "\n"
    for page in ("README.md", "index.html"):
        assert (tmp_path / "r" / page).read_text().count(warning) == 1
    monkeypatch.undo()
    assert sweep.main([*QUICK, "--out", str(tmp_path / "r"), "--no-plots"]) == 0
    assert not capsys.readouterr().err and "newer" not in (tmp_path / "r" / "README.md").read_text()


BAD = [
    (["--form", "chained"], "chain_split"),
    (["--dtype", "float8"], "bfloat16"),
    (["--label", "1.5"], "[0, 1]"),
    (["--label", "nan"], "[0, 1]"),
    (["--label", "one"], "[0, 1]"),
    (["--mode", "pmap"], "eager"),
    (["--points", "0"], "whole number from 1"),
    (["--tolerance", "nan"], "0.5"),
    (["--seed", "-1"], "whole number from 0"),
]


@pytest.mark.parametrize(("arguments", "allowed"), BAD, ids=lambda v: " ".join(v) if isinstance(v, list) else "")
def test_bad_input_is_one_line_and_exit_2(arguments, allowed, tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        sweep.main([*arguments, "--out", str(tmp_path / "r")])
    message = capsys.readouterr().err
    assert stop.value.code == 2 and message.count("\n") == 1 and allowed in message
    assert list(tmp_path.iterdir()) == []


def test_out_that_is_a_file_is_refused(tmp_path, capsys):
    (tmp_path / "file").write_text("mine")
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(SystemExit) as stop:
            sweep.main([*QUICK, "--out", str(out)])
        assert stop.value.code == 2 and capsys.readouterr().err.count("\n") == 1
    assert (tmp_path / "file").read_text() == "mine"


def test_an_interrupt_leaves_the_previous_report_whole(tmp_path, monkeypatch):
    out = tmp_path / "r"
    sweep.main([*QUICK, "--out", str(out), "--no-plots"])
    before = {p.name: p.read_bytes() for p in out.iterdir()}

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(tables, "csv_row", interrupt)
    with pytest.raises(KeyboardInterrupt):
        sweep.main([*QUICK, "--out", str(out), "--no-plots", "--tolerance", "2"])
    assert {p.name: p.read_bytes() for p in out.iterdir()} == before
    assert [p.name for p in tmp_path.iterdir()] == ["r"]


def test_list_names_what_is_allowed(capsys):
    assert sweep.main(["--list"]) == 0
    assert "chain_split" in capsys.readouterr().out
