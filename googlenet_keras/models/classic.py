"""What the networks before GoogLeNet and the small ones share: pooling that leaves a remainder out, dense tops."""

from collections.abc import Callable
from typing import Any

import keras
from keras import layers

from googlenet_keras.blocks import Style, Tensor
from googlenet_keras.models import conventions


def max_pool(x: Tensor, pool_size: int, *, strides: int = 2, name: str, style: Style) -> Tensor:
    """Max pooling without padding: rows and columns that fill no window are left out, as in PyTorch.

    Args:
        x: Float tensor (batch, height, width, channels), height and width at least ``pool_size``.
        pool_size: Height and width of the window, in pixels.
        strides: Step of the window, in pixels.
        name: Name of the layer.
        style: What the network's blocks have in common.

    Returns:
        Float tensor (batch, (height - pool_size) // strides + 1, (width - pool_size) // strides + 1, channels).
    """
    return layers.MaxPooling2D(
        pool_size, strides=strides, padding="valid", data_format="channels_last", dtype=style.dtype, name=name
    )(x)


def flatten(x: Tensor, *, style: Style) -> Tensor:
    """The layer ``flatten``: (batch, height, width, channels) to (batch, height * width * channels)."""
    return layers.Flatten(data_format="channels_last", dtype=style.dtype, name="flatten")(x)


def dropout(x: Tensor, rate: float, *, name: str, style: Style) -> Tensor:
    """Drops a fraction of the features while training; at 0 there is no layer."""
    return layers.Dropout(rate, dtype=style.dtype, name=name)(x) if rate else x


def network(
    body: Callable[[Tensor], Tensor],
    top: Callable[[Tensor], Tensor],
    *,
    include_top: bool,
    weights: Any,
    input_tensor: Any,
    input_shape: tuple[int | None, ...] | None,
    pooling: str | None,
    classes: int,
    classifier_activation: Any,
    name: str,
    dropout: float = 0.0,
    style: Style,
    default_shape: tuple[int, int, int],
    minimum_size: int,
    fixed_size: bool = True,
) -> keras.Model:
    """Builds a network with a top of its own.

    Args:
        body: From the input tensor to the last map.
        top: From the last map to the answer.
        include_top: See `googlenet_keras.GoogLeNet`, as for all arguments down to ``name``.
        weights: See there.
        input_tensor: See there.
        input_shape: See there.
        pooling: See there.
        classes: See there.
        classifier_activation: See there.
        name: See there.
        dropout: The factory's argument, to be checked.
        style: What the network's blocks have in common.
        default_shape: The network's own (height, width, channels).
        minimum_size: Smallest height and width, in pixels.
        fixed_size: Whether the top's weights depend on the input's height and width, which must then be known.

    Returns:
        The Keras model.

    Raises:
        ValueError: If an argument is not what a factory takes.
    """
    conventions.check_arguments(
        include_top=include_top,
        pooling=pooling,
        classes=classes,
        classifier_activation=classifier_activation,
        dropout=dropout,
        aux_heads=False,
    )
    inputs = conventions.image_input(
        input_tensor, input_shape, default_shape=default_shape, minimum_size=minimum_size, include_top=include_top
    )
    if include_top and fixed_size and None in inputs.shape[1:3]:
        raise ValueError(
            "The dense layers of the top need an input of fixed size: give `input_shape` a height and a width, or "
            f"build with include_top=False. Received: {tuple(inputs.shape[1:])}"
        )
    x = body(inputs)
    outputs = top(x) if include_top else conventions.global_pool(x, pooling, name="global_pool", style=style)
    return conventions.finished_model(inputs, outputs, name=name, weights=weights, input_tensor=input_tensor)
