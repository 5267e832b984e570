"""Further functions of one number, some of them healthy: what `stabilize` makes of them.

Each is rewritten by `stabilize` in float32, value alone, with its domain; both are measured at floats of the domain
that the search has not seen, drawn uniformly, under `jit`, against true values from balls, in ulps of the true value,
where neither that nor the argument is subnormal, which XLA takes for 0 on a CPU.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from stability import real
from stability.bench import figures
from stability.cli.arguments import Parser, whole_number
from stability.formats import FORMATS, from_ordinal, to_ordinal
from stability.measure import classify, true_is_normal
from stability.rewriting import stabilize
from stability.truth import Truth

FLOAT32 = FORMATS["float32"]
GOOD = 4.0
"""Ulps within which a function keeps its digits."""

Ends = tuple[float, float]


class Further(NamedTuple):
    """A function of one number, and where it is wanted."""

    fn: Callable
    domain: Ends


FURTHER: dict[str, Further] = {
    "x - sin x": Further(lambda x: x - jnp.sin(x), (-2.0, 2.0)),
    "(1 - cos x) / x": Further(lambda x: (1 - jnp.cos(x)) / x, (1e-15, 3.0)),
    "sqrt(1 + x) - 1": Further(lambda x: jnp.sqrt(1 + x) - 1, (-1.0, 1e20)),
    "log((1 + x) / (1 - x))": Further(lambda x: jnp.log((1 + x) / (1 - x)), (-0.999, 0.999)),
    "cosh x - 1": Further(lambda x: jnp.cosh(x) - 1, (-80.0, 80.0)),
    "log(1 - tanh x)": Further(lambda x: jnp.log(1 - jnp.tanh(x)), (-40.0, 40.0)),
    "sqrt(x^2 + 1) - x": Further(lambda x: jnp.sqrt(x * x + 1) - x, (0.0, 1e18)),
    "1 / x - 1 / (x + 1)": Further(lambda x: 1 / x - 1 / (x + 1), (1e-10, 1e15)),
    "atan(x + 1) - atan x": Further(lambda x: jnp.arctan(x + 1) - jnp.arctan(x), (-1e8, 1e8)),
    "acos(1 - x)": Further(lambda x: jnp.arccos(1 - x), (0.0, 2.0)),
    "(1 + x)^10 - 1": Further(lambda x: (1 + x) ** 10 - 1, (-0.5, 100.0)),
    "cbrt(x + 1) - 1": Further(lambda x: jnp.cbrt(x + 1) - 1, (-1.0, 1e10)),
    "log(sigmoid x)": Further(lambda x: jnp.log(jax.nn.sigmoid(x)), (-1000.0, 1000.0)),
    "1 - sigmoid x": Further(lambda x: 1 - jax.nn.sigmoid(x), (-80.0, 80.0)),
    "1 - erf x": Further(lambda x: 1 - jax.scipy.special.erf(x), (-5.0, 9.0)),
    "exp(-x) - exp(-2 x)": Further(lambda x: jnp.exp(-x) - jnp.exp(-2 * x), (0.0, 80.0)),
    "1 / expm1 x - 1 / x": Further(lambda x: 1 / (jnp.exp(x) - 1) - 1 / x, (1e-6, 80.0)),
    "log(x + sqrt(x^2 + 1))": Further(lambda x: jnp.log(x + jnp.sqrt(x * x + 1)), (-1e15, 1e15)),
    "tanh' x": Further(lambda x: 1 - jnp.tanh(x) ** 2, (-40.0, 40.0)),
    "x log x - (x - 1)": Further(lambda x: x * jnp.log(x) - (x - 1), (1e-3, 100.0)),
    "log x - log(x - 1)": Further(lambda x: jnp.log(x) - jnp.log(x - 1), (1.5, 1e15)),
    "sin(2 x) - 2 sin x": Further(lambda x: jnp.sin(2 * x) - 2 * jnp.sin(x), (-1.0, 1.0)),
    "the mean of max(x, 0) and x": Further(lambda x: (jnp.maximum(x, 0) + x) / 2, (-10.0, 10.0)),
    "softsign": Further(lambda x: x / (1 + jnp.abs(x)), (-1e30, 1e30)),
}
"""By name."""


class Row(NamedTuple):
    """What came of a function: the worst ulps before and after, whether another function was found, the seconds."""

    name: str
    before: float
    after: float
    improved: bool
    seconds: float
    source: str


def worst(fn: Callable, z: np.ndarray, truth: Truth) -> float:
    """The worst error in ulps; infinite where a result is not finite."""
    results = np.asarray(jax.jit(jax.vmap(fn))(z))
    normal = true_is_normal(truth) & ((z == 0) | (np.abs(z) >= FLOAT32.smallest_normal))
    ulps = classify(results, truth, GOOD)[1][normal]
    return float("inf") if not np.isfinite(results[normal]).all() else float(ulps.max())


def measured(name: str, points: int, others: int, seed: int) -> Row:
    fn, domain = FURTHER[name]
    begun = time.perf_counter()
    stable = stabilize(fn, domain={"x": domain}, names=["x"], orders=(0,), points=points, seed=seed)
    seconds = time.perf_counter() - begun
    low, high = (int(to_ordinal(np.array(end, np.float32))) for end in domain)
    ordinals = np.random.default_rng(seed + 1).integers(low, high, others, endpoint=True)
    z = from_ordinal(np.unique([*ordinals, low, high]), FLOAT32)
    truth = real.truth(fn, z, fmt=FLOAT32)
    before, after = worst(fn, z, truth), worst(stable, z, truth)
    return Row(name, before, after, stable.improved, round(seconds, 2), stable.source)


def parser() -> Parser:
    p = figures.parser("further", __doc__)
    p.add_argument("--points", type=whole_number(1), default=128, help="points of a search (default %(default)s)")
    p.add_argument("--others", type=whole_number(1), default=4000, help="floats to judge at (default %(default)s)")
    p.add_argument("--only", help="functions whose name has this in it")
    p.add_argument("--seed", type=whole_number(0), default=0, help="of the points (default %(default)s)")
    return p


def run(args: argparse.Namespace) -> int:
    print(f"{'worst ulps':30}{'before':>14}{'after':>14}")
    rows = []
    for name in FURTHER:
        if args.only is None or args.only in name:
            row = measured(name, args.points, args.others, args.seed)
            rows.append(row)
            print(f"{name:30}{row.before:14.6g}{row.after:14.6g}{row.seconds:8.1f} s", flush=True)
    bad = [row for row in rows if row.before > GOOD]
    good, worse = sum(row.after <= GOOD for row in bad), sum(row.after > max(row.before, 1.5) for row in rows)
    print(
        f"of {len(bad)} that are off by over {GOOD:g} ulps, {good} are within them; {worse} of {len(rows)} made worse"
    )
    figures.write(args.out, "further", args.command, {"functions": [row._asdict() for row in rows]})
    return 0 if not worse else 1
