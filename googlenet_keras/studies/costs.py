"""Computes the parameters and multiply-adds of the network of a recipe."""

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
        summary: The parameters and multiply-adds of the network.
        largest_layer: The name of the layer with the most parameters.
        largest_parameters: The number of parameters of that layer.
        spared: The number of weights that the 1x1 convolutions before larger convolutions save; see `Bottleneck`.
    """

    summary: ModelSummary
    largest_layer: str
    largest_parameters: int
    spared: int


def network_cost(recipe: Recipe, dataset: Dataset) -> NetworkCost:
    """Computes the cost of the network of a recipe after it has been trained.

    Args:
        recipe: The recipe.
        dataset: The dataset, which determines the classes and channels.

    Returns:
        The cost, which does not include auxiliary heads.

    Raises:
        ValueError: If the network cannot be built with the recipe's arguments and input size.
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
