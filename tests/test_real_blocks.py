"""True values by blocks are those of every float by itself, and power series of functions are what they say."""

import flint
import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from flint import arb, arb_series
from jax.scipy import special

from stability import real
from stability.formats import FORMATS, every_float, widen
from stability.real import _along, _blocks, _points, steps
from stability.real.angles import atan2
from stability.real.function import Open, sub
from stability.real.meanings import _bessel, _gamma
from stability.real.meanings._hypergeometric import boxcox
from stability.real.values import Undefined
from stability.truth import FRACTION, State

FUNCTIONS = {
    "tanh": jnp.tanh,
    "log1p": jnp.log1p,
    "square, with its ties": lambda x: x * x,
    "sine": jnp.sin,
    "pole": lambda x: x / (1 + x),
    "square root": jnp.sqrt,
    "kink": lambda x: jnp.abs(x - 0.3),
    "jump inside a block": lambda x: jnp.where(x > 1.2, x * x, x),
    "steps": lambda x: jnp.floor(jnp.clip(x, -9, 9) * 3) + jnp.sin(x),
    "taken for a constant": lambda x: x * jax.lax.stop_gradient(jnp.exp(-x)),
    "taken for a constant where it is the greater": lambda x: x - jax.lax.stop_gradient(jnp.maximum(jnp.sin(x), 0.5)),
    "taken for a constant, squared": lambda x: x * x * jax.lax.stop_gradient(x),
    "softmax": lambda x: jax.nn.softmax(jnp.stack([x, 0.25 * x, jnp.ones_like(x)]))[1],
    "log of a sum": lambda x: jax.nn.logsumexp(jnp.stack([x, -x])),
    "upper gamma of a whole number": lambda x: special.gammaincc(3.0, x),
    "lower gamma beside its domain": lambda x: special.gammainc(2.0, x - 3),
    "beta of whole numbers": lambda x: special.betainc(2.0, 3.0, x),
    "infinite outside its domain": lambda x: special.entr(x),
    "compared with infinity": lambda x: jnp.where(jnp.isinf(x), x, jnp.sin(x)),
    "NaN passed over": lambda x: jnp.fmax(jnp.sin(x), 0.3),
    "sign": lambda x: jnp.copysign(jnp.exp(-x * x), x),
    "powers": lambda x: x**3 * jnp.exp(-x * x),
    "underflow": lambda x: jnp.exp(-jnp.exp(x)),
}


def truths(fn, fmt, order, some=slice(None)):
    derivative = real.Order(0, order) if order else None
    return real.truth(fn, every_float(fmt)[some], fmt=fmt, derivative=derivative)


def nothing(line, x, order, fmt):
    return np.zeros(len(x)), np.full(len(x), np.inf)


def differing(one, other):
    """How many differ in what they are or round to, and by how many ulps at most the others do. What is a power of two
    as far as a ball can tell may have the ulp of either side of it."""
    alike = (one.state == other.state) & (one.exponent == other.exponent)
    alike &= (one.quanta == other.quanta) | (np.isnan(one.quanta) & np.isnan(other.quanta))
    power = np.abs(np.frexp(one.rounded)[0]) == 0.5
    either = power & (one.rounded == other.rounded) & (np.abs(one.exponent - other.exponent) == 1)
    return int((~alike & ~either).sum()), np.abs(one.fraction - other.fraction)[alike].max()


@pytest.mark.parametrize("apart", [16, pytest.param(1, marks=pytest.mark.exhaustive)])
@pytest.mark.parametrize("dtype, order", [("bfloat16", 0), ("bfloat16", 1), ("bfloat16", 2), ("float16", 2)])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_floats_by_blocks_and_by_themselves(name, dtype, order, apart, monkeypatch):
    """Those about each change of what they are, and of the others each one that is `apart`."""
    fmt = FORMATS[dtype]
    by_blocks = truths(FUNCTIONS[name], fmt, order)
    changes = np.flatnonzero(np.diff(by_blocks.state))
    about = np.clip(changes[:, None] + np.arange(-2, 4), 0, len(by_blocks.state) - 1)
    some = np.union1d(np.arange(0, len(by_blocks.state), apart), about)
    monkeypatch.setattr(_points, "by_blocks", nothing)
    monkeypatch.setattr(_points, "_shared", lambda *_: iter(()))
    count, off = differing(by_blocks.at(some), truths(FUNCTIONS[name], fmt, order, some))
    assert count == 0 and off <= 2 * FRACTION


@pytest.mark.parametrize("order", [0, 1, 2])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_every_float_where_a_number_that_varies_is_held(dtype, order):
    """Against what is written out by hand, of `e = exp(-x)`."""
    fmt = FORMATS[dtype]
    x = every_float(fmt)[np.isfinite(widen(every_float(fmt)))]
    derivative = real.Order(0, order) if order else None
    found = real.truth(lambda x: jax.nn.softmax(jnp.stack([x, 0 * x]))[0], x, fmt=fmt, derivative=derivative)
    assert (found.state == State.NUMBER).all()
    quantum = np.ldexp(1.0, np.asarray(found.exponent))
    with flint.ctx.workprec(600):
        for i in range(0, len(x), 5):
            e = (-arb(float(widen(x[i : i + 1])[0]))).exp()
            v = (1 / (1 + e), e / (1 + e) ** 2, e * (e - 1) / (1 + e) ** 3)[order]
            off = v / arb(quantum[i]) - (arb(found.quanta[i]) + arb(found.fraction[i]))
            assert abs(off).upper() < 2 * FRACTION, widen(x[i : i + 1])
    product = real.truth(lambda x: x * jax.lax.stop_gradient(x), x, fmt=fmt, derivative=derivative)
    expected = (widen(x) ** 2, widen(x), np.zeros(len(x)))[order]
    with np.errstate(over="ignore"):
        assert (product.rounded == widen(expected.astype(fmt.dtype))).all()


def test_a_difference_is_0_of_what_is_the_same_only():
    ball, other = arb(1, 0.5), arb(1, 0.5)
    assert sub(ball, ball).is_exact() and sub(ball, ball) == 0
    assert not sub(ball, other).is_exact() and sub(ball, other).contains(1)
    series = arb_series([ball, 1], prec=3)
    assert sub(series, series) == 0
    assert type(sub(series, arb_series([ball, 1], prec=3))) is arb_series
    infinite = arb("inf")
    assert isinstance(sub(infinite, infinite), Undefined)


@pytest.mark.parametrize("term", [0, 1, 2])
def test_a_wrong_coefficient_is_found(term, monkeypatch):
    made = _blocks._polynomial

    def wrong(*args):
        found = made(*args)
        if found is not None and len(found.a) > term:
            found.a[term] *= 1 + 2.0**-8
        return found

    monkeypatch.setattr(_blocks, "_polynomial", wrong)
    spoilt = truths(jnp.tanh, FORMATS["bfloat16"], 0)
    monkeypatch.setattr(_points, "by_blocks", nothing)
    count, off = differing(spoilt, truths(jnp.tanh, FORMATS["bfloat16"], 0))
    assert count or off > 2 * FRACTION


@pytest.mark.parametrize("order", [0, 1, 2])
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_the_bounds_hold(dtype, order):
    """Against mpmath, and most floats are in a block."""
    fmt = FORMATS[dtype]
    x = widen(every_float(fmt))
    x = x[(np.abs(x) >= 0.01) & (np.abs(x) <= 16)]
    line = _along.along_series(jnp.arctan, (_along.zero_of(jax.ShapeDtypeStruct((), fmt.dtype)),), 0, False)
    values, bounds = _blocks.by_blocks(line, x, order, fmt)
    known = np.flatnonzero(np.isfinite(bounds))
    assert len(known) > 0.5 * len(x)
    slopes = (mpmath.atan, lambda t: 1 / (1 + t * t), lambda t: -2 * t / (1 + t * t) ** 2)
    with mpmath.workprec(200):
        for i in np.random.default_rng(0).choice(known, 400):
            assert abs(slopes[order](mpmath.mpf(x[i])) - mpmath.mpf(values[i])) <= bounds[i]


def test_few_floats_are_in_no_block():
    x = np.array([0.5, 0.75, -2.0, np.nan, 0.0, np.inf])
    line = _along.along_series(jnp.arctan, (_along.zero_of(jax.ShapeDtypeStruct((), np.float16)),), 0, False)
    assert np.isinf(_blocks.by_blocks(line, x, 0, FORMATS["float16"])[1]).all()


def ratio(x, shift):
    return mpmath.gammaprod([x + shift], [x])


SERIES = {
    "lgamma": (_gamma.lgamma, lambda x: (x,), lambda x: mpmath.log(abs(mpmath.gamma(x)))),
    "digamma": (_gamma.digamma, lambda x: (x,), mpmath.digamma),
    "polygamma": (_gamma.polygamma, lambda x: (arb(2), x), lambda x: mpmath.polygamma(2, x)),
    "gamma": (_gamma.gamma, lambda x: (x,), mpmath.gamma),
    "beta": (_gamma.beta, lambda x: (arb(0.75), x), lambda x: mpmath.gamma(0.75) / ratio(x, 0.75)),
    "beta of a whole number": (_gamma.beta, lambda x: (x, arb(3)), lambda x: 2 / (x * (x + 1) * (x + 2))),
    "betaln": (_gamma.betaln, lambda x: (arb(0.75), x), lambda x: mpmath.log(abs(mpmath.gamma(0.75) / ratio(x, 0.75)))),
    "poch": (_gamma.poch, lambda x: (x, arb(1.5)), lambda x: ratio(x, 1.5)),
    "poch of a whole number": (_gamma.poch, lambda x: (x, arb(-2)), lambda x: 1 / ((x - 1) * (x - 2))),
    "i0": (_bessel.i0, lambda x: (x,), lambda x: mpmath.besseli(0, x)),
    "i1": (_bessel.i1, lambda x: (x,), lambda x: mpmath.besseli(1, x)),
    "i0e": (_bessel.i0e, lambda x: (x,), lambda x: mpmath.exp(-abs(x)) * mpmath.besseli(0, x)),
    "i1e": (_bessel.i1e, lambda x: (x,), lambda x: mpmath.exp(-abs(x)) * mpmath.besseli(1, x)),
    "boxcox": (boxcox, lambda x: (arb(1.0625), x), lambda x: mpmath.expm1(x * mpmath.log(1.0625)) / x),
    "atan2 by y": (atan2, lambda x: (x, arb(-1.5)), lambda x: mpmath.atan2(x, -1.5)),
    "atan2 by x": (atan2, lambda x: (arb(0.75), x), lambda x: mpmath.atan2(0.75, x)),
    "atan2 by both": (atan2, lambda x: (x, 2 * x - 3), lambda x: mpmath.atan2(x, 2 * x - 3)),
}


@pytest.mark.parametrize("at", [0.3, 2.75, -0.6, -3.25, -7.5, 5.0, 40.0])
@pytest.mark.parametrize("name", SERIES)
def test_a_power_series_is_that_of_the_function(name, at):
    function, arguments, value = SERIES[name]
    terms = 4
    with flint.ctx.workprec(200), mpmath.workprec(300):
        try:
            found = function(*arguments(arb_series([at, 1], prec=terms)))
        except Open:
            assert (name, at) == ("poch", -7.5)
            return
        expected = mpmath.taylor(value, mpmath.mpf(at), terms - 1)
        for k, c in enumerate(expected):
            assert abs(float(found[k]) - float(c)) <= 1e-9 * max(1e-3, abs(float(c))), k
            assert found[k].rel_accuracy_bits() > 60 or abs(c) < 1e-60


AT_POLES = {
    "gammaln": (special.gammaln, lambda x: mpmath.log(abs(mpmath.gamma(x)))),
    "digamma": (special.digamma, mpmath.digamma),
    "polygamma": (lambda x: special.polygamma(2, x), lambda x: mpmath.polygamma(2, x)),
    "gamma": (special.gamma, mpmath.gamma),
    "beta": (lambda x: special.beta(0.75, x), lambda x: mpmath.gamma(0.75) / ratio(x, 0.75)),
    "difference of gammaln": (lambda x: special.gammaln(x + 2) - special.gammaln(x), lambda x: mpmath.log(x * (x + 1))),
    "poch": (lambda x: special.poch(x, 0.5), lambda x: ratio(x, 0.5)),
    "poch by the other": (lambda x: special.poch(1.5, x), lambda x: mpmath.gammaprod([x + 1.5], [1.5])),
}


@pytest.mark.parametrize("order", [0, 1, 2])
@pytest.mark.parametrize("name", AT_POLES)
def test_derivatives_at_the_poles_of_the_gamma_functions(name, order):
    """Infinite with the signs of both sides, or the number that both sides tend to."""
    fn, value = AT_POLES[name]
    fmt = FORMATS["bfloat16"]
    at = np.array([-3.0, -4.0, -60.0, -3.5, -4.5]).astype(fmt.dtype)
    found = real.truth(fn, at, fmt=fmt, derivative=real.Order(0, order) if order else None)
    with mpmath.workprec(1500):
        for i, x in enumerate(widen(at)):
            far, near = (
                [mpmath.diff(value, mpmath.mpf(x) + s * mpmath.mpf(2) ** -away, order) for s in (-1, 1)]
                for away in (300, 600)
            )
            signs = {int(mpmath.sign(v)) for v in near}
            if abs(near[0]) > 1.5 * abs(far[0]):
                assert found.state[i] == State.POLE or np.isinf(found.quanta[i])
                assert np.isnan(found.quanta[i]) if len(signs) == 2 else np.sign(found.quanta[i]) == signs.pop()
            else:
                assert found.state[i] == State.NUMBER
                mean = float(sum(near) / 2)
                assert found.rounded[i] == widen(np.array([mean]).astype(fmt.dtype))[0] or abs(mean) < 2.0**-133


def test_the_size_of_a_reciprocal_gamma_function_has_kinks():
    """`1/Γ` has the slope `(-1)^n n!` at `-n`."""
    fmt = FORMATS["float32"]
    at = np.array([0, -1, -2, -5], np.float32)
    found = real.truth(lambda x: jnp.exp(-special.gammaln(x)), at, fmt=fmt, derivative=real.Order(0, 1))
    assert (found.state == State.NUMBER).all() and found.other is not None
    assert found.rounded.tolist() == [-1, -1, -2, -120] and found.other.rounded.tolist() == [1, 1, 2, 120]


@pytest.mark.parametrize("function, jumps", [("floor", [2.0]), ("ceil", [2.0]), ("nearest_even", [2.5])])
def test_steps_jump_where_they_do_only(function, jumps):
    for at in (2.0, 2.5, 2.25):
        x = arb_series([at, 1], prec=3)
        if at in jumps:
            with pytest.raises(Open):
                getattr(steps, function)(x)
        else:
            assert getattr(steps, function)(x) in (2, 3)


@pytest.mark.parametrize("order", [1, 2])
def test_quotients_that_need_many_bits(order):
    fmt = FORMATS["bfloat16"]
    at = np.array([-1e-38, 3e-38, -1e-30]).astype(fmt.dtype)
    found = real.truth(lambda x: jnp.floor_divide(1.5, x), at, fmt=fmt, derivative=real.Order(0, order))
    assert (found.state == State.NUMBER).all() and (found.rounded == 0).all()


def test_masked_sums():
    """An infinity that a mask puts in is no obstacle to the power series of the rest."""

    def fn(x):
        return special.logsumexp(jnp.stack([x, 2 * x]), where=jnp.array([True, False]))

    fmt = FORMATS["float16"]
    at = np.array([-20.0, 0.5, 7.0], np.float16)
    found = real.truth(fn, at, fmt=fmt, derivative=real.Order(0, 1))
    assert (found.rounded == 1).all()


@pytest.mark.parametrize("m", [0, 1, 5])
@pytest.mark.parametrize("order", [1, 2])
def test_polygamma_of_every_order_has_slopes(m, order):
    fmt = FORMATS["float32"]
    derivative = real.Order(0, order)
    z = np.float32([1.5, -3.0])
    found = real.truth(lambda x: jax.lax.polygamma(jnp.float32(m), x), z, fmt=fmt, derivative=derivative)
    with mpmath.workprec(200):
        assert found.rounded[0] == np.float32(float(mpmath.polygamma(m + order, 1.5)))
    assert found.state[1] == State.POLE or np.isinf(found.quanta[1])


@pytest.mark.parametrize("b", [0.5, 2.0])
def test_beta_at_a_pole_of_the_argument_that_is_held(b):
    """It has no value around there."""
    fmt = FORMATS["float32"]
    found = real.truth(lambda x: special.beta(-2.0, x), np.float32([b]), fmt=fmt, derivative=real.Order(0, 1))
    assert found.state[0] != State.NUMBER


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_a_remainder_without_a_bound_decides_nothing():
    def line(x, terms):
        found = arb_series([x, 1], prec=terms) ** 9
        if x.rad() > 0:
            found += arb_series([0] * (terms - 1) + [arb(0, "inf")], prec=terms)
        return found

    x = np.logspace(-38, -2, 100)
    _, bounds = _blocks.by_blocks(line, x, 0, FORMATS["bfloat16"])
    assert np.isinf(bounds).all()
