"""A report and its page in a real browser, from disk, with the network off, for the tests of the page."""

import functools
import shutil
from dataclasses import replace

import numpy as np
import pytest

from stability import report
from stability.environment import environment
from stability.study import declared
from stability.sweep import maps
from stability.sweep.derivation import steps
from stability.sweep.engine import Here

playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [pytest.mark.browser, pytest.mark.skipif(not CHROMIUM, reason="chromium is not installed")]

STUDY = declared()["sigmoid_bce"]
FORMS = ("chain_split", "chain_common", "chain_combined", "autodiff", "cancelled", "componentwise", "rounded")
DTYPES, LABELS = ("float16", "bfloat16", "float32"), (1.0, 0.5)


@functools.cache
def swept():
    """What a sweep of some forms finds, with the lines of the derivation and maps of labels."""
    found = STUDY.sweep(forms=FORMS, dtypes=DTYPES, labels=LABELS, points=4096)
    mapped = maps.done(maps.begun(STUDY, forms=FORMS, dtypes=["bfloat16"], executor=Here()))
    return replace(found, steps=steps(STUDY, found), maps=mapped)


@pytest.fixture(scope="module")
def outcome():
    return swept()


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
