"""Network in Network: two 1x1 convolutions follow every convolution, and the last feature map is averaged.

Source: Lin et al., "Network in Network", arXiv 1312.4400, with the numbers of "Dive into Deep Learning",
chapter_convolutional-modern/nin.md.
"""

import keras
from keras import layers

from googlenet_keras import blocks
from googlenet_keras.blocks import Conv, Pool, Stage, Style
from googlenet_keras.images.preprocessing import ZERO_TO_ONE
from googlenet_keras.keras_types import Activation, Tensor
from googlenet_keras.models.conventions import build, global_pool
from googlenet_keras.models.factories import Arguments, factory
from googlenet_keras.models.registry import ModelRecord


def _block(name: str, first: Conv) -> Stage:
    """Returns a convolution, followed by two 1x1 convolutions with the same number of filters."""
    second = third = Conv(first.filters)
    return {f"{name}_conv1": first, f"{name}_conv2": second, f"{name}_conv3": third}


# The blocks before the top, which ends in a block of its own.
_POOL = Pool("max", strides=2, padding="valid")
STAGES = (
    {**_block("block1", Conv(96, 11, strides=4, padding="valid")), "block1_pool": _POOL},  # 26x26x96
    {**_block("block2", Conv(256, 5)), "block2_pool": _POOL},  # 12x12x256
    {**_block("block3", Conv(384, 3)), "block3_pool": _POOL},  # 5x5x384
)


def _top(x: Tensor, classes: int, *, activation: Activation, dropout: float, style: Style) -> Tensor:
    x = blocks.drop(x, dropout, style=style)
    x = blocks.chain(x, _block("block4", Conv(classes, 3)), style=style)
    answer_style = Style(dtype=blocks.answer_policy(style))
    x = global_pool(x, "avg", name="global_pool", style=answer_style)
    return layers.Activation(activation or "linear", dtype=answer_style.dtype, name="predictions")(x)


# "Dive into Deep Learning" trains the network on Fashion-MNIST, with a loss that expects logits.
DEFAULTS = {"classes": 10, "classifier_activation": None}
NIN = ModelRecord(
    name="nin",
    description='"Dive into Deep Learning": three convolutions a block, global average, 224x224x1, 10 classes, logits',
    stages=STAGES,
    top=_top,
    default_shape=(224, 224, 1),
    minimum_size=67,
    preprocessing=ZERO_TO_ONE,
    labels="fashion_mnist",
    arguments={"input_shape": (224, 224, 1), **DEFAULTS},
)


@factory(NIN, **DEFAULTS)
def NiN(arguments: Arguments, *, dropout: float = 0.5) -> keras.Model:
    """Builds Network in Network.

    The layers of block N are ``blockN_conv1``, ``blockN_conv2``, ``blockN_conv3`` and, except in the fourth block,
    ``blockN_pool``. The last feature map has shape (batch, height, width, 384). The top consists of dropout, the fourth
    block and a global average: the feature map of the block has as many channels as there are classes (10 for
    Fashion-MNIST), and the averages of the channels (``global_pool``) are the logits. Because the block ends in a ReLU,
    no logit is negative. ``predictions`` is the activation of the logits and has no weights.

    Args:
        dropout: Fraction of the features that is dropped before the fourth block during training; 0 leaves the layer
            out.
    """
    return build(NIN, arguments, dropout=dropout)
