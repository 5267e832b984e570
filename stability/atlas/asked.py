"""What is asked of a derivative of a function: its programs by each rule and way, and their true values, of which each
is computed once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from stability import real
from stability.atlas import refusals
from stability.atlas.functions import public_function
from stability.atlas.records import Place, Row, Settings, Task, joined
from stability.atlas.rules import DEFAULT, HIGHEST_NAME, OURS, rules_of
from stability.atlas.threads import threads_of
from stability.atlas.ways import LOOP_MODES, MODES, WAYS, Mode, Scalar, is_looping, same_as
from stability.formats import FORMATS, from_ordinal, to_ordinal
from stability.measure.bisection import absent
from stability.study.loading import first_line
from stability.sweep.points import grid
from stability.truth import Truth, concatenated

SEED = 0


class Known:
    """True values at ordinals, each of them asked for once."""

    def __init__(self, ask: Callable[[np.ndarray], Truth]):
        self.ask = ask
        self.ordinals: np.ndarray = np.zeros(0, np.int64)
        self.truth: Truth | None = None

    def __call__(self, ordinals: np.ndarray) -> Truth:
        new = absent(ordinals, self.ordinals)
        if len(new) or self.truth is None:
            found = self.ask(new)
            both = np.concatenate([self.ordinals, new])
            order = np.argsort(both)
            self.truth = (found if self.truth is None else concatenated([self.truth, found])).at(order)
            self.ordinals = both[order]
        return self.truth.at(np.searchsorted(self.ordinals, ordinals))


TRIED, RUNS = 256, 16
"""True values by which it is told how long all take, of a 16-bit format runs of neighbours."""


def orders_of(rule: str) -> tuple[int, ...]:
    """Which derivatives a rule makes; one that only replaces the derivative has the library's value."""
    return (0, 1, 2) if rule in (DEFAULT, HIGHEST_NAME, OURS) else (1, 2)


@dataclass(frozen=True)
class Asked:
    """A derivative of a function in a format.

    **Attributes:** `programs` by rule and way; `first` of each the one that is the same; `looping` those with loops;
    `ordinals` to begin with, `every` whether they are all there are; `truth_at` their true values.
    """

    task: Task
    order: int
    programs: dict[tuple[str, str], Scalar]
    first: dict[tuple[str, str], tuple[str, str]]
    looping: frozenset[tuple[str, str]]
    ordinals: np.ndarray
    every: bool
    truth_at: Known

    def modes(self, program: tuple[str, str]) -> dict[str, Mode]:
        """How a program is run."""
        return LOOP_MODES if self.first[program] in self.looping else MODES

    def places(self) -> Iterator[Place]:
        """What there are rows of."""
        for rule, way in self.programs:
            for mode in self.modes((rule, way)):
                yield Place(self.task.function, rule, self.order, self.task.dtype, ((way, mode),))


def ask(task: Task, order: int, settings: Settings) -> Asked | list[Row]:
    """What is asked of an order, or rows that say why nothing can be."""
    fmt, rules = FORMATS[task.dtype], rules_of(task.function)
    chosen = {rule: fn for rule, fn in rules.items() if order in orders_of(rule)}
    programs = {(rule, way): make(fn) for rule, fn in chosen.items() for way, make in WAYS[order].items()}
    if refused := _refused(task, order, programs):
        return refused

    fn, derivative = public_function(task.function).fn, real.Order(0, order) if order else None
    truth_at = Known(lambda some: real.truth(fn, from_ordinal(some, fmt), fmt=fmt, derivative=derivative))
    try:
        ordinals, every = starting(task, order, settings, truth_at)
        truth_at(ordinals)
    except Exception as error:
        told = refusals.why_not(fn, fmt) or refusals.HERE + first_line(error)
        ways = tuple((way, mode) for way in WAYS[order] for mode in MODES)
        return [Row(task.function, DEFAULT, order, task.dtype, ways, error=told)]
    first = same_as(programs, fmt)
    looping = frozenset(place for place in set(first.values()) if is_looping(programs[place], fmt))
    return Asked(task, order, programs, first, looping, ordinals, every, truth_at)


def _refused(task: Task, order: int, programs: dict[tuple[str, str], Scalar]) -> list[Row]:
    """Rows of a derivative that the library has by no rule and no way, for which no true value is asked; empty where
    it has it."""
    found = []
    for (rule, way), program in programs.items():
        why = refusals.why_not(program, FORMATS[task.dtype])
        if why is None:
            return []
        found += [Row(task.function, rule, order, task.dtype, ((way, mode),), error=why) for mode in MODES]
    return list(joined(found))


def starting(task: Task, order: int, settings: Settings, truth_at: Known) -> tuple[np.ndarray, bool]:
    """The ordinals that a task begins with, sorted, and whether they are all there are."""
    fmt = FORMATS[task.dtype]
    every = fmt.bits == 16
    points = [p for t in threads_of(task.function) if t.order == order for p in t.points]
    with np.errstate(over="ignore"):
        reported = to_ordinal(np.array(points, np.float64).astype(fmt.dtype))
    if every:
        ordinals = np.arange(-fmt.infinity - 1, fmt.infinity + 1)
    else:
        ordinals = np.union1d(grid(fmt, settings.points, SEED), reported)
    tried = _runs(ordinals, 2 ** (fmt.precision - 3)) if every else ordinals[:: max(len(ordinals) // TRIED, 1)]
    truth_at(tried[:2])
    apart = seconds = 0.0
    for some in (tried[:: len(tried) // 16], tried):
        begun = time.process_time()
        truth_at(some)
        seconds = (time.process_time() - begun) * len(ordinals) / len(some)
        apart = max(apart, seconds)
        if seconds * len(tried) > settings.seconds * len(ordinals):
            break
    if seconds <= settings.seconds:
        return ordinals, every
    fewer = ordinals[:: int(np.ceil(apart / settings.seconds))]
    return np.union1d(np.union1d(fewer, reported), [-fmt.infinity - 1, -1, 0, fmt.infinity]), False


def _runs(ordinals: np.ndarray, length: int) -> np.ndarray:
    """Some of all ordinals, in runs, as the true values of neighbours cost less than those of as many others."""
    begins = np.arange(0, len(ordinals) - length, (len(ordinals) - length) // RUNS) // length * length
    return ordinals[(begins[:, None] + np.arange(length)).ravel()]
