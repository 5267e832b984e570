"""Every float32, evaluated, measured and reduced on the device.

The 2**31 magnitudes, NaNs included, are cut into blocks of `BLOCK`; a block is generated on the device from its first
magnitude, with both signs, and every form is evaluated there at every label as it is under `jit` alone: barriers keep
XLA from simplifying across its ends. What leaves the device is a summary a block and *stream* (a form, a label and a
sign): counts by kind, a histogram of the error, the largest error and where.

**Bound of the truth.** For `|z| <= 200`, `k = floor(|z|/ln 2 + 1/2)` and `r = k ln 2 - |z|` with a 30-bit high part
`L1` of `ln 2`: `k L1` is exact and, `|z|` having 24 bits, its difference from `|z|` is off by at most `2**-52 |r|`. The
Taylor sum of `e^r` to degree 13 leaves `0.35**14/14! < 2**-57`, its Horner steps cost less than `2**-51`, and the quotient
and the product after it three roundings. So `s = σ(-|z|)` and `c = σ(|z|)` are off by less than `2**-49`, relatively. At
labels 0 and 1 the truth is `±s` or `±c`, whose error is below `2**-24` ulps of float32. At another label it is
`(1/2 - y) ± h` with `h = 1/2 - s`, from its series below `2**-12`, and the error in ulps is carried along.

**What the bound leaves open** (an error within it of the tolerance, a truth within it of a power of two or of the least
float) is counted as undecided, and the whole block of that stream is measured again on the host, by `study.truth`.

Where all results of a stream in a block have the same bits, the error in ulps is monotone between the block's ends, and
measuring both ends measures all.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from stability.forms import Form
from stability.measure import FLUSHED, INACCURATE, INF, KINDS, NAN, NAN_INPUT, OK, VANISHED, WRONG_SIGN

BLOCK = 1 << 16
BINS = 24
"""Bins of the histogram: an error up to 1/2 ulp, up to 1, up to 2, ..., and all from 2**22 up."""

_INFINITY = 0x7F800000
_SIGN = -(1 << 31)
_LN2_HIGH = math.floor(math.log(2) * 2**30) / 2**30
_LN2_LOW = 8.893134238886677e-10
_SMALL = 2.0**-12
_SIXTY_FOUR = 0x42800000


class Truth64(NamedTuple):
    """True values in float64: `value` off by less than `bound` ulps of float32, `scale` one over that ulp.

    `near + fraction * ulp` is the value as well, in float32 and to `2**-24` ulps, where `sharp` says so of a whole
    block: no bound is over `2**-24`, and no value is under `2**-100`, where differences of float32 would be flushed.
    """

    value: Array
    scale: Array
    bound: Array
    near: Array
    fraction: Array
    inverse: Array
    sharp: Array


def _truth(value: Array, scale: Array, bound: Array) -> Truth64:
    quanta = value * scale
    whole = jnp.round(quanta)
    single = (whole / scale).astype(jnp.float32), (quanta - whole).astype(jnp.float32), scale.astype(jnp.float32)
    return Truth64(value, scale, bound, *single, (bound <= 2.0**-24).all() & (jnp.abs(value) >= 2.0**-100).all())


def _power_of_two(exponent: Array) -> Array:
    return lax.bitcast_convert_type((exponent + 1023) << 52, jnp.float64)


def _exponent(x: Array) -> Array:
    return ((lax.bitcast_convert_type(x, jnp.int64) >> 52) & 0x7FF) - 1023


def sigmoid_tails(magnitude: Array) -> tuple[Array, Array, Array]:
    """`|z|`, `σ(-|z|)` and `σ(|z|)` in float64 for magnitudes (int32 bit patterns without sign) of shape `(n,)`.

    Relative error below `2**-49` (module docstring). Past 200, and for NaN, the values are those at 200, which rounds
    the same in float32.
    """
    a = jnp.minimum(magnitude, _INFINITY)
    mantissa, field = a & 0x7FFFFF, a >> 23
    subnormal = mantissa.astype(jnp.float64) * 2.0**-149
    normal = (mantissa | 0x800000).astype(jnp.float64) * _power_of_two(field.astype(jnp.int64) - 150)
    z = jnp.minimum(jnp.where(field == 0, subnormal, normal), 200.0)
    k = jnp.floor(z * (1 / math.log(2)) + 0.5)
    r = (k * _LN2_HIGH - z) + k * _LN2_LOW
    p = jnp.full_like(r, 1 / math.factorial(13))
    for n in range(12, -1, -1):
        p = p * r + 1 / math.factorial(n)
    e = p * _power_of_two(-k.astype(jnp.int64))
    c = 1 / (1 + e)
    return z, e * c, c


def sigmoid_minus_label(magnitude: Array, label: float, negative: bool) -> Truth64:
    """The true `σ(z) - y` for float32 `z` of one sign, by magnitude, to be measured in ulps of float32.

    **Arguments:** `magnitude` int32 of shape `(n,)`; `label` in [0, 1], exact in float32.
    """
    z, s, c = sigmoid_tails(magnitude)
    inside = magnitude > 0
    s_below, c_below = (
        jnp.where(inside, jnp.minimum(s, 0.5 - 2.0**-54), s),
        jnp.where(inside, jnp.minimum(c, 1 - 2.0**-53), c),
    )
    if label in (0.0, 1.0):
        tail = negative == (label == 0)
        t = s_below if tail else c_below
        value = t if label == 0 else -t
        scale = _power_of_two(-jnp.maximum(_exponent(t) - 23, -149))
        return _truth(value, scale, jnp.full_like(t, 2.0**-24))
    small = z < _SMALL
    h = jnp.where(small, z * (0.25 - z * z * (1 / 48 - z * z / 480)), 0.5 - s)
    h = -h if negative else h
    d = 0.5 - label
    value = d + h
    rest = (d - (value - (value - d))) + (h - (value - d))
    below = (rest != 0) & ((rest < 0) == (value > 0))
    bits = lax.bitcast_convert_type(jnp.abs(value), jnp.int64)
    scale = _power_of_two(-jnp.maximum(_exponent(lax.bitcast_convert_type(bits - below, jnp.float64)) - 23, -149))
    error = jnp.where(small, 2.0**-50 * jnp.abs(h), 2.0**-49 * s) + 2.0**-52 * jnp.abs(value)
    known = jnp.where(small, 2.0**-50 * jnp.abs(h), 2.0**-49 * s)
    mantissa = bits & ((1 << 52) - 1)
    gap = jnp.minimum(mantissa, (1 << 52) - mantissa).astype(jnp.float64) * _power_of_two(_exponent(value) - 52)
    unclear = gap + jnp.abs(rest) <= known
    return _truth(value, scale, jnp.where(unclear, jnp.inf, error * scale))


class Points(NamedTuple):
    """Each point of a stream: its kind, the bin of its error and the error as float32 bits (-1: none), undecided."""

    kind: Array
    bin: Array
    error: Array
    undecided: Array


def measure(result: Array, truth: Truth64, magnitude: Array, tolerance: float) -> Points:
    """Results (float32, subnormals seen by their bits) against the truth; kinds as in `stability.measure`."""
    bits = lax.bitcast_convert_type(result, jnp.int32)
    size = bits & 0x7FFFFFFF
    subnormal = jnp.where(bits < 0, -1.0, 1.0) * size.astype(jnp.float64) * 2.0**-149
    x = jnp.where(size < 0x800000, subnormal, result.astype(jnp.float64))
    quanta = truth.value * truth.scale
    ulps = jnp.abs(x * truth.scale - quanta)
    height = jnp.abs(quanta)
    to_zero, to_subnormal = height <= 0.5, height < 2.0**23 - 0.5
    kind = jnp.where(ulps > tolerance, INACCURATE, OK)
    kind = jnp.where(((bits < 0) != (quanta < 0)) & ~to_zero & (size != 0), WRONG_SIGN, kind)
    kind = jnp.where((size == 0) & ~to_zero, jnp.where(to_subnormal, FLUSHED, VANISHED), kind)
    kind = jnp.where(size == _INFINITY, INF, kind)
    kind = jnp.where(size > _INFINITY, NAN, kind)
    nan_input = magnitude > _INFINITY
    kind = jnp.where(nan_input, jnp.where(size > _INFINITY, NAN_INPUT, INACCURATE), kind).astype(jnp.int32)
    measured = ((kind == OK) | (kind == INACCURATE)) & ~nan_input
    error = lax.bitcast_convert_type(jnp.minimum(ulps, 3e38).astype(jnp.float32), jnp.int32)
    near = jnp.minimum(jnp.abs(ulps - tolerance), jnp.minimum(jnp.abs(height - 0.5), jnp.abs(height - (2.0**23 - 0.5))))
    unclear = (near <= truth.bound) | (truth.bound > 0.25) | ((magnitude == _INFINITY) & (ulps > 0.25))
    return Points(
        kind,
        jnp.where(measured, jnp.clip((error >> 23) - 125, 0, BINS - 1), -1),
        jnp.where(measured & ~to_subnormal, error, -1),
        unclear & ~nan_input & (size < _INFINITY),
    )


class Summary(NamedTuple):
    """What a stream shows in a block.

    Counts by kind, histogram, largest error and largest error that is `ok` (float32 bits, -1: none), undecided points;
    how often the kind changes from a point to the next, and the first and the last `inaccurate` point (`BLOCK` and -1
    where there is none).
    """

    counts: Array
    histogram: Array
    error: Array
    ok_error: Array
    undecided: Array
    changes: Array
    first: Array
    last: Array


def _packed(values: Array, words: int) -> Array:
    """How often each of `0 ... 8 words - 1` occurs among `values` (others are ignored), eight 8-bit counters a word."""
    columns = values.reshape(128, -1)
    counts = []
    for word in range(words):
        ones = jnp.where((columns >> 3) == word, jnp.int64(1) << ((columns & 7) * 8).astype(jnp.int64), 0)
        sums = ones.sum(0)
        counts += [((sums >> (8 * i)) & 0xFF).sum() for i in range(8)]
    return jnp.stack(counts + [jnp.zeros((), jnp.int64)] * (BINS - 8 * words)).astype(jnp.int32)


def _counted(kind: Array, bins: Array, error: Array, undecided: Array) -> Summary:
    """The summary from the kind, the bin and the error (-1 or less: none) of each point."""
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
    )


def _exactly(result: Array, truth: Truth64, magnitude: Array, tolerance: float) -> Summary:
    points = measure(result, truth, magnitude, tolerance)
    return _counted(points.kind, points.bin, points.error, points.undecided.sum(dtype=jnp.int32))


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
    )


def _quickly(result: Array, truth: Truth64, magnitude: Array, tolerance: float) -> Summary:
    """As `_exactly`, in float32 where that decides every point of the block.

    `result - near` is exact or off by `2**-24` of itself, and so is the sum with `fraction`: the error found is off by
    less than `2**-22` of itself and `2**-23`.
    """
    bits = lax.bitcast_convert_type(result, jnp.int32)
    size = bits & 0x7FFFFFFF
    ulps = jnp.abs((result - truth.near) * truth.inverse - truth.fraction)
    opposite = (bits ^ lax.bitcast_convert_type(truth.near, jnp.int32)) < 0
    key = lax.bitcast_convert_type(jnp.minimum(ulps, 3e38), jnp.int32)
    key = jnp.where(size == 0, -VANISHED, jnp.where(opposite, -WRONG_SIGN, key))
    key = jnp.where(size >= _INFINITY, jnp.where(size == _INFINITY, -INF, -NAN), key)
    key = lax.optimization_barrier(key)
    low, high = (jnp.float32(tolerance * (1 + sign * 2.0**-21) + sign * 2.0**-22).view(jnp.int32) for sign in (-1, 1))
    clear = truth.sharp & (magnitude[-1] < _INFINITY) & ~((key >= low) & (key <= high)).any()
    most = key.max()
    light = (key.min() >= 0) & (most < jnp.minimum(low, _SIXTY_FOUR))
    bins = jnp.where(key < 0, -1, jnp.clip((key >> 23) - 125, 0, BINS - 1))

    def few() -> Summary:
        return _same(jnp.int32(OK), jnp.int32(-1), most, len(result))._replace(histogram=_packed(bins, 1))

    def many() -> Summary:
        kind = jnp.where(key < 0, -key, jnp.where(key > high, INACCURATE, OK))
        return _counted(kind, bins, key, jnp.zeros((), jnp.int32))

    return lax.cond(clear, lambda: lax.cond(light, few, many), lambda: _exactly(result, truth, magnitude, tolerance))


def summarise(result: Array, truth: Truth64, magnitude: Array, tolerance: float) -> Summary:
    """One stream of a block, by its ends where all results are one float and the truth keeps its binade."""
    bits = lax.bitcast_convert_type(result, jnp.int32)
    constant = ((bits == bits[0]) | (jnp.isnan(result) & jnp.isnan(result[0]))).all()
    ends = jnp.array([0, len(magnitude) - 1])
    at_ends = measure(result[ends], Truth64(*(v[ends] for v in truth[:-1]), truth.sharp), magnitude[ends], tolerance)
    side = result[ends].astype(jnp.float64) * truth.scale[ends] < truth.value[ends] * truth.scale[ends]
    alike = [a[0] == a[1] for a in (at_ends.kind, at_ends.bin, truth.scale[ends], magnitude[ends] > _INFINITY, side)]
    plain = constant & ~at_ends.undecided.any() & jnp.stack(alike).all()
    return lax.cond(
        plain,
        lambda: _same(at_ends.kind[0], at_ends.bin[0], at_ends.error.max(), len(magnitude)),
        lambda: _quickly(result, truth, magnitude, tolerance),
    )


def _floats(magnitude: Array, negative: bool) -> Array:
    return lax.bitcast_convert_type(magnitude | jnp.int32(_SIGN if negative else 0), jnp.float32)


def _streams(first: Array, forms: list[Form], labels: list[float], each):
    """`each(result, truth, magnitude)` for every stream, in the order form, label, sign (positive first)."""
    magnitude = first + jnp.arange(BLOCK, dtype=jnp.int32)
    truths = {(y, neg): sigmoid_minus_label(magnitude, y, neg) for y in labels for neg in (False, True)}
    magnitude, truths = lax.optimization_barrier((magnitude, truths))
    found = []
    for form in forms:
        for y in labels:
            for negative in (False, True):
                z = lax.optimization_barrier(_floats(magnitude, negative))
                result = lax.optimization_barrier(form(z, jnp.float32(y)))
                found.append(each(result, truths[y, negative], magnitude))
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *found)


def summaries(forms: list[Form], labels: list[float], tolerance: float):
    """A function from first magnitudes, int32 of shape `(blocks,)`, to a `Summary` of fields `(blocks, streams, ...)`."""

    def block(first):
        return _streams(first, forms, labels, lambda r, t, m: summarise(r, t, m, tolerance))

    return lambda firsts: lax.map(block, firsts)


def details(forms: list[Form], labels: list[float], tolerance: float):
    """A function from a first magnitude to the results (float32) and kinds (uint8), each `(streams, BLOCK)`."""

    def each(result, truth, magnitude):
        return result, measure(result, truth, magnitude, tolerance).kind.astype(jnp.uint8)

    return lambda first: _streams(first, forms, labels, each)
