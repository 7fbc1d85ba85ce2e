"""Computes what the network of a recipe costs, and where its parameters are."""

import dataclasses
from dataclasses import dataclass

from googlenet_keras.data import Dataset
from googlenet_keras.describe import ModelSummary, bottlenecks, summarize
from googlenet_keras.models import inference_model, model_record
from googlenet_keras.training.networks import create_network, network_arguments
from googlenet_keras.training.recipe import Recipe
from googlenet_keras.training.starting import settle_start


@dataclass(frozen=True, kw_only=True)
class NetworkCost:
    """The cost of a trained network, without auxiliary heads.

    Attributes:
        summary: Its parameters and multiply-adds.
        largest_layer: Name of the layer with the most parameters.
        largest_parameters: The number of parameters of that layer.
        spared: Weights that the 1x1 convolutions before larger ones spare; see `Bottleneck`.
    """

    summary: ModelSummary
    largest_layer: str
    largest_parameters: int
    spared: int


def network_cost(recipe: Recipe, dataset: Dataset) -> NetworkCost:
    """Computes what the network of a recipe costs once it is trained.

    Args:
        recipe: The recipe.
        dataset: The dataset, which decides the classes and channels.

    Returns:
        The cost; auxiliary heads are no part of it.

    Raises:
        ValueError: If there is no such network at the recipe's size.
    """
    recipe, start = settle_start(dataclasses.replace(recipe, dtype="float32"))
    model = inference_model(create_network(recipe, dataset, network_arguments(recipe, start)))
    largest = max(model.layers, key=lambda layer: layer.count_params())
    return NetworkCost(
        summary=summarize(model, model_record(recipe.model).endpoints),
        largest_layer=largest.name,
        largest_parameters=largest.count_params(),
        spared=sum(one.direct_weights - one.reduced_weights for one in bottlenecks(model)),
    )
