"""Coefficients of the Gaussian error linear units, from the constant on, and the roots of their derivatives.

Each polynomial is minimax. The errors told are those before its coefficients were rounded to the format; after it,
they are `2**-24.5` and `2**-51.5` at most (`tests/test_nn_gaussian.py`, by mpmath). With `Φ` and `φ` the distribution
and the density of the normal distribution.
"""

from __future__ import annotations

from fractions import Fraction


def _floats(text: str) -> list[float]:
    return [float.fromhex(c) for c in text.split()]


CENTRAL = {
    32: _floats("0x1.988454p-2 -0x1.10581ep-4 0x1.46c6cep-7 -0x1.35d598p-10 0x1.b39a7ap-14"),
    64: _floats(
        "0x1.9884533d43651p-2 -0x1.1058377e2cee0p-4 0x1.46d042976910bp-7 -0x1.37403f6b98b9bp-10 "
        "0x1.e42b0d4c1ed18p-14 -0x1.3ce8f97657cb4p-17 0x1.6589c7152dbeap-21 -0x1.6212bf80a6a01p-25 "
        "0x1.36cba2e68d930p-29 -0x1.bd07cc6c53900p-34"
    ),
}
"""By bits: `(Φ(x) - 1/2) / x` in `x**2`, for `x**2 <= 0.46`, to `2**-31` and `2**-67` of `Φ(-|x|) / x`."""

TAIL = {
    32: _floats(
        "0x1.cce762p+1 0x1.975bbep+4 0x1.3cffe0p+6 0x1.ab4fe8p+5 -0x1.572a46p+8 -0x1.c38d92p+8 0x1.06651ep+11 "
        "0x1.c92cb0p+10 -0x1.874da2p+13"
    ),
    64: _floats(
        "0x1.cce7616484969p+1 0x1.975bbc51ac51fp+4 0x1.3d003d5ae4a9bp+6 0x1.ab4f6adaff734p+5 -0x1.5762feb17eac9p+8 "
        "-0x1.c2e6b0336aa73p+8 0x1.0c336d3be72c0p+11 0x1.a7bfd7868f46bp+10 -0x1.ffa0ab735a56ep+13 "
        "0x1.18998ebfef7bcp+13 0x1.a8f10cb2de3f5p+16 -0x1.086e66f5fb326p+18 -0x1.3363a619e196ap+18 "
        "0x1.6a86eb330dfc4p+21 -0x1.19d25bf09cd12p+22 -0x1.9b215ae71f64bp+23 0x1.19ecbb4fdb694p+26 "
        "-0x1.100bc17979d86p+27 -0x1.1f2281b4acfbbp+26 0x1.28a953ab274b3p+32 -0x1.cb443c071f37cp+32 "
        "-0x1.662d30de41c51p+36 -0x1.0a856385c3583p+37"
    ),
}
"""By bits: `(1 - t Φ(-t)/φ(t)) / s**2` in `s - 3/16` with `s = 1 / (t + 3)`, for `0.65 <= t`, to `2**-28` and
`2**-58` of `t Φ(-t)/φ(t) / s**2`."""

EXACT_SLOPE = {
    32: _floats(
        "0x1.b9d990p-2 0x1.8d9a94p-2 -0x1.2a2f06p-6 -0x1.d2fa18p-4 -0x1.e4061cp-7 0x1.3e2c0ep-6 0x1.295468p-8 "
        "-0x1.246e08p-9 -0x1.823284p-11 0x1.65609cp-13 0x1.33211ep-14"
    ),
    64: _floats(
        "0x1.b9d98fa5a3216p-2 0x1.8d9a941de3ac6p-2 -0x1.2a2ef9bb865d5p-6 -0x1.d2fa4c17c7f45p-4 "
        "-0x1.e4088244f8060p-7 0x1.3e346def4879ap-6 0x1.297b9d6fd2267p-8 -0x1.258a6d8885325p-9 "
        "-0x1.8680f74094967p-11 0x1.86c8655bf5f2dp-13 0x1.6961064b08384p-14 -0x1.784b4d410ddb0p-17 "
        "-0x1.03fe66687b817p-17 0x1.d0f4868665332p-22 0x1.3219c6149b7f6p-21 -0x1.0899d5fc7e879p-29 "
        "-0x1.2ed57b0d9b60ap-25 -0x1.278b23d6c9ff5p-30 0x1.d385b588b1581p-30"
    ),
}
"""By bits: `f'(-t) / (r - t)` in `r - t`, for `0 <= t <= 1.45`, where `f` is the exact function and `r` the root; to
`2**-30` and `2**-58` of it."""

TANH_SLOPE = {
    32: _floats(
        "0x1.b8bacep-2 0x1.8cd1a2p-2 -0x1.029486p-6 -0x1.d2b5ccp-4 -0x1.109cb8p-6 0x1.42993ep-6 0x1.6a865ep-8 "
        "-0x1.a8e380p-9 -0x1.07f60ap-15"
    ),
    64: _floats(
        "0x1.b8bacd2c96b91p-2 0x1.8cd1a2b2fff33p-2 -0x1.029615edb0771p-6 -0x1.d2b7734647410p-4 "
        "-0x1.104a83edbfa19p-6 0x1.427996dc7c1aep-6 0x1.58c9ed6c65c35p-8 -0x1.3d8d6480059cfp-9 "
        "-0x1.e63f1f69f93f1p-11 0x1.14bfa376788c3p-12 0x1.048fd993b44fdp-13 -0x1.251bbe29b1a37p-15 "
        "-0x1.0b2307f4d8ec8p-16 0x1.7ea8185bc6bf3p-18 0x1.8ae0a62eaefb6p-19 -0x1.b0773c39b76abp-20 "
        "-0x1.e5269db91713cp-25 0x1.d23a919ff7277p-24"
    ),
}
"""By bits: `f'(-t) / (r - t)` in `r - t`, for `0 <= t <= 0.95`, where `f` is the function by tanh and `r` the root;
to `2**-28` and `2**-59` of it."""

TANH_CURVATURE = {
    32: _floats(
        "0x1.27a5e8p-3 0x1.a02004p-3 0x1.31261ap-4 -0x1.f41846p-6 -0x1.f8009ap-6 -0x1.efe792p-9 0x1.2a5d5ep-8 "
        "0x1.ef1b08p-10 -0x1.129844p-12 -0x1.9ff836p-12 -0x1.a28db4p-16 0x1.67e378p-14 -0x1.20f816p-16"
    ),
    64: _floats(
        "0x1.27a5e8ae0bd2ep-3 0x1.a0200578e71d1p-3 0x1.312625a86151fp-4 -0x1.f4190896cdf6cp-6 "
        "-0x1.f80434b44f4f5p-6 -0x1.ef9ccb653ccf6p-9 0x1.2ab1d4a8b1c5fp-8 0x1.eba9484dd5aa9p-10 "
        "-0x1.1bd432cc136e8p-12 -0x1.79c65550b7106p-12 -0x1.235ba32893a91p-15 0x1.a24bee06e5c64p-15 "
        "0x1.0295bf909e048p-16 -0x1.45d58a24f9f29p-18 -0x1.ccd3c835cf536p-19 0x1.a4fe98d3d834ep-25 "
        "0x1.2562a7dd81dd2p-21 0x1.d197c2cfe8642p-24 -0x1.eb1910db01466p-25 -0x1.d07fddbe284cep-26 "
        "-0x1.d69b4781af6adp-30 0x1.90c27d8e54ddap-28 0x1.95e24edc462c4p-29 -0x1.a3164569f186bp-29 "
        "0x1.cb1f65cf59fa6p-31 -0x1.5fe88c47488bcp-34"
    ),
}
"""By bits: `f''(t) / (r**2 - t**2)` in `r - t`, for `0 <= t <= 2`, where `f` is the function by tanh and `r` the
root; to `2**-28` and `2**-58` of it."""

EXACT_ROOT = Fraction("0.751791524693564457457904946779524039664471153")
"""Of `Φ(-t) = t φ(t)`: `f'(-t)` is 0 there, for the exact function."""
TANH_ROOT = Fraction("0.752461422071016258487954443288916090605392178")
"""Where `f'(-t)` is 0, for the function by tanh."""
TANH_INFLECTION = Fraction("1.41850400879082835554803354559964269792415832")
"""Where `f''(t)` is 0, for the function by tanh."""
SCALE = Fraction("1.59576912160573071175978423973752747390343452")
"""`2 sqrt(2 / π)`."""
LOG_DENSITY = Fraction("0.225791352644727432363097614947441071785897339")
"""`-log(2 φ(0))`."""
