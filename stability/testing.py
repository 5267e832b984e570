"""Tolerance checks for tests: a function, or its gradient, within so many ulps of its true value.

The true value is the function itself in real arithmetic (`stability.real`), so that no reference has to be written.
A check raises `AssertionError` laid out as those of `numpy.testing`, with the worst input in hex and the equation of
the source that spoils it, so it works wherever those do, `chex` included.

**What fails.** An error over `max_ulp`, in ulps of the true value (Goldberg's, `stability.measure`), or of the terms of
a sum over an array that the element comes from; a NaN or an infinity where the truth is a number that fits the format;
0, or the wrong sign, where the truth rounds to a normal float; anything but the right infinity at a pole. What the
truth leaves open, undefined or undecided, fails nothing.
`pytest --ulp-report` lists the worst margin of each check at the end.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike, DTypeLike

from stability import measure
from stability.diagnosis import diagnose
from stability.formats import FORMATS, FloatFormat, format_of, hex_of, ulp_exponent, widen
from stability.measure import FAILURES, FLUSHED, KINDS, OK
from stability.real import evaluate
from stability.real.terms import sizes_of_terms
from stability.study.functions import Derivative, Scalar, as_form, check_scalar, hold, truth_of
from stability.sweep import rows
from stability.sweep.points import floats_of, holds_floats
from stability.truth import Truth, of_floats

if TYPE_CHECKING:
    from jaxtyping import Float, PyTree, Shaped

__all__ = ["assert_gradient_max_ulp", "assert_max_ulp"]

_DIAGNOSED = 64
"""Elements in the arguments of a function of arrays up to which it is diagnosed whole."""


@dataclass(frozen=True)
class Check:
    """One check that was made: where, of what, its bound and worst error in ulps, the input of it, and if it passed."""

    test: str
    name: str
    dtype: str
    points: int
    max_ulp: float
    worst: float
    kind: str
    at: str
    passed: bool


CHECKS: list[Check] = []
"""Every check made in this process, in order."""


def _name(fn: Callable) -> str:
    return getattr(fn, "__name__", type(fn).__name__)


def _format(x: Any, what: str) -> FloatFormat:
    dtype = np.zeros((), x.dtype).real.dtype
    if dtype.name not in FORMATS:
        raise TypeError(f"{what} has dtype {dtype.name}; only {', '.join(FORMATS)} have ulps")
    return format_of(dtype)


@dataclass(frozen=True)
class _Verdict:
    """Results against the truth: kinds, errors, which fail, and the position of the worst."""

    kinds: np.ndarray
    ulps: np.ndarray
    failed: np.ndarray
    worst: int


def _judge(result: np.ndarray, truth: Truth, max_ulp: float, terms: np.ndarray) -> _Verdict:
    kinds, ulps = measure.classify(result, truth, max_ulp)
    shift = np.minimum(truth.exponent - ulp_exponent(terms, truth.fmt), 0)
    ulps = np.where(np.isfinite(ulps), np.ldexp(ulps, shift), ulps)
    forgiven = (kinds == FLUSHED) | ((shift < 0) & np.isfinite(widen(result)))
    failed = np.isin(kinds, FAILURES) & ~(forgiven & (ulps <= max_ulp))
    size = np.where(np.isin(kinds, (OK, *FAILURES)), np.where(np.isnan(ulps), np.inf, ulps), 0.0)
    worst = int(np.argmax(np.where(failed, size, -1.0) if failed.any() else size))
    return _Verdict(kinds, size, failed, worst)


def _both(x: float | complex) -> str:
    if isinstance(x, complex):
        return f"{x!r} = ({hex_of(x.real)}, {hex_of(x.imag)})"
    return f"{x!r} = {hex_of(x)}"


def _number(x: Any) -> float | complex:
    return complex(x) if np.iscomplexobj(x) else float(x)


def _settle(
    name: str,
    result: np.ndarray,
    truth: Truth,
    max_ulp: float,
    told: Callable[[int], str],
    culprit: Callable[[int], str],
    terms: np.ndarray | float = 0.0,
) -> None:
    """Records the check, and raises where it failed; `told` an input, `culprit` the equation, by position.

    An error is in ulps of the true value, or of `terms` where they are larger.
    """
    __tracebackhide__ = True
    if not len(result):
        return
    verdict = _judge(result, truth, max_ulp, np.broadcast_to(terms, result.shape))
    i, fmt = verdict.worst, truth.fmt
    where = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" ")[0]
    kind = KINDS[verdict.kinds[i]]
    failed = int(verdict.failed.sum())
    worst = float(verdict.ulps[i])
    CHECKS.append(Check(where, name, fmt.name, len(result), max_ulp, worst, kind, told(i), not failed))
    if not failed:
        return
    raise AssertionError(
        f"\n{name} is not within {max_ulp:g} ulps of its true value in {fmt.name}\n\n"
        f"Mismatched elements: {failed} / {len(result)} ({100 * failed / len(result):.3g}%)\n"
        f"Worst: {kind}, error {verdict.ulps[i]:.6g} ulps\n"
        f" x: {told(i)}\n"
        f" ACTUAL: {_both(float(widen(result[i])))}\n"
        f" DESIRED: {truth.told(i)}\n"
        f" CULPRIT: {culprit(i)}"
    )


def _culprit(fn: Callable, args: tuple, max_ulp: float, mode: Literal["eager", "jit"] = "eager") -> str:
    found = diagnose(fn, *args, mode=mode, tolerance=max_ulp).culprit
    if found is None:
        return f"none: equation by equation, its value there is within {max_ulp:g} ulps of what its own formula says"
    return f"{found.primitive} ({found.kind}), {found.source or 'inside ' + _name(fn)}"


def assert_max_ulp(
    fn: Callable[..., PyTree[Float[Array, "*_"]]],
    *args: Shaped[ArrayLike, "*_"],
    max_ulp: float,
    reference: Callable[..., PyTree[Shaped[Array, "*_"]]] | PyTree[Float[ArrayLike, "*_"]] | None = None,
    elementwise: bool = False,
) -> None:
    """Asserts that every element of `fn(*args)` is within `max_ulp` ulps of its true value.

    An element of an array that the truth's program adds from elements of arrays (a sum, a matrix product) is measured
    in ulps of the sum of the absolute values of those terms, where that is larger, since their rounding is in it
    whatever the program. A result of shape () is always measured by its own true value. The real and the imaginary part
    of a complex result are two results, each measured in ulps of the larger of the two.

    **Arguments:**

    - `fn` takes arrays to an array, or a pytree of arrays, of float16, bfloat16, float32, float64, or complex numbers,
      and is called as it is (pass `jax.jit(fn)` to check what a jitted caller gets).
    - `args` its arguments, arrays of any shape.
    - `max_ulp` the greatest error that passes, in ulps of the true value.
    - `reference` another function of the same arguments whose value in real arithmetic is the truth, or the true values
      themselves, arrays of the shapes of the result, taken as they are. Without it, `fn` in real arithmetic is.
    - `elementwise` whether elements that are added from others, and parts of complex numbers, are measured in ulps of
      their own true value too.

    **Raises:** `AssertionError` with the worst element; `TypeError` for a result that is not a float; `ValueError` for
    a `reference` of another size.

    ```python
    import jax.numpy as jnp
    import pytest
    from stability.testing import assert_max_ulp

    x = jnp.float32([1e-9, 0.5, 3])
    assert_max_ulp(jnp.log1p, x, max_ulp=4)
    with pytest.raises(AssertionError, match="CULPRIT: add"):
        assert_max_ulp(lambda x: jnp.log(1 + x), x, max_ulp=4)
    ```
    """
    __tracebackhide__ = True
    arrays = tuple(jnp.asarray(a) for a in args)
    results = jax.tree.leaves(fn(*arrays))
    formats = [_format(leaf, f"the result of {_name(fn)}") for leaf in results]
    if reference is None or callable(reference):
        truths, terms = _true_leaves(reference or fn, arrays, formats)
    else:
        terms = [np.zeros(1)] * len(formats)
        given = map(evaluate.parts_of, map(np.asarray, jax.tree.leaves(reference)))
        truths = [tuple(of_floats(part, f) for part in v) for v, f in zip(given, formats, strict=True)]
    for k, (leaf, known, size) in enumerate(zip(results, truths, terms, strict=True)):
        shape, parts = np.shape(leaf), evaluate.parts_of(np.asarray(leaf))
        if len(known) != len(parts) or known[0].quanta.shape != (int(np.prod(shape)),):
            raise ValueError(
                f"the reference has {known[0].quanta.size} values{'' if len(known) == 1 else ' (complex)'}, the result "
                f"of {_name(fn)} has shape {shape}"
            )

        def told(i: int, shape: tuple[int, ...] = shape) -> str:
            return _inputs(arrays, shape, i)

        def culprit(i: int, shape: tuple[int, ...] = shape) -> str:
            return _array_culprit(fn, arrays, shape, i, max_ulp)

        name = _name(fn) if len(results) == 1 else f"{_name(fn)} (result {k})"
        largest = np.max([np.abs(np.nan_to_num(t.rounded)) for t in known], 0) if len(parts) > 1 else 0.0
        measured_by = 0.0 if elementwise else np.maximum(0.0 if shape == () else size, largest)
        for part, truth, which in zip(parts, known, ("the real part of ", "the imaginary part of "), strict=False):
            title = f"{which}{name}" if len(parts) > 1 else name
            _settle(title, part.ravel(), truth, max_ulp, told, culprit, measured_by)


def _true_leaves(
    fn: Callable, arrays: tuple[Array, ...], formats: Sequence[FloatFormat]
) -> tuple[list[tuple[Truth, ...]], list[np.ndarray]]:
    """The true values of each result, of both parts of a complex one, and the sizes of the terms of its elements."""
    jaxpr, _, leaves, _ = evaluate.prepared(fn, arrays, None)
    outputs = evaluate.reals(jaxpr, leaves, formats)
    truths = [evaluate.truths_of(x, f, v) for x, f, v in zip(outputs, formats, jaxpr.out_avals, strict=True)]
    terms = sizes_of_terms(jaxpr, leaves) or [np.zeros(t.quanta.shape) for t, *_ in truths]
    return truths, terms


def _elementwise(arrays: tuple[Array, ...], shape: tuple[int, ...], i: int) -> list[Array]:
    """The arguments that broadcast to the shape of the result, at one element of it."""
    index = np.unravel_index(i, shape) if shape else ()
    return [np.broadcast_to(np.asarray(a), shape)[index] for a in arrays]


def _broadcasts(arrays: tuple[Array, ...], shape: tuple[int, ...]) -> bool:
    try:
        return all(np.broadcast_shapes(a.shape, shape) == shape for a in arrays)
    except ValueError:
        return False


def _inputs(arrays: tuple[Array, ...], shape: tuple[int, ...], i: int) -> str:
    index = tuple(int(n) for n in np.unravel_index(i, shape)) if shape else ()
    at = f" at index {index}" if shape else ""
    if arrays and _broadcasts(arrays, shape):
        return ", ".join(_both(_number(x)) for x in _elementwise(arrays, shape, i)) + at
    few = [a for a in arrays if a.size <= 8]
    return (
        "; ".join("[" + ", ".join(_both(_number(x)).partition(" = ")[2] for x in np.ravel(a)) + "]" for a in few) + at
    )


def _array_culprit(fn: Callable, arrays: tuple[Array, ...], shape: tuple[int, ...], i: int, max_ulp: float) -> str:
    if shape and _broadcasts(arrays, shape):
        point = tuple(jnp.asarray(x) for x in _elementwise(arrays, shape, i))
        try:
            alone = jax.tree.leaves(jax.eval_shape(fn, *point))
        except Exception:
            alone = []
        if len(alone) == 1 and alone[0].shape == ():
            return _culprit(fn, point, max_ulp)
    if sum(a.size for a in arrays) <= _DIAGNOSED:
        return _culprit(fn, arrays, max_ulp)
    return f"not looked for: the arguments have more than {_DIAGNOSED} elements"


def assert_gradient_max_ulp(
    fn: Callable[..., Float[Array, ""]],
    argnum: int = 0,
    dtype: DTypeLike = jnp.float32,
    *,
    domain: tuple[float, float],
    max_ulp: float,
    points: int = 4096,
    fixed: Mapping[str, Any] | None = None,
    reference: Callable[..., Float[Array, ""]] | None = None,
    orders: Sequence[int] = (1,),
    modes: Sequence[str] = ("rev",),
    rules: str = "derived",
) -> None:
    """Asserts that derivatives of a scalar function are within `max_ulp` ulps of the true ones, all over a range.

    This differs from `jax.test_util.check_grads` in the truth, which is no difference quotient but the derivative of
    the real function, so that a gradient which is 0 where the true one is small does not pass; in the points, all over
    a range; and in the function, of scalars. What `order=2` is there is `orders=(1, 2)` here.

    Each derivative is run under `jit`, over the points by `vmap`. The points are the same at every run: every float of
    the range in a 16-bit format; else both ends, the zeros, the powers of two and their neighbours that lie in it, and
    about `points` more, spread over its binades with a fixed seed.

    **Arguments:**

    - `fn` takes scalars to a scalar.
    - `argnum` the number of the one argument to differentiate by, which runs over `domain`.
    - `dtype` the format: float16, bfloat16, float32 or float64.
    - `domain` the closed range that is checked.
    - `max_ulp` the greatest error that passes, in ulps of the true derivative.
    - `points` about how many floats of a wide format are looked at.
    - `fixed` the other arguments by name; floats, and lists of numbers, take the format.
    - `reference` a function of the same arguments whose derivative in real arithmetic is the truth; `fn` by default.
    - `orders` of the derivatives to check, of 1 and 2.
    - `modes` of differentiation, of `"rev"` (`jax.grad`) and `"fwd"` (`jax.jvp`); `"rev"` alone by default, since a
      function with a `custom_vjp` has no forward mode. At order 2 each is taken over each: `("rev",)` checks reverse
      over reverse, `("fwd",)` forward over forward, `("fwd", "rev")` these, forward over reverse (`jax.hessian`) and
      reverse over forward.
    - `rules`, `"derived"`: the truth is the derivative of the function's *values*, so that a derivative rule that is
      wrong in real numbers is found; or `"trusted"`: what the rules say is the definition (of a straight-through
      estimator, say).

    **Raises:** `AssertionError` with the worst point of the first derivative that fails; `ValueError` for a domain that
    holds no float, for arguments that `fn` does not have, and for other orders and modes; for a mode that `fn` does not
    have, `ValueError` or `TypeError` in the words of JAX.

    ```python
    import jax
    import jax.numpy as jnp
    import pytest
    from stability.testing import assert_gradient_max_ulp

    assert_gradient_max_ulp(jnp.tanh, dtype=jnp.bfloat16, domain=(-1, 1), max_ulp=8)
    with pytest.raises(AssertionError, match="vanished"):
        assert_gradient_max_ulp(jax.nn.sigmoid, dtype=jnp.bfloat16, domain=(0, 80), max_ulp=8)
    ```
    """
    __tracebackhide__ = True
    fmt = format_of(dtype)
    if rules not in ("derived", "trusted"):
        raise ValueError(f"rules {rules!r}: choose derived or trusted")
    if not orders or not {1, 2}.issuperset(orders):
        raise ValueError(f"orders {tuple(orders)}: choose 1, 2 or both")
    if not modes or not {"fwd", "rev"}.issuperset(modes):
        raise ValueError(f"modes {tuple(modes)}: choose fwd, rev or both")
    if not holds_floats(domain, fmt):
        raise ValueError(f"domain {domain} holds no {fmt.name}")
    x = floats_of(fmt, domain, points, seed=0)
    of: dict[str, Any] = {"swept": argnum, "fixed": fixed, "argnum": argnum, "rules": rules}
    for order in orders:
        ways = list(itertools.product(modes, repeat=order))
        scalars = [hold(fn, modes=way, **of) for way in ways]
        for scalar in scalars:
            check_scalar(scalar, fmt)
        truth = truth_of(hold(reference or fn, modes=ways[0], **of), x, fmt)
        for scalar, way in zip(scalars, ways, strict=True):
            title = f"{_name(scalar)} (order {order}, {' over '.join(reversed(way))})"
            _settle_over(scalar, x, truth, max_ulp, title, own_truth=reference is None)


def _settle_over(scalar: Scalar, x: np.ndarray, truth: Truth, max_ulp: float, title: str, *, own_truth: bool) -> None:
    """Settles a function of one scalar at floats of shape `(n,)`; `own_truth` where the true values are its own."""
    __tracebackhide__ = True
    fmt = truth.fmt
    result = rows.evaluate(jax.jit(as_form(scalar)), x, np.zeros((), fmt.dtype))

    def told(i: int) -> str:
        return _both(float(widen(x[i])))

    def culprit(i: int) -> str:
        rule = scalar.told_of_rules(x[i], fmt, max_ulp) if own_truth and isinstance(scalar, Derivative) else ""
        return rule or _culprit(scalar, (jnp.asarray(x[i]),), max_ulp, "jit")

    _settle(title, result, truth, max_ulp, told, culprit)
