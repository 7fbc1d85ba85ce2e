"""Defines Keras layers that Keras itself does not provide."""

from collections.abc import Callable
from typing import Any, Literal

import keras
import numpy as np
from keras import ops

from googlenet_keras.keras_types import Tensor

AlphaConvention = Literal["caffe", "tensorflow"]


@keras.saving.register_keras_serializable(package="googlenet_keras")
class LocalResponseNormalization(keras.layers.Layer):
    """Divides every activation by a power of the energy of its neighbouring channels.

    With ``n = size``, and with the sum over the ``n`` channels centred on ``c`` (channels beyond either end count as
    zero), the output is::

        y[c] = x[c] / (k + scale * sum(x[c'] ** 2)) ** beta

    Frameworks disagree about ``scale``. It is ``alpha / n`` in Caffe, PyTorch and ONNX, and ``alpha`` in TensorFlow's
    ``tf.nn.local_response_normalization`` and in the AlexNet paper. The same network therefore has ``alpha=1e-4`` in
    the former and ``alpha=2e-5`` in the latter. Because a confusion of the two only shows as a lower accuracy,
    ``alpha_convention`` states which definition the given ``alpha`` follows.

    The layer computes in float32 regardless of its dtype policy, because ``sum(x ** 2)`` exceeds the range of float16
    and the precision of bfloat16; the output has the compute dtype of the policy.

    The defaults are those of BVLC's GoogLeNet and AlexNet; the GoogLeNet paper does not give these numbers.

    Args:
        size: Number of channels in the window, ``n``; odd and positive.
        alpha: Weight of the window's energy, according to ``alpha_convention``.
        beta: The exponent.
        k: The constant that is added before the exponent is applied (Caffe's ``k``, TensorFlow's ``bias``).
        alpha_convention: ``"caffe"`` divides ``alpha`` by ``size``, ``"tensorflow"`` does not.
        **kwargs: The arguments of every Keras layer (``name``, ``dtype``, ...).

    Input and output are float tensors of shape ``(batch, ..., channels)``.

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
                '`alpha_convention` must be "caffe" or "tensorflow", the framework that `alpha` is taken from. '
                f"Received: {alpha_convention!r}"
            )
        self.size = int(size)
        self.alpha = alpha
        self.beta = beta
        self.k = k
        self.alpha_convention = alpha_convention

    def call(self, inputs: Tensor) -> Tensor:
        """Normalizes ``inputs`` of shape (batch, ..., channels) and returns the same shape in the compute dtype."""
        x = ops.cast(inputs, "float32")
        return ops.cast(ops.custom_gradient(self._normalize)(x), self.compute_dtype)

    def _normalize(self, x: Tensor) -> tuple[Tensor, Callable[..., Tensor]]:
        """Returns the output, and the function that computes the input's gradient from the output's gradient.

        With ``t`` for the expression in brackets in the formula, the gradient is ``dx = dy * t ** -beta - 2 * beta *
        scale * x * window(dy * y / t)``, because the window is symmetric and thus its own transpose. Automatic
        differentiation would pass over the tensor about five more times, and these passes take most of the time.
        """
        scale = self._scale
        energy = self._energy(x)
        factor = _negative_power(energy, self.beta)

        def gradient(*arguments: Tensor, upstream: Tensor | None = None) -> Tensor:
            # TensorFlow passes the output's gradient by name, JAX by position.
            direct = (arguments[0] if upstream is None else upstream) * factor
            window = _window_sum(direct * x / energy, self.size // 2, 2 * self.beta * scale)
            return direct - x * window

        return x * factor, gradient

    @property
    def _scale(self) -> float:
        return self.alpha / self.size if self.alpha_convention == "caffe" else self.alpha

    def _energy(self, x: Tensor) -> Tensor:
        return _window_sum(ops.square(x), self.size // 2, self._scale, self.k)

    def as_operations(self, x: Tensor) -> Tensor:
        """Computes the output for a float32 tensor with Keras operations only, and without a custom gradient.

        Args:
            x: Keras tensor (batch, ..., channels), of which all dimensions except the batch are known.
        """
        return ops.multiply(x, _negative_power(self._energy(x), self.beta))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Returns the shape of the input, which is also the shape of the output."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the layer, from which `from_config` creates it again."""
        return {
            **super().get_config(),
            "size": self.size,
            "alpha": self.alpha,
            "beta": self.beta,
            "k": self.k,
            "alpha_convention": self.alpha_convention,
        }


# Above this number of channels the window is summed in strips, because a band matrix over all channels would consist
# mostly of zeros. On AVX2, too, the matrix takes 0.7 times as long as the strips for 64 channels, and 1.3 times as long
# for 192 channels.
DENSE_CHANNELS = 64
# STRIP output channels are computed at a time, and input channels are read in units of UNIT. These values were the
# fastest ones measured for 192 channels on AVX-512; on AVX2, units of 8 would take 0.93 to 0.95 of the time.
STRIP, UNIT = 16, 4


def _window_sum(x: Tensor, radius: int, scale: float, bias: float | None = None) -> Tensor:
    """Returns ``scale * (sum over the channels c - radius .. c + radius) + bias`` of a float32 tensor (..., channels).

    The sum is computed as a convolution along the channels, which are grouped into units, because no other operation of
    Keras is faster for it.
    """
    channels = x.shape[-1]
    in_strips = channels > DENSE_CHANNELS and channels % STRIP == 0
    strip, unit = (STRIP, UNIT) if in_strips else (channels, channels)
    halo = unit * -(-radius // unit) if in_strips else 0
    neighbours = np.arange(-halo, strip + halo)[:, None]
    band = scale * (np.abs(neighbours - np.arange(strip)) <= radius)
    kernel = band.reshape(1, -1, unit, strip).astype("float32")
    rows = ops.reshape(x, (1, -1, channels // unit, unit))
    sums = ops.conv(rows, kernel, (1, strip // unit), padding="same", data_format="channels_last")
    if bias is not None:
        sums = ops.add(sums, np.full(strip, bias, "float32"))  # a vector, which TensorFlow can fuse
    known = None not in x.shape[1:]
    return ops.reshape(sums, (-1, *x.shape[1:]) if known else ops.shape(x))


def _negative_power(x: Tensor, exponent: float) -> Tensor:
    """Returns ``x ** -exponent`` of a positive tensor, as `ops.power` takes five times as long on a CPU."""
    if exponent == 0.75:
        return ops.sqrt(ops.sqrt(x)) / x
    return ops.exp(-exponent * ops.log(x))


@keras.saving.register_keras_serializable(package="googlenet_keras")
class CeilAveragePooling2D(keras.layers.Layer):
    """Averages as Caffe does: the last window may extend beyond the border, and averages only the pixels it covers.

    Along an axis of ``n`` pixels, the output has ``ceil((n - pool_size) / strides) + 1`` positions. If
    ``n - pool_size`` is a multiple of ``strides``, the output is that of `keras.layers.AveragePooling2D` with
    ``padding="valid"``.

    Args:
        pool_size: Height and width of the window, in pixels.
        strides: Distance between windows, in pixels; at most ``pool_size``.
        **kwargs: The arguments of every Keras layer.

    The input is a float tensor (batch, height, width, channels) of known height and width. The output is a tensor
    (batch, positions, positions, channels).

    Source: caffe src/caffe/layers/pooling_layer.cpp (``Reshape``, and the clipped ``pool_size`` of ``Forward_cpu``).
    """

    def __init__(self, pool_size: int, strides: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pool_size = pool_size
        self.strides = strides

    def _positions(self, extent: int) -> int:
        return -(-(extent - self.pool_size) // self.strides) + 1

    def call(self, inputs: Tensor) -> Tensor:
        """Pools ``inputs`` of shape (batch, height, width, channels)."""
        overhang = [
            (0, max(0, (self._positions(extent) - 1) * self.strides + self.pool_size - extent))
            for extent in inputs.shape[1:3]
        ]

        def sums(x: Tensor) -> Tensor:
            padded = ops.pad(x, [(0, 0), *overhang, (0, 0)])
            return ops.average_pool(padded, self.pool_size, self.strides, data_format="channels_last")

        covered = sums(ops.ones((1, *inputs.shape[1:3], 1), dtype=inputs.dtype))
        return sums(inputs) / covered

    def compute_output_shape(self, input_shape: tuple[int | None, int, int, int]) -> tuple[int | None, int, int, int]:
        """Returns (batch, positions, positions, channels)."""
        batch, height, width, channels = input_shape
        return (batch, self._positions(height), self._positions(width), channels)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the layer, from which `from_config` creates it again."""
        return {**super().get_config(), "pool_size": self.pool_size, "strides": self.strides}


# The input dtypes that TensorFlow's fused batch normalization supports; it computes the moments in float32 for each.
_FUSED_DTYPES = ("float32", "bfloat16", "float16")


@keras.saving.register_keras_serializable(package="googlenet_keras")
class BatchNormalization(keras.layers.BatchNormalization):
    """Normalizes as Keras's batch normalization does, but with TensorFlow's fused operation where possible.

    Keras 3 computes the moments and normalizes in separate float32 operations, which costs half of the time that
    bfloat16 saves in a training step of GoogLeNet on a CPU. The fused operation reads and writes the tensor in the
    tensor's own dtype. It is used on the TensorFlow backend for a float32, bfloat16 or float16 tensor (batch, height,
    width, channels) that is normalized over its last axis. Keras's own code handles all other cases: other backends and
    shapes, masks, ``renorm`` and ``synchronized``. The attribute ``synchronized`` is read at each call or trace, so it
    may also be set on a layer that is already built.

    The arguments, weights and configuration are those of `keras.layers.BatchNormalization`. As in Keras, the moving
    variance averages the biased variance of the batches. The fused operation returns ``n / (n - 1)`` times this
    variance, for ``n`` values of a channel, and the layer corrects it.
    """

    def call(self, inputs: Tensor, training: bool | None = None, mask: Tensor | None = None) -> Tensor:
        """Normalizes ``inputs`` of shape (batch, ..., channels) and returns the same shape in the compute dtype."""
        fused = (
            keras.backend.backend() == "tensorflow"
            and len(inputs.shape) == 4
            and self.axis in (-1, 3)
            and keras.backend.standardize_dtype(inputs.dtype) in _FUSED_DTYPES
            and mask is None
            and not self.renorm
            and not self.synchronized
        )
        return self._call_fused(inputs, training) if fused else super().call(inputs, training=training, mask=mask)

    def _call_fused(self, inputs: Tensor, training: bool | None) -> Tensor:
        """Does what `call` does, for a TensorFlow tensor (batch, height, width, channels)."""
        import tensorflow as tf

        by_batch = bool(training and self.trainable)
        moving_mean = ops.cast(self.moving_mean, "float32")
        moving_variance = ops.cast(self.moving_variance, "float32")
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=ops.cast(self.gamma, "float32") if self.scale else tf.ones_like(moving_mean),
            offset=ops.cast(self.beta, "float32") if self.center else tf.zeros_like(moving_mean),
            mean=[] if by_batch else moving_mean,
            variance=[] if by_batch else moving_variance,
            epsilon=self.epsilon,
            is_training=by_batch,
        )
        if by_batch:
            count = ops.cast(tf.reduce_prod(tf.shape(inputs)[:-1]), "float32")
            variance *= tf.maximum(count - 1, 1) / count
            self.moving_mean.assign(moving_mean * self.momentum + mean * (1 - self.momentum))
            self.moving_variance.assign(moving_variance * self.momentum + variance * (1 - self.momentum))
        return ops.cast(outputs, self.compute_dtype)
