"""Draws and writes what it is given: text, pictures, the page."""

from stability.report.writer import foreign, write

__all__ = ["foreign", "write"]
