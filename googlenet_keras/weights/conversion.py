"""Converts a weight file of any framework to a weight file of this package, with a card."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras

from googlenet_keras.images import preprocessing as declared
from googlenet_keras.images.preprocessing import Preprocessing
from googlenet_keras.models.registry import ModelRecord, create_model, model_record
from googlenet_keras.models.trained import class_names
from googlenet_keras.weights.cards import Card, package_versions, save_weights
from googlenet_keras.weights.catalogue import PublishedWeights
from googlenet_keras.weights.mapping import AUXILIARY_LAYERS, Loading, head_classes, load_state
from googlenet_keras.weights.published import list_weights
from googlenet_keras.weights.readers import open_weights
from googlenet_keras.weights.sources import SOURCES, recognize_source

# The names that `convert_weights` accepts. The crop fraction remains that of the network.
PREPROCESSINGS = {
    "minus_one_to_one": declared.MINUS_ONE_TO_ONE,
    "zero_to_one": declared.ZERO_TO_ONE,
    "standardized_rgb": declared.STANDARDIZED_RGB,
    "mean_subtracted_rgb": declared.MEAN_SUBTRACTED_RGB,
    "mean_subtracted_bgr": declared.MEAN_SUBTRACTED_BGR,
    "mean_subtracted_bgr_vgg": declared.MEAN_SUBTRACTED_BGR_VGG,
}
# TF-slim has a background class before the 1000 classes of ImageNet.
_SLIM_IMAGENET_CLASSES = 1001


@dataclass(frozen=True)
class StageTensors:
    """Lists the tensors of a file that went into one stage of a network.

    Attributes:
        name: The name of the last step in the stage, or "auxiliary heads" or "top".
        layers: The number of layers with weights in the stage.
        tensors: The names of the tensors in the file.
    """

    name: str
    layers: int
    tensors: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Conversion:
    """Holds the result of a conversion.

    Attributes:
        path: The new weight file.
        card: The card in the file.
        loading: The tensors that went into each layer, and those that were left out.
        published: The published weights that were converted; None if the file is not a published one.
    """

    path: Path
    card: Card
    loading: Loading
    published: PublishedWeights | None

    def stages(self) -> list[StageTensors]:
        """Returns the tensors of each stage of the network, followed by those of its heads."""
        parts: dict[str, list[str]] = {}
        steps = {step: list(stage)[-1] for stage in model_record(self.card.model).stages for step in stage}
        for layer in self.loading.placed:
            step = next((step for step in steps if layer == step or layer.startswith(f"{step}_")), None)
            head = "auxiliary heads" if layer.removesuffix("_bn") in AUXILIARY_LAYERS else "top"
            parts.setdefault(head if step is None else steps[step], []).append(layer)
        return [
            StageTensors(name, len(layers), tuple(tensor for layer in layers for tensor in self.loading.placed[layer]))
            for name, layers in sorted(parts.items(), key=lambda part: part[0] in ("auxiliary heads", "top"))
        ]


def convert_weights(
    file: str | Path,
    output: str | Path,
    model: str,
    *,
    source: str | None = None,
    preprocessing: str | Preprocessing | None = None,
    labels: Sequence[str] | None = None,
    input_shape: tuple[int, int, int] | None = None,
) -> Conversion:
    """Converts a weight file of another framework to a weight file of this package, with a card.

    Auxiliary heads are included if both the file and the network have them. A head that differs from the network's own
    is left out, and the new file then holds only the body.

    Args:
        file: The weight file to convert; see `open_weights`.
        output: The ``.weights.h5`` file to write; an existing file is replaced.
        model: The name of the network in `list_models`.
        source: The source that named the tensors; None recognizes it with `recognize_source`.
        preprocessing: The preprocessing that the weights expect, or its name in `PREPROCESSINGS`. None takes that of
            the network's published weights from the same source, or else the network's own.
        labels: The names of the classes. None takes those of the dataset that the network is usually trained on, such
            as ImageNet, if their number fits, or else numbers.
        input_shape: (height, width, channels) in pixels that the weights were trained at; None takes the shape of the
            published weights, or else the network's default.

    Returns:
        The new file, its card and its tensors.

    Raises:
        ValueError: If the file cannot be read or does not fit the network, or an argument is invalid.
        OSError: If the output cannot be written.
    """
    record = model_record(model)
    output = Path(output)
    if not output.name.endswith(".weights.h5"):
        raise ValueError(f"Weights are written to a file named *.weights.h5. Received: {str(output)!r}")
    if isinstance(preprocessing, str) and preprocessing not in PREPROCESSINGS:
        raise ValueError(f"`preprocessing` must be one of {', '.join(PREPROCESSINGS)}. Received: {preprocessing!r}")
    if source is not None and source not in SOURCES:
        raise ValueError(f"`source` must be one of {', '.join(SOURCES)}. Received: {source!r}")
    with open_weights(file) as opened:
        source = source or recognize_source(opened.tensors)
        published = _identified(Path(file), model, source)
        shape = input_shape or (published.input_shape if published else None) or record.input_shape
        network, arguments = _network(record, opened.tensors, source, shape)
        names = _labels(record, network, labels)
        loading = load_state(network, opened.tensors, source)
    card = Card(
        model=model,
        arguments=arguments,
        input_shape=shape,
        labels=names,
        preprocessing=_preprocessing(record, source, preprocessing),
        source=f"{published.url if published else Path(file).name}, converted from {source}",
        **({fact: getattr(published, fact) for fact in ("dataset", "images", "licence")} if published else {}),
        accuracy=published.top1 if published else None,
        versions=package_versions(),
    )
    save_weights(network, output, card)
    return Conversion(path=output, card=card, loading=loading, published=published)


def _network(
    record: ModelRecord, tensors: Mapping[str, Any], source: str, shape: tuple[int, int, int]
) -> tuple[keras.Model, dict[str, Any]]:
    """Returns the network that fits a file, or its body if the file lacks its head, and the arguments that built it."""
    body = create_model(record.name, include_top=False, input_shape=shape)
    heads = head_classes(body, tensors, source)
    if "predictions" not in heads:
        return body, {"include_top": False}
    classes = heads["predictions"]
    if source == "slim" and classes == _SLIM_IMAGENET_CLASSES:
        classes -= 1
    arguments = _aux_heads(record, heads, shape)
    return create_model(record.name, input_shape=shape, classes=classes, **arguments), arguments


def _labels(record: ModelRecord, network: keras.Model, asked: Sequence[str] | None) -> tuple[str, ...]:
    """Returns the names of the classes, or an empty tuple for a body."""
    classes = next((layer.output.shape[-1] for layer in network.layers if layer.name == "predictions"), 0)
    labels = class_names(record, classes) if asked is None and classes else tuple(asked or ())
    if len(labels) != classes:
        raise ValueError(
            f"There must be a label for each of the {classes} classes that the head of {record.name} in the file has. "
            f"Received: {len(labels)} labels"
        )
    return labels


def _aux_heads(record: ModelRecord, heads: Mapping[str, int], shape: tuple[int, ...]) -> dict[str, Any]:
    """Returns the argument for auxiliary heads, if the file has all of them and the images are large enough."""
    least = record.minimum_size_of_aux_heads
    if least is None or not set(record.aux_heads) <= set(heads) or min(shape[:2]) < least:
        return {}
    return {"aux_heads": True}


def _identified(file: Path, model: str, source: str) -> PublishedWeights | None:
    """Returns the published weights that a file holds, or None if it is not a published file."""
    if not file.is_file():
        return None
    candidates = [one for one in list_weights(model) if one.source == source and one.url is not None]
    return next((one for one in candidates if one.is_file(file)), None)


def _preprocessing(record: ModelRecord, source: str, asked: str | Preprocessing | None) -> Preprocessing:
    """Returns the requested preprocessing, or by default the one that published weights of that source expect."""
    if isinstance(asked, Preprocessing):
        return asked
    published = (one.preprocessing for one in list_weights(record.name) if one.source == source and one.preprocessing)
    usual = next(published, record.preprocessing)
    return usual if asked is None else replace(PREPROCESSINGS[asked], crop_fraction=usual.crop_fraction)
