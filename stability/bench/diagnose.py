"""`diagnose` on large functions: seconds for a sum of n numbers, and for the gradient of a network, healthy and not.

The network has three layers of one width and a batch of 256, its loss the cross-entropy of the course note as it is
written. The seconds of the first point include compilation. A NaN is planted in one example of the batch, and a
gradient that vanishes in one; both must be found, with the line of the loss that is to blame.
"""

from __future__ import annotations

import argparse
import functools
import resource
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from stability.bench import figures
from stability.bench.timing import best_seconds
from stability.cli.arguments import Parser
from stability.diagnosis import Diagnosis, diagnose

SUMS = (2_000, 10_000, 100_000, 1_000_000)
WIDTHS = (16, 64, 256, 1024)
BATCH = 256
FIRST, SECOND, GIBIBYTES, SMALL_SUM, LARGE_SUM = 20.0, 6.0, 4.0, 1.0, 5.0

Layers = list[dict[str, Any]]


class Batch(NamedTuple):
    """Inputs of shape `(256, width)`, labels, and the weights of the examples, both of shape `(256,)`."""

    inputs: Any
    labels: Any
    weights: Any


def logits(layers: Layers, x: Array) -> Array:
    for layer in layers[:-1]:
        x = jax.nn.relu(x @ layer["kernel"] + layer["bias"])
    return (x @ layers[-1]["kernel"] + layers[-1]["bias"])[:, 0]


def loss(layers: Layers, batch: Batch) -> Array:
    """As JAX's users are told to write it."""
    z = logits(layers, batch.inputs)
    each = jnp.maximum(z, 0) - z * batch.labels + jnp.log1p(jnp.exp(-jnp.abs(z)))
    return jnp.mean(batch.weights * each)


def naive(layers: Layers, batch: Batch) -> Array:
    """As the course note writes it."""
    a, y = jax.nn.sigmoid(logits(layers, batch.inputs)), batch.labels
    return -jnp.mean(batch.weights * (y * jnp.log(a) + (1 - y) * jnp.log(1 - a)))  # the line of the NaN


def squared(layers: Layers, batch: Batch) -> Array:
    """A loss whose gradient vanishes where the sigmoid is 1 and so is the label."""
    a = jax.nn.sigmoid(logits(layers, batch.inputs))
    return jnp.mean(batch.weights * (a - batch.labels) ** 2)  # the line that vanishes


def network(width: int, seed: int = 0) -> tuple[Layers, Batch]:
    rng = np.random.default_rng(seed)
    sizes = [(width, width), (width, width), (width, 1)]
    kernels = [(rng.normal(size=s) * np.sqrt(2 / s[0])).astype(np.float32) for s in sizes]
    layers = [{"bias": np.zeros(k.shape[1], np.float32), "kernel": k} for k in kernels]
    inputs = rng.normal(size=(BATCH, width)).astype(np.float32)
    labels = (rng.random(BATCH) < 0.5).astype(np.float32)
    return layers, Batch(inputs, labels, np.ones(BATCH, np.float32))


def planted(layers: Layers, batch: Batch) -> Batch:
    """One example with a logit of 25 and label 1."""
    z = np.asarray(logits(layers, batch.inputs))
    i = int(np.argmax(z))
    inputs, labels = batch.inputs.copy(), batch.labels.copy()
    inputs[i] *= np.float32(25) / z[i]
    labels[i] = 1
    return batch._replace(inputs=inputs, labels=labels)


def alone(layers: Layers, batch: Batch) -> Batch:
    """That example with the whole weight."""
    i = int(np.argmax(np.asarray(logits(layers, batch.inputs))))
    return batch._replace(weights=(np.arange(BATCH) == i).astype(np.float32))


def seconds(fn: Callable, *args: Any) -> tuple[float, Diagnosis]:
    begun = time.perf_counter()
    found = diagnose(fn, *args)
    return round(time.perf_counter() - begun, 2), found


def sums() -> dict[int, float]:
    """Seconds by the number of terms, after a first call."""
    found = {}
    for n in SUMS:
        x = np.random.default_rng(0).standard_normal(n).astype(np.float32)
        diagnose(jnp.sum, x)
        found[n], told = seconds(jnp.sum, x)
        assert told.verdict == "ok" and told.proven
        print(f"sum of {n:9,} numbers {found[n]:7.2f} s", flush=True)
    return found


def networks() -> list[dict[str, float]]:
    rows = []
    for width in WIDTHS:
        layers, batch = network(width)
        other = network(width, 1)[1]
        gradient = jax.grad(loss)
        step = jax.jit(gradient)
        first, healthy = seconds(gradient, layers, batch)
        second, again = seconds(gradient, layers, other)
        assert not healthy.findings and not again.findings
        jitted = best_seconds({"step": functools.partial(step, layers, batch)}, 5)["step"]
        parameters = sum(x.size for x in jax.tree.leaves(layers))
        rows.append({"parameters": parameters, "first": first, "second": second, "jitted step": round(jitted, 4)})
        print(f"network of {parameters:9,} parameters {first:7.2f} s, then {second:6.2f} s", flush=True)
    return rows


def faults() -> dict[str, str | None]:
    """The lines that are to blame for what is planted in the largest network, as found."""
    layers, batch = network(WIDTHS[-1])
    sick = planted(layers, batch)
    lost = diagnose(jax.grad(squared), layers, alone(layers, sick))
    wrong = diagnose(jax.grad(naive), layers, sick)
    assert wrong.findings[0].kind == "nan" and lost.findings[0].kind == "vanished"
    return {"nan": wrong.source, "vanished": lost.source}


def parser() -> Parser:
    return figures.parser("diagnose", __doc__)


def run(args: argparse.Namespace) -> int:
    by_terms, rows, lines = sums(), networks(), faults()
    memory = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2)
    for kind, source in lines.items():
        print(f"{kind:9} {(source or '').rpartition('/')[2]}")
    print(f"{memory} GiB at most")
    data = {"sums": by_terms, "networks": rows, "GiB": memory}
    figures.write(args.out, "diagnose", args.command, data)
    right = "(naive)" in (lines["nan"] or "") and "(squared)" in (lines["vanished"] or "")
    fast = by_terms[SUMS[0]] <= SMALL_SUM and by_terms[SUMS[-1]] <= LARGE_SUM
    fast &= rows[-1]["first"] <= FIRST and rows[-1]["second"] <= SECOND
    return 0 if right and fast and memory <= GIBIBYTES else 1
