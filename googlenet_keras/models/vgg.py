"""VGG: blocks of 3x3 convolutions and a pooling, with one table for all depths.

Source: Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", arXiv 1409.1556,
table 1 (columns A, B, D, E); the argument `conv_arch` and the narrower networks are those of "Dive into Deep Learning",
chapter_convolutional-modern/vgg.md.
"""

from collections.abc import Sequence

import keras

from googlenet_keras import blocks
from googlenet_keras.blocks import BatchNormalizationStyle, Conv, Pool, Stage, Style
from googlenet_keras.images.preprocessing import MEAN_SUBTRACTED_BGR_VGG, STANDARDIZED_RGB
from googlenet_keras.keras_types import Activation, Tensor
from googlenet_keras.models.conventions import build
from googlenet_keras.models.factories import Arguments, factory
from googlenet_keras.models.registry import ModelRecord

# Table 1: (convolutions, filters) of each block, and the feature map after its pooling.
CONV_ARCHS = {
    # block1_pool 112x112x64, block2_pool 56x56x128, block3_pool 28x28x256, block4_pool 14x14x512, block5_pool 7x7x512
    "vgg11": ((1, 64), (1, 128), (2, 256), (2, 512), (2, 512)),
    "vgg13": ((2, 64), (2, 128), (2, 256), (2, 512), (2, 512)),
    "vgg16": ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)),
    "vgg19": ((2, 64), (2, 128), (4, 256), (4, 512), (4, 512)),
}
# The units of each hidden dense layer, and the number of layers with weights in the top.
DENSE_UNITS = 4096
TOP_LAYERS = 3

# torchvision/models/vgg.py: convolutions keep their bias, and momentum and epsilon are PyTorch's defaults.
BATCH_NORMALIZATION = BatchNormalizationStyle(momentum=0.9, epsilon=1e-5, bias=True)


def _block(name: str, convolutions: int, filters: int) -> Stage:
    """Returns a block, which ends in a pooling that halves the feature map."""
    rows = {f"{name}_conv{number}": Conv(filters, 3) for number in range(1, convolutions + 1)}
    return {**rows, f"{name}_pool": Pool("max", strides=2, padding="valid", size=2)}


def _top(x: Tensor, classes: int, *, activation: Activation, dropout: float, style: Style) -> Tensor:
    x = blocks.flatten(x, style=style)
    for layer in ("fc1", "fc2"):
        x = blocks.dense(x, DENSE_UNITS, name=layer, style=style)
        x = blocks.drop(x, dropout, name=f"{layer}_dropout", style=style)
    return blocks.classifier(x, classes, activation=activation, name="predictions", style=style)


def _network(conv_arch: Sequence[tuple[int, int]], *, batch_normalization: bool, width: float = 1) -> ModelRecord:
    depth = sum(convolutions for convolutions, _ in conv_arch) + TOP_LAYERS
    name = f"vgg{depth}_bn" if batch_normalization else f"vgg{depth}"
    return ModelRecord(
        name=name,
        description="blocks of 3x3 convolutions, two dense layers of 4096, dropout 0.5"
        + ("; batch normalization after every convolution" if batch_normalization else ""),
        stages=tuple(
            _block(f"block{number}", convolutions, round(filters * width))
            for number, (convolutions, filters) in enumerate(conv_arch, start=1)
        ),
        # Glorot, the default: the paper says (section 3.1) that it makes the deep networks trainable from scratch.
        style=Style(batch_normalization=BATCH_NORMALIZATION if batch_normalization else None),
        top=_top,
        fixed_size=True,
        minimum_size=2 ** len(conv_arch),
        # The weights of vgg16 and vgg19 are those of keras.applications, and all others are those of torchvision.
        preprocessing=MEAN_SUBTRACTED_BGR_VGG if name in ("vgg16", "vgg19") else STANDARDIZED_RGB,
        arguments={"conv_arch": conv_arch, "batch_normalization": batch_normalization},
    )


@factory(
    *(
        _network(conv_arch, batch_normalization=batch_normalization)
        for conv_arch in CONV_ARCHS.values()
        for batch_normalization in (False, True)
    )
)
def VGG(
    arguments: Arguments,
    *,
    conv_arch: Sequence[tuple[int, int]] = CONV_ARCHS["vgg16"],
    width: float = 1,
    batch_normalization: bool = False,
    dropout: float = 0.5,
) -> keras.Model:
    """Builds VGG, which `create_model` calls ``vggN`` for N layers with weights, or ``vggN_bn`` if batch-normalized.

    The layers have the names of keras.applications: ``block1_conv1``, ``block1_pool``, ``flatten``, ``fc1``, ``fc2``
    and ``predictions``. The top consists of flattening, two dense layers with 4096 units and dropout, and the
    classifier; with the top, the height and width of the input must be known. The last feature map has shape (batch,
    height, width, 512).

    Args:
        conv_arch: (convolutions, filters) of each block, such as one of `CONV_ARCHS`. Each block halves the feature
            map.
        width: Factor by which the number of filters of all convolutions is multiplied, such as 1/4; the dense layers
            keep their 4096 units.
        batch_normalization: Whether batch normalization follows every convolution, which keeps its bias, as in
            torchvision's ``vgg16_bn``.
        dropout: Fraction of the features that is dropped after ``fc1`` and ``fc2`` during training; 0.5 in the paper
            and in torchvision. 0 leaves the layers out, as keras.applications does.
    """
    if not conv_arch or any(len(row) != 2 or min(row) < 1 for row in conv_arch):
        raise ValueError(
            "`conv_arch` must be ((convolutions, filters), ...), with one row per block and positive numbers only. "
            f"Received: {conv_arch!r}"
        )
    if any(round(filters * width) < 1 for _, filters in conv_arch):
        raise ValueError(f"`width` must leave every convolution at least one filter. Received: {width!r}")
    record = _network(conv_arch, batch_normalization=batch_normalization, width=width)
    return build(record, arguments, dropout=dropout)
