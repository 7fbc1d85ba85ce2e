"""Names of the layers of VGG and AlexNet in other implementations, and VGG's tensors in torchvision.

keras.applications needs none: its VGG16 and VGG19 have the names of ours.
"""

import re

import keras
from keras import layers

from googlenet_keras.weights import layouts
from googlenet_keras.weights.layouts import Tensor


def torchvision_alexnet(name: str) -> str | None:
    """torchvision/models/alexnet.py: `features` and `classifier` are sequences."""
    return {
        "conv1": "features.0",
        "conv2": "features.3",
        "conv3": "features.6",
        "conv4": "features.8",
        "conv5": "features.10",
        "fc6": "classifier.1",
        "fc7": "classifier.4",
        "predictions": "classifier.6",
    }.get(name)


def caffe_alexnet(name: str) -> str | None:
    """BVLC caffe models/bvlc_alexnet/train_val.prototxt."""
    if name == "predictions":
        return "fc8"
    return name if name in ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7") else None


def caffe_vgg(name: str) -> str | None:
    """The authors' own, VGG_ILSVRC_16_layers_deploy.prototxt and VGG_ILSVRC_19_layers_deploy.prototxt."""
    match = re.fullmatch(r"block(\d+)_conv(\d+)", name)
    if match:
        return f"conv{match[1]}_{match[2]}"
    return {"fc1": "fc6", "fc2": "fc7", "predictions": "fc8"}.get(name)


def torchvision_vgg(name: str) -> str | None:
    """torchvision/models/vgg.py: `features` and `classifier` are sequences.

    A convolution's place in `features` depends on the model, and is found in `torchvision_vgg_tensors`.
    """
    if re.fullmatch(r"block\d+_conv\d+", name):
        return "features"
    return {"fc1": "classifier.0", "fc2": "classifier.3", "predictions": "classifier.6"}.get(name)


def torchvision_vgg_tensors(model: keras.Model, layer: layers.Layer, name: str) -> list[Tensor]:
    """A layer of a sequence by its place there; a convolution has a bias beside its normalization too."""
    if name == "features":
        name = f"features.{_place(model, layer)}"
    if isinstance(layer, layers.BatchNormalization):
        return [Tensor(f"{name}.{leaf}") for leaf in ("weight", "bias", "running_mean", "running_var")]
    return layouts.caffe_tensors(model, layer, name)


def _place(model: keras.Model, layer: layers.Layer) -> int:
    """Returns the position of a layer in `features`, which has a position for every ReLU."""
    place = 0
    for other in model.layers:
        if other is layer:
            break
        if re.match(r"block\d+_", other.name):
            # Here a convolution without batch normalization does its ReLU itself.
            has_relu = isinstance(other, layers.Conv2D) and other.activation is keras.activations.relu
            place += 1 + has_relu
    return place
