"""Measures how much time local response normalization adds to a training step of GoogLeNet, for each implementation."""

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from googlenet_keras.benchmarks.candidates import CHANNELS, CLASSES, training_step
from googlenet_keras.benchmarks.interleaved import Timing, compare
from googlenet_keras.layers import LocalResponseNormalization
from googlenet_keras.models import GoogLeNet

INPUT_SIZE = 96  # pixels


class TensorFlowOp(LocalResponseNormalization):
    """Calls `tf.nn.local_response_normalization`, whose CPU kernel is a loop."""

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Normalizes a tensor (batch, height, width, channels)."""
        x = tf.cast(inputs, "float32")
        x = tf.nn.local_response_normalization(x, self.size // 2, self.k, self.alpha / self.size, self.beta)
        return tf.cast(x, self.compute_dtype)


class BandedConvolution(LocalResponseNormalization):
    """Sums over the window with a 1x1 convolution by a band matrix; TensorFlow computes the gradient."""

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Normalizes a tensor (batch, height, width, channels)."""
        x = ops.cast(inputs, "float32")
        channels = np.arange(x.shape[-1])
        band = np.abs(channels[:, None] - channels) <= self.size // 2
        energy = self.k + ops.conv(ops.square(x), (self.alpha / self.size * band)[None, None].astype("float32"))
        return ops.cast(x * ops.rsqrt(energy) * ops.sqrt(ops.rsqrt(energy)), self.compute_dtype)


class ShiftedSlices(LocalResponseNormalization):
    """Sums over the window by adding shifted tensors; TensorFlow computes the gradient."""

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Normalizes a tensor (batch, height, width, channels)."""
        x = ops.cast(inputs, "float32")
        radius, channels = self.size // 2, x.shape[-1]
        squares = ops.pad(ops.square(x), [(0, 0), (0, 0), (0, 0), (radius, radius)])
        window = sum(squares[..., shift : shift + channels] for shift in range(self.size))
        energy = self.k + self.alpha / self.size * window
        return ops.cast(x * ops.rsqrt(energy) * ops.sqrt(ops.rsqrt(energy)), self.compute_dtype)


def compare_normalizations(*, batch_size: int, rounds: int, dtype: str) -> list[Timing[str]]:
    """Times a training step of GoogLeNet at 96x96x1 without normalization and with each implementation of it.

    Args:
        batch_size: The number of images in a step.
        rounds: The number of timed steps of each network.
        dtype: The Keras dtype policy.

    Returns:
        The timings. The first is without normalization, and the second is the same again, which shows the noise.
    """
    shape = (INPUT_SIZE, INPUT_SIZE, CHANNELS)
    arguments = {"input_shape": shape, "classes": CLASSES, "classifier_activation": None, "dtype": dtype}
    models = {
        "without": GoogLeNet(**arguments, normalization="none"),
        "without, again": GoogLeNet(**arguments, normalization="none"),
        "LocalResponseNormalization": GoogLeNet(**arguments),
    }
    for kind in (TensorFlowOp, BandedConvolution, ShiftedSlices):

        def other_kind(layer: keras.layers.Layer, kind: type[LocalResponseNormalization] = kind) -> keras.layers.Layer:
            ours = isinstance(layer, LocalResponseNormalization)
            return (kind if ours else type(layer)).from_config(layer.get_config())

        models[kind.__name__] = keras.models.clone_model(
            models["LocalResponseNormalization"], clone_function=other_kind
        )
    steps = {name: training_step(model, batch_size=batch_size, input_size=INPUT_SIZE) for name, model in models.items()}
    return compare(steps, rounds=rounds)
