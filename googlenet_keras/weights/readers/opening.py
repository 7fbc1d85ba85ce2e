"""A weight file of any format: what it is, by its content, and its tensors."""

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from googlenet_keras.weights.readers import caffe, hdf5, pytorch, safetensors, tables, tarballs, tensorflow
from googlenet_keras.weights.readers.archives import Archive
from googlenet_keras.weights.readers.errors import refusing
from googlenet_keras.weights.readers.keras_files import read_keras
from googlenet_keras.weights.readers.npz import read_npz
from googlenet_keras.weights.readers.opened import OpenedFile
from googlenet_keras.weights.readers.stored import StoredTensor, WeightFile

# From a format's name in `WeightFile` to the files that are of it.
FORMATS = {
    "keras": "*.weights.h5 and *.keras of Keras 3",
    "keras_legacy": "*.h5 of Keras 2",
    "npz": "*.npz of NumPy",
    "safetensors": "*.safetensors",
    "tensorflow": "TensorFlow's checkpoints (*.ckpt, *.index, and *.tar.gz of TF-slim)",
    "caffe": "*.caffemodel",
    "pytorch": "state dicts of PyTorch (*.pth, *.pt)",
}

KERAS_MEMBER = "model.weights.h5"
_START = 512


@contextlib.contextmanager
def open_weights(path: str | Path) -> Iterator[WeightFile]:
    """Opens a weight file of any of `FORMATS`, and reads no numbers yet; nothing in it is run.

    The content says which format it is, and not the name. What its tensors take may be 8 times the file's size and
    16 MiB more, which only a file made for it exceeds.

    Args:
        path: The file; of a TensorFlow checkpoint also its prefix (``model.ckpt`` for ``model.ckpt.index``).

    Yields:
        The tensors, to be read while the file is open, by their names in it. Those of Keras 3 are called
        ``layer/index``, the index counting a layer's weights in Keras's order (kernel, bias; gamma, beta, moving mean,
        moving variance); those of Keras 2 ``layer/variable``; those of Caffe ``LAYER.weight``, ``LAYER.bias`` and, of
        layers that are neither convolutions nor inner products, ``LAYER.0``, ``LAYER.1``, ...

    Raises:
        DamagedFileError: If it is of none of these formats, or damaged; it is a ValueError.
        ValueError: If there is no such file.
        OSError: If it cannot be opened.

    Examples:
        with open_weights("googlenet.pth") as file:
            shapes = {name: tensor.shape for name, tensor in file.tensors.items()}
    """
    path = tensorflow.index_file(Path(path))
    if not path.is_file():
        raise ValueError(f"There is no such weight file; check the path. Received: {str(path)!r}")
    with contextlib.ExitStack() as resources:
        opened = _opened(path, resources)
        with refusing(path):
            found, tensors = _read(opened)
            if sum(tensor.size for tensor in tensors.values()) > opened.most_bytes:
                raise ValueError("its tensors take many times what weights in a file of its size do")
        yield WeightFile(found, {name: _guarded(path, name, tensor) for name, tensor in tensors.items()})


def read_weights(path: str | Path) -> dict[str, np.ndarray]:
    """Reads the weights in a file, whatever network they are of and whoever saved them; nothing in it is run.

    Args:
        path: See `open_weights`.

    Returns:
        ``{name: array}``, the names as `open_weights` gives them; floating-point numbers as float32.

    Raises:
        ValueError: If there is no such file, it is of no format that is known, or damaged.
        OSError: If it cannot be opened.
    """
    with open_weights(path) as file:
        return {name: tensor.read() for name, tensor in file.tensors.items()}


def read_attribute(path: str | Path, name: str) -> str | None:
    """Reads a text that stands beside the weights in an HDF5 file.

    Args:
        path: A file of HDF5.
        name: The name of the attribute of its root.

    Returns:
        The text; None if there is none.

    Raises:
        DamagedFileError: If it is no HDF5 file, or damaged.
        OSError: If it cannot be opened.
    """
    with contextlib.ExitStack() as resources:
        opened = _opened(Path(path), resources)
        with refusing(path):
            file = hdf5.HDF5File(opened)
            return file.text(file.root, name)


def _opened(path: Path, resources: contextlib.ExitStack) -> OpenedFile:
    beside = sum(file.stat().st_size for file in tensorflow.data_files(path))
    return OpenedFile(path, resources.enter_context(path.open("rb")), path.stat().st_size, resources, beside)


def _read(opened: OpenedFile) -> tuple[str, dict[str, StoredTensor]]:
    """The format and the tensors."""
    start = opened.file.read(_START)
    opened.file.seek(max(0, opened.size - len(tables.TABLE_END)))
    end = opened.file.read()
    for recognized, read in (
        (start.startswith(hdf5.SIGNATURE), read_keras),
        (start.startswith(b"PK"), _read_archive),
        (end == tables.TABLE_END, _read_checkpoint),
        (tarballs.is_tarball(start), _read_packed_checkpoint),
        (start.startswith(pytorch.OLD_START), lambda opened: ("pytorch", pytorch.read_pytorch_old(opened))),
        (
            safetensors.is_safetensors(start, opened.size),
            lambda opened: ("safetensors", safetensors.read_safetensors(opened)),
        ),
        (caffe.may_be_caffe(start), lambda opened: ("caffe", caffe.read_caffe(opened))),
    ):
        if recognized:
            return read(opened)
    raise _unknown()


def _read_checkpoint(opened: OpenedFile) -> tuple[str, dict[str, StoredTensor]]:
    return "tensorflow", tensorflow.read_checkpoint(opened)


def _read_packed_checkpoint(opened: OpenedFile) -> tuple[str, dict[str, StoredTensor]]:
    return _read_checkpoint(_opened(tarballs.unpacked_checkpoint(opened), opened.resources))


def _read_archive(opened: OpenedFile) -> tuple[str, dict[str, StoredTensor]]:
    archive = Archive(opened)
    names = archive.members
    if KERAS_MEMBER in names:
        return read_keras(_opened(archive.unpacked(KERAS_MEMBER), opened.resources))
    if any(name.endswith(pytorch.PICKLE) for name in names):
        return "pytorch", pytorch.read_pytorch_zip(opened, archive)
    if names and all(name.endswith(".npy") for name in names):
        return "npz", read_npz(archive)
    raise _unknown()


def _unknown() -> ValueError:
    return ValueError(f"weights are read from {'; '.join(FORMATS.values())}")


def _guarded(path: Path, name: str, tensor: StoredTensor) -> StoredTensor:
    def fetch() -> np.ndarray:
        with refusing(path, name):
            return tensor.fetch()

    return dataclasses.replace(tensor, fetch=fetch)
