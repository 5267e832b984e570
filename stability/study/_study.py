"""A study, declared: the forms to compare, the true value of them all, and the domain of its second argument."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jax import Array

from stability.formats import FloatFormat
from stability.truth import Truth
from stability.truth.device import DeviceTruth

if TYPE_CHECKING:
    from stability.sweep.outcome import Outcome

Form = Callable[[Array, Array], Array]
"""From arrays of the swept float and of labels, which broadcast, to an array."""


@dataclass(frozen=True, eq=False)
class Study:
    """Several forms of one real function of a swept float and a label.

    **Attributes:** `name` as in the reports and `title` over them; `forms` by name, in the order of the reports;
    `formulas` of forms as TeX, by name, in the order of the picture that shows them beside their errors;
    `truth(z, label, fmt)` the true values for floats `z` of shape `(n,)`; `condition(z, label)` the
    condition numbers in `z` and in the label, each of shape `(n,)`: the relative change of the true
    value for a relative change of that argument; `labels` the default ones; `label_range` the allowed
    ones; `device_truth` the true values on the device, where the study has them: it is monotone in the float, and
    float32 is swept exhaustively by it. A form of the swept float alone has the one label `None` and needs no
    `condition`; it is called with label 0 and ignores it. `domain` is the closed range of the swept float, `swept` its
    name; `landmarks` floats that the report shows one by one.
    """

    name: str
    title: str
    forms: Mapping[str, Form]
    formulas: Mapping[str, str]
    truth: Callable[[np.ndarray, float, FloatFormat], Truth]
    condition: Callable[[np.ndarray, float], tuple[np.ndarray, np.ndarray]] | None = None
    labels: tuple[float | None, ...] = (None,)
    label_range: tuple[float, float] = (0.0, 0.0)
    device_truth: DeviceTruth | None = None
    domain: tuple[float, float] = (-math.inf, math.inf)
    swept: str = "z"
    landmarks: tuple[float, ...] = ()

    def sweep(self, **options: Any) -> Outcome:
        """Where the forms fail: the study measured against its truth.

        **Arguments:** all of them by name, each with a default: those of `stability.sweep.engine.sweep`.

        **Returns:** a `stability.sweep.outcome.Outcome`.

        ```python
        import jax.numpy as jnp
        import stability

        study = stability.study_of({"naive": lambda x: (1 - jnp.cos(x)) / x, "half": lambda x: jnp.sin(x / 2)})
        outcome = study.sweep(dtypes=["bfloat16"], modes=["jit"], forms=["naive"])
        assert outcome.rows[0].counts["inaccurate"] > 0
        ```
        """
        from stability.sweep.engine import sweep

        return sweep(self, **options)


Source = Callable[[], Study] | Study
"""A study, or what makes it: that can be hashed and pickled, and so sent to other processes."""


@functools.lru_cache(maxsize=8)
def study_of_source(source: Source) -> Study:
    """The study of a source, made once in each process."""
    return source if isinstance(source, Study) else source()
