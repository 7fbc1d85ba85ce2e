"""GoogLeNet: Table 1 of the paper, and the variants of the network that are known by this name.

Source: Szegedy et al., "Going Deeper with Convolutions", arXiv 1409.4842.
"""

from dataclasses import replace
from functools import partial

import keras

from googlenet_keras import blocks
from googlenet_keras.blocks import BatchNormalizationStyle, Conv, Inception, ModuleFilters, Pool, Stage, Style
from googlenet_keras.images.preprocessing import (
    MEAN_SUBTRACTED_BGR,
    MEAN_SUBTRACTED_RGB,
    MINUS_ONE_TO_ONE,
    ZERO_TO_ONE,
)
from googlenet_keras.models.conventions import build
from googlenet_keras.models.factories import Arguments, factory
from googlenet_keras.models.registry import ModelRecord

# The part of Table 1 before the Inception modules, with LRN and without it.
_LRN = blocks.local_response_normalization
_POOL = Pool("max", strides=2)
LRN_STEM: tuple[Stage, ...] = (
    {"conv1_7x7": Conv(64, 7, strides=2, padding=None)},  # 112x112x64
    {"pool1": _POOL},  # 56x56x64
    {"pool1_norm1": _LRN, "conv2_3x3_reduce": Conv(64), "conv2_3x3": Conv(192, 3)},  # 56x56x192
    {"conv2_norm2": _LRN, "pool2": _POOL},  # 28x28x192
)
STEM = tuple({name: step for name, step in stage.items() if step is not _LRN} for stage in LRN_STEM)
# The nine modules of Table 1, and the poolings after some of them.
MODULES: dict[str, ModuleFilters | Pool] = {
    #                             1x1  3x3r  3x3 5x5r  5x5 pool
    "inception_3a": ModuleFilters(64, 96, 128, 16, 32, 32),  # 28x28x256
    "inception_3b": ModuleFilters(128, 128, 192, 32, 96, 64),  # 28x28x480
    "pool3": _POOL,  # 14x14x480
    "inception_4a": ModuleFilters(192, 96, 208, 16, 48, 64),  # 14x14x512
    "inception_4b": ModuleFilters(160, 112, 224, 24, 64, 64),  # 14x14x512
    "inception_4c": ModuleFilters(128, 128, 256, 24, 64, 64),  # 14x14x512
    "inception_4d": ModuleFilters(112, 144, 288, 32, 64, 64),  # 14x14x528
    "inception_4e": ModuleFilters(256, 160, 320, 32, 128, 128),  # 14x14x832
    "pool4": _POOL,  # 7x7x832
    "inception_5a": ModuleFilters(256, 160, 320, 32, 128, 128),  # 7x7x832
    "inception_5b": ModuleFilters(384, 192, 384, 48, 128, 128),  # 7x7x1024
}


def _stages(
    stem: tuple[Stage, ...] = STEM, *, branch5x5_kernel_size: int = 5, pool4_size: int = 3, residual: bool = False
) -> tuple[Stage, ...]:
    """Returns the stages of Table 1, with the given kernel in ``inception_*_5x5``, window in pool4, and shortcuts."""
    rows = {**MODULES, "pool4": _POOL._replace(size=pool4_size)}
    return stem + tuple(
        {name: row if isinstance(row, Pool) else Inception(row, branch5x5_kernel_size, residual)}
        for name, row in rows.items()
    )


_BATCH_NORMALIZED = Style(batch_normalization=BatchNormalizationStyle(momentum=0.9), kernel_initializer="he_normal")
_TRUNCATED_NORMAL = blocks.initializer("TruncatedNormal", stddev=0.01)

# The paper does not give the parameters of LRN, the initializer or the padding, so those of BVLC, Keras and TensorFlow,
# respectively, are used.
PAPER = ModelRecord(
    name="googlenet",
    description="the paper: LRN, biases, true 5x5, `same` padding, dropout 0.4",
    stages=_stages(LRN_STEM),
    dropout=0.4,
    pool_name="pool5",
    minimum_size=1,
    # Section 5. A head averages 5x5 windows of a feature map with 1/16 of the input's size, which is 5x5 for inputs of
    # 65 pixels or more.
    aux_head_on={"aux1": "inception_4a", "aux2": "inception_4d"},
    aux_head=blocks.auxiliary_head,
    minimum_size_of_aux_heads=65,
    preprocessing=MEAN_SUBTRACTED_RGB,
    arguments={"variant": "paper"},
)
# BVLC caffe models/bvlc_googlenet/train_val.prototxt; its "xavier" corresponds to Keras's lecun_uniform.
BVLC = replace(
    PAPER,
    name="googlenet_bvlc",
    description="Caffe's: explicit padding, ceil-mode pools, LRN 5 / 1e-4 / 0.75 / 1, Caffe's initializers",
    style=Style(
        padding="explicit",
        kernel_initializer="lecun_uniform",
        bias_initializer=blocks.initializer("Constant", value=0.2),
    ),
    minimum_size=31,
    preprocessing=MEAN_SUBTRACTED_BGR,
    arguments={"variant": "bvlc"},
)
# With the momentum of PyTorch, the moments average about 10 batches; with Keras's default of 0.99, they lag behind in a
# training of a few epochs. The dropout is that of TF-slim and torchvision, which use batch normalization as well.
BN = replace(
    PAPER,
    name="googlenet_bn",
    description="batch normalization after every convolution, no LRN, true 5x5: the one to train",
    stages=_stages(),
    style=_BATCH_NORMALIZED,
    dropout=0.2,
    preprocessing=MINUS_ONE_TO_ONE,
    arguments={"variant": "bn"},
)
# An exercise of "Dive into Deep Learning": the batch-normalized network with a shortcut around every module.
RESIDUAL = replace(
    BN,
    name="googlenet_residual",
    description="`googlenet_bn` with an identity or 1x1 shortcut around every module",
    stages=_stages(residual=True),
    arguments={"variant": "residual"},
)
# pytorch/vision torchvision/models/googlenet.py. Its weights were ported from those of TF-slim, so it expects the same
# input range.
TORCHVISION = replace(
    BN,
    name="googlenet_torchvision",
    description="torchvision's: 3x3 instead of 5x5, batch normalization, explicit padding, 2x2 last pool, dropout 0.2",
    stages=_stages(branch5x5_kernel_size=3, pool4_size=2),
    style=replace(_BATCH_NORMALIZED, padding="explicit", kernel_initializer=_TRUNCATED_NORMAL),
    minimum_size=15,
    aux_head=partial(blocks.auxiliary_head, adaptive_pool=True),
    arguments={"variant": "torchvision"},
)
# tensorflow/models research/slim/nets/inception_v1.py, inception_utils.py (batch_norm_decay, epsilon).
SLIM = replace(
    BN,
    name="googlenet_slim",
    description="TF-slim's: 3x3 instead of 5x5, batch normalization without scale, `same` padding, 2x2 last pool",
    stages=_stages(branch5x5_kernel_size=3, pool4_size=2),
    style=Style(
        batch_normalization=BatchNormalizationStyle(momentum=0.9997, scale=False),
        kernel_initializer=_TRUNCATED_NORMAL,
    ),
    arguments={"variant": "slim"},
)
# d2l-en chapter_convolutional-modern/googlenet.md, which trains on Fashion-MNIST at 96x96 with a loss of logits.
D2L = replace(
    PAPER,
    name="googlenet_d2l",
    description='"Dive into Deep Learning": no LRN, no heads, no dropout, 96x96x1, 10 classes, logits',
    stages=_stages(),
    dropout=0.0,
    preprocessing=ZERO_TO_ONE,
    labels="fashion_mnist",
    arguments={"variant": "d2l", "input_shape": (96, 96, 1), "classes": 10, "classifier_activation": None},
)
VARIANTS = {record.arguments["variant"]: record for record in (PAPER, BVLC, BN, RESIDUAL, TORCHVISION, SLIM, D2L)}


@factory(*VARIANTS.values())
def GoogLeNet(
    arguments: Arguments,
    *,
    variant: str = "paper",
    normalization: str | None = None,
    aux_heads: bool = False,
    dropout: float | None = None,
) -> keras.Model:
    """Builds GoogLeNet, which `create_model` calls ``googlenet`` (the paper's) or ``googlenet_VARIANT``.

    The top consists of global average pooling, dropout and the classifier. The last feature map has shape (batch,
    height, width, 1024). The paper weights the losses of ``predictions``, ``aux1`` and ``aux2`` with 1, 0.3 and 0.3.

    Args:
        variant: One of `VARIANTS`: ``"paper"``, ``"bvlc"``, ``"bn"``, ``"residual"``, ``"torchvision"``, ``"slim"``,
            ``"d2l"``.
        normalization: ``"lrn"`` for local response normalization before and after conv2, ``"batch"`` for batch
            normalization after every convolution, or ``"none"``; None means the normalization of the variant.
        dropout: Fraction of the features that is dropped before ``predictions`` during training; None means the
            dropout of the variant, and 0 leaves the layer out.
    """
    if variant not in VARIANTS:
        raise ValueError(f"`variant` must be one of {', '.join(VARIANTS)}. Received: {variant!r}")
    record = VARIANTS[variant]
    if normalization not in (None, "lrn", "batch", "none"):
        raise ValueError(f'`normalization` must be "lrn", "batch" or "none". Received: {normalization!r}')
    if normalization:
        stem = LRN_STEM if normalization == "lrn" else STEM
        batch = (record.style.batch_normalization or BatchNormalizationStyle()) if normalization == "batch" else None
        record = replace(
            record,
            stages=(*stem, *record.stages[len(stem) :]),
            style=replace(record.style, batch_normalization=batch),
        )
    return build(record, arguments, aux_heads=aux_heads, dropout=dropout)
