"""What is known to help against what an equation did, one line a kind."""

from __future__ import annotations

DOUBLE_WHERE = "a where hides the value, not the derivative: give the function a safe argument too, f(where(ok, x, 1))"

LARGER = "compute it in a larger dtype"

OF_THE_OPERATION: dict[tuple[str, str], str] = {
    ("overflow", "exp"): "subtract the maximum first, or use logsumexp, softmax, softplus, log_sigmoid, which do",
    ("overflow", "exp2"): "subtract the maximum first, or use logsumexp or logaddexp2, which do",
    ("overflow", "expm1"): "use softplus or logsumexp, which take large arguments",
    ("overflow", "cosh"): "take |x| out: log(cosh(x)) = |x| + log1p(exp(-2|x|)) - log(2)",
    (
        "overflow",
        "convert_element_type",
    ): "the number is too large for the smaller dtype: mask by where, or by its finfo.min",
    (
        "overflow",
        "reduce_sum",
    ): "sum in a larger dtype: jnp.sum(x, dtype=jnp.float32), or take the mean of scaled numbers",
    (
        "overflow",
        "dot_general",
    ): "accumulate in a larger dtype: preferred_element_type=jnp.float32, or scale the factors first",
    ("underflow", "exp"): "stay with logarithms: log_softmax, logsumexp, log_sigmoid of the logits",
    ("flush", "logistic"): "stay with logarithms: log_sigmoid of the logits",
    ("underflow", "logistic"): "stay with logarithms: log_sigmoid of the logits",
    (
        "pole",
        "log",
    ): "take the logarithm of the function that gave 0 as one: log_softmax, log_sigmoid, log_ndtr, logsumexp",
    ("pole", "sqrt"): "put a small number inside the root, sqrt(x + eps), or use a double where",
    ("pole", "rsqrt"): "put a small number inside the root, rsqrt(x + eps)",
    ("pole", "div"): f"guard the denominator inside the quotient, x / where(d == 0, 1, d); {DOUBLE_WHERE}",
    ("domain", "log"): "the argument is below 0: clip it, or log what is positive by construction",
    ("domain", "log1p"): "the argument is below -1: clip it",
    (
        "domain",
        "sqrt",
    ): "the argument is below 0: jnp.maximum(x, 0) before the root, and a double where for its gradient",
    ("domain", "acos"): "the argument is over 1 by rounding: use arctan2(|u × v|, u · v), or clip it",
    ("domain", "asin"): "the argument is over 1 by rounding: use arctan2, or clip it",
    ("domain", "pow"): "a power of a number below 0: jnp.abs(x) or a double where",
    ("absorption", "add"): "log(1 + x) is log1p(x), sqrt(1 + x) - 1 is x / (sqrt(1 + x) + 1); or a larger dtype",
    (
        "cancellation",
        "sub",
    ): "compute the difference as one: expm1, log1p, (a - b)(a + b), 2 sin², jnp.var; or a larger dtype",
    ("cancellation", "add"): "compute the difference as one: expm1, log1p, (a - b)(a + b); or a larger dtype",
}

OF_THE_KIND = {
    "absorption": "add small numbers to each other first, or sum in a larger dtype",
    "amplification": "ill-conditioned here: compute the argument in a larger dtype, or in another form",
    "approximation": "the library's function is off here: use another of the same meaning, or a larger dtype",
    "branch": "numbers that differ by a rounding are compared: leave a margin, or compare before they are rounded",
    "cancellation": "compute the difference as one, or in a larger dtype",
    "domain": f"keep the argument inside the domain; {DOUBLE_WHERE}",
    "flush": "XLA takes subnormal numbers for 0: scale up before, and down after",
    "inaccurate": LARGER,
    "infinity_minus_infinity": "an infinity came in twice: a softmax of nothing but -inf, a mask over everything",
    "infinity_over_infinity": "divide before the numbers overflow, or take the logarithm of both",
    "not_proven": "",
    "overflow": "scale the numbers first, take logarithms, or a larger dtype",
    "pole": DOUBLE_WHERE,
    "underflow": "scale the loss or the numbers, take logarithms, or a larger dtype",
    "zero_over_zero": f"guard the denominator, x / where(d == 0, 1, d), or add eps; {DOUBLE_WHERE}",
    "zero_times_infinity": DOUBLE_WHERE,
}
"""By the kind of a row (`stability.diagnosis.MEANINGS`), where nothing more is known of the operation."""


def fix_of(kind: str, primitive: str) -> str:
    """What is known to help, in one line; empty where nothing is."""
    return OF_THE_OPERATION.get((kind, primitive), OF_THE_KIND.get(kind, ""))
