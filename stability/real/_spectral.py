"""The rules of symmetric eigenvalues and of singular values, by Arb's enclosures that are proven to isolate them.

Which of the two unit vectors of a simple eigenvalue is meant is a convention: the one that the primitive itself
gives. Those of a multiple one are undecided, and so are its derivatives. Of a matrix of exact numbers the eigenvalues
are the roots of its characteristic polynomial in rational arithmetic, so that equal ones are equal, and those that are
0 are exactly that.

In power series a simple eigenpair is the solution of `A v = λ v, v·v = 1` by Newton's method, from its value at ε = 0
and with the derivative there: every step makes one coefficient more right.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any, NamedTuple

import jax
import numpy as np
from flint import acb, acb_mat, arb, fmpq_mat

from stability.real import scalars
from stability.real._bits import as_floats, unproven
from stability.real._linear import Matrix, of_real_matrices, rationals, solution
from stability.real._near import flat
from stability.real._series import Series, limit
from stability.real._sorting import network
from stability.real.values import UNDECIDED, ZERO, array, is_number

Vector = list[Any]


class Eigen(NamedTuple):
    """Eigenvalues in rising order, and their unit vectors up to sign, where each eigenvalue is known to be simple."""

    values: Vector
    vectors: list[Vector] | None


def dot(x: Sequence[Any], y: Sequence[Any]):
    return reduce(scalars.add, map(scalars.mul, x, y), ZERO)


def times(a: Matrix, x: Sequence[Any]) -> Vector:
    return [dot(row, x) for row in a]


def eigen(a: Matrix) -> Eigen | None:
    """Of a symmetric matrix; `None` where nothing is known."""
    constant = [[limit(x) for x in row] for row in a]
    if not all(is_number(x) and x.is_finite() for row in constant for x in row):
        return None
    found = _isolated([[flat(x) for x in row] for row in constant])
    ends = [x.end for row in a for x in row if isinstance(x, Series)]
    if not ends or found is None:
        return found
    if found.vectors is None:
        return None
    pairs = [_in_series(a, *pair, max(ends)) for pair in zip(found.values, found.vectors, strict=True)]
    return Eigen([value for value, _ in pairs], [vector for _, vector in pairs])


def _isolated(a: Matrix) -> Eigen | None:
    n, exact = len(a), rationals(a)
    roots: Any = [] if exact is None else fmpq_mat(exact).charpoly().numer().complex_roots()
    known = sorted((acb(v).real for v, times in roots for _ in range(times)), key=_middle)
    try:
        values, right = acb_mat(a).eig(right=True) if n else ([], acb_mat(0, 0))
    except ValueError:
        found = known or _enclosed(a)
        return None if found is None else Eigen(found, None)
    order = sorted(range(n), key=lambda i: _middle(values[i].real))
    columns = [_unit([right[j, i] for j in range(n)]) for i in order]
    return Eigen(known or [values[i].real for i in order], columns)


def _middle(x: arb) -> float:
    return float(x.mid())


def _enclosed(a: Matrix) -> Vector | None:
    """Eigenvalues some of which may be equal."""
    try:
        values = acb_mat(a).eig(multiple=True)
    except ValueError:
        return None
    return network([v.real for v in values], 1)


def _unit(column: list) -> Vector:
    """A real unit vector from a complex multiple of it."""
    largest = max(column, key=lambda z: _middle(abs(z)))
    ratios = [(z / largest).real for z in column]
    norm = scalars.sqrt(dot(ratios, ratios))
    return [scalars.div(x, norm) for x in ratios]


def _in_series(a: Matrix, value, vector: Vector, steps: int) -> tuple[Any, Vector]:
    n = len(a)
    jacobian: list[dict[int, Any]] = [
        {**{j: scalars.sub(limit(a[i][j]), value if i == j else arb(0)) for j in range(n)}, n: scalars.neg(vector[i])}
        for i in range(n)
    ]
    jacobian.append({j: scalars.mul(arb(2), x) for j, x in enumerate(vector)})
    x, number = list(vector), value
    for _ in range(steps):
        off = [scalars.sub(y, scalars.mul(number, v)) for y, v in zip(times(a, x), x, strict=True)]
        change = solution(jacobian, [[v] for v in (*off, scalars.sub(dot(x, x), arb(1)))])
        x = [scalars.sub(v, row[0]) for v, row in zip(x, change, strict=False)]
        number = scalars.sub(number, change[n][0])
    return number, x


def side(x: Sequence[Any], floats: np.ndarray) -> int:
    """1 where a vector is the one that the floats have, -1 where its negative is, 0 where that is not clear."""
    near = sum(float(flat(limit(v)).mid()) * f for v, f in zip(x, floats.tolist(), strict=True))
    return 0 if not abs(near) > 0.5 else 1 if near > 0 else -1


def sided(x: Vector, sign: int) -> Vector:
    return x if sign > 0 else [scalars.neg(v) for v in x] if sign < 0 else [UNDECIDED] * len(x)


def in_floats(eqn, a: np.ndarray) -> list[np.ndarray]:
    """What the primitive itself gives."""
    limits = np.frompyfunc(limit, 1, 1)(a)
    with jax.enable_x64(True):
        out = eqn.primitive.bind(as_floats(limits, eqn.invars[0].aval.dtype), **eqn.params)
    return [np.asarray(x, np.float64) for x in out]


def eigh(eqn, a: np.ndarray):
    n, lower = len(a), eqn.params["lower"]
    symmetric = [[a[max(i, j), min(i, j)] if lower else a[min(i, j), max(i, j)] for j in range(n)] for i in range(n)]
    found = eigen(symmetric)
    if found is None:
        return None
    vectors = array([UNDECIDED] * n * n, (n, n))
    if found.vectors is not None:
        floats = in_floats(eqn, a)[0]
        for i, x in enumerate(found.vectors):
            vectors[:, i] = array(sided(x, side(x, floats[:, i])), (n,))
    return vectors, array(found.values, (n,))


def svd(eqn, a: np.ndarray):
    """By the eigenvalues of `Aᵀ A`, or of `A Aᵀ` where that is smaller."""
    m, n = a.shape
    wide = m < n
    rows = (a.T if wide else a).tolist()
    columns = [list(c) for c in zip(*rows, strict=True)]
    k = len(columns)
    found = eigen([[dot(x, y) for y in columns] for x in columns])
    if found is None:
        return None
    sizes = [scalars.sqrt(v.nonnegative_part() if isinstance(v, arb) else v) for v in reversed(found.values)]
    if not eqn.params["compute_uv"]:
        return [array(sizes, (k,))]
    shapes = [v.aval.shape[-2:] for v in eqn.outvars[1:]]
    u, vt = (array([UNDECIDED] * s[0] * s[1], s) for s in shapes)
    if found.vectors is not None:
        _, left, right = in_floats(eqn, a)
        ours, theirs, floats = (vt.T, u, left) if wide else (u, vt.T, right.T)
        for i, x in enumerate(reversed(found.vectors)):
            x = sided(x, side(x, floats[:, i]))
            theirs[:, i] = array(x, (k,))
            ours[:, i] = array([scalars.div(y, sizes[i]) for y in times(rows, x)], (len(rows),))
    return array(sizes, (k,)), u, vt


def of_all(rule: Callable) -> Callable:
    """The rule where every eigenvalue is asked for."""
    every = of_real_matrices(rule)
    return lambda eqn, values: (unproven if eqn.params.get("subset_by_index") else every)(eqn, values)


RULES: dict[str, Callable[[Any, Sequence[Any]], list]] = {"eigh": of_all(eigh), "svd": of_all(svd)}
"""By primitive: a rule takes an equation and its values and gives its outputs."""
