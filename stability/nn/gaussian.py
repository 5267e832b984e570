"""The Gaussian error linear unit, exact and by tanh, whose values and first two derivatives keep their digits.

`jax.nn.gelu` loses all digits of its gradient next to the root of `f'` at `x = -0.75179`, and of values and derivatives
in the tail of negative numbers, down to a derivative of exactly 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from stability.losses import Kernel
from stability.nn import _gaussian as gaussian
from stability.nn._elementwise import Function, applied, in_single, slope

if TYPE_CHECKING:
    from jaxtyping import Float


def _density(x: Array) -> Array:
    return jnp.exp(-x * x / 2) / jnp.sqrt(8 * jnp.arctan(jnp.ones_like(x)))


def _exact(x: Array) -> Array:
    return jax.nn.gelu(x, approximate=False)


def _exact_slope(x: Array) -> Array:
    return jax.scipy.special.ndtr(x) + x * _density(x)


def _exact_curvature(x: Array) -> Array:
    return (2 - x * x) * _density(x)


def _scale(x: Array) -> Array:
    """`2 sqrt(2 / π)`."""
    return jnp.sqrt(2 / jnp.arctan(jnp.ones_like(x)))


def _exponent(x: Array) -> Array:
    return _scale(x) * (x + 44715 * x**3 / 10**6)


def _exponent_slope(x: Array) -> Array:
    return _scale(x) * (1 + 3 * 44715 * x**2 / 10**6)


def _by_tanh(x: Array) -> Array:
    return x * jax.nn.sigmoid(_exponent(x))


def _by_tanh_slope(x: Array) -> Array:
    y = _exponent(x)
    return jax.nn.sigmoid(y) * (1 + x * _exponent_slope(x) * jax.nn.sigmoid(-y))


def _by_tanh_curvature(x: Array) -> Array:
    y, slope = _exponent(x), _exponent_slope(x)
    bend = _scale(x) * 6 * 44715 * x**2 / 10**6
    bracket = 2 * slope + bend - x * slope**2 * jnp.tanh(y / 2)
    return jax.nn.sigmoid(y) * jax.nn.sigmoid(-y) * bracket


def _third(curvature: Function, x: Array) -> Array:
    """As the plain formula has it, within a few ulps of its terms; beyond 40, where it is 0, of 40."""
    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    return slope(curvature)(jnp.clip(wide, -40, 40)).astype(x.dtype)


def _kernel(name: str, run: Function, formula: Function, derivative: Function) -> Kernel:
    return Kernel(f"nn_gelu_{name}", in_single(run), formula, lambda tangent, x: tangent * derivative(x))


_exact_kernel = _kernel(
    "exact",
    gaussian.exact,
    _exact,
    _kernel(
        "exact_slope",
        gaussian.exact_slope,
        _exact_slope,
        _kernel(
            "exact_curvature",
            gaussian.exact_curvature,
            _exact_curvature,
            lambda x: _third(_exact_curvature, x),
        ),
    ),
)
_by_tanh_kernel = _kernel(
    "by_tanh",
    gaussian.by_tanh,
    _by_tanh,
    _kernel(
        "by_tanh_slope",
        gaussian.by_tanh_slope,
        _by_tanh_slope,
        _kernel(
            "by_tanh_curvature",
            gaussian.by_tanh_curvature,
            _by_tanh_curvature,
            lambda x: _third(_by_tanh_curvature, x),
        ),
    ),
)


def gelu(x: Float[ArrayLike, "*shape"], approximate: bool = True) -> Float[Array, "*shape"]:
    """The Gaussian error linear unit, `x Φ(x)`, or its approximation by tanh; a drop-in for `jax.nn.gelu`.

    With `approximate`, `x (1 + tanh(u)) / 2` for `u = sqrt(2 / π) (x + 0.044715 x³)`, constants as written here, and
    not as rounded to the format (https://arxiv.org/abs/1606.08415).

    **Arguments:**

    - `x` real numbers of any shape.
    - `approximate` whether by tanh.

    **Returns:** an array of the shape and float dtype of `x`. Values, first and second derivatives are within 3 ulps of
    the true ones wherever those are normal, next to their roots as well, in float16, bfloat16 and float32; at
    infinities they are the limits. The third derivative is that of a plain formula.

    **Raises:** `TypeError` for complex numbers.

    ```python
    import jax
    import jax.numpy as jnp
    from stability.nn import gelu

    x = jnp.float32(-8)
    assert jax.grad(gelu)(x) == jnp.float32(-4.7147844e-20)
    ```
    """
    return applied(_by_tanh_kernel if approximate else _exact_kernel, x)
