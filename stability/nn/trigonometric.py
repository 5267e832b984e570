"""The normalized sinc, whose value and first two derivatives keep their digits, near their roots as well.

`jax.numpy.sinc` rounds `π x` before it takes the sine, which at the root of 1,000,000 is off by 0.01, and its gradient
loses more near 0 and near its own roots.
"""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike

from stability.losses import Kernel
from stability.nn import _sinc as sincs
from stability.nn._elementwise import Function, applied

if TYPE_CHECKING:
    from jaxtyping import Float


def _widened(x: Array) -> Array:
    """A narrower array as float64, with the subnormals, which XLA on CPU takes for 0."""
    x = x.astype(jnp.float32)
    bits = lax.bitcast_convert_type(x, jnp.int32)
    size = (bits & 0x7FFFFF).astype(jnp.float64) * 2.0**-149
    return jnp.where((bits & 0x7F800000) == 0, jnp.where(bits < 0, -size, size), x.astype(jnp.float64))


def _in_double(wide: Function, doubled: Function) -> Function:
    """`wide` in float64 for narrower formats, and `doubled` for float64; whether `jax_enable_x64` is set or not."""

    @jax.jit
    def compiled(x: Array) -> Array:
        return doubled(x) if x.dtype == jnp.float64 else wide(_widened(x)).astype(x.dtype)

    @wraps(wide)
    def run(x: Array) -> Array:
        with jax.enable_x64(True):
            return compiled(x)

    return run


def _pi(x: Array) -> Array:
    return 4 * jnp.arctan(jnp.ones_like(x))


def _slope(x: Array) -> Array:
    return (jnp.cos(_pi(x) * x) - jnp.sinc(x)) / x


def _curvature(x: Array) -> Array:
    return -(_pi(x) ** 2 * jnp.sinc(x) + 2 * _slope(x) / x)


_THIRD = [
    float(term * (2 * k) * (2 * k - 1) * (2 * k - 2)) for k, term in enumerate(sincs.TERMS) if k > 1
]
"""`f'''(x) / x` in `x**2`."""


def _third(x: Array) -> Array:
    """`f'''` by its series for `|x| <= 1/2` and by the plain formula `-(π² c + 3 f'') / x` elsewhere."""
    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    near = jnp.abs(wide) <= 0.5
    t = jnp.where(near, wide, 0)
    series = t * sincs.horner(t * t, _THIRD[:12])
    far = jnp.where(near | jnp.isinf(wide), 1, wide)
    plain = -(np.pi**2 * jnp.cos(np.pi * far) + 3 * _curvature_kernel(far)) / far
    return jnp.where(near, series, jnp.where(jnp.isinf(wide), 0, plain)).astype(x.dtype)


_curvature_kernel = Kernel(
    "nn_sinc_curvature",
    _in_double(sincs.curvature, sincs.curvature_doubled),
    _curvature,
    lambda tangent, x: tangent * _third(x),
)
_slope_kernel = Kernel(
    "nn_sinc_slope",
    _in_double(sincs.slope, sincs.slope_doubled),
    _slope,
    lambda tangent, x: tangent * _curvature_kernel(x),
)
_value_kernel = Kernel(
    "nn_sinc",
    _in_double(sincs.value, sincs.value_doubled),
    lambda x: jnp.sinc(x),
    lambda tangent, x: tangent * _slope_kernel(x),
)


def sinc(x: Float[ArrayLike, "*shape"], /) -> Float[Array, "*shape"]:
    """`sin(πx) / (πx)`, and 1 at 0; a drop-in for `jax.numpy.sinc`.

    **Arguments:**

    - `x` real numbers of any shape.

    **Returns:** an array of the shape and float dtype of `x`. Values, first and second derivatives are within 1 ulp of
    the true ones in float16, bfloat16 and float32, and within 2 in float64, wherever those are normal: 0 at whole
    numbers, and with all their digits next to every root. At infinities they are 0. Computed in float64, and for float64
    in two words of it; the third derivative is that of a plain formula.

    **Raises:** `TypeError` for complex numbers.

    ```python
    import jax
    import jax.numpy as jnp
    from stability.nn import sinc

    x = jnp.float32(1.4302968)
    assert sinc(jnp.float32(1_000_000)) == 0
    assert jax.grad(sinc)(x) == jnp.float32(-2.3e-08)
    ```
    """
    return applied(_value_kernel, x)
