"""Tolerance checks: planted defects are found and told, and the pytest plugin lists the margins."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stability import real, testing
from stability.formats import FORMATS, every_float, from_ordinal, hex_of, to_ordinal
from stability.study.functions import BadFunction
from stability.testing import assert_gradient_max_ulp, assert_max_ulp

pytest_plugins = "pytester"

F16, BF16, F32, F64 = FORMATS.values()


@functools.cache
def slopes(fmt):
    """The correctly rounded derivative of `x**3 + x`, as a table by bit pattern."""
    floats = every_float(fmt)
    table = np.empty(1 << 16, fmt.dtype)
    with np.errstate(over="ignore"):
        table[floats.view(np.uint16)] = real.truth(lambda x: 3 * x * x + 1, floats, fmt=fmt).rounded.astype(fmt.dtype)
    return table


def cubic(x):
    return x**3 + x


def with_slopes(table):
    """`cubic` with a derivative rule that looks its result up."""
    f = jax.custom_jvp(cubic)

    @f.defjvp
    def rule(primals, tangents):
        (x,), (t,) = primals, tangents
        return cubic(x), jnp.asarray(table)[jax.lax.bitcast_convert_type(x, jnp.uint16).astype(jnp.int32)] * t

    return f


def planted(fmt, at, change):
    table = slopes(fmt).copy()
    index = np.array([at], fmt.dtype).view(np.uint16)
    table[index] = change(table[index])
    return with_slopes(table)


DEFECTS = {
    "one ulp": (lambda x: from_ordinal(to_ordinal(x) + 1, FORMATS[x.dtype.name]), "inaccurate"),
    "lost sign": (np.negative, "wrong_sign"),
    "nan": (lambda x: np.full_like(x, np.nan), "nan"),
    "inf": (lambda x: np.full_like(x, np.inf), "inf"),
    "vanished": (np.zeros_like, "vanished"),
}


@pytest.mark.parametrize("fmt", [F16, BF16], ids=lambda f: f.name)
@pytest.mark.parametrize(("defect", "at"), [*zip(DEFECTS, [1.5, -0.0078125, 11.0, -(2.0**-9), 3.25], strict=True)])
def test_a_defect_at_one_float_of_a_16_bit_format_is_found(fmt, defect, at):
    change, kind = DEFECTS[defect]
    f = planted(fmt, at, change)
    with pytest.raises(AssertionError) as told:
        domain = (2.0**-9, 16) if at > 0 else (-16, -(2.0**-9))
        assert_gradient_max_ulp(f, dtype=fmt.dtype, domain=domain, max_ulp=0.5, reference=cubic)
    message = str(told.value)
    assert f"Worst: {kind}" in message and f"x: {at!r} = {hex_of(at)}" in message
    assert "Mismatched elements: 1 / " in message


@pytest.mark.parametrize("fmt", [F16, BF16], ids=lambda f: f.name)
def test_the_correctly_rounded_rule_passes_at_half_an_ulp(fmt):
    assert_gradient_max_ulp(with_slopes(slopes(fmt)), dtype=fmt.dtype, domain=(-16, 16), max_ulp=0.5, reference=cubic)
    last = testing.CHECKS[-1]
    assert 0.4 < last.worst <= 0.5 and last.points == 2 * int(to_ordinal(np.array(16, fmt.dtype))) + 2


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("at", [0.0, -0.0, 1.0, 2.0**-20, -7.25, 7.25])
def test_a_nan_at_a_special_point_of_a_wide_format_is_found(dtype, at):
    def f(x):
        here = (x == at) & (jnp.signbit(x) == bool(np.signbit(at)))
        return jnp.where(here, jnp.sqrt(-1 - x * x) * x, cubic(x))

    with pytest.raises(AssertionError, match="Worst: nan"):
        assert_gradient_max_ulp(f, dtype=dtype, domain=(-7.25, 7.25), max_ulp=8, points=64, reference=cubic)


def test_points_are_the_same_at_every_run():
    for _ in range(2):
        assert_gradient_max_ulp(jnp.tanh, dtype="float32", domain=(-1, 1), max_ulp=16, points=1000)
    first, again = testing.CHECKS[-2:]
    assert first == again and 1000 <= first.points < 3000


def test_a_rule_that_is_wrong_in_real_numbers_is_found_unless_it_is_trusted():
    @jax.custom_jvp
    def f(x):
        return x * x

    f.defjvp(lambda primals, tangents: (f(*primals), 3 * primals[0] * tangents[0]))
    assert_gradient_max_ulp(f, domain=(0.5, 2), max_ulp=1, rules="trusted")
    for reference in (None, lambda x: x * x):
        with pytest.raises(AssertionError, match=r"grad_f \(order 1, rev\) is not within 1 ulps"):
            assert_gradient_max_ulp(f, domain=(0.5, 2), max_ulp=1, reference=reference)


def test_a_failure_says_that_a_rule_is_not_the_derivative():
    @jax.custom_jvp
    def rounded(x):
        return jnp.round(x)

    rounded.defjvp(lambda primals, tangents: (rounded(*primals), tangents[0]))
    with pytest.raises(AssertionError) as failed:
        assert_gradient_max_ulp(lambda x: 2 * rounded(x), domain=(0.75, 1.25), max_ulp=1, points=8)
    line = str(failed.value).rpartition("CULPRIT: ")[2]
    said = r"\S*rounded at \S*test_testing\.py:\d+ has a custom derivative rule: .* is 2\.0 = 0x1\.0"
    assert re.match(said, line) and line.endswith('rules="trusted" takes it for the definition'), line
    with pytest.raises(AssertionError, match=r"a derivative rule of the library is not the derivative: .* is 1\.0 = "):
        assert_gradient_max_ulp(jax.scipy.special.i0, domain=(0.0, 0.0), max_ulp=1)


def test_a_rule_that_is_the_derivative_is_not_mentioned():
    @jax.custom_jvp
    def f(x):
        return jnp.log(x) - jnp.log(x + 1)

    f.defjvp(lambda primals, tangents: (f(*primals), tangents[0] / primals[0] - tangents[0] / (primals[0] + 1)))
    with pytest.raises(AssertionError, match=r"CULPRIT: (sub|add_any) \(cancellation\)"):
        assert_gradient_max_ulp(f, domain=(1e5, 1e6), max_ulp=1, points=8)


def test_the_message_names_input_error_truth_and_equation():
    def log1mexp(x):
        rest = 1 - jnp.exp(-x)
        return jnp.log(rest)

    x = jnp.array([1.0, 2.0**-26, 0.7], jnp.float32)
    with pytest.raises(AssertionError) as told:
        assert_max_ulp(log1mexp, x, max_ulp=4)
    lines = str(told.value).splitlines()
    assert lines[1] == "log1mexp is not within 4 ulps of its true value in float32"
    assert lines[3] == "Mismatched elements: 1 / 3 (33.3%)"
    assert lines[5] == f" x: {2.0**-26!r} = {hex_of(2.0**-26)} at index (1,)"
    assert lines[6] == " ACTUAL: -inf = -inf" and lines[7].startswith(" DESIRED: -18.02")
    assert "sub (cancellation)" in lines[8] and "test_testing.py" in lines[8]
    assert_max_ulp(lambda x: jnp.log(-jnp.expm1(-x)), x, max_ulp=4)


def test_a_lost_sign_of_a_function():
    x = jnp.array([1.0, 2.0, -3.0], jnp.bfloat16)
    with pytest.raises(AssertionError, match="wrong_sign"):
        assert_max_ulp(jnp.abs, x, max_ulp=4, reference=lambda x: x)


def test_arrays_and_pytrees():
    logits = jnp.linspace(-3, 3, 10, dtype=jnp.float32)
    assert_max_ulp(jax.nn.softmax, logits, max_ulp=8)
    assert_max_ulp(jax.jit(lambda x: {"mean": x.mean(), "var": x.var()}), logits + 1, max_ulp=8)
    assert [c.name.partition(" ")[2] for c in testing.CHECKS[-2:]] == ["(result 0)", "(result 1)"]
    with pytest.raises(AssertionError, match="sub \\(cancellation\\)"):
        assert_max_ulp(lambda a: jnp.mean(a * a) - jnp.mean(a) ** 2, 1000 + logits, max_ulp=8)


def test_two_arguments_broadcast():
    x, y = jnp.array([[1.0], [1 + 2.0**-20]], jnp.float32), jnp.array([1.0, 3.0], jnp.float32)
    with pytest.raises(AssertionError, match="at index \\(1, 0\\)"):
        assert_max_ulp(lambda x, y: x * x - y * y * x, x, y, max_ulp=2)


def test_float64_errors_are_in_exact_ulps():
    x = jnp.array([1.0, 1.5], jnp.float64)
    third = np.nextafter(np.array([1 / 3, 0.5]), 1)
    with pytest.raises(AssertionError, match="error 1 ulps") as told:
        assert_max_ulp(lambda x: x / 3, x, max_ulp=0.5, reference=third)
    assert "Mismatched elements: 2 / 2" in str(told.value)
    assert_max_ulp(lambda x: x / 3, x, max_ulp=0.5)
    assert abs(testing.CHECKS[-1].worst - 1 / 3) < 1e-9


def test_where_the_truth_is_undefined_a_nan_passes_and_a_number_is_counted_apart():
    x = jnp.array([-1.0, 4.0], jnp.float32)
    assert_max_ulp(jnp.sqrt, x, max_ulp=1)
    assert_max_ulp(lambda x: jnp.sqrt(jnp.abs(x)), x, max_ulp=1, reference=jnp.sqrt)


def test_what_cannot_be_checked_is_refused():
    with pytest.raises(TypeError, match="int32"):
        assert_max_ulp(lambda x: x.astype(jnp.int32), jnp.ones(2), max_ulp=1)
    with pytest.raises(ValueError, match="3 values"):
        assert_max_ulp(jnp.sqrt, jnp.ones(2), max_ulp=1, reference=np.ones(3))
    with pytest.raises(BadFunction, match="scalar"):
        assert_gradient_max_ulp(lambda x: jnp.sum(x[None] * jnp.ones(3)) * jnp.ones(2), domain=(0, 1), max_ulp=1)
    for arguments, told in (
        ({}, "needs a value for y$"),
        ({"fixed": {"z": 1.0}}, "z is not an argument of <lambda> that can be fixed; those are: y$"),
        ({"argnum": 2}, r"<lambda> has no positional argument number 2; it has 0 \(x\), 1 \(y\)$"),
    ):
        with pytest.raises(BadFunction, match=told):
            assert_gradient_max_ulp(lambda x, y: x * y, **arguments, domain=(0, 1), max_ulp=1)
    with pytest.raises(ValueError, match="no float32"):
        assert_gradient_max_ulp(jnp.sqrt, domain=(1e39, 1e40), max_ulp=1)


CHECKED = """
    import jax, jax.numpy as jnp
    from stability.testing import assert_max_ulp, assert_gradient_max_ulp

    def test_exact():
        assert_max_ulp(lambda x: 2 * x, jnp.ones(3, jnp.float32), max_ulp=1)

    def test_gradient():
        assert_gradient_max_ulp(jnp.tanh, dtype=jnp.float32, domain=(-1, 1), max_ulp=16)

    def test_fails():
        assert_max_ulp(lambda x: jnp.log(1 + x), jnp.array([2.0**-30], jnp.float32), max_ulp=2)
"""


def test_the_report_lists_each_check_with_the_narrowest_margin_first(pytester):
    pytester.makepyfile(CHECKED)
    result = pytester.runpytest("--ulp-report", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(
        [
            "*worst errors*",
            "*of 2 *<lambda> float32 vanished at *test_fails*",
            "*of 16 *grad_tanh (order 1, rev) float32 at *test_gradient*",
            "*0 of 1 *<lambda> float32 at *test_exact*",
        ]
    )


def test_without_the_option_there_is_no_report(pytester):
    pytester.makepyfile(CHECKED)
    assert "worst errors" not in pytester.runpytest("-p", "no:cacheprovider").stdout.str()


def test_a_run_without_checks_says_so_and_imports_no_jax(pytester):
    pytester.makepyfile("import sys\ndef test_it(): assert 'jax' not in sys.modules")
    result = pytester.runpytest_subprocess("--ulp-report", "-p", "no:cacheprovider", "-p", "no:hypothesispytest")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["no check was made"])
