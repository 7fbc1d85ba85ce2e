"""Creates the network that a recipe trains, for the classes and channels of its dataset."""

import inspect
from collections.abc import Mapping
from typing import Any

import keras

from googlenet_keras.data import Dataset
from googlenet_keras.layers import BatchNormalization
from googlenet_keras.models import create_model, model_record
from googlenet_keras.training.recipe import Recipe
from googlenet_keras.training.starting import Start


def create_network(recipe: Recipe, dataset: Dataset, arguments: Mapping[str, Any]) -> keras.Model:
    """Creates the network of a recipe, which outputs logits; call it in the strategy's scope.

    Args:
        recipe: The recipe, whose dtype must not be ``"auto"``.
        dataset: The dataset, which determines the classes and channels.
        arguments: The arguments of the factory, as `network_arguments` returns them.

    Raises:
        ValueError: If an input size of the recipe is too small for the network, or its factory does not have one of the
            arguments.
    """
    sizes = {recipe.input_size_in(epoch) for epoch in range(recipe.epochs)}
    record = model_record(recipe.model)
    smallest = record.minimum_size
    if min(sizes) < smallest:
        raise ValueError(f"{recipe.model} needs {smallest}x{smallest} pixels or more. Received: {min(sizes)}")
    size = recipe.full_size if len(sizes) == 1 else None
    for name, value in arguments.items():
        if name not in inspect.signature(record.factory).parameters:
            raise ValueError(f"{recipe.model} has no {name}: leave it out. Received: {name}={value}")
    model = create_model(
        recipe.model,
        classes=dataset.classes,
        input_shape=(size, size, dataset.channels),
        classifier_activation=None,
        dtype=recipe.dtype,
        **arguments,
    )
    for layer in model.layers:
        if isinstance(layer, BatchNormalization):
            layer.synchronized = recipe.synchronized
            if recipe.moments_decay is not None:
                layer.momentum = recipe.moments_decay
    return model


def network_arguments(recipe: Recipe, start: Start) -> dict[str, Any]:
    """Returns the arguments that only some factories have.

    Their values come from the recipe, or else from the training of the weights that the recipe starts from.
    """
    given = {
        "aux_heads": recipe.aux_heads or None,
        "dropout": recipe.dropout,
        "normalization": recipe.normalization,
        "width": recipe.width,
    }
    return {**start.arguments, **{name: value for name, value in given.items() if value is not None}}
