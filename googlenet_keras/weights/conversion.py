"""Converts a weight file of any framework into one of this package, with a card."""

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

# What `convert_weights` takes by name; which part of an image is seen stays the network's own.
PREPROCESSINGS = {
    "minus_one_to_one": declared.MINUS_ONE_TO_ONE,
    "zero_to_one": declared.ZERO_TO_ONE,
    "standardized_rgb": declared.STANDARDIZED_RGB,
    "mean_subtracted_rgb": declared.MEAN_SUBTRACTED_RGB,
    "mean_subtracted_bgr": declared.MEAN_SUBTRACTED_BGR,
    "mean_subtracted_bgr_vgg": declared.MEAN_SUBTRACTED_BGR_VGG,
}
# TF-slim counts the background as a class of its own, before ImageNet's thousand.
_SLIM_IMAGENET_CLASSES = 1001


@dataclass(frozen=True)
class StageTensors:
    """The tensors that a stage of a network took from a file.

    Attributes:
        name: The stage's last step, or "auxiliary heads" or "top".
        layers: The number of its layers with weights.
        tensors: The names in the file.
    """

    name: str
    layers: int
    tensors: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Conversion:
    """The result of a conversion.

    Attributes:
        path: The weight file that was made.
        card: The card in the file.
        loading: The tensors that each layer took, and those that were left out.
        published: The published file that it was made of; None if it is no such file.
    """

    path: Path
    card: Card
    loading: Loading
    published: PublishedWeights | None

    def stages(self) -> list[StageTensors]:
        """Lists what each stage of the network took, and then its heads."""
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
    """Converts another framework's weight file into one of this package, with a card.

    Auxiliary heads go along if the file has them and the network knows them. A head that is not the network's own is
    left out, and the file is then that of a body.

    Args:
        file: See `open_weights`.
        output: A ``.weights.h5`` file, replaced if it is there.
        model: The network, by its name in `list_models`.
        source: The source that named the tensors; None is what `recognize_source` finds.
        preprocessing: The preprocessing that the weights expect, or its name in `PREPROCESSINGS`; None is the usual one
            of such files of such a network.
        labels: The classes' names; None is ImageNet's, or whatever the network is usually trained on, where their
            number fits, and numbers elsewhere.
        input_shape: (height, width, channels) in pixels that they were trained at; None is the published or the
            network's own.

    Returns:
        The file and what is in it.

    Raises:
        ValueError: If the file cannot be read or does not fit, or an argument is none of the above.
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
    """The network that a file is of, or its body if the file has no head of the network's, and what built it so."""
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
    """The names of the classes, of which a body has none."""
    classes = next((layer.output.shape[-1] for layer in network.layers if layer.name == "predictions"), 0)
    labels = class_names(record, classes) if asked is None and classes else tuple(asked or ())
    if len(labels) != classes:
        raise ValueError(
            f"There must be a label for each of the {classes} classes that the file's head of {record.name} has. "
            f"Received: {len(labels)} labels"
        )
    return labels


def _aux_heads(record: ModelRecord, heads: Mapping[str, int], shape: tuple[int, ...]) -> dict[str, Any]:
    """The argument that builds auxiliary heads, if the file has the network's and the images are large enough."""
    least = record.minimum_size_of_aux_heads
    if least is None or not set(record.aux_heads) <= set(heads) or min(shape[:2]) < least:
        return {}
    return {"aux_heads": True}


def _identified(file: Path, model: str, source: str) -> PublishedWeights | None:
    """The published weights that a file is, if it is any."""
    if not file.is_file():
        return None
    candidates = [one for one in list_weights(model) if one.source == source and one.url is not None]
    return next((one for one in candidates if one.is_file(file)), None)


def _preprocessing(record: ModelRecord, source: str, asked: str | Preprocessing | None) -> Preprocessing:
    """Returns the preprocessing that was asked for, or that published weights of that source expect."""
    if isinstance(asked, Preprocessing):
        return asked
    published = (one.preprocessing for one in list_weights(record.name) if one.source == source and one.preprocessing)
    usual = next(published, record.preprocessing)
    return usual if asked is None else replace(PREPROCESSINGS[asked], crop_fraction=usual.crop_fraction)
