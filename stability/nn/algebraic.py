"""The units made of a root and of a quotient: `squareplus` and `soft_sign`.

In float32 the value, the first and the second derivative are each within 3 ulps of the true value wherever that is a
normal float; float16 and bfloat16 are computed in float32 and rounded once. Where an argument is infinite they are the
limits, and NaN gives NaN. Results that should be subnormal may be 0, as everywhere in XLA on CPU.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from stability.losses import Kernel
from stability.nn import _algebraic as run
from stability.nn._elementwise import applied, chain, in_single

if TYPE_CHECKING:
    from jaxtyping import Float, Shaped


def _root(x: Array, b: Array) -> Array:
    return jnp.sqrt(x * x + b)


_squareplus_curvature: Kernel = Kernel(
    "nn_squareplus_curvature",
    in_single(run.squareplus_curvature),
    lambda x, b: b / (2 * _root(x, b) ** 3),
    lambda tangent, x, b: tangent * (-3 * _squareplus_curvature(x, b) / _root(x, b) * (x / _root(x, b))),
    lambda tangent, x, b: tangent * ((2 * x * x - b) / (4 * _root(x, b) ** 5)),
)
_squareplus_slope = Kernel(
    "nn_squareplus_slope",
    in_single(run.squareplus_slope),
    lambda x, b: (1 + x / _root(x, b)) / 2,
    lambda tangent, x, b: tangent * _squareplus_curvature(x, b),
    lambda tangent, x, b: tangent * (-x / (4 * _root(x, b) ** 3)),
)
_squareplus = Kernel(
    "nn_squareplus",
    in_single(run.squareplus),
    lambda x, b: (x + _root(x, b)) / 2,
    lambda tangent, x, b: tangent * _squareplus_slope(x, b),
    lambda tangent, x, b: tangent * (0.25 / _root(x, b)),
)


def _soft_sign_third(x: Array) -> Array:
    return 6 / (1 + jnp.abs(x)) ** 4


_soft_sign = chain(
    "soft_sign",
    lambda x: x / (1 + jnp.abs(x)),
    *(run.soft_sign, run.soft_sign_slope, run.soft_sign_curvature),
    then=_soft_sign_third,
)


def squareplus(x: Shaped[ArrayLike, "*#shape"], b: Shaped[ArrayLike, "*#shape"] = 4) -> Float[Array, "*shape"]:
    """`(x + sqrt(x² + b)) / 2`, elementwise (Barron, https://arxiv.org/abs/2112.11687).

    This differs from `jax.nn.squareplus` in that nothing cancels left of 0, where that loses its digits, and all of
    them in float32 from about -8,000 down, and in that `x²` does not overflow.

    **Arguments:**

    - `x` real numbers, of any shape; integers are taken as floats.
    - `b` numbers that are not negative, of a shape that broadcasts with that of `x`. The bound of 3 ulps is for 0 and
      for `b` between `2**-60` and `2**60` in float32.

    **Returns:** the values, of the broadcast shape and the float dtype of `jax.numpy` promotion.

    ```python
    import jax
    import jax.numpy as jnp
    from stability import nn

    x = jnp.float32(-10_000)
    assert nn.squareplus(x) == jnp.float32(1e-4)
    assert jax.grad(nn.squareplus)(x) == jnp.float32(1e-8)
    ```
    """
    return applied(_squareplus, x, b)


def soft_sign(x: Shaped[ArrayLike, "*shape"]) -> Float[Array, "*shape"]:
    """`x / (1 + |x|)`, elementwise.

    This differs from `jax.nn.soft_sign` in its errors, in the second derivative, where that adds up terms that cancel,
    and in the limits: 1 and -1 at the infinities, not NaN. The second derivative at the kink at 0 is -2, from the
    right, as there.

    **Arguments:**

    - `x` real numbers, of any shape; integers are taken as floats.

    **Returns:** the values, of the shape and the float dtype of `x`.

    ```python
    import jax
    import jax.numpy as jnp
    from stability import nn

    assert nn.soft_sign(jnp.float32(jnp.inf)) == 1
    assert jax.grad(nn.soft_sign)(jnp.float32(-3)) == 1 / 16
    ```
    """
    return applied(_soft_sign, x)
