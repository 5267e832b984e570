"""`stability bench losses`: what the losses cost beside their alternatives, and how accurate each of them is.

Gradient alone and value plus gradient of the binary cross-entropy in float32, labels 0 and 1, in turn within one run.
`copy` reads both arrays and writes as many as the task does, which is the limit; ratios are to optax. Memory is what
the compiled program needs beside its arguments and results. Accuracy is the worst error on a grid of 2**16 logits, in
ulps of the true value, results that should be subnormal included. `soft labels` are the gradients of 2**24 and 2**26
elements at labels of 1/10 and 9/10, some of which cancel `σ(z)` to 26 bits among so many, and at such labels with one
more that does, which sends ours through its second path.

The exit status is 1 where ours takes over 0.85 times as long as optax for the gradient or over 1 times for value and
gradient, from 2**12 elements up, over 1.2 times at soft labels, or where the import takes over 1.1 times as long as
that of JAX.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from stability.bench import Refused, figures
from stability.bench.timing import best_seconds
from stability.cli.arguments import Parser, whole_number
from stability.environment import environment, mark
from stability.files import write_json
from stability.formats import FORMATS, from_ordinal
from stability.losses import sigmoid as losses
from stability.measure import error_in_ulps
from stability.study.sigmoid.forms import binary_cross_entropy_from_logits
from stability.study.sigmoid.truth import log_loss, sigmoid_minus_label
from stability.sweep.points import grid

SINGLE = FORMATS["float32"]
COLOURS = {"ours": "#0072B2", "compensated": "#56B4E9", "optax": "#D55E00", "logits": "#009E73"}
COLOURS |= {"PyTorch": "#CC79A7", "copy": "#000000"}
Pair = tuple[Callable, Callable]
BARS = {"gradient": 0.85, "value and gradient": 1.0}
SMALLEST, SOFT, IMPORT = 1 << 12, 1.2, 1.1


def of_loss(loss: Callable) -> Pair:
    """The gradient alone, and the losses with their gradient, of an elementwise loss through `jax.vjp`."""

    def value_and_grad(z, y):
        value, pull = jax.vjp(lambda z: loss(z, y), z)
        return value, pull(jnp.ones_like(value))[0]

    return jax.jit(lambda z, y: value_and_grad(z, y)[1]), jax.jit(value_and_grad)


def _compensated(z, y):
    return losses.sigmoid_binary_cross_entropy(z, y, arithmetic="compensated")


def alternatives() -> dict[str, Pair]:
    """By name: functions of `(logits, labels)` that return the gradient, and the losses and their gradient."""
    found: dict[str, Pair] = {
        "ours": of_loss(losses.sigmoid_binary_cross_entropy),
        "compensated": of_loss(_compensated),
        "logits": of_loss(binary_cross_entropy_from_logits),
        "copy": (jax.jit(jnp.add), jax.jit(lambda z, y: (z + y, z - y))),
    }
    try:
        from optax import sigmoid_binary_cross_entropy as optax_loss
    except ImportError:
        return found
    return found | {"optax": of_loss(optax_loss)}


def _torch() -> Pair | None:
    try:
        import torch
    except ImportError:
        return None

    def value_and_grad(z, y):
        z = z.detach().requires_grad_(True)
        value = torch.nn.functional.binary_cross_entropy_with_logits(z, y, reduction="none")
        (gradient,) = torch.autograd.grad(value, z, torch.ones_like(z))
        return value.detach().numpy(), gradient.numpy()

    return lambda z, y: value_and_grad(z, y)[1], value_and_grad


def inputs(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Logits of standard deviation 4 and labels 0 and 1, float32 of shape `(n,)`."""
    rng = np.random.default_rng(0)
    return 4 * rng.standard_normal(n, dtype=np.float32), (rng.random(n) < 0.5).astype(np.float32)


def _spare_bytes(run: Callable, z, y) -> int | None:
    if not hasattr(run, "lower"):
        return None
    analysis = run.lower(z, y).compile().memory_analysis()
    return None if analysis is None else int(analysis.temp_size_in_bytes)


def accuracy(pair: Pair, convert: Callable) -> dict[str, float]:
    """The worst errors of the gradient and of the value at labels 0 and 1, in ulps of the true value."""
    z = from_ordinal(grid(SINGLE, 1 << 16, seed=0), SINGLE)
    z = z[np.isfinite(z)]
    worst = {"gradient_ulps": 0.0, "value_ulps": 0.0}
    for label in (0.0, 1.0):
        value, gradient = (np.asarray(r) for r in pair[1](convert(z), convert(np.full_like(z, label))))
        for key, result, truth in (
            ("gradient_ulps", gradient, sigmoid_minus_label(z, label, SINGLE)),
            ("value_ulps", value, log_loss(z, label, SINGLE)),
        ):
            worst[key] = max(worst[key], float(np.max(error_in_ulps(result, truth))))
    return worst


def import_ratio(rounds: int) -> float:
    """The least time of importing the losses in a fresh interpreter over that of `import jax`."""

    def run(statement: str) -> float:
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", statement], check=True)
        return time.perf_counter() - start

    ours = "from stability import sigmoid_binary_cross_entropy, softmax_cross_entropy"
    pairs = [(run(ours), run("import jax")) for _ in range(rounds)]
    return min(a for a, _ in pairs) / min(b for _, b in pairs)


def measure(exponents: list[int], rounds: int) -> list[dict]:
    """One row a size, task and alternative: seconds, their ratio to optax's, spare bytes."""
    jax_pairs, torch_pair = alternatives(), _torch()
    rows = []
    for exponent in exponents:
        z, y = inputs(1 << exponent)
        on_device = jnp.asarray(z), jnp.asarray(y)
        for index, task in enumerate(("gradient", "value and gradient")):
            runs: dict[str, Callable] = {name: partial(pair[index], *on_device) for name, pair in jax_pairs.items()}
            if torch_pair:
                import torch

                tensors = torch.from_numpy(z), torch.from_numpy(y)
                runs["PyTorch"] = partial(torch_pair[index], *tensors)
            seconds = best_seconds(runs, rounds)
            for name, each in seconds.items():
                spare = _spare_bytes(jax_pairs[name][index], *on_device) if name in jax_pairs else None
                ratio = each / seconds["optax"] if "optax" in seconds else None
                rows.append(
                    {
                        "elements": 1 << exponent,
                        "task": task,
                        "alternative": name,
                        "seconds": each,
                        "ratio_to_optax": ratio,
                        "spare_bytes": spare,
                    }
                )
    return rows


def cancelling() -> tuple[float, float]:
    """A float32 logit and label whose difference `σ(z) - y` is below `2**-27` of the label."""
    z = np.linspace(0.5, 1, 1 << 12, dtype=np.float32)
    exact = 1 / (1 + np.exp(-z.astype(np.float64)))
    at = np.argmin(np.abs(exact - exact.astype(np.float32)))
    return float(z[at]), float(exact.astype(np.float32)[at])


def measure_soft(exponent: int, rounds: int) -> list[dict]:
    """Seconds of the gradient at soft labels by alternative, and their ratio, without and with one that cancels."""
    z, y = inputs(1 << exponent)
    y = np.where(y == 1, np.float32(0.9), np.float32(0.1))
    pairs = {name: pair for name, pair in alternatives().items() if name in ("ours", "optax")}
    found = []
    for kind in ("0.1 and 0.9", "0.1 and 0.9, one cancels"):
        if kind.endswith("cancels"):
            z[len(z) // 2], y[len(z) // 2] = cancelling()
        on_device = jnp.asarray(z), jnp.asarray(y)
        seconds = best_seconds({name: partial(pair[0], *on_device) for name, pair in pairs.items()}, rounds)
        ratio = seconds["ours"] / seconds["optax"] if "optax" in seconds else None
        found.append(
            {"elements": len(z), "alternative": "ours", "labels": kind, "seconds": seconds, "ratio_to_optax": ratio}
        )
    return found


def draw(rows: list[dict], path: Path) -> None:
    """Nanoseconds an element against the size, a panel a task, as PNG and SVG."""
    with mpl.rc_context(
        {"font.size": 9, "svg.hashsalt": "stability", "axes.spines.top": False, "axes.spines.right": False}
    ):
        figure = Figure(figsize=(8, 3.4), layout="constrained")
        FigureCanvasAgg(figure)
        for axes, task in zip(figure.subplots(1, 2, sharey=True), ("gradient", "value and gradient"), strict=True):
            for i, (name, colour) in enumerate(COLOURS.items()):
                found = [r for r in rows if r["task"] == task and r["alternative"] == name]
                if found:
                    n = [r["elements"] for r in found]
                    each = [1e9 * r["seconds"] / r["elements"] for r in found]
                    axes.loglog(n, each, "osD^vx"[i] + "-", color=colour, label=name, markersize=4, linewidth=1.4)
            axes.set(title=task, xlabel="elements (float32)")
            axes.set_xscale("log", base=2)
        figure.axes[0].set_ylabel("time [ns/element]")
        handles, names = figure.axes[1].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=len(names), frameon=False)
        mark(figure)
        path.parent.mkdir(parents=True, exist_ok=True)
        for ending in ("png", "svg"):
            partial = path.with_name(f"{path.name}.partial.{ending}")
            figure.savefig(partial, dpi=160, metadata={"Date": None} if ending == "svg" else None)
            partial.replace(path.with_name(f"{path.name}.{ending}"))


def _print(rows: list[dict], worst: dict[str, dict[str, float]]) -> None:
    names = "elements", "ms", "/optax", "MiB", "grad ulps", "value ulps"
    print(f"{'task':<19}{'alternative':<12}" + "".join(f"{name:>12}" for name in names))
    for r in rows:
        ulps = worst.get(r["alternative"], {})
        numbers = [
            1e3 * r["seconds"],
            r["ratio_to_optax"],
            None if r["spare_bytes"] is None else r["spare_bytes"] / 2**20,
            ulps.get("gradient_ulps"),
            ulps.get("value_ulps"),
        ]
        text = "".join("           -" if x is None else f"{x:>12.4g}" for x in numbers)
        print(f"{r['task']:<19}{r['alternative']:<12}{r['elements']:>12}{text}")


def parser() -> Parser:
    p = figures.parser("losses", __doc__)
    p.add_argument("--least", type=whole_number(0), default=10, help="smallest size, as a power of two (default 10)")
    p.add_argument("--most", type=whole_number(0), default=26, help="largest size, as a power of two (default 26)")
    p.add_argument("--rounds", type=whole_number(1), default=14, help="rounds of each measurement (default 14)")
    return p


def run(args: argparse.Namespace) -> int:
    if not args.least <= args.most <= 28:
        raise Refused(f"--least {args.least} --most {args.most}: give 0 <= least <= most <= 28")
    rows = measure(list(range(args.least, args.most + 1, 2)), args.rounds)
    worst = {name: accuracy(pair, jnp.asarray) for name, pair in alternatives().items() if name != "copy"}
    if torch_pair := _torch():
        import torch

        worst["PyTorch"] = accuracy(torch_pair, torch.from_numpy)
    soft = [row for e in (24, 26) if e <= args.most for row in measure_soft(e, args.rounds)]
    imports = import_ratio(args.rounds)
    data = {
        "manifest": environment(),
        "results": rows,
        "soft_labels": soft,
        "accuracy": worst,
        "import_ratio": imports,
    }
    write_json(args.out / "bench-losses.json", data)
    draw(rows, args.out / "bench-losses")
    _print(rows, worst)
    for r in soft:
        each = ", ".join(f"{name} {1e3 * t:.4g} ms" for name, t in r["seconds"].items())
        print(f"gradient at labels {r['labels']}, {r['elements']} elements: {each}")
    print(f"import of the losses: {imports:.2f} times import jax")
    over = [f"{r['task']} of {r['elements']}" for r in rows if _over(r, BARS[r["task"]])]
    over += [f"labels {r['labels']} of {r['elements']}" for r in soft if _over(r, SOFT)]
    over += ["import"] if imports > IMPORT else []
    if over:
        print(f"over the bar: {', '.join(over)}")
    return int(bool(over))


def _over(row: dict, bar: float) -> bool:
    ratio = row["ratio_to_optax"]
    return row["alternative"] == "ours" and row["elements"] >= SMALLEST and ratio is not None and ratio > bar
