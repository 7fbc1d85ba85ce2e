"""A very small network with the parts of GoogLeNet: a module, batch normalization, dropout, and an auxiliary head.

It replaces the networks of the package in tests of other things, such as devices, workers and commands.
"""

from keras import layers

from googlenet_keras import blocks
from googlenet_keras.blocks import BatchNormalizationStyle, Conv, Inception, ModuleFilters, Style
from googlenet_keras.images.preprocessing import ZERO_TO_ONE
from googlenet_keras.models import registry
from googlenet_keras.models.conventions import build
from googlenet_keras.models.factories import Arguments


def _head(x, classes, *, activation, name, style):
    x = layers.GlobalAveragePooling2D(data_format="channels_last", dtype=style.dtype, name=f"{name}_pool")(x)
    return blocks.classifier(x, classes, activation=activation, name=name, style=style)


def _factory(*, aux_heads=False, dropout=None, **arguments):
    return build(RECORD, Arguments(**arguments), aux_heads=aux_heads, dropout=dropout)


RECORD = registry.ModelRecord(
    name="tiny",
    description="for tests",
    stages=(
        {"conv1": Conv(8, 3, strides=2)},  # 16x16x8
        {"mixed": Inception(ModuleFilters(8, 4, 8, 4, 8, 8))},  # 16x16x32
        {"conv2": Conv(16, 3, strides=2)},  # 8x8x16
    ),
    style=Style(batch_normalization=BatchNormalizationStyle(momentum=0.9)),
    dropout=0.2,
    default_shape=(32, 32, 1),
    minimum_size=16,
    aux_head_on={"aux1": "mixed"},
    aux_head=_head,
    minimum_size_of_aux_heads=16,
    preprocessing=ZERO_TO_ONE,
    labels="fashion_mnist",
    arguments={"classes": 10, "classifier_activation": None},
    factory=_factory,
)


def register():
    """Registers the network as "tiny" in this process."""
    registry.register(RECORD)
