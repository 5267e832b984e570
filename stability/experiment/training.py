"""`stability experiment`: one logistic regression, trained once per gradient, on data that a package ships.

*Separable*: scikit-learn's iris set, setosa or not (150 examples, 4 features), which a hyperplane separates well.
*Mislabelled*: its breast cancer set (569 examples, 30 features) with every tenth label flipped. Features are
standardised, and a constant joins them. Everything is float32: the logits `z = X w` from `w = 0`, `dL/dz` by the
gradient under test, and normalised gradient descent

    w <- w - rate / sqrt(step) * g / max|g|,    g = Xᵀ dL/dz / n,

the rule under which training on separable data goes on however small `g` is (Nacson et al., "Convergence of gradient
descent on separable data", AISTATS 2019). A `g` of 0 is a step of 0. The loss recorded is the same for all
gradients: the mean of `log(1 + e^-m)` over the examples' margins `m = ±X w`, in float64 from the float32 weights.
"""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from stability.cli.arguments import Parser, command, number_in, whole_number
from stability.environment import environment, mark
from stability.files import foreign, write_json
from stability.losses.sigmoid import sigmoid_binary_cross_entropy_grad
from stability.study import Form
from stability.study.sigmoid.forms import FORMS

GRADIENTS: dict[str, Form] = {name: FORMS[name] for name in ("autodiff", "cancelled", "optax") if name in FORMS}
GRADIENTS["stability"] = sigmoid_binary_cross_entropy_grad

FLIPPED = 10
RECORDED = 240
_STYLES = {
    "stability": {"color": "#56B4E9", "linewidth": 5.0, "linestyle": "-"},
    "optax": {"color": "#000000", "linewidth": 1.2, "linestyle": "-"},
    "cancelled": {"color": "#D55E00", "linewidth": 2.0, "linestyle": "--"},
    "autodiff": {"color": "#009E73", "linewidth": 2.0, "linestyle": ":"},
}


def _standardised(features: np.ndarray) -> np.ndarray:
    x = (features - features.mean(axis=0)) / features.std(axis=0)
    return np.column_stack([x, np.ones(len(x))]).astype(np.float32)


def separable() -> tuple[np.ndarray, np.ndarray]:
    """Features (150, 5), the last constant, and labels (150,), 1 for setosa, both float32."""
    from sklearn.datasets import load_iris

    data = load_iris()
    return _standardised(data.data), (data.target == 0).astype(np.float32)


def mislabelled() -> tuple[np.ndarray, np.ndarray]:
    """Features (569, 31), the last constant, and labels (569,), every tenth of them wrong, both float32."""
    from sklearn.datasets import load_breast_cancer

    data = load_breast_cancer()
    flipped = np.arange(len(data.target)) % FLIPPED == 0
    return _standardised(data.data), np.where(flipped, 1 - data.target, data.target).astype(np.float32)


def train(gradient: Form, x: Array, y: Array, steps: int, rate: float) -> np.ndarray:
    """The weights before each step and after the last: float32 of shape `(steps + 1, features)`.

    **Arguments:** `gradient` gives `dL/dz` from logits and labels of shape `(n,)`; `x` of shape `(n, features)`.
    """

    def step(w: Array, t: Array) -> tuple[Array, Array]:
        g = x.T @ gradient(x @ w, y) / len(y)
        size = jnp.abs(g).max()
        return w - rate / jnp.sqrt(t) * g / jnp.where(size == 0, 1, size), w

    start = jnp.zeros(x.shape[1], jnp.float32)
    last, before = jax.jit(lambda w: lax.scan(step, w, jnp.arange(1, steps + 1, dtype=jnp.float32)))(start)
    return np.concatenate([np.asarray(before), np.asarray(last)[None]])


def true_losses(weights: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The mean loss at each row of weights, in nats, float64; NaN where a weight is NaN."""
    margins = weights.astype(np.float64) @ x.astype(np.float64).T * np.where(y == 1, 1.0, -1.0)
    return np.logaddexp(0, -margins).mean(axis=1)


def run(x: np.ndarray, y: np.ndarray, steps: int, rate: float) -> dict[str, dict]:
    """Each gradient's losses at some steps, the step of its first NaN, and its last step that changed the weights."""
    at = np.unique(np.geomspace(1, steps + 1, RECORDED).astype(int)) - 1
    found = {}
    for name, gradient in GRADIENTS.items():
        weights = train(gradient, jnp.asarray(x), jnp.asarray(y), steps, rate)
        dead = np.flatnonzero(np.isnan(weights).any(axis=1))
        moved = np.flatnonzero((weights[1:] != weights[:-1]).any(axis=1))
        alive = at[: np.searchsorted(at, dead[0])] if len(dead) else at
        losses = true_losses(weights[alive], x, y)
        found[name] = {
            "first_nan": int(dead[0]) if len(dead) else None,
            "last_moved": int(moved[-1]) + 1 if len(moved) else 0,
            "steps": [int(step) for step in alive],
            "losses": [float(loss) for loss in losses],
        }
    return found


def experiment(steps: int, rate: float) -> dict[str, dict[str, dict]]:
    """`run` on each data set, by name."""
    return {data.__name__: run(*data(), steps, rate) for data in (separable, mislabelled)}


def draw(runs: dict[str, dict[str, dict]], path: Path) -> None:
    """The loss against the step, a panel per data set; a cross where the weights turned NaN."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4.2), layout="constrained")
    axes = figure.subplots(1, len(runs))
    for ax, (data, found) in zip(axes, runs.items(), strict=True):
        for name in [n for n in _STYLES if n in found]:
            curve = found[name]
            steps = np.array(curve["steps"]) + 1
            ax.plot(steps, curve["losses"], label=name, **_STYLES[name])
            if curve["first_nan"] is not None:
                ax.plot(steps[-1], curve["losses"][-1], "X", color=_STYLES[name]["color"], markersize=11)
                where = (steps[-1], curve["losses"][-1])
                text = f"{name}: NaN at step {curve['first_nan']}"
                ax.annotate(text, where, xytext=(10, -3), textcoords="offset points", fontsize=9)
        ax.set_xscale("log")
        ax.set_yscale("log")
        ax.set_title(f"{data} labels", loc="left")
        ax.set_xlabel("step, from 1 [1]")
        ax.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("mean cross-entropy [nats]")
    axes[0].legend(loc="lower left", frameon=False, handlelength=4)
    mark(figure)
    FigureCanvasAgg(figure)
    figure.savefig(path, dpi=110)


def parser() -> Parser:
    p = Parser(prog="stability experiment", description=__doc__)
    p.add_argument("--steps", type=whole_number(1), default=4000, help="steps of each training (default %(default)s)")
    p.add_argument(
        "--rate",
        type=number_in(1e-6, 1e6, "a number from 1e-6 to 1e6"),
        default=1.0,
        help="size of the first step, in the largest weight (default %(default)g)",
    )
    p.add_argument("--out", type=Path, default=Path("reports/experiment"), metavar="DIR", help="default %(default)s")
    return p


def main(argv: list[str]) -> int:
    p = parser()
    args = p.parse_args(argv)
    with p.writing(args.out, partial(foreign, page="losses.png", data="experiment.json")):
        try:
            runs = experiment(args.steps, args.rate)
        except ImportError:
            p.error("scikit-learn, which ships the data, is not installed; the extra `experiment` brings it")
        args.out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".experiment-", dir=args.out) as staging:
            draw(runs, Path(staging) / "losses.png")
            (Path(staging) / "losses.png").replace(args.out / "losses.png")
        manifest = {"command": command("stability experiment", argv), **environment()}
        write_json(args.out / "experiment.json", {"schema": 1, "manifest": manifest, "rate": args.rate, "runs": runs})
    for data, found in runs.items():
        for name, curve in found.items():
            end = (
                f"NaN at step {curve['first_nan']}" if curve["first_nan"] is not None else f"{curve['losses'][-1]:.3g}"
            )
            print(f"{data:12} {name:10} {end}")
    return 0
