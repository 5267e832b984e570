"""The atlas: functions found, rows that say what mpmath says, planted faults found, healthy rules clean."""

import gzip
import json
import math

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from mpmath import mpf

from stability import cli, real
from stability.atlas import page, store
from stability.atlas.functions import DECLARED, LEFT_OUT, public_function, public_functions, stem
from stability.atlas.profile import BINS
from stability.atlas.records import Example, Row, Settings, Task
from stability.atlas.rows import measure, measure_in_turn
from stability.atlas.rules import DEFAULT, HIGHEST_NAME, rules_of, with_rule
from stability.atlas.store import ATLAS, Atlas, Change, Progress, Refused, changes, identity, packed, read
from stability.atlas.threads import threads
from stability.atlas.ways import WAYS, same_as
from stability.atlas.words import code_of, reproduction
from stability.formats import FORMATS, every_float, to_ordinal, widen

FEW = Settings(points=256)


def measure_order(order, monkeypatch, *task, settings=FEW):
    """The rows of one order."""
    monkeypatch.setattr("stability.atlas.rows.WAYS", {order: WAYS[order]})
    return measure(Task(*task), settings)


@pytest.fixture(scope="module")
def sigmoid():
    return measure(Task("nn.sigmoid(x)", "bfloat16"), FEW)


def by_rule(rows, rule, order):
    return [r for r in rows if (r.rule, r.order) == (rule, order)]


def test_functions_are_found_and_what_is_left_out_says_why():
    found = public_functions(lambda name: name.startswith(("nn.", "special.e")))
    assert {"nn.sigmoid(x)", "nn.gelu(x, approximate=False)", "special.erfcx(x)"} <= set(found)
    assert not any(stem(name) in LEFT_OUT for name in found) and all(LEFT_OUT.values())


@pytest.mark.parametrize("name", DECLARED)
def test_a_declared_function_is_of_one_number(name):
    fn = public_function(name).fn
    for way in (w for ways in WAYS.values() for w in ways.values()):
        assert way(fn)(jnp.float32(0.5)).shape == ()


def test_ways_of_an_order_agree_where_nothing_is_lost():
    for order, wanted in ((0, math.sin(0.75)), (1, math.cos(0.75)), (2, -math.sin(0.75))):
        assert all(abs(way(jnp.sin)(jnp.float32(0.75)) - wanted) < 1e-6 for way in WAYS[order].values())


def test_programs_of_the_same_text_are_one_and_others_are_not():
    table = jnp.arange(4.0)
    programs = {
        "exp": jnp.exp,
        "again": lambda x: jnp.exp(x),
        "times 2": lambda x: jnp.exp(x) * 2,
        "times 3": lambda x: jnp.exp(x) * 3,
        "constants": lambda x: x + table[0] + table.sum(),
        "constants again": lambda x: x + table[0] + table.sum(),
    }
    assert same_as(programs, FORMATS["float32"]) == {name: name for name in programs} | {"again": "exp"}


def sigmoid_slope(x):
    e = mpmath.exp(-abs(mpf(x)))
    return e / (1 + e) ** 2


def test_the_regions_of_a_row_are_where_mpmath_says_it_fails(sigmoid):
    """Of every bfloat16: what is 0 where the slope is a normal float, and what is more than 16 ulps from it."""
    row = next(r for r in by_rule(sigmoid, DEFAULT, 1) if ("reverse", "jit") in r.ways)
    z = every_float(FORMATS["bfloat16"])
    z = z[np.isfinite(widen(z))]
    slopes = widen(np.asarray(jax.jit(jax.vmap(jax.grad(jax.nn.sigmoid)))(z)))
    vanished, inaccurate = [], []
    for x, found in zip(widen(z).tolist(), slopes.tolist(), strict=True):
        if abs(x) > 200:
            continue
        true = sigmoid_slope(x)
        ulp = mpf(2) ** max(int(mpmath.floor(mpmath.log(true, 2))) - 7, -133)
        if found == 0 and true >= mpf(2) ** -126 * (1 - mpf(2) ** -9):
            vanished.append(x)
        elif found and abs(found - true) > 16 * ulp:
            inaccurate.append(x)
    told = {kind: [r for r in row.regions if r[0] == kind] for kind in ("vanished", "inaccurate")}
    for kind, wanted in (("vanished", vanished), ("inaccurate", inaccurate)):
        assert row.counts[kind] == len(wanted) == sum(r[3] for r in told[kind])
        ends = [float.fromhex(end) for r in told[kind] for end in r[1:3]]
        assert (min(ends), max(ends)) == (min(wanted), max(wanted))
    assert row.exhaustive and row.failing == (len(vanished) + len(inaccurate)) / 65282


def test_what_a_rule_gains_is_seen(sigmoid):
    """The proposed rules keep the first derivative; the one that `1 - a` is in does not."""
    (shipped, product, proposed) = (by_rule(sigmoid, r, 1) for r in (DEFAULT, "a (1 - a)", "σ(x) σ(-x)"))
    assert min(r.failing for r in shipped + product) > 0.005
    assert max(r.failing for r in proposed + by_rule(sigmoid, HIGHEST_NAME, 1)) < 1e-4
    assert {r.order for r in sigmoid if r.rule == "σ(x) σ(-x)"} == {1, 2}


def test_a_right_derivative_is_not_called_wrong():
    for name in ("jnp.sin(x)", "jnp.exp(x)", "nn.relu(x)", "jnp.multiply(x, 1.5)"):
        for row in measure(Task(name, "float16"), FEW):
            assert row.failing < 0.02 and not row.error, row
            assert {k for k, *_ in row.regions} <= {"flushed", "vanished"}, row


def test_a_planted_rule_fails_where_it_was_planted(monkeypatch):
    """Wrong by a factor between 1 and 2, of the wrong sign from 2 to 4, NaN beyond 8."""

    def planted(x, y):
        wrong = jnp.where((x >= 1) & (x < 2), 1.5, jnp.where((x >= 2) & (x < 4), -1.0, 1.0))
        return jnp.where(x > 8, jnp.nan, wrong * jnp.cos(x))

    monkeypatch.setattr("stability.atlas.asked.rules_of", lambda name: {DEFAULT: with_rule(jnp.sin, planted)})
    for dtype in ("float16", "float32"):
        rows = measure_order(1, monkeypatch, "jnp.sin(x)", dtype)
        assert len(rows) == 1 and len(rows[0].ways) == 4
        found = {kind: (float.fromhex(a), float.fromhex(b)) for kind, a, b, _ in rows[0].regions if kind != "flushed"}
        one = FORMATS[dtype].dtype.type
        assert found["inaccurate"] == (1.0, np.nextafter(one(2), one(0)))
        assert found["wrong_sign"][0] == 2.0 and found["wrong_sign"][1] == np.nextafter(one(4), one(0))
        assert found["nan"][0] == np.nextafter(one(8), one(9))
        assert rows[0].example.kind in ("nan", "wrong_sign")


def test_a_row_that_can_not_be_measured_says_why(monkeypatch):
    def broken(x):
        raise NotImplementedError("no derivative\nand more")

    monkeypatch.setattr("stability.atlas.asked.rules_of", lambda name: {DEFAULT: broken})
    rows = measure_in_turn(Task("jnp.sin(x)", "float16"), FEW)
    assert [r.error for r in rows] == ["NotImplementedError: no derivative"] * 3
    assert sum(len(r.ways) for r in rows) == 12


def test_a_task_that_fails_as_a_whole_stops_no_other(monkeypatch):
    monkeypatch.setattr("stability.atlas.rows.measure", lambda task, settings: 1 / 0)
    rows = measure_in_turn(Task("jnp.sin(x)", "float16"), FEW)
    assert {r.order for r in rows} == set(WAYS) and {r.error for r in rows} == {
        "no true values: ZeroDivisionError: division by zero"
    }


def test_what_the_library_refuses_is_told_apart_from_true_values_that_are_not_known(monkeypatch):
    def unknown(*args, **options):
        raise NotImplementedError("no balls")

    clamp = measure(Task("lax.clamp(-1.5, 0.25, x)", "float32"), FEW)
    assert all(r.error.endswith("(only under jax.vmap)") and "clamp requires" in r.error for r in clamp)
    refused = measure(Task("special.log_ndtr(x)", "bfloat16"), FEW)
    assert all(r.error == "TypeError: x.dtype=bfloat16 is not supported." for r in refused)
    monkeypatch.setattr("stability.atlas.asked.real.truth", unknown)
    here = measure(Task("jnp.sin(x)", "float16"), FEW)
    assert all(r.error == "no true values: NotImplementedError: no balls" for r in here)
    undecided = row(points=9, counts={"ok": 4, "undecided": 5})
    atlas = Atlas({}, (*clamp, *refused, *here, undecided, row(points=9, counts={"ok": 5, "undecided": 4})), {})
    assert [(t.rows, t.refused, t.unknown) for t in page.totals(atlas)] == [(6, 4, 2), (14, 8, 5), (18, 12, 6)]
    assert [(why, count) for why, count, _ in page.without(atlas)] == [(clamp[0].error, 12), (refused[0].error, 12)]


def test_no_true_values_are_asked_of_a_derivative_that_the_library_does_not_have(monkeypatch):
    """Those of `betainc` by its shapes take minutes."""
    asked = []
    truth = real.truth

    def noted(fn, z, *, derivative=None, **options):
        asked.append(derivative)
        return truth(fn, z, derivative=derivative, **options)

    monkeypatch.setattr("stability.atlas.asked.real.truth", noted)
    rows = measure(Task("special.betainc(x, 2.5, 0.25)", "float16"), Settings(points=256, seconds=0.1))
    assert set(asked) == {None}
    assert {r.error for r in rows if r.order == 0} == {None}
    assert {r.error for r in rows if r.order} == {"ValueError: Betainc gradient with respect to a and b not supported."}
    assert {order: sum(len(r.ways) for r in rows if r.order == order) for order in WAYS} == {0: 3, 1: 4, 2: 6}


def test_slow_true_values_are_of_fewer_floats(monkeypatch):
    rows = measure_order(2, monkeypatch, "jnp.tanh(x)", "float16", settings=Settings(points=256, seconds=0.05))
    assert all(r.points < 60_000 and not r.exhaustive for r in rows)
    assert any(kind == "vanished" for r in rows for kind, *_ in r.regions)


def test_a_true_value_is_asked_for_once(monkeypatch):
    asked, truth = {}, real.truth

    def counted(fn, z, **others):
        asked.setdefault(others["derivative"], []).extend(np.asarray(z).tolist())
        return truth(fn, z, **others)

    monkeypatch.setattr(real, "truth", counted)
    measure(Task("jnp.arctan(x)", "float32"), Settings(points=64))
    assert len(asked) == 3
    for floats in asked.values():
        ordinals = to_ordinal(np.float32(floats))
        assert len(np.unique(ordinals)) == len(ordinals) > 64


def test_reported_inputs_at_which_it_fails_are_told(monkeypatch):
    rows = [r for r in measure_order(1, monkeypatch, "jnp.expm1(x)", "float64") if r.rule == DEFAULT]
    assert rows and all(r.reported == ("-0x1.4p+5",) for r in rows)


def test_threads_are_about_functions_of_the_atlas():
    assert len(threads()) > 50 and len({(t.repository, t.number) for t in threads()}) == len(threads())
    for thread in threads():
        assert thread.order in WAYS and thread.dtype in FORMATS and thread.url.startswith("https://github.com/")
        for name in thread.functions:
            assert public_function(name).name == name


def test_rows_are_read_back_whole(tmp_path, sigmoid):
    atlas = Atlas({"jax": "0"}, tuple(sigmoid), {"nn.sigmoid(x)": {DEFAULT: 1.0}})
    (tmp_path / ATLAS).write_bytes(packed(atlas))
    assert read(tmp_path / ATLAS) == atlas
    whole = gzip.decompress(packed(atlas))
    bad = [gzip.compress(t) for t in (b"{}", b"[]", b"not", whole.replace(b'"schema": 1', b'"schema": 9'))]
    for data in (*bad, packed(atlas)[:-9], packed(atlas)[:400], b"{}", b""):
        (tmp_path / "bad.json").write_bytes(data)
        with pytest.raises(Refused, match=r"bad\.json"):
            read(tmp_path / "bad.json")


def test_progress_goes_on_and_is_refused_of_another_run(tmp_path, sigmoid):
    mine, task = identity(FEW), Task("nn.sigmoid(x)", "bfloat16")
    Progress(tmp_path / "p", mine, resume=False).add(task, sigmoid)
    with (tmp_path / "p").open("a") as file:
        file.write('{"task": ["cut')
    assert Progress(tmp_path / "p", mine, resume=True).done == {task: sigmoid}
    assert Progress(tmp_path / "p", mine, resume=True).done == {task: sigmoid}
    with pytest.raises(Refused, match="interrupted run"):
        Progress(tmp_path / "p", mine, resume=False)
    with pytest.raises(Refused, match="points differ"):
        Progress(tmp_path / "p", mine | {"points": 1}, resume=True)
    for text in (b"[]", b"\xff\xfe", b"[" * 100_000, json.dumps(mine).encode() + b'\n{"task":["a"],"rows":[]}\n'):
        (tmp_path / "p").write_bytes(text)
        with pytest.raises(Refused, match="no progress"):
            Progress(tmp_path / "p", mine, resume=True)


def row(**told):
    return Row(
        **{"function": "f(x)", "rule": DEFAULT, "order": 1, "dtype": "float32", "ways": (("reverse", "jit"),)} | told
    )


def test_an_error_of_0_and_every_default_are_read_back():
    for told in (row(max_ulp=0.0), row(), row(failing=0.0, points=3, exhaustive=True)):
        assert Row.from_json(json.loads(json.dumps(told.to_json()))) == told


def test_changes_are_told_by_way():
    ways = (("forward", "jit"), ("reverse", "jit"))
    before = Atlas({}, (row(failing=0.5, max_ulp=8.0, ways=ways), row(function="gone(x)")), {})
    after = Atlas(
        {}, (row(failing=0.5, max_ulp=9.0), row(ways=ways[:1], failing=0.1, max_ulp=8.0), row(function="new(x)")), {}
    )
    assert [(c.function, c.way, c.verdict) for c in changes(before, after)] == [
        ("f(x)", "forward", "better"),
        ("new(x)", "reverse", "new"),
    ]
    worse = Atlas({}, (row(failing=0.5, max_ulp=80.0, ways=ways),), {})
    assert {c.verdict for c in changes(before, worse)} == {"worse"}
    broken = Atlas({}, (row(error="x", ways=ways),), {})
    assert {c.verdict for c in changes(before, broken)} == {"worse"}


@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_errors_at_other_floats_are_not_compared(dtype, before, after):
    def found(first, second):
        rows = (row(dtype=dtype, failing=0.5, max_ulp=u, exhaustive=e) for u, e in ((first, before), (second, after)))
        return [c.verdict for c in changes(*(Atlas({}, (r,), {}) for r in rows))]

    wide = dtype == "float32"
    assert found(8.0, 80.0) == (["worse"] if wide or before else [])
    assert found(80.0, 8.0) == (["better"] if wide or after else [])


def test_a_failure_at_subnormal_inputs_alone_is_told_and_counts_as_none():
    tiny = row(failing=0.002, regions=(("vanished", "0x1p-149", "0x1.fffffcp-127", (1 << 23) - 1),))
    normal = row(failing=0.002, regions=(("vanished", "0x1p-149", "0x1p-100", 1 << 27),))
    flushed = row(flushed=0.002, regions=(("flushed", "0x1p-100", "0x1p-90", 1 << 27),))
    assert [store.is_failing(r) for r in (tiny, normal, flushed)] == [False, True, False]


@pytest.mark.parametrize(
    "name", ["nn.sigmoid(x)", "special.beta(x, 2.5)", "jnp.modf(x)[0]", "jnp.linalg.norm([x, 1.0])", *DECLARED]
)
def test_code_of_a_function_is_that_function(name):
    fn = eval(f"lambda x: {code_of(name)}", {"jax": jax, "jnp": jnp, "optax": pytest.importorskip("optax")})
    x = jnp.float32(0.375)
    assert jnp.ravel(jnp.asarray(fn(x)))[0] == public_function(name).fn(x)


def test_a_reproduction_shows_what_it_says(sigmoid, capsys):
    shown = next(r for r in by_rule(sigmoid, DEFAULT, 1) if r.example)
    exec(reproduction(shown), {})
    assert float(capsys.readouterr().out) == float.fromhex(shown.example.result)


def test_the_pages_say_what_the_rows_say(sigmoid):
    atlas = Atlas(
        {"jax": "1.2.3", "settings": {"tolerance": 16.0}},
        tuple(sigmoid),
        {"nn.sigmoid(x)": dict.fromkeys(rules_of("nn.sigmoid(x)"), 1.0)},
    )
    assert "1.2.3" in page.html(atlas) and "σ(x) σ(-x)" in page.readme(atlas)
    measured = {t.number: here for t, here, _ in page.standing(atlas) if t.functions[0] == "nn.sigmoid(x)"}
    assert measured[40385] == "not measured"
    assert page.changed(atlas, atlas, []).count("Nothing") == 1
    ways = [(way, mode) for way in ("forward", "reverse") for mode in ("jit", "eager")]
    better = [Change("f(x)", "JAX", 1, "float32", way, mode, "better", "NaN", "0") for way, mode in ways]
    worse = better[1]._replace(order=2, verdict="worse")
    table = [line for line in page.changed(atlas, atlas, [*better, worse]).splitlines() if "`f(x)`" in line]
    assert len(table) == 2 and "| forward, eager | worse |" in table[0]
    assert "| forward, reverse; jit and eager | better |" in table[1]
    assert len(sigmoid[0].profile) in (0, BINS)


def test_a_fault_that_nobody_filed_becomes_a_report():
    told = measure(Task("jnp.sinh(x)", "float32"), FEW)
    example = Example("0x1p+0", "0x0p+0", "1.5", "vanished")
    region = ("vanished", "0x1p+0", "0x1p+5", 1 << 25)
    planted = [
        Row(**{**vars(r), "failing": 0.25, "example": example, "regions": (region,)}) for r in told if r.order == 1
    ]
    atlas = Atlas({"jax": "1", "jaxlib": "1", "backend": "cpu", "python": "3"}, tuple(planted), {})
    (text,) = page.upstream(atlas).values()
    assert "import jax" in text and "jax.numpy.sinh(x)" in text


def run(argv, capsys):
    status = cli.main(["atlas", *argv])
    return status, capsys.readouterr()


def test_the_command_writes_an_atlas_and_tells_what_changed(tmp_path, capsys):
    argv = ["--function", "jnp.positive", "--dtype", "float16", "--out", str(tmp_path / "a")]
    with pytest.raises(SystemExit) as stop:
        cli.main(["atlas", *argv])
    assert stop.value.code == 2 and "nothing can be lost" in capsys.readouterr().err
    argv[1] = "jnp.square"
    status, told = run(argv, capsys)
    assert status == 0 and "atlas in" in told.out
    first = read(tmp_path / "a" / ATLAS)
    assert {r.function for r in first.rows} == {"jnp.square(x)"} and not (tmp_path / "a" / "progress.jsonl").exists()
    better = json.loads(gzip.decompress((tmp_path / "a" / ATLAS).read_bytes()))
    for told_row in better["rows"]:
        told_row["failing"], told_row["max_ulp"] = 1e-9, 0.001
    (tmp_path / "b.json").write_bytes(gzip.compress(json.dumps(better).encode()))
    status, told = run([*argv, "--against", str(tmp_path / "b.json")], capsys)
    worse = any(r.failing > 2e-4 or (r.max_ulp or 0) > 2 for r in first.rows)
    assert status == int(worse) and (tmp_path / "a" / "changes.md").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "index.html").write_text("mine")
    with pytest.raises(SystemExit) as stop:
        cli.main(["atlas", *argv[:-1], str(tmp_path / "mine")])
    assert stop.value.code == 2 and (tmp_path / "mine" / "index.html").read_text() == "mine"
    assert "index.html" in capsys.readouterr().err
    for bad, why in ((["--against", "nowhere"], "nowhere"), (["--function", "nn.nothing"], "no such function")):
        with pytest.raises(SystemExit) as stop:
            cli.main(["atlas", "--out", str(tmp_path / "c"), *bad])
        assert stop.value.code == 2 and why in capsys.readouterr().err


def test_what_changed_says_on_which_processors():
    one, other = (Atlas({"jax": "0", "backend": "cpu", "cpu": cpu}, (), {}) for cpu in ("A", "B"))
    assert "Both were measured on cpu (A)." in page.changed(one, one, [])
    told = page.changed(one, other, [])
    assert "on cpu (A), the second on cpu (B)" in told and "can be the processor's" in told
