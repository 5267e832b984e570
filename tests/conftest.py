"""What the whole suite needs: float64 in JAX, and property tests that are the same at every run."""

import jax
from hypothesis import settings

jax.config.update("jax_enable_x64", True)

settings.register_profile("stability", deadline=None, derandomize=True, max_examples=200)
settings.load_profile("stability")
