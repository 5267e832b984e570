"""The public functions of JAX and optax: that they have a truth, that JAX agrees with it, and that it is mpmath's."""

import math
import random
from typing import NamedTuple

import jax
import jax.numpy as jnp
import jax.scipy.special as special
import jax.scipy.stats as stats
import mpmath
import numpy as np
import pytest
from mpmath import mpf
from public_distributions import DISTRIBUTIONS
from public_faults import FAULTS
from public_oracles import INF, ORACLES

from stability.atlas.functions import public_functions
from stability.formats import format_of
from stability.real import Order, true_derivative, true_value, truth, why_undefined
from stability.truth import State, Truth

COUNT = 50
FORMATS = {np.float32: (24, -149, 128), np.float64: (53, -1074, 1024)}
"""By dtype: the precision, the exponent of the least float, and that of the first power of two that overflows."""

ORDINARY = (-7.25, -2.5, -1.0, -0.375, 0.125, 0.3125, 0.625, 0.875, 1.0, 1.75, 2.25, 3.0, 6.5, 40.0)
STRANGE = {
    np.float32: (0.0, 1e-40, 3e38, INF, -INF, math.nan),
    np.float64: (0.0, 1e-310, 1e308, INF, -INF, math.nan),
}
"""Zero, a subnormal, a large float and what is no number."""

ALL_ORACLES = ORACLES | DISTRIBUTIONS


def rounded(x, dtype) -> tuple[float, bool]:
    """The float nearest to a number of mpmath's, to even at ties, and whether it is a tie."""
    precision, least, top = FORMATS[dtype]
    sign, mantissa, exponent, size = mpf(x)._mpf_
    if not mantissa:
        return float(x), False
    unit = max(exponent + size - precision, least)
    shift = unit - exponent
    tie = False
    if exponent + size > top or shift > size + 1:
        mantissa, unit = (1, top) if exponent + size > top else (0, least)
    elif shift > 0:
        below, rest, half = mantissa >> shift, mantissa & ((1 << shift) - 1), 1 << (shift - 1)
        tie = rest == half
        mantissa = below + (rest > half or (tie and below & 1))
    else:
        mantissa <<= -shift
    value = INF if unit + mantissa.bit_length() > top else math.ldexp(mantissa, unit)
    return (-value if sign else value), tie


def nearest(oracle, x: float, dtype) -> float:
    """The correctly rounded value: the precision is raised until it makes no more difference, and at a tie far, since a
    function may be close to one."""
    before = None
    for digits in (40, 80, 160, 320, 640, 1280, 2560):
        with mpmath.workdps(digits):
            now, tie = rounded(mpmath.re(oracle(mpf(x))), dtype)
        if now == before and not tie:
            return now
        before = now
    assert tie, f"mpmath does not settle at {x!r}"
    return now


def points(name: str, domain: tuple[float, float], dtype) -> np.ndarray:
    """Random floats inside an open interval: ordinary ones, tiny ones and large ones."""
    low, high = domain
    rng = random.Random(name)
    top = min(FORMATS[dtype][2], math.log2(max(-low, high, 2.0))) - 1
    tiny = FORMATS[dtype][1] + 1
    found: list[float] = []
    while len(found) < COUNT:
        kind = rng.random()
        if kind < 0.5:
            x = rng.uniform(max(low, -12.0), min(high, 12.0))
        elif kind < 0.75:
            x = rng.choice((-1, 1)) * 2 ** rng.uniform(tiny, 0)
        else:
            x = rng.choice((-1, 1)) * 2 ** rng.uniform(0, top)
        x = float(dtype(x))
        if low < x < high:
            found.append(x)
    return np.array(found, dtype)


def disagreements(name: str, dtype, count: int = COUNT) -> list:
    oracle, domain = ALL_ORACLES[name]
    x = points(name, domain, dtype)[:count]
    found = true_value(public_functions()[name].fn, x, dtype=dtype)
    wanted = [nearest(oracle, float(v), dtype) for v in x]
    return [(float(v), float(f), w) for v, f, w in zip(x, found, wanted, strict=True) if f != w]


class Row(NamedTuple):
    """What is known of a function or its gradient.

    **Attributes:** `undecided` the ordinary points, and `strange` the other ones, where there is no truth; `wrong`
    where JAX in float64 is far from the truth, with both.
    """

    undecided: list[float]
    strange: list[float]
    wrong: dict[float, tuple[float, float]]


def is_near(found: float, true: Truth, i: int) -> bool:
    """Whether a result of JAX's agrees with a truth; what is undefined or undecided agrees with anything."""
    if true.state[i] == State.POLE:
        return not math.isfinite(found)
    if true.state[i] != State.NUMBER:
        return True
    ends = [true.rounded[i]] * 2
    if true.other is not None and not np.isnan(true.other.quanta[i]):
        ends[1] = true.other.rounded[i]
    low, high = min(ends), max(ends)
    if math.isinf(low) or math.isinf(high):
        return low <= found <= high
    return low - 1e-6 * abs(low) - 1e-12 <= found <= high + 1e-6 * abs(high) + 1e-12


def row(fn, derivative: Order | None, dtype) -> Row:
    x = np.array([*ORDINARY, *STRANGE[dtype]], dtype)
    true = truth(fn, x, fmt=format_of(np.dtype(dtype)), derivative=derivative)
    left = [float(v) for v, state in zip(x, true.state, strict=True) if state == State.UNDECIDED]
    count = len(ORDINARY)
    wrong = {}
    found = jaxs(fn if derivative is None else jax.grad(fn), np.array(ORDINARY)) if dtype is np.float64 else None
    for i in range(count if found is not None else 0):
        if not is_near(found[i], true, i):
            wrong[ORDINARY[i]] = (float(true.rounded[i]), float(found[i]))
    return Row([v for v in left if v in ORDINARY], [v for v in left if v not in ORDINARY], wrong)


def jaxs(fn, x: np.ndarray) -> np.ndarray | None:
    """JAX's own results, or none where it can't differentiate the function."""
    try:
        return np.array([float(fn(v)) for v in x])
    except (NotImplementedError, ValueError, TypeError):
        return None


ROWS = {"value": None, "gradient": Order(0, 1)}


def unexplained(rows: dict) -> list:
    """Where JAX is far from the truth, and mpmath does not say that JAX is wrong and the truth right."""
    left = []
    for key, r in rows.items():
        for x, (true, found) in r.wrong.items():
            with mpmath.workdps(40):
                right = FAULTS[key](mpf(x)) if key in FAULTS else mpf("nan")
            if not (true == right or abs(true - right) <= 1e-14 * abs(right)):
                left.append((key, x, true, found))
    return left


def check(names: list[str], dtype) -> None:
    rows = {(name, kind): row(public_functions()[name].fn, ROWS[kind], dtype) for name in names for kind in ROWS}
    undecided = sorted(key for key, r in rows.items() if r.undecided)
    assert len(undecided) <= 0.05 * len(rows), undecided
    assert unexplained(rows) == []


@pytest.mark.exhaustive
@pytest.mark.parametrize("dtype", FORMATS)
def test_nearly_all_rows_have_a_truth_and_jax_agrees_with_it(dtype):
    assert len(public_functions()) >= 315
    check(list(public_functions()), dtype)


def test_of_some_rows_nearly_all_have_a_truth_and_jax_agrees_with_it():
    check(sorted(public_functions())[::40], np.float64)


@pytest.mark.exhaustive
@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("name", ALL_ORACLES)
def test_the_truth_is_mpmaths_correctly_rounded(name, dtype):
    assert disagreements(name, dtype) == []


def slope_errors(name: str, count: int) -> list:
    """Where the true derivative is more than an ulp from mpmath's."""
    oracle, domain = ALL_ORACLES[name]
    inside = [float(x) for x in points(name, domain, np.float64) if 1e-3 < abs(x) < 40][:count]
    wrong = []
    for x in inside:
        with mpmath.workdps(60):
            wanted = mpmath.re(mpmath.diff(oracle, mpf(x)))
            found = mpf(float(true_derivative(public_functions()[name].fn, np.float64(x))))
            if abs(found - wanted) > abs(wanted) * mpf(2) ** -52 + mpf(10) ** -25:
                wrong.append((x, float(found), float(wanted)))
    return wrong


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", ALL_ORACLES)
def test_the_true_derivative_is_mpmaths(name):
    assert slope_errors(name, 4) == []


@pytest.mark.parametrize("name", list(ALL_ORACLES)[::6])
def test_the_truth_is_mpmaths_correctly_rounded_at_two_points(name):
    assert disagreements(name, np.float32, 2) == []


FOUND = [
    (jnp.cbrt, 0.0, 0.0, INF),
    (jnp.cbrt, -8.0, -2.0, 1 / 12),
    (lambda x: jnp.frexp(1.5 * x)[0], 3.0, 0.5625, 0.1875),
    (lambda x: jnp.copysign(x * x, x), -1.5, -2.25, 3.0),
    (lambda x: jnp.ldexp(1.5 * x, 3), -1.5, -18.0, 12.0),
    (lambda x: jnp.dot(2, x), 3.0, 6.0, 2.0),
    (lambda x: jnp.select([x > 1, jnp.log(x) - jnp.log(x) > 0], [x, 2 * x], 3 * x), 2.0, 2.0, 1.0),
    (lambda x: special.boxcox(x, 1.5), 0.0, -2 / 3, 0.0),
    (lambda x: special.boxcox1p(x, 0.5), -1.0, -2.0, INF),
    (special.logit, 1.0, INF, INF),
    (lambda x: special.beta(x, 2.0), 3.0, 1 / 12, -7 / 144),
    (lambda x: x * jnp.log(x), 0.0, 0.0, -INF),
    (lambda x: jnp.exp(2 * jnp.log(x)) / x, 0.0, 0.0, 1.0),
    (lambda x: stats.beta.pdf(x, 2.0, 3.0), 1.0, 0.0, 0.0),
    (lambda p: stats.binom.pmf(2.0, 5.0, p), 0.0, 0.0, 0.0),
    (lambda p: stats.binom.pmf(1.0, 5.0, p), 0.0, 0.0, 5.0),
    (stats.cauchy.ppf, 0.5, 0.0, math.pi),
    (stats.cauchy.ppf, 0.0, -INF, INF),
    (stats.cauchy.cdf, -INF, 0.0, 0.0),
    (lambda x: stats.truncnorm.cdf(x, 0.75, 2.5), 0.5, 0.0, 0.0),
]


@pytest.mark.parametrize("i", range(len(FOUND)))
@pytest.mark.parametrize("dtype", FORMATS)
def test_values_and_derivatives_that_were_undecided_or_wrong(i, dtype):
    fn, x, value, slope = FOUND[i]
    for shape in ((), (1,)):
        point = np.full(shape, x, dtype)
        np.testing.assert_array_equal(true_value(fn, point), np.full(shape, value, dtype))
        np.testing.assert_array_equal(true_derivative(fn, point).ravel(), [dtype(slope)])


def test_what_has_no_derivative_has_none():
    """An infinite constant, a mantissa at 0, a function of whole numbers."""
    for fn, x in (
        (special.entr, -1.0),
        (lambda x: special.kl_div(x, jnp.full_like(x, 0.25)), -1.0),
        (lambda x: jnp.frexp(x)[0], 0.0),
        (lambda x: jax.lax.polygamma(x, jnp.full_like(x, 0.25)), 1.0),
    ):
        true = truth(fn, np.array([x]), fmt=format_of(np.dtype(np.float64)), derivative=Order(0, 1))
        assert true.state.tolist() == [State.UNDEFINED]


def test_the_sign_of_a_zero_is_known_where_it_is_given_and_a_number_beyond_the_cases_takes_the_last():
    assert [true_value(lambda x: jnp.copysign(1.0, x), z) for z in (0.0, -0.0)] == [1, -1]
    assert why_undefined(lambda x: jnp.copysign(1.0, x - x), 1.0) == "undecided"
    assert true_value(lambda x: jax.lax.select_n(jnp.int32(5), x, 2 * x), 3.0) == 6
    assert true_value(lambda x: jax.lax.select_n(jnp.int32(-5), x, 2 * x), 3.0) == 3
