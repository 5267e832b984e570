"""The list of primitives that JAX has and the instrument lacks, and its comparison with the stated one."""

from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from stability.environment import TESTED, numbers, untested
from stability.upkeep import primitives
from stability.upkeep.primitives import available, difference, main, missing, registered, stated

LIST = Path(__file__).parents[1] / ".ci" / "primitives.txt"


def test_what_this_release_lacks_is_what_is_stated(capsys):
    assert main(["--check", str(LIST)]) == 0
    assert jax.__version__ in capsys.readouterr().out


def test_ordinary_functions_are_of_primitives_that_are_public():
    def names(jaxpr):
        for eqn in jaxpr.eqns:
            yield eqn.primitive.name

    jaxpr = jax.make_jaxpr(lambda x: jnp.tanh(x) + jax.lax.erf(x) @ jnp.cumsum(x) - jnp.sort(x))(jnp.ones(3))
    assert set(names(jaxpr)) <= available() | {"pjit"}
    assert {"add", "tanh", "dot_general", "scan", "while", "cond"} <= registered() & available()
    assert missing() == available() - registered()


def test_a_primitive_that_is_new_is_told_and_fails(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(primitives, "available", lambda: available() | {"brand_new"})
    assert main(["--check", str(LIST)]) == 1
    assert capsys.readouterr().out.splitlines()[1:] == ["+ brand_new"]
    assert main([]) == 0
    assert "brand_new" in capsys.readouterr().out.splitlines()


def test_a_primitive_that_has_a_rule_by_now_is_told_and_fails(tmp_path, capsys):
    longer = tmp_path / "list.txt"
    longer.write_text(LIST.read_text() + "add\n")
    assert main(["--check", str(longer)]) == 1
    assert capsys.readouterr().out.splitlines()[1:] == ["- add"]


def test_a_stated_list_knows_releases():
    text = "# a comment\nalways\n\nold before 0.11.1\nnew since 0.11.2 # why\nshort since 0.10.1 before 0.12\n"
    assert stated(text, "0.10.0") == {"always", "old"}
    assert stated(text, "0.11.0") == {"always", "old", "short"}
    assert stated(text, "0.11.1") == {"always", "short"}
    assert stated(text, "0.12.0.1") == {"always", "new"}
    assert difference({"a", "b"}, {"b", "c"}) == ["+ a", "- c"]


@pytest.mark.parametrize(
    "text", ["add since", "add after 0.10", "add 0.10", "add since now", "add since 0.1 since 0.2"]
)
def test_a_list_that_cannot_be_read_is_one_line_and_status_2(tmp_path, capsys, text):
    bad = tmp_path / "list.txt"
    bad.write_text(text)
    for file in (bad, tmp_path / "none.txt"):
        with pytest.raises(SystemExit) as stop:
            main(["--check", str(file)])
        assert stop.value.code == 2 and capsys.readouterr().err.count("\n") == 1


def test_a_release_outside_the_tested_ones_is_warned_of_in_one_line():
    for release in ("0.10.0", "0.11.2", "0.12.0.1", *TESTED):
        assert untested(release) is None
    assert "newer" in untested("0.13.0.dev20270101") and "0.13.0.dev" in untested("0.13.0.dev20270101")
    assert "newer" in untested("1.0") and "older" in untested("0.9.2")
    assert numbers("0.12.0.1") == (0, 12, 0, 1) and numbers("0.13.0.dev1") == (0, 13, 0)
    assert "\n" not in untested("0.13.0")


def test_the_releases_of_the_workflow_are_the_tested_ones():
    first, last = TESTED
    files = {name: (Path(__file__).parents[1] / ".ci" / f"{name}.txt").read_text() for name in ("oldest", "newest")}
    after = ".".join(map(str, (numbers(last)[0], numbers(last)[1] + 1)))
    assert files == {"oldest": f"jax=={first}.0\njaxlib=={first}.0\n", "newest": f"jax<{after}\njaxlib<{after}\n"}
