"""Reads tables of LevelDB, in which TensorFlow describes the variables of a checkpoint."""

from collections.abc import Iterator

from googlenet_keras.weights.readers.opened import OpenedFile
from googlenet_keras.weights.readers.wire import varint

# The last bytes of a table.
TABLE_END = bytes.fromhex("57fb808b247547db")
_FOOTER_BYTES = 48
# Each block is followed by a byte for its compression, of which this value means none, and by a checksum, which
# TensorFlow verifies.
_UNPACKED = b"\0"


def table_entries(opened: OpenedFile) -> Iterator[tuple[bytes, bytes]]:
    """Yields the keys and values of a table, in order.

    Args:
        opened: The file.

    Raises:
        ValueError: If the file is not a table, or the table is compressed.
    """
    opened.file.seek(max(0, opened.size - _FOOTER_BYTES))
    footer = opened.file.read()
    _, footer = _handle(footer)  # the first handle is that of the metadata, which is not needed
    index, _ = _handle(footer)
    for _, value in _block(opened, index):
        block, _ = _handle(value)
        yield from _block(opened, block)


def _handle(data: bytes) -> tuple[tuple[int, int], bytes]:
    """Returns the offset and the size of a block, and the bytes after its handle."""
    offset, used = varint(data)
    size, more = varint(data[used:])
    return (offset, size), data[used + more :]


def _block(opened: OpenedFile, place: tuple[int, int]) -> Iterator[tuple[bytes, bytes]]:
    offset, size = place
    if offset + size + len(_UNPACKED) > opened.size:
        raise ValueError("a block of its table extends beyond the end of the file")
    opened.file.seek(offset)
    data, packing = opened.file.read(size), opened.file.read(len(_UNPACKED))
    if packing != _UNPACKED:
        raise ValueError("its table is compressed, but TensorFlow does not compress the tables of checkpoints")
    # A block ends with the positions of the keys that are stored completely, and their number.
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
            raise ValueError("an entry of its table extends beyond the end of its block")
        key = key[:shared] + data[begin : begin + unshared]
        begin += unshared + length
        yield key, data[begin - length : begin]
