"""Everything compiles, and within 20 seconds of processor time: the guard against a compiler that does not come back.

The compilations of a part run one after another in one child process, which says what it begins and what is done. The
system ends it where one of them uses more processor time than it may, and what it had begun is named.
"""

from __future__ import annotations

import importlib.util
import itertools
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import jaxlib
import pytest
from jax import lax

from stability import double_word
from stability.environment import numbers
from stability.formats import FORMATS
from stability.losses import sigmoid as losses
from stability.losses import softmax
from stability.losses._kernel import KERNELS
from stability.study import declared
from stability.sweep.engine import MODES

LIMIT = 20
"""Seconds of processor time for one compilation."""

CLASSES = (3, 40, 1100)
"""Added up one by one, in pieces, and by a loop."""


def compiled(function, *arguments):
    return lambda: jax.jit(function).lower(*arguments).compile()


def logits(dtype, shape):
    return jnp.zeros(shape, FORMATS[dtype].dtype)


def of_losses():
    """The kernels of the binary cross-entropy: every format, arithmetic and kind of label; float32 scalars as well."""
    names = [name for name in KERNELS if name.startswith("sigmoid")]
    for name, dtype, arithmetic, whole in itertools.product(names, FORMATS, losses.ARITHMETICS, (True, False)):
        kernel = KERNELS[name]
        for shape in ((8,), ()) if dtype == "float32" else ((8,),):
            z = logits(dtype, shape)

            def call(*x, kernel=kernel, arithmetic=arithmetic, whole=whole):
                return kernel(*x, arithmetic=arithmetic, whole=whole)

            yield f"{name} {dtype} {arithmetic} {whole=} {shape=}", compiled(call, *[z] * len(kernel.derivatives))


def of_functions():
    """The losses as they are called, and their derivatives."""
    loss = losses.sigmoid_binary_cross_entropy
    functions = {
        "grad": losses.sigmoid_binary_cross_entropy_grad,
        "value_and_grad": losses.sigmoid_binary_cross_entropy_value_and_grad,
        "jax.value_and_grad": jax.value_and_grad(lambda z, y: loss(z, y).sum()),
        "jax.hessian": jax.hessian(lambda z, y: loss(z, y).sum()),
    }
    for (name, function), shape in itertools.product(functions.items(), ((8,), ())):
        z = logits("float32", shape)
        yield f"{name} float32 {shape=}", compiled(function, z, z)
        yield f"{name} float32 whole {shape=}", compiled(function, z, jnp.ones(shape, jnp.int32))


def of_softmax(dtype):
    """The kernels of the softmax in a format that they compute in, for few classes and many."""
    names = [name for name in KERNELS if name.startswith("softmax")]
    for name, classes in itertools.product(names, CLASSES):
        z = logits(dtype, (4, classes))
        label = jnp.zeros(4, jnp.int32) if name.endswith("_at") else z
        yield f"{name} {dtype} {classes=}", compiled(KERNELS[name], z, *[label] * (len(KERNELS[name].derivatives) - 1))
    z = logits(dtype, (4, 10))
    yield (
        "jax.grad of softmax_cross_entropy",
        compiled(jax.grad(lambda z: softmax.softmax_cross_entropy(z, z).sum()), z),
    )


def of_units(dtype):
    """The kernels of `stability.nn`, which are there once it is imported; those of rows have no scalars."""
    importlib.import_module("stability.nn")
    for name in [name for name in KERNELS if name.startswith("nn_")]:
        for shape in ((8,),) if name.startswith("nn_rows") else ((8,), ()):
            x = logits(dtype, shape)
            yield f"{name} {dtype} {shape=}", compiled(KERNELS[name], *[x] * len(KERNELS[name].derivatives))


def of_forms(study):
    """The forms of a study, in every format and mode; eager, each operation is compiled as it is met."""
    for (form, function), dtype, mode in itertools.product(declared()[study].forms.items(), FORMATS, MODES):
        z, y = logits(dtype, (8,)), logits(dtype, ())
        run = MODES[mode](function)
        yield f"{study} {form} {dtype} {mode}", lambda run=run, z=z, y=y: jax.block_until_ready(run(z, y))


def of_endless_python():
    yield "one", compiled(jnp.exp, 1.0)
    yield "endless", lambda: [None for _ in iter(int, 1)]
    yield "never begun", compiled(jnp.sin, 1.0)


def of_the_old_quotient():
    """The division of two words as it was when it hung."""
    double_word.quotient_after_masks = lambda a, b: lax.max(a / b, jnp.full_like(a, -2))
    z = logits("float32", (8,))
    gradient = losses.sigmoid_binary_cross_entropy_grad
    yield "value", compiled(lambda z: z + 1, z)
    yield "compensated", compiled(lambda z: gradient(z, z, arithmetic="compensated"), z)


def of_the_program_for_upstream():
    path = Path(__file__).parents[1] / "reports" / "upstream" / "slow_compile.py"
    spec = importlib.util.spec_from_file_location("slow_compile", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield "40 steps", compiled(lambda z: module.program(z, 40), logits("float32", (8,)))


PARTS = {
    "losses": of_losses,
    "functions": of_functions,
    **{f"softmax {dtype}": lambda dtype=dtype: of_softmax(dtype) for dtype in ("float32", "float64")},
    **{f"units {dtype}": lambda dtype=dtype: of_units(dtype) for dtype in ("float32", "float64")},
    **{name: lambda name=name: of_forms(name) for name in declared()},
    "endless python": of_endless_python,
    "old quotient": of_the_old_quotient,
    "upstream": of_the_program_for_upstream,
}


def child(part: str, limit: int) -> None:
    """Compiles a part, and says so: a line `begin NAME`, then `done SECONDS`, of processor time."""
    jax.config.update("jax_enable_x64", True)
    for name, build in PARTS[part]():
        start = time.process_time()
        resource.setrlimit(resource.RLIMIT_CPU, (int(start) + limit + 1, resource.RLIM_INFINITY))
        print(f"begin {name}", flush=True)
        build()
        print(f"done {time.process_time() - start}", flush=True)


def seconds_of(part: str, limit: int = LIMIT) -> tuple[dict[str, float], str | None]:
    """The seconds that the compilations of a part took, by name, and which one was over the limit, if any."""
    command = [sys.executable, __file__, part, str(limit)]
    run = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=1800)
    lines = [line.split(" ", 1) for line in run.stdout.splitlines()]
    begun = [name for word, name in lines if word == "begin"]
    done = [float(seconds) for word, seconds in lines if word == "done"]
    if run.returncode == 0:
        assert begun and len(begun) == len(done)
        return dict(zip(begun, done, strict=True)), None
    assert run.returncode == -signal.SIGXCPU and len(begun) == len(done) + 1, run.returncode
    return dict(zip(begun, done, strict=False)), begun[-1]


@pytest.mark.parametrize("part", ["losses", "functions", "softmax float32", "units float32", "sigmoid_bce"])
def test_everything_compiles_in_time(part):
    seconds, hung = seconds_of(part)
    assert hung is None, f"{hung} did not come back from the compiler within {LIMIT} s of processor time"
    if part == "functions":
        assert max(seconds.values()) < 5


@pytest.mark.exhaustive
@pytest.mark.parametrize("part", ["softmax float64", "units float64", "softmax_ce_2", "softmax_ce_3"])
def test_the_rest_compiles_in_time(part):
    assert seconds_of(part)[1] is None


def test_what_does_not_come_back_is_named():
    seconds, hung = seconds_of("endless python", limit=2)
    assert set(seconds) == {"one"} and hung == "endless"


def test_the_kernel_that_hung_is_found_where_it_hangs():
    seconds, hung = seconds_of("old quotient", limit=5)
    assert (hung == "compensated") == (numbers(jaxlib.__version__) >= (0, 11))
    assert "value" in seconds


def test_the_program_for_upstream_hangs_on_the_releases_that_it_names():
    _, hung = seconds_of("upstream", limit=5)
    release = numbers(jaxlib.__version__)
    if release > (0, 12, 0, 1):
        pytest.skip(f"jaxlib {jaxlib.__version__} is not among them: it {'hangs' if hung else 'compiles'} there")
    assert (hung is not None) == (release >= (0, 11))


if __name__ == "__main__":
    child(sys.argv[1], int(sys.argv[2]))
