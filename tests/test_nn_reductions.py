"""`softmax`, `log_softmax`, `logsumexp`, `norm` and `cosine_distance`: values and gradients against mpmath.

Every gradient is the product of a cotangent with the Jacobian: random ones, and those of one class.
"""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from mpmath import mpf

from stability import nn
from stability.formats import FORMATS, from_ordinal, to_ordinal
from stability.losses import KERNELS

F32 = FORMATS["float32"]
REDUCTIONS = {"softmax": nn.softmax, "log_softmax": nn.log_softmax, "logsumexp": lambda z: nn.logsumexp(z, axis=-1)}
SIZES = (2, 3, 40)


def ulps(found, true, fmt):
    """The error in ulps of the true value, 0 where that is not normal."""
    if abs(true) < fmt.smallest_normal:
        return 0.0
    if not np.isfinite(float(found)):
        return np.inf
    exponent = int(mpmath.floor(mpmath.log(abs(true), 2)))
    return float(abs(mpf(float(found)) - true) / mpf(2) ** (exponent + 1 - fmt.precision))


def worst(found, true, fmt):
    found, true = np.ravel(found), np.ravel(np.array(true, dtype=object))
    assert found.shape == true.shape
    return max(ulps(f, t, fmt) for f, t in zip(found, true, strict=True))


def numbers(x):
    return [mpf(float(v)) for v in x]


def logits(fmt, n, seed):
    """Rows of random, nearly equal, tied, confident, far and excluded classes."""
    rng = np.random.default_rng(seed)
    reach = 10.0 if fmt.name == "float16" else 80.0
    confident = rng.normal(size=n)
    confident[0] += reach
    excluded = rng.normal(0, 3, n)
    excluded[1:2] = -np.inf
    rows = [rng.normal(0, s, n) for s in (1, 10, reach / 2, 1e-3)]
    rows += [np.zeros(n), confident, excluded, np.concatenate([[0.0], np.full(n - 1, -reach / 2)])]
    return np.array(rows).astype(fmt.dtype)


def cotangents(fmt, z, seed):
    n = len(z)
    rng = np.random.default_rng(seed)
    return np.array([rng.normal(size=n), np.eye(n)[rng.integers(n)], np.eye(n)[z.argmax()]]).astype(fmt.dtype)


def shares(z):
    m = max(z)
    e = [mpmath.exp(v - m) for v in z]
    total = mpmath.fsum(e)
    return m + mpmath.log(total), [v / total for v in e]


def products(name, z, c):
    """The true value, and the products of a cotangent with the Jacobian and of the Jacobian with a tangent."""
    z, c = numbers(z), numbers(c)
    total, p = shares(z)
    mean = mpmath.fsum(a * b for a, b in zip(p, c, strict=True))
    whole = mpmath.fsum(c)
    if name == "softmax":
        product = [a * (b - mean) for a, b in zip(p, c, strict=True)]
        return p, product, product
    return (
        [v - total for v in z],
        [b - a * whole for a, b in zip(p, c, strict=True)],
        [b - mean for b in c],
    )


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize("n", SIZES)
def test_softmax_and_its_logarithm(name, dtype, n):
    fmt, function = FORMATS[dtype], REDUCTIONS[name]
    pull = jax.jit(lambda z, c: jax.vjp(function, z)[1](c)[0])
    push = jax.jit(lambda z, v: jax.jvp(function, (z,), (v,))[1])
    with mpmath.workprec(400):
        for k, z in enumerate(logits(fmt, n, n)):
            for c in cotangents(fmt, z, k):
                value, backward, forward = products(name, z, c)
                there = np.isfinite(z)
                kept = [v for v, t in zip(value, there, strict=True) if t]
                assert worst(np.asarray(function(z))[there], kept, fmt) <= 2
                assert worst(pull(z, c), backward, fmt) <= 2
                assert worst(push(z, c), forward, fmt) <= 2


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize("n", SIZES)
def test_logsumexp(dtype, n):
    fmt = FORMATS[dtype]
    gradient = jax.jit(jax.grad(REDUCTIONS["logsumexp"]))
    with mpmath.workprec(400):
        for z in (*logits(fmt, n, n), np.array([0, -50][:n] + [-np.inf] * (n - 2), fmt.dtype)):
            total, p = shares(numbers(z))
            assert worst(nn.logsumexp(z), [total], fmt) <= 2
            assert worst(gradient(z), p, fmt) <= 1


def test_logsumexp_next_to_its_zeros():
    with mpmath.workprec(200):
        for n in (2, 5, 100):
            z = from_ordinal(to_ordinal(np.float32(-np.log(n))) + np.arange(n) % 3, F32)
            assert worst(nn.logsumexp(z), [shares(numbers(z))[0]], F32) <= 2


@pytest.mark.parametrize("name", REDUCTIONS)
def test_float64_is_good_to_a_few_roundings(name):
    fmt = FORMATS["float64"]
    with mpmath.workprec(400):
        for z in logits(fmt, 5, 0):
            total, p = shares(numbers(z))
            there = np.isfinite(z)
            true = {"softmax": p, "log_softmax": [v - total for v in numbers(z)], "logsumexp": [total]}[name]
            found = np.ravel(REDUCTIONS[name](z))
            if name != "logsumexp":
                found, true = found[there], [t for t, kept in zip(true, there, strict=True) if kept]
            assert worst(found, true, fmt) <= 5


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_second_derivatives_are_those_of_the_plain_function(name):
    rng = np.random.default_rng(5)
    plain = getattr(jax.nn, name)
    for z in rng.normal(0, 2, (2, 4)):
        c = rng.normal(size=4)
        expected = jax.hessian(lambda z, c=c: plain(z) @ c)(z)
        for wrap in (lambda f: f, jax.checkpoint):
            found = jax.jit(jax.hessian(wrap(lambda z, c=c: REDUCTIONS[name](z) @ c.astype(z.dtype))))(np.float32(z))
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
        reverse = jax.jacrev(jax.jacrev(lambda z, c=c: REDUCTIONS[name](z) @ c))(z)
        np.testing.assert_allclose(reverse, expected, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("name", REDUCTIONS)
def test_masks_axes_and_limits_are_those_of_the_namesake(name):
    ours, plain = getattr(nn, name), getattr(jax.nn, name)
    rng = np.random.default_rng(3)
    x, where = rng.normal(size=(3, 4, 5)).astype(np.float32), rng.random((3, 4, 5)) < 0.7
    where[0, 0] = False
    for axis in (0, (0, 2), None):
        np.testing.assert_allclose(ours(x, axis=axis), plain(x, axis=axis), rtol=1e-5)
        np.testing.assert_allclose(ours(x, axis=axis, where=where), plain(x, axis=axis, where=where), rtol=1e-5)
    np.testing.assert_allclose(ours(x, axis=1, where=where[:, :, :1]), plain(x, axis=1, where=where[:, :, :1]), 1e-5)
    gradient = jax.grad(lambda x: jnp.where(jnp.isfinite(y := ours(x, axis=-1, where=where)), y, 0).sum())(x)
    assert jnp.isfinite(gradient).all() and (gradient[0, 0] == 0).all()
    for row in ([np.inf, 1], [-np.inf, -np.inf], [np.nan, 1], [-np.inf, 1]):
        np.testing.assert_array_equal(ours(np.float32(row)), plain(np.float32(row)))
    with pytest.raises(ValueError):
        ours(x, axis=3)
    with pytest.raises(TypeError):
        ours(1j * x)


def test_empty_axes():
    assert nn.softmax(jnp.zeros((2, 0))).shape == nn.log_softmax(jnp.zeros((2, 0))).shape == (2, 0)
    assert nn.logsumexp(jnp.zeros((2, 0)), axis=-1, keepdims=True).tolist() == [[-np.inf], [-np.inf]]
    assert nn.norm(jnp.zeros((2, 0)), axis=1).tolist() == [0, 0]
    with pytest.raises(ValueError):
        nn.logsumexp(jnp.zeros(2), b=jnp.ones(2))


def test_logsumexp_of_nothing_has_no_gradient():
    assert jax.grad(nn.logsumexp)(jnp.float32([-jnp.inf, -jnp.inf])).tolist() == [0, 0]


def length(x):
    return mpmath.sqrt(mpmath.fsum(v * v for v in x))


def vectors(fmt, n, seed):
    rng = np.random.default_rng(seed)
    reach = fmt.emax * 0.29
    return [(rng.normal(size=n) * 10.0**s).astype(fmt.dtype) for s in (0, reach, -reach)]


@pytest.mark.parametrize(("dtype", "bound"), [("float16", 1), ("bfloat16", 1), ("float32", 1), ("float64", 4)])
@pytest.mark.parametrize("n", [1, 2, 40])
def test_norm(dtype, bound, n):
    fmt = FORMATS[dtype]
    for x in vectors(fmt, n, n):
        value, gradient = jax.jit(jax.value_and_grad(nn.norm))(x)
        true = length(numbers(x))
        if true < fmt.max:
            assert worst(value, [true], fmt) <= bound
            assert worst(gradient, [v / true for v in numbers(x)], fmt) <= bound


@pytest.mark.parametrize("apart", [1.0, 1e-2, 1e-4, 1e-6])
@pytest.mark.parametrize("factor", [1.0, 1.7, -3.0, 256.0])
@pytest.mark.parametrize("n", [2, 3, 30])
def test_cosine_distance(apart, factor, n):
    rng = np.random.default_rng(n)
    x = rng.normal(size=n).astype(np.float32)
    y = np.float32(factor * x * (1 + apart * rng.normal(size=n)))
    value, slopes = jax.jit(jax.value_and_grad(nn.cosine_distance, (0, 1)))(x, y)
    with mpmath.workprec(200):
        a, b = numbers(x), numbers(y)
        u, w = [v / length(a) for v in a], [v / length(b) for v in b]
        cosine = mpmath.fsum(p * q for p, q in zip(u, w, strict=True))
        assert worst(value, [1 - cosine], F32) <= 1
        for slope, (p, q, size) in zip(slopes, ((u, w, length(a)), (w, u, length(b))), strict=True):
            assert worst(slope, [(s * cosine - t) / size for s, t in zip(p, q, strict=True)], F32) <= 4


def test_second_derivatives_of_norm_and_cosine_distance():
    rng = np.random.default_rng(7)
    plain = {
        "norm": jnp.linalg.norm,
        "cosine_distance": lambda x, y: 1 - x @ y / (jnp.linalg.norm(x) * jnp.linalg.norm(y)),
    }
    for x, y in rng.normal(size=(2, 2, 4)):
        for name, arguments in (("norm", (x,)), ("cosine_distance", (x, y))):
            numbers_of = tuple(range(len(arguments)))
            expected = jax.hessian(plain[name], numbers_of)(*arguments)
            single = jax.jit(jax.hessian(getattr(nn, name), numbers_of))(*map(np.float32, arguments))
            reverse = jax.jacrev(jax.jacrev(getattr(nn, name), numbers_of), numbers_of)(*arguments)
            for i in numbers_of:
                for j in numbers_of:
                    np.testing.assert_allclose(single[i][j], expected[i][j], rtol=1e-4, atol=3e-6)
                    np.testing.assert_allclose(reverse[i][j], expected[i][j], rtol=1e-9, atol=1e-12)


def test_zero_and_infinite_vectors():
    zero, one = jnp.float32([0, 0]), jnp.float32([1, 0])
    assert jax.grad(nn.norm)(zero).tolist() == [0, 0]
    assert jnp.isfinite(jax.hessian(nn.norm)(zero)).all()
    assert nn.cosine_distance(zero, one) == 1 and jax.grad(nn.cosine_distance)(zero, one).tolist() == [0, 0]
    infinite = jnp.float32([1, jnp.inf])
    assert nn.norm(infinite) == jnp.inf and jax.grad(nn.norm)(infinite).tolist() == [0, 1]
    assert jnp.isnan(nn.norm(jnp.float32([1, jnp.nan])))
    tiny = jnp.float32([3e-40, -4e-40])
    np.testing.assert_allclose(jax.grad(nn.norm)(tiny), [0.6, -0.8], rtol=1e-5)


def test_norm_takes_the_axes_of_its_namesake():
    x = np.random.default_rng(0).normal(size=(3, 4, 5)).astype(np.float32)
    for axis, ord, keepdims in ((None, None, False), (1, 2, True), ((0, 2), None, True), (-1, None, False)):
        expected = jnp.linalg.norm(x, ord, axis, keepdims)
        np.testing.assert_allclose(nn.norm(x, ord, axis, keepdims), expected, rtol=1e-6)
    for ord, axis in ((1, 0), (2, None), (2, (0, 1))):
        with pytest.raises(ValueError):
            nn.norm(x, ord, axis)


@pytest.mark.parametrize("name", [*REDUCTIONS, "norm", "cosine_distance"])
def test_every_transformation_gives_the_same(name):
    function = REDUCTIONS.get(name) or (nn.norm if name == "norm" else lambda x: nn.cosine_distance(x, x[::-1]))
    x = jnp.asarray(np.random.default_rng(1).normal(0, 3, (6, 5)), jnp.float32)
    slope = jax.grad(lambda x: (function(x) ** 2).sum())
    expected = np.stack([slope(row) for row in x])
    ways = {
        "jit": jnp.stack([jax.jit(slope)(row) for row in x]),
        "vmap": jax.vmap(slope)(x),
        "vmap along the other axis": jax.vmap(slope, 1, 1)(x.T).T,
        "scan": jax.lax.scan(lambda c, row: (c, slope(row)), 0, x)[1],
        "of a scan": jax.grad(lambda x: jax.lax.scan(lambda c, r: (c + (function(r) ** 2).sum(), 0), 0.0, x)[0])(x),
        "remat": jax.vmap(jax.grad(jax.checkpoint(lambda x: (function(x) ** 2).sum())))(x),
    }
    with jax.enable_x64(False):
        ways["without float64"] = jnp.stack([slope(row) for row in x])
    for how, found in ways.items():
        np.testing.assert_allclose(found, expected, rtol=2e-6, atol=1e-7, err_msg=how)


@pytest.mark.parametrize("name", [n for n in KERNELS if n.startswith("nn_rows")])
def test_kernels_have_the_values_of_their_formulas(name):
    rows = np.random.default_rng(2).normal(size=(2, 3, 4))
    kernel = KERNELS[name]
    arguments = rows[: len(kernel.derivatives)]
    np.testing.assert_allclose(kernel(*arguments), kernel.formula(*arguments), rtol=1e-12, atol=1e-14)
