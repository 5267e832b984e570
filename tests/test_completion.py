"""Shell completion: what a real bash offers for a line that is begun."""

import shlex
import shutil
import subprocess
import sys

import pytest

from stability import cli
from stability.cases import CASES
from stability.cli import completion
from stability.formats import FORMATS
from stability.study import declared

needs = pytest.mark.skipif(not shutil.which("bash"), reason="there is no bash")


@pytest.fixture(scope="module")
def script():
    pytest.importorskip("shtab")
    argv = [sys.executable, "-m", "stability", "completion", "bash"]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


def offered(script, line, directory=None):
    """The words that bash completes the last word of a line to, by the function that it has for the command."""
    words = line.split(" ")
    ask = (
        'eval "$1"; set -- $(complete -p stability); function=${@: -2:1};'
        f"COMP_WORDS=({shlex.join(words)}); COMP_CWORD={len(words) - 1};"
        '$function stability "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}";'
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    argv = ["bash", "--norc", "--noprofile", "-c", ask, "bash", script]
    done = subprocess.run(argv, capture_output=True, text=True, cwd=directory, check=True)
    assert not done.stderr
    return set(filter(None, done.stdout.split("\n")))


LINES = {
    "stability ": {*cli.COMMANDS},
    "stability d": {"diagnose"},
    "stability sweep --dt": {"--dtype"},
    "stability sweep --form ca": {"cancelled"},
    "stability sweep --form acc": {"accurate"},
    "stability sweep --study ": {*declared()},
    "stability sweep --label 1 --dtype ": {*FORMATS},
    "stability sweep --dtype float16 --mode j": {"jit"},
    "stability sweep --gr": {"--grad"},
    "stability sweep --la": {"--label"},
    "stability diagnose mine:loss --t": {"--tolerance"},
    "stability diagnose --dtype bf": {"bfloat16"},
    "stability cases --case where_": {case.name for case in CASES if case.name.startswith("where_")},
    "stability experiment --st": {"--steps"},
    "stability bench so": {"softmax"},
    "stability bench losses --le": {"--least"},
    "stability completion b": {"bash"},
}


@needs
@pytest.mark.parametrize("line", LINES)
def test_bash_offers_the_words_that_may_follow(script, line):
    assert offered(script, line) == LINES[line]


@needs
def test_bash_offers_files_and_directories(script, tmp_path):
    (tmp_path / "found.json").touch()
    (tmp_path / "folder").mkdir()
    assert offered(script, "stability diagnose --json fo", tmp_path) == {"found.json", "folder"}
    for command in ("sweep", "cases", "experiment", "bench sweep"):
        assert offered(script, f"stability {command} --out fo", tmp_path) == {"folder"}


def test_every_shell_has_a_script(capsys):
    pytest.importorskip("shtab")
    for shell in ("bash", "zsh", "tcsh"):
        assert completion.main([shell]) == 0
        assert "bfloat16" in capsys.readouterr().out


def test_without_the_extra_it_is_one_line(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "shtab", None)
    with pytest.raises(SystemExit) as stop:
        cli.main(["completion", "bash"])
    told = capsys.readouterr().err
    assert stop.value.code == 2 and told.count("\n") == 1 and "the extra `completion` brings it" in told


def test_an_unknown_shell_is_refused(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["completion", "bsh"])
    assert stop.value.code == 2 and "did you mean bash?" in capsys.readouterr().err
