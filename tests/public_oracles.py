"""What the public functions are, in mpmath's own: by name, the function and the open interval to try it on."""

import math

import mpmath
from mpmath import mp, mpf

INF = math.inf
ALL, POSITIVE = (-INF, INF), (0.0, INF)
OPEN_UNIT, UNIT_BALL = (0.0, 1.0), (-1.0, 1.0)
MEDIUM, POSITIVE_MEDIUM = (-1e4, 1e4), (0.0, 1e4)
SMALL, POSITIVE_SMALL = (-30.0, 30.0), (0.0, 60.0)


def normal(x):
    return mpmath.erfc(-x / mpmath.sqrt(2)) / 2


def erfcinv(p):
    """By Newton's iteration in `log erfc`, which is concave."""
    if p > 1:
        return -erfcinv(2 - p)
    x = mpmath.sqrt(-mpmath.log(p)) if p < 0.06 else mpmath.erfinv(1 - p)
    for _ in range(10000):
        y = mpmath.erfc(x)
        step = (mpmath.log(y) - mpmath.log(p)) * y / (-2 / mpmath.sqrt(mp.pi) * mpmath.exp(-x * x))
        x -= step
        if abs(step) <= mpmath.ldexp(abs(x), -mp.prec // 2 - 10):
            break
    return x


def erfinv(x):
    return mpmath.erfinv(x) if abs(x) < 0.5 else erfcinv(1 - x)


def probit(p):
    return -mpmath.sqrt(2) * erfcinv(2 * p)


def sigmoid(x):
    return 1 / (1 + mpmath.exp(-x))


def square_plus(x):
    root = mpmath.sqrt(x * x + 4)
    return 2 / (root - x) if x < 0 else (x + root) / 2


def softplus(x):
    return mpmath.log1p(mpmath.exp(x))


def signed_cbrt(x):
    return mpmath.cbrt(x) if x >= 0 else -mpmath.cbrt(-x)


def log_sum(x, y):
    high, low = max(x, y), min(x, y)
    return high + mpmath.log1p(mpmath.exp(low - high))


def log2_sum(x, y):
    high, low = max(x, y), min(x, y)
    return high + mpmath.log1p(mpf(2) ** (low - high)) / mpmath.log(2)


def remainder(x, y):
    """With the sign of the divisor, in exact integers."""
    (_, a, e, _), (_, b, f, _) = abs(x)._mpf_, abs(y)._mpf_
    g = min(e, f)
    a, b = (a << (e - g)) * (-1 if x < 0 else 1), (b << (f - g)) * (-1 if y < 0 else 1)
    return mpmath.ldexp(a % b, g)


def selu(x):
    scale, alpha = mpf("1.0507009873554804934193349852946"), mpf("1.6732632423543772848170429916717")
    return scale * (x if x > 0 else alpha * mpmath.expm1(x))


def dawson(x):
    return mpmath.sqrt(mp.pi) / 2 * mpmath.exp(-x * x) * mpmath.erfi(x)


def lower_gamma(a, x):
    return mpmath.gammainc(a, 0, x, regularized=True)


def upper_gamma(a, x):
    return mpmath.gammainc(a, x, regularized=True)


def beta_part(a, b, x):
    return mpmath.betainc(a, b, 0, x, regularized=True)


def beta_rest(a, b, x):
    return mpmath.betainc(b, a, 0, 1 - x, regularized=True)


def log_beta(a, b):
    return mpmath.log(abs(mpmath.beta(a, b)))


def log_gamma(x):
    return mpmath.log(abs(mpmath.gamma(x)))


def owens(h, a):
    scale = a * mpmath.exp(-h * h / 2) / (2 * mp.pi)
    return scale * mpmath.quad(lambda u: mpmath.exp(-((h * a * u) ** 2) / 2) / (1 + (a * u) ** 2), [0, 0.25, 0.5, 1])


def hurwitz(s, q):
    shift = max(0, int(mpmath.ceil(1 - q)))
    with mpmath.workdps(mp.dps + 40):
        return mpmath.zeta(s, q + shift) + sum((q + k) ** -s for k in range(shift))


A, B, C, P, X, Y = map(mpf, (0.75, 2.5, 0.5, 0.25, 0.25, 1.5))
"""What is held."""

ELEMENTARY = {
    "exp": (mpmath.exp, ALL),
    "exp2": (lambda x: mpf(2) ** x, ALL),
    "expm1": (mpmath.expm1, ALL),
    "log": (mpmath.log, POSITIVE),
    "log1p": (mpmath.log1p, (-1.0, INF)),
    "sqrt": (mpmath.sqrt, POSITIVE),
    "cbrt": (signed_cbrt, ALL),
    "square": (lambda x: x * x, ALL),
    "reciprocal": (lambda x: 1 / x, ALL),
    "sin": (mpmath.sin, ALL),
    "cos": (mpmath.cos, ALL),
    "tan": (mpmath.tan, ALL),
    "sinh": (mpmath.sinh, ALL),
    "cosh": (mpmath.cosh, ALL),
    "tanh": (mpmath.tanh, ALL),
    "asin": (mpmath.asin, UNIT_BALL),
    "acos": (mpmath.acos, UNIT_BALL),
    "atan": (mpmath.atan, ALL),
    "asinh": (mpmath.asinh, ALL),
    "acosh": (mpmath.acosh, (1.0, INF)),
    "atanh": (mpmath.atanh, UNIT_BALL),
    "abs": (abs, ALL),
    "floor": (mpmath.floor, ALL),
    "ceil": (mpmath.ceil, ALL),
    "sign": (mpmath.sign, ALL),
}
"""In `jax.numpy` and in `jax.lax`."""

ONLY_NUMPY = {
    "log10": (mpmath.log10, POSITIVE),
    "log2": (lambda x: mpmath.log(x) / mpmath.log(2), POSITIVE),
    "deg2rad": (mpmath.radians, ALL),
    "rad2deg": (mpmath.degrees, ALL),
    "sinc": (mpmath.sincpi, ALL),
    "i0": (lambda x: mpmath.besseli(0, x), MEDIUM),
    "rint": (mpmath.nint, ALL),
}

ALIASES = {
    "arcsin": "asin",
    "arccos": "acos",
    "arctan": "atan",
    "arcsinh": "asinh",
    "arccosh": "acosh",
    "arctanh": "atanh",
    "absolute": "abs",
    "fabs": "abs",
}

ORACLES = {
    **{f"jnp.{name}(x)": row for name, row in (ELEMENTARY | ONLY_NUMPY).items()},
    **{f"lax.{name}(x)": row for name, row in ELEMENTARY.items()},
    **{f"jnp.{alias}(x)": ELEMENTARY[name] for alias, name in ALIASES.items()},
    "jnp.degrees(x)": (mpmath.degrees, ALL),
    "jnp.radians(x)": (mpmath.radians, ALL),
    "jnp.arctan2(x, 1.5)": (lambda x: mpmath.atan2(x, Y), ALL),
    "jnp.arctan2(1.5, x)": (lambda x: mpmath.atan2(Y, x), ALL),
    "jnp.hypot(x, 1.5)": (lambda x: mpmath.hypot(x, Y), ALL),
    "jnp.float_power(x, 1.5)": (lambda x: x**Y, POSITIVE),
    "jnp.power(x, 1.5)": (lambda x: x**Y, POSITIVE),
    "jnp.power(1.5, x)": (lambda x: Y**x, ALL),
    "jnp.logaddexp(x, 1.5)": (lambda x: log_sum(x, Y), ALL),
    "jnp.logaddexp2(x, 1.5)": (lambda x: log2_sum(x, Y), ALL),
    "jnp.mod(x, 1.5)": (lambda x: remainder(x, Y), ALL),
    "jnp.mod(1.5, x)": (lambda x: remainder(Y, x), ALL),
    "nn.celu(x)": (lambda x: x if x > 0 else mpmath.expm1(x), ALL),
    "nn.elu(x)": (lambda x: x if x > 0 else mpmath.expm1(x), ALL),
    "nn.log1mexp(x)": (lambda x: mpmath.log(-mpmath.expm1(-x)), POSITIVE),
    "nn.log_sigmoid(x)": (lambda x: -softplus(-x), MEDIUM),
    "nn.mish(x)": (lambda x: x * mpmath.tanh(softplus(x)), MEDIUM),
    "nn.selu(x)": (selu, ALL),
    "nn.sigmoid(x)": (sigmoid, MEDIUM),
    "nn.silu(x)": (lambda x: x * sigmoid(x), MEDIUM),
    "nn.soft_sign(x)": (lambda x: x / (1 + abs(x)), ALL),
    "nn.softplus(x)": (softplus, MEDIUM),
    "nn.squareplus(x)": (
        lambda x: 2 / (mpmath.sqrt(x * x + 4) - x) if x < 0 else (x + mpmath.sqrt(x * x + 4)) / 2,
        ALL,
    ),
    "lax.bessel_i0e(x)": (lambda x: mpmath.exp(-abs(x)) * mpmath.besseli(0, x), MEDIUM),
    "lax.bessel_i1e(x)": (lambda x: mpmath.exp(-abs(x)) * mpmath.besseli(1, x), MEDIUM),
    "lax.digamma(x)": (mpmath.digamma, MEDIUM),
    "lax.erf(x)": (mpmath.erf, MEDIUM),
    "lax.erf_inv(x)": (erfinv, UNIT_BALL),
    "lax.erfc(x)": (mpmath.erfc, MEDIUM),
    "lax.igamma(x, 0.25)": (lambda x: lower_gamma(x, X), POSITIVE_SMALL),
    "lax.igamma(0.75, x)": (lambda x: lower_gamma(A, x), POSITIVE_MEDIUM),
    "lax.igammac(x, 0.25)": (lambda x: upper_gamma(x, X), POSITIVE_SMALL),
    "lax.igammac(0.75, x)": (lambda x: upper_gamma(A, x), POSITIVE_MEDIUM),
    "lax.lgamma(x)": (log_gamma, MEDIUM),
    "lax.logistic(x)": (sigmoid, MEDIUM),
    "lax.polygamma(2.0, x)": (lambda x: mpmath.polygamma(2, x), MEDIUM),
    "lax.rsqrt(x)": (lambda x: 1 / mpmath.sqrt(x), POSITIVE),
    "lax.zeta(2.0, x)": (lambda x: hurwitz(2, x), SMALL),
    "lax.zeta(x, 0.25)": (lambda x: hurwitz(x, X), (1.0, 60.0)),
    "special.beta(x, 2.5)": (lambda x: mpmath.beta(x, B), SMALL),
    "special.beta(0.75, x)": (lambda x: mpmath.beta(A, x), SMALL),
    "special.betainc(x, 2.5, 0.25)": (lambda x: beta_part(x, B, X), POSITIVE_SMALL),
    "special.betainc(0.75, x, 0.25)": (lambda x: beta_part(A, x, X), POSITIVE_SMALL),
    "special.betainc(0.75, 2.5, x)": (lambda x: beta_part(A, B, x), OPEN_UNIT),
    "special.betaln(x, 2.5)": (lambda x: log_beta(x, B), SMALL),
    "special.betaln(0.75, x)": (lambda x: log_beta(A, x), SMALL),
    "special.boxcox(x, 1.5)": (lambda x: (x**Y - 1) / Y, POSITIVE),
    "special.boxcox(0.25, x)": (lambda x: mpmath.expm1(x * mpmath.log(X)) / x, MEDIUM),
    "special.boxcox1p(x, 1.5)": (lambda x: mpmath.expm1(Y * mpmath.log1p(x)) / Y, (-1.0, INF)),
    "special.boxcox1p(0.25, x)": (lambda x: mpmath.expm1(x * mpmath.log1p(X)) / x, MEDIUM),
    "special.dawsn(x)": (dawson, (-100.0, 100.0)),
    "special.digamma(x)": (mpmath.digamma, MEDIUM),
    "special.entr(x)": (lambda x: -x * mpmath.log(x), POSITIVE),
    "special.erf(x)": (mpmath.erf, MEDIUM),
    "special.erfc(x)": (mpmath.erfc, MEDIUM),
    "special.erfcx(x)": (lambda x: mpmath.exp(x * x) * mpmath.erfc(x), (-100.0, 1e4)),
    "special.erfinv(x)": (erfinv, UNIT_BALL),
    "special.exp1(x)": (mpmath.e1, POSITIVE_MEDIUM),
    "special.expi(x)": (mpmath.ei, MEDIUM),
    "special.expit(x)": (sigmoid, MEDIUM),
    "special.expn(5.0, x)": (lambda x: mpmath.expint(5, x), POSITIVE_SMALL),
    "special.factorial(x)": (lambda x: mpmath.factorial(x), POSITIVE_MEDIUM),
    "special.fresnel(x)[0]": (mpmath.fresnels, (-100.0, 100.0)),
    "special.fresnel(x)[1]": (mpmath.fresnelc, (-100.0, 100.0)),
    "special.gamma(x)": (mpmath.gamma, MEDIUM),
    "special.gammainc(x, 0.25)": (lambda x: lower_gamma(x, X), POSITIVE_SMALL),
    "special.gammainc(0.75, x)": (lambda x: lower_gamma(A, x), POSITIVE_MEDIUM),
    "special.gammaincc(x, 0.25)": (lambda x: upper_gamma(x, X), POSITIVE_SMALL),
    "special.gammaincc(0.75, x)": (lambda x: upper_gamma(A, x), POSITIVE_MEDIUM),
    "special.gammaln(x)": (log_gamma, MEDIUM),
    "special.hyp1f1(x, 2.5, 0.25)": (lambda x: mpmath.hyp1f1(x, B, X), SMALL),
    "special.hyp1f1(0.75, x, 0.25)": (lambda x: mpmath.hyp1f1(A, x, X), POSITIVE_SMALL),
    "special.hyp1f1(0.75, 2.5, x)": (lambda x: mpmath.hyp1f1(A, B, x), (-100.0, 100.0)),
    "special.hyp2f1(x, 2.5, 0.5, 0.25)": (lambda x: mpmath.hyp2f1(x, B, C, X), SMALL),
    "special.hyp2f1(0.75, x, 0.5, 0.25)": (lambda x: mpmath.hyp2f1(A, x, C, X), SMALL),
    "special.hyp2f1(0.75, 2.5, x, 0.25)": (lambda x: mpmath.hyp2f1(A, B, x, X), POSITIVE_SMALL),
    "special.hyp2f1(0.75, 2.5, 0.5, x)": (lambda x: mpmath.hyp2f1(A, B, C, x), (-30.0, 1.0)),
    "special.i0(x)": (lambda x: mpmath.besseli(0, x), MEDIUM),
    "special.i0e(x)": (lambda x: mpmath.exp(-abs(x)) * mpmath.besseli(0, x), MEDIUM),
    "special.i1(x)": (lambda x: mpmath.besseli(1, x), MEDIUM),
    "special.i1e(x)": (lambda x: mpmath.exp(-abs(x)) * mpmath.besseli(1, x), MEDIUM),
    "special.kl_div(x, 0.25)": (lambda x: x * mpmath.log(x / P) - x + P, POSITIVE_MEDIUM),
    "special.log_ndtr(x)": (lambda x: mpmath.log1p(-normal(-x)) if x > 0 else mpmath.log(normal(x)), MEDIUM),
    "special.loggamma(x)": (log_gamma, POSITIVE_MEDIUM),
    "special.logit(x)": (lambda x: mpmath.log(x) - mpmath.log1p(-x), OPEN_UNIT),
    "special.multigammaln(x, 2)": (lambda x: mpmath.log(mp.pi) / 2 + log_gamma(x) + log_gamma(x - C), (0.5, 1e4)),
    "special.ndtr(x)": (normal, MEDIUM),
    "special.ndtri(x)": (probit, OPEN_UNIT),
    "special.owens_t(x, 0.75)": (lambda x: owens(x, A), (-12.0, 12.0)),
    "special.owens_t(1.5, x)": (lambda x: owens(Y, x), (-12.0, 12.0)),
    "special.poch(x, 1.5)": (lambda x: mpmath.rf(x, Y), SMALL),
    "special.poch(1.5, x)": (lambda x: mpmath.rf(Y, x), SMALL),
    "special.polygamma(2, x)": (lambda x: mpmath.polygamma(2, x), MEDIUM),
    "special.rel_entr(x, 0.25)": (lambda x: x * mpmath.log(x / P), POSITIVE_MEDIUM),
    "special.sici(x)[0]": (mpmath.si, MEDIUM),
    "special.sici(x)[1]": (lambda x: mpmath.ci(abs(x)), MEDIUM),
    "special.spence(x)": (lambda x: mpmath.polylog(2, 1 - x).real, POSITIVE_MEDIUM),
    "special.xlog1py(x, 1.5)": (lambda x: x * mpmath.log1p(Y), ALL),
    "special.xlog1py(0.25, x)": (lambda x: X * mpmath.log1p(x), (-1.0, INF)),
    "special.xlogy(x, 1.5)": (lambda x: x * mpmath.log(Y), ALL),
    "special.xlogy(0.25, x)": (lambda x: X * mpmath.log(x), POSITIVE),
}
