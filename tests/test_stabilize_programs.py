"""What `stabilize` accepts: arrays inside of a function of scalars, infinities in branches, choices by pieces."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stability import stabilize
from stability.formats import FORMATS, from_ordinal, to_ordinal
from stability.rewriting import Unsupported
from stability.rewriting.infinite import NEGATIVE, POSITIVE, built
from stability.rewriting.pieces import pieces
from stability.rewriting.problems import Problem
from stability.rewriting.programs import term_of
from stability.rewriting.terms import in_floats, number, variable

F32 = FORMATS["float32"]
X, Y = np.array([0.5, 3.0, -2.0, 1e-3], np.float32), np.array([-1.5, 0.25, 7.0, 2.0], np.float32)

OF_ARRAYS = {
    "matrix": lambda x, y: jnp.array([x, 1]) @ jnp.array([[1.0, 2], [3, 4]]) @ jnp.array([x, y]),
    "norm": lambda x, y: jnp.linalg.norm(jnp.stack([x, y, 2])),
    "softmax": lambda x, y: jax.nn.softmax(jnp.stack([x, y, 0]))[1],
    "variance": lambda x, y: jnp.var(jnp.stack([x, y, 0.5])),
    "logsumexp": lambda x, y: jax.nn.logsumexp(jnp.stack([x, y])),
    "running": lambda x, y: jnp.cumsum(jnp.stack([x, y, x])[::-1])[1],
    "reshaped": lambda x, y: jnp.max(jnp.outer(jnp.stack([x, y]), jnp.arange(3.0)).reshape(3, 2), axis=1).sum(),
    "loop": lambda x, y: jax.lax.fori_loop(0, 4, lambda i, a: a * x + y * i, jnp.zeros_like(x)),
    "scanned": lambda x, y: jax.lax.scan(lambda c, v: (c * x + v, None), y, jnp.array([1, 2, 3], x.dtype))[0],
    "gradient": lambda x, y: jax.grad(lambda z: jax.nn.log_softmax(z)[0])(jnp.stack([x, y]))[1],
    "masked": lambda x, y: jnp.max(jnp.where(jnp.array([True, False]), jnp.stack([x, y]), -jnp.inf)),
    "not a number": lambda x, y: jnp.where(x == x, x * y, jnp.nan),
    "hypot": jnp.hypot,
}


@pytest.mark.parametrize("name", OF_ARRAYS)
def test_a_function_with_arrays_inside_is_the_term(name):
    fn = OF_ARRAYS[name]
    found = in_floats(term_of(fn, ["x", "y"], F32), {"x": X, "y": Y})
    np.testing.assert_allclose(found, jax.vmap(fn)(X, Y), rtol=1e-5)


@pytest.mark.parametrize(
    ("fn", "told"),
    [
        (lambda x: jnp.full((100,), x).sum(), "100 numbers"),
        (lambda x: jnp.arange(3.0)[jnp.where(x > 0, 1, 2)], "hangs on an argument"),
        (lambda x: x * jnp.inf - jnp.inf, "infinity"),
        (lambda x: x + jnp.nan, "NaN"),
        (lambda x: jax.lax.while_loop(lambda c: c < 10, lambda c: 2 * c, x), "hangs on an argument"),
        (lambda x: jnp.stack([x, x]), "scalar"),
    ],
)
def test_what_is_no_term_is_told(fn, told):
    with pytest.raises(Unsupported, match=told):
        term_of(fn, ["x"], F32)


def test_an_infinity_decides_what_it_can():
    x = variable("x")
    assert built("add", x, NEGATIVE) is NEGATIVE and built("sub", x, NEGATIVE) is POSITIVE
    assert built("exp", NEGATIVE) is number(0) and built("max", NEGATIVE, x) is x
    assert built("mul", number(-2), POSITIVE) is NEGATIVE and built("div", x, POSITIVE) is number(0)
    assert built("select", built("lt", x, POSITIVE), x, NEGATIVE) is x
    for op, args in (("add", (POSITIVE, NEGATIVE)), ("mul", (x, POSITIVE)), ("sin", (POSITIVE,))):
        with pytest.raises(Unsupported):
            built(op, *args)


@pytest.mark.parametrize("name", ["float16", "float32", "float64"])
def test_pieces_are_the_term_on_their_floats_and_are_everywhere(name):
    fmt = FORMATS[name]

    def fn(x):
        return jnp.where(x > 0.1, jnp.minimum(x, 2), jnp.where(x == 0, 5, jnp.abs(x) + jnp.where(x < -1, 1, 0)))

    given = term_of(fn, ["x"], fmt)
    found = pieces(given, fmt)
    places = [int(to_ordinal(fmt.dtype.type(c))) for c in (-np.inf, -1, -0.0, 0, 0.1, 2, np.inf)]
    ordinals = np.unique(np.clip(np.add.outer(places, range(-3, 4)).ravel(), -fmt.infinity - 1, fmt.infinity))
    ordinals = ordinals[(ordinals > 2) | (ordinals < -3)]
    x = from_ordinal(np.append(ordinals, [0, -1]), fmt)
    held = np.array([p.holds(x) for p in found])
    assert held.sum(axis=0).tolist() == [1] * len(x)
    for piece, there in zip(found, held, strict=True):
        assert "select" not in str(piece.term) and there.any()
        np.testing.assert_array_equal(in_floats(piece.term, {"x": x[there]}), in_floats(given, {"x": x[there]}))


def test_a_branch_of_the_given_function_is_kept_where_it_is():
    def root(x):
        return jnp.where(x < 1, x, jnp.sqrt(x))

    stable = stabilize(jax.grad(root), names=["x"], domain={"x": (-4.0, 4.0)}, points=64, orders=(0,))
    x = jnp.array([-3.0, 0.0, 0.5, np.nextafter(np.float32(1), np.float32(0)), 1.0, 3.0], jnp.float32)
    np.testing.assert_allclose(jax.vmap(stable)(x), [1, 1, 1, 1, 0.5, 0.5 / 3**0.5], rtol=1e-6)
    assert "x >= 1.0" in stable.source


def test_the_variance_is_found():
    def variance(x):
        a = jnp.stack([x, jnp.full_like(x, 1000), jnp.full_like(x, 1001)])
        return jnp.mean(a * a) - jnp.mean(a) ** 2

    stable = stabilize(variance, domain={"x": (1000.0, 1001.0)}, points=64, orders=(0,))
    assert stable.before.mean > 15 and stable.after.mean < 1
    x = np.linspace(1000, 1001, 101, dtype=np.float32)
    wanted = [np.var(np.array([v, 1000, 1001], np.float64)) for v in x]
    np.testing.assert_allclose(jax.vmap(stable)(x), wanted, rtol=3e-7)


def test_a_constant_has_the_shape_of_its_argument():
    stable = stabilize(lambda x: jnp.where(x > 0, 0.0, 0.0) * jnp.exp(x), points=32, orders=(0,))
    assert stable(jnp.ones((2, 3))).shape == (2, 3) and stable(jnp.float32(100)) == 0


def test_the_ends_of_the_domain_are_points():
    problem = Problem(term_of(lambda x: jnp.exp(-x), ["x"], F32), ("x",), F32, {"x": (1.0, float("inf"))}, 0)
    found = problem.mixed(16)
    assert {1.0, np.inf} <= set(found.columns["x"].tolist())
    assert found.truth[found.columns["x"] == np.inf].tolist() == [0]


def test_a_series_about_a_number_is_found():
    stable = stabilize(lambda x: x * x * x - 3 * x * x + 3 * x - 1, domain={"x": (0.75, 1.5)}, points=32, orders=(0,))
    x = np.linspace(0.75, 1.5, 1001, dtype=np.float32)
    np.testing.assert_allclose(jax.vmap(stable)(x), (x.astype(np.float64) - 1) ** 3, rtol=1e-6)
