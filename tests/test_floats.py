"""Floats as ordered integers, against NumPy's own view of the same bits."""

import math

import jax
import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stability.double_word import fast_two_sum
from stability.formats import FORMATS, bits_of, every_float, format_of, from_ordinal, hex_of, to_ordinal, ulp_exponent

NARROW = [FORMATS["float16"], FORMATS["bfloat16"]]
WIDE = [FORMATS["float32"], FORMATS["float64"]]
ALL = NARROW + WIDE


def by_name(formats):
    return pytest.mark.parametrize("fmt", formats, ids=lambda f: f.name)


def ordinals(fmt):
    return st.integers(-fmt.infinity - 1, fmt.infinity)


@by_name(ALL)
def test_attributes_agree_with_finfo(fmt):
    info = ml_dtypes.finfo(fmt.dtype)
    assert fmt.max == float(info.max)
    assert fmt.smallest_normal == float(info.smallest_normal)
    assert math.ldexp(1.0, fmt.least_exponent) == float(info.smallest_subnormal)
    assert fmt.precision == info.nmant + 1
    assert fmt.bits == info.bits


@by_name(NARROW)
def test_ordinals_are_a_monotone_bijection_on_every_16_bit_float(fmt):
    patterns = np.arange(1 << 16).astype(np.uint16)
    x = patterns.view(fmt.dtype)
    x, patterns = x[~np.isnan(x)], patterns[~np.isnan(x)]
    n = to_ordinal(x)
    order = np.argsort(n)
    np.testing.assert_array_equal(n[order], np.arange(-fmt.infinity - 1, fmt.infinity + 1))
    np.testing.assert_array_equal(bits_of(from_ordinal(n, fmt)), patterns)
    steps = x[order].astype(np.float64)
    grows = steps[1:] > steps[:-1]
    assert np.flatnonzero(~grows).tolist() == [fmt.infinity]
    assert steps[fmt.infinity] == 0 and steps[fmt.infinity + 1] == 0


@by_name(WIDE)
@given(data=st.data())
def test_ordinals_are_a_monotone_bijection_on_wide_floats(fmt, data):
    a, b = data.draw(ordinals(fmt)), data.draw(ordinals(fmt))
    x, y = from_ordinal(np.array([a, b]), fmt)
    assert to_ordinal(np.array([x, y])).tolist() == [a, b]
    if x < y:
        assert a < b
    elif x == y and x != 0:
        assert a == b


@by_name(ALL)
@given(data=st.data())
def test_the_next_ordinal_is_the_next_float(fmt, data):
    n = data.draw(st.integers(-fmt.infinity - 1, fmt.infinity - 1).filter(lambda n: n != -1))
    x, y = from_ordinal(np.array([n, n + 1]), fmt)
    expected = np.nextafter(x, np.array(np.inf, fmt.dtype))
    assert y == expected and np.signbit(y) == np.signbit(expected)


@by_name(ALL)
def test_the_zeros_are_neighbours_in_order(fmt):
    zeros = np.array([-0.0, 0.0], fmt.dtype)
    assert to_ordinal(zeros).tolist() == [-1, 0]
    assert np.signbit(from_ordinal(np.array([-1, 0]), fmt)).tolist() == [True, False]
    around = from_ordinal(np.array([-2, 1]), fmt).astype(np.float64)
    least = math.ldexp(1.0, fmt.least_exponent)
    assert around.tolist() == [-least, least]


@by_name(ALL)
def test_the_infinities_are_the_ends(fmt):
    ends = np.array([-np.inf, np.inf], fmt.dtype)
    assert to_ordinal(ends).tolist() == [-fmt.infinity - 1, fmt.infinity]
    greatest = from_ordinal(np.array([fmt.infinity - 1]), fmt)[0]
    assert float(greatest) == fmt.max
    assert np.isnan(from_ordinal(np.array([fmt.infinity + 1, -fmt.infinity - 2]), fmt)).all()


@by_name(NARROW)
def test_every_float_has_each_bit_pattern_once(fmt):
    x = every_float(fmt)
    assert x.dtype == fmt.dtype
    assert len(x) == len(set(bits_of(x).tolist())) == 1 << 16
    numbers = 2 * fmt.infinity + 2
    assert not np.isnan(x[:numbers]).any() and np.isnan(x[numbers:]).all()
    assert (np.diff(to_ordinal(x[:numbers])) == 1).all()


@by_name(WIDE)
def test_every_float_refuses_wide_formats(fmt):
    with pytest.raises(ValueError, match=fmt.name):
        every_float(fmt)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_ulp_exponent_of_float64_is_that_of_math_ulp(x):
    assert math.ldexp(1.0, int(ulp_exponent(np.array(x), FORMATS["float64"]))) == math.ulp(x)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@given(data=st.data())
def test_ulp_exponent_is_that_of_spacing(dtype, data):
    fmt = FORMATS[dtype]
    x = from_ordinal(np.array([data.draw(st.integers(0, fmt.infinity - 2))]), fmt)
    for signed in (x, -x):
        e = ulp_exponent(signed.astype(np.float64), fmt)
        assert np.ldexp(1.0, e) == np.spacing(x).astype(np.float64)


@by_name(ALL)
def test_subnormals_and_zero_share_the_least_ulp(fmt):
    n = np.array([-5, -1, 0, 1, 2, (1 << (fmt.precision - 1)) - 1, 1 << (fmt.precision - 1)])
    x = from_ordinal(n, fmt).astype(np.float64)
    assert ulp_exponent(x, fmt).tolist() == [fmt.least_exponent] * len(n)
    assert ulp_exponent(np.array(2 * fmt.smallest_normal), fmt) == fmt.least_exponent + 1


@by_name([FORMATS["float16"], FORMATS["bfloat16"], FORMATS["float32"]])
def test_ulp_exponent_of_a_value_below_the_least_subnormal_is_the_least(fmt):
    assert ulp_exponent(np.array([1e-300, -5e-324]), fmt).tolist() == [fmt.least_exponent] * 2


@by_name(ALL)
def test_format_of_knows_each_format(fmt):
    assert format_of(fmt.dtype) is fmt


@pytest.mark.parametrize("dtype", [np.int32, np.uint16, np.bool_, ml_dtypes.float8_e4m3fn])
def test_format_of_refuses_other_dtypes(dtype):
    with pytest.raises(ValueError, match="not a float format"):
        format_of(dtype)


@by_name(ALL)
@given(data=st.data())
def test_hex_reads_back_exactly(fmt, data):
    x = from_ordinal(np.array([data.draw(ordinals(fmt))]), fmt)[0]
    back = np.array([float.fromhex(hex_of(x))]).astype(fmt.dtype)
    assert bits_of(back)[0] == bits_of(np.array([x]))[0]


def test_xla_does_not_reassociate_variables():
    """Of two constants it may: `double_word`."""

    def back(x, one):
        return (one + x) - one

    x, one = np.float32(2**-25), np.float32(1)
    assert back(x, one) == jax.jit(back)(x, one) == 0
    assert jax.jit(lambda x: back(x, one))(x) in (0, x)
    assert jax.jit(fast_two_sum)(one, x)[1] == x
