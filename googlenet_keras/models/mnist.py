"""Two small networks for 28x28 grey digits, of Inception modules and of residual blocks.

Source: the two PyTorch listings whose answers are tests/data/mnist_inception.seed0.npz and mnist_residual.seed0.npz; a
layer's name is their attributes' names, joined.
"""

from collections.abc import Callable
from typing import Any

import keras
from keras import layers

from googlenet_keras import blocks
from googlenet_keras.blocks import Style, Tensor
from googlenet_keras.models import conventions
from googlenet_keras.models.preprocessing import ZERO_TO_ONE
from googlenet_keras.models.registry import ModelRecord, register

# Filters and kernel of each convolution of a module, branch by branch; the last branch starts with an average pooling.
INCEPTION_A = (
    {"branch1x1": (16, 1)},
    {"branch5x5_1": (16, 1), "branch5x5_2": (24, 5)},
    {"branch3x3_1": (16, 1), "branch3x3_2": (24, 3), "branch3x3_3": (24, 3)},
    {"branch_pool": (24, 1)},
)
# Filters of the 5x5 convolution before each of the two modules or blocks.
INCEPTION_STAGES = {"incep1": 10, "incep2": 20}
RESIDUAL_STAGES = {"rblock1": 16, "rblock2": 32}

INPUT_SHAPE = (28, 28, 1)
CLASSES = 10
# Twice a 5x5 convolution and a 2x2 pooling without padding: 16, 12, 6, 2, 1.
MINIMUM_SIZE = 16


def MNISTInception(
    include_top: bool = True,
    weights: Any = None,
    input_tensor: Any = None,
    input_shape: tuple[int | None, ...] | None = None,
    pooling: str | None = None,
    classes: int = CLASSES,
    classifier_activation: Any = None,
    name: str | None = None,
    *,
    kernel_regularizer: Any = None,
    dtype: Any = None,
) -> keras.Model:
    """Builds the Inception network for MNIST, with the arguments of `googlenet_keras.GoogLeNet`.

    ``conv1``, ``mp1``, ``incep1``, ``conv2``, ``mp2``, ``incep2``, ``flatten``, ``predictions``. Inside a module there
    is no ReLU, and its average pooling counts the zeros around the map.

    Args:
        include_top: See there, as for all that is not named here; the top is flattening and the classifier. The last
            map is (batch, height, width, 88).
        weights: See there.
        input_tensor: See there.
        input_shape: See there; None is (28, 28, 1) with the top and (None, None, 1) without it. With the top, height
            and width must be known.
        pooling: See there.
        classes: See there; 10 digits.
        classifier_activation: See there; None leaves the logits.
        name: The model's name; None is ``mnist_inception``.
        kernel_regularizer: See there.
        dtype: See there.

    Returns:
        A functional Keras model.

    Raises:
        ValueError: If an argument is none of the above, the input is too small or of unknown size, or the weights do
            not fit.
    """
    style = Style(kernel_regularizer=kernel_regularizer, dtype=dtype)

    def body(x: Tensor) -> Tensor:
        for stage, (module, filters) in enumerate(INCEPTION_STAGES.items(), start=1):
            x = blocks.conv_block(x, filters, 5, padding="valid", activation=None, name=f"conv{stage}", style=style)
            x = blocks.max_pool(x, 2, padding="valid", name=f"mp{stage}", style=style)
            x = layers.ReLU(dtype=style.dtype, name=f"mp{stage}_relu")(x)
            x = _inception_a(x, name=module, style=style)
        return x

    return _network(
        body,
        include_top=include_top,
        weights=weights,
        input_tensor=input_tensor,
        input_shape=input_shape,
        pooling=pooling,
        classes=classes,
        classifier_activation=classifier_activation,
        name=name or "mnist_inception",
        style=style,
    )


def MNISTResidual(
    include_top: bool = True,
    weights: Any = None,
    input_tensor: Any = None,
    input_shape: tuple[int | None, ...] | None = None,
    pooling: str | None = None,
    classes: int = CLASSES,
    classifier_activation: Any = None,
    name: str | None = None,
    *,
    kernel_regularizer: Any = None,
    dtype: Any = None,
) -> keras.Model:
    """Builds the residual network for MNIST, with the arguments of `googlenet_keras.GoogLeNet`.

    ``conv1``, ``mp1``, ``rblock1``, ``conv2``, ``mp2``, ``rblock2``, ``flatten``, ``predictions``.

    Args:
        include_top: See there, as for all that is not named here; the top is flattening and the classifier. The last
            map is (batch, height, width, 32).
        weights: See there.
        input_tensor: See there.
        input_shape: See there; None is (28, 28, 1) with the top and (None, None, 1) without it. With the top, height
            and width must be known.
        pooling: See there.
        classes: See there; 10 digits.
        classifier_activation: See there; None leaves the logits.
        name: The model's name; None is ``mnist_residual``.
        kernel_regularizer: See there.
        dtype: See there.

    Returns:
        A functional Keras model.

    Raises:
        ValueError: If an argument is none of the above, the input is too small or of unknown size, or the weights do
            not fit.
    """
    style = Style(kernel_regularizer=kernel_regularizer, dtype=dtype)

    def body(x: Tensor) -> Tensor:
        for stage, (block, filters) in enumerate(RESIDUAL_STAGES.items(), start=1):
            x = blocks.conv_block(x, filters, 5, padding="valid", name=f"conv{stage}", style=style)
            x = blocks.max_pool(x, 2, padding="valid", name=f"mp{stage}", style=style)
            x = _residual_block(x, name=block, style=style)
        return x

    return _network(
        body,
        include_top=include_top,
        weights=weights,
        input_tensor=input_tensor,
        input_shape=input_shape,
        pooling=pooling,
        classes=classes,
        classifier_activation=classifier_activation,
        name=name or "mnist_residual",
        style=style,
    )


def _inception_a(x: Tensor, *, name: str, style: Style) -> Tensor:
    """Four branches side by side, (batch, height, width, 88), without any activation."""
    outputs = []
    for branch in INCEPTION_A:
        y = x
        if "branch_pool" in branch:
            # PyTorch divides by nine at the border too; Keras's own padding would not.
            y = layers.ZeroPadding2D(
                1, data_format="channels_last", dtype=style.dtype, name=f"{name}_avg_pool_padding"
            )(y)
            y = layers.AveragePooling2D(
                3, strides=1, data_format="channels_last", dtype=style.dtype, name=f"{name}_avg_pool"
            )(y)
        for layer, (filters, kernel_size) in branch.items():
            y = blocks.conv_block(y, filters, kernel_size, activation=None, name=f"{name}_{layer}", style=style)
        outputs.append(y)
    return layers.Concatenate(axis=-1, dtype=style.dtype, name=name)(outputs)


def _residual_block(x: Tensor, *, name: str, style: Style) -> Tensor:
    """relu(x + conv2(relu(conv1(x)))), of the input's shape."""
    y = blocks.conv_block(x, x.shape[-1], 3, name=f"{name}_conv1", style=style)
    y = blocks.conv_block(y, x.shape[-1], 3, activation=None, name=f"{name}_conv2", style=style)
    y = layers.Add(dtype=style.dtype, name=f"{name}_add")([x, y])
    return layers.ReLU(dtype=style.dtype, name=name)(y)


def _network(
    body: Callable[[Tensor], Tensor], *, classes: int, classifier_activation: Any, style: Style, **arguments: Any
) -> keras.Model:
    def top(x: Tensor) -> Tensor:
        x = blocks.flatten(x, style=style)
        return blocks.classifier(x, classes, activation=classifier_activation, name="predictions", style=style)

    return conventions.network(
        body,
        top,
        classes=classes,
        classifier_activation=classifier_activation,
        style=style,
        default_shape=INPUT_SHAPE,
        minimum_size=MINIMUM_SIZE,
        fixed_size=True,
        **arguments,
    )


for _name, _factory, _stages, _description in (
    ("mnist_inception", MNISTInception, INCEPTION_STAGES, "two Inception modules"),
    ("mnist_residual", MNISTResidual, RESIDUAL_STAGES, "two residual blocks"),
):
    register(
        ModelRecord(
            name=_name,
            description=f"{_description} for 28x28x1 digits, 10 classes, logits",
            factory=_factory,
            arguments={"input_shape": INPUT_SHAPE, "classes": CLASSES, "classifier_activation": None},
            preprocessing=ZERO_TO_ONE,
            labels="mnist",
            minimum_size=MINIMUM_SIZE,
            endpoints=tuple(_stages),
        )
    )
