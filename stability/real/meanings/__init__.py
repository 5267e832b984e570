"""What named functions of JAX mean over the reals: the mathematical functions."""

from stability.real.meanings._error import erfcx, log_ndtr

__all__ = ["erfcx", "log_ndtr"]
