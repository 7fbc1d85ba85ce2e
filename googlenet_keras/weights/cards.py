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

# The attribute of the HDF5 file's root that holds the card as JSON; Keras does not look at it.
ATTRIBUTE = "googlenet_keras"


@dataclass(frozen=True, kw_only=True)
class Card:
    """A description of the weights in a file, so that nobody has to give it again.

    Attributes:
        model: The network, by its name in `list_models`.
        arguments: The other arguments of `create_model`, such as ``{"aux_heads": True}``.
        input_shape: (height, width, channels) in pixels that the weights were last trained at.
        labels: The classes' names, in the order of the network's outputs; none of a body without its top.
        preprocessing: From pixels in [0, 255] to what the network was trained on, and which part of an image that is.
        dataset: The dataset that it was trained on; see `open_dataset`.
        recipe: All fields of the training's recipe.
        accuracy: Share of the images of the recipe's validation split that are named rightly, one crop each.
        images: The kind of images that the weights know, where that must be said: on others they are wrong.
        source: The command that made the weights.
        licence: The licence of the weights, and of the data behind them.
        versions: The versions of the packages that trained them.
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
        """Number of classes."""
        return len(self.labels)

    def check(
        self, weights: Any, *, model: str | None = None, channels: int | None = None, classes: int | None = None
    ) -> None:
        """Refuses a network that the weights are not for.

        Args:
            weights: The user's name for the weights.
            model: The network's name in `list_models`; None if it has none.
            channels: The number of channels of its images; None if any number is right.
            classes: The number of classes; None if it has no top.

        Raises:
            ValueError: If the card says otherwise.
        """
        if model not in (None, self.model):
            raise ValueError(f"The weights {str(weights)!r} are those of {self.model}. Received: {model}")
        if channels not in (None, self.input_shape[-1]):
            raise ValueError(
                f"The weights {str(weights)!r} are those of a network that sees {self.input_shape[-1]} channels: give "
                f"it images of as many, or train another. Received: {channels} channels"
            )
        if classes is not None and not self.labels:
            raise ValueError(
                f"The weights {str(weights)!r} are those of a body: build the model with include_top=False, and put a "
                f"head of your own on it. Received: a model of {classes} classes"
            )
        if classes not in (None, self.classes):
            raise ValueError(
                f"The weights {str(weights)!r} are those of {self.classes} classes: build the model with them as "
                f"create_model({self.model!r}, weights={str(weights)!r}) does, or for other classes with "
                f"include_top=False. Received: {classes} classes"
            )

    def as_dict(self) -> dict[str, Any]:
        """Everything, for JSON."""
        return {**dataclasses.asdict(self), "classes": self.classes}

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> "Card":
        """The card that `as_dict` made; what a later version of this package has added is left out.

        Args:
            found: From the JSON.

        Raises:
            KeyError, TypeError or ValueError: If it is no such card.
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
            raise ValueError(f"no input shape or no labels: {card.input_shape}, {card.labels}")
        return card


def package_versions() -> dict[str, str]:
    """The versions of what a result depends on, by package."""
    others = {package: metadata.version(package) for package in ("keras", "tensorflow", "numpy")}
    return {"python": platform.python_version(), **others, "googlenet_keras": __version__}


def read_card(path: str | Path) -> Card | None:
    """The card in a weight file.

    Args:
        path: A ``.weights.h5`` file.

    Returns:
        The card; None if the file has none, as those that `keras.Model.save_weights` writes and ``.keras`` files.

    Raises:
        ValueError: If there is no such file, it cannot be read, or its card is damaged.
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
    """Puts a card into a weight file, in place of the one it has; the file is replaced as a whole or not at all.

    Args:
        path: A ``.weights.h5`` file.
        card: The facts about it.

    Raises:
        OSError: If the file is no HDF5 file or cannot be written.
    """
    with replacing(Path(path)) as aside:
        shutil.copyfile(path, aside)
        _attach(aside, card)


def save_weights(model: keras.Model, path: str | Path, card: Card) -> None:
    """Writes a model's weights with their card, whole or not at all; `keras.Model.load_weights` reads the file too.

    Args:
        model: The model whose weights are written.
        path: A ``.weights.h5`` file, replaced if it is there.
        card: The facts about it.

    Raises:
        OSError: If the disk refuses.
    """
    with replacing(Path(path)) as aside:
        model.save_weights(aside)
        _attach(aside, card)


def _attach(path: Path, card: Card) -> None:
    with h5py.File(path, "r+") as file:
        # As a string of variable length: HDF5 keeps a longer one than 64 kB only outside of the attribute itself.
        file.attrs[ATTRIBUTE] = json.dumps(card.as_dict(), ensure_ascii=False)
