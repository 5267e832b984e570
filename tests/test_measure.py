"""One classifier, on the host and on a device: every 16-bit float against truths of every state."""

import functools
import math
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stability import measure, truth
from stability.formats import FORMATS, every_float, from_ordinal, to_ordinal, widen
from stability.measure import FAILURES, KINDS, classify, classify_on_device
from stability.truth import Point, State, Truth
from stability.truth.balls import ball
from stability.truth.device import against

F16, BF16, F32, F64 = FORMATS.values()
TOLERANCE = 2.5
sixteen = pytest.mark.parametrize("fmt", [F16, BF16], ids=lambda f: f.name)


def exact_points(fmt):
    """Numbers by fractions: zero, subnormals, ties, powers of two, the greatest float and beyond, of both signs."""
    least, one = Fraction(2) ** fmt.least_exponent, Fraction(1)
    ulp_of_max = Fraction(2) ** (fmt.emax - fmt.precision + 1)
    sizes = [0, least / 3, least / 2, least * 2 / 3, least, 7 * least, Fraction(2) ** fmt.emin - least / 4]
    sizes += [Fraction(2) ** fmt.emin, Fraction(1, 3), one, one - Fraction(1, 2**30), Fraction(10, 3)]
    sizes += [Fraction(fmt.max) + part * ulp_of_max for part in (-3, Fraction(2, 5), Fraction(3, 5), 1, 7)]
    sizes += [Fraction(2) ** (fmt.emax + 40), Fraction(2) ** (fmt.emax + 500)]
    return [sign * size for sign in (1, -1) for size in sizes]


def point(x, fmt):
    """A rational number as a `Point`, by the definitions: whole ulps of its binade, ties to even, and the rest."""
    size = abs(x)
    e = fmt.least_exponent
    while size >= Fraction(2) ** (e + fmt.precision):
        e += 1
    if e > fmt.emax + 128 - fmt.precision:
        return truth.infinite(1 if x > 0 else -1, fmt)
    units = size / Fraction(2) ** e
    n = round(units)
    sign = -1.0 if x < 0 else 1.0
    return Point(math.copysign(float(n), sign), sign * float(units - n), e)


def special_points(fmt):
    return [
        *(truth.infinite(s, fmt) for s in (1, -1)),
        *(truth.pole(fmt, s) for s in (1, -1, 0)),
        truth.undefined("domain", fmt),
        truth.undecided(fmt),
        truth.undecided(fmt, "0, or smaller than 2^-4000", 0.0),
    ]


def kinks(fmt):
    ends = [(0, 1), (1, 0), (-1, 1), (Fraction(1, 3), Fraction(2, 3)), (-2, 2**20), (1, 1)]
    return [(point(Fraction(a), fmt), point(Fraction(b), fmt)) for a, b in ends] + [
        (point(Fraction(1), fmt), truth.infinite(1, fmt))
    ]


def repeated(point_, n, fmt, other=None):
    one = truth.of_points([point_], fmt)
    if other is not None:
        one = truth.within(one, truth.of_points([other], fmt))
    return one.at(np.zeros(n, int))


def arrays(known):
    """A truth as a pytree."""
    if known is None:
        return None
    return known.quanta, known.fraction, known.exponent, known.state, arrays(known.other)


def rebuilt(fields, fmt):
    return None if fields is None else Truth(*fields[:3], fmt, fields[3], other=rebuilt(fields[4], fmt))


@functools.cache
def compiled(fmt):
    return jax.jit(lambda results, fields: classify_on_device(results, rebuilt(fields, fmt), TOLERANCE))


def on_device(results, known):
    with jax.enable_x64(True):
        return [np.asarray(v) for v in compiled(known.fmt)(jnp.asarray(results), arrays(known))]


def truths(fmt, n):
    for x in exact_points(fmt):
        yield repeated(point(x, fmt), n, fmt)
    for p in special_points(fmt):
        yield repeated(p, n, fmt)
    for a, b in kinks(fmt):
        yield repeated(a, n, fmt, b)


@sixteen
def test_the_device_says_what_the_host_says_of_every_float_and_every_state(fmt):
    z = every_float(fmt)
    seen = set()
    for known in truths(fmt, len(z)):
        kinds, ulps = classify(z, known, TOLERANCE)
        found, errors = on_device(z, known)
        assert np.array_equal(found, kinds)
        assert np.array_equal(errors, ulps, equal_nan=True)
        seen |= set(kinds.tolist())
    assert seen == set(range(len(KINDS)))


@sixteen
def test_a_mismatch_planted_at_one_float_is_seen(fmt):
    z = every_float(fmt)
    known = repeated(point(Fraction(10, 3), fmt), len(z), fmt)
    kinds, _ = classify(z, known, TOLERANCE)
    at = int(np.flatnonzero(kinds == measure.OK)[0])
    planted = z.copy()
    planted[at] = -planted[at]
    found, _ = on_device(planted, known)
    assert np.flatnonzero(found != kinds).tolist() == [at] and KINDS[found[at]] == "wrong_sign"


def expected(x, true, p, fmt):
    """The kind of a float against a rational truth, by the definitions in the docstring of `KINDS`, in fractions."""
    rounded = float(p.quanta) * 2.0**p.exponent if p.exponent < 1000 else math.copysign(math.inf, p.quanta)
    rounded = math.copysign(math.inf, true) if abs(rounded) > fmt.max else rounded
    if math.isnan(x):
        return "nan"
    if math.isinf(x):
        return "ok" if x == rounded else "inf"
    if x == 0 and rounded != 0:
        return "flushed" if abs(rounded) < fmt.smallest_normal else "vanished"
    if rounded != 0 and (x < 0) != (rounded < 0):
        return "wrong_sign"
    off = abs(Fraction(x) - true) / Fraction(2) ** p.exponent if math.isfinite(p.quanta) else math.inf
    return "inaccurate" if off > TOLERANCE else "ok"


@sixteen
def test_numbers_are_judged_as_in_exact_arithmetic(fmt):
    z = every_float(fmt)[::37]
    z = np.concatenate([z, from_ordinal(np.arange(-3, 4), fmt), np.array([fmt.max, np.inf, -np.inf], fmt.dtype)])
    for true in exact_points(fmt):
        exact = point(true, fmt)
        kinds, _ = classify(z, repeated(exact, len(z), fmt), TOLERANCE)
        assert [KINDS[k] for k in kinds] == [expected(float(x), true, exact, fmt) for x in widen(z)]


def kind_of(x, known, tolerance=TOLERANCE):
    fmt = known.fmt
    kinds, ulps = classify(np.array([x]).astype(fmt.dtype), known, tolerance)
    return KINDS[kinds[0]], ulps[0]


@pytest.mark.parametrize("fmt", FORMATS.values(), ids=lambda f: f.name)
def test_a_pole_has_the_infinity_of_its_sign_or_either_or_nan_where_the_signs_differ(fmt):
    up, down, both = (repeated(truth.pole(fmt, s), 1, fmt) for s in (1, -1, 0))
    right = [(up, [np.inf]), (down, [-np.inf]), (both, [np.inf, -np.inf, np.nan])]
    for known, results in right:
        for x in (np.inf, -np.inf, np.nan, 0.0, 1.0, -1.0, fmt.max):
            wanted = ("ok", 0.0) if any(x is r or x == r for r in results) else ("pole", np.inf)
            assert kind_of(x, known) == wanted
    assert measure.POLE in FAILURES


@pytest.mark.parametrize("fmt", FORMATS.values(), ids=lambda f: f.name)
def test_undefined_and_undecided_condemn_nothing(fmt):
    for x in (np.inf, np.nan, 0.0, 1.0):
        assert kind_of(x, repeated(truth.undefined("domain", fmt), 1, fmt))[0] == (
            "nan_input" if math.isnan(x) else "outside"
        )
        assert kind_of(x, repeated(truth.undecided(fmt), 1, fmt))[0] == "undecided"
    assert not {KINDS.index(k) for k in ("ok", "nan_input", "outside", "undecided")} & set(FAILURES)


@pytest.mark.parametrize("fmt", FORMATS.values(), ids=lambda f: f.name)
def test_between_the_ends_of_a_kink_everything_is_right(fmt):
    known = repeated(point(Fraction(0), fmt), 1, fmt, point(Fraction(1), fmt))
    for x in (0.0, -0.0, 0.5, 1.0, fmt.smallest_normal):
        assert kind_of(x, known) == ("ok", 0.0)
    above = float(widen(from_ordinal(to_ordinal(np.array([1.0]).astype(fmt.dtype)) + 4, fmt))[0])
    assert kind_of(above, known) == ("inaccurate", 4.0)
    assert kind_of(np.nan, known)[0] == "nan" and kind_of(np.inf, known)[0] == "inf"


@pytest.mark.parametrize("fmt", [F16, BF16, F32], ids=lambda f: f.name)
def test_just_beyond_the_greatest_float_there_is_one_error_by_every_route(fmt):
    """The greatest float is off by 0.6 ulps of max + 0.6 ulp, though that rounds to infinity."""
    true = Fraction(fmt.max) + Fraction(3, 5) * Fraction(2) ** (fmt.emax - fmt.precision + 1)
    near = np.array([float(true)])
    quanta = truth.nearest_quanta((near, np.zeros(1)), 0, np.zeros(1), fmt)[:3]
    with jax.enable_x64(True):
        exponent = np.array([fmt.emax - fmt.precision + 1])
        device = against(jnp.asarray(near), jnp.asarray(exponent), jnp.zeros(1, bool), fmt)
        device = Truth(*(np.asarray(v) for v in arrays(device)[:3]), fmt, np.asarray(device.state))
    routes = [
        truth.of_points([truth.enclosed(ball(near[0]), fmt)], fmt),
        truth.of_floats(near, fmt),
        truth.of_quanta(*quanta, fmt),
        device,
    ]
    for known in routes:
        assert np.isinf(known.rounded[0]) and known.state[0] == State.NUMBER
        kind, ulps = kind_of(fmt.max, known)
        assert kind == "ok" and ulps == pytest.approx(0.6, abs=1e-6)
        assert kind_of(np.inf, known) == ("ok", 0.0) and kind_of(-np.inf, known)[0] == "inf"
        found, errors = on_device(np.array([fmt.max], fmt.dtype), known)
        assert KINDS[found[0]] == "ok" and errors[0] == ulps
