"""Where JAX in float64 is far from the truth at an ordinary point: what is right there, in mpmath's own functions."""

import mpmath
from mpmath import mpf
from public_distributions import beta_binomial, wrapped
from public_oracles import INF, A, B, C, X, Y

K, N = mpf(2), mpf(5)


def zero(x):
    return mpf(0)


def minus_infinity(x):
    return mpf(-INF)


def infinity(x):
    return mpf(INF)


def slope(f):
    return lambda x: mpmath.diff(f, x)


def focal_loss(y):
    """Of the logit 1.5, with γ = 2: the cross-entropy times the square of the probability that it is wrong."""
    p = 1 / (1 + mpmath.exp(-mpf(1.5)))
    return -(y * mpmath.log(p) + (1 - y) * mpmath.log(1 - p)) * ((1 - y) * p + y * (1 - p)) ** 2


FAULTS = {
    # `logsumexp` drops the derivative by a weight `b` that is 0, as 1 - y is at y = 1.
    ("optax.sigmoid_focal_loss(1.5, x)", "gradient"): slope(focal_loss),
    ("special.betaln(x, 2.5)", "gradient"): lambda x: mpmath.digamma(x) - mpmath.digamma(x + B),
    ("special.betaln(0.75, x)", "gradient"): lambda x: mpmath.digamma(x) - mpmath.digamma(x + A),
    ("special.beta(x, 2.5)", "gradient"): lambda x: mpmath.beta(x, B) * (mpmath.digamma(x) - mpmath.digamma(x + B)),
    ("special.beta(0.75, x)", "gradient"): lambda x: mpmath.beta(x, A) * (mpmath.digamma(x) - mpmath.digamma(x + A)),
    ("special.boxcox1p(x, 1.5)", "gradient"): lambda x: mpmath.sqrt(1 + x),
    ("special.factorial(x)", "gradient"): zero,
    ("special.hyp1f1(x, 2.5, 0.25)", "gradient"): slope(lambda a: mpmath.hyp1f1(a, B, X)),
    ("special.hyp2f1(x, 2.5, 0.5, 0.25)", "gradient"): slope(lambda a: mpmath.hyp2f1(a, B, C, X)),
    ("special.hyp2f1(0.75, x, 0.5, 0.25)", "gradient"): slope(lambda b: mpmath.hyp2f1(A, b, C, X)),
    ("special.ndtri(x)", "gradient"): infinity,
    ("special.poch(x, 1.5)", "value"): lambda x: mpmath.gamma(x + Y) * mpmath.rgamma(x),
    ("special.spence(x)", "gradient"): lambda x: mpf(-1) if x == 1 else mpmath.log(x) / (1 - x),
    ("stats.bernoulli.logpmf(1.0, x)", "gradient"): lambda x: 1 / x,
    ("stats.bernoulli.pmf(1.0, x)", "gradient"): slope(lambda x: x),
    ("stats.beta.logsf(x, 0.75, 2.5)", "gradient"): minus_infinity,
    ("stats.beta.pdf(x, 0.75, 2.5)", "gradient"): zero,
    ("stats.betabinom.logpmf(2.0, 5.0, 0.75, x)", "gradient"): slope(lambda b: mpmath.log(beta_binomial(K, N, A, b))),
    ("stats.betabinom.logpmf(2.0, 5.0, x, 2.5)", "gradient"): slope(lambda a: mpmath.log(beta_binomial(K, N, a, B))),
    ("stats.betabinom.pmf(2.0, 5.0, 0.75, x)", "gradient"): slope(lambda b: beta_binomial(K, N, A, b)),
    ("stats.betabinom.pmf(2.0, 5.0, x, 2.5)", "gradient"): slope(lambda a: beta_binomial(K, N, a, B)),
    ("stats.binom.pmf(2.0, 5.0, x)", "gradient"): lambda p: 20 * p * (1 - p) ** 3 - 30 * (p * (1 - p)) ** 2,
    ("stats.cauchy.isf(x)", "value"): minus_infinity,
    ("stats.cauchy.isf(x)", "gradient"): minus_infinity,
    ("stats.cauchy.ppf(x)", "value"): infinity,
    ("stats.cauchy.ppf(x)", "gradient"): infinity,
    ("stats.geom.pmf(2.0, x)", "gradient"): lambda p: 1 - 2 * p,
    ("stats.nbinom.pmf(2.0, 5.0, x)", "gradient"): lambda p: 15 * (5 * p**4 * (1 - p) ** 2 - 2 * p**5 * (1 - p)),
    ("stats.norm.isf(x)", "gradient"): minus_infinity,
    ("stats.norm.ppf(x)", "gradient"): infinity,
    ("stats.wrapcauchy.pdf(0.25, x)", "gradient"): slope(lambda c: wrapped(X, c)),
    **{
        (name, "gradient"): zero
        for name in (
            "stats.betabinom.pmf(2.0, x, 0.75, 2.5)",
            "stats.binom.pmf(2.0, x, 0.25)",
            "stats.binom.pmf(x, 5.0, 0.25)",
            "stats.gamma.logsf(x, 0.75)",
            "stats.gamma.sf(x, 0.75)",
            "stats.nbinom.pmf(x, 5.0, 0.25)",
            "stats.pareto.cdf(x, 2.5)",
            "stats.poisson.pmf(x, 1.5)",
            "stats.truncnorm.cdf(1.5, 0.75, x)",
            "stats.truncnorm.logcdf(1.5, 0.75, x)",
            "stats.truncnorm.logsf(1.5, x, 2.5)",
            "stats.truncnorm.sf(1.5, x, 2.5)",
        )
    },
}
"""By row: the function that is right where JAX is not; that of the last ones is 0, or 1, beyond the support."""
