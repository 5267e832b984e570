"""A study, declared: the forms to compare, the true value of them all, and the domain of its second argument."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
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


@dataclass(frozen=True)
class Quantity:
    """What a form computes on its way.

    **Attributes:** `formula` as text; `computed(z, label)` as the form computes it; `true(z, label)` the same in real
    numbers, a scalar function that loses nothing; `labelled` whether the label matters.
    """

    formula: str
    computed: Form
    true: Callable[[Array, Array], Array]
    labelled: bool = False


@dataclass(frozen=True, eq=False)
class Study:
    """Several forms of one real function of a swept float and a label.

    `study_of` makes one of functions of yours; a folder of `stability/study/` declares one.

    **Attributes:**

    - `name` as in the reports and `title` over them.
    - `forms` by name, in the order of the reports. A form of the swept float alone is called with label 0 and ignores
      it.
    - `formulas` of forms as text, by name, in the order of the picture that shows them beside their errors.
    - `truth(z, label, fmt)` the true values for floats `z` of shape `(n,)`.
    - `condition(z, label)` the condition numbers in `z` and in the label, each of shape `(n,)`: the relative change of
      the true value for a relative change of that argument. Without labels it is not needed.
    - `labels` the default ones, the one label `None` where the forms have none; `label_range` the allowed ones.
    - `device_truth` the true values on the device, where the study has them: float32 is swept exhaustively by it.
    - `domain` the closed range of the swept float, `swept` its name, and `label_name` that of the second argument.
    - `landmarks` floats that the report shows one by one.
    - `quantities` that forms compute on their way, by name, and `lines` the names of those of a form, in order.

    ```python
    from stability.study import declared

    study = declared()["sigmoid_bce"]
    (row,) = study.sweep(forms=["cancelled"], dtypes=["bfloat16"], labels=[1.0], modes=["jit"]).rows
    assert study.swept == "z" and row.counts["vanished"] > 0
    ```
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
    label_name: str = "label"
    landmarks: tuple[float, ...] = ()
    quantities: Mapping[str, Quantity] = field(default_factory=dict)
    lines: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def sweep(self, **options: Any) -> Outcome:
        """Where the forms fail: the study measured against its truth.

        **Arguments:**

        - `**options` by name, each with a default:
        - `forms` names of the study's forms, all by default.
        - `dtypes` of `"float16"`, `"bfloat16"`, `"float32"`, `"float64"`, by default all of which the domain holds
          floats. float64 is on in its own rows, and in all where `jax_enable_x64` is.
        - `labels` in `label_range`, each rounded to the format it is used in; the study's by default.
        - `modes` of `"eager"` (each operation its own XLA computation), `"jit"`, `"step"` (as the backward rule inside
          a jitted training step); eager and jit by default.
        - `points` the size of the grid of float32 and float64; every float of a 16-bit format is looked at.
        - `tolerance` in ulps of the true value, beyond which a result is `inaccurate`; 16 by default.
        - `seed` of the grid.
        - `search` whether to hunt the worst error of float32 and float64 rows.
        - `screened` whether every float32 is screened by float64 for the ends of regions.
        - `besides` floats to look at in rows of float32 and float64, wherever the grid lies.
        - `progress` is called once a row with its name.
        - `executor` of `concurrent.futures` where rows are measured, this thread by default. The outcome, but for its
          seconds, does not depend on it. One of other processes needs a source that can be pickled.
        - `at_once` how many groups of rows, each of a form and a format, the executor is given at a time, all by
          default.

        **Returns:** an `Outcome`, its rows in the order dtype, label, form, mode. A row that raised says so in `error`.

        **Raises:** `ValueError` for a name that is none of these, and a format of which the domain holds no float.

        ```python
        import jax.numpy as jnp
        from stability import study_of

        study = study_of({"naive": lambda x: (1 - jnp.cos(x)) / x})
        outcome = study.sweep(dtypes=["bfloat16"], modes=["jit"], tolerance=4)
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
