"""Half precision that is slow on this machine is named before a training, by the operation that the model needs."""

import keras
import pytest

from keras_dl import half_precision, models


def dense():
    return models.build_mlp((2, 2, 1), 3, units=(4,))


def convolutional():
    return models.build_convnet((12, 12, 1), 3, filters=(2, 2), kernel_size=3, units=(4,))


@pytest.fixture
def measured(monkeypatch):
    """Lets each operation take a set time, in place of what this machine needs; the operations that were timed."""
    timed = []

    def seconds(operation, dtype):
        timed.append((operation, dtype))
        return {"float32": 0.01, "bfloat16": 0.09, "float16": 0.015}[dtype]

    monkeypatch.setattr(half_precision, "_seconds", seconds)
    return timed


def test_what_is_slow_is_said_with_the_ratio_and_the_remedy(measured):
    said = half_precision.sentence(convolutional(), "mixed_bfloat16")
    assert "the gradients of a convolution take 9 times as long" in said and "--precision float32" in said
    said = half_precision.sentence(dense(), "mixed_bfloat16")
    assert "the product of two matrices takes 9 times as long" in said
    assert {operation for operation, _ in measured} == {"convolution", "product"}


@pytest.mark.parametrize("build", [dense, convolutional])
def test_what_is_not_slow_is_not_said(measured, build):
    assert half_precision.sentence(build(), "mixed_float16") == ""  # 1.5 times is within what other work does
    assert measured


def test_float32_is_not_timed(measured):
    assert half_precision.sentence(convolutional(), "float32") == "" and measured == []


@pytest.mark.parametrize("operation", half_precision.OPERATIONS)
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_a_ratio_is_measured_on_this_machine(operation, dtype):
    policy = keras.mixed_precision.dtype_policy().name
    assert 0.02 < half_precision.ratio(operation, dtype) < 5000
    assert keras.mixed_precision.dtype_policy().name == policy
