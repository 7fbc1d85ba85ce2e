"""Another framework's ``{name: array}`` into a model, by the names of its layers."""

import logging
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from googlenet_keras.weights import classic, layouts, names
from googlenet_keras.weights.layouts import Tensor
from googlenet_keras.weights.names import Naming

logger = logging.getLogger(__name__)

# Layers of the parts that a model may leave out, while a file has their weights.
OPTIONAL_LAYERS = (
    *("aux1_conv", "aux1_fc", "aux1", "aux2_conv", "aux2_fc", "aux2"),
    *("aux_conv1", "aux_conv2", "aux"),
    *("fc1", "fc2", "fc6", "fc7", "predictions"),
)


@dataclass(frozen=True)
class Source:
    """How one framework names and lays out the tensors of networks.

    Attributes:
        naming: From a layer here to its name there, for each family of networks that it has; None if the layer has no
            counterpart.
        tensors: From a layer here and its name there to the tensors of the layer's weights, in Keras's order.
        bookkeeping: A pattern; a tensor whose whole name matches is no weight and is passed over in silence.
        prepare: From the model and the state to a state whose names do not depend on a session.
    """

    naming: tuple[Naming, ...]
    tensors: Callable[[keras.Model, keras.layers.Layer, str], list[Tensor]]
    bookkeeping: str = r"(?!)"
    prepare: Callable[[keras.Model, Mapping[str, Any]], Mapping[str, Any]] = lambda model, state: state


TORCH_BOOKKEEPING = r".*\.num_batches_tracked"
SOURCES = {
    "caffe": (Source((names.caffe_googlenet, classic.caffe_alexnet), layouts.caffe_tensors),),
    # The head of a face network normalizes an embedding, and has no counterpart here.
    "facenet": (
        Source(
            (names.facenet_inception_resnet_v1,),
            layouts.torch_tensors,
            bookkeeping=rf"{TORCH_BOOKKEEPING}|last_(linear|bn)\..*",
        ),
    ),
    "keras": (Source((names.own_name,), layouts.keras_tensors),),
    "keras_applications": (
        Source((names.own_name,), layouts.keras_applications_tensors, prepare=layouts.by_building_order),
    ),
    "slim": (
        Source((names.slim_inception_v1, names.slim_inception_v2), layouts.slim_tensors, bookkeeping="global_step"),
    ),
    "timm": (
        Source(
            (names.timm_inception_v4, names.timm_inception_resnet_v2),
            layouts.torch_tensors,
            bookkeeping=TORCH_BOOKKEEPING,
        ),
    ),
    "torchvision": (
        Source(
            (names.torchvision_googlenet, classic.torchvision_alexnet),
            layouts.torch_tensors,
            bookkeeping=TORCH_BOOKKEEPING,
        ),
        Source((classic.torchvision_vgg,), classic.torchvision_vgg_tensors, bookkeeping=TORCH_BOOKKEEPING),
    ),
}


def load_state(model: keras.Model, state: Mapping[str, Any], source: str) -> None:
    """Puts the weights of another framework's network into a model, all of them or none.

    Tensors of parts that the model leaves out (auxiliary heads, the top) are passed over with one log line.

    Args:
        model: A model of this package that computes the same function as the other network.
        state: ``{name: array}`` with the other framework's names and layouts.
        source: Whose names they are: ``"torchvision"`` (a state dict), ``"caffe"`` (``LAYER.weight`` and
            ``LAYER.bias`` for BVLC's blobs), ``"slim"`` (checkpoint variables; a head of one class more than the model
            loses the background class), ``"timm"``, ``"facenet"`` (facenet-pytorch; for models without the top),
            ``"keras_applications"`` (``{weight.path: array}``) or ``"keras"`` (see `read_weights`).

    Raises:
        ValueError: If the source is unknown, or tensors are missing, left over or of another shape than the model's:
            one message that lists them all. The model is then as it was.
    """
    if source not in SOURCES:
        raise ValueError(f"`source` must be one of {', '.join(SOURCES)}. Received: {source!r}")
    framework, layer_name = _family(model, SOURCES[source])
    state = framework.prepare(model, state)
    assignments, missing, misshapen, used = [], [], [], set()
    for variable, tensor in _pairs(model, framework, layer_name):
        needed = [tensor.name, *([tensor.factor] if tensor.factor else [])]
        used.update(needed)
        if all(name in state for name in needed):
            array = tensor.transform(np.asarray(state[tensor.name]))
            factor = np.asarray(state[tensor.factor]) if tensor.factor else np.float32(1)
            if factor.ndim and factor.shape != array.shape[-1:]:
                misshapen.append(f"{tensor.factor} {factor.shape} for {variable.path} {tuple(variable.shape)}")
                continue
            array = array * factor
        elif tensor.default is not None:
            array = np.full(variable.shape, tensor.default)
        else:
            missing += [name for name in needed if name not in state and name not in missing]
            continue
        if array.shape != tuple(variable.shape):
            misshapen.append(f"{tensor.name} {array.shape} for {variable.path} {tuple(variable.shape)}")
        assignments.append((variable, array))

    here = {layer.name for layer in model.layers}
    extra = [name for name in state if name not in used and not re.fullmatch(framework.bookkeeping, name)]
    passed_over = {}
    for layer in OPTIONAL_LAYERS:
        if layer not in here and (there := layer_name(layer)):
            tensors = [name for name in extra if re.match(rf"{re.escape(there)}(\W|_bn/)", name)]
            passed_over |= {there: tensors} if tensors else {}
    extra = [name for name in extra if not any(name in tensors for tensors in passed_over.values())]

    problems = [
        f"{len(names)} {kind} ({', '.join(names)})"
        for kind, names in (("missing", missing), ("unexpected", extra), ("of another shape", misshapen))
        if names
    ]
    if problems:
        raise ValueError(
            f"This {source} state does not fit {model.name!r}; load it into the model that it was saved from. "
            f"Received tensors: {'; '.join(problems)}"
        )
    if passed_over:
        count = sum(map(len, passed_over.values()))
        logger.warning("%s has no %s: left out %d tensors of the file", model.name, ", ".join(passed_over), count)
    for variable, array in assignments:
        variable.assign(array)


def _family(model: keras.Model, frameworks: tuple[Source, ...]) -> tuple[Source, Naming]:
    """The source and the naming of the family that the model belongs to: those that know all of its layers."""
    unknown: list[str] = []
    for framework in frameworks:
        for naming in framework.naming:
            unknown = [layer.name for layer in model.layers if layer.weights and _name_there(naming, layer) is None]
            if not unknown:
                return framework, naming
    raise ValueError(f"The other network has no counterpart of layer {unknown[0]!r}. Received: {model.name!r}")


def _name_there(naming: Naming, layer: keras.layers.Layer) -> str | None:
    """A normalization goes by the name of its convolution."""
    return naming(layer.name.removesuffix("_bn"))


def _pairs(model: keras.Model, framework: Source, naming: Naming) -> Iterator[tuple[keras.Variable, Tensor]]:
    """Every weight of the model with the tensor that belongs into it."""
    for layer in model.layers:
        if layer.weights:
            tensors = framework.tensors(model, layer, _name_there(naming, layer))
            yield from zip(layer.weights, tensors, strict=True)
