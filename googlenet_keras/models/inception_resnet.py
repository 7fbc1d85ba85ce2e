"""Inception-ResNet v1 and v2: Inception modules with shortcuts, to which each module adds a residual.

Source: Szegedy et al., arXiv 1602.07261, figures 10 to 15, in the form that all published weights follow:
davidsandberg/facenet src/models/inception_resnet_v1.py, and tensorflow/models
research/slim/nets/inception_resnet_v2.py (keras/src/applications/inception_resnet_v2.py is the same network).
"""

from dataclasses import replace
from functools import partial

import keras

from googlenet_keras.blocks import BatchNormalizationStyle, Branch, Conv, Pool, Residual, Stage, Style
from googlenet_keras.images.preprocessing import MINUS_ONE_TO_ONE
from googlenet_keras.models import inception_v3
from googlenet_keras.models.conventions import build
from googlenet_keras.models.factories import Arguments, factory
from googlenet_keras.models.inception_v3 import MINIMUM_SIZE_OF_CONVOLUTIONAL_HEAD, SHRINK, shrink
from googlenet_keras.models.registry import ModelRecord


def _mixed_7a(second: int, third: tuple[int, int]) -> tuple[Branch, ...]:
    return (
        (Conv(256), shrink(384)),
        (Conv(256), shrink(second)),
        (Conv(256), Conv(third[0], 3), shrink(third[1])),
        (SHRINK,),
    )


def _repeated(block: str, repeats: int, scale: float, *branches: Branch) -> dict[str, Residual]:
    """Returns equal blocks, each of which multiplies its residual by ``scale``."""
    return {f"{block}_{number}": Residual(branches, scale) for number in range(1, repeats + 1)}


# The last block at 8x8 has neither a scaling nor a ReLU.
_last = partial(Residual, scale=1.0, activation=None)

_conv_1a, _conv_2b, _pool_3a, _conv_4a, _pool_5a = inception_v3.STEM
_STEM = ({**_conv_1a, **_conv_2b}, _pool_3a, _conv_4a)  # conv_2b 147x147x64, pool_3a 73x73x64, conv_4a 71x71x192

_V1_BLOCK35: tuple[Branch, ...] = ((Conv(32),), (Conv(32), Conv(32, 3)), (Conv(32), Conv(32, 3), Conv(32, 3)))
_V1_BLOCK17: tuple[Branch, ...] = ((Conv(128),), (Conv(128), Conv(128, (1, 7)), Conv(128, (7, 1))))
_V1_BLOCK8: tuple[Branch, ...] = ((Conv(192),), (Conv(192), Conv(192, (1, 3)), Conv(192, (3, 1))))
V1: tuple[Stage, ...] = (
    *_STEM,
    # A convolution takes the place of the pooling that the other networks have here.
    {"conv_4b": shrink(256), **_repeated("block35", 5, 0.17, *_V1_BLOCK35)},  # 35x35x256
    {"mixed_6a": ((shrink(384),), (Conv(192), Conv(192, 3), shrink(256)), (SHRINK,))},  # 17x17x896
    _repeated("block17", 10, 0.1, *_V1_BLOCK17),  # 17x17x896
    {"mixed_7a": _mixed_7a(256, (256, 256))},  # 8x8x1792
    {**_repeated("block8", 5, 0.2, *_V1_BLOCK8), "block8_6": _last(_V1_BLOCK8)},  # 8x8x1792
)
_V2_BLOCK35: tuple[Branch, ...] = ((Conv(32),), (Conv(32), Conv(32, 3)), (Conv(32), Conv(48, 3), Conv(64, 3)))
_V2_BLOCK17: tuple[Branch, ...] = ((Conv(192),), (Conv(128), Conv(160, (1, 7)), Conv(192, (7, 1))))
_V2_BLOCK8: tuple[Branch, ...] = ((Conv(192),), (Conv(192), Conv(224, (1, 3)), Conv(256, (3, 1))))
V2: tuple[Stage, ...] = (
    *_STEM,
    {
        **_pool_5a,
        "mixed_5b": (  # 35x35x320
            (Conv(96),),
            (Conv(48), Conv(64, 5)),
            (Conv(64), Conv(96, 3), Conv(96, 3)),
            (Pool("avg"), Conv(64)),
        ),
    },
    _repeated("block35", 10, 0.17, *_V2_BLOCK35),  # 35x35x320
    {"mixed_6a": ((shrink(384),), (Conv(256), Conv(256, 3), shrink(384)), (SHRINK,))},  # 17x17x1088
    _repeated("block17", 20, 0.1, *_V2_BLOCK17),  # 17x17x1088
    {"mixed_7a": _mixed_7a(288, (288, 320))},  # 8x8x2080
    {**_repeated("block8", 9, 0.2, *_V2_BLOCK8), "block8_10": _last(_V2_BLOCK8)},  # 8x8x2080
    {"conv_7b": Conv(1536)},  # 8x8x1536
)
# The momentum is that of batch_norm_params in both sources, which leave "scale" at TF-slim's default of False.
_STYLE = Style(batch_normalization=BatchNormalizationStyle(momentum=0.995, scale=False))

INCEPTION_RESNET_V1 = ModelRecord(
    name="inception_resnet_v1",
    description="Inception-ResNet v1 with facenet's sixth block at 8x8, 299x299",
    stages=V1,
    style=_STYLE,
    default_shape=(299, 299, 3),
    minimum_size=75,
    preprocessing=MINUS_ONE_TO_ONE,
)
INCEPTION_RESNET_V2 = ModelRecord(
    name="inception_resnet_v2",
    description="Inception-ResNet v2 as TF-slim and Keras have it, 299x299",
    stages=V2,
    style=_STYLE,
    default_shape=(299, 299, 3),
    minimum_size=75,
    aux_head_on={"aux": "block17_20"},
    minimum_size_of_aux_heads=MINIMUM_SIZE_OF_CONVOLUTIONAL_HEAD,
    preprocessing=MINUS_ONE_TO_ONE,
)


@factory(INCEPTION_RESNET_V1, name="inception_resnet_v1")
def InceptionResNetV1(arguments: Arguments, *, last_block: bool = True, dropout: float = 0.2) -> keras.Model:
    """Builds Inception-ResNet v1.

    The top consists of global average pooling, dropout and the classifier. The last feature map has shape (batch,
    height, width, 1792).

    Args:
        last_block: Whether the body ends in a sixth block at 8x8, as in facenet; the paper has only five.
    """
    record = INCEPTION_RESNET_V1
    if not last_block:
        blocks8 = {name: block for name, block in V1[-1].items() if name != "block8_6"}
        record = replace(record, stages=(*V1[:-1], blocks8))
    return build(record, arguments, dropout=dropout)


@factory(INCEPTION_RESNET_V2, name="inception_resnet_v2")
def InceptionResNetV2(arguments: Arguments, *, aux_heads: bool = False, dropout: float = 0.2) -> keras.Model:
    """Builds Inception-ResNet v2.

    The top consists of global average pooling, dropout and the classifier. The last feature map has shape (batch,
    height, width, 1536).
    """
    return build(INCEPTION_RESNET_V2, arguments, aux_heads=aux_heads, dropout=dropout)
