"""The angle of a point, `atan2`: by the sign of a zero on its cut, from each side as a limit."""

from __future__ import annotations

from flint import arb

from stability.real import _series as series
from stability.real._arithmetic import checked as _checked
from stability.real._arithmetic import first_undefined as _first_undefined
from stability.real._near import flat
from stability.real._series import Series
from stability.real.function import Function, Open, add, composed, constant_of, div, neg
from stability.real.scalars import atan, square
from stability.real.values import UNDECIDED, Scalar, Undefined, infinite, sign_of_zero


def _atan2(y: Scalar, x: Scalar) -> Scalar:
    if isinstance(x, Undefined) or isinstance(y, Undefined):
        return _first_undefined(x, y)
    if x == 0 and y == 0:
        return Undefined("zero_over_zero")
    if infinite(x) or infinite(y):
        if infinite(x) and infinite(y):
            return Undefined("infinity_over_infinity")
        if infinite(y):
            return arb.pi() / 2 if y > 0 else -arb.pi() / 2
        if x > 0:
            return arb(0)
        side = sign_of_zero(y) if y == 0 else y
        return UNDECIDED if side is None else arb.pi() if side > 0 else -arb.pi() if side < 0 else UNDECIDED
    if y == 0:
        sign = sign_of_zero(y)
        return arb(0) if x > 0 else sign * arb.pi() if x < 0 and sign else UNDECIDED
    if x < 0 and not (y > 0 or y < 0):
        return UNDECIDED
    return _checked(arb.atan2(flat(y), flat(x)))


def _atan2_series(y, x):
    """On the cut and at the origin by the sides, elsewhere by the slopes."""
    ends = [series.limit(v) for v in (y, x)]
    if any(isinstance(v, Undefined) or infinite(v) for v in ends) or ends[0] != 0 or ends[1] > 0:
        return composed(atan2, [y, x])
    series.seen.singular += 1
    turn = y.direction(arb.pi(), -arb.pi(), UNDECIDED) if isinstance(y, Series) else arb.pi()
    if series.is_zero(x):
        return div(turn, arb(2))
    right = x > 0 if not isinstance(x, Series) else x.direction(True, False, UNDECIDED)
    if isinstance(right, Undefined):
        return Series([UNDECIDED])
    angle = atan(div(y, x))
    return angle if right else add(angle, turn)


def _atan2_native(y, x):
    """Off the cut, by the quotient that is the smaller."""
    v, u = constant_of(y), constant_of(x)
    if (v > 0 or v < 0) and abs(v) > u:
        return (arb.pi() if v > 0 else -arb.pi()) / 2 - atan(x / y)
    if u > 0:
        return atan(y / x)
    raise Open


atan2: Function = Function(
    _atan2,
    lambda y, x: div(x, add(square(x), square(y))),
    lambda y, x: div(neg(y), add(square(x), square(y))),
    series=_atan2_series,
    native=_atan2_native,
)
