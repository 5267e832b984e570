"""The examples of training steps, for their tests."""

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


def diagnosed(call) -> Diagnosis:
    step, args = call()
    return diagnose(step, *args)
