"""A training step that is watched: the same outputs, no false alarm, and what is planted is found with its line."""

import logging

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import lax
from watched import as_users_have_it, classes, layers, logits, naive_loss, normal, same_bits  # noqa: F401

from stability import diagnose, watch

pytestmark = pytest.mark.usefixtures("as_users_have_it")


def mlp_loss(params, x, y):
    return optax.softmax_cross_entropy_with_integer_labels(logits(params, x), y).mean()


def rnn_loss(params, xs, y):
    def cell(h, x):
        h = jnp.tanh(x @ params["in"] + h @ params["hidden"])
        return h, h

    h, _ = lax.scan(cell, jnp.zeros((xs.shape[1], 16)), xs)
    return jnp.mean((h @ params["out"] - y) ** 2)


def conv_loss(params, x, y):
    for w in params["kernels"]:
        x = jax.nn.relu(lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")))
        x = lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
    z = x.mean((1, 2)) @ params["out"]
    return optax.softmax_cross_entropy_with_integer_labels(z, y).mean()


def attention_loss(params, x, y):
    q, k, v = (x @ params[name] for name in "qkv")
    mask = jnp.tril(jnp.ones((x.shape[1], x.shape[1]), bool))
    a = jax.nn.softmax(jnp.where(mask, q @ k.transpose(0, 2, 1) / 4, -jnp.inf))
    h = x + a @ v
    h = (h - h.mean(-1, keepdims=True)) * lax.rsqrt(h.var(-1, keepdims=True) + 1e-5)
    return jnp.mean((h @ params["q"] - y) ** 2)


HEALTHY = {
    "mlp": lambda: (mlp_loss, layers(32, 64, 64, 10), lambda: (normal(64, 32), classes(64))),
    "rnn": lambda: (
        rnn_loss,
        {"in": normal(8, 16, scale=0.3), "hidden": normal(16, 16, scale=0.2), "out": normal(16, 4, scale=0.2)},
        lambda: (normal(12, 8, 8), normal(8, 4)),
    ),
    "conv": lambda: (
        conv_loss,
        {"kernels": [normal(3, 3, 3, 8, scale=0.3), normal(3, 3, 8, 8, scale=0.2)], "out": normal(8, 10)},
        lambda: (normal(8, 16, 16, 3), classes(8)),
    ),
    "attention": lambda: (
        attention_loss,
        {name: normal(16, 16, scale=0.25) for name in "qkv"},
        lambda: (normal(4, 12, 16), normal(4, 12, 16)),
    ),
}


def adam_step(loss):
    """A step of training with the moments of Adam as its state, and the state to begin with."""
    adam = optax.adam(1e-3)

    def step(params, state, *batch):
        value, gradient = jax.value_and_grad(loss)(params, *batch)
        updates, state = adam.update(gradient, state)
        return optax.apply_updates(params, updates), state, value

    return step, adam.init


@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_loop_has_the_outputs_of_the_step_and_no_finding(name, caplog):
    loss, params, batch = HEALTHY[name]()
    step, init = adam_step(loss)
    watched, jitted, state = watch(step), jax.jit(step), init(params)
    with caplog.at_level(logging.INFO, "stability.watch"):
        for _ in range(20):
            args = params, state, *batch()
            params, state, value = watched(*args)
            assert same_bits((params, state, value), jitted(*args))
    assert not watched.findings and watched.failed is None and not caplog.records
    seen = watched.history.leaves
    assert all(s.step == list(range(20)) and sum(s.not_finite) == 0 for s in seen.values())
    assert any("w" in leaf or "[0]" in leaf for leaf in seen) and max(max(s.error) for s in seen.values()) > 0


def test_a_nan_of_one_example_is_found_with_its_line_and_the_batch_is_kept(caplog):
    params, x = layers(4, 8, 1), normal(8, 4)
    y = (jnp.arange(8) % 2).astype(jnp.float32)
    step = jax.grad(naive_loss)
    watched = watch(step)
    watched(params, x, y)
    z = logits(params, x)[::2, 0]
    assert z.max() > 0
    bad = x.at[2 * z.argmax()].mul(25 / z.max())
    watched(params, bad, y)
    watched(params, bad, y)
    found = watched.findings[0]
    assert (found.step, found.kind, found.culprit.primitive) == (1, "nan", "sub")
    assert "naive_loss" in found.culprit.source and f"watched.py:{naive_loss.__code__.co_firstlineno + 2}" in str(found)
    assert [r.name for r in caplog.records] == ["stability.watch"] * len(watched.findings)
    assert "step 1: nan" in caplog.text and "diagnose(step" in caplog.text
    assert len({(leaf, f.kind) for f in watched.findings for leaf in (f.leaf, *f.also)}) == sum(
        1 + len(f.also) for f in watched.findings
    )
    assert watched.failed.step == 1 and same_bits(watched.failed.args, (params, bad, y))
    assert diagnose(step, *watched.failed.args).culprit.primitive == "sub"


def test_a_vanished_gradient_is_found():
    watched = watch(lambda z: jax.nn.sigmoid(z) - 1)
    watched(jnp.float32([-1, 0, 2]))
    watched(jnp.float32([-1, 20, 2]))
    (found,) = watched.findings
    assert (found.step, found.kind, found.count, found.culprit.kind) == (1, "vanished", 1, "cancellation")
    assert watched.history.leaves[""].vanished == [0, 1 / 3]


def test_lost_digits_are_found():
    watched = watch(lambda x: jnp.mean(x**2) - jnp.mean(x) ** 2)
    watched(normal(1000))
    watched(normal(1000) + 1000)
    (found,) = watched.findings
    assert (found.step, found.kind, found.culprit.kind) == (1, "inaccurate", "cancellation")


def test_a_nan_that_where_hides_is_no_finding():
    watched = watch(lambda x: jnp.where(x > 0, jnp.log(x), 0.0))
    watched(jnp.float32([1, -1, 2]))
    watched(jnp.float32([1, np.nan, 2]))
    assert not watched.findings and watched.history.leaves[""].not_finite == [0, 0]


def test_an_infinity_that_is_true_is_no_finding():
    watched = watch(jax.nn.log_softmax)
    watched(jnp.float32([1, -jnp.inf, 2]))
    assert not watched.findings and watched.history.leaves[""].not_finite == [1]


def test_a_nan_in_real_numbers_too_is_found():
    watched = watch(jax.grad(lambda x: jnp.sum(jnp.where(x > 0, jnp.sqrt(x), 0.0))))
    watched(jnp.float32([1, 0]))
    assert [f.kind for f in watched.findings] == ["nan"]


def test_arguments_that_are_not_finite_already_are_told_once(caplog):
    watched = watch(lambda w, x: w * x)
    for _ in range(3):
        watched(jnp.float32([1, np.nan]), jnp.float32(2))
    assert [(f.kind, f.culprit) for f in watched.findings] == [("nan_input", None)]
    assert len(caplog.records) == 1 and "not finite already" in caplog.text


def test_what_is_born_beside_arguments_that_are_not_finite_is_told_apart():
    watched = watch(lambda x, y: jnp.where(jnp.isnan(y), 0, jnp.log(1 - jax.nn.sigmoid(x))))
    watched(jnp.float32([1, 2]), jnp.float32([np.nan, 1]))
    watched(jnp.float32([20, 20]), jnp.float32([np.nan, 1]))
    assert [(f.step, f.kind, f.count) for f in watched.findings] == [(1, "inf", 1)]


def cancelled(x):
    """0 in float32, and -2e-9 in truth, at 20."""
    return jax.nn.sigmoid(x) - 1


def in_scan(x):
    return lax.scan(lambda c, row: (c + cancelled(row), cancelled(row)), jnp.zeros_like(x[0]), x)


def in_while(x):
    return lax.while_loop(lambda c: c[0] < 3, lambda c: (c[0] + 1, c[1] + cancelled(c[2]), c[2]), (0, 0 * x, x))[1]


def in_cond(x):
    return lax.cond(x[0] > 0, cancelled, jnp.sin, x)


def in_vmapped_while(x):
    def each(v):
        return lax.while_loop(lambda c: c[0] < 2 + 4 * v, lambda c: (c[0] + 1, c[1] + cancelled(v)), (0.0, 0 * v))[1]

    return jax.vmap(each)(x)


INSIDE = {
    "scan": in_scan,
    "while": in_while,
    "cond": in_cond,
    "remat": lambda x: jax.grad(lambda v: jnp.sum(jax.checkpoint(cancelled)(v) ** 2))(x),
    "jit": lambda x: jax.jit(cancelled)(x),
    "vmap": lambda x: jax.vmap(cancelled)(x),
    "vmapped while": in_vmapped_while,
}


@pytest.mark.parametrize("name", INSIDE)
def test_what_is_inside_of_loops_and_calls_is_seen(name, caplog):
    watched = watch(INSIDE[name])
    watched(jnp.float32([0.25, 0.5]))
    assert not watched.findings
    watched(jnp.float32([20, 30]))
    assert [f.kind for f in watched.findings] and {f.kind for f in watched.findings} <= {"vanished", "inaccurate"}
    if name != "vmapped while":
        assert all("cancelled" in f.culprit.source for f in watched.findings)
    assert "not watched" not in caplog.text


def apart(x, a, b):
    """0 but for roundings, which no two formats share."""
    return a * x * b - a * b * x


def pooled(x):
    return jnp.sum(lax.reduce_window(x, -jnp.inf, lax.max, (4,), (4,), "VALID"))


DECISIONS = {
    "a comparison": lambda x, a, b: jnp.where(apart(x, a, b) > 0, x, -x),
    "a whole number": lambda x, a, b: jnp.floor(jnp.round(8 * x) + apart(x, a, b)),
    "what sorting carries along": lambda x, a, b: lax.sort((apart(x, a, b), x), num_keys=1)[1],
    "the largest of a window": lambda x, a, b: jax.grad(lambda v: pooled(apart(x, a, b) + 1e-6 * v))(x),
}


@pytest.mark.parametrize("name", DECISIONS)
def test_decisions_are_those_of_the_floats(name, caplog):
    args = normal(1000), jnp.float32(0.1), jnp.float32(0.7)
    assert bool(jnp.any(apart(*args) != 0))
    watched = watch(DECISIONS[name])
    watched(*args)
    (error,) = watched.history.leaves[""].error
    assert error < 16 and not watched.findings and not caplog.records


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_the_yardstick_is_the_coarsest_format(dtype, caplog):
    """Gradients in float32 that come from a loss in 16 bits are as good as 16 bits are."""
    params, y = layers(16, 32, 10), classes(64)

    def loss(params, x):
        half = jax.tree.map(lambda v: v.astype(dtype), (params, x))
        return optax.softmax_cross_entropy_with_integer_labels(logits(*half), y).mean().astype(jnp.float32)

    watched = watch(jax.grad(loss))
    for _ in range(5):
        watched(params, normal(64, 16))
    assert not watched.findings and not caplog.records
    assert 0 < max(max(s.error) for s in watched.history.leaves.values()) < 16
    low = watch(jax.grad(lambda p, x: naive_loss(p, x, jnp.zeros(8, dtype))))
    low(jax.tree.map(lambda v: v.astype(dtype), layers(16, 1)), 100 * normal(8, 16).astype(dtype))
    assert {f.kind for f in low.findings} == {"nan"}


def test_random_keys_and_noise_are_the_same_beside(caplog):
    def step(key, w):
        key, sub = jax.random.split(key)
        return key, w + jax.random.normal(sub, w.shape) * jax.random.bernoulli(key, 0.5, w.shape)

    watched, key = watch(step), jax.random.key(0)
    for _ in range(3):
        key, _ = watched(key, normal(100))
    assert not watched.findings and not caplog.records and max(watched.history.leaves["[1]"].error) < 16


def test_of_float64_only_what_is_not_finite_is_watched(caplog):
    with jax.enable_x64(True):
        watched = watch(lambda x: jnp.log(1 - jax.nn.sigmoid(x)) + (1 + x) - x)
        watched(np.float64([1, 2]))
        watched(np.float64([1, 50]))
        assert [f.kind for f in watched.findings] == ["inf"]
    assert np.isnan(watched.history.leaves[""].error).all() and watched.history.leaves[""].not_finite == [0, 1]
    assert sum("nothing is wider than float64" in r.message for r in caplog.records) == 1


def test_what_is_found_to_be_right_is_not_looked_at_at_every_step(monkeypatch):
    looked = []
    monkeypatch.setattr("stability.watching._watched.screened", lambda *a: looked.append(a) or ([], None))
    watched = watch(lambda x: jnp.sum(x) - jnp.sum(x[::-1] * 1.0000001))
    for _ in range(60):
        watched(normal(1000))
    assert 0 < len(looked) < 8
