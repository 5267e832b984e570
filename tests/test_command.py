"""What the command says of bad input."""

import jax.numpy as jnp
import pytest
from commands import refused

from stability import bench, cli, report
from stability.cli import diagnose, function, hosts, sweep
from stability.study.functions import study_of

LEAVES = """
import sys, jax.numpy as jnp
def leaves(x):
    raise SystemExit(3)
"""


@pytest.fixture
def mine(tmp_path, monkeypatch):
    (tmp_path / "mine_leaves.py").write_text(LEAVES)
    (tmp_path / "mine_left.py").write_text("raise SystemExit(3)")
    (tmp_path / "mine_plain.py").write_text("import jax.numpy as jnp\ndef loss(z, y=1.0): return jnp.tanh(z) * y\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("name", ["mine_leaves:leaves", "mine_left:f"])
def test_a_function_that_raises_systemexit_is_one_line(mine, capsys, name):
    for main, argv in (
        (sweep.main, ["--function", name, "--jobs", "1", "--out", str(mine / "r")]),
        (diagnose.main, [name, "--at", "1"]),
    ):
        assert "SystemExit: 3" in refused(capsys, main, argv)


@pytest.mark.parametrize(
    ("coordinator", "told"),
    [
        ("localhost", "neither HOST:PORT"),
        ("a:99999", "neither HOST:PORT"),
        ("localhost:1", "refused"),
        ("auto", "auto"),
    ],
)
def test_a_coordinator_that_is_not_there_is_one_line(tmp_path, capsys, monkeypatch, coordinator, told):
    monkeypatch.setattr(hosts, "REACHED_SECONDS", 0.0)
    each = [] if coordinator == "auto" else ["--num-processes", "2", "--process-id", "1"]
    argv = ["--exhaustive", "--form", "cancelled", "--coordinator", coordinator, *each, "--out", str(tmp_path / "r")]
    monkeypatch.setattr("jax.config.update", lambda *_: None)
    assert told in refused(capsys, sweep.main, argv)


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["losses", "--least", "9", "--most", "8"], "--least 9 --most 8: give 0 <= least <= most"),
        (["fpcores", "none.fpcore"], "none.fpcore: No such file"),
        (["fpcores", "one.fpcore", "--scheduler", "nowhere"], "--scheduler nowhere: "),
        (["page", "none.html"], "none.html: no such page"),
    ],
)
def test_what_a_benchmark_cannot_do_is_one_line(tmp_path, monkeypatch, capsys, argv, told):
    pytest.importorskip("titanfp")
    (tmp_path / "one.fpcore").write_text("(FPCore (x) (+ x 1))")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("shutil.which", lambda name: name)
    message = refused(capsys, bench.main, [*argv, "--out", "r"])
    assert message.startswith(f"stability bench {argv[0]}: {told}") and not (tmp_path / "r").exists()


def test_negative_numbers_are_values(mine, capsys):
    own = ["--function", "mine_plain:loss", "--dtype", "bfloat16", "--mode", "jit", "--jobs", "1", "--no-plots"]
    for low, high in (("-3.39e38", "-2e38"), ("-inf", "-1"), ("-0x1p3", "-.5")):
        assert sweep.main([*own, "--range", low, high, "--out", "r"]) == 0
    assert diagnose.main(["mine_plain:loss", "--at", "-20,1"]) == 0
    assert diagnose.main(["mine_plain:loss", "--at", "-1e-3,-1"]) == 0


def test_arguments_by_name_and_held(mine, capsys):
    diagnose.main(["mine_plain:loss", "--at", "y=2,z=3"])
    assert "6" not in capsys.readouterr().err
    diagnose.main(["mine_plain:loss", "--at", "3", "--fix", "y=2.0", "--tolerance", "0.5", "--grad", "0"])
    assert "no argument" in refused(capsys, diagnose.main, ["mine_plain:loss", "--at", "w=3"])
    assert "needs a value for z" in refused(capsys, diagnose.main, ["mine_plain:loss", "--at", "y=3"])
    assert "arguments" in refused(capsys, diagnose.main, ["mine_plain:loss", "--at", "1,2,3"])


MEANT = [
    (sweep.main, ["--function", "mine.py:loss"], "did you mean mine:loss?"),
    (sweep.main, ["--function", "mine_plain:los"], "did you mean loss?"),
    (sweep.main, ["--lable", "1"], "did you mean --label?"),
    (sweep.main, ["--form", "cancelle"], "did you mean cancelled?"),
    (sweep.main, ["--study", "sigmoid_bc"], "did you mean sigmoid_bce?"),
    (function.main, ["--function", "mine_plain:loss", "--rnge", "1", "2"], "did you mean --range?"),
    (diagnose.main, ["mine_plain:loss", "--att", "1"], "--at"),
]


@pytest.mark.parametrize(("main", "argv", "told"), MEANT, ids=lambda v: " ".join(v) if isinstance(v, list) else "")
def test_a_misspelt_name_says_what_was_meant(mine, capsys, main, argv, told):
    assert told in refused(capsys, main, argv)


def test_a_form_that_needs_optax_says_so(capsys, monkeypatch, tmp_path):
    import dataclasses

    from stability.study import sigmoid

    without = {name: form for name, form in sigmoid.STUDY.forms.items() if name != "optax"}
    monkeypatch.setattr(sweep, "_chosen_study", lambda argv: dataclasses.replace(sigmoid.STUDY, forms=without))
    assert "optax is not installed" in refused(capsys, sweep.main, ["--form", "optax", "--out", str(tmp_path / "r")])


def test_names_with_marks_of_markdown_do_not_break_the_tables(tmp_path):
    study = study_of({"a|b": jnp.exp, "<lambda>": jnp.expm1}, name="f<g>|h", reference=jnp.exp)
    outcome = study.sweep(dtypes=["float16"])
    report.write(outcome, study, {"command": "t", "seed": 0}, tmp_path / "r", False, tolerance=16.0, begun=0.0)
    text = (tmp_path / "r" / "README.md").read_text(encoding="utf-8")
    assert text.startswith("# Where f&lt;g>\\|h fails") and "`a\\|b`" in text and "`<lambda>`" in text
    for block in text.split("\n\n"):
        rows = [line.replace("\\|", "").count("|") for line in block.splitlines() if line.startswith("|")]
        assert len(set(rows)) <= 1


@pytest.mark.parametrize(
    "argv", [["--fix", "y=" + "[" * 500], ["--arg", "1", "--fix", "z=1" + "0" * 400, "--grad", "0"], ["--order", "99"]]
)
def test_numbers_that_are_too_much_are_refused(mine, capsys, argv):
    refused(capsys, sweep.main, ["--function", "mine_plain:loss", "--out", "r", *argv])


def test_a_module_that_fails_at_a_name_is_one_line(mine, capsys):
    (mine / "mine_lazy.py").write_text("def __getattr__(name): raise ImportError('no such extra')")
    assert "no such extra" in refused(capsys, diagnose.main, ["mine_lazy:f", "--at", "1"])


def test_control_characters_are_escapes(tmp_path, capsys):
    (tmp_path / "a\nb\x1b").touch()
    assert "a\\nb\\x1b: is a file" in refused(capsys, sweep.main, ["--out", str(tmp_path / "a\nb\x1b")])
    assert "-- is no value" in refused(capsys, sweep.main, ["--out=--"])


def test_the_command_knows_its_subcommands(capsys):
    assert cli.main(["--version"]) == 0 and capsys.readouterr().out.startswith("stability 0.")
    assert cli.main([]) == 0 and "diagnose" in capsys.readouterr().out
    assert cli.main(["swep"]) == 2 and "did you mean sweep?" in capsys.readouterr().err
