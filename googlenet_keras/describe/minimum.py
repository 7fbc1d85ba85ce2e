"""The smallest input of a model, found from its graph."""

import bisect
from collections.abc import Sequence

import keras

from googlenet_keras.describe.graph import Graph
from googlenet_keras.models import create_model, model_record


def smallest_input(model: keras.Model, stages: Sequence[str]) -> int:
    """The smallest square input that leaves a pixel in every feature map, from the layers' arithmetic alone.

    Heads are made for the map that they get; of those, only the first layer of each (a pooling) is asked.

    Args:
        model: A functional model of known input size, as `googlenet_keras.create_model` builds it.
        stages: Names of the layers that end a stage; see `googlenet_keras.describe.describe_model`.

    Returns:
        Height and width, in pixels.
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
    """The smallest square input that a model of the registry can be built with.

    It starts from `smallest_input`, and goes up if the factory asks for more.

    Args:
        name: One of `googlenet_keras.list_models`.
        aux_heads: Whether the auxiliary heads are to be built.

    Returns:
        Height and width, in pixels.

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
    # It nearly always does, and what builds takes longer than what is refused.
    if builds(sizes.start):
        return sizes.start
    return sizes.start + bisect.bisect_left(sizes, True, key=builds)


def head_arguments(name: str, aux_heads: bool) -> dict[str, bool]:
    """The arguments of a model's factory for auxiliary heads, or for none.

    Raises:
        ValueError: If there is no such model, or heads are asked of one that has none.
    """
    if not aux_heads:
        return {}
    if not model_record(name).aux_heads:
        raise ValueError(f"This model has no auxiliary heads. Received: {name!r}")
    return {"aux_heads": True}
