"""A function of JAX is recognised by being JAX's own: called, traced inline, mapped or scanned; nothing else is."""

import jax
import jax.nn as nn
import jax.numpy as jnp
import jax.scipy.special as special
import jax.scipy.stats as stats
import mpmath
import numpy as np
import pytest
from jax import lax
from mpmath import mp, mpf

from stability.real import true_value, why_undefined
from stability.real.meanings._table import MEANING
from stability.real.recognition import meant

mp.dps = 50


def normal(x):
    return mpmath.erfc(-x / mpmath.sqrt(2)) / 2


def probit(p):
    return mpmath.sqrt(2) * mpmath.erfinv(2 * p - 1)


def dawson(x):
    return mpmath.sqrt(mp.pi) / 2 * mpmath.exp(-x * x) * mpmath.erfi(x)


def student(x):
    return mpmath.log(mpmath.gamma(2) / (mpmath.sqrt(3 * mp.pi) * mpmath.gamma(mpf(1.5))) * (1 + x * x / 3) ** -2)


def multivariate_gamma(a):
    return mpf(3) / 2 * mpmath.log(mp.pi) + sum(mpmath.loggamma(a + 3 - mpf(j) / 2) for j in range(3))


def scaled_exponential(x):
    scale, alpha = mpf("1.0507009873554804934193349852946"), mpf("1.6732632423543772848170429916717")
    return scale * x if x > 0 else scale * alpha * mpmath.expm1(x)


UNARY = {
    "sinc": (jnp.sinc, mpmath.sincpi),
    "jnp.i0": (jnp.i0, lambda x: mpmath.besseli(0, x)),
    "log10": (jnp.log10, mpmath.log10),
    "deg2rad": (jnp.deg2rad, mpmath.radians),
    "rad2deg": (jnp.rad2deg, mpmath.degrees),
    "gelu": (lambda x: nn.gelu(x, approximate=False), lambda x: x * normal(x)),
    "softplus": (nn.softplus, lambda x: mpmath.log1p(mpmath.exp(x))),
    "selu": (lambda x: nn.selu(-x), lambda x: scaled_exponential(-x)),
    "silu": (nn.silu, lambda x: x / (1 + mpmath.exp(-x))),
    "mish": (nn.mish, lambda x: x * mpmath.tanh(mpmath.log1p(mpmath.exp(x)))),
    "dawsn": (special.dawsn, dawson),
    "erfcx": (special.erfcx, lambda x: mpmath.exp(x * x) * mpmath.erfc(x)),
    "exp1": (special.exp1, mpmath.e1),
    "expi": (special.expi, mpmath.ei),
    "expn": (lambda x: special.expn(2, x), lambda x: mpmath.expint(2, x)),
    "fresnel": (lambda x: special.fresnel(x)[0], mpmath.fresnels),
    "gamma": (lambda x: special.gamma(-x), lambda x: mpmath.gamma(-x)),
    "hyp1f1": (lambda x: special.hyp1f1(0.5, 1.5, x), lambda x: mpmath.hyp1f1(mpf(0.5), mpf(1.5), x)),
    "hyp2f1": (
        lambda x: special.hyp2f1(0.5, 1.5, 2.5, x),
        lambda x: mpmath.hyp2f1(mpf(0.5), mpf(1.5), mpf(2.5), x),
    ),
    "i0": (special.i0, lambda x: mpmath.besseli(0, x)),
    "i1": (special.i1, lambda x: mpmath.besseli(1, x)),
    "log_ndtr": (special.log_ndtr, lambda x: mpmath.log(normal(x))),
    "multigammaln": (lambda a: special.multigammaln(a + 3, 3), multivariate_gamma),
    "ndtr": (special.ndtr, normal),
    "ndtri": (special.ndtri, probit),
    "poch": (lambda x: special.poch(x, 1.5), lambda x: mpmath.rf(x, mpf(1.5))),
    "polygamma": (lambda x: special.polygamma(1, x), lambda x: mpmath.polygamma(1, x)),
    "sici": (lambda x: special.sici(x)[1], mpmath.ci),
    "spence": (special.spence, lambda x: mpmath.polylog(2, 1 - x).real),
    "zeta": (lambda x: special.zeta(2.0, x), lambda x: mpmath.zeta(2, x)),
    "cauchy.logpdf": (stats.cauchy.logpdf, lambda x: -mpmath.log(mp.pi * (1 + x * x))),
    "cauchy.cdf": (stats.cauchy.cdf, lambda x: mpmath.atan(x) / mp.pi + mpf(0.5)),
    "cauchy.ppf": (stats.cauchy.ppf, lambda p: mpmath.tan(mp.pi * (p - mpf(0.5)))),
    "laplace.logpdf": (stats.laplace.logpdf, lambda x: -abs(x) - mpmath.log(2)),
    "multivariate_normal.logpdf": (
        lambda x: stats.multivariate_normal.logpdf(x, 0.0, 2.0),
        lambda x: -x * x / 4 - mpmath.log(4 * mp.pi) / 2,
    ),
    "norm.logpdf": (stats.norm.logpdf, lambda x: -x * x / 2 - mpmath.log(2 * mp.pi) / 2),
    "norm.sf": (stats.norm.sf, lambda x: normal(-x)),
    "norm.isf": (stats.norm.isf, lambda p: -probit(p)),
    "t.logpdf": (lambda x: stats.t.logpdf(x, 3.0), student),
    "vonmises.logpdf": (
        lambda x: stats.vonmises.logpdf(x, 2.0),
        lambda x: 2 * mpmath.cos(x) - mpmath.log(2 * mp.pi * mpmath.besseli(0, 2)),
    ),
    "wrapcauchy.logpdf": (
        lambda x: stats.wrapcauchy.logpdf(x, 0.5),
        lambda x: mpmath.log((1 - mpf(1) / 4) / (2 * mp.pi * (1 + mpf(1) / 4 - mpmath.cos(x)))),
    ),
}

BINARY = {
    "beta": (special.beta, mpmath.beta),
    "betaln": (special.betaln, lambda a, b: mpmath.log(mpmath.beta(a, b))),
    "logaddexp": (jnp.logaddexp, lambda x, y: mpmath.log(mpmath.exp(x) + mpmath.exp(y))),
    "logaddexp2": (jnp.logaddexp2, lambda x, y: mpmath.log(mpf(2) ** x + mpf(2) ** y, 2)),
    "owens_t": (
        special.owens_t,
        lambda h, a: mpmath.quad(lambda t: mpmath.exp(-h * h * (1 + t * t) / 2) / (1 + t * t), [0, a]) / (2 * mp.pi),
    ),
}

POINTS = np.array([0.03125, 0.1, 0.3, 0.4, 0.7, 0.9, 0.97], np.float32)


def rounded(x, dtype=np.float32):
    """The float nearest to a number of mpmath's, for normal results: to nearest of `p` bits."""
    bits = np.finfo(dtype).nmant + 1
    exponent = int(mpmath.floor(mpmath.log(abs(x), 2))) + 1 - bits
    return dtype(float(mpmath.ldexp(mpmath.nint(mpmath.ldexp(x, -exponent)), exponent)))


def scanned(fn):
    return lambda *rows: lax.scan(lambda c, row: (c, fn(*row)), 0.0, rows)[1]


ALL = {name: (*row, 1) for name, row in UNARY.items()} | {name: (*row, 2) for name, row in BINARY.items()}


def arguments(count: int, dtype=np.float32) -> list:
    return [POINTS.astype(dtype), POINTS[::-1].astype(dtype)][:count]


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_truth_of_a_named_function_is_the_mathematical_function(name, dtype):
    fn, oracle, count = ALL[name]
    args = arguments(count, dtype)
    wanted = [rounded(oracle(*(mpf(float(v)) for v in row)), dtype) for row in zip(*args, strict=True)]
    np.testing.assert_array_equal(true_value(fn, *args, dtype=dtype), wanted)


@pytest.mark.parametrize("name", ALL)
def test_shape_and_transformation_do_not_change_it(name):
    fn, _, count = ALL[name]
    args = arguments(count)
    wanted = true_value(fn, *args)
    assert np.isfinite(wanted).all()
    np.testing.assert_array_equal([true_value(fn, *(a[i] for a in args)) for i in range(len(POINTS))], wanted)
    np.testing.assert_array_equal(true_value(jax.vmap(fn), *args), wanted)
    np.testing.assert_array_equal(true_value(jax.jit(fn), *args), wanted)
    np.testing.assert_array_equal(true_value(jax.jit(jax.vmap(jax.jit(fn))), *args), wanted)
    np.testing.assert_array_equal(true_value(lambda *a: fn(*a) * 2, *args), wanted * 2)


@pytest.mark.parametrize("name", ["sinc", "ndtr", "betaln", "logaddexp2", "spence", "norm.logpdf", "expn"])
def test_it_is_recognised_inside_scan(name):
    fn, _, count = ALL[name]
    args = arguments(count)
    np.testing.assert_array_equal(true_value(scanned(fn), *args), true_value(fn, *args))


def test_calls_one_after_another_on_a_line_are_two():
    x = np.float32(0.3)
    fn = lambda x: special.ndtr(special.ndtr(x)) + special.ndtr(-x)  # noqa: E731
    wanted = normal(normal(mpf(float(x)))) + normal(-mpf(float(x)))
    assert true_value(fn, x) == rounded(wanted)
    assert meanings_in(fn, x) == 3


def test_both_outputs_of_a_function_of_two():
    sine, cosine = true_value(special.fresnel, np.float32(0.7))
    assert sine == rounded(mpmath.fresnels(mpf(float(np.float32(0.7)))))
    assert cosine == rounded(mpmath.fresnelc(mpf(float(np.float32(0.7)))))


def test_arguments_of_different_shapes_and_literals():
    x = POINTS
    np.testing.assert_array_equal(
        true_value(lambda x: special.betaln(x[:, None], x[None, :2]), x),
        [[true_value(special.betaln, a, b) for b in x[:2]] for a in x],
    )
    np.testing.assert_array_equal(
        true_value(lambda x: special.betaln(2.5, x), x), [true_value(special.betaln, np.float32(2.5), a) for a in x]
    )


def meanings_in(fn, *args) -> int:
    return sum(eqn.primitive is MEANING for eqn in meant(jax.make_jaxpr(fn)(*args).jaxpr).eqns)


def sinc(x):
    return jnp.where(x == 0, 1.0, jnp.sin(3.1415927 * x) / (3.1415927 * x))


def ndtr(x):
    half = np.float32(0.5) * np.sqrt(np.float32(2))
    w = x * half
    z = lax.abs(w)
    one, two = np.float32(1), np.float32(2)
    tail = lax.select(lax.gt(w, np.float32(0)), two - lax.erfc(z), lax.erfc(z))
    return np.float32(0.5) * lax.select(lax.lt(z, half), one + lax.erf(w), tail)


def log10(x):
    return jnp.log(x) * np.float32(0.4342945)


def degrees(x):
    return lax.mul(x, np.float32(57.29578)) + jnp.multiply(x, np.float32(57.29578)) + x * np.float32(57.29578)


@pytest.mark.parametrize("fn", [sinc, jax.jit(sinc), ndtr, log10, degrees, jax.jit(degrees)])
def test_a_users_own_function_of_that_name_is_read_as_written(fn):
    jaxpr = jax.make_jaxpr(fn)(np.float32(0.3)).jaxpr
    inner = [e.params["jaxpr"].jaxpr for e in jaxpr.eqns if e.primitive.name == "jit" and e.params["name"] != "_where"]
    for program in [jaxpr, *inner]:
        assert meant(program) is program


def test_a_users_literal_is_not_taken_for_a_constant():
    fn = lambda x: jnp.power(x, 3.1415927) + stats.cauchy.logpdf(x, loc=3.1415927)  # noqa: E731
    x = np.float32(4.5)
    pi = mpf(float(np.float32(3.1415927)))
    wanted = mpf(4.5) ** pi - mpmath.log(mp.pi * (1 + (mpf(4.5) - pi) ** 2))
    assert true_value(fn, x) == rounded(wanted)


def test_where_the_name_leaves_the_meaning_open_the_letter_is_read():
    x = np.float32(0.3)
    c = mpf(float(np.sqrt(2 / np.pi).astype(np.float32)))
    a, v = mpf(float(np.float32(0.044715))), mpf(float(x))
    assert true_value(nn.gelu, x) == rounded(v * (1 + mpmath.tanh(c * (v + a * v**3))) / 2)


@pytest.mark.parametrize("fn", [jnp.sinc, nn.silu, nn.mish, jnp.i0, special.i0, nn.soft_sign, special.i1])
def test_a_derivative_is_not_mistaken_for_its_function(fn):
    x = np.float32(0.7)
    for derivative in (jax.grad(fn), jax.grad(jax.jit(fn)), lambda x, fn=fn: jax.jvp(fn, (x,), (x,))[1] / x):
        assert abs(true_value(derivative, x) - jax.grad(fn)(x)) < 1e-5


def test_equations_of_a_derivative_are_not_those_of_a_function():
    for fn in (special.ndtr, special.spence, jnp.log10, lambda x: special.betaln(x, x)):
        assert meanings_in(fn, np.float32(0.3)) == 1
        assert meanings_in(jax.grad(fn), np.float32(0.3)) == 0


INF = np.float32(np.inf)


@pytest.mark.parametrize(
    ("fn", "x", "wanted"),
    [
        (special.exp1, INF, 0),
        (lambda x: special.expn(2, x), INF, 0),
        (lambda x: special.zeta(2.0, x), np.float32(-16.5), 9.8107979),
        (lambda x: lax.zeta(np.float32(2), x), np.float32(-16.5), 9.8107979),
        (lambda x: special.polygamma(1, x), np.float32(-16.5), 9.8107979),
        (jax.grad(special.digamma), np.float32(-16.5), 9.8107979),
        (special.expi, np.float32(0), -INF),
        (jnp.log10, np.float32(0), -INF),
        (nn.silu, -INF, 0),
        (nn.mish, -INF, 0),
        (lambda x: nn.gelu(x, approximate=False), -INF, 0),
        (nn.soft_sign, INF, 1),
        (jnp.sinc, np.float32(2), 0),
        (jnp.log10, np.float32(1000), 3),
    ],
)
def test_values_at_ends_and_left_of_zero(fn, x, wanted):
    assert true_value(fn, x) == np.float32(wanted)


@pytest.mark.parametrize("fn", [jnp.log10, special.gamma, special.spence, special.ndtri, special.exp1])
def test_outside_the_domain_there_is_no_value(fn):
    kinds = {why_undefined(fn, np.float32(x)) for x in (-1.0, 0.0)} - {None}
    assert kinds and kinds <= {"domain", "pole"}


def test_logaddexp2_in_bfloat16_is_the_logarithm_of_the_sum():
    values = np.array([-30, -7.5, -2, -0.3125, 0, 0.125, 1, 3, 5.5, 12, 40, 100], jnp.bfloat16)
    x, y = np.meshgrid(values, values)
    found = true_value(jnp.logaddexp2, x, y)
    for a, b, z in zip(x.ravel(), y.ravel(), found.ravel(), strict=True):
        exact = mpmath.log(mpf(2) ** float(a) + mpf(2) ** float(b), 2)
        step = mpf(2) ** (mpmath.floor(mpmath.log(abs(exact), 2)) - 7)
        assert abs(mpf(float(z)) - exact) <= step / 2
