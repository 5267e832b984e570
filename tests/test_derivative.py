"""True derivatives: against mpmath, at kinks, holes and poles, of programs and of arrays."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from flint import arb
from jax import lax

from stability.formats import FORMATS
from stability.real import Order, _derivative, records, true_derivative, true_value, truth, why_undefined
from stability.real import function as functions
from stability.study.functions import hold, truth_of
from stability.truth import State

F32 = FORMATS["float32"]

SMOOTH = {
    "exp": (jnp.exp, mpmath.exp, (-3.0, 0.0, 2.5)),
    "expm1": (jnp.expm1, mpmath.expm1, (-3.0, 1e-20, 2.5)),
    "log1p": (jnp.log1p, mpmath.log1p, (-0.5, 1e-20, 7.0)),
    "sin(x)/x": (lambda x: jnp.sin(x) / x, lambda x: mpmath.sin(x) / x, (0.1, 3.0)),
    "tan": (jnp.tan, mpmath.tan, (0.3, 1.5)),
    "asin": (jnp.arcsin, mpmath.asin, (-0.7, 0.3)),
    "acos": (jnp.arccos, mpmath.acos, (-0.7, 0.3)),
    "atan": (jnp.arctan, mpmath.atan, (-5.0, 0.3)),
    "sinh": (jnp.sinh, mpmath.sinh, (-2.0, 0.3)),
    "cosh": (jnp.cosh, mpmath.cosh, (-2.0, 0.3)),
    "tanh": (jnp.tanh, mpmath.tanh, (-2.0, 0.3, 20.0)),
    "asinh": (jnp.arcsinh, mpmath.asinh, (-2.0, 0.3)),
    "acosh": (jnp.arccosh, mpmath.acosh, (1.5, 9.0)),
    "atanh": (jnp.arctanh, mpmath.atanh, (-0.5, 0.9)),
    "sqrt": (jnp.sqrt, mpmath.sqrt, (0.3, 100.0)),
    "rsqrt": (lax.rsqrt, lambda x: 1 / mpmath.sqrt(x), (0.3, 100.0)),
    "cbrt": (jnp.cbrt, mpmath.cbrt, (0.3, 100.0)),
    "x^1.5": (lambda x: x**1.5, lambda x: x ** mpmath.mpf(1.5), (0.3, 10.0)),
    "x^x": (lambda x: x**x, lambda x: x**x, (0.3, 2.0)),
    "x^-3": (lambda x: x**-3, lambda x: x**-3, (-0.3, 2.0)),
    "logistic": (jax.nn.sigmoid, lambda x: 1 / (1 + mpmath.exp(-x)), (-40.0, 0.3, 40.0)),
    "softplus": (jax.nn.softplus, lambda x: mpmath.log1p(mpmath.exp(x)), (-40.0, 0.0, 0.3)),
    "erf": (lax.erf, mpmath.erf, (-1.0, 0.3)),
    "erf_inv": (lax.erf_inv, mpmath.erfinv, (-0.5, 0.3)),
    "lgamma": (lax.lgamma, mpmath.loggamma, (0.3, 5.5)),
    "digamma": (lax.digamma, lambda x: mpmath.psi(0, x), (-3.3, 0.3, 5.5)),
    "i0": (jax.scipy.special.i0, lambda x: mpmath.besseli(0, x), (-1.0, 0.0, 3.0)),
    "polynomial": (lambda x: 1 - 3 * x + x * x * x, lambda x: 1 - 3 * x + x**3, (-1.0, 2.0)),
    "rem": (lambda x: lax.rem(x, jnp.full_like(x, 1.25)) * x, lambda x: mpmath.fmod(x, 1.25) * x, (3.0,)),
    "atan2": (lambda x: jnp.arctan2(x, 1 - x), lambda x: mpmath.atan2(x, 1 - x), (0.3, 3.0)),
}


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("name", SMOOTH)
def test_a_smooth_function_has_the_derivative_that_mpmath_finds(name, order):
    fn, reference, places = SMOOTH[name]
    for x in places:
        with mpmath.workdps(60):
            wanted = float(mpmath.diff(reference, mpmath.mpf(float(np.float32(x))), order))
        assert true_derivative(fn, np.float32(x), order=order, dtype=np.float64) == pytest.approx(
            wanted, rel=1e-14, abs=1e-25
        )


AT_SPECIAL_POINTS = {
    "relu": (jax.nn.relu, 0.0, 0.5),
    "abs": (jnp.abs, 0.0, 0.0),
    "x|x|": (lambda x: x * jnp.abs(x), 0.0, 0.0),
    "max(x, -x)": (lambda x: jnp.maximum(x, -x), 0.0, 0.0),
    "root of a square": (lambda x: jnp.sqrt(x * x), 0.0, 0.0),
    "sin(x)/x": (lambda x: jnp.sin(x) / x, 0.0, 0.0),
    "1/x - 1/sin(x)": (lambda x: 1 / x - 1 / jnp.sin(x), 0.0, -1 / 6),
    "expm1(x)/x": (lambda x: jnp.expm1(x) / x, 0.0, 0.5),
    "sinc": (jnp.sinc, 0.0, 0.0),
    "i0, whose rule says 1": (jax.scipy.special.i0, 0.0, 0.0),
    "sqrt(x)²": (lambda x: jnp.sqrt(x) ** 2, 0.0, 1.0),
    "x^1.5": (lambda x: x**1.5, 0.0, 0.0),
    "sqrt": (jnp.sqrt, 0.0, np.inf),
    "log": (jnp.log, 0.0, np.inf),
    "x log x": (lambda x: x * jnp.log(x), 0.0, -np.inf),
    "x² log x": (lambda x: x * x * jnp.log(x), 0.0, 0.0),
    "cbrt": (jnp.cbrt, 0.0, np.inf),
    "-cbrt": (lambda x: -jnp.cbrt(x), 0.0, -np.inf),
    "x cbrt": (lambda x: x * jnp.cbrt(x), 0.0, 0.0),
    "cbrt³": (lambda x: jnp.cbrt(x) ** 3, 0.0, 1.0),
    "cbrt⁴": (lambda x: jnp.cbrt(x) ** 4, 0.0, 0.0),
    "cbrt of a cube": (lambda x: jnp.cbrt(x**3), 0.0, 1.0),
    "1/cbrt": (lambda x: 1 / jnp.cbrt(x), 0.0, -np.inf),
    "x^(1/3)": (lambda x: x ** (1 / 3), 0.0, np.inf),
    "x^(2/3)": (lambda x: x ** (2 / 3), 0.0, np.inf),
    "|x|^1.5": (lambda x: jnp.abs(x) ** 1.5, 0.0, 0.0),
    "asin": (jnp.arcsin, 1.0, np.inf),
    "1/x": (lambda x: 1 / x, 0.0, -np.inf),
    "floor at a whole number": (jnp.floor, 1.0, 0.0),
    "tanh at infinity": (jnp.tanh, np.inf, 0.0),
    "logistic at minus infinity": (jax.nn.sigmoid, -np.inf, 0.0),
    "softplus at infinity": (jax.nn.softplus, np.inf, 1.0),
    "where, not the branch that is taken": (lambda x: jnp.where(x > 0, jnp.log(x), 2 * x), -1.0, 2.0),
    "clip": (lambda x: jnp.clip(x, -1, 1), 3.0, 0.0),
    "stop_gradient is a constant": (lambda x: lax.stop_gradient(x) * x, 3.0, 3.0),
}


@pytest.mark.parametrize("name", AT_SPECIAL_POINTS)
def test_derivatives_at_kinks_holes_and_poles(name):
    fn, x, wanted = AT_SPECIAL_POINTS[name]
    assert true_derivative(fn, x, dtype=np.float64) == pytest.approx(wanted, rel=1e-15)
    assert true_derivative(fn, np.full(1, x), dtype=np.float64)[0, 0] == pytest.approx(wanted, rel=1e-15)


def test_a_kink_has_both_one_sided_derivatives_and_every_value_between_is_right():
    found = truth(jax.nn.relu, np.float32([-1, 0, 2]), fmt=F32, derivative=Order(0, 1))
    assert found.rounded.tolist() == [0, 0, 1]
    assert found.other.rounded.tolist()[1] == 1 and np.isnan(found.other.quanta[[0, 2]]).all()


@pytest.mark.parametrize(
    "fn",
    [
        lambda x: jnp.sqrt(jnp.abs(x)),
        lambda x: jnp.abs(x) ** (2 / 3),
        lambda x: jnp.cbrt(x) ** 2,
        lambda x: jnp.abs(jnp.cbrt(x)),
    ],
)
def test_a_cusp_is_a_pole_of_either_sign(fn):
    found = truth(fn, np.float32([0]), fmt=F32, derivative=Order(0, 1))
    assert found.state.tolist() == [State.POLE] and np.isnan(found.quanta[0])


LIMITS = {
    "x log x": (lambda x: x * jnp.log(x), 0),
    "x log2 x": (lambda x: x * jnp.log2(x), 0),
    "x log² x": (lambda x: x * jnp.log(x) ** 2, 0),
    "x^0.25 log³ x": (lambda x: jnp.sqrt(jnp.sqrt(x)) * jnp.log(x) ** 3, 0),
    "log x √x": (lambda x: jnp.log(x) * jnp.sqrt(x), 0),
    "x^x": (lambda x: x**x, 1),
    "exp(x log x)": (lambda x: jnp.exp(x * jnp.log(x)), 1),
    "log x / (1/x)": (lambda x: jnp.log(x) / (1 / x), 0),
    "x log sin x": (lambda x: x * jnp.log(jnp.sin(x)), 0),
    "x log(-log x)": (lambda x: x * jnp.log(-jnp.log(x)), 0),
    "log x log(1 + x)": (lambda x: jnp.log(x) * jnp.log1p(x), 0),
    "binary entropy": (lambda x: -x * jnp.log(x) - (1 - x) * jnp.log(1 - x), 0),
    "x log x + 1/x": (lambda x: x * jnp.log(x) + 1 / x, np.inf),
    "log x / x": (lambda x: jnp.log(x) / x, -np.inf),
    "cbrt(sin x) / cbrt(x)": (lambda x: jnp.cbrt(jnp.sin(x)) / jnp.cbrt(x), 1),
}


@pytest.mark.parametrize("name", LIMITS)
def test_limits_of_logarithms_and_roots_at_0(name):
    fn, limit = LIMITS[name]
    assert true_value(fn, np.float64(0)) == limit and true_value(fn, np.float32([0]))[0] == limit
    near = float(fn(np.float64(1e-300)))
    assert abs(near - limit) < 1e-25 or near * np.sign(limit) > 1e100 or name == "x^0.25 log³ x"


def test_products_of_what_tends_to_0_slowly_have_no_wrong_limit():
    for fn in (
        lambda x: (x * jnp.log(x)) ** 3 / x**3,
        lambda x: (x**0.3) ** 3 / x,
        lambda x: (x**0.3) ** 4 / x,
        lambda x: jnp.log(x) * x**0.01 / (x**0.01) ** 2,
    ):
        true, reason = true_value(fn, np.float64(0)), why_undefined(fn, np.float64(0))
        size = abs(float(fn(np.float64(1e-300))))
        assert reason is not None or (true == 0 and size < 1e-20) or (np.isinf(true) and size > 1e6)


def test_a_pole_and_what_lies_outside_the_domain_are_told():
    found = truth(jnp.sqrt, np.float32([-1, 0, np.nan]), fmt=F32, derivative=Order(0, 1))
    assert found.state.tolist() == [State.UNDEFINED, State.POLE, State.UNDEFINED]
    assert found.quanta[1] == np.inf and found.why.tolist() == ["domain", "pole", "nan"]


def test_the_jacobian_of_an_array_is_that_of_jax():
    x = np.float64([0.3, -1.2, 2.0])
    with jax.enable_x64(True):
        wanted = np.asarray(jax.jacfwd(jax.nn.softmax)(x))
    assert true_derivative(jax.nn.softmax, x) == pytest.approx(wanted, rel=1e-13)
    assert true_derivative(lambda a, b: jnp.sum(a * b), x, x[::-1].copy(), argnum=1) == pytest.approx(x)


@pytest.mark.parametrize("shape", [(), (1,), (2, 2)])
def test_shape_scan_and_vmap_do_not_change_a_derivative(shape):
    x = np.full(shape, np.float32(0.7))
    wanted = true_derivative(jax.nn.softplus, np.float32(0.7))

    def scanned(v):
        return lax.scan(lambda c, _: (jax.nn.softplus(c), None), v, None, length=1)[0]

    for fn in (jax.nn.softplus, jax.jit(jax.nn.softplus), scanned, jax.checkpoint(jax.nn.softplus)):
        found = np.asarray(true_derivative(fn, x)).reshape(x.size, x.size)
        assert np.diag(found).tolist() == [wanted] * x.size
        assert (found[~np.eye(x.size, dtype=bool)] == 0).all()


@pytest.mark.parametrize("name", ["exp", "tanh", "mul", "erf"])
def test_a_planted_error_in_a_slope_is_found(name, monkeypatch):
    text = records.TEXTS[name]
    wrong = functions.Function(text.rule, *(lambda *x, s=s: functions.mul(arb(1.001), s(*x)) for s in text.slopes))
    primitive = next(p for p in records.public_primitives() if p.name == name)
    fn = (lambda x: lax.mul(x, x)) if name == "mul" else getattr(lax, name)
    right = true_derivative(fn, np.float32(0.7))
    monkeypatch.setitem(records._REGISTER, primitive, records.Elementwise(wrong))
    assert true_derivative(fn, np.float32(0.7)) != right


def test_every_function_of_a_primitive_has_a_series_or_slopes():
    for name, text in records.TEXTS.items():
        if isinstance(text, functions.Function) and name not in records.steps.COMPARISONS and name != "is_finite":
            assert text.series is not None or text.slopes, name


def test_a_rule_that_is_wrong_in_real_numbers_makes_no_difference():
    @jax.custom_jvp
    def square(x):
        return x * x

    square.defjvps(lambda g, ans, x: 3 * x * g)
    assert true_derivative(square, np.float32(2)) == 4
    derived, trusted = (hold(square, argnum=0, rules=rules) for rules in ("derived", "trusted"))
    assert truth_of(derived, np.float32([2]), F32).rounded[0] == 4
    assert truth_of(trusted, np.float32([2]), F32).rounded[0] == 6


def test_the_derivative_by_an_argument_that_is_held():
    held = hold(lambda z, y: z * jnp.exp(y), fixed={"y": 0.5}, argnum=1)
    found = truth_of(held, np.float32([1, 2]), F32)
    assert found.rounded.tolist() == [np.float32(np.exp(0.5)), np.float32(2 * np.exp(0.5))]


def test_bad_arguments_are_told_in_one_line():
    with pytest.raises(ValueError, match="order 0"):
        true_derivative(jnp.exp, 1.0, order=0)
    with pytest.raises(ValueError, match="argnum 3"):
        true_derivative(jnp.exp, 1.0, argnum=3)
    with pytest.raises(ValueError, match="not one float"):
        true_derivative(lambda n: n * 1.0, np.int32(3))


def test_limits_are_values_where_they_are_proven():
    assert true_value(lambda x: jnp.sin(x) / x, np.float32([0, 1]))[0] == 1
    assert np.isnan(true_value(lambda x, y: x / y, np.float32(0), np.float32(0)))
    assert why_undefined(lambda x, y: x / y, np.float32(0), np.float32(0)) == "zero_over_zero"


def test_a_zero_that_is_written_down_is_one_truth_in_every_shape():
    def zero_log(x):
        return jnp.zeros_like(x) * jnp.log(x)

    assert true_value(zero_log, np.float32(0)) == true_value(zero_log, np.float32([0]))[0] == 0


@pytest.mark.parametrize("name", ["sigmoid", "tanh", "silu", "softplus"])
def test_high_orders_of_the_logistic_family_cost_little(name):
    """By a slope that has two logistics, which doubles the work with each order, this would take minutes."""
    exact = {
        "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
        "tanh": mpmath.tanh,
        "silu": lambda x: x / (1 + mpmath.exp(-x)),
        "softplus": lambda x: mpmath.log(1 + mpmath.exp(x)),
    }[name]
    with mpmath.workdps(60):
        wanted = float(mpmath.taylor(exact, mpmath.mpf(0.375), 20)[20] * mpmath.factorial(20))
    found = true_derivative(getattr(jax.nn, name), np.float64(0.375), order=20)
    assert float(found) == pytest.approx(wanted, rel=1e-12)


def test_a_derivative_undefined_from_a_side_is_told_from_a_number_beside_it():
    """Of a softmax with a label so small that one side of a kink is a number next to an exact one."""

    def loss(x):
        logits = jnp.stack([x, jnp.zeros_like(x)])
        return jax.nn.logsumexp(logits) * (1 + 2.0**-1022) - jnp.float64(2.0**-1022) * x

    with jax.enable_x64(True):
        assert true_derivative(loss, np.float64(0)) == 0.5


def test_a_ball_around_a_number_is_wider_than_it():
    """Else a derivative at 0, say, would be told to be 0 for a value that is one number there."""
    for x in (arb(0), arb(1), arb(-3e300), arb(2) ** -1074):
        around = _derivative._around(x)
        assert around.contains(x) and not around.is_exact() and around.is_finite()


@pytest.mark.parametrize(
    "fn, at, wanted",
    [
        (jax.nn.relu6, 7.0, "0.0"),
        (lambda x: jnp.clip(x, -1, 1) * 0.1, -3.0, "0.0"),
        (jax.scipy.special.entr, -0.5, "undefined"),
        (lambda x: jnp.where(x < 1, jnp.inf, x), 0.5, "undefined"),
        (lambda x: jnp.abs(x) * 0, 0.0, "0.0"),
        (jax.nn.relu, 0.0, "0.0 = 0x0.0p+0, or up to 1.0"),
        (lambda x: jnp.where(x == 0, 0.0, x), 0.0, "1.0"),
    ],
)
def test_where_a_function_is_one_number_all_around_its_derivative_is_0_and_of_an_infinity_there_is_none(fn, at, wanted):
    found = truth(fn, np.float32([at]), fmt=F32, derivative=Order(0, 1))
    assert found.told(0).startswith(wanted)


@pytest.mark.parametrize("x", [-1e18, -1e19, -1e30, -1e300])
@pytest.mark.parametrize("fn", [jnp.expm1, jnp.sinh, jnp.tanh, jnp.sin, jnp.arctanh, jnp.arcsinh, jnp.log1p, lax.erf])
def test_what_is_proportional_next_to_0_is_so_at_numbers_that_no_double_holds(fn, x):
    with jax.enable_x64(True):
        found = truth(lambda v: jnp.log(fn(jnp.exp(v))), np.array([x]), fmt=FORMATS["float64"], derivative=Order(0, 1))
    assert found.told(0) == "1.0 = 0x1.0000000000000p+0"


def test_the_hyperbolic_cosine_tends_to_1_as_a_square_at_numbers_that_no_double_holds():
    def fn(v):
        return jnp.log(jnp.cosh(jnp.exp(v)) - 1)

    with jax.enable_x64(True):
        found = truth(fn, np.array([-1e18, -1e30, -1e300]), fmt=FORMATS["float64"], derivative=Order(0, 1))
    assert [found.told(i) for i in range(3)] == ["2.0 = 0x1.0000000000000p+1"] * 3
