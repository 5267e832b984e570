"""Every float32 of a range screened against float64, to find the regions that a grid of points would step over.

A form is evaluated at a float32 and at the same number in float64, and the kind of the first is told as if the second
were the truth. That is an estimate: where float64 loses its digits in the same way as float32, or where the two traces
have differently rounded constants, it is wrong. So nothing of it is reported but *where the kind changes*; those floats
are then measured against balls, as every point of a sweep is, and the ends of the regions bisected between them.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from stability.formats import FORMATS, from_ordinal, widen
from stability.measure import FAILURES, INACCURATE, OK, classify_on_device
from stability.study import Form
from stability.sweep.outcome import Screening
from stability.truth.device import against, exponent_of

FLOAT32 = FORMATS["float32"]
BLOCK = 1 << 20


def _kinds(narrow: Array, wide: Array, tolerance: float) -> Array:
    """Kinds as in `stability.measure`, int8, of float32 results with float64 results of the same shape for truth."""
    exponent = jnp.maximum(exponent_of(wide) - FLOAT32.precision + 1, FLOAT32.least_exponent)
    return classify_on_device(narrow, against(wide, exponent, jnp.isnan(wide), FLOAT32), tolerance)[0]


def screen(form: Form, run: Form, ordinals: tuple[int, int], tolerance: float, found: Screening) -> np.ndarray:
    """The ordinals on both sides of changes of kind among the float32 from one ordinal to another, inclusive.

    Of the changes between `ok` and `inaccurate`, which alternate where the error is near the tolerance, the first and
    the last of each block of `BLOCK` floats; of all others, every one.

    **Arguments:** `form` is evaluated in float64, `run`, the form in a mode, in float32; `found` is added to.
    """
    label = jnp.float32(0)
    wide = jax.jit(lambda z: form(z, label.astype(jnp.float64)))
    kinds_of = jax.jit(lambda narrow, exact: _kinds(narrow, exact, tolerance))

    def kinds_at(z: np.ndarray) -> np.ndarray:
        narrow = run(jnp.asarray(z), label)
        with jax.enable_x64(True):
            return np.asarray(kinds_of(narrow, wide(jnp.asarray(widen(z)))))

    first, last = ordinals
    changes: list[np.ndarray] = []
    previous = np.array([], np.int8)
    for start in range(first, last + 1, BLOCK):
        points = np.minimum(np.arange(start, start + BLOCK, dtype=np.int64), last)
        z = from_ordinal(points, FLOAT32)
        kinds = kinds_at(z)[: last + 1 - start]
        found.floats += len(kinds)
        found.flagged += int(np.count_nonzero(np.isin(kinds, FAILURES)))
        joined = np.concatenate([previous, kinds])
        before = np.flatnonzero(np.diff(joined))
        blurred = np.isin(joined[before], (OK, INACCURATE)) & np.isin(joined[before + 1], (OK, INACCURATE))
        kept = (
            start
            - len(previous)
            + np.concatenate([before[~blurred], before[blurred][[0, -1]] if blurred.any() else []])
        )
        changes += [kept, kept + 1]
        previous = kinds[-1:]
    ends = np.unique(np.concatenate(changes)).astype(np.int64)
    found.certified += len(ends)
    return ends
