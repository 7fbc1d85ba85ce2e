"""Computes the cost of a model from its graph."""

import math

import keras
from keras import layers


def count_multiply_adds(model: keras.Model) -> int:
    """Counts the multiply-adds of convolutions and dense layers for one example.

    Biases, normalization, activations and pooling are not counted, as in the paper's column "ops" and in
    torchvision's ``_ops``.

    Args:
        model: A functional model whose input has a known height and width.

    Returns:
        The number of multiply-adds.

    Raises:
        ValueError: If the size of a feature map is unknown.
    """
    return sum(layer_multiply_adds(layer) for layer in model.layers)


def layer_multiply_adds(layer: layers.Layer) -> int:
    """Returns the multiply-adds of one layer for one example; see `count_multiply_adds`."""
    weights = kernel_weights(layer)
    if not weights or isinstance(layer, layers.Dense):
        return weights
    height, width = layer.output.shape[1:3]
    if height is None or width is None:
        raise ValueError(
            f"Multiply-adds depend on the input's size: build the model with a fixed input_shape. "
            f"Received: layer {layer.name!r} of shape {layer.output.shape}"
        )
    return height * width * weights


def kernel_weights(layer: layers.Layer) -> int:
    """Returns the number of weights in a layer's kernels; 0 if it is neither a convolution nor a dense layer."""
    match layer:
        case layers.SeparableConv2D():
            return math.prod(layer.depthwise_kernel.shape) + math.prod(layer.pointwise_kernel.shape)
        case layers.Conv2D() | layers.Dense():
            return math.prod(layer.kernel.shape)
    return 0
