"""What is swept: a study, declared or of a user's functions.

Each folder here that has a `STUDIES` is one, or several of a kind: forms, truth and domain together. A new study is a
new folder.
"""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass

from stability.study._study import Form, Quantity, Source, Study, study_of_source

__all__ = ["DEFAULT", "Declared", "Form", "Quantity", "Source", "Study", "declared", "study_of_source"]

DEFAULT = "sigmoid_bce"


def declared() -> dict[str, Study]:
    """The studies of the folders of this room by name, that of the course note first."""
    folders = [m.name for m in pkgutil.iter_modules(__path__) if m.ispkg]
    found = [study for name in folders for study in importlib.import_module(f"{__name__}.{name}").STUDIES]
    return {study.name: study for study in sorted(found, key=lambda s: s.name != DEFAULT)}


@dataclass(frozen=True)
class Declared:
    """A declared study by its name, as a `Source`."""

    name: str

    def __call__(self) -> Study:
        return declared()[self.name]
