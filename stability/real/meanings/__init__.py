"""What named functions of JAX mean over the reals: the mathematical functions."""
