"""Every public name as its users call it: `mypy --strict` reads this, nothing runs it."""

import jax.numpy as jnp
from jax import Array

from stability import (
    Diagnosis,
    Outcome,
    Stabilized,
    Study,
    UnsupportedPrimitive,
    diagnose,
    nn,
    sigmoid_binary_cross_entropy,
    sigmoid_binary_cross_entropy_grad,
    sigmoid_binary_cross_entropy_value_and_grad,
    softmax_cross_entropy,
    softmax_cross_entropy_grad,
    softmax_cross_entropy_with_integer_labels,
    stabilize,
    study_of,
    testing,
    true_derivative,
    true_value,
    watch,
    why_undefined,
)

x = jnp.float32(1)
loss: Array = sigmoid_binary_cross_entropy(x, 1.0)
gradient: Array = sigmoid_binary_cross_entropy_grad(x, True)
both: tuple[Array, Array] = sigmoid_binary_cross_entropy_value_and_grad(x, 1, arithmetic="compensated")
of_classes: Array = softmax_cross_entropy(x, x) + softmax_cross_entropy_grad(x, x, axis=(0, 1))
of_integers: Array = softmax_cross_entropy_with_integer_labels(x, 1, where=jnp.array([True]))
values = true_value(jnp.exp, x), why_undefined(jnp.exp, x), true_derivative(jnp.exp, x, order=2)
found: Diagnosis = diagnose(jnp.exp, 1.0, mode="jit")
study: Study = study_of({"exp": jnp.exp}, domain=(0, 1))
outcome: Outcome = Outcome.from_json(study.sweep(dtypes=["bfloat16"]).to_json())
testing.assert_max_ulp(jnp.exp, x, max_ulp=3)
testing.assert_gradient_max_ulp(lambda x, y: x * y, 1, domain=(0, 1), max_ulp=3, fixed={"x": 2.0}, orders=[1, 2])
gone_wrong: bool = bool(watch(jnp.exp, every=2).findings)
refusal: type[Exception] = UnsupportedPrimitive
units: Array = nn.silu(x) + nn.elu(x, alpha=2.0) + nn.squareplus(x, b=1) + nn.logaddexp(x, 1)
stable: Stabilized = stabilize(jnp.expm1, dtype="float32", domain={"x": (-1.0, 1.0)}, orders=(0,), points=16)
