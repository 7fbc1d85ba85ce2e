"""Network in Network: every convolution is followed by two of 1x1, and the average of the last map is the answer.

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
    """A convolution and two of 1x1 with as many filters."""
    second = third = Conv(first.filters)
    return {f"{name}_conv1": first, f"{name}_conv2": second, f"{name}_conv3": third}


# The blocks before the classifier's.
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


# "Dive into Deep Learning" trains it on Fashion-MNIST, and its loss takes logits.
DEFAULTS = {"classes": 10, "classifier_activation": None}
NIN = ModelRecord(
    name="nin",
    description='"Dive into Deep Learning": convolutions in threes, global average, 224x224x1, 10 classes, logits',
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

    The layers of block N are ``blockN_conv1``, ``blockN_conv2``, ``blockN_conv3`` and ``blockN_pool``. The last map is
    (batch, height, width, 384). The top is dropout, a fourth block and the global average: the block's map has as many
    channels as there are classes, 10 for Fashion-MNIST, and their averages (``global_pool``) are the logits, of which
    the block's last ReLU lets none be negative. ``predictions`` is the activation after them, and has no weights.

    Args:
        dropout: Fraction dropped before the fourth block while training; 0 leaves it out.
    """
    return build(NIN, arguments, dropout=dropout)
