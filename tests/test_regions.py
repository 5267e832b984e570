"""Regions of failing floats: exact ends, and zones where kinds alternate, with a count that is estimated."""

import functools

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

from stability import real
from stability.atlas.functions import public_function
from stability.atlas.ways import MODES, WAYS, results
from stability.formats import FORMATS, from_ordinal
from stability.measure import KINDS, LOST, OK, classify, true_is_normal
from stability.measure.bisection import SPARING, THOROUGH, Effort, Sample, refine
from stability.measure.regions import Region, looked_inside, number_of, regions_of

FLOAT32 = FORMATS["float32"]
SIMILARITY = "optax.cosine_similarity([x, 0.5, -1.25], [1.0, 0.0, 0.0])"
NAN, VANISHED, WRONG_SIGN, INACCURATE = (KINDS.index(k) for k in ("nan", "vanished", "wrong_sign", "inaccurate"))
GRID = np.arange(-(1 << 30), 1 << 30, 1 << 19)


def looked_at(kind_of, counts):
    def measured(ordinals):
        counts.append(len(ordinals))
        kinds = kind_of(ordinals)
        return Sample(ordinals, kinds, np.zeros(len(kinds)), np.ones(len(kinds), bool), np.zeros(len(kinds), np.int8))

    return measured


def found(kind_of, effort=SPARING):
    counts: list[int] = []
    measured = looked_at(kind_of, counts)
    sample, inside = looked_inside(refine(measured(GRID), measured, effort), measured, 0, effort)
    regions = regions_of(sample, inside)
    return regions, functools.partial(number_of, regions=regions, inside=inside), sum(counts)


def one_of(kinds, ordinals, seed=1):
    """A kind at every ordinal, as if by chance."""
    mixed = (ordinals.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15 + 2 * seed)) >> np.uint64(40)
    return np.array(kinds)[(mixed % np.uint64(len(kinds))).astype(int)]


@pytest.mark.parametrize("kinds", [(VANISHED, WRONG_SIGN, INACCURATE), (NAN, VANISHED, WRONG_SIGN, INACCURATE)])
def test_the_ends_of_a_zone_of_many_kinds_are_exact_and_cost_little(kinds):
    first, last = 123_456_789, 987_654_321

    def kind_of(ordinals):
        return np.where((ordinals >= first) & (ordinals <= last), one_of(kinds, ordinals), OK)

    regions, number, looked = found(kind_of)
    assert (min(r.start for r in regions), max(r.stop for r in regions)) == (first, last)
    assert looked < len(GRID) + 60 * 8 * SPARING.spaces * len(kinds)
    width = last - first + 1
    assert number(kinds) == pytest.approx(width, rel=1e-6)
    for kind in kinds:
        assert number([kind]) / width == pytest.approx(1 / len(kinds), abs=0.05)


def test_a_region_beside_a_zone_of_many_kinds_has_exact_ends():
    """Also one that no point of the grid lies in."""
    near, far = (-700_000_001, -699_000_000), (50_000_003, 900_000_000)

    def kind_of(ordinals):
        zone = (ordinals >= far[0]) & (ordinals <= far[1])
        mixed = np.where(zone, one_of((VANISHED, WRONG_SIGN, INACCURATE), ordinals), OK)
        return np.where((ordinals >= near[0]) & (ordinals <= near[1]), NAN, mixed)

    regions, *_ = found(kind_of)
    assert Region("nan", *near, near[1] - near[0] + 1, counted=False) in regions
    others = [r for r in regions if r.kind != "nan"]
    assert (min(r.start for r in others), max(r.stop for r in others)) == far


@pytest.mark.parametrize("effort", [Effort(1, 1, 1, 8), SPARING, THOROUGH])
def test_two_regions_are_found_alike_whatever_the_effort(effort):
    def kind_of(ordinals):
        return np.where(ordinals < -7, INACCURATE, np.where(ordinals > 5_000_001, VANISHED, OK))

    regions, *_ = found(kind_of, effort)
    assert [(r.kind, r.start, r.stop) for r in regions] == [
        ("inaccurate", GRID[0], -8),
        ("vanished", 5_000_002, GRID[-1]),
    ]


@pytest.mark.parametrize("share", [2, 10])
def test_where_a_failure_alternates_with_what_is_right_every_end_that_is_told_is_exact(share):
    """A zone beside a hole of its own, and another region far from both."""
    zone, hole, alone = (-300_000_001, 900_000_000), (5_000_000, 90_000_003), (-900_000_000, -800_000_001)

    def kind_of(ordinals):
        def within(span):
            return (ordinals >= span[0]) & (ordinals <= span[1])

        mixed = one_of((INACCURATE, *(OK,) * (share - 1)), ordinals)
        zones = np.where(within(zone) & ~within(hole), mixed, OK)
        ends = np.isin(ordinals, [*zone, hole[0] - 1, hole[1] + 1])
        return np.where(within(alone) | ends, INACCURATE, zones)

    regions, number, looked = found(kind_of)
    ends = np.array([(r.start, r.stop) for r in regions])
    assert (kind_of(ends) == INACCURATE).all()
    assert (kind_of(ends[:, 0] - 1) == OK).all() and (kind_of(ends[:, 1] + 1) == OK).all()
    assert Region("inaccurate", *alone, 99_999_999 + 1, counted=False) in regions
    assert looked < len(GRID) + 60 * 4 * SPARING.spaces
    width = 1_200_000_002 - 85_000_004
    assert number([INACCURATE]) - 100_000_000 == pytest.approx(width / share, rel=0.1)
    assert sum(r.count for r in regions) == pytest.approx(number([INACCURATE]), rel=0.01)


@pytest.mark.parametrize("stray", [[], [GRID[1664]], [GRID[1300], GRID[3280]]])
def test_what_is_right_between_two_zones_is_in_no_region(stray):
    """With single floats that fail between them."""
    far, near = (-900_000_000, -500_000_001), (700_000_003, 705_000_000)

    def kind_of(ordinals):
        mixed = one_of((VANISHED, WRONG_SIGN, INACCURATE), ordinals)
        among_right = one_of((WRONG_SIGN, OK, OK, OK), ordinals, 2)
        zones = np.where((ordinals >= far[0]) & (ordinals <= far[1]), mixed, OK)
        zones = np.where((ordinals >= near[0]) & (ordinals <= near[1]), among_right, zones)
        return np.where(np.isin(ordinals, [*stray, *near]), WRONG_SIGN, zones)

    regions, number, _ = found(kind_of)
    for r in regions:
        assert r.stop <= far[1] or r.start >= near[0] or (r.start == r.stop and r.start in stray)
    assert number([VANISHED, WRONG_SIGN, INACCURATE]) == pytest.approx(400_000_000 + 5_000_000 / 4, rel=0.01)
    assert number([WRONG_SIGN]) == pytest.approx(400_000_000 / 3 + 5_000_000 / 4, rel=0.15)


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", ["jnp.sinc(x)", "nn.gelu(x)", "jnp.tan(x)", "special.boxcox(0.25, x)", SIMILARITY])
@pytest.mark.parametrize("order", [0, 1, 2])
@pytest.mark.parametrize("step", [16, 64])
def test_a_sample_counts_what_every_float_of_bfloat16_counts(name, order, step):
    fmt, fn = FORMATS["bfloat16"], public_function(name).fn
    every = np.arange(-fmt.infinity - 1, fmt.infinity + 1)
    derivative = real.Order(0, order) if order else None
    truth = real.truth(fn, from_ordinal(every, fmt), fmt=fmt, derivative=derivative)
    program = MODES["jit"](next(iter(WAYS[order].values()))(fn))
    kinds, ulps = classify(results(program, fmt, "jit")(every), truth, 16.0)

    def measured(ordinals):
        at = ordinals - every[0]
        return Sample(ordinals, kinds[at], ulps[at], true_is_normal(truth)[at], truth.state[at])

    grid = np.union1d(every[::step], [-1, 0, every[-1]])
    sample, inside = looked_inside(refine(measured(grid), measured, SPARING), measured, 0, SPARING)
    regions = regions_of(sample, inside)
    for r in regions:
        code = KINDS.index(r.kind)
        assert kinds[[r.start - every[0], r.stop - every[0]]].tolist() == [code, code]
        outer = [i for i in (r.start - 1, r.stop + 1) if every[0] <= i <= every[-1]]
        assert (kinds[outer - every[0]] != code).all()
    lost = np.isin(kinds, LOST).sum()
    assert number_of(LOST, regions, inside) == pytest.approx(lost, rel=0.04, abs=len(every) / 500)


def softplus(x):
    return jnp.logaddexp(x, 0.0)


@pytest.mark.parametrize("orders", [(2, 1), (1, 2), (1,)])
def test_a_derivative_is_the_same_whichever_was_asked_for_before(orders):
    def fn(x):
        return softplus(x) * jnp.log(jnp.full_like(x, 3.0))

    z = np.array([-60.0, -1.5, 0.25, 3.0, 40.0], np.float32)
    for order in orders:
        truth = real.truth(fn, z, fmt=FLOAT32, derivative=real.Order(0, order))
        if order == 1:
            with mpmath.workdps(60):
                wanted = [mpmath.log(3) / (1 + mpmath.exp(-mpmath.mpf(float(x)))) for x in z]
            assert truth.rounded.tolist() == [float(np.float32(float(w))) for w in wanted]


def test_what_hangs_on_no_argument_is_as_precise_as_what_does():
    """`(log 3 + x) - log 3` is `x`, however small, which takes more bits than a first look has."""

    def fn(x):
        return (jnp.log(jnp.full_like(x, 3.0)) + x) - jnp.log(jnp.full_like(x, 3.0))

    fmt = FORMATS["float64"]
    with jax.enable_x64(True):
        z = from_ordinal(np.array([1, 1 << 53, 300 << 52, 1 << 62, -(1 << 40)]), fmt)
        assert real.truth(fn, z, fmt=fmt).rounded.tolist() == z.tolist()
        assert real.truth(fn, z, fmt=fmt, derivative=real.Order(0, 1)).rounded.tolist() == [1.0] * 5
