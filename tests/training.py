"""The examples of training steps, for their tests."""

import functools

import jax
import pytest

from stability.diagnosis import Diagnosis, diagnose
from stability.examples import load


@pytest.fixture
def float32():
    """JAX's defaults, as the examples are written for."""
    with jax.enable_x64(False):
        yield


def example(name):
    try:
        return load(name)
    except ImportError as missing:
        pytest.skip(f"{missing.name} is not installed")


@functools.cache
def diagnosed(call) -> Diagnosis:
    """The diagnosis of an example's step, made once."""
    step, args = call()
    return diagnose(step, *args)
