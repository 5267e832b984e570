"""Scatters, windows, convolutions and sorting over the reals, against NumPy loops and JAX in float64."""

import itertools
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from stability.real import true_value, why_undefined

F32, F64 = np.float32, np.float64


def exactly(fn, *args):
    """The truth and JAX agree to the bit: the results are exact in float64."""
    with jax.enable_x64(True):
        got, true = jax.tree.leaves(jax.jit(fn)(*args)), jax.tree.leaves(true_value(fn, *args))
    for g, t in zip(got, true, strict=True):
        np.testing.assert_array_equal(np.asarray(g, t.dtype), t)


def whole(rng, *shape, dtype=F64):
    """Small whole numbers, so that sums of products are exact in any order."""
    return rng.integers(-8, 9, shape).astype(dtype)


MODES = ["drop", "clip", "promise_in_bounds", "fill"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("method", ["set", "add", "subtract", "multiply", "min", "max", "divide"])
def test_scatters_of_every_kind_and_mode(method, mode):
    rng, dtype = np.random.default_rng(1), F32
    x, at = (
        whole(rng, 5, 4, dtype=dtype),
        np.array([0, 3, 3, -2, 4] if mode == "promise_in_bounds" else [0, 3, 3, 9, -7]),
    )
    y = np.array([1, 2, 2, 4, 0.5], dtype)
    if method == "set":
        at = np.array([0, 3, 2, -2, 4])
    exactly(lambda x, y: getattr(x.at[at, 1], method)(y, mode=mode), x, y)
    exactly(lambda x, y: getattr(x.at[1:4, 2], method)(y[:3], mode=mode), x, y)
    exactly(lambda x, y: getattr(x.at[jnp.asarray(2)], method)(y[:4], mode=mode), x, y)
    exactly(lambda x, y: getattr(x.at[1, 1], method)(y[0], mode=mode), x, y)
    exactly(lambda x: getattr(x[0].at[np.zeros(0, int)], method)(np.zeros(0, dtype), mode=mode), x)


def test_scatter_windows_that_reach_over_the_edge_are_dropped_or_clipped_as_jax_does():
    rng = np.random.default_rng(2)
    x, y = whole(rng, 4, 5), whole(rng, 6, 2, 3)
    numbers = lax.ScatterDimensionNumbers(
        update_window_dims=(1, 2), inserted_window_dims=(), scatter_dims_to_operand_dims=(0, 1)
    )
    at = np.array([[0, 0], [1, 2], [3, 3], [-1, 0], [2, 2], [9, 9]])
    for f, mode in itertools.product(
        (lax.scatter_add, lax.scatter_sub, lax.scatter_mul, lax.scatter_max, lax.scatter_min),
        (lax.GatherScatterMode.CLIP, lax.GatherScatterMode.FILL_OR_DROP),
    ):
        exactly(lambda x, y, f=f, mode=mode: f(x, at, y, numbers, mode=mode), x, y)


def test_a_batched_scatter_is_that_of_each_row():
    rng = np.random.default_rng(3)
    x, at, y = whole(rng, 3, 6), np.array([[0, 2], [5, 5], [1, 7]]), whole(rng, 3, 2)
    exactly(jax.vmap(lambda x, at, y: x.at[at].add(y)), x, at, y)
    exactly(jax.vmap(lambda x, at, y: x.at[at].mul(y)), x, at, y)


def test_a_scattered_function_is_applied():
    x = np.array([1.0, 2.0, 3.0])
    true = true_value(lambda x: x.at[np.array([0, 2])].apply(jnp.exp), x)
    assert true[1] == 2.0
    np.testing.assert_allclose(true[[0, 2]], np.exp([1.0, 3.0]), rtol=1e-15)


WINDOW = {
    "window_dimensions": (2, 3),
    "window_strides": (2, 1),
    "padding": ((1, 0), (2, 1)),
    "base_dilation": (1, 2),
    "window_dilation": (2, 1),
}


@pytest.mark.parametrize("op, start", [(lax.add, 0.0), (lax.max, -np.inf), (lax.min, np.inf), (lax.mul, 1.0)])
@pytest.mark.parametrize("dtype", [F32, F64])
def test_windows_with_strides_padding_and_dilations(op, start, dtype):
    x = whole(np.random.default_rng(4), 4, 5, dtype=dtype)
    exactly(lambda x: lax.reduce_window(x, dtype(start), op, **WINDOW), x)
    exactly(lambda x: lax.reduce_window(x, dtype(start), op, (2, 2), (1, 1), "VALID"), x)
    exactly(lambda x: lax.reduce_window(x[:0], dtype(start), op, (1, 2), (1, 1), "VALID"), x)


def test_windows_and_reductions_by_a_function_of_ones_own():
    x = np.array([1.0, 3.0, 2.0, 5.0])

    def far(a, b):
        return jnp.maximum(a, b + 0.0)

    exactly(lambda x: lax.reduce_window(x, -np.inf, far, (2,), (1,), "SAME"), x)
    exactly(lambda x: lax.reduce(x, -np.inf, far, (0,)), x)
    exactly(lambda x: lax.reduce(x.reshape(2, 2), -np.inf, far, (0,)), x)


def test_the_gradient_of_max_pooling_goes_to_the_first_of_equals():
    x = np.array([[1.0, 5.0, 5.0, 2.0], [7.0, 5.0, 0.0, 2.0]])

    def pool(x):
        return lax.reduce_window(x, -jnp.inf, lax.max, (2, 2), (1, 1), "SAME")

    exactly(jax.grad(lambda x: jnp.sum(pool(x) * jnp.arange(8.0).reshape(2, 4))), x)
    exactly(lambda x: jax.jvp(pool, (x,), (x * 2,))[1], x)


def test_a_maximum_that_balls_leave_open_has_an_undecided_gradient():
    x = np.array([2.0, 3.0])

    def f(x):
        y = jnp.stack([jnp.sqrt(x[0]) * jnp.sqrt(x[1]), jnp.sqrt(x[0] * x[1])])
        return lax.reduce_window(y, -jnp.inf, lax.max, (2,), (1,), "VALID")[0]

    np.testing.assert_allclose(true_value(f, x), np.sqrt(6.0), rtol=1e-15)
    assert set(why_undefined(jax.grad(f), x)) == {"undecided"}


@pytest.mark.parametrize("groups", ["none", "feature", "batch"])
@pytest.mark.parametrize("layout", [("NCHW", "OIHW", "NCHW"), ("NHWC", "HWIO", "NHWC"), ("CNHW", "IHWO", "NHCW")])
def test_convolutions_of_every_layout_and_grouping(groups, layout):
    rng = np.random.default_rng(5)
    sizes = {"N": 4, "C": 4 if groups == "feature" else 2, "H": 5, "W": 4, "O": 4, "I": 2}
    x = whole(rng, *(sizes[c] for c in layout[0]))
    k = whole(rng, *({**sizes, "H": 2, "W": 3}[c] for c in layout[1]))

    def f(x, k):
        return lax.conv_general_dilated(
            x, k, (2, 1), ((1, 2), (-1, 3)), (2, 1), (1, 2), layout,
            feature_group_count=2 if groups == "feature" else 1, batch_group_count=2 if groups == "batch" else 1,
        )  # fmt: skip

    exactly(f, x, k)
    exactly(jax.grad(lambda x, k: jnp.sum(f(x, k) ** 2), (0, 1)), x, k)


def test_a_convolution_is_that_of_fractions():
    x, k = np.float32([0.1, 0.2, 0.3, 1e8]), np.float32([0.7, -0.1])
    true = true_value(jnp.convolve, x, k)
    want = [
        sum(Fraction(float(x[j])) * Fraction(float(k[i - j])) for j in range(4) if 0 <= i - j < 2) for i in range(5)
    ]
    np.testing.assert_array_equal(true, np.float32([float(w) for w in want]))


def test_sorting_puts_nan_last_and_keeps_the_order_of_equals():
    x = np.array([3.0, np.nan, -np.inf, 3.0, np.inf, 0.0])
    exactly(jnp.sort, x)
    exactly(jnp.argsort, x)
    exactly(lambda x: lax.top_k(x, 4), x)
    exactly(lambda x: lax.top_k(x[3:], 2), x)
    exactly(lambda x: lax.approx_max_k(x[2:], 2), x)
    exactly(lambda x: lax.approx_min_k(x[2:], 2), x)
    exactly(lambda x: lax.sort((x[2:], x[2:][::-1], jnp.arange(4)), num_keys=2), x)
    exactly(lambda x: jnp.sort(x.reshape(2, 3), axis=0), x)
    exactly(lambda x: jnp.sort(x[:0]), x)


def same(x):
    """One number, computed in three ways that balls can't tell to be equal."""
    return jnp.stack([jnp.sqrt(x) * jnp.sqrt(x + 1), jnp.sqrt(x * (x + 1)), jnp.sqrt(x**2 + x)])


@pytest.mark.parametrize("dtype", [F32, F64])
def test_the_order_of_equal_computed_values_does_not_matter_to_what_it_does_not_change(dtype):
    x, want = dtype(2.0), dtype(np.sqrt(6.0))
    near = {"rtol": np.finfo(dtype).eps}
    np.testing.assert_allclose(true_value(lambda x: jnp.median(same(x)), x), want, **near)
    np.testing.assert_allclose(true_value(lambda x: jnp.sort(same(x)), x), [want] * 3, **near)
    values, _places = true_value(lambda x: lax.top_k(jnp.append(same(x), 9.0), 3), x)
    np.testing.assert_allclose(values, [9.0, want, want], **near)
    mixed = true_value(lambda x: jnp.sort(jnp.concatenate([same(x), jnp.array([-1.0, 100.0], dtype)])), x)
    np.testing.assert_allclose(mixed, [-1.0, want, want, want, 100.0], **near)
    why = why_undefined(lambda x: same(x)[jnp.argsort(same(x))][0] * 0 + jnp.arange(3.0)[jnp.argsort(same(x))][0], x)
    assert why == "undecided"


def test_searching_and_interpolating():
    with jax.enable_x64(True):
        x, grid = np.array([-1.0, 0.5, 1.0, 2.5, 9.0]), np.array([0.0, 1.0, 3.0])
        exactly(lambda x: jnp.interp(x, grid, grid * 4), x)
        exactly(lambda x: jnp.searchsorted(grid, x), x)
        exactly(lambda x: lax.top_k(jnp.unique(x, size=5), 2), x)
        exactly(lambda x: jnp.searchsorted(x, jnp.array([jnp.nan, 0.7])), x)


def test_scalar_array_vmap_and_scan_agree():
    x = np.float32([0.3, 0.1, 0.2])

    def f(row):
        return jnp.median(row) + lax.top_k(row, 2)[0][1] + row.at[0].mul(3)[0] + jnp.convolve(row, row)[2]

    rows = np.stack([x, x[::-1], x * 3])
    one = [true_value(f, r) for r in rows]
    np.testing.assert_array_equal(true_value(jax.vmap(f), rows), one)
    np.testing.assert_array_equal(true_value(lambda r: lax.scan(lambda c, v: (c, f(v)), 0.0, r)[1], rows), one)
    np.testing.assert_array_equal(true_value(jax.jit(f), x), one[0])
