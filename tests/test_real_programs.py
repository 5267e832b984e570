"""Never a wrong truth: random programs of floats, integers and truth values, decided in a format, against mpmath."""

import random
from collections import Counter

import jax.numpy as jnp
import jets
import mpmath
import numpy as np
import pytest
from jax import lax
from jets import HOLE, NAN, OPEN, UNARY, Jet

from stability.formats import FORMATS
from stability.real import true_derivative, truth
from stability.real._points import Order
from stability.truth import State

FLOAT, INT, BOOL = "float", "int", "bool"
PRECISION = 512


def wrapped(n: int, bits: int = 32) -> int:
    return (n + 2 ** (bits - 1)) % 2**bits - 2 ** (bits - 1)


def machine(f):
    return jets.of(lambda *args: wrapped(f(*args)))


def truncated(n: int, m: int) -> int:
    return abs(n) // abs(m) * (1 if (n < 0) == (m < 0) else -1)


def cast(least, most):
    """A float as the nearest integer of a range, towards 0."""

    @jets.of
    def checked(a):
        if most + 1 < a.value or a.value < least - 1:
            return most if a.value > 0 else least
        jets.steps_of(a)
        return min(max(int(a.value), least), most)

    return checked


INTEGERS = {
    "add": machine(lambda n, m: n + m),
    "sub": machine(lambda n, m: n - m),
    "mul": machine(lambda n, m: n * m),
    "div": machine(lambda n, m: truncated(n, m) if m else -1),
    "rem": machine(lambda n, m: n - m * truncated(n, m) if m else n),
    "max": machine(max),
    "min": machine(min),
    "and": machine(lambda n, m: n & m),
    "or": machine(lambda n, m: n | m),
    "xor": machine(lambda n, m: n ^ m),
    "shift_left": machine(lambda n, m: n << m if 0 <= m < 32 else 0),
    "shift_right_logical": machine(lambda n, m: n % 2**32 >> m if 0 <= m < 32 else 0),
    "shift_right_arithmetic": machine(lambda n, m: n >> (m if 0 <= m < 32 else 31)),
}


def chosen(c, a, b):
    return c if isinstance(c, str) else a if c else b


def clipped(n, a, b, c):
    return n if isinstance(n, str) else (a, b, c)[min(max(n, 0), 2)]


def looked_up(n, a, b, c):
    return n if isinstance(n, str) else clipped(n + 3 if n < 0 else n, a, b, c)


def conjunction(p, q):
    return False if p is False or q is False else jets.worst(p, q) or True


def negation(p):
    return p if isinstance(p, str) else not p


def of_integer(n):
    return n if isinstance(n, str) else jets.number(n)


def of_truth_value(p):
    return p if isinstance(p, str) else jets.number(p)._replace(mask=not p)


def table(n, a, b, c):
    return lax.dynamic_index_in_dim(jnp.stack([a, b, c]), n, keepdims=False)


def cond(p, a, b):
    return lax.cond(p, lambda a, b: a * b, lambda a, b: a + b, a, b)


def finite(a):
    return False if a == NAN else a if isinstance(a, str) else True


POWERS = {
    "square": lax.square,
    "inverse": lambda a: lax.integer_pow(a, -1),
    "round": lambda a: lax.round(a, lax.RoundingMethod.TO_NEAREST_EVEN),
}
COMPARISONS = {
    "lt": lambda s: s < 0,
    "le": lambda s: s <= 0,
    "gt": lambda s: s > 0,
    "ge": lambda s: s >= 0,
    "eq": lambda s: s == 0,
    "ne": lambda s: s != 0,
}
OPERATIONS = {
    **{(n, FLOAT): (POWERS.get(n) or getattr(lax, n), f, FLOAT, FLOAT) for n, f in UNARY.items()},
    ("add", FLOAT): (lax.add, jets.add, FLOAT, FLOAT, FLOAT),
    ("sub", FLOAT): (lax.sub, lambda a, b: jets.add(a, jets.neg(b)), FLOAT, FLOAT, FLOAT),
    ("mul", FLOAT): (lax.mul, jets.mul, FLOAT, FLOAT, FLOAT),
    ("div", FLOAT): (lax.div, jets.div, FLOAT, FLOAT, FLOAT),
    ("pow", FLOAT): (lax.pow, jets.power, FLOAT, FLOAT, FLOAT),
    ("rem", FLOAT): (lax.rem, jets.remainder, FLOAT, FLOAT, FLOAT),
    ("max", FLOAT): (lax.max, jets.maximum, FLOAT, FLOAT, FLOAT),
    ("min", FLOAT): (lax.min, jets.minimum, FLOAT, FLOAT, FLOAT),
    ("clamp", FLOAT): (
        lax.clamp,
        lambda low, x, high: jets.minimum(jets.maximum(x, low), high),
        *(FLOAT, FLOAT, FLOAT, FLOAT),
    ),
    ("where", FLOAT): (jnp.where, chosen, BOOL, FLOAT, FLOAT, FLOAT),
    ("cond", FLOAT): (cond, lambda p, a, b: chosen(p, jets.mul(a, b), jets.add(a, b)), BOOL, FLOAT, FLOAT, FLOAT),
    ("select_n", FLOAT): (
        lambda n, a, b, c: lax.select_n(lax.clamp(np.int32(0), n, np.int32(2)), a, b, c),
        clipped,
        *(INT, FLOAT, FLOAT, FLOAT, FLOAT),
    ),
    ("table", FLOAT): (table, looked_up, INT, FLOAT, FLOAT, FLOAT, FLOAT),
    ("of_int", FLOAT): (lambda n: n, of_integer, INT, FLOAT),
    ("of_bool", FLOAT): (lambda p: p, of_truth_value, BOOL, FLOAT),
    **{
        (n, FLOAT, BOOL): (getattr(lax, n), jets.compared(holds), FLOAT, FLOAT, BOOL)
        for n, holds in COMPARISONS.items()
    },
    **{
        (n, INT, BOOL): (getattr(lax, n), jets.of(lambda a, b, holds=holds: holds(a - b)), INT, INT, BOOL)
        for n, holds in COMPARISONS.items()
    },
    ("nonzero", FLOAT): (
        lambda a: a.astype(bool),
        jets.of(lambda a: jets.order(a, jets.number(0)) != 0),
        *(FLOAT, BOOL),
    ),
    ("nonzero", INT): (lambda n: n.astype(bool), jets.of(lambda n: n != 0), INT, BOOL),
    ("is_finite", BOOL): (lax.is_finite, finite, FLOAT, BOOL),
    ("and", BOOL): (lax.bitwise_and, conjunction, BOOL, BOOL, BOOL),
    ("or", BOOL): (lax.bitwise_or, lambda p, q: negation(conjunction(negation(p), negation(q))), BOOL, BOOL, BOOL),
    ("xor", BOOL): (lax.bitwise_xor, jets.of(lambda p, q: p != q), BOOL, BOOL, BOOL),
    ("not", BOOL): (lax.bitwise_not, negation, BOOL, BOOL),
    ("cast", INT): (lambda a: a.astype(jnp.int32), cast(-(2**31), 2**31 - 1), FLOAT, INT),
    ("cast8", INT): (lambda a: a.astype(jnp.int8).astype(jnp.int32), cast(-128, 127), FLOAT, INT),
    ("castu", INT): (
        lambda a: a.astype(jnp.uint32).astype(jnp.int32),
        lambda a: machine(int)(cast(0, 2**32 - 1)(a)),
        *(FLOAT, INT),
    ),
    ("of_bool", INT): (lambda p: p.astype(jnp.int32), jets.of(int), BOOL, INT),
    ("narrow", INT): (
        lambda n: n.astype(jnp.int8).astype(jnp.int32),
        jets.of(lambda n: wrapped(n, 8)),
        *(INT, INT),
    ),
    ("where", INT): (jnp.where, chosen, BOOL, INT, INT, INT),
    ("neg", INT): (lax.neg, machine(lambda n: -n), INT, INT),
    ("abs", INT): (lax.abs, machine(abs), INT, INT),
    ("sign", INT): (lax.sign, jets.of(lambda n: (n > 0) - (n < 0)), INT, INT),
    ("not", INT): (lax.bitwise_not, jets.of(lambda n: ~n), INT, INT),
    ("cube", INT): (lambda n: lax.integer_pow(n, 3), machine(lambda n: n**3), INT, INT),
    ("bits", INT): (lax.population_count, jets.of(lambda n: (n % 2**32).bit_count()), INT, INT),
    ("zeros", INT): (lax.clz, jets.of(lambda n: 32 - (n % 2**32).bit_length()), INT, INT),
    **{
        (n, INT): (getattr(lax, f"bitwise_{n}" if n in ("and", "or", "xor") else n), f, INT, INT, INT)
        for n, f in INTEGERS.items()
    },
}
"""By name and kind: as JAX has it, by the oracle, the kinds of the operands and that of the result."""

BY_KIND = {kind: [key for key, op in OPERATIONS.items() if op[-1] == kind] for kind in (FLOAT, INT, BOOL)}
SMOOTH = [key for key in BY_KIND[FLOAT] if key[0] in UNARY or key[0] in ("add", "sub", "mul", "div")]


def drawn(rng):
    """A float, most often an ordinary one."""
    kind = rng.random()
    if kind < 0.62:
        return float(np.float16(rng.uniform(-6, 6)))
    if kind < 0.74:
        return rng.choice([0.0, 1.0, -1.0, 0.5, 2.0, -3.0, 7.0, 0.1])
    size = 15 if kind < 0.87 else 127 if kind < 0.95 else 1023
    return rng.choice([-1, 1]) * float(np.float32(rng.uniform(1, 2))) * 2.0 ** rng.randint(-size, size)


class Program:
    """Some operations on what came before, the last of which gives a float.

    **Attributes:** `steps` the keys of operations, with the places of their operands among the values so far.
    """

    def __init__(self, seed: int):
        rng = random.Random(seed)
        self.kinds, self.steps = [FLOAT, FLOAT, INT], []
        self.x, self.y = drawn(rng), drawn(rng)
        self.n = rng.choice([rng.randint(-9, 9), rng.randint(-(2**31), 2**31 - 1), 2**31 - 1, -(2**31)])
        self.format = rng.choice(["float16", "float16", "bfloat16", "float32", "float32", "float64"])
        for last in range(rng.randint(1, 8))[::-1]:
            kind = FLOAT if not last else rng.choice([FLOAT, FLOAT, FLOAT, INT, BOOL])
            keys = SMOOTH if kind == FLOAT and rng.random() < 0.5 else BY_KIND[kind]
            keys = [k for k in keys if set(OPERATIONS[k][2:-1]) <= set(self.kinds)]
            self.append(rng, rng.choice(keys))

    def append(self, rng, key):
        operands = []
        for kind in OPERATIONS[key][2:-1]:
            places = [i for i, k in enumerate(self.kinds) if k == kind]
            operands.append(places[-1] if rng.random() < 0.6 else rng.choice(places))
        self.steps.append((key, operands))
        self.kinds.append(OPERATIONS[key][-1])

    def run(self, which, *values):
        values = list(values)
        for key, operands in self.steps:
            values.append(OPERATIONS[key][which](*(values[i] for i in operands)))
        return values[-1]

    def in_jax(self, x, y):
        values = [x, y, jnp.int32(self.n)]
        for key, operands in self.steps:
            out = OPERATIONS[key][0](*(values[i] for i in operands))
            values.append(out.astype(x.dtype) if OPERATIONS[key][-1] == FLOAT else out)
        return values[-1]

    def by_oracle(self, precision):
        """What it comes to, and whether its derivatives are open."""
        jets.kinks.clear()
        with mpmath.workprec(precision):
            out = self.run(1, jets.number(self.x, 1), jets.number(self.y), self.n)
        return out, bool(jets.kinks)

    def expected(self):
        """The value and the two derivatives, as far as both of two precisions agree; else what they are instead."""
        (once, kinks), (again, _) = self.by_oracle(PRECISION), self.by_oracle(2 * PRECISION)
        if not (isinstance(once, Jet) and isinstance(again, Jet)):
            return [once if once == again else OPEN] * 3
        pairs = zip(once[:3], again[:3], [False, kinks, kinks], strict=True)
        return [OPEN if kink or not agree(a, b) else b for a, b, kink in pairs]


def agree(a, b) -> bool:
    if a is None or b is None:
        return False
    return a == b or abs(a - b) <= abs(b) * mpmath.mpf(2) ** (-PRECISION / 2)


def rounded(v, fmt):
    """A number correctly rounded to a format: to the nearest, ties to even."""
    if v == 0:
        return 0.0
    e = max(int(mpmath.floor(mpmath.log(abs(v), 2))) - fmt.precision + 1, fmt.least_exponent)
    n = mpmath.nint(mpmath.ldexp(v, -e))
    past = n * mpmath.mpf(2) ** e >= mpmath.mpf(2) ** (fmt.emax + 1)
    low = n * mpmath.mpf(2) ** e <= -(mpmath.mpf(2) ** (fmt.emax + 1))
    return float("inf") if past else float("-inf") if low else float(mpmath.ldexp(n, e))


def judge(found, expected, fmt) -> str:
    """What a truth at one point is worth; an assertion where it is wrong."""
    state, why = State(int(found.state[0])), found.why[0]
    if expected in (OPEN, HOLE):
        return "inconclusive" if expected == OPEN else "hole"
    if expected == NAN:
        assert state in (State.UNDEFINED, State.UNDECIDED), (state, found)
        return "undefined" if state == State.UNDEFINED else "undecided"
    assert state in (State.NUMBER, State.UNDECIDED), (state, why, expected)
    with mpmath.workprec(2 * PRECISION):
        spread = abs(expected) * mpmath.mpf(2) ** (-PRECISION / 2)
        allowed = {rounded(v, fmt) for v in (expected - spread, expected + spread)}
        if state == State.UNDECIDED:
            if found.quanta[0] == 0:
                assert allowed & {0.0}, (why, expected)
            if "smaller than 2^" in why:
                assert abs(expected) <= mpmath.mpf(2) ** int(why.split("^")[1]), (why, expected)
            return "undecided"
        assert found.rounded[0] in allowed, (found.rounded[0], allowed, expected)
        if np.isinf(found.quanta[0]):
            assert abs(expected) >= mpmath.mpf(2) ** (fmt.emax + 1), expected
            return "decided, beyond all formats"
        number = (mpmath.mpf(found.quanta[0]) + found.fraction[0]) * mpmath.mpf(2) ** int(found.exponent[0])
        assert abs(number - expected) <= mpmath.mpf(2) ** (int(found.exponent[0]) - 22) + spread, (number, expected)
    return "decided, overflow" if np.isinf(found.rounded[0]) else "decided"


def check(seed: int) -> list[str]:
    """What the value and the two derivatives of a random program are, by the truth and by the oracle."""
    program = Program(seed)
    fmt = FORMATS[program.format]
    fn = program.in_jax
    x, y = np.float64(program.x), np.float64(program.y)
    outcomes = []
    for order, expected in enumerate(program.expected()):
        by = Order(0, order) if order else None
        found = truth(fn, np.array([x]), args=(y,), fmt=fmt, derivative=by)
        outcomes.append(judge(found, expected, fmt))
        if order and seed % 16 == 0 and outcomes[-1] == "decided":
            single = true_derivative(fn, x, y, order=order, dtype=fmt.dtype)
            assert float(single) == found.rounded[0] or found.other is not None, (single, found)
    return outcomes


def counts(seeds):
    """How often each outcome, for the values and for each derivative."""
    seen = [Counter() for _ in range(3)]
    for seed in seeds:
        try:
            found = check(seed)
        except Exception as e:
            raise AssertionError(f"program {seed}: {Program(seed).steps}") from e
        for counter, outcome in zip(seen, found, strict=True):
            counter[outcome] += 1
    return seen


def share_decided(counter) -> float:
    return sum(n for outcome, n in counter.items() if outcome.startswith("decided")) / counter.total()


def test_decided_truths_and_derivatives_are_what_mpmath_finds():
    values, *slopes = counts(range(500))
    assert share_decided(values) > 0.6 and all(share_decided(c) > 0.4 for c in slopes)
    assert values["decided, overflow"] + values["decided, beyond all formats"] > 2


@pytest.mark.exhaustive
@pytest.mark.parametrize("part", range(10))
def test_decided_truths_and_derivatives_are_what_mpmath_finds_100000_times(part):
    values, *slopes = counts(range(part * 10_000, (part + 1) * 10_000))
    print(dict(values), *map(dict, slopes))
    assert share_decided(values) > 0.6 and all(share_decided(c) > 0.4 for c in slopes)
