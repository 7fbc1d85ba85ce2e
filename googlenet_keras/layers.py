"""Keras layers that Keras itself does not have."""

from typing import Any, Literal

import keras
import numpy as np
from keras import ops

AlphaConvention = Literal["caffe", "tensorflow"]


@keras.saving.register_keras_serializable(package="googlenet_keras")
class LocalResponseNormalization(keras.layers.Layer):
    """Divides every activation by a power of the energy of its neighbours across channels.

    With ``n = size`` and the sum running over the ``n`` channels centred on ``c`` (channels beyond either end count
    as zero)::

        y[c] = x[c] / (k + scale * sum(x[c'] ** 2)) ** beta

    What ``scale`` is divides the frameworks. Caffe, PyTorch and ONNX take it as ``alpha / n``; TensorFlow's
    ``tf.nn.local_response_normalization`` and the AlexNet paper take it as ``alpha``. The same network therefore has
    ``alpha=1e-4`` in one and ``alpha=2e-5`` in the other, and a wrong reading goes unnoticed until the accuracy
    suffers: say whose number you pass with ``alpha_convention``.

    The arithmetic is done in float32 whatever the layer's dtype policy, for ``sum(x ** 2)`` leaves the range of
    float16 and the precision of bfloat16; the output has the policy's compute dtype.

    The defaults are those of BVLC's GoogLeNet and AlexNet, which the GoogLeNet paper does not print.

    Args:
        size: Number of channels in the window, ``n``; odd and positive.
        alpha: Weight of the window's energy, in the meaning of ``alpha_convention``.
        beta: Exponent.
        k: Constant under the exponent (Caffe's ``k``, TensorFlow's ``bias``).
        alpha_convention: ``"caffe"`` divides ``alpha`` by ``size``, ``"tensorflow"`` does not.
        **kwargs: Keras's arguments of every layer (``name``, ``dtype``, ...).

    Input and output: a float tensor of shape ``(batch, ..., channels)``.

    Raises:
        ValueError: If ``size`` is not an odd positive integer or ``alpha_convention`` is unknown.

    Source: BVLC/caffe src/caffe/layers/lrn_layer.cpp (``CrossChannelForward_cpu``), and
    models/bvlc_googlenet/train_val.prototxt.
    """

    def __init__(
        self,
        size: int = 5,
        alpha: float = 1e-4,
        beta: float = 0.75,
        k: float = 1.0,
        alpha_convention: AlphaConvention = "caffe",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if size != int(size) or size < 1 or size % 2 == 0:
            raise ValueError(f"`size` must be an odd positive integer, the width of a centred window. Received: {size}")
        if alpha_convention not in ("caffe", "tensorflow"):
            raise ValueError(
                f'`alpha_convention` must be "caffe" or "tensorflow", whose alpha it is. Received: {alpha_convention!r}'
            )
        self.size = int(size)
        self.alpha = alpha
        self.beta = beta
        self.k = k
        self.alpha_convention = alpha_convention

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Makes the band matrix that sums over each channel's window.

        Args:
            input_shape: Shape of the input, channels last and known.
        """
        channels = np.arange(input_shape[-1])
        scale = self.alpha / self.size if self.alpha_convention == "caffe" else self.alpha
        in_window = np.abs(channels[:, None] - channels[None, :]) <= self.size // 2
        self._band = (scale * in_window).astype("float32")

    def call(self, inputs: Any) -> Any:
        """Normalizes ``inputs`` of shape (batch, ..., channels) to the same shape, in the compute dtype."""
        x = ops.cast(inputs, "float32")
        energy = self.k + ops.matmul(ops.square(x), self._band)
        return ops.cast(x * ops.power(energy, -self.beta), self.compute_dtype)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The input's shape."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """The layer's arguments, from which `from_config` makes it again."""
        return {
            **super().get_config(),
            "size": self.size,
            "alpha": self.alpha,
            "beta": self.beta,
            "k": self.k,
            "alpha_convention": self.alpha_convention,
        }


@keras.saving.register_keras_serializable(package="googlenet_keras")
class CeilAveragePooling2D(keras.layers.Layer):
    """Average pooling as Caffe does it: the last window may hang over the border and averages what it covers.

    The output has ``ceil((n - pool_size) / strides) + 1`` positions along an axis of ``n``; where that divides evenly
    it is the same as `keras.layers.AveragePooling2D` with ``padding="valid"``.

    Args:
        pool_size: Height and width of the window, in pixels.
        strides: Distance between windows, in pixels; at most ``pool_size``.
        **kwargs: Keras's arguments of every layer.

    Input: a float tensor (batch, height, width, channels), height and width known. Output: (batch, positions,
    positions, channels).

    Source: caffe src/caffe/layers/pooling_layer.cpp (``Reshape``, and the clipped ``pool_size`` of ``Forward_cpu``).
    """

    def __init__(self, pool_size: int, strides: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pool_size = pool_size
        self.strides = strides

    def _positions(self, extent: int) -> int:
        return -(-(extent - self.pool_size) // self.strides) + 1

    def call(self, inputs: Any) -> Any:
        """Pools ``inputs`` of shape (batch, height, width, channels)."""
        overhang = [
            (0, max(0, (self._positions(extent) - 1) * self.strides + self.pool_size - extent))
            for extent in inputs.shape[1:3]
        ]

        def sums(x: Any) -> Any:
            padded = ops.pad(x, [(0, 0), *overhang, (0, 0)])
            return ops.average_pool(padded, self.pool_size, self.strides, data_format="channels_last")

        covered = sums(ops.ones((1, *inputs.shape[1:3], 1), dtype=inputs.dtype))
        return sums(inputs) / covered

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """(batch, positions, positions, channels)."""
        batch, height, width, channels = input_shape
        return (batch, self._positions(height), self._positions(width), channels)

    def get_config(self) -> dict[str, Any]:
        """The layer's arguments, from which `from_config` makes it again."""
        return {**super().get_config(), "pool_size": self.pool_size, "strides": self.strides}
