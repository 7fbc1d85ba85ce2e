"""AlexNet: five convolutions and three dense layers, as torchvision and as Caffe have them.

Source: Krizhevsky et al., "ImageNet Classification with Deep Convolutional Neural Networks", 2012, and Krizhevsky, "One
weird trick for parallelizing convolutional neural networks", arXiv 1404.5997.
"""

from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import keras
from keras import layers

from googlenet_keras import blocks
from googlenet_keras.blocks import Initializer, Style, Tensor
from googlenet_keras.models import conventions
from googlenet_keras.models.preprocessing import MEAN_SUBTRACTED_BGR, STANDARDIZED_RGB, Preprocessing
from googlenet_keras.models.registry import ModelRecord, register


class Convolution(NamedTuple):
    """One convolution: a row of a variant's table.

    Attributes:
        filters: Number of output channels.
        kernel_size: Height and width of the kernel, in pixels.
        strides: Step of the kernel, in pixels.
        padding: So many zeros on every side, or ``"same"``, which at stride 1 is half the kernel on every side.
        groups: Into how many groups the channels are split.
        bias: What the biases start at.
    """

    filters: int
    kernel_size: int
    strides: int = 1
    padding: Literal["same"] | int = "same"
    groups: int = 1
    bias: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Variant:
    """What one of the networks called AlexNet does in its own way.

    Attributes:
        description: What sets it apart, in a line.
        convolutions: The five, by the name of the layer.
        normalization: Whether LRN follows the first two convolutions.
        ceil_pools: Whether the last window of a pooling may hang over the border, as in Caffe.
        adaptive_pool: Whether the last map is averaged to 6x6 whatever its size.
        dropout_after: The layers whose output is dropped in part while training.
        kernel_initializer: Of convolutions and the classifier.
        dense_initializer: Of the hidden dense layers' kernels.
        dense_bias: What the hidden dense layers' biases start at.
        default_shape: Its own (height, width, channels).
        minimum_size: Smallest height and width that leave a pixel to every pooling.
        preprocessing: What its published weights expect.
    """

    description: str
    convolutions: dict[str, Convolution]
    normalization: bool = False
    ceil_pools: bool = False
    adaptive_pool: bool = False
    dropout_after: tuple[str, str]
    kernel_initializer: Initializer = "glorot_uniform"
    dense_initializer: Initializer = "glorot_uniform"
    dense_bias: float = 0.0
    default_shape: tuple[int, int, int]
    minimum_size: int
    preprocessing: Preprocessing


def _gaussian(deviation: float) -> Initializer:
    return {"class_name": "RandomNormal", "config": {"stddev": deviation}}


def _constant(value: float) -> Initializer:
    return {"class_name": "Constant", "config": {"value": value}}


VARIANTS = {
    # pytorch/vision torchvision/models/alexnet.py: the single tower of the second paper, without LRN.
    "torchvision": Variant(
        description="torchvision's: one tower of 64-192-384-256-256 filters, no LRN, dropout 0.5",
        convolutions={
            "conv1": Convolution(64, 11, strides=4, padding=2),
            "conv2": Convolution(192, 5),
            "conv3": Convolution(384, 3),
            "conv4": Convolution(256, 3),
            "conv5": Convolution(256, 3),
        },
        adaptive_pool=True,
        dropout_after=("flatten", "fc6"),
        default_shape=(224, 224, 3),
        minimum_size=63,
        preprocessing=STANDARDIZED_RGB,
    ),
    # BVLC caffe models/bvlc_alexnet/train_val.prototxt: the first paper's two groups, LRN before the pooling.
    "caffe": Variant(
        description="Caffe's: 96-256-384-384-256 filters in two groups, LRN 5 / 1e-4 / 0.75 / 1, 227x227, dropout 0.5",
        convolutions={
            "conv1": Convolution(96, 11, strides=4, padding=0),
            "conv2": Convolution(256, 5, groups=2, bias=0.1),
            "conv3": Convolution(384, 3),
            "conv4": Convolution(384, 3, groups=2, bias=0.1),
            "conv5": Convolution(256, 3, groups=2, bias=0.1),
        },
        normalization=True,
        ceil_pools=True,
        dropout_after=("fc6", "fc7"),
        kernel_initializer=_gaussian(0.01),
        dense_initializer=_gaussian(0.005),
        dense_bias=0.1,
        default_shape=(227, 227, 3),
        minimum_size=39,
        preprocessing=replace(MEAN_SUBTRACTED_BGR, crop_fraction=227 / 256),
    ),
}
POOL_AFTER = {"conv1": "pool1", "conv2": "pool2", "conv5": "pool5"}
NORM_AFTER = {"conv1": "norm1", "conv2": "norm2"}
# Height and width of the map that the dense layers were made for.
FLATTENED_SIZE = 6
DENSE_UNITS = 4096


def AlexNet(
    include_top: bool = True,
    weights: Any = None,
    input_tensor: Any = None,
    input_shape: tuple[int | None, ...] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str | None = None,
    *,
    variant: str = "torchvision",
    dropout: float = 0.5,
    kernel_regularizer: Any = None,
    dtype: Any = None,
) -> keras.Model:
    """Builds AlexNet, with the arguments of `googlenet_keras.GoogLeNet`.

    Layers have Caffe's names: ``conv1``, ``norm1``, ``pool1``, ... ``conv5``, ``pool5``, ``fc6``, ``fc7``, but
    ``predictions`` for its ``fc8``.

    Args:
        include_top: See there, as for all that is not named here; the top is flattening, two dense layers of 4096 with
            dropout, and the classifier. The last map is (batch, height, width, 256).
        weights: See there.
        input_tensor: See there.
        input_shape: See there; with the top, height and width must be known.
        pooling: See there.
        classes: See there.
        classifier_activation: See there.
        name: The model's name; None is ``alexnet``, or ``alexnet_VARIANT``.
        variant: One of `VARIANTS`: ``"torchvision"``, ``"caffe"``.
        dropout: Fraction dropped before ``fc6`` and ``fc7`` (torchvision), or after them (Caffe), while training; 0
            leaves it out.
        kernel_regularizer: See there.
        dtype: See there.

    Returns:
        A functional Keras model.

    Raises:
        ValueError: If an argument is none of the above, the input is too small or of unknown size, or the weights do
            not fit.
    """
    if variant not in VARIANTS:
        raise ValueError(f"`variant` must be one of {', '.join(VARIANTS)}. Received: {variant!r}")
    settings = VARIANTS[variant]
    style = Style(
        padding="explicit",
        kernel_initializer=settings.kernel_initializer,
        kernel_regularizer=kernel_regularizer,
        dtype=dtype,
    )
    dense_style = replace(
        style, kernel_initializer=settings.dense_initializer, bias_initializer=_constant(settings.dense_bias)
    )
    pool_padding = "same" if settings.ceil_pools else "valid"

    def body(x: Tensor) -> Tensor:
        for layer, row in settings.convolutions.items():
            x = blocks.conv_block(
                x,
                row.filters,
                row.kernel_size,
                strides=row.strides,
                padding=row.padding,
                groups=row.groups,
                name=layer,
                style=replace(style, bias_initializer=_constant(row.bias)),
            )
            if settings.normalization and layer in NORM_AFTER:
                x = blocks.local_response_normalization(x, name=NORM_AFTER[layer], style=style)
            if layer in POOL_AFTER:
                x = blocks.max_pool(x, 3, padding=pool_padding, name=POOL_AFTER[layer], style=style)
        return x

    def drop_after(layer: str, x: Tensor) -> Tensor:
        rate = dropout if layer in settings.dropout_after else 0
        return blocks.drop(x, rate, name=f"{layer}_dropout", style=style)

    def top(x: Tensor) -> Tensor:
        # At torchvision's own size the adaptive pool changes nothing, but would gather from four poolings to do so.
        if settings.adaptive_pool and tuple(x.shape[1:3]) != (FLATTENED_SIZE, FLATTENED_SIZE):
            x = layers.AdaptiveAveragePooling2D(
                FLATTENED_SIZE, data_format="channels_last", dtype=style.dtype, name="adaptive_pool"
            )(x)
        x = drop_after("flatten", blocks.flatten(x, style=style))
        for layer in ("fc6", "fc7"):
            x = drop_after(layer, blocks.dense(x, DENSE_UNITS, name=layer, style=dense_style))
        return blocks.classifier(x, classes, activation=classifier_activation, name="predictions", style=style)

    return conventions.network(
        body,
        top,
        include_top=include_top,
        weights=weights,
        input_tensor=input_tensor,
        input_shape=input_shape,
        pooling=pooling,
        classes=classes,
        classifier_activation=classifier_activation,
        name=name or _model_name(variant),
        dropout=dropout,
        style=style,
        default_shape=settings.default_shape,
        minimum_size=settings.minimum_size,
        fixed_size=True,
    )


def _model_name(variant: str) -> str:
    return "alexnet" if variant == "torchvision" else f"alexnet_{variant}"


for _variant, _settings in VARIANTS.items():
    register(
        ModelRecord(
            name=_model_name(_variant),
            description=_settings.description,
            factory=AlexNet,
            arguments={"variant": _variant},
            preprocessing=_settings.preprocessing,
            minimum_size=_settings.minimum_size,
            endpoints=("pool1", "pool2", "pool5"),
        )
    )
