"""Complex numbers and Fourier transforms over the reals, against mpmath."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from jax import lax

from stability.real import true_value, why_undefined

Z = np.array([0.3 + 0.7j, -1.25 + 2.5j, -0.5 - 3.0j, 2.0 - 1e-8j, 1e-3 + 5.0j])


@pytest.fixture(autouse=True)
def precise():
    with mpmath.workdps(60), jax.enable_x64(True):
        yield


def parts_are(true, want, dtype=np.complex128):
    """The parts of each element are those of the mpmath numbers, correctly rounded."""
    kind = np.zeros((), dtype).real.dtype.type
    want = [mpmath.mpmathify(w) for w in want]
    assert true.dtype == dtype
    np.testing.assert_array_equal(true.real.ravel(), [kind(float(w.real)) for w in want])
    np.testing.assert_array_equal(true.imag.ravel(), [kind(float(w.imag)) for w in want])


FUNCTIONS = {
    "exp": (jnp.exp, mpmath.exp),
    "log": (jnp.log, mpmath.log),
    "sqrt": (jnp.sqrt, mpmath.sqrt),
    "sin": (jnp.sin, mpmath.sin),
    "cos": (jnp.cos, mpmath.cos),
    "tan": (jnp.tan, mpmath.tan),
    "sinh": (jnp.sinh, mpmath.sinh),
    "cosh": (jnp.cosh, mpmath.cosh),
    "tanh": (jnp.tanh, mpmath.tanh),
    "sign": (jnp.sign, lambda z: z / abs(z)),
    "square": (jnp.square, lambda z: z * z),
    "cube": (lambda z: z**3, lambda z: z**3),
    "reciprocal": (lambda z: z**-2, lambda z: z**-2),
    "power": (lambda z: z ** (0.5 + 0.25j), lambda z: z ** mpmath.mpc(0.5, 0.25)),
    "negative": (lambda z: -z, lambda z: -z),
    "conjugate": (jnp.conj, mpmath.conj),
    "expm1": (jnp.expm1, lambda z: mpmath.exp(z) - 1),
    "log1p": (jnp.log1p, lambda z: mpmath.log(1 + z)),
    "sum": (lambda z: z + 2.5 - 1j * z, lambda z: z + mpmath.mpf(2.5) - mpmath.mpc(0, 1) * z),
    "quotient": (lambda z: (1 + 2j) / z, lambda z: mpmath.mpc(1, 2) / z),
    "rsqrt": (lax.rsqrt, lambda z: 1 / mpmath.sqrt(z)),
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
def test_functions_of_complex_numbers(name, dtype):
    fn, want = FUNCTIONS[name]
    z = Z.astype(dtype)
    parts_are(true_value(fn, z), [want(mpmath.mpc(complex(v))) for v in z], dtype)
    parts_are(np.asarray(true_value(fn, z[0])), [want(mpmath.mpc(complex(z[0])))], dtype)


@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
def test_parts_and_sizes_are_real(dtype):
    z = Z.astype(dtype)
    kind = z.real.dtype.type
    np.testing.assert_array_equal(true_value(jnp.abs, z), [kind(float(abs(mpmath.mpc(complex(v))))) for v in z])
    np.testing.assert_array_equal(
        true_value(jnp.angle, z), [kind(float(mpmath.arg(mpmath.mpc(complex(v))))) for v in z]
    )
    np.testing.assert_array_equal(true_value(jnp.real, z), z.real)
    np.testing.assert_array_equal(true_value(jnp.imag, z), z.imag)
    np.testing.assert_array_equal(true_value(lambda a, b: lax.complex(a, b), z.real, z.imag), z)
    np.testing.assert_array_equal(
        true_value(lambda a, b: a == b, z, z.real + 1j * z.imag[::-1]), z == z.real + 1j * z.imag[::-1]
    )
    assert true_value(lambda x: jnp.abs(jnp.exp(1j * x)), np.float64(1.5)) == 1.0


def test_real_numbers_and_zero_among_complex_ones():
    x = np.array([2.0, 0.0, -3.0])
    np.testing.assert_array_equal(true_value(lambda x: x.astype(complex) * (1 + 2j), x), x * (1 + 2j))
    np.testing.assert_array_equal(
        true_value(lambda x: jnp.sqrt(x.astype(complex))[:2], x), np.sqrt(x[:2].astype(complex))
    )
    assert why_undefined(lambda x: jnp.log((x - 0 * x).astype(complex) * (1 + 0j)), x)[2] == "undecided"
    assert true_value(lambda x: jnp.log(x.astype(complex)), x)[2] == complex(np.log(3.0), np.pi)
    assert why_undefined(lambda z: 1 / z, np.complex128(0)) == "pole"
    assert why_undefined(lambda z: z / z, np.complex128(0)) == "zero_over_zero"


def test_choices_moves_sums_and_products_of_complex_numbers():
    z, w = Z, Z[::-1] * 2
    exact = [mpmath.mpc(complex(v)) for v in z], [mpmath.mpc(complex(v)) for v in w]
    parts_are(true_value(lambda z, w: jnp.where(z.real > 0, z, w), z, w), np.where(z.real > 0, z, w))
    parts_are(
        true_value(lambda z: jnp.roll(jnp.concatenate([z, z[:2]])[::2], 1), z),
        np.roll(np.concatenate([z, z[:2]])[::2], 1),
    )
    parts_are(np.asarray(true_value(jnp.sum, z)), [sum(exact[0])])
    parts_are(np.asarray(true_value(jnp.dot, z, w)), [sum(a * b for a, b in zip(*exact, strict=True))])
    parts_are(np.asarray(true_value(jnp.vdot, z, w)), [sum(mpmath.conj(a) * b for a, b in zip(*exact, strict=True))])
    parts_are(true_value(jax.vmap(jnp.exp), z), [mpmath.exp(a) for a in exact[0]])
    parts_are(
        true_value(lambda z: lax.scan(lambda c, v: (c, jnp.exp(v)), 0.0, z)[1], z), [mpmath.exp(a) for a in exact[0]]
    )
    assert true_value(jnp.exp, z[:0]).shape == (0,)


def dft(x, sign):
    n = len(x)
    root = [mpmath.expjpi(mpmath.mpf(2 * sign * k) / n) for k in range(n)]
    return [sum((mpmath.mpmathify(v) * root[j * k % n] for j, v in enumerate(x)), mpmath.mpc(0)) for k in range(n)]


def near(true, want):
    """To the last bit, up to what mpmath itself rounds where a part is 0."""
    want = np.array([complex(w) for w in want])
    np.testing.assert_allclose(true.ravel(), want, rtol=1e-15, atol=1e-50)


@pytest.mark.parametrize("n", [1, 2, 5, 6])
def test_fourier_transforms(n):
    rng = np.random.default_rng(n)
    z, x = rng.normal(size=n) + 1j * rng.normal(size=n), rng.normal(size=n)
    near(true_value(jnp.fft.fft, z), dft(z.tolist(), -1))
    near(true_value(jnp.fft.ifft, z), [v / n for v in dft(z.tolist(), 1)])
    near(true_value(jnp.fft.rfft, x), dft(x.tolist(), -1)[: n // 2 + 1])
    half = np.fft.rfft(x) + (0.5j if n > 1 else 0)
    true = true_value(lambda h: jnp.fft.irfft(h, n), half)
    np.testing.assert_allclose(true, np.fft.irfft(half, n), atol=1e-15)
    np.testing.assert_allclose(true_value(lambda x: jnp.fft.irfft(jnp.fft.rfft(x), n), x), x, atol=0)


def test_fourier_transforms_of_several_axes_are_those_of_numpy():
    rng = np.random.default_rng(0)
    z, x = rng.normal(size=(2, 3, 4)) + 1j * rng.normal(size=(2, 3, 4)), rng.normal(size=(2, 3, 4))
    for fn, want, at in (
        (jnp.fft.fftn, np.fft.fftn, z),
        (jnp.fft.ifft2, np.fft.ifft2, z),
        (jnp.fft.rfft2, np.fft.rfft2, x),
        (lambda z: jnp.fft.irfft2(z, (3, 5)), lambda z: np.fft.irfft2(z, (3, 5)), z),
    ):
        np.testing.assert_allclose(true_value(fn, at), want(at), rtol=1e-13, atol=1e-14)
    assert true_value(jnp.fft.fft, np.zeros((0, 3), complex)).shape == (0, 3)


def test_the_gradient_of_a_spectrum():
    x = np.random.default_rng(1).normal(size=5).astype(np.float32).astype(np.float64)

    def power(x):
        return jnp.sum(jnp.abs(jnp.fft.fft(x)) ** 2)

    np.testing.assert_allclose(true_value(jax.grad(power), x), 10 * x, rtol=1e-15)


def test_complex_systems_are_solved():
    rng = np.random.default_rng(2)
    a, b = rng.normal(size=(3, 3)) + 1j * rng.normal(size=(3, 3)), rng.normal(size=3) + 1j * rng.normal(size=3)
    parts_are(true_value(jnp.linalg.solve, a, b), mpmath.lu_solve(mpmath.matrix(a.tolist()), mpmath.matrix(b.tolist())))
