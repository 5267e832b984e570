"""The identities that are known, by their families."""

from __future__ import annotations

from stability.rewriting.rules import rules_of

SHRINKING = rules_of(
    "simplify",
    """
    a + 0 = a
    a - 0 = a
    0 - a = -a
    a - a = 0
    a * 1 = a
    a * 0 = 0
    a / 1 = a
    a / (-1) = -a
    0 / a = 0
    a / a = 1
    (a * b) / b = a
    (a + b) - b = a
    (a + b) - a = b
    (a - b) + b = a
    a - (a - b) = b
    a + (b - a) = b
    -(-a) = a
    -(a - b) = b - a
    a * (-1) = -a
    (-a) * (-b) = a * b
    (-a) / (-b) = a / b
    a - (-b) = a + b
    a + (-b) = a - b
    a ** 1 = a
    a ** 0 = 1
    1 ** a = 1
    1 / (1 / a) = a
    a * (1 / a) = 1
    sqrt(a) * sqrt(a) = a
    cbrt(a) * (cbrt(a) * cbrt(a)) = a
    exp(log(a)) = a
    log(exp(a)) = a
    expm1(log1p(a)) = a
    log1p(expm1(a)) = a
    exp(0) = 1
    log(1) = 0
    abs(abs(a)) = abs(a)
    abs(-a) = abs(a)
    tan(atan(a)) = a
    sin(asin(a)) = a
    cos(acos(a)) = a
    tanh(atanh(a)) = a
    sinh(asinh(a)) = a
    cosh(acosh(a)) = a
    asinh(sinh(a)) = a
    atanh(tanh(a)) = a
    sin(0) = 0
    cos(0) = 1
    tan(0) = 0
    """,
)
"""What makes terms smaller."""

ARITHMETIC = rules_of(
    "arithmetic",
    """
    a + b = b + a
    a * b = b * a
    (a + b) + c == a + (b + c)
    (a * b) * c == a * (b * c)
    a - b == a + (-b)
    (a + b) - c == a + (b - c)
    a - (b + c) == (a - b) - c
    a - (b - c) == (a - b) + c
    -(a + b) == (-a) - b
    -(a * b) == (-a) * b
    -(a / b) == (-a) / b
    a / (-b) = -(a / b)
    a + a == 2 * a
    a * b + a * c == a * (b + c)
    a * b - a * c == a * (b - c)
    a * b + a = a * (b + 1)
    a * b - a = a * (b - 1)
    a - a * b = a * (1 - b)
    """,
)

FRACTIONS = rules_of(
    "fractions",
    """
    a / b == a * (1 / b)
    (a * b) / c == a * (b / c)
    (a / b) / c == a / (b * c)
    a / (b / c) = (a * c) / b
    (a * b) / (c * d) == (a / c) * (b / d)
    (a * b) / (a * c) = b / c
    a / c + b / c == (a + b) / c
    a / c - b / c == (a - b) / c
    a / b + c / d = (a * d + b * c) / (b * d)
    a / b - c / d = (a * d - b * c) / (b * d)
    a / b + c = (a + c * b) / b
    a / b - c = (a - c * b) / b
    c - a / b = (c * b - a) / b
    (a - b) / b = a / b - 1
    (a + b) / b = a / b + 1
    a / (a + b) = 1 / (1 + b / a) if a != 0
    """,
)

POWERS = rules_of(
    "powers",
    """
    (a - b) * (a + b) == a * a - b * b
    a * a - 1 == (a - 1) * (a + 1)
    a ** 2 == a * a
    a ** 3 == a * (a * a)
    a ** (1/2) == sqrt(a)
    a ** (1/3) = cbrt(a)
    a ** b == exp(b * log(a)) if a > 0
    a ** b * a ** c == a ** (b + c) if a > 0
    a ** b / a ** c == a ** (b - c) if a > 0
    (a ** b) ** c = a ** (b * c) if a > 0
    (a * b) ** c == a ** c * b ** c if a > 0 and b > 0
    (a / b) ** c == a ** c / b ** c if a > 0 and b > 0
    a ** (-b) == 1 / a ** b if a > 0
    a ** (-1) = 1 / a
    """,
)

ROOTS = rules_of(
    "roots",
    """
    sqrt(a) - b = (a - b * b) / (sqrt(a) + b) if sqrt(a) + b != 0
    b - sqrt(a) = (b * b - a) / (b + sqrt(a)) if b + sqrt(a) != 0
    sqrt(a) + b = (a - b * b) / (sqrt(a) - b) if sqrt(a) - b != 0
    -b - sqrt(a) = (b * b - a) / (sqrt(a) - b) if sqrt(a) - b != 0
    sqrt(a) - sqrt(b) = (a - b) / (sqrt(a) + sqrt(b)) if sqrt(a) + sqrt(b) != 0
    cbrt(a) - 1 = (a - 1) / ((cbrt(a) * cbrt(a) + 1) + cbrt(a))
    cbrt(a) - cbrt(b) = (a - b) / ((cbrt(a) * cbrt(a) + cbrt(b) * cbrt(b)) + cbrt(a) * cbrt(b)) if abs(a) + abs(b) > 0
    sqrt(a * a) = abs(a)
    sqrt(a) * sqrt(b) = sqrt(a * b)
    sqrt(a * b) = sqrt(a) * sqrt(b) if a >= 0 and b >= 0
    sqrt(a) / sqrt(b) = sqrt(a / b)
    sqrt(a / b) = sqrt(a) / sqrt(b) if a >= 0 and b > 0
    a / sqrt(a) = sqrt(a)
    sqrt(a) / a = 1 / sqrt(a)
    cbrt(a * b) == cbrt(a) * cbrt(b)
    cbrt(a / b) == cbrt(a) / cbrt(b)
    sqrt(a * a + b) = abs(a) * sqrt(1 + b / (a * a)) if a != 0
    sqrt(a * a - b) = abs(a) * sqrt(1 - b / (a * a)) if a != 0
    sqrt(a * a + b * b) = hypot(a, b)
    sqrt(a * a + b) = hypot(a, sqrt(b)) if b >= 0
    sqrt(a * a - b) = hypot(a, sqrt(-b)) if b <= 0
    sqrt(a * a - b * b) = sqrt(a - b) * sqrt(a + b) if a - b >= 0 and a + b >= 0
    sqrt(a * a - b) = sqrt(abs(a) - sqrt(b)) * sqrt(abs(a) + sqrt(b)) if b >= 0
    sqrt(-(a * b)) = sqrt(-a) * sqrt(b) if a <= 0 and b >= 0
    (a * b) / (c * c) = (a / c) * (b / c)
    (a * b) / (c * c) = a / (c * (c / b)) if b != 0
    abs(a) = a if a >= 0
    abs(a) = -a if a <= 0
    abs(a * b) == abs(a) * abs(b)
    abs(a / b) == abs(a) / abs(b)
    abs(a) * abs(a) = a * a
    max(a, b) = a if a - b >= 0
    max(a, b) = b if a - b <= 0
    """,
)

EXPONENTIALS = rules_of(
    "exp",
    """
    exp(a) * exp(b) == exp(a + b)
    exp(a) / exp(b) == exp(a - b)
    1 / exp(a) == exp(-a)
    exp(2 * a) == exp(a) * exp(a)
    exp(a * b) = exp(a) ** b
    exp(a) - 1 == expm1(a)
    1 - exp(a) = -expm1(a)
    expm1(a) + 1 = exp(a)
    exp(a) - exp(b) = exp(b) * expm1(a - b)
    exp(a) / expm1(a) = -(1 / expm1(-a))
    expm1(a) / exp(a) = -expm1(-a)
    expm1(-a) = -(expm1(a) / exp(a))
    expm1(2 * a) == expm1(a) * (exp(a) + 1)
    expm1(a + b) = (expm1(a) + expm1(b)) + expm1(a) * expm1(b)
    exp(a) + exp(-a) == 2 * cosh(a)
    exp(a) - exp(-a) == 2 * sinh(a)
    cosh(a) - 1 = 2 * (sinh(a / 2) * sinh(a / 2))
    cosh(a) - 1 = (expm1(a) * expm1(a)) / (2 * exp(a))
    cosh(a) * cosh(a) - sinh(a) * sinh(a) = 1
    sinh(a) / cosh(a) == tanh(a)
    1 - tanh(a) = 2 * logistic(-2 * a)
    1 + tanh(a) = 2 * logistic(2 * a)
    tanh(a) = expm1(2 * a) / (expm1(2 * a) + 2)
    tanh(a) = -tanh(-a)
    sinh(-a) == -sinh(a)
    cosh(-a) = cosh(a)
    acosh(a) = 2 * asinh(sqrt((a - 1) / 2))
    acosh(1 + a) = 2 * asinh(sqrt(a / 2))
    """,
)

LOGARITHMS = rules_of(
    "log",
    """
    log(a * b) = log(a) + log(b) if a > 0 and b > 0
    log(a) + log(b) = log(a * b)
    log(a / b) = log(a) - log(b) if a > 0 and b > 0
    log(a) - log(b) = log(a / b)
    log(1 / a) == -log(a)
    log(a ** b) = b * log(a) if a > 0
    b * log(a) = log(a ** b)
    log(sqrt(a)) = log(a) / 2
    log(1 + a) == log1p(a)
    log(1 - a) == log1p(-a)
    log(a) = log1p(a - 1)
    log(a) - log(b) = log1p((a - b) / b)
    log(a + b) = log(a) + log1p(b / a) if a > 0
    log(a - b) = log(a) + log1p(-(b / a)) if a > 0
    log(a / b) = log1p((a - b) / b)
    log1p(a) - log1p(b) = log1p((a - b) / (1 + b))
    log1p(a) + log1p(b) = log1p((a + b) + a * b)
    log1p(a) - log1p(-a) = 2 * atanh(a)
    log1p(-a) - log1p(a) = -(2 * atanh(a))
    log((1 - a) / (1 + a)) = -(2 * atanh(a))
    log((1 + a) / (1 - a)) = 2 * atanh(a)
    log1p(a) = log(a) + log1p(1 / a) if a > 0
    log(a + sqrt(a * a + 1)) = asinh(a)
    log(a + sqrt(a * a - 1)) = acosh(a)
    log(exp(a) + exp(b)) = logaddexp(a, b)
    log1p(exp(a)) == logaddexp(a, 0)
    logaddexp(a, b) = logaddexp(b, a)
    logaddexp(a, b) = a + log1p(exp(b - a))
    logaddexp(a, b) - b = logaddexp(a - b, 0)
    logaddexp(a, 0) - a = logaddexp(-a, 0)
    log(exp(a) - exp(b)) = a + log(-expm1(b - a))
    log(-expm1(a)) == log1p(-exp(a))
    """,
)

SIGMOIDS = rules_of(
    "sigmoid",
    """
    1 / (1 + exp(-a)) == logistic(a)
    1 / (1 + exp(a)) == logistic(-a)
    exp(a) / (1 + exp(a)) = logistic(a)
    1 - logistic(a) == logistic(-a)
    logistic(a) - 1 = -logistic(-a)
    log(logistic(a)) = -logaddexp(-a, 0)
    log1p(-logistic(a)) = -logaddexp(a, 0)
    logistic(a) / logistic(-a) = exp(a)
    logistic(a) / (1 - logistic(a)) = exp(a)
    logistic(a) - b = (1 - b) * logistic(a) - b * logistic(-a)
    b - logistic(a) = b * logistic(-a) - (1 - b) * logistic(a)
    logistic(a) - 1/2 = tanh(a / 2) / 2
    2 * logistic(a) - 1 = tanh(a / 2)
    """,
)

TRIGONOMETRY = rules_of(
    "trigonometry",
    """
    sin(a) * sin(a) + cos(a) * cos(a) = 1
    1 - cos(a) * cos(a) = sin(a) * sin(a)
    1 - sin(a) * sin(a) = cos(a) * cos(a)
    1 - cos(a) = 2 * (sin(a / 2) * sin(a / 2))
    cos(a) - 1 = -(2 * (sin(a / 2) * sin(a / 2)))
    1 - cos(a) = (sin(a) * sin(a)) / (1 + cos(a)) if 1 + cos(a) != 0
    1 - cos(a) = sin(a) * tan(a / 2) if 1 + cos(a) != 0
    1 + cos(a) = 2 * (cos(a / 2) * cos(a / 2))
    (1 - cos(a)) / sin(a) = tan(a / 2)
    sin(a) / (1 + cos(a)) = tan(a / 2)
    sin(a) / cos(a) == tan(a)
    sin(2 * a) == 2 * (sin(a) * cos(a))
    cos(2 * a) = 1 - 2 * (sin(a) * sin(a))
    sin(a + b) == sin(a) * cos(b) + cos(a) * sin(b)
    sin(a - b) == sin(a) * cos(b) - cos(a) * sin(b)
    cos(a + b) == cos(a) * cos(b) - sin(a) * sin(b)
    cos(a - b) == cos(a) * cos(b) + sin(a) * sin(b)
    tan(a + b) = (tan(a) + tan(b)) / (1 - tan(a) * tan(b)) if cos(a) * cos(b) != 0 and 1 - tan(a) * tan(b) != 0
    sin(a) - sin(b) = 2 * (sin((a - b) / 2) * cos((a + b) / 2))
    cos(a) - cos(b) = -(2 * (sin((a - b) / 2) * sin((a + b) / 2)))
    tan(a) - tan(b) = sin(a - b) / (cos(a) * cos(b))
    tan(a) + tan(b) = sin(a + b) / (cos(a) * cos(b))
    1 / tan(a) = cos(a) / sin(a)
    sin(-a) == -sin(a)
    cos(-a) = cos(a)
    tan(-a) == -tan(a)
    atan(a) - atan(b) = atan2(a - b, 1 + a * b)
    atan(a) + atan(b) = atan2(a + b, 1 - a * b)
    atan(-a) == -atan(a)
    atan(a) = pi / 2 - atan(1 / a) if a > 0
    acos(a) = 2 * asin(sqrt((1 - a) / 2))
    acos(1 - a) = 2 * asin(sqrt(a / 2))
    """,
)

ERRORS = rules_of(
    "erf",
    """
    1 - erf(a) == erfc(a)
    1 - erfc(a) == erf(a)
    erf(-a) == -erf(a)
    1 + erf(a) = erfc(-a)
    erfc(-a) = 2 - erfc(a)
    erfc(a) == exp(-(a * a)) * erfcx(a)
    exp(a * a) * erfc(a) == erfcx(a)
    log(erfc(a)) = log(erfcx(a)) - a * a
    """,
)

NORMAL = rules_of(
    "normal",
    """
    log(erfc(a)) = log(2) + log_ndtr(-(sqrt(2) * a))
    log(erfc(a) / 2) = log_ndtr(-(sqrt(2) * a))
    log_ndtr(a) = log(erfc(-(a / sqrt(2))) / 2)
    log_ndtr(a) = log1p(-(erfc(a / sqrt(2)) / 2))
    """,
)
"""Of the normal distribution: JAX has them in float32 and float64."""

ROWS = rules_of(
    "rows",
    """
    log(sum(exp(a))) == logsumexp(a)
    amax(a) + log(sum(exp(a - amax(a)))) = logsumexp(a)
    logsumexp(a - amax(a)) = logsumexp(a) - amax(a)
    exp(a) / sum(exp(a)) == softmax(a)
    exp(a - logsumexp(a)) = softmax(a)
    softmax(a - amax(a)) = softmax(a)
    log(softmax(a)) == log_softmax(a)
    exp(log_softmax(a)) = softmax(a)
    a - logsumexp(a) == log_softmax(a)
    log_softmax(a - amax(a)) = log_softmax(a)
    sum(softmax(a)) = 1
    sum(-a) == -sum(a)
    mean(-a) == -mean(a)
    sqrt(sum(a * a)) == norm(a)
    norm(a) = amax(abs(a)) * norm(a / amax(abs(a))) if amax(abs(a)) > 0
    norm(a) == nn_norm(a)
    logsumexp(a) == nn_logsumexp(a)
    log_softmax(a) == nn_log_softmax(a)
    softmax(a) == nn_softmax(a)
    mean(a * a) - mean(a) * mean(a) = mean((a - mean(a)) * (a - mean(a)))
    """,
)
"""Of rows: `a` has several elements."""

GROWING = {
    "rows": ROWS,
    "normal": NORMAL,
    "erf": ERRORS,
    "sigmoid": SIGMOIDS,
    "trigonometry": TRIGONOMETRY,
    "roots": ROOTS,
    "log": LOGARITHMS,
    "exp": EXPONENTIALS,
    "powers": POWERS,
    "fractions": FRACTIONS,
    "arithmetic": ARITHMETIC,
}
"""The other rules, by their families: those that make most terms last."""

RULES = [*SHRINKING, *(rule for family in GROWING.values() for rule in family)]
