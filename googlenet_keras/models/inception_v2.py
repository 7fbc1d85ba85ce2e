"""Inception v2, or BN-Inception: GoogLeNet with batch normalization, and with 3x3 instead of 5x5 convolutions.

Source: Ioffe and Szegedy, "Batch Normalization", arXiv 1502.03167, figure 5. The numbers of filters are those
of TF-slim's code, tensorflow/models research/slim/nets/inception_v2.py, where those of the figure do not add up: it
gives 128 for the pooling projection of 4c and 4d, which needs 96 for their 576 channels.
"""

from dataclasses import replace
from typing import Literal

import keras
from keras import layers

from googlenet_keras.blocks import BatchNormalizationStyle, Branch, Conv, Pool, Style, initializer
from googlenet_keras.images.preprocessing import MINUS_ONE_TO_ONE
from googlenet_keras.keras_types import Tensor
from googlenet_keras.models.conventions import build
from googlenet_keras.models.factories import Arguments, factory
from googlenet_keras.models.registry import ModelRecord


def _separable_conv(x: Tensor, *, name: str, style: Style) -> Tensor:
    return layers.SeparableConv2D(
        64,
        7,
        strides=2,
        padding="same",
        depth_multiplier=8,
        data_format="channels_last",
        activation="relu",
        depthwise_initializer=style.kernel_initializer,
        pointwise_initializer=style.kernel_initializer,
        depthwise_regularizer=style.kernel_regularizer,
        pointwise_regularizer=style.kernel_regularizer,
        dtype=style.dtype,
        name=name,
    )(x)


def _module(
    conv1x1: int,
    conv3x3: tuple[int, int],
    double3x3: tuple[int, int, int],
    pool: Literal["max", "avg"],
    pool_proj: int,
) -> tuple[Branch, ...]:
    return (
        (Conv(conv1x1),),
        (Conv(conv3x3[0]), Conv(conv3x3[1], 3)),
        (Conv(double3x3[0]), Conv(double3x3[1], 3), Conv(double3x3[2], 3)),
        (Pool(pool), Conv(pool_proj)),
    )


def _reduction(conv3x3: tuple[int, int], double3x3: tuple[int, int, int]) -> tuple[Branch, ...]:
    return (
        (Conv(conv3x3[0]), Conv(conv3x3[1], 3, strides=2)),
        (Conv(double3x3[0]), Conv(double3x3[1], 3), Conv(double3x3[2], 3, strides=2)),
        (Pool("max", strides=2),),
    )


MODULES: dict[str, tuple[Branch, ...]] = {
    #                       1x1 3x3r 3x3   double 3x3        pool  proj
    "inception_3a": _module(64, (64, 64), (64, 96, 96), "avg", 32),  # 28x28x256
    "inception_3b": _module(64, (64, 96), (64, 96, 96), "avg", 64),  # 28x28x320
    "inception_3c": _reduction((128, 160), (64, 96, 96)),  # 14x14x576
    "inception_4a": _module(224, (64, 96), (96, 128, 128), "avg", 128),  # 14x14x576
    "inception_4b": _module(192, (96, 128), (96, 128, 128), "avg", 128),  # 14x14x576
    "inception_4c": _module(160, (128, 160), (128, 160, 160), "avg", 96),  # 14x14x576
    "inception_4d": _module(96, (128, 192), (160, 192, 192), "avg", 96),  # 14x14x576
    "inception_4e": _reduction((128, 192), (192, 256, 256)),  # 7x7x1024
    "inception_5a": _module(352, (192, 320), (160, 224, 224), "avg", 128),  # 7x7x1024
    "inception_5b": _module(352, (192, 320), (192, 224, 224), "max", 128),  # 7x7x1024
}


INCEPTION_V2 = ModelRecord(
    name="inception_v2",
    description="TF-slim's: separable 7x7 stem, batch normalization without scale",
    stages=(
        {"conv1_7x7": _separable_conv},  # 112x112x64
        {"pool1": Pool("max", strides=2)},  # 56x56x64
        {"conv2_3x3_reduce": Conv(64), "conv2_3x3": Conv(192, 3)},  # 56x56x192
        {"pool2": Pool("max", strides=2)},  # 28x28x192
        *({name: module} for name, module in MODULES.items()),
    ),
    style=Style(
        batch_normalization=BatchNormalizationStyle(momentum=0.9997, scale=False),
        kernel_initializer=initializer("TruncatedNormal", stddev=0.01),
    ),
    minimum_size=1,
    preprocessing=MINUS_ONE_TO_ONE,
    arguments={"separable_stem": True},
)
BN_INCEPTION = replace(
    INCEPTION_V2,
    name="bn_inception",
    description="BN-Inception: full 7x7 stem, batch normalization with scale",
    stages=({"conv1_7x7": Conv(64, 7, strides=2)}, *INCEPTION_V2.stages[1:]),  # conv1_7x7 112x112x64
    style=replace(INCEPTION_V2.style, batch_normalization=BatchNormalizationStyle(momentum=0.9997)),
    arguments={"separable_stem": False},
)


@factory(INCEPTION_V2, BN_INCEPTION)
def InceptionV2(arguments: Arguments, *, separable_stem: bool = True, dropout: float = 0.2) -> keras.Model:
    """Builds Inception v2, which `create_model` calls ``inception_v2``, or ``bn_inception`` without the separable stem.

    The top consists of global average pooling, dropout and the classifier. The last feature map has shape (batch,
    height, width, 1024).

    Args:
        separable_stem: Whether the network is that of TF-slim, where conv1 is a separable convolution with a depth
            multiplier of 8, a bias and no normalization, and where the normalizations have no scale. Otherwise conv1 is
            a full 7x7 convolution that is normalized like the others, and all normalizations have a scale.
    """
    return build(INCEPTION_V2 if separable_stem else BN_INCEPTION, arguments, dropout=dropout)
