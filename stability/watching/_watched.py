"""`watch`: a training step that is looked at as it runs."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from stability.diagnosis import MEANINGS, Judged, Row, screened
from stability.real import reals
from stability.watching._history import History
from stability.watching._step import Step, on_host, plan_of

if TYPE_CHECKING:
    from jaxtyping import PyTree, Shaped

LOG = logging.getLogger("stability.watch")
TOLERANCE = 16.0
AGAIN = 8.0
"""How many times worse than what was found to be right a leaf must be to be looked at again."""

SUSPICIONS = {
    **dict.fromkeys(("nan", "inf", "pole", "nan_input", "undefined", "undecided"), "not_finite"),
    "vanished": "vanished",
    **dict.fromkeys(("wrong_sign", "inaccurate", "flushed"), "inaccurate"),
}
"""The suspicion that a verdict confirms; what can't be decided by balls stays what wider floats say it is."""

TOLD_AS = {"nan_input": "undefined", "undecided": "nan"}


@dataclass(frozen=True)
class Found:
    """Something that went wrong in a watched step.

    **Attributes:**

    - `step` the number of the call, counted from 0; `leaf` the output as its path in the tree of outputs, `also` other
      leaves that the same equation spoils in the same way.
    - `kind` of `stability.measure.KINDS`, `undefined` where there is no value, or `nan_input` where the arguments of
      the step are not finite already; `count` how many elements of the leaf are of this kind, `error` of the worst, in
      ulps.
    - `culprit` the equation where it began, `None` where that is not known; `fix` what is known to help.
    """

    step: int
    leaf: str
    kind: str
    count: int
    error: float
    culprit: Row | None = None
    fix: str = ""
    also: tuple[str, ...] = ()

    def __str__(self) -> str:
        where = (self.leaf or "the result") + (f" and {len(self.also)} more leaves" if self.also else "")
        off = f", {self.error:.3g} ulps off" if math.isfinite(self.error) else ""
        many = f"{self.count} element{'s' if self.count > 1 else ''}{' of the first' if self.also else ''}"
        lines = [f"step {self.step}: {self.kind} in {where}, {many}{off}"]
        if self.kind == "nan_input":
            lines.append("  the arguments of this step are not finite already; it began in a step before")
        if self.culprit is not None:
            c = self.culprit
            lines.append(f"  at {c.primitive}, {c.kind.replace('_', ' ')} ({MEANINGS[c.kind]}), {c.source}")
        return "\n".join(lines)


class Failed(NamedTuple):
    """The arguments of the first step that failed, held by the host."""

    step: int
    args: tuple
    kwargs: dict[str, Any]


class Watched:
    """A step that is watched; called as the step is, it returns what the step returns.

    **Attributes:** `findings` what went wrong, in order; `failed` the arguments of the first step where anything did,
    else `None`; `history` what was seen of each output leaf; `calls` how many there were.
    """

    def __init__(self, step: Callable, every: int, tolerance: float):
        self.findings: list[Found] = []
        self.failed: Failed | None = None
        self.history = History(tolerance)
        self.calls = 0
        self._step = step if isinstance(step, jax.stages.Wrapped) else jax.jit(step)
        self._every = every
        self._tolerance = tolerance
        self._plans: dict[Any, Step] = {}
        self._bars: dict[tuple[str, str], float] = {}
        self._told: set[str] = set()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        number, self.calls = self.calls, self.calls + 1
        if number % self._every:
            return self._step(*args, **kwargs)
        kept = self._attempt(self._kept, args, kwargs)
        out = self._step(*args, **kwargs)
        if kept is not None:
            self._attempt(self._look, number, *kept, out)
        return out

    def beside(self, *args: Any, **kwargs: Any) -> jax.stages.Lowered:
        """What is run beside the step at these arguments; compiled, it tells what it needs of memory."""
        return plan_of(self._step, args, kwargs, self._plans).lowered(args, kwargs)

    def _attempt(self, look: Callable, *args: Any) -> Any:
        try:
            return look(*args)
        except Exception as error:
            self._tell_once(f"not watched: {type(error).__name__}: {str(error).partition(chr(10))[0]}")
            return None

    def _tell_once(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            LOG.warning(text)

    def _kept(self, args: tuple, kwargs: dict[str, Any]) -> tuple[Step, tuple, dict[str, Any]]:
        """The plan of the step, and its arguments as they stay when it has taken their buffers."""
        plan = plan_of(self._step, args, kwargs, self._plans)
        if plan.widest:
            self._tell_once("nothing is wider than float64: only what is not finite is watched")
        args, kwargs = plan.copied(args, kwargs)
        return plan, args, kwargs

    def _look(self, number: int, plan: Step, args: tuple, kwargs: dict[str, Any], out: Any) -> None:
        suspects: dict[str, dict[str, float]] = {}
        born = 0
        for seen in plan.seen(args, kwargs, out):
            self.history.of(seen.leaf).add(number, seen.error, seen.vanished, seen.not_finite)
            worse = {k: v for k, v in seen.measures().items() if v > self._bar(seen.leaf, k)}
            if worse:
                suspects[seen.leaf] = worse
                born += seen.born
        if not suspects:
            return
        before = plan.arguments(args, kwargs)
        if not born and all("not_finite" in s for s in suspects.values()) and not _all_finite(before):
            found = [Found(number, leaf, "nan_input", int(s["not_finite"]), math.nan) for leaf, s in suspects.items()]
        else:
            found = self._confirmed(number, plan, args, kwargs, out, suspects)
        self._judge(suspects, found)
        if found and self.failed is None:
            self.failed = Failed(number, *on_host((args, kwargs)))
        for each in _merged(found):
            self.findings.append(each)
            kept = self.failed is not None and self.failed.step == number
            more = "\n  diagnose(step, *watched.failed.args, **watched.failed.kwargs) tells more" if kept else ""
            LOG.warning(f"{each}{more}")

    def _bar(self, leaf: str, suspicion: str) -> float:
        return self._bars.get((leaf, suspicion), self._tolerance if suspicion == "inaccurate" else 0.0)

    def _confirmed(
        self,
        number: int,
        plan: Step,
        args: tuple,
        kwargs: dict[str, Any],
        out: Any,
        suspects: dict[str, dict[str, float]],
    ) -> list[Found]:
        """What the screen of a diagnosis says of the suspicions, and the equations to blame."""
        tolerance = self._tolerance * plan.coarser
        bad, diagnosis = screened(self._step, args, kwargs, jax.tree.leaves(out), tolerance)
        guilty: dict[tuple[str, str], Judged] = {}
        for leaf, j in bad:
            if SUSPICIONS.get(j.kind, "") in suspects.get(leaf, ()):
                guilty.setdefault((leaf, SUSPICIONS[j.kind]), j)
        findings = diagnosis().findings if guilty else ()
        found = []
        for (leaf, suspicion), j in guilty.items():
            same = (f for f in findings if SUSPICIONS.get(f.kind) == suspicion and leaf in (f.leaf, *f.also))
            first = next(same, None)
            kind = j.kind if first is None else first.kind
            count = int(suspects[leaf][suspicion]) if suspicion == "not_finite" else j.many
            culprit, fix = (None, "") if first is None else (first.culprit, first.fix)
            found.append(Found(number, leaf, TOLD_AS.get(kind, kind), count, j.error, culprit, fix))
        return found

    def _judge(self, suspects: dict[str, dict[str, float]], found: Sequence[Found]) -> None:
        """What was found is not looked for again, and what was not, where it is much worse."""
        guilty = {(f.leaf, SUSPICIONS[f.kind]) for f in found}
        for leaf, worse in suspects.items():
            for suspicion, value in worse.items():
                self._bars[leaf, suspicion] = math.inf if (leaf, suspicion) in guilty else AGAIN * value


def _all_finite(leaves: Sequence[Any]) -> bool:
    return all(bool(jnp.isfinite(x).all()) for x in leaves if hasattr(x, "dtype") and reals.is_inexact(x))


def _merged(found: Sequence[Found]) -> list[Found]:
    """Those of one kind with one culprit as one."""
    first: dict[Any, Found] = {}
    for f in found:
        key = (f.kind, f.culprit and (f.culprit.source, f.culprit.primitive))
        first[key] = replace(first[key], also=(*first[key].also, f.leaf)) if key in first else f
    return list(first.values())


def watch(step: Callable[..., PyTree[Shaped[Array, "*_"]]], every: int = 1, tolerance: float = TOLERANCE) -> Watched:
    """A training step that is looked at as it runs: NaN, zeros that are none and lost digits, with the line to blame.

    Beside the step the same program is run in float64, under `jit` as well, with the decisions (comparisons, branches,
    sorting) that the floats make, and the outputs are compared. Where a leaf looks wrong, the screen of `diagnose`
    decides, so that what only looks so is not told; where it is wrong, that is logged as a warning by the logger
    `stability.watch`, once a leaf and kind. This differs from `jax_debug_nans` in that it looks at the jitted step
    itself, says nothing of a NaN that no output has, and sees digits and zeros too. Nothing is raised by watching.

    **Arguments:**

    - `step` any function that can be jitted, or a jitted one, which may take the buffers of its arguments.
    - `every` how many calls are from one that is watched to the next.
    - `tolerance` in ulps of the largest element of a leaf, beyond which it is looked at, and then in those of the terms
      that its elements were added from; of the coarsest format that the step computes in.

    **Returns:** a callable with the outputs of the jitted step, bit for bit. Its `findings` are what went wrong;
    `failed` the arguments of the first step where anything did, with `args` and `kwargs` for `diagnose`; `history` what
    was seen, with `as_json`, `from_json` and `plot(path)`.

    **Raises:** `ValueError` where `every` is less than 1.

    ```python
    import jax
    import jax.numpy as jnp
    from stability import watch

    def loss(w, x):
        return jnp.mean(jnp.log(1 - jax.nn.sigmoid(x @ w)))

    watched = watch(jax.grad(loss))
    watched(jnp.ones(2, jnp.float32), jnp.float32([[1, 2], [9, 9]]))
    (found,) = watched.findings
    assert found.kind == "nan" and found.culprit.primitive == "sub"
    ```
    """
    if every < 1:
        raise ValueError(f"every={every}: watch every call (1), or every so many")
    return Watched(step, every, tolerance)
