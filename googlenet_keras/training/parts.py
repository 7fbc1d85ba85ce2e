"""The parts of a network that a fine-tuning treats each in its own way: the stages of its body, and its top."""

import difflib
import fnmatch
import math
from collections.abc import Iterator
from typing import TypeAlias

import keras

from googlenet_keras.blocks import Stage
from googlenet_keras.describe.graph import Graph
from googlenet_keras.models import ModelRecord
from googlenet_keras.training.recipe import Recipe

ALL_BUT_TOP = "all-but-top"
Layer: TypeAlias = keras.layers.Layer


def body_parts(model: keras.Model, record: ModelRecord) -> dict[str, list[Layer]]:
    """The layers of the body of a network, stage by stage; what is in none of them is the top and auxiliary heads.

    Args:
        model: A network of this package.
        record: The network's record.

    Returns:
        For each stage, by its name and from the input on, the layers that it adds to those before it.
    """
    graph = Graph(model)
    taken: set[Layer] = set()
    found = {}
    for stage in record.stages:
        name, end = _end(model, stage)
        members = graph.before(end) - taken
        found[name] = [layer for layer in model.layers if layer in members]
        taken |= members
    return found


def _end(model: keras.Model, stage: Stage) -> tuple[str, Layer]:
    """A stage's name, and the layer that ends it: the last step, its normalization or its ReLU."""
    name = list(stage)[-1]
    layers = {layer.name: layer for layer in model.layers}
    return name, next(layers[one] for one in (f"{name}_relu", f"{name}_bn", name) if one in layers)


def frozen_layers(recipe: Recipe, model: keras.Model, record: ModelRecord) -> tuple[Layer, ...]:
    """The layers that a recipe freezes.

    Args:
        recipe: The recipe, whose `freeze` names the layers.
        model: The network.
        record: The network's record.

    Raises:
        ValueError: If there are no such layers, or no others.
    """
    if recipe.freeze is None:
        return ()
    parts = body_parts(model, record)
    chosen = _chosen(recipe.freeze, model, parts)
    weighty = {layer.name for layer in chosen if layer.weights}
    if not weighty:
        names = [layer.name for layer in model.layers if layer.weights]
        near = difflib.get_close_matches(recipe.freeze, [ALL_BUT_TOP, *parts, *names], n=3)
        raise ValueError(
            f"No layer with weights is frozen by that: give {ALL_BUT_TOP}, a stage ({', '.join(parts)}) or a pattern "
            f"of layer names, such as 'conv*'{'; did you mean ' + ' or '.join(near) + '?' if near else ''}. "
            f"Received: {recipe.freeze!r}"
        )
    if not any(layer.trainable_weights for layer in model.layers if layer.name not in weighty):
        raise ValueError(f"Nothing is left to train: freeze fewer layers. Received: {recipe.freeze!r}")
    return tuple(chosen)


def _chosen(pattern: str, model: keras.Model, parts: dict[str, list[Layer]]) -> list[Layer]:
    last = list(parts)[-1] if pattern == ALL_BUT_TOP else pattern
    # A stage goes by its last step's name, and by that of the layer which ends it, as in `ModelRecord.endpoints`.
    stages = [name for name in parts if last in (name, f"{name}_bn", f"{name}_relu")]
    if stages:
        names = list(parts)
        return [layer for name in names[: names.index(stages[0]) + 1] for layer in parts[name]]
    return [layer for layer in model.layers if fnmatch.fnmatchcase(layer.name, pattern)]


def rate_factors(recipe: Recipe, model: keras.Model, record: ModelRecord) -> list[float]:
    """Returns the factor of each trainable variable's learning rate, in the order of ``trainable_variables``.

    Args:
        recipe: The recipe, with its `body_learning_rate` and `layer_decay`.
        model: The network, none of it frozen.
        record: The network's record.
    """
    factors = dict(_layer_factors(recipe, model, record))
    of_variable = {
        id(variable): factors.get(layer.name, 1.0) for layer in model.layers for variable in layer.trainable_variables
    }
    return [of_variable[id(variable)] for variable in model.trainable_variables]


def _layer_factors(recipe: Recipe, model: keras.Model, record: ModelRecord) -> Iterator[tuple[str, float]]:
    """The layers of the body and their factors; a pooling is no step away from the top."""
    stages = [layers for layers in body_parts(model, record).values() if any(layer.weights for layer in layers)]
    for distance, layers in enumerate(reversed(stages), start=1):
        for layer in layers:
            yield layer.name, recipe.body_learning_rate * recipe.layer_decay**distance


def frozen_line(recipe: Recipe, model: keras.Model, frozen: tuple[Layer, ...]) -> str:
    """A line on what is frozen and how long."""
    names = {layer.name for layer in frozen}
    weighty = [layer for layer in model.layers if layer.weights]
    learning = sum(math.prod(weight.shape) for layer in weighty if layer.name not in names for weight in layer.weights)
    count = sum(layer.name in names for layer in weighty)
    lasts = recipe.unfreeze_after is None or recipe.unfreeze_after >= recipe.epochs
    until = "to the end" if lasts else f"for {recipe.unfreeze_after} of {recipe.epochs} epochs"
    return (
        f"Frozen {until}: {count} of {len(weighty)} layers with weights; the others have {learning:,} of "
        f"{model.count_params():,} numbers"
    )
