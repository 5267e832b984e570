"""Softmax, its logarithm and logsumexp along an axis, whose values and gradients keep their digits.

For `z_1 ... z_n` with `p_k = e^{z_k} / Σ_j e^{z_j}`, the gradients of `jax.nn` take `1 - p_k` and `v_k - Σ_j p_j v_j`
as they stand, which leaves nothing of them where one class is likely, and rounds each `p_j` before it is added up. Here
all is computed in float64 for narrower formats, tangents less that of a likely class, and `1 - p` as a sum of the other
classes (`stability.losses.shares`).

The derivatives of these gradients are composed of them in the format of the arguments.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from stability import double_word
from stability.losses import Kernel, shares
from stability.nn._double import Linear, in_double
from stability.nn._elementwise import floats
from stability.nn._layout import Axis, rows_last

if TYPE_CHECKING:
    from jaxtyping import Bool, Float


def _sum(x: Array) -> Array:
    return jnp.sum(x, axis=-1, keepdims=True)


def _max(x: Array) -> Array:
    return jnp.max(x, axis=-1, keepdims=True)


def _exponentials(z: Array, m: Array | None = None) -> Array:
    """`e^(z - m)` in float64, `m` being the maximum."""
    m = _max(z) if m is None else m
    if z.dtype != jnp.float64:
        return jnp.exp(z.astype(jnp.float64) - m.astype(jnp.float64))
    d, rest = double_word.two_sum(z, -m)
    return jnp.where(d > -800, jnp.exp(d) * (1 + rest), jnp.where(jnp.isnan(d), d, 0))


def _once(values: Any) -> Any:
    """What a row has, computed once a row, where XLA on CPU would do it for each of its elements; and arrays of which
    the exponentials are computed again, where it would keep those of another kernel in memory, in float64."""
    return lax.optimization_barrier(values)


def _share(z: Array) -> Array:
    e = _exponentials(_once(z))
    return e / _sum(e)


def _centred(v: Array, z: Array) -> tuple[Array, Array, Array]:
    """`e^(z - max z)`, `w = v - c` and `Σ_j p_j w_j`, `c` a mean of `v` by weights `p**64`: by a likely class alone."""
    v, e = v.astype(jnp.float64), _exponentials(z)
    weights = jnp.exp(64 * (z - _max(z))).astype(jnp.float64)
    w = v - _sum(weights * v) / _sum(weights)
    return e, w, _sum(e * w) / _sum(e)


def _share_tangent(v: Array, z: Array) -> Array:
    e, w, mean = _centred(*_once((v, z)))
    return e * (w - mean) / _sum(e)


def _log_tangent(v: Array, z: Array) -> Array:
    _, w, mean = _centred(*_once((v, z)))
    return w - mean


def _log_cotangent(c: Array, z: Array) -> Array:
    """`c_k - p_k Σ_j c_j`; where `p_k` is more than 1/2, `1 - p_k` is the sum of the others."""
    rest = shares.rest(z if z.dtype == jnp.float64 else z.astype(jnp.float32)).astype(jnp.float64)
    c, z = _once((c, z))
    total, m, whole = _sum(c.astype(jnp.float64)), _max(z), _sum(_exponentials(z))
    rest = jnp.where(rest > 2.0**-20, (whole - 1) / whole, rest)
    c, z, m, total, rest, scale = _once((c, z, m, total, rest, total / whole))
    c = c.astype(jnp.float64)
    return jnp.where((z == m) & (rest < 0.5), (c - total) + rest * total, c - _exponentials(z, m) * scale)


def _log_share(z: Array) -> Array:
    if z.dtype == jnp.float64:
        return -shares.surprisal(z)
    m, (high, low) = shares.log_sum(z.astype(jnp.float32))
    m, logarithm = _once((m.astype(jnp.float64), high.astype(jnp.float64) + low.astype(jnp.float64)))
    return (z.astype(jnp.float64) - m) - logarithm


def _log_sum(z: Array) -> Array:
    """In float64 for narrower formats, but where the maximum hides the others, whose sum may yet be all there is."""
    if z.dtype == jnp.float64:
        m, logarithm = shares.log_sum(z)
        return jnp.where(jnp.isfinite(m), shares.plus(m, logarithm), _max(z))
    m = _max(z).astype(jnp.float64)
    whole = _sum(_exponentials(z))
    hidden = (whole < 1 + 2.0**-24) & (jnp.abs(m) < 4)

    def again(z: Array, result: Array) -> Array:
        m, logarithm = shares.log_sum(z.astype(jnp.float32))
        return jnp.where(hidden, shares.plus(m, logarithm), result)

    result = jnp.where(jnp.isinf(m), m, m + jnp.log(whole)).astype(jnp.float32)
    return lax.cond(hidden.any(), again, lambda _, result: result, z, result)


def _true_log_sum(z: Array) -> Array:
    return _max(z) + jnp.log(_sum(jnp.exp(z - _max(z))))


def _true_log_share(z: Array) -> Array:
    return z - _true_log_sum(z)


def _true_share(z: Array) -> Array:
    return jnp.exp(_true_log_share(z))


def _plain(kernel: Callable[[Array], Array], v: Array, z: Array) -> Array:
    """`v_k - Σ_j p_j v_j`."""
    return v - _sum(kernel(z) * v)


def _by_logits(linear: Callable[..., Array]) -> Callable[..., Array]:
    """The derivative of a map of `(v, z)` by `z`, as its plain form in kernels has it."""

    def rule(tangent: Array, v: Array, z: Array) -> Array:
        return jax.jvp(lambda z: linear(v, z), (z,), (tangent,))[1]

    return rule


_share_tangent_kernel: Kernel = Linear(
    "nn_rows_softmax_tangent",
    in_double(_share_tangent),
    lambda v, z: _true_share(z) * _plain(_true_share, v, z),
    _by_logits(lambda v, z: _share_kernel(z) * _plain(_share_kernel, v, z)),
    transpose=lambda: _share_tangent_kernel,
)
_share_kernel: Kernel = Kernel(
    "nn_rows_softmax",
    in_double(_share),
    _true_share,
    lambda tangent, z: _share_tangent_kernel(tangent, z),
)
_log_tangent_kernel: Kernel = Linear(
    "nn_rows_log_softmax_tangent",
    in_double(_log_tangent),
    lambda v, z: _plain(_true_share, v, z),
    _by_logits(lambda v, z: _plain(_share_kernel, v, z)),
    transpose=lambda: _log_cotangent_kernel,
)
_log_cotangent_kernel: Kernel = Linear(
    "nn_rows_log_softmax_cotangent",
    in_double(_log_cotangent),
    lambda c, z: c - _true_share(z) * _sum(c),
    _by_logits(lambda c, z: c - _share_kernel(z) * _sum(c)),
    transpose=lambda: _log_tangent_kernel,
)
_log_share_kernel = Kernel(
    "nn_rows_log_softmax",
    in_double(_log_share),
    _true_log_share,
    lambda tangent, z: _log_tangent_kernel(tangent, z),
)


def _log_sum_tangent(v: Array, z: Array) -> Array:
    """`Σ_j p_j v_j`, and 0 where there is no class."""
    return _sum(jnp.where(_max(z) == -jnp.inf, 0, _share_kernel(z)) * v)


_log_sum_kernel = Kernel(
    "nn_rows_logsumexp",
    in_double(_log_sum),
    _true_log_sum,
    _log_sum_tangent,
    abstract=lambda z: z.update(shape=(*z.shape[:-1], 1)),
)


def _masked(x: ArrayLike, where: ArrayLike | None) -> Array:
    """`x` as floats, `-inf` where it does not count."""
    if where is None:
        return floats(x)[0][0]
    where = jnp.asarray(where, bool)
    (array,), _ = floats(x)
    return jnp.where(where, array, -jnp.inf)


def softmax(
    x: Float[ArrayLike, "*shape"], axis: Axis = -1, where: Bool[ArrayLike, "*#shape"] | None = None
) -> Float[Array, "*shape"]:
    """`p_k = e^{x_k} / Σ_j e^{x_j}` along `axis`; a drop-in for `jax.nn.softmax`.

    **Arguments:**

    - `x` real numbers.
    - `axis` one axis, several, or `None` for all.
    - `where` booleans, true for what counts, of a shape that broadcasts with that of `x`.

    **Returns:** an array of the shape and float dtype of `x`, 0 where `where` is false. In float16, bfloat16 and
    float32, values and gradients are within 1 ulp of the true ones wherever those are normal, as long as a gradient is
    not a difference of terms `2**24` times as large. NaN along an axis with a NaN, with `+inf`, or with `-inf` only.

    **Raises:** `TypeError` for complex numbers; `ValueError` for an axis that is not there.

    ```python
    import jax
    import jax.numpy as jnp
    from stability.nn import softmax

    x = jnp.float32([20, 0])
    assert jax.grad(lambda x: jax.nn.softmax(x)[0])(x)[0] == 0
    assert jax.grad(lambda x: softmax(x)[0])(x).tolist() == [2.06115369216775e-09, -2.06115369216775e-09]
    ```
    """
    z = _masked(x, where)
    if z.size == 0:
        return z
    rows, restore = rows_last(z, axis)
    p = restore(_share_kernel(rows))
    return p if where is None else jnp.where(where, p, 0)


def log_softmax(
    x: Float[ArrayLike, "*shape"], axis: Axis = -1, where: Bool[ArrayLike, "*#shape"] | None = None
) -> Float[Array, "*shape"]:
    """`log p_k = x_k - log Σ_j e^{x_j}` along `axis`; a drop-in for `jax.nn.log_softmax`.

    **Arguments:**

    - `x`, `axis`, `where` as for `softmax`.

    **Returns:** an array of the shape and float dtype of `x`, `-inf` where `where` is false. In float16, bfloat16 and
    float32, values and gradients are within 3 ulps of the true ones wherever those are normal, as long as a gradient is
    not a difference of terms `2**24` times as large. NaN as `softmax`.

    **Raises:** as `softmax`.

    ```python
    import jax
    import jax.numpy as jnp
    from stability.nn import log_softmax

    x = jnp.float32([20, 0])
    assert jax.nn.log_softmax(x)[0] == 0
    assert log_softmax(x)[0] == jnp.float32(-2.0611537e-09)
    assert jax.grad(lambda x: log_softmax(x)[0])(x)[0] == jnp.float32(2.0611536e-09)
    ```
    """
    z = _masked(x, where)
    if z.size == 0:
        return z
    rows, restore = rows_last(z, axis)
    log_p = restore(_log_share_kernel(rows))
    return log_p if where is None else jnp.where(where, log_p, -jnp.inf)


def logsumexp(
    a: Float[ArrayLike, "*shape"],
    axis: Axis = None,
    b: None = None,
    keepdims: bool = False,
    return_sign: bool = False,
    where: Bool[ArrayLike, "*#shape"] | None = None,
) -> Float[Array, "*batch"]:
    """`log Σ_j e^{a_j}` along `axis`; a drop-in for `jax.nn.logsumexp`, but for its weights `b` and `return_sign`.

    **Arguments:**

    - `a`, `where` as `x` and `where` for `softmax`.
    - `axis` one axis, several, or `None` for all.
    - `keepdims` whether reduced axes stay, with size 1.
    - `b`, `return_sign` are there for their places and must be left as they are.

    **Returns:** an array of the float dtype of `a`. In float16, bfloat16 and float32, values are within 3 ulps of the
    true ones, as long as the maximum and the rest do not cancel by more than `2**20`, and gradients, which are
    `softmax`, within 1 ulp. `-inf` where all are, with gradient 0.

    **Raises:** as `softmax`; `ValueError` for `b` or `return_sign`.

    ```python
    import jax.numpy as jnp
    from stability.nn import logsumexp

    assert logsumexp(jnp.float32([0, -50])) == jnp.float32(1.9287499e-22)
    ```
    """
    if b is not None or return_sign:
        raise ValueError("b and return_sign are not supported; jax.nn.logsumexp has them")
    z = _masked(a, where)
    rows, restore = rows_last(z, axis)
    if rows.shape[-1] == 0:
        return restore(jnp.full((*rows.shape[:-1], 1), -jnp.inf, z.dtype), keepdims)
    return restore(_log_sum_kernel(rows), keepdims)
