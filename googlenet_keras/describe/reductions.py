"""Computes what the 1x1 convolutions before the larger ones save; arXiv 1409.4842, section 4."""

import math
from dataclasses import dataclass

import keras
from keras import layers

from googlenet_keras.describe.cost import kernel_weights
from googlenet_keras.describe.graph import Graph, Layer


@dataclass(frozen=True, kw_only=True)
class Bottleneck:
    """A convolution that a 1x1 convolution goes before, in a branch of a module.

    Attributes:
        name: The name of the larger convolution.
        reduction: Name of the 1x1 convolution.
        kernel_size: The kernel size of the larger convolution, (height, width) in pixels.
        input_channels: The channels of the module's input.
        reduced_channels: Filters of the 1x1 convolution.
        filters: The number of filters of the larger convolution.
        direct_weights: The weights that the larger convolution's kernel would have on the module's input itself.
        reduced_weights: The weights of both kernels.
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
    """Compares each reduced convolution of a model's modules with one that does without the reduction.

    Args:
        model: A functional model.

    Returns:
        The bottlenecks from input to output; those of GoogLeNet are the 3x3 and 5x5 branches of its nine modules.
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
    """The convolution whose activations a layer takes, if nothing but normalization, ReLU and padding is between."""
    between = (layers.BatchNormalization, layers.ReLU, layers.ZeroPadding2D)
    (before,) = graph.parents[layer]
    while isinstance(before, between):
        (before,) = graph.parents[before]
    return before if isinstance(before, layers.Conv2D) else None
