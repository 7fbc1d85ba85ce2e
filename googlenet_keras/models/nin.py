"""Network in Network: every convolution is followed by two of 1x1, and the average of the last map is the answer.

Source: Lin et al., "Network in Network", arXiv 1312.4400, with the numbers of "Dive into Deep Learning",
chapter_convolutional-modern/nin.md.
"""

from typing import Any, NamedTuple

import keras
from keras import layers

from googlenet_keras import blocks
from googlenet_keras.blocks import Style, Tensor
from googlenet_keras.models import conventions
from googlenet_keras.models.preprocessing import ZERO_TO_ONE
from googlenet_keras.models.registry import ModelRecord, register


class BlockSettings(NamedTuple):
    """The first convolution of a block; its two of 1x1 have as many filters."""

    filters: int
    kernel_size: int
    strides: int
    padding: str


# The blocks before the classifier's, each with a 3x3 pooling at stride 2 after it.
BLOCKS = {
    "block1": BlockSettings(96, 11, 4, "valid"),
    "block2": BlockSettings(256, 5, 1, "same"),
    "block3": BlockSettings(384, 3, 1, "same"),
}
INPUT_SHAPE = (224, 224, 1)
CLASSES = 10
MINIMUM_SIZE = 67


def NiN(
    include_top: bool = True,
    weights: Any = None,
    input_tensor: Any = None,
    input_shape: tuple[int | None, ...] | None = None,
    pooling: str | None = None,
    classes: int = CLASSES,
    classifier_activation: Any = None,
    name: str | None = None,
    *,
    dropout: float = 0.5,
    kernel_regularizer: Any = None,
    dtype: Any = None,
) -> keras.Model:
    """Builds Network in Network, with the arguments of `googlenet_keras.GoogLeNet`.

    The layers of block N are ``blockN_conv1``, ``blockN_conv2``, ``blockN_conv3`` and ``blockN_pool``. The fourth block
    is the classifier: its map has as many channels as there are classes, and their averages (``global_pool``) are the
    logits. ``predictions`` is the activation after them, and has no weights.

    Args:
        include_top: See there, as for all that is not named here; the top is dropout, the fourth block and the global
            average. The last map is (batch, height, width, 384).
        weights: See there.
        input_tensor: See there.
        input_shape: See there; None is (224, 224, 1) with the top and (None, None, 1) without it.
        pooling: See there.
        classes: See there; 10 for Fashion-MNIST.
        classifier_activation: Of ``predictions``; None leaves the logits; the last ReLU lets none of them be
            negative.
        name: The model's name; None is ``nin``.
        dropout: Fraction dropped before the fourth block while training; 0 leaves it out.
        kernel_regularizer: See there.
        dtype: See there.

    Returns:
        A functional Keras model.

    Raises:
        ValueError: If an argument is none of the above, the input is too small, or the weights do not fit.
    """
    style = Style(kernel_regularizer=kernel_regularizer, dtype=dtype)

    def body(x: Tensor) -> Tensor:
        for block, settings in BLOCKS.items():
            x = _block(x, settings, name=block, style=style)
            x = blocks.max_pool(x, 3, padding="valid", name=f"{block}_pool", style=style)
        return x

    def top(x: Tensor) -> Tensor:
        x = blocks.drop(x, dropout, style=style)
        x = _block(x, BlockSettings(classes, 3, 1, "same"), name="block4", style=style)
        answer_style = Style(dtype=blocks.answer_policy(style))
        x = conventions.global_pool(x, "avg", name="global_pool", style=answer_style)
        return layers.Activation(classifier_activation or "linear", dtype=answer_style.dtype, name="predictions")(x)

    return conventions.network(
        body,
        top,
        include_top=include_top,
        weights=weights,
        input_tensor=input_tensor,
        input_shape=input_shape,
        pooling=pooling,
        classes=classes,
        classifier_activation=classifier_activation,
        name=name or "nin",
        dropout=dropout,
        style=style,
        default_shape=INPUT_SHAPE,
        minimum_size=MINIMUM_SIZE,
    )


def _block(x: Tensor, settings: BlockSettings, *, name: str, style: Style) -> Tensor:
    x = blocks.conv_block(
        x,
        settings.filters,
        settings.kernel_size,
        strides=settings.strides,
        padding=settings.padding,
        name=f"{name}_conv1",
        style=style,
    )
    x = blocks.conv_block(x, settings.filters, 1, name=f"{name}_conv2", style=style)
    return blocks.conv_block(x, settings.filters, 1, name=f"{name}_conv3", style=style)


register(
    ModelRecord(
        name="nin",
        description='"Dive into Deep Learning": convolutions in threes, global average, 224x224x1, 10 classes, logits',
        factory=NiN,
        arguments={"input_shape": INPUT_SHAPE, "classes": CLASSES, "classifier_activation": None},
        preprocessing=ZERO_TO_ONE,
        labels="fashion_mnist",
        minimum_size=MINIMUM_SIZE,
        endpoints=tuple(f"{block}_pool" for block in BLOCKS),
    )
)
