"""GoogLeNet: the paper's Table 1 as a table, and the networks that people mean by the name.

Source: Szegedy et al., "Going Deeper with Convolutions", arXiv 1409.4842.
"""

from dataclasses import dataclass, field
from typing import Any

import keras

from googlenet_keras import blocks
from googlenet_keras.blocks import BatchNormalizationStyle, Initializer, ModuleFilters, Style
from googlenet_keras.models import conventions
from googlenet_keras.models.preprocessing import (
    MEAN_SUBTRACTED_BGR,
    MEAN_SUBTRACTED_RGB,
    MINUS_ONE_TO_ONE,
    ZERO_TO_ONE,
    Preprocessing,
)
from googlenet_keras.models.registry import ModelRecord, register

# Table 1, its nine Inception modules.
MODULES = {
    #                             1x1  3x3r  3x3 5x5r  5x5 pool
    "inception_3a": ModuleFilters(64, 96, 128, 16, 32, 32),
    "inception_3b": ModuleFilters(128, 128, 192, 32, 96, 64),
    "inception_4a": ModuleFilters(192, 96, 208, 16, 48, 64),
    "inception_4b": ModuleFilters(160, 112, 224, 24, 64, 64),
    "inception_4c": ModuleFilters(128, 128, 256, 24, 64, 64),
    "inception_4d": ModuleFilters(112, 144, 288, 32, 64, 64),
    "inception_4e": ModuleFilters(256, 160, 320, 32, 128, 128),
    "inception_5a": ModuleFilters(256, 160, 320, 32, 128, 128),
    "inception_5b": ModuleFilters(384, 192, 384, 48, 128, 128),
}
# The max poolings of Table 1 after a module, and the heads of section 5 on one.
POOL_AFTER = {"inception_3b": "pool3", "inception_4e": "pool4"}
HEAD_ON = {"inception_4a": "aux1", "inception_4d": "aux2"}

# A head averages 5x5 windows of a map that is 1/16 of the input: 65 pixels are the first to leave 5.
MINIMUM_SIZE_OF_AUX_HEADS = 65

TRUNCATED_NORMAL = {"class_name": "TruncatedNormal", "config": {"stddev": 0.01}}


@dataclass(frozen=True, kw_only=True)
class Variant:
    """What one of the networks called GoogLeNet does in its own way.

    Attributes:
        description: What sets it apart, in a line.
        normalization: ``"lrn"``, ``"batch"`` or ``"none"``.
        batch_normalization: Settings, where the normalization is ``"batch"``.
        padding: See `blocks.Style`.
        branch5x5_kernel_size: Kernel of the layers ``inception_*_5x5``.
        pool4_size: Window of the last max pooling, in pixels.
        adaptive_aux_pool: See `blocks.auxiliary_head`.
        residual: See `blocks.inception_module`.
        dropout: Fraction of the 1024 features dropped before the classifier while training.
        kernel_initializer: See `blocks.Style`.
        bias_initializer: See `blocks.Style`.
        preprocessing: What its published weights expect.
        minimum_size: Smallest height and width that leave a pixel to every pooling, without auxiliary heads.
        labels: See `ModelRecord`.
        arguments: What `create_model` passes to `GoogLeNet` where the caller says nothing.
    """

    description: str
    normalization: str
    batch_normalization: BatchNormalizationStyle = field(default_factory=BatchNormalizationStyle)
    padding: str = "same"
    branch5x5_kernel_size: int = 5
    pool4_size: int = 3
    adaptive_aux_pool: bool = False
    residual: bool = False
    dropout: float = 0.4
    kernel_initializer: Initializer = "glorot_uniform"
    bias_initializer: Initializer = "zeros"
    preprocessing: Preprocessing
    minimum_size: int = 1
    labels: str = "imagenet"
    arguments: tuple[tuple[str, Any], ...] = ()


VARIANTS = {
    # The paper gives no numbers for LRN, no initializer and no padding: BVLC's, Keras's and TensorFlow's.
    "paper": Variant(
        description="the paper: LRN, biases, true 5x5, `same` padding, dropout 0.4",
        normalization="lrn",
        preprocessing=MEAN_SUBTRACTED_RGB,
    ),
    # BVLC caffe models/bvlc_googlenet/train_val.prototxt; its "xavier" is Keras's lecun_uniform.
    "bvlc": Variant(
        description="Caffe's: explicit padding, ceil-mode pools, LRN 5 / 1e-4 / 0.75 / 1, Caffe's initializers",
        normalization="lrn",
        padding="explicit",
        kernel_initializer="lecun_uniform",
        bias_initializer={"class_name": "Constant", "config": {"value": 0.2}},
        preprocessing=MEAN_SUBTRACTED_BGR,
        minimum_size=31,
    ),
    # Moments over about 10 batches, as in PyTorch: Keras's 0.99 lags behind in a training of a few epochs. Dropout
    # as TF-slim and torchvision have it beside batch normalization.
    "bn": Variant(
        description="batch normalization after every convolution, no LRN, true 5x5: the one to train",
        normalization="batch",
        batch_normalization=BatchNormalizationStyle(momentum=0.9),
        dropout=0.2,
        kernel_initializer="he_normal",
        preprocessing=MINUS_ONE_TO_ONE,
    ),
    # The exercise of "Dive into Deep Learning": the network above with a shortcut around every module.
    "residual": Variant(
        description="`googlenet_bn` with an identity or 1x1 shortcut around every module",
        normalization="batch",
        batch_normalization=BatchNormalizationStyle(momentum=0.9),
        residual=True,
        dropout=0.2,
        kernel_initializer="he_normal",
        preprocessing=MINUS_ONE_TO_ONE,
    ),
    # pytorch/vision torchvision/models/googlenet.py. Its weights were ported from TF-slim's: the same input range.
    "torchvision": Variant(
        description="torchvision's: 3x3 for 5x5, batch normalization, explicit padding, 2x2 last pool, dropout 0.2",
        normalization="batch",
        batch_normalization=BatchNormalizationStyle(momentum=0.9),
        padding="explicit",
        branch5x5_kernel_size=3,
        pool4_size=2,
        adaptive_aux_pool=True,
        dropout=0.2,
        kernel_initializer=TRUNCATED_NORMAL,
        preprocessing=MINUS_ONE_TO_ONE,
        minimum_size=15,
    ),
    # tensorflow/models research/slim/nets/inception_v1.py, inception_utils.py (batch_norm_decay, epsilon).
    "slim": Variant(
        description="TF-slim's: 3x3 for 5x5, batch normalization without scale, `same` padding, 2x2 last pool",
        normalization="batch",
        batch_normalization=BatchNormalizationStyle(momentum=0.9997, scale=False),
        branch5x5_kernel_size=3,
        pool4_size=2,
        dropout=0.2,
        kernel_initializer=TRUNCATED_NORMAL,
        preprocessing=MINUS_ONE_TO_ONE,
    ),
    # d2l-en chapter_convolutional-modern/googlenet.md: Fashion-MNIST at 96x96, the loss takes logits.
    "d2l": Variant(
        description='"Dive into Deep Learning": no LRN, no heads, no dropout, 96x96x1, 10 classes, logits',
        normalization="none",
        dropout=0.0,
        preprocessing=ZERO_TO_ONE,
        labels="fashion_mnist",
        arguments=(("input_shape", (96, 96, 1)), ("classes", 10), ("classifier_activation", None)),
    ),
}


def GoogLeNet(
    include_top: bool = True,
    weights: Any = None,
    input_tensor: Any = None,
    input_shape: tuple[int | None, ...] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str | None = None,
    *,
    variant: str = "paper",
    normalization: str | None = None,
    aux_heads: bool = False,
    dropout: float | None = None,
    kernel_regularizer: Any = None,
    dtype: Any = None,
) -> keras.Model:
    """Builds GoogLeNet, with the arguments of keras.applications and a few more.

    Args:
        include_top: Whether the network ends in global average pooling, dropout and the classifier ``predictions``.
        weights: None for random initialization, the path of a ``.weights.h5`` or ``.keras`` file of this package, or
            ``"fashion_mnist"`` for the variant ``"bn"`` of 10 classes and 1 channel, which come with the package;
            ``create_model("googlenet_bn", weights="fashion_mnist")`` fills in what they were trained at.
        input_tensor: A Keras tensor (batch, height, width, channels) to build upon, or None for an input of its own.
        input_shape: (height, width, channels) in pixels; None is (224, 224, 3) with the top and (None, None, 3)
            without it.
        pooling: Without the top: None answers the last map (batch, height, width, 1024), ``"avg"`` and ``"max"``
            its pooling (batch, 1024).
        classes: Number of classes.
        classifier_activation: Activation of ``predictions`` and the heads; None leaves the logits.
        name: The model's name; None is ``googlenet``, or ``googlenet_VARIANT``.
        variant: One of `VARIANTS`: ``"paper"``, ``"bvlc"``, ``"bn"``, ``"residual"``, ``"torchvision"``, ``"slim"``,
            ``"d2l"``.
        normalization: ``"lrn"`` around conv2, ``"batch"`` after every convolution, ``"none"``; None is the variant's.
        aux_heads: Whether the classifiers ``aux1`` (on inception_4a) and ``aux2`` (on inception_4d) are built. The
            model then answers ``{"predictions", "aux1", "aux2"}``, by name; the paper weighs their losses 1, 0.3, 0.3.
        dropout: Fraction dropped before ``predictions`` while training; None is the variant's, 0 leaves it out.
        kernel_regularizer: Of every convolution and dense layer, as `keras.regularizers.get` takes it.
        dtype: Keras dtype policy or its name, such as ``"mixed_bfloat16"``; None is the global policy. The
            classifiers answer in float32 under a half-precision policy.

    Returns:
        A functional Keras model. Its input is a float tensor (batch, height, width, channels), preprocessed as
        `googlenet_keras.preprocess_input` does.

    Raises:
        ValueError: If an argument is none of the above, the input is too small for the network (see
            `ModelRecord.minimum_size`) or for the heads (65 pixels), or the weights do not fit.
    """
    if variant not in VARIANTS:
        raise ValueError(f"`variant` must be one of {', '.join(VARIANTS)}. Received: {variant!r}")
    settings = VARIANTS[variant]
    normalization = settings.normalization if normalization is None else normalization
    if normalization not in ("lrn", "batch", "none"):
        raise ValueError(f'`normalization` must be "lrn", "batch" or "none". Received: {normalization!r}')
    dropout = settings.dropout if dropout is None else dropout
    conventions.check_arguments(
        include_top=include_top,
        pooling=pooling,
        classes=classes,
        classifier_activation=classifier_activation,
        dropout=dropout,
        aux_heads=aux_heads,
    )
    inputs = conventions.image_input(
        input_tensor,
        input_shape,
        default_shape=(224, 224, 3),
        minimum_size=settings.minimum_size,
        include_top=include_top,
    )
    if aux_heads:
        conventions.check_size_for_aux_heads(inputs.shape[1:3], MINIMUM_SIZE_OF_AUX_HEADS)
    style = Style(
        batch_normalization=settings.batch_normalization if normalization == "batch" else None,
        padding=settings.padding,
        kernel_initializer=settings.kernel_initializer,
        bias_initializer=settings.bias_initializer,
        kernel_regularizer=kernel_regularizer,
        dtype=dtype,
    )

    x = blocks.conv_block(inputs, 64, 7, strides=2, name="conv1_7x7", style=style)
    x = blocks.max_pool(x, 3, name="pool1", style=style)
    if normalization == "lrn":
        x = blocks.local_response_normalization(x, name="pool1_norm1", style=style)
    x = blocks.conv_block(x, 64, 1, name="conv2_3x3_reduce", style=style)
    x = blocks.conv_block(x, 192, 3, name="conv2_3x3", style=style)
    if normalization == "lrn":
        x = blocks.local_response_normalization(x, name="conv2_norm2", style=style)
    x = blocks.max_pool(x, 3, name="pool2", style=style)

    outputs = {}
    for module, filters in MODULES.items():
        x = blocks.inception_module(
            x,
            filters,
            name=module,
            branch5x5_kernel_size=settings.branch5x5_kernel_size,
            residual=settings.residual,
            style=style,
        )
        if aux_heads and module in HEAD_ON:
            outputs[HEAD_ON[module]] = blocks.auxiliary_head(
                x,
                classes,
                activation=classifier_activation,
                adaptive_pool=settings.adaptive_aux_pool,
                name=HEAD_ON[module],
                style=style,
            )
        if module in POOL_AFTER:
            pool_size = settings.pool4_size if POOL_AFTER[module] == "pool4" else 3
            x = blocks.max_pool(x, pool_size, name=POOL_AFTER[module], style=style)

    if include_top:
        x = conventions.top(
            x, classes, activation=classifier_activation, dropout=dropout, pool_name="pool5", style=style
        )
    else:
        x = conventions.global_pool(x, pooling, name="pool5", style=style)
    return conventions.finished_model(
        inputs,
        {"predictions": x, **outputs} if aux_heads else x,
        name=name or _model_name(variant),
        weights=weights,
        input_tensor=input_tensor,
        registered_name=_model_name(variant),
    )


def _model_name(variant: str) -> str:
    return "googlenet" if variant == "paper" else f"googlenet_{variant}"


def _endpoints(variant: Variant) -> tuple[str, ...]:
    end = "_relu" if variant.normalization == "batch" else ""
    stages = [f"conv1_7x7{end}", "pool1", f"conv2_3x3{end}", "pool2"]
    for module in MODULES:
        stages += [module, POOL_AFTER[module]] if module in POOL_AFTER else [module]
    return tuple(stages)


for _variant, _settings in VARIANTS.items():
    register(
        ModelRecord(
            name=_model_name(_variant),
            description=_settings.description,
            factory=GoogLeNet,
            arguments={"variant": _variant, **dict(_settings.arguments)},
            preprocessing=_settings.preprocessing,
            labels=_settings.labels,
            minimum_size=_settings.minimum_size,
            endpoints=_endpoints(_settings),
            aux_heads=tuple(HEAD_ON.values()),
            minimum_size_of_aux_heads=MINIMUM_SIZE_OF_AUX_HEADS,
        )
    )
