"""Finds out which network a weight file belongs to, and builds this network with its weights."""

import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any, TypeGuard

import keras

from googlenet_keras.images.preprocessing import Preprocessing
from googlenet_keras.models.registry import ModelRecord, create_model, list_models, model_record
from googlenet_keras.models.views import inference_model
from googlenet_keras.weights.cards import Card, read_card
from googlenet_keras.weights.published import find_published, weight_file
from googlenet_keras.weights.readers import damaged, open_weights

# The full ImageNet has 21,841 classes; with many more than this limit, the classifier alone would not fit in the memory
# of most machines.
MOST_CLASSES = 100_000


@dataclass(frozen=True, kw_only=True)
class Network:
    """Describes a network that is to be evaluated, used or exported; `find_network` creates the description.

    Attributes:
        record: The record of the network, or of the network that it is built on.
        weights: The weight file, or the name of published weights; None if the network is untrained.
        card: The card in the weight file; None if the file has no card.
        input_shape: (height, width, channels) in pixels; None takes it from the ``.keras`` file.
        labels: The names of the classes; None takes their number from the ``.keras`` file (see `labels_of`).
        preprocessing: The conversion of pixels in [0, 255] to the input of the network, and the part of an image that
            it uses.
    """

    record: ModelRecord
    weights: str | Path | None
    card: Card | None
    input_shape: tuple[int, ...] | None
    labels: tuple[str, ...] | None
    preprocessing: Preprocessing

    @property
    def whole(self) -> bool:
        """True if the file holds a whole network (``.keras``) rather than only weights."""
        return _is_whole(self.weights)

    def build(self, *, dtype: str | None = None, aux_heads: bool = False) -> keras.Model:
        """Builds the network with its weights.

        Args:
            dtype: A Keras dtype policy; None means the global policy. For a ``.keras`` file it must be None, and the
                network keeps the policy in the file.
            aux_heads: Whether the network has its auxiliary heads; otherwise those of a ``.keras`` file are left out.

        Raises:
            ValueError: If an argument is invalid or contradicts the file, or if the weights do not fit.
        """
        if _is_whole(self.weights):
            return self._load_whole(self.weights, dtype, aux_heads)
        arguments: dict[str, object] = {"input_shape": self.input_shape, "dtype": dtype}
        if self.labels is not None:
            arguments["classes"] = len(self.labels)
        if aux_heads:
            arguments["aux_heads"] = True
        return create_model(self.record.name, weights=self.weights, **arguments)

    def labels_of(self, model: keras.Model) -> tuple[str, ...]:
        """Returns the names of the classes of the model that `build` returned.

        Args:
            model: The model that `build` returned.

        Raises:
            ValueError: If the number of labels differs from the number of classes of the model.
        """
        classes = keras.tree.flatten(model.output)[0].shape[-1]
        if self.labels is None:
            return class_names(self.record, classes)
        if len(self.labels) != classes:
            raise ValueError(
                f"There must be a label for each of the {classes} classes of {str(self.weights)!r}. "
                f"Received: {len(self.labels)} labels"
            )
        return self.labels

    def _load_whole(self, file: str | Path, dtype: str | None, aux_heads: bool) -> keras.Model:
        model = load_model(file, compile=False)
        if dtype is not None:
            raise ValueError(
                f"A .keras file contains the dtype policy of its network; do not give another. Received: {dtype!r} for "
                f"{str(file)!r}"
            )
        shape = model.input.shape[1:]
        if self.input_shape is not None and any(
            here not in (None, asked) for here, asked in zip(shape, self.input_shape, strict=True)
        ):
            raise ValueError(
                f"The network in {str(file)!r} takes images of shape {tuple(shape)}. Received: {self.input_shape}"
            )
        if None in shape:
            inputs = keras.Input(self.input_shape or (*self.record.input_shape[:2], shape[-1]), name="input")
            fixed = keras.models.clone_model(model, input_tensors=inputs)
            fixed.set_weights(model.get_weights())
            model = fixed
        several = isinstance(model.output, dict)
        return inference_model(model) if several and not aux_heads else model


def find_network(
    name: str | None,
    weights: str | Path | None = None,
    *,
    classes: int | None = None,
    input_shape: Sequence[int] | None = None,
    labels: Sequence[str] | None = None,
) -> Network:
    """Determines a network and its arguments from the weight file and the values that the caller gives.

    Args:
        name: One of `list_models`. None takes the name from the card in the weight file or from the network in the
            ``.keras`` file. If a ``.keras`` file holds another network, ``name`` is the one that it is built on.
        weights: A weight file (see `load_weights`), the name of published weights, or None for an untrained network.
        classes: Number of classes; None means the number in the card, the number of labels, or the network's default.
        input_shape: (height, width, channels) in pixels; None means the shape in the card or the network's default.
        labels: The names of the classes. None means those in the card, or else the network's own if their number
            matches, or else numbers.

    Raises:
        ValueError: If an argument contradicts the card in the weight file, if there is no such network or file, or if
            nothing tells which network it is.
    """
    if classes is not None and not 1 <= classes <= MOST_CLASSES:
        raise ValueError(f"The number of classes must be from 1 to {MOST_CLASSES}. Received: {classes}")
    if labels is not None and classes is not None and len(labels) != classes:
        raise ValueError(f"There must be a label for each of the {classes} classes. Received: {len(labels)} labels")
    if name is not None:
        record = model_record(name)
    published = find_published(weights, name)
    file = None if weights is None else weight_file(weights, name)
    card = None if file is None else read_card(file)
    if name is None:
        source = published or card
        record = model_record(_name(weights, source.model if source else None))
    if card is not None:
        if not card.labels:
            raise ValueError(
                "The weight file contains only the body of a network, which predicts no classes: build it with "
                f"create_model and add a head. Received: {str(weights)!r}"
            )
        asked = {"model": name, "classes": classes, "input shape": input_shape, "labels": labels and tuple(labels)}
        said = {"model": card.model, "classes": card.classes, "input shape": card.input_shape, "labels": card.labels}
        for what, value in asked.items():
            if value is not None and value != said[what]:
                raise ValueError(_contradiction(what, said[what], value, weights))
        return Network(
            record=record,
            weights=weights,
            card=card,
            input_shape=card.input_shape,
            labels=card.labels,
            preprocessing=card.preprocessing,
        )
    if not _is_whole(weights):
        input_shape = input_shape or record.input_shape
        labels = labels or class_names(record, classes or record.arguments.get("classes", 1000))
    elif labels is None and classes is not None:
        labels = class_names(record, classes)
    return Network(
        record=record,
        weights=weights,
        card=None,
        input_shape=None if input_shape is None else tuple(input_shape),
        labels=None if labels is None else tuple(labels),
        preprocessing=record.preprocessing,
    )


def load_model(path: str | Path, **changes: Any) -> keras.Model:
    """Builds the network that a file belongs to, and loads its weights.

    Args:
        path: A ``.weights.h5`` file with a card, as a training writes it, or a ``.keras`` file.
        **changes: For a ``.weights.h5`` file, arguments of `create_model` that replace those in the card, such as
            ``include_top=False``; for a ``.keras`` file, arguments of `keras.saving.load_model`.

    Raises:
        ValueError: If there is no such file, if it cannot be read, or if a ``.weights.h5`` file has no card.
    """
    path = Path(path)
    card = read_card(path)
    if _is_whole(path):
        with open_weights(path):
            pass  # checks the file first, because Keras's own reader follows links and trusts the sizes in the file
        try:
            return keras.saving.load_model(path, **changes)
        except (OSError, KeyError, zipfile.BadZipFile) as error:
            raise damaged(path, error) from None
    if card is None:
        raise ValueError(
            "The file does not say which network it belongs to: build it with create_model(NAME, weights=...). "
            f"Received: {str(path)!r}"
        )
    return create_model(card.model, **{**card.arguments, "weights": path, **changes})


def read_labels(file: str | Path) -> tuple[str, ...]:
    """Reads the names of classes from a text file.

    Args:
        file: A UTF-8 text file with one name per line.

    Raises:
        ValueError: If the file is not UTF-8, or a name is empty or occurs twice.
        OSError: If the file cannot be read.
    """
    try:
        text = Path(file).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"A label file must be UTF-8: save it as UTF-8. Received: {str(file)!r} ({error})") from None
    # `str.splitlines` would also split at other characters, which may be part of a name.
    names = text.removesuffix("\n").split("\n")
    if not all(name.strip() for name in names):
        raise ValueError(f"A label file must have one class name per line and no empty lines. Received: {str(file)!r}")
    twice = [name for name in names if names.count(name) > 1] if len(set(names)) < len(names) else []
    if twice:
        raise ValueError(f"Each class must have a name of its own. Received: {twice[0]!r} twice in {str(file)!r}")
    return tuple(names)


def class_names(record: ModelRecord, classes: int) -> tuple[str, ...]:
    """Returns the names of a network's own classes, or numbers as names if the number of classes differs from theirs.

    Args:
        record: The record of the network; see `model_record`.
        classes: The number of classes.
    """
    asset = resources.files("googlenet_keras").joinpath("assets", f"{record.labels}_labels.txt")
    names = asset.read_text(encoding="utf-8").splitlines()
    return tuple(names) if len(names) == classes else tuple(str(index) for index in range(classes))


def trained_preprocessing(record: ModelRecord, *, whole_images: bool) -> Preprocessing:
    """Returns the preprocessing of a network that is trained with this package.

    Args:
        record: The record of the network; see `model_record`.
        whole_images: Whether the network is trained on images that are not cropped because they are small.
    """
    return replace(record.preprocessing, crop_fraction=1.0) if whole_images else record.preprocessing


def _is_whole(weights: str | Path | None) -> TypeGuard[str | Path]:
    return str(weights).endswith(".keras")


def _name(weights: str | Path | None, said: str | None) -> str:
    """Returns ``said``, the name that a card or published weights give, or else the name in a ``.keras`` file."""
    if said is None and _is_whole(weights):
        try:
            with zipfile.ZipFile(weights) as archive:
                said = json.loads(archive.read("config.json"))["config"]["name"]
        except (OSError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
            raise damaged(weights, error) from None
        if said not in list_models():
            raise ValueError(
                f"The file holds a network {said!r}: say which one of list_models() it is built on, as this decides "
                f"its preprocessing (--model NAME). Received: {str(weights)!r}"
            )
    if said is None:
        with open_weights(str(weights)):
            pass  # raises an error if it is not a weight file at all
        raise ValueError(
            "The weight file does not say which network it belongs to: give the network (--model NAME). "
            f"Received: {str(weights)!r}"
        )
    return said


def _contradiction(what: str, said: object, asked: object, weights: str | Path | None) -> str:
    if isinstance(said, tuple) and isinstance(asked, tuple) and what == "labels" and len(said) == len(asked):
        said, asked = next((one, other) for one, other in zip(said, asked, strict=True) if one != other)
    flag = {"labels": "label"}.get(what, what)
    return f"The card of {str(weights)!r} says {flag} {said!r}; leave it out or give the same. Received: {asked!r}"
