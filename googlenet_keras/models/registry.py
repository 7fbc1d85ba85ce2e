"""The models by name: one record for each, made by the family's own file."""

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import keras

from googlenet_keras import blocks
from googlenet_keras.blocks import DEFAULT_STYLE, Stage, Style
from googlenet_keras.images.preprocessing import Preprocessing
from googlenet_keras.keras_types import Tensor
from googlenet_keras.weights.cards import read_card
from googlenet_keras.weights.published import weight_file


def _no_factory(**arguments: object) -> keras.Model:
    raise RuntimeError("Nothing builds this network: its family's function needs the decorator `factories.factory`")


@dataclass(frozen=True, kw_only=True)
class ModelRecord:
    """A network: everything that distinguishes it from the others, whatever it is built for.

    Attributes:
        name: The name of the network in `create_model`.
        description: The difference from the other networks, in a line.
        stages: Its body, from the input to the last map; see `blocks.stages`.
        style: The common style of its blocks; the caller gives the regularizer and the dtype.
        top: From the last map to the answer, called as `conventions.average_top` is, which is what None stands for.
        dropout: The dropout where the factory's argument is None.
        pool_name: Name of the global pooling, in the top or in its place.
        default_shape: (height, width, channels) that the factory takes, with the top, where none is given.
        fixed_size: Whether the top's weights depend on the input's height and width, which must then be known.
        minimum_size: Smallest height and width of an input, in pixels, without auxiliary heads.
        aux_head_on: The endpoint that each auxiliary head hangs off, by the head's name.
        aux_head: The function that builds one, called as `blocks.convolutional_auxiliary_head` is.
        minimum_size_of_aux_heads: Smallest height and width for them, in pixels.
        preprocessing: The preprocessing that its published weights expect.
        labels: The dataset of its class names: the stem of a ``*_labels.txt`` among the package's assets.
        arguments: The arguments that `create_model` passes to the factory where the caller gives none.
        factory: The function that builds it; see `factories.factory`, which puts it here.
    """

    name: str
    description: str
    stages: tuple[Stage, ...]
    style: Style = DEFAULT_STYLE
    top: Callable[..., Tensor] | None = None
    dropout: float = 0.0
    pool_name: str = "global_pool"
    default_shape: tuple[int, int, int] = (224, 224, 3)
    fixed_size: bool = False
    minimum_size: int
    aux_head_on: Mapping[str, str] = field(default_factory=dict)
    aux_head: Callable[..., Tensor] = blocks.convolutional_auxiliary_head
    minimum_size_of_aux_heads: int | None = None
    preprocessing: Preprocessing
    labels: str = "imagenet"
    arguments: Mapping[str, Any] = field(default_factory=dict)
    factory: Callable[..., keras.Model] = _no_factory

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """The network's own (height, width, channels): the size for which `create_model` builds it by default."""
        return self.arguments.get("input_shape", self.default_shape)

    @property
    def endpoints(self) -> tuple[str, ...]:
        """Names of the layers after which the network's stages end, from input to output."""
        return tuple(blocks.endpoint(stage, style=self.style) for stage in self.stages)

    @property
    def aux_heads(self) -> tuple[str, ...]:
        """Names of the auxiliary heads that ``aux_heads=True`` builds."""
        return tuple(self.aux_head_on)

    def endpoint_shapes(self, input_shape: tuple[int | None, ...] | None = None) -> dict[str, tuple[int | None, ...]]:
        """Builds the body alone, to see what its stages answer.

        Args:
            input_shape: (height, width, channels) in pixels; None is the network's own.

        Returns:
            (height, width, channels) of the output of each endpoint, by its name, in their order.
        """
        # Zeros are quick, and draw no random number that the caller's next model would miss.
        style = replace(self.style, kernel_initializer="zeros", bias_initializer="zeros")
        ends = blocks.stages(keras.Input(input_shape or self.input_shape), self.stages, style=style)
        return {name: tuple(tensor.shape[1:]) for name, tensor in ends}


_RECORDS: dict[str, ModelRecord] = {}


def register(record: ModelRecord) -> None:
    """Makes a model known by its name.

    Args:
        record: The network's record.

    Raises:
        ValueError: If the name is taken.
    """
    if record.name in _RECORDS:
        raise ValueError(f"Two models cannot share a name. Received: {record.name!r}")
    _RECORDS[record.name] = record


def registered_name(record: ModelRecord) -> str | None:
    """The name that a network's published weights go by; None if no network of `list_models` has the same layers."""
    known = _RECORDS.get(record.name)
    same = known and (known.stages, known.style, known.top) == (record.stages, record.style, record.top)
    return record.name if same else None


def list_models() -> list[str]:
    """The names that `create_model` accepts, in alphabetical order."""
    return sorted(_RECORDS)


def model_record(name: str) -> ModelRecord:
    """Returns the record of a model.

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
        name: One of `list_models`, or a preset: a folder or ``hf://USER/REPOSITORY``; see `from_preset`.
        **kwargs: Arguments of the model's factory, such as ``classes`` or ``input_shape``. Where ``weights`` names
            published ones, such as ``"fashion_mnist"`` of ``googlenet_bn``, or a file with a card (see `Card`), the
            defaults are what these were trained with; only auxiliary heads have to be asked for.
            ``input_shape=None`` is the default as well.

    Returns:
        The Keras model.

    Raises:
        ValueError: If there is no such model, or the factory refuses an argument.
    """
    if name not in _RECORDS:
        from googlenet_keras.models.presets import from_preset, is_preset

        if is_preset(name):
            return from_preset(name, **kwargs)
    record = model_record(name)
    defaults = dict(record.arguments)
    weights = kwargs.get("weights")
    if weights is not None and (card := read_card(weight_file(weights, name))):
        card.check(weights, model=name)
        defaults |= {**card.arguments, "input_shape": card.input_shape}
        if card.labels:
            defaults["classes"] = card.classes
        defaults.pop("aux_heads", None)
    if kwargs.get("input_shape") is None:
        kwargs.pop("input_shape", None)
    return record.factory(**{**defaults, **kwargs})


def preprocess_input(x: Any, model_name: str, weights: str | Path | None = None) -> Any:
    """Preprocesses pixels for a model's weights.

    Args:
        x: Pixels in [0, 255] of any number type, RGB along the last axis: a NumPy array or a backend tensor of shape
            (..., channels). It is not written to.
        model_name: One of `list_models`.
        weights: A weight file with a card or the name of published weights, whose own preprocessing is then taken; None
            is what the network's usual weights expect.

    Returns:
        A new float32 array or tensor of the same shape.

    Raises:
        ValueError: If there is no such model, or no such weights of it.
    """
    record = model_record(model_name)
    card = None if weights is None else read_card(weight_file(weights, model_name))
    if card is None:
        return record.preprocessing(x)
    card.check(weights, model=model_name)
    return card.preprocessing(x)
