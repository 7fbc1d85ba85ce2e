"""Reads files of PyTorch: zip archives, and the sequences of pickles and numbers that versions before 1.6 wrote."""

import math
from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from googlenet_keras.weights.readers.archives import Archive
from googlenet_keras.weights.readers.opened import Bounded, OpenedFile
from googlenet_keras.weights.readers.pickles import Machine
from googlenet_keras.weights.readers.stored import MOST_NAMING_BYTES, StoredTensor, checked_dtype
from googlenet_keras.weights.readers.views import TensorView

# The pickle (protocol 2) of torch.serialization.MAGIC_NUMBER.
OLD_START = bytes.fromhex("80028a0a6cfc9c46f9206aa85019")
PICKLE = "/data.pkl"

# The keys under which training scripts store a state dict.
WRAPPERS = ("state_dict", "model")


def read_pytorch_zip(opened: OpenedFile, archive: Archive) -> dict[str, StoredTensor]:
    """Reads the tensors of a state dict from a zip archive.

    Args:
        opened: The file.
        archive: The archive in the file.

    Returns:
        The tensors by their names in the state dict, which a checkpoint may store under ``state_dict`` or ``model``.

    Raises:
        ValueError: If the file is a TorchScript program, if its pickle is not accepted by `Machine` or contains no
            tensors, if a storage is missing or has another size, or if reading the tensors would take many times the
            size of the file.
    """
    pickles = [name for name in archive.members if name.endswith(PICKLE)]
    folder = pickles[0].removesuffix(PICKLE)
    if len(pickles) > 1 or f"{folder}/constants.pkl" in archive.members:
        raise ValueError("it is a TorchScript program; save the state_dict() of the model that it was made from")
    order = archive.read(f"{folder}/byteorder") if f"{folder}/byteorder" in archive.members else b"little"
    machine = Machine(archive.read(pickles[0]))
    views = _state_dict(machine.play())

    def numbers(view: TensorView) -> Callable[[], np.ndarray]:
        storage, member = view.storage, f"{folder}/data/{view.storage.key}"
        dtype = storage.dtype.newbyteorder(">" if order == b"big" else "<")
        if member not in archive.members or archive.members[member].file_size != storage.count * dtype.itemsize:
            raise ValueError(f"its storage {storage.key} is missing or does not contain {storage.count} numbers")
        return archive.array(member, view.offset * dtype.itemsize, (view.span,), dtype)

    return _tensors(opened, views, numbers)


def read_pytorch_old(opened: OpenedFile) -> dict[str, StoredTensor]:
    """Reads the tensors of a state dict, like `read_pytorch_zip`, from a file in the old format.

    Args:
        opened: The file.

    Raises:
        ValueError: If a pickle is not accepted by `Machine`, if there are no tensors, if the numbers do not match the
            storages, or if reading the tensors would take many times the size of the file.
    """
    opened.file.seek(0)
    machines = [Machine(Bounded(opened.file, MOST_NAMING_BYTES)) for _ in range(5)]
    _, _, system, content, keys = (machine.play() for machine in machines)
    order: Literal["little", "big"] = "little" if system["little_endian"] else "big"
    storages, places = machines[3].storages, {}
    place = opened.file.tell()
    for key in keys:
        opened.file.seek(place)
        count = int.from_bytes(opened.file.read(8), order)
        storage = storages.get(key) if isinstance(key, str) else None
        if storage is None or key in places or count != storage.count:
            raise ValueError("the numbers after its pickles do not match its storages")
        places[key] = place + 8
        place += 8 + count * storage.dtype.itemsize

    def numbers(view: TensorView) -> Callable[[], np.ndarray]:
        dtype = view.storage.dtype.newbyteorder("<" if order == "little" else ">")
        if view.storage.key not in places:
            raise ValueError(f"the numbers of its storage {view.storage.key} are missing")
        offset = places[view.storage.key] + view.offset * dtype.itemsize
        return opened.tensor(f"storage {view.storage.key}", offset, (view.span,), dtype).fetch

    return _tensors(opened, _state_dict(content), numbers)


def _state_dict(content: Any) -> dict[str, TensorView]:
    """Returns the tensors of the state dict in the content of a pickle, and leaves out everything else."""
    for wrapper in WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    views = content if isinstance(content, dict) else {}
    views = {name: view for name, view in views.items() if isinstance(name, str) and isinstance(view, TensorView)}
    if not views:
        raise ValueError("it contains no state dict; save model.state_dict()")
    return views


def _tensors(
    opened: OpenedFile, views: dict[str, TensorView], numbers: Callable[[TensorView], Callable[[], np.ndarray]]
) -> dict[str, StoredTensor]:
    """Creates the stored tensors for views.

    Args:
        opened: The file.
        views: The views, by name.
        numbers: A function that takes a view, and returns a function that reads all numbers in the span of the view.

    Raises:
        ValueError: If reading the tensors would take many times the size of the file.
    """
    reading = sum((view.offset + view.span) * view.storage.dtype.itemsize for view in views.values())
    if reading > opened.most_bytes:
        raise ValueError("reading its tensors would take many times the size of the file; save copies of them")
    return {name: _tensor(name, view, numbers(view)) for name, view in views.items()}


def _tensor(name: str, view: TensorView, fetch: Callable[[], np.ndarray]) -> StoredTensor:
    def shaped() -> np.ndarray:
        flat = fetch()
        strides = [stride * flat.itemsize for stride in view.strides]
        return np.lib.stride_tricks.as_strided(flat, view.shape, strides, writeable=False).copy()

    if math.prod(view.shape) == view.span and view.strides == _strides(view.shape):
        return StoredTensor(view.shape, view.storage.dtype, lambda: fetch().reshape(view.shape))
    return StoredTensor(view.shape, checked_dtype(name, view.storage.dtype), shaped)


def _strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Returns the strides of a tensor whose numbers are contiguous, counted in numbers."""
    return tuple(math.prod(shape[place + 1 :]) for place in range(len(shape)))
