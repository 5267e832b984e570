"""Cores of FPCore files: constructs, literals, preconditions, the sampler, the commands, and the public benchmark."""

import dataclasses
import json
import math
import warnings
from fractions import Fraction
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stability import cli, diagnose, true_derivative, true_value, why_undefined
from stability.formats import FORMATS, from_ordinal, to_ordinal
from stability.study.fpcore import domain, points, ranges, read
from stability.study.loading import BadFunction
from stability.sweep.outcome import Outcome

BENCHMARK = Path(__file__).parents[2] / "shared" / "fpbench"
FILES = sorted(BENCHMARK.glob("*.fpcore")) if BENCHMARK.is_dir() else []
BFLOAT16, FLOAT32, FLOAT64 = FORMATS["bfloat16"], FORMATS["float32"], FORMATS["float64"]


@pytest.fixture
def cores(tmp_path):
    """Writes a file and reads its cores."""

    def written(text):
        path = tmp_path / "mine.fpcore"
        path.write_text(text)
        return read(path)

    return written


@pytest.fixture
def core(cores):
    return lambda text: cores(text)[0]


VALUES = [
    ("(let ([x 1] [y x]) (+ x y))", 3.0),
    ("(let* ([x 1] [y x]) (+ x y))", 2.0),
    ("(while (< i 3) ([x x (+ x i)] [i 0 (+ i 1)]) x)", 5.0),
    ("(while (< i 3) ([i 0 (+ i 1)] [x x (+ x i)]) x)", 5.0),
    ("(while* (< i 3) ([i 0 (+ i 1)] [x x (+ x i)]) x)", 8.0),
    ("(while* (< i 1) ([i 0 (+ i 1)] [y i (+ y i)]) y)", 1.0),
    ("(if (< x 2) 10 20)", 20.0),
    ("(if (<= 1 x 2) 10 20)", 10.0),
    ("(if (< 1 x 2) 10 20)", 20.0),
    ("(if (!= x 1 2) 10 20)", 20.0),
    ("(if (and (> x 1) (or FALSE (not (== x 3)))) 10 20)", 10.0),
    ("(if (and (isfinite x) (isnormal x) (not (isnan x)) (not (isinf x)) (signbit (- x))) 10 20)", 10.0),
    ("(fma x x 1)", 5.0),
    ("(fdim x 5)", 0.0),
    ("(fdim 5 x)", 3.0),
    ("(+ (fmax x 3) (fmin x 3))", 5.0),
    ("(copysign x -1)", -2.0),
    ("(fmod -5 x)", -1.0),
    ("(round 2.5)", 3.0),
    ("(nearbyint 2.5)", 2.0),
    ("(+ (trunc -1.5) (+ (floor 1.5) (ceil 1.5)))", 2.0),
    ("(pow x 10)", 1024.0),
    ("(hypot 3 (* x 2))", 5.0),
    ("(cbrt 8)", 2.0),
    ("(log2 (exp2 x))", 2.0),
    ("(cast (! :precision binary64 (/ x 4)))", 0.5),
    ("(! :precision integer (/ 7 x))", 4.0),
    ("(/ -INFINITY x)", None),
    ("(- INFINITY)", -math.inf),
    ("(digits 3 -1 2)", 1.5),
    ("0x1.8p1", 3.0),
    ("-.5", -0.5),
]


@pytest.mark.parametrize(("body", "expected"), VALUES, ids=[body for body, _ in VALUES])
def test_each_construct_has_its_value_at_two(core, body, expected):
    found = core(f"(FPCore (x) {body})")
    if expected is None:
        assert "has no value" in found.refusal
        return
    assert found.refusal == "" and float(jax.jit(found)(jnp.float32(2))) == expected
    assert float(found(jnp.bfloat16(2))) == expected and found(jnp.bfloat16(2)).dtype == jnp.bfloat16


@pytest.mark.parametrize(
    "name",
    [
        "sin",
        "cos",
        "tan",
        "asin",
        "acos",
        "atan",
        "sinh",
        "cosh",
        "tanh",
        "asinh",
        "atanh",
        "exp",
        "expm1",
        "log",
        "log1p",
        "log10",
    ],
)
def test_functions_are_those_of_their_names(core, name):
    found, x = core(f"(FPCore (x) ({name} x))"), np.float32(0.625)
    expected = np.float32(getattr(math, name)(float(x)))
    assert true_value(found, x) == expected and abs(float(found(x)) - expected) <= 4e-7


def test_the_special_functions_are_theirs(core):
    for name in ("erf", "erfc", "lgamma"):
        assert true_value(core(f"(FPCore (x) ({name} x))"), np.float32(3)) == np.float32(getattr(math, name)(3))
    assert true_value(core("(FPCore (x) (tgamma x))"), np.float32(5)) == 24
    assert true_value(core("(FPCore (x) (atan2 x -1))"), np.float32(2)) == np.float32(math.atan2(2, -1))
    assert true_value(core("(FPCore (x) (acosh x))"), np.float32(2)) == np.float32(math.acosh(2))


TWICE = "1.00000005960464477541"
"""Above the middle of two float32 by less than float64 can tell: rounded to it first, it would be 1."""


@pytest.mark.parametrize(
    ("literal", "exact"), [(TWICE, Fraction(TWICE)), ("1/3", Fraction(1, 3)), ("0.1", Fraction(1, 10))]
)
def test_a_literal_is_rounded_once(core, literal, exact):
    got = core(f"(FPCore (x) {literal})")(jnp.float32(0))
    beside = [np.nextafter(np.float32(got), np.float32(end)) for end in (-np.inf, np.inf)]
    assert all(abs(Fraction(float(got)) - exact) < abs(Fraction(float(x)) - exact) for x in beside)
    assert float(np.float32(np.float64(TWICE))) == 1.0


def test_constants_are_the_nearest_floats(core):
    for name, value in {
        "PI": math.pi,
        "E": math.e,
        "LN2": math.log(2),
        "SQRT2": math.sqrt(2),
        "M_1_PI": 1 / math.pi,
    }.items():
        assert float(core(f"(FPCore (x) {name})")(jnp.float32(0))) == float(np.float32(value))


REFUSED = {
    "(FPCore ((x 3)) (ref x 0))": "array is not supported",
    "(FPCore (x) (array x x))": "array is not supported",
    "(FPCore (x) (tensor ([i 3]) x))": "tensor is not supported",
    "(FPCore (x) (for ([i 3]) ([y 0 (+ y x)]) y))": "for is not supported",
    "(FPCore (x) (remainder x 2))": "remainder is not supported",
    "(FPCore (x) (other x))": "other is not supported",
    "(FPCore (x) y)": "y has no value",
    "(FPCore (x) (while TRUE ([y 0 x]) y))": "no end",
    "(FPCore (x) (! :round toPositive (+ x 1)))": ":round toPositive",
    "(FPCore (x) :round toZero x)": ":round toZero",
    "(FPCore (x) (< x 1))": "it returns bool",
    "(FPCore (x) :pre (while (< i 1) ([i 0 1]) TRUE) x)": "while in a precondition",
}


@pytest.mark.parametrize(("text", "problem"), REFUSED.items())
def test_what_is_not_supported_is_told_in_a_line(core, text, problem):
    assert problem in core(text).refusal and "\n" not in core(text).refusal


def test_names_are_titles_identifiers_or_numbers_and_differ(cores):
    text = '(FPCore (x) x) (FPCore f (x) x) (FPCore g (x) :name "a title" x) (FPCore (x) :name "a title" x)'
    assert [c.name for c in cores(text)] == ["1", "f", "a title", "a title 4"]


def test_alternatives_may_be_several(core):
    assert core("(FPCore (x) :alt (+ x 1) :alt (+ x 2) x)").refusal == ""


@pytest.mark.parametrize("text", ["(FPCore (x)", "import os", "(FPCore (x x) x)", '(FPCore (x) :name "a" :name "b" x)'])
def test_what_is_no_fpcore_is_told_in_a_line(cores, text):
    with pytest.raises(BadFunction, match=r"mine\.fpcore is not read: [^\n]+$"):
        cores(text)


def test_the_truth_of_a_branch_and_of_a_loop(core):
    branch = core("(FPCore (x) (if (< x 0) (sqrt x) (* x x)))")
    assert float(jax.grad(branch)(jnp.float32(3))) == true_derivative(branch, np.float32(3)) == 6
    assert why_undefined(branch, np.float32(-1)) == "domain"
    loop = core("(FPCore (x) (while (< i 10) ([y 1 (/ (+ y (/ x y)) 2)] [i 0 (+ i 1)]) y))")
    assert true_value(loop, np.float32(2)) == np.float32(math.sqrt(2))


def test_a_loop_that_goes_on_has_no_value(core):
    loop = dataclasses.replace(core("(FPCore (x) (while (< i x) ([i 0 (+ i 1)]) i))"), rounds=50)
    assert float(jax.jit(loop)(jnp.float32(49))) == true_value(loop, np.float32(49)) == 49
    assert np.isnan(jax.jit(loop)(jnp.float32(50))) and why_undefined(loop, np.float32(50)) == "nan"


def test_arguments_go_by_their_names_whatever_those_are(core):
    found = core("(FPCore (sr* lambda) (- sr* lambda))")
    assert float(found(jnp.float32(3), jnp.float32(1))) == float(found(**{"lambda": jnp.float32(1), "sr*": 3})) == 2
    with pytest.raises(TypeError):
        found(jnp.float32(1))


def test_an_equation_stands_at_its_line_of_the_file(core):
    culprit = diagnose(core("(FPCore f (x)\n  (- (sqrt (+ x 1))\n     (sqrt x)))"), jnp.float32(1e10)).culprit
    assert culprit.kind == "cancellation" and culprit.source.endswith("mine.fpcore:2:2 (f)")


MEETS = [
    ("(<= 0.1 x 0.3)", np.float32(0.3), False),
    ("(<= 0.1 x 0.3)", np.float32(0.1), True),
    ("(< x (* 2 PI))", np.float32(2 * math.pi), False),
    ("(== (* x x) 4)", 2.0, True),
    ("(!= x 0 1 -1)", 1.0, False),
    ("(let ([a 3]) (and (<= -2 x 2) (> (* a x) 0.1)))", 1.0, True),
    ("(or (< x 0) (> (sqrt x) 3))", -1.0, True),
    ("(> (log x) 0)", -1.0, False),
    ("(if (< x 0) FALSE (not (== x 3)))", 2.0, True),
    ("(< (+ x 1e-300) x)", 1e300, False),
    ("(> (+ x 1e-300) x)", 1e300, True),
]


@pytest.mark.parametrize(("pre", "x", "meets"), MEETS)
def test_a_precondition_is_decided_over_the_reals(core, pre, x, meets):
    assert core(f"(FPCore (x) :pre {pre} x)").meets(x) is meets


def test_ranges_are_those_of_comparisons_with_constants(core):
    found = core("(FPCore (x y z) :pre (and (<= 1 x 2) (> 0.3 y) (and (>= y 0)) (< x z)) (+ x (+ y z)))")
    ends = ranges(found, FLOAT32)
    assert from_ordinal(np.array(ends["x"]), FLOAT32).tolist() == [1, 2]
    assert Fraction(float(np.float32(0.3))) > Fraction(3, 10)
    assert ends["y"] == (-1, int(to_ordinal(np.float32(0.3))) - 1)
    assert ends["z"] == (-FLOAT32.infinity, FLOAT32.infinity - 1)
    assert domain(found, "x") == (1, 2) and domain(found, "z") == (-math.inf, math.inf)
    assert Fraction(0.3) < Fraction(3, 10) and domain(found, "y") == (0, 0.3)


def test_points_meet_the_precondition_and_are_uniform_over_ordinals(core):
    found = core("(FPCore (x y) :pre (and (< 0 x 1) (<= -1 y 1) (< y x)) (+ x y))")
    x, y = drawn = points(found, 2000, FLOAT32, seed=3)
    assert drawn.shape == (2, 2000) and drawn.dtype == np.float32 and (drawn == points(found, 2000, FLOAT32, 3)).all()
    assert ((x > 0) & (x < 1) & (y >= -1) & (y < x)).all()
    free = core("(FPCore (x) :pre (<= 1/16 x 8) x)")
    ordinals = np.sort(to_ordinal(points(free, 4000, FLOAT32, seed=1)[0]))
    first, last = ranges(free, FLOAT32)["x"]
    assert np.abs((ordinals - first) / (last - first) - (np.arange(4000) + 0.5) / 4000).max() < 1.63 / math.sqrt(4000)


def test_points_of_every_format_and_of_no_precondition_are_finite_floats(core):
    for fmt in FORMATS.values():
        (drawn,) = points(core("(FPCore (x) x)"), 500, fmt, seed=0)
        assert drawn.dtype == fmt.dtype and np.isfinite(drawn.astype(np.float64)).all() and (drawn < 0).any()


def test_points_that_are_too_few_are_counted(core):
    with pytest.warns(UserWarning, match=r"hopeless: 0 of 5 points"):
        none = points(core('(FPCore (x y) :name "hopeless" :pre (== (* x y) 1/3) x)'), 5, FLOAT32, seed=0)
    assert none.shape == (2, 0)
    with pytest.warns(UserWarning, match="0 of 5"):
        assert points(core("(FPCore (x) :pre (< 2 x 1) x)"), 5, BFLOAT16, seed=0).shape == (1, 0)


def test_an_integer_argument_is_one(core):
    (drawn,) = points(core("(FPCore ((! :precision integer n)) :pre (<= 1 n 9) n)"), 50, BFLOAT16, seed=0)
    assert set(drawn.astype(float)) == set(range(1, 10))


PAIR = '(FPCore (x) :name "near one" :pre (<= 1 x 1000) (- (sqrt (+ x 1)) (sqrt x))) (FPCore two (x* y) (* x* (- y 1)))'


def run(argv, capsys):
    try:
        status = cli.main(list(argv))
    except SystemExit as stop:
        status = stop.code
    return status, *capsys.readouterr()


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.fpcore").write_text(PAIR)
    return ["--fpcore", "mine.fpcore"]


def test_sweep_takes_a_core_where_its_precondition_lets_it(file, capsys):
    argv = ["sweep", *file, "--name", "near one", "--dtype", "bfloat16", "--mode", "jit", "--no-plots"]
    status, out, err = run(argv, capsys)
    summary = json.loads(Path("reports/mine.near one/summary.json").read_text())
    assert (status, err) == (0, "") and "mine.fpcore:1:48 (near one)" in out
    (row,) = Outcome.from_json(summary).rows
    assert sum(row.counts.values()) == int(np.diff(to_ordinal(np.array([1, 1000], BFLOAT16.dtype)))[0]) + 1
    assert row.counts["vanished"] > 0


def test_sweep_and_diagnose_take_arguments_by_their_names(file, capsys):
    chosen = [*file, "--name", "two"]
    argv = [
        *chosen,
        "--arg",
        "1",
        "--fix",
        "x*=3.0",
        "--dtype",
        "bfloat16",
        "--mode",
        "jit",
        "--no-plots",
        "--out",
        "out",
    ]
    status, _, err = run(["sweep", *argv], capsys)
    assert (status, err) == (0, "") and "y = " not in err
    status, out, err = run(["diagnose", *chosen, "--at", "y=1.5,x*=4"], capsys)
    assert (status, err) == (0, "") and "two: result 2 (eager), true value 2" in out


TOLD = [
    (["sweep"], "2 cores; choose one by name: near one, two"),
    (["sweep", "--name", "tow"], "no core tow; did you mean two? (choose from near one, two)"),
    (["sweep", "--name", "two"], "two needs a value for y; give --fix"),
    (["sweep", "--name", "two", "--function", "math:sin"], "give one of them"),
    (["diagnose", "--at", "1"], "choose one by name: near one, two"),
    (["diagnose", "--name", "two", "--at", "z=1"], "mine:two has no argument z"),
]


@pytest.mark.parametrize(("argv", "told"), TOLD)
def test_mistakes_are_told_in_a_line(file, capsys, argv, told):
    status, out, err = run([argv[0], *file, *argv[1:]], capsys)
    assert (status, out) == (2, "") and told in err and err.count("\n") == 1


def test_a_name_without_a_file_is_told(capsys):
    assert "--name: only with --fpcore" in run(["diagnose", "math:sin", "--name", "f", "--at", "1"], capsys)[2]
    assert "give module:function, or --fpcore FILE" in run(["diagnose", "--at", "1"], capsys)[2]


UNSUPPORTED = {
    *("Arrow-Hurwicz", "Euler Oscillator", "Filter", "Symplectic Oscillator", "Circle", "Flower"),
}
"""Of the benchmark: what gives arrays, or loops without end."""

benchmark = pytest.mark.skipif(not FILES, reason="no shared/fpbench beside the checkout")


@benchmark
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_core_of_the_benchmark_reads(path):
    found = read(path)
    assert found and {c.name for c in found if c.refusal} == UNSUPPORTED & {c.name for c in found}


def looked_at(core, n):
    """A core at `n` points under jit, beside its true values there."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        xs = points(core, n, FLOAT32, seed=0)
    if not xs.shape[1]:
        return np.zeros(0, np.float32), []
    short = dataclasses.replace(core, rounds=1024)
    return np.asarray(jax.jit(jax.vmap(short))(*xs)), [true_value(short, *point) for point in xs.T]


@benchmark
def test_some_cores_of_the_benchmark_are_run_and_have_true_values():
    for path in FILES:
        core = next((c for c in read(path) if not c.refusal), None)
        if core is None or "arclength" in core.name:
            continue
        got, true = looked_at(core, 2)
        assert got.shape == (len(true),) and got.dtype == np.float32 and len(true) == 2
        assert all(value.dtype == np.float32 for value in true)


@benchmark
@pytest.mark.exhaustive
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_all_cores_of_the_benchmark_are_run_and_have_true_values(path):
    for core in read(path):
        if not core.refusal:
            got, true = looked_at(core, 4)
            assert got.shape == (len(true),) and all(value.dtype == np.float32 for value in true)
            assert len(true) == 4 or core.name in ("floudas1", "Eigenvalue Computation")
