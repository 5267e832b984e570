"""The exhaustive sweep of float32: planted defects, checkpoints, refusals."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from stability.cli import sweep
from stability.formats import FORMATS, from_ordinal, hex_of, to_ordinal
from stability.study.sigmoid import STUDY
from stability.study.sigmoid.forms import FORMS
from stability.sweep import blocks, exhaustive
from stability.sweep.blocks import BLOCK
from stability.sweep.exhaustive import BLOCKS, Refused

F32 = FORMATS["float32"]


def in_float64(z, y):
    """Within 0.51 ulp wherever the truth is normal: float64 inside, rounded once."""
    e = jnp.exp(-jnp.abs(z.astype(jnp.float64)))
    tail, body = e / (1 + e), 1 / (1 + e)
    positive = jnp.where(y == 0, jnp.where(z < 0, tail, body), jnp.where(z < 0, -body, -tail))
    return positive.astype(jnp.float32)


def planted(form, defects):
    """`form` with other results at some floats: `defects` are pairs of a float and a change of the result there."""

    def changed(z, y):
        bits = lax.bitcast_convert_type(z, jnp.int32)
        result = form(z, y)
        for at, change in defects:
            result = jnp.where(bits == np.float32(at).view(np.int32), change(result), result)
        return result

    return changed


def one_ulp(result):
    return lax.bitcast_convert_type(lax.bitcast_convert_type(result, jnp.int32) + 1, jnp.float32)


def swept(form, label, tolerance, span=(0, BLOCKS), **options):
    study = dataclasses.replace(STUDY, forms={"form": form})
    streams = exhaustive.sweep(study, forms=["form"], labels=[label], tolerance=tolerance, span=span, **options)
    return exhaustive.rows(study, streams, tolerance)[0]


def around(value):
    block = int(abs(np.float32(value)).view(np.int32)) // BLOCK
    return (block - 2, block + 3)


def found(row):
    return [
        (r.kind, *(hex_of(from_ordinal(np.array([o]), F32)[0]) for o in (r.start, r.stop)), r.count)
        for r in row.regions
        if r.kind != "flushed"
    ]


CHANGES = [("inaccurate", one_ulp), ("nan", lambda r: jnp.full_like(r, jnp.nan)), ("wrong_sign", jnp.negative)]
PLACES = {
    "where results are constant": ([1e-20, -1e-20], around(1e-20)),
    "where results change": ([0.75, -3.5, 17.0, -40.0, 80.0], (around(0.75)[0], around(80.0)[1])),
    "where the gradient is -1": ([-3e38], around(3e38)),
}


@pytest.mark.parametrize(("places", "span"), PLACES.values(), ids=PLACES.keys())
def test_defects_at_single_floats_are_found_at_these_floats(places, span):
    ordinals = to_ordinal(np.array(places, np.float32))[:, None] + 5 * np.arange(3)
    at = from_ordinal(ordinals, F32)
    defects = [(z, change) for row in at for z, (_, change) in zip(row, CHANGES, strict=True)]
    row = swept(planted(in_float64, defects), 1.0, 0.51, span)
    wanted = [(kind, hex_of(z), hex_of(z), 1) for r in at for z, (kind, _) in zip(r, CHANGES, strict=True)]
    assert sorted(found(row)) == sorted(wanted)
    assert all(row.counts[kind] == len(places) for kind, _ in CHANGES)
    assert row.max_ulp_at in at[:, 0] and 0.5 <= row.max_ulp <= 2.01


@pytest.mark.exhaustive
def test_one_ulp_at_one_float_of_all():
    at = np.float32(-11.3125477)
    row = swept(planted(in_float64, [(at, one_ulp)]), 1.0, 0.51)
    assert found(row) == [("inaccurate", hex_of(at), hex_of(at), 1)]
    assert row.points == 2**32 and sum(row.counts.values()) == 2**32
    assert row.counts["nan_input"] == 2**32 - 2 * (F32.infinity + 1)


@pytest.mark.exhaustive
@pytest.mark.parametrize("label", [0.25, 0.1, 2.0**-30])
def test_soft_labels_are_swept_whole(label):
    study = dataclasses.replace(STUDY, forms={"form": FORMS["componentwise"]})
    streams = exhaustive.sweep(study, forms=["form"], labels=[label], tolerance=16.0)
    (row,) = exhaustive.rows(study, streams, 16.0)
    assert sum(row.counts.values()) == 2**32
    assert row.undecided < 10**6


def test_a_run_of_planted_floats_over_the_end_of_a_block_is_one_region():
    first = int(np.float32(0.75).view(np.int32)) // BLOCK * BLOCK + BLOCK - 3
    at = np.arange(first, first + 6, dtype=np.int32).view(np.float32)
    row = swept(planted(in_float64, [(z, jnp.negative) for z in at]), 1.0, 0.51, around(0.75))
    assert found(row) == [("wrong_sign", hex_of(at[0]), hex_of(at[-1]), 6)]


def test_nan_inputs_are_counted_apart():
    span = (F32.infinity // BLOCK, F32.infinity // BLOCK + 4)
    row = swept(FORMS["cancelled"], 1.0, 16.0, span)
    assert row.counts == {"ok": 2, "nan_input": 8 * BLOCK - 2}
    lost = swept(lambda z, y: jnp.where(jnp.isnan(z), 0, FORMS["cancelled"](z, y)), 1.0, 16.0, span)
    assert lost.counts["outside"] == 8 * BLOCK - 2 and lost.regions[0].kind == "outside"


def test_a_checkpoint_of_another_run_is_refused(tmp_path, monkeypatch):
    checkpoint = tmp_path / "checkpoint.json"
    options = dict(span=(16600, 16602), checkpoint=checkpoint)
    swept(FORMS["cancelled"], 1.0, 16.0, **options)
    swept(FORMS["cancelled"], 1.0, 16.0, resume=True, **options)
    for label, tolerance, what in ((0.0, 16.0, "labels"), (1.0, 8.0, "tolerance")):
        with pytest.raises(Refused, match=f": {what} differ"):
            swept(FORMS["cancelled"], label, tolerance, resume=True, **options)
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_enable_fast_math=true")
    with pytest.raises(Refused, match="XLA_FLAGS differ"):
        swept(FORMS["cancelled"], 1.0, 16.0, resume=True, **options)
    monkeypatch.undo()
    state = json.loads(checkpoint.read_text())
    for name in ("code", "jax", "forms"):
        other = state | {"identity": state["identity"] | {name: "another"}}
        checkpoint.write_text(json.dumps(other))
        with pytest.raises(Refused, match=f": {name} differ"):
            swept(FORMS["cancelled"], 1.0, 16.0, resume=True, **options)
    checkpoint.write_text("{")
    with pytest.raises(Refused, match="is not a checkpoint"):
        swept(FORMS["cancelled"], 1.0, 16.0, resume=True, **options)


CONTRADICTIONS = [
    (["--exhaustive", "--dtype", "float64"], "--search"),
    (["--exhaustive", "--mode", "eager"], "jit only"),
    (["--search", "--dtype", "float16"], "float64"),
    (["--resume"], "--exhaustive"),
    (["--coordinator", "localhost:1"], "--exhaustive"),
    (["--exhaustive", "--coordinator", "localhost:1"], "--process-id"),
    (["--exhaustive", "--num-processes", "2"], "--coordinator"),
    (["--exhaustive", "--coordinator", "localhost:1", "--num-processes", "2", "--process-id", "2"], "0 to 1"),
]


@pytest.mark.parametrize(("arguments", "allowed"), CONTRADICTIONS, ids=lambda v: " ".join(v) if v[0] == "-" else "")
def test_contradictions_are_one_line_and_exit_2(arguments, allowed, tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        sweep.main([*arguments, "--out", str(tmp_path / "r")])
    message = capsys.readouterr().err
    assert stop.value.code == 2 and message.count("\n") == 1 and allowed in message
    assert list(tmp_path.iterdir()) == []


def test_the_command_writes_a_report_and_removes_its_checkpoint(tmp_path, monkeypatch):
    monkeypatch.setattr(exhaustive, "sweep", lambda study, **o: _short(study, **o))
    out = tmp_path / "r"
    assert sweep.main(["--exhaustive", "--form", "cancelled", "--out", str(out)]) == 0
    summary = json.loads((out / "summary.json").read_text())
    assert [(r["dtype"], r["label"], r["mode"], r["exhaustive"]) for r in summary["results"]] == [
        ("float32", label, "jit", True) for label in (0.0, 1.0)
    ]
    row = summary["results"][1]
    assert sum(row["counts"].values()) == row["points"] == 2 * 100 * BLOCK
    assert sum(row["histogram"]) == row["counts"]["ok"] + row["counts"]["inaccurate"]
    assert (out / "plots" / "histogram_float32.png").exists() and not (out / "checkpoint.json").exists()


_whole_sweep = exhaustive.sweep


def _short(study, **options):
    return _whole_sweep(study, **options, span=(16500, 16600))


@pytest.mark.exhaustive
def test_every_float32_is_evaluated_as_under_plain_jit():
    forms = [STUDY.forms[f] for f in ("chain_split", "chain_combined", "cancelled", "logits")]
    labels = [0.0, 1.0]

    def bits(result, *_):
        value = jnp.where(jnp.isnan(result), 1, lax.bitcast_convert_type(result, jnp.int32))
        return (value * (1 + 2 * jnp.arange(BLOCK, dtype=jnp.int32))).sum(dtype=jnp.int32)

    def inside(firsts, given):
        return lax.map(lambda first: blocks._streams(first, given, STUDY.device_truth, forms, labels, bits), firsts)

    inside = jax.jit(inside)
    plain = [jax.jit(form) for form in forms]
    checksum = jax.jit(jax.vmap(bits))
    for start_ in range(0, BLOCKS, 64):
        firsts = (np.arange(start_, start_ + 64) * BLOCK).astype(np.int32)
        found_ = np.asarray(inside(firsts, np.array(labels, np.float32)))
        magnitude = np.arange(64 * BLOCK, dtype=np.uint32) + np.uint32(start_ * BLOCK)
        expected = []
        for form in plain:
            for y in labels:
                for sign in (0, 1):
                    z = (magnitude | np.uint32(sign << 31)).view(np.float32)
                    expected.append(np.asarray(checksum(form(jnp.asarray(z), jnp.float32(y)).reshape(64, BLOCK))))
        assert np.array_equal(found_, np.stack(expected, 1))
