"""Reads the weight files of Keras 3 and of Keras 2, which name weights differently."""

import re

import h5py

from googlenet_keras.weights.readers.hdf5 import HDF5File
from googlenet_keras.weights.readers.opened import OpenedFile
from googlenet_keras.weights.readers.stored import StoredTensor

# Keras 1 used names without slashes. The published files of VGG16 and VGG19 still contain them, as block1_conv1_W_1:0.
KERAS_1_LEAVES = {"W": "kernel", "b": "bias"}


def read_keras(opened: OpenedFile) -> tuple[str, dict[str, StoredTensor]]:
    """Reads the weights in an HDF5 file of Keras.

    Args:
        opened: A ``.weights.h5`` file of Keras 3, or an ``.h5`` file of Keras 2 with weights or with a whole model, of
            which only the weights are read.

    Returns:
        The format, "keras" or "keras_legacy", and the tensors.

    Raises:
        ValueError: If Keras did not write the file, or it contains links or tensors that Keras never writes.
    """
    file = HDF5File(opened)
    layers = dict(file.items(file.root)).get("layers")
    if isinstance(layers, h5py.Group):
        tensors = _keras_3(file, layers)
        if not tensors:
            raise ValueError("it has no named layers; save it with Keras 3.4 or later")
        found = "keras", tensors
    else:
        found = "keras_legacy", _keras_2(file)
    file.refuse_overlaps()
    return found


def _keras_3(file: HDF5File, layers: h5py.Group) -> dict[str, StoredTensor]:
    """Reads the tensors of a file of Keras 3, and names them ``layer/index``.

    Keras stores the name of a layer as an attribute of the group that contains its variables, or of the group above.
    """
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
    """Reads the tensors of a file of Keras 2, and names them ``layer/variable``.

    The root, or the group ``model_weights`` of a whole model, contains a group for each layer, and the path of a weight
    in that group is the name of the weight. The attributes that list these names are not read, because they only repeat
    them.
    """
    top = dict(file.items(file.root)).get("model_weights", file.root)
    if not isinstance(top, h5py.Group) or not {"layer_names", "layer_names0"} & set(top.attrs):
        raise ValueError("it is an HDF5 file that Keras did not write")
    tensors: dict[str, StoredTensor] = {}
    for layer, group in file.items(top):
        for path, dataset in file.datasets(group) if isinstance(group, h5py.Group) else [("", group)]:
            _add(tensors, _keras_2_name(layer, path), file.tensor(dataset))
    return tensors


def _add(tensors: dict[str, StoredTensor], name: str, tensor: StoredTensor) -> None:
    if name in tensors:
        raise ValueError(f"two of its weights have the name {name}")
    tensors[name] = tensor


def _keras_2_name(layer: str, weight: str) -> str:
    """Returns a weight's name without a suffix like ``:0``, and without the names of models that contain the layer."""
    name = re.sub(r":\d+$", "", weight)
    old = re.fullmatch(rf"{re.escape(layer)}_([Wb])(_\d+)?", name)
    if old:
        return f"{layer}/{KERAS_1_LEAVES[old[1]]}"
    parts = name.split("/")
    return "/".join(parts[parts.index(layer) :]) if layer in parts[:-1] else name
