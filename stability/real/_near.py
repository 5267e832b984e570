"""Numbers that lie close to an exact one, and keep their distance.

`1 - σ(z)` is `e^-z / (1 + e^-z)`, and a ball around `σ(z)` needs `1.44 z` bits to know more of it than that it is
about 0: for most floats `z` no precision is enough. So a sum of an exact number and a much smaller one is kept as that,
unevaluated: `Near(at, by)` is the real number `at + by`, `at` exact and not 0, `|by| < 2**-16 |at|` a ball of its own.
Arithmetic goes by the exact identities

    (a + d) ± (b + e) = (a ± b) + (d ± e)        (a + d)(b + e) = ab + (ae + bd + de)
    (a + d)/(b + e) = q + (d - qe)/(b + e), q = a/b      sqrt(a + d) = r + d/(sqrt(a + d) + r), r = sqrt(a)

wherever the first term is exact at the precision in force, and by plain balls otherwise, so it encloses as balls do.
"""

from __future__ import annotations

from typing import Any

import flint
from flint import arb

CLOSE = arb(2) ** -16
VANISHING = 5000
"""A distance below `2**-VANISHING` of the number matters for its sign only: no rounding boundary of a format, nor any
number of at most 4096 bits, is nearer than that to a number of at most 4096 bits without being equal to it."""


class Near:
    """The real number `at + by`. It has the methods of a ball, and is one wherever the distance does not matter."""

    __slots__ = ("at", "by")

    def __init__(self, at: arb, by: arb):
        self.at, self.by = at, by

    def ball(self) -> arb:
        return self.at + self.by

    def resolved(self) -> arb:
        """A ball that rounds as the number does, however close it is to `at`."""
        with flint.ctx.workprec(3 * VANISHING):
            small = abs(self.at) * arb(2) ** -VANISHING
            if abs(self.by) < small:
                return self.at + (small if self.by > 0 else -small if self.by < 0 else arb(0, small))
            return self.at + self.by

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.ball(), name)

    def __repr__(self) -> str:
        return f"Near({self.at}, {self.by})"

    def is_finite(self) -> bool:
        return True

    def is_nan(self) -> bool:
        return False

    def is_exact(self) -> bool:
        return False

    def is_integer(self) -> bool:
        return False

    def __neg__(self):
        return Near(-self.at, -self.by)

    def __abs__(self):
        return self if self.at > 0 else -self

    def __add__(self, other):
        if isinstance(other, Near):
            return (
                near(self.at + other.at, self.by + other.by) if (self.at + other.at).is_exact() else _sum(self, other)
            )
        other = arb(other)
        if other.is_exact() and (self.at + other).is_exact():
            return near(self.at + other, self.by)
        return near(self.at, self.by + other) if abs(other) < abs(self.at) else _sum(self, other)

    __radd__ = __add__

    def __sub__(self, other):
        return self + -other

    def __rsub__(self, other):
        return -self + other

    def __mul__(self, other):
        if not isinstance(other, Near):
            other = arb(other)
            at = self.at * other
            return near(at, self.by * other) if other.is_exact() and at.is_exact() else self.ball() * other
        at = self.at * other.at
        if not at.is_exact():
            return self.ball() * other.ball()
        return near(at, self.at * other.by + other.at * self.by + self.by * other.by)

    __rmul__ = __mul__

    def __truediv__(self, other):
        if not isinstance(other, Near):
            other = arb(other)
            at = self.at / other
            return near(at, self.by / other) if other.is_exact() and at.is_exact() else self.ball() / other
        at = self.at / other.at
        if not at.is_exact():
            return self.ball() / other.ball()
        return near(at, (self.by - at * other.by) / other.ball())

    def __rtruediv__(self, other):
        other = arb(other)
        at = other / self.at
        if not (other.is_exact() and at.is_exact()):
            return other / self.ball()
        return near(at, -at * self.by / self.ball())

    def __pow__(self, n: int):
        if n > 64:
            return self.ball() ** n
        out: Any = arb(1)
        for _ in range(n):
            out = out * self
        return out

    def __lt__(self, other):
        return _sign(self - other) < 0

    def __gt__(self, other):
        return _sign(self - other) > 0

    def __le__(self, other):
        return _sign(self - other) <= 0

    def __ge__(self, other):
        return _sign(self - other) >= 0

    def __eq__(self, other):
        return _sign(self - other) == 0

    def __ne__(self, other):
        difference = _sign(self - other)
        return difference < 0 or difference > 0

    __hash__ = None  # type: ignore[assignment]

    def log(self):
        return self.by.log1p() if self.at == 1 else self.at.log() + (self.by / self.at).log1p()

    def log1p(self):
        return (self + 1).log()

    def sqrt(self):
        root = self.at.sqrt()
        return near(root, self.by / (self.ball().sqrt() + root)) if root.is_exact() else self.ball().sqrt()

    def rsqrt(self):
        return 1 / self.sqrt()

    def acos(self):
        if self.at == 1:
            return 2 * (-self.by / 2).sqrt().asin()
        return arb.pi() - 2 * (self.by / 2).sqrt().asin() if self.at == -1 else self.ball().acos()

    def asin(self):
        return arb.pi() / 2 - self.acos()

    def acosh(self):
        return 2 * (self.by / 2).sqrt().asinh() if self.at == 1 else self.ball().acosh()

    def atanh(self):
        if self.at == 1 or self.at == -1:
            return ((1 + self) / (1 - self)).log() / 2
        return self.ball().atanh()

    def floor(self):
        if not (self.at.is_integer() and abs(self.by) < 1):
            return self.ball().floor()
        return self.at if self.by >= 0 else self.at - 1 if self.by < 0 else self.ball().floor()

    def ceil(self):
        return -((-self).floor())


def _sum(x: Near, y) -> arb:
    return x.ball() + flat(y)


def _sign(x):
    """Something of the sign of `x`, that compares with 0 as `x` does."""
    return x.at if isinstance(x, Near) else x


def near(at: arb, by: arb):
    """The number `at + by` for an exact `at`, with its distance from it where that is small."""
    if at == 0:
        return by
    if by == 0:
        return at
    return Near(at, by) if abs(by) < abs(at) * CLOSE else at + by


def flat(x):
    """A number as a ball."""
    return x.ball() if isinstance(x, Near) else x


def resolved(x) -> arb:
    """A ball that rounds to floats as the number does."""
    return x.resolved() if isinstance(x, Near) else x


def plus(x, y):
    """`x + y` of two finite numbers, unevaluated where that would lose the smaller one."""
    total = x + y
    if isinstance(total, Near) or total.is_exact() or isinstance(x, Near) or isinstance(y, Near):
        return total
    if x.is_exact() and abs(y) < abs(x):
        return near(x, y)
    return near(y, x) if y.is_exact() else total
