"""What the command never does to a user's files, and how it ends where it can't go on."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax.numpy as jnp
import pytest
from commands import QUICK, refused

from stability import files, report
from stability.cli import cases, diagnose, sweep
from stability.cli.executors import NoExecutor, executor
from stability.experiment import training
from stability.report import writer
from stability.sweep import exhaustive


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


@pytest.mark.parametrize(
    ("main", "argv", "write"),
    [
        (cases.main, ["--case", "where_sqrt"], "stability.cli.cases.write_json"),
        (training.main, ["--steps", "3"], "stability.experiment.training.draw"),
        (diagnose.main, ["math:exp", "--at", "1", "--json", "r"], "stability.cli.diagnose.write_json"),
    ],
)
def test_a_full_disk_is_one_line(tmp_path, capsys, monkeypatch, main, argv, write):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(write, full)
    monkeypatch.setattr("stability.cli.diagnose.load", lambda reference: jnp.exp)
    out = [] if "--json" in argv else ["--out", "r"]
    assert "No space left" in refused(capsys, main, [*argv, *out])
    assert not whole(tmp_path)


@pytest.mark.parametrize(("main", "name"), [(cases.main, "README.md"), (training.main, "losses.png")])
def test_a_page_of_the_user_is_not_replaced(tmp_path, capsys, main, name):
    (tmp_path / name).write_text("mine")
    assert "is not of an earlier run" in refused(capsys, main, ["--out", str(tmp_path)])
    assert whole(tmp_path) == {name: b"mine"}


def test_what_is_no_file_is_written_to_and_stays(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    files.write_json(pipe, {"a": 1})
    assert json.loads(os.read(reader, 100)) == {"a": 1} and pipe.is_fifo()
    os.close(reader)


@pytest.mark.parametrize("name", ["x" * 300, "x" * 300 + "/r", "a\0b"])
@pytest.mark.parametrize("main", [sweep.main, cases.main, training.main])
def test_a_name_that_no_file_can_have_is_refused(tmp_path, capsys, main, name):
    assert "--out" in refused(capsys, main, ["--out", str(tmp_path / name)])


def bounded(*argv, **options):
    """A command as a user runs it, to whom a directory without permission is closed (it is not to root)."""
    if os.geteuid() == 0:
        argv = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", *argv]
    return subprocess.run(argv, capture_output=True, text=True, **options)


@pytest.mark.skipif(os.geteuid() == 0 and not shutil.which("setpriv"), reason="root reads every directory")
def test_a_directory_that_is_closed_is_refused(tmp_path):
    closed = tmp_path / "closed"
    (closed / "below").mkdir(parents=True)
    closed.chmod(0)
    command = [sys.executable, "-m", "stability"]
    json_option = ["diagnose", "stability.study.sigmoid.forms:cancelled", "--at", "20,1", "--json", "closed/found.json"]
    for argv in (["sweep", "--out", "closed/below/r"], ["sweep", "--out", "closed"], json_option):
        done = bounded(*command, *argv, cwd=tmp_path)
        assert done.returncode == 2 and done.stderr.count("\n") == 1 and "Permission denied" in done.stderr
    closed.chmod(0o700)
    assert list(closed.iterdir()) == [closed / "below"]


@pytest.mark.parametrize(("name", "told"), [("plots", "is a file"), ("index.html", "is a directory")])
def test_a_name_of_the_report_that_is_taken_leaves_the_old_one_whole(earlier, capsys, name, told):
    out, before = earlier
    if name in before:
        (out / name).unlink()
        (out / name).mkdir()
    else:
        (out / name).write_text("mine")
    before = whole(out)
    assert f"{out / name}: {told}" in refused(capsys, sweep.main, [*QUICK[:-1], "--mode", "jit", "--out", str(out)])
    assert whole(out) == before


@pytest.mark.skipif(os.geteuid() == 0 and not shutil.which("setpriv"), reason="root writes into every directory")
def test_a_directory_of_pictures_that_is_closed_leaves_the_old_report_whole(earlier):
    out, before = earlier
    (out / "plots").mkdir(mode=0o500)
    done = bounded(sys.executable, "-m", "stability", "sweep", *QUICK[:-1], "--mode", "jit", "--out", str(out))
    assert (
        done.returncode == 2 and done.stderr.count("\n") == 1 and f"{out / 'plots'}: Permission denied" in done.stderr
    )
    assert whole(out) == before


def into(target, argv):
    """The status and the errors of a command whose output goes to a shell's `target`."""
    command = f"{shlex.quote(sys.executable)} -m stability {argv} {target}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    return done.stdout.strip() or done.returncode, done.stderr


@pytest.mark.parametrize("argv", ["--version", "--help", "sweep --list"])
def test_an_output_that_nobody_reads_is_no_failure(argv):
    assert into("| true; echo ${PIPESTATUS[0]}", argv) == ("0", "")


def test_the_report_is_written_though_nobody_reads_the_output(tmp_path):
    argv = f"sweep {' '.join(QUICK)} --mode jit --out {tmp_path}/r"
    assert into("| true; echo ${PIPESTATUS[0]}", argv) == ("0", "")
    assert (tmp_path / "r" / "summary.json").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_an_output_that_is_full_is_one_line():
    status, told = into("> /dev/full", "--version")
    assert status == 2 and told == "stability: the output: No space left on device\n"


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


def test_a_process_that_is_ended_from_outside_is_one_line():
    with pytest.raises(NoExecutor, match="--jobs 2"), executor(2, None, few=False) as pool:
        pool.submit(os._exit, 1).result()


def test_in_a_locale_of_ascii_files_are_utf8_and_the_terminal_degrades(tmp_path):
    env = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    argv = [sys.executable, "-m", "stability.sweep", *QUICK, "--jobs", "1", "--out", str(tmp_path / "r")]
    done = subprocess.run(argv, capture_output=True, env=env, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    done.stdout.decode("ascii")
    assert "≥" in (tmp_path / "r" / "README.md").read_text(encoding="utf-8")


def test_in_a_locale_of_ascii_a_function_has_its_name(tmp_path):
    (tmp_path / "mine_named.py").write_text("def größe(x): return x * x\n", encoding="utf-8")
    env = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    argv = [sys.executable, "-m", "stability", "diagnose", "mine_named:größe".encode(), "--at", "1"]
    assert subprocess.run(argv, capture_output=True, env=env, cwd=tmp_path).returncode == 0


def test_a_name_that_is_no_utf8_is_an_escape_in_the_report(tmp_path):
    out = tmp_path / os.fsdecode(b"\xff")
    assert sweep.main([*QUICK, "--mode", "jit", "--out", str(out)]) == 0
    assert "\\udcff" in (out / "README.md").read_text(encoding="utf-8")
