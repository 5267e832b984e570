"""A user's function of two swept arguments, made a study: the second of them is the label."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.extend import source_info_util

from stability import real
from stability.formats import FloatFormat
from stability.study._study import Study
from stability.study.functions import check_scalar, hold, parameters_of, parse_fixed
from stability.study.loading import BadFunction, Reference, load
from stability.truth import Truth

source_info_util.register_exclusion(__file__)


@dataclass(frozen=True)
class Pair:
    """A function of two swept arguments as a `Source`.

    **Attributes:** as of `stability.study.functions.Named`; `swept` the numbers of both arguments; `labels` values of
    the second that rows are measured at, and `label_range` what a map spans of it.
    """

    reference: Reference
    swept: tuple[int, int]
    labels: tuple[float, ...]
    label_range: tuple[float, float]
    fixed: tuple[str, ...] = ()
    argnum: int | None = None
    order: int = 1
    domain: tuple[float, float] = (-math.inf, math.inf)

    @property
    def derivative(self) -> real.Order | None:
        return None if self.argnum is None else real.Order(self.swept.index(self.argnum), self.order)

    def check(self, fmt: FloatFormat) -> None:
        """Traces the function at a format. **Raises:** `BadFunction`, `NotFixed`."""
        if self.argnum not in (None, *self.swept):
            raise BadFunction(f"{self.reference}: of two swept arguments, the derivative is by one of them")
        check_scalar(lambda x: self.run()(x, jnp.asarray(self.labels[0], x.dtype)), fmt)

    def value(self) -> Callable[[Array, Array], Array]:
        """The function of the two. **Raises:** `BadFunction`, `NotFixed`."""
        fn, fixed, (one, two) = load(self.reference), parse_fixed(self.fixed), self.swept
        names = [p.name for p in parameters_of(fn)]
        if two >= len(names) or one == two:
            raise BadFunction(f"{self.reference}: argument {two} is not another positional argument of it")

        def value(x: Array, y: Array) -> Array:
            return hold(fn, swept=one, fixed=fixed | {names[two]: y})(x)

        return value

    def run(self) -> Callable[[Array, Array], Array]:
        """The function, or its derivative as `jax.grad` has it."""
        run, by = self.value(), self.derivative
        for _ in range(by.order if by else 0):
            run = jax.grad(run, argnums=by.by if by else 0)
        return run

    def __call__(self) -> Study:
        value, by = self.value(), self.derivative
        name, parameters = str(self.reference).partition(":")[2], parameters_of(load(self.reference))

        def truth(z: np.ndarray, label: float, fmt: FloatFormat) -> Truth:
            return real.truth(value, z, args=(fmt.dtype.type(label),), fmt=fmt, derivative=by)

        return Study(
            name=str(self.reference),
            title=f"Where {self.reference} fails",
            forms={name if by is None else f"grad_{name}": jnp.vectorize(self.run())},
            formulas={},
            truth=truth,
            labels=self.labels,
            label_range=self.label_range,
            domain=self.domain,
            swept=parameters[self.swept[0]].name,
            label_name=parameters[self.swept[1]].name,
        )
