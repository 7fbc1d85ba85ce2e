"""Loads the weights that a training starts from, into a network of other classes and channels if need be."""

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

# What a training decides anew, whatever its weights were trained with.
_DECIDED_BY_TRAINING = ("aux_heads", "include_top", "pooling")


@dataclass(frozen=True, kw_only=True)
class Start:
    """The weights that a training starts from.

    Attributes:
        weights: The weights as the recipe names them; None if it starts from random ones.
        file: Their file.
        checksum: Its SHA-256.
        card: The card in the weight file, if it has one.
        record: The network.
        preprocessing: The preprocessing of images: that of the weights, or else of the network.
    """

    weights: str | None = None
    file: Path | None = None
    checksum: str | None = None
    card: Card | None = None
    record: ModelRecord
    preprocessing: Preprocessing

    @property
    def arguments(self) -> dict[str, Any]:
        """The factory's arguments that the weights were trained with, beside those that a training decides."""
        given = {} if self.card is None else self.card.arguments
        return {name: value for name, value in given.items() if name not in _DECIDED_BY_TRAINING}

    def load(self, model: keras.Model, dataset: Dataset) -> list[str]:
        """Puts the weights into the network that is trained, all of them that fit it or none.

        Args:
            model: That network.
            dataset: The dataset, which decides the classes and channels.

        Returns:
            Lines on what they are, and on what could not be taken as it was; none for random weights.

        Raises:
            ValueError: If they do not fit.
        """
        if self.weights is None:
            return []
        return [
            f"Starts from the weights {self.weights!r} of {self.record.name}",
            *transfer(self._trained(model), model, self, dataset.label_names),
        ]

    def _trained(self, model: keras.Model) -> keras.Model:
        """The network of the weights: as their card says, or else as the shapes of their tensors do."""
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
    """Finds what a recipe starts from.

    Args:
        recipe: The recipe as it was given.

    Returns:
        The recipe, with the model and the input size that it may leave to the weights, and what it starts from.

    Raises:
        ValueError: If there are no such weights, or the recipe names another network than they are of.
        RuntimeError: If published weights cannot be downloaded.
        OSError: If they cannot be written to the folder of downloads.
    """
    name = None if recipe.model == AUTO else recipe.model
    if recipe.weights is None:
        record = model_record(recipe.model)
        settled = dataclasses.replace(recipe, input_size=recipe.input_size or record.input_shape[0])
        return settled, Start(record=record, preprocessing=record.preprocessing)
    file = weight_file(recipe.weights, name)
    card = read_card(file)
    if card is not None and not card.labels:
        # A body alone, which is no trained network, but a start.
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
    """Puts the weights of a network into one of the same layers that has other classes or channels.

    Layers of the top stay new where the classes are others, and so do auxiliary heads and a top that the weights lack.

    Args:
        trained: The network with the weights.
        model: The other one.
        start: The start that `trained` belongs to.
        labels: The names of the classes of `model`.

    Returns:
        Lines on what was not taken as it was.

    Raises:
        ValueError: If a layer does not fit; the model is then as it was.
    """
    sources = {layer.name: layer for layer in trained.layers if layer.weights}
    body = {layer.name for layers in body_parts(model, start.record).values() for layer in layers}
    answering = _answering(model)
    classes = next((sources[name].weights[-1].shape[-1] for name in answering if name in sources), None)
    # Without a card nothing says which classes the weights know.
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
                f"The weights have no layer {layer.name}; give --model the network that they are of. "
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
        known = "have no such layers" if classes is None else f"know {classes} others"
        lines.insert(0, f"New, for the {len(labels)} classes of the dataset: {', '.join(new)}; the weights {known}")
    return lines


def _answering(model: keras.Model) -> set[str]:
    """The names of the layers whose weights give the answers."""
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
    """True if two layers differ in shape only because they have different numbers of classes."""
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
    """Makes the first layer's weights those for images of other channels; says how."""
    theirs, ours = channels
    if type(layer) is not keras.layers.Conv2D or {theirs, ours} != {1, 3}:
        raise ValueError(
            f"The first layer, {layer.name}, cannot be changed from {theirs} channels to {ours}: give images of "
            f"{theirs} channels. Received: images of {ours}"
        )
    kernel, *rest = arrays[layer.name]
    if ours > theirs:
        arrays[layer.name] = [np.repeat(kernel, ours, axis=2) / ours, *rest]
        return f"{layer.name}: its kernel of one channel is repeated for {ours}, and divided by {ours}"
    folded, shift = fold_channels(kernel, preprocessing)
    normalization = f"{layer.name}_bn"
    if rest:
        rest = [rest[0] + shift]
    elif normalization in arrays:
        *others, mean, variance = arrays[normalization]
        arrays[normalization] = [*others, mean - shift, variance]
    arrays[layer.name] = [folded, *rest]
    return f"{layer.name}: its kernel of {theirs} channels is summed into one, for grey images"


def fold_channels(kernel: np.ndarray, preprocessing: Preprocessing) -> tuple[np.ndarray, np.ndarray]:
    """The kernel that answers to a grey image what another one answers to the same image in RGB.

    Args:
        kernel: float32 (height, width, 3, filters).
        preprocessing: The preprocessing of either image; see `Preprocessing` for what it does to grey ones.

    Returns:
        The kernel (height, width, 1, filters), and what is to be added to its answers (filters,): not zero where the
        channels' means differ. At an edge that is padded with zeros the answers may then differ a little.
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
            f"the arguments that they were trained with. Received: weights of {trained.name}"
        )
