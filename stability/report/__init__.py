"""Draws and writes what it is given: text, pictures, the page."""

from stability.report.writer import foreign, load_meanwhile, write

__all__ = ["foreign", "load_meanwhile", "write"]
