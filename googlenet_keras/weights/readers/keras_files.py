"""The names of weights in Keras's files: those of Keras 3, and the older ones of Keras 2."""

import re

import h5py

from googlenet_keras.weights.readers.hdf5 import HDF5File
from googlenet_keras.weights.readers.opened import OpenedFile
from googlenet_keras.weights.readers.stored import StoredTensor

# Keras 1 named without slashes, as the published VGG16 and VGG19 still are: block1_conv1_W_1:0.
KERAS_1_LEAVES = {"W": "kernel", "b": "bias"}


def read_keras(opened: OpenedFile) -> tuple[str, dict[str, StoredTensor]]:
    """The weights of an HDF5 file of Keras.

    Args:
        opened: ``.weights.h5`` of Keras 3, or ``.h5`` of Keras 2: weights, or a whole model of which all else is left.

    Returns:
        Its format, "keras" or "keras_legacy", and the tensors.

    Raises:
        ValueError: If Keras did not write it, or it holds links or tensors that Keras does not write.
    """
    file = HDF5File(opened)
    layers = dict(file.items(file.root)).get("layers")
    if isinstance(layers, h5py.Group):
        tensors = _keras_3(file, layers)
        if not tensors:
            raise ValueError("it holds no named layers: save it with Keras 3.4 or later")
        found = "keras", tensors
    else:
        found = "keras_legacy", _keras_2(file)
    file.refuse_overlaps()
    return found


def _keras_3(file: HDF5File, layers: h5py.Group) -> dict[str, StoredTensor]:
    """``layer/index``: Keras writes a layer's name beside its variables, in their group or in the one above."""
    tensors: dict[str, StoredTensor] = {}
    waiting: list[tuple[h5py.Group, str | None]] = [(layers, None)]
    while waiting:
        group, layer = waiting.pop()
        layer = file.text(group, "name") or layer
        below = []
        for key, item in file.items(group):
            if isinstance(item, h5py.Group):
                below.append((item, layer))
            elif layer is not None:
                _add(tensors, f"{layer}/{key}", file.tensor(item))
        waiting += reversed(below)
    return tensors


def _keras_2(file: HDF5File) -> dict[str, StoredTensor]:
    """``layer/variable``: the root, or the group ``model_weights`` of a whole model, has a group for each layer.

    In it each weight has the place that its name says; the lists of names beside are those of the groups.
    """
    top = dict(file.items(file.root)).get("model_weights", file.root)
    if not isinstance(top, h5py.Group) or not {"layer_names", "layer_names0"} & set(top.attrs):
        raise ValueError("an HDF5 file that Keras did not write")
    tensors: dict[str, StoredTensor] = {}
    for layer, group in file.items(top):
        for path, dataset in file.datasets(group) if isinstance(group, h5py.Group) else [("", group)]:
            _add(tensors, _keras_2_name(layer, path), file.tensor(dataset))
    return tensors


def _add(tensors: dict[str, StoredTensor], name: str, tensor: StoredTensor) -> None:
    if name in tensors:
        raise ValueError(f"two of its weights are called {name}")
    tensors[name] = tensor


def _keras_2_name(layer: str, weight: str) -> str:
    """The weight's name without the number of its output and what a model around the layer puts before the layer."""
    name = re.sub(r":\d+$", "", weight)
    old = re.fullmatch(rf"{re.escape(layer)}_([Wb])(_\d+)?", name)
    if old:
        return f"{layer}/{KERAS_1_LEAVES[old[1]]}"
    parts = name.split("/")
    return "/".join(parts[parts.index(layer) :]) if layer in parts[:-1] else name
