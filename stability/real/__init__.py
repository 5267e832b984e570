"""The true value of a JAX function: its jaxpr evaluated in real arithmetic.

Let `F` be the real function that a jaxpr denotes when every primitive is read as the operation on real numbers that
it approximates, and roundings (`convert_element_type` between floats, `reduce_precision`) as the identity. The
arguments and the constants of the jaxpr are taken at face value in their own format. Evaluated in balls at a
precision of `p` bits, every equation encloses its real value, so the output ball encloses `F(x)`; `p` is doubled
until the ball decides the rounding to the target format. No step trusts a float, so a catastrophically naive formula
has the true value of what it says.

**Meaning.** A named function of JAX (`jnp.sinc`, `jax.scipy.special.erfcx`, `jax.nn.gelu`, ...) is the mathematical
function of that name, constants included, not the approximation that its equations compute.

**Undefined.** Real arithmetic has no NaN. 0/0, a log of 0, a root of a negative number have no value, and what
depends on them has none; that is reported, with its kind, and never as a number. An infinity is the limit, where that
exists (`exp(-inf) = 0`), and `inf - inf` or `0 * inf` has no value.

**What is not chosen is not evaluated.** `select_n`, `cond`, and a mask (a truth value converted to a float) choose. A
case that is not taken does not matter, whatever it is. Reverse mode turns "not chosen" into a factor 0: the cotangent
of `where(x > 0, log(x), 0)` at `x <= 0` is `0 * (1/x)`. So a zero that the program's text spells out and a choice
then picked is a very strong zero, in Knuth's words on Iverson's bracket: times or over anything, even undefined, it
is 0. A zero that was *computed* is an ordinary one (the gradient of `sqrt(x)**2` at 0 is `0 * inf` in its jaxpr:
undefined there, with limit 1), and so is a sum over an array in the program of the values: the mean of what a mask
leaves nothing of is 0/0. A zero that is given keeps the sign of its float, which `atan2` on its cut and the bits of a
number ask for; a computed one has none. Where a choice switches, at a kink, the value is the one that the jaxpr's own
convention says.

**Equality.** Balls can't show that two numbers are equal, unless both are exact or they are one and the same value:
`max` hands on the operand it picks, so `x == max(x, y)` is decided when `max` was.
"""

from stability.real._along import straight_line
from stability.real._points import Order, everywhere, truth
from stability.real.custom import custom_rules
from stability.real.evaluate import true_derivative, true_value, why_undefined
from stability.real.reals import UnsupportedPrimitive

__all__ = [
    "Order",
    "UnsupportedPrimitive",
    "custom_rules",
    "everywhere",
    "straight_line",
    "true_derivative",
    "true_value",
    "truth",
    "why_undefined",
]
