"""`stability bench softmax`: the softmax gradient's time beside optax's in one run, and both errors.

Float32, one-hot labels on random classes, logits of standard deviation 5; batch x classes from 2 to 1,000 classes. The
bars are the gradient, and value and gradient, of `optax.softmax_cross_entropy`, and the gradient of its function for
integer labels; where ours takes longer in any shape, or is off by more than 4 ulps, the exit status is 1.
"""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from stability.bench import Refused, figures
from stability.bench.timing import best_seconds
from stability.cli.arguments import Parser, whole_number
from stability.environment import environment
from stability.files import write_json
from stability.formats import FORMATS
from stability.losses.softmax import (
    softmax_cross_entropy,
    softmax_cross_entropy_grad,
    softmax_cross_entropy_with_integer_labels,
)
from stability.measure import classify, true_is_normal
from stability.study.softmax.truth import softmax_gradient

SHAPES = ((1 << 20, 2), (1 << 18, 4), (1 << 17, 10), (1 << 16, 32), (1 << 15, 100), (1 << 14, 1000))
MEASURED = 20_000
ULPS = 4


def _grad(loss: Callable) -> Callable:
    return jax.jit(lambda z, y: jax.grad(lambda v: loss(v, y).sum())(z))


def _value_and_grad(loss: Callable) -> Callable:
    return jax.jit(lambda z, y: jax.value_and_grad(lambda v: loss(v, y).sum())(z))


def _worst(gradient: Callable, z: np.ndarray, y: np.ndarray) -> float:
    """The greatest error of `gradient` in ulps, over the first rows, where the true value is normal."""
    fmt, rows = FORMATS["float32"], slice(max(MEASURED // z.shape[1], 1))
    truth = softmax_gradient(z[rows], y[rows], fmt)
    _, ulps = classify(np.asarray(gradient(z, y))[rows], truth, 2.0)
    return float(np.where(true_is_normal(truth), ulps, 0).max())


def measured(rows: int, n: int, rounds: int) -> dict:
    """Seconds and ratios to optax for logits of shape `(rows, n)`, and the errors of both gradients in ulps."""
    import optax

    rng = np.random.default_rng(0)
    z = rng.normal(0, 5, (rows, n)).astype(np.float32)
    label = rng.integers(0, n, rows)
    y = np.eye(n, dtype=np.float32)[label]
    on_device = jnp.asarray(z), jnp.asarray(y)
    classes = jnp.asarray(label, jnp.int32)
    one_hot = {"optax": optax.softmax_cross_entropy, "stability": softmax_cross_entropy}
    integer = {
        "optax": optax.softmax_cross_entropy_with_integer_labels,
        "stability": softmax_cross_entropy_with_integer_labels,
    }
    runs: dict[str, Callable] = {"copy": jax.jit(lambda v, _: v + 0)}
    runs |= {f"{name} gradient": _grad(loss) for name, loss in one_hot.items()}
    runs["stability gradient function"] = jax.jit(softmax_cross_entropy_grad)
    runs |= {f"{name} value and gradient": _value_and_grad(loss) for name, loss in one_hot.items()}
    calls = {name: (lambda run=run: run(*on_device)) for name, run in runs.items()}
    with_classes = {name: _grad(loss) for name, loss in integer.items()}
    for name, run in with_classes.items():
        calls[f"{name} gradient, integer labels"] = lambda run=run: run(on_device[0], classes)
    seconds = best_seconds(calls, rounds)
    return {
        "rows": rows,
        "classes": n,
        "milliseconds": {name: round(s * 1e3, 3) for name, s in seconds.items()},
        "ratios": {
            kind: round(seconds[f"stability {kind}"] / seconds[f"optax {kind}"], 3)
            for kind in ("gradient", "value and gradient", "gradient, integer labels")
        },
        "worst_ulps": {name: _worst(runs[f"{name} gradient"], z, y) for name in one_hot},
    }


def parser() -> Parser:
    p = figures.parser("softmax", __doc__)
    p.add_argument("--rounds", type=whole_number(1), default=9, help="rounds, the best counts (default %(default)s)")
    return p


def run(args: argparse.Namespace) -> int:
    if not importlib.util.find_spec("optax"):
        raise Refused("optax is not installed; the extra `bench` brings it")
    shapes = []
    for rows, n in SHAPES:
        shapes.append(measured(rows, n, args.rounds))
        found = shapes[-1]
        ratios = ", ".join(f"{kind} {ratio:.2f}" for kind, ratio in found["ratios"].items())
        ulps = ", ".join(f"{name} {worst:.3g}" for name, worst in found["worst_ulps"].items())
        print(f"{rows} x {n}: time over optax's: {ratios}; worst error [ulps]: {ulps}", flush=True)
    data = {"schema": 1, "manifest": {**environment(), "rounds": args.rounds}, "shapes": shapes}
    write_json(args.out / "bench-softmax.json", data)
    slow = any(ratio > 1 for found in shapes for ratio in found["ratios"].values())
    return int(slow or any(found["worst_ulps"]["stability"] > ULPS for found in shapes))
