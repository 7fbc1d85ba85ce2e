"""Computes how each branch of an Inception module responds to an image."""

from dataclasses import dataclass

import keras
import numpy as np

from googlenet_keras.describe.graph import Graph, window
from googlenet_keras.explain.subject import Subject, suggestion
from googlenet_keras.models.views import feature_extractor


@dataclass(frozen=True)
class BranchResponse:
    """The response of one branch of a module to an image.

    Attributes:
        title: The windows of the branch in their order, such as ``1x1 → 3x3`` or ``pool → 1x1``.
        layer: The name of the layer that ends the branch.
        first_channel: The number of the branch's first channel among the channels of the module.
        maps: The float32 feature maps (rows, columns, channels).
    """

    title: str
    layer: str
    first_channel: int
    maps: np.ndarray

    @property
    def mean(self) -> float:
        """The mean activation over all positions and channels."""
        return float(self.maps.mean())


def branch_responses(subject: Subject, image: np.ndarray, module: str) -> list[BranchResponse]:
    """Computes the response of every branch of a module to an image.

    Args:
        subject: The network.
        image: Pixels (height, width, channels) in [0, 255], of the network's size.
        module: The name of the module, such as ``inception_4c``.

    Raises:
        ValueError: If there is no such module (the message suggests a similar name), or the image does not have the
            network's size.
    """
    join = find_module(subject, module)
    graph = Graph(subject.model)
    ends = graph.parents[join]
    view = feature_extractor(subject.model, [end.name for end in ends])
    answers = view(subject.preprocessing(subject.batch(image)), training=False)
    found: list[BranchResponse] = []
    for end in ends:
        maps = keras.ops.convert_to_numpy(answers[end.name])[0].astype("float32")
        first = found[-1].first_channel + found[-1].maps.shape[-1] if found else 0
        found.append(BranchResponse(_title(graph, end, graph.gate[join]), end.name, first, maps))
    return found


def find_module(subject: Subject, module: str) -> keras.layers.Layer:
    """Finds the layer that joins the branches of a module.

    Args:
        subject: The network.
        module: The module's name.

    Raises:
        ValueError: If there is no such module; the message suggests a similar name.
    """
    joins = _modules(subject.model)
    if not joins:
        raise ValueError(f"The network has no modules with branches. Received: {module!r}")
    if module not in joins:
        raise ValueError(f"The network has no module of that name{suggestion(module, joins)}")
    return joins[module]


def _modules(model: keras.Model) -> dict[str, keras.layers.Layer]:
    """Returns the layers that join branches of feature maps, by the names of their modules."""
    return {
        layer.name.removesuffix("_mixed"): layer
        for layer in model.layers
        if isinstance(layer, keras.layers.Concatenate) and len(layer.output.shape) == 4
    }


def _title(graph: Graph, end: keras.layers.Layer, start: keras.layers.Layer | None) -> str:
    """Describes the windows on the path from a module's input to the end of a branch."""
    windows: list[str] = []
    layer = end
    while layer is not start:
        seen = window(layer)
        if seen:
            is_convolution = isinstance(layer, keras.layers.Conv2D | keras.layers.SeparableConv2D)
            windows.append(f"{seen.size[0]}x{seen.size[1]}" if is_convolution else "pool")
        if not graph.parents[layer]:
            break
        layer = graph.parents[layer][0]
    return " → ".join(reversed(windows)) or end.name
