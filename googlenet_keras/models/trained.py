"""Trained networks: what is known of one from its weight file, and the network itself."""

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

# ImageNet has 21,841; beyond this the classifier alone is larger than most machines' memory.
MOST_CLASSES = 100_000


@dataclass(frozen=True, kw_only=True)
class Network:
    """A network that is to be evaluated, used or exported; `find_network` makes one.

    Attributes:
        record: The record of the network, or of the one that it is built on.
        weights: Its weight file, or the name of published weights; None if it is untrained.
        card: The card in the weight file; None if it has none.
        input_shape: (height, width, channels) in pixels; None is what a ``.keras`` file says.
        labels: The classes' names; None is the names of as many classes as a ``.keras`` file has.
        preprocessing: From pixels in [0, 255] to what it takes, and which part of an image that is.
    """

    record: ModelRecord
    weights: str | Path | None
    card: Card | None
    input_shape: tuple[int, ...] | None
    labels: tuple[str, ...] | None
    preprocessing: Preprocessing

    @property
    def whole(self) -> bool:
        """True if the file holds a whole network, ``.keras``, and not weights alone."""
        return _is_whole(self.weights)

    def build(self, *, dtype: str | None = None, aux_heads: bool = False) -> keras.Model:
        """Builds the network with its weights.

        Args:
            dtype: Keras dtype policy; None is the global one, and that of the file of a ``.keras`` file.
            aux_heads: Whether auxiliary heads are built; those of a ``.keras`` file are left out otherwise.

        Raises:
            ValueError: If an argument makes no network, or the weights do not fit.
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
        """The names of the classes of what `build` returned.

        Args:
            model: The same.

        Raises:
            ValueError: If there are not as many as it has classes.
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
                f"The network in a .keras file has a dtype policy of its own; give none. Received: {dtype!r} for "
                f"{str(file)!r}"
            )
        shape = model.input.shape[1:]
        if self.input_shape is not None and any(
            here not in (None, asked) for here, asked in zip(shape, self.input_shape, strict=True)
        ):
            raise ValueError(
                f"The network in {str(file)!r} takes images of {tuple(shape)}. Received: {self.input_shape}"
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
    """Finds a network's arguments from its weight file and what the caller adds.

    Args:
        name: One of `list_models`; None is what the weight file's card says, or the name of the network in a ``.keras``
            file. For a ``.keras`` file of another network it is the one that it is built on.
        weights: A weight file (see `load_weights`), the name of published weights, or None: untrained.
        classes: Number of classes; None is the card's, as many as there are labels, or the network's own.
        input_shape: (height, width, channels) in pixels; None is the card's or the network's own.
        labels: The classes' names; None is the card's, the network's own where their number fits, or numbers.

    Raises:
        ValueError: If an argument contradicts the weight file's card, there is no such network or file, or nothing says
            which network it is.
    """
    if classes is not None and not 1 <= classes <= MOST_CLASSES:
        raise ValueError(f"The number of classes must be from 1 to {MOST_CLASSES}. Received: {classes}")
    if labels is not None and classes is not None and len(labels) != classes:
        raise ValueError(f"There must be a label for each of {classes} classes. Received: {len(labels)} labels")
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
                "The weight file is of a network's body alone, which names nothing: build it with create_model and "
                f"put a head on it. Received: {str(weights)!r}"
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
    """The network that a file is of, with its weights.

    Args:
        path: A ``.weights.h5`` file with a card, as a training leaves it, or a ``.keras`` file.
        **changes: For ``.weights.h5``, arguments of `create_model` in place of the card's, such as
            ``include_top=False``; for ``.keras``, arguments of `keras.saving.load_model`.

    Raises:
        ValueError: If there is no such file, it cannot be read, or it has no card.
    """
    path = Path(path)
    card = read_card(path)
    if _is_whole(path):
        with open_weights(path):
            pass  # Keras's own reader follows links and believes sizes
        try:
            return keras.saving.load_model(path, **changes)
        except (OSError, KeyError, zipfile.BadZipFile) as error:
            raise damaged(path, error) from None
    if card is None:
        raise ValueError(
            "The file does not say which network it is of; build that with create_model(NAME, weights=...). "
            f"Received: {str(path)!r}"
        )
    return create_model(card.model, **{**card.arguments, "weights": path, **changes})


def read_labels(file: str | Path) -> tuple[str, ...]:
    """The names of classes from a text file.

    Args:
        file: UTF-8, one name per line.

    Raises:
        ValueError: If it is no such file, or a name is empty or there twice.
        OSError: If it cannot be read.
    """
    try:
        text = Path(file).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"Labels are read as UTF-8; save the file so. Received: {str(file)!r} ({error})") from None
    # Not splitlines: a name may hold the other characters that it takes for ends of lines.
    names = text.removesuffix("\n").split("\n")
    if not all(name.strip() for name in names):
        raise ValueError(f"Labels are one class name per line, without empty lines. Received: {str(file)!r}")
    twice = [name for name in names if names.count(name) > 1] if len(set(names)) < len(names) else []
    if twice:
        raise ValueError(f"Each class must have a name of its own. Received: {twice[0]!r} twice in {str(file)!r}")
    return tuple(names)


def class_names(record: ModelRecord, classes: int) -> tuple[str, ...]:
    """The names of a network's own classes; numbers, if it has another number of them.

    Args:
        record: See `model_record`.
        classes: The number of classes.
    """
    asset = resources.files("googlenet_keras").joinpath("assets", f"{record.labels}_labels.txt")
    names = asset.read_text(encoding="utf-8").splitlines()
    return tuple(names) if len(names) == classes else tuple(str(index) for index in range(classes))


def trained_preprocessing(record: ModelRecord, *, whole_images: bool) -> Preprocessing:
    """The preprocessing of a network that is trained here.

    Args:
        record: See `model_record`.
        whole_images: Whether it is trained on images that are small, and so not cropped.
    """
    return replace(record.preprocessing, crop_fraction=1.0) if whole_images else record.preprocessing


def _is_whole(weights: str | Path | None) -> TypeGuard[str | Path]:
    return str(weights).endswith(".keras")


def _name(weights: str | Path | None, said: str | None) -> str:
    """The name of a network that the caller does not give, from a card or a ``.keras`` file."""
    if said is None and _is_whole(weights):
        try:
            with zipfile.ZipFile(weights) as archive:
                said = json.loads(archive.read("config.json"))["config"]["name"]
        except (OSError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
            raise damaged(weights, error) from None
        if said not in list_models():
            raise ValueError(
                f"{str(weights)!r} holds a network {said!r}: say which one of list_models() it is built on, whose "
                "preprocessing it has (--model NAME)"
            )
    if said is None:
        with open_weights(str(weights)):
            pass  # the message then says that it is no weight file
        raise ValueError(
            f"The weight file does not say which network it is of: say it (--model NAME). Received: {str(weights)!r}"
        )
    return said


def _contradiction(what: str, said: object, asked: object, weights: str | Path | None) -> str:
    if isinstance(said, tuple) and isinstance(asked, tuple) and what == "labels" and len(said) == len(asked):
        said, asked = next((one, other) for one, other in zip(said, asked, strict=True) if one != other)
    flag = {"labels": "label"}.get(what, what)
    return f"The card of {str(weights)!r} says {flag} {said!r}; leave it out or give the same. Received: {asked!r}"
