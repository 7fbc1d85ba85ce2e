"""Loads the weights that a training starts from, also into a network with other classes or channels."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from googlenet_keras.data import Dataset
from googlenet_keras.describe.graph import Graph
from googlenet_keras.images import Preprocessing
from googlenet_keras.models import ModelRecord, create_model, load_model, model_record
from googlenet_keras.models.trained import find_network
from googlenet_keras.training.parts import Layer, body_parts
from googlenet_keras.training.recipe import AUTO, Recipe
from googlenet_keras.weights.cards import Card, read_card
from googlenet_keras.weights.catalogue import file_digest
from googlenet_keras.weights.published import weight_file
from googlenet_keras.weights.readers import read_weights

# The arguments that a training sets itself, regardless of how its weights were trained.
_DECIDED_BY_TRAINING = ("aux_heads", "include_top", "pooling")


@dataclass(frozen=True, kw_only=True)
class Start:
    """The weights that a training starts from.

    Attributes:
        weights: The weights as the recipe names them; None means random weights.
        file: The weight file; None for random weights.
        checksum: The SHA-256 of the weight file; None for random weights.
        card: The card in the weight file; None if it does not have one.
        record: The record of the network.
        preprocessing: The preprocessing of images that the weights expect, or else the preprocessing of the network.
    """

    weights: str | None = None
    file: Path | None = None
    checksum: str | None = None
    card: Card | None = None
    record: ModelRecord
    preprocessing: Preprocessing

    @property
    def arguments(self) -> dict[str, Any]:
        """The factory's arguments that the weights were trained with, except those that a training sets itself."""
        given = {} if self.card is None else self.card.arguments
        return {name: value for name, value in given.items() if name not in _DECIDED_BY_TRAINING}

    def load(self, model: keras.Model, dataset: Dataset) -> list[str]:
        """Loads the weights into the network that is trained, or raises an error before anything is changed.

        Args:
            model: The network that is trained.
            dataset: The dataset, which determines the classes and channels.

        Returns:
            Lines that name the weights and everything that could not be loaded unchanged; an empty list for random
            weights.

        Raises:
            ValueError: If the weights do not fit.
        """
        if self.weights is None:
            return []
        return [
            f"Starts from the weights {self.weights!r} of {self.record.name}",
            *transfer(self._trained(model), model, self, dataset.label_names),
        ]

    def _trained(self, model: keras.Model) -> keras.Model:
        """Builds the network of the weights from their card, or else from the shapes of their tensors."""
        file = str(self.file)
        if file.endswith(".keras"):
            return load_model(file, compile=False)
        if self.card is not None:
            heads = {"aux_heads": True} if self.card.arguments.get("aux_heads") else {}
            return create_model(self.record.name, weights=file, dtype="float32", **heads)
        tensors = read_weights(file)
        first = next(layer.name for layer in model.layers if layer.weights)
        kernel, classifier = tensors.get(f"{first}/0"), tensors.get("predictions/0")
        height, width, channels = model.input.shape[1:]
        if kernel is not None and kernel.ndim == 4:
            channels = kernel.shape[2]
        top = {"include_top": False} if classifier is None else {"classes": classifier.shape[-1]}
        return create_model(
            self.record.name, weights=file, dtype="float32", input_shape=(height, width, channels), **top
        )


def settle_start(recipe: Recipe) -> tuple[Recipe, Start]:
    """Finds the weights that a recipe starts from.

    Args:
        recipe: The recipe, which may leave its model and input size to the weights.

    Returns:
        The recipe with its model and input size filled in, and the weights that it starts from.

    Raises:
        ValueError: If there are no such weights, or they belong to another network than the recipe names.
        RuntimeError: If published weights cannot be downloaded.
        OSError: If published weights cannot be written to the folder of downloads.
    """
    name = None if recipe.model == AUTO else recipe.model
    if recipe.weights is None:
        record = model_record(recipe.model)
        settled = dataclasses.replace(recipe, input_size=recipe.input_size or record.input_shape[0])
        return settled, Start(record=record, preprocessing=record.preprocessing)
    file = weight_file(recipe.weights, name)
    card = read_card(file)
    if card is not None and not card.labels:
        # Weights without class names are those of a body alone: they cannot classify, but a training can start from
        # them.
        card.check(recipe.weights, model=name)
        record, size, preprocessing = model_record(card.model), card.input_shape[0], card.preprocessing
    else:
        network = find_network(name, recipe.weights)
        record, preprocessing = network.record, network.preprocessing
        size = (network.input_shape or record.input_shape)[0]
    settled = dataclasses.replace(recipe, model=record.name, input_size=recipe.input_size or size)
    return settled, Start(
        weights=recipe.weights,
        file=file,
        checksum=file_digest(file),
        card=card,
        record=record,
        preprocessing=preprocessing,
    )


def transfer(trained: keras.Model, model: keras.Model, start: Start, labels: Sequence[str]) -> list[str]:
    """Copies the weights of a network to a network with the same layers that may have other classes or channels.

    Layers of the top keep their new weights if the classes differ. Auxiliary heads and a top that the weights do not
    include also keep their new weights.

    Args:
        trained: The network with the weights.
        model: The network to which the weights are copied.
        start: The start to which `trained` belongs.
        labels: The class names of `model`.

    Returns:
        Lines that name everything that was not copied unchanged.

    Raises:
        ValueError: If a layer does not fit; the model then remains unchanged.
    """
    sources = {layer.name: layer for layer in trained.layers if layer.weights}
    body = {layer.name for layers in body_parts(model, start.record).values() for layer in layers}
    answering = _answering(model)
    classes = next((sources[name].weights[-1].shape[-1] for name in answering if name in sources), None)
    # Without a card, the classes of the weights are unknown, and assumed to be the same if their number is.
    same_classes = start.card is None or start.card.labels == tuple(labels)
    new, lines, arrays = [], [], {}
    for layer in model.layers:
        if not layer.weights:
            continue
        source = sources.get(layer.name)
        if layer.name not in body and (
            source is None
            or (layer.name in answering and not same_classes)
            or _are_by_class(source, layer, (classes, len(labels)))
        ):
            new.append(layer.name)
        elif source is None:
            raise ValueError(
                f"The weights have no layer {layer.name}; set --model to the network to which they belong. "
                f"Received: {start.weights!r} for {model.name}"
            )
        else:
            arrays[layer.name] = source.get_weights()
    first = next(layer for layer in model.layers if layer.weights)
    channels = trained.input.shape[-1], model.input.shape[-1]
    if channels[0] != channels[1]:
        lines.append(_change_channels(first, arrays, start.preprocessing, channels))
    for layer in model.layers:
        _check(layer, arrays.get(layer.name), trained)
    for layer in model.layers:
        if layer.name in arrays:
            layer.set_weights(arrays[layer.name])
    if new:
        known = "have no such layers" if classes is None else f"are for {classes} other classes"
        lines.insert(
            0, f"New layers for the {len(labels)} classes of the dataset: {', '.join(new)}; the weights {known}"
        )
    return lines


def _answering(model: keras.Model) -> set[str]:
    """Returns the names of the last layers with weights before each output."""
    graph = Graph(model)
    names = set()
    for layer in graph.outputs:
        while not layer.weights:
            (layer,) = graph.parents[layer]  # noqa: PLW2901
        names.add(layer.name)
    return names


def _shapes(arrays: Sequence[Any]) -> list[tuple[int, ...]]:
    return [tuple(array.shape) for array in arrays]


def _are_by_class(source: Layer, layer: Layer, classes: tuple[int | None, int]) -> bool:
    """Returns True if two layers differ in shape, and only because they have different numbers of classes."""
    differing = {
        extents
        for theirs, ours in zip(_shapes(source.weights), _shapes(layer.weights), strict=True)
        for extents in zip(theirs, ours, strict=True)
        if extents[0] != extents[1]
    }
    return differing == {classes}


def _change_channels(
    layer: Layer, arrays: dict[str, list[np.ndarray]], preprocessing: Preprocessing, channels: tuple[int, int]
) -> str:
    """Converts the weights of the first layer to another number of channels, and returns a line that says how."""
    theirs, ours = channels
    if type(layer) is not keras.layers.Conv2D or {theirs, ours} != {1, 3}:
        raise ValueError(
            f"The first layer, {layer.name}, cannot be changed from {theirs} channels to {ours}: give images with "
            f"{theirs} channels. Received: images with {ours}"
        )
    kernel, *rest = arrays[layer.name]
    if ours > theirs:
        arrays[layer.name] = [np.repeat(kernel, ours, axis=2) / ours, *rest]
        return f"{layer.name}: its kernel for one channel is repeated for {ours} channels and divided by {ours}"
    folded, shift = fold_channels(kernel, preprocessing)
    normalization = f"{layer.name}_bn"
    if rest:
        rest = [rest[0] + shift]
    elif normalization in arrays:
        *others, mean, variance = arrays[normalization]
        arrays[normalization] = [*others, mean - shift, variance]
    arrays[layer.name] = [folded, *rest]
    return f"{layer.name}: its kernel for {theirs} channels is summed into one channel, for grayscale images"


def fold_channels(kernel: np.ndarray, preprocessing: Preprocessing) -> tuple[np.ndarray, np.ndarray]:
    """Converts a kernel for RGB images to one that has the same output for grayscale images.

    Args:
        kernel: The kernel for RGB images, float32 (height, width, 3, filters).
        preprocessing: The preprocessing of both images; `Preprocessing` documents how it handles grayscale images.

    Returns:
        The kernel for grayscale images, float32 (height, width, 1, filters), and a bias to add to its output, float32
        (filters,), which is not zero if the means of the channels differ. In that case, the outputs at an edge that is
        padded with zeros may differ slightly.
    """
    mean, scale = np.asarray(preprocessing.mean), np.broadcast_to(preprocessing.scale, 3)
    scaled = kernel * scale[:, None]
    grey_mean = np.average(mean, weights=scale)
    shift = (scaled * (grey_mean - mean)[:, None]).sum(axis=(0, 1, 2))
    return (scaled.sum(axis=2, keepdims=True) / scale.mean()).astype("float32"), shift.astype("float32")


def _check(layer: Layer, arrays: list[np.ndarray] | None, trained: keras.Model) -> None:
    theirs, ours = None if arrays is None else _shapes(arrays), _shapes(layer.weights)
    if theirs not in (None, ours):
        raise ValueError(
            f"The layer {layer.name} has the shapes {theirs} in the weights, and {ours} here: give --input-size and "
            f"the arguments with which the weights were trained. Received: weights of {trained.name}"
        )
