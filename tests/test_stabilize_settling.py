"""Which outcome of a search is used: what counts as worse than the given function, and what is done about it."""

import jax.numpy as jnp
import numpy as np
import pytest

from stability import stabilize
from stability.formats import FORMATS
from stability.rewriting.comparison import worse_around, worse_at
from stability.rewriting.finding import harmless_points
from stability.rewriting.measuring import error_of
from stability.rewriting.notation import term
from stability.rewriting.problems import Problem
from stability.rewriting.proof import Wrong, equality
from stability.rewriting.regimes import Regimes
from stability.rewriting.sample import Reals
from stability.rewriting.settling import given_back

F32 = FORMATS["float32"]
NAIVE = Problem(term("exp(x) - 1"), ("x",), F32, {"x": (0.01, 0.02)}, 0)


def naive(x):
    return jnp.exp(x) - 1


def twelve_floats_off(x):
    return jnp.expm1(x) * (1 + 2.0**-20)


def wrong_at_one(points):
    """`expm1` but for a NaN at one of some points, at which `naive` is right."""
    right = points.columns["x"][np.flatnonzero(error_of(naive, points, ("x",), F32) == 0)[0]]
    return lambda x: jnp.where(x == right, jnp.nan, jnp.expm1(x))


def compared(given, other, problem=NAIVE):
    points = problem.mixed(256)
    before, after = (error_of(f, points, problem.names, F32) for f in (given, other))
    return worse_at(before, after), worse_around(problem, given, other, points, before, after)


def test_a_function_that_was_right_by_luck_is_not_the_better_one():
    at, around = compared(naive, twelve_floats_off)
    assert len(at) > 0 and len(around) == 0


def test_a_function_that_is_right_around_too_is_the_better_one():
    at, around = compared(jnp.expm1, twelve_floats_off)
    assert len(at) > 200 and len(around) > 0 and set(around) <= set(at)


def test_a_single_float_is_found_at_which_all_around_is_well():
    at, around = compared(naive, wrong_at_one(NAIVE.mixed(256)))
    assert len(at) == 1 and around.tolist() == at.tolist()


def test_points_that_are_worse_by_luck_do_not_hide_others():
    """More than any at which `other` really is the worse one are those at which `exp(x) - 1` happens to be exact."""

    def other(x):
        return jnp.expm1(x) * jnp.where(x < 0.02, 1 + 2.0**-19, 1 + 5 * 2.0**-23)

    small = NAIVE.mixed(4096)
    exact = small.at(error_of(naive, small, ("x",), F32) == 0)
    points = exact.joined(NAIVE._replace(domain={"x": (0.4, 0.6)}).mixed(64))
    problem = NAIVE._replace(domain={"x": (0.01, 0.6)})
    before, after = (error_of(f, points, problem.names, F32) for f in (naive, other))
    around = worse_around(problem, naive, other, points, before, after)
    assert len(exact) > 32 and after[: len(exact)].min() > after[around].max()
    assert len(around) > 10 and (points.columns["x"][around] >= 0.4).all()


def test_the_given_term_comes_back_in_the_branches_that_are_worse():
    given, one, other = term("exp(x) - 1"), term("expm1(x)"), term("x")
    regimes = Regimes("x", (-1.0, 0.0, 1.0), (one, other, one, other))
    points = NAIVE._replace(domain={"x": (0.25, 0.5)}).mixed(8)
    assert given_back(regimes, given, points) == Regimes("x", (-1.0, 0.0, 1.0), (one, other, given, other))
    again = given_back(given_back(regimes, given, points), given, points.at(slice(0, 0)))
    assert again == Regimes("x", (-1.0, 0.0, 1.0), (one, other, given, other))
    everywhere = NAIVE._replace(domain={"x": [-2.0, -0.5, 0.5, 2.0]}).mixed(64)
    assert given_back(regimes, given, everywhere) == Regimes("", (), (given,))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32", "float64"])
def test_where_a_branch_is_not_used_it_is_fed_a_short_number_of_its_own(dtype):
    problem = Problem(term("exp(x) - 1"), ("x",), FORMATS[dtype], {}, 0)
    points = problem.mixed(64)
    regimes = Regimes("x", (-0.5, 0.5), (problem.term, term("expm1(x)"), problem.term))
    for t, point in harmless_points(regimes, points).items():
        assert len(repr(point["x"])) <= 6
        assert regimes.terms[int(regimes.where(np.array([point["x"]]))[0])] is t


def test_where_xla_has_fewer_digits_another_branch_serves():
    """`log1p` and `arctanh` of XLA on a CPU are up to 7 bits off near 0.41 in float64, where logarithms are not."""
    stable = stabilize(
        lambda x: jnp.log((1 - x) / (1 + x)), dtype="float64", domain={"x": (-0.9, 0.9)}, orders=(0,), points=64
    )
    assert stable.improved and stable.after.mean < 0.5 < 20 < stable.before.mean
    assert not len(worse_at(stable.judged.before, np.where(stable.judged.after > 3, stable.judged.after, 0)))


def test_a_subnormal_number_is_of_the_branch_that_xla_has_it_in():
    """`x > 0` is false for it, as for 0."""
    least = float(F32.smallest_normal)
    points = Problem(term("x"), ("x",), F32, {"x": [least / 2, -1.0, 0.0, least, 2.0]}, 0).mixed(64)
    regimes = Regimes("x", (least,), (term("x - 1"), term("x")))
    with pytest.raises(Wrong, match="-1"):
        equality(term("x"), regimes, points, Reals(points), lambda t: True)
    regimes = Regimes("x", (least,), (term("abs(x) * sign(x)"), term("x")))
    at_subnormal = int((points.columns["x"] == np.float32(least / 2)).sum())
    told = equality(term("x"), regimes, points, Reals(points), lambda t: True)
    n = len(points) - at_subnormal
    assert at_subnormal > 0 and told == f"at {n} of {n} points, in balls"
