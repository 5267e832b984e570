"""What a case is, and the decorator that declares one on the function as it was reported."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import jax
import jax.numpy as jnp
from jax import Array

from stability.environment import numbers

Scalar = Callable[[Array], Array]

POINTS, TOLERANCE = 4096, 16.0
"""At how many floats of its domain a case is measured, and the ulps within which a result is `ok`."""

RELEASE = numbers(jax.__version__)
"""What JAX's own derivatives are made of depends on the release, and with it the culprit."""


@dataclass(frozen=True)
class Case:
    """A reported failure.

    **Attributes:** `name`; `repository`, `number` and `title` of the thread as the tracker has them; `report` what is
    reported and `remedy` what the fix changes, in a sentence each; `naive` and `fixed` the two functions of a scalar;
    `truth` the function whose value in real arithmetic is the truth of both; `dtype` and `domain` what is swept; `at` a
    point of the reported kind `kind` (of `stability.measure`); `primitive`, `cause` and `line` the culprit expected of
    `diagnose` there: its primitive, the kind of its error, a part of its source line.
    """

    name: str
    repository: str
    number: int
    title: str
    report: str
    remedy: str
    naive: Scalar
    fixed: Scalar
    truth: Scalar
    dtype: str
    domain: tuple[float, float]
    at: float
    kind: str
    primitive: str
    cause: str
    line: str

    @property
    def url(self) -> str:
        return f"https://github.com/{self.repository}/issues/{self.number}"


DECLARED: list[Case] = []
"""Every case, in the order of declaration."""


def case(
    repository: str,
    number: int,
    title: str,
    *,
    fixed: Scalar,
    domain: tuple[float, float],
    at: float,
    kind: str,
    culprit: tuple[str, str, str],
    gradient: bool = False,
    truth: Literal["fixed", "naive", "zero"] = "fixed",
    dtype: str = "float32",
) -> Callable[[Scalar], Scalar]:
    """Declares a case by its naive function, whose name is the case's, and whose docstring has report and remedy.

    **Arguments:** as of `Case`; `culprit` its primitive, cause and line; `gradient` whether the reported function is
    the gradient of the decorated one; `truth` which function is that of the truth: that of the fix, of the naive one,
    or 0.
    """

    def declare(fn: Scalar) -> Scalar:
        report, remedy = (" ".join(part.split()) for part in inspect.cleandoc(fn.__doc__ or "").split("\n\n"))
        naive = jax.grad(fn) if gradient else fn
        exact = {"fixed": fixed, "naive": naive, "zero": jnp.zeros_like}[truth]
        cited = (fn.__name__, repository, number, title, report, remedy)
        DECLARED.append(Case(*cited, naive, fixed, exact, dtype, domain, at, kind, *culprit))
        return fn

    return declare
