"""`stability diagnose --rewrite`: it ends with the function near the point, rewritten, where that helps there."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stability import stabilize
from stability.cli import diagnose, rewritten
from stability.rewriting import Missing


def last_line(capsys, *argv):
    assert diagnose.main([*argv, "--rewrite"]) == 0
    return capsys.readouterr().out.splitlines()[-1]


def test_a_conjugate_is_told_beside_the_culprit(capsys, tmp_path, monkeypatch):
    (tmp_path / "mine_roots.py").write_text("import jax.numpy as jnp\ndef f(x): return jnp.sqrt(x + 1) - jnp.sqrt(x)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    told = re.fullmatch(r"rewritten: (.*)  \((\S+) → (\S+) bits\)", last_line(capsys, "mine_roots:f", "--at", "1e5"))
    assert float(told[3]) < 1 < 5 < float(told[2])
    found = eval(told[1], {"jnp": jnp, "x": np.float32(1e5)})
    assert found == pytest.approx(1 / (np.sqrt(1e5 + 1) + np.sqrt(1e5)), rel=3e-7)


def test_a_label_is_held_where_only_its_own_value_loses_digits(capsys):
    told = last_line(capsys, "stability.study.sigmoid.forms:cancelled", "--at", "20,1")
    assert told.startswith("rewritten: ")


def test_a_healthy_point_has_no_line(capsys, monkeypatch):
    monkeypatch.setattr(rewritten, "stabilize", lambda *_, **__: pytest.fail("it is healthy"))
    assert "ok" in last_line(capsys, "jax.numpy:exp", "--at", "1")


@pytest.mark.parametrize("fn", [lambda x: jnp.sort(jnp.stack([x, x]))[0], lambda x: x * 2])
def test_what_is_refused_or_not_better_has_no_line(fn):
    assert rewritten.told(fn, {"x": np.float32(3)}) is None


def test_without_egglog_the_line_is_refused(capsys, monkeypatch):
    def missing(*_, **__):
        raise Missing("stabilize needs the package egglog")

    monkeypatch.setattr(rewritten, "stabilize", missing)
    with pytest.raises(SystemExit) as stop:
        diagnose.main(["stability.study.sigmoid.forms:cancelled", "--at", "20,1", "--rewrite"])
    assert stop.value.code == 2 and "egglog" in capsys.readouterr().err


def test_arrays_are_not_rewritten(capsys):
    with pytest.raises(SystemExit) as stop:
        diagnose.main(["jax.numpy:exp", "--args", "math:pi", "--rewrite"])
    assert stop.value.code == 2 and "--rewrite goes with --at" in capsys.readouterr().err


def test_an_outcome_is_jitted_as_a_function():
    found = stabilize(lambda x: jnp.exp(x) - 1, points=16, orders=(0,))
    assert jax.jit(found)(jnp.float32(1e-9)) == np.float32(1e-9)
