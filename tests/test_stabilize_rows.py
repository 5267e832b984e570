"""`stabilize` of functions of rows: sums, means, norms and the functions of logits."""

import random

import flint
import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

from stability import stabilize
from stability.formats import FORMATS
from stability.real.arrays import as_array
from stability.real.values import Undefined, array, real
from stability.rewriting import Unsupported, identities, rules
from stability.rewriting.notation import term
from stability.rewriting.operations import OPERATIONS
from stability.rewriting.programs import term_of
from stability.rewriting.rows import FLOATS, OURS, REALS
from stability.rewriting.sample import flat
from stability.rewriting.terms import in_floats, in_reals

F32 = FORMATS["float32"]
Z = np.random.default_rng(0).normal(0, 3, (20, 5)).astype(np.float32)


def in_balls(text, row):
    found = in_reals(term(text) if isinstance(text, str) else text, {"a": array(list(map(real, row)), (len(row),))})
    return [flat(x) for x in np.ravel(as_array(found))]


def disagreements(rule, draws=200):
    """Rows of several lengths at which both sides of a rule differ, and at how many it says something."""
    rng, wrong, seen = random.Random(0), [], 0
    for _ in range(draws):
        row = [rng.uniform(-1, 1) * rng.choice([1e-3, 1.0, 20.0]) for _ in range(rng.choice([2, 3, 7]))]
        with flint.ctx.workprec(300):
            left, right = in_balls(rule.left, row), in_balls(rule.right, row)
            if None in left:
                continue
            seen += 1
            if None in right or not all(x.overlaps(y) for x, y in np.broadcast(left, right)):
                wrong.append(row)
    return seen, wrong


@pytest.mark.parametrize("rule", identities.ROWS, ids=lambda rule: rule.name)
def test_a_rule_of_rows_holds(rule):
    seen, wrong = disagreements(rule)
    assert seen >= 100 and wrong == []


@pytest.mark.parametrize("text", ["sum(a * a) = sum(a) * sum(a)", "softmax(a) = exp(a)", "mean(a) = sum(a)"])
def test_a_wrong_rule_of_rows_is_found(text):
    (planted,) = rules.rules_of("planted", text)
    assert disagreements(planted)[1]


ORACLES = {
    "sum": lambda a: mpmath.fsum(a),
    "amax": max,
    "mean": lambda a: mpmath.fsum(a) / len(a),
    "norm": lambda a: mpmath.sqrt(mpmath.fsum(x * x for x in a)),
    "logsumexp": lambda a: mpmath.log(mpmath.fsum(map(mpmath.exp, a))),
    "log_softmax": lambda a: [x - mpmath.log(mpmath.fsum(map(mpmath.exp, a))) for x in a],
    "softmax": lambda a: [mpmath.exp(x) / mpmath.fsum(map(mpmath.exp, a)) for x in a],
}


@pytest.mark.parametrize(
    "name", [*ORACLES, *(f"nn_{name}" for name in ("norm", "logsumexp", "log_softmax", "softmax"))]
)
def test_an_operation_on_rows_is_mpmaths(name):
    oracle = ORACLES[OURS.get(name, name)]
    with mpmath.workprec(200), flint.ctx.workprec(200):
        wanted = [np.ravel(oracle([mpmath.mpf(float(x)) for x in row])) for row in Z]
        for row, exact in zip(Z, wanted, strict=True):
            found = in_balls(f"{name}(a)", row.tolist())
            assert len(found) == len(exact)
            assert all(
                abs(mpmath.mpf(x.mid().str(50, radius=False)) - y) <= 1e-40 for x, y in zip(found, exact, strict=True)
            )
    exact = np.array(wanted, float)
    for floats in (FLOATS[name](Z), OPERATIONS[name].jax(jnp.asarray(Z)), in_floats(term(f"{name}(a)"), {"a": Z})):
        np.testing.assert_allclose(np.asarray(floats), exact, rtol=1e-5, atol=1e-6)


def test_what_hangs_on_how_many_there_are_has_no_value_of_one_number():
    for name in REALS:
        found = in_reals(term(f"{name}(a)"), {"a": real(2.0)})
        counts = name not in ("amax", "mean")
        assert isinstance(found, Undefined) == counts
        assert np.isnan(in_floats(term(f"{name}(1 + 0)"), {"a": Z})).all() == counts


PROGRAMS = {
    "log of a sum": lambda z: jnp.log(jnp.sum(jnp.exp(z))),
    "masked to one axis": lambda z: jnp.exp(z) / jnp.sum(jnp.exp(z), axis=0, keepdims=True),
    "library": lambda z: jax.nn.logsumexp(z),
    "least": lambda z: z - jnp.min(z),
    "dot": lambda z: jnp.dot(z, z) + jnp.mean(z),
    "gradient": jax.grad(lambda z: jnp.log(jnp.sum(jnp.exp(z)))),
    "variance": lambda z: jnp.var(z),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_function_of_a_row_is_the_term(name):
    fn = PROGRAMS[name]
    found = in_floats(term_of(fn, ["z"], F32, {"z": 5}), {"z": Z})
    np.testing.assert_allclose(found, np.asarray(jax.vmap(fn)(Z)).reshape(20, -1), rtol=2e-5)


@pytest.mark.parametrize(
    "fn", [lambda z: z + jnp.arange(5.0), lambda z: z[0], lambda z: jnp.outer(z, z).sum(), lambda z: jnp.cumsum(z)]
)
def test_what_tells_the_elements_of_a_row_apart_is_refused(fn):
    with pytest.raises(Unsupported):
        term_of(fn, ["z"], F32, {"z": 5})


def test_a_row_is_an_argument():
    with pytest.raises(ValueError, match="rows: there is no argument y"):
        stabilize(lambda z: jnp.sum(z), rows=["y"])


LOGITS = np.array([[1000.0, 0.0, -500.0], [-200.0, -201.0, -202.0], [0.5, -1.25, 80.0]], np.float32)


def test_the_cross_entropy_of_logits_is_found():
    def loss(z, p):
        return -jnp.sum(p * jnp.log(jnp.exp(z) / jnp.sum(jnp.exp(z))))

    stable = stabilize(loss, rows=["z", "p"], domain={"z": (-80.0, 80.0), "p": (0.0, 1.0)}, points=24, orders=(0,))
    assert "log_softmax(z)" in stable.source
    assert any("softmax" in step.why for step in stable.steps)
    p = jnp.array([0.25, 0.25, 0.5], jnp.float32)
    z = LOGITS.astype(np.float64)
    log_p = z - np.log(np.exp(z - z.max(1, keepdims=True)).sum(1, keepdims=True)) - z.max(1, keepdims=True)
    wanted = -(np.asarray(p) * log_p).sum(1)
    np.testing.assert_allclose(jax.vmap(stable, (0, None))(LOGITS, p), wanted, rtol=1e-6)
    slope = jax.vmap(jax.grad(stable), (0, None))(LOGITS, p)
    np.testing.assert_allclose(slope, np.exp(log_p) - np.asarray(p), atol=1e-6)


def test_the_norm_is_found():
    stable = stabilize(lambda z: jnp.sqrt(jnp.sum(z**2)), names=["z"], rows=["z"], points=24, orders=(0,))
    x = jnp.array([3e30, 4e30], jnp.float32)
    assert stable(x) == pytest.approx(5e30, rel=1e-6) and stable(jnp.zeros(2)) == 0
    assert not stabilize(lambda z: jnp.max(z) * 2, names=["z"], rows=["z"], points=16, orders=(0,)).improved


@pytest.mark.parametrize(
    "fn, said",
    [
        (lambda z: jnp.sum(z) / 5, "sum(z) / 5"),
        (lambda z: jnp.sum(z) / 7, "sum(z) / 7"),
        (lambda z: jnp.mean(z), "mean(z)"),
        (lambda z: jnp.sum(z) / z.shape[0], "mean(z)"),
        (lambda z: z - jnp.mean(z) / 5, "z - mean(z) / 5"),
    ],
)
def test_a_number_that_is_the_length_by_chance_is_a_number(fn, said):
    assert str(term_of(fn, ("z",), F32, {"z": 5})) == said


@pytest.mark.parametrize("fn", [lambda z: jnp.var(z, ddof=1), lambda z: z / z.shape[0], lambda z: jnp.sum(z) ** len(z)])
def test_what_hangs_on_the_length_of_a_row_is_refused(fn):
    with pytest.raises(Unsupported, match="hang on the length"):
        term_of(fn, ("z",), F32, {"z": 5})
