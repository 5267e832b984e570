"""Cases of lost digits: cancellation and absorption."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jax import Array

from stability.cases._case import RELEASE, case


def _sigmoid_gradient_fixed(x: Array) -> Array:
    return jax.nn.sigmoid(x) * jax.nn.sigmoid(-x)


@case(
    "jax-ml/jax",
    40385,
    "jax.nn.sigmoid gradient returns zero for large positive float64 input",
    gradient=True,
    fixed=_sigmoid_gradient_fixed,
    dtype="float64",
    domain=(0.0, 700.0),
    at=37.42994775023705,
    kind="vanished",
    culprit=("sub", "cancellation", "jax.nn.sigmoid(x)"),
)
def sigmoid_gradient(x: Array) -> Array:
    """The derivative of `jax.nn.sigmoid` is σ(x)(1 - σ(x)), and 0 where σ(x) rounds to 1.

    σ(x) σ(-x), as in the pull request jax-ml/jax#40825.
    """
    return jax.nn.sigmoid(x)


def _tanh_gradient_fixed(x: Array) -> Array:
    e = jnp.exp(-2 * jnp.abs(x))
    return 4 * e / (1 + e) ** 2


@case(
    "jax-ml/jax",
    40388,
    "jax.nn.tanh gradient returns zero for saturated float32 input",
    gradient=True,
    fixed=_tanh_gradient_fixed,
    domain=(-40.0, 40.0),
    at=9.25,
    kind="vanished",
    culprit=(
        "one_minus_square" if RELEASE >= (0, 11, 2) else "sub",
        "amplification" if RELEASE >= (0, 11, 2) else "cancellation",
        "jnp.tanh(x)",
    ),
)
def tanh_gradient(x: Array) -> Array:
    """The derivative of `jnp.tanh` is 0 where tanh(x) rounds to 1.

    The thread's 4e/(1 + e)² with e = exp(-2|x|).
    """
    return jnp.tanh(x)


def _variance_of_squares_fixed(x: Array) -> Array:
    a = jnp.stack([x, jnp.full_like(x, 1000), jnp.full_like(x, 1001)])
    return jnp.mean((a - jnp.mean(a)) ** 2)


@case(
    "google/objax",
    182,
    "Improve BatchNorm numerical stability",
    fixed=_variance_of_squares_fixed,
    domain=(1000.0, 1001.0),
    at=1000.5,
    kind="inaccurate",
    culprit=("sub", "cancellation", "mean_of_squares - square_of_mean"),
)
def variance_of_squares(x: Array) -> Array:
    """The variance as E[x²] - E[x]² of values near 1000 loses its digits.

    E[(x - E[x])²].
    """
    a = jnp.stack([x, jnp.full_like(x, 1000), jnp.full_like(x, 1001)])
    mean_of_squares = jnp.mean(a * a)
    square_of_mean = jnp.mean(a) ** 2
    return mean_of_squares - square_of_mean


def _sinc_gradient_fixed(x: Array) -> Array:
    u = jnp.pi * x
    terms = [(-1) ** i / ((2 * i + 1) * math.factorial(2 * i - 1)) for i in range(1, 8)]
    series = u * jnp.polyval(jnp.array(terms[::-1], x.dtype), u * u)
    far = jnp.where(jnp.abs(u) < 1, 1, u)
    return jnp.pi * jnp.where(jnp.abs(u) < 1, series, (jnp.cos(far) - jnp.sin(far) / far) / far)


@case(
    "jax-ml/jax",
    34139,
    "`jnp.sinc`'s gradient has large errors",
    gradient=True,
    fixed=_sinc_gradient_fixed,
    truth="naive",
    domain=(1e-5, 1.0),
    at=1e-4,
    kind="inaccurate",
    culprit=("add_any", "cancellation", "jnp.sin(u) / u"),
)
def sinc_gradient(x: Array) -> Array:
    """The derivative of `jnp.sinc` near 0 is a difference of two numbers near 1/x (here as jax had it before
    0.11.2, written out).

    The Maclaurin series near 0, and not at 0 alone.
    """
    u = jnp.pi * x
    return jnp.where(x == 0, 1.0, jnp.sin(u) / u)


def _elu(x: Array) -> Array:
    below = jnp.expm1(x)
    return jnp.where(x > 0, x, below)


@case(
    "jax-ml/jax",
    1207,
    "Use expm1 in elu",
    fixed=_elu,
    domain=(-1.0, -1e-30),
    at=-1e-8,
    kind="vanished",
    culprit=("sub", "cancellation", "e - 1"),
)
def elu_by_exp(x: Array) -> Array:
    """`exp(x) - 1` is 0 for a small negative x.

    `expm1`.
    """
    e = jnp.exp(x)
    below = e - 1
    return jnp.where(x > 0, x, below)


def _log1mexp_fixed(x: Array) -> Array:
    return jnp.where(x > -math.log(2), jnp.log(-jnp.expm1(x)), jnp.log1p(-jnp.exp(x)))


@case(
    "pyro-ppl/numpyro",
    1368,
    "log1m_exp and log_diff_exp functions",
    fixed=_log1mexp_fixed,
    domain=(-20.0, -1e-30),
    at=-1e-9,
    kind="inf",
    culprit=("sub", "cancellation", "1 - e"),
)
def log1mexp(x: Array) -> Array:
    """`log(1 - exp(x))` is -inf for a small negative x.

    `log(-expm1(x))` above -log 2 and `log1p(-exp(x))` below, as in pyro-ppl/numpyro#1960.
    """
    e = jnp.exp(x)
    rest = 1 - e
    return jnp.log(rest)


def _log_det_tanh_fixed(x: Array) -> Array:
    return 2 * (math.log(2) - x - jax.nn.softplus(-2 * x))


@case(
    "tensorflow/probability",
    318,
    "Tanh bijector inverse log det jacobian numerically unstable",
    fixed=_log_det_tanh_fixed,
    truth="naive",
    domain=(1.0, 40.0),
    at=12.0,
    kind="inf",
    culprit=("sub", "cancellation", "1 - y * y"),
)
def log_det_tanh(x: Array) -> Array:
    """`log(1 - tanh(x)²)` is -inf where tanh(x) rounds to 1.

    `2 (log 2 - x - softplus(-2x))`.
    """
    y = jnp.tanh(x)
    slope = 1 - y * y
    return jnp.log(slope)


@case(
    "jax-ml/jax",
    1200,
    "Use log1p when computing log(1 + x) or log(1 - x)",
    fixed=jnp.log1p,
    domain=(1e-30, 1.0),
    at=1e-9,
    kind="vanished",
    culprit=("add", "absorption", "1 + x"),
)
def log_one_plus(x: Array) -> Array:
    """`log(1 + x)` is 0 where x is absorbed by 1.

    `log1p`.
    """
    total = 1 + x
    return jnp.log(total)
