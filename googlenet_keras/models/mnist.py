"""Two small networks for 28x28 grayscale digits: one of Inception modules, one of residual blocks.

Source: the two PyTorch listings whose outputs are stored in tests/data/mnist_inception.seed0.npz and
mnist_residual.seed0.npz. The name of a layer consists of the names of the listing's attributes.
"""

from dataclasses import replace
from functools import partial

import keras
from keras import layers

from googlenet_keras import blocks
from googlenet_keras.blocks import Conv, Pool, Stage, Style
from googlenet_keras.images.preprocessing import ZERO_TO_ONE
from googlenet_keras.keras_types import Activation, Tensor
from googlenet_keras.models.conventions import build
from googlenet_keras.models.factories import Arguments, factory
from googlenet_keras.models.registry import ModelRecord

_linear = partial(Conv, activation=None)
# The convolutions of a module, branch by branch; the last branch starts with an average pooling.
INCEPTION_A: tuple[Stage, ...] = (
    {"branch1x1": _linear(16)},
    {"branch5x5_1": _linear(16), "branch5x5_2": _linear(24, 5)},
    {"branch3x3_1": _linear(16), "branch3x3_2": _linear(24, 3), "branch3x3_3": _linear(24, 3)},
    {"branch_pool": _linear(24)},
)


def _inception_a(x: Tensor, *, name: str, style: Style) -> Tensor:
    """Applies four parallel branches without any activation, and returns a tensor (batch, height, width, 88)."""
    outputs = []
    for branch in INCEPTION_A:
        y = x
        if "branch_pool" in branch:
            # PyTorch divides by nine at the border as well, but the padding of Keras's own layer would not be counted.
            y = layers.ZeroPadding2D(
                1, data_format="channels_last", dtype=style.dtype, name=f"{name}_avg_pool_padding"
            )(y)
            y = layers.AveragePooling2D(
                3, strides=1, data_format="channels_last", dtype=style.dtype, name=f"{name}_avg_pool"
            )(y)
        outputs.append(blocks.chain(y, {f"{name}_{layer}": step for layer, step in branch.items()}, style=style))
    return layers.Concatenate(axis=-1, dtype=style.dtype, name=name)(outputs)


def _residual_block(x: Tensor, *, name: str, style: Style) -> Tensor:
    """Computes relu(x + conv2(relu(conv1(x)))), which has the shape of the input."""
    y = blocks.conv_block(x, x.shape[-1], 3, name=f"{name}_conv1", style=style)
    y = blocks.conv_block(y, x.shape[-1], 3, activation=None, name=f"{name}_conv2", style=style)
    y = layers.Add(dtype=style.dtype, name=f"{name}_add")([x, y])
    return blocks.relu(y, name=name, style=style)


_POOL = Pool("max", strides=2, padding="valid", size=2)
_CONV = partial(Conv, kernel_size=5, padding="valid")
INCEPTION_STAGES: tuple[Stage, ...] = (
    {"conv1": _CONV(10, activation=None), "mp1": _POOL, "mp1_relu": blocks.relu, "incep1": _inception_a},  # 12x12x88
    {"conv2": _CONV(20, activation=None), "mp2": _POOL, "mp2_relu": blocks.relu, "incep2": _inception_a},  # 4x4x88
)
RESIDUAL_STAGES: tuple[Stage, ...] = (
    {"conv1": _CONV(16), "mp1": _POOL, "rblock1": _residual_block},  # 12x12x16
    {"conv2": _CONV(32), "mp2": _POOL, "rblock2": _residual_block},  # 4x4x32
)


def _top(x: Tensor, classes: int, *, activation: Activation, dropout: float, style: Style) -> Tensor:
    x = blocks.flatten(x, style=style)
    return blocks.classifier(x, classes, activation=activation, name="predictions", style=style)


DEFAULTS = {"classes": 10, "classifier_activation": None}
MNIST_INCEPTION = ModelRecord(
    name="mnist_inception",
    description="two Inception modules for 28x28x1 digits, 10 classes, logits",
    stages=INCEPTION_STAGES,
    top=_top,
    default_shape=(28, 28, 1),
    fixed_size=True,
    # A 5x5 convolution and a 2x2 pooling, both without padding, follow each other twice: 16, 12, 6, 2, 1 pixels.
    minimum_size=16,
    preprocessing=ZERO_TO_ONE,
    labels="mnist",
    arguments={"input_shape": (28, 28, 1), **DEFAULTS},
)
MNIST_RESIDUAL = replace(
    MNIST_INCEPTION,
    name="mnist_residual",
    description="two residual blocks for 28x28x1 digits, 10 classes, logits",
    stages=RESIDUAL_STAGES,
)


@factory(MNIST_INCEPTION, **DEFAULTS)
def MNISTInception(arguments: Arguments) -> keras.Model:
    """Builds the Inception network for MNIST.

    The layers are ``conv1``, ``mp1``, ``incep1``, ``conv2``, ``mp2``, ``incep2``, ``flatten`` and ``predictions``. A
    module has no ReLU, and its average pooling counts the zeros around the feature map. The top consists of flattening
    and the classifier; with the top, the height and width of the input must be known. The last feature map has shape
    (batch, height, width, 88).
    """
    return build(MNIST_INCEPTION, arguments)


@factory(MNIST_RESIDUAL, **DEFAULTS)
def MNISTResidual(arguments: Arguments) -> keras.Model:
    """Builds the residual network for MNIST.

    The layers are ``conv1``, ``mp1``, ``rblock1``, ``conv2``, ``mp2``, ``rblock2``, ``flatten`` and ``predictions``.
    The top consists of flattening and the classifier; with the top, the height and width of the input must be known.
    The last feature map has shape (batch, height, width, 32).
    """
    return build(MNIST_RESIDUAL, arguments)
