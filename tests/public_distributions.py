"""What the public distributions are, in mpmath's own: by name, the function and the open interval to try it on."""

import mpmath
from mpmath import mp, mpf
from public_oracles import (
    ALL,
    INF,
    MEDIUM,
    OPEN_UNIT,
    POSITIVE,
    POSITIVE_MEDIUM,
    POSITIVE_SMALL,
    A,
    B,
    C,
    P,
    X,
    Y,
    beta_part,
    beta_rest,
    lower_gamma,
    normal,
    probit,
    sigmoid,
    softplus,
    upper_gamma,
)

K, N, TWO = mpf(2), mpf(5), mpf(2)


def density(x):
    return mpmath.exp(-x * x / 2) / mpmath.sqrt(2 * mp.pi)


def normal_between(a, b):
    return normal(b) - normal(a) if b < 0 else normal(-a) - normal(-b)


def chi_density(x, d):
    return x ** (d / 2 - 1) * mpmath.exp(-x / 2) / (2 ** (d / 2) * mpmath.gamma(d / 2))


def gamma_density(x, a):
    return x ** (a - 1) * mpmath.exp(-x) / mpmath.gamma(a)


def beta_density(x, a, b):
    return x ** (a - 1) * (1 - x) ** (b - 1) / mpmath.beta(a, b)


def student(x, d):
    return (
        mpmath.gamma((d + 1) / 2) / (mpmath.sqrt(d * mp.pi) * mpmath.gamma(d / 2)) * (1 + x * x / d) ** (-(d + 1) / 2)
    )


def generalized(x, b):
    return b / (2 * mpmath.gamma(1 / b)) * mpmath.exp(-(abs(x) ** b))


def generalized_cdf(x, b):
    tail = upper_gamma(1 / b, abs(x) ** b) / 2
    return tail if x < 0 else 1 - tail


def mises(x, k):
    return mpmath.exp(k * mpmath.cos(x)) / (2 * mp.pi * mpmath.besseli(0, k))


def wrapped(x, c):
    return (1 - c * c) / (2 * mp.pi * (1 + c * c - 2 * c * mpmath.cos(x)))


def truncated(x, a, b):
    return density(x) / normal_between(a, b)


def choose(n, k):
    return mpmath.exp(mpmath.loggamma(n + 1) - mpmath.loggamma(k + 1) - mpmath.loggamma(n - k + 1))


def binomial(k, n, p):
    return choose(n, k) * p**k * (1 - p) ** (n - k)


def negative_binomial(k, n, p):
    return mpmath.gamma(n + k) / (mpmath.gamma(n) * mpmath.gamma(k + 1)) * p**n * (1 - p) ** k


def beta_binomial(k, n, a, b):
    return choose(n, k) * mpmath.beta(k + a, n - k + b) / mpmath.beta(a, b)


def cauchy(x):
    return 1 / (mp.pi * (1 + x * x))


def cauchy_cdf(x):
    return mpmath.atan(-1 / x) / mp.pi if x < -1 else mpf(0.5) + mpmath.atan(x) / mp.pi


def logistic_density(x):
    return sigmoid(x) * sigmoid(-x)


def geometric(p):
    return p * (1 - p)


def poisson(m):
    return m**K * mpmath.exp(-m) / 2


def rows(name, text, f, domain, log=None):
    """A function and its logarithm under the names that they go by."""
    logarithm = log or (lambda x: mpmath.log(f(x)))
    return {f"stats.{name}({text})": (f, domain), f"stats.{name.replace('.', '.log')}({text})": (logarithm, domain)}


def two_sided(name, text, cdf, sf, domain):
    """A distribution function and the rest, with their logarithms."""
    return {
        **rows(f"{name}.cdf", text, cdf, domain, lambda x: mpmath.log1p(-sf(x)) if sf(x) < 0.5 else mpmath.log(cdf(x))),
        **rows(f"{name}.sf", text, sf, domain, lambda x: mpmath.log1p(-cdf(x)) if cdf(x) < 0.5 else mpmath.log(sf(x))),
    }


def truncated_cdf(x, a, b):
    return normal_between(a, x) / normal_between(a, b)


def truncated_sf(x, a, b):
    return normal_between(x, b) / normal_between(a, b)


BETWEEN = (0.75, 2.5)

DISTRIBUTIONS = {
    **rows("beta.pdf", "x, 0.75, 2.5", lambda x: beta_density(x, A, B), OPEN_UNIT),
    **rows("beta.pdf", "0.25, x, 2.5", lambda x: beta_density(X, x, B), POSITIVE_SMALL),
    **rows("beta.pdf", "0.25, 0.75, x", lambda x: beta_density(X, A, x), POSITIVE_SMALL),
    **two_sided("beta", "x, 0.75, 2.5", lambda x: beta_part(A, B, x), lambda x: beta_rest(A, B, x), OPEN_UNIT),
    **two_sided("beta", "0.25, x, 2.5", lambda x: beta_part(x, B, X), lambda x: beta_rest(x, B, X), POSITIVE_SMALL),
    **two_sided("beta", "0.25, 0.75, x", lambda x: beta_part(A, x, X), lambda x: beta_rest(A, x, X), POSITIVE_SMALL),
    **rows("cauchy.pdf", "x", cauchy, ALL),
    **two_sided("cauchy", "x", cauchy_cdf, lambda x: cauchy_cdf(-x), MEDIUM),
    "stats.cauchy.ppf(x)": (lambda x: -1 / mpmath.tan(mp.pi * x), OPEN_UNIT),
    "stats.cauchy.isf(x)": (lambda x: 1 / mpmath.tan(mp.pi * x), OPEN_UNIT),
    **rows("chi2.pdf", "x, 1.5", lambda x: chi_density(x, Y), POSITIVE_MEDIUM),
    **rows("chi2.pdf", "0.25, x", lambda x: chi_density(X, x), POSITIVE_SMALL),
    **two_sided(
        "chi2", "x, 1.5", lambda x: lower_gamma(Y / 2, x / 2), lambda x: upper_gamma(Y / 2, x / 2), POSITIVE_MEDIUM
    ),
    **two_sided(
        "chi2", "0.25, x", lambda x: lower_gamma(x / 2, X / 2), lambda x: upper_gamma(x / 2, X / 2), POSITIVE_SMALL
    ),
    **rows("expon.pdf", "x", lambda x: mpmath.exp(-x), POSITIVE_MEDIUM, lambda x: -x),
    **rows("expon.cdf", "x", lambda x: -mpmath.expm1(-x), POSITIVE_MEDIUM, lambda x: mpmath.log(-mpmath.expm1(-x))),
    **rows("expon.sf", "x", lambda x: mpmath.exp(-x), POSITIVE_MEDIUM, lambda x: -x),
    "stats.expon.ppf(x)": (lambda x: -mpmath.log1p(-x), OPEN_UNIT),
    **rows("gamma.pdf", "x, 0.75", lambda x: gamma_density(x, A), POSITIVE_MEDIUM),
    **rows("gamma.pdf", "0.25, x", lambda x: gamma_density(X, x), POSITIVE_SMALL),
    **two_sided("gamma", "x, 0.75", lambda x: lower_gamma(A, x), lambda x: upper_gamma(A, x), POSITIVE_MEDIUM),
    **two_sided("gamma", "0.25, x", lambda x: lower_gamma(x, X), lambda x: upper_gamma(x, X), POSITIVE_SMALL),
    **rows("gennorm.pdf", "x, 1.5", lambda x: generalized(x, Y), MEDIUM),
    **rows("gennorm.pdf", "0.25, x", lambda x: generalized(X, x), (0.125, 60.0)),
    "stats.gennorm.cdf(x, 1.5)": (lambda x: generalized_cdf(x, Y), MEDIUM),
    "stats.gennorm.cdf(0.25, x)": (lambda x: generalized_cdf(X, x), (0.125, 60.0)),
    **rows("gumbel_l.pdf", "x", lambda x: mpmath.exp(x - mpmath.exp(x)), (-1e4, 30.0), lambda x: x - mpmath.exp(x)),
    **two_sided(
        "gumbel_l", "x", lambda x: -mpmath.expm1(-mpmath.exp(x)), lambda x: mpmath.exp(-mpmath.exp(x)), (-1e4, 30.0)
    ),
    "stats.gumbel_l.ppf(x)": (lambda x: mpmath.log(-mpmath.log1p(-x)), OPEN_UNIT),
    **rows("gumbel_r.pdf", "x", lambda x: mpmath.exp(-x - mpmath.exp(-x)), (-30.0, 1e4), lambda x: -x - mpmath.exp(-x)),
    **two_sided(
        "gumbel_r", "x", lambda x: mpmath.exp(-mpmath.exp(-x)), lambda x: -mpmath.expm1(-mpmath.exp(-x)), (-30.0, 1e4)
    ),
    "stats.gumbel_r.ppf(x)": (lambda x: -mpmath.log(-mpmath.log(x)), OPEN_UNIT),
    **rows("laplace.pdf", "x", lambda x: mpmath.exp(-abs(x)) / 2, MEDIUM),
    "stats.laplace.cdf(x)": (lambda x: mpmath.exp(x) / 2 if x < 0 else 1 - mpmath.exp(-x) / 2, MEDIUM),
    **rows("logistic.pdf", "x", logistic_density, MEDIUM, lambda x: -abs(x) - 2 * softplus(-abs(x))),
    "stats.logistic.cdf(x)": (sigmoid, MEDIUM),
    "stats.logistic.sf(x)": (lambda x: sigmoid(-x), MEDIUM),
    "stats.logistic.ppf(x)": (lambda x: mpmath.log(x) - mpmath.log1p(-x), OPEN_UNIT),
    "stats.logistic.isf(x)": (lambda x: mpmath.log1p(-x) - mpmath.log(x), OPEN_UNIT),
    **rows("norm.pdf", "x", density, MEDIUM),
    **two_sided("norm", "x", normal, lambda x: normal(-x), MEDIUM),
    "stats.norm.ppf(x)": (probit, OPEN_UNIT),
    "stats.norm.isf(x)": (lambda x: -probit(x), OPEN_UNIT),
    **rows("pareto.pdf", "x, 2.5", lambda x: B * x ** (-B - 1), (1.0, INF)),
    **rows("pareto.pdf", "1.5, x", lambda x: x * Y ** (-x - 1), POSITIVE_MEDIUM),
    **two_sided("pareto", "x, 2.5", lambda x: -mpmath.expm1(-B * mpmath.log(x)), lambda x: x**-B, (1.0, 1e30)),
    **two_sided("pareto", "1.5, x", lambda x: -mpmath.expm1(-x * mpmath.log(Y)), lambda x: Y**-x, POSITIVE_MEDIUM),
    "stats.pareto.ppf(x, 2.5)": (lambda x: mpmath.exp(-mpmath.log1p(-x) / B), OPEN_UNIT),
    "stats.pareto.ppf(0.25, x)": (lambda x: mpmath.exp(-mpmath.log1p(-P) / x), POSITIVE),
    **rows("poisson.pmf", "2.0, x", poisson, POSITIVE_MEDIUM),
    "stats.poisson.cdf(2.0, x)": (lambda x: upper_gamma(3, x), POSITIVE_MEDIUM),
    **rows("geom.pmf", "2.0, x", geometric, OPEN_UNIT, lambda x: mpmath.log(x) + mpmath.log1p(-x)),
    **rows("binom.pmf", "2.0, 5.0, x", lambda x: binomial(K, N, x), OPEN_UNIT),
    **rows("nbinom.pmf", "2.0, x, 0.25", lambda x: negative_binomial(K, x, P), POSITIVE_SMALL),
    **rows("nbinom.pmf", "2.0, 5.0, x", lambda x: negative_binomial(K, N, x), OPEN_UNIT),
    **rows("betabinom.pmf", "2.0, 5.0, x, 2.5", lambda x: beta_binomial(K, N, x, B), POSITIVE_SMALL),
    **rows("betabinom.pmf", "2.0, 5.0, 0.75, x", lambda x: beta_binomial(K, N, A, x), POSITIVE_SMALL),
    **rows("t.pdf", "x, 1.5", lambda x: student(x, Y), MEDIUM),
    **rows("t.pdf", "0.25, x", lambda x: student(X, x), POSITIVE_SMALL),
    **rows("truncnorm.pdf", "x, 0.75, 2.5", lambda x: truncated(x, A, B), BETWEEN),
    **rows("truncnorm.pdf", "1.5, x, 2.5", lambda x: truncated(Y, x, B), (-60.0, 1.5)),
    **rows("truncnorm.pdf", "1.5, 0.75, x", lambda x: truncated(Y, A, x), (1.5, 60.0)),
    **two_sided(
        "truncnorm", "x, 0.75, 2.5", lambda x: truncated_cdf(x, A, B), lambda x: truncated_sf(x, A, B), BETWEEN
    ),
    **two_sided(
        "truncnorm", "1.5, x, 2.5", lambda x: truncated_cdf(Y, x, B), lambda x: truncated_sf(Y, x, B), (-60.0, 1.5)
    ),
    **two_sided(
        "truncnorm", "1.5, 0.75, x", lambda x: truncated_cdf(Y, A, x), lambda x: truncated_sf(Y, A, x), (1.5, 60.0)
    ),
    **rows("vonmises.pdf", "x, 1.5", lambda x: mises(x, Y), (-3.0, 3.0)),
    **rows("vonmises.pdf", "0.25, x", lambda x: mises(X, x), POSITIVE_MEDIUM),
    **rows("wrapcauchy.pdf", "x, 0.5", lambda x: wrapped(x, C), (0.0, 6.25)),
    **rows("wrapcauchy.pdf", "0.25, x", lambda x: wrapped(X, x), OPEN_UNIT),
    **rows(
        "multivariate_normal.pdf", "x, 2, 1.5", lambda x: density((x - TWO) / mpmath.sqrt(Y)) / mpmath.sqrt(Y), MEDIUM
    ),
}
