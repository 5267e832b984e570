"""Functions of `jax.nn` and `jax.numpy` whose values and derivatives keep their digits.

Each has the signature of its namesake, and is differentiated any number of times in any way. What the namesakes lose,
and what is true of these, tells the docstring of each.
"""

__all__: list[str] = []
