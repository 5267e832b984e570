"""Cases of what is not chosen and yet spoils the gradient: branches, masks, and limits where a factor is 0."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jax import Array

from stability.cases._case import RELEASE, case

_MASK = jnp.array([True, False])


def _where_sqrt_fixed(x: Array) -> Array:
    inside = x < 1
    root = jnp.sqrt(jnp.where(inside, 1, x))
    return jnp.where(inside, x, root)


@case(
    "jax-ml/jax",
    5798,
    "nan when using np.where and grad",
    gradient=True,
    fixed=jax.grad(_where_sqrt_fixed),
    domain=(-4.0, 4.0),
    at=0.0,
    kind="nan",
    culprit=("mul", "zero_times_infinity", "jnp.sqrt(x)"),
)
def where_sqrt(x: Array) -> Array:
    """The gradient of `where(x < 1, x, sqrt(x))` is NaN at 0, where the branch taken is `x`.

    The double where: `sqrt` gets an argument that is harmless where its branch is not taken.
    """
    root = jnp.sqrt(x)
    return jnp.where(x < 1, x, root)


def _norm_squared_fixed(x: Array) -> Array:
    a = jnp.stack([x, 2 * x])
    return jnp.sum(a**2)


@case(
    "jax-ml/jax",
    4177,
    "Gradient of squared 2-norm returns NaN when input is vector of zeros",
    gradient=True,
    fixed=jax.grad(_norm_squared_fixed),
    domain=(-1.0, 1.0),
    at=0.0,
    kind="nan",
    culprit=("mul", "zero_times_infinity", "jnp.linalg.norm(a)"),
)
def norm_squared(x: Array) -> Array:
    """The gradient of `norm(a)**2` is NaN at 0, and wherever the squares underflow.

    The sum of squares, without the root.
    """
    a = jnp.stack([x, 2 * x])
    length = jnp.linalg.norm(a)
    return length**2


def _logsumexp_all_masked_fixed(x: Array) -> Array:
    a = jnp.stack([jnp.full_like(x, -jnp.inf), -jnp.inf + x])
    greatest = jnp.max(a)
    some = greatest > -jnp.inf
    safe = jnp.where(some, a, 0)
    return jnp.where(some, jax.nn.logsumexp(safe), -jnp.inf)


@case(
    "jax-ml/jax",
    6811,
    "Should gradients of logsumexp([-inf, -inf]) be 0s instead NaNs?",
    gradient=True,
    fixed=jax.grad(_logsumexp_all_masked_fixed),
    truth="zero",
    dtype="bfloat16",
    domain=(-100.0, 100.0),
    at=1.0,
    kind="nan",
    culprit=("mul", "zero_times_infinity", "jax.nn.logsumexp(a)"),
)
def logsumexp_all_masked(x: Array) -> Array:
    """The gradient of `logsumexp` through entries that are all -inf is NaN at every x.

    A `where` inside, so that no exponential of the masked entries is divided by their sum, 0.
    """
    a = jnp.stack([jnp.full_like(x, -jnp.inf), -jnp.inf + x])
    return jax.nn.logsumexp(a)


def _logsumexp_one_masked_fixed(x: Array) -> Array:
    a = jnp.stack([jnp.zeros_like(x), x])
    e = jnp.exp(jnp.where(_MASK, a, -jnp.inf))
    return jnp.log(jnp.sum(e))


@case(
    "jax-ml/jax",
    23842,
    "grad of logsumexp produces NaN",
    gradient=True,
    fixed=jax.grad(_logsumexp_one_masked_fixed),
    truth="zero",
    domain=(-200.0, 200.0),
    at=100.0,
    kind="nan",
    culprit=("exp", "overflow", "jnp.exp(a)"),
)
def logsumexp_one_masked(x: Array) -> Array:
    """The gradient by an entry that `where` masks is NaN once the exponential of the entry overflows.

    The thread's: masks the argument of `exp`, not its result.
    """
    a = jnp.stack([jnp.zeros_like(x), x])
    e = jnp.exp(a)
    return jnp.log(jnp.sum(jnp.where(_MASK, e, 0)))


def _arccos_clipped_fixed(x: Array) -> Array:
    most = 1 - jnp.finfo(x.dtype).eps
    return jnp.arccos(jnp.clip(x, -most, most))


@case(
    "jax-ml/jax",
    23649,
    "Reverse differentiable arccos",
    gradient=True,
    fixed=jax.grad(_arccos_clipped_fixed),
    truth="zero",
    domain=(1 + 2.0**-23, 20.0),
    at=10.0,
    kind="nan",
    culprit=("mul", "zero_times_infinity", "jnp.clip(x, -1, 1)"),
)
def arccos_clipped(x: Array) -> Array:
    """The gradient of `arccos(clip(x, -1, 1))` is NaN outside [-1, 1].

    The thread's: clips to one epsilon inside.
    """
    inside = jnp.clip(x, -1, 1)
    return jnp.arccos(inside)


def _elu_gradient_fixed(x: Array) -> Array:
    below = jnp.expm1(jnp.where(x > 0, 0, x))
    return jnp.where(x > 0, x, below)


@case(
    "jax-ml/jax",
    1538,
    "Fix NaNs in grad(jax.nn.elu) for large positive inputs.",
    gradient=True,
    fixed=jax.grad(_elu_gradient_fixed),
    domain=(-20.0, 200.0),
    at=100.0,
    kind="nan",
    culprit=("exp" if RELEASE >= (0, 12) else "expm1", "overflow", "jnp.expm1(x)"),
)
def elu_gradient(x: Array) -> Array:
    """The gradient of `where(x > 0, x, expm1(x))` is NaN where expm1(x) overflows, though x is taken there.

    The double where.
    """
    below = jnp.expm1(x)
    return jnp.where(x > 0, x, below)


def _cross_entropy_infinite_logit_fixed(x: Array) -> Array:
    finite = jnp.isfinite(x)
    safe = jnp.where(finite, x, 0)
    loss = jnp.maximum(safe, 0) - safe + jnp.log1p(jnp.exp(-jnp.abs(safe)))
    return jnp.where(finite, loss, jnp.where(x > 0, 0, jnp.inf))


@case(
    "pyro-ppl/numpyro",
    2240,
    "`binary_cross_entropy_with_logits` doesn't handle boundary values",
    fixed=_cross_entropy_infinite_logit_fixed,
    domain=(0.0, math.inf),
    at=math.inf,
    kind="nan",
    culprit=("sub", "infinity_minus_infinity", "jnp.maximum(x, 0) - x"),
)
def cross_entropy_infinite_logit(x: Array) -> Array:
    """The loss from logits is NaN for label 1 and logit inf, where it is 0.

    The double where, as in the pull request pyro-ppl/numpyro#2241.
    """
    linear = jnp.maximum(x, 0) - x
    return linear + jnp.log1p(jnp.exp(-jnp.abs(x)))


def _cross_entropy_masked_class_fixed(x: Array) -> Array:
    labels = jnp.array([0, 1], x.dtype)
    log_probs = jax.nn.log_softmax(jnp.stack([x, jnp.zeros_like(x)]))
    return -jnp.sum(jnp.where(labels == 0, 0, labels * log_probs))


@case(
    "google-deepmind/optax",
    896,
    "softmax_cross_entropy handles -inf logits incorrectly",
    fixed=_cross_entropy_masked_class_fixed,
    domain=(-math.inf, 0.0),
    at=-math.inf,
    kind="nan",
    culprit=("mul", "zero_times_infinity", "labels * log_probs"),
)
def cross_entropy_masked_class(x: Array) -> Array:
    """The loss is NaN where a logit is -inf and its label 0.

    A `where` for label 0, as in the pull request google-deepmind/optax#898.
    """
    labels = jnp.array([0, 1], x.dtype)
    log_probs = jax.nn.log_softmax(jnp.stack([x, jnp.zeros_like(x)]))
    terms = labels * log_probs
    return -jnp.sum(terms)
