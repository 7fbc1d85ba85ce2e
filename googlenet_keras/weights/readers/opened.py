"""An open file, and what may be read and unpacked from it at most."""

import contextlib
import io
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from googlenet_keras.weights.readers.stored import StoredTensor, checked_dtype, checked_shape

# What the tensors of a file may take altogether: so many times the file's size, and so many bytes more. Weights hardly
# compress: trained float32 loses a tenth. What claims more was made to fill the memory.
MOST_TIMES_THE_FILE = 8
MOST_BYTES_BEYOND = 16 * 2**20

PIECE = 2**20


@dataclass(frozen=True)
class OpenedFile:
    """A file that a reader looks into.

    Attributes:
        path: The path of the file.
        file: Its bytes.
        size: The number of bytes.
        resources: The resources to close after the last tensor is read.
        size_beside: The number of bytes in the files that belong to it.
    """

    path: Path
    file: IO[bytes]
    size: int
    resources: contextlib.ExitStack
    size_beside: int = 0

    @property
    def most_bytes(self) -> int:
        """The largest number of bytes that its tensors, or what is unpacked from it, may take altogether."""
        return MOST_TIMES_THE_FILE * (self.size + self.size_beside) + MOST_BYTES_BEYOND

    def folder(self) -> Path:
        """A new temporary folder, which is gone when the file is closed."""
        return Path(self.resources.enter_context(tempfile.TemporaryDirectory(prefix="googlenet_keras_")))

    def tensor(self, name: str, offset: int, shape: tuple[int, ...], dtype: np.dtype) -> StoredTensor:
        """A tensor whose numbers stand in the file one after the other.

        Args:
            name: For the message.
            offset: The position of the first byte.
            shape: Its extents.
            dtype: The type of the numbers.

        Raises:
            ValueError: If they would end beyond the file's end.
        """

        def fetch() -> np.ndarray:
            self.file.seek(offset)
            return read_array(self.file, shape, dtype)

        stored = StoredTensor(checked_shape(name, shape), checked_dtype(name, dtype), fetch)
        if offset < 0 or offset + stored.size > self.size:
            raise ValueError(f"{name}: {stored.size} bytes are declared, and the file ends before")
        return stored


def read_array(stream: IO[bytes], shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Reads an array's numbers from where a stream stands, without a second copy of them.

    Raises:
        ValueError: If the stream ends before.
    """
    array = np.empty(shape, dtype)
    view = array.reshape(-1).view(np.uint8).data
    while view:
        count = stream.readinto(view[:PIECE])  # type: ignore[attr-defined]
        if not count:
            raise ValueError("the file ends within its numbers")
        view = view[count:]
    return array


def copy_bounded(source: IO[bytes], target: IO[bytes], most: int) -> None:
    """Copies a stream whose length nobody knows.

    Args:
        source: Read to its end.
        target: Written to.
        most: Bytes.

    Raises:
        ValueError: If there are more.
    """
    while piece := source.read(PIECE):
        most -= len(piece)
        if most < 0:
            raise ValueError("it unpacks to more than weights of its size do")
        target.write(piece)


class Bounded(io.RawIOBase):
    """A stream that is refused when it goes on for too long.

    Args:
        source: The stream.
        most: Bytes that it may give.
    """

    def __init__(self, source: IO[bytes], most: int) -> None:
        super().__init__()
        self._source = source
        self._most = self._left = most

    def readable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """Returns the number of bytes read so far."""
        return self._most - self._left

    def read(self, size: int = -1) -> bytes:
        """Reads as any stream does, and never holds more than is allowed."""
        piece = self._source.read(self._left + 1 if size < 0 else min(size, self._left + 1))
        self._left -= len(piece)
        if self._left < 0:
            raise ValueError("it goes on for longer than weights of its size do")
        return piece

    def readline(self, size: int | None = -1) -> bytes:
        """Reads a line as any stream does; lines are short."""
        most = min(self._left, 4096)
        line = self._source.readline(most if size is None or size < 0 else min(size, most))
        self._left -= len(line)
        return line
