"""Reads and writes the card inside a weight file, which describes the weights."""

import dataclasses
import json
import platform
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import h5py
import keras

from googlenet_keras import __version__
from googlenet_keras.files import replacing
from googlenet_keras.images.preprocessing import Preprocessing
from googlenet_keras.weights.readers import read_attribute

# The attribute of the root of the HDF5 file that holds the card as JSON. Keras ignores it.
ATTRIBUTE = "googlenet_keras"


@dataclass(frozen=True, kw_only=True)
class Card:
    """Describes the weights in a file, so that users do not have to specify these facts again.

    Attributes:
        model: The name of the network in `list_models`.
        arguments: The other arguments of `create_model`, such as ``{"aux_heads": True}``.
        input_shape: (height, width, channels) in pixels that the weights were last trained at.
        labels: The names of the classes, in the order of the network's outputs; empty for a body without its top.
        preprocessing: The conversion of pixels in [0, 255] to the network's input, and the part of an image that is
            used.
        dataset: The dataset that the network was trained on; see `open_dataset`.
        recipe: All fields of the training recipe.
        accuracy: The share of correctly classified images in the recipe's validation split, with one crop per image.
        images: The kind of images that the weights were trained on, if that needs a warning, because the weights fail
            on other images.
        source: The command that trained the weights, or the file that they were converted from.
        licence: The licence of the weights, and of the data behind them.
        versions: The versions of the packages that the weights were made with.
    """

    model: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    input_shape: tuple[int, int, int]
    labels: tuple[str, ...]
    preprocessing: Preprocessing
    dataset: str | None = None
    recipe: Mapping[str, Any] | None = None
    accuracy: float | None = None
    images: str | None = None
    source: str | None = None
    licence: str | None = None
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def classes(self) -> int:
        """The number of classes."""
        return len(self.labels)

    def check(
        self, weights: Any, *, model: str | None = None, channels: int | None = None, classes: int | None = None
    ) -> None:
        """Raises an error if the weights do not belong to a network.

        Args:
            weights: The user's name for the weights.
            model: The name of the network in `list_models`; None if it has no name there.
            channels: The number of input channels; None skips this check.
            classes: The number of classes; None if the network has no top.

        Raises:
            ValueError: If the card contradicts one of these arguments.
        """
        if model not in (None, self.model):
            raise ValueError(
                f"The weights {str(weights)!r} belong to {self.model}: build that network. Received: {model}"
            )
        if channels not in (None, self.input_shape[-1]):
            raise ValueError(
                f"The weights {str(weights)!r} belong to a network whose number of input channels is "
                f"{self.input_shape[-1]}: give it such images, or train another network. Received: {channels} channels"
            )
        if classes is not None and not self.labels:
            raise ValueError(
                f"The weights {str(weights)!r} belong to a network without its top: build the model with "
                f"include_top=False, and add a head of your own. Received: a model with {classes} classes"
            )
        if classes not in (None, self.classes):
            raise ValueError(
                f"The weights {str(weights)!r} belong to a network with {self.classes} classes: build the model with "
                f"create_model({self.model!r}, weights={str(weights)!r}), which sets that number, or with "
                f"include_top=False for other classes. Received: {classes} classes"
            )

    def as_dict(self) -> dict[str, Any]:
        """Returns all attributes and the number of classes as a dictionary for JSON."""
        return {**dataclasses.asdict(self), "classes": self.classes}

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> "Card":
        """Creates a card from the dictionary that `as_dict` returned.

        Unknown keys are ignored, because a later version of this package may have added them.

        Args:
            found: The dictionary from the JSON.

        Raises:
            KeyError, TypeError or ValueError: If the dictionary is not a valid card.
        """
        known = {one.name: found[one.name] for one in dataclasses.fields(cls) if one.name in found}
        numbers: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in known["preprocessing"].items()
        }
        card = cls(
            **{
                **known,
                "input_shape": tuple(int(extent) for extent in known["input_shape"]),
                "labels": tuple(str(label) for label in known["labels"]),
                "preprocessing": Preprocessing(**numbers),
            }
        )
        if len(card.input_shape) != 3 or bool(card.labels) != card.arguments.get("include_top", True):
            raise ValueError(f"wrong input shape or labels: {card.input_shape}, {card.labels}")
        return card


def package_versions() -> dict[str, str]:
    """Returns the versions of Python and of the packages that a result depends on, by name."""
    others = {package: metadata.version(package) for package in ("keras", "tensorflow", "numpy")}
    return {"python": platform.python_version(), **others, "googlenet_keras": __version__}


def read_card(path: str | Path) -> Card | None:
    """Reads the card in a weight file.

    Args:
        path: A ``.weights.h5`` file.

    Returns:
        The card; None if the file has none, such as a ``.keras`` file or one that `keras.Model.save_weights` wrote.

    Raises:
        ValueError: If the file does not exist or cannot be read, or its card is damaged.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"There is no such weight file; check the path. Received: {str(path)!r}")
    if not path.name.endswith(".weights.h5"):
        return None
    text = read_attribute(path, ATTRIBUTE)
    if text is None:
        return None
    try:
        return Card.from_dict(json.loads(text))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"The card of the weight file is damaged ({error!r}). Received: {str(path)!r}") from None


def write_card(path: str | Path, card: Card) -> None:
    """Writes a card into a weight file, replacing any card there; the file is replaced completely or not at all.

    Args:
        path: A ``.weights.h5`` file.
        card: The card to write.

    Raises:
        OSError: If the file is not an HDF5 file or cannot be written.
    """
    with replacing(Path(path)) as aside:
        shutil.copyfile(path, aside)
        _attach(aside, card)


def save_weights(model: keras.Model, path: str | Path, card: Card) -> None:
    """Saves a model's weights and their card to a file, completely or not at all.

    `keras.Model.load_weights` can read the file too.

    Args:
        model: The model whose weights are saved.
        path: The ``.weights.h5`` file to write; an existing file is replaced.
        card: The card to write.

    Raises:
        OSError: If the file cannot be written.
    """
    with replacing(Path(path)) as aside:
        model.save_weights(aside)
        _attach(aside, card)


def _attach(path: Path, card: Card) -> None:
    with h5py.File(path, "r+") as file:
        # h5py writes this as a string of variable length, which HDF5 stores outside of the attribute itself. Inside of
        # the attribute, a string could not exceed 64 kB.
        file.attrs[ATTRIBUTE] = json.dumps(card.as_dict(), ensure_ascii=False)
