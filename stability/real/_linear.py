"""The rules of linear algebra: eliminations, triangular systems, reflections.

Matrices of exact numbers are eliminated in rational arithmetic, where a tie of pivots is a tie and a vanishing one is
0; every other matrix by the elementwise rules, where the choice of a pivot that balls leave open is undecided.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from functools import reduce
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np
from flint import arb, fmpq

from stability.real import scalars, steps
from stability.real._bits import unproven
from stability.real._series import Series
from stability.real._windows import within
from stability.real.arrays import as_array, bare
from stability.real.complexes import conj, is_complex
from stability.real.function import Dual
from stability.real.values import ONE, UNDECIDED, ZERO, Undefined, array

Matrix = list[list[Any]]
DOMAIN = Undefined("domain")
LARGEST_EXPONENT = 1 << 14
LARGEST_SYSTEM = 100
"""A linear solve of more unknowns than these is read as its own equations say, not from its matrix."""


class Field(NamedTuple):
    """The operations of an elimination. `larger` compares magnitudes; it and `vanishes` may be undecided."""

    sub: Callable
    mul: Callable
    div: Callable
    larger: Callable
    vanishes: Callable


REALS = Field(
    scalars.sub,
    scalars.mul,
    scalars.div,
    lambda x, y: steps.COMPARISONS["gt"](scalars.absolute(x), scalars.absolute(y)),
    lambda x: steps.COMPARISONS["eq"](x, arb(0)),
)
RATIONALS = Field(operator.sub, operator.mul, operator.truediv, lambda x, y: abs(x) > abs(y), lambda x: x == 0)


def rational(x) -> fmpq | None:
    """An exact number as a fraction."""
    if not (isinstance(x, arb) and x.is_exact() and x.is_finite()):
        return None
    mantissa, exponent = (int(v) for v in x.man_exp())
    if abs(exponent) > LARGEST_EXPONENT:
        return None
    return fmpq(mantissa << exponent) if exponent >= 0 else fmpq(mantissa, 1 << -exponent)


def rationals(a: Matrix) -> Matrix | None:
    """A matrix of exact numbers as one of fractions, `None` where some are not exact."""
    out = [[rational(x) for x in row] for row in a]
    return None if any(x is None for row in out for x in row) else out


def in_field(a: Matrix) -> tuple[Matrix, Field]:
    exact = rationals(a)
    return (a, REALS) if exact is None else (exact, RATIONALS)


def as_real(x):
    return arb(x) if isinstance(x, fmpq) else x


def eliminated(a: Matrix, field: Field, pivoted: bool) -> tuple[Matrix, list[int]] | None:
    """`L - I + U` of a matrix, and the row that each step exchanged with its own: the first of largest magnitude, as
    partial pivoting has it. `None` where that is open."""
    a, swaps = [list(row) for row in a], []
    m, n = len(a), len(a[0]) if a else 0
    for k in range(min(m, n)):
        best = k
        for i in range(k + 1, m) if pivoted else ():
            larger = field.larger(a[i][k], a[best][k])
            if isinstance(larger, Undefined):
                return None
            best = i if larger else best
        a[k], a[best] = a[best], a[k]
        swaps.append(best)
        if field.vanishes(a[k][k]) is True:
            continue
        for i in range(k + 1, m):
            factor = a[i][k] = field.div(a[i][k], a[k][k])
            for j in range(k + 1, n):
                a[i][j] = field.sub(a[i][j], field.mul(factor, a[k][j]))
    return a, swaps


def per_matrix(rule: Callable, ranks: Sequence[int] = (2,)) -> Callable:
    """The rule of a primitive from that of one matrix: for every index of the leading dimensions by itself.

    `ranks` are those of the arguments. The rule gives an array for each output, or `None` where all are undecided.
    """

    def apply(eqn, values) -> list:
        arrays = [as_array(v) for v in values]
        avals = [v.aval for v in eqn.outvars]
        outs = [np.empty(a.shape, object) for a in avals]
        for index in np.ndindex(arrays[0].shape[: arrays[0].ndim - ranks[0]]):
            found = rule(eqn, *(x[index] for x in arrays))
            for k, out in enumerate(outs):
                part = out[index] if index else out
                part[...] = found[k] if found is not None else array([UNDECIDED] * part.size, part.shape)
        return [bare(out) for out in outs]

    return apply


def objects(rows: Sequence[Sequence[Any]], shape: tuple[int, ...]) -> np.ndarray:
    return array([as_real(x) for row in rows for x in row], shape)


def lu(eqn, a: np.ndarray):
    """`L - I + U`, the exchanges, and the permutation that they make."""
    found = eliminated(*in_field(a.tolist()), pivoted=True)
    if found is None:
        return None
    out, swaps = found
    order = list(range(len(a)))
    for k, i in enumerate(swaps):
        order[k], order[i] = order[i], order[k]
    return objects(out, a.shape), array(swaps, (len(swaps),)), array(order, (len(a),))


def cholesky(eqn, a: np.ndarray):
    """`L` with `L Lᵀ = A`, of the lower triangle; without value where the matrix is not positive definite."""
    n = len(a)
    symmetric = [[a[max(i, j), min(i, j)] for j in range(n)] for i in range(n)]
    found = eliminated(*in_field(symmetric), pivoted=False)
    u = objects(found[0], a.shape) if found else a
    positive = [steps.COMPARISONS["gt"](u[j, j], arb(0)) for j in range(n)]
    why = next((DOMAIN if v is False else v for v in positive if v is not True), None)
    if why is not None:
        return [array([why] * a.size, a.shape)]
    roots = [scalars.sqrt(u[j, j]) for j in range(n)]
    rows = [
        [scalars.div(u[j, i], roots[j]) if j < i else roots[j] if j == i else ZERO for j in range(n)] for i in range(n)
    ]
    return [objects(rows, a.shape)]


def triangular_solve(eqn, a: np.ndarray, b: np.ndarray):
    """`X` of `op(A) X = B`, or of `X op(A) = B`; only the named triangle of `A` is read."""
    p = eqn.params
    left, lower = p["left_side"], p["lower"]
    if p["transpose_a"] == left:
        a, lower = a.T, not lower
    if p["conjugate_a"]:
        a = np.frompyfunc(conj, 1, 1)(a)
    b = b if left else b.T
    n = len(a)
    out = b.astype(object)
    for c in range(out.shape[1]):
        x = out[:, c]
        for i in range(n) if lower else range(n - 1, -1, -1):
            for j in range(i) if lower else range(i + 1, n):
                x[i] = scalars.sub(x[i], scalars.mul(a[i, j], x[j]))
            x[i] = x[i] if p["unit_diagonal"] else scalars.div(x[i], a[i, i])
    return [out if left else out.T]


def solution(rows: list[dict[int, Any]], right: Matrix) -> Matrix:
    """`X` of `A X = B`, each row of `A` given by its elements that are not 0; systems that share no unknown by
    themselves."""
    out: Matrix = [[] for _ in rows]
    for block in blocks(rows):
        place = {i: k for k, i in enumerate(block)}
        found = solution_of_one([{place[j]: x for j, x in rows[i].items()} for i in block], [right[i] for i in block])
        for i, row in zip(block, found, strict=True):
            out[i] = row
    return out


def blocks(rows: list[dict[int, Any]]) -> list[list[int]]:
    """The rows and columns of a square matrix that hang together, of each row those elements given that are not 0."""
    block = [{i} for i in range(len(rows))]
    for i, row in enumerate(rows):
        for j in row:
            if block[i] is not block[j]:
                block[i] |= block[j]
                for k in block[j]:
                    block[k] = block[i]
    return [sorted(b) for i, b in enumerate(block) if i == min(b)]


def solution_of_one(rows: list[dict[int, Any]], right: Matrix) -> Matrix:
    """`solution` of one system.

    Any pivot is as good as another here; a singular matrix leaves no value.
    """
    n, width = len(rows), len(right[0]) if right else 0
    exact, b = [rationals([list(row.values())]) for row in rows], rationals(right)
    field = REALS
    if b is not None and all(e is not None for e in exact):
        rows, right, field = (
            [dict(zip(r, e[0], strict=True)) for r, e in zip(rows, exact, strict=True) if e],
            b,
            RATIONALS,
        )
    rows, right = [dict(row) for row in rows], [list(row) for row in right]
    zero = fmpq(0) if field is RATIONALS else ZERO
    for k in range(n):
        choices = [i for i in range(k, n) if k in rows[i] and field.vanishes(rows[i][k]) is not True]
        sure = [i for i in choices if field.vanishes(rows[i][k]) is False]
        if not sure:
            return [[UNDECIDED if choices else DOMAIN] * width for _ in range(n)]
        best = reduce(lambda i, j: j if field.larger(rows[j][k], rows[i][k]) is True else i, sure)
        rows[k], rows[best] = rows[best], rows[k]
        right[k], right[best] = right[best], right[k]
        for i in range(n):
            if i == k or k not in rows[i]:
                continue
            factor = field.div(rows[i].pop(k), rows[k][k])
            for j, x in rows[k].items():
                if j > k:
                    rows[i][j] = field.sub(rows[i].get(j, zero), field.mul(factor, x))
            right[i] = [field.sub(y, field.mul(factor, x)) for x, y in zip(right[k], right[i], strict=True)]
    return [[as_real(field.div(x, rows[k][k])) for x in right[k]] for k in range(n)]


def custom_linear_solve(eqn, values) -> list:
    """The solution of the linear system: its matrix is what `matvec` does to unit vectors."""
    lengths, jaxprs = eqn.params["const_lengths"], eqn.params["jaxprs"]
    ends = list(accumulate(lengths))
    consts, b = values[: ends[0]], [as_array(v) for v in values[ends[-1] :]]
    sizes = [x.size for x in b]
    n, starts = sum(sizes), [0, *accumulate(sizes)]

    def shaped(flat: list) -> list:
        return [bare(array(flat[s : s + x.size], x.shape)) for s, x in zip(starts, b, strict=False)]

    def joined(parts: Sequence[Any]) -> list:
        return [v for x in parts for v in as_array(x).ravel()]

    def solve() -> list:
        return within(jaxprs.solve, *values[ends[1] : ends[2]], *map(bare, b))

    right = joined(b)
    auxiliary = solve()[len(b) :] if len(eqn.outvars) > len(b) else []
    if n > LARGEST_SYSTEM and not any(isinstance(v, Series | Dual) for v in (*right, *joined(consts))):
        return solve()
    rows: list[dict[int, Any]] = [{} for _ in range(n)]
    for j in range(n):
        column = within(jaxprs.matvec, *consts, *shaped([ONE if i == j else ZERO for i in range(n)]))
        for i, x in enumerate(joined(column)):
            if REALS.vanishes(x) is not True:
                rows[i][j] = x
    return [*shaped([row[0] for row in solution(rows, [[x] for x in right])]), *auxiliary]


def tridiagonal_solve(eqn, below: np.ndarray, diagonal: np.ndarray, above: np.ndarray, b: np.ndarray):
    n = len(diagonal)
    bands = ((-1, below), (0, diagonal), (1, above))
    rows = [{i + d: band[i] for d, band in bands if 0 <= i + d < n} for i in range(n)]
    return [objects(solution(rows, b.tolist()), b.shape)]


def reflected(a: np.ndarray) -> tuple[np.ndarray, list] | None:
    """The reflections of a QR decomposition as LAPACK has them: `R` with the vectors below it, and their factors.

    The diagonal of `R` has the sign that avoids cancellation; a column that needs no reflection gets none.
    """
    a, taus = a.astype(object), []
    for j in range(min(a.shape)):
        head, tail = a[j, j], a[j + 1 :, j]
        empty = [REALS.vanishes(x) for x in tail]
        if all(e is True for e in empty):
            taus.append(ZERO)
            continue
        forward = steps.COMPARISONS["ge"](head, arb(0))
        if isinstance(forward, Undefined) or not any(e is False for e in empty):
            return None
        squares = (scalars.mul(x, x) for x in tail)
        norm = scalars.sqrt(reduce(scalars.add, squares, scalars.mul(head, head)))
        beta = scalars.neg(norm) if forward else norm
        taus.append(scalars.div(scalars.sub(beta, head), beta))
        a[j + 1 :, j] = [scalars.div(x, scalars.sub(head, beta)) for x in tail]
        a[j, j] = beta
        reflect(a[:, j + 1 :], a[j + 1 :, j], taus[-1], j)
    return a, taus


def reflect(a: np.ndarray, v: np.ndarray, tau, j: int) -> None:
    """`(I - τ v vᵀ) A` in place, `v` being 1 at `j`, as given below, and 0 above."""
    for c in range(a.shape[1]):
        below = map(scalars.mul, v, a[j + 1 :, c])
        w = scalars.mul(tau, reduce(scalars.add, below, a[j, c]))
        a[j, c] = scalars.sub(a[j, c], w)
        a[j + 1 :, c] = [scalars.sub(x, scalars.mul(y, w)) for x, y in zip(a[j + 1 :, c], v, strict=True)]


def orthogonal(a: np.ndarray, taus: Sequence[Any], columns: int) -> np.ndarray:
    """The first columns of the product of the reflections."""
    m = len(a)
    q = array([ONE if i == j else ZERO for i in range(m) for j in range(columns)], (m, columns))
    for j in range(len(taus) - 1, -1, -1):
        reflect(q, a[j + 1 :, j], taus[j], j)
    return q


def qr(eqn, a: np.ndarray):
    m, n = a.shape
    found = reflected(a)
    if found is None:
        return None
    packed, taus = found
    k = m if eqn.params["full_matrices"] else min(m, n)
    r = [[packed[i, j] if i <= j else ZERO for j in range(n)] for i in range(k)]
    return orthogonal(packed, taus, k), objects(r, (k, n))


def geqrf(eqn, a: np.ndarray):
    found = reflected(a)
    return None if found is None else (found[0], array(found[1], (min(a.shape),)))


def householder_product(eqn, a: np.ndarray, taus: np.ndarray):
    return [orthogonal(a, list(taus), a.shape[1])]


def of_real_matrices(rule: Callable) -> Callable:
    """The rule of one matrix, where it is of real numbers and no columns are exchanged; else what is not proven."""

    def apply(eqn, values) -> list:
        other = is_complex(eqn.invars[0].aval) or eqn.params.get("pivoting", False)
        return unproven(eqn, values) if other else per_matrix(rule)(eqn, values)

    return apply


RULES: dict[str, Callable[[Any, Sequence[Any]], list]] = {
    "cholesky": of_real_matrices(cholesky),
    "custom_linear_solve": custom_linear_solve,
    "geqrf": of_real_matrices(geqrf),
    "householder_product": of_real_matrices(householder_product),
    "lu": per_matrix(lu),
    "qr": of_real_matrices(qr),
    "triangular_solve": per_matrix(triangular_solve),
    "tridiagonal_solve": per_matrix(tridiagonal_solve, (1,)),
}
"""By primitive: a rule takes an equation and its values and gives its outputs."""
