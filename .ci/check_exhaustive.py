"""Checks the summary of an exhaustive sweep of `componentwise`: every float32 counted once, and two known facts."""

import json
import sys
from pathlib import Path

summary = json.loads(Path(sys.argv[1]).read_text())
rows = {row["label"]: row for row in summary["results"]}
assert set(rows) == {0.0, 1.0}
for label, row in rows.items():
    assert row["exhaustive"] and row["points"] == sum(row["counts"].values()) == 2**32
    assert row["counts"]["nan_input"] == 2**24 - 2
    assert sum(row["histogram"]) == row["counts"]["ok"]
    (region,) = row["regions"]
    ends = sorted(abs(float.fromhex(region[end])) for end in ("from", "to"))
    assert region["kind"] == "flushed" and (float.fromhex(region["from"]) > 0) == (label == 1)
    assert 87.3 < ends[0] < 87.4 and 103.9 < ends[1] < 104
print(f"{len(rows)} rows checked, {2**32:,} floats each")
