"""Compares AlexNet, VGG-11, NiN and GoogLeNet with the same data, input size and epochs, but own learning rates."""

import dataclasses
from typing import Any

from googlenet_keras.studies.study import Entry, Study
from googlenet_keras.training.recipe import Recipe, load_recipe

# A tenth of the training images is held out for the evaluation after each epoch.
_SHARED: dict[str, Any] = {
    "train_split": "train[:90%]",
    "validation_split": "train[90%:]",
    "input_size": 224,
    "epochs": 10,
}


def _recipe(name: str) -> Recipe:
    return dataclasses.replace(load_recipe(name), **_SHARED)


_VGG11 = _recipe("d2l_vgg11")
STUDY = Study(
    name="architectures",
    question="How do NiN and GoogLeNet manage with so few parameters?",
    entries=(
        Entry(name="nin", idea="two 1x1 convolutions after each larger one, global average", recipe=_recipe("d2l_nin")),
        Entry(name="googlenet", idea="Inception modules, global average", recipe=_recipe("d2l_fashion_mnist")),
        Entry(name="alexnet", idea="five convolutions, three dense layers", recipe=_recipe("d2l_alexnet")),
        Entry(name="vgg11_quarter", idea="VGG-11 with a quarter of the filters", recipe=_VGG11),
        Entry(
            name="vgg11",
            idea="eight 3x3 convolutions, three dense layers",
            recipe=dataclasses.replace(_VGG11, width=None),
        ),
    ),
    notes=(
        "AlexNet and VGG flatten their last feature map and apply two dense layers of 4,096 units, which contain "
        "nearly all of their parameters. NiN and GoogLeNet average the feature map instead; GoogLeNet then has a dense "
        "classifier for ten classes, and NiN has no dense layer at all. In GoogLeNet's modules, 1x1 convolutions also "
        "reduce the channels before the 3x3 and 5x5 convolutions.",
        "Each network uses the learning rate of its chapter of the course.",
    ),
)
