"""Every float32 of a range screened against float64, to find the regions that a grid of points would step over.

A form is evaluated at a float32 and at the same number in float64, and the kind of the first is told as if the second
were the truth. That is an estimate: where float64 loses its digits in the same way as float32, or where the two traces
have differently rounded constants, it is wrong. So nothing of it is reported but *where the kind changes*; those floats
are then measured against balls, as every point of a sweep is, and the ends of the regions bisected between them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from stability.floats import FORMATS, from_ordinal, widen
from stability.forms import Form
from stability.measure import FLUSHED, INACCURATE, INF, NAN, NAN_INPUT, OK, VANISHED, WRONG_SIGN

BLOCK = 1 << 20
_LEAST, _NORMAL, _GREATEST = 2.0**-149, 2.0**-126, float(np.finfo(np.float32).max)


@dataclass
class Screening:
    """What screenings found so far: floats looked at, floats whose kind was not `ok`, floats handed on to the balls."""

    floats: int = 0
    flagged: int = 0
    certified: int = 0


def _kinds(narrow: Array, wide: Array, tolerance: float) -> Array:
    """Kinds as in `stability.measure`, int8, of float32 results with float64 results of the same shape for truth."""
    bits = lax.bitcast_convert_type(narrow, jnp.int32)
    size = bits & 0x7FFFFFFF
    subnormal = jnp.where(bits < 0, -1.0, 1.0) * size.astype(jnp.float64) * _LEAST
    x = jnp.where(size < 0x800000, subnormal, narrow.astype(jnp.float64))
    height = jnp.abs(wide)
    exponent = ((lax.bitcast_convert_type(height, jnp.int64) >> 52) & 0x7FF) - 1023
    ulp = lax.bitcast_convert_type((jnp.maximum(exponent - 23, -149) + 1023) << 52, jnp.float64)
    zero = height < _LEAST / 2
    return jnp.select(
        [
            jnp.isnan(wide) & jnp.isnan(x),
            jnp.isnan(wide),
            jnp.isnan(x),
            jnp.isinf(x) & (height > _GREATEST) & (jnp.sign(x) == jnp.sign(wide)),
            jnp.isinf(x),
            (x == 0) & ~zero & (height < _NORMAL),
            (x == 0) & ~zero,
            ~zero & (jnp.sign(x) != jnp.sign(wide)),
            jnp.abs(x - wide) > tolerance * ulp,
        ],
        [jnp.int8(k) for k in (NAN_INPUT, INACCURATE, NAN, OK, INF, FLUSHED, VANISHED, WRONG_SIGN, INACCURATE)],
        jnp.int8(OK),
    )


def screen(
    form: Form, run: Form, ordinals: tuple[int, int], tolerance: float, found: Screening, tell: Callable[[int], None]
) -> np.ndarray:
    """The ordinals on both sides of changes of kind among the float32 from one ordinal to another, inclusive.

    Of the changes between `ok` and `inaccurate`, which alternate where the error is near the tolerance, the first and
    the last of each block of `BLOCK` floats; of all others, every one.

    **Arguments:** `form` is evaluated in float64, `run`, the form in a mode, in float32; `found` is added to; `tell` is
    called with the number of floats of each block done. Needs `jax_enable_x64`.
    """
    fmt = FORMATS["float32"]
    label = jnp.float32(0)
    wide = jax.jit(lambda z: form(z, label.astype(jnp.float64)))
    kinds_of = jax.jit(lambda narrow, exact: _kinds(narrow, exact, tolerance))
    first, last = ordinals
    changes: list[np.ndarray] = []
    previous = np.array([], np.int8)
    for start in range(first, last + 1, BLOCK):
        points = np.minimum(np.arange(start, start + BLOCK, dtype=np.int64), last)
        z = from_ordinal(points, fmt)
        kinds = np.asarray(kinds_of(run(jnp.asarray(z), label), wide(jnp.asarray(widen(z)))))[: last + 1 - start]
        found.floats += len(kinds)
        found.flagged += int(np.count_nonzero((kinds != OK) & (kinds != NAN_INPUT)))
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
        tell(len(kinds))
    ends = np.unique(np.concatenate(changes)).astype(np.int64)
    found.certified += len(ends)
    return ends
