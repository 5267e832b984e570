"""Reported failures: each is reproduced, its culprit is what the public fix changes, and the fix is clean."""

import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stability import real
from stability.cases import CASES, examine
from stability.cases.finding import TOLERANCE, point_of
from stability.cases.page import page, source_of
from stability.cli.cases import main
from stability.formats import FORMATS, from_ordinal, to_ordinal, widen
from stability.measure import KINDS, classify

BY_NAME = {case.name: case for case in CASES}


@functools.cache
def found(name):
    return examine(name)


def kind_alone(case, ordinal):
    """The kind of the naive function at one float, op by op, looked at by itself."""
    fmt = FORMATS[case.dtype]
    x = from_ordinal(np.array([ordinal]), fmt)
    result = np.asarray(jax.vmap(case.naive)(jnp.asarray(x)))
    truth = real.truth(case.truth, x, fmt=fmt)
    return KINDS[classify(result, truth, TOLERANCE)[0][0]]


def test_there_are_enough_and_each_is_cited_once():
    assert len(CASES) >= 14
    assert len({(c.repository, c.number) for c in CASES}) == len(CASES) == len(BY_NAME)
    assert all(c.repository.count("/") == 1 and c.title and c.report and c.remedy for c in CASES)


@pytest.mark.parametrize("name", BY_NAME)
def test_the_culprit_is_what_the_fix_changes(name):
    case, culprit = BY_NAME[name], found(name).diagnosis.culprit
    assert (culprit.primitive, culprit.kind) == (case.primitive, case.cause)
    path, line, _ = culprit.source.split(":", 2)
    with open(path) as file:
        assert case.line in file.read().splitlines()[int(line) - 1]
    assert case.line in source_of(case.naive)


@pytest.mark.parametrize("name", BY_NAME)
def test_the_region_holds_the_point_and_its_ends_are_exact(name):
    case, fmt = BY_NAME[name], FORMATS[BY_NAME[name].dtype]
    region = found(name).regions["eager"][0]
    assert region.start <= int(to_ordinal(point_of(case))) <= region.stop
    low, high = (float(widen(from_ordinal(np.array(n), fmt))) for n in (region.start, region.stop))
    for end, beyond, edge, limit in (
        (region.start, region.start - 1, low, case.domain[0]),
        (region.stop, region.stop + 1, high, case.domain[1]),
    ):
        assert kind_alone(case, end) == case.kind
        outside = float(widen(from_ordinal(np.array(beyond), fmt))) if abs(edge) < np.inf else np.nan
        if min(edge, outside) >= case.domain[0] and max(edge, outside) <= case.domain[1]:
            assert kind_alone(case, beyond) != case.kind
        else:
            assert edge == pytest.approx(limit, rel=2.0 ** (1 - fmt.precision))


@pytest.mark.parametrize("name", BY_NAME)
def test_the_fix_is_clean_there(name):
    kinds = set(found(name).fixed_kinds)
    assert "ok" in kinds and kinds <= {"ok", "flushed"}
    if name != "sigmoid_written_out":
        assert kinds == {"ok"}


@pytest.mark.parametrize("name", [c.name for c in CASES if c.truth is c.fixed])
def test_naive_and_fix_are_one_real_function_where_both_are_defined(name):
    case, fmt = BY_NAME[name], FORMATS[BY_NAME[name].dtype]
    low, high = (max(min(v, 1e3), -1e3) for v in case.domain)
    x = np.linspace(low, high, 41)[1:-1].astype(fmt.dtype)
    naive, fixed = (real.truth(f, x, fmt=fmt) for f in (case.naive, case.fixed))
    defined = ~np.isnan(naive.quanta) & ~np.isnan(fixed.quanta)
    assert defined.sum() >= 12 or name == "norm_squared"
    assert np.array_equal(naive.rounded[defined], fixed.rounded[defined])


def test_the_page_and_its_data(tmp_path, capsys):
    assert main(["--case", "where_sqrt", "--case", "elu_by_exp", "--out", str(tmp_path / "cases")]) == 0
    data = json.loads((tmp_path / "cases" / "cases.json").read_text())
    assert {c["name"]: c["culprit"]["primitive"] for c in data["cases"]} == {"where_sqrt": "mul", "elu_by_exp": "sub"}
    text = (tmp_path / "cases" / "README.md").read_text()
    assert "jax-ml/jax#5798" in text and "2 of 2 the operation" in text and "root = jnp.sqrt(x)" in text
    assert {p.name for p in (tmp_path / "cases").iterdir()} == {"README.md", "cases.json"}
    assert "as expected" in capsys.readouterr().out
    assert page([found("where_sqrt")], data["manifest"]).count("\n## ") == 1


def test_a_case_that_does_not_exist(tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--case", "none", "--out", str(tmp_path / "r")])
    message = capsys.readouterr().err
    assert (
        stop.value.code == 2 and message.count("\n") == 1 and "where_sqrt" in message and not list(tmp_path.iterdir())
    )
