"""LevelDB's tables, in which TensorFlow keeps what is in a checkpoint."""

from collections.abc import Iterator

from googlenet_keras.weights.readers.opened import OpenedFile
from googlenet_keras.weights.readers.wire import varint

# A table ends so.
TABLE_END = bytes.fromhex("57fb808b247547db")
_FOOTER_BYTES = 48
# Behind each block: how it is packed, and a checksum, which TensorFlow compares.
_UNPACKED = b"\0"


def table_entries(opened: OpenedFile) -> Iterator[tuple[bytes, bytes]]:
    """The keys and values of a table, in order.

    Args:
        opened: The file.

    Raises:
        ValueError: If it is no table, or a packed one.
    """
    opened.file.seek(max(0, opened.size - _FOOTER_BYTES))
    footer = opened.file.read()
    _, footer = _handle(footer)  # of a block that tells of the table itself
    index, _ = _handle(footer)
    for _, value in _block(opened, index):
        block, _ = _handle(value)
        yield from _block(opened, block)


def _handle(data: bytes) -> tuple[tuple[int, int], bytes]:
    """Returns the position of a block, and the bytes after its handle."""
    offset, used = varint(data)
    size, more = varint(data[used:])
    return (offset, size), data[used + more :]


def _block(opened: OpenedFile, place: tuple[int, int]) -> Iterator[tuple[bytes, bytes]]:
    offset, size = place
    if offset + size + len(_UNPACKED) > opened.size:
        raise ValueError("a part of its table lies beyond its end")
    opened.file.seek(offset)
    data, packing = opened.file.read(size), opened.file.read(len(_UNPACKED))
    if packing != _UNPACKED:
        raise ValueError("its table is packed, and TensorFlow does not pack those of checkpoints")
    # At the end are the places of keys that are written in full, and how many they are.
    end = size - 4 * (int.from_bytes(data[-4:], "little") + 1)
    key, begin = b"", 0
    while begin < end:
        lengths = []
        for _ in range(3):
            length, used = varint(data[begin : begin + 10])
            lengths.append(length)
            begin += used
        shared, unshared, length = lengths
        if shared > len(key) or begin + unshared + length > end:
            raise ValueError("an entry of its table ends beyond it")
        key = key[:shared] + data[begin : begin + unshared]
        begin += unshared + length
        yield key, data[begin - length : begin]
