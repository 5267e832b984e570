"""The page of a report in a real browser, from disk, with the network off."""

import csv
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import jax.numpy as jnp
import ml_dtypes
import mpmath
import numpy as np
import pytest

import stability
from stability import report
from stability.environment import environment
from stability.formats import FORMATS, every_float, from_ordinal, to_ordinal, widen
from stability.study import declared
from stability.study.pairs import Pair
from stability.sweep import maps, singles
from stability.sweep.derivation import steps
from stability.sweep.engine import Here
from stability.sweep.outcome import Outcome

playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [pytest.mark.browser, pytest.mark.skipif(not CHROMIUM, reason="chromium is not installed")]

STUDY = declared()["sigmoid_bce"]
FORMS = ("chain_split", "chain_common", "chain_combined", "autodiff", "cancelled", "componentwise", "rounded")
DTYPES, LABELS = ("float16", "bfloat16", "float32"), (1.0, 0.5)


@pytest.fixture(scope="module")
def outcome():
    found = STUDY.sweep(forms=FORMS, dtypes=DTYPES, labels=LABELS, points=4096)
    mapped = maps.done(maps.begun(STUDY, forms=FORMS, dtypes=["bfloat16"], executor=Here()))
    return replace(found, steps=steps(STUDY, found), maps=mapped)


@pytest.fixture(scope="module")
def written(outcome, tmp_path_factory):
    directory = tmp_path_factory.mktemp("page") / "report"
    manifest = {"command": "a test", "seed": 0, **environment()}
    report.write(outcome, STUDY, manifest, directory, True, tolerance=16.0, begun=0.0)
    return directory


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as p:
        started = p.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield started
        started.close()


class Page:
    """A page that is ready, and everything it complained of."""

    def __init__(self, browser, written, fragment="", **context):
        context = {"viewport": {"width": 1280, "height": 900}, "offline": True, **context}
        self.context = browser.new_context(**context)
        self.tab = self.context.new_page()
        self.complaints = []
        self.tab.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.tab.on("console", lambda m: self.complaints.append(m.text) if m.type in ("error", "warning") else None)
        self.tab.goto(f"file://{written / 'index.html'}{fragment}")
        if context.get("java_script_enabled", True):
            self.tab.wait_for_function("document.documentElement.dataset.ready === 'yes'")

    def look_up(self, text):
        self.tab.fill("#float", text)
        self.tab.press("#float", "Enter")
        self.settle()

    def settle(self):
        """Waits until what was asked for is drawn."""
        self.tab.evaluate("async () => { await lookedUp(); await redrawn(); rested(); }")

    def found(self):
        """The table of the float looked up: a dictionary a form."""
        rows = self.tab.evaluate(
            """() => [...document.querySelectorAll('#found tbody tr')].map((tr) =>
            [tr.dataset.form, tr.dataset.z, ...[...tr.children].map((td) => td.innerText)])"""
        )
        heads = "[...document.querySelectorAll('#found thead th')].map((c) => c.innerText)"
        names = ("form", "z", *self.tab.evaluate(heads))
        return {row[0]: dict(zip(names, row, strict=True)) for row in rows}

    def text(self, selector):
        return self.tab.inner_text(selector)


@pytest.fixture
def page(browser, written):
    opened = Page(browser, written)
    yield opened
    assert not opened.complaints
    opened.context.close()


def hex_in(cell):
    return float.fromhex(cell.split("\n")[-1].replace("NaN", "nan"))


def same(a, b):
    return (np.isnan(a) and np.isnan(b)) or (a == b and np.signbit(a) == np.signbit(b))


def test_the_page_is_drawn_from_its_json_alone(outcome, written, tmp_path):
    data = json.loads((written / "summary.json").read_text())
    manifest = {k: v for k, v in data["manifest"].items() if k != "seconds"}
    report.write(Outcome.from_json(data), STUDY, manifest, tmp_path / "r", True, tolerance=16.0, begun=0.0)
    seconds = re.compile(r", [\d.]+ s\. Plots")
    assert len(data["maps"]) == len(FORMS)
    first, second = (seconds.sub("", (d / "index.html").read_text()) for d in (written, tmp_path / "r"))
    assert first == second


def test_it_opens_without_a_complaint_and_fits_every_width(browser, written):
    for width in (390, 1280, 2560):
        for scheme in ("light", "dark"):
            viewport = {"width": width, "height": 900}
            page = Page(browser, written, "#dtype=float32&z=0x1p+4", viewport=viewport, color_scheme=scheme)
            page.settle()
            assert page.tab.evaluate("document.documentElement.scrollWidth") <= width
            assert page.complaints == []
            page.context.close()


def test_it_is_read_without_scripts(browser, written):
    page = Page(browser, written, java_script_enabled=False)
    assert page.tab.is_visible("table.ladder") and page.tab.is_visible("#ends table")
    picture = page.tab.locator("#explore img")
    assert picture.is_visible() and picture.bounding_box()["width"] > 300
    assert not page.tab.is_visible("#lookup") and not page.tab.is_visible("#plots")
    page.context.close()
    page = Page(browser, written, java_script_enabled=False, viewport={"width": 390, "height": 900})
    picture = page.tab.locator("#explore img")
    assert picture.bounding_box()["width"] >= 830
    picture.evaluate("(img) => { img.parentElement.scrollLeft = 400; }")
    assert picture.bounding_box()["x"] < -300
    page.context.close()


def test_the_regions_that_no_tolerance_tells_apart_are_listed(written):
    text = (written / "index.html").read_text()
    listed = text[text.index("Failing regions, but for") : text.index("jit against eager: where")]
    assert "<code>cancelled</code>, float32, label 1, jit: vanished: 16.63" in listed and "inaccurate:" not in listed


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


def test_the_controls_do_what_they_say(page):
    tab = page.tab
    assert "float32, jit, label 1" in page.text("#shown")
    for name, text in (("dtype", "bfloat16"), ("mode", "eager"), ("label", "0.5")):
        tab.select_option(f"#{name}", text)
        page.settle()
    assert "bfloat16, eager, label 0.5" in page.text("#shown")
    tab.click("text=none")
    page.settle()
    assert tab.evaluate("plots.curves.data.form.length === 0")
    tab.check("input[value=cancelled]")
    page.settle()
    assert tab.evaluate("plots.curves.data.form.join()") == "cancelled"

    def width():
        page.settle()
        return tab.evaluate("plots.range.end - plots.range.start")

    whole = width()
    tab.click("text=zoom in")
    assert width() == pytest.approx(whole / 2)
    tab.click("text=zoom out")
    assert width() == pytest.approx(whole)
    start = tab.evaluate("plots.range.start")
    tab.click("text=right →")
    assert tab.evaluate("plots.range.start") == pytest.approx(start + whole / 4)
    tab.click("text=whole line")
    page.settle()
    assert tab.evaluate("plots.range.start") == pytest.approx(start)
    page.look_up("8")
    tab.click("text=float above")
    page.settle()
    assert float.fromhex(page.text("#where").split(" = ")[2].split(" ")[0]) == 8 + 2**-4
    tab.click("text=float below")
    page.settle()
    tab.click("text=neighbours of my float")
    page.settle()
    assert re.search(r": (1[5-9]|2\d|3\d) floats of bfloat16", page.text("#shown"))
    tab.select_option("#axis", "floats")
    page.settle()
    assert tab.evaluate("axisOf().position(neighbour(8, DATA.formats.bfloat16, 3), 8)") == 3
    tab.fill("#float", "eight")
    tab.press("#float", "Enter")
    assert "not a number" in page.text("#refused")


def test_a_wheel_zooms_and_the_address_follows(page):
    tab = page.tab
    width = "plots.range.end - plots.range.start"
    whole, told = tab.evaluate(width), page.text("#shown")
    tab.locator("#plots").scroll_into_view_if_needed()
    place = tab.locator("#plots").bounding_box()
    tab.mouse.move(place["x"] + 700, place["y"] + 150)
    for _ in range(20):
        tab.mouse.wheel(0, -40)
    tab.wait_for_function(f"{width} < {whole} / 2 && location.hash.includes('from=')")
    assert page.text("#shown") != told
    low, high = tab.evaluate("shownEnds()")
    ends = re.search(r"from=([^,]+),([^&]+)", tab.evaluate("location.hash")).groups()
    assert [float.fromhex(end) for end in ends] == [float(np.float32(low)), float(np.float32(high))]


def test_what_is_shown_can_be_taken_away(page, tmp_path):
    tab = page.tab
    tab.select_option("#dtype", "bfloat16")
    page.look_up("3")
    tab.click("text=neighbours of my float")
    page.settle()
    with tab.expect_download() as table:
        tab.click("text=CSV")
    rows = list(csv.DictReader(Path(table.value.path()).read_text().splitlines()))
    shown = {row["form"] for row in rows}
    assert shown == set(tab.evaluate("[...view.forms]"))
    for row in rows:
        z = np.asarray(float.fromhex(row["z_hex"])).astype(ml_dtypes.bfloat16)
        assert z == np.asarray(float(row["z"])).astype(ml_dtypes.bfloat16) and abs(float(z) - 3) < 1
    with tab.expect_download() as picture:
        tab.click("text=PNG")
    assert Path(picture.value.path()).read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


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


def test_a_link_shows_the_same_view(browser, written, page):
    page.tab.select_option("#dtype", "bfloat16")
    page.tab.select_option("#label", "0.5")
    page.tab.uncheck("input[value=rounded]")
    page.look_up("-0x1.8p+2")
    for _ in range(3):
        page.tab.click("text=zoom in")
        page.settle()
    page.tab.select_option("#line", "chain_common")
    page.settle()
    address = page.tab.evaluate("location.hash")
    other = Page(browser, written, address)
    other.settle()
    for seen in (
        lambda p: p.text("#shown"),
        lambda p: p.found(),
        lambda p: p.text("#derivation"),
        lambda p: p.tab.locator("input[name=form]:checked").evaluate_all("boxes => boxes.map((b) => b.value)"),
        lambda p: p.tab.evaluate("location.hash"),
    ):
        assert seen(other) == seen(page)
    assert other.complaints == []
    other.context.close()


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


def test_the_second_of_two_arguments_is_called_by_its_name(browser, tmp_path, monkeypatch):
    (tmp_path / "two_arguments.py").write_text(
        "import jax.numpy as jnp\n\n\ndef area(side, angle):\n    return jnp.log(1 + side) - angle * side\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    source = Pair("two_arguments:area", (0, 1), (0.0, 5e-8, 1e-7), (0.0, 1e-7), domain=(0.001, 4))
    found = source().sweep(dtypes=["bfloat16"], modes=["jit"])
    mapped = maps.done(maps.begun(source, forms=["area"], dtypes=["bfloat16"], executor=Here()))
    manifest = {"command": "a test", "seed": 0, **environment()}
    report.write(replace(found, maps=mapped), source(), manifest, tmp_path / "report", False, tolerance=16.0, begun=0.0)
    assert "label" not in (tmp_path / "report" / "README.md").read_text().lower()
    page = Page(browser, tmp_path / "report", "#dtype=bfloat16&label=1e-7&z=0x1p+0")
    assert "jit, angle = 1e-7" in page.text("#shown")
    assert "Every form exactly at side = 1 = 0x1p+0 (bfloat16, jit, angle = 1e-7)" in page.text("#where")
    assert page.text("label:has(#label)").startswith("angle")
    page.tab.select_option("#label", label="5e-08")
    page.settle()
    assert "jit, angle = 5e-8" in page.text("#shown") and "label=5e-8" in page.tab.evaluate("location.hash")
    page.tab.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    assert "side and angle at once" in page.text("#map-part") and "label" not in page.text("body").lower()
    assert page.tab.evaluate("mapDocument.get_model_by_name('map').left[0].axis_label") == "angle"
    assert page.complaints == []
    page.context.close()


def test_labels_contrast_and_landmarks_pass_axe(browser, written):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    for width, scheme in ((390, "light"), (1280, "dark")):
        viewport = {"width": width, "height": 900}
        page = Page(browser, written, "#dtype=bfloat16&z=0x1p+3", viewport=viewport, color_scheme=scheme)
        page.tab.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
        found = axe.Axe().run(page.tab)
        told = [(v["id"], [n["target"] for n in v["nodes"]][:3]) for v in found.response["violations"]]
        assert told == [], (width, scheme)
        page.context.close()


QUESTIONS = {
    "what is the first NaN of `chain_split` in float32 under jit?": (
        [],
        "#findings",
        r"`?chain_split`?.*NaN[\s\S]*float32: from z = 16\.63",
    ),
    "is `a - y` good at z = 20, y = 1?": (
        [("#ladder a:has-text('z = 20')", "click")],
        "#found",
        r"cancelled[\s\S]*0: vanished",
    ),
    "and what is right there?": ([("#ladder a:has-text('z = 20')", "click")], "#found", r"rounded\s+-2\.06115"),
    "which forms never fail?": ([], "#findings", r"componentwise, rounded never are NaN"),
    "what does `componentwise` compute?": ([], "#ladder", r"componentwise\s+\(1 - y\) σ\(z\) - y σ\(-z\)"),
    "how large is the error of `a - y` at z = 8?": ([], "#ladder", r"cancelled\s+a - y(\s+\S+){5}\s+495"),
    "which line of `chain_combined` goes wrong at z = 16?": (
        [("#ladder a:has-text('z = 16')", "click"), ("#line", "chain_combined")],
        "#derivation",
        r"1 - a\s+\S+\s+wrong",
    ),
    "what is a ulp here?": ([], "#method", r"spacing of the floats around it"),
    "does jit differ from eager, silently?": ([], "#findings", r"silently 0 in one mode where the other gives NaN"),
    "how do soft labels fare in bfloat16?": ([("#map-form", "cancelled")], "#map-part", r"true value is 0"),
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_newcomer_finds_the_answer_in_three_actions(page, question):
    """Each action is a click on what the page shows, or a choice; reading what is on the page is none."""
    actions, where, answer = QUESTIONS[question]
    assert len(actions) <= 3
    for selector, act in actions:
        if act == "click":
            page.tab.click(selector)
        else:
            page.tab.select_option(selector, act)
        page.settle()
    page.tab.evaluate("derived()")
    page.tab.wait_for_function(
        "([where, answer]) => new RegExp(answer).test(document.querySelector(where).innerText)", arg=[where, answer]
    )
    assert page.tab.is_visible(where)
