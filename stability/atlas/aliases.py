"""Functions of several names: programs that are one and the same are measured once."""

from __future__ import annotations

from collections.abc import Iterable

import jax

from stability.atlas.functions import public_function
from stability.atlas.records import Row, Task
from stability.atlas.rules import rules_of
from stability.atlas.threads import threads_of
from stability.atlas.ways import WAYS, program_text
from stability.formats import FORMATS


def _programs(task: Task) -> tuple | None:
    """All that the rows of a task hang on but its name."""
    fn = public_function(task.function).fn
    with jax.enable_x64(task.dtype == "float64"):
        texts = [program_text(make(fn), FORMATS[task.dtype]) for ways in WAYS.values() for make in ways.values()]
    if None in texts:
        return None
    reported = tuple(sorted((t.order, t.dtype, t.points) for t in threads_of(task.function)))
    return (*texts, task.dtype, tuple(rules_of(task.function)), reported)


def same_programs(tasks: Iterable[Task]) -> dict[Task, Task]:
    """By task the one that is measured in its place, which is itself where no earlier one has the same programs."""
    found = {task: task for task in tasks}
    by_value: dict[str | None, list[str]] = {}
    for name in dict.fromkeys(task.function for task in found):
        by_value.setdefault(program_text(public_function(name).fn, FORMATS["float32"]), []).append(name)
    alike = {name for text, names in by_value.items() if text is not None and len(names) > 1 for name in names}
    first: dict[tuple, Task] = {}
    for task in found:
        if task.function in alike and (programs := _programs(task)) is not None:
            found[task] = first.setdefault(programs, task)
    return found


def under_name(row: Row, function: str) -> Row:
    """A row as that of another function."""
    return Row(**{**vars(row), "function": function})
