"""Two outcomes side by side: what is planted is found, noise is not, and only a comparison is overwritten."""

import copy
import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stability import cli, report, study_of
from stability.cli import compare, sweep
from stability.formats import FORMATS
from stability.measure import KINDS
from stability.measure.regions import hex_at, ordinal_from
from stability.study import declared
from stability.study.pairs import Pair
from stability.sweep.comparison import BETTER, OPEN, WORSE, Sampling, compared
from stability.sweep.outcome import Outcome

FORMS = ["cancelled", "componentwise", "chain_split"]
ARGUMENTS = [*(word for form in FORMS for word in ("--form", form)), "--dtype", "bfloat16", "--dtype", "float32"]
WHOLE = (-np.inf, np.inf)


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    out = tmp_path_factory.mktemp("swept") / "r"
    command = [*ARGUMENTS, "--label", "1", "--mode", "jit", "--mode", "eager", "--points", "2048", "--jobs", "1"]
    assert sweep.main([*command, "--no-plots", "--out", str(out)]) == 0
    return json.loads((out / "summary.json").read_text())


@pytest.fixture
def swept(measured):
    return copy.deepcopy(measured)


@pytest.fixture
def changed(measured):
    return copy.deepcopy(measured)


@pytest.fixture
def status(tmp_path, capsys):
    """The exit status and the words of a comparison of two summaries."""

    def run(before, after, *arguments):
        for name, summary in (("a.json", before), ("b.json", after)):
            (tmp_path / name).write_text(json.dumps(summary))
        found = cli.main(["compare", str(tmp_path / "a.json"), str(tmp_path / "b.json"), *arguments])
        return found, capsys.readouterr().out

    return run


def row(summary, form, dtype, mode="jit"):
    return next(r for r in summary["results"] if (r["form"], r["dtype"], r["mode"]) == (form, dtype, mode))


def region(of, kind, positive=True):
    return next(r for r in of["regions"] if r["kind"] == kind and (float.fromhex(r["to"]) > 0) == positive)


def move(of, kind, steps):
    """Moves the start of a region above zero, and the stop of the one before it. **Returns:** where it was and is."""
    fmt, here = FORMATS[of["dtype"]], region(of, kind)
    was = ordinal_from(here["from"], fmt)
    for r in of["regions"]:
        if ordinal_from(r["to"], fmt) == was - 1:
            r["to"] = hex_at(was - 1 + steps, fmt)
    before, here["from"] = here["from"], hex_at(was + steps, fmt)
    here["count"] -= steps
    return before, here["from"]


def verdicts(before, after):
    """By row, of two summaries."""
    outcomes, starts = zip(*((Outcome.from_json(s), Sampling.of(s["manifest"])) for s in (before, after)), strict=True)
    found = compared(*outcomes, starts)
    return {(m.before.form, m.before.dtype, m.before.mode): m for m in found.moved}


def both_ways(status, before, after):
    """A change is worse, and better the other way round."""
    assert status(before, after)[0] == 1
    assert status(after, before)[0] == 0
    assert [m.verdict for m in verdicts(before, after).values()] == [WORSE]
    assert [m.verdict for m in verdicts(after, before).values()] == [BETTER]


def test_identical_summaries_say_that_nothing_moved(status, swept):
    found, told = status(swept, swept)
    assert found == 0 and "Nothing moved in 12 rows." in told


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_a_region_that_grew_by_one_float(status, swept, changed, dtype):
    here = row(changed, "chain_split", dtype)
    before, after = move(here, "nan", -1)
    if dtype == "bfloat16":
        here["counts"]["nan"] += 1
        here["counts"]["inaccurate"] -= 1
    both_ways(status, swept, changed)
    (found,) = verdicts(swept, changed).values()
    assert ("first", WORSE) in [(c.what, c.verdict) for c in found.changes]
    told = status(swept, changed)[1]
    assert f"= {before} → " in told and f"= {after}\n" in told


@pytest.mark.parametrize("steps", [1, 37, 5000])
def test_an_end_that_moved_between_two_floats_of_the_grid(status, swept, changed, steps):
    """Neither end is a float of the grid: that the one sweep met the other's is what bisection tells."""
    move(row(changed, "cancelled", "float32"), "vanished", -steps)
    both_ways(status, swept, changed)
    changed["manifest"]["seed"] = swept["manifest"]["seed"] + 1
    others = verdicts(swept, changed)
    assert steps == 1 or others["cancelled", "float32", "jit"].verdict == OPEN


def test_one_more_nan(status, swept, changed):
    here = row(changed, "componentwise", "bfloat16")
    here["counts"]["nan"] = 1
    here["counts"]["ok"] -= 1
    here["regions"].append({"kind": "nan", "from": "0x1.8p+1", "to": "0x1.8p+1", "count": 1, "counted": True})
    here["regions"].sort(key=lambda r: float.fromhex(r["from"]))
    both_ways(status, swept, changed)
    told = status(swept, changed)[1]
    line = next(line for line in told.splitlines() if line.startswith("worse"))
    assert line.split()[:5] == ["worse", "componentwise", "bfloat16", "1", "jit"] and "nan +1" in line
    assert all(len(line) <= 80 for line in told.splitlines() if line.startswith(("worse", "better")))


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_a_worst_error_up(status, swept, changed, dtype):
    row(changed, "componentwise", dtype)["max_ulp"] *= 1.01
    both_ways(status, swept, changed)
    changed["manifest"]["seed"] += 1
    sampled = dtype == "float32"
    assert status(swept, changed)[0] == (0 if sampled else 1)


def test_a_bound_over_what_every_float_shows_is_worse(swept, changed):
    """A sample that finds a larger error than the largest of all floats shows a change."""
    row(swept, "componentwise", "float32")["exhaustive"] = True
    row(changed, "componentwise", "float32")["max_ulp"] *= 1.01
    changed["manifest"]["seed"] += 1
    assert verdicts(swept, changed)["componentwise", "float32", "jit"].verdict == WORSE
    assert verdicts(changed, swept)["componentwise", "float32", "jit"].verdict == BETTER
    row(changed, "componentwise", "float32")["max_ulp"] /= 1.02
    assert {m.verdict for m in verdicts(swept, changed).values()} == {OPEN}


def test_a_kind_that_changed(status, swept, changed):
    for dtype in ("bfloat16", "float32"):
        here = row(changed, "cancelled", dtype)
        region(here, "vanished")["kind"] = "inf"
        if dtype == "bfloat16":
            here["counts"]["inf"] = region(here, "inf")["count"]
            here["counts"]["vanished"] -= here["counts"]["inf"]
    found, _ = status(swept, changed)
    assert found == 1 and [m.verdict for m in verdicts(swept, changed).values()] == [WORSE, WORSE]
    told = {
        (c.kind, c.verdict)
        for c in verdicts(swept, changed)["cancelled", "float32", "jit"].changes
        if c.what == "floats"
    }
    assert told == {("inf", WORSE), ("vanished", BETTER)}


def test_a_row_that_is_gone_and_one_that_is_not_measured(status, swept, changed):
    changed["results"].remove(row(changed, "cancelled", "float32"))
    found, told = status(swept, changed)
    assert found == 1 and "the row is missing" in told and "1 row missing" in told
    assert status(changed, swept)[0] == 0
    failed = copy.deepcopy(swept)
    row(failed, "cancelled", "float32")["error"] = "ValueError: a test"
    both_ways(status, swept, failed)


def test_what_one_side_did_not_sweep_is_listed_and_not_judged(status, swept, changed):
    changed["results"] = [r for r in changed["results"] if r["form"] != "cancelled" and r["dtype"] != "bfloat16"]
    found, told = status(swept, changed)
    assert found == 0 and "8 rows only before" in told and "`cancelled`" in told and "missing" not in told


def outcome_of(form, seed, points, tolerance=16.0, dtypes=("float32", "bfloat16")):
    study = study_of({"f": form}, name="f")
    found = study.sweep(dtypes=dtypes, modes=["jit"], points=points, seed=seed, tolerance=tolerance)
    return found, Sampling(points, seed, WHOLE, tolerance)


def judged(before, after):
    return [m.verdict for m in compared(before[0], after[0], (before[1], after[1])).moved if m.verdict != OPEN]


def test_samples_of_one_function_are_not_told_apart():
    """Whatever the seed and the size of the grid, wherever kinds alternate."""
    functions = [lambda x: (1 - jnp.cos(x)) / x, lambda x: jnp.sqrt(jnp.log(x - 3.0)), jax.grad(jax.nn.silu)]
    noise = 0
    for function in functions:
        found = [outcome_of(function, *how, dtypes=["float32"]) for how in ((0, 512), (1, 512), (2, 2048))]
        noise += sum(a[0].rows[0].regions != b[0].rows[0].regions for a in found for b in found)
        assert not any(judged(a, b) for a in found for b in found)
    assert noise


def test_samples_of_the_study_are_not_told_apart():
    study = declared()["sigmoid_bce"]
    found = []
    for seed, points in ((0, 1024), (1, 1024), (2, 4096)):
        forms = ["cancelled", "logits", "autodiff_textbook"]
        rows = study.sweep(forms=forms, dtypes=["float32"], labels=[0.5, 0.1, 1.0], points=points, seed=seed)
        found.append((rows, Sampling(points, seed, WHOLE, 16.0)))
    assert not any(judged(a, b) for a in found for b in found)


def test_a_function_that_got_worse_is_found_whatever_the_seed():
    good, bad = (outcome_of(f, k, 1024) for k, f in enumerate((jax.nn.softplus, lambda x: jnp.log(1 + jnp.exp(x)))))
    assert judged(good, bad) == [WORSE, WORSE] and judged(bad, good) == [BETTER, BETTER]


def test_another_tolerance_is_not_worse():
    one, other = (outcome_of(jax.nn.silu, 0, 512, tolerance) for tolerance in (16.0, 1.0))
    assert one[0].rows[1].counts.get("inaccurate", 0) < other[0].rows[1].counts["inaccurate"]
    assert not judged(one, other) and not judged(other, one)


def test_ranges_of_as_many_floats_are_not_the_same_floats():
    study = [study_of({"f": jnp.log1p}, domain=d, name="f") for d in ((-0.75, -0.5), (0.5, 0.75))]
    outcomes = [s.sweep(dtypes=["bfloat16"], modes=["jit"], tolerance=0.6) for s in study]
    assert outcomes[0].rows[0].points == outcomes[1].rows[0].points
    starts = tuple(Sampling(32768, 0, s.domain, 0.6) for s in study)
    assert not [m for m in compared(*outcomes, starts).moved if m.verdict != OPEN]


def test_every_float32_is_judged_by_its_counts(swept, changed):
    for summary in (swept, changed):
        for r in summary["results"]:
            r["exhaustive"] = True
    row(changed, "cancelled", "float32")["counts"]["vanished"] += 1
    (found,) = verdicts(swept, changed).values()
    assert found.every and found.verdict == WORSE and found.changes[0].kind == "vanished"


def test_where_a_start_is_not_known_only_ends_are_common(swept, changed):
    for summary in (swept, changed):
        del summary["manifest"]["points"]
    region(row(changed, "cancelled", "float32"), "vanished")["kind"] = "inf"
    assert verdicts(swept, changed)["cancelled", "float32", "jit"].verdict == WORSE
    region(row(changed, "cancelled", "float32"), "inf")["kind"] = "vanished"
    move(row(changed, "cancelled", "float32"), "vanished", -5000)
    assert verdicts(swept, changed)["cancelled", "float32", "jit"].verdict == OPEN


def test_the_page_the_text_and_the_data_say_the_same(status, swept, changed, tmp_path):
    region(row(changed, "cancelled", "float32"), "vanished")["kind"] = "inf"
    changed["manifest"]["jax"] = "9.9"
    out = tmp_path / "out"
    assert status(swept, changed, "--out", str(out))[0] == 1
    assert {p.name for p in out.iterdir()} == {"README.md", "compare.json", "index.html"}
    text, page = ((out / name).read_text(encoding="utf-8") for name in ("README.md", "index.html"))
    data = json.loads((out / "compare.json").read_text())
    (moved,) = data["moved"]
    assert data["worse"] and moved["form"] == "cancelled" and moved["verdict"] == "worse"
    end = next(c for c in moved["changes"] if c["what"] == "first" and c["kind"] == "inf")
    assert end["before"] is None and f"= {end['after']}" in text and f"= {end['after']}" in page
    assert "| jax | " in text and "| 9.9 | differs |" in text and "≠ yes" in page
    assert "<script" not in page and "http" not in page and "prefers-color-scheme: dark" in page
    rows = [line.count("|") for line in text.splitlines() if line.startswith("|")]
    assert set(rows) == {5, 9}
    assert set(re.findall(r"[▲▼·] (\w+)", page)) >= {"worse", "better"} and set(KINDS) > {"inf"}


AREA = "import jax.numpy as jnp\n\n\ndef area(side, angle):\n    return jnp.log(1 + side) - angle * side\n"


def test_the_second_of_two_arguments_is_called_by_its_name(status, tmp_path, monkeypatch):
    (tmp_path / "compared_area.py").write_text(AREA)
    monkeypatch.syspath_prepend(tmp_path)
    study = Pair("compared_area:area", (0, 1), (0.0, 0.5), (0.0, 0.5), domain=(0.001, 4))()
    found = study.sweep(dtypes=["bfloat16"], modes=["jit"])
    report.write(found, study, {"jax": "1"}, tmp_path / "r", False, tolerance=16.0, begun=0.0)
    before = json.loads((tmp_path / "r" / "summary.json").read_text())
    after = copy.deepcopy(before)
    for r in after["results"]:
        r["counts"]["nan"] = r["counts"].get("nan", 0) + 1
    out = tmp_path / "out"
    found, told = status(before, after, "--out", str(out))
    assert found == 1 and "label" not in told and re.search(r"form +dtype +angle +mode", told)
    assert "of the first, area bfloat16 angle = 0" in told
    text, page = ((out / name).read_text(encoding="utf-8") for name in ("README.md", "index.html"))
    assert "label" not in text and "| form | dtype | angle | mode |" in text
    assert "label" not in page.replace("aria-label", "") and "angle = 0.5, jit" in page
    after["study"]["label"] = "turn"
    after["results"].append(after["results"][0] | {"label": 7.0})
    assert "1 row only after: compared_area:area; `area`; bfloat16; turn = 7; jit." in status(before, after)[1]


def refused(capsys, *argv):
    with pytest.raises(SystemExit) as stop:
        compare.main([str(a) for a in argv])
    message = capsys.readouterr().err
    assert stop.value.code == 2 and message.count("\n") == 1
    return message


def test_only_a_comparison_is_overwritten(status, swept, tmp_path, capsys):
    out = tmp_path / "out"
    assert status(swept, swept, "--out", str(out))[0] == 0
    (out / "notes.txt").write_text("mine")
    assert status(swept, swept, "--out", str(out))[0] == 0
    assert (out / "notes.txt").read_text() == "mine" and len(list(out.iterdir())) == 4
    (out / "compare.json").write_text("{}")
    before = {p.name: p.read_bytes() for p in out.iterdir()}
    assert "no comparison" in refused(capsys, tmp_path / "a.json", tmp_path / "b.json", "--out", out)
    assert {p.name: p.read_bytes() for p in out.iterdir()} == before


def test_a_full_disk_leaves_the_earlier_comparison_whole(status, swept, tmp_path, capsys, monkeypatch):
    from pathlib import Path

    out = tmp_path / "out"
    assert status(swept, swept, "--out", str(out))[0] == 0
    before = {p.name: p.read_bytes() for p in out.iterdir()}
    write = Path.write_bytes

    def full(self, data):
        if self.name == "index.html":
            raise OSError(28, "No space left on device")
        return write(self, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    assert "No space left" in refused(capsys, tmp_path / "a.json", tmp_path / "a.json", "--out", out)
    assert {p.name: p.read_bytes() for p in out.iterdir()} == before


def test_bad_files_are_one_line_and_status_2(swept, tmp_path, capsys):
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    good.write_text(json.dumps(swept))
    without = {name: swept[name] for name in swept if name != "disagreements"}
    other = copy.deepcopy(swept)
    for r in other["results"]:
        r["study"] = "another"
    texts = ["", "[]", "{}", "[" * 100_000, '{"schema": 3}', json.dumps(without), '{"schema": 1, "manifest": {}}']
    texts += [json.dumps(other), json.dumps(swept | {"manifest": 3}), json.dumps(swept | {"results": [{}]})]
    for text in texts:
        bad.write_text(text)
        for pair in ((bad, good), (good, bad)):
            assert ".json" in refused(capsys, *pair)
    bad.write_bytes(b"\xff\xfe\x00")
    assert "not the summary.json" in refused(capsys, bad, good)
    assert "schema 1" in (bad.write_text(texts[6]) and refused(capsys, bad, good))
    assert "in common" in (bad.write_text(texts[7]) and refused(capsys, bad, good))
    assert "No such file" in refused(capsys, good, tmp_path / "none.json")
    assert "directory" in refused(capsys, good, tmp_path).lower()
