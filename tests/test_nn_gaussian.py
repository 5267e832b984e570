"""`gelu` and `sinc` and two derivatives of each, against the true values of plain formulas of the values, by balls."""

from functools import cache

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
import scipy.special
from test_nn import derivative, finite, normal, spread

from stability import nn
from stability.formats import FORMATS, from_ordinal, to_ordinal, widen
from stability.losses import KERNELS
from stability.measure import error_in_ulps
from stability.nn import _gaussian_tables as tables
from stability.study.functions import hold, truth_of

F32 = FORMATS["float32"]


def exact(x):
    return nn.gelu(x, approximate=False)


def plain_exact(x):
    return jax.nn.gelu(x, approximate=False)


def plain_by_tanh(x):
    """With constants that no format has rounded."""
    x = x.astype(jnp.float64)
    u = jnp.sqrt(0.5 / jnp.arctan(jnp.ones_like(x))) * (x + 44715 * x**3 / 10**6)
    return x * jax.nn.sigmoid(2 * u)


FORMS = {"exact": (exact, plain_exact), "by tanh": (nn.gelu, plain_by_tanh), "sinc": (nn.sinc, jnp.sinc)}
ROOTS = (0.7517915246935645, 0.7524614220710163, 2**0.5, 1.4185040087908286)
ROOTS += (1.4302966531242027, 2.4590240330269567, 100.49899180364743, 0.6626, 1.8909, 2.9303, 1000.0)
"""Of the derivatives, and near them."""
EDGES = (0.671875, 1.4375, 0.9375, 1.875, 0.25, 0.75, 13.2, 10.2)
"""Where one formula takes over from another, and where results underflow."""

forms = pytest.mark.parametrize("name", FORMS)
orders = pytest.mark.parametrize("order", [0, 1, 2])


@cache
def derived(name, order):
    return derivative(FORMS[name][0], order, {})


def errors(name, order, x, fmt):
    """Errors in ulps; 0 where the true value is not a normal float, infinite where it is and the result is NaN."""
    with jax.enable_x64(True):
        result = np.asarray(derived(name, order)(jnp.asarray(x)))
    true = truth_of(hold(FORMS[name][1], argnum=0 if order else None, modes=("rev",) * order), x, fmt)
    return np.where(normal(true), np.nan_to_num(error_in_ulps(result, true), nan=np.inf), 0.0)


def points(fmt, n, seed):
    """Floats of every binade, of the range where the functions change, and next to roots and edges, of both signs."""
    rng = np.random.default_rng(seed)
    near = to_ordinal(np.array([*ROOTS, *EDGES], fmt.dtype))[:, None] + np.arange(-4, 5)
    positive = np.concatenate([from_ordinal(near.ravel(), fmt), rng.uniform(0, 15, n).astype(fmt.dtype)])
    return np.concatenate([positive, -positive, spread(fmt, n // 4, seed)])


@forms
@orders
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_floats_of_16_bits(name, order, dtype):
    fmt = FORMATS[dtype]
    assert errors(name, order, np.concatenate([finite(fmt)[::101], points(fmt, 50, 0)]), fmt).max() <= 1


@forms
@orders
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_floats_of_32_and_64_bits(name, order, dtype):
    fmt = FORMATS[dtype]
    assert errors(name, order, points(fmt, 200, 1), fmt).max() <= (3 if name != "sinc" else 0.6 if fmt is F32 else 2)


@forms
@orders
def test_subnormal_numbers(name, order):
    x = np.float32([2.0**-127, 1.1e-38, 1e-40, 1e-45])
    assert errors(name, order, np.concatenate([x, -x]), F32).max() <= 1


LIMITS = {
    "exact": ((0, np.inf), (0, 1), (0, 0)),
    "by tanh": ((0, np.inf), (0, 1), (0, 0)),
    "sinc": ((0, 0), (0, 0), (0, 0)),
}


@forms
@pytest.mark.parametrize("dtype", FORMATS)
@orders
def test_limits_and_nan(name, order, dtype):
    fmt = FORMATS[dtype]
    with jax.enable_x64(True):
        found = np.asarray(derived(name, order)(jnp.asarray([-np.inf, np.inf, np.nan], fmt.dtype)))
    np.testing.assert_array_equal(widen(found), [*LIMITS[name][order], np.nan])


def test_sinc_at_whole_numbers():
    n = jnp.float32([1, -2, 3, 1e6, 2.0**24, 3e38])
    np.testing.assert_array_equal(nn.sinc(n), np.zeros(6))
    assert nn.sinc(jnp.float32(0)) == 1


@forms
def test_the_third_derivative_is_that_of_the_plain_formula(name):
    x = np.float32([-3.3, -1, -0.3, 1e-3, 0.6, 2.2, 6])
    plain = FORMS[name][1]
    with jax.enable_x64(True):
        expected = jax.vmap(jax.grad(jax.grad(jax.grad(plain))))(jnp.asarray(x, jnp.float64))
    found = jax.vmap(jax.grad(jax.grad(jax.grad(FORMS[name][0]))))(x)
    np.testing.assert_allclose(found, expected, rtol=3e-5, atol=1e-6)


def scanned(function):
    return lambda x: jax.lax.scan(lambda c, v: (c, function(v)), 0, x)[1]


@forms
def test_every_transformation_gives_the_same_bits(name):
    function = FORMS[name][0]
    x = jnp.asarray(points(F32, 40, 2))
    first, second = (np.asarray(derived(name, order)(x)) for order in (1, 2))
    ones = jnp.ones_like(x)
    slopes = {
        "forward": jax.jvp(function, (x,), (ones,))[1],
        "reverse": jax.grad(lambda x: function(x).sum())(x),
        "scan": scanned(jax.grad(function))(x),
        "of a scan": jax.grad(lambda x: scanned(function)(x).sum())(x),
        "remat": jax.jit(jax.vmap(jax.grad(jax.checkpoint(function))))(x),
    }
    curvatures = {
        "forward over reverse": jax.vmap(jax.jacfwd(jax.grad(function)))(x),
        "reverse over forward": jax.vmap(jax.jacrev(jax.jacfwd(function)))(x),
        "forward over forward": jax.vmap(jax.jacfwd(jax.jacfwd(function)))(x),
        "hessian": jax.vmap(jax.hessian(function))(x),
        "reverse over reverse of a scan": jax.grad(lambda x: jax.grad(lambda x: scanned(function)(x).sum())(x).sum())(
            x
        ),
    }
    for expected, found in ((first, slopes), (second, curvatures)):
        for how, value in found.items():
            np.testing.assert_array_equal(value, expected, err_msg=how)


@forms
@orders
def test_x64_makes_no_difference_to_float32(name, order):
    x = jnp.asarray(points(F32, 40, 3))
    without = np.asarray(derivative(FORMS[name][0], order, {})(x))
    with jax.enable_x64(True):
        np.testing.assert_array_equal(derivative(FORMS[name][0], order, {})(x), without)


@forms
def test_numbers_of_python_have_weak_types(name):
    function = FORMS[name][0]
    assert function(1).weak_type and (function(0.5) + jnp.bfloat16(1)).dtype == jnp.bfloat16
    with pytest.raises(TypeError):
        function(1j)


@pytest.mark.parametrize("name", [n for n in KERNELS if n.startswith(("nn_gelu", "nn_sinc"))])
def test_kernels_have_the_values_of_their_formulas(name):
    x = np.array([0.3, -1.2, 2.0, -5.5, 0.7])
    with jax.enable_x64(True):
        found, expected = (np.asarray(f(jnp.asarray(x))) for f in (KERNELS[name], KERNELS[name].formula))
    np.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-16)


def _tail(t):
    return t * mpmath.ncdf(-t) / mpmath.npdf(t)


def _number(x):
    return mpmath.mpf(x.numerator) / x.denominator


def _exact_slope(x):
    return mpmath.ncdf(x) + x * mpmath.npdf(x)


def _by_tanh_slopes(x):
    """The first two derivatives of `x / (1 + e^-y)`."""
    a, b = 2 * mpmath.sqrt(2 / mpmath.pi), mpmath.mpf(44715) / 10**6
    y, slope, bend = a * (x + b * x**3), a * (1 + 3 * b * x**2), 6 * a * b * x
    s = 1 / (1 + mpmath.exp(-y))
    return s * (1 + x * slope * (1 - s)), s * (1 - s) * (2 * slope + x * bend + x * slope**2 * (1 - 2 * s))


with mpmath.workprec(200):
    EXACT_ROOT, TANH_ROOT, INFLECTION = (
        _number(root) for root in (tables.EXACT_ROOT, tables.TANH_ROOT, tables.TANH_INFLECTION)
    )
APPROXIMATED = {
    "CENTRAL": (0.001, 0.459, lambda z: (mpmath.ncdf(mpmath.sqrt(z)) - 0.5) / mpmath.sqrt(z)),
    "TAIL": (0.055, 0.27, lambda s: (1 - _tail(1 / s - 3)) / s**2),
    "EXACT_SLOPE": (-0.68, 0.75, lambda d: _exact_slope(d - EXACT_ROOT) / d),
    "TANH_SLOPE": (-0.19, 0.75, lambda d: _by_tanh_slopes(d - TANH_ROOT)[0] / d),
    "TANH_CURVATURE": (-0.58, 1.4, lambda d: _by_tanh_slopes(INFLECTION - d)[1] / (d * (2 * INFLECTION - d))),
}
WEIGHTS = {
    "CENTRAL": lambda z: mpmath.sqrt(z) / mpmath.ncdf(-mpmath.sqrt(z)),
    "TAIL": lambda s: s**2 / _tail(1 / s - 3),
}
"""What an error is relative to, where that is not the function that is approximated."""


@pytest.mark.parametrize("name", APPROXIMATED)
@pytest.mark.parametrize(("bits", "bound"), [(32, 2.0**-24.5), (64, 2.0**-51.5)])
def test_the_polynomials_are_as_good_as_they_say(name, bits, bound):
    low, high, function = APPROXIMATED[name]
    with mpmath.workprec(200):
        for x in mpmath.linspace(low, high, 97):
            true = function(x)
            at = x - 0.1875 if name == "TAIL" else x
            error = sum(c * at**n for n, c in enumerate(getattr(tables, name)[bits])) - true
            assert abs(error * WEIGHTS.get(name, lambda x, true=true: 1 / true)(x)) < bound


@pytest.mark.exhaustive
@forms
@orders
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_every_float_of_16_bits(name, order, dtype):
    fmt = FORMATS[dtype]
    worst = errors(name, order, finite(fmt), fmt).max()
    print(name, order, dtype, worst)
    assert worst <= 1


def wide_gelu(name, order, x):
    """In float64, good to about `2**-50` but next to roots."""
    t, negative = np.abs(x), x < 0
    if name == "exact":
        density = np.exp(-x * x / 2) / np.sqrt(2 * np.pi)
        tail = np.exp(-x * x / 2) * scipy.special.erfcx(t / np.sqrt(2)) / 2
        slope = tail - t * density
        return (np.maximum(x, 0) - t * tail, np.where(negative, slope, 1 - slope), density * (2 - x * x))[order]
    a = 2 * np.sqrt(2 / np.pi)
    e, line, bend = np.exp(-a * t * (1 + 0.044715 * t * t)), a * (1 + 3 * 0.044715 * t * t), 6 * a * 0.044715 * t * t
    slope = e * ((1 + e) - t * line) / (1 + e) ** 2
    curvature = e * ((2 * line + bend) * (1 + e) - t * line**2 * (1 - e)) / (1 + e) ** 3
    return (np.maximum(x, 0) - t * e / (1 + e), np.where(negative, slope, 1 - slope), curvature)[order]


def wide_sinc(name, order, x):
    """In 80 bits, with the sine and the cosine of what is left of `2x` by the nearest whole number."""
    pi = np.longdouble("3.14159265358979323846264338327950288")
    t = np.abs(x).astype(np.longdouble)
    n = np.rint(2 * t)
    r = pi * (t - n / 2)
    m = np.mod(n, 4).astype(int)
    sine = np.choose(m, [np.sin(r), np.cos(r), -np.sin(r), -np.cos(r)])
    cosine = np.choose(m, [np.cos(r), -np.sin(r), -np.cos(r), np.sin(r)])
    value = sine / (pi * t)
    slope = (cosine - value) / t
    return (value, np.where(x < 0, -slope, slope), -(pi * sine + 2 * slope) / t)[order]


WIDE = {"exact": wide_gelu, "by tanh": wide_gelu, "sinc": wide_sinc}
RANGES = {"exact": (2.0**-14, 14.0), "by tanh": (2.0**-14, 11.0), "sinc": (2.0**-4, 2.0**12)}
"""Where float32 functions change by more than a line; beyond, `spread` has samples."""


@pytest.mark.exhaustive
@forms
@orders
def test_every_float_of_32_bits_where_the_function_changes(name, order):
    """But for those next to roots, where the wider formula has too few digits: there, `points` are decided by balls."""
    low, high = (int(to_ordinal(np.float32(x))) for x in RANGES[name])
    worst, size = 0.0, 1 << 21
    for start in range(low, high, size):
        for sign in (1, -1):
            x = sign * from_ordinal(np.minimum(np.arange(start, start + size), high), F32)
            true = WIDE[name](name, order, x.astype(np.float64))
            found = np.asarray(derived(name, order)(jnp.asarray(x)))
            ulps = np.abs(found - true) * np.ldexp(1.0, 24 - np.frexp(true)[1])
            decided = np.abs(true) > (2.0**-126 if name != "sinc" else 1e-12)
            near = np.min([np.abs(np.abs(x) - root) for root in ROOTS], axis=0) < 1e-5
            ulps = np.where(decided & ~near, np.nan_to_num(ulps, nan=np.inf), 0)
            worst = max(worst, float(ulps.max()))
    print(name, order, worst)
    assert worst <= (0.6 if name == "sinc" else 3)
