"""The equation to blame, on functions whose weakness is known; the command line."""

import io
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rich.console import Console

import stability
from stability.cli.diagnose import main
from stability.diagnosis import MEANINGS, diagnose
from stability.study.sigmoid import forms


def softplus(x):
    return jnp.log(1 + jnp.exp(x))


def guarded_log(x):
    return jnp.where(x > 0, jnp.log(x), 0.0)


def guarded_sqrt(x):
    return jnp.where(x > 0, jnp.sqrt(x), 0.0)


def guarded_ratio(x):
    return jnp.where(x == 0, 1.0, jnp.sin(x) / x)


def norm(x):
    return jnp.sqrt(jnp.sum(x * x))


def variance(x):
    return jnp.mean(x * x) - jnp.mean(x) ** 2


def expm1_ratio(x):
    return (jnp.exp(x) - 1) / x


def hypot(x, y):
    return jnp.sqrt(x * x + y * y)


def softmax_first(x):
    e = jnp.exp(x)
    return (e / jnp.sum(e))[0]


def guarded_power(x):
    return jnp.where(x > 0, x**1.5, 0.0) / x


def logsumexp(x):
    return jnp.log(jnp.sum(jnp.exp(x)))


def mish_like(x):
    return x * jnp.tanh(softplus(x))


def f(*values):
    return np.array(values, np.float32)


CASES = {
    # name: (function, arguments, primitives, kinds) to be blamed
    "log(1+x)": (lambda x: jnp.log(1 + x), (1e-9,), {"add"}, {"absorption"}),
    "log(1+exp(-x))": (lambda x: jnp.log(1 + jnp.exp(-x)), (18.0,), {"add"}, {"absorption"}),
    "softplus": (softplus, (100.0,), {"exp"}, {"overflow"}),
    "grad softplus": (jax.grad(softplus), (100.0,), {"exp"}, {"overflow"}),
    "1-cos": (lambda x: (1 - jnp.cos(x)) / x**2, (1e-4,), {"sub"}, {"cancellation"}),
    "x-sin": (lambda x: x - jnp.sin(x), (1e-3,), {"sub"}, {"cancellation"}),
    "tan-sin": (lambda x: jnp.tan(x) - jnp.sin(x), (1e-3,), {"sub"}, {"cancellation"}),
    "sqrt difference": (lambda x: jnp.sqrt(x + 1) - jnp.sqrt(x), (1e9,), {"sub"}, {"cancellation"}),
    "reciprocals": (lambda x: 1 / x - 1 / (x + 1), (1e5,), {"sub"}, {"cancellation"}),
    "expm1": (lambda x: jnp.exp(x) - 1, (1e-5,), {"sub"}, {"cancellation"}),
    "expm1 ratio": (expm1_ratio, (1e-5,), {"sub"}, {"cancellation"}),
    "expm1 ratio at 0": (expm1_ratio, (0.0,), {"div"}, {"zero_over_zero"}),
    "grad of expm1 ratio": (jax.grad(expm1_ratio), (1e-4,), {"add_any", "sub", "add"}, {"cancellation"}),
    "squares": (lambda x, y: x * x - y * y, (1.0001, 1.0), {"sub"}, {"cancellation"}),
    "quadratic": (lambda b: (-b + jnp.sqrt(b * b - 4)) / 2, (1e4,), {"add"}, {"cancellation"}),
    "sinh": (lambda x: (jnp.exp(x) - jnp.exp(-x)) / 2, (1e-4,), {"sub"}, {"cancellation"}),
    "atan difference": (lambda x: jnp.arctan(x + 1) - jnp.arctan(x), (1e4,), {"sub"}, {"cancellation"}),
    "log difference": (lambda x: jnp.log(x + 1) - jnp.log(x), (1e6,), {"sub"}, {"cancellation"}),
    "1-sigmoid": (lambda x: 1 - jax.nn.sigmoid(x), (15.0,), {"sub"}, {"cancellation"}),
    "log(1-sigmoid)": (lambda x: jnp.log(1 - jax.nn.sigmoid(x)), (20.0,), {"sub"}, {"cancellation"}),
    "1-tanh²": (lambda x: 1 - jnp.tanh(x) ** 2, (8.0,), {"sub"}, {"cancellation"}),
    "1-erf": (lambda x: 1 - jax.lax.erf(x), (4.5,), {"sub"}, {"cancellation"}),
    "variance": (variance, (f(1000.1, 1000.2, 1000.3),), {"sub"}, {"cancellation"}),
    "logsumexp": (logsumexp, (f(100.0, 99.0),), {"exp"}, {"overflow"}),
    "logsumexp below": (logsumexp, (f(-200.0, -210.0),), {"exp"}, {"underflow"}),
    "softmax": (softmax_first, (f(100.0, 1.0),), {"exp"}, {"overflow"}),
    "hypot above": (hypot, (1e30, 1e30), {"mul"}, {"overflow"}),
    "hypot below": (hypot, (1e-30, 1e-30), {"mul"}, {"underflow"}),
    "exp of a product": (lambda x, y: jnp.exp(x * y), (7.77, 10.1), {"exp"}, {"amplification"}),
    "sin of a product": (lambda x, y: jnp.sin(x * y), (3333.3, 333.3), {"sin"}, {"amplification"}),
    "exp ratio": (lambda x: jnp.exp(x) / (1 + jnp.exp(x)), (100.0,), {"exp"}, {"overflow"}),
    "textbook sigmoid": (lambda x: 1 / (1 + jnp.exp(-x)), (-100.0,), {"exp"}, {"overflow"}),
    "guarded log": (jax.grad(guarded_log), (0.0,), {"div", "mul"}, {"zero_over_zero", "zero_times_infinity"}),
    "guarded sqrt": (jax.grad(guarded_sqrt), (0.0,), {"mul", "div"}, {"zero_times_infinity", "pole"}),
    "guarded sqrt below": (jax.grad(guarded_sqrt), (-1.0,), {"sqrt"}, {"domain"}),
    "guarded ratio": (
        jax.grad(guarded_ratio),
        (0.0,),
        {"div", "mul"},
        {"zero_over_zero", "pole", "zero_times_infinity"},
    ),
    "norm": (jax.grad(norm), (f(0.0, 0.0),), {"div", "mul"}, {"zero_over_zero", "pole", "zero_times_infinity"}),
    "x log x": (lambda x: x * jnp.log(x), (0.0,), {"mul"}, {"zero_times_infinity"}),
    "x/x": (lambda x: (x + 0.0) / x, (0.0,), {"div"}, {"zero_over_zero"}),
    "inf-inf": (lambda x: jnp.exp(x) - jnp.exp(x + 1), (100.0,), {"exp"}, {"overflow"}),
    "acos of a rounding": (
        lambda x, y: jnp.arccos(x * y / (jnp.abs(x) * jnp.abs(y)) + 1.2e-7),
        (3.0, 7.0),
        {"acos"},
        {"domain"},
    ),
    "acos near 1": (lambda x: jnp.arccos(x / jnp.sqrt(x * x + 1)), (3000.3,), {"acos"}, {"amplification"}),
    "sqrt(1-x²) below 0": (lambda x: jnp.sqrt(1 - x * x), (1.0000001,), {"sqrt"}, {"domain"}),
    "log-cosh": (lambda x: jnp.log(jnp.cosh(x)), (100.0,), {"cosh"}, {"overflow"}),
    "swallowed bias": (lambda x: (x + 1e8) - 1e8, (3.3,), {"sub", "add"}, {"cancellation", "absorption"}),
    "chain at 20": (forms.chain_combined, (20.0, 1.0), {"sub"}, {"cancellation"}),
    "autodiff at 20": (forms.autodiff, (20.0, 1.0), {"sub"}, {"cancellation"}),
    "autodiff at -88": (forms.autodiff, (-88.0, 1.0), {"logistic"}, {"flush", "underflow"}),
    "cancelled at 10": (forms.cancelled, (10.0, 1.0), {"sub"}, {"cancellation"}),
    "power": (lambda x: (1 + 1 / x) ** x, (1e6,), {"add"}, {"absorption"}),
    "float overflow of a square": (lambda x: x**2 / (1 + x**2), (1e25,), {"integer_pow", "square"}, {"overflow"}),
    "mean of logs": (lambda x: jnp.log(jnp.mean(jnp.exp(x))), (f(-150.0, -151.0),), {"exp"}, {"underflow"}),
    "grad mish": (jax.grad(mish_like), (100.0,), {"exp"}, {"overflow"}),
}


@pytest.mark.parametrize("name", CASES)
def test_the_culprit(name):
    fn, args, primitives, kinds = CASES[name]
    found = diagnose(fn, *args, dtype=np.float32)
    assert found.culprit is not None, found
    assert found.culprit.primitive in primitives and found.culprit.kind in kinds, found
    assert "test_diagnose.py" in found.source or "stability/study/sigmoid/forms.py" in found.source


def test_nothing_is_blamed_where_nothing_is_wrong():
    for fn, args in [
        (jax.nn.softplus, (100.0,)),
        (jnp.tanh, (0.3,)),
        (jnp.exp, (89.0,)),
        (forms.componentwise, (20.0, 1.0)),
    ]:
        found = diagnose(fn, *args, dtype=np.float32)
        assert found.culprit is None and found.verdict == "ok" and found.error <= 4


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_every_format(dtype):
    found = diagnose(lambda x: (1 - jnp.cos(x)) / x**2, 2.0**-6 if dtype.endswith("16") else 1e-5, dtype=dtype)
    assert found.dtype == dtype and found.culprit.primitive == "sub" and found.culprit.kind == "cancellation"


def test_the_numbers_of_a_row():
    found = diagnose(lambda x: 1 - jnp.cos(x), 1e-3, dtype=np.float32)
    cos, sub = found.rows
    assert cos.own_error <= 1 and cos.total_error == pytest.approx(cos.own_error)
    assert sub.own_error == 0 and sub.total_error == pytest.approx(found.error)
    assert sub.amplification == pytest.approx(2e6, rel=0.01) and sub.inputs[1].row == 0
    assert found.true == pytest.approx(5e-7, rel=1e-4) and found.path == (1, 0)


def test_a_removable_singularity_has_its_limit():
    found = diagnose(expm1_ratio, 0.0, dtype=np.float32)
    assert found.verdict == "nan" and found.true == 1 and found.undefined is None
    assert found.culprit is not None and found.culprit.kind == "zero_over_zero"
    pole = diagnose(lambda x: 1 / x, 0.0, dtype=np.float32)
    assert pole.true is None and pole.undefined == "pole" and pole.verdict == "ok"


def test_jit_and_eager_that_differ_are_both_shown():
    found = diagnose(forms.chain_split, -88.0, 1.0, dtype=np.float32)
    assert found.differs and np.isnan(found.eager) and found.jit == 0
    assert found.verdict == "nan" and found.other.verdict == "vanished" and found.other.mode == "jit"
    assert found.other.culprit.primitive == "logistic"
    assert "jit gives -0 and eager nan" in str(found)
    assert diagnose(forms.chain_split, -88.0, 1.0, dtype=np.float32, mode="jit").verdict == "vanished"


def test_arrays_loops_and_branches():
    def looped(x):
        return jax.lax.fori_loop(0, 3, lambda i, v: v * 1.5, jnp.sum(1 - jnp.cos(x)))

    found = diagnose(looped, f(1e-4, 2e-4))
    assert found.culprit.primitive == "sub" and len(found.rows) > 5

    def branched(x):
        return jax.lax.cond(x > 0, lambda v: jnp.log(1 + v), lambda v: v, x)

    assert diagnose(branched, 1e-9, dtype=np.float32).culprit.kind == "absorption"


def test_an_equation_of_a_library_function_has_the_users_line():
    found = diagnose(jax.grad(lambda x: jnp.where(x > 0, jnp.sqrt(x), 0.0)), 0.0, dtype=np.float32)
    assert all("test_diagnose.py" in row.source for row in found.rows)


def test_the_public_name_is_the_function():
    assert stability.diagnose(softplus, 100.0, dtype=np.float32).culprit.kind == "overflow"


def test_every_kind_of_a_row_has_a_meaning():
    seen = {row.kind for name in CASES for row in diagnose(CASES[name][0], *CASES[name][1], dtype=np.float32).rows}
    assert seen - {""} <= set(MEANINGS)


def test_an_integer_function_is_refused():
    with pytest.raises(TypeError, match="no float"):
        diagnose(lambda x: jnp.argmax(jnp.stack([x, x])), 1.0, dtype=np.float32)


def test_the_command_line(tmp_path, capsys):
    out = tmp_path / "found.json"
    assert main(["stability.study.sigmoid.forms:autodiff", "--at", "0x1.4p+4,1.0", "--json", str(out)]) == 0
    printed, data = capsys.readouterr().out, json.loads(out.read_text())
    assert "cancellation" in printed and data["culprit"]["primitive"] == "sub" and data["arguments"] == [20.0, 1.0]
    assert main(["stability.study.sigmoid.forms:binary_cross_entropy_from_logits", "--at=-20,1.0", "--grad", "0"]) == 0
    assert (
        main(["stability.study.sigmoid.forms:cancelled", "--at", "3,1.0", "--dtype", "bfloat16", "--mode", "jit"]) == 0
    )


def step(params, x):
    return jnp.mean(jnp.log(jax.nn.softmax(x @ params["kernel"])))


def step_arguments():
    x = np.ones((300, 20), np.float32)
    x[7] = 1e3
    return {"kernel": np.arange(200, dtype=np.float32).reshape(20, 10)}, x


def whole(params, x):
    return x.astype(np.int32)


BY_NAME = {"params": step_arguments()[0], "x": step_arguments()[1]}


@pytest.mark.parametrize("arguments", ["step_arguments", "BY_NAME"])
def test_the_command_line_on_arrays(arguments, tmp_path, capsys, monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    grad = ["--grad", "0"] if arguments == "step_arguments" else []
    out = tmp_path / "found.json"
    assert main(["test_diagnose:step", "--args", f"test_diagnose:{arguments}", *grad, "--json", str(out)]) == 0
    printed, data = capsys.readouterr().out, json.loads(out.read_text())
    assert "underflow" in printed and "what helps: stay with logarithms" in printed
    assert data["verdict"] == ("nan" if grad else "inf") and data["findings"][0]["culprit"]["primitive"] == "exp"
    assert data["leaf"] == ("['kernel']" if grad else "")


def test_a_diagnosis_fits_a_narrow_terminal_and_a_notebook():
    found = diagnose(step, *step_arguments())
    console = Console(width=80, record=True, file=io.StringIO(), color_system=None)
    found.print(console)
    lines = console.export_text().splitlines()
    assert max(map(len, lines)) <= 80 and any("what helps" in line for line in lines)
    assert found._repr_html_().startswith("<pre>") and "underflow" in found._repr_html_()


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["no_such_module:f", "--at", "1"], "does not import"),
        (["stability.study.sigmoid.forms:nope", "--at", "1"], "has no nope"),
        (["stability.study.sigmoid.forms", "--at", "1"], "module:function"),
        (["stability.study.sigmoid.forms:FORMS", "--at", "1"], "not a function"),
        (["stability.study.sigmoid.forms:autodiff", "--at", "1"], "needs a value for labels"),
        (["stability.study.sigmoid.forms:autodiff", "--at", "one,1"], "'one' is not a float"),
        (["stability.study.sigmoid.forms:autodiff", "--at", "1,1", "--grad", "2"], "choose 0 to 1"),
        (["stability.study.sigmoid.forms:autodiff", "--at", "1,1", "--dtype", "int32"], "choose from"),
        (["jax.numpy:isfinite", "--at", "1"], "returns bool"),
        (["jax.numpy:frexp", "--at", "1"], "one float of shape ()"),
        (["jax.numpy:atleast_1d", "--at", "1"], "one float of shape ()"),
        (["stability.study.sigmoid.forms:autodiff", "--at", "1,1", "--json", "/dev/null/x"], "--json"),
        (["jax.numpy:sum"], "one of the arguments --at --args is required"),
        (["jax.numpy:sum", "--args", "jax.numpy:pi"], "a tuple or a dictionary is needed"),
        (["jax.numpy:sum", "--args", "jax.numpy:nope"], "has no nope"),
        (["jax.numpy:sum", "--args", "jax.numpy"], "is not module:name"),
        (["jax.numpy:sum", "--args", "test_diagnose:step_arguments", "--dtype", "float16"], "--dtype goes with --at"),
        (["jax.numpy:sum", "--args", "test_diagnose:step_arguments"], "jax.numpy:sum at test_diagnose:step_arguments"),
        (
            ["test_diagnose:step", "--args", "test_diagnose:step_arguments", "--grad", "9"],
            "gives 2 positional arguments",
        ),
        (["test_diagnose:whole", "--args", "test_diagnose:step_arguments"], "returns no float"),
    ],
)
def test_bad_input_is_one_line_and_status_2(argv, message, capsys, monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    with pytest.raises(SystemExit) as stop:
        main(argv)
    err = capsys.readouterr().err
    assert stop.value.code == 2 and message in err and err.count("\n") == 1
