"""Represents a model as a graph of layers: which layers feed which, and how much of the input each layer sees."""

import math
from collections.abc import Collection, Iterator
from typing import Any, NamedTuple, TypeAlias

import keras
from keras import layers

from googlenet_keras.describe.cost import kernel_weights
from googlenet_keras.layers import CeilAveragePooling2D

Layer: TypeAlias = layers.Layer
_Key: TypeAlias = tuple[str, int]  # the name of a layer and the number of one of its calls


class Window(NamedTuple):
    """The window of a layer's input that one output pixel sees, (height, width) in pixels, and the strides."""

    size: tuple[int, int]
    strides: tuple[int, int]

    def __str__(self) -> str:
        """Returns the notation of the paper's Table 1, such as ``7x7/2``."""
        return f"{self.size[0]}x{self.size[1]}/{self.strides[0]}"


def window(layer: Layer) -> Window | None:
    """Returns the window of a convolution or pooling; None for a layer that sees one pixel at a time.

    The window of a global pooling or a flattening is the whole feature map; that of an adaptive pooling is the largest
    of its windows.
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


class Call(NamedTuple):
    """One use of a layer, or of another Keras operation, in a model.

    Attributes:
        layer: The layer.
        parents: The numbers of the calls that feed this call, in the order of its inputs.
        shape: The shape of the first output, without the batch dimension.
    """

    layer: keras.Operation
    parents: tuple[int, ...]
    shape: tuple[int | None, ...]


def calls(model: keras.Model) -> tuple[list[Call], list[int]]:
    """Returns the calls of a model's layers from input to output, and the numbers of those that are outputs.

    A layer that is called twice is listed twice. The calls are read from the model's configuration, in which Keras
    itself saves them.

    Args:
        model: A built model, functional or sequential.

    Raises:
        ValueError: If the model has no graph of layers, such as a subclassed model.
    """
    try:
        functional = keras.Model(model.inputs, model.outputs)
        config = functional.get_config()
    except (AttributeError, NotImplementedError, ValueError, TypeError) as error:
        raise ValueError(
            f"The model must be a built functional or sequential model whose layers can be saved. Received: {model!r}"
        ) from error
    parents: dict[_Key, list[_Key]] = {}
    shapes: dict[_Key, tuple[int | None, ...]] = {}
    for layer in config["layers"]:
        for number, node in enumerate(layer["inbound_nodes"] or [None]):
            parents[layer["name"], number] = []
            for tensor in _tensors(node):
                name, index, output = tensor["keras_history"]
                parents[layer["name"], number].append((name, index))
                if output == 0:
                    shapes[name, index] = tuple(tensor["shape"][1:])
    history = keras.tree.flatten(config["output_layers"])
    answers = list(zip(history[::3], history[1::3], strict=True))
    # For outputs, Keras also counts the calls of a layer in other models; for inputs, only the calls in this model.
    answers = [key if key in parents else (key[0], max(n for name, n in parents if name == key[0])) for key in answers]
    shapes |= {key: tuple(tensor.shape[1:]) for key, tensor in zip(answers, functional.outputs, strict=True)}
    order = {key: number for number, key in enumerate(_by_depth(parents, answers))}
    layer_of = {operation.name: operation for operation in functional.operations}
    found = [Call(layer_of[key[0]], tuple(order[parent] for parent in parents[key]), shapes[key]) for key in order]
    return found, [order[key] for key in dict.fromkeys(answers)]


def _tensors(node: Any) -> Iterator[dict[str, Any]]:
    """Yields the configurations of all tensors in the configuration of a call."""
    if isinstance(node, dict) and node.get("class_name") == "__keras_tensor__":
        yield node["config"]
    elif isinstance(node, dict | list | tuple):
        for part in node.values() if isinstance(node, dict) else node:
            yield from _tensors(part)


def _by_depth(parents: dict[_Key, list[_Key]], answers: list[_Key]) -> list[_Key]:
    """Lists the calls that the outputs depend on, the farthest first, in the order of Keras's `Model.layers`."""
    finished: dict[_Key, None] = {}
    open_ends = answers[::-1]
    while open_ends:
        missing = [parent for parent in parents[open_ends[-1]] if parent not in finished]
        if missing:
            open_ends += missing[::-1]
        else:
            finished.setdefault(open_ends.pop())
    depths: dict[_Key, int] = {}
    for key in reversed(finished):
        depth = depths.setdefault(key, 0)
        for parent in parents[key]:
            depths[parent] = max(depth + 1, depths.get(parent, 0))
    return sorted(depths, key=lambda key: -depths[key])


class Graph:
    """The layers of a functional model, each called once.

    Attributes:
        layers: The layers from input to output; each comes after all layers that feed it.
        parents: For each layer, the layers that feed it, in the order of its inputs; empty for an input layer.
        outputs: The layers that produce the model's outputs, in the order of ``model.outputs``.
        gate: For each layer, the last layer before it that every path from the input to it passes through; None for an
            input layer.
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
            # The layer nearest to the output cannot be on the paths to the others, so its gate can replace it.
            while len(ways) > 1:
                last = max(ways, key=self._place.__getitem__)
                ways = ways - {last} | {self.gate[last]}
            self.gate[layer] = ways.pop() if ways else None

    def gates(self, layer: Layer) -> list[Layer]:
        """Returns the layers before a layer that every path from the input to it passes through, the nearest first."""
        found: list[Layer] = []
        while (layer := self.gate[layer]) is not None:
            found.append(layer)
        return found

    def before(self, layer: Layer) -> set[Layer]:
        """Returns a layer and all layers that it depends on."""
        found, open_ends = {layer}, [layer]
        while open_ends:
            new = set(self.parents[open_ends.pop()]) - found
            found |= new
            open_ends += new
        return found

    def depth(self, members: Collection[Layer]) -> int:
        """Returns the number of convolutions and dense layers on the longest path through some of the layers."""
        depths: dict[Layer, int] = {}
        for layer in sorted(members, key=self._place.__getitem__):
            way_there = max((depths.get(parent, 0) for parent in self.parents[layer]), default=0)
            depths[layer] = way_there + bool(kernel_weights(layer))
        return max(depths.values(), default=0)

    def receptive_fields(self) -> dict[Layer, int]:
        """Computes how many pixels of the input, in height or width, one pixel of each layer's output may depend on.

        The count assumes an unbounded feature map, so it may exceed the input. Where paths join, the largest counts.

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
