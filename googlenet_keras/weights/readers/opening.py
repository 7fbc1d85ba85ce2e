"""Opens a weight file of any format, which is recognized by its content, and gives access to its tensors."""

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

# The name of each format, as in `WeightFile.format`, and a description of its files.
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
    """Opens a weight file of any of `FORMATS` without reading the numbers yet, and without running any code in it.

    The format is recognized by the content of the file and not by its name. The tensors may take at most 8 times the
    size of the file plus 16 MiB, which only a malicious file exceeds.

    Args:
        path: The path of the file, or the prefix of a TensorFlow checkpoint (``model.ckpt`` for ``model.ckpt.index``).

    Yields:
        The weight file with its tensors by name; they can be read while the file is open. Tensors of Keras 3 are called
        ``layer/index``, where the index counts the weights of a layer in the order of Keras (kernel, bias; gamma, beta,
        moving mean, moving variance). Tensors of Keras 2 are called ``layer/variable``. Tensors of Caffe are called
        ``LAYER.weight`` and ``LAYER.bias``, or ``LAYER.0``, ``LAYER.1``, ... if the layer is neither a convolution nor
        an inner product.

    Raises:
        DamagedFileError: If the file has none of these formats, or is damaged. This is a subclass of ValueError.
        ValueError: If there is no such file.
        OSError: If the file cannot be opened.

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
                raise ValueError("its tensors would take many times the size of the file")
        yield WeightFile(found, {name: _guarded(path, name, tensor) for name, tensor in tensors.items()})


def read_weights(path: str | Path) -> dict[str, np.ndarray]:
    """Reads the weights in a file of any network and any framework, without running any code in it.

    Args:
        path: See `open_weights`.

    Returns:
        ``{name: array}``, with the names that `open_weights` describes. Floating-point numbers are float32.

    Raises:
        ValueError: If there is no such file, or it has an unknown format, or is damaged.
        OSError: If the file cannot be opened.
    """
    with open_weights(path) as file:
        return {name: tensor.read() for name, tensor in file.tensors.items()}


def read_attribute(path: str | Path, name: str) -> str | None:
    """Reads a text attribute of an HDF5 file with weights.

    Args:
        path: The path of an HDF5 file.
        name: The name of an attribute of the root group.

    Returns:
        The text, or None if there is no such attribute.

    Raises:
        DamagedFileError: If the file is not an HDF5 file, or is damaged.
        OSError: If the file cannot be opened.
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
    """Recognizes the format of a file, and returns the format and the tensors."""
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
    return ValueError(f"weights can be read from {'; '.join(FORMATS.values())}")


def _guarded(path: Path, name: str, tensor: StoredTensor) -> StoredTensor:
    def fetch() -> np.ndarray:
        with refusing(path, name):
            return tensor.fetch()

    return dataclasses.replace(tensor, fetch=fetch)
