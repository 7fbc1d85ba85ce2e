"""A functional model as a graph of layers: who feeds whom, and what a pixel of a map has seen."""

import math
from collections.abc import Collection
from typing import NamedTuple

import keras
from keras import layers

from googlenet_keras.describe.cost import kernel_weights
from googlenet_keras.layers import CeilAveragePooling2D

Layer = layers.Layer


class Window(NamedTuple):
    """What one output pixel of a layer looks at, (height, width) in pixels of its input, and how far the next is."""

    size: tuple[int, int]
    strides: tuple[int, int]

    def __str__(self) -> str:
        """As the paper's Table 1 prints it, such as ``7x7/2``."""
        return f"{self.size[0]}x{self.size[1]}/{self.strides[0]}"


def window(layer: Layer) -> Window | None:
    """The window of a convolution or pooling; None for a layer that sees one pixel at a time.

    That of a global pooling or a flattening is the whole map; that of an adaptive pooling is its largest.
    """
    match layer:
        case layers.Conv2D() | layers.SeparableConv2D():
            dilated = [(size - 1) * rate + 1 for size, rate in zip(layer.kernel_size, layer.dilation_rate, strict=True)]
            return Window(tuple(dilated), tuple(layer.strides))
        case layers.MaxPooling2D() | layers.AveragePooling2D():
            return Window(tuple(layer.pool_size), tuple(layer.strides))
        case CeilAveragePooling2D():
            return Window((layer.pool_size,) * 2, (layer.strides,) * 2)
        case layers.AdaptiveAveragePooling2D():
            extents = list(zip(layer.input.shape[1:3], layer.output.shape[1:3], strict=True))
            return Window(
                tuple(math.ceil(before / after) for before, after in extents),
                tuple(max(1, before // after) for before, after in extents),
            )
        case layers.GlobalAveragePooling2D() | layers.GlobalMaxPooling2D() | layers.Flatten():
            return Window(tuple(layer.input.shape[1:3]), (1, 1))
    return None


class Graph:
    """The layers of a functional model, each called once.

    Attributes:
        layers: From input to output; a layer comes after all that feed it.
        parents: The layers that feed a layer, in the order of its inputs; none for an input.
        outputs: The layers that answer, in the order of ``model.outputs``.
        gate: The last layer that every way from the input to a layer passes, before that layer; None for an input.
    """

    def __init__(self, model: keras.Model) -> None:
        producers = {id(layer.output): layer for layer in model.layers}
        self.layers: tuple[Layer, ...] = tuple(model.layers)
        self.parents: dict[Layer, tuple[Layer, ...]] = {
            layer: ()
            if isinstance(layer, layers.InputLayer)
            else tuple(producers[id(tensor)] for tensor in keras.tree.flatten(layer.input))
            for layer in self.layers
        }
        self.outputs = tuple(producers[id(tensor)] for tensor in model.outputs)
        self.gate: dict[Layer, Layer | None] = {}
        self._place = {layer: place for place, layer in enumerate(self.layers)}
        for layer in self.layers:
            ways = set(self.parents[layer])
            # Of several layers the one nearest to the output cannot be on the ways to the others.
            while len(ways) > 1:
                last = max(ways, key=self._place.__getitem__)
                ways = ways - {last} | {self.gate[last]}
            self.gate[layer] = ways.pop() if ways else None

    def gates(self, layer: Layer) -> list[Layer]:
        """All the layers that every way from the input to a layer passes, the nearest first; not the layer itself."""
        found = []
        while (layer := self.gate[layer]) is not None:
            found.append(layer)
        return found

    def before(self, layer: Layer) -> set[Layer]:
        """The layer and all that it depends on."""
        found, open_ends = {layer}, [layer]
        while open_ends:
            new = set(self.parents[open_ends.pop()]) - found
            found |= new
            open_ends += new
        return found

    def depth(self, members: Collection[Layer]) -> int:
        """How many convolutions and dense layers the longest way through some of the layers has."""
        depths: dict[Layer, int] = {}
        for layer in sorted(members, key=self._place.__getitem__):
            way_there = max((depths.get(parent, 0) for parent in self.parents[layer]), default=0)
            depths[layer] = way_there + bool(kernel_weights(layer))
        return max(depths.values(), default=0)

    def receptive_fields(self) -> dict[Layer, int]:
        """How many pixels of the input, in height or width, one pixel of each layer's output may depend on.

        It is counted on an unbounded map, and so may exceed the input. Where ways meet it is the largest of theirs.

        Source: Araujo et al., "Computing Receptive Fields of Convolutional Neural Networks", Distill 2019.
        """
        fields: dict[Layer, tuple[int, int]] = {}
        jumps: dict[Layer, tuple[int, int]] = {}
        for layer in self.layers:
            parents = self.parents[layer]
            field = tuple(max(axis) for axis in zip((1, 1), *(fields[parent] for parent in parents), strict=True))
            jump = tuple(max(axis) for axis in zip((1, 1), *(jumps[parent] for parent in parents), strict=True))
            size, strides = window(layer) or Window((1, 1), (1, 1))
            fields[layer] = tuple(r + (n - 1) * j for r, n, j in zip(field, size, jump, strict=True))
            jumps[layer] = tuple(j * s for j, s in zip(jump, strides, strict=True))
        return {layer: max(field) for layer, field in fields.items()}
