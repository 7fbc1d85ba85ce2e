"""Translates the layer names of VGG and AlexNet to those in other implementations, and finds torchvision's VGG tensors.

keras.applications needs no translation, because its VGG16 and VGG19 use the same layer names as this package.
"""

import re

import keras
from keras import layers

from googlenet_keras.weights import layouts
from googlenet_keras.weights.layouts import Tensor


def torchvision_alexnet(name: str) -> str | None:
    """Returns a layer's name in torchvision/models/alexnet.py, where `features` and `classifier` are sequences."""
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
    """Returns a layer's name in BVLC caffe models/bvlc_alexnet/train_val.prototxt."""
    if name == "predictions":
        return "fc8"
    return name if name in ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7") else None


def caffe_vgg(name: str) -> str | None:
    """Returns a layer's name in VGG_ILSVRC_16_layers_deploy.prototxt and VGG_ILSVRC_19_layers_deploy.prototxt.

    Both files are by the authors of VGG.
    """
    match = re.fullmatch(r"block(\d+)_conv(\d+)", name)
    if match:
        return f"conv{match[1]}_{match[2]}"
    return {"fc1": "fc6", "fc2": "fc7", "predictions": "fc8"}.get(name)


def torchvision_vgg(name: str) -> str | None:
    """Returns a layer's name in torchvision/models/vgg.py, where `features` and `classifier` are sequences.

    The position of a convolution in `features` depends on the model, so `torchvision_vgg_tensors` adds it.
    """
    if re.fullmatch(r"block\d+_conv\d+", name):
        return "features"
    return {"fc1": "classifier.0", "fc2": "classifier.3", "predictions": "classifier.6"}.get(name)


def torchvision_vgg_tensors(model: keras.Model, layer: layers.Layer, name: str) -> list[Tensor]:
    """Returns the torchvision tensors of a VGG layer. A convolution has a bias even if a normalization follows it."""
    if name == "features":
        name = f"features.{_place(model, layer)}"
    if isinstance(layer, layers.BatchNormalization):
        return [Tensor(f"{name}.{leaf}") for leaf in ("weight", "bias", "running_mean", "running_var")]
    return layouts.caffe_tensors(model, layer, name)


def _place(model: keras.Model, layer: layers.Layer) -> int:
    """Returns the position of a layer in `features`, where every ReLU has a position of its own."""
    place = 0
    for other in model.layers:
        if other is layer:
            break
        if re.match(r"block\d+_", other.name):
            # In this package, a convolution without batch normalization includes its ReLU.
            has_relu = isinstance(other, layers.Conv2D) and other.activation is keras.activations.relu
            place += 1 + has_relu
    return place
