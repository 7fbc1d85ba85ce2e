"""Inception-ResNet v1 and v2: Inception modules as the residual of a shortcut.

Source: Szegedy et al., arXiv 1602.07261, figures 10 to 15, in the form that all published weights have:
davidsandberg/facenet src/models/inception_resnet_v1.py, and tensorflow/models
research/slim/nets/inception_resnet_v2.py (keras/src/applications/inception_resnet_v2.py is the same network).
"""

from dataclasses import dataclass
from typing import Any

import keras

from googlenet_keras import blocks
from googlenet_keras.blocks import BatchNormalizationStyle, Branch, Conv, Pool, Style, Tensor
from googlenet_keras.models import conventions, inception_v3
from googlenet_keras.models.preprocessing import MINUS_ONE_TO_ONE
from googlenet_keras.models.registry import ModelRecord, register

_SHRINK = Pool("max", strides=2, padding="valid")


def _shrink(filters: int) -> Conv:
    return Conv(filters, 3, strides=2, padding="valid")


@dataclass(frozen=True, kw_only=True)
class Table:
    """One of the two networks, from its stem on.

    Attributes:
        stem: Convolutions and poolings down to 35x35.
        mixed_5b: The module before the first residual blocks, if there is one.
        block35: Branches of the residual blocks at 35x35.
        mixed_6a: The reduction to 17x17.
        block17: Branches of the residual blocks at 17x17.
        mixed_7a: The reduction to 8x8.
        block8: Branches of the residual blocks at 8x8.
        repeats: How many blocks of each there are, without the last at 8x8, which neither scales nor rectifies.
        conv_7b: The convolution after the blocks, if there is one.
    """

    stem: dict[str, Conv | Pool]
    mixed_5b: tuple[Branch, ...] = ()
    block35: tuple[Branch, ...]
    mixed_6a: tuple[Branch, ...]
    block17: tuple[Branch, ...]
    mixed_7a: tuple[Branch, ...]
    block8: tuple[Branch, ...]
    repeats: tuple[int, int, int]
    conv_7b: dict[str, Conv]


V1 = Table(
    # A convolution where the others pool.
    stem={**{name: step for name, step in inception_v3.STEM.items() if name != "pool_5a"}, "conv_4b": _shrink(256)},
    block35=((Conv(32),), (Conv(32), Conv(32, 3)), (Conv(32), Conv(32, 3), Conv(32, 3))),
    mixed_6a=((_shrink(384),), (Conv(192), Conv(192, 3), _shrink(256)), (_SHRINK,)),
    block17=((Conv(128),), (Conv(128), Conv(128, (1, 7)), Conv(128, (7, 1)))),
    mixed_7a=(
        (Conv(256), _shrink(384)),
        (Conv(256), _shrink(256)),
        (Conv(256), Conv(256, 3), _shrink(256)),
        (_SHRINK,),
    ),
    block8=((Conv(192),), (Conv(192), Conv(192, (1, 3)), Conv(192, (3, 1)))),
    repeats=(5, 10, 5),
    conv_7b={},
)
V2 = Table(
    stem=inception_v3.STEM,
    mixed_5b=(
        (Conv(96),),
        (Conv(48), Conv(64, 5)),
        (Conv(64), Conv(96, 3), Conv(96, 3)),
        (Pool("avg"), Conv(64)),
    ),
    block35=((Conv(32),), (Conv(32), Conv(32, 3)), (Conv(32), Conv(48, 3), Conv(64, 3))),
    mixed_6a=((_shrink(384),), (Conv(256), Conv(256, 3), _shrink(384)), (_SHRINK,)),
    block17=((Conv(192),), (Conv(128), Conv(160, (1, 7)), Conv(192, (7, 1)))),
    mixed_7a=(
        (Conv(256), _shrink(384)),
        (Conv(256), _shrink(288)),
        (Conv(256), Conv(288, 3), _shrink(320)),
        (_SHRINK,),
    ),
    block8=((Conv(192),), (Conv(192), Conv(224, (1, 3)), Conv(256, (3, 1)))),
    repeats=(10, 20, 9),
    conv_7b={"conv_7b": Conv(1536)},
)
# How much of a block's residual is added, at 35x35, 17x17 and 8x8.
SCALES = (0.17, 0.1, 0.2)


def _body(x: Tensor, table: Table, style: Style, *, last_block: bool) -> Tensor:
    x = blocks.chain(x, table.stem, style=style)
    if table.mixed_5b:
        x = blocks.mixed_block(x, table.mixed_5b, name="mixed_5b", style=style)
    stages = zip(
        ("block35", "block17", "block8"),
        (table.block35, table.block17, table.block8),
        table.repeats,
        SCALES,
        (("mixed_6a", table.mixed_6a), ("mixed_7a", table.mixed_7a), None),
        strict=True,
    )
    for block, branches, repeats, scale, reduction in stages:
        for number in range(1, repeats + 1):
            x = blocks.residual_block(x, branches, scale=scale, name=f"{block}_{number}", style=style)
        if reduction:
            x = blocks.mixed_block(x, reduction[1], name=reduction[0], style=style)
    if last_block:
        name = f"block8_{table.repeats[-1] + 1}"
        x = blocks.residual_block(x, table.block8, scale=1.0, activation=None, name=name, style=style)
    return blocks.chain(x, table.conv_7b, style=style)


def InceptionResNetV1(
    include_top: bool = True,
    weights: Any = None,
    input_tensor: Any = None,
    input_shape: tuple[int | None, ...] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str = "inception_resnet_v1",
    *,
    last_block: bool = True,
    dropout: float = 0.2,
    kernel_regularizer: Any = None,
    dtype: Any = None,
) -> keras.Model:
    """Builds Inception-ResNet v1, with the arguments of `googlenet_keras.GoogLeNet` and one more.

    Args:
        include_top: See there, as for all that is not named here; the last map is (batch, height, width, 1792).
        weights: See there.
        input_tensor: See there.
        input_shape: (height, width, channels) in pixels; None is (299, 299, 3) with the top.
        pooling: See there.
        classes: See there.
        classifier_activation: See there.
        name: See there.
        last_block: Whether a sixth block at 8x8 ends the body, as in facenet; the paper has five.
        dropout: Fraction dropped before ``predictions`` while training.
        kernel_regularizer: See there.
        dtype: See there.

    Returns:
        A functional Keras model.

    Raises:
        ValueError: If an argument is none of the above, the input is below 75 pixels, or the weights do not fit.
    """
    style = _style(kernel_regularizer, dtype)
    return conventions.network(
        lambda x: _body(x, V1, style, last_block=last_block),
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
    )


def InceptionResNetV2(
    include_top: bool = True,
    weights: Any = None,
    input_tensor: Any = None,
    input_shape: tuple[int | None, ...] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str = "inception_resnet_v2",
    *,
    aux_heads: bool = False,
    dropout: float = 0.2,
    kernel_regularizer: Any = None,
    dtype: Any = None,
) -> keras.Model:
    """Builds Inception-ResNet v2, with the arguments of `googlenet_keras.GoogLeNet`.

    Args:
        include_top: See there, as for all that is not named here; the last map is (batch, height, width, 1536).
        weights: See there.
        input_tensor: See there.
        input_shape: (height, width, channels) in pixels; None is (299, 299, 3) with the top.
        pooling: See there.
        classes: See there.
        classifier_activation: See there.
        name: See there.
        aux_heads: Whether the classifier ``aux`` (on block17_20) is built; the model then answers
            ``{"predictions", "aux"}``. It needs 107 pixels.
        dropout: Fraction dropped before ``predictions`` while training.
        kernel_regularizer: See there.
        dtype: See there.

    Returns:
        A functional Keras model.

    Raises:
        ValueError: If an argument is none of the above, the input is below 75 pixels, or the weights do not fit.
    """
    style = _style(kernel_regularizer, dtype)
    return conventions.network(
        lambda x: _body(x, V2, style, last_block=True),
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
        aux_head_on="block17_20",
        aux_heads=aux_heads,
    )


def _style(kernel_regularizer: Any, dtype: Any) -> Style:
    # batch_norm_params of both sources, and their "scale" left at TF-slim's default of False.
    normalization = BatchNormalizationStyle(momentum=0.995, scale=False)
    return Style(batch_normalization=normalization, kernel_regularizer=kernel_regularizer, dtype=dtype)


def _endpoints(table: Table) -> tuple[str, ...]:
    blocks35, blocks17, blocks8 = table.repeats
    return (
        *("conv_2b_relu", "pool_3a", "conv_4a_relu"),
        *(["mixed_5b"] if table.mixed_5b else []),
        *(f"block35_{blocks35}", "mixed_6a", f"block17_{blocks17}", "mixed_7a", f"block8_{blocks8 + 1}"),
        *(f"{name}_relu" for name in table.conv_7b),
    )


register(
    ModelRecord(
        name="inception_resnet_v1",
        description="Inception-ResNet v1 with facenet's sixth block at 8x8, 299x299",
        factory=InceptionResNetV1,
        preprocessing=MINUS_ONE_TO_ONE,
        minimum_size=75,
        endpoints=_endpoints(V1),
    )
)
register(
    ModelRecord(
        name="inception_resnet_v2",
        description="Inception-ResNet v2 as TF-slim and Keras have it, 299x299",
        factory=InceptionResNetV2,
        preprocessing=MINUS_ONE_TO_ONE,
        minimum_size=75,
        endpoints=_endpoints(V2),
        aux_heads=("aux",),
        minimum_size_of_aux_heads=conventions.MINIMUM_SIZE_OF_CONVOLUTIONAL_HEAD,
    )
)
