"""Inception v4: a longer stem and more uniform modules.

Source: Szegedy et al., "Inception-v4, Inception-ResNet and the Impact of Residual Connections on Learning", arXiv
1602.07261; tensorflow/models research/slim/nets/inception_v4.py, from which the blocks have their names here.
"""

import keras

from googlenet_keras.blocks import BatchNormalizationStyle, Branch, Conv, Fork, Pool, Style
from googlenet_keras.images.preprocessing import MINUS_ONE_TO_ONE
from googlenet_keras.models.conventions import build
from googlenet_keras.models.factories import Arguments, factory
from googlenet_keras.models.inception_v3 import MINIMUM_SIZE_OF_CONVOLUTIONAL_HEAD, SHRINK, shrink
from googlenet_keras.models.registry import ModelRecord

_MODULE_A: tuple[Branch, ...] = (
    (Conv(96),),
    (Conv(64), Conv(96, 3)),
    (Conv(64), Conv(96, 3), Conv(96, 3)),
    (Pool("avg"), Conv(96)),
)
_MODULE_B: tuple[Branch, ...] = (
    (Conv(384),),
    (Conv(192), Conv(224, (1, 7)), Conv(256, (7, 1))),
    (Conv(192), Conv(192, (7, 1)), Conv(224, (1, 7)), Conv(224, (7, 1)), Conv(256, (1, 7))),
    (Pool("avg"), Conv(128)),
)
_MODULE_C: tuple[Branch, ...] = (
    (Conv(256),),
    (Conv(384), Fork((Conv(256, (1, 3)), Conv(256, (3, 1))))),
    (Conv(384), Conv(448, (3, 1)), Conv(512, (1, 3)), Fork((Conv(256, (1, 3)), Conv(256, (3, 1))))),
    (Pool("avg"), Conv(256)),
)

STEM = (
    {"conv_1a": shrink(32)},  # 149x149x32
    {"conv_2a": Conv(32, 3, padding="valid"), "conv_2b": Conv(64, 3)},  # 147x147x64
)

MODULES: dict[str, tuple[Branch, ...]] = {
    "mixed_3a": ((SHRINK,), (shrink(96),)),  # 73x73x160
    "mixed_4a": (  # 71x71x192
        (Conv(64), Conv(96, 3, padding="valid")),
        (Conv(64), Conv(64, (1, 7)), Conv(64, (7, 1)), Conv(96, 3, padding="valid")),
    ),
    "mixed_5a": ((shrink(192),), (SHRINK,)),  # 35x35x384
    **{f"mixed_5{letter}": _MODULE_A for letter in "bcde"},  # 35x35x384
    "mixed_6a": ((shrink(384),), (Conv(192), Conv(224, 3), shrink(256)), (SHRINK,)),  # 17x17x1024
    **{f"mixed_6{letter}": _MODULE_B for letter in "bcdefgh"},  # 17x17x1024
    "mixed_7a": (  # 8x8x1536
        (Conv(192), shrink(192)),
        (Conv(256), Conv(256, (1, 7)), Conv(320, (7, 1)), shrink(320)),
        (SHRINK,),
    ),
    **{f"mixed_7{letter}": _MODULE_C for letter in "bcd"},  # 8x8x1536
}

INCEPTION_V4 = ModelRecord(
    name="inception_v4",
    description="Inception v4: a longer stem and more uniform modules, 299x299",
    stages=(*STEM, *({name: module} for name, module in MODULES.items())),
    style=Style(batch_normalization=BatchNormalizationStyle(momentum=0.9997, scale=False)),
    default_shape=(299, 299, 3),
    minimum_size=75,
    aux_head_on={"aux": "mixed_6h"},
    minimum_size_of_aux_heads=MINIMUM_SIZE_OF_CONVOLUTIONAL_HEAD,
    preprocessing=MINUS_ONE_TO_ONE,
)


@factory(INCEPTION_V4, name="inception_v4")
def InceptionV4(arguments: Arguments, *, aux_heads: bool = False, dropout: float = 0.2) -> keras.Model:
    """Builds Inception v4.

    The top consists of global average pooling, dropout and the classifier. The last feature map has shape (batch,
    height, width, 1536).
    """
    return build(INCEPTION_V4, arguments, aux_heads=aux_heads, dropout=dropout)
