"""The models by name: one record for each, made by the family's own file."""

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import keras

from googlenet_keras.images.preprocessing import Preprocessing
from googlenet_keras.weights.cards import read_card
from googlenet_keras.weights.published import weight_file


@dataclass(frozen=True, kw_only=True)
class ModelRecord:
    """What the package knows of a model before it is built.

    Attributes:
        name: What `create_model` calls it.
        description: What sets it apart, in a line.
        factory: The function that builds it.
        arguments: What `create_model` passes to the factory where the caller says nothing.
        preprocessing: What its published weights expect of an image.
        labels: Whose class names are meant: the stem of a ``*_labels.txt`` among the package's assets.
        minimum_size: Smallest height and width of an input, in pixels, without auxiliary heads.
        endpoints: Names of the layers after which the network's stages end, from input to output.
        aux_heads: Names of the auxiliary heads that ``aux_heads=True`` builds.
        minimum_size_of_aux_heads: Smallest height and width for them, in pixels.
    """

    name: str
    description: str
    factory: Callable[..., keras.Model]
    arguments: Mapping[str, Any] = field(default_factory=dict)
    preprocessing: Preprocessing
    labels: str = "imagenet"
    minimum_size: int
    endpoints: tuple[str, ...]
    aux_heads: tuple[str, ...] = ()
    minimum_size_of_aux_heads: int | None = None

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Temporary."""
        return self.arguments.get("input_shape", (224, 224, 3))


_RECORDS: dict[str, ModelRecord] = {}


def register(record: ModelRecord) -> None:
    """Makes a model known by its name.

    Args:
        record: What there is to know of it.

    Raises:
        ValueError: If the name is taken.
    """
    if record.name in _RECORDS:
        raise ValueError(f"Two models cannot share a name. Received: {record.name!r}")
    _RECORDS[record.name] = record


def list_models() -> list[str]:
    """The names that `create_model` knows, in alphabetical order."""
    return sorted(_RECORDS)


def model_record(name: str) -> ModelRecord:
    """What the package knows of a model.

    Args:
        name: One of `list_models`.

    Raises:
        ValueError: If there is no such model, and the message names those that are near.
    """
    if name not in _RECORDS:
        near = difflib.get_close_matches(str(name), _RECORDS, n=3) or list_models()
        raise ValueError(f"There is no model of that name; did you mean {' or '.join(near)}? Received: {name!r}")
    return _RECORDS[name]


def create_model(name: str, **kwargs: Any) -> keras.Model:
    """Builds a model by its name.

    Args:
        name: One of `list_models`.
        **kwargs: Arguments of the model's factory, such as ``classes`` or ``input_shape``. Where ``weights`` names
            published ones, such as ``"fashion_mnist"`` of ``googlenet_bn``, or a file with a card (see `Card`), the
            defaults are what these were trained with; only auxiliary heads have to be asked for.
            ``input_shape=None`` is the default as well.

    Returns:
        The Keras model.

    Raises:
        ValueError: If there is no such model, or the factory refuses an argument.
    """
    record = model_record(name)
    defaults = dict(record.arguments)
    weights = kwargs.get("weights")
    if weights is not None and (card := read_card(weight_file(weights, name))):
        card.check(weights, model=name)
        defaults |= {**card.arguments, "input_shape": card.input_shape, "classes": card.classes}
        defaults.pop("aux_heads", None)
    if kwargs.get("input_shape") is None:
        kwargs.pop("input_shape", None)
    return record.factory(**{**defaults, **kwargs})


def preprocess_input(x: Any, model_name: str) -> Any:
    """From pixels to what a model's published weights expect.

    Args:
        x: Pixels in [0, 255] of any number type, RGB along the last axis: a NumPy array or a backend tensor of shape
            (..., channels). It is not written to.
        model_name: One of `list_models`.

    Returns:
        A new float32 array or tensor of the same shape.

    Raises:
        ValueError: If there is no such model.
    """
    return model_record(model_name).preprocessing(x)
