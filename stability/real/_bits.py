"""What is not real arithmetic, and what has no meaning over the reals.

Random bits and keys, integers, bit casts and counts are taken as the floats have them: the primitive itself is run.
Prints and callbacks that only tell are passed over. A primitive that takes reals and has no rule is run in wider
floats, and what it gives is not proven.

Keys are held as NumPy arrays of one field, which is called as their implementation is, and holds their data.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flint import arb

from stability.formats import format_of
from stability.real import scalars, steps
from stability.real._arithmetic import first_undefined
from stability.real._near import resolved
from stability.real._series import Series
from stability.real._windows import within
from stability.real.arrays import as_array, bare, bound, elementwise, last
from stability.real.function import Complex, Dual, Estimate, as_unproven, guessed, is_unproven
from stability.real.logic import exponent, mantissa
from stability.real.values import NEGATIVE_ZERO, UNDECIDED, Undefined, array, infinite, is_number, real, sign_of_zero
from stability.truth.balls import round_ball


def is_key(aval) -> bool:
    return jax.dtypes.issubdtype(aval.dtype, jax.dtypes.prng_key)


def held(x):
    """What JAX gave, as the interpreter holds integers, truth values and keys."""
    if not isinstance(x, jax.Array) or not is_key(x):
        return bare(np.asarray(x))
    data = np.ascontiguousarray(jax.random.key_data(x))
    field = np.dtype([(str(jax.random.key_impl(x)), data.dtype, data.shape[-1:])])
    return data.reshape(-1).view(field).reshape(x.shape)


def given(x, aval):
    """What the interpreter holds natively, as JAX takes it, in the dtype that the program says."""
    kind = np.asarray(x).dtype
    if kind.names is None:
        return np.asarray(x, aval.dtype)
    return jax.random.wrap_key_data(jnp.asarray(np.asarray(x)[kind.names[0]]), impl=kind.names[0])


def keys(x):
    """A key or an array of them, however it went through an array of objects, as `held` has it."""
    flat = as_array(x).ravel()
    out = np.empty(flat.shape, flat[0].dtype) if len(flat) else np.empty(flat.shape)
    for i, key in enumerate(flat):
        out[i] = key
    return out.reshape(as_array(x).shape)


def executed(eqn, values: Sequence[Any]) -> list:
    """The outputs of an equation on what is held natively, by the primitive itself."""
    args = [given(x, v.aval) for x, v in zip(values, eqn.invars, strict=True)]
    return [held(o) for o in bound(eqn, args)]


def filled(aval, value=UNDECIDED):
    return bare(array([value] * math.prod(aval.shape), aval.shape))


def lifted(x, aval):
    """An output of a primitive that was run, as the interpreter holds it."""
    if jnp.issubdtype(aval.dtype, np.floating):
        return bare(array([real(v) for v in np.asarray(x, np.float64).ravel()], aval.shape))
    return held(x)


def natively(eqn, values: Sequence[Any]) -> list:
    """As the floats have it; undecided where an argument is."""
    if any(as_array(v).dtype == object and any(isinstance(e, Undefined) for e in as_array(v).ravel()) for v in values):
        return [filled(v.aval) for v in eqn.outvars]
    out = executed(eqn, values)
    return [lifted(o, v.aval) for o, v in zip(out, eqn.outvars, strict=True)]


def where(holds: Callable[[Any], bool], x: np.ndarray) -> np.ndarray:
    """Of which elements something holds."""
    return np.array([holds(v) for v in x.ravel()], bool).reshape(x.shape)


def undecided_where(unknown: np.ndarray, x: np.ndarray):
    pairs = zip(unknown.ravel(), x.ravel(), strict=True)
    return bare(array([UNDECIDED if u else v for u, v in pairs], x.shape))


def of_known(eqn, values: Sequence[Any]) -> tuple[np.ndarray, list[np.ndarray]]:
    """What a primitive of integers gives with 1 in place of those that are not known, and where in each input those
    are."""
    arrays = [np.asarray(as_array(v)) for v in values]
    unknown = [where(lambda e: isinstance(e, Undefined), a) for a in arrays]
    guesses = (elementwise(lambda e: 1 if isinstance(e := guessed(e), Undefined) else e)(a) for a in arrays)
    known = [as_array(a).astype(v.aval.dtype) for a, v in zip(guesses, eqn.invars, strict=True)]
    return np.asarray(as_array(lifted(executed(eqn, known)[0], eqn.outvars[0].aval)).astype(object)), unknown


def integers(eqn, values: Sequence[Any]) -> list:
    """An elementwise primitive of integers of which some are not known."""
    out, _ = of_known(eqn, values)
    rows = zip(*(np.broadcast_to(as_array(v), out.shape).ravel() for v in values), strict=True)
    undefined = [[v for v in row if isinstance(v, Undefined)] for row in rows]
    pairs = zip(out.ravel(), undefined, strict=True)
    return [bare(array([computed_from(v, u) for v, u in pairs], out.shape))]


def computed_from(value, undefined: list[Undefined]):
    """An integer that hangs on some that are not known: not proven where each of those has a guess."""
    if not undefined:
        return value
    open_ones = [u for u in undefined if not is_unproven(u)]
    return first_undefined(*open_ones) if open_ones else as_unproven(value)


def folded(eqn, values: Sequence[Any]) -> list:
    """A reduction of integers of which some are not known."""
    out, (unknown,) = of_known(eqn, values)
    return [undecided_where(np.asarray(unknown.any(axis=tuple(eqn.params["axes"]))), out)]


def nearest_float(x, dtype) -> float:
    """A real number in a float format, correctly rounded where that is decided."""
    x = x.value if isinstance(x, Estimate) else x
    if not is_number(x):
        return math.nan
    if infinite(x):
        return math.inf if x > 0 else -math.inf
    if x is NEGATIVE_ZERO:
        return -0.0
    value = round_ball(resolved(x), format_of(np.dtype(dtype)))
    return float(resolved(x).mid()) if value is None else value


def is_float_of(x, dtype) -> bool:
    """Whether a number is a float of a format whose bits are known: of a zero, one that was given."""
    known = isinstance(x, arb) and x.is_exact() and bool(x != 0 or sign_of_zero(x))
    return known and arb(nearest_float(x, dtype)) == x


def as_floats(x, dtype):
    """Real numbers as an array of floats."""
    kind = np.zeros((), dtype).real.dtype
    pairs = [(v.re, v.im) if isinstance(v, Complex) else (v, arb(0)) for v in as_array(x).ravel()]
    flat = np.array([complex(*(nearest_float(v, kind) for v in pair)) for pair in pairs], np.complex128)
    wide = flat.reshape(as_array(x).shape)
    return wide.astype(dtype) if jnp.issubdtype(dtype, np.complexfloating) else wide.real.astype(dtype)


def wider(dtype) -> type:
    return np.complex128 if jnp.issubdtype(dtype, np.complexfloating) else np.float64


def unproven(eqn, values: Sequence[Any]) -> list:
    """The outputs of a primitive without a rule, run in float64 on the nearest floats: not proven.

    Where it can't be run in float64, it is run in its own format. Undecided where an argument is, or is a series, or
    where the primitive can't be run at all; so are integers and truth values that it gives.
    """
    floats = [jnp.issubdtype(v.aval.dtype, np.inexact) for v in eqn.invars]
    elements = [v for x, f in zip(values, floats, strict=True) if f for v in as_array(x).ravel()]
    reals = [part for v in elements for part in ((v.re, v.im) if isinstance(v, Complex) else (v,))]
    if any(isinstance(v, Series | Dual) or (isinstance(v, Undefined) and not v.certain) for v in reals):
        return [filled(v.aval) for v in eqn.outvars]
    for narrow in (False, True):
        if not narrow and eqn.primitive.name in ("nextafter", *UNPROVEN):
            continue
        args = [
            as_floats(x, v.aval.dtype if narrow else wider(v.aval.dtype)) if f else given(x, v.aval)
            for x, v, f in zip(values, eqn.invars, floats, strict=True)
        ]
        try:
            with jax.enable_x64(True):
                out = bound(eqn, [jnp.asarray(x) for x in args])
        except (TypeError, ValueError, NotImplementedError, RuntimeError):
            continue
        return [estimated(o, v.aval, bool(reals)) for o, v in zip(out, eqn.outvars, strict=True)]
    return [filled(v.aval) for v in eqn.outvars]


def estimated(x, aval, computed: bool):
    """An output of a primitive that was run, as not proven; `computed` from reals, an integer is not known."""
    if not jnp.issubdtype(aval.dtype, np.inexact):
        return filled(aval) if computed else held(x)
    flat: list = np.asarray(x, wider(aval.dtype)).ravel().tolist()
    return bare(array([estimate(v) for v in flat], aval.shape))


def estimate(x: float | complex):
    if isinstance(x, complex):
        return Complex(estimate(x.real), estimate(x.imag))
    return UNDECIDED if x != x else Estimate(arb(x))


def bitcast_convert_type(eqn, values: Sequence[Any]) -> list:
    """The bits of a float are known but for a computed zero, those of any other number are not; the float of given bits
    is."""
    source, target = eqn.invars[0].aval, eqn.outvars[0].aval
    if not jnp.issubdtype(source.dtype, np.floating):
        return integers(eqn, values) if source.shape == target.shape else natively(eqn, values)
    x = as_array(values[0])
    known = where(lambda v: is_float_of(v, source.dtype), x)
    if source.shape != target.shape and not known.all():
        return [filled(target)]
    bits = eqn.primitive.bind(np.where(known, as_floats(x, source.dtype), 1).astype(source.dtype), **eqn.params)
    out = as_array(lifted(bits, target)).astype(object).reshape(target.shape)
    return [undecided_where(~known, out) if source.shape == target.shape else bare(out)]


def nextafter(eqn, values: Sequence[Any]) -> list:
    """The float next to a float, and not proven next to any other number."""
    aval, dtype = eqn.outvars[0].aval, eqn.invars[0].aval.dtype
    out = np.asarray(eqn.primitive.bind(*(as_floats(x, dtype) for x in values), **eqn.params), np.float64)

    def beside(result: float, *row: Any):
        numbers = [v.value if isinstance(v, Estimate) else v for v in row]
        if any(isinstance(v, Undefined) for v in numbers):
            return first_undefined(*numbers)
        if not all(map(is_number, numbers)):
            return UNDECIDED
        known = all(isinstance(v, arb) and (v == 0 or infinite(v) or is_float_of(v, dtype)) for v in row)
        return real(result) if known else estimate(result)

    rows = zip(*(np.broadcast_to(as_array(x), aval.shape).ravel() for x in values), strict=True)
    return [bare(array([beside(y, *row) for y, row in zip(out.ravel().tolist(), rows, strict=True)], aval.shape))]


def of_high_level(eqn, values: Sequence[Any]) -> list:
    """A primitive that stands for a jaxpr of others; `frexp` by what it means, which its bits do not show."""
    (prim,) = eqn.params.values()
    if type(prim).__name__ == "Frexp":
        return [elementwise(f)(*values) for f in (mantissa, exponent)]
    shapes = [jax.ShapeDtypeStruct(v.aval.shape, v.aval.dtype) for v in eqn.invars]
    with jax.enable_x64(True):
        jaxpr = jax.make_jaxpr(lambda *args: jax.tree.leaves(prim.expand(*jax.tree.unflatten(prim.in_tree, args))))
        return within(jaxpr(*shapes), *values)


def same(eqn, values: Sequence[Any]) -> list:
    return list(values)


def silent(eqn, values: Sequence[Any]) -> list:
    """What a function tells the outside is not told again; what it hears from there is not known."""
    return [filled(v.aval) for v in eqn.outvars]


def over_one_device(rule: Callable) -> Callable:
    """A collective over axes of size 1, or, under `vmap`, over axes of the arrays themselves."""

    def apply(eqn, values: Sequence[Any]) -> list:
        axes = [a for a in eqn.params["axes"] if isinstance(a, int)]
        return [folded(as_array(x), axes) if axes else x for x in values]

    def folded(x: np.ndarray, axes: Sequence[int]):
        rows = last(x, axes)
        flat = rows.reshape(math.prod(rows.shape[:-1]), rows.shape[-1])
        return bare(array([reduce(rule, row) for row in flat], rows.shape[:-1]))

    return apply


def all_gather(eqn, values: Sequence[Any]) -> list:
    return [bare(as_array(x).reshape(v.aval.shape)) for x, v in zip(values, eqn.outvars, strict=True)]


def axis_index(eqn, values: Sequence[Any]) -> list:
    return [np.int32(0)]


NATIVE = (
    *("random_bits", "random_seed", "random_split", "random_wrap", "random_unwrap", "random_fold_in", "random_clone"),
    *("threefry2x32", "rng_bit_generator", "platform_index"),
)

UNPROVEN = ("random_gamma", "rng_uniform", "pure_callback")
"""Primitives of reals that have no meaning over them, and must be run in their own format."""

RULES: dict[str, Callable[[Any, Sequence[Any]], list]] = {
    **dict.fromkeys(NATIVE, natively),
    **dict.fromkeys(("shift_left", "shift_right_logical", "shift_right_arithmetic"), integers),
    **dict.fromkeys(("population_count", "clz", "mulhi"), integers),
    **dict.fromkeys(UNPROVEN, unproven),
    **dict.fromkeys(("debug_callback", "debug_print", "io_callback"), silent),
    **dict.fromkeys(("pvary", "pcast", "pbroadcast", "ppermute"), same),
    **dict.fromkeys(("psum", "psum_invariant", "psum2"), over_one_device(scalars.add)),
    "pmax": over_one_device(steps.maximum),
    "pmin": over_one_device(steps.minimum),
    **dict.fromkeys(("all_gather", "all_gather_invariant", "reduce_scatter", "all_to_all"), all_gather),
    "axis_index": axis_index,
    "call_hi_primitive": of_high_level,
    "bitcast_convert_type": bitcast_convert_type,
    "nextafter": nextafter,
}
