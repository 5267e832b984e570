"""Losses over the logit and the label at once: where in the plane their values and derivatives fail.

The parts of the logits' axis are those of a row's profile (`stability.atlas.profile`), with `EACH` floats in each; the
labels are those of `labels_of`. Losses are found by the names of their arguments: one of numbers is taken as it is, one
of rows by the first of two logits, the other held at 0, and the two labels `y` and `1 - y`, rounded.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Iterable
from dataclasses import MISSING, asdict, dataclass, fields
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from stability import real
from stability.atlas.functions import libraries, members, required, stem
from stability.atlas.profile import BINS, at_positions, bins, profile_text
from stability.atlas.rules import DEFAULT, OURS, ROOMS
from stability.formats import FORMATS, FloatFormat, from_ordinal, short_hex, to_ordinal, widen
from stability.measure import INACCURATE, KINDS, OK, classify, true_is_normal
from stability.study.loading import first_line
from stability.truth import Truth, concatenated

OF_A_LOSS = ["logits", "labels"]
"""What the arguments of a loss are called."""

EACH = 2
"""Floats in a part of the axis."""

GRAVITY = (
    *("ok", "nan_input", "outside", "undecided", "flushed"),
    *("inaccurate", "pole", "vanished", "wrong_sign", "inf", "nan"),
)
"""Kinds from the lightest: the gravest of its floats is the kind of a cell."""


class Loss(NamedTuple):
    """`rules` by their names: functions of a logit, and of a label or, `of_two`, of the labels of two classes."""

    rules: dict[str, Callable]
    of_two: bool


@dataclass(frozen=True)
class LossMap:
    """A loss by one rule over logit and label: its value, or its derivative by the logit in reverse mode, under `jit`.

    **Attributes:** `labels` in hexadecimal, ascending; a text a label, of a character for each of `BINS` parts of the
    logits' axis: in `kinds` the gravest kind there, as a hexadecimal digit, its place in `stability.measure.KINDS`; in
    `profiles` the worst error, as `profile_text` writes it; `error` why there is neither.
    """

    function: str
    rule: str
    order: int
    dtype: str
    labels: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()
    error: str | None = None

    def to_json(self) -> dict:
        """Without what is empty."""
        told = asdict(self)
        return {f.name: told[f.name] for f in fields(self) if f.default is MISSING or told[f.name] != f.default}

    @classmethod
    def from_json(cls, data: dict) -> LossMap:
        return cls(**data | {name: tuple(data.get(name, ())) for name in ("labels", "kinds", "profiles")})

    def share(self, kinds: Iterable[str]) -> float:
        """The share of the cells that are of some kinds."""
        cells, codes = "".join(self.kinds), {f"{KINDS.index(kind):x}" for kind in kinds}
        return sum(cell in codes for cell in cells) / len(cells)


def losses() -> dict[str, Loss]:
    """The losses of optax that are of logits and labels, by name, with this package's rule for each."""
    module = dict(libraries()).get("optax")
    found = {}
    for name, fn in members(module) if module is not None else ():
        if required(fn) == OF_A_LOSS:
            ours = getattr(importlib.import_module(ROOMS["optax"]), name, None)
            rules = {DEFAULT: fn} | ({} if ours is None else {OURS: ours})
            if _is_a_number(fn, ()):
                found[f"optax.{name}(x, y)"] = Loss(rules, False)
            elif _is_a_number(_of_two(fn), (2,)):
                of_two = {rule: _of_two(loss) for rule, loss in rules.items()}
                found[f"optax.{name}([x, 0.0], [y, 1 - y])"] = Loss(of_two, True)
    return found


def _of_two(fn: Callable) -> Callable:
    return lambda x, labels: fn(jnp.stack([x, jnp.zeros_like(x)]), labels)


def _is_a_number(fn: Callable, labels: tuple[int, ...]) -> bool:
    """Whether a function of a logit, and of labels of a shape, is a float32."""
    try:
        out = jax.eval_shape(fn, *(jax.ShapeDtypeStruct(shape, np.float32) for shape in ((), labels)))
    except Exception:
        return False
    return (getattr(out, "shape", None), getattr(out, "dtype", None)) == ((), np.float32)


def of_functions(names: Iterable[str]) -> list[str]:
    """The losses that some functions of the atlas are of."""
    stems = {stem(name) for name in names if name.startswith("optax.")}
    return [name for name in losses() if stem(name) in stems] if stems else []


def logits_of(fmt: FloatFormat) -> np.ndarray:
    """The ordinals of the logits of a map, ascending: `EACH` in each part of the axis, and 0."""
    at = (np.arange(BINS * EACH) + 0.5) / (BINS * EACH)
    return np.union1d(at_positions(2 * at - 1, fmt), [0])


def labels_of(fmt: FloatFormat) -> np.ndarray:
    """The labels of a map, ascending: 0, the least normal float, 1, and between them sixteenths, floats at equal
    distances in ordinals, and some near 1 down to the last before it."""
    least, one = to_ordinal(np.array([fmt.smallest_normal, 1.0]).astype(fmt.dtype)).tolist()
    near = 1 - 2.0 ** -np.rint(np.linspace(5, fmt.precision, 4))
    given = np.concatenate([np.arange(17) / 16, near]).astype(fmt.dtype)
    spread = np.linspace(least, one, 9).astype(np.int64)
    return from_ordinal(np.union1d(to_ordinal(given), spread), fmt)


def measure(name: str, dtype: str, tolerance: float) -> list[LossMap]:
    """The maps of a loss in a format, of its value and its derivative, by each rule. What fails says why."""
    loss = losses()[name]
    with jax.enable_x64(dtype == "float64"):
        return [found for order in (0, 1) for found in _maps(name, loss, order, FORMATS[dtype], tolerance)]


def _maps(name: str, loss: Loss, order: int, fmt: FloatFormat, tolerance: float) -> list[LossMap]:
    ordinals, labels = logits_of(fmt), labels_of(fmt)
    logits = from_ordinal(ordinals, fmt)
    given = np.stack([labels, (1 - labels).astype(fmt.dtype)], axis=1) if loss.of_two else labels

    @functools.cache
    def truth() -> Truth:
        base, derivative = loss.rules[DEFAULT], real.Order(0, order) if order else None
        return concatenated([real.truth(base, logits, args=(y,), fmt=fmt, derivative=derivative) for y in given])

    def cells(fn: Callable) -> tuple[list[str], list[str]]:
        run = jax.jit(jax.vmap(jax.vmap(jax.grad(fn) if order else fn, (0, None)), (None, 0)))
        kinds, ulps = classify(np.asarray(run(logits, given)).ravel(), truth(), tolerance)
        counted = np.where(true_is_normal(truth()) & np.isin(kinds, (OK, INACCURATE)), ulps, -1.0)
        shape = len(labels), len(logits)
        gravest = [_gravest(row, ordinals, fmt) for row in kinds.reshape(shape)]
        return gravest, [profile_text(ordinals, row, fmt) for row in counted.reshape(shape)]

    found, told = [], tuple(short_hex(y) for y in widen(labels).tolist())
    for rule, fn in loss.rules.items():
        try:
            kinds, profiles = cells(fn)
            found.append(LossMap(name, rule, order, fmt.name, told, tuple(kinds), tuple(profiles)))
        except Exception as error:
            found.append(LossMap(name, rule, order, fmt.name, error=first_line(error)))
    return found


def _gravest(kinds: np.ndarray, ordinals: np.ndarray, fmt: FloatFormat) -> str:
    """The gravest kind in each part of the axis, a hexadecimal digit a part."""
    gravity = np.array([GRAVITY.index(kind) for kind in KINDS])
    worst = np.zeros(BINS, int)
    np.maximum.at(worst, bins(ordinals, fmt), gravity[kinds])
    return "".join(f"{KINDS.index(GRAVITY[w]):x}" for w in worst)
