"""Operations on rows: sums, means, extremes, norms, and the functions of a row of logits.

A row is the last axis of an array; what is made of all of it has a last axis of 1. A number that stands for a row of
equal numbers does not say how many: what hangs on that has no value.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.special
from flint import arb

from stability.real import scalars
from stability.real.arrays import elementwise
from stability.real.records import TEXTS
from stability.real.values import Undefined

_add, _sub, _exp, _log, _sqrt, _square = (
    elementwise(f) for f in (scalars.add, scalars.sub, scalars.exp, scalars.log, scalars.sqrt, scalars.square)
)


def _folded(step: Callable[[Any, Any], Any], x: np.ndarray) -> np.ndarray:
    """What is made of the last axis, as an axis of 1."""
    out = np.empty(x.shape[:-1], object)
    for index in np.ndindex(out.shape):
        out[index] = functools.reduce(step, x[index])
    return out[..., None]


def _counted(rule: Callable[[np.ndarray], np.ndarray]) -> Callable[[Any], Any]:
    """A rule of rows, where the number of their elements is known."""

    def apply(x: Any) -> Any:
        if not isinstance(x, np.ndarray) or x.shape[-1] == 1:
            return elementwise(lambda _: Undefined("nan"))(x)
        return rule(x)

    return apply


def _counted_floats(rule: Callable[[np.ndarray], np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    def apply(x: np.ndarray) -> np.ndarray:
        x = np.asarray(x)
        return rule(x) if x.ndim and x.shape[-1] > 1 else np.full_like(x, np.nan)

    return apply


def _total(x: np.ndarray) -> np.ndarray:
    return _folded(scalars.add, x)


def _greatest(x: Any) -> Any:
    return _folded(TEXTS["max"], x) if isinstance(x, np.ndarray) else x


def _mean(x: Any) -> Any:
    return elementwise(lambda s: scalars.div(s, arb(x.shape[-1])))(_total(x)) if isinstance(x, np.ndarray) else x


def _logsumexp(x: np.ndarray) -> np.ndarray:
    most = _greatest(x)
    return _add(most, _log(_total(_exp(_sub(x, most)))))


def _log_softmax(x: np.ndarray) -> np.ndarray:
    return _sub(x, _logsumexp(x))


REALS: dict[str, Callable[[Any], Any]] = {
    "sum": _counted(_total),
    "amax": _greatest,
    "mean": _mean,
    "norm": _counted(lambda x: _sqrt(_total(_square(x)))),
    "logsumexp": _counted(_logsumexp),
    "log_softmax": _counted(_log_softmax),
    "softmax": _counted(lambda x: _exp(_log_softmax(x))),
}
"""Over the reals, by name: of object arrays of real numbers, or of one real number."""

_over = functools.partial(functools.partial, axis=-1, keepdims=True)

FLOATS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "sum": _counted_floats(_over(np.sum)),
    "amax": lambda x: np.max(x, axis=-1, keepdims=True) if np.ndim(x) else x,
    "mean": lambda x: np.mean(x, axis=-1, keepdims=True, dtype=np.asarray(x).dtype) if np.ndim(x) else x,
    "norm": _counted_floats(lambda x: np.sqrt(np.sum(x * x, axis=-1, keepdims=True))),
    "logsumexp": _counted_floats(_over(scipy.special.logsumexp)),
    "log_softmax": _counted_floats(functools.partial(scipy.special.log_softmax, axis=-1)),
    "softmax": _counted_floats(functools.partial(scipy.special.softmax, axis=-1)),
}
"""Of NumPy arrays, by name."""

OURS = {f"nn_{name}": name for name in ("logsumexp", "log_softmax", "softmax", "norm")}
"""The functions of `stability.nn`, and what each is by its meaning."""


def _wider(rule: Callable[[np.ndarray], np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    """Computed in a wider format, and rounded."""

    def apply(x: np.ndarray) -> np.ndarray:
        x = np.asarray(x)
        return rule(x.astype(np.longdouble if x.dtype == np.float64 else np.float64)).astype(x.dtype)

    return apply


REALS |= {name: REALS[meant] for name, meant in OURS.items()}
FLOATS |= {name: _wider(FLOATS[meant]) for name, meant in OURS.items()}
