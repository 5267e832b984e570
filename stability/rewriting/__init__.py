"""A JAX function that keeps its digits, made of one that loses them: `stabilize`.

The function is a term (`programs`, `terms`). Terms that equal it are found by rules (`identities`, `saturation`), by
algebra (`rational`) and, near it, by series (`series`); which of them keep their digits is measured (`sample`,
`extraction`), where each is used is decided (`regimes`, `settling`), and the outcome is written as text (`source`).
"""

from stability.rewriting.engine import stabilize
from stability.rewriting.programs import Unsupported
from stability.rewriting.saturation import Missing
from stability.rewriting.stabilized import Branch, Errors, Stabilized, Step

__all__ = ["Branch", "Errors", "Missing", "Stabilized", "Step", "Unsupported", "stabilize"]
