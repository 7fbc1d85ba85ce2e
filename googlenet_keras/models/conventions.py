"""Builds every network: turns the record of a network and the arguments of the caller into a Keras model."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import keras
from keras import layers

from googlenet_keras import blocks
from googlenet_keras.blocks import Style
from googlenet_keras.keras_types import Activation, Tensor
from googlenet_keras.models.factories import Arguments
from googlenet_keras.models.registry import ModelRecord, registered_name
from googlenet_keras.weights import load_weights, read_card
from googlenet_keras.weights.published import weight_file


def build(
    record: ModelRecord, arguments: Arguments, *, dropout: float | None = None, aux_heads: bool = False
) -> keras.Model:
    """Builds a network: the body, stage by stage and with any auxiliary heads, and the top.

    Args:
        record: The network's record.
        arguments: The arguments that the caller of the factory gave.
        dropout: Fraction of the features that the top drops during training, where 0 leaves the layer out; None means
            the record's value.
        aux_heads: Whether the auxiliary heads are built. The model then returns a dictionary with the keys
            ``predictions`` and the names of the heads.

    Returns:
        The Keras model.

    Raises:
        ValueError: If an argument has a value that no factory accepts.
    """
    dropout = record.dropout if dropout is None else dropout
    check_arguments(arguments, dropout=dropout, aux_heads=aux_heads)
    inputs = image_input(record, arguments, aux_heads=aux_heads)
    style = replace(record.style, kernel_regularizer=arguments.kernel_regularizer, dtype=arguments.dtype)
    answer = {"activation": arguments.classifier_activation, "style": style}
    head_on = {endpoint: head for head, endpoint in record.aux_head_on.items()} if aux_heads else {}
    heads = {}
    for endpoint, x in blocks.stages(inputs, record.stages, style=style):
        if endpoint in head_on:
            head = head_on[endpoint]
            heads[head] = record.aux_head(x, arguments.classes, name=head, **answer)
    if arguments.include_top:
        top = record.top or partial(average_top, pool_name=record.pool_name)
        outputs = top(x, arguments.classes, dropout=dropout, **answer)
    else:
        outputs = global_pool(x, arguments.pooling, name=record.pool_name, style=style)
    return finished_model(
        inputs,
        {"predictions": outputs, **heads} if aux_heads else outputs,
        name=arguments.name or record.name,
        weights=arguments.weights,
        input_tensor=arguments.input_tensor,
        registered_name=registered_name(record),
    )


def check_arguments(arguments: Arguments, *, dropout: float, aux_heads: bool) -> None:
    """Raises an error that names the first argument with which no model can be built.

    Raises:
        ValueError: If ``pooling``, ``classes``, ``classifier_activation`` or ``dropout`` has a value that no factory
            accepts, or auxiliary heads are requested without the top that they belong to.
    """
    pooling, classes = arguments.pooling, arguments.classes
    if pooling not in (None, "avg", "max"):
        raise ValueError(f'`pooling` must be None, "avg" or "max". Received: {pooling!r}')
    if isinstance(classes, bool) or int(classes) != classes or classes < 1:
        raise ValueError(f"`classes` must be a positive integer. Received: {classes!r}")
    keras.activations.get(arguments.classifier_activation)
    if not 0 <= dropout < 1:
        raise ValueError(f"`dropout` must be at least 0 and below 1. Received: {dropout!r}")
    if aux_heads and not arguments.include_top:
        raise ValueError("`aux_heads` are part of the top: they need include_top=True. Received: include_top=False")


def image_input(record: ModelRecord, arguments: Arguments, *, aux_heads: bool) -> Tensor:
    """Returns the Keras tensor (batch, height, width, channels) that is the input of a network.

    Raises:
        ValueError: If the shape is not that of an image, or is smaller than the network or its auxiliary heads accept,
            or if the height or width is unknown although they require it.
    """
    tensor = arguments.input_tensor
    if tensor is not None:
        if not keras.utils.is_keras_tensor(tensor):
            tensor = keras.Input(tensor=tensor, name="input")
        shape = tuple(tensor.shape[1:])
    elif arguments.input_shape is not None:
        shape = tuple(arguments.input_shape)
    else:
        shape = record.default_shape if arguments.include_top else (None, None, record.default_shape[-1])
    if len(shape) != 3 or not isinstance(shape[-1], int) or any(n is not None and n < 1 for n in shape):
        raise ValueError(f"`input_shape` must be (height, width, channels). Received: {shape}")
    size, least, least_for_heads = shape[:2], record.minimum_size, record.minimum_size_of_aux_heads
    if any(extent is not None and extent < least for extent in size):
        raise ValueError(f"The input must be at least {least}x{least} pixels. Received: {shape}")
    if arguments.include_top and record.fixed_size and None in size:
        raise ValueError(
            "The dense layers of the top need an input of fixed size: give `input_shape` a height and a width, or "
            f"build with include_top=False. Received: {shape}"
        )
    if aux_heads and any(extent is None or extent < least_for_heads for extent in size):
        raise ValueError(
            f"The auxiliary heads need an input of fixed size, at least {least_for_heads}x{least_for_heads} pixels: "
            f"enlarge the images or build with aux_heads=False. Received: {size}"
        )
    return keras.Input(shape, name="input") if tensor is None else tensor


def global_pool(x: Tensor, kind: str | None, *, name: str, style: Style) -> Tensor:
    """Takes the average ("avg") or maximum ("max") over height and width; with None, returns ``x`` unchanged."""
    if kind is None:
        return x
    pool = layers.GlobalAveragePooling2D if kind == "avg" else layers.GlobalMaxPooling2D
    return pool(data_format="channels_last", dtype=style.dtype, name=name)(x)


def average_top(
    x: Tensor, classes: int, *, activation: Activation, dropout: float, pool_name: str, style: Style
) -> Tensor:
    """Applies global average pooling, dropout (unless it is 0) and the classifier ``predictions``: (batch, classes)."""
    x = global_pool(x, "avg", name=pool_name, style=style)
    x = blocks.drop(x, dropout, style=style)
    return blocks.classifier(x, classes, activation=activation, name="predictions", style=style)


def finished_model(
    inputs: Tensor,
    outputs: Tensor | dict[str, Tensor],
    *,
    name: str,
    weights: str | Path | None,
    input_tensor: Tensor | None,
    registered_name: str | None,
) -> keras.Model:
    """Returns the model between the input and output tensors, with its weights.

    Args:
        inputs: The input tensor of the network.
        outputs: The outputs of the model.
        name: The model's name.
        weights: None, the path of a weight file (see `googlenet_keras.load_weights`), or the name of published weights.
        input_tensor: The factory's argument of this name. If it is given, the inputs of the model are the tensors that
            it was computed from.
        registered_name: The network's name in `list_models`, under which its weights are published; None if the network
            is not one of them, so that there are no published weights for it.

    Returns:
        The Keras model.

    Raises:
        ValueError: If the weight file is missing, cannot be read or does not fit, if its card says that it belongs to
            another network, or if there are no published weights of that name.
    """
    channels = inputs.shape[-1]
    if input_tensor is not None:
        sources = keras.utils.get_source_inputs(inputs)
        inputs = sources[0] if len(sources) == 1 else sources
    model = keras.Model(inputs, outputs, name=name)
    if weights is not None:
        file = weight_file(weights, registered_name or "this network")
        if card := read_card(file):
            classes = next((layer.output.shape[-1] for layer in model.layers if layer.name == "predictions"), None)
            card.check(weights, model=registered_name, channels=channels, classes=classes)
        load_weights(model, file)
    return model
