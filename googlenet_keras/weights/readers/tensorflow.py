"""Reads checkpoints of TensorFlow with TensorFlow, after checking that nothing in them would abort the process."""

import functools
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from googlenet_keras.weights.readers.opened import OpenedFile
from googlenet_keras.weights.readers.stored import (
    MOST_NAMING_BYTES,
    MOST_TENSORS,
    StoredTensor,
    checked_dtype,
    checked_shape,
)
from googlenet_keras.weights.readers.tables import table_entries

# The suffix of the files that contain the numbers; they are beside PREFIX.index.
DATA_SUFFIX = r"\.data-\d{5}-of-\d{5}"


def index_file(path: Path) -> Path:
    """Returns the index file for the prefix or a data file of a checkpoint, and any other path unchanged."""
    index = path.with_name(f"{re.sub(f'{DATA_SUFFIX}$', '', path.name)}.index")
    return index if index.is_file() else path


def data_files(path: Path) -> list[Path]:
    """Returns the files with the numbers that belong to an index file, and an empty list for any other path."""
    if path.suffix != ".index":
        return []
    return [file for file in path.parent.iterdir() if re.fullmatch(re.escape(path.stem) + DATA_SUFFIX, file.name)]


def read_checkpoint(opened: OpenedFile) -> dict[str, StoredTensor]:
    """Reads the variables of a checkpoint.

    Args:
        opened: The file ``PREFIX.index``, whose data files are in the same folder, or a checkpoint in a single file.

    Returns:
        The tensors by the names of the variables. Variables that do not contain numbers are left out, and so are the
        slots of an optimizer, whose names extend the name of a variable, and the powers of beta of Adam.

    Raises:
        ValueError: If the checkpoint is damaged, or has fewer numbers than the shapes require.
    """
    prefix, parts = opened.path, data_files(opened.path)
    if opened.path.suffix == ".index":
        prefix = opened.path.with_suffix("")
        if opened.size > MOST_NAMING_BYTES or not parts:
            raise ValueError(f"its numbers must be in the same folder, in {prefix.name}.data-00000-of-00001")
    _refuse_malformed(opened)
    reader = _Reader(_without_wildcards(opened, prefix, parts))
    room, tensors = opened.size + opened.size_beside, {}
    for name in sorted(reader.shapes):
        dtype = np.dtype(reader.dtypes[name].as_numpy_dtype)
        is_slot = name.rpartition("/")[0] in reader.shapes or re.fullmatch(r"beta[12]_power", name)
        if not is_slot and not dtype.hasobject:
            shape = checked_shape(name, reader.shapes[name])
            tensors[name] = StoredTensor(shape, checked_dtype(name, dtype), functools.partial(reader.read, name))
            if tensors[name].size > room:
                raise ValueError(f"{name}: {tensors[name].size} bytes are declared, but there are only {room}")
    return tensors


def _refuse_malformed(opened: OpenedFile) -> None:
    """Parses what TensorFlow will parse, because TensorFlow aborts the process if a message or a shape is invalid.

    Raises:
        ValueError: If TensorFlow would abort.
    """
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf import tensor_bundle_pb2 as bundle
    from tensorflow.core.util import saved_tensor_slice_pb2 as slices

    is_index = opened.path.suffix == ".index"
    try:
        for number, (key, value) in enumerate(table_entries(opened)):
            if number > MOST_TENSORS:
                raise ValueError(f"it has more than {MOST_TENSORS} variables")
            name = key.decode("utf-8", "replace")
            if is_index and key:
                _refuse_shape(name, bundle.BundleEntryProto.FromString(value).shape)
            elif is_index:
                bundle.BundleHeaderProto.FromString(value)
            elif not key:
                for variable in slices.SavedTensorSlices.FromString(value).meta.tensor:
                    _refuse_shape(variable.name, variable.shape)
    except DecodeError:
        raise ValueError("an entry of its table is not a message of TensorFlow") from None


def _refuse_shape(name: str, shape: Any) -> None:
    if shape.unknown_rank:
        raise ValueError(f"{name}: its shape is unknown")
    checked = checked_shape(name, (dimension.size for dimension in shape.dim))
    if math.prod(checked) >= 2**62:
        raise ValueError(f"{name}: its shape is too large")


class _Reader:
    """Wraps TensorFlow's reader and turns its errors into ValueErrors.

    Args:
        prefix: The prefix of the checkpoint.

    Attributes:
        shapes: The shapes of all variables.
        dtypes: The dtypes of all variables.
    """

    def __init__(self, prefix: Path) -> None:
        import tensorflow as tf

        self._errors = tf.errors.OpError
        try:
            self._reader = tf.train.load_checkpoint(str(prefix))
            self.shapes: Mapping[str, list[int]] = self._reader.get_variable_to_shape_map()
            self.dtypes: Mapping[str, Any] = self._reader.get_variable_to_dtype_map()
        except self._errors as error:
            raise ValueError(error.message) from None

    def read(self, name: str) -> np.ndarray:
        """Returns the values of a variable."""
        try:
            return np.asarray(self._reader.get_tensor(name))
        except self._errors as error:
            raise ValueError(error.message) from None


def _without_wildcards(opened: OpenedFile, prefix: Path, parts: list[Path]) -> Path:
    """Returns the prefix of the checkpoint, or that of links to its files if TensorFlow would take it for a pattern."""
    if not re.search(r"[*?\[\]\\]", str(prefix)):
        return prefix
    folder = opened.folder()
    for file in [opened.path, *parts]:
        (folder / f"checkpoint{file.name.removeprefix(prefix.name)}").symlink_to(file.absolute())
    return folder / "checkpoint"
