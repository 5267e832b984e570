"""Mutated argument lists: each ends with status 0, 2 or 130 and a line at most, and leaves no file but those asked for.

Lists are called in this process, and the jobs that take long are cut off where they begin; `diagnose` runs whole.
"""

import contextlib
import importlib
import io
import itertools
import json
import os
import random
import re
import sys
import tempfile
from pathlib import Path

import pytest

from stability import bench, cli
from stability.cli import atlas, cases, compare, completion, diagnose, examples, function, stabilize, sweep
from stability.experiment import training
from stability.study import declared
from stability.sweep.outcome import SCHEMA, Outcome

FUNCTIONS = """
import jax, jax.numpy as jnp, sys
def plain(z, y=1.0): return jnp.tanh(z) * y
def keywords(*, z): return z
def positional(z, /, *rest, **more): return z * 2
def leaves(x): raise SystemExit(3)
def interrupts(x): raise KeyboardInterrupt
def fails(x): raise RuntimeError("two\\nlines")
def silent(x): raise ValueError
def deep(x): return deep(x)
def exits(x): sys.exit("a message\\nof two lines")
def text(x): return "text"
def nothing(x): return None
def whole(x): return 1
def several(x): return x, x
def array(x): return jnp.ones(3) * x
def complexes(x): return jax.lax.complex(x, x)
def concrete(x): return x if x > 0 else -x
def none(): return 1.0
def jitted(x): return jnp.exp(x)
jitted = jax.jit(jitted)
def odd(x): return jnp.log(x)
odd.__name__ = "[/]a|b\\n<c>"
class Callable:
    def __call__(self, x): return x + 1
thing, value, kind = Callable(), 3.0, Callable
"""
MODULES = {
    "mine": FUNCTIONS,
    "mine_syntax": "def (",
    "mine_zero": "1 / 0",
    "mine_leaves": "raise SystemExit(3)",
    "mine_interrupts": "raise KeyboardInterrupt",
    "mine_silent": "raise SystemExit",
    "mine_lines": "raise RuntimeError('two\\nlines')",
    "mine_deep": "import mine_deep_too",
    "mine_deep_too": "def f(): return f()\nf()",
    "mine_getattr": "def __getattr__(name): raise SystemExit(5)",
    "mine_bytes": "\x00",
    "mine_itself": "from mine_itself import f",
    "mine-dashed": "def f(x): return x",
}
NAMES = re.findall(r"^(?:def |class )?(\w+)(?=\(|:| =)", FUNCTIONS, re.MULTILINE)


def words(text):
    return text.split(" ")


ENDS = ["", " ", *words("- -- --- = --= : a: :a a:b:c ..:f .a:f a..b:f a.:f /a/b.py:f")]
NUMBERS = words("0 1 2 -1 -0.0 0.5 16 1e400 -1e-400 inf -inf nan -nan 0x 0x1p3 -0x1p-1074 0x1p99999 1_0 ² ٣ 1,2 1,,2")
NUMBERS += ["2147483647", "2147483648", "9" * 400, "9" * 5000]
TEXTS = words("\x00 \udcff \u202e 😀 é %s%d% {} [/] [red] $(x) ~ * @file a|b <b> ` ' \" \\ \x1b[2J a\x00b")
TEXTS += ["\n", "a\nb", "\r", "\t", "\x85", "\u2028", "x" * 300, "é" * 150, "=" * 300]
PATHS = words(". .. / file file/below folder folder/new new/below/it report loop dangling /proc/self ./-")
PATHS += ["x" * 300 + "/y", "report/README.md", "file\x00", "\udcff/a"]
HOSTILE = [*ENDS, *NUMBERS, *TEXTS, *PATHS]
REFERENCES = [f"mine:{name}" for name in NAMES] + [f"{name}:f" for name in MODULES]
REFERENCES += words("math:sin jax.nn:gelu builtins:print mine mine.py:plain mine:lain mine:Callable.x os.path:sep")
HELD = words("y=2.0 y= z=1 y=nan y=[1,2] y=[ =1 y y='a' y=1j y={} é=1 y=None y=x y=-1 y=(1,(2,3)) rest=1 class=1")
HELD += ["y=" + "[" * 500, "y=1" + "0" * 400, "y=" + "-" * 9000 + "1", "y=\x00", "y=1\n", "y= 1"]
VALUES = {
    "--at": ["1", "20,1", "z=1,y=2", "1,2,3", "-1e400", "=", "z=", "z=1,z=2", ",".join("1" * 400), *HELD, *NUMBERS],
    "--case": [*cases.NAMES, "none", "all"],
    "--coordinator": ["auto", "localhost:1", "localhost", ":", "[::1]:x", "localhost:99999999"],
    "--example": [*examples.NAMES, "none", "all"],
    "--dtype": ["float16", "bfloat16", "float32", "float64", "float8", "fp32", "Float32"],
    "--fix": HELD,
    "--form": [*declared()["sigmoid_bce"].forms, "accurate", "jacobian", "cancelle"],
    "--function": [*REFERENCES, "nn.silu", "lax.add(x, 1.5)", "special.nothing"],
    "--against": [*PATHS, "one.json"],
    "--json": [*PATHS, "found.json", "folder/found.json"],
    "--mode": ["eager", "jit", "step", "fast"],
    "--out": [*PATHS, "r", "/dev/null"],
    "--range": [*NUMBERS, "1 2", "-1 1"],
    "--scheduler": ["localhost:1", "tcp://", "tcp://localhost:x", "inproc://a", "ucx://a:1"],
    "--study": [*declared(), "softmax", "sigmoid"],
}
PARSERS = {
    "sweep": sweep.parser(declared()["sigmoid_bce"]),
    "sweep --function mine:plain": function.parser(),
    "compare one.json one.json": compare.parser(),
    "diagnose mine:plain --at 1": diagnose.parser(),
    "stabilize mine:plain": stabilize.parser(),
    "cases": cases.parser(),
    "examples": examples.parser(),
    "atlas": atlas.parser(),
    "experiment": training.parser(),
    "completion bash": completion.parser(),
    **{f"bench {name}": importlib.import_module(module).parser() for name, (module, _) in bench.COMMANDS.items()},
}
OPTIONS = {begin: sorted(set(re.findall(r"(?<!\S)--?[\w-]+", p.format_help()))) for begin, p in PARSERS.items()}


def value(rng, option):
    return rng.choice(VALUES.get(option, NUMBERS) if rng.random() < 0.75 else HOSTILE)


def given(rng, option):
    """An option with a value or none, at times joined, cut short or misspelt."""
    name = option if rng.random() < 0.9 else rng.choice([option[:-1], option[:4], option + "s", option.upper()])
    if option == "--range":
        return [name, *(value(rng, option) for _ in range(rng.choice([2, 2, 2, 1, 3])))]
    if rng.random() < 0.15:
        return [f"{name}={value(rng, option)}"]
    return [name, value(rng, option)] if option in VALUES or rng.random() < 0.5 else [name]


def mutated(rng):
    """An argument list of some subcommand, its options given well and badly, then mutated."""
    begin = rng.choice(list(PARSERS))
    argv = begin.split()
    if "mine:plain" in argv and rng.random() < 0.5:
        argv[argv.index("mine:plain")] = value(rng, "--function")
    if begin == "sweep" and rng.random() < 0.3:
        argv += ["--study", rng.choice(list(declared()))]
    others = OPTIONS[rng.choice(list(PARSERS))] if rng.random() < 0.1 else OPTIONS[begin]
    for option in rng.choices(others, k=rng.randint(0, 4)):
        argv += given(rng, option)
    for _ in range(rng.choice([0, 0, 0, 1, 2])):
        at = rng.randrange(len(argv) + 1)
        change = rng.randrange(5)
        if change == 0:
            argv[at:at] = [rng.choice(HOSTILE)]
        elif change == 1 and argv:
            argv.pop(at - 1)
        elif change == 2 and argv:
            argv.append(argv[at - 1])
        elif change == 3:
            rng.shuffle(argv)
        else:
            argv[at:] = ["--", *argv[at:]]
    return argv


def tree(directory):
    """What lies below a directory: links and folders by name, files with what they hold."""
    found = {}
    for where, folders, names in os.walk(directory):
        folders[:] = [name for name in folders if name != "__pycache__"]
        for name in folders:
            found[os.path.join(where, name)] = "folder"
        for name in names:
            path = Path(where, name)
            found[str(path)] = os.readlink(path) if path.is_symlink() else path.read_bytes()
    return found


@pytest.fixture
def world(tmp_path, monkeypatch):
    """A working directory with modules, files and folders of the user's, and a directory of temporary files."""
    here, temporary = tmp_path / "here", tmp_path / "temporary"
    for folder in (here / "folder" / "below", here / "report", temporary):
        folder.mkdir(parents=True)
    for name, text in MODULES.items():
        (here / f"{name}.py").write_text(text)
    for name in ("file", "folder/thesis.pdf", "README.md"):
        (here / name).write_text("mine")
    (here / "report" / "summary.csv").write_text("study,form,dtype,label,mode,\n")
    (here / "one.json").write_text(json.dumps({"schema": SCHEMA, "manifest": {}, **Outcome((), (), {}, 0).to_json()}))
    (here / "loop").symlink_to("loop")
    (here / "dangling").symlink_to("nowhere/at/all")
    monkeypatch.chdir(here)
    monkeypatch.syspath_prepend(str(here))
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    yield tmp_path
    for name in MODULES:
        sys.modules.pop(name, None)


LONG = (
    *("stability.sweep.engine.sweep", "stability.sweep.exhaustive.outcome", "stability.cli.cases.examine"),
    *("stability.cli.examples.examine", "stability.cli.cases.map"),
    *("stability.cli.sweep.executor", "stability.cli.function.executor", "stability.cli.executors.executor"),
    *("stability.cli.sweep._start", "stability.experiment.training.experiment", "stability.bench.losses.measure"),
    *(
        "stability.bench.nn.measured",
        "stability.bench.points.ratio_by_hand",
        "stability.bench.softmax.measured",
        "stability.bench.sweep.measure",
    ),
    *("stability.cli.compare.compared", "stability.bench.page.measured", "stability.cli.atlas._measured"),
    *("stability.bench.diagnose.sums", "stability.bench.watch.measured", "stability.bench.note.stabilize"),
    *("stability.bench.stabilize.measured", "stability.bench.further.measured", "stability.cli.stabilize.stabilize"),
    "stability.cli.rewritten.stabilize",
)
"""Where the jobs begin."""


@pytest.fixture
def cut_off(monkeypatch):
    """Without the jobs, and what takes the atlas 8 s before its own."""

    def begun(*_, **__):
        raise SystemExit(0)

    for target in LONG:
        monkeypatch.setattr(target, begun, raising=not target.endswith(".map"))
    monkeypatch.setattr("stability.cli.atlas.same_programs", lambda tasks: {task: task for task in tasks})


def called(argv, monkeypatch):
    """The exit status of the command with these arguments, and what it says on standard error."""
    monkeypatch.setattr(sys, "argv", ["stability", *argv])
    monkeypatch.setattr(os, "_exit", sys.exit)
    told = io.StringIO()
    with contextlib.redirect_stderr(told), contextlib.redirect_stdout(io.StringIO()):
        try:
            cli.run()
        except SystemExit as stop:
            return stop.code or 0, told.getvalue()


def asked_for(argv):
    """The files that an argument list asks for, and the folders above them."""
    joined = [a.partition("=")[2] for a in argv if a.startswith("--json=")]
    apart = [value for option, value in itertools.pairwise(argv) if option == "--json"]
    files = [Path(os.path.abspath(name)) for name in [*joined, *apart]]
    return {str(path) for file in files for path in (file, *file.parents)}


def restore(path, held):
    """Makes a file what it was before, or nothing where there was none."""
    if isinstance(held, bytes):
        path.write_bytes(held)
    elif held is not None:
        path.unlink()
        path.symlink_to(held)
    elif path.is_dir():
        path.rmdir()
    else:
        path.unlink()


def statuses(count, seed, world, monkeypatch):
    """Calls mutated argument lists, and counts them by subcommand and status."""
    rng, found, before = random.Random(seed), {}, tree(world)
    for _ in range(count):
        argv = mutated(rng)
        status, told = called(argv, monkeypatch)
        assert status in (0, 2, 130), argv
        lines = told.count("\n")
        assert lines == 1 and told.endswith("\n") if status else lines <= 1, (argv, status, told)
        assert "Traceback" not in told and all(c.isprintable() or c == "\n" for c in told), (argv, told)
        if (after := tree(world)) != before:
            changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
            assert status == 0 and changed <= asked_for(argv), (argv, status, changed)
            for name in sorted(changed, reverse=True):
                restore(Path(name), before.get(name))
        place = argv[0] if argv and argv[0] in cli.COMMANDS else ""
        found[place, status] = found.get((place, status), 0) + 1
    return found


def test_mutated_argument_lists(world, cut_off, monkeypatch):
    found = statuses(1000, 0, world, monkeypatch)
    for command in cli.COMMANDS:
        assert found[command, 0] > 5 and found[command, 2] > 5


@pytest.mark.exhaustive
@pytest.mark.parametrize("part", range(10))
def test_100_000_mutated_argument_lists(world, cut_off, monkeypatch, part):
    assert sum(statuses(10_000, 1 + part, world, monkeypatch).values()) == 10_000
