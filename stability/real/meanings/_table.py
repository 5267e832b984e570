"""What the named functions of the libraries mean: by the file of JAX's package that defines one, and its name there.

A function that is not here means what its equations say: they are exact, or the name leaves the meaning open, as that
of `gelu` does, which is `x Φ(x)` for `approximate=False` and read by its letter else. So do those that are known by
nothing but what they are called, and approximate: `bessel_jn`, `sph_harm_y`, `bernoulli`, `poisson.entropy`, `wofz`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.nn
import jax.numpy as jnp
import jax.scipy.special as special
from flint import arb
from jax.extend.core import Primitive
from jax.scipy.stats import cauchy

from stability.real import logic
from stability.real.function import Function
from stability.real.meanings import _bessel as bessel
from stability.real.meanings import _elementary as elementary
from stability.real.meanings import _error as error
from stability.real.meanings import _gamma as gamma
from stability.real.meanings import _hypergeometric as hypergeometric
from stability.real.meanings import _incomplete as incomplete
from stability.real.meanings import _integrals as integrals
from stability.real.meanings._text import neg

MEANING = Primitive("meaning")
"""What replaces the equations of a named function, or a constant in them: `functions`, one an output, are its meaning;
`named` the name of the function."""
MEANING.multiple_results = True


class Named(NamedTuple):
    """What a named function of `arity` arguments means, one `Function` an output.

    `fn` is the function itself, where the name and the file are not enough to know a call as its own.
    """

    functions: tuple[Callable[..., Any], ...]
    arity: int = 1
    fn: Callable[..., Any] | None = None


class Constant(NamedTuple):
    """A constant that a library writes as a float; `named` the function, where no frame of it is left."""

    approximate: float
    exact: Callable[[], arb]
    named: str = ""


def _one(function: Callable[..., Any], arity: int = 1, fn: Callable[..., Any] | None = None) -> Named:
    return Named((function,), arity, fn)


UFUNCS, NUMPY, NN, SPECIAL, OTHER, CAUCHY = (
    "numpy/ufuncs.py",
    "numpy/lax_numpy.py",
    "nn/functions.py",
    "scipy/special.py",
    "lax/other.py",
    "scipy/stats/cauchy.py",
)

INLINED = ("", "inlined")
"""What stands for the frame of a function of JAX that is inlined: `log10`, `deg2rad`, `rad2deg`."""

CALLS: dict[tuple[str, str], Named] = {
    (NUMPY, "fmax"): _one(elementary.fmax, 2, jnp.fmax),
    (NUMPY, "fmin"): _one(elementary.fmin, 2, jnp.fmin),
    (UFUNCS, "frexp"): Named((logic.mantissa, logic.exponent), fn=jnp.frexp),
    (UFUNCS, "ldexp"): _one(logic.ldexp, 2, jnp.ldexp),
    (UFUNCS, "signbit"): _one(logic.signbit, fn=jnp.signbit),
    (UFUNCS, "sinc"): _one(integrals.sinc_pi, fn=jnp.sinc),
    (NUMPY, "i0"): _one(bessel.i0, fn=jnp.i0),
    (NUMPY, "i0_impl"): _one(bessel.i0),
    (NUMPY, "_i1"): _one(bessel.i1),
    (OTHER, "logaddexp"): _one(elementary.logaddexp, 2),
    (OTHER, "logaddexp2"): _one(elementary.logaddexp2, 2),
    (NN, "silu"): _one(elementary.silu, fn=jax.nn.silu),
    (NN, "mish"): _one(elementary.mish, fn=jax.nn.mish),
    (NN, "soft_sign"): _one(elementary.soft_sign, fn=jax.nn.soft_sign),
    (SPECIAL, "_dawsn"): _one(error.dawsn),
    (SPECIAL, "_erfcinv"): _one(error.erfcinv),
    (SPECIAL, "_erfcx"): _one(error.erfcx),
    (SPECIAL, "_expn"): _one(integrals.expn, 2),
    (SPECIAL, "_ndtri"): _one(error.ndtri),
    (SPECIAL, "_owens_t_impl"): _one(error.owens_t, 2),
    (SPECIAL, "expi"): _one(integrals.expi),
    (SPECIAL, "expn"): _one(integrals.expn, 2),
    (SPECIAL, "gammasgn"): _one(gamma.gammasgn, fn=special.gammasgn),
    (SPECIAL, "hyp1f1"): _one(hypergeometric.hyp1f1, 3),
    (SPECIAL, "hyp2f1"): _one(hypergeometric.hyp2f1, 4),
    (SPECIAL, "log_ndtr"): _one(error.log_ndtr),
    (SPECIAL, "poch"): _one(gamma.poch, 2),
    (SPECIAL, "sici"): Named((integrals.si, integrals.ci)),
    (SPECIAL, "zeta"): _one(gamma.zeta, 2),
    ("third_party/scipy/special.py", "fresnel"): Named((integrals.fresnel_s, integrals.fresnel_c)),
}
"""Functions that are calls of their own."""


def _exact_gelu(x):
    return jax.nn.gelu(x, approximate=False)


INLINE: dict[tuple[str, str], tuple[Named, ...]] = {
    (CAUCHY, "cdf"): (_one(elementary.located(elementary.cauchy), 3, cauchy.cdf),),
    (CAUCHY, "ppf"): (_one(elementary.scaled(elementary.cauchy_quantile), 3, cauchy.ppf),),
    (CAUCHY, "isf"): (_one(elementary.scaled(lambda q: neg(elementary.cauchy_quantile(q))), 3, cauchy.isf),),
    INLINED: (_one(elementary.log10, fn=jnp.log10),),
    (NN, "gelu"): (_one(error.gelu, fn=_exact_gelu),),
    (SPECIAL, "beta"): (_one(gamma.beta, 2, special.beta),),
    (SPECIAL, "betaln"): (_one(gamma.betaln, 2, special.betaln),),
    (SPECIAL, "boxcox"): (_one(hypergeometric.boxcox, 2, special.boxcox),),
    (SPECIAL, "boxcox1p"): (_one(hypergeometric.boxcox1p, 2, special.boxcox1p),),
    (SPECIAL, "gamma"): (_one(gamma.gamma, fn=special.gamma),),
    (SPECIAL, "i0"): (_one(bessel.i0, fn=special.i0),),
    (SPECIAL, "i1"): (_one(bessel.i1, fn=special.i1),),
    (SPECIAL, "ndtr"): (_one(error.ndtr, fn=special.ndtr),),
    (SPECIAL, "ndtri"): (_one(error.ndtri, fn=special.ndtri),),
    (SPECIAL, "spence"): (_one(integrals.spence, fn=special.spence),),
}
"""Functions whose equations stand among the program's, by the frame in their traceback."""

_PI = Constant(math.pi, arb.pi)
_TWO_PI = Constant(2 * math.pi, lambda: 2 * arb.pi())
_SELU_ALPHA = Constant(1.6732632423543772, lambda: arb("1.6732632423543772848170429916717"))
_SELU_SCALE = Constant(1.0507009873554805, lambda: arb("1.0507009873554804934193349852946"))

CONSTANTS: dict[tuple[str, str, str], tuple[Constant, ...]] = {
    (*INLINED, "mul"): (
        Constant(math.pi / 180, lambda: arb.pi() / 180, "deg2rad"),
        Constant(180 / math.pi, lambda: 180 / arb.pi(), "rad2deg"),
    ),
    (NN, "selu", "jit"): (_SELU_ALPHA,),
    (NN, "selu", "mul"): (_SELU_SCALE,),
    (SPECIAL, "multigammaln", "log"): (_PI,),
    (CAUCHY, "logpdf", "mul"): (_PI,),
    ("scipy/stats/multivariate_normal.py", "logpdf", "log"): (_TWO_PI,),
    ("scipy/stats/norm.py", "logpdf", "mul"): (_TWO_PI,),
    ("scipy/stats/t.py", "logpdf", "mul"): (_PI,),
    ("scipy/stats/vonmises.py", "logpdf", "mul"): (_TWO_PI,),
    ("scipy/stats/vonmises.py", "logpdf", "sub"): (Constant(math.log(2 * math.pi), lambda: (2 * arb.pi()).log()),),
    ("scipy/stats/wrapcauchy.py", "logpdf", "log"): (_TWO_PI,),
}
"""By file, function and primitive: the constants that the floats in its equations stand for."""

PRIMITIVES: dict[str, Function] = {
    "bessel_i0e": bessel.i0e,
    "bessel_i1e": bessel.i1e,
    "digamma": gamma.digamma,
    "erf": error.erf,
    "erf_inv": error.erfinv,
    "erfc": error.erfc,
    "igamma": incomplete.gammainc,
    "igamma_grad_a": incomplete.gammainc_in_a,
    "igammac": incomplete.gammaincc,
    "lgamma": gamma.lgamma,
    "polygamma": gamma.polygamma,
    "regularized_incomplete_beta": incomplete.betainc,
    "zeta": gamma.zeta,
}
"""Primitives that are special functions."""
