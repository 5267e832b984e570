"""The command: what it says of bad input, and what it never does to a user's files."""

import contextlib
import io
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax.numpy as jnp
import pytest

from stability import cli, files, report
from stability.cli import diagnose, function, sweep
from stability.report import writer
from stability.study.functions import study_of
from stability.sweep import exhaustive

QUICK = ["--form", "cancelled", "--dtype", "bfloat16", "--label", "1", "--no-plots"]


def refused(capsys, main, argv):
    """The one line on standard error of a command that ends with status 2."""
    with pytest.raises(SystemExit) as stop:
        main(argv)
    message = capsys.readouterr().err
    assert stop.value.code == 2 and message.count("\n") == 1
    return message


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    out = tmp_path_factory.mktemp("made") / "r"
    assert sweep.main([*QUICK, "--out", str(out)]) == 0
    return out


@pytest.fixture
def earlier(made, tmp_path):
    """A report, and what its files hold."""
    out = tmp_path / "r"
    out.mkdir()
    for path in made.iterdir():
        (out / path.name).write_bytes(path.read_bytes())
    return out, whole(out)


def whole(directory):
    return {str(p.relative_to(directory)): p.read_bytes() for p in directory.rglob("*") if p.is_file()}


def test_a_directory_that_is_no_report_is_refused(tmp_path, capsys, monkeypatch):
    (tmp_path / "plots" / "below").mkdir(parents=True)
    (tmp_path / "plots" / "thesis.pdf").write_text("mine")
    (tmp_path / "README.md").write_text("mine too")
    monkeypatch.chdir(tmp_path)
    before = whole(tmp_path)
    assert "no report" in refused(capsys, sweep.main, [*QUICK, "--out", "."])
    (tmp_path / "summary.json").write_text('{"results": []}')
    assert "no report" in refused(capsys, sweep.main, [*QUICK, "--out", "."])
    (tmp_path / "summary.json").unlink()
    assert whole(tmp_path) == before


def test_only_the_files_of_the_earlier_report_are_touched(earlier):
    out, _ = earlier
    (out / "plots").mkdir()
    for name in ("thesis.pdf", "errors_float32.png.bak"):
        (out / "plots" / name).write_text("mine")
    (out / "notes.txt").write_text("mine")
    assert sweep.main([*QUICK, "--out", str(out)]) == 0
    assert {p.name for p in (out / "plots").iterdir()} == {"thesis.pdf", "errors_float32.png.bak"}
    assert (out / "notes.txt").read_text() == "mine"


def test_a_report_is_known_by_its_table_alone(earlier, tmp_path):
    out, _ = earlier
    for name in ("summary.json", "index.html"):
        (out / name).unlink()
    assert report.foreign(out) is None
    (out / "summary.csv").write_text("mine,too\n1,2\n")
    assert report.foreign(out)


def test_pictures_that_are_drawn_no_more_go(tmp_path):
    out = tmp_path / "r"
    assert sweep.main([*QUICK[:-1], "--mode", "jit", "--svg", "--out", str(out)]) == 0
    assert len(list((out / "plots").iterdir())) == 8
    assert sweep.main([*QUICK, "--out", str(out)]) == 0
    assert not (out / "plots").exists()


def test_a_full_disk_leaves_the_old_report_whole(earlier, capsys, monkeypatch):
    out, before = earlier

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writer, "_text", full)
    assert "No space left" in refused(capsys, sweep.main, [*QUICK, "--out", str(out)])
    assert whole(out) == before and [p.name for p in out.parent.iterdir()] == ["r"]


def test_a_name_that_is_too_long_is_refused(tmp_path, capsys):
    assert "too long" in refused(capsys, sweep.main, [*QUICK, "--out", str(tmp_path / ("x" * 300))])


def test_a_parent_that_can_not_be_read_is_refused(tmp_path, capsys, monkeypatch):
    def forbidden(self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "exists", forbidden)
    assert "Permission denied" in (files.unwritable(tmp_path / "closed" / "r") or "")


BROKEN = [
    lambda state: state | {"streams": []},
    lambda state: state | {"next": 10**9},
    lambda state: state | {"next": -1},
    lambda state: state | {"next": 1.5},
    lambda state: state | {"next": True},
    lambda state: state | {"next": "16601"},
    lambda state: state | {"streams": state["streams"][::-1]},
    lambda state: state | {"streams": [state["streams"][0] | {"counts": [1]}, state["streams"][1]]},
    lambda state: state | {"streams": [state["streams"][0] | {"counts": "text"}, state["streams"][1]]},
    lambda state: state | {"streams": [state["streams"][0] | {"zones": [[1]]}, state["streams"][1]]},
    lambda state: state | {"streams": [state["streams"][0] | {"more": 1}, state["streams"][1]]},
    lambda state: state | {"streams": state["streams"][0]},
    lambda state: state | {"identity": None},
    lambda state: "text",
    lambda state: None,
    lambda state: [],
    lambda state: 3,
]


@pytest.fixture(scope="module")
def checkpointed(tmp_path_factory):
    from stability.study.sigmoid import STUDY

    path = tmp_path_factory.mktemp("checkpoint") / "checkpoint.json"
    options = dict(forms=["cancelled"], labels=[1.0], tolerance=16.0, span=(16600, 16602), checkpoint=path)
    exhaustive.sweep(STUDY, **options)
    return STUDY, options, path.read_text()


@pytest.mark.parametrize("broken", BROKEN)
def test_a_checkpoint_edited_by_hand_is_refused(checkpointed, broken, tmp_path):
    study, options, text = checkpointed
    path = tmp_path / "checkpoint.json"
    path.write_text(text)
    again = exhaustive.sweep(study, **(options | {"checkpoint": path, "resume": True}))
    assert sum(again[0].counts) == 2 * exhaustive.BLOCK
    path.write_text(json.dumps(broken(json.loads(text))))
    with pytest.raises(exhaustive.Refused, match="checkpoint"):
        exhaustive.sweep(study, **(options | {"checkpoint": path, "resume": True}))


def test_what_is_no_checkpoint_at_all_is_refused(checkpointed, tmp_path):
    study, options, _ = checkpointed
    (tmp_path / "deep").write_text("[" * 100_000)
    (tmp_path / "directory").mkdir()
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    for name in ("deep", "directory", "bytes"):
        with pytest.raises(exhaustive.Refused, match="is not a checkpoint"):
            exhaustive.sweep(study, **(options | {"checkpoint": tmp_path / name, "resume": True}))


SLOW = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
from stability import cli
from stability.report import tables
def slow(row):
    print("writing", flush=True)
    time.sleep(60)
tables.csv_row = slow
sys.argv = ["stability", "sweep", *sys.argv[1:]]
cli.run()
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_writing_leaves_nothing_behind(earlier, number):
    out, before = earlier
    arguments = [sys.executable, "-c", SLOW, *QUICK, "--jobs", "1", "--out", str(out)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        for line in run.stdout:
            if "writing" in line:
                break
        assert any(p.name.startswith(".report-") for p in out.iterdir())
        time.sleep(0.2)
        run.send_signal(number)
        _, told = run.communicate(timeout=60)
    assert run.returncode == 128 + number and "Traceback" not in told
    assert whole(out) == before and not any(p.name.startswith(".report-") for p in out.iterdir())


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


def test_in_a_locale_of_ascii_files_are_utf8_and_the_terminal_degrades(tmp_path):
    env = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    argv = [sys.executable, "-m", "stability.sweep", *QUICK, "--jobs", "1", "--out", str(tmp_path / "r")]
    done = subprocess.run(argv, capture_output=True, env=env, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    done.stdout.decode("ascii")
    assert "≥" in (tmp_path / "r" / "README.md").read_text(encoding="utf-8")


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


def test_the_command_knows_its_subcommands(capsys):
    assert cli.main(["--version"]) == 0 and capsys.readouterr().out.startswith("stability 0.")
    assert cli.main([]) == 0 and "diagnose" in capsys.readouterr().out
    assert cli.main(["swep"]) == 2 and "did you mean sweep?" in capsys.readouterr().err


WORDS = [
    *("--form", "cancelled", "--dtype", "bfloat16", "float32", "--label", "1", "0.5", "nan", "--mode", "jit", "eager"),
    *("--points", "64", "--tolerance", "0.4", "--exhaustive", "--search", "--resume", "--coordinator", "localhost:1"),
    *("--num-processes", "2", "--process-id", "--seed", "-1", "--no-plots", "--list", "--function", "mine_plain:loss"),
    *("mine_plain:", ":", "--grad", "0", "9", "--order", "--fix", "y=2.0", "y=", "z=1", "--range", "-inf", "inf"),
    *("1e400", "--arg", "--jobs", "0", "--scheduler", "", " ", "--", "-", "é", "\x00", "--verbose", "--svg", "--help"),
    *("--study", "softmax_ce_2", "--out", "x" * 300, "--at", "1,1", "z=1", "--json", "diagnose", "sweep", "cases"),
    *("bench", "losses", "experiment", "--case", "none", "where_sqrt", "--steps", "--rate", "1e9", "--version"),
]
BASES = [["sweep", *QUICK], ["sweep", "--function", "mine_plain:loss"], ["diagnose", "mine_plain:loss"], []]


def mutated(rng):
    base = rng.choice(
        [["sweep", *QUICK], ["sweep", "--function", "mine_plain:loss"], ["diagnose", "mine_plain:loss"], []]
    )
    argv = [*base, *rng.choices(WORDS, k=rng.randint(0, 5))]
    rng.random() < 0.3 and argv and argv.pop(rng.randrange(len(argv)))
    rng.random() < 0.2 and rng.shuffle(argv)
    return argv


class Reached(Exception):
    """A job that would have begun."""


def statuses(count, seed, monkeypatch, directory):
    """The exit statuses of mutated argument lists; the jobs themselves are cut off where they begin."""

    def reached(*_, **__):
        raise SystemExit(0)

    for target in ("stability.sweep.engine.sweep", "stability.sweep.exhaustive.outcome", "stability.cases.examine"):
        monkeypatch.setattr(target, reached)
    for target in ("cli.sweep.executor", "cli.function.executor", "cli.executors.executor", "cli.sweep._start"):
        monkeypatch.setattr(f"stability.{target}", reached)
    for target in ("cli.diagnose.diagnose", "experiment.training.experiment"):
        monkeypatch.setattr(f"stability.{target}", reached)
    rng, found = random.Random(seed), {}
    for _ in range(count):
        argv = mutated(rng)
        if "bench" in argv[:1]:
            continue
        told = io.StringIO()
        with contextlib.redirect_stderr(told), contextlib.redirect_stdout(io.StringIO()):
            try:
                status = cli.main(argv)
            except SystemExit as stop:
                status = stop.code
        assert status in (0, 2, 130), argv
        assert status != 2 or told.getvalue().count("\n") == 1, (argv, told.getvalue())
        found[status] = found.get(status, 0) + 1
    return found


def test_mutated_arguments_end_in_a_status_and_leave_no_file(mine, monkeypatch):
    before = sorted(mine.rglob("*"))
    found = statuses(600, 0, monkeypatch, mine)
    assert min(found.values()) > 20 and sum(found.values()) > 500
    assert [p for p in sorted(mine.rglob("*")) if "__pycache__" not in str(p)] == before


@pytest.mark.exhaustive
def test_100_000_mutated_arguments(mine, monkeypatch):
    before = sorted(mine.rglob("*"))
    statuses(100_000, 1, monkeypatch, mine)
    assert [p for p in sorted(mine.rglob("*")) if "__pycache__" not in str(p)] == before
