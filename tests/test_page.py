"""The page of a report in a browser: what it shows, what its controls do, and what can be taken from it."""

import csv
import json
import re
from dataclasses import replace
from pathlib import Path

import ml_dtypes
import numpy as np
import pages
import pytest
from pages import FORMS, STUDY, Page

from stability import report
from stability.environment import environment
from stability.study.pairs import Pair
from stability.sweep import maps
from stability.sweep.engine import Here
from stability.sweep.outcome import Outcome

pytestmark = pages.pytestmark
browser, outcome, page, written = pages.browser, pages.outcome, pages.page, pages.written


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
