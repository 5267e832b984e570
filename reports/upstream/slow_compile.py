"""A program whose compilation by XLA on CPU takes time exponential in its length: python slow_compile.py [N ...]

It needs nothing but JAX. For each N it prints how many seconds the compilation of N steps took.
"""

import sys
import time

import jax
import jax.numpy as jnp
import jaxlib
from jax import lax


def program(x, steps):
    for _ in range(steps):
        high = lax.bitcast_convert_type(lax.bitcast_convert_type(x, jnp.int32) & -4096, jnp.float32)
        x = high - (x - high)
    return lax.max(x, jnp.full_like(x, -2))


if __name__ == "__main__":
    print(f"jax {jax.__version__}, jaxlib {jaxlib.__version__}", flush=True)
    for steps in map(int, sys.argv[1:] or range(12, 19)):
        start = time.perf_counter()
        jax.jit(program, static_argnums=1).lower(jnp.zeros(8, jnp.float32), steps).compile()
        print(f"{steps:3} steps: {time.perf_counter() - start:8.2f} s", flush=True)
