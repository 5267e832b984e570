"""Shadow evaluation: true values at a point and in bulk, arrays, control flow, what has no value."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flint import arb
from jax import lax

from stability.formats import FORMATS, every_float, widen
from stability.real import UnsupportedPrimitive, true_value, truth, why_undefined
from stability.study.sigmoid import forms
from stability.study.sigmoid.truth import sigmoid_minus_label

F32, F64, BF16 = FORMATS["float32"], FORMATS["float64"], FORMATS["bfloat16"]
rng = np.random.default_rng(0)


def close(fn, *args, ulps=8.0):
    """float64 JAX and the true value agree to so many ulps of the largest element."""
    got, true = jax.tree.leaves(fn(*args)), jax.tree.leaves(true_value(fn, *args))
    for g, t in zip(got, true, strict=True):
        g, t = np.asarray(g, np.float64), np.asarray(t, np.float64)
        assert np.all(np.isfinite(t))
        assert np.max(np.abs(g - t)) <= ulps * np.spacing(np.max(np.abs(t))), (g, t)


def net(x):
    h = jnp.tanh(x @ jnp.arange(12.0).reshape(4, 3) / 12)
    return jnp.sum(jax.nn.softmax(h) * jnp.array([1.0, 2.0, 3.0]))


def layer_norm(x):
    return jnp.sum((x - x.mean()) / jnp.sqrt(x.var() + 1e-5) * jnp.sin(jnp.arange(16.0)))


def indexing(x):
    x = jnp.asarray(x)
    y = x.at[1].set(2.0).at[jnp.array([0, 2, 2])].add(x[:3])
    z = jnp.concatenate([y[::-1], jnp.pad(x, (1, 2)), jnp.roll(x, 1)]).reshape(-1, 1).T
    return jnp.sum(jnp.take(z, jnp.arange(3), axis=1) ** 2) + lax.dynamic_slice(x, (1,), (2,)).sum()


def folds(x):
    m = x.reshape(2, 2)
    return (
        jnp.cumsum(m, axis=1).sum()
        + jnp.cumprod(x)[-1]
        + lax.cummax(x)[2]
        + lax.cumlogsumexp(x, reverse=True)[0]
        + jnp.prod(m, axis=0).max()
        + jnp.min(m)
        + jnp.sort(x)[1] * jnp.argmax(x)
        + jnp.linalg.norm(m)
    )


def loops(x):
    y = lax.fori_loop(0, 3, lambda i, v: v * jnp.cos(v) + i, x)
    carry, ys = lax.scan(lambda c, a: (c * 0.5 + a, c * a), y[0], y, reverse=True)
    z = lax.cond(carry > 0, jnp.sin, jnp.cos, carry)
    return z + ys.sum() + jax.checkpoint(lambda v: jnp.exp(jnp.sin(v)))(z)


def scan_of_trees(x):
    def body(carry, row):
        (a, b), c = carry
        return ((b, a * row["p"]), c + x[0]), {"carried": c * 1.5, "given": row["q"], "fixed": x}

    rows = {"p": jnp.cos(x), "q": jnp.stack([x, x * x], 1), "unused": x}
    carry, ys = lax.scan(body, ((x[0], x[1] * 2), x[2]), rows)
    return jnp.stack([*carry[0], carry[1]]).sum() + sum(jnp.sin(y).sum() for y in jax.tree.leaves(ys))


def while_loop(x):
    return lax.while_loop(lambda v: v < 100.0, lambda v: v * v + 1, jnp.abs(x))


ARRAYS = {
    "net": (net, rng.normal(size=4)),
    "softmax": (lambda x: jax.nn.softmax(x), rng.normal(size=10)),
    "log softmax": (lambda x: jax.nn.log_softmax(x).sum(), rng.normal(size=10)),
    "layer norm": (layer_norm, rng.normal(size=16)),
    "indexing": (indexing, rng.normal(size=4)),
    "folds": (folds, np.abs(rng.normal(size=4)) + 0.1),
    "loops": (loops, rng.normal(size=3)),
    "scan of trees": (scan_of_trees, rng.normal(size=3)),
    "logsumexp": (jax.nn.logsumexp, rng.normal(size=5)),
    "max": (lambda x: jnp.max(x * 1.7) + jnp.min(jnp.sin(x)), rng.normal(size=5)),
    "losses": (
        lambda x: jnp.sum(jax.nn.softplus(x) + jax.nn.gelu(x) + jax.nn.silu(x) + jax.nn.elu(x)),
        rng.normal(size=4),
    ),
    "special": (
        lambda x: jnp.sum(lax.lgamma(x) + lax.digamma(x) + lax.erf_inv(x / 4) + lax.igamma(x, 1 + x)),
        np.array([0.3, 1.7, 2.6]),
    ),
    "einsum": (lambda x: jnp.einsum("bij,bkj->bik", x, jnp.cos(x)).sum(), rng.normal(size=(2, 2, 3))),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_agrees_with_float64(name):
    fn, x = ARRAYS[name]
    close(fn, x, ulps=64)
    close(jax.jit(fn), x, ulps=64)


@pytest.mark.parametrize("name", [n for n in ARRAYS if n != "special"])
def test_gradients_agree_with_float64(name):
    fn, x = ARRAYS[name]
    close(jax.grad(lambda v: jnp.sum(fn(v))), x, ulps=512)


def test_vmap_jvp_and_second_derivatives():
    close(jax.vmap(lambda v: jnp.exp(jnp.sin(v))), rng.normal(size=3))
    close(lambda x: jax.jvp(jax.nn.softplus, (x,), (1.0,)), 0.7)
    close(jax.hessian(lambda v: jnp.prod(jnp.sin(v))), rng.normal(size=3), ulps=64)


def test_a_loop_that_rounding_alone_ends_is_undecided():
    def smallest(x):
        return lax.while_loop(lambda v: x + v != x, lambda v: v / 2, x)

    assert why_undefined(smallest, jnp.float32(1)) == "undecided: a loop of over 10000 turns"
    assert true_value(lambda n: lax.while_loop(lambda v: v < n, lambda v: v + 1, 0.0), jnp.float32(9_999)) == 9_999


def test_a_while_loop():
    close(while_loop, 1.3)


SCALARS = {
    name: getattr(jnp, name)
    for name in (
        *("exp", "exp2", "expm1", "sin", "cos", "tan", "arctan", "sinh", "cosh", "tanh", "arcsinh"),
        *("square", "cbrt", "abs", "sign", "floor", "ceil"),
    )
} | {
    "logistic": jax.nn.sigmoid,
    "erf": lax.erf,
    "erfc": lax.erfc,
    "bessel_i0e": lax.bessel_i0e,
    "bessel_i1e": lax.bessel_i1e,
    "pow": lambda x: (x * x + 1) ** 1.7,
    "polygamma": lambda x: lax.polygamma(2.0, x * x + 0.5),
    "zeta": lambda x: lax.zeta(2.5, x * x + 0.5),
    "logaddexp": lambda x: jnp.logaddexp(x, 2 * x),
    "rem": lambda x: lax.rem(x, 0.75),
    "atan2": lambda x: jnp.arctan2(x, 0.3),
    "betainc": lambda x: lax.betainc(1.5, 2.5, jax.nn.sigmoid(x)),
}


@pytest.mark.parametrize("name", SCALARS)
def test_scalar_functions_agree_with_float64(name):
    fn = SCALARS[name]
    for x in (0.3, -1.7, 2.9):
        got, true = float(fn(jnp.float64(x))), float(true_value(fn, x))
        assert abs(got - true) <= 1e-13 * max(1.0, abs(true)), (x, got, true)


@pytest.mark.parametrize(
    "form", [forms.chain_split, forms.autodiff, forms.cancelled, forms.logits, forms.componentwise]
)
@pytest.mark.parametrize("fmt", [F32, BF16, F64, FORMATS["float16"]], ids=lambda f: f.name)
def test_every_form_has_the_true_value_of_the_reference(form, fmt):
    z = np.concatenate([np.linspace(-120, 120, 201), [1e-30, -1e5, 3e4, 1e-8]]).astype(fmt.dtype)
    z = z[np.isfinite(z) & ((z != 0) | (form is not forms.logits))]
    for label in (0.0, 1.0):
        got, true = truth(form, z, args=(label,), fmt=fmt), sigmoid_minus_label(z, label, fmt)
        power_of_two = np.abs(np.frexp(true.rounded)[0]) == 0.5
        assert np.array_equal(got.rounded, true.rounded)
        same = (got.exponent == true.exponent) & (np.abs(got.fraction - true.fraction) < 2.0**-23)
        assert np.all(same | power_of_two)


def test_bulk_and_single_points_agree():
    z = np.concatenate([np.linspace(-30, 30, 61), [np.inf, -np.inf, np.nan, 0.0, -0.0, 1e-45]]).astype(np.float32)

    def fn(x):
        return jnp.where(x > 1, jnp.log1p(x), jnp.tanh(x)) * jax.nn.relu(x + 2) + jnp.exp(-x)

    for f in (fn, jax.grad(fn)):
        got = truth(f, z, fmt=F32).rounded
        single = np.array([true_value(f, x) for x in z], np.float64)
        assert np.array_equal(got, single, equal_nan=True)


def test_every_bfloat16_of_a_difference_that_cancels():
    z = every_float(BF16)
    got, true = truth(forms.cancelled, z, args=(1.0,), fmt=BF16), sigmoid_minus_label(z, 1.0, BF16)
    assert np.array_equal(got.rounded, true.rounded, equal_nan=True)


def test_argnum_and_fixed_arguments():
    y = np.array([0.25, 0.5], np.float32)
    got = truth(lambda x, y, w: x * y - w, y, argnum=1, args=(3.0, 0.125), fmt=F32).rounded
    assert got.tolist() == [0.625, 1.375]


def test_what_rounds_to_infinity_is_infinite():
    z = np.array([88.0, 89.0, np.inf], np.float32)
    assert np.isinf(truth(jnp.exp, z, fmt=F32).rounded).tolist() == [False, True, True]


POLES = {
    "log": (jnp.log, 0.0, -np.inf),
    "log2": (jnp.log2, 0.0, -np.inf),
    "log1p": (jnp.log1p, -1.0, -np.inf),
    "rsqrt": (lax.rsqrt, 0.0, np.inf),
    "atanh": (jnp.arctanh, -1.0, -np.inf),
    "erf_inv": (lax.erf_inv, 1.0, np.inf),
    "lgamma": (lax.lgamma, -2.0, np.inf),
    "a negative power": (lambda x: lax.pow(x, -0.5), 0.0, np.inf),
    "an even negative power": (lambda x: x**-2, 0.0, np.inf),
    "trigamma": (lambda x: lax.polygamma(jnp.ones_like(x), x), -3.0, np.inf),
    "1/|1/x|": (lambda x: 1 / jnp.abs(1 / x), 0.0, 0.0),
    "exp(log x)": (lambda x: jnp.exp(jnp.log(x)), 0.0, 0.0),
}


@pytest.mark.parametrize("name", POLES)
def test_a_pole_of_one_sign_is_infinite(name):
    fn, x, limit = POLES[name]
    assert true_value(fn, x) == limit
    assert true_value(fn, np.full(1, x)) == limit
    assert true_value(jax.vmap(fn), np.full(2, x)).tolist() == [limit] * 2


UNDEFINED = {
    "0/0 of two limits": (lambda x: jnp.abs(x) / x, 0.0, "zero_over_zero"),
    "1/0": (lambda x: 1 / x, 0.0, "pole"),
    "log of a negative number": (jnp.log, -1.0, "domain"),
    "root of a negative number": (jnp.sqrt, -1.0, "domain"),
    "mean of nothing": (lambda x: jnp.mean(jnp.full(0, x)), 1.0, "zero_over_zero"),
    "over a product of nothing": (
        lambda x: jnp.sum(jnp.full((1, 0), x) @ jnp.zeros((0, 1))) / (x - x),
        1.0,
        "zero_over_zero",
    ),
    "acos of 2": (jnp.arccos, 2.0, "domain"),
    "log of a zero that is none of the argument's": (
        lambda x: (x - x) * jnp.log(x - x),
        2.0,
        "zero_times_infinity",
    ),
    "inf - inf": (lambda x: x - jnp.abs(x), np.inf, "infinity_minus_infinity"),
    "0 inf": (lambda x: (1 / x) * x, np.inf, "zero_times_infinity"),
    "inf/inf": (lambda x: jnp.exp(x) / x, np.inf, "infinity_over_infinity"),
    "sin inf": (jnp.sin, np.inf, "domain"),
    "nan": (jnp.sin, np.nan, "nan"),
    "never shown to be 0": (lambda x: 1 / (jnp.log(jnp.exp(x)) - x), 0.7, "undecided"),
}


@pytest.mark.parametrize("name", UNDEFINED)
def test_what_has_no_value_is_not_a_number(name):
    fn, x, kind = UNDEFINED[name]
    assert np.isnan(true_value(fn, x)) and why_undefined(fn, x) == kind
    found = truth(fn, np.array([x], np.float32), fmt=F32)
    assert np.isnan(found.quanta[0]) and found.why[0] == kind


DEFINED = {
    "0/0 of one limit": (lambda x: x / x, 0.0, 1.0),
    "a computed zero times a pole": (jax.grad(lambda x: jnp.sqrt(x) ** 2), 0.0, 1.0),
    "guarded log": (jax.grad(lambda x: jnp.where(x > 0, jnp.log(x), 0.0)), -1.0, 0.0),
    "guarded log at 0": (jax.grad(lambda x: jnp.where(x > 0, jnp.log(x), 0.0)), 0.0, 0.0),
    "guarded root": (jax.grad(lambda x: jnp.where(x > 0, jnp.sqrt(x), 0.0)), 0.0, 0.0),
    "mask": (lambda x: (x > 0) * jnp.log(x), -1.0, 0.0),
    "guarded ratio": (lambda x: jnp.where(x == 0, 1.0, jnp.sin(x) / x), 0.0, 1.0),
    "isnan": (lambda x: jnp.where(jnp.isnan(x / x), 7.0, 1.0), 0.0, 7.0),
    "abs": (jax.grad(jnp.abs), 0.0, None),
    "exp -inf": (jnp.exp, -np.inf, 0.0),
    "tanh inf": (jnp.tanh, np.inf, 1.0),
    "atan inf": (jnp.arctan, np.inf, np.pi / 2),
    "softplus -inf": (jax.nn.softplus, -np.inf, 0.0),
    "log1p exp": (lambda x: jnp.log1p(jnp.exp(x)), 1000.0, 1000.0),
    "erf": (lambda x: 1 - lax.erf(x), 50.0, 0.0),
    "an exact zero": (lambda x: jnp.log(jnp.exp(x)) - x, 0.7, 0.0),
    "a rounding does nothing": (lambda x: x.astype(jnp.bfloat16).astype(jnp.float32), 1.2345, np.float32(1.2345)),
}


@pytest.mark.parametrize("name", DEFINED)
def test_what_has_a_value(name):
    fn, x, expected = DEFINED[name]
    expected = float(fn(jnp.float32(x))) if expected is None else expected
    assert true_value(fn, np.float32(x)) == np.float32(expected)


def test_guards_do_not_hide_a_wrong_value():
    """A computed zero behind a guard is an ordinary zero: sqrt(x)**2 has the derivative 1, so 0 would be wrong."""
    fn = jax.grad(lambda x: jnp.where(x > -1, jnp.sqrt(x), 0.0) ** 2)
    assert true_value(fn, 0.0) == 1


def test_logsumexp_of_minus_infinity():
    x = np.array([-np.inf, 1.0, 2.0])
    assert true_value(jax.nn.logsumexp, x) == pytest.approx(np.log(np.exp(1) + np.exp(2)), rel=1e-15)
    assert true_value(jax.grad(jax.nn.logsumexp), x)[0] == 0
    assert true_value(jax.nn.logsumexp, np.array([-np.inf, -np.inf])) == -np.inf


def test_a_primitive_without_a_meaning_is_named_with_the_line_where_truth_is_strict():
    def fn(x):
        return 2 * jax.pure_callback(np.sin, jax.ShapeDtypeStruct((), x.dtype), x)

    with pytest.raises(UnsupportedPrimitive, match=r"pure_callback.*test_real\.py:\d+"):
        true_value(fn, np.float32(1.5), strict=True)
    assert str(why_undefined(fn, np.float32(1.5))).startswith("not proven")


def test_a_function_of_something_else_is_refused():
    for fn in (lambda x: x.astype(int), lambda x: (x, x), lambda x: jnp.stack([x, x])):
        with pytest.raises(ValueError, match="one float"):
            truth(fn, np.array([1.0], np.float32), fmt=F32)


@pytest.mark.parametrize("wide", [False, True])
def test_x64_on_and_off(wide):
    with jax.enable_x64(wide):
        assert true_value(lambda x: 1 - jnp.cos(x), 1e-9).dtype == (np.float64 if wide else np.float32)
        exact = float(true_value(lambda x: 1 - jnp.cos(x), np.float64(1e-9)))
        assert exact == float(arb("0.5e-18")) or abs(exact - 0.5e-18) < 1e-33


@pytest.mark.parametrize("dtype", list(FORMATS))
def test_arguments_at_face_value_in_each_format(dtype):
    fmt = FORMATS[dtype]
    x = fmt.dtype.type(0.1)
    assert widen(true_value(lambda v: v * 3 - v * 2, x)) == widen(x)
    assert true_value(lambda v: jnp.exp(v), 0.1, dtype=dtype).dtype == fmt.dtype
