"""What all factories share: the arguments of keras.applications and what they mean."""

from collections.abc import Callable
from typing import Any

import keras
from keras import layers

from googlenet_keras import blocks
from googlenet_keras.blocks import Style, Tensor
from googlenet_keras.weights import load_weights, read_card
from googlenet_keras.weights.published import weight_file

# The first input to leave the head's pooling a map of 5x5, where Inception v3, v4 and Inception-ResNet v2 have 17x17
# from 299 pixels.
MINIMUM_SIZE_OF_CONVOLUTIONAL_HEAD = 107


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
    x = blocks.drop(x, dropout, style=style)
    return blocks.classifier(x, classes, activation=activation, name="predictions", style=style)


def finished_model(
    inputs: Tensor,
    outputs: Tensor | dict[str, Tensor],
    *,
    name: str,
    weights: Any,
    input_tensor: Any,
    registered_name: str | None = None,
) -> keras.Model:
    """The model between two tensors, with its weights.

    Args:
        inputs: The tensor that the network started from.
        outputs: What it answers.
        name: The model's name.
        weights: None, the path of a weight file (see `googlenet_keras.load_weights`), or the name of published weights.
        input_tensor: The factory's argument; the model then starts where that tensor's own history does.
        registered_name: The model's name in `list_models`, which published weights go by; None is ``name``.

    Returns:
        The Keras model.

    Raises:
        ValueError: If the weight file is missing, cannot be read or does not fit, its card says that it is another
            network's, or there are no published weights of that name.
    """
    channels = inputs.shape[-1]
    if input_tensor is not None:
        sources = keras.utils.get_source_inputs(inputs)
        inputs = sources[0] if len(sources) == 1 else sources
    model = keras.Model(inputs, outputs, name=name)
    if weights is not None:
        file = weight_file(weights, registered_name or name)
        if card := read_card(file):
            classes = next((layer.output.shape[-1] for layer in model.layers if layer.name == "predictions"), None)
            card.check(weights, model=registered_name, channels=channels, classes=classes)
        load_weights(model, file)
    return model


def network(
    body: Callable[[Tensor], Tensor],
    own_top: Callable[[Tensor], Tensor] | None = None,
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
    fixed_size: bool = False,
    aux_head_on: str | None = None,
    aux_heads: bool = False,
) -> keras.Model:
    """Builds a network of one path: a body, then its top, and beside it one auxiliary head at most.

    Args:
        body: From the input tensor to the last map.
        own_top: From the last map to the answer; None is global average pooling and a classifier, see `top`.
        include_top: See `googlenet_keras.GoogLeNet`, as for all arguments down to ``name``.
        weights: See there.
        input_tensor: See there.
        input_shape: See there.
        pooling: See there.
        classes: See there.
        classifier_activation: See there.
        name: See there.
        dropout: The factory's argument: fraction dropped by the top while training; 0 leaves the layer out.
        style: What the network's blocks have in common.
        default_shape: The network's own (height, width, channels).
        minimum_size: Smallest height and width, in pixels.
        fixed_size: Whether the top's weights depend on the input's height and width, which must then be known.
        aux_head_on: Name of the layer that the head ``aux`` hangs off.
        aux_heads: Whether it is built; the model then answers ``{"predictions", "aux"}``.

    Returns:
        The Keras model.

    Raises:
        ValueError: If an argument is not what a factory takes.
    """
    check_arguments(
        include_top=include_top,
        pooling=pooling,
        classes=classes,
        classifier_activation=classifier_activation,
        dropout=dropout,
        aux_heads=aux_heads,
    )
    inputs = image_input(
        input_tensor, input_shape, default_shape=default_shape, minimum_size=minimum_size, include_top=include_top
    )
    if include_top and fixed_size and None in inputs.shape[1:3]:
        raise ValueError(
            "The dense layers of the top need an input of fixed size: give `input_shape` a height and a width, or "
            f"build with include_top=False. Received: {tuple(inputs.shape[1:])}"
        )
    if aux_heads:
        check_size_for_aux_heads(inputs.shape[1:3], MINIMUM_SIZE_OF_CONVOLUTIONAL_HEAD)
    x = body(inputs)
    if not include_top:
        outputs = global_pool(x, pooling, name="global_pool", style=style)
    elif own_top:
        outputs = own_top(x)
    else:
        outputs = top(
            x, classes, activation=classifier_activation, dropout=dropout, pool_name="global_pool", style=style
        )
    if aux_heads:
        middle = keras.Model(inputs, x).get_layer(aux_head_on).output
        aux = blocks.convolutional_auxiliary_head(
            middle, classes, activation=classifier_activation, name="aux", style=style
        )
        outputs = {"predictions": outputs, "aux": aux}
    return finished_model(inputs, outputs, name=name, weights=weights, input_tensor=input_tensor)


def check_size_for_aux_heads(size: tuple[int | None, int | None], minimum_size: int) -> None:
    """Refuses an input whose maps are too small for the pooling of auxiliary heads, or of unknown size.

    Raises:
        ValueError: If ``size``, height and width in pixels, is below ``minimum_size`` or not known.
    """
    if any(extent is None or extent < minimum_size for extent in size):
        raise ValueError(
            f"The auxiliary heads need an input of fixed size, at least {minimum_size}x{minimum_size} pixels: enlarge "
            f"the images or build with aux_heads=False. Received: {size}"
        )
