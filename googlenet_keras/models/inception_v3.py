"""Inception v3: factorized convolutions, and modules that reduce the size of the feature map.

Source: Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", arXiv 1512.00567, with the numbers
that all implementations share: keras/src/applications/inception_v3.py, tensorflow/models
research/slim/nets/inception_v3.py (from which the modules have their names here), torchvision/models/inception.py. All
of them keep a 5x5 convolution in the first three modules.
"""

import keras

from googlenet_keras.blocks import BatchNormalizationStyle, Branch, Conv, Fork, Pool, Style
from googlenet_keras.images.preprocessing import MINUS_ONE_TO_ONE
from googlenet_keras.models.conventions import build
from googlenet_keras.models.factories import Arguments, factory
from googlenet_keras.models.registry import ModelRecord

# The smallest input, in pixels, with a feature map of 5x5 before the pooling of the auxiliary head. At 299 pixels this
# map is 17x17 in Inception v3, v4 and Inception-ResNet v2.
MINIMUM_SIZE_OF_CONVOLUTIONAL_HEAD = 107

SHRINK: Pool = Pool("max", strides=2, padding="valid")


def shrink(filters: int) -> Conv:
    """Returns a convolution that halves a feature map, as the pooling `SHRINK` does without weights."""
    return Conv(filters, 3, strides=2, padding="valid")


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

# The layers before the 35x35 feature map; Inception-ResNet uses some of them, too.
STEM = (
    {"conv_1a": shrink(32)},  # 149x149x32
    {"conv_2a": Conv(32, 3, padding="valid"), "conv_2b": Conv(64, 3)},  # 147x147x64
    {"pool_3a": SHRINK},  # 73x73x64
    {"conv_3b": Conv(80), "conv_4a": Conv(192, 3, padding="valid")},  # 71x71x192
    {"pool_5a": SHRINK},  # 35x35x192
)

MODULES: dict[str, tuple[Branch, ...]] = {
    "mixed_5b": _module_35(32),  # 35x35x256
    "mixed_5c": _module_35(64),  # 35x35x288
    "mixed_5d": _module_35(64),  # 35x35x288
    "mixed_6a": ((shrink(384),), (Conv(64), Conv(96, 3), shrink(96)), (SHRINK,)),  # 17x17x768
    "mixed_6b": _module_17(128),  # 17x17x768
    "mixed_6c": _module_17(160),  # 17x17x768
    "mixed_6d": _module_17(160),  # 17x17x768
    "mixed_6e": _module_17(192),  # 17x17x768
    "mixed_7a": (  # 8x8x1280
        (Conv(192), shrink(320)),
        (Conv(192), Conv(192, (1, 7)), Conv(192, (7, 1)), shrink(192)),
        (SHRINK,),
    ),
    "mixed_7b": _MODULE_8,  # 8x8x2048
    "mixed_7c": _MODULE_8,  # 8x8x2048
}

INCEPTION_V3 = ModelRecord(
    name="inception_v3",
    description="Inception v3: factorized convolutions, 299x299",
    stages=(*STEM, *({name: module} for name, module in MODULES.items())),
    # keras/src/applications/inception_v3.py: conv2d_bn (scale=False, with Keras's default momentum and epsilon)
    style=Style(batch_normalization=BatchNormalizationStyle(scale=False)),
    default_shape=(299, 299, 3),
    minimum_size=75,
    aux_head_on={"aux": "mixed_6e"},
    minimum_size_of_aux_heads=MINIMUM_SIZE_OF_CONVOLUTIONAL_HEAD,
    preprocessing=MINUS_ONE_TO_ONE,
)


@factory(INCEPTION_V3, name="inception_v3")
def InceptionV3(arguments: Arguments, *, aux_heads: bool = False, dropout: float = 0.2) -> keras.Model:
    """Builds Inception v3.

    The top consists of global average pooling, dropout and the classifier. The last feature map has shape (batch,
    height, width, 2048).

    Args:
        dropout: Fraction of the features that is dropped before ``predictions`` during training; 0 leaves the layer
            out. The default is that of TF-slim.
    """
    return build(INCEPTION_V3, arguments, aux_heads=aux_heads, dropout=dropout)
