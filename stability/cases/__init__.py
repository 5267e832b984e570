"""Failures that were reported in public trackers: each reproduced, measured, diagnosed, and beside its fix.

A case is one decorated function in `masks`, `digits` or `ranges`; a citation is of a thread in a public tracker, the
code is reduced to the operation that the thread is about, one operation a line where that tells two of them apart.
"""

from stability.cases import digits, masks, ranges
from stability.cases._case import DECLARED, Case
from stability.cases.finding import Finding, examine
from stability.cases.page import page

CASES = tuple(DECLARED)

__all__ = ["CASES", "Case", "Finding", "digits", "examine", "masks", "page", "ranges"]
