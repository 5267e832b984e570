"""The binary cross-entropy of logits, and its gradients, rounded correctly wherever the format can decide it.

`L(z, y) = max(z, 0) - z y + log(1 + e^-|z|)`, `dL/dz = σ(z) - y`, `dL/dy = -z`, `d²L/dz² = σ(z) σ(-z)`. Each of them is
computed by `_logistic` to many more bits than the format has and rounded once, subnormal results included.

| result | labels | error, in ulps of the true value |
|---|---|---|
| float16, bfloat16 | any in [0, 1] | 1/2 |
| float32 | 0 and 1 | 1/2 |
| float32 | any in [0, 1] | 1 at most, also where `σ(z)` is next to the label |
| float64 | 0 and 1 | 0.51 |
| float64 | any in [0, 1] | 0.51 ulps of the larger of the result and `2**-8` of the label |

Nothing needs `jax_enable_x64`: float64 is used inside, and what comes out has the dtype that went in. On hardware
without float64 (a TPU emulates it), `arithmetic="compensated"` computes in pairs of float32, to about `2**-44` of the
larger of result and label: 0.5001 ulps for float32 at labels 0 and 1; the 16-bit formats are then rounded twice, which
gives 0.501.

`grad`, `jvp`, `vjp`, `hessian`, `vmap`, `jit`, `lax.scan`, `shard_map` and `checkpoint` apply. Two limits are XLA's: a
cotangent other than 1 multiplies the gradient afterwards, in the format, and that product is flushed where it is
subnormal; and float32 labels (not integers or booleans) have a second, slower path for logits where `σ(z)` and the
label agree to 26 bits, taken for all of a block of 2**13 elements that has such a logit, a NaN, or an infinite label;
where JAX has more than one device, for the whole array.

**Special values.** An infinite logit gives the limit; NaN gives NaN. A label outside [0, 1] is taken as it is: the
formulas hold, and the value can cancel where it changes its sign.

Formulas: the course note's derivation (`stability.study.sigmoid.forms`), in the form of
`optax.sigmoid_binary_cross_entropy`, whose signature these functions have.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from stability.formats import FORMATS, format_of
from stability.losses import _logistic as logistic
from stability.losses._kernel import Kernel

if TYPE_CHECKING:
    from jaxtyping import Float, Shaped

ARITHMETICS = ("float64", "compensated")

_BLOCK = 1 << 13
"""So many elements are taken again at once."""


def _special_gradient(z: Array, y: Array, result: Array) -> Array:
    """The limits: infinite arguments, and NaN, which the two words of an infinity would turn into NaN."""
    plain = jnp.where(z > 0, 1 - y, -y) + jnp.where(jnp.isnan(z), z, 0)
    return jnp.where(~jnp.isnan(z) & jnp.isfinite(y), result, plain)


def _special_value(z: Array, y: Array, result: Array) -> Array:
    weight = jnp.where(z > 0, 1 - y, -y)
    plain = jnp.where(weight == 0, 0, weight * z) + jnp.where(jnp.isnan(z), z, 0)
    return jnp.where(jnp.isfinite(result), result, plain.astype(result.dtype))


def _to_single(x: Array) -> Array:
    if x.dtype != jnp.bfloat16:
        return x.astype(jnp.float32)
    return lax.bitcast_convert_type(lax.bitcast_convert_type(x, jnp.uint16).astype(jnp.uint32) << 16, jnp.float32)


def _from_single(x: Array, dtype: jnp.dtype) -> Array:
    if dtype != jnp.bfloat16:
        return x.astype(dtype)
    bits = lax.bitcast_convert_type(x, jnp.uint32)
    rounded = (bits + jnp.uint32(0x7FFF) + ((bits >> 16) & jnp.uint32(1))) >> 16
    return lax.bitcast_convert_type(jnp.where(jnp.isnan(x), jnp.uint32(0x7FC0), rounded).astype(jnp.uint16), dtype)


def _gradient(z: Array, y: Array, whole: bool) -> Array:
    """By float64. `whole`: the labels are integers, so that nothing cancels.

    Where base and term cancel stands infinity, until `again` has replaced it.
    """
    fmt = format_of(z.dtype)
    wide_z, wide_y = logistic.widen(z), logistic.widen(y)
    value, cancels = logistic.gradient(wide_z, wide_y)
    result = logistic.narrow(value, fmt)
    if whole or fmt.bits == 16:
        return result

    def again(z: Array, y: Array, result: Array) -> Array:
        v, j = logistic.gradient_doubled(logistic.widen(z), logistic.widen(y), logistic.FULL)
        exact = logistic.to_odd(*v) * logistic.power(-j, FORMATS["float64"])
        return jnp.where((result == jnp.inf) & (y > -jnp.inf), logistic.narrow(exact, fmt), result)

    return _where_not_finite(again, z, y, jnp.where(cancels, jnp.inf, result))


def _where_not_finite(again: Callable[..., Array], *arrays: Array) -> Array:
    """The last of the arrays, and `again(*arrays)` in those blocks of it that are not finite throughout.

    Sums tell, for which XLA on CPU needs no other array in memory. (The maximum does not: in jax 0.10.2 a NaN makes it
    forget others.) Arrays that may lie on several devices are one block, so that all of them stay where they are.
    """
    *others, result = arrays
    marked = ~jnp.isfinite(result.sum())
    if result.size <= _BLOCK or jax.device_count() > 1:
        return lax.cond(marked, again, lambda *arrays: arrays[-1], *arrays)
    others, flat = [x.ravel() for x in others], result.ravel()
    starts = jnp.minimum(jnp.arange(-(-flat.size // _BLOCK)) * _BLOCK, flat.size - _BLOCK)

    def block(x: Array, start: Array) -> Array:
        return lax.dynamic_slice_in_dim(x, start, _BLOCK)

    def each(result: Array) -> Array:
        return lax.map(lambda start: jnp.isfinite(block(result, start).sum()), starts)

    def step(state: tuple[Array, Array]) -> tuple[Array, Array]:
        done, result = state
        k = lax.argmin(done, 0, jnp.int32)
        new = again(*(block(x, starts[k]) for x in (*others, result)))
        return done.at[k].set(True), lax.dynamic_update_slice_in_dim(result, new, starts[k], 0)

    done = lax.cond(marked, each, lambda _: (starts >= 0) | marked, flat)
    return lax.while_loop(lambda state: ~state[0].all(), step, (done, flat))[1].reshape(result.shape)


def _twice(kernel: Callable[..., tuple[Any, Array]], special: Callable[..., Array], z: Array, *labels: Array) -> Array:
    """By two words of the format: a `*_doubled` kernel, encoded."""
    v, j = kernel(z, *labels, logistic.FLOAT32 if z.dtype == jnp.float32 else logistic.FLOAT64)
    return special(z, *labels, logistic.encode(v, j))


def _special_curvature(z: Array, result: Array) -> Array:
    return jnp.where(jnp.isnan(z), z, result)


_KERNELS: dict[str, tuple[Callable[..., tuple[Any, Array]], Callable[..., Array]]] = {
    "gradient": (logistic.gradient_doubled, _special_gradient),
    "value": (logistic.value_doubled, _special_value),
    "curvature": (logistic.curvature_doubled, _special_curvature),
}


@partial(jax.jit, static_argnames=("name", "arithmetic", "whole"))
def _compiled(*arguments: Array, name: str, arithmetic: str, whole: bool) -> Array:
    dtype = arguments[0].dtype
    if dtype == jnp.float64:
        return _twice(*_KERNELS[name], *arguments)
    if arithmetic == "compensated":
        return _from_single(_twice(*_KERNELS[name], *(_to_single(x) for x in arguments)), dtype)
    if name == "gradient":
        return _gradient(arguments[0], arguments[1], whole)
    kernel = logistic.value if name == "value" else logistic.curvature
    return logistic.narrow(kernel(*(logistic.widen(x) for x in arguments)), format_of(dtype))


def _run(name: str, *arguments: Array, arithmetic: str, whole: bool) -> Array:
    with jax.enable_x64(arithmetic == "float64" or arguments[0].dtype == jnp.float64):
        return _compiled(*arguments, name=name, arithmetic=arithmetic, whole=whole)


def _kernel(name: str, formula: Callable[..., Array], *derivatives: Callable) -> Kernel:
    return Kernel(f"sigmoid_binary_cross_entropy_{name}", partial(_run, name), formula, *derivatives)


def _third(z: Array, arithmetic: str, **_: Any) -> Array:
    slope = _gradient_kernel(z, jnp.full_like(z, 0.5), arithmetic=arithmetic, whole=False)
    return -2 * _curvature_kernel(z, arithmetic=arithmetic, whole=True) * slope


_curvature_kernel = _kernel(
    "curvature", lambda z: jax.nn.sigmoid(z) * jax.nn.sigmoid(-z), lambda dz, z, **kw: _third(z, **kw) * dz
)
_gradient_kernel = _kernel(
    "gradient",
    lambda z, y: jax.nn.sigmoid(z) - y,
    lambda dz, z, y, arithmetic, whole: _curvature_kernel(z, arithmetic=arithmetic, whole=True) * dz,
    lambda dy, z, y, **kw: -dy,
)
_value_kernel = _kernel(
    "value",
    lambda z, y: jnp.maximum(z, 0) - z * y + jnp.log1p(jnp.exp(-jnp.abs(z))),
    lambda dz, z, y, **kw: _gradient_kernel(z, y, **kw) * dz,
    lambda dy, z, y, **kw: -z * dy,
)


def _prepared(logits: ArrayLike, labels: ArrayLike, arithmetic: str) -> tuple[Array, Array, bool, bool]:
    """The arguments broadcast and in one dtype, whether the labels are integers, and whether the result is weak."""
    if arithmetic not in ARITHMETICS:
        raise ValueError(f"arithmetic {arithmetic!r} is not one of {', '.join(ARITHMETICS)}")
    z, y = jnp.asarray(logits), jnp.asarray(labels)
    if not jnp.issubdtype(z.dtype, jnp.floating):
        raise TypeError(f"logits are {z.dtype.name}; they must be floats ({', '.join(FORMATS)})")
    if jnp.issubdtype(y.dtype, jnp.complexfloating):
        raise TypeError(f"labels are {y.dtype.name}; they must be real")
    try:
        promoted = jax.eval_shape(jnp.add, logits, labels)
    except (TypeError, ValueError):
        raise ValueError(f"logits of shape {z.shape} and labels of shape {y.shape} do not broadcast") from None
    dtype, shape = promoted.dtype, promoted.shape
    if dtype.name not in FORMATS:
        raise TypeError(f"logits {z.dtype.name} and labels {y.dtype.name} give {dtype.name}, not {', '.join(FORMATS)}")
    whole = not jnp.issubdtype(y.dtype, jnp.floating)
    z, y = (jnp.broadcast_to(x.astype(dtype), shape) for x in (z, y))
    return z, y, whole, promoted.weak_type


def _weakened(x: Array, weak: bool) -> Array:
    if not weak:
        return x
    return lax.convert_element_type_p.bind(x, new_dtype=x.dtype, weak_type=True, sharding=None)


def sigmoid_binary_cross_entropy(
    logits: Float[ArrayLike, "*#shape"], labels: Shaped[ArrayLike, "*#shape"], *, arithmetic: str = "float64"
) -> Float[Array, "*shape"]:
    """`L(z, y) = max(z, 0) - z y + log(1 + e^-|z|)` in nats, elementwise, not reduced.

    The negative log-likelihood of a Bernoulli variable with logit `z`
    (https://en.wikipedia.org/wiki/Logistic_regression), in the form of `optax.sigmoid_binary_cross_entropy`, from which
    it differs in its errors (the table of `stability.losses.sigmoid`) and in that its derivatives are rounded as well.

    **Arguments:**

    - `logits` float16, bfloat16, float32 or float64, of any shape.
    - `labels` real numbers or booleans, meant in [0, 1], of a shape that broadcasts with that of the logits; they are
      rounded to the common dtype first.
    - `arithmetic` `"float64"`, or `"compensated"` (pairs of float32) where the hardware has no float64.

    **Returns:** the losses, of the broadcast shape and the dtype of `jax.numpy` promotion, within 1/2 ulp of the true
    value in float16, bfloat16 and float32 at labels 0 and 1. Its `jax.grad` is `sigmoid_binary_cross_entropy_grad`.

    **Raises:** `TypeError` for integer or complex logits and for complex labels; `ValueError` for shapes that do not
    broadcast, and for another `arithmetic`.

    ```python
    import jax.numpy as jnp
    from stability import sigmoid_binary_cross_entropy

    losses = sigmoid_binary_cross_entropy(jnp.float32([0, 100]), jnp.float32([1, 1]))
    assert losses.tolist() == [0.6931471824645996, 3.783505853677006e-44]  # log 2 and e^-100, a subnormal float32
    ```
    """
    z, y, whole, weak = _prepared(logits, labels, arithmetic)
    return _weakened(_value_kernel(z, y, arithmetic=arithmetic, whole=whole), weak)


def sigmoid_binary_cross_entropy_grad(
    logits: Float[ArrayLike, "*#shape"], labels: Shaped[ArrayLike, "*#shape"], *, arithmetic: str = "float64"
) -> Float[Array, "*shape"]:
    """`dz = dL/dz = σ(z) - y`, elementwise, for training steps written by hand.

    The last line of the course note's derivation (`stability.study.sigmoid.forms`), without its cancellation.

    **Arguments:**

    - `logits`, `labels`, `arithmetic` as for `sigmoid_binary_cross_entropy`.

    **Returns:** the gradients, of the broadcast shape and the dtype of `jax.numpy` promotion, within 1/2 ulp of the
    true value in float16, bfloat16 and float32 at labels 0 and 1; subnormal where the true value is.

    **Raises:** as `sigmoid_binary_cross_entropy`.

    ```python
    import jax
    import jax.numpy as jnp
    from stability import sigmoid_binary_cross_entropy_grad

    z = jnp.float32(20)
    assert jax.nn.sigmoid(z) - 1 == 0
    assert sigmoid_binary_cross_entropy_grad(z, 1) == jnp.float32(-2.0611537e-09)
    ```
    """
    z, y, whole, weak = _prepared(logits, labels, arithmetic)
    return _weakened(_gradient_kernel(z, y, arithmetic=arithmetic, whole=whole), weak)


def sigmoid_binary_cross_entropy_value_and_grad(
    logits: Float[ArrayLike, "*#shape"], labels: Shaped[ArrayLike, "*#shape"], *, arithmetic: str = "float64"
) -> tuple[Float[Array, "*shape"], Float[Array, "*shape"]]:
    """The losses and `dz = σ(z) - y`, elementwise, each as its own function gives it.

    Two passes over memory: XLA on CPU computes what two results share again for each of them, which is faster than
    keeping it in memory.

    **Arguments:**

    - `logits`, `labels`, `arithmetic` as for `sigmoid_binary_cross_entropy`.

    **Returns:** the losses and the gradients, as `sigmoid_binary_cross_entropy` and
    `sigmoid_binary_cross_entropy_grad` return them.

    **Raises:** as `sigmoid_binary_cross_entropy`.

    ```python
    import jax.numpy as jnp
    from stability import sigmoid_binary_cross_entropy_value_and_grad

    loss, dz = sigmoid_binary_cross_entropy_value_and_grad(jnp.float32(-3), 0)
    assert (loss, dz) == (jnp.float32(0.048587352), jnp.float32(0.047425874))
    ```
    """
    z, y, whole, weak = _prepared(logits, labels, arithmetic)
    value, gradient = (f(z, y, arithmetic=arithmetic, whole=whole) for f in (_value_kernel, _gradient_kernel))
    return _weakened(value, weak), _weakened(gradient, weak)
