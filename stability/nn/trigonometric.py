"""The normalized sinc, whose value and first two derivatives keep their digits, near their roots as well.

`jax.numpy.sinc` rounds `π x` before it takes the sine, which at the root of 1,000,000 is off by 0.01, and its gradient
loses more near 0 and near its own roots.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from stability.losses import Kernel
from stability.nn import _sinc as sincs
from stability.nn._double import in_double, widened
from stability.nn._elementwise import Function, applied

if TYPE_CHECKING:
    from jaxtyping import Float


def _kernel(name: str, wide: Function, doubled: Function, formula: Function, derivative: Function) -> Kernel:
    """In float64 for narrower formats, and in two words of it for float64."""

    def run(x: Array) -> Array:
        return doubled(x) if x.dtype == jnp.float64 else wide(widened(x))

    return Kernel(name, in_double(run), formula, lambda tangent, x: tangent * derivative(x))


def _pi(x: Array) -> Array:
    return 4 * jnp.arctan(jnp.ones_like(x))


def _slope(x: Array) -> Array:
    return (jnp.cos(_pi(x) * x) - jnp.sinc(x)) / x


def _curvature(x: Array) -> Array:
    return -(_pi(x) ** 2 * jnp.sinc(x) + 2 * _slope(x) / x)


_THIRD = [float(term * (2 * k) * (2 * k - 1) * (2 * k - 2)) for k, term in enumerate(sincs.TERMS) if k > 1]
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


_curvature_kernel = _kernel("nn_sinc_curvature", sincs.curvature, sincs.curvature_doubled, _curvature, _third)
_slope_kernel = _kernel("nn_sinc_slope", sincs.slope, sincs.slope_doubled, _slope, _curvature_kernel)
_value_kernel = _kernel("nn_sinc", sincs.value, sincs.value_doubled, lambda x: jnp.sinc(x), _slope_kernel)


def sinc(x: Float[ArrayLike, "*shape"], /) -> Float[Array, "*shape"]:
    """`sin(πx) / (πx)`, and 1 at 0; a drop-in for `jax.numpy.sinc`.

    **Arguments:**

    - `x` real numbers of any shape.

    **Returns:** an array of the shape and float dtype of `x`. Values, first and second derivatives are within 1 ulp of
    the true ones in float16, bfloat16 and float32, and within 2 in float64, wherever those are normal: 0 at whole
    numbers, and with all their digits next to every root. At infinities they are 0. Computed in float64, and for
    float64 in two words of it; the third derivative is that of a plain formula.

    **Raises:** `TypeError` for complex numbers.

    ```python
    import jax
    import jax.numpy as jnp
    from stability.nn import sinc

    x = jnp.float32(1.4302968)
    assert sinc(jnp.float32(1_000_000)) == 0
    assert jax.grad(sinc)(x) == jnp.float32(2.6919048e-07)  # jnp.sinc: 4.45e-07
    ```
    """
    return applied(_value_kernel, x)
