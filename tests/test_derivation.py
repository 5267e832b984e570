"""Every line of the derivation is one real function, and stays itself under JAX's transformations."""

import os
import subprocess
import sys
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stability.formats import FORMATS, bits_of, widen
from stability.study.sigmoid import forms
from stability.study.sigmoid.truth import sigmoid_minus_label

LINES = [forms.dL_da_split, forms.dL_da_common, forms.dL_da_expanded, forms.dL_da_combined]


@pytest.mark.parametrize("line", LINES, ids=lambda f: f.__name__)
def test_each_line_times_da_dz_is_exactly_a_minus_y(line):
    for a in (Fraction(k, 97) for k in range(1, 97)):
        for y in (Fraction(k, 12) for k in range(13)):
            assert line(a, y) * forms.da_dz(a) == a - y


@pytest.mark.parametrize("name", list(forms.FORMS))
@pytest.mark.parametrize("label", [0.0, 1.0, 0.1])
def test_forms_are_one_function_where_nothing_cancels(name, label):
    z = np.linspace(-2, 2, 401)
    truth = sigmoid_minus_label(z, label, FORMATS["float64"]).rounded
    result = np.asarray(forms.FORMS[name](jnp.asarray(z[z != 0]), label))
    assert np.max(np.abs(result - truth[z != 0])) < 32 * 2.0**-53


def test_componentwise_is_the_same_function_in_exact_arithmetic():
    for a in (Fraction(k, 97) for k in range(1, 97)):
        for y in (Fraction(k, 12) for k in range(13)):
            assert (1 - y) * a - y * (1 - a) == a - y


def same_bits(x, y):
    x, y = np.asarray(x), np.asarray(y)
    return x.dtype == y.dtype and np.all((bits_of(x) == bits_of(y)) | (np.isnan(widen(x)) & np.isnan(widen(y))))


@pytest.mark.parametrize("dtype", list(FORMATS))
@pytest.mark.parametrize("name", list(forms.FORMS))
def test_dtype_shape_vmap_and_broadcasting(name, dtype):
    form = forms.FORMS[name]
    z = jnp.linspace(-9, 9, 31).astype(dtype)
    y = jnp.asarray([0, 0.25, 1], dtype)
    table = form(z[:, None], y)
    assert table.shape == (31, 3) and table.dtype == dtype
    assert form(z[0], y[0]).shape == ()
    each_z, each_y = (x.ravel() for x in jnp.broadcast_arrays(z[:, None], y))
    assert same_bits(jax.vmap(form)(each_z, each_y), form(each_z, each_y))
    assert same_bits(jax.jit(jax.vmap(form))(z, z * 0), jax.jit(form)(z, z * 0))


DIGEST = """
import hashlib, jax, jax.numpy as jnp, numpy as np
from stability.study.sigmoid.forms import FORMS
digest = hashlib.sha256()
for dtype in (jnp.float16, jnp.bfloat16, jnp.float32):
    z = jnp.asarray(np.random.default_rng(0).uniform(-110, 110, 4096).astype(np.float32)).astype(dtype)
    for form in FORMS.values():
        for run in (form, jax.jit(form)):
            digest.update(np.nan_to_num(np.asarray(run(z, jnp.asarray(0.1, dtype))).astype(np.float32)).tobytes())
print(jax.config.read("jax_enable_x64"), digest.hexdigest())
"""


def test_x64_changes_no_bit_of_the_narrower_formats():
    def run(x64):
        env = os.environ | {"JAX_ENABLE_X64": x64}
        return subprocess.run(
            [sys.executable, "-c", DIGEST], env=env, capture_output=True, text=True, check=True
        ).stdout

    (off, digest_off), (on, digest_on) = run("0").split(), run("1").split()
    assert (off, on) == ("False", "True") and digest_off == digest_on
