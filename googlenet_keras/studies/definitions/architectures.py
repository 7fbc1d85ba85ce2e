"""AlexNet, VGG-11, NiN and GoogLeNet side by side: the same data, size and epochs, each at its learning rate."""

import dataclasses
from typing import Any

from googlenet_keras.studies.study import Entry, Study
from googlenet_keras.training.recipe import Recipe, load_recipe

# A tenth of the training images is held out to be measured on after each epoch.
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
    question="How do NiN and GoogLeNet do with so few parameters?",
    entries=(
        Entry(name="nin", idea="1x1 convolutions after each, global average", recipe=_recipe("d2l_nin")),
        Entry(name="googlenet", idea="Inception modules, global average", recipe=_recipe("d2l_fashion_mnist")),
        Entry(name="alexnet", idea="five convolutions, three dense layers", recipe=_recipe("d2l_alexnet")),
        Entry(name="vgg11_quarter", idea="VGG-11 of a quarter of the filters", recipe=_VGG11),
        Entry(
            name="vgg11",
            idea="eight 3x3 convolutions, three dense layers",
            recipe=dataclasses.replace(_VGG11, width=None),
        ),
    ),
    notes=(
        "AlexNet and VGG flatten their last map into two dense layers of 4,096 units, which hold nearly all of their "
        "parameters; NiN and GoogLeNet average the map, and keep a classifier of ten classes or none at all. Inside, "
        "1x1 convolutions narrow the maps before GoogLeNet's 3x3 and 5x5 convolutions.",
        "Each network has its own learning rate, that of its chapter of the course.",
    ),
)
