"""The cases: each the function as it was reported, the public fix of it, and what is expected of a diagnosis.

Every function is of one float scalar. A citation is of a thread in a public tracker; the code is reduced to the
operation that the thread is about, one operation a line where that tells two of them apart.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax import Array
from jax.scipy.special import erfc, log_ndtr

from stability.environment import numbers

Scalar = Callable[[Array], Array]
_JAX = numbers(jax.__version__)
"""What JAX's own derivatives are made of depends on the release, and with it the culprit."""


@dataclass(frozen=True)
class Case:
    """A reported failure.

    **Attributes:** `name`; `repository`, `number` and `title` of the thread as the tracker has them; `report` what is
    reported and `remedy` what the fix changes, in a sentence each; `naive` and `fixed` the two functions of a scalar;
    `truth` the function whose value in real arithmetic is the truth of both (`fixed` where it is `None`); `dtype` and
    `domain` what is swept; `at` a point of the reported kind `kind` (of `stability.measure`); `primitive`, `cause` and
    `line` the culprit expected of `diagnose` there: its primitive, the kind of its error, a part of its source line.
    """

    name: str
    repository: str
    number: int
    title: str
    report: str
    remedy: str
    naive: Scalar
    fixed: Scalar
    dtype: str
    domain: tuple[float, float]
    at: float
    kind: str
    primitive: str
    cause: str
    line: str
    truth: Scalar | None = None

    @property
    def url(self) -> str:
        return f"https://github.com/{self.repository}/issues/{self.number}"


def _where_sqrt(x: Array) -> Array:
    root = jnp.sqrt(x)
    return jnp.where(x < 1, x, root)


def _where_sqrt_fixed(x: Array) -> Array:
    inside = x < 1
    root = jnp.sqrt(jnp.where(inside, 1, x))
    return jnp.where(inside, x, root)


def _norm_squared(x: Array) -> Array:
    a = jnp.stack([x, 2 * x])
    length = jnp.linalg.norm(a)
    return length**2


def _norm_squared_fixed(x: Array) -> Array:
    a = jnp.stack([x, 2 * x])
    return jnp.sum(a**2)


def _sigmoid(x: Array) -> Array:
    return jax.nn.sigmoid(x)


def _sigmoid_slope(x: Array) -> Array:
    return jax.nn.sigmoid(x) * jax.nn.sigmoid(-x)


def _tanh(x: Array) -> Array:
    return jnp.tanh(x)


def _tanh_slope(x: Array) -> Array:
    e = jnp.exp(-2 * jnp.abs(x))
    return 4 * e / (1 + e) ** 2


def _all_masked(x: Array) -> Array:
    a = jnp.stack([jnp.full_like(x, -jnp.inf), -jnp.inf + x])
    return jax.nn.logsumexp(a)


def _all_masked_fixed(x: Array) -> Array:
    a = jnp.stack([jnp.full_like(x, -jnp.inf), -jnp.inf + x])
    greatest = jnp.max(a)
    some = greatest > -jnp.inf
    safe = jnp.where(some, a, 0)
    return jnp.where(some, jax.nn.logsumexp(safe), -jnp.inf)


def _zero(x: Array) -> Array:
    return jnp.zeros_like(x)


_MASK = jnp.array([True, False])


def _one_masked(x: Array) -> Array:
    a = jnp.stack([jnp.zeros_like(x), x])
    e = jnp.exp(a)
    return jnp.log(jnp.sum(jnp.where(_MASK, e, 0)))


def _one_masked_fixed(x: Array) -> Array:
    a = jnp.stack([jnp.zeros_like(x), x])
    e = jnp.exp(jnp.where(_MASK, a, -jnp.inf))
    return jnp.log(jnp.sum(e))


def _clipped_arccos(x: Array) -> Array:
    inside = jnp.clip(x, -1, 1)
    return jnp.arccos(inside)


def _clipped_arccos_fixed(x: Array) -> Array:
    most = 1 - jnp.finfo(x.dtype).eps
    return jnp.arccos(jnp.clip(x, -most, most))


def _variance(x: Array) -> Array:
    a = jnp.stack([x, jnp.full_like(x, 1000), jnp.full_like(x, 1001)])
    mean_of_squares = jnp.mean(a * a)
    square_of_mean = jnp.mean(a) ** 2
    return mean_of_squares - square_of_mean


def _variance_fixed(x: Array) -> Array:
    a = jnp.stack([x, jnp.full_like(x, 1000), jnp.full_like(x, 1001)])
    return jnp.mean((a - jnp.mean(a)) ** 2)


def _logistic(x: Array) -> Array:
    e = jnp.exp(-x)
    return 1 / (1 + e)


def _sinc(x: Array) -> Array:
    u = jnp.pi * x
    return jnp.where(x == 0, 1.0, jnp.sin(u) / u)


def _sinc_slope_fixed(x: Array) -> Array:
    u = jnp.pi * x
    terms = [(-1) ** i / ((2 * i + 1) * math.factorial(2 * i - 1)) for i in range(1, 8)]
    series = u * jnp.polyval(jnp.array(terms[::-1], x.dtype), u * u)
    far = jnp.where(jnp.abs(u) < 1, 1, u)
    return jnp.pi * jnp.where(jnp.abs(u) < 1, series, (jnp.cos(far) - jnp.sin(far) / far) / far)


def _elu(x: Array) -> Array:
    below = jnp.expm1(x)
    return jnp.where(x > 0, x, below)


def _elu_fixed(x: Array) -> Array:
    below = jnp.expm1(jnp.where(x > 0, 0, x))
    return jnp.where(x > 0, x, below)


def _elu_by_exp(x: Array) -> Array:
    e = jnp.exp(x)
    below = e - 1
    return jnp.where(x > 0, x, below)


def _log1mexp(x: Array) -> Array:
    e = jnp.exp(x)
    rest = 1 - e
    return jnp.log(rest)


def _log1mexp_fixed(x: Array) -> Array:
    return jnp.where(x > -math.log(2), jnp.log(-jnp.expm1(x)), jnp.log1p(-jnp.exp(x)))


def _log_det_tanh(x: Array) -> Array:
    y = jnp.tanh(x)
    slope = 1 - y * y
    return jnp.log(slope)


def _log_det_tanh_fixed(x: Array) -> Array:
    return 2 * (math.log(2) - x - jax.nn.softplus(-2 * x))


def _binary_cross_entropy(x: Array) -> Array:
    linear = jnp.maximum(x, 0) - x
    return linear + jnp.log1p(jnp.exp(-jnp.abs(x)))


def _binary_cross_entropy_fixed(x: Array) -> Array:
    finite = jnp.isfinite(x)
    safe = jnp.where(finite, x, 0)
    loss = jnp.maximum(safe, 0) - safe + jnp.log1p(jnp.exp(-jnp.abs(safe)))
    return jnp.where(finite, loss, jnp.where(x > 0, 0, jnp.inf))


def _softmax_cross_entropy(x: Array) -> Array:
    labels = jnp.array([0, 1], x.dtype)
    log_probs = jax.nn.log_softmax(jnp.stack([x, jnp.zeros_like(x)]))
    terms = labels * log_probs
    return -jnp.sum(terms)


def _softmax_cross_entropy_fixed(x: Array) -> Array:
    labels = jnp.array([0, 1], x.dtype)
    log_probs = jax.nn.log_softmax(jnp.stack([x, jnp.zeros_like(x)]))
    return -jnp.sum(jnp.where(labels == 0, 0, labels * log_probs))


def _log_cosh(x: Array) -> Array:
    c = jnp.cosh(x)
    return jnp.log(c)


def _log_cosh_fixed(x: Array) -> Array:
    return jnp.logaddexp(x, -x) - math.log(2)


def _log_one_plus(x: Array) -> Array:
    total = 1 + x
    return jnp.log(total)


def _softplus_inverse(x: Array) -> Array:
    grown = jnp.expm1(x)
    return jnp.log(grown)


def _softplus_inverse_fixed(x: Array) -> Array:
    return x + jnp.log(-jnp.expm1(-x))


def _softplus_by_pieces(x: Array) -> Array:
    e = jnp.exp(x)
    middle = jnp.log1p(e)
    return jnp.where(x > 33.3, x, middle)


def _log_normal_cdf(x: Array) -> Array:
    tail = erfc(-x * math.sqrt(0.5))
    return jnp.log(0.5 * tail)


CASES: tuple[Case, ...] = (
    Case(
        name="where_sqrt",
        repository="jax-ml/jax",
        number=5798,
        title="nan when using np.where and grad",
        report="The gradient of `where(x < 1, x, sqrt(x))` is NaN at 0, where the branch taken is `x`.",
        remedy="The double where: `sqrt` gets an argument that is harmless where its branch is not taken.",
        naive=jax.grad(_where_sqrt),
        fixed=jax.grad(_where_sqrt_fixed),
        dtype="float32",
        domain=(-4.0, 4.0),
        at=0.0,
        kind="nan",
        primitive="mul",
        cause="zero_times_infinity",
        line="jnp.sqrt(x)",
    ),
    Case(
        name="norm_squared",
        repository="jax-ml/jax",
        number=4177,
        title="Gradient of squared 2-norm returns NaN when input is vector of zeros",
        report="The gradient of `norm(a)**2` is NaN at 0, and wherever the squares underflow.",
        remedy="The sum of squares, without the root.",
        naive=jax.grad(_norm_squared),
        fixed=jax.grad(_norm_squared_fixed),
        dtype="float32",
        domain=(-1.0, 1.0),
        at=0.0,
        kind="nan",
        primitive="mul",
        cause="zero_times_infinity",
        line="jnp.linalg.norm(a)",
    ),
    Case(
        name="sigmoid_gradient",
        repository="jax-ml/jax",
        number=40385,
        title="jax.nn.sigmoid gradient returns zero for large positive float64 input",
        report="The derivative of `jax.nn.sigmoid` is σ(x)(1 - σ(x)), and 0 where σ(x) rounds to 1.",
        remedy="σ(x) σ(-x), as in the pull request jax-ml/jax#40825.",
        naive=jax.grad(_sigmoid),
        fixed=_sigmoid_slope,
        dtype="float64",
        domain=(0.0, 700.0),
        at=37.42994775023705,
        kind="vanished",
        primitive="sub",
        cause="cancellation",
        line="jax.nn.sigmoid(x)",
    ),
    Case(
        name="tanh_gradient",
        repository="jax-ml/jax",
        number=40388,
        title="jax.nn.tanh gradient returns zero for saturated float32 input",
        report="The derivative of `jnp.tanh` is 0 where tanh(x) rounds to 1.",
        remedy="The thread's 4e/(1 + e)² with e = exp(-2|x|).",
        naive=jax.grad(_tanh),
        fixed=_tanh_slope,
        dtype="float32",
        domain=(-40.0, 40.0),
        at=9.25,
        kind="vanished",
        primitive="one_minus_square" if _JAX >= (0, 11, 2) else "sub",
        cause="amplification" if _JAX >= (0, 11, 2) else "cancellation",
        line="jnp.tanh(x)",
    ),
    Case(
        name="logsumexp_all_masked",
        repository="jax-ml/jax",
        number=6811,
        title="Should gradients of logsumexp([-inf, -inf]) be 0s instead NaNs?",
        report="The gradient of `logsumexp` through entries that are all -inf is NaN at every x.",
        remedy="A `where` inside, so that no exponential of the masked entries is divided by their sum, 0.",
        naive=jax.grad(_all_masked),
        fixed=jax.grad(_all_masked_fixed),
        truth=_zero,
        dtype="bfloat16",
        domain=(-100.0, 100.0),
        at=1.0,
        kind="nan",
        primitive="mul",
        cause="zero_times_infinity",
        line="jax.nn.logsumexp(a)",
    ),
    Case(
        name="logsumexp_one_masked",
        repository="jax-ml/jax",
        number=23842,
        title="grad of logsumexp produces NaN",
        report="The gradient by an entry that `where` masks is NaN once the exponential of the entry overflows.",
        remedy="The thread's: masks the argument of `exp`, not its result.",
        naive=jax.grad(_one_masked),
        fixed=jax.grad(_one_masked_fixed),
        truth=_zero,
        dtype="float32",
        domain=(-200.0, 200.0),
        at=100.0,
        kind="nan",
        primitive="exp",
        cause="overflow",
        line="jnp.exp(a)",
    ),
    Case(
        name="arccos_clipped",
        repository="jax-ml/jax",
        number=23649,
        title="Reverse differentiable arccos",
        report="The gradient of `arccos(clip(x, -1, 1))` is NaN outside [-1, 1].",
        remedy="The thread's: clips to one epsilon inside.",
        naive=jax.grad(_clipped_arccos),
        fixed=jax.grad(_clipped_arccos_fixed),
        truth=_zero,
        dtype="float32",
        domain=(1 + 2.0**-23, 20.0),
        at=10.0,
        kind="nan",
        primitive="mul",
        cause="zero_times_infinity",
        line="jnp.clip(x, -1, 1)",
    ),
    Case(
        name="variance_of_squares",
        repository="google/objax",
        number=182,
        title="Improve BatchNorm numerical stability",
        report="The variance as E[x²] - E[x]² of values near 1000 loses its digits.",
        remedy="E[(x - E[x])²].",
        naive=_variance,
        fixed=_variance_fixed,
        dtype="float32",
        domain=(1000.0, 1001.0),
        at=1000.5,
        kind="inaccurate",
        primitive="sub",
        cause="cancellation",
        line="mean_of_squares - square_of_mean",
    ),
    Case(
        name="sigmoid_written_out",
        repository="jax-ml/jax",
        number=7205,
        title="Autograd always nan with gradient when function is ok",
        report="The gradient of 1/(1 + exp(-x)) is NaN where exp(-x) overflows.",
        remedy="`jax.nn.sigmoid`, whose derivative takes no exponential that can overflow.",
        naive=jax.grad(_logistic),
        fixed=jax.grad(_sigmoid),
        dtype="float32",
        domain=(-200.0, 0.0),
        at=-100.0,
        kind="nan",
        primitive="exp",
        cause="overflow",
        line="jnp.exp(-x)",
    ),
    Case(
        name="sinc_gradient",
        repository="jax-ml/jax",
        number=34139,
        title="`jnp.sinc`'s gradient has large errors",
        report="The derivative of `jnp.sinc` near 0 is a difference of two numbers near 1/x "
        "(here as jax had it before 0.11.2, written out).",
        remedy="The Maclaurin series near 0, and not at 0 alone.",
        naive=jax.grad(_sinc),
        fixed=_sinc_slope_fixed,
        truth=jax.grad(_sinc),
        dtype="float32",
        domain=(1e-5, 1.0),
        at=1e-4,
        kind="inaccurate",
        primitive="add_any",
        cause="cancellation",
        line="jnp.sin(u) / u",
    ),
    Case(
        name="elu_gradient",
        repository="jax-ml/jax",
        number=1538,
        title="Fix NaNs in grad(jax.nn.elu) for large positive inputs.",
        report="The gradient of `where(x > 0, x, expm1(x))` is NaN where expm1(x) overflows, though x is taken there.",
        remedy="The double where.",
        naive=jax.grad(_elu),
        fixed=jax.grad(_elu_fixed),
        dtype="float32",
        domain=(-20.0, 200.0),
        at=100.0,
        kind="nan",
        primitive="exp" if _JAX >= (0, 12) else "expm1",
        cause="overflow",
        line="jnp.expm1(x)",
    ),
    Case(
        name="elu_by_exp",
        repository="jax-ml/jax",
        number=1207,
        title="Use expm1 in elu",
        report="`exp(x) - 1` is 0 for a small negative x.",
        remedy="`expm1`.",
        naive=_elu_by_exp,
        fixed=_elu,
        dtype="float32",
        domain=(-1.0, -1e-30),
        at=-1e-8,
        kind="vanished",
        primitive="sub",
        cause="cancellation",
        line="e - 1",
    ),
    Case(
        name="log1mexp",
        repository="pyro-ppl/numpyro",
        number=1368,
        title="log1m_exp and log_diff_exp functions",
        report="`log(1 - exp(x))` is -inf for a small negative x.",
        remedy="`log(-expm1(x))` above -log 2 and `log1p(-exp(x))` below, as in pyro-ppl/numpyro#1960.",
        naive=_log1mexp,
        fixed=_log1mexp_fixed,
        dtype="float32",
        domain=(-20.0, -1e-30),
        at=-1e-9,
        kind="inf",
        primitive="sub",
        cause="cancellation",
        line="1 - e",
    ),
    Case(
        name="log_det_tanh",
        repository="tensorflow/probability",
        number=318,
        title="Tanh bijector inverse log det jacobian numerically unstable",
        report="`log(1 - tanh(x)²)` is -inf where tanh(x) rounds to 1.",
        remedy="`2 (log 2 - x - softplus(-2x))`.",
        naive=_log_det_tanh,
        fixed=_log_det_tanh_fixed,
        truth=_log_det_tanh,
        dtype="float32",
        domain=(1.0, 40.0),
        at=12.0,
        kind="inf",
        primitive="sub",
        cause="cancellation",
        line="1 - y * y",
    ),
    Case(
        name="cross_entropy_infinite_logit",
        repository="pyro-ppl/numpyro",
        number=2240,
        title="`binary_cross_entropy_with_logits` doesn't handle boundary values",
        report="The loss from logits is NaN for label 1 and logit inf, where it is 0.",
        remedy="The double where, as in the pull request pyro-ppl/numpyro#2241.",
        naive=_binary_cross_entropy,
        fixed=_binary_cross_entropy_fixed,
        truth=_binary_cross_entropy_fixed,
        dtype="float32",
        domain=(0.0, math.inf),
        at=math.inf,
        kind="nan",
        primitive="sub",
        cause="infinity_minus_infinity",
        line="jnp.maximum(x, 0) - x",
    ),
    Case(
        name="cross_entropy_masked_class",
        repository="google-deepmind/optax",
        number=896,
        title="softmax_cross_entropy handles -inf logits incorrectly",
        report="The loss is NaN where a logit is -inf and its label 0.",
        remedy="A `where` for label 0, as in the pull request google-deepmind/optax#898.",
        naive=_softmax_cross_entropy,
        fixed=_softmax_cross_entropy_fixed,
        dtype="float32",
        domain=(-math.inf, 0.0),
        at=-math.inf,
        kind="nan",
        primitive="mul",
        cause="zero_times_infinity",
        line="labels * log_probs",
    ),
    Case(
        name="log_cosh",
        repository="google-deepmind/optax",
        number=103,
        title="Implement log(cosh()) loss function",
        report="`log(cosh(x))` overflows.",
        remedy="`logaddexp(x, -x) - log 2`, as in the pull request google-deepmind/optax#111.",
        naive=_log_cosh,
        fixed=_log_cosh_fixed,
        truth=_log_cosh,
        dtype="float32",
        domain=(-1000.0, 1000.0),
        at=100.0,
        kind="inf",
        primitive="cosh",
        cause="overflow",
        line="jnp.cosh(x)",
    ),
    Case(
        name="log_one_plus",
        repository="jax-ml/jax",
        number=1200,
        title="Use log1p when computing log(1 + x) or log(1 - x)",
        report="`log(1 + x)` is 0 where x is absorbed by 1.",
        remedy="`log1p`.",
        naive=_log_one_plus,
        fixed=jnp.log1p,
        dtype="float32",
        domain=(1e-30, 1.0),
        at=1e-9,
        kind="vanished",
        primitive="add",
        cause="absorption",
        line="1 + x",
    ),
    Case(
        name="softplus_inverse",
        repository="pyro-ppl/numpyro",
        number=919,
        title="adding Softplus transform",
        report="The inverse of softplus as `log(expm1(x))` overflows.",
        remedy="`x + log(-expm1(-x))`, from the review of the pull request.",
        naive=_softplus_inverse,
        fixed=_softplus_inverse_fixed,
        dtype="float32",
        domain=(1.0, 1000.0),
        at=100.0,
        kind="inf",
        primitive="expm1",
        cause="overflow",
        line="jnp.expm1(x)",
    ),
    Case(
        name="softplus_by_pieces",
        repository="pymc-devs/pytensor",
        number=2264,
        title="BUG: NaN gradient (VJP) from pt.log(pt.sigmoid(x)) for large x in JAX backend",
        report="The gradient of log1p(exp(x)), with x itself taken above 33.3, is NaN where exp(x) overflows.",
        remedy="`jax.nn.softplus`, which takes no exponential of a positive number.",
        naive=jax.grad(_softplus_by_pieces),
        fixed=jax.grad(jax.nn.softplus),
        dtype="float32",
        domain=(-20.0, 1000.0),
        at=820.0,
        kind="nan",
        primitive="exp",
        cause="overflow",
        line="jnp.exp(x)",
    ),
    Case(
        name="log_normal_cdf",
        repository="jax-ml/jax",
        number=454,
        title="Support for scipy.stats.norm.logcdf",
        report="The logarithm of the normal distribution function is -inf where erfc underflows.",
        remedy="`log_ndtr`, an asymptotic series in the tail.",
        naive=_log_normal_cdf,
        fixed=log_ndtr,
        truth=_log_normal_cdf,
        dtype="float32",
        domain=(-40.0, 0.0),
        at=-20.0,
        kind="inf",
        primitive="erfc",
        cause="underflow",
        line="erfc(-x * math.sqrt(0.5))",
    ),
)
"""The declared cases, in the order of the page."""
