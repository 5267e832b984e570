"""`stabilize`: functions in, functions that keep their digits out, with what was found on the way."""

import builtins
import itertools
import json
from fractions import Fraction
from pathlib import Path

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

from stability import stabilize, true_value
from stability.bench import stabilize as bench
from stability.formats import FORMATS
from stability.rewriting import Missing, Unsupported, saturation
from stability.rewriting.measuring import in_jax, under_jit
from stability.rewriting.notation import term
from stability.rewriting.plain import plain
from stability.rewriting.problems import Problem
from stability.rewriting.programs import term_of
from stability.rewriting.rational import rational_forms
from stability.rewriting.sample import Reals, bits_of_error, flat
from stability.rewriting.series import Expansion
from stability.rewriting.slopes import derivative
from stability.rewriting.steps import chain
from stability.rewriting.terms import in_floats, variables
from stability.study.sigmoid import forms

F32, F64 = FORMATS["float32"], FORMATS["float64"]
HAMMING = Path(__file__).parents[2] / "shared" / "hamming-28.json"
LABELS = {"labels": [0.0, 1.0]}


def difference_of_roots(x):
    return jnp.sqrt(x + 1) - jnp.sqrt(x)


def softplus(x):
    return jnp.log(1 + jnp.exp(x))


def cosine_quotient(x):
    return (1 - jnp.cos(x)) / x**2


@pytest.mark.parametrize("name", ["chain_split", "chain_expanded", "autodiff", "autodiff_textbook", "logits"])
def test_a_form_as_a_term_is_the_form(name):
    form = forms.FORMS[name]
    z = np.linspace(-5, 5, 41)
    for y in (0.0, 0.25, 1.0):
        expected = jax.jit(jax.vmap(lambda x, y=y: form(x, jnp.float64(y))))(z)
        columns = {"z": z, "y": np.full_like(z, y)}
        found = in_floats(term_of(form, ["z", "y"], F64), columns)
        np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("fn", [lambda x: jnp.ones(3) * x, lambda x: jax.lax.while_loop(lambda y: y < 9, jnp.exp, x)])
def test_what_is_no_function_of_scalars_is_refused(fn):
    with pytest.raises(Unsupported):
        stabilize(fn)


def test_a_branch_is_a_choice():
    found = term_of(lambda x: jax.lax.cond(x > 0, jnp.sin, jnp.cos, x), ["x"], F32)
    assert str(found) == "select(gt(x, 0), sin(x), cos(x))"
    repeated = term_of(lambda x: jax.lax.fori_loop(0, 2, lambda i, y: y * x, x), ["x"], F32)
    assert str(repeated) == "x * x * x"


def test_terms_with_the_same_parts_are_one_object():
    assert term("log(1 + x) / x") is term("log(1 + x) / x")
    assert term("1 - x * (y + 2)") is term(str(term("1 - x * (y + 2)")))


@pytest.mark.parametrize("text", ["exp(x) - 1", "atan2(x, 1 + x)", "(x + 1) ** (1/3)", "x ** 5 / (1 - x)", "tan(x)"])
def test_the_search_computes_what_jit_computes(text):
    one = term(text)
    points = Problem(one, tuple(variables(one)), F32, {"x": (0.01, 8.0)}, 0).sample(200)
    numpy, compiled = in_floats(one, points.columns), under_jit([one], points, F32)[0]
    assert np.abs(bits_of_error(numpy, points.truth) - bits_of_error(compiled, points.truth)).mean() < 1


def test_fractions_have_one_form():
    forms_ = rational_forms(term("(1 / (x + 1) - 2 / x) + 1 / (x - 1)"))
    assert term("2 / ((x * (x - 1)) * (x + 1))") in forms_


@pytest.mark.parametrize(
    "text, function",
    [
        ("(x - sin(x)) / (x - tan(x))", lambda x: (x - mpmath.sin(x)) / (x - mpmath.tan(x))),
        ("1 / x - 1 / tan(x)", lambda x: 1 / x - mpmath.cot(x)),
        ("(exp(x) - 1) / x", lambda x: mpmath.expm1(x) / x),
        ("log1p(x) / (1 + x)", lambda x: mpmath.log1p(x) / (1 + x)),
        ("atan(x) + asinh(x) * erf(x)", lambda x: mpmath.atan(x) + mpmath.asinh(x) * mpmath.erf(x)),
        ("sqrt(1 + x) * cbrt(1 - x)", lambda x: mpmath.sqrt(1 + x) * mpmath.cbrt(1 - x)),
    ],
)
def test_a_series_has_the_coefficients_of_taylor(text, function):
    found = Expansion("x", False, 1, 12).of(plain(term(text)))
    x = mpmath.mpf("0.01")
    with mpmath.workdps(40):
        total = sum(number(c) * x ** (found.start + i) for i, c in enumerate(found.c[:8]))
        assert abs(total - function(x)) < 1e-13 * abs(function(x))


def number(quotient):
    value = quotient.value()
    if value is not None:
        return mpmath.mpf(value.numerator) / value.denominator
    ball = flat(next(iter(Reals(Problem(term("x"), ("x",), F64, {"x": (1.0, 1.0)}, 0).sample(1)).of(quotient.term()))))
    return mpmath.mpf(str(ball.mid().str(30, radius=False)))


@pytest.mark.parametrize(
    "text", ["sin(x) * exp(x * y)", "x ** y / log1p(x)", "hypot(x, y) - atan2(x, y)", "logistic(x - y)"]
)
def test_a_derivative_is_that_of_jax(text):
    one = term(text)
    columns = {"x": np.array([0.5, 1.5, 2.0]), "y": np.array([0.3, 0.7, 1.1])}

    def fn(x, y):
        return in_jax(one, {"x": x, "y": y}, {})

    for i, name in enumerate("xy"):
        expected = jax.vmap(jax.grad(fn, argnums=i))(*columns.values())
        np.testing.assert_allclose(in_floats(derivative(one, name), columns), expected, rtol=1e-12)


def test_a_chain_of_rules_leads_from_the_note_to_the_componentwise_form():
    given = term("(-y / logistic(z) + (1 - y) / (1 - logistic(z))) * (logistic(z) * (1 - logistic(z)))")
    last = term("(1 - y) * logistic(z) - y * logistic(-z)")
    reals = Reals(Problem(given, tuple(variables(given)), F32, {"y": [0.0, 1.0]}, 0).sample(20))
    links = chain(given, term("logistic(z) - y"), reals) + chain(term("logistic(z) - y"), last, reals)[1:]
    assert [str(t) for t, _ in links][1:] == ["logistic(z) - y", str(last)]
    assert "algebra" in links[1][1] and "sigmoid" in links[2][1]


def test_no_chain_leads_to_what_is_not_equal():
    reals = Reals(Problem(term("x"), ("x",), F32, {}, 0).sample(10))
    assert chain(term("sqrt(x * x)"), term("x"), reals) is None


def test_the_conjugate_is_found_and_keeps_its_digits():
    found = stabilize(difference_of_roots, points=32, orders=(0,))
    x = np.float32(2.0) ** np.arange(-20, 60)
    with mpmath.workdps(60):
        expected = [float(mpmath.sqrt(mpmath.mpf(float(v)) + 1) - mpmath.sqrt(mpmath.mpf(float(v)))) for v in x]
    np.testing.assert_allclose(np.asarray(jax.vmap(found)(x)), expected, rtol=3e-7)
    assert found.improved and found.after.mean < 0.6 < 5 < found.before.mean
    assert "sqrt(a) - sqrt(b) = (a - b) / (sqrt(a) + sqrt(b))" in str(found)


def test_the_note_keeps_its_digits_at_both_labels():
    found = stabilize(forms.chain_expanded, domain=LABELS, points=32, orders=(0,))
    assert "logistic(logits) - labels" in [str(step.term) for step in found.steps]
    for label, z in itertools.product((0.0, 1.0), np.linspace(-80, 80, 33, dtype=np.float32)):
        exact = true_value(forms.cancelled, z, jnp.float32(label))
        if abs(exact) >= F32.smallest_normal:
            assert abs(found(z, jnp.float32(label)) - exact) <= 3 * np.spacing(np.abs(exact))


def test_branches_are_smooth_to_jax_where_they_are_not_taken():
    found = stabilize(cosine_quotient, points=32)
    x = np.float32([0, 1e-30, -1e-8, 1e-3, 0.5, 3, 100, -1e6])
    value, slope = jax.vmap(jax.value_and_grad(found))(x)
    assert np.isfinite(value).all() and np.isfinite(slope).all()
    assert len(found.branches) > 1 and "a truncated power series" in str(found)
    np.testing.assert_allclose(value[:4], 0.5, rtol=1e-6)
    np.testing.assert_allclose(slope[3], -1e-3 / 12, rtol=1e-5)


def test_a_derivative_that_loses_its_digits_gets_a_rule():
    found = stabilize(jnp.tanh, names=["x"], points=24, domain={"x": (-20.0, 20.0)})
    x = np.float32([8, 9, -9.5])
    exact = np.array([1 / np.cosh(float(v)) ** 2 for v in x])
    assert "custom_jvp" in found.source and found.after.slope < 0.5 < found.before.slope
    np.testing.assert_allclose(jax.vmap(jax.grad(found))(x), exact, rtol=1e-6)


def test_what_is_right_is_left_alone():
    found = stabilize(lambda x: x * 2, points=32)
    assert not found.improved and found(jnp.float32(3)) == 6
    assert "nothing better" in str(found)


def test_an_unknown_argument_is_told():
    with pytest.raises(ValueError, match="there is no argument y"):
        stabilize(softplus, domain={"y": (0.0, 1.0)})


def test_without_egglog_one_line_tells_the_extra(monkeypatch):
    real_import = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "egglog":
            raise ImportError(name)
        return real_import(name, *args, **kwargs)

    saturation._prepared.cache_clear()
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(Missing, match=r"stability\[stabilize\]"):
        stabilize(softplus, points=16)


def test_problems_are_read_from_their_notation():
    assert bench.parsed("(/ (- 1 (cos x)) (sqr x))") is term("(1 - cos(x)) / (x * x)")
    assert bench.parsed("(pow x (/ 1 3))").args[1].leaf == Fraction(1, 3)


@pytest.mark.skipif(not HAMMING.exists(), reason="the published problems are not here")
def test_a_published_problem_is_solved():
    (task,) = (t for t in bench.tasks_of(HAMMING, F64, 3) if t.name.startswith("expq2"))
    row = bench.measured(task, F64, 128, 500, 0)
    assert row.after < 0.5 < 30 < row.before


@pytest.mark.exhaustive
@pytest.mark.skipif(not HAMMING.exists(), reason="the published problems are not here")
def test_the_published_mean_is_beaten():
    anchor = json.loads(HAMMING.read_text())
    rows = [bench.measured(task, F64, 256, 8000, 0) for task in bench.tasks_of(HAMMING, F64, 3)]
    assert len(rows) == 28 and all(r.after <= r.before for r in rows)
    assert np.mean([r.after for r in rows]) <= anchor["mean_end"]
