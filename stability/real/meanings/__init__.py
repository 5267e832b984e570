"""What named functions of JAX mean over the reals: the mathematical functions, and how a call of one is recognised."""

from stability.real.meanings._recognition import MEANING, meaning_of, meant
from stability.real.meanings._table import PRIMITIVES

__all__ = ["MEANING", "PRIMITIVES", "meaning_of", "meant"]
