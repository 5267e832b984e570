"""Softmax losses against the truth, under every transformation; their reference against interval arithmetic."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from stability import measure
from stability.formats import FORMATS, from_ordinal, to_ordinal
from stability.losses.softmax import (
    softmax_cross_entropy,
    softmax_cross_entropy_grad,
    softmax_cross_entropy_with_integer_labels,
)
from stability.study.softmax.truth import softmax_gradient, softmax_gradient_ball
from stability.truth.balls import decide_quanta

F32 = FORMATS["float32"]
REACH = {"float16": 20, "bfloat16": 110, "float32": 110, "float64": 700}


def examples(fmt, rows, n, seed):
    """Logits from near 0 up to ±1e4, some rows tied, half of them confident; labels on the likely class or not."""
    rng = np.random.default_rng(seed)
    z = rng.uniform(-1, 1, (rows, n)) * rng.choice([1, 5, 20, REACH[fmt.name], 1e4], (rows, 1))
    z[: rows // 50] = z[: rows // 50, :1]
    z[rows // 2 :, 0] += rng.uniform(0, REACH[fmt.name], rows - rows // 2)
    z = z.astype(fmt.dtype)
    label = np.where(rng.random(rows) < 0.5, z.argmax(-1), rng.integers(0, n, rows))
    return z, label, np.eye(n)[label].astype(fmt.dtype)


def errors(result, z, y, fmt):
    """The kinds, `flushed` for every 0 whose true value is under the least normal, and the error in ulps above it."""
    truth = softmax_gradient(z, y, fmt)
    kinds, ulps = measure.classify(np.asarray(result), truth, 2.0)
    below = np.ldexp(np.abs(truth.quanta + truth.fraction), truth.exponent) < fmt.smallest_normal
    kinds = np.where(below & (kinds == measure.VANISHED), measure.FLUSHED, kinds)
    return {measure.KINDS[k] for k in np.unique(kinds)}, np.where(below, 0, ulps).max()


def summed(loss):
    return lambda z, y: jax.grad(lambda v: loss(v, y).sum())(z)


WAYS = {
    "eager": softmax_cross_entropy_grad,
    "jit": jax.jit(softmax_cross_entropy_grad),
    "grad": jax.jit(summed(softmax_cross_entropy)),
    "vmap": jax.jit(jax.vmap(jax.grad(softmax_cross_entropy))),
    "integer": jax.jit(lambda z, y: summed(softmax_cross_entropy_with_integer_labels)(z, y.argmax(-1))),
}


@pytest.mark.parametrize("n", [2, 3, 17, 300])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize("way", list(WAYS))
def test_the_gradient_of_one_hot_labels_is_within_two_ulps(way, dtype, n):
    fmt = FORMATS[dtype]
    z, _, y = examples(fmt, 60000 // n, n, seed=n)
    kinds, worst = errors(WAYS[way](jnp.asarray(z), jnp.asarray(y)), z, y, fmt)
    assert kinds <= {"ok", "flushed"} and worst <= 2
    assert dtype != "float16" or kinds == {"ok"}


def test_a_float64_gradient_is_within_five_ulps_where_no_exponential_is_flushed():
    fmt = FORMATS["float64"]
    z, _, y = examples(fmt, 5000, 5, seed=1)
    truth = softmax_gradient(z, y, fmt)
    _, ulps = measure.classify(np.asarray(softmax_cross_entropy_grad(z, y)), truth, 5.0)
    assert ulps[np.abs(truth.rounded) > 1e-290].max() <= 5


def test_what_the_textbook_loses_is_seen_by_this_measure():
    z, _, y = examples(F32, 2000, 3, seed=2)
    for lossy in (jax.nn.softmax(z) - y, summed(optax.softmax_cross_entropy)(z, y)):
        kinds, worst = errors(lossy, z, y, F32)
        assert "vanished" in kinds and worst > 1e5


@pytest.mark.exhaustive
@pytest.mark.parametrize("n", [2, 3, 5, 10, 16, 17, 30, 100, 300, 1000])
def test_ten_million_points(n):
    worst = 0.0
    for seed in range(10):
        z, _, y = examples(F32, 100_000 // n, n, seed=100 + seed)
        kinds, here = errors(WAYS["grad"](z, y), z, y, F32)
        assert kinds <= {"ok", "flushed"}
        worst = max(worst, here)
    print(f"{n} classes: {worst:.4f} ulps")
    assert worst <= 2


@pytest.mark.parametrize("fmt", FORMATS.values(), ids=lambda f: f.name)
@pytest.mark.parametrize("labels", ["hard", "soft", "scaled"])
def test_the_reference_agrees_with_balls(fmt, labels):
    rng = np.random.default_rng(3)
    for n in (2, 3, 7):
        z, _, y = examples(fmt, 60, n, seed=n)
        y = {"hard": y, "soft": rng.dirichlet(np.ones(n), 60), "scaled": y * 0.3}[labels].astype(fmt.dtype)
        truth = softmax_gradient(z, y, fmt)
        wide_z, wide_y = z.astype(np.float64), y.astype(np.float64)
        for i, k in np.ndindex(z.shape):
            q, f, e = decide_quanta(lambda i=i, k=k, a=wide_z, b=wide_y: softmax_gradient_ball(a[i], b[i], k), fmt)
            assert (q, e) == (truth.quanta[i, k], truth.exponent[i, k]) and abs(f - truth.fraction[i, k]) < 2.0**-24


def test_an_error_of_three_ulps_at_one_point_is_found():
    z, _, y = examples(F32, 500, 3, seed=4)
    result = softmax_gradient(z, y, F32).rounded.astype(np.float32)
    assert errors(result, z, y, F32) == ({"ok"}, pytest.approx(0.5, abs=0.01))
    result[7, 1] = from_ordinal(to_ordinal(result[7, 1]) + 3, F32)
    assert errors(result, z, y, F32)[0] == {"ok", "inaccurate"}


def loss_ulps(result, truth):
    """The error in ulps of the true value, 0 where that is not normal."""
    truth = truth.astype(np.longdouble)
    ulps = np.ldexp(np.abs(np.asarray(result).astype(np.longdouble) - truth), F32.precision - np.frexp(truth)[1])
    return np.where(truth < F32.smallest_normal, 0, ulps)


@pytest.mark.parametrize("n", [2, 5, 17, 700, 1300])
def test_the_loss_of_one_hot_labels_is_within_two_ulps(n):
    z, label, y = examples(F32, 30000 // n, n, seed=n)
    wide = z.astype(np.longdouble)
    top = wide == wide.max(-1, keepdims=True)
    others = np.where(top, 0, np.exp(wide - wide.max(-1, keepdims=True))).sum(-1) + (top.sum(-1) - 1)
    truth = np.log1p(others) + (wide.max(-1) - wide[np.arange(len(z)), label])
    for run in (lambda f: f, jax.jit):
        assert loss_ulps(run(softmax_cross_entropy)(z, y), truth).max() <= 2
        assert loss_ulps(run(softmax_cross_entropy_with_integer_labels)(z, label), truth).max() <= 2


@pytest.mark.parametrize("n", [2, 16, 17, 513, 1025])
@pytest.mark.parametrize("scale", [1e-25, 3e-3, 1e12])
def test_scaled_labels_ties_and_many_classes_are_within_two_ulps(n, scale):
    z, _, y = examples(F32, 20000 // n, n, seed=n)
    z[:, -1] = np.where(np.arange(len(z)) % 3 == 0, z.max(-1), z[:, -1])
    z[0], z[1, 1:] = 0, -87.0
    y = y * np.float32(scale)
    for run in (softmax_cross_entropy_grad, jax.jit(summed(softmax_cross_entropy))):
        kinds, worst = errors(run(z, y), z, y, F32)
        assert kinds <= {"ok", "flushed"} and worst <= 2


def test_a_scan_differentiated_twice_has_the_derivatives_of_a_loop():
    z = jnp.asarray(np.random.default_rng(8).normal(size=(3, 4)).astype(np.float32))
    y = jnp.eye(4)[:3]

    def scanned(z):
        return jax.lax.scan(lambda c, row: (c + softmax_cross_entropy(*row), None), 0.0, (z, y))[0]

    def looped(z):
        return sum(softmax_cross_entropy(z[k], y[k]) for k in range(3))

    for second in (lambda f: jax.jacrev(jax.jacrev(f)), lambda f: jax.jacfwd(jax.jacrev(f)), jax.hessian):
        found, expected = second(scanned)(z), second(looped)(z)
        assert np.abs(expected).max() > 0.1 and np.abs(found - expected).max() < 1e-6


def test_the_loss_of_a_confident_example_keeps_its_digits():
    gap = np.linspace(0.5, 87, 500).astype(np.float32)
    z = np.stack([gap, np.zeros_like(gap)], -1)
    truth = np.log1p(np.exp(-gap.astype(np.longdouble)))
    for labels, loss in ((np.array([1.0, 0.0]), softmax_cross_entropy), (0, softmax_cross_entropy_with_integer_labels)):
        labels = np.broadcast_to(labels, z.shape[: 1 + np.ndim(labels)]).astype(np.float32 if np.ndim(labels) else int)
        for run in (loss, jax.jit(loss)):
            assert loss_ulps(run(z, labels), truth).max() <= 2
    assert np.asarray(optax.softmax_cross_entropy(z, np.array([1.0, 0.0], np.float32)))[-1] == 0


def test_second_derivatives_keep_their_digits():
    z = jnp.array([30.0, 1.0, 0.0], jnp.float32)
    y = jnp.array([1.0, 0.0, 0.0], jnp.float32)
    p = np.exp(np.asarray(z, np.longdouble) - 30)
    p /= p.sum()
    q = np.array([p[1] + p[2], 1 - p[1], 1 - p[2]])
    truth = np.diag(p * q) - (np.outer(p, p) - np.diag(p * p))
    second = {
        "hessian": jax.hessian(softmax_cross_entropy),
        "reverse over reverse": jax.jacrev(jax.jacrev(softmax_cross_entropy)),
        "forward over forward": jax.jacfwd(jax.jacfwd(softmax_cross_entropy)),
        "jit, checkpoint": jax.jit(jax.hessian(jax.checkpoint(softmax_cross_entropy))),
    }
    for way, derivative in second.items():
        assert np.abs(np.asarray(derivative(z, y), np.float64) / truth - 1).max() < 2.0**-21, way
    third = jax.jacfwd(second["reverse over reverse"])(z, y)
    with_optax = jax.jacfwd(jax.jacrev(jax.jacrev(optax.softmax_cross_entropy)))
    assert np.abs(third - with_optax(z.astype(jnp.float64), y.astype(jnp.float64))).max() < 1e-6


def test_derivatives_with_respect_to_labels():
    z, _, y = examples(F32, 6, 4, seed=5)
    z = np.tanh(z)
    expected = -jax.nn.log_softmax(z.astype(np.float64))
    found = jax.grad(lambda y: softmax_cross_entropy(z, y).sum())(y)
    assert np.abs(found / expected - 1).max() < 2.0**-22
    mixed = jax.jacfwd(jax.grad(lambda z, y: softmax_cross_entropy(z, y)), argnums=1)(z[0], y[0])
    p = np.exp(-np.asarray(expected[0]))
    assert np.abs(mixed - (p[:, None] - np.eye(4))).max() < 1e-6
    total, tangent = jax.jvp(softmax_cross_entropy, (z, y), (np.ones_like(z), np.ones_like(y)))
    assert np.abs(tangent - expected.sum(-1)).max() < 1e-4 and total.shape == (6,)


INF, NAN = np.inf, np.nan
EDGES = [
    ([0.0, -INF, 0.0], [1, 0, 0], np.log(2), [-0.5, 0, 0.5]),
    ([0.0, -INF], [0, 1], INF, [1, -1]),
    ([3.0], [1], 0, [0]),
    ([-INF, -INF], [1, 0], NAN, [NAN, NAN]),
    ([INF, 0.0], [1, 0], NAN, [NAN, NAN]),
    ([NAN, 0.0], [0, 1], NAN, [NAN, NAN]),
    ([0.0, NAN], [0, 1], NAN, [NAN, NAN]),
    ([0.0, 0.0], [NAN, 1], NAN, [NAN, NAN]),
    ([0.0, 0.0], [2, 2], 4 * np.log(2), [0, 0]),
    ([0.0, 0.0], [0, 0], 0, [0, 0]),
    ([0.0, 0.0], [-1, 3], 2 * np.log(2), [2, -2]),
    ([1e4, -1e4], [0, 1], 2e4, [1, -1]),
    ([3e38, -3e38], [1, 0], 0, [0, 0]),
]


@pytest.mark.parametrize("many", [1, 40000])
@pytest.mark.parametrize(("z", "y", "loss", "gradient"), EDGES)
def test_edges(z, y, loss, gradient, many):
    z, y = (np.broadcast_to(np.asarray(x, np.float32), (many, len(x))) for x in (z, y))
    for run in (lambda f: f, jax.jit):
        np.testing.assert_allclose(run(softmax_cross_entropy)(z, y), np.full(many, loss, np.float32), 1e-6)
        expected = np.broadcast_to(np.float32(gradient), z.shape)
        for found in (softmax_cross_entropy_grad, summed(softmax_cross_entropy)):
            np.testing.assert_array_equal(run(found)(z, y), expected)


def test_a_nan_is_not_lost_among_many_classes():
    z = np.zeros((2000, 100), np.float32)
    z[:, 63] = NAN
    y = np.eye(100, dtype=np.float32)[np.zeros(2000, int)]
    for f in (softmax_cross_entropy, softmax_cross_entropy_grad):
        assert np.isnan(jax.jit(f)(z, y)).all()


@pytest.mark.parametrize("axis", [0, 1, -1, (1, 2), (2, 0), None])
def test_drop_in_for_optax_along_any_axis(axis):
    rng = np.random.default_rng(6)
    z, y = (rng.normal(size=(4, 3, 5)).astype(np.float32) for _ in range(2))
    expected = optax.softmax_cross_entropy(z, y, axis=axis)
    found = softmax_cross_entropy(z, y, axis=axis)
    assert found.shape == expected.shape and np.abs(found - expected).max() < 1e-5
    gradient = jax.grad(lambda v: optax.softmax_cross_entropy(v, y, axis=axis).sum())(z)
    assert np.abs(softmax_cross_entropy_grad(z, y, axis=axis) - gradient).max() < 1e-5
    assert np.abs(summed(lambda a, b: softmax_cross_entropy(a, b, axis=axis))(z, y) - gradient).max() < 1e-5
    if axis is not None:
        label = rng.integers(0, 3, expected.shape)
        ours = softmax_cross_entropy_with_integer_labels(z, label, axis=axis)
        theirs = optax.softmax_cross_entropy_with_integer_labels(z, label, axis=axis)
        assert ours.shape == theirs.shape and np.abs(ours - theirs).max() < 1e-5


def test_drop_in_for_optax_with_where():
    rng = np.random.default_rng(7)
    z, y = rng.normal(size=(6, 5)).astype(np.float32), np.eye(5, dtype=np.float32)[[0, 1, 2, 3, 4, 0]]
    where = rng.random((6, 5)) < 0.7
    where[np.arange(6), y.argmax(-1)] = True
    where[5] = False
    for ours, theirs, labels in (
        (softmax_cross_entropy, optax.softmax_cross_entropy, y),
        (softmax_cross_entropy_with_integer_labels, optax.softmax_cross_entropy_with_integer_labels, y.argmax(-1)),
    ):
        expected = theirs(z, labels, where=jnp.asarray(where))
        assert np.abs(ours(z, labels, where=where) - expected)[:5].max() < 1e-6 and ours(z, labels, where=where)[5] == 0
        gradient = jax.grad(lambda v, f=ours, w=labels: f(v, w, where=where).sum())(z)
        alone = [jax.nn.softmax(np.where(w, v, -np.inf)) - t for v, t, w in zip(z[:5], y, where, strict=False)]
        assert np.abs(gradient[:5] - np.array(alone)).max() < 1e-6 and (gradient[5] == 0).all()


PROMOTION = [
    (jnp.bfloat16, jnp.float32, jnp.float32),
    (jnp.float16, jnp.int32, jnp.float16),
    (jnp.float32, jnp.bool_, jnp.float32),
    (jnp.float32, jnp.float64, jnp.float64),
    (jnp.float16, jnp.bfloat16, jnp.float32),
]


@pytest.mark.parametrize(("logits", "labels", "result"), PROMOTION)
def test_dtypes_follow_numpy_promotion(logits, labels, result):
    z, y = jnp.zeros((2, 3), logits), jnp.eye(3)[:2].astype(labels)
    assert softmax_cross_entropy(z, y).dtype == softmax_cross_entropy_grad(z, y).dtype == result
    assert summed(softmax_cross_entropy)(z, y).dtype == logits
    assert softmax_cross_entropy(z[:0], y[:0]).shape == (0,) and softmax_cross_entropy(z, y[0]).shape == (2,)


REFUSED = [
    (lambda: softmax_cross_entropy(jnp.zeros((2, 3), int), jnp.zeros((2, 3))), TypeError, "int"),
    (lambda: softmax_cross_entropy(jnp.zeros((2, 3)), jnp.zeros((2, 3), complex)), TypeError, "complex"),
    (lambda: softmax_cross_entropy(jnp.zeros((2, 3)), jnp.zeros((2, 4))), ValueError, r"\(2, 3\).*\(2, 4\)"),
    (lambda: softmax_cross_entropy(jnp.zeros((2, 3)), jnp.zeros(3), axis=2), ValueError, "axis 2"),
    (lambda: softmax_cross_entropy(jnp.zeros((2, 3)), jnp.zeros(3), axis=(1, -1)), ValueError, "axis"),
    (lambda: softmax_cross_entropy(jnp.zeros((2, 0)), jnp.zeros(0)), ValueError, "no classes"),
    (lambda: softmax_cross_entropy(0.0, 1.0), ValueError, "axis -1"),
    (lambda: softmax_cross_entropy(jnp.zeros((2, 3)), jnp.zeros(3), where=jnp.ones(3)), TypeError, "where"),
    (lambda: softmax_cross_entropy(jnp.zeros((2, 3)), jnp.zeros(3), where=np.ones((2, 4)) > 0), ValueError, "where"),
    (lambda: softmax_cross_entropy_with_integer_labels(jnp.zeros((2, 3)), jnp.zeros(2)), TypeError, "integers"),
    (lambda: softmax_cross_entropy_with_integer_labels(jnp.zeros((2, 3)), jnp.zeros(4, int)), ValueError, r"\(4,\)"),
    (
        lambda: softmax_cross_entropy_with_integer_labels(jnp.zeros((2, 3)), np.array([0, 3])),
        ValueError,
        "0 to 2, got 3",
    ),
    (lambda: softmax_cross_entropy_with_integer_labels(jnp.zeros((2, 3)), np.array([-1, 2])), ValueError, "got -1"),
]


@pytest.mark.parametrize(("call", "error", "named"), REFUSED)
def test_what_makes_no_sense_is_refused_by_name(call, error, named):
    with pytest.raises(error, match=named):
        call()


def test_a_traced_label_out_of_range_is_nan():
    z, label = jnp.zeros((3, 2)), jnp.array([0, 2, -1])
    loss = jax.jit(softmax_cross_entropy_with_integer_labels)(z, label)
    gradient = jax.jit(summed(softmax_cross_entropy_with_integer_labels))(z, label)
    assert list(np.isnan(loss)) == [False, True, True]
    assert list(np.isnan(gradient).all(-1)) == [False, True, True] and not np.isnan(gradient[0]).any()


WITHOUT_X64 = """
import hashlib, jax, jax.numpy as jnp, numpy as np
from jax.sharding import Mesh, PartitionSpec as P
from stability.losses.softmax import *
digest = hashlib.sha256()
losses = {"one-hot": softmax_cross_entropy, "integer": softmax_cross_entropy_with_integer_labels}
for dtype, n, name in (("bfloat16", 3, "integer"), ("float32", 20, "one-hot")):
    z = jnp.asarray(np.random.default_rng(0).normal(0, 8, (64, n)).astype(np.float32)).astype(dtype)
    label = jnp.arange(64, dtype=jnp.int32) % n
    loss = losses[name]
    y = jax.nn.one_hot(label, n, dtype=dtype) if name == "one-hot" else label
    f = lambda z, y: loss(z, y).sum()
    mesh = Mesh(np.array(jax.devices()[:1]), ("b",))
    sharded = jax.shard_map(loss, mesh=mesh, in_specs=P("b"), out_specs=P("b"))
    results = [
        loss(z, y), jax.jit(loss)(z, y), jax.grad(f)(z, y), jax.jit(jax.vmap(jax.grad(loss)))(z, y),
        jax.vmap(jax.hessian(loss))(z[:2], y[:2]), jax.jit(jax.grad(jax.checkpoint(f)))(z, y),
        jax.grad(lambda z: jax.lax.scan(lambda c, row: (c + loss(*row), None), jnp.zeros((), dtype), (z, y))[0])(z),
        jax.jvp(lambda z: loss(z, y), (z,), (z,))[1], jax.vjp(lambda z: loss(z, y), z)[1](loss(z, y))[0],
        jax.jit(jax.grad(lambda z: sharded(z, y).sum()))(z),
    ]
    assert all(r.dtype == dtype for r in results), [r.dtype for r in results]
    assert all(bool(jnp.isfinite(r.astype(jnp.float32)).all()) for r in results)
    for r in results:
        digest.update(np.asarray(r.astype(jnp.float32)).tobytes())
print(jax.config.read("jax_enable_x64"), digest.hexdigest())
"""


def test_more_classes_than_a_program_holds_are_looped_over_under_transformations_too():
    z, label, _ = examples(F32, 4, 1025, seed=9)
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:1]), ("b",))
    specs = {"in_specs": jax.sharding.PartitionSpec("b"), "out_specs": jax.sharding.PartitionSpec("b")}
    sharded = jax.shard_map(softmax_cross_entropy_with_integer_labels, mesh=mesh, **specs)
    found = jax.jit(jax.grad(lambda z: sharded(z, label).sum()))(z)
    mapped = jax.vmap(jax.grad(softmax_cross_entropy_with_integer_labels))(z, label)
    assert errors(found, z, np.eye(1025, dtype=np.float32)[label], F32)[1] <= 2
    np.testing.assert_array_equal(found, mapped)


def test_every_transformation_works_without_x64_and_to_the_same_bits():
    def run(x64):
        env = os.environ | {"JAX_ENABLE_X64": x64}
        found = subprocess.run(
            [sys.executable, "-W", "error", "-c", WITHOUT_X64], env=env, capture_output=True, text=True
        )
        assert found.returncode == 0, found.stderr
        return found.stdout.split()

    (off, digest_off), (on, digest_on) = run("0"), run("1")
    assert (off, on) == ("False", "True") and digest_off == digest_on
