"""Which equation of a program lost the digits: floats and reals side by side, and the walk back to the guilty one."""

from stability.diagnosis._blame import diagnose, screened
from stability.diagnosis._diagnosis import MEANINGS, Diagnosis, Input, Row
from stability.diagnosis._screen import Judged

__all__ = ["MEANINGS", "Diagnosis", "Input", "Judged", "Row", "diagnose", "screened"]
