"""AlexNet: five convolutions and three dense layers, in the versions of torchvision and Caffe.

Source: Krizhevsky et al., "ImageNet Classification with Deep Convolutional Neural Networks", 2012, and Krizhevsky, "One
weird trick for parallelizing convolutional neural networks", arXiv 1404.5997.
"""

from dataclasses import replace
from functools import partial

import keras
from keras import layers

from googlenet_keras import blocks
from googlenet_keras.blocks import Conv, Pool, Stage, Style, initializer
from googlenet_keras.images.preprocessing import MEAN_SUBTRACTED_BGR, STANDARDIZED_RGB
from googlenet_keras.keras_types import Activation, Initializer, Tensor
from googlenet_keras.models.conventions import build
from googlenet_keras.models.factories import Arguments, factory
from googlenet_keras.models.registry import ModelRecord

# Height and width of the feature map that the dense layers expect.
FLATTENED_SIZE = 6
DENSE_UNITS = 4096

_LRN = blocks.local_response_normalization
_POOL = Pool("max", strides=2, padding="valid")
# The last window may extend beyond the border.
_CEIL_POOL = Pool("max", strides=2)
TORCHVISION: tuple[Stage, ...] = (
    {"conv1": Conv(64, 11, strides=4, padding=2), "pool1": _POOL},  # 27x27x64
    {"conv2": Conv(192, 5), "pool2": _POOL},  # 13x13x192
    {"conv3": Conv(384, 3), "conv4": Conv(256, 3), "conv5": Conv(256, 3), "pool5": _POOL},  # 6x6x256
)
CAFFE: tuple[Stage, ...] = (
    {"conv1": Conv(96, 11, strides=4, padding=0, bias=0.0), "norm1": _LRN, "pool1": _CEIL_POOL},  # 27x27x96
    {"conv2": Conv(256, 5, groups=2), "norm2": _LRN, "pool2": _CEIL_POOL},  # 13x13x256
    {
        "conv3": Conv(384, 3, bias=0.0),
        "conv4": Conv(384, 3, groups=2),
        "conv5": Conv(256, 3, groups=2),
        "pool5": _CEIL_POOL,  # 6x6x256
    },
)


def _top(
    x: Tensor,
    classes: int,
    *,
    activation: Activation,
    dropout: float,
    style: Style,
    dropout_after: tuple[str, str],
    dense_initializer: Initializer,
    adaptive_pool: bool = False,
) -> Tensor:
    """Builds the top, with dropout after the given layers; an adaptive pool averages any feature map to 6x6 first."""

    def drop_after(layer: str, x: Tensor) -> Tensor:
        return blocks.drop(x, dropout if layer in dropout_after else 0, name=f"{layer}_dropout", style=style)

    # At torchvision's own input size the map is 6x6 already, so the pool would compute four poolings for nothing.
    if adaptive_pool and tuple(x.shape[1:3]) != (FLATTENED_SIZE, FLATTENED_SIZE):
        x = layers.AdaptiveAveragePooling2D(
            FLATTENED_SIZE, data_format="channels_last", dtype=style.dtype, name="adaptive_pool"
        )(x)
    x = drop_after("flatten", blocks.flatten(x, style=style))
    dense_style = replace(style, kernel_initializer=dense_initializer)
    for layer in ("fc6", "fc7"):
        x = drop_after(layer, blocks.dense(x, DENSE_UNITS, name=layer, style=dense_style))
    return blocks.classifier(x, classes, activation=activation, name="predictions", style=style)


VARIANTS = {
    # pytorch/vision torchvision/models/alexnet.py: the single tower of the second paper, without LRN.
    "torchvision": ModelRecord(
        name="alexnet",
        description="torchvision's: one tower with 64-192-384-256-256 filters, no LRN, dropout 0.5",
        stages=TORCHVISION,
        style=Style(padding="explicit", bias_initializer=initializer("Constant", value=0.0)),
        top=partial(_top, dropout_after=("flatten", "fc6"), dense_initializer="glorot_uniform", adaptive_pool=True),
        fixed_size=True,
        minimum_size=63,
        preprocessing=STANDARDIZED_RGB,
        arguments={"variant": "torchvision"},
    ),
    # BVLC caffe models/bvlc_alexnet/train_val.prototxt: the first paper's two groups, LRN before the pooling.
    "caffe": ModelRecord(
        name="alexnet_caffe",
        description="Caffe's: 96-256-384-384-256 filters in two groups, LRN 5 / 1e-4 / 0.75 / 1, 227x227, dropout 0.5",
        stages=CAFFE,
        style=Style(
            padding="explicit",
            kernel_initializer=initializer("RandomNormal", stddev=0.01),
            bias_initializer=initializer("Constant", value=0.1),
        ),
        top=partial(_top, dropout_after=("fc6", "fc7"), dense_initializer=initializer("RandomNormal", stddev=0.005)),
        default_shape=(227, 227, 3),
        fixed_size=True,
        minimum_size=39,
        preprocessing=replace(MEAN_SUBTRACTED_BGR, crop_fraction=227 / 256),
        arguments={"variant": "caffe"},
    ),
}


@factory(*VARIANTS.values())
def AlexNet(arguments: Arguments, *, variant: str = "torchvision", dropout: float = 0.5) -> keras.Model:
    """Builds AlexNet, which `create_model` calls ``alexnet`` (torchvision's) or ``alexnet_caffe``.

    The layers have Caffe's names: ``conv1``, ``norm1``, ``pool1``, ... ``conv5``, ``pool5``, ``fc6`` and ``fc7``, but
    Caffe's ``fc8`` is called ``predictions``. The top consists of flattening, two dense layers with 4096 units and
    dropout, and the classifier; with the top, the height and width of the input must be known. The last feature map has
    shape (batch, height, width, 256).

    Args:
        variant: One of `VARIANTS`: ``"torchvision"``, or ``"caffe"``, whose default input is (227, 227, 3).
        dropout: Fraction of the features that is dropped during training, before ``fc6`` and ``fc7`` (torchvision) or
            after them (Caffe); 0 leaves the layers out.
    """
    if variant not in VARIANTS:
        raise ValueError(f"`variant` must be one of {', '.join(VARIANTS)}. Received: {variant!r}")
    return build(VARIANTS[variant], arguments, dropout=dropout)
