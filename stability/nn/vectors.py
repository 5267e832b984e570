"""The length of a vector and the cosine distance of two, whose values and gradients keep their digits.

`jax.numpy.linalg.norm` squares what over- and underflows, and its gradient at 0 is NaN. `1 - cos` leaves nothing of the
distance of two vectors that point almost the same way, and less than nothing of its gradient. With `u = x / |x|`,
`w = y / |y|` and `h = y - x`,

    d = 1 - u w = |u - w|² / 2,    u - w = (x (h (x + y)) / (|x| + |y|) - h |x|) / (|x| |y|),
    ∂d/∂x = ((u - w) - d u) / |x|.

All is computed in float64 for narrower formats, vectors scaled by a power of two before they are squared. The
derivatives of the gradients are composed of such functions in the format of the arguments.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from stability.losses import Kernel
from stability.nn._double import Linear, in_double, widened
from stability.nn._elementwise import floats
from stability.nn._layout import Axis, rows_last

if TYPE_CHECKING:
    from jaxtyping import Float


def _sum(x: Array) -> Array:
    return jnp.sum(x, axis=-1, keepdims=True)


def _scaled(x: Array) -> tuple[Array, Array | int]:
    """`x` in float64, and `k`: float64 itself over a power of two `2**k` near its largest number.

    An infinite number is ±1 and leaves 0 of the others.
    """
    wide = widened(x)
    largest = jnp.max(jnp.abs(wide), axis=-1, keepdims=True)
    limit = jnp.where(jnp.isinf(wide), jnp.sign(wide), 0)
    if x.dtype != jnp.float64:
        return jnp.where(jnp.isinf(largest), limit, wide), 0
    _, k = jnp.frexp(jnp.where(jnp.isfinite(largest) & (largest > 0), largest, 1))
    return jnp.where(jnp.isinf(largest), limit, jnp.ldexp(wide, -k)), k


def _power(x: Array, k: Array | int) -> Array:
    """`x * 2**k`."""
    return x if isinstance(k, int) else jnp.ldexp(x, k)


def _over(x: Array, size: Array) -> Array:
    """`x / size`, and 0 where that is 0."""
    return jnp.where(size == 0, 0, x / jnp.where(size == 0, 1, size))


def _with_size(x: Array, plain: Callable[[Array, Array], Array], careful: Callable[[Array], Array]) -> Array:
    """`plain(x, |x|)` where float64 has the squares of all that `x` may be, and else, for all rows, `careful(x)`.

    XLA on CPU adds up what is chosen element by element, as subnormals and infinities ask for, many times as slowly.
    """
    if x.dtype == jnp.float64:
        return careful(x)
    wide = x.astype(jnp.float64)
    size = lax.optimization_barrier(jnp.sqrt(_sum(wide * wide)))
    ordinary = (size > 1e-25) & (size < jnp.inf)
    return lax.cond(
        ordinary.all(), lambda x, size: plain(x, size).astype(x.dtype), lambda x, _: careful(x).astype(x.dtype), x, size
    )


def _length(x: Array) -> Array:
    def careful(x: Array) -> Array:
        small, k = _scaled(x)
        infinite = jnp.isinf(jnp.max(jnp.abs(x), axis=-1, keepdims=True))
        return jnp.where(infinite, jnp.inf, _power(jnp.sqrt(_sum(small * small)), k))

    return _with_size(x, lambda _, size: size, careful)


def _unit(x: Array) -> Array:
    def careful(x: Array) -> Array:
        small, _ = _scaled(x)
        return _over(small, jnp.sqrt(_sum(small * small)))

    return _with_size(x, lambda x, size: widened(x) * lax.optimization_barrier(1 / size), careful)


def _turned(v: Array, x: Array) -> Array:
    """`(v - u (u v)) / |x|`."""
    small, k = _scaled(x)
    size = jnp.sqrt(_sum(small * small))
    u, v = _over(small, size), widened(v)
    return _power(_over(v - u * _sum(u * v), size), -k)


def _gap(x: Array, y: Array) -> tuple[Array, Array, Array]:
    """`u - w`, and `u` and `|x|` of the scaled `x`; `y` is brought to about the length of `x` by a power of two."""
    (x, _), (y, _) = _scaled(x), _scaled(y)
    a, b = jnp.sqrt(_sum(x * x)), jnp.sqrt(_sum(y * y))
    _, more = jnp.frexp(_over(a, b) * math.sqrt(0.5))
    y, b = jnp.ldexp(y, more), jnp.ldexp(b, more)
    h = y - x
    return _over(_over(x * _sum(h * (x + y)), a + b) - h * a, a * b), _over(x, a), a


def _difference(x: Array, y: Array) -> Array:
    return _gap(x, y)[0]


def _nonzero(x: Array, y: Array) -> Array:
    return (jnp.max(jnp.abs(widened(x)), axis=-1, keepdims=True) > 0) & (
        jnp.max(jnp.abs(widened(y)), axis=-1, keepdims=True) > 0
    )


def _distance(x: Array, y: Array) -> Array:
    gap, _, _ = _gap(x, y)
    return jnp.where(_nonzero(x, y), _sum(gap * gap) / 2, 1)


def _distance_slope(x: Array, y: Array) -> Array:
    gap, u, a = _gap(x, y)
    _, k = _scaled(x)
    slope = _power(_over(gap - u * (_sum(gap * gap) / 2), a), -k)
    return jnp.where(_nonzero(x, y), slope, 0)


def _true_length(x: Array) -> Array:
    return jnp.sqrt(_sum(x * x))


def _true_unit(x: Array) -> Array:
    return x / _true_length(x)


def _true_cosine(x: Array, y: Array) -> Array:
    return _sum(_true_unit(x) * _true_unit(y))


def _one(x: Any, *_: Any) -> Any:
    """The abstract array of shape `(..., 1)`."""
    return x.update(shape=(*x.shape[:-1], 1))


def _turned_by_vector(tangent: Array, v: Array, x: Array) -> Array:
    def composed(x: Array) -> Array:
        u = _unit_kernel(x)
        return _over(v - u * _sum(u * v), _length_kernel(x))

    return jax.jvp(composed, (x,), (tangent,))[1]


_turned_kernel: Kernel = Linear(
    "nn_rows_unit_tangent",
    in_double(_turned),
    lambda v, x: (v - _true_unit(x) * _sum(_true_unit(x) * v)) / _true_length(x),
    _turned_by_vector,
    transpose=lambda: _turned_kernel,
)
_unit_kernel = Kernel("nn_rows_unit", in_double(_unit), _true_unit, lambda tangent, x: _turned_kernel(tangent, x))
_length_kernel = Kernel(
    "nn_rows_norm", in_double(_length), _true_length, lambda tangent, x: _sum(_unit_kernel(x) * tangent), abstract=_one
)
_difference_kernel = Kernel(
    "nn_rows_unit_difference",
    in_double(_difference),
    lambda x, y: _true_unit(x) - _true_unit(y),
    lambda tangent, x, y: _turned_kernel(tangent, x),
    lambda tangent, x, y: -_turned_kernel(tangent, y),
)


def _composed_slope(x: Array, y: Array) -> Array:
    return _over(_difference_kernel(x, y) - _unit_kernel(x) * _distance_kernel(x, y), _length_kernel(x))


_distance_slope_kernel = Kernel(
    "nn_rows_cosine_distance_slope",
    in_double(_distance_slope),
    lambda x, y: (_true_unit(x) * _true_cosine(x, y) - _true_unit(y)) / _true_length(x),
    lambda tangent, x, y: jax.jvp(lambda x: _composed_slope(x, y), (x,), (tangent,))[1],
    lambda tangent, x, y: jax.jvp(lambda y: _composed_slope(x, y), (y,), (tangent,))[1],
)
_distance_kernel: Kernel = Kernel(
    "nn_rows_cosine_distance",
    in_double(_distance),
    lambda x, y: 1 - _true_cosine(x, y),
    lambda tangent, x, y: _sum(_distance_slope_kernel(x, y) * tangent),
    lambda tangent, x, y: _sum(_distance_slope_kernel(y, x) * tangent),
    abstract=_one,
)


def norm(
    x: Float[ArrayLike, "*shape"], ord: int | None = None, axis: Axis = None, keepdims: bool = False
) -> Float[Array, "*batch"]:
    """`sqrt(Σ_j x_j²)`, the Euclidean length; a drop-in for `jax.numpy.linalg.norm` of vectors.

    **Arguments:**

    - `x` real numbers.
    - `ord` `None` or 2.
    - `axis` one axis, several (their length together, the Frobenius norm of two), or `None` for all.
    - `keepdims` whether reduced axes stay, with size 1.

    **Returns:** an array of the float dtype of `x`. In float16, bfloat16 and float32, values and gradients are within 1
    ulp of the true ones wherever those are normal, in float64 within 3: squares neither over- nor underflow. The
    gradient, `x / |x|`, is 0 at 0; of infinite numbers it is the limit at the same pace.

    **Raises:** `TypeError` for complex numbers; `ValueError` for another `ord`, also for 2 along several axes, and for
    an axis that is not there.

    ```python
    import jax
    import jax.numpy as jnp
    from stability.nn import norm

    assert jax.grad(norm)(jnp.float32([0, 0])).tolist() == [0, 0]
    assert norm(jnp.float32([3e-30, 4e-30])) == jnp.float32(5e-30)
    ```
    """
    (array,), _ = floats(x)
    several = array.ndim if axis is None else len(axis) if isinstance(axis, tuple) else 1
    if ord is not None and (ord != 2 or several != 1):
        raise ValueError(
            f"ord {ord} along {several} axes is not the length of a vector; jax.numpy.linalg.norm has others"
        )
    rows, restore = rows_last(array, axis)
    if rows.shape[-1] == 0:
        return restore(jnp.zeros((*rows.shape[:-1], 1), array.dtype), keepdims)
    return restore(_length_kernel(rows), keepdims)


def cosine_distance(
    x: Float[ArrayLike, "*#shape"], y: Float[ArrayLike, "*#shape"], axis: Axis = -1
) -> Float[Array, "*batch"]:
    """`1 - x y / (|x| |y|)`, by the difference of the directions, which keeps its digits where they are nearly one.

    **Arguments:**

    - `x`, `y` real numbers, of shapes that broadcast.
    - `axis` along which the vectors lie, one or several, or `None` for all.

    **Returns:** the distances, from 0 to 2, of the promoted float dtype, without the axis. In float16, bfloat16 and
    float32, values and gradients are within 1 ulp of the true ones wherever those are normal, as long as a gradient is
    not a difference of terms `2**24` times as large, and unless the vectors are multiples of each other but for a few
    parts in `2**40`. 1 with gradient 0 where a vector is 0.

    **Raises:** `TypeError` for complex numbers; `ValueError` for shapes that do not broadcast, or an axis that is not
    there.

    ```python
    import jax
    import jax.numpy as jnp
    from stability.nn import cosine_distance

    x, y = jnp.float32([1, 1e-4]), jnp.float32([1, 0])
    assert 1 - x @ y / (jnp.linalg.norm(x) * jnp.linalg.norm(y)) == 0
    assert cosine_distance(x, y) == jnp.float32(4.9999995e-09)
    ```
    """
    (first, second), _ = floats(x, y)
    rows, restore = rows_last(first, axis)
    others, _ = rows_last(second, axis)
    return restore(_distance_kernel(rows, others), False)
