"""Linear algebra over the reals, against mpmath, fractions and the equations that define each decomposition."""

import itertools
import math
from fractions import Fraction

import flint
import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from flint import arb
from jax import lax

from stability.real import true_value, why_undefined
from stability.real._derivative import derivatives
from stability.real._near import flat
from stability.real.reals import run
from stability.real.walk import trace

F32, F64 = np.float32, np.float64
DTYPES = pytest.mark.parametrize("dtype", [F32, F64])


def random(*shape, dtype=F64, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def definite(n, dtype=F64, seed=0):
    a = random(n, n, dtype=dtype, seed=seed)
    return (a @ a.T + n * np.eye(n, dtype=dtype)).astype(dtype)


def mp(a):
    return mpmath.matrix(np.asarray(a, F64).tolist())


def rounds_to(true, want, dtype):
    """Elements of the truth are the correctly rounded ones of an mpmath matrix (or column)."""
    flat = [dtype(float(v)) if abs(v) > 1e-50 else 0.0 for v in want]
    np.testing.assert_array_equal(np.asarray(true, F64).ravel(), np.asarray(flat, F64))


def determinant(a) -> Fraction:
    """The sum over all permutations, in fractions."""
    n, total = len(a), Fraction(0)
    for order in itertools.permutations(range(n)):
        odd = sum(order[i] > order[j] for i in range(n) for j in range(i + 1, n)) % 2
        total += (-1) ** odd * math.prod(Fraction(float(a[i, j])) for i, j in enumerate(order))
    return total


@pytest.fixture(autouse=True)
def precise():
    with mpmath.workdps(60), jax.enable_x64(True):
        yield


@DTYPES
@pytest.mark.parametrize("n", [1, 2, 5])
def test_solving_inverting_and_determinants(dtype, n):
    a, b = random(n, n, dtype=dtype, seed=n), random(n, dtype=dtype, seed=n + 50)
    rounds_to(true_value(jnp.linalg.solve, a, b), mpmath.lu_solve(mp(a), mp(b[:, None])), dtype)
    rounds_to(true_value(jnp.linalg.inv, a), mpmath.inverse(mp(a)), dtype)
    rounds_to(true_value(jnp.linalg.det, a), [mpmath.det(mp(a))], dtype)
    sign, log = true_value(jnp.linalg.slogdet, a)
    rounds_to(log, [mpmath.log(abs(mpmath.det(mp(a))))], dtype)
    assert sign == np.sign(float(mpmath.det(mp(a))))


@DTYPES
def test_the_hilbert_matrix_is_solved_to_the_last_digit_where_floats_lose_all(dtype):
    n = 10
    a = np.array([[1 / (i + j + 1) for j in range(n)] for i in range(n)], dtype)
    true = true_value(lambda a: jnp.linalg.solve(a, jnp.ones(n, a.dtype)), a)
    with mpmath.workdps(120):
        rounds_to(true, mpmath.lu_solve(mp(a), mpmath.ones(n, 1)), dtype)


def test_a_solve_of_fractions_has_ties_of_pivots_and_is_exact():
    a = np.array([[1.0, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]])
    b = np.array([1.0, 2, 3, 4])
    np.testing.assert_array_equal(true_value(jnp.linalg.solve, a, b), a.T @ b / 4)
    assert true_value(jnp.linalg.det, a / 3) == float(determinant(a / 3))
    np.testing.assert_array_equal(true_value(jnp.linalg.inv, 3 * a), a.T / 12)


def test_a_singular_matrix_has_no_inverse_and_the_determinant_0():
    a = np.array([[1.0, 2, 3, 4], [2, 4, 6, 8], [1, 0, 0, 1], [0, 1, 5, 1]])
    assert true_value(jnp.linalg.det, a) == 0
    assert set(why_undefined(jnp.linalg.inv, a).ravel()) == {"domain"}


@DTYPES
def test_factors_and_pivots_of_an_elimination_are_lapacks(dtype):
    a = random(4, 3, dtype=dtype)
    out, pivots, permutation = lax.linalg.lu(a)
    true, true_pivots, true_permutation = true_value(lax.linalg.lu, a)
    np.testing.assert_allclose(out, true, rtol=1e-4 if dtype == F32 else 1e-12)
    np.testing.assert_array_equal(true_pivots, pivots)
    np.testing.assert_array_equal(true_permutation, permutation)
    lower, upper = np.tril(true, -1) + np.eye(4, 3), np.triu(true)[:3]
    np.testing.assert_allclose(lower.astype(F64) @ upper, a[permutation], rtol=1e-5 if dtype == F32 else 1e-13)


def test_a_pivot_that_balls_leave_open_is_undecided():
    def f(x):
        tie = jnp.stack([jnp.sqrt(x) * jnp.sqrt(x + 1), jnp.sqrt(x * (x + 1))])
        return lax.linalg.lu(jnp.stack([tie, jnp.ones(2)], 1))[0]

    assert set(why_undefined(f, F64(2)).ravel()) == {"undecided"}


@DTYPES
@pytest.mark.parametrize("n", [1, 3, 6])
def test_cholesky(dtype, n):
    a = definite(n, dtype)
    true = true_value(lambda a: jnp.linalg.cholesky(a, symmetrize_input=False), a)
    symmetric = np.tril(a) + np.tril(a, -1).T
    rounds_to(true, mpmath.cholesky(mp(symmetric)), dtype)
    np.testing.assert_allclose(true, jnp.linalg.cholesky(symmetric), rtol=1e-4 if dtype == F32 else 1e-12)


def test_cholesky_of_what_is_not_positive_definite_has_no_value():
    for a in (np.array([[1.0, 2], [2, 1]]), np.ones((2, 2)), -np.eye(2)):
        assert np.isnan(np.asarray(jnp.linalg.cholesky(a)))[np.tril_indices(2)].all()
        assert set(why_undefined(jnp.linalg.cholesky, a)[np.tril_indices(2)]) == {"domain"}


@pytest.mark.parametrize("left", [True, False])
@pytest.mark.parametrize("lower", [True, False])
@pytest.mark.parametrize("transpose", [True, False])
@pytest.mark.parametrize("unit", [True, False])
def test_triangular_systems_with_every_flag(left, lower, transpose, unit):
    a, b = random(2, 3, 3), random(2, 3, 2) if left else random(2, 2, 3)
    flags = {"left_side": left, "lower": lower, "transpose_a": transpose, "unit_diagonal": unit}
    true = true_value(lambda a, b: lax.linalg.triangular_solve(a, b, **flags), a, b)
    for i in range(2):
        t = np.tril(a[i]) if lower else np.triu(a[i])
        if unit:
            np.fill_diagonal(t, 1)
        t = mp(t.T if transpose else t)
        want = mpmath.inverse(t) * mp(b[i]) if left else mp(b[i]) * mpmath.inverse(t)
        rounds_to(true[i], want, F64)


@DTYPES
@pytest.mark.parametrize("shape", [(3, 3), (4, 2), (2, 4), (1, 1), (3, 1)])
@pytest.mark.parametrize("mode", ["reduced", "complete"])
def test_qr_has_lapacks_signs_and_is_exactly_orthogonal(dtype, shape, mode):
    a = random(*shape, dtype=dtype)
    q, r = true_value(lambda a: jnp.linalg.qr(a, mode), a, dtype=F64)
    got_q, got_r = jnp.linalg.qr(a, mode)
    loose = 1e-4 if dtype == F32 else 1e-12
    np.testing.assert_allclose(got_q, q, atol=loose)
    np.testing.assert_allclose(got_r, r, atol=loose)
    np.testing.assert_allclose(q @ r, a, atol=1e-14)
    np.testing.assert_allclose(q.T @ q, np.eye(q.shape[1]), atol=1e-14)
    first = mpmath.norm(mp(a)[:, 0])
    if shape[0] > 1:
        rounds_to(abs(r[0, 0]), [first], F64)
    np.testing.assert_allclose(
        true_value(lambda a: jnp.linalg.qr(a, "r"), a, dtype=F64), r if mode == "reduced" else r[: min(shape)], atol=0
    )


def test_a_triangular_matrix_needs_no_reflection():
    a = np.array([[-2.0, 1, 3], [0, 4, 1], [0, 0, -5]])
    np.testing.assert_array_equal(true_value(jnp.linalg.qr, a)[1], jnp.linalg.qr(a)[1])
    raw, taus = jnp.linalg.qr(a, mode="raw")
    true_raw, true_taus = true_value(lambda a: jnp.linalg.qr(a, mode="raw"), a)
    np.testing.assert_array_equal(raw, true_raw)
    np.testing.assert_array_equal(taus, true_taus)


def test_raw_reflections_and_their_product():
    a = random(4, 3)

    def fn(a):
        raw, taus = jnp.linalg.qr(a, mode="raw")
        return lax.linalg.householder_product(raw.T, taus)

    np.testing.assert_allclose(fn(a), true_value(fn, a), atol=1e-14)


def test_tridiagonal_systems():
    n = 5
    low, mid, up, b = random(n), random(n, seed=1) + 4, random(n, seed=2), random(n, 2, seed=3)
    true = true_value(lax.linalg.tridiagonal_solve, low, mid, up, b)
    full = np.diag(mid) + np.diag(up[:-1], 1) + np.diag(low[1:], -1)
    for c in range(2):
        rounds_to(true[:, c], mpmath.lu_solve(mp(full), mp(b[:, c : c + 1])), F64)


def test_a_linear_solve_is_the_solution_whatever_its_method():
    a, b = definite(4), random(4)
    want = mpmath.lu_solve(mp(a), mp(b[:, None]))
    rounds_to(true_value(lambda a, b: jax.scipy.sparse.linalg.cg(lambda x: a @ x, b)[0], a, b), want, F64)

    def halved(a, b):
        return lax.custom_linear_solve(lambda x: a @ x, b, lambda mv, y: y / 2, lambda mv, y: y / 3)

    rounds_to(true_value(halved, a, b), want, F64)


def test_exponentials_of_matrices():
    a = random(3, 3) / 4
    true = true_value(jax.scipy.linalg.expm, a)
    np.testing.assert_allclose(true, np.array(mpmath.expm(mp(a)).tolist(), F64), rtol=1e-14)


def test_gradients_of_solves_and_determinants():
    a, b = definite(3), random(3)
    inverse = mpmath.inverse(mp(a))
    x = inverse * mp(b[:, None])
    rounds_to(true_value(jax.grad(lambda b: jnp.linalg.solve(a, b)[0]), b), inverse[0, :], F64)
    rounds_to(true_value(jax.grad(lambda a: jnp.linalg.solve(a, b)[0]), a), -inverse[0, :].T * x.T, F64)
    rounds_to(true_value(jax.grad(lambda a: jnp.linalg.slogdet(a)[1]), a), inverse.T, F64)


def test_batches_vmap_scan_and_empty_matrices_agree():
    a, b = np.stack([definite(3, seed=i) for i in range(2)]), random(2, 3)
    one = [true_value(jnp.linalg.solve, a[i], b[i]) for i in range(2)]
    np.testing.assert_array_equal(true_value(jax.vmap(jnp.linalg.solve), a, b), one)
    np.testing.assert_array_equal(true_value(lambda a, b: jnp.linalg.solve(a, b[..., None])[..., 0], a, b), one)
    np.testing.assert_array_equal(
        true_value(lambda a, b: lax.scan(lambda c, v: (c, jnp.linalg.solve(*v)), 0.0, (a, b))[1], a, b), one
    )
    for fn in (jnp.linalg.cholesky, jnp.linalg.inv, lax.linalg.lu, jnp.linalg.qr):
        each = [jax.tree.leaves(true_value(fn, m)) for m in a]
        for k, out in enumerate(jax.tree.leaves(true_value(fn, a))):
            np.testing.assert_array_equal(out, [e[k] for e in each])
        for out in jax.tree.leaves(true_value(fn, np.zeros((0, 3, 3)))):
            assert out.shape[0] == 0
    assert true_value(jnp.linalg.cholesky, np.zeros((0, 0))).shape == (0, 0)


def symmetric(n, dtype=F64, seed=0):
    a = random(n, n, dtype=dtype, seed=seed)
    return ((a + a.T) / 2).astype(dtype)


@DTYPES
@pytest.mark.parametrize("n", [1, 2, 4])
def test_eigenvalues_and_vectors_of_symmetric_matrices(dtype, n):
    a = symmetric(n, dtype)
    values, vectors = true_value(jnp.linalg.eigh, a)
    want, _ = mpmath.eigsy(mp(a))
    rounds_to(values, want, dtype)
    rounds_to(true_value(jnp.linalg.eigvalsh, a), want, dtype)
    np.testing.assert_allclose(vectors, jnp.linalg.eigh(a)[1], atol=1e-5 if dtype == F32 else 1e-13)
    wide_values, v = true_value(jnp.linalg.eigh, a, dtype=F64)
    np.testing.assert_allclose(v @ np.diag(wide_values) @ v.T, a, atol=1e-14)
    np.testing.assert_allclose(v.T @ v, np.eye(n), atol=1e-14)


def test_multiple_and_vanishing_eigenvalues():
    np.testing.assert_array_equal(true_value(jnp.linalg.eigvalsh, np.diag([2.0, 1.0, 2.0])), [1, 2, 2])
    np.testing.assert_array_equal(true_value(jnp.linalg.eigvalsh, np.ones((3, 3))), [0, 0, 3])
    assert set(why_undefined(lambda a: jnp.linalg.eigh(a)[1], np.eye(2)).ravel()) == {"undecided"}
    assert true_value(jnp.linalg.eigvalsh, np.zeros((0, 0))).shape == (0,)


@DTYPES
@pytest.mark.parametrize("shape", [(3, 3), (4, 2), (2, 4), (1, 1), (3, 1)])
def test_singular_values_and_vectors(dtype, shape):
    a = random(*shape, dtype=dtype)
    want = mpmath.svd_r(mp(a), compute_uv=False)
    rounds_to(true_value(lambda a: jnp.linalg.svd(a, compute_uv=False), a), want, dtype)
    got = jnp.linalg.svd(a, full_matrices=False)
    u, s, vt = true_value(lambda a: jnp.linalg.svd(a, full_matrices=False), a, dtype=F64)
    for g, t in zip(got, (u, s, vt), strict=True):
        np.testing.assert_allclose(g, t, atol=1e-5 if dtype == F32 else 1e-13)
    np.testing.assert_allclose(u @ np.diag(s) @ vt, a, atol=1e-14)


def test_what_is_made_of_singular_values():
    a = random(4, 3)
    pseudo = mpmath.inverse(mp(a).T * mp(a)) * mp(a).T
    np.testing.assert_allclose(true_value(jnp.linalg.pinv, a), np.array(pseudo.tolist(), F64), rtol=1e-15)
    b = random(4)
    least = true_value(lambda a, b: jnp.linalg.lstsq(a, b)[0], a, b)
    np.testing.assert_allclose(least, np.array((pseudo * mp(b[:, None])).tolist(), F64).ravel(), rtol=1e-15)
    assert true_value(jnp.linalg.matrix_rank, np.outer([1.0, 2, 3], [4.0, 5, 6])) == 1
    np.testing.assert_array_equal(true_value(lambda a: jnp.linalg.svd(a, compute_uv=False), np.ones((2, 3)))[1], 0)


def true_derivative(fn, x):
    """The derivative of a function of one number, where it has one."""
    jaxpr, _ = trace(fn, x)
    with flint.ctx.workprec(256):
        (sides,) = derivatives(lambda s: run(jaxpr, [s]), arb(float(x)), 1)
    assert sides.left is sides.right
    return float(flat(sides.left).mid())


def test_derivatives_are_those_of_the_decompositions():
    a, direction = symmetric(3), symmetric(3, seed=5)
    b, h = mp(a), mp(direction)
    inverse = mpmath.inverse(mp(definite(3)))
    _, vectors = mpmath.eigsy(b)
    slopes = [(vectors[:, i].T * h * vectors[:, i])[0] for i in range(3)]

    def slope(fn, at):
        return [true_derivative(lambda t, k=k: fn(at + t * direction)[k], F64(0.0)) for k in range(3)]

    np.testing.assert_allclose(slope(jnp.linalg.eigvalsh, a), [float(s) for s in slopes], rtol=1e-15)
    solved = slope(lambda m: jnp.linalg.solve(m, jnp.ones(3)), definite(3))
    want = -inverse * h * inverse * mpmath.ones(3, 1)
    np.testing.assert_allclose(solved, [float(v) for v in want], rtol=1e-15)
    singular = slope(lambda m: jnp.linalg.svd(m, compute_uv=False), a)
    order = sorted(range(3), key=lambda i: -abs(mpmath.eigsy(b)[0][i]))
    signed = [float(slopes[i] * mpmath.sign(mpmath.eigsy(b)[0][i])) for i in order]
    np.testing.assert_allclose(singular, signed, rtol=1e-15)
    logs = true_derivative(lambda t: jnp.linalg.slogdet(definite(3) + t * direction)[1], F64(0.0))
    np.testing.assert_allclose(logs, float(sum((inverse * h)[i, i] for i in range(3))), rtol=1e-15)
    root = true_derivative(lambda t: jnp.linalg.cholesky(definite(3) * (1 + t))[2, 1], F64(0.0))
    np.testing.assert_allclose(root, float(mpmath.cholesky(mp(definite(3)))[2, 1]) / 2, rtol=1e-15)
