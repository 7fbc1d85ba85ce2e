"""The layers of our own compute what Caffe and TensorFlow compute."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from googlenet_keras import CeilAveragePooling2D, LocalResponseNormalization


def reference(x, size=5, alpha=1e-4, beta=0.75, k=1.0):
    """Caffe's formula, channel by channel, in float64."""
    x = x.astype("float64")
    y = np.empty_like(x)
    for c in range(x.shape[-1]):
        window = x[..., max(0, c - size // 2) : c + size // 2 + 1]
        y[..., c] = x[..., c] / (k + alpha / size * np.sum(window**2, axis=-1)) ** beta
    return y


@pytest.fixture(params=[16, 48, 7, 3, 1], ids="{} channels".format)
def x(request):
    return np.random.default_rng(0).normal(0, 100, (2, 5, 4, request.param)).astype("float32")


@pytest.mark.parametrize(
    "arguments",
    [{}, {"size": 3, "alpha": 0.1}, {"size": 1}, {"size": 9, "beta": 0.5, "k": 2.0}, {"beta": 0.3}],
    ids=str,
)
def test_caffes_normalization(x, arguments):
    # float32 carries 7 digits; the sum and the power lose one.
    np.testing.assert_allclose(LocalResponseNormalization(**arguments)(x), reference(x, **arguments), rtol=2e-6)


def test_tensorflows_alpha_is_not_divided(x):
    expected = tf.nn.local_response_normalization(x, depth_radius=2, bias=1.0, alpha=2e-5, beta=0.75)
    for layer in (
        LocalResponseNormalization(alpha=1e-4, alpha_convention="caffe"),
        LocalResponseNormalization(alpha=2e-5, alpha_convention="tensorflow"),
    ):
        np.testing.assert_allclose(layer(x), expected, rtol=2e-6)
    assert np.abs(LocalResponseNormalization(alpha=1e-4, alpha_convention="tensorflow")(x) - expected).max() > 1


@pytest.mark.parametrize("graph", [False, True], ids=["eager", "tf.function"])
def test_gradient_is_tensorflows(x, graph):
    layer = LocalResponseNormalization()
    weight = np.random.default_rng(1).normal(size=x.shape).astype("float32")

    def gradient(function):
        with tf.GradientTape() as tape:
            inputs = tf.constant(x)
            tape.watch(inputs)
            loss = tf.reduce_sum(function(inputs) * weight)
        return tape.gradient(loss, inputs)

    def theirs(inputs):
        return tf.nn.local_response_normalization(inputs, 2, 1.0, 2e-5, 0.75)

    run = tf.function(gradient) if graph else gradient
    # Two terms of like size are subtracted: an absolute part, of the largest gradient.
    expected = run(theirs)
    np.testing.assert_allclose(run(layer), expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())


def test_sum_is_exact_whatever_the_policy():
    """300 squared, five times, overflows float16; 1 + 1/512 is 1 in bfloat16."""
    x = np.full((1, 1, 1, 8), 300.0, "float32")
    half = LocalResponseNormalization(dtype="mixed_float16")(x)
    assert half.dtype == "float16"
    np.testing.assert_allclose(half, reference(x), rtol=1e-3)
    x = np.full((1, 1, 1, 8), 1.0, "float32")
    brain = LocalResponseNormalization(alpha=1.0, beta=2.0, dtype="mixed_bfloat16")(x)
    np.testing.assert_allclose(np.asarray(brain, "float32"), reference(x, alpha=1.0, beta=2.0), rtol=4e-3)


def test_layer_is_made_again_from_its_config():
    layer = LocalResponseNormalization(size=3, alpha=2e-4, beta=0.6, k=2.0, alpha_convention="tensorflow", name="norm")
    config = keras.saving.serialize_keras_object(layer)
    again = keras.saving.deserialize_keras_object(config)
    assert again.get_config() == layer.get_config()
    assert len(str(config)) < 500  # no tables in it


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"size": 4}, "odd"), ({"size": -1}, "odd"), ({"alpha_convention": "torch"}, '"caffe" or "tensorflow"')],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        LocalResponseNormalization(**arguments)


@pytest.mark.parametrize("extent", [5, 6, 7, 8, 14, 3, 4])
def test_ceil_pooling_clips_its_last_window(extent):
    x = np.random.default_rng(0).normal(size=(2, extent, extent + 1, 3)).astype("float32")

    def windows(n):
        positions = int(np.ceil((n - 5) / 3)) + 1
        return [slice(3 * i, min(3 * i + 5, n)) for i in range(positions)]

    expected = np.stack(
        [np.stack([x[:, r, c].mean((1, 2)) for c in windows(extent + 1)], 1) for r in windows(extent)], 1
    )
    layer = CeilAveragePooling2D(5, strides=3)
    np.testing.assert_allclose(layer(x), expected, atol=1e-6)
    assert layer.compute_output_shape(x.shape) == expected.shape
