"""Complex numbers: pairs of real ones, and the functions of them.

A function of real numbers takes complex ones where `COMPLEX` names what it is there. What is written in such functions
(sums, dot products, eliminations, convolutions) serves both. A real number among complex ones is a 0, a 1, or a factor,
or it has no value.

On the branch cut of a logarithm the side is that of the zero's sign, of a root that of a positive zero (what a library
makes of a negative one differs); where the zero was computed and has none, the part that jumps is undecided.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import jax.numpy as jnp
import numpy as np
from flint import arb, fmpq

from stability.real import angles, logic, scalars, steps
from stability.real._near import flat
from stability.real._series import whole
from stability.real.arrays import as_array, bare, elementwise
from stability.real.function import Complex, Function, add, div, mul, neg, sub
from stability.real.values import ONE, POSITIVE_ZERO, UNDECIDED, ZERO, Undefined, array, sign_of_zero

NOTHING = POSITIVE_ZERO


def is_complex(aval) -> bool:
    return jnp.issubdtype(aval.dtype, np.complexfloating)


def re(z):
    return z.re if isinstance(z, Complex) else z


def im(z):
    """The imaginary part; what is chosen as zero, or has no value, is so in both parts."""
    return z.im if isinstance(z, Complex) else z if z is ZERO or isinstance(z, Undefined) else NOTHING


def embedded(x) -> Complex:
    """A real number as a complex one."""
    return Complex(x, im(x))


def conj(z):
    return Complex(z.re, neg(z.im)) if isinstance(z, Complex) else z


def each(f: Callable) -> Callable:
    """A function of the parts one by one."""
    return lambda *args: Complex(f(*map(re, args)), f(*map(im, args)))


def complex_mul(x, y):
    if not (isinstance(x, Complex) and isinstance(y, Complex)):
        z, factor = (x, y) if isinstance(x, Complex) else (y, x)
        return Complex(mul(z.re, factor), mul(z.im, factor))
    real = sub(mul(x.re, y.re), mul(x.im, y.im))
    return Complex(real, add(mul(x.re, y.im), mul(x.im, y.re)))


def complex_div(x, y):
    if not isinstance(y, Complex):
        return Complex(div(x.re, y), div(x.im, y))
    if equal(y, NOTHING) is True:
        kind = {True: "zero_over_zero", False: "pole"}.get(equal(x, NOTHING), "undecided")
        return Complex(Undefined(kind), Undefined(kind))
    whole, size = mul(x, conj(y)), size_squared(y)
    return Complex(div(re(whole), size), div(im(whole), size))


def magnitude(z) -> arb:
    """The absolute value of a finite number, an exact number close to it."""
    if not isinstance(z, Complex):
        return arb(abs(flat(z)).mid())
    x, y = (arb(flat(part).mid()) for part in (z.re, z.im))
    return arb((x * x + y * y).sqrt().mid())


def size_squared(z):
    return add(scalars.square(re(z)), scalars.square(im(z)))


def size(z):
    if not isinstance(z, Complex):
        return scalars.absolute(z)
    return scalars.sqrt(size_squared(z))


def direction(z):
    """`z / |z|`, and 0 at 0."""
    return NOTHING if equal(z, NOTHING) is True else div(z, size(z))


def exp(z):
    factor = scalars.exp(z.re)
    return Complex(mul(factor, scalars.cos(z.im)), mul(factor, scalars.sin(z.im)))


def holds(name: str, x, y) -> bool:
    """Whether a comparison is decided and true."""
    return steps.COMPARISONS[name](x, y) is True


def angle(z):
    """The argument of a complex number."""
    return angles.atan2(z.im, z.re)


def log(z):
    return Complex(scalars.log(size(z)), angle(z))


def sqrt(z):
    if equal(z, NOTHING) is True:
        return Complex(NOTHING, NOTHING)
    side = steps.COMPARISONS["ge"](z.im, NOTHING)
    if holds("lt", z.re, NOTHING):
        root = scalars.sqrt(div(sub(size(z), z.re), arb(2)))
        real = div(scalars.absolute(z.im), mul(arb(2), root))
        if holds("eq", z.im, NOTHING):
            side = True if sign_of_zero(z.im) == 1 else UNDECIDED
        return Complex(real, UNDECIDED if isinstance(side, Undefined) else root if side else neg(root))
    root = scalars.sqrt(div(add(size(z), z.re), arb(2)))
    return Complex(root, div(z.im, mul(arb(2), root)))


def sin(z):
    return Complex(
        mul(scalars.sin(z.re), scalars.cosh(z.im)),
        mul(scalars.cos(z.re), scalars.sinh(z.im)),
    )


def cos(z):
    return Complex(
        mul(scalars.cos(z.re), scalars.cosh(z.im)),
        neg(mul(scalars.sin(z.re), scalars.sinh(z.im))),
    )


def sinh(z):
    return Complex(
        mul(scalars.sinh(z.re), scalars.cos(z.im)),
        mul(scalars.cosh(z.re), scalars.sin(z.im)),
    )


def cosh(z):
    return Complex(
        mul(scalars.cosh(z.re), scalars.cos(z.im)),
        mul(scalars.sinh(z.re), scalars.sin(z.im)),
    )


def equal(x, y):
    return logic.logical_and(*(steps.COMPARISONS["eq"](f(x), f(y)) for f in (re, im)))


def integer_pow(y: int) -> Callable:
    """A whole power, by products."""

    def rule(z):
        out = reduce(mul, itertools.repeat(z, abs(y)), ONE)
        return out if y >= 0 else div(ONE, out)

    return rule


def power(x, y):
    """`exp(y log x)`, and products where the exponent is a whole number."""
    n = re(y)
    if holds("eq", im(y), NOTHING) and isinstance(n, arb) and n.is_exact() and n.is_integer() and abs(n) < 1 << 10:
        return integer_pow(whole(n))(x)
    return scalars.exp(mul(y, scalars.log(x if isinstance(x, Complex) else Complex(x, NOTHING))))


COMPLEX: dict[Function, Callable] = {
    scalars.add: each(add),
    scalars.mul: complex_mul,
    scalars.neg: each(neg),
    scalars.div: complex_div,
    scalars.square: lambda z: mul(z, z),
    scalars.absolute: size,
    steps.sign: direction,
    scalars.exp: exp,
    scalars.expm1: lambda z: sub(exp(z), ONE),
    scalars.exp2: lambda z: exp(mul(z, arb.const_log2())),
    scalars.log: log,
    scalars.log1p: lambda z: log(add(ONE, z)),
    scalars.log2: lambda z: div(log(z), arb.const_log2()),
    scalars.logistic: lambda z: div(ONE, add(ONE, exp(neg(z)))),
    scalars.sqrt: sqrt,
    scalars.rsqrt: lambda z: div(ONE, sqrt(z)),
    scalars.sin: sin,
    scalars.cos: cos,
    scalars.tan: lambda z: div(sin(z), cos(z)),
    scalars.sinh: sinh,
    scalars.cosh: cosh,
    scalars.tanh: lambda z: div(sinh(z), cosh(z)),
    steps.COMPARISONS["eq"]: equal,
    steps.COMPARISONS["ne"]: lambda x, y: logic.logical_not(equal(x, y)),
}
"""What a function of real numbers is of complex ones. Any other is undecided there."""

for _function, _text in COMPLEX.items():
    _function.complex = _text


def root_of_unity(k: int, n: int) -> Complex:
    """`exp(2πi k/n)`, exact where its parts are."""
    turn = fmpq(2 * k % (2 * n), n)
    return Complex(arb.cos_pi_fmpq(turn), arb.sin_pi_fmpq(turn))


def transformed(x: np.ndarray, axis: int, sign: int) -> np.ndarray:
    """`Σ_j x_j exp(± 2πi jk/n)` along an axis."""
    rows, n = np.moveaxis(x, axis, -1), x.shape[axis]
    roots = [root_of_unity(sign * k, n) for k in range(n)]
    out = np.empty(rows.shape, object)
    for index in np.ndindex(rows.shape[:-1]):
        row = rows[index]
        out[index] = array([reduce(add, (mul(v, roots[j * k % n]) for j, v in enumerate(row))) for k in range(n)], (n,))
    return np.moveaxis(out, -1, axis)


def scaled(x: np.ndarray, n: int):
    return elementwise(lambda v: div(v, arb(n)))(x)


def real_from_half(x: np.ndarray, n: int) -> np.ndarray:
    """The real row of which `x` is the first half of the transform, the last axis of length `n`."""
    rest = [elementwise(conj)(x[..., n - k]) for k in range(x.shape[-1], n)]
    whole = np.stack([elementwise(re)(x[..., 0]), *(x[..., k] for k in range(1, x.shape[-1])), *rest], -1)
    return as_array(elementwise(re)(transformed(whole[..., :n], -1, 1)))


def fft(eqn, values: Sequence[Any]) -> list:
    """The discrete Fourier transform over the last axes, by its definition; the inverse one divides by their size."""
    kind, lengths = eqn.params["fft_type"].name, eqn.params["fft_lengths"]
    x, axes = as_array(values[0]), range(-len(lengths), 0)
    if 0 in eqn.outvars[0].aval.shape:
        return [np.empty(eqn.outvars[0].aval.shape, object)]
    if kind == "RFFT":
        x = transformed(x, -1, -1)[..., : lengths[-1] // 2 + 1]
        axes = range(-len(lengths), -1)
    sign = 1 if kind in ("IFFT", "IRFFT") else -1
    for axis in axes if kind != "IRFFT" else range(-len(lengths), -1):
        x = transformed(x, axis, sign)
    if kind == "IRFFT":
        x = real_from_half(x, lengths[-1])
    return [bare(x if sign < 0 else scaled(x, math.prod(lengths)))]


PARTS: dict[str, Callable] = {
    "real": re,
    "imag": im,
    "conj": conj,
    "complex": Complex,
}
"""Elementwise functions of complex numbers or giving such, by the primitive's name."""
