"""The building blocks of networks: functions that take a tensor and return a tensor.

Every layer's name follows from the ``name`` given to its block, never from what was built before, and tensors are
NHWC whatever `keras.config.image_data_format` says.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import keras
from keras import layers

from googlenet_keras.keras_types import Activation, Dtype, Initializer, Regularizer, Tensor
from googlenet_keras.layers import BatchNormalization, CeilAveragePooling2D, LocalResponseNormalization


def initializer(class_name: str, **config: Any) -> Initializer:
    """The Keras config of an initializer, of which every layer makes its own."""
    return {"class_name": class_name, "config": config}


@dataclass(frozen=True, kw_only=True)
class BatchNormalizationStyle:
    """The settings of all batch normalization layers of one network.

    Attributes:
        momentum: Weight of the past in the moving moments (PyTorch's ``momentum`` is one minus this).
        epsilon: Added to the variance.
        scale: Whether there is a learned factor (gamma); TF-slim's networks have none.
        bias: Whether the convolution before it keeps a bias, as torchvision's VGG does.
    """

    momentum: float = 0.99
    epsilon: float = 1e-3
    scale: bool = True
    bias: bool = False


@dataclass(frozen=True, kw_only=True)
class Style:
    """The settings that all blocks of one network share.

    Attributes:
        batch_normalization: Its settings, if every convolution is followed by one; convolutions then have no bias.
        padding: ``"same"`` is TensorFlow's, which at stride 2 puts the odd pixel behind; ``"explicit"`` is Caffe's
            and PyTorch's: ``kernel_size // 2`` zeros on every side of a convolution, and pooling in ceil mode.
        kernel_initializer: The initializer of convolutions and dense layers; a name or a Keras config, never an
            instance, which would draw the same numbers for every layer.
        bias_initializer: The initializer of all biases but the classifiers', which start at zero.
        kernel_regularizer: The regularizer of convolutions and dense layers, as `keras.regularizers.get` takes it.
        dtype: Keras dtype policy or its name; None is the global policy.
    """

    batch_normalization: BatchNormalizationStyle | None = None
    padding: Literal["same", "explicit"] = "same"
    kernel_initializer: Initializer = "glorot_uniform"
    bias_initializer: Initializer = "zeros"
    kernel_regularizer: Regularizer = None
    dtype: Dtype = None


class ModuleFilters(NamedTuple):
    """One row of the paper's Table 1: the filters of an Inception module's six convolutions."""

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
    """Convolution and ReLU, with batch normalization between them if the style has it.

    Args:
        x: Float tensor (batch, height, width, channels).
        filters: Number of output channels.
        kernel_size: Height and width of the kernel, in pixels; a single number is both.
        strides: Steps of the kernel down and to the right, in pixels; a single number is both.
        padding: ``"same"``, ``"valid"``, or the number of zeros on every side, or those above and below and those on
            the left and right; None is the style's.
        groups: The number of groups of channels, each convolved separately.
        bias: The initial value of the biases; None is the style's.
        activation: ``"relu"``, or None for none.
        normalize: Whether the style's batch normalization follows; without it the convolution has a bias.
        name: Name of the convolution; ``NAME_bn`` and ``NAME_relu`` are the layers after it.
        style: The common style of the network's blocks.

    Returns:
        Float tensor (batch, height', width', filters).
    """
    if padding is None:
        # At stride 1 an odd kernel is padded alike on both sides by everyone, and a 1x1 kernel by nobody.
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
    """A size of height and width, given as Keras takes it: both, or one number for both."""
    height, width = (size, size) if isinstance(size, int) else size
    return height, width


def relu(x: Tensor, *, name: str, style: Style = DEFAULT_STYLE) -> Tensor:
    """ReLU as a layer of its own: a tensor of any shape to the same shape."""
    return layers.ReLU(dtype=style.dtype, name=name)(x)


def max_pool(
    x: Tensor, pool_size: int, *, strides: int = 2, padding: str = "same", name: str, style: Style = DEFAULT_STYLE
) -> Tensor:
    """Max pooling.

    Args:
        x: Float tensor (batch, height, width, channels); nowhere negative, as behind a ReLU, where it is padded.
        pool_size: Height and width of the window, in pixels.
        strides: Step of the window, in pixels.
        padding: ``"same"``, or ``"valid"``: rows and columns that fill no window are left out.
        name: Name of the pooling layer; explicit padding adds ``NAME_padding``.
        style: The common style of the network's blocks.

    Returns:
        Float tensor (batch, height', width', channels).
    """
    if padding == "same" and style.padding == "explicit" and pool_size > strides > 1:
        # Ceil mode: one more row and column behind let the last window hang over an even map; on an odd map they are
        # left over. Zeros never win, for nothing is negative.
        x = layers.ZeroPadding2D(
            ((0, 1), (0, 1)), data_format="channels_last", dtype=style.dtype, name=f"{name}_padding"
        )(x)
        padding = "valid"
    return layers.MaxPooling2D(
        pool_size, strides=strides, padding=padding, data_format="channels_last", dtype=style.dtype, name=name
    )(x)


def local_response_normalization(x: Tensor, *, name: str, style: Style = DEFAULT_STYLE) -> Tensor:
    """Local response normalization with BVLC's numbers (window 5, alpha 1e-4, beta 0.75, k 1).

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
    """The Inception module with dimension reductions: four branches side by side, joined along the channels.

    Args:
        x: Float tensor (batch, height, width, channels), nowhere negative.
        filters: Filters of the six convolutions, in the order of Table 1.
        name: Name of the concatenation; the branches' layers are ``NAME_1x1``, ``NAME_3x3_reduce``, ``NAME_3x3``,
            ``NAME_5x5_reduce``, ``NAME_5x5``, ``NAME_pool`` and ``NAME_pool_proj``.
        branch5x5_kernel_size: 5 in the paper; 3 in TF-slim and torchvision (pytorch/vision#906), whose layer keeps
            the paper's name here.
        residual: Whether the input is added to the joined branches, by way of a linear 1x1 convolution
            ``NAME_shortcut`` where it has another depth, and rectified; the concatenation is then ``NAME_mixed``, the
            sum ``NAME_add`` and the ReLU NAME (after arXiv 1602.07261, figure 10).
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
    """Flattens a feature map: (batch, height, width, channels) to (batch, height * width * channels)."""
    return layers.Flatten(data_format="channels_last", dtype=style.dtype, name=name)(x)


def drop(x: Tensor, rate: float, *, name: str = "dropout", style: Style = DEFAULT_STYLE) -> Tensor:
    """Drops a fraction of the features while training; at 0 there is no layer."""
    return layers.Dropout(rate, dtype=style.dtype, name=name)(x) if rate else x


def dense(x: Tensor, units: int, *, name: str, style: Style = DEFAULT_STYLE) -> Tensor:
    """Dense layer and ReLU: (batch, features) to (batch, units)."""
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
    """The dense classification layer, in float32 if the style computes in half precision.

    Args:
        x: Float tensor (batch, features).
        classes: Number of classes.
        activation: An activation of `keras.activations.get`; None leaves the logits.
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
    """The dtype policy of the outputs: float32 if the style computes in half precision, and the style's otherwise."""
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
    """The auxiliary classifier on top of a middle module, which passes gradients to that module during training.

    Average pooling 5x5 at stride 3, 1x1 convolution to 128, dense 1024, dropout, dense. The dense layer's size
    follows the map's, so that the map's size must be known.

    Args:
        x: Float tensor (batch, height, width, channels), height and width known and at least 5; 3 are enough for
            explicit padding's ceil mode, 1 for the adaptive pool.
        classes: Number of classes.
        activation: The activation of the output, as `keras.activations.get` takes it; None leaves the logits.
        dropout: Fraction of the 1024 features dropped while training; 0 leaves the layer out.
        adaptive_pool: Average down to 4x4 whatever the map's size, as torchvision does, in place of 5x5 at stride 3.
        name: Name of the answering layer; the others are ``NAME_pool``, ``NAME_conv``, ``NAME_flatten``, ``NAME_fc``
            and ``NAME_dropout``.
        style: The common style of the network's blocks.

    Returns:
        Float tensor (batch, classes).

    Raises:
        ValueError: If the map's size is unknown or too small for the pool.

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
            f"Auxiliary head {name!r} needs a map of known size, {smallest}x{smallest} or larger: give the model a "
            f"larger input. Received: a map of shape {x.shape}"
        )
    x = conv_block(pool(x), 128, 1, name=f"{name}_conv", style=style)
    x = flatten(x, name=f"{name}_flatten", style=style)
    x = dense(x, 1024, name=f"{name}_fc", style=style)
    x = drop(x, dropout, name=f"{name}_dropout", style=style)
    return classifier(x, classes, activation=activation, name=name, style=style)


class Conv(NamedTuple):
    """A `conv_block` in a table."""

    filters: int
    kernel_size: int | tuple[int, int] = 1
    strides: int = 1
    padding: Literal["same", "valid"] | int | None = "same"
    groups: int = 1
    bias: float | None = None
    activation: Literal["relu"] | None = "relu"


class Pool(NamedTuple):
    """A pooling in a table; an average leaves out what lies beyond the border, as TensorFlow's does."""

    kind: Literal["max", "avg"]
    strides: int = 1
    padding: Literal["same", "valid"] = "same"
    size: int = 3


class Fork(NamedTuple):
    """Convolutions side by side at the end of a branch, joined with the branches."""

    arms: tuple[Conv, ...]


Branch = tuple[Conv | Pool | Fork, ...]


class Inception(NamedTuple):
    """An `inception_module` in a table."""

    filters: ModuleFilters
    branch5x5_kernel_size: int = 5
    residual: bool = False


class Residual(NamedTuple):
    """A `residual_block` in a table."""

    branches: tuple[Branch, ...]
    scale: float
    activation: Literal["relu"] | None = "relu"


# Branches alone are a `mixed_block`; a function is called as ``step(x, name=name, style=style)``.
Step = Conv | Pool | Inception | Residual | tuple[Branch, ...] | Callable[..., Tensor]
# Steps one after the other, by the names of their layers.
Stage = Mapping[str, Step]


def stages(x: Tensor, table: Sequence[Stage], *, style: Style = DEFAULT_STYLE) -> Iterator[tuple[str, Tensor]]:
    """Builds the body of a network, stage by stage.

    Args:
        x: Float tensor (batch, height, width, channels).
        table: The stages, from the input on.
        style: The common style of the network's blocks.

    Yields:
        The name of the layer that ends a stage, see `endpoint`, and its output (batch, height', width', channels').
    """
    for stage in table:
        x = chain(x, stage, style=style)
        yield endpoint(stage, style=style), x


def chain(x: Tensor, stage: Stage, *, style: Style = DEFAULT_STYLE) -> Tensor:
    """Builds the steps of one stage, (batch, height, width, channels) to (batch, height', width', channels')."""
    for name, step in stage.items():
        x = _take(x, step, name=name, style=style)
    return x


def endpoint(stage: Stage, *, style: Style = DEFAULT_STYLE) -> str:
    """The name of the last layer of a stage, which is a convolution's ReLU where that is a layer of its own."""
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
    """Branches side by side, joined along the channels: what the later Inception networks are made of.

    Args:
        x: Float tensor (batch, height, width, channels).
        branches: The steps of each branch.
        name: Name of the concatenation. Step I of branch B is ``NAME_branchB_I`` (``NAME_branchB`` if it is the only
            one), the arms of a fork are ``NAME_branchB_Ia``, ``NAME_branchB_Ib``.
        style: The common style of the network's blocks.

    Returns:
        Float tensor (batch, height', width', the branches' channels in their order).
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
    """Inception-ResNet's block: branches, a 1x1 convolution back to the input's depth, scaled and added to the input.

    Args:
        x: Float tensor (batch, height, width, channels).
        branches: See `mixed_block`.
        scale: The factor of what is added to the input.
        activation: After the addition.
        name: Name of the block's last layer; before it are ``NAME_mixed``, ``NAME_conv``, ``NAME_scale`` and, where a
            ReLU follows, ``NAME_add``.
        style: The common style of the network's blocks.

    Returns:
        Float tensor of the input's shape.

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
    """The auxiliary classifier of Inception v3, v4 and Inception-ResNet v2.

    Average pooling 5x5 at stride 3, 1x1 convolution to 128, a convolution over the whole map to 768, dense.

    Args:
        x: Float tensor (batch, height, width, channels), height and width known and at least 5.
        classes: Number of classes.
        activation: The activation of the output, as `keras.activations.get` takes it; None leaves the logits.
        name: Name of the answering layer; the others are ``NAME_pool``, ``NAME_conv1``, ``NAME_conv2`` and
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
