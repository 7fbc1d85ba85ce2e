"""Inception v3: factorized convolutions, and grids that shrink inside a module.

Source: Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", arXiv 1512.00567, with the numbers
that all code shares: keras/src/applications/inception_v3.py, tensorflow/models research/slim/nets/inception_v3.py
(whose names the modules have here), torchvision/models/inception.py. All keep a 5x5 in the first three modules.
"""

from typing import Any

import keras

from googlenet_keras import blocks
from googlenet_keras.blocks import BatchNormalizationStyle, Branch, Conv, Fork, Pool, Style, Tensor
from googlenet_keras.models import conventions
from googlenet_keras.models.preprocessing import MINUS_ONE_TO_ONE
from googlenet_keras.models.registry import ModelRecord, register


def _module_35(pool_proj: int) -> tuple[Branch, ...]:
    return (
        (Conv(64),),
        (Conv(48), Conv(64, 5)),
        (Conv(64), Conv(96, 3), Conv(96, 3)),
        (Pool("avg"), Conv(pool_proj)),
    )


def _module_17(width: int) -> tuple[Branch, ...]:
    return (
        (Conv(192),),
        (Conv(width), Conv(width, (1, 7)), Conv(192, (7, 1))),
        (Conv(width), Conv(width, (7, 1)), Conv(width, (1, 7)), Conv(width, (7, 1)), Conv(192, (1, 7))),
        (Pool("avg"), Conv(192)),
    )


_MODULE_8: tuple[Branch, ...] = (
    (Conv(320),),
    (Conv(384), Fork((Conv(384, (1, 3)), Conv(384, (3, 1))))),
    (Conv(448), Conv(384, 3), Fork((Conv(384, (1, 3)), Conv(384, (3, 1))))),
    (Pool("avg"), Conv(192)),
)

# The 35x35 map's way there is Inception-ResNet's too.
STEM = {
    "conv_1a": Conv(32, 3, strides=2, padding="valid"),
    "conv_2a": Conv(32, 3, padding="valid"),
    "conv_2b": Conv(64, 3),
    "pool_3a": Pool("max", strides=2, padding="valid"),
    "conv_3b": Conv(80),
    "conv_4a": Conv(192, 3, padding="valid"),
    "pool_5a": Pool("max", strides=2, padding="valid"),
}

MODULES: dict[str, tuple[Branch, ...]] = {
    "mixed_5b": _module_35(32),
    "mixed_5c": _module_35(64),
    "mixed_5d": _module_35(64),
    "mixed_6a": (
        (Conv(384, 3, strides=2, padding="valid"),),
        (Conv(64), Conv(96, 3), Conv(96, 3, strides=2, padding="valid")),
        (Pool("max", strides=2, padding="valid"),),
    ),
    "mixed_6b": _module_17(128),
    "mixed_6c": _module_17(160),
    "mixed_6d": _module_17(160),
    "mixed_6e": _module_17(192),
    "mixed_7a": (
        (Conv(192), Conv(320, 3, strides=2, padding="valid")),
        (Conv(192), Conv(192, (1, 7)), Conv(192, (7, 1)), Conv(192, 3, strides=2, padding="valid")),
        (Pool("max", strides=2, padding="valid"),),
    ),
    "mixed_7b": _MODULE_8,
    "mixed_7c": _MODULE_8,
}


def InceptionV3(
    include_top: bool = True,
    weights: Any = None,
    input_tensor: Any = None,
    input_shape: tuple[int | None, ...] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str = "inception_v3",
    *,
    aux_heads: bool = False,
    dropout: float = 0.2,
    kernel_regularizer: Any = None,
    dtype: Any = None,
) -> keras.Model:
    """Builds Inception v3, with the arguments of `googlenet_keras.GoogLeNet`.

    Args:
        include_top: See there, as for all that is not named here; the last map is (batch, height, width, 2048).
        weights: See there.
        input_tensor: See there.
        input_shape: (height, width, channels) in pixels; None is (299, 299, 3) with the top.
        pooling: See there.
        classes: See there.
        classifier_activation: See there.
        name: See there.
        aux_heads: Whether the classifier ``aux`` (on mixed_6e) is built; the model then answers
            ``{"predictions", "aux"}``. It needs 107 pixels.
        dropout: Fraction dropped before ``predictions`` while training; TF-slim's.
        kernel_regularizer: See there.
        dtype: See there.

    Returns:
        A functional Keras model.

    Raises:
        ValueError: If an argument is none of the above, the input is below 75 pixels, or the weights do not fit.
    """
    style = Style(
        # keras/src/applications/inception_v3.py: conv2d_bn (scale=False, Keras's momentum and epsilon)
        batch_normalization=BatchNormalizationStyle(scale=False),
        kernel_regularizer=kernel_regularizer,
        dtype=dtype,
    )

    def body(x: Tensor) -> Tensor:
        x = blocks.chain(x, STEM, style=style)
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
        name=name,
        dropout=dropout,
        style=style,
        default_shape=(299, 299, 3),
        minimum_size=75,
        aux_head_on="mixed_6e",
        aux_heads=aux_heads,
    )


register(
    ModelRecord(
        name="inception_v3",
        description="Inception v3: factorized convolutions, 299x299",
        factory=InceptionV3,
        preprocessing=MINUS_ONE_TO_ONE,
        minimum_size=75,
        endpoints=("conv_1a_relu", "conv_2b_relu", "pool_3a", "conv_4a_relu", "pool_5a", *MODULES),
        aux_heads=("aux",),
        minimum_size_of_aux_heads=conventions.MINIMUM_SIZE_OF_CONVOLUTIONAL_HEAD,
    )
)
