"""The house: rooms stand in one order, no import runs upwards, and no room reaches into another's private names."""

import ast
import importlib
from pathlib import Path

import pytest

import stability

PACKAGE = Path(stability.__file__).parent
FLOORS = (
    *("formats", "double_word", "files", "environment", "losses", "nn"),
    *("truth", "real", "measure", "study", "sweep", "diagnosis"),
    *("rewriting", "report", "watching", "testing", "plugin"),
    *("cases", "examples", "atlas", "cli", "experiment", "bench", "upkeep"),
)
"""From the ground up: a room imports from those before it, and from itself."""

DOORS = {("study", "sweep"): "`Study.sweep` hands itself up", ("sweep", "cli"): "`python -m stability.sweep`"}
FILES = sorted(path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE or not path.name.startswith("__"))


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imports(path: Path) -> list[tuple[str, str]]:
    """The modules of the package that a file imports from, dotted below it, and the names, `TYPE_CHECKING` and all."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "stability":
            below = (node.module or "").partition(".")[2]
            found += [(below, alias.name) if below else (alias.name, "") for alias in node.names]
        elif isinstance(node, ast.Import):
            found += [(a.name.partition(".")[2], "") for a in node.names if a.name.startswith("stability.")]
    return found


def test_every_room_has_its_floor():
    assert {room_of(path) for path in FILES} == set(FLOORS)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_no_import_runs_upwards_or_into_private_names(path):
    room = room_of(path)
    for module, name in imports(path):
        other = module.partition(".")[0]
        if (room, other) not in DOORS:
            assert FLOORS.index(other) <= FLOORS.index(room), f"{room} imports {module}"
        if other != room:
            private = [part for part in [*module.split("."), name] if part.startswith("_") and part != "__path__"]
            assert not private, f"{room} reaches into {module} {name}"


def test_the_order_is_seen_by_this_test():
    """A planted import upwards, and one of a private name, are found."""
    planted = "from stability.cli import options\nfrom stability.real.values import x\nimport stability.sweep.rows\n"
    file = PACKAGE / "formats.py"
    text = file.read_text()
    tree = ast.parse(planted + text)
    assert sum(isinstance(n, ast.ImportFrom) and (n.module or "").startswith("stability") for n in ast.walk(tree)) == 2
    assert FLOORS.index("cli") > FLOORS.index("formats")


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_no_file_is_over_400_lines(path):
    assert len(path.read_text().splitlines()) <= 400


@pytest.mark.parametrize("name", stability.__all__)
def test_every_public_name_is_there_and_documented(name):
    found = getattr(stability, name)
    assert found.__doc__ and name in dir(stability)
    if name not in ("nn", "testing"):
        assert callable(found) and not isinstance(found, type(importlib))


def test_importing_the_package_loads_nothing():
    import subprocess
    import sys

    code = "import sys, stability; print(any(m.partition('.')[0] in ('jax', 'numpy', 'flint') for m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
