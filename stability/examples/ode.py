"""Tanks that run empty, solved by diffrax: the gradient with respect to their outlets."""

import functools

import diffrax
import jax
import jax.numpy as jnp
import numpy as np

from stability.examples._example import Example


def outflow(t, level, outlet):
    return -outlet * jnp.where(level > 0, jnp.sqrt(jnp.where(level > 0, level, 1)), 0)


def naive_outflow(t, level, outlet):
    return -outlet * jnp.where(level > 0, jnp.sqrt(level), 0)


def loss(outlet, field, level, measured):
    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(field), diffrax.Tsit5(), t0=0.0, t1=0.5, dt0=0.125, y0=level, args=outlet
    )
    return jnp.mean((solution.ys[-1] - measured) ** 2)


def step(field, outlet, level, measured):
    return outlet - 0.1 * jax.grad(loss)(outlet, field, level, measured)


def batch():
    return (
        np.array([0.5, 0.7, 0.4], np.float32),
        np.array([1.0, 2.0, 0.0], np.float32),
        np.array([0.6, 1.4, 0.0], np.float32),
    )


EXAMPLE = Example(
    title="an ODE in diffrax",
    data="three tanks that run out by Torricelli's law, one of them empty, by Tsit5; the outlets are fitted, float32",
    repository="patrick-kidger/diffrax",
    number=280,
    thread="Inspection of gradient calculation",
    fault="the derivative of the root at 0 is infinite, and `where` multiplies it by 0.",
    remedy="the double where.",
    healthy=lambda: (functools.partial(step, outflow), batch()),
    planted=lambda: (functools.partial(step, naive_outflow), batch()),
    line="jnp.where(level > 0, jnp.sqrt(level), 0)",
    cause="zero_times_infinity",
    leaf="",
)
