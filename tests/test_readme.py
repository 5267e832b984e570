"""The README is run: every block and command of it, in order, in one directory, and what it shows is what comes out.

The commands of "Run it" are what `.ci/run` runs, in fresh environments; here the first of them is run in this one.
"""

import ast
import contextlib
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import jax
import pytest

import stability
from stability import cli
from stability.cli import atlas, cases, diagnose, function, stabilize, sweep
from stability.experiment import training
from stability.study import declared

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
LONG = re.compile(r"--exhaustive|--study|stability (?:bench|experiment|cases$)|stability\.sweep$")
INLINE = sorted(set(re.findall(r"`((?:stability \w|python -m stability)[^`|]*)`", README)))
"""Commands in the text."""


@dataclass(frozen=True)
class Block:
    """A block of code, and what a block of no language after it shows of its output."""

    language: str
    text: str
    shown: str

    @property
    def file(self):
        named = re.match(r"[#;] (\w+\.(?:py|fpcore))\n", self.text)
        return named and named[1]


def blocks(readme):
    """The blocks of code in order."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)
    following = [*found[1:], ("end", "")]
    shown = ["" if language else text for language, text in following]
    return [Block(language, text, s) for (language, text), s in zip(found, shown, strict=True) if language]


RUN_IT, *BLOCKS = blocks(README)


def executed(text, name):
    """Runs Python as an interpreter does: what it prints, and each value that a comment tells, with that comment."""
    space, told, printed = {"__name__": name}, [], io.StringIO()
    with contextlib.redirect_stdout(printed):
        for statement in ast.parse(text).body:
            if isinstance(statement, ast.Expr):
                value = eval(compile(ast.Expression(statement.value), name, "eval"), space)
                comment = text.splitlines()[statement.end_lineno - 1].partition("  # ")[2]
                told += [(str(value), comment)] if comment else []
            else:
                exec(compile(ast.Module([statement], []), name, "exec"), space)
    return printed.getvalue(), told


def missing(shown, printed):
    """The first line shown that was not printed, in that order; `…` stands for anything."""
    lines = iter(re.sub(r"^E ", "", line).strip() for line in printed.splitlines())
    for line in filter(None, map(str.strip, shown.splitlines())):
        pattern = ".*".join(re.escape(part) for part in line.split("…"))
        if not any(re.fullmatch(pattern, printed_line) for printed_line in lines):
            return line
    return None


def wrongly_told(told):
    """The values that their comments do not begin with; after a value, a colon and words may follow."""
    return [(value, comment) for value, comment in told if comment != value and not comment.startswith(f"{value}: ")]


def called(command, directory):
    """The exit status and the output of a command, by this Python."""
    first, *rest = shlex.split(command)
    argv = [sys.executable, *(["-m", "stability"] if first == "stability" else []), *rest]
    env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "COLUMNS"))}
    env |= {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(argv, cwd=directory, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.returncode, done.stdout


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """Where the blocks are run, with the files that they name."""
    where = tmp_path_factory.mktemp("readme")
    for block in BLOCKS:
        if block.file:
            (where / block.file).write_text(block.text)
    return where


def run(block, directory):
    """What a block prints, and the values that its comments tell."""
    if block.language == "scheme":
        return "", []
    if block.language == "python":
        with contextlib.chdir(directory), jax.enable_x64(False):
            return executed(block.text, block.file or "README.md")
    printed = ""
    for command in block.text.splitlines():
        status, told = called(command, directory)
        assert status == ("pytest" in command), told
        printed += told
    return printed, []


def exhaustive_where(long):
    return [pytest.mark.exhaustive] if long else []


@pytest.mark.parametrize(
    "block",
    [
        pytest.param(b, id=f"{k}-{b.language}", marks=exhaustive_where(b.language == "bash" and LONG.search(b.text)))
        for k, b in enumerate(BLOCKS)
    ],
)
def test_a_block_prints_what_is_shown(block, directory):
    printed, told = run(block, directory)
    assert missing(block.shown, printed) is None, printed
    assert not wrongly_told(told)


@pytest.mark.exhaustive
def test_the_first_command_writes_the_report(tmp_path):
    command = RUN_IT.text.splitlines()[0].rpartition("&& ")[2].replace(".venv/bin/python", "python")
    status, told = called(command, tmp_path)
    assert status == 0 and (tmp_path / "reports" / "plots" / "ladder.png").exists(), told


STEP = """
import jax.numpy as jnp

def step(w, x):
    return w - 0.1 * jnp.tanh(w * x)

arguments = jnp.float32([1, 2]), jnp.float32(3)
"""


@pytest.fixture(scope="module")
def named(tmp_path_factory):
    """Where the commands in the text are run: the files that they name are there."""
    where = tmp_path_factory.mktemp("named")
    (where / "mine.py").write_text(STEP)
    (where / "FILES").write_text(next(block.text for block in BLOCKS if block.language == "scheme"))
    status, told = called("stability sweep --form cancelled --dtype bfloat16 --mode jit", where)
    assert status == 0, told
    for name in ("BEFORE/summary.json", "AFTER/summary.json"):
        (where / name).parent.mkdir()
        shutil.copy(where / "reports" / "summary.json", where / name)
    return where


@pytest.mark.exhaustive
@pytest.mark.parametrize("command", [c for c in INLINE if c.startswith("stability")])
def test_commands_in_the_text_run(command, named):
    status, told = called(command, named)
    assert status == 0, told


@pytest.mark.parametrize("command", INLINE)
def test_commands_in_the_text_are_there(command, tmp_path, capsys):
    first, *rest = shlex.split(command)
    if first == "python":
        status, told = called(f"{command} --help", tmp_path)
    else:
        with pytest.raises(SystemExit) as stop:
            cli.main([*rest, "--help"])
        status, told = stop.value.code, capsys.readouterr().out
    assert status == 0 and "usage" in told


def test_the_subcommands_and_options_in_the_text_are_there():
    (named,) = re.findall(r"`stability (\w+(?:\|\w+)+)`", README)
    assert named.split("|") == list(cli.COMMANDS)
    parsers = (
        sweep.parser(declared()["sigmoid_bce"]),
        *(m.parser() for m in (function, diagnose, stabilize, atlas, cases, training)),
    )
    known = {"--ulp-report", "--case"} | {o for p in parsers for o in re.findall(r"--[\w-]+", p.format_help())}
    assert cases.CASES and set(re.findall(r"(?<![\w-])--[a-z][\w-]*", README)) <= known


def test_the_first_block_is_what_ci_runs():
    main, tests = RUN_IT.text.splitlines()
    assert main.endswith("-m stability.sweep") and tests.endswith("-m pytest")
    for block in BLOCKS:
        assert block.language in ("python", "bash", "scheme")


def test_the_table_has_every_public_name():
    table = README.partition("## Public names")[2].partition("\n## ")[0]
    named = re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
    assert sorted(re.findall(r"`(\w+)`", " ".join(named))) == sorted(stability.__all__)


def test_links_lead_somewhere():
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", README):
        path, _, anchor = target.partition("#")
        text = (ROOT / path).read_bytes() if path else README.encode()
        headings = re.findall(r"^#+ (.*)$", text.decode(), re.MULTILINE) if anchor else []
        assert not anchor or anchor in [re.sub(r"[^\w -]", "", h).lower().replace(" ", "-") for h in headings], target


def test_a_wrong_value_is_noticed():
    printed, told = executed("x = 2\nx + 1  # 3: three\nx - 1  # 2\nprint(x)\n", "planted")
    assert wrongly_told(told) == [("1", "2")]
    assert missing("2", printed) is None and missing("3", printed) == "3"
    assert missing("at …:3\nb", "E  at a/f.py:3\nb") is None and missing("at …:4", "E  at a/f.py:3") is not None
    assert missing("b\na", "a\nb") == "a"
    counts = next(b for b in BLOCKS if "log1p_exp {" in b.shown)
    assert missing(counts.shown.replace("49140", "49141"), counts.shown) is not None


def test_what_contributing_names_is_there():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = re.findall(r"`([\w./]+(?:\.\w+|/))`", text)
    assert len(named) > 20
    for name in named:
        assert (ROOT / name).exists() or list((ROOT / "stability").rglob(name.rstrip("/"))), name
