"""A user's function: swept from the shell and from Python, its refusals, and what a range and a screening see."""

import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from stability import report
from stability.cli import sweep
from stability.formats import FORMATS, from_ordinal, to_ordinal, widen
from stability.measure import classify
from stability.study.functions import BadFunction, as_form, check_scalar, hold, parse_fixed, study_of
from stability.sweep import engine, screen
from stability.sweep.points import floats_of
from stability.truth import of_floats

F32, BF16 = FORMATS["float32"], FORMATS["bfloat16"]

SOURCE = """
import jax, jax.numpy as jnp, numpy as np

def softplus(x):
    e = jnp.exp(x)
    return jnp.log1p(e)

def loss(z, y, *, scale=1.0):
    return scale * -(y * jnp.log(jax.nn.sigmoid(z)) + (1 - y) * jnp.log(1 - jax.nn.sigmoid(z)))

def pair(x): return jnp.stack([x, x])
def whole(x): return jnp.int32(x)
def wide(x): return x * jnp.ones((), jnp.float64)
def row(n): return jnp.arange(10.0)[n]
def triple(x): return x * np.float64(3.3)
def drawn(x): return x + jax.random.uniform(jax.random.PRNGKey(0), (3,))[1]
@jax.custom_jvp
def straight(x): return jnp.round(x)
straight.defjvp(lambda primals, tangents: (straight(*primals), tangents[0]))
number = 3
"""


@pytest.fixture
def mine(tmp_path, monkeypatch):
    (tmp_path / "mine_functions.py").write_text(SOURCE)
    (tmp_path / "broken_functions.py").write_text("import a_module_that_is_not_there")
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_a_function_from_the_shell(mine, capsys):
    arguments = [
        "--function",
        "mine_functions:softplus",
        "--dtype",
        "bfloat16",
        "--dtype",
        "float32",
        "--points",
        "2048",
        "--jobs",
        "1",
    ]
    assert sweep.main([*arguments, "--out", str(mine / "r")]) == 0
    assert {p.name for p in (mine / "r" / "plots").iterdir()} == {
        f"{kind}_{dtype}.{end}"
        for kind in ("regions", "errors")
        for dtype in ("bfloat16", "float32")
        for end in ("png",)
    }
    summary = json.loads((mine / "r" / "summary.json").read_text())
    for row in summary["results"]:
        assert row["label"] is None and row["form"] == "softplus"
        (overflow,) = [r for r in row["regions"] if r["kind"] == "inf"]
        fmt = FORMATS[row["dtype"]]
        first = np.array([float.fromhex(overflow["from"])]).astype(fmt.dtype)
        before = from_ordinal(to_ordinal(first) - 1, fmt)
        assert np.isinf(np.asarray(jnp.log1p(jnp.exp(first))).astype(np.float64)).all()
        assert np.isfinite(np.asarray(jnp.log1p(jnp.exp(before))).astype(np.float64)).all()
        assert float.fromhex(overflow["to"]) == fmt.max
    lines = [b for b in summary["blame"] if b["kind"] == "inf"]
    assert {(b["primitive"], b["dtype"]) for b in lines} == {("exp", "bfloat16"), ("exp", "float32")}
    assert all("mine_functions.py:5" in b["source"] for b in lines)
    readme, page = ((mine / "r" / name).read_text() for name in ("README.md", "index.html"))
    assert "label" not in readme.split("## How to read")[0].lower()
    assert "mine_functions.py:5" in readme and "mine_functions.py:5" in page
    assert "exp" in capsys.readouterr().out


def test_a_gradient_with_held_arguments_and_a_range(mine):
    arguments = ["--function", "mine_functions:loss", "--grad", "0", "--fix", "y=1.0", "--dtype", "bfloat16"]
    run = [*arguments, "--range", "0", "0x1.9p6", "--mode", "jit", "--no-plots", "--out", str(mine / "r")]
    assert sweep.main(run) == 0
    (row,) = json.loads((mine / "r" / "summary.json").read_text())["results"]
    assert row["points"] == int(to_ordinal(np.array([100.0], BF16.dtype))[0]) + 2
    (nan,) = [r for r in row["regions"] if r["kind"] == "nan"]
    z = from_ordinal(np.arange(to_ordinal(np.array([100.0], BF16.dtype))[0] + 1), BF16)

    def loss(z):
        return -jnp.log(jax.nn.sigmoid(z)) - (1 - jnp.bfloat16(1)) * jnp.log(1 - jax.nn.sigmoid(z))

    brute = widen(z)[np.isnan(widen(np.asarray(jax.jit(jax.vmap(jax.grad(loss)))(z))))]
    assert (float.fromhex(nan["from"]), float.fromhex(nan["to"])) == (brute.min(), brute.max())


@pytest.mark.parametrize("name", ["triple", "drawn"])
def test_a_function_is_swept_in_the_width_that_the_user_runs_it_in(name, mine):
    dtypes = ["--dtype", "float64", "--dtype", "float32"]
    domain = ["--range", "1", "2", "--points", "64"]
    with jax.enable_x64(False):
        sweep.main(["--function", f"mine_functions:{name}", *dtypes, *domain, "--no-plots", "--out", str(mine / "r")])
    rows = json.loads((mine / "r" / "summary.json").read_text())["results"]
    assert [(r["dtype"], r["mode"]) for r in rows] == [
        (dtype, mode) for dtype in ("float64", "float32") for mode in ("eager", "jit")
    ]
    assert all(set(r["counts"]) == {"ok"} and r["max_ulp"] <= 0.75 for r in rows)


def test_a_sweep_says_that_a_rule_is_not_the_derivative(mine, capsys):
    arguments = ["--function", "mine_functions:straight", "--grad", "0", "--dtype", "bfloat16", "--range", "1", "2"]
    sweep.main([*arguments, "--no-plots", "--out", str(mine / "r")])
    assert "has a custom derivative rule: by it the derivative is 1.0" in capsys.readouterr().out


def test_integers_from_the_swept_number_are_its_floor():
    forms = {
        "parity": lambda x: x * ((x.astype(jnp.int32) + 1) % 2).astype(x.dtype),
        "count": lambda x: x * jnp.sum(jnp.stack([x, 2 * x]).astype(jnp.int32)).astype(x.dtype),
        "look up": lambda x: x * jnp.arange(4.0, dtype=x.dtype)[jnp.clip(x.astype(jnp.int32), 0, 3)],
    }
    right = {
        "parity": lambda x: x * ((np.trunc(x) + 1) % 2),
        "count": lambda x: x * (np.trunc(x) + np.trunc(2 * x)),
        "look up": lambda x: x * np.clip(np.trunc(x), 0, 3),
    }
    x = floats_of(BF16, (1.0, 9.0), 0, seed=0)
    for name, form in forms.items():
        truth = study_of({name: form}, domain=(1.0, 9.0)).truth(x, 0.0, BF16)
        rounded = right[name](widen(x)).astype(np.float32).astype(BF16.dtype)
        assert np.array_equal(truth.rounded, widen(rounded)), name


def test_a_loss_of_optax_with_integers_and_a_loop_is_swept():
    def loss(x):
        logits = jnp.stack([x, 2 * x, jnp.sin(x), x * 0]).reshape(1, 2, 2)
        return optax.ctc_loss(logits, jnp.zeros((1, 2)), jnp.ones((1, 1), jnp.int32), jnp.zeros((1, 1)))[0]

    def by_paths(x):
        rows = np.array([[x, 2 * x], [np.sin(x), 0]])
        p = np.exp(rows) / np.exp(rows).sum(1, keepdims=True)
        return -np.log(p[0, 1] * p[1, 1] + p[0, 0] * p[1, 1] + p[0, 1] * p[1, 0])

    x = np.linspace(-2, 2, 9)
    truth = study_of({"ctc": loss}).truth(x, 0.0, FORMATS["float64"])
    np.testing.assert_allclose(truth.rounded, [by_paths(v) for v in x], rtol=1e-12)


BAD = [
    (["--function", "broken_functions:f"], "a_module_that_is_not_there"),
    (["--function", "no_such_module:f"], "no_such_module"),
    (["--function", "mine_functions:nope"], "nope"),
    (["--function", "mine_functions:number"], "not a function"),
    (["--function", "mine_functions"], "module:function"),
    (["--function", "mine_functions:pair"], "not scalar"),
    (["--function", "mine_functions:whole"], "int32"),
    (["--function", "mine_functions:wide", "--dtype", "float32"], "float64"),
    (["--function", "mine_functions:row"], "float16"),
    (["--function", "mine_functions:loss"], "loss needs a value for y; give --fix name=value"),
    (["--function", "mine_functions:loss", "--fix", "q=1"], "y, scale"),
    (["--function", "mine_functions:loss", "--fix", "z=1"], "y, scale"),
    (["--function", "mine_functions:loss", "--fix", "y"], "name=value"),
    (["--function", "mine_functions:loss", "--fix", "y=one"], "name=value"),
    (["--function", "mine_functions:softplus", "--arg", "1"], "0 (x)"),
    (["--function", "mine_functions:softplus", "--grad", "2"], "0 (x)"),
    (["--function", "mine_functions:softplus", "--range", "2", "1"], "lower one first"),
    (["--function", "mine_functions:softplus", "--range", "one", "2"], "hex float"),
    (["--function", "mine_functions:softplus", "--range", "1e39", "1e40", "--dtype", "float32"], "no float32"),
    (["--function", "mine_functions:softplus", "--form", "cancelled"], "--form"),
    (["--function", "mine_functions:softplus", "--exhaustive", "--dtype", "float16"], "float32"),
    (["--fix", "y=1"], "--function"),
]


@pytest.mark.parametrize(("arguments", "told"), BAD, ids=lambda v: " ".join(v) if isinstance(v, list) else "")
def test_bad_input_is_one_line_and_exit_2(arguments, told, mine, capsys):
    before = sorted(p.name for p in mine.iterdir() if p.name != "__pycache__")
    with pytest.raises(SystemExit) as stop:
        sweep.main([*arguments, "--jobs", "1", "--out", str(mine / "r")])
    message = capsys.readouterr().err
    assert stop.value.code == 2 and message.count("\n") == 1 and told in message
    assert sorted(p.name for p in mine.iterdir() if p.name != "__pycache__") == before


SOFTPLUS = {
    "log_exp": lambda x: jnp.log(1 + jnp.exp(x)),
    "log1p_exp": lambda x: jnp.log1p(jnp.exp(x)),
    "logaddexp": lambda x: jnp.logaddexp(x, 0.0),
}


def test_softplus_written_three_ways(tmp_path):
    study = study_of(SOFTPLUS, name="softplus")
    options = dict(labels=[None], modes=["eager"], points=2048, tolerance=16.0, seed=0)
    outcome = engine.sweep(study, forms=list(SOFTPLUS), dtypes=["bfloat16", "float32"], **options)
    kinds = {(r.form, r.dtype): {q.kind for q in r.regions} for r in outcome.rows}
    for dtype in ("bfloat16", "float32"):
        assert kinds["log_exp", dtype] >= {"inf", "vanished"}
        assert "inf" in kinds["log1p_exp", dtype] and "vanished" not in kinds["log1p_exp", dtype]
        assert kinds["logaddexp", dtype] <= {"flushed"}
    manifest = {"command": "a test", "seed": 0}
    report.write(outcome, study, manifest, tmp_path / "r", False, tolerance=16.0, begun=0.0)
    text = (tmp_path / "r" / "README.md").read_text()
    assert text.startswith("# Where softplus fails") and "`log_exp` is" in text


def test_the_truth_is_one_whichever_form_gives_it():
    z = from_ordinal(np.arange(-BF16.infinity, BF16.infinity, 97), BF16)
    first, *others = [study_of(SOFTPLUS, reference=f).truth(z, 0.0, BF16) for f in SOFTPLUS.values()]
    for other in others:
        assert np.array_equal(first.quanta, other.quanta, equal_nan=True)


def test_where_the_truth_is_undefined_a_nan_is_right():
    study = study_of({"log": jnp.log, "log_abs": lambda x: jnp.log(jnp.abs(x))}, reference=jnp.log)
    options = dict(dtypes=["bfloat16"], labels=[None], modes=["jit"], points=1, tolerance=16.0, seed=0)
    log, wrong = engine.sweep(study, forms=["log", "log_abs"], **options).rows
    assert log.counts["nan_input"] > 32000
    subnormal = int(to_ordinal(np.array([-BF16.smallest_normal], BF16.dtype))[0])
    assert all(subnormal < r.start and r.stop <= 0 for r in log.regions if r.kind == "inaccurate")
    negative = [r for r in wrong.regions if r.kind == "outside"]
    assert sum(r.count for r in negative) > 32000 and all(r.stop <= 0 for r in negative)


def test_an_infinity_is_right_where_the_truth_overflows():
    study = study_of({"exp": jnp.exp})
    options = dict(dtypes=["float32"], labels=[None], modes=["jit"], points=2048, tolerance=16.0, seed=0)
    (row,) = engine.sweep(study, forms=["exp"], **options).rows
    assert "inf" not in row.counts and row.max_ulp < 16


@pytest.mark.parametrize(
    ("domain", "dtype"), [((0.0, 1.0), "float32"), ((-3.0, 0.0), "float64"), ((5.0, 5.0), "float32")]
)
def test_a_range_holds_both_ends_and_nothing_else(domain, dtype):
    z = widen(floats_of(FORMATS[dtype], domain, 512, seed=0))
    assert z.min() == domain[0] and z.max() == domain[1] and len(z) >= (1 if domain[0] == domain[1] else 512)
    if 0.0 in domain:
        assert set(np.signbit(z[z == 0]).tolist()) == {True, False}


def test_a_region_narrower_than_the_grid_is_found_by_screening():
    narrow = np.float32(1.2345678), np.float32(1.2345683)

    def spiked(x):
        return jnp.where((x >= narrow[0]) & (x <= narrow[1]), jnp.sqrt(x) - jnp.sqrt(x * 1.0000001), x)

    study = study_of({"spiked": spiked}, reference=lambda x: x, domain=(1.2, 1.3))
    options = dict(dtypes=["float32"], labels=[None], modes=["jit"], points=64, tolerance=16.0, seed=0)
    (without,) = engine.sweep(study, forms=["spiked"], **options).rows
    (row,) = engine.sweep(study, forms=["spiked"], **options, screened=True).rows
    assert without.regions == ()
    ends = [(r.start, r.stop) for r in row.regions]
    assert (ends[0][0], ends[-1][1]) == tuple(int(n) for n in to_ordinal(np.array(narrow)))
    found = row.screening
    assert found.floats == to_ordinal(np.float32(1.3)) - to_ordinal(np.float32(1.2)) + 1 and found.certified >= 2


def test_screening_tells_the_kinds_that_the_measure_tells():
    values = np.array([0.0, -0.0, 1.0, -1.0, np.inf, np.nan, 1e-40, -1e-40, 3e38, 1 + 2**-20], np.float32)
    exact = np.array([0.0, 1.0, -1.0, np.inf, 1e39, np.nan, 1e-40, 1e-50, 3e38], np.float64)
    narrow, wide = (a.ravel() for a in np.meshgrid(values, exact))
    kinds, _ = classify(narrow, of_floats(wide, F32), 16.0)
    assert np.array_equal(np.asarray(screen._kinds(jnp.asarray(narrow), jnp.asarray(wide), 16.0)), kinds)


def test_fixed_values():
    assert parse_fixed(["a=1", "b=0.5", "c=[1, 2]", "d=True", "e='sum'"]) == {
        "a": 1, "b": 0.5, "c": [1, 2], "d": True, "e": "sum"
    }  # fmt: skip
    scalar = hold(lambda x, n, a, how="sum": x**n + getattr(jnp, how)(a), fixed={"n": 2, "a": [1.0, 2.0]})
    check_scalar(scalar, F32)
    assert float(scalar(jnp.float32(3))) == 12
    assert float(hold(lambda x, y: x * y, swept=1, fixed={"x": 3.0}, argnum=0)(jnp.float32(5))) == 5
    with pytest.raises(BadFunction, match="cast"):
        check_scalar(lambda x: x * np.float64(2) * jnp.ones((), "float64"), F32)


def test_a_form_is_the_function_at_every_point():
    z = jnp.linspace(-2, 2, 9, dtype=jnp.float32)
    form = as_form(lambda x: x * math.pi)
    assert np.array_equal(form(z, jnp.float32(0)), jnp.stack([x * math.pi for x in z]))
