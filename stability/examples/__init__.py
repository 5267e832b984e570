"""Training steps on real libraries: each healthy, and with a failure as people reported it, which is diagnosed.

An example is one file, named in `NAMES`, whose `EXAMPLE` says what is planted and where it is to be found. The
libraries are those of the extra `examples`.
"""

from stability.examples._example import Example, load
from stability.examples.finding import Finding, examine
from stability.examples.page import page

NAMES = (
    *("perceptron", "transformer", "convolution", "recurrent"),
    *("gaussian_process", "ode", "adam", "ctc", "variational"),
)

__all__ = ["NAMES", "Example", "Finding", "examine", "load", "page"]
