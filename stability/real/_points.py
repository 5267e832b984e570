"""The true values of a scalar function over many points: the jaxpr compiled once, interpreted where that does not do.

A jaxpr of scalars is compiled to one straight-line Python function over balls. In it NaN stands for everything that
is not a number, and a finite result is an enclosure, since every NaN that matters reaches the result; where the
result is not finite, a comparison is open, or an argument is infinite, the interpreter decides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import flint
import jax
import numpy as np
from flint import arb
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal

from stability import truth as truths
from stability.floats import FloatFormat, widen
from stability.real import _scalars as scalars
from stability.real._evaluate import point_of
from stability.real._interpreter import aval, inlined, is_float, lift, opened, run, trace
from stability.real._near import flat
from stability.real._values import Undecided, Undefined, infinite, real
from stability.truth import FRACTION, Point, State, Truth, nearest_quanta

PRECISIONS = (128, 512, 2048, 4096)

METHODS = (
    *("exp", "expm1", "log", "log1p", "sqrt", "rsqrt", "sin", "cos", "tan", "asin", "acos", "atan"),
    *("sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "erf", "erfc", "digamma"),
)
TEXT = {
    "add": "{0} + {1}",
    "add_any": "{0} + {1}",
    "sub": "{0} - {1}",
    "mul": "{0} * {1}",
    "div": "{0} / {1}",
    "neg": "-{0}",
    "square": "{0} * {0}",
    "and": "{0} and {1}",
    "or": "{0} or {1}",
    "not": "not {0}",
    **{name: f"{{0}}.{name}()" for name in METHODS},
    **{name: "{0}" for name, rule in scalars.ELEMENTWISE.items() if rule is scalars.identity},
}
"""Primitives as Python source over balls. Every other one calls its rule."""


class Open(ArithmeticError):
    """The compiled function can't tell; the interpreter may."""


def _comparison(yes: Callable, no: Callable, same: bool) -> Callable:
    def compare(x, y) -> bool:
        if yes(x, y):
            return True
        if no(x, y):
            return False
        if x is y and x.is_finite():
            return same
        raise Open

    return compare


FAST = {name: _comparison(*order) for name, order in scalars.ORDERS.items()}


def _strict(rule: Callable) -> Callable:
    def checked(*values):
        if any(isinstance(v, arb) and not v.is_finite() for v in values):
            raise Open
        out = flat(rule(*values))
        if isinstance(out, Undefined):
            raise Open
        return out

    return checked


def compiled(jaxpr: ClosedJaxpr, fixed: dict[int, Any]) -> Callable[[arb], arb] | None:
    """The straight-line function of one ball, or `None` where the jaxpr is more than floats and truth values, each of
    shape (), and calls. `fixed` holds the other arguments by position."""
    lines: list[str] = []
    names: dict[str, Any] = {"one": arb(1), "zero": arb(0)}

    def constant(value) -> str:
        name = f"c{len(names)}"
        names[name] = value
        return name

    def emit(jaxpr: Jaxpr | ClosedJaxpr, args: Sequence[str]) -> list[str] | None:
        jaxpr, consts = opened(jaxpr)
        env = dict(zip(jaxpr.invars, args, strict=True))
        env.update((v, constant(lift(c, aval(v).dtype))) for v, c in zip(jaxpr.constvars, consts, strict=True))

        def read(v) -> str:
            return constant(lift(v.val, aval(v).dtype)) if isinstance(v, Literal) else env[v]

        for eqn in jaxpr.eqns:
            if any(
                aval(v).shape or not (is_float(aval(v)) or aval(v).dtype == bool) for v in (*eqn.invars, *eqn.outvars)
            ):
                return None
            inputs, inner = [read(v) for v in eqn.invars], inlined(eqn)
            if inner is not None:
                results = emit(inner, inputs)
                if results is None:
                    return None
                env.update(zip(eqn.outvars, results, strict=True))
                continue
            text = expression(eqn, inputs)
            if text is None:
                return None
            name = f"v{len(lines)}"
            lines.append(f"    {name} = {text}")
            env[eqn.outvars[0]] = name
        return [read(v) for v in jaxpr.outvars]

    def expression(eqn, inputs: list[str]) -> str | None:
        name = eqn.primitive.name
        if name in FAST and is_float(eqn.invars[0].aval):
            return f"{constant(FAST[name])}({', '.join(inputs)})"
        if name == "select_n" and len(inputs) == 3:
            return f"{inputs[2]} if {inputs[0]} else {inputs[1]}"
        if name == "convert_element_type" and is_float(eqn.outvars[0].aval):
            return inputs[0] if is_float(eqn.invars[0].aval) else f"one if {inputs[0]} else zero"
        if name in ("broadcast_in_dim", "reshape", "reduce_sum", "squeeze", "reduce_max", "reduce_min", "reduce_prod"):
            return inputs[0]
        if name in TEXT:
            return TEXT[name].format(*inputs)
        rule = scalars.ELEMENTWISE.get(name)
        if name in scalars.PARAMETRIC:
            rule = scalars.PARAMETRIC[name](eqn.params)
        return None if rule is None else f"{constant(_strict(rule))}({', '.join(inputs)})"

    invars = jaxpr.jaxpr.invars
    args = [constant(lift(fixed[i], v.aval.dtype)) if i in fixed else "z" for i, v in enumerate(invars)]
    if any(v.aval.shape or not is_float(v.aval) for v in invars):
        return None
    results = emit(jaxpr, args)
    if results is None or any(isinstance(v, Undefined) or (isinstance(v, arb) and infinite(v)) for v in names.values()):
        return None
    exec("\n".join(["def point(z):", *lines, f"    return {results[0]}"]), names)
    return names["point"]


def truth(fn: Callable, z: np.ndarray, *, argnum: int = 0, args: Sequence[Any] = (), fmt: FloatFormat) -> Truth:
    """The true values of a scalar function over the floats `z`, its other arguments fixed.

    **Arguments:** `fn` a function of scalars that returns one float of shape (); `z` of shape `(n,)`, in any format,
    infinities and NaN included, taken at face value as argument number `argnum`; `args` the other arguments in order
    (a Python float in the dtype of `z`); `fmt` the format to round to.

    **Returns:** a `stability.truth.Truth`. Its numbers have a proven rounding, and their `fraction` is within 2**-24. A
    value that is a power of two as far as 128 bits can tell has the ulp of that power, though it may be just below.

    **Raises:** `UnsupportedPrimitive`; `ValueError` where `fn` returns anything but one float of shape ().
    """
    z = np.asarray(z)
    others = [np.asarray(a, z.dtype) if isinstance(a, float) else np.asarray(a) for a in args]
    fixed = {i + (i >= argnum): a for i, a in enumerate(others)}
    full = [fixed[i] if i in fixed else np.zeros((), z.dtype) for i in range(len(others) + 1)]
    jaxpr, _ = trace(fn, *full)
    outs: list[Any] = list(jaxpr.out_avals)
    if len(outs) != 1 or outs[0].shape or not is_float(outs[0]):
        raise ValueError(f"the function returns {', '.join(map(str, outs))}; one float of shape () is needed")
    fast = compiled(jaxpr, fixed)
    lifted = {i: lift(a, v.aval.dtype) for (i, v) in enumerate(jaxpr.jaxpr.invars) if (a := fixed.get(i)) is not None}

    def slow(x: arb):
        try:
            with jax.enable_x64(True):
                return run(jaxpr, [lifted.get(i, x) for i in range(len(full))])[0]
        except Undecided:
            return Undefined("undecided")

    wide = widen(z)
    n = len(wide)
    h, l, bound = np.zeros(n), np.zeros(n), np.full(n, np.inf)
    tiny, huge = (1e-280, 1e280)
    with flint.ctx.workprec(PRECISIONS[0]):
        for i, x in enumerate(wide.tolist()):
            if fast is None or x - x != 0:
                continue
            try:
                v = fast(arb(x))
            except (Open, ZeroDivisionError):
                continue
            if not v.is_finite():
                continue
            high = float(v)
            if tiny < abs(high) < huge:
                rest = v - high
                low = float(rest)
                h[i], l[i] = high, low
                bound[i] = float(rest.rad()) * (1 + 2.0**-40) + abs(low) * 2.0**-52
            elif v == 0:
                bound[i] = 0.0
            elif fmt.least_exponent > -900 and abs(v) < tiny and v != 0:
                bound[i] = tiny
    power = (np.abs(np.frexp(h)[0]) == 0.5) & (np.abs(l) <= bound) & (bound > 0)
    quanta, fraction, exponent, undecided = nearest_quanta((h, l), 0, np.where(power, np.inf, bound), fmt)
    with np.errstate(over="ignore"):
        undecided |= ~(np.ldexp(bound, -exponent) <= FRACTION)
    left = np.flatnonzero(undecided)
    known = truths.of_quanta(quanta, fraction, exponent, fmt, n)
    return known.put(left, [_decided(real(x), fast, slow, fmt) for x in wide[left].tolist()])


def _decided(x, fast: Callable | None, slow: Callable, fmt: FloatFormat) -> Point:
    """The true value at one point, at rising precision."""
    if isinstance(x, Undefined):
        return point_of(x, fmt)
    found = truths.undecided(fmt)
    for prec in PRECISIONS:
        with flint.ctx.workprec(prec):
            if fast is not None and not infinite(x):
                try:
                    found = point_of(fast(x), fmt)
                except (Open, ZeroDivisionError):
                    pass
                else:
                    if found.state == State.NUMBER:
                        return found
            found = point_of(slow(x), fmt)
            if found.state != State.UNDECIDED:
                return found
    return found
