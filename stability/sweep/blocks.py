"""Every float32, evaluated, measured and reduced on the device.

The 2**31 magnitudes, NaNs included, are cut into blocks of `BLOCK`; a block is generated on the device from its first
magnitude, with both signs, and every form is evaluated there at every label as it is under `jit` alone: barriers keep
XLA from simplifying across its ends, and the labels are arguments, so that it can't simplify by their values. What
leaves the device is a summary a block and *stream* (a form, a label and a sign): counts by kind, a histogram of the
error, the largest error and where.

**What the bound of the truth leaves open** (an error within it of the tolerance, a truth within it of a power of two or
of the least float) is counted as undecided, and the whole block of that stream is measured again on the host, by
`study.truth`. A point whose error is within the bound of an edge of the histogram's bins is measured there alone.

Where all results of a stream in a block have the same bits, and all true values lie between those at the block's ends,
measuring both ends measures all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from stability.formats import FORMATS
from stability.measure import INACCURATE, INF, KINDS, NAN, OK, VANISHED, WRONG_SIGN, classify_on_device
from stability.study import Form
from stability.truth.device import INFINITY, DeviceTruth, Truth64, against, exponent_of, power_of_two

FLOAT32 = FORMATS["float32"]
BLOCK = 1 << 16
BINS = 24
"""Bins of the histogram: errors below 1/2 ulp, below 1, below 2, ..., and all from 2**21 up."""

_SIGN = -(1 << 31)
_SIXTY_FOUR = 0x42800000
_QUARTER = 0x3E800000
_NEAR = 16


class Points(NamedTuple):
    """Each point of a stream: its kind, the bin of its error and the error as float32 bits (-1: none), undecided.

    `open` where the bound leaves open which of two bins the error is in; there the bin is -1.
    """

    kind: Array
    bin: Array
    error: Array
    undecided: Array
    open: Array


def measure(result: Array, truth: Truth64, magnitude: Array, tolerance: float) -> Points:
    """Results (float32, subnormals seen by their bits) against the truth; kinds as in `stability.measure`."""
    size = lax.bitcast_convert_type(result, jnp.int32) & 0x7FFFFFFF
    nan_input = (magnitude > INFINITY) | jnp.isnan(truth.value)
    known = against(truth.value, -exponent_of(truth.scale), nan_input, FLOAT32)
    kind, ulps = classify_on_device(result, known, tolerance)
    height = jnp.abs(truth.value * truth.scale)
    measured = (kind == OK) | (kind == INACCURATE)
    error = lax.bitcast_convert_type(jnp.minimum(ulps, 3e38).astype(jnp.float32), jnp.int32)
    near = jnp.minimum(jnp.abs(ulps - tolerance), jnp.minimum(jnp.abs(height - 0.5), jnp.abs(height - (2.0**23 - 0.5))))
    unclear = (near <= truth.bound) | (truth.bound > 0.25) | ((magnitude == INFINITY) & (ulps > 0.25))
    power = exponent_of(ulps)
    edge = jnp.clip(jnp.where(ulps - power_of_two(power) <= truth.bound, power, power + 1), -1, BINS - 3)
    open_ = measured & (jnp.abs(ulps - power_of_two(edge)) <= truth.bound)
    return Points(
        kind.astype(jnp.int32),
        jnp.where(measured & ~open_, jnp.clip(power + 2, 0, BINS - 1), -1).astype(jnp.int32),
        jnp.where(measured & (height >= 2.0**23 - 0.5), error, -1),
        unclear & ~nan_input & (size < INFINITY),
        open_,
    )


class Summary(NamedTuple):
    """What a stream shows in a block.

    Counts by kind, histogram, largest error and largest error that is `ok` (float32 bits, -1: none), undecided points;
    how often the kind changes from a point to the next, and the first and the last `inaccurate` point (`BLOCK` and -1
    where there is none); `open` points are not in the histogram.
    """

    counts: Array
    histogram: Array
    error: Array
    ok_error: Array
    undecided: Array
    changes: Array
    first: Array
    last: Array
    open: Array


def _packed(values: Array, words: int) -> Array:
    """How often each of `0 ... 8 words - 1` occurs among `values` (others are ignored), eight 8-bit counters a word."""
    columns = values.reshape(128, -1)
    counts = []
    for word in range(words):
        ones = jnp.where((columns >> 3) == word, jnp.int64(1) << ((columns & 7) * 8).astype(jnp.int64), 0)
        sums = ones.sum(0)
        counts += [((sums >> (8 * i)) & 0xFF).sum() for i in range(8)]
    return jnp.stack(counts + [jnp.zeros((), jnp.int64)] * (BINS - 8 * words)).astype(jnp.int32)


def _counted(kind: Array, bins: Array, error: Array, undecided: Array, open_: Array) -> Summary:
    """The summary from the kind, the bin and the error (-1 or less: none) of each point, and two counts."""
    kind, bins, error = lax.optimization_barrier((kind, bins, error))
    position = jnp.arange(len(kind), dtype=jnp.int32)
    wrong = kind == INACCURATE
    return Summary(
        jnp.stack([(kind == k).sum(dtype=jnp.int32) for k in range(len(KINDS))]),
        _packed(bins, BINS // 8),
        jnp.maximum(error.max(), -1),
        jnp.maximum(jnp.where(kind == OK, error, -1).max(), -1),
        undecided,
        (kind[1:] != kind[:-1]).sum(dtype=jnp.int32),
        jnp.where(wrong, position, len(kind)).min(),
        jnp.where(wrong, position, -1).max(),
        open_,
    )


def _exactly(result: Array, truth: Truth64, magnitude: Array, tolerance: float) -> Summary:
    points = measure(result, truth, magnitude, tolerance)
    undecided, open_ = (v.sum(dtype=jnp.int32) for v in (points.undecided, points.open))
    return _counted(points.kind, points.bin, points.error, undecided, open_)


def _same(kind: Array, bins: Array, most: Array, n: int) -> Summary:
    zero = jnp.zeros((), jnp.int32)
    wrong = kind == INACCURATE
    return Summary(
        jnp.where(jnp.arange(len(KINDS)) == kind, n, 0).astype(jnp.int32),
        jnp.where(jnp.arange(BINS) == bins, n, 0).astype(jnp.int32),
        most,
        jnp.where(kind == OK, most, -1),
        zero,
        zero,
        jnp.where(wrong, 0, n).astype(jnp.int32),
        jnp.where(wrong, n - 1, -1).astype(jnp.int32),
        zero,
    )


def _quickly(result: Array, truth: Truth64, magnitude: Array, tolerance: float) -> Summary:
    """As `_exactly`, in float32 where that decides every point of the block.

    `result - near` is exact or off by `2**-24` of itself, and so is the sum with `fraction`: the error found is off by
    less than `2**-22` of itself and `2**-23`. So is the bin of the error, unless its bits are within `_NEAR` of an
    edge's, which is `2**-20` of it or more from 1/4 up.
    """
    bits = lax.bitcast_convert_type(result, jnp.int32)
    size = bits & 0x7FFFFFFF
    ulps = jnp.abs((result - truth.near) * truth.inverse - truth.fraction)
    opposite = (bits ^ lax.bitcast_convert_type(truth.near, jnp.int32)) < 0
    key = lax.bitcast_convert_type(jnp.minimum(ulps, 3e38), jnp.int32)
    key = jnp.where(size == 0, -VANISHED, jnp.where(opposite, -WRONG_SIGN, key))
    key = jnp.where(size >= INFINITY, jnp.where(size == INFINITY, -INF, -NAN), key)
    key = lax.optimization_barrier(key)
    low, high = (jnp.float32(tolerance * (1 + sign * 2.0**-21) + sign * 2.0**-22).view(jnp.int32) for sign in (-1, 1))
    at_edge = ((key + _NEAR) >> 23 != (key - _NEAR) >> 23) & (key >= _QUARTER)
    clear = truth.sharp & (magnitude[-1] < INFINITY) & ~(((key >= low) & (key <= high)) | at_edge).any()
    most = key.max()
    light = (key.min() >= 0) & (most < jnp.minimum(low, _SIXTY_FOUR))
    bins = jnp.where(key < 0, -1, jnp.clip((key >> 23) - 125, 0, BINS - 1))

    def few() -> Summary:
        return _same(jnp.int32(OK), jnp.int32(-1), most, len(result))._replace(histogram=_packed(bins, 1))

    def many() -> Summary:
        kind = jnp.where(key < 0, -key, jnp.where(key > high, INACCURATE, OK))
        zero = jnp.zeros((), jnp.int32)
        return _counted(kind, bins, key, zero, zero)

    return lax.cond(clear, lambda: lax.cond(light, few, many), lambda: _exactly(result, truth, magnitude, tolerance))


def summarise(result: Array, truth: Truth64, magnitude: Array, tolerance: float) -> Summary:
    """One stream of a block, by its ends where all results are one float and the truth keeps its sign and binade."""
    bits = lax.bitcast_convert_type(result, jnp.int32)
    constant = ((bits == bits[0]) | (jnp.isnan(result) & jnp.isnan(result[0]))).all()
    ends = jnp.array([0, len(magnitude) - 1])
    at_ends = measure(result[ends], jax.tree.map(lambda v: v[ends] if v.ndim else v, truth), magnitude[ends], tolerance)
    value, scale = truth.value[ends], truth.scale[ends]
    side = result[ends].astype(jnp.float64) * scale < value * scale
    known = jnp.where(jnp.isnan(truth.value), 0.0, truth.value)
    between = (known.min() == jnp.minimum(known[0], known[-1])) & (known.max() == jnp.maximum(known[0], known[-1]))
    must_agree = at_ends.kind, at_ends.bin, at_ends.error < 0, scale, value < 0, side, magnitude[ends] > INFINITY
    plain = (
        constant
        & between
        & ~(at_ends.undecided | at_ends.open).any()
        & jnp.stack([a[0] == a[1] for a in must_agree]).all()
    )
    return lax.cond(
        plain,
        lambda: _same(at_ends.kind[0], at_ends.bin[0], at_ends.error.max(), len(magnitude)),
        lambda: _quickly(result, truth, magnitude, tolerance),
    )


def _floats(magnitude: Array, negative: bool) -> Array:
    return lax.bitcast_convert_type(magnitude | jnp.int32(_SIGN if negative else 0), jnp.float32)


def _streams(
    first: Array, given: Array, truth: DeviceTruth, forms: list[Form], labels: list[float], each: Callable[..., Any]
) -> Any:
    """`each(result, truth, magnitude)` for every stream, in the order form, label, sign (positive first).

    `given` are the labels as an array, float32.
    """
    magnitude = first + jnp.arange(BLOCK, dtype=jnp.int32)
    truths = {(y, neg): truth(magnitude, y, neg) for y in labels for neg in (False, True)}
    magnitude, truths = lax.optimization_barrier((magnitude, truths))
    found = []
    for form in forms:
        for i, y in enumerate(labels):
            for negative in (False, True):
                z = lax.optimization_barrier(_floats(magnitude, negative))
                result = lax.optimization_barrier(form(z, given[i]))
                found.append(each(result, truths[y, negative], magnitude))
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *found)


def summaries(
    truth: DeviceTruth, forms: list[Form], labels: list[float], tolerance: float
) -> Callable[[Array, Array], Summary]:
    """A function of first magnitudes, int32 `(blocks,)`, and of the labels again, float32 `(labels,)`.

    It gives a `Summary` of fields `(blocks, streams, ...)`.
    """

    def each(result: Array, known: Any, magnitude: Array) -> Summary:
        return summarise(result, known, magnitude, tolerance)

    def of_block(first: Array, given: Array) -> Summary:
        # XLA on CPU compiles a loop that has no sort, scatter or call in it as one function, which takes it a minute.
        least = lax.sort(jnp.stack([first, first + (BLOCK - 1)]))[0]
        return _streams(least, given, truth, forms, labels, each)

    return lambda firsts, given: lax.map(lambda first: of_block(first, given), firsts)


def details(
    truth: DeviceTruth, forms: list[Form], labels: list[float], tolerance: float
) -> Callable[[Array, Array], tuple[Array, Array, Array]]:
    """As `summaries`, of one first magnitude: results (float32), kinds (uint8), and whether the bin of the error is
    open, each `(streams, BLOCK)`."""

    def each(result: Array, known: Any, magnitude: Array) -> tuple[Array, Array, Array]:
        points = measure(result, known, magnitude, tolerance)
        return result, points.kind.astype(jnp.uint8), points.open

    return lambda first, given: _streams(first, given, truth, forms, labels, each)
