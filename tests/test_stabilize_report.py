"""The report of `stabilize`: the page, its pictures, and what it never overwrites."""

import io
import json
from functools import cache
from html.parser import HTMLParser

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from stability import stabilize
from stability.cli import stabilize as command
from stability.environment import environment
from stability.formats import to_ordinal
from stability.report import rewriting
from stability.report.pictures import rewritten
from stability.report.plots import drawn

MANIFEST = {"command": "stability stabilize", **environment()}


def cosine_quotient(x):
    return (1 - jnp.cos(x)) / x**2


@cache
def found():
    return stabilize(cosine_quotient, points=24, orders=(0,))


def test_the_page_holds_what_was_found_and_its_picture(tmp_path):
    names = rewriting.write(found(), "cosine_quotient", tmp_path, MANIFEST)
    page = (tmp_path / "README.md").read_text()
    assert sorted(names) == sorted(p.name for p in tmp_path.iterdir())
    assert found().source.rstrip() in page and "](errors-1.png)" in page
    for term in [*(step.term for step in found().steps), *(branch.term for branch in found().branches)]:
        assert f"`{term}`" in page
    data = json.loads((tmp_path / "stabilize.json").read_text())
    assert data["after"]["mean"] == found().after.mean
    assert [s[0] for s in data["steps"]] == [str(s.term) for s in found().steps]
    assert float.fromhex(data["branches"][1][1]) == found().branches[1].low


def test_a_report_replaces_an_earlier_one_and_nothing_else(tmp_path, capsys):
    rewriting.write(found(), "cosine_quotient", tmp_path, MANIFEST)
    assert rewriting.foreign(tmp_path) is None
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "errors-1.png").write_text("mine")
    with pytest.raises(SystemExit) as stop:
        command.main(["jax.numpy:expm1", "--out", str(mine)])
    assert stop.value.code == 2 and "holds files" in capsys.readouterr().err
    assert [p.name for p in mine.iterdir()] == ["errors-1.png"] and (mine / "errors-1.png").read_text() == "mine"


def test_the_picture_tells_before_from_after_without_colour():
    x = np.float32([-4, -1, 0.5, 2, 3])
    before, after = np.full(5, 9.0), np.full(5, 1.0)
    (ax, *_) = rewritten.draw("x", x, before, after, [2.0]).axes
    crosses, dots = (set(map(tuple, c.get_paths()[0].vertices.tolist())) for c in ax.collections)
    by_label = {line.get_label(): line for line in ax.lines}
    assert crosses != dots and by_label["before"].get_linestyle() != by_label["after"].get_linestyle()
    assert set(by_label["before"].get_ydata()) == {9.0} and set(by_label["after"].get_ydata()) == {1.0}
    (bound,) = [line.get_xdata()[0] for line in ax.lines if len(set(line.get_xdata())) == 1]
    ordinals = to_ordinal(np.float32([-4, 2, 3]))
    assert bound == pytest.approx((ordinals[1] - ordinals[0]) / (ordinals[2] - ordinals[0]))
    assert "2 = 0x1p+1" in [text.get_text() for text in ax.texts]
    image = Image.open(io.BytesIO(drawn(rewritten.draw, ("x", x, before, after, []), svg=False)["png"]))
    assert image.width == 1245


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.seen = [], []

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        self.seen.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_a_notebook_shows_it_as_html_that_is_whole():
    tags = Tags()
    text = found()._repr_html_()
    tags.feed(text)
    assert not tags.open and tags.seen.count("table") == 4 and tags.seen.count("pre") == 1
    assert tags.seen.count("tr") == 4 + 2 + len(found().steps) + len(found().branches) + len(found().proof)
    assert "&lt;= x &lt;" in text


def test_what_is_left_alone_is_told_as_such(tmp_path):
    twice = stabilize(lambda x: x * 2, points=16, orders=(0,))
    rewriting.write(twice, "twice", tmp_path, MANIFEST)
    assert "Nothing better was found" in (tmp_path / "README.md").read_text()
    assert "nothing better" in twice._repr_html_()
