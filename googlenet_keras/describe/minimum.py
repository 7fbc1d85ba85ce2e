"""Finds the smallest input of a model from its graph."""

import bisect
from collections.abc import Sequence

import keras

from googlenet_keras.describe.graph import Graph
from googlenet_keras.models import create_model, model_record


def smallest_input(model: keras.Model, stages: Sequence[str]) -> int:
    """Computes the smallest square input that leaves a pixel in every feature map, from the layers' output shapes.

    Each head is built for the size of the feature map that it receives, so only its first layer (a pooling) is checked.

    Args:
        model: A functional model whose input size is known, as `googlenet_keras.create_model` builds it.
        stages: Names of the layers that end a stage; see `googlenet_keras.describe.describe_model`.

    Returns:
        The height and width, in pixels.
    """
    graph = Graph(model)
    body = graph.before(model.get_layer(stages[-1]))
    heads = {layer for layer in graph.layers if layer not in body and body.issuperset(graph.parents[layer])}
    asked = [layer for layer in graph.layers if layer in body | heads]
    channels = model.input.shape[-1]

    def leaves_a_pixel(size: int) -> bool:
        shapes = {graph.layers[0]: (1, size, size, channels)}
        try:
            for layer in asked[1:]:
                given = [shapes[parent] for parent in graph.parents[layer]]
                shapes[layer] = layer.compute_output_shape(given if len(given) > 1 else given[0])
        except ValueError:
            return False
        return all(extent > 0 for shape in shapes.values() for extent in shape)

    return 1 + bisect.bisect_left(range(1, max(model.input.shape[1:3])), True, key=leaves_a_pixel)


def minimum_size(name: str, *, aux_heads: bool = False) -> int:
    """Finds the smallest square input that a model of the registry can be built with.

    The search starts from `smallest_input`, and continues with larger inputs if the factory rejects this size.

    Args:
        name: One of `googlenet_keras.list_models`.
        aux_heads: Whether to build the auxiliary heads.

    Returns:
        The height and width, in pixels.

    Raises:
        ValueError: If there is no such model, or it has no auxiliary heads.
    """
    arguments = head_arguments(name, aux_heads)
    model = create_model(name, **arguments)
    *_, channels = model.input.shape

    def builds(size: int) -> bool:
        try:
            create_model(name, input_shape=(size, size, channels), **arguments)
        except ValueError:
            return False
        return True

    sizes = range(smallest_input(model, model_record(name).endpoints), max(model.input.shape[1:3]))
    # The first size nearly always works. A bisection would build several models then, and a build takes longer than a
    # rejection.
    if builds(sizes.start):
        return sizes.start
    return sizes.start + bisect.bisect_left(sizes, True, key=builds)


def head_arguments(name: str, aux_heads: bool) -> dict[str, bool]:
    """Returns the arguments with which a model's factory builds auxiliary heads, or none.

    Raises:
        ValueError: If there is no such model, or if `aux_heads` is True and the model has none.
    """
    if not aux_heads:
        return {}
    if not model_record(name).aux_heads:
        raise ValueError(f"This model has no auxiliary heads. Received: {name!r}")
    return {"aux_heads": True}
