"""The public names are documented: every argument a bullet, and examples that run and assert."""

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import stability
from stability.sweep import engine

BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MODULES = ("nn", "testing")
CLASSES = ("Diagnosis", "Outcome", "Study")


def public():
    """Every public function and class by its dotted name."""
    found = {name: getattr(stability, name) for name in stability.__all__ if name not in MODULES}
    return found | {
        f"{m}.{n}": getattr(getattr(stability, m), n) for m in MODULES for n in getattr(stability, m).__all__
    }


def methods():
    """Every public method by its dotted name."""
    found = {f"{name}.{n}": m for name in CLASSES for n, m in vars(getattr(stability, name)).items() if n[0] != "_"}
    found = {name: getattr(m, "__func__", m) for name, m in found.items()}
    return {name: m for name, m in found.items() if inspect.isfunction(m)}


PUBLIC = public()
FUNCTIONS = {name: thing for name, thing in PUBLIC.items() if inspect.isfunction(thing)} | methods()


def undescribed(text, arguments):
    """The arguments that no bullet of a docstring begins with."""
    bullets = re.findall(r"^- ((?:`\*{0,2}\w+`(?:, )?)+)", text.partition("**Arguments:**")[2], re.MULTILINE)
    told = re.findall(r"\w+", " ".join(bullets))
    return [a for a in arguments if a not in told]


def run(text, name):
    """Executes the examples of a text, each by itself, and counts the lines that assert."""
    blocks = BLOCK.findall(text)
    for block in blocks:
        exec(compile(block, f"<{name}>", "exec"), {"__name__": name})
    return len(re.findall(r"^ *(?:assert|with pytest.raises)", "".join(blocks), re.MULTILINE))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_argument_is_a_bullet_and_the_result_is_told(name):
    text, signature = inspect.getdoc(FUNCTIONS[name]), inspect.signature(FUNCTIONS[name])
    assert not undescribed(text, [a for a in signature.parameters if a not in ("self", "cls")])
    assert signature.return_annotation == "None" or "**Returns:**" in text


def test_the_options_of_a_sweep_are_told():
    options = [a for a in inspect.signature(engine.sweep).parameters if a != "source"]
    assert len(options) > 10 and not undescribed(inspect.getdoc(stability.Study.sweep), options)


@pytest.mark.parametrize("name", CLASSES)
def test_every_attribute_is_told(name):
    told = inspect.getdoc(PUBLIC[name]).partition("**Attributes:**")[2]
    assert not [a for a in inspect.signature(PUBLIC[name]).parameters if not re.search(rf"`{a}\b", told)]


@pytest.mark.parametrize("name", [*PUBLIC, "Study.sweep"])
def test_every_public_name_has_an_example_that_runs_and_asserts(name):
    assert run(inspect.getdoc((PUBLIC | FUNCTIONS)[name]), name) > 0


def test_a_wrong_value_and_a_missing_bullet_are_noticed():
    text = inspect.getdoc(stability.true_value)
    wrong = re.sub(r"== 1$", "== 2", text, flags=re.MULTILINE)
    assert wrong != text
    with pytest.raises(AssertionError):
        run(wrong, "planted")
    assert undescribed(text, ["fn", "precision"]) == ["precision"]


def test_every_public_name_is_type_checked():
    text = (Path(__file__).parent.parent / ".ci" / "public_names.py").read_text()
    imported = [n for n in ast.parse(text).body if isinstance(n, ast.ImportFrom) and n.module == "stability"]
    assert sorted(alias.name for alias in imported[0].names) == sorted(stability.__all__)


def test_shapes_in_annotations_cost_nothing_at_run_time():
    code = "import sys\nfrom stability import *\nprint('jaxtyping' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("name", [name for name, thing in PUBLIC.items() if inspect.isfunction(thing)])
def test_shapes_in_annotations_are_those_of_jaxtyping(name):
    jaxtyping = pytest.importorskip("jaxtyping")
    function = PUBLIC[name]
    assert {*inspect.signature(function).parameters, "return"} == {*function.__annotations__}
    for annotation in function.__annotations__.values():
        eval(annotation, function.__globals__ | vars(jaxtyping) | {"PyTree": jaxtyping.PyTree})
    told = " ".join(function.__annotations__.values())
    assert re.search(r"\b(Float|Shaped)\[", told)
    assert "entropy" not in name or "Float[Array, '*" in function.__annotations__["return"].replace('"', "'")
