"""`expm1`, `log1p`, and the units that are exponential left of 0.

In float32 the value, the first and the second derivative are each within 3 ulps of the true value wherever that is a
normal float; float16 and bfloat16 are computed in float32 and rounded once. Where an argument is infinite they are the
limits, and NaN gives NaN. Results that should be subnormal may be 0, as everywhere in XLA on CPU.

At the kink of a unit at 0 its derivatives are those from the left, as they are of the namesakes but `jax.nn.celu`,
whose second derivative there is a quarter of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from stability.losses import Kernel
from stability.nn import _exponential
from stability.nn import _powers as run
from stability.nn._elementwise import applied, chain, in_single

if TYPE_CHECKING:
    from jaxtyping import Float, Shaped

_SELU_SCALE = 1.0507009873554804934193349852946
_SELU_ALPHA = 1.6732632423543772848170429916717
_SELU_LEFT = _SELU_SCALE * _SELU_ALPHA


def _left(x: Array) -> Array:
    return jnp.where(x > 0, 0, x)


_exp: Kernel = chain("exp", lambda x: jnp.exp(x), _exponential.exp, then=lambda x: _exp(x))
_expm1 = chain("expm1", lambda x: jnp.expm1(x), run.expm1, then=_exp)
_log1p = chain(
    "log1p",
    lambda x: jnp.log1p(x),
    *(run.log1p, run.log1p_slope, run.log1p_curvature),
    then=lambda x: 2 / ((1 + x) * (1 + x) * (1 + x)),
)


def _curvature_by_alpha(tangent: Array, x: Array, alpha: Array) -> Array:
    """Of `alpha e^x` left of 0, and of 0."""
    return tangent * jnp.where(x > 0, 0, _exp(_left(x)))


_elu_curvature: Kernel = Kernel(
    "nn_elu_curvature",
    in_single(run.elu_curvature),
    lambda x, alpha: jnp.where(x > 0, 0, alpha * jnp.exp(x)),
    lambda tangent, x, alpha: tangent * _elu_curvature(x, alpha),
    _curvature_by_alpha,
)
_elu_slope = Kernel(
    "nn_elu_slope",
    in_single(run.elu_slope),
    lambda x, alpha: jnp.where(x > 0, 1, alpha * jnp.exp(x)),
    lambda tangent, x, alpha: tangent * _elu_curvature(x, alpha),
    _curvature_by_alpha,
)
_elu = Kernel(
    "nn_elu",
    in_single(run.elu),
    lambda x, alpha: jnp.where(x > 0, x, alpha * jnp.expm1(x)),
    lambda tangent, x, alpha: tangent * _elu_slope(x, alpha),
    lambda tangent, x, alpha: tangent * _expm1(_left(x)),
)
_selu_slope = chain(
    "selu_slope",
    lambda x: jnp.where(x > 0, _SELU_SCALE, _SELU_LEFT * jnp.exp(x)),
    lambda x: run.elu_slope(x, _SELU_LEFT, _SELU_SCALE),
    then=lambda x: _elu_curvature(x, jnp.full_like(x, _SELU_LEFT)),
)
_selu = chain(
    "selu",
    lambda x: jnp.where(x > 0, _SELU_SCALE * x, _SELU_LEFT * jnp.expm1(x)),
    lambda x: run.elu(x, _SELU_LEFT, _SELU_SCALE),
    then=_selu_slope,
)


def _celu_by_alpha(tangent: Array, x: Array, alpha: Array) -> Array:
    """`e^u - 1 - u e^u` with `u = min(x, 0) / alpha`, whose terms cancel where `u` is small."""
    u = jnp.maximum(_left(x) / alpha, -1e4)
    return tangent * (_expm1(u) - u * _exp(u))


def _celu_slope_by_alpha(tangent: Array, x: Array, alpha: Array) -> Array:
    u = jnp.maximum(_left(x) / alpha, -1e4)
    return tangent * (-u * _exp(u) / alpha)


_celu_curvature: Kernel = Kernel(
    "nn_celu_curvature",
    in_single(run.celu_curvature),
    lambda x, alpha: jnp.where(x > 0, 0, jnp.exp(x / alpha) / alpha),
    lambda tangent, x, alpha: tangent * (_celu_curvature(x, alpha) / alpha),
    lambda tangent, x, alpha: -tangent * (1 + _left(x) / alpha) * (_celu_curvature(x, alpha) / alpha),
)
_celu_slope = Kernel(
    "nn_celu_slope",
    in_single(run.celu_slope),
    lambda x, alpha: jnp.where(x > 0, 1, jnp.exp(x / alpha)),
    lambda tangent, x, alpha: tangent * _celu_curvature(x, alpha),
    _celu_slope_by_alpha,
)
_celu = Kernel(
    "nn_celu",
    in_single(run.celu),
    lambda x, alpha: jnp.where(x > 0, x, alpha * jnp.expm1(x / alpha)),
    lambda tangent, x, alpha: tangent * _celu_slope(x, alpha),
    _celu_by_alpha,
)


def expm1(x: Shaped[ArrayLike, "*shape"]) -> Float[Array, "*shape"]:
    """`e^x - 1`, elementwise.

    This differs from `jax.numpy.expm1` of jax 0.10 in its derivative, which that computes as `expm1(x) + 1`: 0 in
    float32 from -17.33 down, where the derivative is an ordinary float down to -87.3. Complex numbers are refused.

    **Arguments:**

    - `x` real numbers, of any shape; integers are taken as floats.

    **Returns:** the values, of the shape and the float dtype of `x`.

    ```python
    import jax
    import jax.numpy as jnp
    from stability import nn

    x = jnp.float32(-20)
    assert jax.grad(nn.expm1)(x) == jnp.float32(2.0611537e-09)
    ```
    """
    return applied(_expm1, x)


def log1p(x: Shaped[ArrayLike, "*shape"]) -> Float[Array, "*shape"]:
    """`log(1 + x)`, elementwise.

    This differs from `jax.numpy.log1p` in its errors, and in that its derivatives are NaN where it has no value, left
    of
    -1. Complex numbers are refused.

    **Arguments:**

    - `x` real numbers, of any shape; integers are taken as floats.

    **Returns:** the values, of the shape and the float dtype of `x`: `-inf` at -1.

    ```python
    import jax
    import jax.numpy as jnp
    from stability import nn

    assert nn.log1p(jnp.float32(1e-10)) == jnp.float32(1e-10)
    assert jax.grad(nn.log1p)(jnp.float32(3)) == 0.25
    ```
    """
    return applied(_log1p, x)


def elu(x: Shaped[ArrayLike, "*#shape"], alpha: Shaped[ArrayLike, "*#shape"] = 1.0) -> Float[Array, "*shape"]:
    """`x` where that is positive, and `alpha (e^x - 1)` elsewhere (Clevert et al., https://arxiv.org/abs/1511.07289).

    This differs from `jax.nn.elu` of jax 0.10 in its derivatives, which that computes from `expm1(x) + 1`: 0 in
    float32 from -17.33 down, where they are ordinary floats down to -87.3.

    **Arguments:**

    - `x` real numbers, of any shape; integers are taken as floats.
    - `alpha` real numbers, of a shape that broadcasts with that of `x`.

    **Returns:** the values, of the broadcast shape and the float dtype of `jax.numpy` promotion.

    ```python
    import jax
    import jax.numpy as jnp
    from stability import nn

    x = jnp.float32(-20)
    assert jax.grad(nn.elu)(x) == jnp.float32(2.0611537e-09)
    ```
    """
    return applied(_elu, x, alpha)


def celu(x: Shaped[ArrayLike, "*#shape"], alpha: Shaped[ArrayLike, "*#shape"] = 1.0) -> Float[Array, "*shape"]:
    """`x` where that is positive, and `alpha (e^(x / alpha) - 1)` elsewhere (Barron, https://arxiv.org/abs/1704.07483).

    This differs from `jax.nn.celu` of jax 0.10 in its derivatives, which that computes from `expm1(x / alpha) + 1`, and
    in that the quotient is taken in two words. The bound of 3 ulps is for the value and the derivatives by `x`.

    **Arguments:**

    - `x` real numbers, of any shape; integers are taken as floats.
    - `alpha` positive numbers, of a shape that broadcasts with that of `x`.

    **Returns:** the values, of the broadcast shape and the float dtype of `jax.numpy` promotion.

    ```python
    import jax
    import jax.numpy as jnp
    from stability import nn

    x = jnp.float32(-40)
    assert jax.grad(nn.celu)(x, 2.0) == jnp.float32(2.0611537e-09)
    ```
    """
    return applied(_celu, x, alpha)


def selu(x: Shaped[ArrayLike, "*shape"]) -> Float[Array, "*shape"]:
    """`λ x` where `x` is positive, and `λ α (e^x - 1)` elsewhere, for two constants of Klambauer et al.
    (https://arxiv.org/abs/1706.02515).

    This differs from `jax.nn.selu` of jax 0.10 in its derivatives, which that computes from `expm1(x) + 1`: 0 in
    float32 from -17.33 down, where they are ordinary floats down to -87.9. The constants are those of `jax.nn.selu`,
    1.0507 and 1.6733 to 31 digits; each result is multiplied by one float, `λ` or `λ α`.

    **Arguments:**

    - `x` real numbers, of any shape; integers are taken as floats.

    **Returns:** the values, of the shape and the float dtype of `x`.

    ```python
    import jax
    import jax.numpy as jnp
    from stability import nn

    x = jnp.float32(-20)
    assert jax.grad(nn.selu)(x) == jnp.float32(3.6237129e-09)
    ```
    """
    return applied(_selu, x)
