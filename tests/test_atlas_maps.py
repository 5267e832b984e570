"""Maps of losses over logit and label: planted faults found, what mpmath says of each float, and the page's picture."""

import json
import shutil

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from mpmath import mpf

from stability import cli, sigmoid_binary_cross_entropy
from stability.atlas import maps, page
from stability.atlas.maps import Loss, LossMap
from stability.atlas.profile import BINS, at_positions, bins, position
from stability.atlas.records import Row
from stability.atlas.rules import DEFAULT, OURS
from stability.atlas.store import ATLAS, Atlas, packed, read
from stability.formats import FORMATS, from_ordinal, widen
from stability.measure import KINDS, LOST_KINDS

BF16 = FORMATS["bfloat16"]


def textbook(x, y):
    """The logistic loss, whose derivative is `σ(x) - y`."""
    return jax.nn.softplus(x) - x * y


def planted(slope):
    """The logistic loss with another derivative."""
    loss = jax.custom_jvp(textbook)
    loss.defjvp(lambda primals, tangents: (textbook(*primals), slope(*primals) * tangents[0]))
    return loss


def mapped(monkeypatch, rules, dtype="bfloat16"):
    """The maps of the derivative of a loss, by rule."""
    monkeypatch.setattr(maps, "losses", lambda: {"f(x, y)": Loss(rules, False)})
    return {m.rule: m for m in maps.measure("f(x, y)", dtype, 16.0) if m.order == 1}


def cells(found):
    """The kinds of a map, of shape `(labels, BINS)`."""
    return np.array([[KINDS[int(digit, 16)] for digit in row] for row in found.kinds])


def test_a_planted_region_of_the_plane_is_found(monkeypatch):
    def lost(x, y):
        true = jax.nn.sigmoid(x) - y
        return jnp.where((x > 2) & (y > 0.5), jnp.nan, true)

    kinds = cells(mapped(monkeypatch, {DEFAULT: planted(lost)})[DEFAULT])
    labels = widen(maps.labels_of(BF16))
    ordinals = maps.logits_of(BF16)
    within = [(widen(from_ordinal(ordinals[bins(ordinals, BF16) == b], BF16)) > 2).any() for b in range(BINS)]
    assert ((kinds == "nan") == np.outer(labels > 0.5, within)).all() and (kinds == "nan").sum() > 100


@pytest.mark.parametrize("dtype", FORMATS)
def test_a_healthy_loss_has_no_failing_cell(monkeypatch, dtype):
    found = mapped(monkeypatch, {DEFAULT: textbook, OURS: sigmoid_binary_cross_entropy}, dtype)
    assert found[OURS].error is None and found[OURS].share(LOST_KINDS) == 0 < found[DEFAULT].share(LOST_KINDS)


def judged(result, true):
    """What a bfloat16 is beside a real number, by the definitions of `stability.measure.KINDS`."""
    least = mpf(2) ** BF16.emin
    rounds_to_zero = abs(true) <= mpf(2) ** (BF16.least_exponent - 1)
    if result == 0 and not rounds_to_zero:
        return "vanished" if abs(true) >= least * (1 - mpf(2) ** -9) else "flushed"
    ulp = mpf(2) ** max(int(mpmath.floor(mpmath.log(abs(true), 2))) - 7 if true else BF16.emin, BF16.least_exponent)
    if true and mpmath.sign(true) * np.sign(result) < 0:
        return "wrong_sign"
    return "inaccurate" if abs(mpf(result) - true) > 16 * ulp else "ok"


def test_each_cell_is_what_mpmath_says(monkeypatch):
    """Of `σ(x) - y`, computed as it stands there."""
    kinds = cells(mapped(monkeypatch, {DEFAULT: planted(lambda x, y: jax.nn.sigmoid(x) - y)})[DEFAULT])
    ordinals, labels = maps.logits_of(BF16), maps.labels_of(BF16)
    logits = from_ordinal(ordinals, BF16)
    with mpmath.workprec(400):
        wanted = np.full(kinds.shape, "ok", object)
        results = np.asarray(jax.jit(lambda x, y: jax.nn.sigmoid(x) - y)(logits[None, :], labels[:, None]))
        for i, y in enumerate(widen(labels).tolist()):
            for j, x in enumerate(widen(logits).tolist()):
                e = mpmath.exp(-abs(mpf(x))) if abs(x) < 1e4 else mpf(2) ** -390
                true = (mpf(1) if x > 0 else e) / (1 + e) - mpf(y)
                column = bins(ordinals[j : j + 1], BF16)[0]
                wanted[i, column] = max(wanted[i, column], judged(float(results[i, j]), true), key=maps.GRAVITY.index)
    assert (kinds == wanted).all() and {"vanished", "inaccurate"} <= set(kinds.ravel())


@pytest.mark.parametrize("dtype", FORMATS)
def test_the_grid_has_what_matters(dtype):
    fmt = FORMATS[dtype]
    labels, ordinals = maps.labels_of(fmt), maps.logits_of(fmt)
    one = fmt.dtype.type(1)
    last = widen(from_ordinal(np.array([int(np.array(one).view(fmt.unsigned)) - 1]), fmt))[0]
    assert {0.0, fmt.smallest_normal, 0.25, 0.5, last, 1.0} <= set(widen(labels).tolist())
    assert (np.diff(widen(labels)) > 0).all() and set(bins(ordinals, fmt)) == set(range(BINS)) and 0 in ordinals
    at = np.linspace(-0.9, 0.9, 31)
    assert np.abs(position(at_positions(at, fmt), fmt) - at).max() < 0.02


def test_losses_of_logits_and_labels_are_found():
    pytest.importorskip("optax")
    found = maps.losses()
    assert set(found["optax.sigmoid_binary_cross_entropy(x, y)"].rules) == {DEFAULT, OURS}
    assert found["optax.softmax_cross_entropy([x, 0.0], [y, 1 - y])"].of_two
    assert maps.of_functions(["jnp.sin(x)", "optax.sparsemax_loss(1.5, x)"]) == ["optax.sparsemax_loss(x, y)"]


def test_a_loss_that_can_not_be_measured_says_why(monkeypatch):
    def broken(x, y):
        raise NotImplementedError("not this one")

    found = mapped(monkeypatch, {DEFAULT: textbook, OURS: broken})
    assert found[OURS].error == "NotImplementedError: not this one" and found[DEFAULT].error is None


def test_maps_are_read_back_and_an_atlas_without_any_too(tmp_path):
    told = LossMap("f(x, y)", DEFAULT, 1, "float32", ("0x0p+0",), ("01",), ("!~",))
    atlas = Atlas({"jax": "0"}, (), {}, (told, LossMap("f(x, y)", OURS, 1, "float32", error="why")))
    (tmp_path / ATLAS).write_bytes(packed(atlas))
    assert read(tmp_path / ATLAS) == atlas
    data = atlas.to_json()
    del data["maps"]
    assert Atlas.from_json(data) == Atlas({"jax": "0"}, (), {})


def test_the_command_maps_the_losses_that_are_asked_for(tmp_path, capsys):
    pytest.importorskip("optax")
    told = ["--function", "optax.sparsemax_loss(x, 0.25)", "--dtype", "float16", "--points", "64", "--seconds", "0.1"]
    assert cli.main(["atlas", *told, "--out", str(tmp_path)]) == 0
    assert [(m.function, m.order, m.dtype) for m in read(tmp_path / ATLAS).maps] == [
        ("optax.sparsemax_loss(x, y)", order, "float16") for order in (0, 1)
    ]
    assert "optax.sparsemax_loss(x, y)" in (tmp_path / "README.md").read_text()


@pytest.mark.browser
@pytest.mark.parametrize("width", [390, 1400])
def test_the_page_draws_a_map_and_tells_a_cell(tmp_path, monkeypatch, width):
    playwright, chromium = pytest.importorskip("playwright.sync_api"), shutil.which("chromium")
    if not chromium:
        pytest.skip("chromium is not installed")
    found = mapped(monkeypatch, {DEFAULT: planted(lambda x, y: jnp.where(y == 1, jnp.nan, jax.nn.sigmoid(x) - y))})
    row = Row("f(x, 1.0)", DEFAULT, 1, "bfloat16", (("reverse", "jit"),), points=1, counts={"ok": 1})
    (tmp_path / "index.html").write_text(page.html(Atlas({"jax": "0"}, (row,), {}, tuple(found.values()))))
    with playwright.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        tab = browser.new_page(viewport={"width": width, "height": 900})
        complaints = []
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.goto(f"file://{tmp_path / 'index.html'}#fail=")
        tab.locator("tbody tr").first.click()
        picture = tab.locator("svg[data-map]")
        box = picture.bounding_box()
        scale = box["width"] / picture.evaluate("e => e.viewBox.baseVal.width")
        tab.mouse.move(box["x"] + box["width"] / 2, box["y"] + 13 * scale)
        told = picture.evaluate("e => e.nextElementSibling.textContent")
        wide = tab.evaluate("document.documentElement.scrollWidth")
        browser.close()
    assert "label 1: nan" in told and not complaints and wide <= width


def test_a_map_is_json(monkeypatch):
    (found,) = mapped(monkeypatch, {DEFAULT: textbook}).values()
    assert LossMap.from_json(json.loads(json.dumps(found.to_json()))) == found
