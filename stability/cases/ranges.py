"""Cases of intermediate results that overflow or underflow."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jax import Array
from jax.scipy.special import erfc, log_ndtr

from stability.cases._case import case


def _sigmoid(x: Array) -> Array:
    return jax.nn.sigmoid(x)


@case(
    "jax-ml/jax",
    7205,
    "Autograd always nan with gradient when function is ok",
    gradient=True,
    fixed=jax.grad(_sigmoid),
    domain=(-200.0, 0.0),
    at=-100.0,
    kind="nan",
    culprit=("exp", "overflow", "jnp.exp(-x)"),
)
def sigmoid_written_out(x: Array) -> Array:
    """The gradient of 1/(1 + exp(-x)) is NaN where exp(-x) overflows.

    `jax.nn.sigmoid`, whose derivative takes no exponential that can overflow.
    """
    e = jnp.exp(-x)
    return 1 / (1 + e)


def _log_cosh_fixed(x: Array) -> Array:
    return jnp.logaddexp(x, -x) - math.log(2)


@case(
    "google-deepmind/optax",
    103,
    "Implement log(cosh()) loss function",
    fixed=_log_cosh_fixed,
    truth="naive",
    domain=(-1000.0, 1000.0),
    at=100.0,
    kind="inf",
    culprit=("cosh", "overflow", "jnp.cosh(x)"),
)
def log_cosh(x: Array) -> Array:
    """`log(cosh(x))` overflows.

    `logaddexp(x, -x) - log 2`, as in the pull request google-deepmind/optax#111.
    """
    c = jnp.cosh(x)
    return jnp.log(c)


def _softplus_inverse_fixed(x: Array) -> Array:
    return x + jnp.log(-jnp.expm1(-x))


@case(
    "pyro-ppl/numpyro",
    919,
    "adding Softplus transform",
    fixed=_softplus_inverse_fixed,
    domain=(1.0, 1000.0),
    at=100.0,
    kind="inf",
    culprit=("expm1", "overflow", "jnp.expm1(x)"),
)
def softplus_inverse(x: Array) -> Array:
    """The inverse of softplus as `log(expm1(x))` overflows.

    `x + log(-expm1(-x))`, from the review of the pull request.
    """
    grown = jnp.expm1(x)
    return jnp.log(grown)


@case(
    "pymc-devs/pytensor",
    2264,
    "BUG: NaN gradient (VJP) from pt.log(pt.sigmoid(x)) for large x in JAX backend",
    gradient=True,
    fixed=jax.grad(jax.nn.softplus),
    domain=(-20.0, 1000.0),
    at=820.0,
    kind="nan",
    culprit=("exp", "overflow", "jnp.exp(x)"),
)
def softplus_by_pieces(x: Array) -> Array:
    """The gradient of log1p(exp(x)), with x itself taken above 33.3, is NaN where exp(x) overflows.

    `jax.nn.softplus`, which takes no exponential of a positive number.
    """
    e = jnp.exp(x)
    middle = jnp.log1p(e)
    return jnp.where(x > 33.3, x, middle)


@case(
    "jax-ml/jax",
    454,
    "Support for scipy.stats.norm.logcdf",
    fixed=log_ndtr,
    truth="naive",
    domain=(-40.0, 0.0),
    at=-20.0,
    kind="inf",
    culprit=("erfc", "underflow", "erfc(-x * math.sqrt(0.5))"),
)
def log_normal_cdf(x: Array) -> Array:
    """The logarithm of the normal distribution function is -inf where erfc underflows.

    `log_ndtr`, an asymptotic series in the tail.
    """
    tail = erfc(-x * math.sqrt(0.5))
    return jnp.log(0.5 * tail)
