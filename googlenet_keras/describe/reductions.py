"""Computes how many weights the 1x1 convolutions before larger convolutions save; see arXiv 1409.4842, section 4."""

import math
from dataclasses import dataclass

import keras
from keras import layers

from googlenet_keras.describe.cost import kernel_weights
from googlenet_keras.describe.graph import Graph, Layer


@dataclass(frozen=True, kw_only=True)
class Bottleneck:
    """A 1x1 convolution and the larger convolution after it, in a branch of a module.

    Attributes:
        name: The name of the larger convolution.
        reduction: The name of the 1x1 convolution.
        kernel_size: The kernel size of the larger convolution, (height, width) in pixels.
        input_channels: The number of channels of the module's input.
        reduced_channels: The number of filters of the 1x1 convolution.
        filters: The number of filters of the larger convolution.
        direct_weights: The number of weights that the larger kernel would have directly on the module's input.
        reduced_weights: The number of weights of both kernels together.
    """

    name: str
    reduction: str
    kernel_size: tuple[int, int]
    input_channels: int
    reduced_channels: int
    filters: int
    direct_weights: int
    reduced_weights: int


def bottlenecks(model: keras.Model) -> tuple[Bottleneck, ...]:
    """Compares each convolution after a 1x1 reduction with the same convolution without the reduction.

    Args:
        model: A functional model.

    Returns:
        The bottlenecks from input to output; for GoogLeNet, the 3x3 and 5x5 branches of its nine modules.
    """
    graph = Graph(model)
    consumers: dict[Layer, int] = dict.fromkeys(graph.layers, 0)
    for parents in graph.parents.values():
        for parent in parents:
            consumers[parent] += 1
    found = []
    for layer in graph.layers:
        if not isinstance(layer, layers.Conv2D) or layer.kernel_size == (1, 1):
            continue
        reduction = _convolution_before(graph, layer)
        if reduction is None or reduction.kernel_size != (1, 1) or consumers[graph.parents[reduction][0]] == 1:
            continue
        input_channels = reduction.input.shape[-1]
        found.append(
            Bottleneck(
                name=layer.name,
                reduction=reduction.name,
                kernel_size=layer.kernel_size,
                input_channels=input_channels,
                reduced_channels=reduction.filters,
                filters=layer.filters,
                direct_weights=math.prod(layer.kernel_size) * input_channels * layer.filters,
                reduced_weights=kernel_weights(reduction) + kernel_weights(layer),
            )
        )
    return tuple(found)


def _convolution_before(graph: Graph, layer: Layer) -> layers.Conv2D | None:
    """Returns the convolution before a layer, if only normalization, ReLU and padding are between them, or None."""
    between = (layers.BatchNormalization, layers.ReLU, layers.ZeroPadding2D)
    (before,) = graph.parents[layer]
    while isinstance(before, between):
        (before,) = graph.parents[before]
    return before if isinstance(before, layers.Conv2D) else None
