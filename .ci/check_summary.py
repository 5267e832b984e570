"""Checks the summary of a small sweep: its shape, its counts, and facts that brute force confirms."""

import itertools
import json
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from stability.study.sigmoid import STUDY
from stability.sweep.outcome import Outcome

summary = json.loads(Path(sys.argv[1]).read_text())
assert summary["schema"] == 3
outcome = Outcome.from_json(summary)
assert {"schema", "manifest", "study"} | outcome.to_json().keys() == summary.keys()
assert all(summary[name] == part for name, part in outcome.to_json().items())
rows = {(r["form"], r["dtype"], r["label"], r["mode"]): r for r in summary["results"]}
assert len(rows) == len(STUDY.forms) * 2 * 4 * 2, len(rows)
for row in rows.values():
    assert sum(row["counts"].values()) == sum(row["states"].values()) == row["points"]
    assert all(r["counted"] for r in row["regions"]) or not row["exhaustive"]
    assert row["points"] == 65536 or not row["exhaustive"]
    ends = [(float.fromhex(r["from"]), float.fromhex(r["to"])) for r in row["regions"]]
    assert all(a <= b for a, b in ends) and all(p[1] <= q[0] for p, q in itertools.pairwise(ends))

z = np.arange(65536, dtype=np.uint16).view(jnp.bfloat16)
real = ~np.isnan(z.astype(np.float32))
for mode, run in (("eager", STUDY.forms["chain_split"]), ("jit", jax.jit(STUDY.forms["chain_split"]))):
    nan = np.isnan(np.asarray(run(jnp.asarray(z), jnp.asarray(1, jnp.bfloat16))).astype(np.float32)) & real
    first = min(float(v) for v in z[nan] if v > 0)
    found = [r for r in rows["chain_split", "bfloat16", 1.0, mode]["regions"] if r["kind"] == "nan"]
    assert min(float.fromhex(r["from"]) for r in found if float.fromhex(r["from"]) > 0) == first
print(f"{len(rows)} rows checked")
