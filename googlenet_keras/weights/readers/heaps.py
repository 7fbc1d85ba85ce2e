"""Checks the global heaps of an HDF5 file, because an object of size 0 makes the HDF5 library loop forever."""

from collections.abc import Iterator

from googlenet_keras.weights.readers.opened import PIECE, OpenedFile
from googlenet_keras.weights.readers.stored import MOST_TENSORS

# See "Global Heap" in section III.E of the HDF5 File Format Specification 3.0. A heap begins with its signature and
# version, and its bytes 8 to 16 contain its size. The objects follow. Each begins with its number, which is 0 for the
# free space, and its bytes 8 to 16 contain its size.
_START = b"GCOL\x01"
_HEADER = 16


def refuse_endless_heaps(opened: OpenedFile) -> None:
    """Checks everything in the file that may be a heap, before the library loads it.

    Args:
        opened: An HDF5 file whose addresses and lengths have 8 bytes.

    Raises:
        ValueError: If the objects of a heap do not follow one another up to its end, or all heaps together contain more
            than `MOST_TENSORS` objects.
    """
    left = MOST_TENSORS
    for begin in _heaps(opened):
        size = _length(opened, begin)
        end = begin + size
        if end > opened.size:
            continue  # The library rejects such a heap, unless it is not a heap but numbers that look like one.
        place = begin + _HEADER
        while place + _HEADER <= end:
            opened.file.seek(place)
            number = int.from_bytes(opened.file.read(2), "little")
            length = _length(opened, place)
            step = _HEADER + -(-length // 8) * 8 if number else length
            left -= 1
            if step < _HEADER or place + step > end or left < 0:
                raise ValueError("one of its global heaps is invalid")
            place += step


def _length(opened: OpenedFile, place: int) -> int:
    opened.file.seek(place + 8)
    return int.from_bytes(opened.file.read(8), "little")


def _heaps(opened: OpenedFile) -> Iterator[int]:
    """Yields the positions at which a heap may begin."""
    for first in range(0, opened.size, PIECE):
        opened.file.seek(first)
        piece = opened.file.read(PIECE + len(_START) - 1)
        place = piece.find(_START)
        while place >= 0:
            yield first + place
            place = piece.find(_START, place + 1)
