"""Inception v2, or BN-Inception: GoogLeNet with batch normalization and 3x3 convolutions for the 5x5.

Source: Ioffe and Szegedy, "Batch Normalization", arXiv 1502.03167, figure 5; with the widths of TF-slim's code,
tensorflow/models research/slim/nets/inception_v2.py, where the figure's own do not add up (it prints 128 where 4c and
4d need a pooled projection of 96 for their 576 channels).
"""

from typing import Any

import keras
from keras import layers

from googlenet_keras import blocks
from googlenet_keras.blocks import BatchNormalizationStyle, Branch, Conv, Pool, Style, Tensor
from googlenet_keras.models import conventions
from googlenet_keras.models.preprocessing import MINUS_ONE_TO_ONE
from googlenet_keras.models.registry import ModelRecord, register


def _module(
    conv1x1: int,
    conv3x3: tuple[int, int],
    double3x3: tuple[int, int, int],
    pool: str,
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


MODULES = {
    #                       1x1 3x3r 3x3   double 3x3        pool  proj
    "inception_3a": _module(64, (64, 64), (64, 96, 96), "avg", 32),
    "inception_3b": _module(64, (64, 96), (64, 96, 96), "avg", 64),
    "inception_3c": _reduction((128, 160), (64, 96, 96)),
    "inception_4a": _module(224, (64, 96), (96, 128, 128), "avg", 128),
    "inception_4b": _module(192, (96, 128), (96, 128, 128), "avg", 128),
    "inception_4c": _module(160, (128, 160), (128, 160, 160), "avg", 96),
    "inception_4d": _module(96, (128, 192), (160, 192, 192), "avg", 96),
    "inception_4e": _reduction((128, 192), (192, 256, 256)),
    "inception_5a": _module(352, (192, 320), (160, 224, 224), "avg", 128),
    "inception_5b": _module(352, (192, 320), (192, 224, 224), "max", 128),
}


def InceptionV2(
    include_top: bool = True,
    weights: Any = None,
    input_tensor: Any = None,
    input_shape: tuple[int | None, ...] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str | None = None,
    *,
    separable_stem: bool = True,
    dropout: float = 0.2,
    kernel_regularizer: Any = None,
    dtype: Any = None,
) -> keras.Model:
    """Builds Inception v2, with the arguments of `googlenet_keras.GoogLeNet` and one more.

    Args:
        include_top: See there, as for all that is not named here; the last map is (batch, height, width, 1024).
        weights: See there.
        input_tensor: See there.
        input_shape: See there.
        pooling: See there.
        classes: See there.
        classifier_activation: See there.
        name: The model's name; None is ``inception_v2``, or ``bn_inception`` without the separable stem.
        separable_stem: Whether conv1 is separable, of depth multiplier 8, with a bias and no normalization, and the
            normalizations have no scale, as in TF-slim; without it conv1 is a full 7x7 convolution, normalized like the
            others, and all normalizations have a scale.
        dropout: Fraction dropped before ``predictions`` while training.
        kernel_regularizer: See there.
        dtype: See there.

    Returns:
        A functional Keras model.

    Raises:
        ValueError: If an argument is none of the above, or the weights do not fit.
    """
    style = Style(
        batch_normalization=BatchNormalizationStyle(momentum=0.9997, scale=not separable_stem),
        kernel_initializer={"class_name": "TruncatedNormal", "config": {"stddev": 0.01}},
        kernel_regularizer=kernel_regularizer,
        dtype=dtype,
    )

    def body(x: Tensor) -> Tensor:
        if separable_stem:
            x = layers.SeparableConv2D(
                64,
                7,
                strides=2,
                padding="same",
                depth_multiplier=8,
                data_format="channels_last",
                activation="relu",
                depthwise_initializer=style.kernel_initializer,
                pointwise_initializer=style.kernel_initializer,
                depthwise_regularizer=kernel_regularizer,
                pointwise_regularizer=kernel_regularizer,
                dtype=style.dtype,
                name="conv1_7x7",
            )(x)
        else:
            x = blocks.conv_block(x, 64, 7, strides=2, name="conv1_7x7", style=style)
        x = blocks.max_pool(x, 3, name="pool1", style=style)
        x = blocks.conv_block(x, 64, 1, name="conv2_3x3_reduce", style=style)
        x = blocks.conv_block(x, 192, 3, name="conv2_3x3", style=style)
        x = blocks.max_pool(x, 3, name="pool2", style=style)
        for module, branches in MODULES.items():
            x = blocks.mixed_block(x, branches, name=module, style=style)
        return x

    return conventions.network(
        body,
        include_top=include_top,
        weights=weights,
        input_tensor=input_tensor,
        input_shape=input_shape,
        pooling=pooling,
        classes=classes,
        classifier_activation=classifier_activation,
        name=name or ("inception_v2" if separable_stem else "bn_inception"),
        dropout=dropout,
        style=style,
        default_shape=(224, 224, 3),
        minimum_size=1,
    )


for _name, _separable, _description in (
    ("inception_v2", True, "TF-slim's: separable 7x7 stem, batch normalization without scale"),
    ("bn_inception", False, "BN-Inception: full 7x7 stem, batch normalization with scale"),
):
    register(
        ModelRecord(
            name=_name,
            description=_description,
            factory=InceptionV2,
            arguments={"separable_stem": _separable},
            preprocessing=MINUS_ONE_TO_ONE,
            minimum_size=1,
            endpoints=(
                "conv1_7x7" if _separable else "conv1_7x7_relu",
                "pool1",
                "conv2_3x3_relu",
                "pool2",
                *MODULES,
            ),
        )
    )
