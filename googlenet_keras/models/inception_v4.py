"""Inception v4: a longer stem and more uniform modules.

Source: Szegedy et al., "Inception-v4, Inception-ResNet and the Impact of Residual Connections on Learning", arXiv
1602.07261; tensorflow/models research/slim/nets/inception_v4.py, whose names the blocks have here.
"""

from typing import Any

import keras

from googlenet_keras import blocks
from googlenet_keras.blocks import BatchNormalizationStyle, Branch, Conv, Fork, Pool, Style, Tensor
from googlenet_keras.models import conventions
from googlenet_keras.models.preprocessing import MINUS_ONE_TO_ONE
from googlenet_keras.models.registry import ModelRecord, register

_SHRINK = Pool("max", strides=2, padding="valid")

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

STEM = {
    "conv_1a": Conv(32, 3, strides=2, padding="valid"),
    "conv_2a": Conv(32, 3, padding="valid"),
    "conv_2b": Conv(64, 3),
}

MODULES: dict[str, tuple[Branch, ...]] = {
    "mixed_3a": ((_SHRINK,), (Conv(96, 3, strides=2, padding="valid"),)),
    "mixed_4a": (
        (Conv(64), Conv(96, 3, padding="valid")),
        (Conv(64), Conv(64, (1, 7)), Conv(64, (7, 1)), Conv(96, 3, padding="valid")),
    ),
    "mixed_5a": ((Conv(192, 3, strides=2, padding="valid"),), (_SHRINK,)),
    **{f"mixed_5{letter}": _MODULE_A for letter in "bcde"},
    "mixed_6a": (
        (Conv(384, 3, strides=2, padding="valid"),),
        (Conv(192), Conv(224, 3), Conv(256, 3, strides=2, padding="valid")),
        (_SHRINK,),
    ),
    **{f"mixed_6{letter}": _MODULE_B for letter in "bcdefgh"},
    "mixed_7a": (
        (Conv(192), Conv(192, 3, strides=2, padding="valid")),
        (Conv(256), Conv(256, (1, 7)), Conv(320, (7, 1)), Conv(320, 3, strides=2, padding="valid")),
        (_SHRINK,),
    ),
    **{f"mixed_7{letter}": _MODULE_C for letter in "bcd"},
}


def InceptionV4(
    include_top: bool = True,
    weights: Any = None,
    input_tensor: Any = None,
    input_shape: tuple[int | None, ...] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str = "inception_v4",
    *,
    aux_heads: bool = False,
    dropout: float = 0.2,
    kernel_regularizer: Any = None,
    dtype: Any = None,
) -> keras.Model:
    """Builds Inception v4, with the arguments of `googlenet_keras.GoogLeNet`.

    Args:
        include_top: See there, as for all that is not named here; the last map is (batch, height, width, 1536).
        weights: See there.
        input_tensor: See there.
        input_shape: (height, width, channels) in pixels; None is (299, 299, 3) with the top.
        pooling: See there.
        classes: See there.
        classifier_activation: See there.
        name: See there.
        aux_heads: Whether the classifier ``aux`` (on mixed_6h) is built; the model then answers
            ``{"predictions", "aux"}``. It needs 107 pixels.
        dropout: Fraction dropped before ``predictions`` while training.
        kernel_regularizer: See there.
        dtype: See there.

    Returns:
        A functional Keras model.

    Raises:
        ValueError: If an argument is none of the above, the input is below 75 pixels, or the weights do not fit.
    """
    style = Style(
        batch_normalization=BatchNormalizationStyle(momentum=0.9997, scale=False),
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
        aux_head_on="mixed_6h",
        aux_heads=aux_heads,
    )


register(
    ModelRecord(
        name="inception_v4",
        description="Inception v4: a longer stem and more uniform modules, 299x299",
        factory=InceptionV4,
        preprocessing=MINUS_ONE_TO_ONE,
        minimum_size=75,
        endpoints=("conv_1a_relu", "conv_2b_relu", *MODULES),
        aux_heads=("aux",),
        minimum_size_of_aux_heads=conventions.MINIMUM_SIZE_OF_CONVOLUTIONAL_HEAD,
    )
)
