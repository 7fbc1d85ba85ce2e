"""VGG: blocks of 3x3 convolutions and a pooling, one table for all depths.

Source: Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", arXiv 1409.1556,
table 1 (columns A, B, D, E); the argument `conv_arch` and narrower networks as in "Dive into Deep Learning",
chapter_convolutional-modern/vgg.md.
"""

from collections.abc import Sequence
from typing import Any

import keras

from googlenet_keras import blocks
from googlenet_keras.blocks import BatchNormalizationStyle, Style, Tensor
from googlenet_keras.models import conventions
from googlenet_keras.models.preprocessing import MEAN_SUBTRACTED_BGR_VGG, STANDARDIZED_RGB
from googlenet_keras.models.registry import ModelRecord, register

# Table 1: (convolutions, filters) of each block.
CONV_ARCHS = {
    "vgg11": ((1, 64), (1, 128), (2, 256), (2, 512), (2, 512)),
    "vgg13": ((2, 64), (2, 128), (2, 256), (2, 512), (2, 512)),
    "vgg16": ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)),
    "vgg19": ((2, 64), (2, 128), (4, 256), (4, 512), (4, 512)),
}
# The hidden dense layers, and so many layers with weights in the top.
DENSE_UNITS = 4096
TOP_LAYERS = 3

# torchvision/models/vgg.py: convolutions keep their bias, and PyTorch's own settings.
BATCH_NORMALIZATION = BatchNormalizationStyle(momentum=0.9, epsilon=1e-5, bias=True)


def VGG(
    include_top: bool = True,
    weights: Any = None,
    input_tensor: Any = None,
    input_shape: tuple[int | None, ...] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str | None = None,
    *,
    conv_arch: Sequence[tuple[int, int]] = CONV_ARCHS["vgg16"],
    width: float = 1,
    batch_normalization: bool = False,
    dropout: float = 0.5,
    kernel_regularizer: Any = None,
    dtype: Any = None,
) -> keras.Model:
    """Builds VGG, with the arguments of `googlenet_keras.GoogLeNet` and a few more.

    Layers have keras.applications' names: ``block1_conv1``, ``block1_pool``, ``flatten``, ``fc1``, ``fc2``,
    ``predictions``.

    Args:
        include_top: See there, as for all that is not named here; the top is flattening, two dense layers of 4096 with
            dropout, and the classifier. The last map is (batch, height, width, 512).
        weights: See there.
        input_tensor: See there.
        input_shape: See there; with the top, height and width must be known.
        pooling: See there.
        classes: See there.
        classifier_activation: See there.
        name: The model's name; None is ``vggN`` with the N layers that have weights, and ``_bn``.
        conv_arch: (convolutions, filters) of each block, such as one of `CONV_ARCHS`. Each block halves the map.
        width: Factor of all convolutions' filters, such as 1/4; the dense layers stay 4096 wide.
        batch_normalization: Whether one follows every convolution, which keeps its bias, as in torchvision's
            ``vgg16_bn``.
        dropout: Fraction dropped after ``fc1`` and ``fc2`` while training, 0.5 in the paper and torchvision;
            keras.applications leaves it out, as 0 does.
        kernel_regularizer: See there.
        dtype: See there.

    Returns:
        A functional Keras model.

    Raises:
        ValueError: If an argument is none of the above, the input is too small or of unknown size, or the weights do
            not fit.
    """
    if not conv_arch or any(len(row) != 2 or min(row) < 1 for row in conv_arch):
        raise ValueError(
            "`conv_arch` must be ((convolutions, filters), ...), one row for each block, all of them positive. "
            f"Received: {conv_arch!r}"
        )
    if any(round(filters * width) < 1 for _, filters in conv_arch):
        raise ValueError(f"`width` must leave every convolution at least one filter. Received: {width!r}")
    # Glorot, by which the paper (section 3.1) says that the deep ones train from the start.
    style = Style(
        batch_normalization=BATCH_NORMALIZATION if batch_normalization else None,
        kernel_regularizer=kernel_regularizer,
        dtype=dtype,
    )

    def body(x: Tensor) -> Tensor:
        for block, (convolutions, filters) in enumerate(conv_arch, start=1):
            for convolution in range(1, convolutions + 1):
                x = blocks.conv_block(x, round(filters * width), 3, name=f"block{block}_conv{convolution}", style=style)
            x = blocks.max_pool(x, 2, padding="valid", name=f"block{block}_pool", style=style)
        return x

    def top(x: Tensor) -> Tensor:
        x = blocks.flatten(x, style=style)
        for layer in ("fc1", "fc2"):
            x = blocks.dense(x, DENSE_UNITS, name=layer, style=style)
            x = blocks.drop(x, dropout, name=f"{layer}_dropout", style=style)
        return blocks.classifier(x, classes, activation=classifier_activation, name="predictions", style=style)

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
        name=name or _model_name(conv_arch, batch_normalization),
        dropout=dropout,
        style=style,
        default_shape=(224, 224, 3),
        minimum_size=_minimum_size(conv_arch),
        fixed_size=True,
    )


def _model_name(conv_arch: Sequence[tuple[int, int]], batch_normalization: bool) -> str:
    depth = sum(convolutions for convolutions, _ in conv_arch) + TOP_LAYERS
    return f"vgg{depth}_bn" if batch_normalization else f"vgg{depth}"


def _minimum_size(conv_arch: Sequence[tuple[int, int]]) -> int:
    return 2 ** len(conv_arch)


for _name, _conv_arch in CONV_ARCHS.items():
    for _batch_normalization in (False, True):
        # keras.applications' weights of the two that it has, torchvision's of the others.
        _of_keras = _name in ("vgg16", "vgg19") and not _batch_normalization
        register(
            ModelRecord(
                name=_model_name(_conv_arch, _batch_normalization),
                description="blocks of 3x3 convolutions, two dense layers of 4096, dropout 0.5"
                + ("; batch normalization after every convolution" if _batch_normalization else ""),
                factory=VGG,
                arguments={"conv_arch": _conv_arch, "batch_normalization": _batch_normalization},
                preprocessing=MEAN_SUBTRACTED_BGR_VGG if _of_keras else STANDARDIZED_RGB,
                minimum_size=_minimum_size(_conv_arch),
                endpoints=tuple(f"block{block}_pool" for block in range(1, len(_conv_arch) + 1)),
            )
        )
