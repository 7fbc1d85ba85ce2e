"""Reads Caffe's ``.caffemodel`` files: a NetParameter message of caffe.proto, in the old or the new layer format."""

from dataclasses import dataclass

import numpy as np

from googlenet_keras.weights.readers.opened import OpenedFile
from googlenet_keras.weights.readers.stored import StoredTensor, checked_shape
from googlenet_keras.weights.readers.wire import BYTES, Field, Wire

# Field numbers in caffe.proto: those of the name and the layers of a NetParameter, and for both kinds of layers those
# of the name, the type and the blobs.
NAME, OLD_LAYERS, LAYERS = 1, 2, 100
FIELDS = {LAYERS: (1, 2, 7), OLD_LAYERS: (4, 5, 6)}
# The field numbers of a BlobProto, and that of the dimensions in its shape.
OLD_SHAPE, DATA, SHAPE, DOUBLE_DATA = (1, 2, 3, 4), 5, 7, 8
DIMENSIONS = 1

# A layer type is a number in the old V1LayerParameter, and a string in LayerParameter.
OLD_TYPES = {4: "Convolution", 39: "Deconvolution", 14: "InnerProduct"}
# The number of dimensions of the weights of each type. Old versions of Caffe wrote four dimensions for every blob, of
# which the unused leading ones are 1.
RANKS = {"Convolution": 4, "Deconvolution": 4, "InnerProduct": 2}


def may_be_caffe(start: bytes) -> bool:
    """Returns whether a file with these first bytes may be a NetParameter, which begins with a name or a layer."""
    return start[:1] in (b"\x0a", b"\x12") or start[:2] == b"\xa2\x06"


@dataclass
class Blob:
    """A tensor of a layer.

    Attributes:
        shape: The shape of the tensor; empty until it is known.
        old: Whether the shape has the four dimensions of the old format.
        data: The field that contains the numbers; None if there are no numbers.
        dtype: The type of the numbers.
    """

    shape: tuple[int, ...]
    old: bool
    data: Field | None
    dtype: np.dtype


def read_caffe(opened: OpenedFile) -> dict[str, StoredTensor]:
    """Reads the blobs of the layers of a network.

    Args:
        opened: The file.

    Returns:
        The tensors by name. The blobs of convolutions, deconvolutions and inner products are called ``LAYER.weight``
        and ``LAYER.bias``. The blobs of all other layers are called ``LAYER.0``, ``LAYER.1``, ... in the order of the
        file: BatchNorm has the sums of the means, the sums of the variances and their divisor, and Scale has the scale
        and the shift.

    Raises:
        ValueError: If the file is not a valid NetParameter message, if no layer has weights, if two tensors have the
            same name, or if the data of a blob do not have the size that its shape requires.
    """
    wire, tensors = Wire(opened.file), {}
    for field in wire.fields(0, opened.size):
        if field.number in FIELDS:
            for name, tensor in _layer(opened, wire, field):
                if name in tensors:
                    raise ValueError(f"two tensors have the name {name}")
                tensors[name] = tensor
    if not tensors:
        raise ValueError("none of its layers has weights")
    return tensors


def _layer(opened: OpenedFile, wire: Wire, layer: Field) -> list[tuple[str, StoredTensor]]:
    name_field, type_field, blob_field = FIELDS[layer.number]
    name, kind, blobs = "", "", []
    if layer.kind != BYTES:
        raise ValueError("one of its layers is not a message")
    for field in wire.fields(layer.begin, layer.end):
        if field.number == name_field:
            name = wire.text(field)
        elif field.number == type_field:
            kind = wire.text(field) if layer.number == LAYERS else OLD_TYPES.get(field.value, "")
        elif field.number == blob_field:
            blobs.append(_blob(wire, field))
    leaves = ("weight", "bias") if kind in RANKS and len(blobs) <= 2 else range(len(blobs))
    found = []
    for leaf, blob in zip(leaves, blobs, strict=False):
        tensor = f"{name}.{leaf}"
        shape = _without_ones(blob.shape, RANKS.get(kind, 1) if leaf == "weight" else 1) if blob.old else blob.shape
        size = blob.data.end - blob.data.begin if blob.data else 0
        stored = opened.tensor(tensor, blob.data.begin if blob.data else 0, checked_shape(tensor, shape), blob.dtype)
        if stored.size != size:
            raise ValueError(f"{tensor}: the shape {shape} needs {stored.size} bytes, but the file has {size}")
        found.append((tensor, stored))
    return found


def _without_ones(shape: tuple[int, ...], rank: int) -> tuple[int, ...]:
    while len(shape) > rank and shape[0] == 1:
        shape = shape[1:]
    return shape


def _blob(wire: Wire, blob: Field) -> Blob:
    if blob.kind != BYTES:
        raise ValueError("one of its blobs is not a message")
    old, found = dict.fromkeys(OLD_SHAPE, 1), Blob((), True, None, np.dtype("<f4"))
    for field in wire.fields(blob.begin, blob.end):
        if field.number in OLD_SHAPE:
            old[field.number] = field.value
        elif field.number == SHAPE:
            extents = [one for part in wire.fields(field.begin, field.end) for one in wire.numbers(part, most=32)]
            found.shape, found.old = tuple(extents), False
        elif field.number in (DATA, DOUBLE_DATA):
            if field.kind != BYTES or found.data:
                raise ValueError("the numbers of a blob are split, but Caffe writes them in one piece")
            found.data = field
            found.dtype = np.dtype("<f4" if field.number == DATA else "<f8")
    if found.old:
        found.shape = tuple(old.values())
    return found
