"""`stabilize(exhaustive=True)`: what is told of every float32 is what measuring each of them finds."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stability import real, stabilize
from stability.bench import note
from stability.cli import stabilize as command
from stability.formats import FORMATS, from_ordinal, to_ordinal
from stability.measure import KINDS, LOST_KINDS, classify, true_is_normal
from stability.rewriting.comparison import worse_at
from stability.rewriting.everywhere import TOLERANCE, everywhere, swept_of
from stability.rewriting.notation import term
from stability.rewriting.problems import Problem
from stability.rewriting.programs import term_of
from stability.rewriting.sample import bits_of_error
from stability.study.sigmoid import forms

F32 = FORMATS["float32"]


def roots(x):
    return jnp.sqrt(x + 1) - jnp.sqrt(x)


def conjugate(x):
    return 1 / (jnp.sqrt(x + 1) + jnp.sqrt(x))


def told(given, stable, domain, orders=(0,), equal=(), names=("x",)):
    problem = Problem(term_of(given, names, F32), names, F32, domain, 0)
    return list(everywhere(problem, swept_of(problem), given, stable, equal, orders))


def one_by_one(given, stable, low, high):
    """The counts of failures of both, their worst errors, and at how many floats the second is worse."""
    z = from_ordinal(np.arange(to_ordinal(np.float32(low)), to_ordinal(np.float32(high)) + 1), F32)
    truth, results = real.truth(given, z, fmt=F32), [np.asarray(jax.jit(jax.vmap(f))(z)) for f in (given, stable)]
    assert true_is_normal(truth).all()
    measured = [classify(r, truth, TOLERANCE) for r in results]
    counts = [
        {KINDS[k]: n for k, n in enumerate(np.bincount(kinds)) if n and KINDS[k] in LOST_KINDS} for kinds, _ in measured
    ]
    bits = [bits_of_error(r, truth.rounded.astype(np.float32)) for r in results]
    return len(z), counts, [float(ulps.max()) for _, ulps in measured], len(worse_at(*bits))


@pytest.mark.parametrize("given, stable", [(roots, conjugate), (conjugate, roots)])
def test_what_is_told_is_what_each_float_gives(given, stable):
    low, high = 1000.1, 1000.7
    (found,) = told(given, stable, {"x": (low, high)})
    floats, counts, worst, worse = one_by_one(given, stable, low, high)
    assert (found.floats, found.worse) == (floats, worse)
    assert [found.before.counts, found.after.counts] == counts
    assert [found.before.worst, found.after.worst] == pytest.approx(worst, rel=1e-6)
    assert (worse > 1000) == (stable is roots)


def test_each_held_value_and_the_derivative_are_told():
    domain = {"labels": [0.0, 1.0], "logits": (-0.501, -0.5)}
    names = ("logits", "labels")
    found = told(forms.chain_combined, forms.componentwise, domain, (0, 1), (), names)
    whats = ["labels = 0", "labels = 1", "d/dlogits, labels = 0", "d/dlogits, labels = 1"]
    assert [e.what for e in found] == [f"every float32, {what}" for what in whats]
    assert {e.floats for e in found} == {16778} and all(e.after.total == 0 and e.before.worst > 0 for e in found)


def test_where_balls_lose_the_given_program_an_equal_term_tells_the_truth():
    """`1 - a` is 0 to 320 bits there, and `a - y`, which is not divided by it, has a value all the same."""
    domain, names = {"labels": [0.0], "logits": (250.0, 270.0)}, ("logits", "labels")
    (hidden,) = told(forms.chain_split, forms.componentwise, domain, (0,), (), names)
    (found,) = told(forms.chain_split, forms.componentwise, domain, (0,), [term("logistic(logits) - labels")], names)
    assert "no Taylor model" in str(hidden)
    assert found.before.counts == {"nan": found.floats} and found.after.total == 0


def test_where_the_given_function_has_no_value_an_equal_term_has_none():
    (found,) = told(lambda x: jnp.sqrt(x) * jnp.sqrt(x), jnp.abs, {"x": (-1.01, -1.0)}, (0,), [term("x")])
    assert found.floats == 0 and found.before.total == found.after.total == 0


@pytest.mark.parametrize(
    "names, domain, dtype, line",
    [
        (("x",), {}, "float64", "float32 alone, not in float64"),
        (("x", "y"), {}, "float32", "free are x, y, with a list none"),
        (("x",), {"x": [0.0]}, "float32", "free are none, with a list x"),
        (("x", "y", "z"), {"y": [0.0], "z": [1.0]}, "float32", "with a list y, z"),
    ],
)
def test_what_has_too_many_floats_is_refused(names, domain, dtype, line):
    with pytest.raises(ValueError, match=line):
        swept_of(Problem(term("x"), names, FORMATS[dtype], domain, 0))


def test_the_command_refuses_in_a_line(capsys):
    with pytest.raises(SystemExit) as stop:
        command.main(["jax.numpy:hypot", "--exhaustive"])
    assert (
        stop.value.code == 2 and "one argument that is a number, beside one that has a list" in capsys.readouterr().err
    )


def test_the_outcome_and_its_line_are_the_measured_ones():
    found = stabilize(roots, points=24, domain={"x": (1000.1, 1000.7)}, orders=(0,), exhaustive=True)
    (line,) = found.everywhere
    assert line.after.total == 0 < line.before.total and f"every float32: {line}" in str(found)
    row = note.row_of("roots", found, 1.0)
    assert note.holds(row) and row["after"]["max_ulp"] == line.after.worst and not row["a_minus_y"]
