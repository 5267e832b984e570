"""Functions of `jax.nn` and `jax.numpy` whose values and derivatives keep their digits.

Each has the signature of its namesake, and is differentiated any number of times in any way. What the namesakes lose,
and what is true of these, tells the docstring of each.
"""

from stability.nn.algebraic import soft_sign as soft_sign
from stability.nn.algebraic import squareplus as squareplus
from stability.nn.exponential import celu as celu
from stability.nn.exponential import elu as elu
from stability.nn.exponential import expm1 as expm1
from stability.nn.exponential import log1p as log1p
from stability.nn.exponential import selu as selu
from stability.nn.gaussian import gelu as gelu
from stability.nn.logistic import log_sigmoid as log_sigmoid
from stability.nn.logistic import logaddexp as logaddexp
from stability.nn.logistic import mish as mish
from stability.nn.logistic import sigmoid as sigmoid
from stability.nn.logistic import silu as silu
from stability.nn.logistic import softplus as softplus
from stability.nn.logistic import swish as swish
from stability.nn.logistic import tanh as tanh
from stability.nn.reductions import log_softmax as log_softmax
from stability.nn.reductions import logsumexp as logsumexp
from stability.nn.reductions import softmax as softmax
from stability.nn.trigonometric import sinc as sinc
from stability.nn.vectors import cosine_distance as cosine_distance
from stability.nn.vectors import norm as norm

__all__ = [
    "celu",
    "cosine_distance",
    "elu",
    "expm1",
    "gelu",
    "log1p",
    "log_sigmoid",
    "log_softmax",
    "logaddexp",
    "logsumexp",
    "mish",
    "norm",
    "selu",
    "sigmoid",
    "silu",
    "sinc",
    "soft_sign",
    "softmax",
    "softplus",
    "squareplus",
    "swish",
    "tanh",
]
