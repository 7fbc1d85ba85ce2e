"""Defines an open weight file, and limits for the number of bytes that may be read and unpacked from it."""

import contextlib
import io
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from googlenet_keras.weights.readers.stored import StoredTensor, checked_dtype, checked_shape

# All tensors of a file together may take this many times the size of the file, plus this number of bytes. Weights
# hardly compress (trained float32 weights shrink by a tenth), so a file that claims more was made to fill the memory.
MOST_TIMES_THE_FILE = 8
MOST_BYTES_BEYOND = 16 * 2**20

PIECE = 2**20


@dataclass(frozen=True)
class OpenedFile:
    """A weight file that is open for reading.

    Attributes:
        path: The path of the file.
        file: The open file.
        size: The number of bytes.
        resources: The resources that are closed after the last tensor has been read.
        size_beside: The number of bytes in the other files that belong to it (data files of a TensorFlow checkpoint).
    """

    path: Path
    file: IO[bytes]
    size: int
    resources: contextlib.ExitStack
    size_beside: int = 0

    @property
    def most_bytes(self) -> int:
        """The largest number of bytes that the tensors, or the unpacked data, of the file may take in total."""
        return MOST_TIMES_THE_FILE * (self.size + self.size_beside) + MOST_BYTES_BEYOND

    def folder(self) -> Path:
        """Creates a temporary folder, which is deleted when the file is closed."""
        return Path(self.resources.enter_context(tempfile.TemporaryDirectory(prefix="googlenet_keras_")))

    def tensor(self, name: str, offset: int, shape: tuple[int, ...], dtype: np.dtype) -> StoredTensor:
        """Returns a tensor whose numbers are consecutive in the file.

        Args:
            name: The name of the tensor in error messages.
            offset: The position of the first byte.
            shape: The shape of the tensor.
            dtype: The type of the numbers.

        Raises:
            ValueError: If the numbers would extend beyond the end of the file.
        """

        def fetch() -> np.ndarray:
            self.file.seek(offset)
            return read_array(self.file, shape, dtype)

        stored = StoredTensor(checked_shape(name, shape), checked_dtype(name, dtype), fetch)
        if offset < 0 or offset + stored.size > self.size:
            raise ValueError(f"{name}: {stored.size} bytes are declared, but the file is too short")
        return stored


def read_array(stream: IO[bytes], shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Reads the numbers of an array from the current position of a stream, without a second copy of them.

    Raises:
        ValueError: If the stream ends too early.
    """
    array = np.empty(shape, dtype)
    view = array.reshape(-1).view(np.uint8).data
    while view:
        count = stream.readinto(view[:PIECE])  # type: ignore[attr-defined]
        if not count:
            raise ValueError("the file ends in the middle of its numbers")
        view = view[count:]
    return array


def copy_bounded(source: IO[bytes], target: IO[bytes], most: int) -> None:
    """Copies a stream of unknown length, up to a limit.

    Args:
        source: The stream to read to its end.
        target: The stream to write to.
        most: The largest number of bytes to copy.

    Raises:
        ValueError: If the stream has more than `most` bytes.
    """
    while piece := source.read(PIECE):
        most -= len(piece)
        if most < 0:
            raise ValueError("it unpacks to more data than a weight file of its size may contain")
        target.write(piece)


class Bounded(io.RawIOBase):
    """A stream that raises an error if it is longer than allowed.

    Args:
        source: The stream.
        most: The largest number of bytes that may be read from it.
    """

    def __init__(self, source: IO[bytes], most: int) -> None:
        super().__init__()
        self._source = source
        self._most = self._left = most

    def readable(self) -> bool:
        """Returns True."""
        return True

    def tell(self) -> int:
        """Returns the number of bytes read so far."""
        return self._most - self._left

    def read(self, size: int = -1) -> bytes:
        """Reads like any stream, but raises a ValueError after more than the allowed number of bytes."""
        piece = self._source.read(self._left + 1 if size < 0 else min(size, self._left + 1))
        self._left -= len(piece)
        if self._left < 0:
            raise ValueError("it contains more data than a weight file may contain")
        return piece

    def readline(self, size: int | None = -1) -> bytes:
        """Reads a line like any stream, but at most 4,096 bytes of it."""
        most = min(self._left, 4096)
        line = self._source.readline(most if size is None or size < 0 else min(size, most))
        self._left -= len(line)
        return line
