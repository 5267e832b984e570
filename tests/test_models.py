"""True values of every float32 on the device, by Taylor models, against balls and mpmath."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from mpmath import mpf

from stability import real
from stability.atlas.records import Settings, Task
from stability.atlas.rows import measure
from stability.formats import FORMATS
from stability.measure import KINDS
from stability.real import Order, straight_line
from stability.sweep import blocks
from stability.sweep.models import BLOCKS, Table, ends, models, table_of
from stability.truth import State
from stability.truth.device import in_float64

FLOAT32 = FORMATS["float32"]
SOME = sorted({0, 1, 127, 128, 0x3EAA, 0x3F80, 0x4000, 0x41A0, 0x42B1, 0x42D0, 0x5000, BLOCKS - 2, BLOCKS - 1})

FUNCTIONS = {
    "tanh": (jnp.tanh, mpmath.tanh),
    "log1p": (jnp.log1p, mpmath.log1p),
    "silu": (jax.nn.silu, lambda x: x / (1 + mpmath.exp(-x))),
    "elu": (jax.nn.elu, lambda x: mpmath.expm1(x) if x < 0 else x),
    "sqrt": (jnp.sqrt, mpmath.sqrt),
}


def floats(block, negative, at):
    magnitudes = np.uint32(block << 16) + np.asarray(at, np.uint32)
    return (magnitudes | np.uint32(negative << 31)).view(np.float32)


def table(fn, blocks) -> Table:
    found = table_of(fn, blocks)
    assert found is not None
    return found


def told(found, order, block, negative):
    magnitude = jnp.arange(block << 16, (block + 1) << 16, dtype=jnp.int32)
    return found.truth(order)(magnitude, 0.0, negative)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_are_within_their_bound_of_mpmaths(name):
    fn, oracle = FUNCTIONS[name]
    at, checked = [0, 1, 777, 32768, 65535], 0
    with jax.enable_x64(True):
        found = table(fn, SOME)
        for order, block, negative in np.ndindex(3, len(SOME), 2):
            out = told(found, order, SOME[block], bool(negative))
            for i, x in zip(at, floats(SOME[block], negative, at).tolist(), strict=True):
                value, ulp, bound = (float(v[i]) for v in (out.value, 1 / out.scale, out.bound))
                inside = (
                    abs(x) < 90 and abs(x) > 1e-30 and (name not in ("log1p", "sqrt") or x > (-1, 0)[name == "sqrt"])
                )
                if not inside or not bound < 0.01:
                    continue
                with mpmath.workdps(80):
                    true = mpmath.diff(oracle, mpf(x), order) if order else oracle(mpf(x))
                    assert abs(mpf(value) - true) <= (mpf(bound) + mpf(2) ** -60) * mpf(ulp), (x, order)
                checked += 1
    assert checked > 60


@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_are_those_of_balls(name):
    fn, rng, checked = FUNCTIONS[name][0], np.random.default_rng(0), 0
    some = sorted(rng.choice(BLOCKS - 1, 12, replace=False).tolist())
    with jax.enable_x64(True):
        found = table(fn, some)
        for order, block, negative in ((o, b, n) for o in range(3) for b in some for n in (False, True)):
            at = np.sort(rng.choice(1 << 16, 4, replace=False))
            z, out = floats(block, negative, at), told(found, order, block, negative)
            truth = real.truth(fn, z, fmt=FLOAT32, derivative=Order(0, order) if order else None)
            for k, i in enumerate(at):
                value, scale, bound = (float(v[i]) for v in (out.value, out.scale, out.bound))
                if np.isinf(bound):
                    continue
                checked += 1
                assert np.isnan(value) == (truth.state[k] == State.UNDEFINED), z[k]
                if np.isnan(value) or np.isinf(value) or np.isinf(truth.quanta[k]):
                    continue
                true = (truth.quanta[k] + truth.fraction[k]) * 2.0 ** float(truth.exponent[k])
                assert abs(value - true) * scale <= bound + 2.0**-23, (z[k], value, true)
    assert checked > 200


def test_a_block_of_a_function_that_jumps_has_no_model():
    line = straight_line(jnp.floor, jax.ShapeDtypeStruct((), np.float32))
    across, between = models(jnp.floor, line, 0x4000 - 1, False, 16), models(jnp.floor, line, 0x3FA0, False, 16)
    assert np.isfinite(between[0].bound) and between[0].coefficients[0] == 1
    kinked = models(jax.nn.relu, straight_line(jax.nn.relu, jax.ShapeDtypeStruct((), np.float32)), 0, False, 8)
    assert np.isinf(kinked[1].bound) and len(across) == 3


HIDING = {
    "zero times no value": lambda x: 0.0 * jnp.log(x - 1.003),
    "floor times no value": lambda x: jnp.floor(x / 4) * jnp.log(x - 1.003),
}


@pytest.mark.parametrize("name", HIDING)
def test_what_a_series_would_hide_has_no_model(name):
    line = straight_line(HIDING[name], jax.ShapeDtypeStruct((), np.float32))
    assert all(np.isinf(m.bound) for m in models(HIDING[name], line, 0x3F80, False, 16))


def test_what_takes_something_for_a_constant_has_no_model():
    """Its power series about one number are not those about another."""
    line = straight_line(lambda x: x + jax.lax.stop_gradient(x * x), jax.ShapeDtypeStruct((), np.float32))
    assert line is None


@pytest.mark.parametrize("order", [1, 2])
def test_a_zero_times_no_value_has_no_derivative(order):
    z = np.float32([-1.0, -2.0, *np.linspace(-3, -2, 40), 0.25, 0.3])
    for fn in (lambda x: 0.0 * jnp.log(x), lambda x: x + 0.0 * jnp.log(x), lambda x: jnp.floor(x) * jnp.log(x - 0.5)):
        truth = real.truth(fn, z[:42] if fn(0.3) == fn(0.3) else z, fmt=FLOAT32, derivative=Order(0, order))
        assert (truth.state == State.UNDEFINED).all()


def test_overflows_are_right_on_the_device():
    """Past the greatest float32 an infinity is right, and NaN, or a number, is not."""
    with jax.enable_x64(True):
        found = table(jnp.exp, [0x42B4, 0x42B6])
        given = jnp.zeros(1, jnp.float32)
        for block in (0x42B4, 0x42B6):
            for fn, kind in ((jnp.exp, "ok"), (lambda x: jnp.exp(x) * 0 / 0, "nan"), (lambda x: x, "inaccurate")):
                forms = [lambda z, label, fn=fn: fn(z)]
                of_block = jax.jit(blocks.summaries(found.truth(0), forms, [0.0], 16.0))
                counts = np.asarray(of_block(jnp.int32([block << 16]), given).counts)[0, 0]
                assert counts[KINDS.index(kind)] == 1 << 16, (block, kind, counts)


def test_a_constant_result_is_measured_where_the_truth_is_not_monotone():
    """The truth of a block rises and falls back by 0.4 of the result, whose ends alone are near."""
    size = 2.0**-23

    def truth(magnitude, label, negative):
        s = ((magnitude & 0xFFFF) - (1 << 15)).astype(jnp.float64) / (1 << 15)
        value = size * (1.01 + 0.4 * (1 - s * s))
        return in_float64(value, jnp.full_like(value, 2.0**46), jnp.zeros_like(value))

    with jax.enable_x64(True):
        form = [lambda z, label: jnp.full_like(z, size)]
        of_block = jax.jit(blocks.summaries(truth, form, [0.0], 16.0))
        found = of_block(jnp.int32([0x3F80 << 16]), jnp.zeros(1, jnp.float32))
        worst = float(np.asarray(found.error)[0, 0].view(np.float32))
    assert worst == pytest.approx(0.41 * 2**23, rel=1e-3)


def test_a_bound_that_is_planted_too_small_would_be_seen(monkeypatch):
    """Two coefficients leave more than the bound says."""
    fn, oracle = FUNCTIONS["tanh"]
    with jax.enable_x64(True):
        found = table(fn, [0x4000])
        found.coefficients[..., 2:] = 0
        out, (x,) = told(found, 1, 0x4000, False), floats(0x4000, False, [60000])
        with mpmath.workdps(40):
            off = abs(mpf(float(out.value[60000])) - mpmath.diff(oracle, mpf(float(x)))) * mpf(float(out.scale[60000]))
        assert off > float(out.bound[60000])


def test_the_ends_of_blocks():
    assert ends(0x3F80, False) == (1.0, 1 + 2.0**-8, 1 + 65535 * 2.0**-23)
    assert ends(0x3F80, True)[0] == -1.0 and ends(0, False)[0] == 0.0


@pytest.mark.exhaustive
def test_every_float32_agrees_with_a_sample():
    """Where regions end that no tolerance blurs, and no error of the sample is larger than the worst of all."""
    task = Task("nn.log_sigmoid(x)", "float32")
    sampled, every = (measure(task, Settings(every_float32=every)) for every in (False, True))
    by_way = {(r.rule, r.order, way): r for r in every for way, mode in r.ways if mode == "jit"}
    for row in sampled:
        for way, mode in row.ways:
            if mode != "jit":
                continue
            other = by_way[row.rule, row.order, way]
            assert other.exhaustive and other.points == 2**32 and other.max_ulp >= row.max_ulp * (1 - 1e-5)
            clear = [{r[:3] for r in which.regions if r[0] != "inaccurate"} for which in (row, other)]
            assert clear[0] == clear[1]
