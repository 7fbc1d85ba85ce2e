"""The frameworks and packages that networks come from: how each names and lays out its tensors."""

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
    """The names and layouts that one framework uses for the tensors of networks.

    Attributes:
        naming: From a layer here to its name there, for each family of networks that it has; None if the layer has no
            counterpart.
        tensors: From a layer here and its name there to the tensors of the layer's weights, in Keras's order.
        bookkeeping: A pattern; a tensor whose whole name matches is no weight and is passed over in silence.
        rename: From the model and the state to each tensor's name as it would be in any session.
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

# What the tensors of each source are called, behind whatever a model's own name put before them.
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
    """Recognizes the framework whose names the tensors of a file have.

    Args:
        tensors: The names; what a session or another model has put before all of them, or ``:0`` behind, does no harm.

    Returns:
        A key of `SOURCES`.

    Raises:
        ValueError: If less than half of them are named as any source names them.
    """
    tensors = [plain_name(name) for name in tensors]
    weights = [name for name in tensors if not re.fullmatch(rf"{TORCH_BOOKKEEPING}|global_step", name)]
    counts = {
        source: sum(re.fullmatch(rf"(?:.*[/.])?(?:{pattern})", name) is not None for name in weights)
        for source, pattern in _NAMES.items()
    }
    # The first of those that know as many: what facenet-pytorch and timm name alike decides nothing.
    best = max(counts, key=counts.__getitem__)
    if not weights or counts[best] < len(weights) / 2:
        raise ValueError(
            f"The tensors are named as in none of {', '.join(sorted(SOURCES))}: say whose names they have, or give "
            f"them those. Received: {some(tensors)}"
        )
    return best


def plain_name(name: str) -> str:
    """A tensor's name without the ``:0`` that TensorFlow 1 and Keras 2 put behind it."""
    return re.sub(r":\d+$", "", name)


def some(names: Iterable[str], most: int = 4) -> str:
    """Names for a message: the first of them, and how many others there are."""
    names = list(names)
    others = f" and {len(names) - most} others" if len(names) > most else ""
    return ", ".join(names[:most]) + others
