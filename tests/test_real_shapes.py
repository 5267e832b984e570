"""Shape does not change the truth: a scalar, shape (1,), `vmap`, inside `scan`, for every record of the register."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.ad_checkpoint import checkpoint_name

from stability.formats import FORMATS
from stability.real import true_derivative, truth
from stability.real._points import Order
from stability.real.evaluate import prepared, reals, truth_of
from stability.real.records import RECORDS, public_primitives
from stability.truth import State

F32 = FORMATS["float32"]
POINTS = np.float32([0.0, -0.0, 1.0, -1.0, 0.5, 2.0, -2.0, 3.7, -0.3, 1e-40, 1e30, np.inf, -np.inf, np.nan])
FEWER = np.float32([0.0, 1.0, -2.0, np.inf])
"""Where derivatives are taken."""


def public(name):
    return next(p for p in public_primitives() if p.name == name)


def pair(x):
    return jnp.stack([x, jnp.ones_like(x), x * x])


def complexes(x):
    return lax.complex(x, jnp.ones_like(x))


def matrix(x):
    return jnp.stack([jnp.stack([x * 0 + 4, x]), jnp.stack([x, x * 0 + 5])])


def tridiagonal(zeros, b):
    return lax.linalg.tridiagonal_solve(zeros, zeros + 2, zeros, b[:, None])[2, 0]


def greatest(x):
    return lax.reduce_window(pair(x), -np.float32(np.inf), lax.max, (2,), (1,), "VALID")[1]


@jax.custom_vjp
def with_a_rule(x):
    return jnp.exp(jnp.sin(x))


with_a_rule.defvjp(lambda x: (with_a_rule(x), x), lambda x, g: (g,))


def told_outside(x):
    jax.debug.print("{}", x)
    jax.debug.callback(lambda _: None, x)
    return x * 2


def called_outside(x):
    return jax.pure_callback(np.sin, jax.ShapeDtypeStruct((), x.dtype), x, vmap_method="expand_dims") * 2


def of_keys(x):
    keys = jax.random.split(jax.random.fold_in(jax.random.key(0), 3), 2)
    clone = jax.random.clone(jax.random.wrap_key_data(jax.random.key_data(keys[1])))
    return x + jax.random.bits(clone, dtype=jnp.uint8).astype(x.dtype)


def of_integers(f):
    """A function of machine integers, of a float cast to one."""
    return lambda x: f(x.astype(jnp.int32)).astype(x.dtype)


def one_device():
    return jax.sharding.Mesh(np.array(jax.devices()[:1]), ("i",))


def on_a_device(f):
    spec = jax.sharding.PartitionSpec()
    return jax.shard_map(f, mesh=one_device(), in_specs=spec, out_specs=spec, check_vma=False)


UNARY = (
    *("abs", "acos", "acosh", "asin", "asinh", "atan", "atanh", "bessel_i0e", "bessel_i1e", "cbrt", "ceil", "cos"),
    *("cosh", "digamma", "erf", "erf_inv", "erfc", "exp", "exp2", "expm1", "floor", "is_finite", "lgamma", "log"),
    *("log1p", "logistic", "neg", "rsqrt", "sign", "sin", "sinh", "sqrt", "square", "stop_gradient", "tan", "tanh"),
    *("optimization_barrier", "log2", "one_minus_square"),
)
BINARY = ("add", "sub", "mul", "div", "rem", "pow", "max", "min", "atan2", "nextafter", "igamma", "igammac")
ORDERS = ("lt", "le", "gt", "ge", "eq", "ne")
HELD = (2.5, 0.0)


def held(name, y, first):
    """A primitive of two with one argument held."""
    f = getattr(lax, name)
    return lambda x: f(jnp.full_like(x, y), x) if first else f(x, jnp.full_like(x, y))


def twice(name):
    return lambda x: getattr(lax, name)(x, x)


TWO = (*BINARY, *ORDERS)
ELEMENTWISE = {
    **{name: getattr(lax, name) for name in UNARY if hasattr(lax, name)},
    **{f"{name}(x, {y})": held(name, y, False) for name in TWO for y in HELD},
    **{f"{name}({y}, x)": held(name, y, True) for name in TWO for y in HELD},
    **{f"{name}(x, x)": twice(name) for name in TWO},
    **{f"x**{n}": lambda x, n=n: lax.integer_pow(x, n) for n in (0, 1, 2, 3, -1, -2)},
    **{name: lambda x, name=name: public(name).bind(x, jnp.ones_like(x)) for name in ("lt_to", "le_to", "eq_to")},
    "round to even": lambda x: lax.round(x, lax.RoundingMethod.TO_NEAREST_EVEN),
    "round away": lambda x: lax.round(x, lax.RoundingMethod.AWAY_FROM_ZERO),
    "clamp": lambda x: lax.clamp(-jnp.ones_like(x), x, jnp.ones_like(x)),
    "reduce_precision": lambda x: lax.reduce_precision(x, 8, 7),
    "where": lambda x: jnp.where(x > 0, jnp.log(x), 0.0),
    "mask": lambda x: (x > 0) * jnp.log(x),
    "logic": lambda x: ((x > 0) & ~(x > 1) | (x < -1)) ^ (x == 2),
    "polygamma": lambda x: lax.polygamma(jnp.ones_like(x), x),
    "zeta": lambda x: lax.zeta(jnp.full_like(x, 2.5), x),
    "zeta of the exponent": lambda x: lax.zeta(x, jnp.full_like(x, 2.5)),
    "betainc": lambda x: lax.betainc(jnp.full_like(x, 1.5), jnp.full_like(x, 2.5), x),
    "igamma_grad_a": lambda x: lax.igamma_grad_a(jnp.full_like(x, 1.5), x),
    "abs of a complex": lambda x: lax.real(lax.mul(complexes(x), lax.conj(complexes(x)))) + lax.imag(complexes(x)),
    "to integers": of_integers(lambda n: n),
    "to int8": lambda x: x.astype(jnp.int8),
    "to uint8": lambda x: x.astype(jnp.uint8),
    "to bool": lambda x: x.astype(bool),
    "integers": of_integers(lambda n: lax.rem(n * 7 + 3, jnp.full_like(n, 5)) // 2),
    "bits of integers": of_integers(lambda n: (n & 6 | 8) ^ ~n),
    "shifts": of_integers(lambda n: (n << 3) + (n >> 1) + lax.shift_right_logical(n, jnp.full_like(n, 28))),
    "mulhi": of_integers(lambda n: public("mulhi").bind(n * 65537, n)),
    "counts": of_integers(lambda n: lax.population_count(n) + lax.clz(n)),
    "bits": lambda x: lax.bitcast_convert_type(x, jnp.int32),
    "bits and back": lambda x: lax.bitcast_convert_type(lax.bitcast_convert_type(x, jnp.int32), jnp.float32),
    "name": lambda x: checkpoint_name(x, "x") * 2,
    "device_put": lambda x: jax.device_put(x) * 2,
    "copy": lambda x: jnp.array(x, copy=True) * 2,
    "jit": jax.jit(jnp.sin),
    "custom jvp": jax.nn.relu,
    "checkpoint": jax.checkpoint(lambda x: jnp.exp(jnp.sin(x))),
    "a hole": lambda x: jnp.sin(x) / x,
    "a pole": lambda x: 1 / x,
    "a kink": lambda x: jnp.maximum(x, 0.0) * jnp.abs(x - 1),
    "sinc": jnp.sinc,
    "xlogy": lambda x: jax.scipy.special.xlogy(x, x),
    "softplus": jax.nn.softplus,
    "gelu": lambda x: jax.nn.gelu(x, approximate=False),
    "never shown to be 0": lambda x: jnp.log(jnp.exp(x)) - x,
}
"""Functions of elements."""

SCALARS = {
    "broadcast": lambda x: jnp.broadcast_to(x, (2, 3))[1, 2],
    "concatenate": lambda x: jnp.concatenate([pair(x), pair(x)])[5],
    "dynamic_slice": lambda x: lax.dynamic_slice(pair(x), (1,), (2,))[1],
    "dynamic_slice by x": lambda x: lax.dynamic_index_in_dim(pair(x), x.astype(jnp.int32), keepdims=False),
    "dynamic_update_slice": lambda x: lax.dynamic_update_slice(pair(x), x[None], (2,))[2],
    "gather": lambda x: pair(x)[jnp.array([2, 0])][0],
    "gather by x": lambda x: pair(x)[x.astype(jnp.int32)],
    "pad": lambda x: jnp.pad(pair(x), (1, 1))[3] * jnp.log(x),
    "reshape": lambda x: jnp.ravel(pair(x).reshape(3, 1))[2],
    "rev": lambda x: pair(x)[::-1][0],
    "scatter": lambda x: pair(x).at[0].set(x * 3)[0],
    "split": lambda x: jnp.split(pair(x), 3)[2][0],
    "tile": lambda x: lax.tile(pair(x), (2,))[5],
    "transpose": lambda x: pair(x)[:, None].T[0, 2],
    "reduce_sum": lambda x: jnp.sum(pair(x)),
    "reduce_prod": lambda x: jnp.prod(pair(x)),
    "reduce_max": lambda x: jnp.max(pair(x)),
    "reduce_min": lambda x: jnp.min(pair(x)),
    "reduce_and": lambda x: jnp.all(pair(x) > 0),
    "reduce_or": lambda x: jnp.any(pair(x) > 1),
    "reduce_xor": lambda x: lax.reduce_xor_p.bind(pair(x) > 1, axes=(0,)),
    "a sum of truth values": lambda x: x / jnp.sum(pair(x) > 0),
    "cumsum": lambda x: jnp.cumsum(pair(x))[2],
    "cumprod": lambda x: jnp.cumprod(pair(x))[2],
    "cummax": lambda x: lax.cummax(pair(x))[2],
    "cummin": lambda x: lax.cummin(pair(x))[2],
    "cumlogsumexp": lambda x: lax.cumlogsumexp(pair(x))[2],
    "argmax": lambda x: jnp.argmax(pair(x)),
    "argmin": lambda x: jnp.argmin(pair(x)),
    "dot": lambda x: jnp.dot(pair(x), pair(x) + 1),
    "sort": lambda x: jnp.sort(pair(x))[1],
    "top_k": lambda x: lax.top_k(pair(x), 2)[0][1],
    "approx_top_k": lambda x: lax.approx_max_k(pair(x), 2)[0][1],
    "searchsorted": lambda x: jnp.searchsorted(jnp.array([-1.0, 0.0, 2.0], x.dtype), x),
    "median": lambda x: jnp.median(pair(x)),
    "scatter-add": lambda x: pair(x).at[jnp.array([0, 0])].add(x)[0],
    "scatter-sub": lambda x: pair(x).at[jnp.array([0, 0])].subtract(x)[0],
    "scatter-mul": lambda x: pair(x).at[jnp.array([0, 0])].multiply(x)[0],
    "scatter-min": lambda x: pair(x).at[jnp.array([0, 0])].min(x - 1)[0],
    "scatter-max": lambda x: pair(x).at[jnp.array([0, 0])].max(x + 1)[0],
    "reduce_window_sum": lambda x: lax.reduce_window(pair(x), jnp.zeros_like(x), lax.add, (2,), (1,), "VALID")[1],
    "a sum of windows": lambda x: lax.reduce_window(pair(x), np.float32(0), lax.add, (2,), (1,), "VALID")[1],
    "reduce_window_max": greatest,
    "select_and_scatter_add": jax.grad(greatest),
    "select_and_gather_add": lambda x: jax.jvp(greatest, (x,), (jnp.ones_like(x),))[1],
    "reduce_window_min": lambda x: lax.reduce_window(pair(x), np.float32(np.inf), lax.min, (2,), (1,), "VALID")[1],
    "reduce": lambda x: lax.reduce(pair(x), jnp.ones_like(x), lambda a, b: a * b + 1, (0,)),
    "conv": lambda x: jnp.convolve(pair(x), pair(x))[2],
    "cholesky": lambda x: jnp.linalg.cholesky(matrix(x))[1, 0],
    "solve": lambda x: jnp.linalg.solve(matrix(x), pair(x)[:2])[0],
    "det": lambda x: jnp.linalg.det(matrix(x)),
    "triangular_solve": lambda x: jax.scipy.linalg.solve_triangular(matrix(x), pair(x)[:2], lower=True)[1],
    "tridiagonal": lambda x: tridiagonal(pair(x) * 0, pair(x)),
    "qr": lambda x: jnp.abs(jnp.linalg.qr(matrix(x))[1][0, 0]),
    "eigh": lambda x: jnp.linalg.eigvalsh(matrix(x))[0],
    "svd": lambda x: jnp.linalg.svd(matrix(x), compute_uv=False)[0],
    "fft": lambda x: jnp.real(jnp.fft.fft(pair(x)))[0],
    "iota": lambda x: jnp.sum(jnp.arange(3.0, dtype=x.dtype) * x),
    "cond": lambda x: lax.cond(x > 0, jnp.log, lambda v: v * 2, x),
    "while": lambda x: lax.while_loop(lambda v: (v > 0) & (v < 10), lambda v: v * 2 + 1, x),
    "scan": lambda x: lax.scan(lambda c, v: (c * v, c), x, pair(x))[0],
    "shard_map": lambda x: on_a_device(lambda v: jax.lax.psum(jnp.sin(v), "i"))(x),
    "pmax": lambda x: on_a_device(lambda v: lax.pmax(jnp.sin(v), "i") + lax.pmin(v, "i"))(x),
    "all_gather": lambda x: on_a_device(lambda v: lax.all_gather(v, "i")[0] * (1 + lax.axis_index("i")))(x),
    "all_to_all": lambda x: on_a_device(lambda v: lax.all_to_all(v[None], "i", 0, 0)[0])(x),
    "ppermute": lambda x: on_a_device(lambda v: lax.ppermute(v, "i", [(0, 0)]))(x),
    "reduce_scatter": lambda x: on_a_device(lambda v: lax.psum_scatter(v[None], "i"))(x),
    "with_sharding_constraint": lambda x: lax.with_sharding_constraint(
        x, jax.sharding.NamedSharding(one_device(), jax.sharding.PartitionSpec())
    ),
    "add_any": jax.grad(lambda x: x * x * x),
    "custom vjp": with_a_rule,
    "print": told_outside,
    "callback": called_outside,
    "keys": of_keys,
    "rng_bit_generator": lambda x: x + lax.rng_bit_generator(jnp.zeros(4, jnp.uint32), (2,), jnp.uint16)[1][0],
    "expand_dims": lambda x: lax.expand_dims(pair(x), (0,))[0, 2],
    "unstack": lambda x: jnp.unstack(pair(x))[2],
    "householder": lambda x: lax.linalg.householder_product(matrix(x), pair(x)[:2])[0, 1],
    "random": lambda x: x + jax.random.uniform(jax.random.key(0)).astype(x.dtype),
    "norm": lambda x: jnp.linalg.norm(pair(x)),
    "std": lambda x: jnp.std(pair(x)),
    "log_softmax": lambda x: jax.nn.log_softmax(pair(x))[1],
    "logsumexp": lambda x: jax.nn.logsumexp(pair(x)),
}
"""Functions of a scalar by way of arrays."""
CASES = ELEMENTWISE | SCALARS
ELSEWHERE = {
    **dict.fromkeys(("pjit", "core_call", "closed_call", "eval_jaxpr", "remat", "checkpoint"), "a call, as jit is"),
    **dict.fromkeys(("pvary", "pcast", "pbroadcast", "psum2", "psum_invariant", "all_gather_invariant"), "as psum is"),
    **dict.fromkeys(("log2", "one_minus_square", "polynomial", "expand_dims", "copy_p"), "in other releases"),
    **dict.fromkeys(("geqrf", "householder_product"), "inside qr, on other devices"),
    **dict.fromkeys(("platform_index", "threefry2x32"), "inside others, where they are not whole calls"),
    **dict.fromkeys(("empty2", "rng_uniform", "io_callback"), "not the same at every call"),
    **dict.fromkeys(("random_gamma",), "in the tests of bits: minutes here"),
    **dict.fromkeys(("call_hi_primitive", "select_and_scatter"), "in the tests of bits and of windows"),
}
"""Records that may stand in no case here, and why."""


def primitives(jaxpr):
    """The names of the primitives in a jaxpr, those in its parameters included."""
    for eqn in jaxpr.eqns:
        yield eqn.primitive.name
        for leaf in jax.tree.leaves(list(eqn.params.values())):
            inner = getattr(leaf, "jaxpr", leaf)
            if hasattr(inner, "eqns"):
                yield from primitives(inner)


def test_every_record_is_covered():
    covered = set()
    for f in CASES.values():
        for g, x in ((f, POINTS[0]), (jax.vmap(f), POINTS)):
            covered |= set(primitives(jax.make_jaxpr(g)(x).jaxpr))
    assert set(RECORDS) - covered <= set(ELSEWHERE)


def as_float(f):
    return lambda x: f(x).astype(jnp.float32)


def truths(fn, x):
    """The true values of an output, flat."""
    jaxpr, _, leaves, formats = prepared(fn, (x,), None)
    return truth_of(reals(jaxpr, leaves, formats)[0], formats[0])


def told(found):
    """States, values and reasons, in which two truths are to agree."""
    why = [None if w is None else w.split(":")[0] for w in found.why]
    return [(State(s), repr(float(v) + 0.0), w) for s, v, w in zip(found.state, found.rounded, why, strict=True)]


def in_scan(fn):
    return lambda xs: lax.scan(lambda c, x: (c, fn(x)), 0, xs)[1]


def one_element(name):
    f = as_float(CASES[name])
    return f if name in ELEMENTWISE else jax.vmap(f)


@pytest.mark.parametrize("name", CASES)
def test_values(name):
    f = as_float(CASES[name])
    each = [told(truths(f, x))[0] for x in POINTS]
    assert [told(truths(one_element(name), x[None]))[0] for x in POINTS] == each
    assert told(truths(jax.vmap(f), POINTS)) == each
    assert told(truths(in_scan(f), POINTS)) == each
    assert told(truth(f, POINTS, fmt=F32)) == each


SLOW = pytest.mark.exhaustive


def slopes(fn, order):
    return np.array([true_derivative(fn, x, order=order) for x in FEWER], np.float64).ravel()


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("name", [n if i % 16 == 0 else pytest.param(n, marks=SLOW) for i, n in enumerate(CASES)])
def test_derivatives(name, order):
    f = as_float(CASES[name])
    each = slopes(f, order)
    np.testing.assert_array_equal([true_derivative(one_element(name), x[None], order=order)[0, 0] for x in FEWER], each)
    np.testing.assert_array_equal(np.diag(true_derivative(jax.vmap(f), FEWER, order=order)), each)
    np.testing.assert_array_equal(np.diag(true_derivative(in_scan(f), FEWER, order=order)), each)
    many = truth(f, FEWER, fmt=F32, derivative=Order(0, order))
    one_sided = np.zeros(len(FEWER), bool) if many.other is None else ~np.isnan(many.other.quanta)
    np.testing.assert_array_equal(many.rounded[~one_sided], each[~one_sided])
