"""Describes how each framework and package that networks come from names and lays out its tensors."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import keras

from googlenet_keras.weights import classic, inception_names, layouts, names
from googlenet_keras.weights.layouts import Tensor
from googlenet_keras.weights.names import Naming


@dataclass(frozen=True)
class Source:
    """Describes the names and layouts that one framework uses for the tensors of networks.

    Attributes:
        naming: One function for each family of networks. It takes the name of a layer here and returns its name in the
            framework, or None if the layer has no counterpart.
        tensors: A function that takes a model, a layer and the layer's name in the framework, and returns the tensors
            of the layer's weights in the order of Keras.
        bookkeeping: A regular expression. A tensor whose full name matches is not a weight and is ignored silently.
        rename: A function that takes a model and a state, and maps the names of tensors that depend on the session to
            names that do not.
    """

    naming: tuple[Naming, ...]
    tensors: Callable[[keras.Model, keras.layers.Layer, str], list[Tensor]]
    bookkeeping: str = r"(?!)"
    rename: Callable[[keras.Model, Mapping[str, Any]], Mapping[str, str]] = lambda model, state: {}


TORCH_BOOKKEEPING = r".*\.num_batches_tracked"
SOURCES = {
    "caffe": (Source((names.caffe_googlenet, classic.caffe_alexnet, classic.caffe_vgg), layouts.caffe_tensors),),
    "facenet": (
        Source((inception_names.facenet_inception_resnet_v1,), layouts.torch_tensors, bookkeeping=TORCH_BOOKKEEPING),
    ),
    "keras": (Source((names.own_name,), layouts.keras_tensors, rename=layouts.by_building_order),),
    "keras_applications": (
        Source((names.own_name,), layouts.keras_applications_tensors, rename=layouts.by_building_order),
    ),
    "slim": (
        Source(
            (
                names.slim_inception_v1,
                names.slim_inception_v2,
                inception_names.slim_inception_v3,
                inception_names.slim_inception_v4,
                inception_names.slim_inception_resnet_v2,
            ),
            layouts.slim_tensors,
            bookkeeping="global_step",
        ),
    ),
    "timm": (
        Source(
            (inception_names.timm_inception_v4, inception_names.timm_inception_resnet_v2),
            layouts.torch_tensors,
            bookkeeping=TORCH_BOOKKEEPING,
        ),
    ),
    "torchvision": (
        Source(
            (names.torchvision_googlenet, inception_names.torchvision_inception_v3, classic.torchvision_alexnet),
            layouts.torch_tensors,
            bookkeeping=TORCH_BOOKKEEPING,
        ),
        Source((classic.torchvision_vgg,), classic.torchvision_vgg_tensors, bookkeeping=TORCH_BOOKKEEPING),
    ),
}

# The names of the tensors of each source, which may follow a prefix such as the name of a model.
_CONVOLUTION = r"(?:conv|bn)\.\w+"
_NAMES = {
    "slim": r"Inception(?:V\d|ResnetV2)/.+",
    "facenet": r"(?:conv2d_|mixed_|repeat_[123]\.|block8\.|last_|logits\.).+",
    "timm": (
        rf"features\.\d+\.(?:[\w.]+\.)?{_CONVOLUTION}|last_linear\.\w+"
        rf"|(?:conv2d_|mixed_|repeat(?:_[12])?\.|block8\.|classif\.).+"
    ),
    "torchvision": (
        rf"(?:inception\d[a-e]|aux\d|conv\d|Conv2d_\w+|Mixed_\w+|AuxLogits)\.(?:[\w.]+\.)?(?:{_CONVOLUTION}|fc\d?\.\w+)"
        r"|(?:features|classifier)\.\d+\.\w+|fc\.\w+"
    ),
    "caffe": r"(?:conv\d/\w+|inception_\d[a-e]/\w+|loss\d/\w+|conv\d(?:_\d)?|fc[678])\.(?:weight|bias)",
    "keras": r"[^/]+/\d+",
    "keras_applications": (
        r"[^/]+/(?:kernel|bias|gamma|beta|moving_mean|moving_variance|(?:depth|point)wise_kernel|\w+_[Wb](?:_\d+)?)"
    ),
}


def recognize_source(tensors: Iterable[str]) -> str:
    """Recognizes the framework that a file comes from by the names of its tensors.

    Args:
        tensors: The names of the tensors. A common prefix, such as the name of an enclosing model, and the suffix
            ``:0`` are ignored.

    Returns:
        A key of `SOURCES`.

    Raises:
        ValueError: If no source has at least half of the names.
    """
    tensors = [plain_name(name) for name in tensors]
    weights = [name for name in tensors if not re.fullmatch(rf"{TORCH_BOOKKEEPING}|global_step", name)]
    counts = {
        source: sum(re.fullmatch(rf"(?:.*[/.])?(?:{pattern})", name) is not None for name in weights)
        for source, pattern in _NAMES.items()
    }
    # The names that facenet-pytorch and timm share count for both, and `max` takes the first if the counts are equal.
    best = max(counts, key=counts.__getitem__)
    if not weights or counts[best] < len(weights) / 2:
        raise ValueError(
            f"The names of the tensors match none of {', '.join(sorted(SOURCES))}: give the source that named them, or "
            f"rename them. Received: {some(tensors)}"
        )
    return best


def plain_name(name: str) -> str:
    """Returns the name of a tensor without the suffix ``:0`` of TensorFlow 1 and Keras 2."""
    return re.sub(r":\d+$", "", name)


def some(names: Iterable[str], most: int = 4) -> str:
    """Formats names for a message, as the first few of them and the number of the others."""
    names = list(names)
    others = f" and {len(names) - most} others" if len(names) > most else ""
    return ", ".join(names[:most]) + others
