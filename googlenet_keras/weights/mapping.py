"""Loads a dictionary ``{name: array}`` of another framework into a model by the names of its layers."""

import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from googlenet_keras.weights.layouts import Array, Tensor, shape_of
from googlenet_keras.weights.names import Naming
from googlenet_keras.weights.sources import SOURCES, Source, plain_name, recognize_source, some

logger = logging.getLogger(__name__)

# The layers with weights in the parts that a model may lack although the file has them.
AUXILIARY_LAYERS = ("aux1_conv", "aux1_fc", "aux1", "aux2_conv", "aux2_fc", "aux2", "aux_conv1", "aux_conv2", "aux")
_TOP = ("fc1", "fc2", "fc6", "fc7", "predictions")
OPTIONAL_LAYERS = (*AUXILIARY_LAYERS, *_TOP)
# The optional layers that have one unit per class.
_CLASSIFIERS = ("predictions", "aux", "aux1", "aux2")


@dataclass(frozen=True)
class Loading:
    """Says which tensors of a file were loaded into a model, and which were left out.

    Attributes:
        source: The source that named the tensors.
        placed: The tensors that were loaded into each layer, by the name of the layer.
        left_out: The tensors that belong to no part of the model, by the name of their part.
    """

    source: str
    placed: Mapping[str, tuple[str, ...]]
    left_out: Mapping[str, tuple[str, ...]]


def load_state(model: keras.Model, state: Mapping[str, Any], source: str | None = None) -> Loading:
    """Loads the weights of another framework's network into a model, either all of them or none.

    Tensors of parts that the model does not have (auxiliary heads, the top, the head of another task) are skipped, and
    one warning is logged. A prefix that all names share, such as the name of an enclosing model, and the suffix ``:0``
    of TensorFlow are ignored.

    Args:
        model: A model of this package that computes the same function as the other network.
        state: ``{name: array}`` with the names and layouts of the other framework. A value may also be an object with a
            ``shape`` and a method ``read`` that returns the array; all shapes are compared before anything is read.
        source: The source that named the tensors: ``"torchvision"`` (a state dict), ``"caffe"`` (``LAYER.weight`` and
            ``LAYER.bias`` for the blobs of a layer), ``"slim"`` (checkpoint variables; the background class is removed
            from a head that has one class more than the model), ``"timm"``, ``"facenet"`` (facenet-pytorch; for models
            without the top), ``"keras_applications"`` (``{weight.path: array}``) or ``"keras"`` (see `read_weights`).
            None recognizes it with `recognize_source`.

    Returns:
        The tensors that were loaded into each layer, and those that were left out.

    Raises:
        ValueError: If the source is unknown, tensors are missing, unexpected or of another shape than in the model, or
            a tensor holds NaN or infinity. The model is then unchanged.
    """
    if source is None:
        source = recognize_source(state)
    if source not in SOURCES:
        raise ValueError(f"`source` must be one of {', '.join(SOURCES)}. Received: {source!r}")
    framework, layer_name = _family(model, SOURCES[source])
    pairs = list(_pairs(model, framework, layer_name))
    in_file = _in_file(model, framework, state, [tensor.name for _, _, tensor in pairs])
    state = {name: state[there] for name, there in in_file.items()}
    missing: dict[str, str] = {}
    misshapen: list[str] = []
    placed: dict[str, tuple[str, ...]] = {}
    for layer, variable, tensor in pairs:
        absent = [name for name in tensor.needs if name not in state]
        if absent:
            missing |= {} if tensor.default is not None else dict.fromkeys(absent, layer.name)
            continue
        placed[layer.name] = tuple(dict.fromkeys((*placed.get(layer.name, ()), *tensor.needs)))
        misshapen += _misshapen(tensor, state, variable)

    used = {name for names in placed.values() for name in names}
    extra = [name for name in state if name not in used and not re.fullmatch(framework.bookkeeping, name)]
    left_out = _unused_parts(model, state, extra, layer_name)
    extra = [name for name in extra if not any(name in names for names in left_out.values())]
    if missing or extra or misshapen:
        raise ValueError(_problem(model, source, state, missing=missing, extra=extra, misshapen=misshapen))
    assignments = [(variable, _value(tensor, state, variable)) for _, variable, tensor in pairs]
    if left_out:
        count = sum(map(len, left_out.values()))
        logger.warning(
            "The file has %s: left out %d tensors, because %s has no such part", ", ".join(left_out), count, model.name
        )
    for variable, array in assignments:
        variable.assign(array)
    as_there = {layer: tuple(in_file[name] for name in names) for layer, names in placed.items()}
    return Loading(source, as_there, {part: tuple(in_file[name] for name in names) for part, names in left_out.items()})


def head_classes(model: keras.Model, state: Mapping[str, Any], source: str) -> dict[str, int]:
    """Returns the number of classes of each head in a file.

    Args:
        model: The network, or its body.
        state: The tensors of the file; see `load_state`.
        source: The source that named the tensors.

    Returns:
        The number of classes by the name of the head, ``"predictions"`` or an auxiliary head. Heads that the file does
        not have under the names of the network's heads are not included. TF-slim's background class is counted.
    """
    framework, layer_name = _family(model, SOURCES[source])
    expected = [tensor.name for _, _, tensor in _pairs(model, framework, layer_name)]
    state = {name: state[there] for name, there in _in_file(model, framework, state, expected).items()}
    classes = {}
    for head in _CLASSIFIERS:
        there = layer_name(head)
        units = _units(state, [name for name in state if there and _is_of(name, there)])
        if units is not None:
            classes[head] = units
    return classes


def _family(model: keras.Model, frameworks: tuple[Source, ...]) -> tuple[Source, Naming]:
    """Returns the source and the naming function of the model's family: the first that know all of its layers."""
    unknown: list[str] = []
    for framework in frameworks:
        for naming in framework.naming:
            unknown = [layer.name for layer in model.layers if layer.weights and _name_there(naming, layer) is None]
            if not unknown:
                return framework, naming
    raise ValueError(f"The other network has no counterpart of layer {unknown[0]!r}. Received: {model.name!r}")


def _name_there(naming: Naming, layer: keras.layers.Layer) -> str | None:
    """Returns the name of a layer in the other network, where a normalization has the name of its convolution."""
    return naming(layer.name.removesuffix("_bn"))


def _pairs(
    model: keras.Model, framework: Source, naming: Naming
) -> Iterator[tuple[keras.layers.Layer, keras.Variable, Tensor]]:
    """Yields every weight of the model with its layer and its tensor in the other framework."""
    for layer in model.layers:
        if layer.weights:
            there = _name_there(naming, layer)
            assert there is not None  # `_family` guarantees it
            tensors = framework.tensors(model, layer, there)
            for variable, tensor in zip(layer.weights, tensors, strict=True):
                yield layer, variable, tensor


def _in_file(model: keras.Model, framework: Source, state: Mapping[str, Any], expected: list[str]) -> dict[str, str]:
    """Maps the names of the tensors in any file of the framework to their names in this file.

    Args:
        model: The model that the tensors are for.
        framework: The framework that named the tensors.
        state: The tensors by their names in this file.
        expected: The names that the model needs.
    """
    plain = {plain_name(name): name for name in state}
    renamed = framework.rename(model, {name: state[there] for name, there in plain.items()})
    known = {renamed.get(name, name): there for name, there in plain.items()}
    # All names may have a common prefix, such as `module.`. A few of the expected names are enough to find it.
    prefixes = {
        there.removesuffix(name)
        for name in expected[:: max(1, len(expected) // 8)]
        for there in known
        if there.endswith((f"/{name}", f".{name}"))
    }
    best = max(("", *sorted(prefixes)), key=lambda prefix: sum(prefix + name in known for name in expected))
    return {name.removeprefix(best): there for name, there in known.items()}


def _misshapen(tensor: Tensor, state: Mapping[str, Any], variable: keras.Variable) -> list[str]:
    """Describes the tensor of a weight that has the wrong shape, if there is one, without reading it."""
    there = np.broadcast_to(np.float32(0), shape_of(state[tensor.name]))
    try:
        shape = tensor.transform(there).shape
    except ValueError:  # the tensor has another rank
        shape = there.shape
    if tensor.factor is not None and shape_of(state[tensor.factor]) != shape[-1:]:
        return [f"{tensor.factor} {shape_of(state[tensor.factor])} for {variable.path} {tuple(variable.shape)}"]
    if shape != tuple(variable.shape):
        return [f"{tensor.name} {shape} for {variable.path} {tuple(variable.shape)}"]
    return []


def _value(tensor: Tensor, state: Mapping[str, Any], variable: keras.Variable) -> Array:
    """Returns the value of a weight in the layout of Keras."""
    if tensor.name not in state:
        return np.full(variable.shape, tensor.default)
    array = tensor.transform(_read(state, tensor.name))
    return array if tensor.factor is None else array * _read(state, tensor.factor)


def _read(state: Mapping[str, Any], name: str) -> Array:
    tensor = state[name]
    array = np.asarray(tensor.read() if hasattr(tensor, "read") else tensor)
    if not np.isfinite(array).all():
        raise ValueError(f"The file holds NaN or infinity, in {name}: the training diverged or the file is damaged")
    return array


def _unused_parts(
    model: keras.Model, state: Mapping[str, Any], extra: list[str], layer_name: Naming
) -> dict[str, tuple[str, ...]]:
    """Returns the tensors of the parts that the model does not have, by the name of the part."""
    here = {layer.name for layer in model.layers}
    parts: dict[str, list[str]] = {}
    for layer in OPTIONAL_LAYERS:
        there = None if layer in here else layer_name(layer)
        tensors = [name for name in extra if there and _is_of(name, there)]
        if tensors:
            part = "auxiliary heads" if layer in AUXILIARY_LAYERS else "head"
            parts.setdefault(part, []).extend(tensors)
    if "predictions" not in here:
        known = {name for tensors in parts.values() for name in tensors}
        parts.setdefault("head", []).extend(_foreign_head(here, state, [name for name in extra if name not in known]))
    named = {}
    for part, tensors in parts.items():
        there = layer_name("predictions")
        classes = _units(state, [name for name in tensors if there and _is_of(name, there)] or tensors)
        named["auxiliary heads" if part != "head" else f"a head of {classes} classes"] = tuple(tensors)
    return {part: tensors for part, tensors in named.items() if tensors}


def _is_of(tensor: str, layer: str) -> bool:
    """Returns True if a tensor belongs to a layer of the file or to the normalization of that layer."""
    return re.match(rf"{re.escape(layer)}(\W|_bn/)", tensor) is not None


def _foreign_head(here: set[str], state: Mapping[str, Any], extra: list[str]) -> list[str]:
    """Returns the tensors of an unknown head, which consists of dense layers and normalizations of the same widths.

    An unknown convolution or its normalization does not count as a head, because it means that the file belongs to
    another network.
    """
    layers: dict[str, list[str]] = {}
    for name in extra:
        layers.setdefault(_layer_of(name), []).append(name)
    kernels = [shape_of(state[name]) for name in extra if len(shape_of(state[name])) == 2]
    widths = {extent for shape in kernels for extent in shape}
    head = []
    for layer, names in layers.items():
        shapes = [shape_of(state[name]) for name in names]
        is_dense = any(len(shape) == 2 for shape in shapes)
        is_normalization = all(len(shape) == 1 and shape[0] in widths for shape in shapes)
        if (is_dense or is_normalization) and layer.removesuffix("_bn") not in here:
            head += names
    return head


def _layer_of(tensor: str) -> str:
    return re.sub(r"[/.][^/.]+$", "", tensor)


def _units(state: Mapping[str, Any], tensors: list[str]) -> int | None:
    """Returns the number of units of the last of some layers, which the shape of its bias shows."""
    biases = [shape_of(state[name]) for name in tensors if re.search(r"(?:^|[/.])(?:bias|biases|1)$", name)]
    return biases[-1][0] if biases and len(biases[-1]) == 1 else None


def _problem(
    model: keras.Model,
    source: str,
    state: Mapping[str, Any],
    *,
    missing: Mapping[str, str],
    extra: list[str],
    misshapen: list[str],
) -> str:
    """Returns a message that says why a state does not fit a model, and that is short however much is wrong.

    ``missing`` maps the name of each missing tensor to that of its layer.
    """
    here = {layer.name: layer for layer in model.layers}
    classifiers = tuple(f" for {name}/" for name in _CLASSIFIERS)
    if misshapen and not missing and not extra and all(any(name in one for name in classifiers) for one in misshapen):
        classes = next(here[name].units for name in _CLASSIFIERS if name in here)
        return (
            f"The file's head is not that of {model.name!r}, which has {classes} classes: build the model with as many "
            f"`classes` as the file has, or with include_top=False for the body alone. Received: {some(misshapen)}"
        )
    advice = "load it into the model that it was saved from"
    head = _foreign_head(set(here), state, extra)
    if head and len(head) == len(extra) and not misshapen and set(missing.values()) <= set(OPTIONAL_LAYERS):
        advice = (
            f"the file has another head, of {_units(state, head)} classes: build the model with include_top=False, "
            "which leaves the head out"
        )
    kinds = {"missing": list(missing), "unexpected": extra, "of another shape": misshapen}
    problems = "; ".join(f"{len(names)} {kind} ({some(names)})" for kind, names in kinds.items() if names)
    return f"This {source} state does not fit {model.name!r}; {advice}. Received tensors: {problems}"
