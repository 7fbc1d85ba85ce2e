"""Keeps the record of every model by the model's name; the file of a model's family creates the record."""

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
    raise RuntimeError("This network has no factory: decorate its family's function with `factories.factory`")


@dataclass(frozen=True, kw_only=True)
class ModelRecord:
    """Describes a network: everything that distinguishes it from other networks, regardless of how it is used.

    Attributes:
        name: The name of the network in `create_model`.
        description: The difference from the other networks, in one line.
        stages: The body of the network, from the input to the last feature map; see `blocks.stages`.
        style: The common style of the blocks; the caller of the factory chooses the regularizer and the dtype.
        top: The function that computes the output from the last feature map; it is called like
            `conventions.average_top`, which is used if it is None.
        dropout: The dropout that is used if the factory's argument is None.
        pool_name: The name of the global pooling layer, which is in the top or replaces it.
        default_shape: (height, width, channels) of the input that the factory uses with the top if none is given.
        fixed_size: Whether the top's weights depend on the input's height and width, which must then be known.
        minimum_size: Smallest height and width of an input, in pixels, without auxiliary heads.
        aux_head_on: The names of the auxiliary heads, each with the endpoint whose output the head classifies.
        aux_head: The function that builds an auxiliary head; it is called like `blocks.convolutional_auxiliary_head`.
        minimum_size_of_aux_heads: Smallest height and width of an input with auxiliary heads, in pixels.
        preprocessing: The preprocessing that the published weights of the network expect.
        labels: The dataset whose classes the network has by default; the asset ``{labels}_labels.txt`` of the package
            holds their names.
        arguments: The arguments that `create_model` passes to the factory unless the caller gives them.
        factory: The function that builds the network, set by `factories.factory`.
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
        """The (height, width, channels) for which `create_model` builds the network by default."""
        return self.arguments.get("input_shape", self.default_shape)

    @property
    def endpoints(self) -> tuple[str, ...]:
        """Names of the layers that end the stages of the network, from input to output."""
        return tuple(blocks.endpoint(stage, style=self.style) for stage in self.stages)

    @property
    def aux_heads(self) -> tuple[str, ...]:
        """Names of the auxiliary heads that ``aux_heads=True`` builds."""
        return tuple(self.aux_head_on)

    def endpoint_shapes(self, input_shape: tuple[int | None, ...] | None = None) -> dict[str, tuple[int | None, ...]]:
        """Builds only the body, to find the output shapes of its stages.

        Args:
            input_shape: (height, width, channels) in pixels; None means the default of the network.

        Returns:
            A dictionary of the endpoints in their order, with (height, width, channels) of the output of each.
        """
        # Zeros are fast and consume no random numbers, so they do not change how the next model is initialized.
        style = replace(self.style, kernel_initializer="zeros", bias_initializer="zeros")
        ends = blocks.stages(keras.Input(input_shape or self.input_shape), self.stages, style=style)
        return {name: tuple(tensor.shape[1:]) for name, tensor in ends}


_RECORDS: dict[str, ModelRecord] = {}


def register(record: ModelRecord) -> None:
    """Registers a model under its name.

    Args:
        record: The network's record.

    Raises:
        ValueError: If another model already has this name.
    """
    if record.name in _RECORDS:
        raise ValueError(f"Two models cannot share a name. Received: {record.name!r}")
    _RECORDS[record.name] = record


def registered_name(record: ModelRecord) -> str | None:
    """Returns the name under which weights of a network are published, or None if its layers are not registered."""
    known = _RECORDS.get(record.name)
    same = known and (known.stages, known.style, known.top) == (record.stages, record.style, record.top)
    return record.name if same else None


def list_models() -> list[str]:
    """Returns the names of models that `create_model` accepts, in alphabetical order."""
    return sorted(_RECORDS)


def model_record(name: str) -> ModelRecord:
    """Returns the record of a model.

    Args:
        name: One of `list_models`.

    Raises:
        ValueError: If there is no such model; the message lists models with similar names.
    """
    if name not in _RECORDS:
        near = difflib.get_close_matches(str(name), _RECORDS, n=3) or list_models()
        raise ValueError(f"There is no model of that name; did you mean {' or '.join(near)}? Received: {name!r}")
    return _RECORDS[name]


def create_model(name: str, **kwargs: Any) -> keras.Model:
    """Builds a model by its name.

    Args:
        name: One of `list_models`, or a preset: a folder or ``hf://USER/REPOSITORY``; see `from_preset`.
        **kwargs: Arguments of the model's factory, such as ``classes`` or ``input_shape``. If ``weights`` is the name
            of published weights, such as ``"fashion_mnist"`` of ``googlenet_bn``, or a file with a card (see `Card`),
            the defaults are the arguments that these weights were trained with, except that auxiliary heads must be
            requested. ``input_shape=None`` means the default as well.

    Returns:
        The Keras model.

    Raises:
        ValueError: If there is no such model, or an argument is invalid.
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
        x: Pixels in [0, 255] of any numeric dtype, with RGB along the last axis: a NumPy array or a backend tensor of
            shape (..., channels). It is not modified.
        model_name: One of `list_models`.
        weights: A weight file with a card, or the name of published weights, whose own preprocessing is then used; None
            means the preprocessing that the network's usual weights expect.

    Returns:
        A new float32 array or tensor of the same shape.

    Raises:
        ValueError: If there is no such model, or it has no such weights.
    """
    record = model_record(model_name)
    card = None if weights is None else read_card(weight_file(weights, model_name))
    if card is None:
        return record.preprocessing(x)
    card.check(weights, model=model_name)
    return card.preprocessing(x)
