"""What all factories share: the arguments of keras.applications and what they mean."""

from typing import Any

import keras
from keras import layers

from googlenet_keras.blocks import Style, Tensor, classifier
from googlenet_keras.weights import load_weights


def check_arguments(
    *, include_top: bool, pooling: str | None, classes: int, classifier_activation: Any, dropout: float, aux_heads: bool
) -> None:
    """Refuses arguments that make no model, each with a message of its own.

    Raises:
        ValueError: If ``pooling``, ``classes``, ``classifier_activation`` or ``dropout`` is not what a factory takes,
            or auxiliary heads are asked for without the top they belong to.
    """
    if pooling not in (None, "avg", "max"):
        raise ValueError(f'`pooling` must be None, "avg" or "max". Received: {pooling!r}')
    if isinstance(classes, bool) or int(classes) != classes or classes < 1:
        raise ValueError(f"`classes` must be a positive integer. Received: {classes!r}")
    keras.activations.get(classifier_activation)
    if not 0 <= dropout < 1:
        raise ValueError(f"`dropout` must be at least 0 and below 1. Received: {dropout!r}")
    if aux_heads and not include_top:
        raise ValueError("`aux_heads` are part of the top: they need include_top=True. Received: include_top=False")


def image_input(
    input_tensor: Any,
    input_shape: tuple[int | None, ...] | None,
    *,
    default_shape: tuple[int, int, int],
    minimum_size: int,
    include_top: bool,
) -> Tensor:
    """The tensor that a network starts from.

    Args:
        input_tensor: A Keras tensor (batch, height, width, channels) to start from, or None for an input of its own.
        input_shape: (height, width, channels); None is ``default_shape`` with the top, and any height and width
            without it.
        default_shape: The network's own (height, width, channels).
        minimum_size: Smallest height and width, in pixels.
        include_top: Whether the network ends in its classifier.

    Returns:
        Keras tensor (batch, height, width, channels).

    Raises:
        ValueError: If the shape is not that of an image, or smaller than the network can take.
    """
    if input_tensor is not None:
        if not keras.utils.is_keras_tensor(input_tensor):
            input_tensor = keras.Input(tensor=input_tensor, name="input")
        shape = tuple(input_tensor.shape[1:])
    elif input_shape is not None:
        shape = tuple(input_shape)
    else:
        shape = default_shape if include_top else (None, None, default_shape[-1])
    if len(shape) != 3 or not isinstance(shape[-1], int) or any(n is not None and n < 1 for n in shape):
        raise ValueError(f"`input_shape` must be (height, width, channels). Received: {shape}")
    if any(extent is not None and extent < minimum_size for extent in shape[:2]):
        raise ValueError(f"The input must be at least {minimum_size}x{minimum_size} pixels. Received: {shape}")
    return keras.Input(shape, name="input") if input_tensor is None else input_tensor


def global_pool(x: Tensor, kind: str | None, *, name: str, style: Style) -> Tensor:
    """Averages ("avg") or maximizes ("max") over height and width; None returns ``x`` as it is."""
    if kind is None:
        return x
    pool = layers.GlobalAveragePooling2D if kind == "avg" else layers.GlobalMaxPooling2D
    return pool(data_format="channels_last", dtype=style.dtype, name=name)(x)


def top(x: Tensor, classes: int, *, activation: Any, dropout: float, pool_name: str, style: Style) -> Tensor:
    """Global average, dropout (no layer at 0) and the classifier ``predictions``: (batch, classes)."""
    x = global_pool(x, "avg", name=pool_name, style=style)
    if dropout:
        x = layers.Dropout(dropout, dtype=style.dtype, name="dropout")(x)
    return classifier(x, classes, activation=activation, name="predictions", style=style)


def finished_model(
    inputs: Tensor, outputs: Tensor | dict[str, Tensor], *, name: str, weights: Any, input_tensor: Any
) -> keras.Model:
    """The model between two tensors, with its weights.

    Args:
        inputs: The tensor that the network started from.
        outputs: What it answers.
        name: The model's name.
        weights: None, or the path of a weight file (see `googlenet_keras.load_weights`).
        input_tensor: The factory's argument; the model then starts where that tensor's own history does.

    Returns:
        The Keras model.

    Raises:
        ValueError: If the weight file is missing, cannot be read or does not fit.
    """
    if input_tensor is not None:
        sources = keras.utils.get_source_inputs(inputs)
        inputs = sources[0] if len(sources) == 1 else sources
    model = keras.Model(inputs, outputs, name=name)
    if weights is not None:
        load_weights(model, weights)
    return model
