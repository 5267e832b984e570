"""The numbers of the page in a browser: results, true values, errors, ends of regions, all against Python's."""

import re

import jax.numpy as jnp
import mpmath
import numpy as np
import pages
import pytest
from pages import DTYPES, FORMS, STUDY, hex_in, same

import stability
from stability.formats import FORMATS, every_float, from_ordinal, to_ordinal, widen
from stability.sweep import singles

pytestmark = pages.pytestmark
browser, outcome, page, written = pages.browser, pages.outcome, pages.page, pages.written


def true_gradient(z, y):
    with mpmath.workprec(400):
        return mpmath.mpf(1) / (1 + mpmath.exp(-mpmath.mpf(z))) - mpmath.mpf(y)


def error(result, true, fmt):
    """In ulps of the true value, to a few digits."""
    with mpmath.workprec(400):
        exponent = max(int(mpmath.floor(mpmath.log(abs(true), 2))) - fmt.precision + 1, fmt.least_exponent)
        return float(abs(mpmath.mpf(float(result)) - true) / mpmath.mpf(2) ** exponent)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_a_typed_float_gives_the_true_value_and_what_the_forms_give(page, dtype):
    """200 random floats of two formats, against evaluations and true values made here."""
    fmt, rng = FORMATS[dtype], np.random.default_rng(0)
    every = every_float(fmt)
    chosen = rng.choice(every[~np.isnan(widen(every)) & (np.abs(widen(every)) < 60)], 100, replace=False)
    mode, label = "eager", 1.0
    for name, text in (("dtype", dtype), ("mode", mode), ("label", "1")):
        page.tab.select_option(f"#{name}", text)
    given = {form: widen(np.asarray(STUDY.forms[form](chosen, np.asarray(label, fmt.dtype)))) for form in FORMS}
    proven = widen(stability.true_value(lambda x: -1 / (1 + jnp.exp(x)), chosen))
    for i, z in enumerate(chosen):
        page.look_up(repr(float(z)) if rng.integers(2) else float(z).hex())
        found, true = page.found(), true_gradient(float(z), label)
        assert set(found) == set(FORMS)
        for form, line in found.items():
            result = given[form][i]
            assert float.fromhex(line["z"]) == float(z)
            assert same(hex_in(line["result"]), float(result)), (form, z, line)
            assert same(hex_in(line["true value"]), float(proven[i])), (form, z, line)
            if np.isfinite(result):
                shown, measured = float(line["error [ulps]"]), error(result, true, fmt)
                assert abs(shown - measured) <= 0.006 + 0.006 * measured, (form, z, line, measured)


def test_the_numbers_of_the_page_are_those_of_python(page):
    """Decimals, hex floats, rounding and neighbours, at floats of each format."""
    rng = np.random.default_rng(1)
    for dtype in ("float16", "bfloat16", "float32"):
        fmt = FORMATS[dtype]
        ordinals = rng.integers(-fmt.infinity - 1, fmt.infinity + 1, 300)
        values = widen(from_ordinal(ordinals, fmt))
        found = page.tab.evaluate(
            """([texts, name]) => texts.map((t) => { const f = DATA.formats[name], x = parseFloatText(t);
            return [hexOf(x), decimalOf(x, f), hexOf(neighbour(x, f, 1)), hexOf(nearestFloat(x * (1 + 2 ** -12), f)),
                    String(toOrdinal(x, f))]; })""",
            [[v.hex() for v in values.tolist()], dtype],
        )
        above = widen(from_ordinal(np.minimum(ordinals + 1, fmt.infinity), fmt))
        with np.errstate(over="ignore"):
            near = widen((values * (1 + 2.0**-12)).astype(fmt.dtype))
        for i, (text, decimal, up, nearest, ordinal) in enumerate(found):
            read = np.float64(decimal.replace("−", "-")).astype(fmt.dtype)
            assert same(float.fromhex(text), values[i]) and same(float(read), values[i]), (dtype, values[i], decimal)
            assert same(float.fromhex(up), above[i]) and same(float.fromhex(nearest), near[i]), (dtype, values[i])
            assert int(ordinal) == ordinals[i]


def test_every_end_of_a_region_is_found_with_its_kind(page, outcome):
    rows = [r for r in outcome.rows if r.dtype == "float32" or r.form in ("chain_split", "cancelled", "rounded")]
    looked_at = 0
    for row in rows:
        fmt = FORMATS[row.dtype]
        ends = {end: r.kind for r in row.regions for end in (r.start, r.stop) if not r.alternates}
        chosen = dict(list(ends.items())[:40])
        texts = [x.hex() for x in widen(from_ordinal(np.array(list(chosen), np.int64), fmt)).tolist()]
        found = page.tab.evaluate(
            """async ([form, dtype, label, mode, texts]) => {
            const there = { dtype, label, mode }, row = rowOf(form, there), singles = await singlesOf(row, there);
            return texts.map((t) => { const i = indexNear(singles.z, parseFloatText(t));
                return [hexOf(singles.z[i]), DATA.kinds[singles.kinds[i]]]; }); }""",
            [row.form, row.dtype, row.label, row.mode, texts],
        )
        for (end, kind), (z, told) in zip(chosen.items(), found, strict=True):
            at = to_ordinal(np.array(float.fromhex(z)).astype(fmt.dtype))
            assert int(at) == end and told == kind, (row.form, end)
        looked_at += len(chosen)
    assert looked_at > 300


def test_each_form_says_of_which_float_its_numbers_are(page, outcome):
    """At floats that all, some or none of the forms keep: the nearest kept one, its result, and how far off it is."""
    fmt, rng = FORMATS["float32"], np.random.default_rng(2)
    known = next(k.values.floats for k in outcome.known if (k.dtype, k.label) == ("float32", 1.0))
    rows = {r.form: r for r in outcome.rows if (r.dtype, r.label, r.mode) == ("float32", 1.0, "jit")}
    ends = [
        r.start for row in rows.values() for r in row.regions if abs(from_ordinal(np.array([r.start]), fmt)[0]) < 60
    ]
    asked = [*rng.choice(ends, 10, replace=False), *to_ordinal(rng.uniform(-60, 60, 10).astype(np.float32))]
    seen = set()
    for ordinal in map(int, [*asked, to_ordinal(np.float32(2))]):
        z = float(from_ordinal(np.array([ordinal]), fmt)[0])
        page.look_up(z.hex())
        exact = 0
        for form, line in page.found().items():
            row = rows[form].results
            kept = known[row.floats]
            values = widen(from_ordinal(kept, fmt))
            told = float.fromhex(line["z"])
            near = int(np.flatnonzero(values == told)[0])
            assert abs(told - z) == np.abs(values - z).min()
            assert same(hex_in(line["result"]), float(singles.values(row.results[near : near + 1], "float32")[0]))
            off = int(kept[near]) - ordinal
            exact += off == 0
            if "at z =" in line:
                said = f"{abs(off):,} float" + ("" if abs(off) == 1 else "s") + (" above" if off > 0 else " below")
                assert line["at z ="].endswith(said if off else "exactly")
                assert float.fromhex(re.search(r"-?0x\S+?(?=\s|$)", line["at z ="])[0]) == told
            else:
                assert off == 0 and page.text("#where").startswith("Every form exactly at z = ")
        seen.add("all" if exact == len(rows) else "some" if exact else "none")
    assert seen == {"all", "some", "none"}


def test_no_error_is_above_the_axis(page):
    page.tab.click("[data-do=all]")
    tops = {}
    for dtype in DTYPES:
        page.tab.select_option("#dtype", dtype)
        page.settle()
        greatest = page.tab.evaluate("Math.max(...plots.curves.data.ys.flat().filter(Number.isFinite))")
        tops[dtype] = page.tab.evaluate("plots.curve.y_range.end")
        assert 0 < greatest < tops[dtype] < 1e3 * greatest
    assert tops["bfloat16"] < tops["float16"] < tops["float32"]


def test_a_bar_tells_its_region(page, outcome):
    tab = page.tab
    row = next(r for r in outcome.rows if (r.form, r.dtype, r.label, r.mode) == ("cancelled", "float32", 1.0, "jit"))
    lost = next(r for r in row.regions if r.kind == "vanished")
    tab.evaluate("barTapped(axisOf().position(40), DATA.forms.length - 1 - DATA.forms.indexOf('cancelled') + 0.5)")
    tab.wait_for_function("document.getElementById('region').innerText.includes('vanished')")
    ends = [float(from_ordinal(np.array([o]), FORMATS["float32"])[0]) for o in (lost.start, lost.stop)]
    told = re.findall(r"= (-?0x[0-9a-fp.+-]+)", page.text("#region"))
    assert [float.fromhex(t) for t in told] == ends and f"{lost.count:,} floats" in page.text("#region")
    page.settle()
    assert page.found()["cancelled"]["kind"] == "0: vanished"


def test_the_derivation_marks_the_digit_that_went_wrong(page):
    page.tab.select_option("#dtype", "float32")
    page.tab.select_option("#line", "chain_combined")
    page.look_up("16")
    page.tab.evaluate("derived()")
    rows = page.tab.evaluate(
        """[...document.querySelectorAll('#derivation tbody tr')].map((tr) =>
        [...tr.children].map((c) => c.innerText).concat(tr.querySelector('mark')?.innerText ?? ''))"""
    )
    z = float.fromhex(re.search(r"= (-?0x[0-9a-fp.+-]+)", page.text("#derivation")).group(1))
    lines = {row[0]: row for row in rows}
    a, lost = lines["a = σ(z)"], lines["1 - a"]
    with mpmath.workprec(200):
        true = float(np.float32(float(1 / (1 + mpmath.exp(mpmath.mpf(z))))))
    assert a[3] == "" and lost[3] != "" and float(lost[2]) == pytest.approx(true, rel=1e-6)
    computed = np.float32(1) - np.float32(1 / (1 + np.exp(-z)))
    assert float(lost[1].split()[0]) == pytest.approx(float(computed), rel=1e-6)
