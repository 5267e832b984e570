"""The sigmoid and what is made of it.

In float32 the value, the first and the second derivative are each within 3 ulps of the true value wherever that is a
normal float; float16 and bfloat16 are computed in float32 and rounded once. Where an argument is infinite they are the
limits, and NaN gives NaN. Results that should be subnormal may be 0, as everywhere in XLA on CPU. Derivatives after the
second are plain formulas of these.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from stability.losses import Kernel
from stability.nn import _logistic as run
from stability.nn._elementwise import applied, chain, in_single, slope

if TYPE_CHECKING:
    from jaxtyping import Float, Shaped


def _sigmoid_third(x: Array) -> Array:
    first = _sigmoid_slope(x)
    return first * (1 - 6 * first)


def _tanh_third(x: Array) -> Array:
    first = _tanh_slope(x)
    return first * (4 - 6 * first)


def _silu_third(x: Array) -> Array:
    """`3 σ'' + x dσ''/dx`."""
    return 3 * _sigmoid_curvature(x) + jnp.clip(x, -1e4, 1e4) * _sigmoid_third(x)


def _mish_third(x: Array) -> Array:
    """`3 u'' + x du''/dx` with `u = tanh(softplus(x))`."""
    s, p, p1, p2 = _softplus(x), _sigmoid(x), _sigmoid_slope(x), _sigmoid_curvature(x)
    t1, t2, t3 = _tanh_slope(s), _tanh_curvature(s), _tanh_third(s)
    third = t3 * p * p * p + 3 * t2 * p * p1 + t1 * p2
    return 3 * (t2 * p * p + t1 * p1) + jnp.clip(x, -1e4, 1e4) * third


def _logistic(x: Array) -> Array:
    return 1 / (1 + jnp.exp(-x))


_sigmoid_curvature = chain("sigmoid_curvature", slope(slope(_logistic)), run.sigmoid_curvature, then=_sigmoid_third)
_sigmoid_slope = chain("sigmoid_slope", slope(_logistic), run.sigmoid_slope, then=_sigmoid_curvature)
_sigmoid = chain("sigmoid", lambda x: _logistic(x), run.sigmoid, then=_sigmoid_slope)
_softplus = chain("softplus", lambda x: jnp.log1p(jnp.exp(x)), run.softplus, then=_sigmoid)
_tanh_curvature = chain("tanh_curvature", slope(slope(jnp.tanh)), run.tanh_curvature, then=_tanh_third)
_tanh_slope = chain("tanh_slope", slope(jnp.tanh), run.tanh_slope, then=_tanh_curvature)
_tanh = chain("tanh", lambda x: jnp.tanh(x), run.tanh, then=_tanh_slope)
_silu = chain("silu", lambda x: x * _logistic(x), run.silu, run.silu_slope, run.silu_curvature, then=_silu_third)
_mish = chain(
    "mish",
    lambda x: x * jnp.tanh(jnp.log1p(jnp.exp(x))),
    *(run.mish, run.mish_slope, run.mish_curvature),
    then=_mish_third,
)


def _of_difference(name: str, formula: Callable, function: Callable, derivative: Callable) -> Kernel:
    """The kernel of a function of `x - y`, which is taken exactly."""
    return Kernel(
        f"nn_logaddexp_{name}",
        in_single(lambda x, y: function(*run.difference(x, y))),
        lambda x, y: formula(x - y),
        lambda tangent, x, y: tangent * derivative(x, y),
        lambda tangent, x, y: -(tangent * derivative(x, y)),
    )


def _difference_third(x: Array, y: Array) -> Array:
    first = _difference_slope(x, y)
    return first * (1 - 6 * first)


_difference_curvature = _of_difference("curvature", slope(slope(_logistic)), run.sigmoid_curvature, _difference_third)
_difference_slope = _of_difference("slope", slope(_logistic), run.sigmoid_slope, _difference_curvature)
_share = _of_difference("share", _logistic, run.sigmoid, _difference_slope)
_logaddexp = Kernel(
    "nn_logaddexp",
    in_single(run.logaddexp),
    lambda x, y: jnp.logaddexp(x, y),
    lambda tangent, x, y: tangent * _share(x, y),
    lambda tangent, x, y: tangent * _share(y, x),
)


def sigmoid(x: Shaped[ArrayLike, "*shape"]) -> Float[Array, "*shape"]:
    """`σ(x) = 1 / (1 + e^-x)`, elementwise.

    This differs from `jax.nn.sigmoid` in its derivatives, which that computes as `σ (1 - σ)`: 0 in float32 from 16.64
    up, where `σ` rounds to 1 and the derivative is an ordinary float up to 87.3.

    **Arguments:**

    - `x` real numbers, of any shape; integers are taken as floats.

    **Returns:** the values, of the shape and the float dtype of `x`.

    ```python
    import jax
    import jax.numpy as jnp
    from stability import nn

    x = jnp.float32(20)
    assert jax.grad(nn.sigmoid)(x) == jnp.float32(2.0611537e-09)
    ```
    """
    return applied(_sigmoid, x)


def log_sigmoid(x: Shaped[ArrayLike, "*shape"]) -> Float[Array, "*shape"]:
    """`log σ(x) = -log(1 + e^-x)`, elementwise.

    This differs from `jax.nn.log_sigmoid` in its errors, and in that its second derivative keeps its digits where `σ`
    rounds to 1.

    **Arguments:**

    - `x` real numbers, of any shape; integers are taken as floats.

    **Returns:** the values, of the shape and the float dtype of `x`.

    ```python
    import jax
    import jax.numpy as jnp
    from stability import nn

    second = jax.grad(jax.grad(nn.log_sigmoid))(jnp.float32(-20))
    assert second == jnp.float32(-2.0611537e-09)  # -σ(x) σ(-x)
    ```
    """
    return applied(lambda v: -_softplus(-v), x)


def softplus(x: Shaped[ArrayLike, "*shape"]) -> Float[Array, "*shape"]:
    """`log(1 + e^x)`, elementwise.

    This differs from `jax.nn.softplus` in its errors, and in that its second derivative keeps its digits where `σ`
    rounds to 1.

    **Arguments:**

    - `x` real numbers, of any shape; integers are taken as floats.

    **Returns:** the values, of the shape and the float dtype of `x`.

    ```python
    import jax
    import jax.numpy as jnp
    from stability import nn

    x = jnp.float32(20)
    assert jax.grad(jax.grad(nn.softplus))(x) == jnp.float32(2.0611537e-09)  # σ(x) σ(-x)
    ```
    """
    return applied(_softplus, x)


def tanh(x: Shaped[ArrayLike, "*shape"]) -> Float[Array, "*shape"]:
    """The hyperbolic tangent, elementwise.

    This differs from `jax.numpy.tanh` in its derivatives, which that computes as `1 - tanh²`: 0 in float32 from 8
    up, where `tanh` rounds to 1 and the derivative is an ordinary float up to 44. Complex numbers are refused.

    **Arguments:**

    - `x` real numbers, of any shape; integers are taken as floats.

    **Returns:** the values, of the shape and the float dtype of `x`.

    ```python
    import jax
    import jax.numpy as jnp
    from stability import nn

    x = jnp.float32(10)
    assert jax.grad(nn.tanh)(x) == jnp.float32(8.244615e-09)
    ```
    """
    return applied(_tanh, x)


def silu(x: Shaped[ArrayLike, "*shape"]) -> Float[Array, "*shape"]:
    """`x σ(x)`, elementwise; `swish` is another name of it.

    This differs from `jax.nn.silu` in its derivatives: that adds up terms that cancel, near the root of the derivative
    at
    -1.2784645 and wherever `σ` is near 1.

    **Arguments:**

    - `x` real numbers, of any shape; integers are taken as floats.

    **Returns:** the values, of the shape and the float dtype of `x`.

    ```python
    import jax
    import jax.numpy as jnp
    from stability import nn

    x = jnp.float32(-1.2784646)  # the float next to the root
    assert jax.grad(nn.silu)(x) == jnp.float32(-2.8270397e-09)
    ```
    """
    return applied(_silu, x)


swish = silu


def mish(x: Shaped[ArrayLike, "*shape"]) -> Float[Array, "*shape"]:
    """`x tanh(log(1 + e^x))`, elementwise (Misra, 2019, https://arxiv.org/abs/1908.08681).

    This differs from `jax.nn.mish` in its derivatives: that adds up terms that cancel, near the root of the derivative
    at
    -1.1924312 and wherever `tanh` is near 1.

    **Arguments:**

    - `x` real numbers, of any shape; integers are taken as floats.

    **Returns:** the values, of the shape and the float dtype of `x`.

    ```python
    import jax
    import jax.numpy as jnp
    from stability import nn

    x = jnp.float32(20)
    assert jax.grad(jax.grad(nn.mish))(x) == jnp.float32(-6.4574986e-16)
    assert jax.grad(jax.grad(jax.nn.mish))(x) == 0
    ```
    """
    return applied(_mish, x)


def logaddexp(x1: Shaped[ArrayLike, "*#shape"], x2: Shaped[ArrayLike, "*#shape"]) -> Float[Array, "*shape"]:
    """`log(e^x1 + e^x2)`, elementwise.

    This differs from `jax.numpy.logaddexp` in that its derivatives, `σ(x1 - x2)` and `σ(x2 - x1)` and theirs, are
    within 3 ulps of the true value, which `e^(x1 - out)` is not: the difference is taken exactly. The value is within 3
    ulps of the larger of itself and 1/4: near its zeros, where `e^x1 + e^x2` is 1, the two terms of the sum cancel. Of
    two equal infinities the derivatives are 1/2 each. Complex numbers are refused.

    **Arguments:**

    - `x1`, `x2` real numbers, of shapes that broadcast; integers are taken as floats.

    **Returns:** the values, of the broadcast shape and the float dtype of `jax.numpy` promotion.

    ```python
    import jax
    import jax.numpy as jnp
    from stability import nn

    x = jnp.float32(20)
    assert nn.logaddexp(x, 0) == 20
    assert jax.grad(jax.grad(nn.logaddexp))(x, 0.0) == jnp.float32(2.0611537e-09)  # σ(x) σ(-x)
    ```
    """
    return applied(_logaddexp, x1, x2)
