"""A training loop watched: beside each step the same program in wider floats, and findings where they part."""

from stability.watching._history import History, Series
from stability.watching._watched import Failed, Found, Watched, watch

__all__ = ["Failed", "Found", "History", "Series", "Watched", "watch"]
