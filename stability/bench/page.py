"""The page of a report in a browser: its size, how soon it can be used, and how it keeps up with a zoom.

It needs `playwright` and a `chromium` on the path.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING

from stability.bench import Refused, figures
from stability.cli.arguments import Parser

if TYPE_CHECKING:
    from playwright.sync_api import Page

MEBIBYTES, SECONDS, FRAMES = 4.0, 2.0, 30.0
OPENED, ZOOMED = 5, 4.0
COUNTED = """() => {
  window.painted = 0;
  Bokeh.index.find_one(plots.curve).repainted.connect(() => { painted++; });
}"""


def zoomed(page: Page, seconds: float) -> float:
    """How often a second the curves are painted while a wheel over them zooms in and out again."""
    page.locator("#plots").scroll_into_view_if_needed()
    place = page.locator("#plots").bounding_box()
    assert place
    page.mouse.move(place["x"] + 0.6 * place["width"], place["y"] + 150)
    page.evaluate(COUNTED)
    begun, turn = time.perf_counter(), 0
    while time.perf_counter() < begun + seconds:
        page.mouse.wheel(0, 40 if turn // 60 % 2 else -40)
        turn += 1
    return page.evaluate("painted") / (time.perf_counter() - begun)


def measured(path: Path, chromium: str) -> dict[str, float]:
    """The size of a page in MiB, the median of the seconds until it is ready, and how often a second the curves that it
    shows first are painted while a wheel, turned as fast as the page takes it, zooms in and out."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        ready = []
        for _ in range(OPENED):
            page = browser.new_context(viewport={"width": 1280, "height": 900}, offline=True).new_page()
            page.goto(path.resolve().as_uri())
            page.wait_for_function("document.documentElement.dataset.ready === 'yes'")
            ready.append(page.evaluate("performance.getEntriesByName('ready')[0].startTime") / 1000)
        frames = zoomed(page, ZOOMED)
        browser.close()
    return {
        "MiB": round(path.stat().st_size / 2**20, 3),
        "seconds until ready": round(statistics.median(ready), 3),
        "frames a second": round(frames, 1),
    }


def parser() -> Parser:
    p = figures.parser("page", __doc__)
    p.add_argument(
        "page", type=Path, nargs="?", metavar="FILE", default=Path("reports", "index.html"), help="default %(default)s"
    )
    p.add_argument("--mebibytes", type=float, default=MEBIBYTES, help="its greatest size (default %(default)s)")
    return p


def run(args: argparse.Namespace) -> int:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if not chromium:
        raise Refused("no chromium on the path")
    if not os.path.isfile(args.page):
        raise Refused(f"{args.page}: no such page; `stability sweep` writes one")
    found = measured(args.page, chromium)
    for name, value in found.items():
        print(f"{name:20} {value:8}")
    figures.write(args.out, "page", args.command, found)
    size, ready, frames = found.values()
    return 0 if size <= args.mebibytes and ready <= SECONDS and frames >= FRAMES else 1
