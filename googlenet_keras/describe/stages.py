"""Describes a model stage by stage, with the columns of the paper's Table 1 (arXiv 1409.4842) and a few more."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import keras
from keras import layers

from googlenet_keras.describe.cost import kernel_weights, layer_multiply_adds
from googlenet_keras.describe.graph import Graph, Layer, window
from googlenet_keras.describe.notation import branches_text

# The columns of Table 1 for the filters of a module; the names of the module's layers end in these.
TABLE_1_FILTERS = ("1x1", "3x3_reduce", "3x3", "5x5_reduce", "5x5", "pool_proj")
AUXILIARY_HEAD = "auxiliary head"
BYTES_OF_FLOAT32 = 4

# The layer after which a stage starts, the layer that ends it, its layers, and whether it is an auxiliary head.
_Division: TypeAlias = tuple[Layer, Layer, Collection[Layer], bool]
# The words of Table 1 for the types of layers; layers of other types are not mentioned in the type of a stage.
_TYPES = {
    layers.Conv2D: "convolution",
    layers.SeparableConv2D: "separable convolution",
    layers.MaxPooling2D: "max pool",
    layers.AveragePooling2D: "avg pool",
    layers.AdaptiveAveragePooling2D: "avg pool",
    layers.GlobalAveragePooling2D: "avg pool",
    layers.Dropout: "dropout",
    layers.Flatten: "flatten",
    layers.Dense: "linear",
    layers.Activation: "activation",
}


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A row of the table: the layers of a model from the end of the previous stage to the end of this one.

    Attributes:
        name: The name of the last layer.
        type: The type in the words of Table 1: ``"convolution"``, ``"max pool"``, ``"inception"``, ``"linear"``, ...
        patch: The window and stride of the last convolution or pooling, such as ``"7x7/2"``; empty for modules, for
            auxiliary heads, and if there is no such layer.
        output_shape: (height, width, channels), or (features,).
        depth: The number of convolutions and dense layers along the longest path.
        filters: The number of filters by column of Table 1 (`TABLE_1_FILTERS`); empty for modules of other families.
        branches: All convolutions and poolings in one line, such as ``"64 / 96-128 / 16-32(5x5) / max 32"``; see
            `googlenet_keras.describe.notation`.
        weights: The number of weights in the kernels of convolutions and dense layers; the paper's "params".
        parameters: The number of all parameters, including biases and batch normalizations with their moving mean and
            variance.
        multiply_adds: The multiply-adds of convolutions and dense layers, for one image; the paper's "ops".
        receptive_field: The height and width, in pixels, of the part of the input that one output pixel may depend on;
            it may exceed the input.
        activation_bytes: The memory of the outputs of all layers for one image in float32, in bytes.
    """

    name: str
    type: str
    patch: str
    output_shape: tuple[int, ...]
    depth: int
    filters: Mapping[str, int]
    branches: str
    weights: int
    parameters: int
    multiply_adds: int
    receptive_field: int
    activation_bytes: int


@dataclass(frozen=True, kw_only=True)
class ModelCost:
    """The cost of a model, in total and stage by stage.

    `Stage` explains each cost. The totals are sums over all stages, but ``depth`` leaves out the auxiliary heads.

    Attributes:
        name: The name of the model.
        input_shape: (height, width, channels) of the input, in pixels.
        depth: The number of convolutions and dense layers along the longest path to the main output; 22 for GoogLeNet.
        weights: The total number of weights.
        parameters: The total number of parameters, equal to ``model.count_params()``.
        multiply_adds: The total number of multiply-adds, equal to `count_multiply_adds`.
        activation_bytes: The total memory of the outputs, without the input itself.
        stages: The stages from the input to the main output, then the auxiliary heads. Every layer except the input is
            in exactly one stage.
    """

    name: str
    input_shape: tuple[int, int, int]
    depth: int
    weights: int
    parameters: int
    multiply_adds: int
    activation_bytes: int
    stages: tuple[Stage, ...]


def describe_model(model: keras.Model, stages: Sequence[str]) -> ModelCost:
    """Computes the cost of a model, stage by stage.

    Args:
        model: A functional model with one input of known height and width, in which each layer is called once.
        stages: The names of the layers that end a stage, from input to output, such as `ModelRecord.endpoints`. Every
            path from the input to the main output must pass through all of them. Each layer after the last one, that
            is, each layer of the head, is a stage of its own; each auxiliary head is one stage.

    Returns:
        The cost.

    Raises:
        ValueError: If the size of the input is unknown, or if a named layer is not in the model or paths bypass it.
    """
    input_shape = tuple(model.input.shape[1:])
    if None in input_shape:
        raise ValueError(
            f"The cost depends on the input's size: build the model with a fixed input_shape. Received: {input_shape}"
        )
    graph = Graph(model)
    fields = graph.receptive_fields()
    rows = tuple(_stage(graph, fields, *division) for division in _divide(graph, stages))
    return ModelCost(
        name=model.name,
        input_shape=input_shape,
        depth=sum(row.depth for row in rows if row.type != AUXILIARY_HEAD),
        weights=sum(row.weights for row in rows),
        parameters=sum(row.parameters for row in rows),
        multiply_adds=sum(row.multiply_adds for row in rows),
        activation_bytes=sum(row.activation_bytes for row in rows),
        stages=rows,
    )


def _divide(graph: Graph, names: Sequence[str]) -> list[_Division]:
    """Divides the model's layers into stages; each layer except the input is in exactly one."""
    by_name = {layer.name: layer for layer in graph.layers}
    start = graph.layers[0]
    taken = {start}
    divided: list[_Division] = []
    for name in names:
        if name not in by_name or start not in graph.gates(by_name[name]):
            raise ValueError(
                f"Stages must name, in order, layers of the model that every path passes through. Received: {name!r}"
            )
        end = by_name[name]
        members = graph.before(end) - taken
        taken |= members
        divided.append((start, end, members, False))
        start = end
    heads: list[_Division] = []
    for answer in graph.outputs:
        members = graph.before(answer) - taken
        taken |= members
        if start in graph.before(answer):
            rows = [(graph.gate[layer], layer, {layer}, False) for layer in graph.layers if layer in members]
            divided += rows
        else:
            first = next(layer for layer in graph.layers if layer in members)
            heads.append((graph.gate[first], answer, members, True))
    return divided + heads


def _stage(
    graph: Graph, fields: Mapping[Layer, int], start: Layer, end: Layer, members: Collection[Layer], is_head: bool
) -> Stage:
    ordered = [layer for layer in graph.layers if layer in members]
    is_module = any(len(graph.parents[layer]) > 1 for layer in ordered)
    windows = [] if is_head or is_module else [str(window(layer)) for layer in ordered if window(layer)]
    return Stage(
        name=end.name,
        type=AUXILIARY_HEAD if is_head else _type(ordered),
        patch=windows[-1] if windows else "",
        output_shape=tuple(end.output.shape[1:]),
        depth=graph.depth(members),
        filters={
            column: layer.filters
            for column in TABLE_1_FILTERS
            for layer in ordered
            if isinstance(layer, layers.Conv2D) and layer.name.endswith(f"_{column}")
        },
        branches=branches_text(graph, start, end),
        weights=sum(kernel_weights(layer) for layer in ordered),
        parameters=sum(layer.count_params() for layer in ordered),
        multiply_adds=sum(layer_multiply_adds(layer) for layer in ordered),
        receptive_field=fields[end],
        activation_bytes=BYTES_OF_FLOAT32 * sum(math.prod(layer.output.shape[1:]) for layer in ordered),
    )


def _type(members: Sequence[Layer]) -> str:
    kinds = {type(layer) for layer in members}
    if layers.Add in kinds:
        return "inception-resnet" if layers.Concatenate in kinds else "residual"
    if layers.Concatenate in kinds:
        return "inception"
    known = dict.fromkeys(word for layer in members for kind, word in _TYPES.items() if isinstance(layer, kind))
    return ", ".join(known) or type(members[-1]).__name__
