"""The building blocks of networks: functions that take a tensor and return a tensor.

The name of every layer depends only on the ``name`` that is given to its block, and not on what was built before.
Tensors have the NHWC layout regardless of `keras.config.image_data_format`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import keras
from keras import layers

from googlenet_keras.keras_types import Activation, Dtype, Initializer, Regularizer, Tensor
from googlenet_keras.layers import BatchNormalization, CeilAveragePooling2D, LocalResponseNormalization


def initializer(class_name: str, **config: Any) -> Initializer:
    """Returns the Keras config of an initializer, from which every layer creates its own instance."""
    return {"class_name": class_name, "config": config}


@dataclass(frozen=True, kw_only=True)
class BatchNormalizationStyle:
    """The settings of all batch normalization layers of one network.

    Attributes:
        momentum: The weight of the previous value in the moving mean and variance (PyTorch's ``momentum`` is one minus
            this).
        epsilon: The number that is added to the variance.
        scale: Whether the layers have a learned factor (gamma); those of TF-slim's networks have none.
        bias: Whether the convolution before the layer keeps its bias, as in torchvision's VGG.
    """

    momentum: float = 0.99
    epsilon: float = 1e-3
    scale: bool = True
    bias: bool = False


@dataclass(frozen=True, kw_only=True)
class Style:
    """The settings that all blocks of one network share.

    Attributes:
        batch_normalization: The settings of the batch normalization after every convolution, or None for no batch
            normalization. Convolutions with batch normalization have no bias, except if its ``bias`` is true.
        padding: ``"same"`` is TensorFlow's padding, which at stride 2 adds the odd pixel at the bottom and right.
            ``"explicit"`` is the padding of Caffe and PyTorch: ``kernel_size // 2`` zeros on every side of a
            convolution, and pooling in ceil mode.
        kernel_initializer: The initializer of convolutions and dense layers: a name or a Keras config, but not an
            instance, because an instance would draw the same numbers for every layer.
        bias_initializer: The initializer of all biases except those of classifiers, which start at zero.
        kernel_regularizer: The regularizer of convolutions and dense layers: any value that `keras.regularizers.get`
            accepts.
        dtype: A Keras dtype policy or its name; None means the global policy.
    """

    batch_normalization: BatchNormalizationStyle | None = None
    padding: Literal["same", "explicit"] = "same"
    kernel_initializer: Initializer = "glorot_uniform"
    bias_initializer: Initializer = "zeros"
    kernel_regularizer: Regularizer = None
    dtype: Dtype = None


class ModuleFilters(NamedTuple):
    """One row of Table 1 of the paper: the number of filters of each of the six convolutions of an Inception module."""

    conv1x1: int
    conv3x3_reduce: int
    conv3x3: int
    conv5x5_reduce: int
    conv5x5: int
    pool_proj: int


DEFAULT_STYLE = Style()


def conv_block(
    x: Tensor,
    filters: int,
    kernel_size: int | tuple[int, int],
    *,
    strides: int | tuple[int, int] = 1,
    padding: Literal["same", "valid"] | int | tuple[int, int] | None = None,
    groups: int = 1,
    bias: float | None = None,
    activation: Literal["relu"] | None = "relu",
    normalize: bool = True,
    name: str,
    style: Style = DEFAULT_STYLE,
) -> Tensor:
    """Applies a convolution and a ReLU, with batch normalization between them if the style has it.

    Args:
        x: Float tensor (batch, height, width, channels).
        filters: Number of output channels.
        kernel_size: Height and width of the kernel, in pixels; a single number applies to both.
        strides: Vertical and horizontal step of the kernel, in pixels; a single number applies to both.
        padding: ``"same"``, ``"valid"``, the number of zeros on every side, or a pair: the number of zeros above and
            below, and the number on the left and on the right. None means the padding of the style.
        groups: The number of groups of channels, each of which is convolved separately.
        bias: The initial value of the biases; None means the bias initializer of the style.
        activation: ``"relu"``, or None for no activation.
        normalize: Whether to apply the batch normalization of the style; without it the convolution has a bias.
        name: Name of the convolution; the layers after it are named ``NAME_bn`` and ``NAME_relu``.
        style: The common style of the network's blocks.

    Returns:
        Float tensor (batch, height', width', filters).
    """
    if padding is None:
        # The two paddings differ only at a stride above 1 and for a kernel above 1x1. At stride 1 every framework pads
        # equally on both sides for an odd kernel, and no framework pads for a 1x1 kernel.
        height, width = _pair(kernel_size)
        explicit = style.padding == "explicit" and max(_pair(strides)) > 1 and max(height, width) > 1
        padding = (height // 2, width // 2) if explicit else "same"
    if not isinstance(padding, str):
        if any(_pair(padding)):
            x = layers.ZeroPadding2D(padding, data_format="channels_last", dtype=style.dtype, name=f"{name}_padding")(x)
        padding = "valid"
    normalization = style.batch_normalization if normalize else None
    x = layers.Conv2D(
        filters,
        kernel_size,
        strides=strides,
        padding=padding,
        groups=groups,
        data_format="channels_last",
        activation=None if normalization else activation,
        use_bias=not normalization or normalization.bias,
        kernel_initializer=style.kernel_initializer,
        bias_initializer=style.bias_initializer if bias is None else initializer("Constant", value=bias),
        kernel_regularizer=style.kernel_regularizer,
        dtype=style.dtype,
        name=name,
    )(x)
    if normalization:
        x = BatchNormalization(
            axis=-1,
            momentum=normalization.momentum,
            epsilon=normalization.epsilon,
            scale=normalization.scale,
            dtype=style.dtype,
            name=f"{name}_bn",
        )(x)
        if activation:
            x = relu(x, name=f"{name}_relu", style=style)
    return x


def _pair(size: int | tuple[int, int]) -> tuple[int, int]:
    """Returns the height and width of a size, which may be a pair or one number for both, as in Keras."""
    height, width = (size, size) if isinstance(size, int) else size
    return height, width


def relu(x: Tensor, *, name: str, style: Style = DEFAULT_STYLE) -> Tensor:
    """Applies a ReLU as a separate layer to a tensor of any shape, and returns a tensor of the same shape."""
    return layers.ReLU(dtype=style.dtype, name=name)(x)


def max_pool(
    x: Tensor, pool_size: int, *, strides: int = 2, padding: str = "same", name: str, style: Style = DEFAULT_STYLE
) -> Tensor:
    """Applies max pooling.

    Args:
        x: Float tensor (batch, height, width, channels). If the style's padding is ``"explicit"``, it must have no
            negative values (as after a ReLU), because it may be padded with zeros.
        pool_size: Height and width of the window, in pixels.
        strides: Step of the window, in pixels.
        padding: ``"same"``, or ``"valid"``, which leaves out the rows and columns that do not fill a window.
        name: Name of the pooling layer; explicit padding adds ``NAME_padding``.
        style: The common style of the network's blocks.

    Returns:
        Float tensor (batch, height', width', channels).
    """
    if padding == "same" and style.padding == "explicit" and pool_size > strides > 1:
        # This is ceil mode: on a feature map of even size, the last window extends into the additional row and column;
        # on one of odd size, no window reaches them. The zeros do not change a maximum, as no value is negative.
        x = layers.ZeroPadding2D(
            ((0, 1), (0, 1)), data_format="channels_last", dtype=style.dtype, name=f"{name}_padding"
        )(x)
        padding = "valid"
    return layers.MaxPooling2D(
        pool_size, strides=strides, padding=padding, data_format="channels_last", dtype=style.dtype, name=name
    )(x)


def local_response_normalization(x: Tensor, *, name: str, style: Style = DEFAULT_STYLE) -> Tensor:
    """Applies local response normalization with the parameters of BVLC (window 5, alpha 1e-4, beta 0.75, k 1).

    Args:
        x: Float tensor (batch, height, width, channels).
        name: Name of the layer.
        style: The common style of the network's blocks.

    Returns:
        Float tensor of the same shape.
    """
    return LocalResponseNormalization(dtype=style.dtype, name=name)(x)


def inception_module(
    x: Tensor,
    filters: ModuleFilters | tuple[int, int, int, int, int, int],
    *,
    name: str,
    branch5x5_kernel_size: int = 5,
    residual: bool = False,
    style: Style = DEFAULT_STYLE,
) -> Tensor:
    """Applies the Inception module with dimension reductions: four parallel branches, concatenated along the channels.

    Args:
        x: Float tensor (batch, height, width, channels) without negative values.
        filters: Number of filters of each of the six convolutions, in the order of Table 1.
        name: Name of the concatenation; the layers of the branches are ``NAME_1x1``, ``NAME_3x3_reduce``, ``NAME_3x3``,
            ``NAME_5x5_reduce``, ``NAME_5x5``, ``NAME_pool`` and ``NAME_pool_proj``.
        branch5x5_kernel_size: Kernel size of the layer ``NAME_5x5``: 5 in the paper, 3 in TF-slim and torchvision
            (pytorch/vision#906). The layer has the same name in both cases.
        residual: Whether the input is added to the concatenated branches and a ReLU follows. An input with a different
            number of channels first passes a linear 1x1 convolution, ``NAME_shortcut``. The concatenation is then
            called ``NAME_mixed``, the sum ``NAME_add`` and the ReLU NAME (after arXiv 1602.07261, figure 10).
        style: The common style of the network's blocks.

    Returns:
        Float tensor (batch, height, width, conv1x1 + conv3x3 + conv5x5 + pool_proj).

    Source: arXiv 1409.4842, figure 2(b).
    """
    filters = ModuleFilters(*filters)
    branch1x1 = conv_block(x, filters.conv1x1, 1, name=f"{name}_1x1", style=style)
    branch3x3 = conv_block(x, filters.conv3x3_reduce, 1, name=f"{name}_3x3_reduce", style=style)
    branch3x3 = conv_block(branch3x3, filters.conv3x3, 3, name=f"{name}_3x3", style=style)
    branch5x5 = conv_block(x, filters.conv5x5_reduce, 1, name=f"{name}_5x5_reduce", style=style)
    branch5x5 = conv_block(branch5x5, filters.conv5x5, branch5x5_kernel_size, name=f"{name}_5x5", style=style)
    branch_pool = max_pool(x, 3, strides=1, name=f"{name}_pool", style=style)
    branch_pool = conv_block(branch_pool, filters.pool_proj, 1, name=f"{name}_pool_proj", style=style)
    branches = [branch1x1, branch3x3, branch5x5, branch_pool]
    if not residual:
        return layers.Concatenate(axis=-1, dtype=style.dtype, name=name)(branches)
    mixed = layers.Concatenate(axis=-1, dtype=style.dtype, name=f"{name}_mixed")(branches)
    if x.shape[-1] != mixed.shape[-1]:
        x = conv_block(x, mixed.shape[-1], 1, activation=None, name=f"{name}_shortcut", style=style)
    x = layers.Add(dtype=style.dtype, name=f"{name}_add")([x, mixed])
    return relu(x, name=name, style=style)


def flatten(x: Tensor, *, name: str = "flatten", style: Style = DEFAULT_STYLE) -> Tensor:
    """Flattens a feature map of shape (batch, height, width, channels) to (batch, height * width * channels)."""
    return layers.Flatten(data_format="channels_last", dtype=style.dtype, name=name)(x)


def drop(x: Tensor, rate: float, *, name: str = "dropout", style: Style = DEFAULT_STYLE) -> Tensor:
    """Drops a fraction of the features during training; adds no layer if the rate is 0."""
    return layers.Dropout(rate, dtype=style.dtype, name=name)(x) if rate else x


def dense(x: Tensor, units: int, *, name: str, style: Style = DEFAULT_STYLE) -> Tensor:
    """Applies a dense layer and a ReLU to a tensor (batch, features), and returns a tensor (batch, units)."""
    return layers.Dense(
        units,
        activation="relu",
        kernel_initializer=style.kernel_initializer,
        bias_initializer=style.bias_initializer,
        kernel_regularizer=style.kernel_regularizer,
        dtype=style.dtype,
        name=name,
    )(x)


def classifier(
    x: Tensor, classes: int, *, activation: Activation = "softmax", name: str, style: Style = DEFAULT_STYLE
) -> Tensor:
    """Applies the dense classification layer, in float32 if the style computes in half precision.

    Args:
        x: Float tensor (batch, features).
        classes: Number of classes.
        activation: Any value that `keras.activations.get` accepts; None means that the output is the logits.
        name: Name of the layer.
        style: The common style of the network's blocks.

    Returns:
        Float tensor (batch, classes).
    """
    return layers.Dense(
        classes,
        activation=activation,
        kernel_initializer=style.kernel_initializer,
        kernel_regularizer=style.kernel_regularizer,
        dtype=answer_policy(style),
        name=name,
    )(x)


def answer_policy(style: Style) -> Dtype:
    """Returns the dtype policy of outputs: float32 if the style computes in half precision, else that of the style."""
    policy = keras.config.dtype_policy() if style.dtype is None else keras.dtype_policies.get(style.dtype)
    return "float32" if policy.compute_dtype in ("bfloat16", "float16") else policy


def auxiliary_head(
    x: Tensor,
    classes: int,
    *,
    activation: Activation = "softmax",
    dropout: float = 0.7,
    adaptive_pool: bool = False,
    name: str,
    style: Style = DEFAULT_STYLE,
) -> Tensor:
    """Applies the auxiliary classifier to a middle module's output; it passes gradients to that module during training.

    The layers are a 5x5 average pooling at stride 3, a 1x1 convolution with 128 filters, a dense layer with 1024 units,
    dropout, and a dense layer. The weights of the first dense layer depend on the size of the feature map, which must
    therefore be known.

    Args:
        x: Float tensor (batch, height, width, channels) of known height and width, both at least 5. With explicit
            padding, which pools in ceil mode, 3 is enough, and with the adaptive pooling 1.
        classes: Number of classes.
        activation: The activation of the output: any value that `keras.activations.get` accepts; None means that the
            output is the logits.
        dropout: Fraction of the 1024 features that is dropped during training; 0 leaves the layer out.
        adaptive_pool: Whether to average the feature map to 4x4 regardless of its size, as torchvision does, instead of
            pooling 5x5 at stride 3.
        name: Name of the output layer; the others are ``NAME_pool``, ``NAME_conv``, ``NAME_flatten``, ``NAME_fc`` and
            ``NAME_dropout``.
        style: The common style of the network's blocks.

    Returns:
        Float tensor (batch, classes).

    Raises:
        ValueError: If the size of the feature map is unknown or too small for the pooling.

    Source: arXiv 1409.4842, section 5; BVLC caffe models/bvlc_googlenet/train_val.prototxt (loss1, loss2).
    """
    if adaptive_pool:
        smallest = 1
        pool = layers.AdaptiveAveragePooling2D(4, data_format="channels_last", dtype=style.dtype, name=f"{name}_pool")
    elif style.padding == "explicit":
        smallest = 3
        pool = CeilAveragePooling2D(5, strides=3, dtype=style.dtype, name=f"{name}_pool")
    else:
        smallest = 5
        pool = layers.AveragePooling2D(
            5, strides=3, data_format="channels_last", dtype=style.dtype, name=f"{name}_pool"
        )
    if any(extent is None or extent < smallest for extent in x.shape[1:3]):
        raise ValueError(
            f"Auxiliary head {name!r} needs a feature map of known size, at least {smallest}x{smallest}: give the "
            f"model a larger input. Received: a feature map of shape {x.shape}"
        )
    x = conv_block(pool(x), 128, 1, name=f"{name}_conv", style=style)
    x = flatten(x, name=f"{name}_flatten", style=style)
    x = dense(x, 1024, name=f"{name}_fc", style=style)
    x = drop(x, dropout, name=f"{name}_dropout", style=style)
    return classifier(x, classes, activation=activation, name=name, style=style)


class Conv(NamedTuple):
    """Describes a `conv_block` in the table of a network."""

    filters: int
    kernel_size: int | tuple[int, int] = 1
    strides: int = 1
    padding: Literal["same", "valid"] | int | None = "same"
    groups: int = 1
    bias: float | None = None
    activation: Literal["relu"] | None = "relu"


class Pool(NamedTuple):
    """Describes a pooling in the table of a network; average pooling does not count padded pixels, as in TensorFlow."""

    kind: Literal["max", "avg"]
    strides: int = 1
    padding: Literal["same", "valid"] = "same"
    size: int = 3


class Fork(NamedTuple):
    """Describes parallel convolutions at the end of a branch, which are concatenated together with the branches."""

    arms: tuple[Conv, ...]


Branch = tuple[Conv | Pool | Fork, ...]


class Inception(NamedTuple):
    """Describes an `inception_module` in the table of a network."""

    filters: ModuleFilters
    branch5x5_kernel_size: int = 5
    residual: bool = False


class Residual(NamedTuple):
    """Describes a `residual_block` in the table of a network."""

    branches: tuple[Branch, ...]
    scale: float
    activation: Literal["relu"] | None = "relu"


# A tuple of branches describes a `mixed_block`; a function is called as ``step(x, name=name, style=style)``.
Step = Conv | Pool | Inception | Residual | tuple[Branch, ...] | Callable[..., Tensor]
# Consecutive steps; the keys are the names of their layers.
Stage = Mapping[str, Step]


def stages(x: Tensor, table: Sequence[Stage], *, style: Style = DEFAULT_STYLE) -> Iterator[tuple[str, Tensor]]:
    """Builds the body of a network, stage by stage.

    Args:
        x: Float tensor (batch, height, width, channels).
        table: The stages, starting at the input.
        style: The common style of the network's blocks.

    Yields:
        The name of the last layer of a stage (see `endpoint`), and its output (batch, height', width', channels').
    """
    for stage in table:
        x = chain(x, stage, style=style)
        yield endpoint(stage, style=style), x


def chain(x: Tensor, stage: Stage, *, style: Style = DEFAULT_STYLE) -> Tensor:
    """Builds the steps of one stage; (batch, height, width, channels) becomes (batch, height', width', channels')."""
    for name, step in stage.items():
        x = _take(x, step, name=name, style=style)
    return x


def endpoint(stage: Stage, *, style: Style = DEFAULT_STYLE) -> str:
    """Returns the name of the last layer of a stage, including the normalization and ReLU after a convolution."""
    name, step = list(stage.items())[-1]
    if isinstance(step, Conv) and style.batch_normalization:
        return f"{name}_{'relu' if step.activation else 'bn'}"
    return name


def _take(x: Tensor, step: Step, *, name: str, style: Style) -> Tensor:
    if isinstance(step, Conv):
        return conv_block(x, **step._asdict(), name=name, style=style)
    if isinstance(step, Pool):
        return _pool(x, **step._asdict(), name=name, style=style)
    if isinstance(step, Inception):
        return inception_module(x, **step._asdict(), name=name, style=style)
    if isinstance(step, Residual):
        return residual_block(x, **step._asdict(), name=name, style=style)
    if callable(step):
        return step(x, name=name, style=style)
    return mixed_block(x, step, name=name, style=style)


def _pool(x: Tensor, *, kind: str, strides: int, padding: str, size: int, name: str, style: Style) -> Tensor:
    if kind == "max":
        return max_pool(x, size, strides=strides, padding=padding, name=name, style=style)
    return layers.AveragePooling2D(
        size, strides=strides, padding=padding, data_format="channels_last", dtype=style.dtype, name=name
    )(x)


def mixed_block(x: Tensor, branches: tuple[Branch, ...], *, name: str, style: Style = DEFAULT_STYLE) -> Tensor:
    """Applies parallel branches and concatenates them along the channels, as the later Inception networks do.

    Args:
        x: Float tensor (batch, height, width, channels).
        branches: The steps of each branch.
        name: Name of the concatenation. Step I of branch B is called ``NAME_branchB_I`` (``NAME_branchB`` if it is the
            only step of the branch), and the arms of a fork are called ``NAME_branchB_Ia`` and ``NAME_branchB_Ib``.
        style: The common style of the network's blocks.

    Returns:
        Float tensor (batch, height', width', channels'), with the channels of the branches in their order.
    """
    outputs = []
    for number, branch in enumerate(branches):
        y = x
        for index, step in enumerate(branch):
            step_name = f"{name}_branch{number}" + (f"_{index}" if len(branch) > 1 else "")
            if isinstance(step, Fork):
                arms = [
                    _take(y, arm, name=f"{step_name}{letter}", style=style)
                    for arm, letter in zip(step.arms, "ab", strict=True)
                ]
            else:
                y = _take(y, step, name=step_name, style=style)
        outputs += arms if isinstance(branch[-1], Fork) else [y]
    return layers.Concatenate(axis=-1, dtype=style.dtype, name=name)(outputs)


def residual_block(
    x: Tensor,
    branches: tuple[Branch, ...],
    *,
    scale: float,
    activation: Literal["relu"] | None = "relu",
    name: str,
    style: Style = DEFAULT_STYLE,
) -> Tensor:
    """Applies the block of Inception-ResNet: scales the output of parallel branches and adds it to the input.

    A 1x1 convolution after the branches restores the number of channels of the input.

    Args:
        x: Float tensor (batch, height, width, channels).
        branches: The steps of each branch; see `mixed_block`.
        scale: The factor by which the residual is multiplied before it is added to the input.
        activation: The activation after the addition: ``"relu"``, or None for no activation.
        name: Name of the last layer of the block; the layers before it are ``NAME_mixed``, ``NAME_conv``,
            ``NAME_scale`` and, if the block ends in a ReLU, ``NAME_add``.
        style: The common style of the network's blocks.

    Returns:
        Float tensor of the same shape as the input.

    Source: arXiv 1602.07261, section 3.3 (scaling of residuals).
    """
    y = mixed_block(x, branches, name=f"{name}_mixed", style=style)
    y = conv_block(y, x.shape[-1], 1, activation=None, normalize=False, name=f"{name}_conv", style=style)
    y = layers.Rescaling(scale, dtype=style.dtype, name=f"{name}_scale")(y)
    if activation is None:
        return layers.Add(dtype=style.dtype, name=name)([x, y])
    y = layers.Add(dtype=style.dtype, name=f"{name}_add")([x, y])
    return relu(y, name=name, style=style)


def convolutional_auxiliary_head(
    x: Tensor, classes: int, *, activation: Activation = "softmax", name: str, style: Style = DEFAULT_STYLE
) -> Tensor:
    """Applies the auxiliary classifier of Inception v3, v4 and Inception-ResNet v2.

    The layers are a 5x5 average pooling at stride 3, a 1x1 convolution with 128 filters, a convolution with 768 filters
    over the whole feature map, and a dense layer.

    Args:
        x: Float tensor (batch, height, width, channels) of known height and width, both at least 5.
        classes: Number of classes.
        activation: The activation of the output: any value that `keras.activations.get` accepts; None means that the
            output is the logits.
        name: Name of the output layer; the others are ``NAME_pool``, ``NAME_conv1``, ``NAME_conv2`` and
            ``NAME_flatten``.
        style: The common style of the network's blocks.

    Returns:
        Float tensor (batch, classes).

    Source: tensorflow/models research/slim/nets/inception_v3.py (AuxLogits), inception_v4.py, inception_resnet_v2.py.
    """
    x = layers.AveragePooling2D(5, strides=3, data_format="channels_last", dtype=style.dtype, name=f"{name}_pool")(x)
    x = conv_block(x, 128, 1, name=f"{name}_conv1", style=style)
    x = conv_block(x, 768, tuple(x.shape[1:3]), padding="valid", name=f"{name}_conv2", style=style)
    x = flatten(x, name=f"{name}_flatten", style=style)
    return classifier(x, classes, activation=activation, name=name, style=style)
