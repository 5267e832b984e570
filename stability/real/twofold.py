"""Programs in pairs of float64: a number and what it is off by, whose exponents are independent of each other.

A pair `(h, l)` stands for `h + l`, with `h` the float64 nearest to it. Unlike one wider float, it does not lose what is
far below: `1 + 1e-30` is `(1, 1e-30)`, its logarithm `(1e-30, 0)`. Sums, products, quotients and roots keep what they
round off (O. Møller, T. J. Dekker); a function is `f(h) + f'(h) l`, and where it is near a number that it is not small
beside, as `exp` is near 1 at 0, its own rounding is kept by another formula (`exp(x) = 1 + expm1(x)`). No bound is
proven: these pairs say where to look, not what is true. (E. Latkin, "Twofold fast arithmetic", 2014.)
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.extend.core import ClosedJaxpr, Jaxpr

from stability.double_word import two_product, two_sum
from stability.real import arrays
from stability.real.records import moves, record_of
from stability.real.walk import Semantics, walk
from stability.real.wider import in_wider, widened

HALF_PI = (1.5707963267948966, 6.123233995736766e-17)


class Pair(NamedTuple):
    """Arrays of one shape, float64: numbers are `h + l`.

    **Attributes:** `lost` where they are infinite, 0 or NaN since the range of float64 was left on the way, or since
    all digits of rounded numbers cancelled; `rounded` where more than two words would be needed.
    """

    h: Any
    l: Any
    lost: Any = False
    rounded: Any = False


def normal(h: Any, l: Any) -> Pair:
    """A pair whose first is the float64 nearest to it; without a second where it is not finite."""
    s = h + l
    rest = l - (s - h)
    known = jnp.isfinite(s) & jnp.isfinite(rest)
    return Pair(jnp.where(known, s, jnp.where(jnp.isfinite(h), h + jnp.nan_to_num(l), h)), jnp.where(known, rest, 0.0))


def add(x: Pair, y: Pair) -> Pair:
    s, e = two_sum(x.h, y.h)
    return normal(s, e + (x.l + y.l))


def neg(x: Pair) -> Pair:
    return Pair(-x.h, -x.l)


def sub(x: Pair, y: Pair) -> Pair:
    return add(x, neg(y))


def mul(x: Pair, y: Pair) -> Pair:
    p, e = two_product(x.h, y.h)
    return normal(p, _finite(e) + (x.h * y.l + x.l * y.h))


def div(x: Pair, y: Pair) -> Pair:
    q = x.h / y.h
    p, e = two_product(q, y.h)
    return normal(q, ((x.h - p) - _finite(e) + (x.l - q * y.l)) / y.h)


def sqrt(x: Pair) -> Pair:
    q = jnp.sqrt(x.h)
    p, e = two_product(q, q)
    return normal(q, jnp.where(q > 0, ((x.h - p) - _finite(e) + x.l) / (2 * q), 0.0))


def square(x: Pair) -> Pair:
    return mul(x, x)


def absolute(x: Pair) -> Pair:
    return Pair(jnp.abs(x.h), jnp.where(x.h < 0, -x.l, x.l))


def power(x: Pair, n: int) -> Pair:
    """`x**n` by squaring."""
    if n < 0:
        return div(Pair(jnp.ones_like(x.h), jnp.zeros_like(x.h)), power(x, -n))
    result = Pair(jnp.ones_like(x.h), jnp.zeros_like(x.h))
    while n:
        result = mul(result, x) if n & 1 else result
        x, n = square(x) if n > 1 else x, n >> 1
    return result


def _finite(x: Any) -> Any:
    return jnp.where(jnp.isfinite(x), x, 0.0)


def less(x: Pair, y: Pair) -> Array:
    return (x.h < y.h) | ((x.h == y.h) & (x.l < y.l))


def same(x: Pair, y: Pair) -> Array:
    return (x.h == y.h) & (x.l == y.l)


def floor(x: Pair) -> Pair:
    f = jnp.floor(x.h)
    return Pair(jnp.where((f == x.h) & (x.l < 0), f - 1, f), jnp.zeros_like(f))


def beside(constant: tuple[float, float], rest: Callable, where: Callable) -> Callable:
    """A function that is a constant and a rest, where the rest is not large; its value and what that is off by."""

    def value(h: Array, plain: Array) -> tuple[Array, Array]:
        s, e = two_sum(jnp.full_like(h, constant[0]), rest(h))
        near = where(h)
        return jnp.where(near, s, plain), jnp.where(near, _finite(e) + constant[1], 0.0)

    return value


def series(*coefficients: float, odd: bool, bound: float) -> Callable:
    """An argument and what a function adds to it near 0: `x**3` times a polynomial in `x**2`, or `x**2` in `x`."""

    def rest(x: Array) -> Array:
        t = x * x if odd else x
        total = jnp.zeros_like(x)
        for c in reversed(coefficients):
            total = total * t + c
        return total * (x * x * x if odd else x * x)

    def value(h: Array, plain: Array) -> tuple[Array, Array]:
        s, e = two_sum(h, rest(h))
        near = (jnp.abs(h) < bound) & (jnp.abs(h) > 1e-150)
        return jnp.where(near, s, plain), jnp.where(near, e, 0.0)

    return value


def one_or_other(first: Callable, second: Callable, bound: float) -> Callable:
    """The first formula up to a size of the argument, the second beyond it."""

    def value(h: Array, plain: Array) -> tuple[Array, Array]:
        below = jnp.abs(h) < bound
        return jax.tree.map(functools.partial(jnp.where, below), first(h, plain), second(h, plain))

    return value


def _of_sign(value: Callable) -> Callable:
    """An odd function by its values from 0 up."""

    def both(h: Array, plain: Array) -> tuple[Array, Array]:
        v, e = value(jnp.abs(h), jnp.abs(plain))
        return jnp.copysign(v, plain), jnp.where(plain < 0, -e, e)

    return both


def _less_than(bound: float) -> Callable:
    return lambda h: jnp.abs(h) < bound


def _more_than(bound: float) -> Callable:
    return lambda h: h > bound


SMALL = 2.0**-7

ROUNDED: dict[str, Callable[[Array, Array], tuple[Array, Array]]] = {
    "exp": beside((1.0, 0.0), jnp.expm1, _less_than(0.5)),
    "exp2": beside((1.0, 0.0), lambda x: jnp.expm1(x * np.log(2)), _less_than(0.5)),
    "cos": beside((1.0, 0.0), lambda x: -2 * jnp.sin(x / 2) ** 2, _less_than(0.7)),
    "cosh": beside((1.0, 0.0), lambda x: 2 * jnp.sinh(x / 2) ** 2, _less_than(0.7)),
    "erfc": beside((1.0, 0.0), lambda x: -lax.erf(x), _less_than(0.5)),
    "acos": beside(HALF_PI, lambda x: -jnp.arcsin(x), _less_than(0.7)),
    "sin": series(-1 / 6, 1 / 120, -1 / 5040, 1 / 362880, odd=True, bound=SMALL),
    "sinh": series(1 / 6, 1 / 120, 1 / 5040, 1 / 362880, odd=True, bound=SMALL),
    "tan": series(1 / 3, 2 / 15, 17 / 315, 62 / 2835, 1382 / 155925, odd=True, bound=SMALL),
    "asin": series(1 / 6, 3 / 40, 15 / 336, 105 / 3456, 945 / 42240, odd=True, bound=SMALL),
    "asinh": series(-1 / 6, 3 / 40, -15 / 336, 105 / 3456, -945 / 42240, odd=True, bound=SMALL),
    "atanh": series(1 / 3, 1 / 5, 1 / 7, 1 / 9, 1 / 11, odd=True, bound=SMALL),
    "expm1": series(1 / 2, 1 / 6, 1 / 24, 1 / 120, 1 / 720, 1 / 5040, 1 / 40320, odd=False, bound=SMALL),
    "log1p": series(-1 / 2, 1 / 3, -1 / 4, 1 / 5, -1 / 6, 1 / 7, -1 / 8, 1 / 9, odd=False, bound=SMALL),
    "tanh": one_or_other(
        series(-1 / 3, 2 / 15, -17 / 315, 62 / 2835, -1382 / 155925, odd=True, bound=SMALL),
        _of_sign(beside((1.0, 0.0), lambda x: -2 / (1 + jnp.exp(2 * x)), _more_than(1))),
        1.0,
    ),
    "atan": one_or_other(
        series(-1 / 3, 1 / 5, -1 / 7, 1 / 9, -1 / 11, odd=True, bound=SMALL),
        _of_sign(beside(HALF_PI, lambda x: -jnp.arctan(1 / x), _more_than(1))),
        1.0,
    ),
    "erf": _of_sign(beside((1.0, 0.0), lambda x: -lax.erfc(x), _more_than(1))),
    "logistic": one_or_other(
        beside((0.5, 0.0), lambda x: jnp.tanh(x / 2) / 2, _less_than(1)),
        beside((1.0, 0.0), lambda x: -jax.nn.sigmoid(-x), _more_than(1)),
        1.0,
    ),
}
"""Functions of one number near numbers that they are not small beside: the value and what it is off by, from the
argument and the value that float64 gives."""

ARITHMETIC: dict[str, Callable[..., Pair]] = {
    "add": add,
    "add_any": add,
    "sub": sub,
    "mul": mul,
    "div": div,
    "neg": neg,
    "sqrt": sqrt,
    "square": square,
    "abs": absolute,
    "floor": floor,
    "ceil": lambda x: neg(floor(neg(x))),
    "sign": lambda x: Pair(jnp.sign(x.h), jnp.zeros_like(x.h)),
    "max": lambda x, y: _either(less(x, y) | jnp.isnan(y.h), y, x),
    "min": lambda x, y: _either(less(y, x) | jnp.isnan(y.h), y, x),
}

COMPARISONS: dict[str, Callable[[Pair, Pair], Array]] = {
    "lt": less,
    "gt": lambda x, y: less(y, x),
    "eq": same,
    "ne": lambda x, y: ~same(x, y),
    "le": lambda x, y: less(x, y) | same(x, y),
    "ge": lambda x, y: less(y, x) | same(x, y),
}


def _either(which: Array, yes: Pair, no: Pair) -> Pair:
    return Pair(jnp.where(which, yes.h, no.h), jnp.where(which, yes.l, no.l))


def _pow(x: Pair, y: Pair, plain: Array) -> tuple[Array, Array]:
    """`x**y` near 1."""
    t = y.h * jnp.log(x.h)
    s, e = two_sum(jnp.ones_like(plain), jnp.expm1(t))
    near = jnp.abs(t) < 0.5
    return jnp.where(near, s, plain), jnp.where(near, _finite(e), 0.0)


class Twofold(Semantics):
    """Arrays as pairs; integers, truth values and what is no number natively. Branches and loops as the pairs have
    them."""

    def literal(self, value, aval):
        return paired(jnp.asarray(value, aval.dtype))

    def constant(self, value, aval):
        return paired(value)

    def decided(self, value, what):
        return bool(value.any()) if value.shape else int(value)

    def row(self, value, i):
        return Pair(*(p[i] if jnp.shape(p) else p for p in value)) if isinstance(value, Pair) else value[i]

    def stacked(self, rows, aval):
        if not rows:
            return paired(jnp.zeros(aval.shape, aval.dtype))
        if isinstance(rows[0], Pair):
            return Pair(*(jnp.stack([jnp.broadcast_to(r[k], r.h.shape) for r in rows]) for k in range(4)))
        return jnp.stack(rows)

    def equation(self, eqn, values, source):
        pairs = [x for x in values if isinstance(x, Pair)]
        if not pairs:
            return list(map(paired, in_wider(eqn, values)))
        out = self.of(eqn, values, pairs)
        if eqn.primitive.name == "select_n":
            return out
        return [o._replace(**_flags(eqn, values, pairs, o)) if isinstance(o, Pair) else o for o in out]

    def of(self, eqn, values: Sequence[Any], pairs: Sequence[Pair]) -> list:
        """The outputs of an equation, but for what is lost."""
        name = eqn.primitive.name
        if name in ARITHMETIC and len(pairs) == len(values):
            return [ARITHMETIC[name](*pairs)]
        if name in COMPARISONS:
            return [COMPARISONS[name](*pairs)]
        if name == "integer_pow":
            return [power(pairs[0], eqn.params["y"])]
        if moves(record_of(eqn.primitive), eqn) or name in ("select_n", "copy", "reduce_precision"):
            if name == "select_n":
                return [_selected(values)]
            parts = [in_wider(eqn, [x[k] if isinstance(x, Pair) else x for x in values]) for k in (0, 1)]
            return [Pair(h, l) for h, l in zip(*parts, strict=True)]
        return smooth(eqn, values)


LEAVES_THE_RANGE = (
    *("exp", "exp2", "expm1", "sinh", "cosh", "erfc", "logistic", "mul", "square", "integer_pow", "pow", "div"),
    *("add", "sub"),
)
"""Primitives of which a result that is infinite, or 0, is so since the numbers are too large or too small."""


def _flags(eqn, values: Sequence[Any], pairs: Sequence[Pair], out: Pair) -> dict[str, Any]:
    """Where a result is no number, or 0, since float64 was not enough here or before; where it is rounded."""
    shape, name = out.h.shape, eqn.primitive.name
    extreme = ~jnp.isfinite(out.h) | (out.h == 0)
    if moves(record_of(eqn.primitive), eqn):
        return {flag: _moved(eqn, values, flag) for flag in ("lost", "rounded")}
    if any(p.h.shape not in ((), shape) for p in pairs):
        lost, rounded = (_any([jnp.any(jnp.asarray(getattr(p, f))) for p in pairs]) for f in ("lost", "rounded"))
        return {"lost": lost & extreme, "rounded": rounded}
    before, rounded = _any([p.lost for p in pairs]), _any([p.rounded for p in pairs])
    second = [p.l != 0 for p in pairs]
    if name in ("add", "sub", "add_any"):
        rounded |= functools.reduce(jnp.logical_and, second)
    elif name in ("mul", "square", "integer_pow"):
        rounded |= _any(second)
    elif name not in ("neg", "abs", "max", "min", "copy"):
        rounded |= True
    if name not in LEAVES_THE_RANGE:
        return {"lost": before & extreme, "rounded": rounded}
    finite = functools.reduce(jnp.logical_and, [jnp.isfinite(p.h) for p in pairs])
    nonzero = functools.reduce(jnp.logical_and, [(p.h != 0) for p in pairs])
    at_pole = ~nonzero if name in ("div", "pow", "integer_pow") else jnp.zeros_like(nonzero)
    born = finite & ~at_pole & ~jnp.isfinite(out.h)
    if name in ("add", "sub"):
        born |= (out.h == 0) & nonzero & rounded
    else:
        born |= finite & ~at_pole & (out.h == 0) & (nonzero | (name in ("exp", "exp2")))
    return {"lost": (before | born) & extreme, "rounded": rounded}


def _any(flags: Sequence[Any]) -> Array:
    return functools.reduce(jnp.logical_or, map(jnp.asarray, flags))


def _moved(eqn, values: Sequence[Any], flag: str) -> Array:
    flags = [jnp.broadcast_to(getattr(x, flag), x.h.shape) if isinstance(x, Pair) else x for x in values]
    return arrays.bound(eqn, flags)[0]


def smooth(eqn, values: Sequence[Any]) -> list:
    """`f(h) + f'(h) l`, with the rounding of `f(h)` where that is known."""
    heads = [x.h if isinstance(x, Pair) else x for x in values]
    where = [i for i, x in enumerate(values) if isinstance(x, Pair)]

    def of(*moved):
        given = list(heads)
        for i, x in zip(where, moved, strict=True):
            given[i] = x
        return in_wider(eqn, given)

    try:
        out, slopes = jax.jvp(of, [heads[i] for i in where], [values[i].l for i in where])
    except (TypeError, ValueError, NotImplementedError):
        return list(map(paired, in_wider(eqn, heads)))
    found = []
    for value, slope in zip(out, slopes, strict=True):
        if not jnp.issubdtype(value.dtype, np.floating):
            found.append(paired(value))
            continue
        rest = jnp.zeros_like(value)
        if eqn.primitive.name in ROUNDED:
            value, rest = ROUNDED[eqn.primitive.name](heads[0], value)
        elif eqn.primitive.name == "pow" and len(where) == 2:
            value, rest = _pow(values[0], values[1], value)
        found.append(normal(value, rest + _finite(slope)))
    return found


def _selected(values: Sequence[Any]) -> Pair:
    which, cases = values[0], values[1:]
    shape = cases[0].h.shape
    return Pair(*(lax.select_n(which, *(jnp.broadcast_to(jnp.asarray(c[k]), shape) for c in cases)) for k in range(4)))


def paired(x: Any) -> Any:
    """An array of floats as pairs; others as they are."""
    wide = widened(x)
    return Pair(wide, jnp.zeros_like(wide)) if wide.dtype == np.float64 else wide


def run_twofold(jaxpr: Jaxpr | ClosedJaxpr, args: Sequence[Any]) -> list:
    """The outputs of a jaxpr in pairs."""
    with jax.enable_x64(True):
        return walk(jaxpr, [paired(np.asarray(x)) for x in args], Twofold())
