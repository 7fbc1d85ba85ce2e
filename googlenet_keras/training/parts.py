"""Finds the parts of a network that fine-tuning treats differently: the stages of its body, and its top."""

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
    """Returns the layers of the body of a network, stage by stage.

    The layers that are in no stage are those of the top and of the auxiliary heads.

    Args:
        model: A network of this package.
        record: The network's record.

    Returns:
        A dict from the name of each stage, in order from the input, to the layers that the stage adds to the stages
        before it.
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
    """Returns the name of a stage and its last layer: its last step, or the normalization or ReLU of that step."""
    name = list(stage)[-1]
    layers = {layer.name: layer for layer in model.layers}
    return name, next(layers[one] for one in (f"{name}_relu", f"{name}_bn", name) if one in layers)


def frozen_layers(recipe: Recipe, model: keras.Model, record: ModelRecord) -> tuple[Layer, ...]:
    """Returns the layers that a recipe freezes.

    Args:
        recipe: The recipe, whose `freeze` names the layers.
        model: The network.
        record: The network's record.

    Raises:
        ValueError: If `freeze` names no layer with weights, or leaves no layer to train.
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
            f"freeze matches no layer with weights: give {ALL_BUT_TOP}, a stage ({', '.join(parts)}) or a pattern "
            f"of layer names, such as 'conv*'{'; did you mean ' + ' or '.join(near) + '?' if near else ''}. "
            f"Received: {recipe.freeze!r}"
        )
    if not any(layer.trainable_weights for layer in model.layers if layer.name not in weighty):
        raise ValueError(f"Nothing is left to train: freeze fewer layers. Received: {recipe.freeze!r}")
    return tuple(chosen)


def _chosen(pattern: str, model: keras.Model, parts: dict[str, list[Layer]]) -> list[Layer]:
    last = list(parts)[-1] if pattern == ALL_BUT_TOP else pattern
    # A stage may be given by the name of its last step or, as in `ModelRecord.endpoints`, by that of its last layer.
    stages = [name for name in parts if last in (name, f"{name}_bn", f"{name}_relu")]
    if stages:
        names = list(parts)
        return [layer for name in names[: names.index(stages[0]) + 1] for layer in parts[name]]
    return [layer for layer in model.layers if fnmatch.fnmatchcase(layer.name, pattern)]


def rate_factors(recipe: Recipe, model: keras.Model, record: ModelRecord) -> list[float]:
    """Returns the factor of each trainable variable's learning rate, in the order of ``trainable_variables``.

    Args:
        recipe: The recipe, with its `body_learning_rate` and `layer_decay`.
        model: The network, without frozen layers.
        record: The network's record.
    """
    factors = dict(_layer_factors(recipe, model, record))
    of_variable = {
        id(variable): factors.get(layer.name, 1.0) for layer in model.layers for variable in layer.trainable_variables
    }
    return [of_variable[id(variable)] for variable in model.trainable_variables]


def _layer_factors(recipe: Recipe, model: keras.Model, record: ModelRecord) -> Iterator[tuple[str, float]]:
    """Yields the name and the factor of each layer of the body.

    Only stages with weights count towards the distance from the top, so a pooling stage has no effect on the factors.
    """
    stages = [layers for layers in body_parts(model, record).values() if any(layer.weights for layer in layers)]
    for distance, layers in enumerate(reversed(stages), start=1):
        for layer in layers:
            yield layer.name, recipe.body_learning_rate * recipe.layer_decay**distance


def frozen_line(recipe: Recipe, model: keras.Model, frozen: tuple[Layer, ...]) -> str:
    """Returns a line that says how much of the network is frozen, and for how long."""
    names = {layer.name for layer in frozen}
    weighty = [layer for layer in model.layers if layer.weights]
    learning = sum(math.prod(weight.shape) for layer in weighty if layer.name not in names for weight in layer.weights)
    count = sum(layer.name in names for layer in weighty)
    lasts = recipe.unfreeze_after is None or recipe.unfreeze_after >= recipe.epochs
    until = "to the end" if lasts else f"for {recipe.unfreeze_after} of {recipe.epochs} epochs"
    return (
        f"Frozen {until}: {count} of {len(weighty)} layers with weights; the others have {learning:,} of "
        f"{model.count_params():,} parameters"
    )
