"""The operations that terms are made of, one record each: over arrays of NumPy, over the reals, in JAX, and as text."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.special
from flint import arb

from stability import nn
from stability.real import powers, scalars
from stability.real.meanings import erfcx, log_ndtr
from stability.real.records import TEXTS
from stability.real.values import Scalar, Undefined
from stability.rewriting import rows


class Operation(NamedTuple):
    """An operation on scalars.

    **Attributes:** `arity` how many operands; `floats` of NumPy arrays; `reals` of real numbers, as `stability.real`
    has them; `jax` of JAX arrays; `text` how it is written, its operands in braces; `cost` of one evaluation, where an
    addition is 1: what XLA's code takes on a CPU, in round numbers.
    """

    arity: int
    floats: Callable[..., Any]
    reals: Callable[..., Any]
    jax: Callable[..., Any]
    text: str
    cost: int


def _of_numbers(text: Any) -> Callable[..., Any]:
    """The quickest way into a function over the reals, where its operands are numbers."""
    return getattr(text, "rule", text)


def _logistic(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def _logaddexp(x: Any, y: Any) -> Any:
    far = scalars.neg(scalars.absolute(scalars.sub(x, y)))
    return scalars.add(TEXTS["max"](x, y), scalars.log1p(scalars.exp(far)))


def _hypot(x: Any, y: Any) -> Any:
    return scalars.sqrt(scalars.add(scalars.square(x), scalars.square(y)))


def _chosen(condition: Any, then: Any, other: Any) -> Any:
    return TEXTS["select_n"](condition, other, then)


MOST_BY_PRODUCTS = 64
"""The largest whole power that is a product; a larger one is a `pow`."""


def _power(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Of a whole constant by multiplications, as JAX has it."""
    y = np.asarray(y)
    if y.ndim == 0 and y == np.rint(y) and abs(y) <= MOST_BY_PRODUCTS:
        whole = _by_squares(x, abs(int(y)))
        return 1 / whole if y < 0 else whole
    return np.power(x, y)


def _by_squares(x: Any, n: int) -> Any:
    out = None
    while n:
        if n & 1:
            out = x if out is None else out * x
        n >>= 1
        if n:
            x = x * x
    return np.ones_like(x) if out is None else out


def _jax_power(x: Any, y: Any) -> Any:
    return x**y if isinstance(y, int) else jnp.power(x, y)


def _of_rows(name: str, jax_function: Callable, text: str, cost: int) -> tuple[str, Operation]:
    return name, Operation(1, rows.FLOATS[name], rows.REALS[name], jax_function, text, cost)


def _of_errors(name: str, reals: Callable, cost: int) -> tuple[str, Operation]:
    floats, jax_function = getattr(scipy.special, name), getattr(jax.scipy.special, name)
    return name, Operation(1, floats, reals, jax_function, f"jax.scipy.special.{name}({{}})", cost)


def _along(function: Callable) -> Callable:
    return functools.partial(function, axis=-1, keepdims=True)


def _unary(name: str, floats: Callable, jax_function: Callable, text: str, cost: int) -> tuple[str, Operation]:
    return name, Operation(1, floats, _of_numbers(TEXTS[name]), jax_function, text, cost)


def _binary(name: str, floats: Callable, jax_function: Callable, text: str, cost: int) -> tuple[str, Operation]:
    return name, Operation(2, floats, _of_numbers(TEXTS[name]), jax_function, text, cost)


OPERATIONS: dict[str, Operation] = dict(
    [
        _binary("add", np.add, jnp.add, "{} + {}", 1),
        ("sub", Operation(2, np.subtract, scalars.sub, jnp.subtract, "{} - {}", 1)),
        _binary("mul", np.multiply, jnp.multiply, "{} * {}", 1),
        _binary("div", np.divide, jnp.divide, "{} / {}", 4),
        _unary("neg", np.negative, jnp.negative, "-{}", 0),
        _unary("abs", np.abs, jnp.abs, "jnp.abs({})", 0),
        _unary("sign", np.sign, jnp.sign, "jnp.sign({})", 1),
        _binary("max", np.maximum, jnp.maximum, "jnp.maximum({}, {})", 1),
        _binary("min", np.minimum, jnp.minimum, "jnp.minimum({}, {})", 1),
        _unary("floor", np.floor, jnp.floor, "jnp.floor({})", 1),
        _unary("ceil", np.ceil, jnp.ceil, "jnp.ceil({})", 1),
        _unary("sqrt", np.sqrt, jnp.sqrt, "jnp.sqrt({})", 5),
        _unary("cbrt", np.cbrt, jnp.cbrt, "jnp.cbrt({})", 30),
        ("pow", Operation(2, _power, powers.power, _jax_power, "{} ** {}", 40)),
        ("hypot", Operation(2, np.hypot, _hypot, jnp.hypot, "jnp.hypot({}, {})", 12)),
        _unary("exp", np.exp, jnp.exp, "jnp.exp({})", 15),
        _unary("exp2", np.exp2, jnp.exp2, "jnp.exp2({})", 15),
        _unary("expm1", np.expm1, jnp.expm1, "jnp.expm1({})", 20),
        _unary("log", np.log, jnp.log, "jnp.log({})", 15),
        _unary("log2", np.log2, jnp.log2, "jnp.log2({})", 15),
        _unary("log1p", np.log1p, jnp.log1p, "jnp.log1p({})", 20),
        _unary("logistic", _logistic, jax.nn.sigmoid, "jax.nn.sigmoid({})", 20),
        ("logaddexp", Operation(2, np.logaddexp, _logaddexp, jnp.logaddexp, "jnp.logaddexp({}, {})", 45)),
        _unary("sin", np.sin, jnp.sin, "jnp.sin({})", 20),
        _unary("cos", np.cos, jnp.cos, "jnp.cos({})", 20),
        _unary("tan", np.tan, jnp.tan, "jnp.tan({})", 30),
        _unary("asin", np.arcsin, jnp.arcsin, "jnp.arcsin({})", 30),
        _unary("acos", np.arccos, jnp.arccos, "jnp.arccos({})", 30),
        _unary("atan", np.arctan, jnp.arctan, "jnp.arctan({})", 30),
        _binary("atan2", np.arctan2, jnp.arctan2, "jnp.arctan2({}, {})", 35),
        _unary("sinh", np.sinh, jnp.sinh, "jnp.sinh({})", 30),
        _unary("cosh", np.cosh, jnp.cosh, "jnp.cosh({})", 30),
        _unary("tanh", np.tanh, jnp.tanh, "jnp.tanh({})", 20),
        _unary("asinh", np.arcsinh, jnp.arcsinh, "jnp.arcsinh({})", 35),
        _unary("acosh", np.arccosh, jnp.arccosh, "jnp.arccosh({})", 35),
        _unary("atanh", np.arctanh, jnp.arctanh, "jnp.arctanh({})", 30),
        _unary("erf", scipy.special.erf, jax.scipy.special.erf, "jax.scipy.special.erf({})", 25),
        _unary("erfc", scipy.special.erfc, jax.scipy.special.erfc, "jax.scipy.special.erfc({})", 30),
        _of_errors("erfcx", erfcx, 40),
        _of_errors("log_ndtr", log_ndtr, 60),
        _unary("lgamma", scipy.special.gammaln, jax.scipy.special.gammaln, "jax.scipy.special.gammaln({})", 60),
        _unary("digamma", scipy.special.digamma, jax.scipy.special.digamma, "jax.scipy.special.digamma({})", 60),
        _binary("lt", np.less, jnp.less, "{} < {}", 1),
        _binary("le", np.less_equal, jnp.less_equal, "{} <= {}", 1),
        _binary("gt", np.greater, jnp.greater, "{} > {}", 1),
        _binary("ge", np.greater_equal, jnp.greater_equal, "{} >= {}", 1),
        _binary("eq", np.equal, jnp.equal, "{} == {}", 1),
        _binary("ne", np.not_equal, jnp.not_equal, "{} != {}", 1),
        _binary("and", np.logical_and, jnp.logical_and, "{} & {}", 1),
        _binary("or", np.logical_or, jnp.logical_or, "{} | {}", 1),
        _unary("not", np.logical_not, jnp.logical_not, "~{}", 1),
        _of_rows("sum", _along(jnp.sum), "jnp.sum({})", 2),
        _of_rows("amax", _along(jnp.max), "jnp.max({})", 2),
        _of_rows("mean", _along(jnp.mean), "jnp.mean({})", 6),
        _of_rows("norm", _along(jnp.linalg.norm), "jnp.linalg.norm({})", 8),
        _of_rows("logsumexp", _along(jax.nn.logsumexp), "jax.nn.logsumexp({})", 40),
        _of_rows("log_softmax", jax.nn.log_softmax, "jax.nn.log_softmax({})", 40),
        _of_rows("softmax", jax.nn.softmax, "jax.nn.softmax({})", 40),
        _of_rows("nn_norm", _along(nn.norm), "stability.nn.norm({})", 30),
        _of_rows("nn_logsumexp", _along(nn.logsumexp), "stability.nn.logsumexp({})", 80),
        _of_rows("nn_log_softmax", nn.log_softmax, "stability.nn.log_softmax({})", 80),
        _of_rows("nn_softmax", nn.softmax, "stability.nn.softmax({})", 80),
        ("select", Operation(3, np.where, _chosen, jnp.where, "jnp.where({}, {}, {})", 1)),
    ]
)
"""By name: that of the primitive of JAX, where there is one."""

CONSTANTS: dict[str, tuple[float, Callable[[], Scalar], str]] = {
    "pi": (np.pi, arb.pi, "jnp.pi"),
    "e": (np.e, arb.const_e, "jnp.e"),
    "inf": (np.inf, arb.pos_inf, "jnp.inf"),
    "nan": (np.nan, lambda: Undefined("nan"), "jnp.nan"),
}
"""Numbers with a name, the infinities and NaN of branches among them: as a float, over the reals, and as text."""

TRUTHS = frozenset({"lt", "le", "gt", "ge", "eq", "ne", "and", "or", "not"})
"""Operations whose value is true or false."""
