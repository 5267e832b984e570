"""The identities of `stabilize`, one by one, at random points of their conditions, in balls and in mpmath."""

import random

import flint
import mpmath
import numpy as np
import pytest

from stability.formats import FORMATS
from stability.real.values import Undefined, real
from stability.rewriting import identities, rules
from stability.rewriting.notation import term
from stability.rewriting.operations import CONSTANTS, OPERATIONS
from stability.rewriting.problems import Problem
from stability.rewriting.proof import Wrong, equality
from stability.rewriting.regimes import Regimes
from stability.rewriting.sample import Reals, flat
from stability.rewriting.steps import matched
from stability.rewriting.terms import in_reals, subterms, variables

PRECISION = 300
POINTS, DRAWS = 12, 4000


def drawn(rng):
    """A number of either sign, small, moderate or large, or a whole one."""
    size = rng.choice([1e-3, 0.1, 1.0, 1.0, 3.0, 30.0])
    return float(rng.randint(-4, 4)) if rng.random() < 0.1 else rng.uniform(-size, size)


def disagreements(rule, seed=0):
    """Points where both sides of a rule should agree, how many there were, and those where they do not."""
    rng = random.Random(seed)
    letters = sorted({str(t.leaf) for side in (rule.left, rule.right) for t in subterms(side) if t.op == "var"})
    seen, wrong = 0, []
    with flint.ctx.workprec(PRECISION):
        for _ in range(DRAWS):
            if seen == POINTS:
                break
            point = {name: drawn(rng) for name in letters}
            balls = {name: real(x) for name, x in point.items()}
            left = in_reals(rule.left, balls)
            conditions = [(c.op, in_reals(c.expression, balls)) for c in rule.conditions]
            if not is_number(left) or any(flat(x) is None or not holds(op, x) for op, x in conditions):
                continue
            seen += 1
            right = flat(in_reals(rule.right, balls))
            if right is None or not flat(left).overlaps(right):
                wrong.append(point)
    return seen, wrong


def is_number(x):
    return flat(x) is not None and flat(x).is_finite()


def holds(op, x):
    return {"gt": x > 0, "ge": x >= 0, "lt": x < 0, "le": x <= 0, "ne": x != 0}[op]


@pytest.mark.parametrize("rule", [rule for rule in identities.RULES if rule not in identities.ROWS], ids=str)
def test_both_sides_of_a_rule_are_one_number(rule):
    seen, wrong = disagreements(rule)
    assert seen == POINTS and not wrong, wrong


@pytest.mark.parametrize(
    "planted",
    [
        "sqrt(a * a) = a",
        "log(a * b) = log(a) + log(b)",
        "a / a = 1 + a - a * 1.0000001",
        "atan(a) - atan(b) = atan((a - b) / (1 + a * b))",
        "sqrt(a) * sqrt(b) = sqrt(a) + sqrt(b)",
        "sqrt(a) - b = (a + b * b) / (sqrt(a) + b)",
    ],
)
def test_a_planted_wrong_rule_is_found(planted):
    (rule,) = rules.rules_of("planted", planted)
    assert disagreements(rule)[1]


@pytest.mark.parametrize("planted, given", [("abs(x)", "x"), ("log(x * y)", "log(x) + log(y)")])
def test_the_proof_finds_an_outcome_that_a_wrong_rule_made(planted, given):
    """`sqrt(x²) = x`, and `log(xy) = log x + log y` whatever the signs."""
    one = term(planted)
    points = Problem(one, tuple(variables(one)), FORMATS["float32"], {}, 0).sample(40)
    with pytest.raises(Wrong):
        equality(one, Regimes("", (), (term(given),)), points, Reals(points), lambda t: True)


def test_every_rule_binds_on_its_right_only_what_its_left_has():
    for rule in identities.RULES:
        assert set(variables(rule.right)) <= set(variables(rule.left)), rule
        for condition in rule.conditions:
            assert set(variables(condition.expression)) <= set(variables(rule.left)), rule


def test_every_rule_matches_its_own_left_side():
    for rule in identities.RULES:
        bound = {}
        assert matched(rule.left, rule.left, bound) and set(bound) == set(variables(rule.left))


AT = [0.3, -0.7, 2.5]


@pytest.mark.parametrize("name", [n for n, o in OPERATIONS.items() if o.arity == 1 and hasattr(mpmath, n)])
def test_an_operation_is_one_function_in_floats_in_balls_and_in_mpmath(name):
    for x in AT:
        with flint.ctx.workprec(100):
            ball = OPERATIONS[name].reals(real(x))
        exact = getattr(mpmath, name)(mpmath.mpf(x))
        if isinstance(ball, Undefined) or mpmath.im(exact):
            continue
        floats = float(np.asarray(OPERATIONS[name].floats(np.float64(x))))
        compiled = float(OPERATIONS[name].jax(np.float64(x)))
        assert float(flat(ball).mid()) == pytest.approx(float(exact), rel=1e-14)
        assert floats == pytest.approx(float(exact), rel=1e-13)
        assert compiled == pytest.approx(float(exact), rel=1e-13)


def test_the_named_numbers_are_their_balls():
    for name, (approximate, exact, _) in CONSTANTS.items():
        found = exact()
        assert found.kind == "nan" if name == "nan" else float(found.mid()) == approximate
