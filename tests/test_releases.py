"""Two summaries compared: what differs is told, what does not is not."""

import copy
import json
from pathlib import Path

import pytest

from stability.cli import sweep
from stability.environment import TESTED, numbers
from stability.upkeep.releases import differences, facts, main, page, rows_of

ARGUMENTS = ["--form", "cancelled", "--form", "componentwise", "--dtype", "bfloat16", "--label", "1", "--mode", "jit"]


@pytest.fixture(scope="module")
def summary(tmp_path_factory):
    out = tmp_path_factory.mktemp("sweep")
    assert sweep.main([*ARGUMENTS, "--dtype", "float32", "--points", "2048", "--no-plots", "--out", str(out)]) == 0
    return json.loads((out / "summary.json").read_text())


@pytest.fixture
def newer(summary):
    other = copy.deepcopy(summary)
    other["manifest"]["jax"] = "9.9"
    return other


def row(summary, form, dtype):
    return next(r for r in summary["results"] if (r["form"], r["dtype"]) == (form, dtype))


def test_equal_summaries_are_a_sentence(summary, newer):
    jax = summary["manifest"]["jax"]
    assert page(summary, newer) == f"0 of 4 rows differ between jax {jax} and jax 9.9.\n"


def test_an_end_a_count_and_an_error_that_differ_are_told(summary, newer):
    changed = row(newer, "cancelled", "bfloat16")
    (region,) = [r for r in changed["regions"] if r["kind"] == "vanished" and float.fromhex(r["from"]) > 0]
    before = float.fromhex(region["from"])
    region["from"] = (before + 0.0625).hex()
    changed["counts"]["vanished"] -= 1
    changed["max_ulp"] = 99.0
    lines = page(summary, newer).splitlines()
    assert lines[0].startswith("1 of 4 rows differ") and len(lines) == 7
    assert all(line.startswith("| `cancelled` | bfloat16 | 1 | jit | ") for line in lines[4:])
    assert f"first `vanished`, z ≥ 0 | {before:.4g} = " in lines[4] and f"{before + 0.0625:.4g} = " in lines[4]
    assert "floats `vanished`" in lines[5] and "| 99 |" in lines[6]


def test_forms_that_differ_alike_share_a_line(summary, newer):
    for form in ("cancelled", "componentwise"):
        for s, ulps in ((summary, 1.0), (newer, 2.0)):
            row(s, form, "float32")["max_ulp"] = ulps
    lines = page(summary, newer).splitlines()
    assert lines[0].startswith("2 of 4")
    assert lines[4:] == ["| `cancelled`, `componentwise` | float32 | 1 | jit | largest error [ulps] | 1 | 2 |"]


def test_a_sample_says_nothing_about_counts(summary):
    said = facts(row(summary, "cancelled", "float32"))
    assert not any("floats" in name or "inaccurate" in name for name in said)
    assert "floats `inaccurate`" in facts(row(summary, "cancelled", "bfloat16"))


def test_rows_that_one_has_alone_are_counted(summary, newer):
    newer["results"].pop()
    assert "0 of 3 rows differ" in page(summary, newer) and "(1 are in one of them alone)" in page(summary, newer)
    assert not differences(*[row(summary, "cancelled", "float32")] * 2) and len(rows_of(newer)) == 3


def test_files_that_are_no_summaries_are_one_line_and_status_2(summary, tmp_path, capsys):
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    good.write_text(json.dumps(summary))
    assert main([str(good), str(good)]) == 0
    assert "0 of 4 rows" in capsys.readouterr().out
    for text in ("", "[]", "{}", '{"manifest": {"jax": "1"}, "results": [{}]}', '{"manifest": {}, "results": []}'):
        bad.write_text(text)
        for arguments in ([str(bad), str(good)], [str(good), str(bad)], [str(good), str(tmp_path / "none.json")]):
            with pytest.raises(SystemExit) as stop:
                main(arguments)
            message = capsys.readouterr().err
            assert stop.value.code == 2 and message.count("\n") == 1 and ".json" in message


def test_the_releases_of_the_workflow_are_the_tested_ones():
    first, last = TESTED
    files = {name: (Path(__file__).parents[1] / ".ci" / f"{name}.txt").read_text() for name in ("oldest", "newest")}
    after = ".".join(map(str, (numbers(last)[0], numbers(last)[1] + 1)))
    assert files == {"oldest": f"jax=={first}.0\njaxlib=={first}.0\n", "newest": f"jax<{after}\njaxlib<{after}\n"}
