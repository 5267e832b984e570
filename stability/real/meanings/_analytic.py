"""Partial derivatives, of any order, of a function that is analytic in its arguments: proven, from its values.

On a circle of radius `r` about `x`, the mean of `f(x + r w) w^-k` over the `n > k` roots of unity `w` is `r^k` times
the `k`th Taylor coefficient plus those of the orders `k + n, k + 2n, …`. Where `|f| <= M` on the disc of radius `R`,
Cauchy's bound `|c_j| <= M R^-j` makes the rest at most `M R^-k q/(1 - q)` with `q = (r/R)^n`, as small as one likes.
The same holds argument by argument. A ball is its midpoint, moved by at most its radius times the next derivative.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import flint
from flint import acb, arb, arb_series

from stability.real.function import Function, Open, along_slopes
from stability.real.meanings._text import Rule, finite

Complex = Callable[..., acb]
Room = Callable[..., Sequence[arb]]


def _up_to_zero(*mids: arb) -> list[arb]:
    return [abs(m) if 0 < abs(m) < 1 else arb(1) for m in mids]


def derivative(f: Complex, at: Sequence[arb], orders: Sequence[int], room: Room | None = None) -> arb:
    """The partial derivative of `f` of these orders at real numbers, an infinite ball where there is no bound of `f`.

    **Arguments:** `room` how far `f` is analytic from a number, argument by argument (by default 1, or up to 0).
    """
    p = flint.ctx.prec // 2 + 10
    with flint.ctx.workprec(flint.ctx.prec + p * sum(orders) + 30):
        mids, rads = [x.mid() for x in at], [x.rad() for x in at]
        moves = [k > 0 or r > 0 for k, r in zip(orders, rads, strict=True)]
        for shrink in (3, 8, 20, 60):
            outer = [(d * arb(2) ** -shrink).mid() for d in (room or _up_to_zero)(*mids)]
            if not all(2 * r < R for r, R in zip(rads, outer, strict=True)):
                break
            square = [
                acb(arb(m, R), arb(0, R)) if moved else acb(m) for m, R, moved in zip(mids, outer, moves, strict=True)
            ]
            bound = abs(f(*square)).upper()
            if bound.is_finite():
                return _from_values(f, mids, rads, orders, outer, bound, arb(2) ** -p)
        return arb(0, arb.pos_inf())


def _from_values(f: Complex, mids, rads, orders, outer, bound: arb, ratio: arb) -> arb:
    counts = [k + 1 if k else 1 for k in orders]
    total = acb(0)
    for steps in itertools.product(*map(range, counts)):
        angles = [acb(arb(2 * j) / n).exp_pi_i() if n > 1 else acb(0) for j, n in zip(steps, counts, strict=True)]
        value = f(*(m + R * ratio * w for m, R, w in zip(mids, outer, angles, strict=True)))
        turn = sum((arb(-2 * j * k) / n for j, n, k in zip(steps, counts, orders, strict=True)), arb(0))
        total += value * acb(turn).exp_pi_i()
    unit, alias, scale = arb(1), arb(1), arb(math.prod(map(math.factorial, orders)))
    for k, n, R in zip(orders, counts, outer, strict=True):
        unit *= n * (R * ratio) ** k
        alias *= 1 if n == 1 else 1 / (1 - ratio**n)
        scale /= R**k
    rest = bound * scale * (alias - 1)
    for k, r, R in zip(orders, rads, outer, strict=True):
        rest += 2 ** (sum(orders) + 1) * bound * scale * (k + 1) * r / R
    factor = arb(math.prod(map(math.factorial, orders)))
    return total.real * factor / unit + arb(0, rest.upper())


def partial(f: Complex, orders: Sequence[int], outside=None, room: Room | None = None) -> Function:
    """The partial derivative of an analytic function, as a `Function`; its slopes are the next ones.

    **Arguments:** `f` takes complex balls; `orders` one an argument, not all 0; `outside` says of arguments where there
    is no value why, else `None`; `room` as of `derivative`.
    """

    @cache
    def at(*orders: int) -> Function:
        rule: Rule = finite(lambda *x: derivative(f, x, orders, room), outside)
        found = Function(rule, *(_later(at, orders, i) for i in range(len(orders))))
        found.native = lambda *args: _few_terms(found, args)
        return found

    return at(*orders)


MOST_TERMS = 4
"""Of a power series of Arb's own, whose terms are dear here."""


def _few_terms(f: Function, args: Sequence[Any]) -> arb_series | arb:
    if any(type(a) is arb_series and a.prec > MOST_TERMS for a in args):
        raise Open
    return along_slopes(f, args)


def _later(at: Callable[..., Function], orders: Sequence[int], i: int) -> Rule:
    return lambda *x: at(*(k + (j == i) for j, k in enumerate(orders)))(*x)
