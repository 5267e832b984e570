"""The pictures: what their titles say is so, forms that look the same are drawn once, and every text can be read."""

import io
import json

import jax.numpy as jnp
import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text
from PIL import Image

from stability import Outcome, study_of
from stability.formats import FORMATS
from stability.measure import FAILURE_KINDS, KINDS
from stability.report import plots
from stability.report.colours import FORM_COLOURS, KIND_COLOURS, colours_of
from stability.report.pictures import _axis, errors, histogram
from stability.report.pictures._axis import CELLS, Look, agree, grouped, same_kinds
from stability.report.pictures._sheet import WIDTH
from stability.study import declared
from stability.sweep.outcome import PROFILE_BINS

SEEN = {
    "as they are": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}
"""Machado, Oliveira and Fernandes 2009, https://doi.org/10.1109/TVCG.2009.113, severity 1, on linear RGB."""


def linear(colours):
    c = np.array([[int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)] for colour in colours])
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def lab(rgb):
    """CIELAB of linear sRGB, D65."""
    to_xyz = [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
    xyz = np.clip(rgb, 0, 1) @ np.transpose(to_xyz) / [0.95047, 1.0, 1.08883]
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], -1)


@pytest.mark.parametrize("how", SEEN)
def test_the_colours_of_forms_are_told_apart(how):
    seen = lab(linear(FORM_COLOURS) @ np.transpose(SEEN[how]))
    apart = np.linalg.norm(seen[:, None] - seen, axis=-1)[~np.eye(len(seen), dtype=bool)]
    assert len(FORM_COLOURS) == 11 and apart.min() > 26


def test_the_colours_of_forms_are_seen_on_white():
    luminance = linear(FORM_COLOURS) @ [0.2126, 0.7152, 0.0722]
    assert (1.05 / (luminance + 0.05)).min() > 3


def test_a_form_has_one_colour_everywhere():
    of = {name: colours_of(list(study.forms)) for name, study in declared().items()}
    for colours in of.values():
        assert len(set(colours.values())) == len(colours)
    for name in ("autodiff", "cancelled", "optax"):
        assert len({colours[name] for colours in of.values()}) == 1
    mine = colours_of(["mine", "optax", "other"])
    assert mine["optax"] == of["sigmoid_bce"]["optax"] and len(set(mine.values())) == 3


def flat(runs=(), spikes=()):
    """A look: `ok` and 1 ulp off, but for `(kind, first, stop)` and `(bin, ulps)`."""
    kinds, ulps = np.zeros(CELLS, np.int64), np.ones(PROFILE_BINS)
    for kind, first, stop in runs:
        kinds[first:stop] = KINDS.index(kind)
    for at, error in spikes:
        ulps[at] = error
    return Look(kinds, ulps)


def test_what_looks_the_same_and_what_does_not():
    plain, failing = flat(), flat([("nan", 300, 480)])
    assert agree(plain, flat(spikes=[(7, 3.9)])) and not agree(plain, flat(spikes=[(7, 4.1)]))
    assert agree(flat(spikes=[(7, 100.0)]), flat(spikes=[(7, 399.0)]))
    assert not agree(flat(spikes=[(7, 100.0)]), flat(spikes=[(7, 401.0)]))
    assert agree(failing, flat([("nan", 304, 480)])) and not agree(failing, flat([("nan", 305, 480)]))
    assert not agree(failing, flat([("inf", 300, 480)])) and not agree(plain, failing)
    assert not same_kinds(plain, flat([("vanished", 240, 241)])), "one cell of another kind is seen"
    rough = [("inaccurate", 200, 250), ("vanished", 220, 221)]
    assert same_kinds(flat(rough), flat([("inaccurate", 200, 250)])), "among inaccurate ones it is not"
    assert not same_kinds(flat([("inaccurate", 200, 250)]), flat([("inaccurate", 200, 261)]))
    assert not same_kinds(plain, flat([("inaccurate", 240, 241)])), "nor is a form that fails one that does not"
    assert not same_kinds(flat([("inaccurate", 300, 350)]), flat([("inaccurate", 300, 350), ("inaccurate", 240, 241)]))
    looks = {"a": plain, "b": failing, "c": plain}
    assert grouped("abc", lambda name: [looks[name]]) == [["a", "c"], ["b"]]


@pytest.fixture(scope="module")
def outcomes():
    sigmoid, softmax = declared()["sigmoid_bce"], declared()["softmax_ce_3"]
    mine = study_of({"mine": lambda x: (1 - jnp.cos(x)) / x, "long name of a form": jnp.sin})
    point = study_of({"f": jnp.exp}, domain=(1.5, 1.5))
    log = study_of({"log(x - 3)": lambda x: jnp.log(x - 3)}, domain=(0.0, 1e30))
    return {
        "sigmoid": (sigmoid, sigmoid.sweep(dtypes=["float32"], labels=[0.0, 1.0], points=256)),
        "softmax": (softmax, softmax.sweep(dtypes=["float32"], points=256, labels=[1.0, 0.5])),
        "five labels": (
            sigmoid,
            sigmoid.sweep(dtypes=["float16"], labels=[0, 1, 0.5, 0.25, 0.75], forms=["optax"], modes=["jit"]),
        ),
        "mine": (mine, mine.sweep(dtypes=["float32"], modes=["jit"], points=64)),
        "a point": (point, point.sweep(dtypes=["float16"], modes=["jit"])),
        "a range": (log, log.sweep(dtypes=["float32"], modes=["eager"], points=64)),
    }


def figures(study, outcome):
    with mpl.rc_context(plots.STYLE):
        made = {name: make(*arguments) for name, (make, arguments) in plots.pictures(outcome, study, 16.0).items()}
        for figure in made.values():
            if figure is not None:
                FigureCanvasAgg(figure).draw()
    return {name: figure for name, figure in made.items() if figure is not None}


@pytest.fixture(scope="module")
def drawn(outcomes):
    return {name: figures(*pair) for name, pair in outcomes.items()}


CASES = ["sigmoid", "softmax", "five labels", "mine", "a point", "a range"]


def texts(figure):
    """What is shown of a figure, with the room that it takes in pixels of a page, 100 an inch."""
    renderer = figure.canvas.get_renderer()
    shown = [t for t in figure.findobj(Text) if t.get_visible() and t.get_text().strip()]
    boxes = [(t, t.get_window_extent(renderer)) for t in shown]
    return [(t, b) for t, b in boxes if b.width > 0 and b.height > 0]


@pytest.mark.parametrize("name", CASES)
def test_every_text_is_large_enough_and_inside_and_by_itself(drawn, name):
    assert drawn[name]
    for title, figure in drawn[name].items():
        assert figure.get_figwidth() == WIDTH
        found = texts(figure)
        for text, box in found:
            where = f"{title}: {text.get_text()!r}"
            assert text.get_fontsize() / 72 * 830 / WIDTH >= 11, where
            assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1, where
        for k, (text, box) in enumerate(found):
            for other, there in found[:k]:
                apart = box.x0 >= there.x1 or there.x0 >= box.x1 or box.y0 >= there.y1 - 1 or there.y0 >= box.y1 - 1
                assert apart, f"{title}: {text.get_text()!r} on {other.get_text()!r}"


@pytest.mark.parametrize("name", CASES)
def test_every_form_is_named_once_beside_its_errors_and_at_every_label_beside_its_regions(drawn, outcomes, name):
    outcome = outcomes[name][1]
    forms = list(dict.fromkeys(row.form for row in outcome.rows))
    labels = len({row.label for row in outcome.rows})
    for title, figure in drawn[name].items():
        said = [text.get_text() for text in figure.texts[1:]]
        for form in forms:
            times = sum(text.partition(" (eager)")[0].partition(" (jit)")[0] == form for text in said)
            if title.startswith("errors"):
                assert times == -(-labels // errors.COLUMNS)
            if title.startswith("regions"):
                assert times >= labels


def title_of(figure):
    return figure.texts[0].get_text().replace("\n", " ")


def test_titles_say_what_the_rows_say(drawn, outcomes):
    titles = {title: title_of(figure) for title, figure in drawn["sigmoid"].items()}
    rows = [r for r in outcomes["sigmoid"][1].rows if (r.dtype, r.label, r.mode) == ("float32", 1.0, "jit")]
    nan = [r.form for r in rows if any(g.kind == "nan" and g.stop >= FORMATS["float32"].infinity for g in r.regions)]
    assert titles["regions_float32"].startswith(
        f"At label 1, {len(nan)} of 11 forms are NaN from z = 16.64 up; cancelled"
    )
    assert "cancelled and logits are 0 from z = 16.64 to 87.34" in titles["regions_float32"]
    good = [r for r in rows if not any(g.kind in FAILURE_KINDS for g in r.regions)]
    assert "rounded" in [r.form for r in good] and titles["regions_float32"].endswith(f"{good[-1].form} never fail")
    optax = next(r for r in rows if r.form == "optax")
    assert f"optax {optax.max_ulp:.2g}" in titles["errors_float32"] and "over 16 ulps off" in titles["errors_float32"]
    assert "are NaN at z = 20; cancelled and logits are 0 there" in titles["ladder"]
    assert "componentwise, optax and rounded are right at every z shown" in titles["ladder"]
    assert titles["condition_float32"].startswith("cancelled and logits lose digits")
    assert titles["condition_float32"].endswith("optax and rounded do not")
    assert "are 0 under jit and NaN in eager at 181,704 float32" in titles["jit_against_eager"]


def test_titles_of_a_function_without_labels(drawn):
    assert "label" not in "".join(map(title_of, drawn["mine"].values()))
    assert title_of(drawn["a point"]["regions_float16"]) == "f never fails"
    assert title_of(drawn["a point"]["errors_float16"]).startswith("f: the worst error found is 0.")
    assert "mine is NaN" in title_of(drawn["mine"]["regions_float32"])


def test_pictures_are_drawn_from_the_data_alone(outcomes):
    study, outcome = outcomes["softmax"]
    again = Outcome.from_json(json.loads(json.dumps(outcome.to_json())))
    for name, task in plots.pictures(outcome, study, 16.0).items():
        if name.startswith(("errors", "regions", "ladder")):
            assert plots.drawn(*task, False) == plots.drawn(*plots.pictures(again, study, 16.0)[name], False)


def test_a_picture_of_256_colours_has_those_of_forms_and_kinds(outcomes):
    study, outcome = outcomes["sigmoid"]
    png = plots.drawn(*plots.pictures(outcome, study, 16.0)["regions_float32"], False)["png"]
    image = Image.open(io.BytesIO(png))
    assert image.mode == "P" and image.width == round(WIDTH * plots.DPI)
    found = {"#{:02X}{:02X}{:02X}".format(*c) for _, c in image.convert("RGB").getcolors(1 << 20)}
    assert {*FORM_COLOURS, *(KIND_COLOURS[k] for k in ("ok", "nan", "vanished", "flushed", "inaccurate"))} <= found
    assert image.convert("RGB").getpixel((image.width // 2, 1)) == (255, 255, 255)


def test_numbers_of_floats_in_few_letters():
    assert [histogram.short(n) for n in (1, 999, 1000, 181_704, 999_600, 2_060_023_896, 1 << 32)] == [
        *("1", "999", "1k", "182k", "1M", "2.06G", "4.29G"),
    ]


def test_a_region_that_is_narrower_than_a_cell_is_seen(outcomes):
    outcome = outcomes["sigmoid"][1]
    logits = next(r for r in outcome.rows if (r.form, r.dtype, r.label) == ("logits", "float32", 0.0))
    axis = _axis.axis_of([logits], FORMATS["float32"], "z")
    assert all(r.stop - r.start < 2**24 for r in logits.regions if r.kind == "vanished")
    assert any(kind == "vanished" and abs(a - CELLS // 2) <= 1 for kind, a, _ in _axis.look(logits, axis).runs())
